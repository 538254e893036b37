//! A simulator, a PostgreSQL of its own, and one or two daemons between them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::process::Command;
use voicenter_simulator::{ApiGeneration, Record, Simulator, SimulatorOptions, WorldOptions};

use crate::support::compare;
use crate::support::database;
use crate::support::dates::present;
use crate::support::polling::{looked_at_every, until};
use crate::support::program::{ACCOUNT, mirroring};
use crate::support::simulator::{running, unlimited};
use crate::torture::daemon::Daemon;
use crate::torture::postgres::{Postgres, ROLE};
use crate::torture::wire::Wire;

/// Requests in any 60 seconds; more than that are counted as broken promises.
pub const BUDGET: usize = 120;
/// Tries of statements that lock many tables beside a daemon that stores: either may be the one to give way.
const DEADLOCKS: usize = 10;
/// Promise 7: nothing may take longer.
const LIMIT: Duration = Duration::from_secs(180);

/// What a scene begins with.
#[derive(Clone, Default)]
pub struct Setup {
    /// Of PostgreSQL.
    pub settings: Vec<(&'static str, &'static str)>,
    /// Of the program.
    pub env: Vec<(&'static str, String)>,
    /// Each daemon reaches the database through a proxy of its own.
    pub database_wires: bool,
    /// The same for the API. Two daemons would have different scopes then.
    pub api_wire: bool,
    pub standby: bool,
    /// Where PostgreSQL keeps its data, if not among the temporary files.
    pub home: Option<std::path::PathBuf>,
}

pub struct TortureScene {
    // Ended before what they use.
    pub daemons: Vec<Daemon>,
    pub simulator: Simulator,
    pub postgres: Postgres,
    pub random: fastrand::Rng,
    /// The table could not follow within the limit; nothing more is to be learned here.
    pub is_stuck: bool,
    setup: Setup,
    start: DateTime<Utc>,
    marks: usize,
    reader: Option<PgConnection>,
}

/// Calls that appear while the newest minutes are still read at each poll: one that appears later waits for a re-read,
/// minutes longer than the table is given to follow.
fn quick_world(start: DateTime<Utc>, seed: u64) -> WorldOptions {
    let lag = (TimeDelta::seconds(1), TimeDelta::seconds(30));
    let world = WorldOptions { calls_per_day: 2_000.0, from: start, seed, lag, ..WorldOptions::default() };
    WorldOptions { usual_talk: 300, long_share: 0.0, ..world.unchanging() }
}

/// What the table and the simulator say of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    pub lost: usize,
    pub wrong: usize,
}

impl TortureScene {
    pub async fn new(setup: Setup, seed: u64) -> Self {
        let start = present() - TimeDelta::hours(6);
        let options = SimulatorOptions {
            world: quick_world(start, seed),
            latency: Duration::from_millis(20),
            ..unlimited(ApiGeneration::Current)
        };
        let simulator = running(options).await;
        let postgres = Postgres::start(&setup.settings, setup.home.clone()).await;
        let mut scene = Self {
            daemons: Vec::new(),
            simulator,
            postgres,
            random: fastrand::Rng::with_seed(seed),
            is_stuck: false,
            start,
            marks: 0,
            reader: None,
            setup,
        };
        scene.start_daemon().await;
        scene.recovery().await;
        if scene.setup.standby {
            scene.start_daemon().await;
        }
        scene
    }

    /// Another daemon, the standby of those before.
    pub async fn start_daemon(&mut self) {
        let (mut database, mut api) = (None, None);
        if self.setup.database_wires {
            database = Some(Wire::to(self.postgres.port()).await);
        }
        if self.setup.api_wire {
            api = Some(Wire::to(self.simulator.addr().port()).await);
        }
        let command = self.command(database.as_ref().map(Wire::port), api.as_ref().map(Wire::port));
        self.daemons.push(Daemon::start(command, database, api));
    }

