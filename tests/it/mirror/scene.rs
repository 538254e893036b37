//! A simulated API, a database, and one account between them, put together as the program does it.

use std::sync::Arc;

use cdr_sync::clock::{Clock, ManualClock};
use cdr_sync::config::{Config, Sources};
use cdr_sync::plan::Mode;
use cdr_sync::setup;
use cdr_sync::store::Store;
use cdr_sync::sync::Account;
use cdr_sync::sync::engine::{Engine, TickOutcome};
use cdr_sync::sync::leadership::Leases;
use cdr_sync::sync::status::{Progress, ProgressWatch};
use cdr_sync::window::Window;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use voicenter_simulator::{ApiGeneration, Record, Simulator, SimulatorOptions, TruthRow, WorldOptions};

use crate::support::compare;
use crate::support::database::Database;
use crate::support::dates::{days, instant};
use crate::support::simulator::unlimited;

/// A Saturday noon, so that the ten days before it have every kind of day.
pub const NOW: &str = "2026-06-20T12:00:00Z";

/// A server of this generation with enough calls for every kind of answer.
pub fn simulated(generation: ApiGeneration) -> SimulatorOptions {
    let world = WorldOptions { calls_per_day: 3_000.0, ..WorldOptions::default() };
    SimulatorOptions { world, ..unlimited(generation) }
}

/// What a scene begins with.
pub struct Setup {
    pub simulator: SimulatorOptions,
    pub account: &'static str,
    pub now: DateTime<Utc>,
    pub history: TimeDelta,
    /// Environment of the configuration beyond what every scene needs.
    pub env: Vec<(&'static str, String)>,
}

impl Setup {
    pub fn new(simulator: SimulatorOptions) -> Self {
        Self { simulator, account: "main", now: instant(NOW), history: days(10), env: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }
}

/// What the program makes of an environment, and of nothing else.
pub fn configuration(env: impl IntoIterator<Item = (&'static str, String)>) -> Config {
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value));
    let working_dir = std::env::temp_dir().join("cdr-sync-tests-have-no-files");
    Config::load(Sources { file: None, env, working_dir }).unwrap()
}

/// Lets time go on by `step` whenever nothing else happens; never ends. That the daemon waits can be seen by nothing but
/// real time in which it does nothing.
pub async fn time_passes(clock: &ManualClock, step: TimeDelta) {
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        clock.advance(step);
    }
}

pub struct MirrorScene {
    pub simulator: Simulator,
    pub database: Arc<Database>,
    pub store: Store,
    pub account: Account,
    pub clock: ManualClock,
    pub start: DateTime<Utc>,
}

impl MirrorScene {
    pub async fn new(simulator: SimulatorOptions) -> Self {
        Self::of(Setup::new(simulator)).await
    }

    pub async fn of(setup: Setup) -> Self {
        let database = Arc::new(Database::migrated().await);
        Self::on(database, ManualClock::new(setup.now), setup).await
    }

