//! A running private server, and the choice between it and a server that was given.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use nix::sys::signal::Signal;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection};
use url::Url;

use super::account::UnprivilegedUser;
use super::error::{self, Error};
use super::owned_dir::{self, OwnedDir, random_hex};
use super::programs::{ProgramSource, Programs, Wanted};
use super::server;
use super::watchdog::Watchdog;

const PASSWORD: &str = "password";

/// How to start a cluster, and where to keep it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The directory in which the data is kept and reused; `None` for a temporary directory that is removed with
    /// the cluster.
    pub data: Option<PathBuf>,
    /// PostgreSQL settings, as pairs of name and value.
    pub settings: Vec<(String, String)>,
    /// Where to take the server programs from.
    pub source: ProgramSource,
}

/// A PostgreSQL server that lives as long as this value and this process. It listens on a free loopback port and on
/// a Unix socket in its own directory, and has a random password.
pub struct Cluster {
    server: Child,
    watchdog: Watchdog,
    programs: Programs,
    port: u16,
    password: SecretString,
    kept: Option<OwnedDir>,
    temporary: OwnedDir,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({} on port {})", self.programs, self.port)
    }
}

impl Cluster {
    /// Creates the cluster (or reuses the one kept in `options.data`) and starts it. This takes about 0.6 s and
    /// blocks: call it from `spawn_blocking` in async code.
    ///
    /// Anything left behind by an owner that died is removed first.
    pub fn start(options: Options) -> Result<Self, Error> {
        let kept_data = options.data.as_deref().map(|dir| dir.join(server::DATA));
        let account = UnprivilegedUser::for_server(kept_data.as_deref())?;
        owned_dir::remove_abandoned(&account);
        let kept = options.data.as_deref().map(|dir| OwnedDir::kept(dir, &account)).transpose()?;
        let temporary = OwnedDir::temporary(&account)?;
        let home = kept.as_ref().unwrap_or(&temporary).path().to_owned();
        let data = home.join(server::DATA);
        server::end_orphan(&data);

        let made_by = major_in(&data);
        let wanted = made_by.map(|major| Wanted { data: &data, major });
        let programs = Programs::find(&options.source, &account, wanted)?;
        let mode = if kept.is_some() { "fast" } else { "immediate" };
        let mut watchdog =
            Watchdog::start(&account, &programs.path("pg_ctl"), &data, mode, temporary.path())?;
        let started = password_of(&home, &account).and_then(|password| {
            if made_by.is_none() {
                init(&programs, &account, &home)?;
            }
            let settings = all_settings(&options.settings, kept.is_some());
            let (server, port) = server::start(&programs, &account, &home, temporary.path(), &settings)?;
            Ok((server, port, password))
        });
        match started {
            Ok((server, port, password)) => {
                tracing::debug!(target: crate::LOG, %programs, port, data = %data.display(), "a private database server is running");
                Ok(Self { server, watchdog, programs, port, password, kept, temporary })
            }
            Err(error) => {
                watchdog.dismiss();
                Err(error)
            }
        }
    }

    /// The address of `database` in this cluster, including the password: for connecting, never for a log.
    pub fn url(&self, database: &str) -> String {
        let password = self.password.expose_secret();
        format!("postgresql://postgres:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// A shell command that opens `database` with psql, for the person who started the cluster.
    pub fn psql_line(&self, database: &str) -> String {
        let own = self.programs.path("psql");
        let on_path = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("psql").exists()));
        let psql = if on_path || !own.exists() { PathBuf::from("psql") } else { own };
        format!("{} '{}'", psql.display(), self.url(database))
    }

    /// Creates `database` unless it exists.
    pub async fn create_database(&self, database: &str) -> Result<(), Error> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(database)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            let sql = format!("create database {}", quoted(database));
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(())
    }

    /// The server programs that run the cluster.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The loopback port the server listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server.
    pub fn server_pid(&self) -> u32 {
        self.server.id()
    }

    /// The directory with the data and the server's log.
    pub fn home(&self) -> &Path {
        self.kept.as_ref().unwrap_or(&self.temporary).path()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing in a temporary cluster is worth a checkpoint.
        let signal = if self.kept.is_some() { Signal::SIGINT } else { Signal::SIGQUIT };
        server::stop(&mut self.server, signal);
        self.watchdog.dismiss();
    }
}

/// A PostgreSQL server to use: one that was given, or a private one.
#[derive(Debug)]
pub enum Server {
    /// Somebody else's server: it is never stopped, and nothing is dropped in it except what this process created.
    Given(SecretString),
    /// A private server, stopped with this value.
    Private(Box<Cluster>),
}

impl Server {
    /// Uses `given` (from `DATABASE_URL`) if there is one, otherwise starts a cluster. May block like
    /// [`Cluster::start`].
    pub fn obtain(given: Option<SecretString>, options: Options) -> Result<Self, Error> {
        match given {
            Some(url) => Ok(Server::Given(url)),
            None => Cluster::start(options).map(|cluster| Server::Private(Box::new(cluster))),
        }
    }

    /// An address at which databases can be created: as given, or the `postgres` database of the cluster.
    pub fn url(&self) -> SecretString {
        match self {
            Server::Given(url) => url.clone(),
            Server::Private(cluster) => cluster.url("postgres").into(),
        }
    }
}

/// `url` with the name of another database.
pub(super) fn with_database(url: &str, database: &str) -> Result<String, Error> {
    let mut url = Url::parse(url).map_err(Error::Address)?;
    url.set_path(database);
    Ok(url.into())
}

/// An SQL identifier, quoted.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn major_in(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// The superuser's password, stored beside the data.
fn password_of(home: &Path, account: &UnprivilegedUser) -> Result<SecretString, Error> {
    let path = home.join(PASSWORD);
    if let Ok(password) = fs::read_to_string(&path)
        && !password.trim().is_empty()
    {
        return Ok(password.trim().into());
    }
    let password = random_hex(16)?;
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(password.as_bytes()))
        .map_err(Error::io("write", &path))?;
    account.give(&path)?;
    Ok(password.into())
}

/// Creates the data directory under another name first, so one that was only half created is never used.
fn init(programs: &Programs, account: &UnprivilegedUser, home: &Path) -> Result<(), Error> {
    let unfinished = home.join("data.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::io("remove", &unfinished))?;
    }
    let mut command = account.command(programs.path("initdb"), home);
    command.args([
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--auth=scram-sha-256",
        "--no-sync",
    ]);
    command.arg("--pwfile").arg(home.join(PASSWORD)).arg("--pgdata").arg(&unfinished);
    error::run(&mut command)?;
    let data = home.join(server::DATA);
    fs::rename(&unfinished, &data).map_err(Error::io("rename to", &data))
}

/// The default settings, then the caller's. A temporary cluster may lose everything, so it need not wait for disks.
fn all_settings(own: &[(String, String)], kept: bool) -> Vec<(String, String)> {
    let careless = [("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off")];
    [("max_connections", "200"), ("timezone", "UTC"), ("log_timezone", "UTC")]
        .iter()
        .chain(careless.iter().filter(|_| !kept))
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .chain(own.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_databases_address_keeps_everything_but_the_name() {
        let url = with_database("postgres://u:p@h:5433/app?sslmode=require", "t_1").unwrap();
        assert_eq!(url, "postgres://u:p@h:5433/t_1?sslmode=require");
    }

    #[test]
    fn only_a_temporary_cluster_does_without_fsync() {
        let has_fsync_off = |kept| all_settings(&[], kept).contains(&("fsync".into(), "off".into()));
        assert!(has_fsync_off(false));
        assert!(!has_fsync_off(true));
    }
}
