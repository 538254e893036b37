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

impl TestDatabase {
    /// Creates one in the server of this run: `CDR_SYNC_TEST_DATABASE`, otherwise `DATABASE_URL`, otherwise a
    /// cluster that this process starts with its first test and that its watchdog stops after the last.
    pub async fn new() -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = tokio::task::spawn_blocking(server_of_this_run)
            .await
            .map_err(|_| Error::Thread("starts the private database"))??;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cdr_test_{}_{count}_{}", std::process::id(), random_hex(4)?);
        let url = with_database(server.expose_secret(), &name)?;
        // Another test may be copying template1; template0 is never in use.
        execute(&server, format!("create database {} template template0", quoted(&name))).await?;
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
