//! The program as a child process, configured by its environment alone.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::support::polling::PATIENCE;

/// The simulator's credential.
pub const CODE: &str = "simulated-code";
/// The account of a configuration that names none.
pub const ACCOUNT: &str = "default";

/// The program with these arguments and an empty environment.
pub fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdr-sync"));
    command.args(arguments).env_clear().current_dir(std::env::temp_dir());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// The program with one account of the API at `api`, which is mirrored into a database from `start` on.
pub fn mirroring(
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    database: &str,
    api: &str,
    start: DateTime<Utc>,
) -> Command {
    let mut command = command(arguments);
    command
        .env("DATABASE_URL", database)
        .env("VOICENTER_CODE", CODE)
        .env("VOICENTER_URL", api)
        .env("CDR_SYNC__SYNC__START", start.to_rfc3339())
        // More than any test uses: nothing waits for its budget.
        .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", "100000")
        .env("CDR_SYNC__API__BURST", "1000")
        .env("CDR_SYNC__API__BACKOFF_MIN", "1s")
        .env("CDR_SYNC__HTTP__LISTEN", "")
        .env("CDR_SYNC__LOG__LEVEL", "error");
    command
}

/// A port on which nothing listens, with the loopback address. It is none of those that the system gives to connections
/// and to other tests' servers: one of these would be taken before the program of the test listens.
pub fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Each process of tests begins elsewhere.
    let first = u16::try_from(std::process::id() * 16 % PORTS).unwrap();
    for _ in 0..PORTS {
        let port = FIRST_PORT + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS as u16;
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap().to_string();
        }
    }
    panic!("no free port")
}

/// Below Linux's and everybody's range of ports for connections.
const FIRST_PORT: u16 = 12_000;
const PORTS: u32 = 20_000;

/// A started program that does not outlive its test.
pub struct Running {
    child: Child,
    id: u32,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let child = command.spawn().unwrap();
        Self { id: child.id().unwrap(), child }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.id).unwrap()), signal).unwrap();
    }

    /// SIGKILL, and its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Its exit status, and how long that took to come.
    pub async fn wait(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the program ends");
        (status.unwrap(), began.elapsed())
    }

    /// Its exit status, and what it wrote to stdout and stderr where those are pipes.
    pub async fn finish(self) -> (Option<i32>, String, String) {
        let output = tokio::time::timeout(PATIENCE, self.child.wait_with_output()).await;
        let output = output.expect("the program ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// A size in bytes that Linux knows of it: `VmHWM`, `VmRSS`.
    pub fn memory(&self, name: &str) -> usize {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// A file of `/proc`.
    pub fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.id)).unwrap()
    }
}
