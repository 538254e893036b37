//! Life goes on: the daemon through days of late arrivals, changes, moves and removals.

use std::collections::BTreeMap;

use cdr_sync::plan::Mode;
use cdr_sync::store::calls::SliceSize;
use cdr_sync::sync::status::ProgressWatch;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use voicenter_simulator::{ApiGeneration, SimulatorOptions, TruthRow, World, WorldOptions};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::compare;
use crate::support::dates::{days, hours, instant, minutes};

/// A Monday, so that the days after it are working days.
const MONDAY: &str = "2026-06-15T05:00:00Z";

/// Rare polls and few ages, so that days pass in seconds and everything is read again within them.
fn hasty(simulator: SimulatorOptions) -> Setup {
    Setup { now: instant(MONDAY), history: days(1), ..Setup::new(simulator) }
        .with("CDR_SYNC__SYNC__POLL_INTERVAL", "10m")
        .with("CDR_SYNC__SYNC__LOOKBACK", "1h")
}

async fn open(setup: Setup) -> MirrorScene {
    let mut scene = MirrorScene::of(setup).await;
    scene.account.settings.reconcile = vec![hours(6), days(1)];
    scene
}

/// Records that appear as they should and never change by themselves; some share a key, some come late.
fn steady(generation: ApiGeneration) -> SimulatorOptions {
    let simulator = simulated(generation);
    let world = WorldOptions { calls_per_day: 600.0, ..simulator.world }.unchanging();
    let world = WorldOptions {
        late_share: 0.05,
        late_lag: (hours(1), hours(5)),
        twin_share: 0.01,
        lag: (minutes(1), minutes(8)),
        ..world
    };
    SimulatorOptions { record_limit: 200, world, ..simulator }
}

/// What happens to records while they are younger than the last re-read age, decided beforehand.
pub fn mischief(scene: &MirrorScene, from: DateTime<Utc>, to: DateTime<Utc>) -> BTreeMap<&'static str, u32> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut done = BTreeMap::new();
    let world = scene.simulator.world();
    // Shown at the end, so all of them, however late they come.
    for row in scene.simulator.truth(to + days(2), from, to) {
        if random.f64() > 0.12 {
            continue;
        }
        // After the longest call and the latest arrival, before the read at the age of a day.
        let at = row.started_at + hours(9) + minutes(random.i64(0..13 * 60));
        let what = ["changes", "vanishes", "moves", "retypes", "returns"][random.usize(0..5)];
        if happens(world, &row, what, at, &mut random) {
            *done.entry(what).or_default() += 1;
        }
    }
    done
}