    /// The program, configured for this scene, not started.
    pub fn command(&self, database: Option<u16>, api: Option<u16>) -> Command {
        let api = format!("http://127.0.0.1:{}/hub/cdr/", api.unwrap_or(self.simulator.addr().port()));
        let mut command = mirroring(["run"], &self.postgres.program_url(database), &api, self.start);
        command
            .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", BUDGET.to_string())
            .env("CDR_SYNC__API__BURST", "10")
            .env("CDR_SYNC__API__TIMEOUT", "5s")
            .env("CDR_SYNC__API__BACKOFF_MAX", "5s")
            .env("CDR_SYNC__SYNC__POLL_INTERVAL", "1s")
            .env("CDR_SYNC__LOG__LEVEL", "info")
            .envs(self.setup.env.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::null());
        command
    }

    /// A new record at the API; returns its CallID.
    pub fn mark(&mut self) -> String {
        self.marks += 1;
        let id = format!("mark{}", self.marks);
        self.simulator
            .world()
            .insert(Record::new(&id, "Queue", present() - TimeDelta::seconds(3)), present());
        id
    }

    /// Work for the moment of a fault: some records appear, and one that is stored changes.
    pub fn disturb(&mut self) {
        if self.marks > 0 {
            let (id, duration) = (format!("mark{}", self.marks), i32::try_from(self.marks).unwrap());
            self.simulator.world().edit(&id, "Queue", present(), |record| record.duration = Some(duration));
        }
        for _ in 0..5 {
            self.mark();
        }
    }

    /// How long a record that appears now takes into the table.
    pub async fn recovery(&mut self) -> Duration {
        let began = Instant::now();
        let id = self.mark();
        self.arrival(&id, began).await
    }

    /// How long after `began` this record stands in the table.
    pub async fn arrival(&mut self, id: &str, began: Instant) -> Duration {
        let left = LIMIT.saturating_sub(began.elapsed());
        let arrived = looked_at_every(Duration::from_millis(15), left, async || {
            self.assert_daemons_run();
            self.holds(id).await
        });
        if !arrived.await {
            self.is_stuck = true;
            self.daemons.iter().for_each(|daemon| eprintln!("stuck:\n{}", daemon.said()));
        }
        began.elapsed()
    }

    fn assert_daemons_run(&mut self) {
        for daemon in &mut self.daemons {
            if let Some(status) = daemon.process.ended() {
                panic!("a daemon ended by itself with {status}:\n{}", daemon.said());
            }
        }
    }

    async fn holds(&mut self, id: &str) -> bool {
        if self.reader.is_none() {
            self.reader = PgConnection::connect(&self.postgres.url()).await.ok();
        }
        let Some(connection) = &mut self.reader else { return false };
        // While a fault holds locks, or before the first migration, there is no answer.
        let asked = sqlx::query_scalar("select exists (select from voicenter.cdr where call_id = $1)");
        let answer = tokio::time::timeout(Duration::from_secs(1), asked.bind(id).fetch_one(connection)).await;
        let held: Option<bool> = answer.ok().and_then(Result::ok);
        if held.is_none() {
            self.reader = None;
        }
        held.unwrap_or(false)
    }

