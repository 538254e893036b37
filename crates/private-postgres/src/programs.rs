//! Where initdb and postgres are: on this machine, or else from PyPI.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::UnprivilegedUser;
use super::error::{self, Error};
use super::wheel;

/// The environment variable that forces one source: `system`, `wheel`, or the path of a bin directory.
pub const SOURCE_VARIABLE: &str = "CDR_SYNC_POSTGRES";

/// The oldest major version that the database code supports (docs/contract.md#configuration).
const OLDEST: u32 = 13;

/// Where to take the server programs from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProgramSource {
    /// Those on this machine, otherwise PyPI's.
    #[default]
    Any,
    /// Only those on this machine.
    System,
    /// Only those in PyPI's wheel.
    Wheel,
    /// Only the programs in this directory.
    Directory(PathBuf),
}

impl ProgramSource {
    /// The source named by `CDR_SYNC_POSTGRES`; [`ProgramSource::Any`] if that is unset or empty.
    pub fn from_env() -> Self {
        Self::parse(env::var_os(SOURCE_VARIABLE).unwrap_or_default())
    }

    fn parse(value: OsString) -> Self {
        match value.to_str() {
            Some("") => ProgramSource::Any,
            Some("system") => ProgramSource::System,
            Some("wheel") => ProgramSource::Wheel,
            _ => ProgramSource::Directory(value.into()),
        }
    }
}

/// The server programs of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    bin: PathBuf,
    major: u32,
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {} in {}", self.major, self.bin.display())
    }
}

impl Programs {
    /// The programs in `bin`, if they exist, run, and are new enough.
    pub fn in_directory(bin: &Path) -> Result<Self, Error> {
        let refuse = |why: String| Error::NotPrograms { dir: bin.to_owned(), why };
        let initdb = bin.join("initdb");
        // Links like /usr/local/bin/initdb lead to the directory with all the other programs.
        let real = initdb.canonicalize().map_err(|error| refuse(format!("initdb: {error}")))?;
        let home = real.parent().unwrap_or(bin).to_owned();
        let output = error::run(Command::new(home.join("postgres")).arg("--version"))
            .map_err(|error| refuse(error.to_string()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match major_of(&version) {
            Some(major) if major >= OLDEST => Ok(Self { bin: home, major }),
            _ => Err(refuse(format!("it says {version:?}"))),
        }
    }

    /// The best programs from `source` for `account`; of major version `wanted` if that is given.
    pub(super) fn find(
        source: &ProgramSource,
        account: &UnprivilegedUser,
        wanted: Option<Wanted<'_>>,
    ) -> Result<Self, Error> {
        let fits = |programs: &Programs| wanted.is_none_or(|wanted| wanted.major == programs.major);
        let mut seen: Vec<Programs> = Vec::new();
        match source {
            ProgramSource::Directory(bin) => seen.push(Self::in_directory(bin)?),
            ProgramSource::Any | ProgramSource::System => seen.extend(on_this_machine()),
            ProgramSource::Wheel => {}
        }
        seen.retain(|programs| account.can_enter(&programs.bin).is_ok());
        if let Some(found) = seen.iter().find(|programs| fits(programs)) {
            return Ok(found.clone());
        }
        let machine = match seen.as_slice() {
            [] if *source == ProgramSource::Wheel => "this machine's were not wanted".to_owned(),
            [] => "none found on this machine".to_owned(),
            found => found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let wheel = match source {
            ProgramSource::Any | ProgramSource::Wheel
                if wanted.is_none_or(|wanted| wanted.major == wheel::MAJOR) =>
            {
                wheel::programs(account)
            }
            _ => Err(Error::Wheel("it was not wanted".to_owned())),
        };
        match (wheel, wanted) {
            (Ok(programs), _) => Ok(programs),
            (Err(_), Some(wanted)) => Err(Error::MajorVersion {
                dir: wanted.data.to_owned(),
                made_by: wanted.major,
                found: machine,
            }),
            (Err(error), None) => Err(Error::NoPrograms { machine, wheel: error.to_string() }),
        }
    }

    /// The major version, for example 15.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The full path of one of the programs.
    pub fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }
}

/// The version that an existing data directory requires.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) data: &'a Path,
    /// The major version that created it.
    pub(super) major: u32,
}

/// `15` from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, also from `18beta1`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// All installations, in order of preference: the PATH, `pg_config`, then the usual places, newest first.
fn on_this_machine() -> Vec<Programs> {
    let mut found: Vec<Programs> = Vec::new();
    let path = env::var_os("PATH").unwrap_or_default();
    let first = env::split_paths(&path).chain(bin_of_pg_config());
    for programs in first.filter_map(|bin| Programs::in_directory(&bin).ok()) {
        if !found.contains(&programs) {
            found.push(programs);
        }
    }
    let mut others: Vec<Programs> =
        usual_places().iter().filter_map(|bin| Programs::in_directory(bin).ok()).collect();
    others.retain(|programs| !found.contains(programs));
    others.sort_by_key(|programs| std::cmp::Reverse(programs.major));
    others.dedup();
    found.extend(others);
    found
}

fn bin_of_pg_config() -> Option<PathBuf> {
    let output = error::run(Command::new("pg_config").arg("--bindir")).ok()?;
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The usual places on Debian, Red Hat, with Homebrew on both kinds of Mac, and with Postgres.app.
fn usual_places() -> Vec<PathBuf> {
    [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ]
    .iter()
    .flat_map(|(parent, prefix, bin)| {
        let entries = Path::new(parent).read_dir().into_iter().flatten().flatten();
        entries
            .filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(move |entry| entry.path().join(bin))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_form_that_postgres_prints() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18.6"), Some(18));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn the_source_variable_names_a_source_or_a_directory() {
        assert_eq!(ProgramSource::parse("".into()), ProgramSource::Any);
        assert_eq!(ProgramSource::parse("wheel".into()), ProgramSource::Wheel);
        assert_eq!(ProgramSource::parse("system".into()), ProgramSource::System);
        assert_eq!(
            ProgramSource::parse("/opt/pg/bin".into()),
            ProgramSource::Directory("/opt/pg/bin".into())
        );
    }

    #[test]
    fn a_directory_without_programs_is_refused_by_name() {
        let error = Programs::in_directory(Path::new("/nonexistent/bin")).unwrap_err().to_string();
        assert_eq!(
            error,
            "/nonexistent/bin contains no usable initdb and postgres (13 or newer): initdb: \
             No such file or directory (os error 2)"
        );
    }
}
