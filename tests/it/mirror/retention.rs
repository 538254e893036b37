//! `retention.calls`, end to end: the table mirrors the API from the floor on, and holds nothing older.

use cdr_sync::clock::Clock;
use cdr_sync::plan::Mode;
use cdr_sync::store::calls::SliceSize;
use cdr_sync::sync::status::ProgressWatch;
use cdr_sync::sync::verify::verify;
use chrono::{DateTime, Utc};
use voicenter_simulator::{ApiGeneration, Record};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::compare;
use crate::support::dates::{days, hours, instant, minutes, window};

/// Ten days of history, of which the last three are to be kept. Days are those of UTC.
async fn scene() -> MirrorScene {
    let mut simulator = simulated(ApiGeneration::Current);
    simulator.world.calls_per_day = 300.0;
    let setup = Setup::new(simulator)
        .with("CDR_SYNC__SYNC__RECONCILE", "6h,12h")
        .with("CDR_SYNC__SYNC__POLL_INTERVAL", "1h")
        .with("CDR_SYNC__REPORTING__TIMEZONE", "UTC")
        .with("CDR_SYNC__RETENTION__CALLS", "3d");
    MirrorScene::of(setup).await
}

async fn delete_older(scene: &MirrorScene) {
    while scene.store.delete_older_calls("main", days(3), &mut SliceSize::default()).await.unwrap() > 0 {}
}

/// The table holds what the API shows from `floor` on, and no call that was over before.
async fn assert_mirrors_from(scene: &MirrorScene, floor: DateTime<Utc>) {
    let truth = scene.simulator.truth(scene.now(), floor, scene.now());
    assert!(truth.len() > 100);
    compare::assert_mirrors(scene.database.url(), "main", &truth, floor, scene.now()).await;
    let older = format!(
        "select count(*) from voicenter.calls where ended_at < '{0}'::timestamptz - interval '1 hour'
         or account = 'main' and day < ('{0}'::timestamptz at time zone 'UTC')::date - 1",
        floor.to_rfc3339()
    );
    assert_eq!(scene.database.count(&older).await, 0);
    let compared = scene.store.compare_calls("main", window(scene.start, scene.now())).await.unwrap();
    assert_eq!((compared.wrong, compared.wrong_quarters), (0, 0), "{compared:?}");
    let status = scene.status().await;
    assert_eq!((status.gaps, status.missing, status.history_start), (0, 0, floor));
    assert_eq!(status.cursor.unwrap().from(), floor);
    let hours =
        "select to_char(min(hour) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from voicenter.hours";
    assert_eq!(scene.database.lines(hours).await, [floor.to_rfc3339().replace("+00:00", "Z")]);
}

#[tokio::test]
async fn history_begins_at_the_floor_which_moves_from_day_to_day() {
    let mut scene = scene().await;
    let floor = instant("2026-06-17T00:00:00Z");
    scene.pass().await;
    assert_mirrors_from(&scene, floor).await;
    let asked = scene.simulator.requests().all().into_iter().filter_map(|request| request.search?.from);
    let oldest = asked.min().unwrap();
    // Bounds are sent a little wider than the window that they are meant for.
    assert!(oldest >= (floor - minutes(1)).naive_utc(), "{oldest} was asked for");

    // Two days on, with late calls on both sides of the floor that will have moved by then.
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    let later = floor + days(2);
    scene.insert(Record::new("too-late", "Queue", later - minutes(5)), scene.now() + hours(47));
    scene.insert(Record::new("late", "Queue", later + minutes(5)), scene.now() + hours(47));
    scene.live(&mut engine, scene.now() + days(2)).await;
    engine.close().await.unwrap();
    let removed = "select count(*) from voicenter.removed_calls";
    let removed_before = scene.database.count(removed).await;
    delete_older(&scene).await;
    assert_eq!(scene.database.count(removed).await, removed_before, "nothing was removed");

    // A span is read again as far as it is kept, and compared as far.
    scene.read_again(scene.history()).await;
    let late = "select string_agg(call_id, ' ') from voicenter.cdr where call_id like '%late'";
    assert_eq!(scene.database.lines(late).await, ["late"]);
    assert_mirrors_from(&scene, later).await;
    let clock = Clock::Manual(scene.clock.clone());
    let (account, span) = (scene.account.clone(), window(scene.start, later + hours(6)));
    let verified =
        verify(account, &scene.store, clock.clone(), span, ProgressWatch::default(), false).await.unwrap();
    assert!(verified.is_equal() && verified.kept_from == Some(later), "{verified:?}");
    let older = window(scene.start, later - hours(1));
    let verified =
        verify(scene.account.clone(), &scene.store, clock, older, ProgressWatch::default(), false).await;
    assert_eq!(verified.unwrap().at_the_api, 0, "nothing of it is asked for");

    // More is to be kept: what was deleted is read again.
    scene.account.retention = Some(days(5));
    scene.pass().await;
    assert_mirrors_from(&scene, later - days(2)).await;
}
