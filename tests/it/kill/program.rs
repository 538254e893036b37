//! The program as a child process, between a simulator of this process and a database.

use std::cell::OnceCell;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use cdr_sync::clock::Clock;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use private_postgres::TestDatabase;
use sqlx::{Connection, PgConnection};
use voicenter_simulator::{
    ApiGeneration, DialectOptions, Simulator, SimulatorOptions, TruthRow, WorldOptions,
};

use crate::mirror::compare;

pub const CODE: &str = "simulated-code";
/// The one account, under the name that the shorthands give it.
pub const ACCOUNT: &str = "default";

/// Days of history that a pass has to read.
const HISTORY: TimeDelta = TimeDelta::days(12);
/// Longer than any call and its delay: what started before is all there when a scene begins.
const SETTLED: TimeDelta = TimeDelta::hours(5);
/// What a condition may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Scene {
    pub simulator: Simulator,
    pub database: TestDatabase,
    pub start: DateTime<Utc>,
    /// Records that started before never change any more.
    pub settled: DateTime<Utc>,
    truth: OnceCell<Vec<TruthRow>>,
}

/// A server that gives out little at a time.
pub fn slow_server() -> SimulatorOptions {
    SimulatorOptions {
        world: WorldOptions { calls_per_day: 1_250.0, ..WorldOptions::default() }.unchanging(),
        dialect: DialectOptions { date_epoch: true, ..DialectOptions::default() },
        record_limit: 125,
        requests_per_minute: 0,
        latency: Duration::from_millis(3),
        gzip: false,
        ..SimulatorOptions::default()
    }
}

impl Scene {
    pub async fn new(options: SimulatorOptions) -> Self {
        let now = Clock::System.now().duration_trunc(TimeDelta::seconds(1)).unwrap();
        let simulator = Simulator::start(options, Clock::System).await.unwrap();
        let database = TestDatabase::new().await.unwrap();
        Self { simulator, database, start: now - HISTORY, settled: now - SETTLED, truth: OnceCell::new() }
    }

    /// The program with this command, configured for the scene, not started.
    pub fn command(&self, command: &str) -> Command {
        let timezone =
            if self.simulator.options().generation == ApiGeneration::V01 { "Asia/Jerusalem" } else { "UTC" };
        let mut program = Command::new(env!("CARGO_BIN_EXE_cdr-sync"));
        program
            .arg(command)
            .env_clear()
            .current_dir(std::env::temp_dir())
            .env("DATABASE_URL", self.database.url())
            .env("VOICENTER_CODE", CODE)
            .env("VOICENTER_URL", self.simulator.url())
            .env("CDR_SYNC__API__TIMEZONE", timezone)
            .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", "100000")
            .env("CDR_SYNC__API__BURST", "1000")
            .env("CDR_SYNC__API__BACKOFF_MIN", "1s")
            .env("CDR_SYNC__SYNC__START", self.start.to_rfc3339())
            .env("CDR_SYNC__HTTP__LISTEN", "")
            .env("CDR_SYNC__LOG__LEVEL", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
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
        let mut connection = PgConnection::connect(self.database.url()).await.unwrap();
        // Killed before its first migration was committed, the program leaves no table.
        let known: (bool,) = sqlx::query_as("select to_regclass('cdr_sync.cursor') is not null")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if !known.0 {
            return None;
        }
        let row: Option<(Option<DateTime<Utc>>, Option<DateTime<Utc>>)> =
            sqlx::query_as("select history_from, synced_until from cdr_sync.cursor where account = $1")
                .bind(ACCOUNT)
                .fetch_optional(&mut connection)
                .await
                .unwrap();
        row.and_then(|(from, to)| Some((from?, to?)))
    }

    /// Whether the program is in the middle of a transaction that writes rows.
    pub async fn is_storing(&self) -> bool {
        let writing = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                       where d.datname = current_database() and l.mode = 'RowExclusiveLock'
                         and l.relation = to_regclass('voicenter.cdr')";
        self.count(writing).await > 0
    }

    /// Rows of the history.
    pub async fn replaced_versions(&self) -> i64 {
        self.count("select count(*) from voicenter.cdr_history").await
    }

    /// One number from the database.
    pub async fn count(&self, query: &'static str) -> i64 {
        let mut connection = PgConnection::connect(self.database.url()).await.unwrap();
        let (count,): (i64,) = sqlx::query_as(query).fetch_one(&mut connection).await.unwrap();
        count
    }
}

/// A started program that does not outlive its test.
pub struct Running(Child);

impl Running {
    pub fn start(mut command: Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Its exit status, and how long that took to come.
    pub async fn wait(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let mut status = None;
        until("the program to end", async || {
            status = self.ended();
            status.is_some()
        })
        .await;
        (status.unwrap(), began.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It fails when the program has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a condition of another process, or panics.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
