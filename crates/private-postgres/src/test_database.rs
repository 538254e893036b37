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

/// The environment variable with the server's address that `scripts/test` sets for the whole run.
pub const SERVER_VARIABLE: &str = "CDR_SYNC_TEST_DATABASE";

/// An empty database, dropped with this value.
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
    /// Makes one in the server of this run: `CDR_SYNC_TEST_DATABASE`, else `DATABASE_URL`, else a cluster
    /// that this process starts with its first test and that its watchdog ends after its last.
    pub async fn new() -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = tokio::task::spawn_blocking(server_of_this_run)
            .await
            .map_err(|_| Error::Thread("starts the private database"))??;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cdr_test_{}_{count}_{}", std::process::id(), random_hex(4)?);
        let url = with_database(server.expose_secret(), &name)?;
        // template1 can be busy with another test's copy; template0 never is.
        execute(&server, format!("create database {} template template0", quoted(&name))).await?;
        Ok(Self { name, server, url })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let server = self.server.clone();
        let sql = format!("drop database if exists {} with (force)", quoted(&self.name));
        // A thread with a runtime of its own: drop may run inside the test's runtime, which must not block.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(sqlx::Error::Io)?.block_on(execute(&server, sql))
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            tracing::warn!(database = self.name, "a test's database stays behind");
        }
    }
}

async fn execute(server: &SecretString, sql: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server.expose_secret()).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}

fn server_of_this_run() -> Result<SecretString, Error> {
    // Never dropped: the watchdog ends a private cluster when this process is gone.
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let given = [SERVER_VARIABLE, "DATABASE_URL"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()))
        .map(SecretString::from);
    let options = Options { source: ProgramSource::from_env(), ..Options::default() };
    let server = SERVER.get_or_init(|| Server::obtain(given, options).map_err(|error| error.to_string()));
    server.as_ref().map(Server::url).map_err(|error| Error::NotStarted { log: error.clone() })
}
