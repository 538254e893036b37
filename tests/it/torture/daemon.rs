//! `cdr-sync run` as a child process.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use tokio::process::Command;

use crate::support::program::Running;
use crate::torture::wire::Wire;

/// The end of the log that is shown when something went wrong.
const SHOWN: u64 = 6_000;

pub struct Daemon {
    pub process: Running,
    log: File,
    /// Its ways to the database and to the API, where a test can cut them.
    pub database: Option<Wire>,
    pub api: Option<Wire>,
}

impl Daemon {
    pub fn start(mut command: Command, database: Option<Wire>, api: Option<Wire>) -> Self {
        let log = unnamed_file();
        command.stderr(log.try_clone().unwrap());
        Self { process: Running::start(command), log, database, api }
    }

    /// One whose stderr goes where the command says.
    pub fn start_elsewhere(command: Command) -> Self {
        Self { process: Running::start(command), log: unnamed_file(), database: None, api: None }
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

/// A file that is gone with the last to hold it open.
fn unnamed_file() -> File {
    let path = std::env::temp_dir().join(format!("cdr-sync-torture-{:x}", fastrand::u64(..)));
    let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file
}
