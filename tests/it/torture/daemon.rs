//! `cdr-sync run` as a child process.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::torture::wire::Wire;

/// The end of the log that is shown when something went wrong.
const SHOWN: u64 = 6_000;

pub struct Daemon {
    child: Child,
    log: File,
    /// Its ways to the database and to the API, where a test can cut them.
    pub database: Option<Wire>,
    pub api: Option<Wire>,
}

impl Daemon {
    pub fn start(mut command: Command, database: Option<Wire>, api: Option<Wire>) -> Self {
        let log = unnamed_file();
        let child = command.stderr(log.try_clone().unwrap()).spawn().unwrap();
        Self { child, log, database, api }
    }

    /// One whose stderr goes where the command says.
    pub fn start_elsewhere(mut command: Command) -> Self {
        Self { child: command.spawn().unwrap(), log: unnamed_file(), database: None, api: None }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// The events of its log, and how many there are of each.
    pub fn events(&self) -> BTreeMap<String, usize> {
        let mut bytes = vec![0; usize::try_from(self.log.metadata().unwrap().len()).unwrap()];
        self.log.read_exact_at(&mut bytes, 0).unwrap();
        let (text, mut events) = (String::from_utf8_lossy(&bytes), BTreeMap::new());
        for name in text.split("\"event\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            *events.entry(name.to_owned()).or_insert(0) += 1;
        }
        events
    }

    /// The end of what it logged.
    pub fn said(&self) -> String {
        let length = self.log.metadata().unwrap().len();
        let mut bytes = vec![0; usize::try_from(length.min(SHOWN)).unwrap()];
        self.log.read_exact_at(&mut bytes, length.saturating_sub(SHOWN)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It fails when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command for `run`, without an environment of ours.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdr-sync"));
    command.arg("run").env_clear().current_dir(std::env::temp_dir());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A file that is gone with the last to hold it open.
fn unnamed_file() -> File {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("cdr-sync-torture-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file
}
