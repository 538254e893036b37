//! The program between a simulator that lives in real time and a database.

use std::cell::OnceCell;
use std::process::Stdio;

use cdr_sync::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::process::Command;
use voicenter_simulator::{ApiGeneration, Simulator, SimulatorOptions, TruthRow, WorldOptions};

use crate::support::compare;
use crate::support::database::Database;
use crate::support::dates::present;
use crate::support::program::{ACCOUNT, mirroring};
use crate::support::simulator::{running, unlimited};

/// Days of history that a pass has to read.
const HISTORY: TimeDelta = TimeDelta::days(12);
/// Longer than any call and its delay: what started before is all there when a scene begins.
const SETTLED: TimeDelta = TimeDelta::hours(5);

pub struct KillScene {
    pub simulator: Simulator,
    pub database: Database,
    pub start: DateTime<Utc>,
    /// Records that started before never change any more.
    pub settled: DateTime<Utc>,
    truth: OnceCell<Vec<TruthRow>>,
}

/// A server that gives out little at a time.
pub fn slow_server() -> SimulatorOptions {
    SimulatorOptions {
        world: WorldOptions { calls_per_day: 1_250.0, ..WorldOptions::default() }.unchanging(),
        record_limit: 125,
        latency: std::time::Duration::from_millis(3),
        ..unlimited(ApiGeneration::Current)
    }
}

/// A server with few calls.
pub fn quiet_server() -> SimulatorOptions {
    let mut server = slow_server();
    server.world.calls_per_day = 100.0;
    server
}

impl KillScene {
    pub async fn new(options: SimulatorOptions) -> Self {
        let now = present();
        let (simulator, database) = (running(options).await, Database::new().await);
        Self { simulator, database, start: now - HISTORY, settled: now - SETTLED, truth: OnceCell::new() }
    }

    /// The program with this command, configured for the scene, not started.
    pub fn command(&self, command: &str) -> Command {
        let timezone =
            if self.simulator.options().generation == ApiGeneration::V01 { "Asia/Jerusalem" } else { "UTC" };
        let mut program = mirroring([command], self.database.url(), &self.simulator.url(), self.start);
        program.env("CDR_SYNC__API__TIMEZONE", timezone).stdout(Stdio::null());
        program
    }

    /// The table holds what the simulator shows between these instants, as far as that never changes any more.
    pub async fn assert_mirrors(&self, from: DateTime<Utc>, to: DateTime<Utc>) {
        let (from, to) = (from.max(self.start), to.min(self.settled));
        let truth = || self.simulator.truth(Clock::System.now(), self.start, self.settled);
        let mut truth = self.truth.get_or_init(truth).clone();
        truth.retain(|row| from <= row.started_at && row.started_at < to);
        compare::assert_mirrors(self.database.url(), ACCOUNT, &truth, from, to).await;
    }

    /// `history_from` and `synced_until`, once there are any.
    pub async fn cursor(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        // Killed before its first migration was committed, the program leaves no table.
        if self.database.count("select count(to_regclass('cdr_sync.cursor'))").await == 0 {
            return None;
        }
        let row: Option<(Option<DateTime<Utc>>, Option<DateTime<Utc>>)> =
            sqlx::query_as("select history_from, synced_until from cdr_sync.cursor where account = $1")
                .bind(ACCOUNT)
                .fetch_optional(&mut self.database.sql().await)
                .await
                .unwrap();
        row.and_then(|(from, to)| Some((from?, to?)))
    }

    /// Returns `true` while the program is in the middle of a transaction that writes rows.
    pub async fn is_storing(&self) -> bool {
        let writing = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                       where d.datname = current_database() and l.mode = 'RowExclusiveLock'
                         and l.relation = to_regclass('voicenter.cdr')";
        self.database.count(writing).await > 0
    }

    /// Rows of the history.
    pub async fn replaced_versions(&self) -> i64 {
        self.database.count("select count(*) from voicenter.cdr_history").await
    }

    /// Leases that are held.
    pub async fn leases(&self) -> i64 {
        let held = "select count(*) from cdr_sync.lease where expires_at > clock_timestamp()";
        self.database.count(held).await
    }
}
