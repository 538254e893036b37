//! A database, a simulated API whose world stands still, and the binary configured for both.

use std::process::Stdio;
use std::time::Duration;

use cdr_sync::clock::{Clock, ManualClock};
use chrono::{DateTime, TimeDelta, Utc};
use private_postgres::TestDatabase;
use tokio::process::Command;
use voicenter_simulator::{DialectOptions, Simulator, SimulatorOptions, WorldOptions};

/// Nothing that is waited for here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a test works with.
pub struct Scene {
    pub database: TestDatabase,
    pub simulator: Simulator,
    pub start: DateTime<Utc>,
    pub now: DateTime<Utc>,
}

impl Scene {
    /// Some days of calls, a few hundred records an answer.
    pub async fn new(days: i64, record_limit: usize) -> Self {
        // The binary lives in real time, so the world stands still in the present.
        #[expect(clippy::disallowed_methods, reason = "the binary under test reads the host's clock")]
        let now = Utc::now();
        let start = DateTime::from_timestamp(now.timestamp(), 0).unwrap() - TimeDelta::days(days);
        let world =
            WorldOptions { calls_per_day: 3_000.0, from: start, twin_share: 0.0, ..WorldOptions::default() };
        let options = SimulatorOptions {
            world,
            record_limit,
            requests_per_minute: 0,
            latency: Duration::from_millis(3),
            dialect: DialectOptions { date_epoch: true, ..DialectOptions::default() },
            ..SimulatorOptions::default()
        };
        let simulator = Simulator::start(options, Clock::Manual(ManualClock::new(now))).await.unwrap();
        Self { database: TestDatabase::new().await.unwrap(), simulator, start, now }
    }

    /// The binary with these arguments, configured by its environment alone.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdr-sync"));
        command
            .args(arguments)
            .env_clear()
            .current_dir(std::env::temp_dir())
            .env("DATABASE_URL", self.database.url())
            .env("VOICENTER_CODE", "simulated-code")
            .env("VOICENTER_URL", self.simulator.url())
            .env("CDR_SYNC__SYNC__START", self.start.to_rfc3339())
            .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", "60000")
            .env("CDR_SYNC__API__BURST", "1000")
            .env("CDR_SYNC__API__BACKOFF_MIN", "1s")
            .env("CDR_SYNC__HTTP__LISTEN", "")
            .env("CDR_SYNC__LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end: its status, and what it said.
    pub async fn output(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.finish(self.command(arguments)).await
    }

    /// The same with a command already set up.
    pub async fn finish(&self, mut command: Command) -> (Option<i32>, String) {
        // Not `Command::output`, which would take away what was set for stdout.
        let running = command.spawn().unwrap();
        let output =
            tokio::time::timeout(PATIENCE, running.wait_with_output()).await.expect("it ends").unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }
}

/// Waits for a condition of another process, or panics.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}