    /// Statements of the superuser, whom no default keeps from writing; all of them or, before another try, none.
    pub async fn execute(&self, text: &str) {
        for _ in 0..DEADLOCKS {
            let mut connection = PgConnection::connect(&self.postgres.url()).await.unwrap();
            connection.execute("set default_transaction_read_only = off").await.unwrap();
            let result = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut connection).await;
            let code = result.as_ref().err().and_then(sqlx::Error::as_database_error).and_then(|e| e.code());
            if code.as_deref() != Some("40P01") {
                result.unwrap();
                return;
            }
        }
        panic!("a deadlock each time: {text}");
    }

    /// Statements that may fail, and end the server.
    pub async fn attempt(&self, text: &str) {
        let Ok(mut connection) = PgConnection::connect(&self.postgres.url()).await else { return };
        let _ = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut connection).await;
    }

    /// Lets a fault last, for a random time within these milliseconds. Real time is the subject: what the daemon tries
    /// meanwhile depends on it, and nothing else says when the fault has lasted long enough.
    pub async fn spell(&mut self, milliseconds: Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.random.u64(milliseconds))).await;
    }

    /// Ends all connections of the daemons.
    pub async fn disconnect(&self) {
        self.execute(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{ROLE}'"
        ))
        .await;
    }

    /// Returns `true` while a daemon is in the middle of a transaction that writes rows.
    pub async fn is_storing(&self) -> bool {
        let writing = "select count(*) from pg_locks where mode = 'RowExclusiveLock'
                         and relation = to_regclass('voicenter.cdr')";
        database::count(&self.postgres.url(), writing).await > 0
    }

    /// Which of the daemons leads.
    pub async fn leader(&self) -> usize {
        let held = "select coalesce(max(split_part(holder, '/', 3)::bigint), 0) from cdr_sync.lease
                    where expires_at > clock_timestamp()";
        let mut leader = None;
        until("a leader", async || {
            let id = database::count(&self.postgres.url(), held).await;
            leader = self.daemons.iter().position(|daemon| i64::from(daemon.process.id()) == id);
            leader.is_some()
        })
        .await;
        leader.unwrap()
    }

    /// The whole table against the truth, once it has had this time to follow.
    pub async fn differences(&self, settling: Duration) -> Differences {
        let mut found = None;
        looked_at_every(Duration::from_millis(200), settling, async || {
            found = self.differences_now().await;
            found.is_none()
        })
        .await;
        let Some((report, differences)) = found else { return Differences::default() };
        eprintln!("{report}");
        differences
    }

    async fn differences_now(&self) -> Option<(String, Differences)> {
        let to = present();
        let expected = self.simulator.truth(to, self.start, to).iter().map(compare::of_truth).collect();
        let found = compare::table(&self.postgres.url(), ACCOUNT, self.start, to).await;
        let report = compare::differences(&expected, &found)?;
        let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
        let lost = expected.keys().filter(|key| !found.contains_key(*key)).count();
        let equal = expected.iter().filter(|(key, row)| found.get(*key) == Some(row)).count();
        Some((report, Differences { lost, wrong: keys.len() - equal - lost }))
    }
}

/// At any hour of a week: these tests run at every time of day.
#[tokio::test]
async fn every_call_appears_while_the_newest_minutes_are_read() {
    let start = present() - TimeDelta::days(8);
    let options = SimulatorOptions { world: quick_world(start, 1), ..unlimited(ApiGeneration::Current) };
    let simulator = running(options).await;
    for hours in (1..7 * 24).step_by(5) {
        let now = start + TimeDelta::hours(hours);
        let old = now - TimeDelta::minutes(15);
        assert_eq!(
            simulator.truth(now, start, old).len(),
            simulator.truth(present(), start, old).len(),
            "{now}"
        );
    }
}

/// Without this the zeros of the table would say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_lost_and_rows_that_are_wrong_are_counted() {
    let mut scene = TortureScene::new(Setup::default(), 1).await;
    scene.disturb();
    scene.recovery().await;
    assert_eq!(scene.differences(Duration::from_secs(20)).await, Differences::default());
    scene.daemons.clear();
    scene
        .execute(
            "delete from voicenter.cdr where call_id in ('mark1', 'mark2', 'mark3');
             update voicenter.cdr set duration_seconds = 4711 where call_id = 'mark4';
             insert into voicenter.cdr select (jsonb_populate_record(c, '{\"call_id\": \"of nowhere\"}')).*
                 from voicenter.cdr c where call_id = 'mark5'",
        )
        .await;
    assert_eq!(scene.differences(Duration::ZERO).await, Differences { lost: 3, wrong: 2 });
}
