//! The user that runs the server: the current user, or an unprivileged one if that is root.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User, geteuid};

use super::error::Error;

/// The user that runs the server's programs and owns their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UnprivilegedUser {
    /// The user of this process.
    Ourselves,
    /// Another user, because PostgreSQL refuses to run as root.
    Other {
        /// The user's name, for messages.
        name: String,
        uid: u32,
        gid: u32,
    },
}

impl UnprivilegedUser {
    /// The current user; for root, the owner of `data` if it exists, otherwise `postgres`, otherwise `nobody`.
    pub(super) fn for_server(data: Option<&Path>) -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(UnprivilegedUser::Ourselves);
        }
        let owner = data.and_then(|dir| dir.metadata().ok()).map(|metadata| metadata.uid());
        let by_id = owner.filter(|uid| *uid != 0).and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok()?);
        by_id
            .or_else(|| ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok()?))
            .map(|user| UnprivilegedUser::Other {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            })
            .ok_or(Error::NoUnprivilegedUser)
    }

    pub(super) fn uid(&self) -> u32 {
        match self {
            UnprivilegedUser::Ourselves => geteuid().as_raw(),
            UnprivilegedUser::Other { uid, .. } => *uid,
        }
    }

    /// Makes this user the owner of a file or directory.
    pub(super) fn give(&self, path: &Path) -> Result<(), Error> {
        match self {
            UnprivilegedUser::Ourselves => Ok(()),
            UnprivilegedUser::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(Error::io("give away", path))
            }
        }
    }

    /// A command that runs as this user in `dir`, without the caller's PostgreSQL and locale settings.
    pub(super) fn command(&self, program: impl AsRef<OsStr>, dir: &Path) -> Command {
        let mut command = Command::new(program);
        // initdb and pg_ctl fail in a working directory that their user cannot enter.
        command.current_dir(dir).env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let UnprivilegedUser::Other { uid, gid, .. } = self {
            // This also drops root's supplementary groups.
            command.uid(*uid).gid(*gid).env("HOME", dir);
        }
        command
    }

    /// Fails if a directory on the way to `path` is closed to this user.
    pub(super) fn can_enter(&self, path: &Path) -> Result<(), Error> {
        let UnprivilegedUser::Other { name, uid, gid } = self else { return Ok(()) };
        let closed = path.ancestors().find(|dir| {
            dir.metadata().is_ok_and(|metadata| {
                let bit = if metadata.uid() == *uid {
                    0o100
                } else if metadata.gid() == *gid {
                    0o010
                } else {
                    0o001
                };
                metadata.mode() & bit == 0
            })
        });
        match closed {
            Some(dir) => Err(Error::Unreachable { user: name.clone(), dir: dir.to_owned() }),
            None => Ok(()),
        }
    }
}