    /// Another account on a database that is there.
    pub async fn on(database: Arc<Database>, clock: ManualClock, setup: Setup) -> Self {
        let start = setup.now - setup.history;
        let zone = match (setup.simulator.generation, setup.simulator.dialect.zone) {
            (_, Some(zone)) => zone.name(),
            (ApiGeneration::V01, None) => "Asia/Jerusalem",
            (ApiGeneration::Current, None) => "UTC",
        };
        let credential = match &setup.simulator.token {
            Some(token) => ("CDR_SYNC__ACCOUNTS__0__TOKEN", token.expose_secret().to_owned()),
            None => ("CDR_SYNC__ACCOUNTS__0__CODE", setup.simulator.code.expose_secret().to_owned()),
        };
        let simulator = Simulator::start(setup.simulator, Clock::Manual(clock.elsewhere())).await.unwrap();
        let mut env = vec![
            credential,
            ("DATABASE_URL", database.url().to_owned()),
            ("CDR_SYNC__ACCOUNTS__0__NAME", setup.account.to_owned()),
            ("CDR_SYNC__API__URL", simulator.url()),
            ("CDR_SYNC__API__TIMEZONE", zone.to_owned()),
            // So many that nothing ever waits: the clock stands still.
            ("CDR_SYNC__API__REQUESTS_PER_MINUTE", "1000000".to_owned()),
            ("CDR_SYNC__API__BURST", "1000".to_owned()),
            ("CDR_SYNC__SYNC__START", start.to_rfc3339()),
        ];
        env.extend(setup.env);
        let config = configuration(env);
        let store = setup::open_store(&config).unwrap();
        store.migrate().await.unwrap();
        let mut accounts = setup::accounts(&config, &store).await.unwrap();
        let account = accounts.remove(0);
        Self { simulator, database, store, account, clock, start }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// All of history up to now.
    pub fn history(&self) -> Window {
        Window::new(self.start, self.now()).unwrap()
    }

    pub async fn engine(&self, mode: Mode, watch: ProgressWatch) -> Engine {
        let clock = Clock::Manual(self.clock.clone());
        let leases = Leases::new(&self.store);
        Engine::open(self.account.clone(), self.store.clone(), clock, &leases, mode, watch).await.unwrap()
    }

    /// One pass, as `sync` makes it.
    pub async fn pass(&self) -> Progress {
        self.run(Mode::Pass, None).await
    }

    /// A span read again, as `sync --from --to` does it.
    pub async fn read_again(&self, span: Window) -> Progress {
        self.run(Mode::Asked, Some(span)).await
    }

    async fn run(&self, mode: Mode, span: Option<Window>) -> Progress {
        let watch = ProgressWatch::default();
        let mut engine = self.engine(mode, watch.clone()).await;
        span.into_iter().for_each(|span| engine.ask_for(span));
        engine.run().await.unwrap();
        engine.close().await.unwrap();
        watch.read()
    }

    /// A daemon's turns until `end`; the clock jumps to whatever is due next.
    pub async fn live(&self, engine: &mut Engine, end: DateTime<Utc>) {
        while self.now() < end {
            match engine.tick().await.unwrap() {
                TickOutcome::Idle(until) => {
                    self.clock.advance((until.min(end) - self.now()).max(TimeDelta::zero()))
                }
                TickOutcome::Asked => {}
                TickOutcome::Done => panic!("a daemon is never done"),
            }
        }
    }

    pub fn truth(&self) -> Vec<TruthRow> {
        self.simulator.truth(self.now(), self.start, self.now())
    }

    /// The table holds what the API shows now, from the start of history.
    pub async fn assert_mirrors(&self) {
        let truth = self.truth();
        assert!(!truth.is_empty(), "a world without calls would prove nothing");
        compare::assert_mirrors(self.database.url(), &self.account.name, &truth, self.start, self.now())
            .await;
    }

    /// Everything up to the last poll stands in the coverage, and nothing is open.
    pub async fn assert_complete(&self) {
        let status = self.status().await;
        assert_eq!((status.gaps, status.missing), (0, 0), "{status:?}");
        let cursor = status.cursor.unwrap();
        assert!(
            cursor.from() <= self.start && cursor.to() >= self.now() - self.account.settings.poll_interval,
            "{cursor}"
        );
    }

    pub async fn status(&self) -> cdr_sync::store::account::AccountStatus {
        let all = self.store.status().await.unwrap();
        all.into_iter().find(|status| status.name == self.account.name).unwrap()
    }

    /// The account is noted as paused until this very instant.
    pub async fn waits_until(&self, instant: DateTime<Utc>) -> bool {
        // A busy machine may keep the database from answering in time: asked again.
        let Ok(all) = self.store.status().await else { return false };
        all.iter().any(|status| status.name == self.account.name && status.paused_until == Some(instant))
    }

    pub fn insert(&self, record: Record, appears_at: DateTime<Utc>) {
        self.simulator.world().insert(record, appears_at);
    }

    /// A fingerprint of the physical rows: any new, updated, deleted or even locked tuple changes it.
    pub async fn tuples(&self) -> String {
        let tuples =
            "select count(*) || ' ' || md5(string_agg(concat_ws(' ', ctid, xmin, xmax), ',' order by ctid))
                      from voicenter.cdr";
        self.database.lines(tuples).await.remove(0)
    }
}
