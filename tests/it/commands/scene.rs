//! The binary, configured by its environment alone, and what it printed made the same every time.

use std::process::Stdio;

use chrono::{DateTime, Utc};
use tokio::process::Command;
use voicenter_simulator::{Simulator, SimulatorOptions, WorldOptions};

use crate::support::database::Database;
use crate::support::program::{Running, command};
use crate::support::simulator::standing;

/// The binary with nothing but this environment.
pub fn program(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = command(arguments);
    command.envs(environment.iter().copied()).env("CDR_SYNC__LOG__LEVEL", "error");
    command
}

/// All it printed and its exit status, for a snapshot.
pub async fn printed(mut command: Command) -> String {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (status, out, err) = Running::start(command).finish().await;
    let err = if err.is_empty() { err } else { format!("--- stderr\n{err}") };
    format!("{out}{err}--- exit status {}\n", status.unwrap())
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

/// A migrated database with a ledger of its own.
pub struct Ledger(pub Database);

impl Ledger {
    pub async fn new(sql: &str) -> Self {
        let database = Database::new().await;
        let printed = printed(program(&["migrate"], &[("DATABASE_URL", database.url())])).await;
        assert_eq!(printed, "the schema is up to date\n--- exit status 0\n");
        database.execute(sql).await;
        Self(database)
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
    standing(options, now).await
}
