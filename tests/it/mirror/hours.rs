//! `voicenter.hours`: how complete each hour is, as a daemon goes on.

use std::time::Duration;

use cdr_sync::plan::Mode;
use cdr_sync::rate_limit::Backoff;
use cdr_sync::sync::status::ProgressWatch;
use chrono::{DateTime, Utc};
use voicenter_simulator::{ApiGeneration, Fault, Record};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::dates::{hours, minutes};

/// Few reads for a whole life of an hour: read again after one, six and twelve hours.
async fn scene() -> MirrorScene {
    let mut simulator = simulated(ApiGeneration::Current);
    simulator.world.calls_per_day = 0.0;
    let setup = Setup { history: hours(2), ..Setup::new(simulator) }
        .with("CDR_SYNC__SYNC__POLL_INTERVAL", "5m")
        .with("CDR_SYNC__SYNC__LOOKBACK", "1h")
        .with("CDR_SYNC__SYNC__RECONCILE", "6h,12h");
    let mut scene = MirrorScene::of(setup).await;
    // The clock stands still while a request is under way, so waiting after a failure takes no time.
    scene.account.backoff = Backoff { min: Duration::ZERO, max: Duration::ZERO };
    scene
}

async fn state(scene: &MirrorScene, hour: DateTime<Utc>) -> String {
    let query = format!(
        "select state from voicenter.hours where account = 'main' and hour = '{}'",
        hour.to_rfc3339()
    );
    scene.database.lines(&query).await.join(", ")
}

async fn settled_until(scene: &MirrorScene) -> DateTime<Utc> {
    let query = "select to_char(settled_until at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from voicenter.sync_state";
    scene.database.lines(query).await.remove(0).parse().unwrap()
}

#[tokio::test]
async fn an_hour_is_open_then_provisional_then_settled_then_final() {
    let scene = scene().await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    let begin = scene.now();
    // So many hours did not change after they had been read again that the lookback is believed to be enough.
    let known = "insert into cdr_sync.hour_count values ('main', '2026-01-01', '0', 3000)";
    scene.database.execute(known).await;
    scene.store.count_final_hours().await.unwrap();
    scene.insert(Record::new("on-time", "Queue", begin + minutes(90)), begin + minutes(95));
    let hour = begin + hours(1);
    scene.live(&mut engine, begin + minutes(115)).await;
    assert_eq!(state(&scene, hour).await, "open");
    scene.live(&mut engine, begin + minutes(130)).await;
    assert_eq!(state(&scene, hour).await, "provisional");
    scene.live(&mut engine, begin + minutes(220)).await;
    assert_eq!(state(&scene, hour).await, "settled");
    assert!(settled_until(&scene).await >= hour + hours(1));
    // Seen by the read after six hours: one settled hour of 3,000 has changed, which may happen.
    scene.insert(Record::new("late", "Queue", begin + minutes(100)), begin + hours(4));
    scene.live(&mut engine, begin + hours(9)).await;
    let rows = "select count(*)::text from voicenter.cdr where call_id = 'late'";
    assert_eq!(scene.database.lines(rows).await, ["1"]);
    assert_eq!(state(&scene, hour).await, "settled");
    let noted =
        "select (extract(epoch from reread_age)::int / 3600)::text from cdr_sync.late_hour where is_followed";
    assert_eq!(scene.database.lines(noted).await, ["1"]);
    scene.live(&mut engine, begin + hours(15)).await;
    assert_eq!(state(&scene, hour).await, "final");
    scene.store.count_final_hours().await.unwrap();
    let counted = "select extract(epoch from reread_age)::int / 3600 || ' ' || hours from cdr_sync.hour_count where day > '2026-01-01'";
    assert_eq!(scene.database.lines(counted).await, ["1 1"]);
    engine.close().await.unwrap();
}

#[tokio::test]
async fn a_gap_shows_and_nothing_behind_it_counts_as_settled() {
    let scene = scene().await;
    let begin = scene.now();
    let (hour, bad) = (begin - hours(2), begin - minutes(110));
    // The fault is that of answers with a record in the span.
    scene.insert(Record::new("unreadable", "Queue", bad + minutes(2)), bad + minutes(3));
    scene.simulator.faults().within(Fault::Http500, bad, bad + minutes(5));
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, begin + hours(2)).await;
    assert_eq!(state(&scene, hour).await, "gap");
    assert_eq!(state(&scene, hour + hours(1)).await, "provisional", "the next one was read in full");
    let settled =
        "select coalesce(settled_until <= '2026-06-20T10:15:00Z', true)::text from voicenter.sync_state";
    assert_eq!(scene.database.lines(settled).await, ["true"]);
    // What lay in the gap is read at last.
    scene.simulator.faults().clear();
    let gaps = scene.store.gaps(Some("main")).await.unwrap();
    let due = gaps.iter().map(|gap| gap.next_try_at).max().unwrap();
    scene.live(&mut engine, due.max(scene.now()) + minutes(10)).await;
    engine.close().await.unwrap();
    assert_eq!(state(&scene, hour).await, "provisional");
}