fn happens(world: &World, row: &TruthRow, what: &str, at: DateTime<Utc>, random: &mut fastrand::Rng) -> bool {
    let (call_id, call_type) = (&row.call_id, &row.r#type);
    match what {
        "vanishes" => world.remove(call_id, call_type, at),
        "returns" => {
            // Away for long enough to be marked, back before the last read.
            let mut kept = None;
            world.edit(call_id, call_type, at, |record| kept = Some(record.clone()))
                && world.remove(call_id, call_type, at + TimeDelta::seconds(1))
                && kept.map(|record| world.insert(record, at + minutes(45))).is_some()
        }
        "moves" => {
            let by = TimeDelta::seconds(random.i64(-1_500..1_500));
            world.edit(call_id, call_type, at, |record| record.started_at += by)
        }
        "retypes" => world.edit(call_id, call_type, at, |record| {
            record.call_type = "Auto forward".into();
            record.cdr_type = Some(23);
        }),
        _ => world.edit(call_id, call_type, at, |record| {
            record.price = Some(format!("{}.5", random.u32(1..900)));
            record.record_url = "https://cpanel.example/CallsHistory/PlayRecord/late.mp3".into();
        }),
    }
}

/// A reader that follows `updated_at` and keeps a copy: as docs/contract.md#changes allows.
#[derive(Default)]
struct Follower {
    seen: Option<DateTime<Utc>>,
    copy: BTreeMap<(String, String), String>,
}

/// What a chart reads, followed in the same way.
const CHANGES: &str = "
    select f.call_id, f.updated_at, to_jsonb(c) as call
    from voicenter.changes f
    left join voicenter.calls c on f.kind = 'stored' and c.account = f.account and c.call_id = f.call_id
    where f.account = 'main' and ($1::timestamptz is null or f.updated_at > $1)
    order by f.updated_at";

/// A copy of `voicenter.calls` that asks for nothing but changes, by the highest `updated_at` that it has seen.
#[derive(Default)]
struct CallsFollower {
    seen: Option<DateTime<Utc>>,
    copy: BTreeMap<String, Value>,
    went: usize,
}

impl CallsFollower {
    async fn follow(&mut self, connection: &mut PgConnection) {
        let rows: Vec<(String, DateTime<Utc>, Option<Value>)> =
            sqlx::query_as(CHANGES).bind(self.seen).fetch_all(connection).await.unwrap();
        for (call_id, updated_at, call) in rows {
            self.seen = self.seen.max(Some(updated_at));
            match call {
                Some(call) => drop(self.copy.insert(call_id, call)),
                None => self.went += usize::from(self.copy.remove(&call_id).is_some()),
            }
        }
    }

    async fn assert_equals_the_table(&self, connection: &mut PgConnection) {
        let calls: Vec<(String, Value)> =
            sqlx::query_as("select call_id, to_jsonb(c) from voicenter.calls c where account = 'main'")
                .fetch_all(connection)
                .await
                .unwrap();
        assert!(
            self.copy == calls.into_iter().collect(),
            "who follows voicenter.changes has missed something"
        );
        assert!(self.went > 0, "no call went");
    }
}

const AFTER: &str = "select call_id, type, updated_at, md5(c::text) from voicenter.cdr c
                     where account = 'main' and ($1::timestamptz is null or updated_at > $1)
                     order by updated_at";

impl Follower {
    async fn follow(&mut self, connection: &mut PgConnection) {
        let rows: Vec<(String, String, DateTime<Utc>, String)> =
            sqlx::query_as(AFTER).bind(self.seen).fetch_all(connection).await.unwrap();
        for (call_id, call_type, updated_at, content) in rows {
            self.seen = self.seen.max(Some(updated_at));
            self.copy.insert((call_id, call_type), content);
        }
    }

    async fn assert_has_all(&self, connection: &mut PgConnection) {
        let mut fresh = Follower::default();
        fresh.follow(connection).await;
        assert_eq!(self.copy, fresh.copy, "who follows updated_at has missed something");
    }
}

/// Three days of life; the last one is long enough for the last re-read of all that happened before.
async fn converges(generation: ApiGeneration) {
    let scene = open(hasty(steady(generation))).await;
    let begin = scene.now();
    let done = mischief(&scene, begin - hours(8), begin + hours(18));
    assert!(done.len() == 5 && done.values().all(|count| *count > 3), "{done:?}");
    let mut connection = scene.database.sql().await;
    let (mut follower, mut of_calls) = (Follower::default(), CallsFollower::default());
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    for hour in 1..=60 {
        scene.live(&mut engine, begin + hours(hour)).await;
        follower.follow(&mut connection).await;
        of_calls.follow(&mut connection).await;
    }
    engine.close().await.unwrap();
    let settled = begin + hours(30);
    let truth = scene.simulator.truth(scene.now(), scene.start, settled);
    compare::assert_mirrors(scene.database.url(), "main", &truth, scene.start, settled).await;
    scene.assert_complete().await;
    follower.follow(&mut connection).await;
    follower.assert_has_all(&mut connection).await;
    while scene.store.fold_calls("main", &mut SliceSize::default()).await.unwrap().has_more {}
    of_calls.follow(&mut connection).await;
    of_calls.assert_equals_the_table(&mut connection).await;
    let removed =
        scene.database.count("select count(*) from voicenter.cdr where removed_at is not null").await;
    let gone = done["vanishes"] + done["retypes"];
    // A twin that goes leaves the other one in its row.
    assert!(removed >= i64::from(gone * 9 / 10), "{removed} rows are marked, {done:?}");
    let versions = scene.database.count("select count(*) from voicenter.cdr_history").await;
    assert!(versions >= i64::from(done.values().sum::<u32>() * 9 / 10), "{versions} versions, {done:?}");
    assert_eq!(
        scene.database.count("select count(*) from voicenter.cdr_history where valid_from >= valid_to").await,
        0
    );
}

#[tokio::test]
async fn days_of_the_current_api_converge_to_the_truth() {
    converges(ApiGeneration::Current).await;
}

#[tokio::test]
async fn days_of_the_older_api_converge_to_the_truth() {
    converges(ApiGeneration::V01).await;
}

#[tokio::test]
async fn a_span_read_again_brings_what_changed_after_the_last_age() {
    let mut simulator = simulated(ApiGeneration::Current);
    simulator.world = WorldOptions {
        calls_per_day: 1_000.0,
        change_share: 0.3,
        vanish_share: 0.03,
        move_share: 0.03,
        retype_share: 0.03,
        twin_share: 0.01,
        late_share: 0.05,
        ..simulator.world
    };
    let scene = MirrorScene::of(Setup { history: days(3), ..Setup::new(simulator) }).await;
    scene.pass().await;
    scene.assert_mirrors().await;
    scene.clock.advance(days(21));
    let old = cdr_sync::window::Window::new(scene.start, scene.start + days(3)).unwrap();
    let (from, to) = (old.from(), old.to());
    let truth = scene.simulator.truth(scene.now(), from, to);
    let stale = compare::table(scene.database.url(), "main", from, to).await;
    assert!(stale.len() > truth.len(), "some must have vanished");
    scene.read_again(old).await;
    // The second look at what was missing, as the daemon takes it.
    scene.clock.advance(minutes(11));
    let again = scene.pass().await;
    assert!(again.removed > 0, "{again:?}");
    let truth = scene.simulator.truth(scene.now(), from, to);
    compare::assert_mirrors(scene.database.url(), "main", &truth, from, to).await;
}
