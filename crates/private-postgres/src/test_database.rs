//! A fresh database for each test, all in one server for each run.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection};

use super::cluster::{Options, Server, quoted, with_database};
use super::error::Error;
use super::owned_dir::random_hex;
use super::programs::ProgramSource;

/// The environment variable in which `scripts/test` passes the server's address for the whole run.
pub const SERVER_VARIABLE: &str = "CDR_SYNC_TEST_DATABASE";

/// An empty database that is dropped with this value.
pub struct TestDatabase {
    name: String,
    server: SecretString,
    url: String,
}

impl fmt::Debug for TestDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestDatabase({})", self.name)
    }
}

/// Databases that are copied, by name: each test is a process of its own, and the first one makes them for all.
const MAKING_ONE: &str = "select pg_advisory_lock(7203911)";

impl TestDatabase {
    /// A copy of the database `original`, which `fill` fills for whoever is the first in this run. Only where the server is
    /// the run's own, for the original stays in it; otherwise `fill` fills each.
    pub async fn copy_of(original: &str, fill: impl AsyncFn(&str)) -> Result<Self, Error> {
        let is_own =
            std::env::var_os(SERVER_VARIABLE).is_some() && std::env::var_os("DATABASE_URL").is_none();
        if !is_own {
            let database = Self::new().await?;
            fill(database.url()).await;
            return Ok(database);
        }
        let server = server().await?;
        let mut connection = PgConnection::connect(server.expose_secret()).await?;
        let is_made = "select exists (select from pg_database where datname = $1)";
        let is_made = sqlx::query_scalar(is_made).bind(original);
        if !is_made.fetch_one(&mut connection).await? {
            sqlx::raw_sql(MAKING_ONE).execute(&mut connection).await?;
            make(&mut connection, &server, original, fill).await?;
        }
        connection.close().await?;
        Self::named(server, original).await
    }

    /// Creates one in the server of this run: `CDR_SYNC_TEST_DATABASE`, otherwise `DATABASE_URL`, otherwise a
    /// cluster that this process starts with its first test and that its watchdog stops after the last.
    pub async fn new() -> Result<Self, Error> {
        // Another test may be copying template1; template0 is never in use.
        Self::named(server().await?, "template0").await
    }

    async fn named(server: SecretString, original: &str) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cdr_test_{}_{count}_{}", std::process::id(), random_hex(4)?);
        let url = with_database(server.expose_secret(), &name)?;
        let create = format!("create database {} template {}", quoted(&name), quoted(original));
        execute(&server, create).await?;
        Ok(Self { name, server, url })
    }

    /// The address of the database, including the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let server = self.server.clone();
        let sql = format!("drop database if exists {} with (force)", quoted(&self.name));
        // A thread with its own runtime, because drop may run inside the test's runtime, which must not block.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(sqlx::Error::Io)?.block_on(execute(&server, sql))
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            tracing::warn!(target: crate::LOG, database = self.name, "a test's database could not be dropped");
        }
    }
}

/// Makes `original`, if nobody else has meanwhile; it has its name once it is whole.
async fn make(
    connection: &mut PgConnection,
    server: &SecretString,
    original: &str,
    fill: impl AsyncFn(&str),
) -> Result<(), Error> {
    let is_made = sqlx::query_scalar("select exists (select from pg_database where datname = $1)");
    if is_made.bind(original).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let unfinished = quoted(&format!("{original}_unfinished"));
    let run = async |connection: &mut PgConnection, sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await
    };
    run(connection, format!("drop database if exists {unfinished} with (force)")).await?;
    run(connection, format!("create database {unfinished} template template0")).await?;
    fill(&with_database(server.expose_secret(), &format!("{original}_unfinished"))?).await;
    // Nobody may be in it when it is renamed or copied.
    run(connection, format!("alter database {unfinished} allow_connections false")).await?;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1";
    sqlx::query(end).bind(format!("{original}_unfinished")).execute(&mut *connection).await?;
    run(connection, format!("alter database {unfinished} rename to {}", quoted(original))).await?;
    Ok(())
}

async fn server() -> Result<SecretString, Error> {
    tokio::task::spawn_blocking(server_of_this_run)
        .await
        .map_err(|_| Error::Thread("starts the private database"))?
}

async fn execute(server: &SecretString, sql: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server.expose_secret()).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}

fn server_of_this_run() -> Result<SecretString, Error> {
    // It is never dropped: the watchdog stops a private cluster when this process ends.
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let given = [SERVER_VARIABLE, "DATABASE_URL"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()))
        .map(SecretString::from);
    let options = Options { source: ProgramSource::from_env(), ..Options::default() };
    let server = SERVER.get_or_init(|| Server::obtain(given, options).map_err(|error| error.to_string()));
    server.as_ref().map(Server::url).map_err(|error| Error::NotStarted { log: error.clone() })
}
