//! A database, a simulated API whose world stands still, and the binary configured for both.

use std::process::Stdio;
use std::time::Duration;

use cdr_sync::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::process::Command;
use voicenter_simulator::{ApiGeneration, Simulator, SimulatorOptions, WorldOptions};

use crate::support::database::Database;
use crate::support::program::{Running, mirroring};
use crate::support::simulator::{standing, unlimited};

pub struct ProcessScene {
    pub database: Database,
    pub simulator: Simulator,
    pub start: DateTime<Utc>,
    pub now: DateTime<Utc>,
}

impl ProcessScene {
    /// A day of calls, all in one answer.
    pub async fn new() -> Self {
        // The binary lives in real time, so the world stands still in the present.
        let now = Clock::System.now();
        let start = DateTime::from_timestamp(now.timestamp(), 0).unwrap() - TimeDelta::days(1);
        let world =
            WorldOptions { calls_per_day: 3_000.0, from: start, twin_share: 0.0, ..WorldOptions::default() };
        let options = SimulatorOptions {
            world,
            record_limit: 10_000,
            latency: Duration::from_millis(3),
            gzip: true,
            ..unlimited(ApiGeneration::Current)
        };
        Self { database: Database::new().await, simulator: standing(options, now).await, start, now }
    }

    /// The binary with these arguments, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = mirroring(arguments, self.database.url(), &self.simulator.url(), self.start);
        command.env("CDR_SYNC__LOG__LEVEL", "warn").stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end: its status, and what it said.
    pub async fn output(&self, arguments: &[&str]) -> (Option<i32>, String) {
        finish(self.command(arguments)).await
    }
}

/// The same with a command already set up.
pub async fn finish(command: Command) -> (Option<i32>, String) {
    let (status, out, err) = Running::start(command).finish().await;
    (status, out + &err)
}
