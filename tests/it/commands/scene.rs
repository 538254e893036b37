//! The binary, configured by its environment alone, and what it printed made the same every time.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use cdr_sync::clock::{Clock, ManualClock};
use chrono::{DateTime, Utc};
use private_postgres::TestDatabase;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;
use voicenter_simulator::{Simulator, SimulatorOptions, WorldOptions};

/// No command of these takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("cdr-sync-commands-{:x}", fastrand::u64(..)));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.0.join(name), text).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The binary with nothing but this environment.
pub fn program(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdr-sync"));
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .env("CDR_SYNC__LOG__LEVEL", "error")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// All it printed and its exit status, for a snapshot.
pub async fn printed(mut command: Command) -> String {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    let err = if err.is_empty() { err } else { format!("--- stderr\n{err}") };
    format!("{out}{err}--- exit status {}\n", output.status.code().unwrap())
}

/// Times, ports, process numbers and the like, which differ every time.
pub fn steady(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut steady = String::new();
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            if let Some((word, length)) = date(rest) {
                steady.push_str(word);
                rest = &rest[length..];
            } else {
                steady.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        lines.push(steady.trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}

/// A date, a time, or a loopback port at the start of `text`, and how long it is.
fn date(text: &str) -> Option<(&'static str, usize)> {
    let shaped = |shape: &str| {
        let head = text.get(..shape.len())?;
        let fits =
            head.chars().zip(shape.chars()).all(|(c, s)| if s == '0' { c.is_ascii_digit() } else { c == s });
        fits.then_some(shape.len())
    };
    if let Some(length) = shaped("0000-00-00") {
        return Some(("YYYY-MM-DD", length));
    }
    if let Some(length) = shaped("00:00:00") {
        return Some(("HH:MM:SS", length));
    }
    let port = text.strip_prefix("127.0.0.1:")?.chars().take_while(char::is_ascii_digit).count();
    (port > 0).then_some(("127.0.0.1:PORT", "127.0.0.1:".len() + port))
}

/// A database with a ledger of its own.
pub struct Ledger(pub TestDatabase);

impl Ledger {
    pub async fn new(sql: &'static str) -> Self {
        let ledger = Self(TestDatabase::new().await.unwrap());
        let printed = printed(program(&["migrate"], &[("DATABASE_URL", ledger.0.url())])).await;
        assert_eq!(printed, "the schema is up to date\n--- exit status 0\n");
        ledger.execute(sql).await;
        ledger
    }

    pub async fn execute(&self, sql: &'static str) {
        self.run(sql.to_owned()).await;
    }

    /// The same with names of the test's own in it.
    pub async fn run(&self, sql: String) {
        let mut connection = PgConnection::connect(self.0.url()).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect(self.0.url()).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    /// What a command prints with two accounts configured: `sales` and `service`.
    pub async fn printed(&self, arguments: &[&str]) -> String {
        let environment = [
            ("DATABASE_URL", self.0.url()),
            ("CDR_SYNC__ACCOUNTS__0__NAME", "sales"),
            ("CDR_SYNC__ACCOUNTS__0__CODE", "a"),
            ("CDR_SYNC__ACCOUNTS__1__NAME", "service"),
            ("CDR_SYNC__ACCOUNTS__1__CODE", "b"),
        ];
        steady(&printed(program(arguments, &environment)).await)
    }
}

/// An API whose world stands still at `now`.
pub async fn simulator(now: DateTime<Utc>, change: impl FnOnce(&mut SimulatorOptions)) -> Simulator {
    let world = WorldOptions { calls_per_day: 500.0, ..WorldOptions::default() };
    let mut options = SimulatorOptions { world, requests_per_minute: 0, ..SimulatorOptions::default() };
    change(&mut options);
    Simulator::start(options, Clock::Manual(ManualClock::new(now))).await.unwrap()
}
