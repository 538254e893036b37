//! Directories with an owner. The owner holds a lock on a file inside, which the kernel releases when the owner
//! dies, so abandoned directories can be distinguished from those in use.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::account::UnprivilegedUser;
use super::error::Error;
use super::server;

const PREFIX: &str = "cdr-sync-postgres-";
const LOCK: &str = "owner";

/// A directory that this process owns until this value is dropped.
#[derive(Debug)]
pub(super) struct OwnedDir {
    path: PathBuf,
    _lock: File,
    temporary: bool,
}

impl OwnedDir {
    /// A new temporary directory, private to `account` and removed on drop.
    pub(super) fn temporary(account: &UnprivilegedUser) -> Result<Self, Error> {
        let root = temporary_root(account);
        let tag = random_hex(4)?;
        // It is locked before it gets the name that `remove_abandoned` looks for.
        let unnamed = root.join(format!("cdr-sync-new-{tag}"));
        DirBuilder::new().mode(0o700).create(&unnamed).map_err(Error::io("create", &unnamed))?;
        let lock = lock(&unnamed)?;
        account.give(&unnamed)?;
        let path = root.join(format!("{PREFIX}{tag}"));
        fs::rename(&unnamed, &path).map_err(Error::io("rename to", &path))?;
        Ok(Self { path, _lock: lock, temporary: true })
    }

    /// A directory that outlives this process and is created if necessary. Fails if a living process owns it.
    pub(super) fn kept(path: &Path, account: &UnprivilegedUser) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::io("create", path))?;
        let path = path.canonicalize().map_err(Error::io("find", path))?;
        account.can_enter(path.parent().unwrap_or(&path))?;
        let empty = path.read_dir().map_err(Error::io("read", &path))?.next().is_none();
        if !empty && !path.join(LOCK).exists() {
            return Err(Error::NotOurs { dir: path });
        }
        let lock = lock(&path)?;
        account.give(&path)?;
        Ok(Self { path, _lock: lock, temporary: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnedDir {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(target: crate::LOG, dir = %self.path.display(), %error, "a temporary directory could not be removed");
        }
    }
}

/// Stops the servers and removes the directories whose owners have died. Those of living owners are not touched.
pub(super) fn remove_abandoned(account: &UnprivilegedUser) {
    let root = temporary_root(account);
    let Ok(entries) = root.read_dir() else { return };
    for dir in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let dir = dir.path();
        // Another user's directory is left alone, whatever its name says.
        let ours = dir.symlink_metadata().is_ok_and(|data| data.is_dir() && data.uid() == account.uid());
        if !ours || !dir.join(LOCK).exists() {
            continue;
        }
        if let Ok(lock) = lock(&dir) {
            tracing::info!(target: crate::LOG, dir = %dir.display(), "removing the directory of a process that died");
            server::end_orphan(&dir.join(server::DATA));
            drop(OwnedDir { path: dir, _lock: lock, temporary: true });
        }
    }
}

/// `length` random bytes in hexadecimal.
pub(super) fn random_hex(length: usize) -> Result<String, Error> {
    let source = Path::new("/dev/urandom");
    let mut bytes = vec![0; length];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Error::io("read", source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(Error::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let owner = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
            return Err(Error::Owned { dir: dir.to_owned(), owner });
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
    }
    // For people who look at the file: only the lock counts.
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(Error::io("write", &path))?;
    Ok(file)
}

/// The directory for temporary files, unless the server's user cannot enter it or it is too long for a socket.
fn temporary_root(account: &UnprivilegedUser) -> PathBuf {
    let root = std::env::temp_dir();
    // A socket's path has at most 103 bytes on macOS, and this program appends 45.
    if root.as_os_str().len() > 58 || account.can_enter(&root).is_err() {
        PathBuf::from("/tmp")
    } else {
        root
    }
}
