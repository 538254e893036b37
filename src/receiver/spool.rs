//! Notifications on disk while the database cannot take them: a file each, whole or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::random_id;
use crate::metrics::Metrics;
use crate::store::push::ReceivedPush;

/// What a file takes up at least.
const BLOCK: u64 = 4096;
const FORMAT: u8 = 1;
/// A file that is still being written after this time is left over from a process that was killed.
const LEFT_OVER: TimeDelta = TimeDelta::hours(1);
const ENDING: &str = "push";
const UNFINISHED: &str = "push-unfinished";

/// A directory of notifications; clones share what is known of it. Several processes may use it.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    most_bytes: u64,
    metrics: Metrics,
    used: Arc<Mutex<Used>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    files: u64,
    bytes: u64,
}

/// Why a notification is not in the spool. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("the spool holds as much as push.spool_max_bytes allows")]
    Full,
    #[error("the spool: {0}")]
    Io(#[from] io::Error),
    #[error("a file of the spool is not what was written there")]
    Unreadable,
}

/// What is in the directory.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Whole notifications, in the order in which they were received.
    pub(super) files: Vec<PathBuf>,
    /// Files that are none of ours.
    pub(super) foreign: usize,
}

/// The first line of a file; the body follows.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u8,
    account: String,
    received_at: DateTime<Utc>,
    content_type: Option<String>,
    remote: Option<IpAddr>,
    body_sha256: String,
}

impl Spool {
    pub(super) fn new(directory: PathBuf, most_bytes: u64, metrics: Metrics) -> Self {
        Self { directory, most_bytes, metrics, used: Arc::default() }
    }

    /// Writes a notification. Afterwards it survives the end of the process and of the host.
    pub(super) fn write(&self, push: &ReceivedPush) -> Result<(), SpoolError> {
        let text = encode(push);
        let room = room(text.len() as u64);
        self.reserve(room)?;
        let written = self.write_file(&name(push), &text);
        if written.is_err() {
            self.release(room);
        }
        Ok(written?)
    }

    fn write_file(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let unfinished = self.directory.join(format!("{name}-{:x}.{UNFINISHED}", random_id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.directory.join(format!("{name}.{ENDING}")))?;
            File::open(&self.directory)?.sync_all()
        })();
        if written.is_err() {
            // A disk that is full has more room without it; if it cannot be removed, it is left over.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Looks what is there, and removes what a killed process did not finish.
    pub(super) fn contents(&self, now: DateTime<Utc>) -> Result<Contents, SpoolError> {
        let (mut found, mut used) = (Contents::default(), Used::default());
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            // Another process may have moved it meanwhile.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(ENDING) if metadata.is_file() => {
                    used.files += 1;
                    used.bytes += room(metadata.len());
                    found.files.push(path);
                }
                Some(UNFINISHED) if metadata.is_file() => {
                    let written = metadata.modified().map(DateTime::<Utc>::from);
                    if written.is_ok_and(|at| now - at > LEFT_OVER) {
                        fs::remove_file(&path)?;
                    } else {
                        used.bytes += room(metadata.len());
                    }
                }
                _ => found.foreign += 1,
            }
        }
        found.files.sort_unstable();
        self.change(|known| *known = used);
        Ok(found)
    }

    /// Reads a notification; `None` if another process has stored it meanwhile.
    pub(super) fn read(file: &Path) -> Result<Option<ReceivedPush>, SpoolError> {
        match fs::read(file) {
            Ok(text) => decode(&text).map(Some).ok_or(SpoolError::Unreadable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a notification that the database has.
    pub(super) fn remove(&self, file: &Path) -> Result<(), SpoolError> {
        let bytes = fs::metadata(file).map_or(0, |metadata| metadata.len());
        match fs::remove_file(file) {
            Ok(()) => {
                self.release(room(bytes));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn reserve(&self, room: u64) -> Result<(), SpoolError> {
        let most_bytes = self.most_bytes;
        self.change(|used| {
            if used.bytes + room > most_bytes {
                return Err(SpoolError::Full);
            }
            used.files += 1;
            used.bytes += room;
            Ok(())
        })
    }

    fn release(&self, room: u64) {
        self.change(|used| {
            used.files = used.files.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(room);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Used) -> T) -> T {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut used);
        self.metrics.push_spool(used.files, used.bytes);
        result
    }
}

/// Sorted by name, files are in the order in which they were received.
fn name(push: &ReceivedPush) -> String {
    format!("{:020}-{}", push.received_at.timestamp_micros(), &hex(&push.body_sha256))
}

fn room(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(BLOCK)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(push: &ReceivedPush) -> Vec<u8> {
    let header = serde_json::json!(Header {
        format: FORMAT,
        account: push.account.clone(),
        received_at: push.received_at,
        content_type: push.content_type.clone(),
        remote: push.remote,
        body_sha256: hex(&push.body_sha256),
    });
    let mut text = header.to_string().into_bytes();
    text.push(b'\n');
    text.extend_from_slice(&push.body);
    text
}

fn decode(text: &[u8]) -> Option<ReceivedPush> {
    let mut body = text;
    let mut line = Vec::new();
    body.read_until(b'\n', &mut line).ok()?;
    let header: Header = serde_json::from_slice(&line).ok()?;
    let body_sha256 = Sha256::digest(body).to_vec();
    (header.format == FORMAT && header.body_sha256 == hex(&body_sha256)).then(|| ReceivedPush {
        account: header.account,
        body_sha256,
        received_at: header.received_at,
        content_type: header.content_type,
        remote: header.remote,
        body: body.to_vec(),
    })
}
