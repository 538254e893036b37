//! A zone is evidence, not faith: what contradicts `api.timezone` is not stored, not claimed, and reported.

use std::sync::Arc;

use cdr_sync::clock::{Clock, ManualClock};
use cdr_sync::plan::Mode;
use cdr_sync::sync::SyncError;
use cdr_sync::sync::engine::Engine;
use cdr_sync::sync::leadership::Leases;
use cdr_sync::sync::status::ProgressWatch;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use voicenter_simulator::{
    ApiGeneration, DateForm, Fault, RefusalOptions, RequestEntry, SimulatorOptions, WorldOptions,
};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::database::Database;
use crate::support::dates::{days, hours, instant, minutes};

/// A Tuesday noon in Israel: the middle of a working day.
const TUESDAY: &str = "2026-06-16T09:00:00Z";

fn busy(generation: ApiGeneration) -> SimulatorOptions {
    let simulator = simulated(generation);
    let world = WorldOptions { calls_per_day: 800.0, ..simulator.world }.unchanging();
    SimulatorOptions { world, ..simulator }
}

/// Without DateEpoch, which would reveal it at once.
fn zoneless(zone: Tz) -> SimulatorOptions {
    let mut simulator = busy(ApiGeneration::V01);
    simulator.dialect.zone = Some(zone);
    simulator
}

async fn read_in(simulator: SimulatorOptions, zone: &str) -> MirrorScene {
    let setup = Setup { now: instant(TUESDAY), history: days(2), ..Setup::new(simulator) };
    let setup = setup.with("CDR_SYNC__SYNC__POLL_INTERVAL", "10m");
    MirrorScene::of(setup.with("CDR_SYNC__API__TIMEZONE", zone)).await
}

async fn open(scene: &MirrorScene, mode: Mode) -> Engine {
    let clock = Clock::Manual(scene.clock.clone());
    let leases = Leases::new(&scene.store);
    Engine::open(scene.account.clone(), scene.store.clone(), clock, &leases, mode, ProgressWatch::default())
        .await
        .unwrap()
}

/// What a pass ends with.
async fn ends_with(scene: &MirrorScene) -> SyncError {
    let mut engine = open(scene, Mode::Pass).await;
    let ended = engine.run().await;
    engine.close().await.unwrap();
    ended.unwrap_err()
}

/// A pass finds the zone wrong, names the right one, and leaves nothing behind.
async fn assert_refused(scene: &MirrorScene, named: &str) -> String {
    let error = ends_with(scene).await;
    assert!(matches!(error, SyncError::WrongZone { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(named), "{message}");
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr").await, 0);
    assert_eq!(scene.database.count("select count(*) from cdr_sync.coverage").await, 0);
    message
}

#[tokio::test]
async fn gmt_dates_with_z_beside_another_zone_are_refused() {
    let scene = read_in(busy(ApiGeneration::Current), "Asia/Jerusalem").await;
    assert_refused(&scene, "Set api.timezone to UTC").await;
    assert!(scene.simulator.requests().len() <= 6, "{}", scene.simulator.requests().len());
}

#[tokio::test]
async fn israels_time_read_as_utc_is_refused() {
    let scene = read_in(zoneless(Tz::Asia__Jerusalem), "UTC").await;
    let message = assert_refused(&scene, "Set api.timezone to Asia/Jerusalem").await;
    assert!(message.contains("in the future"), "{message}");
}

#[tokio::test]
async fn zoneless_utc_read_as_israels_time_is_refused() {
    let scene = read_in(zoneless(Tz::UTC), "Asia/Jerusalem").await;
    assert_refused(&scene, "Set api.timezone to UTC").await;
}

#[tokio::test]
async fn an_epoch_beside_each_date_shows_a_wrong_zone_from_any_answer() {
    let mut simulator = busy(ApiGeneration::Current);
    simulator.dialect.date_form = Some(DateForm::Plain);
    // Nothing of the future is answered.
    simulator.refusals = RefusalOptions { future: true, ..RefusalOptions::default() };
    let scene = read_in(simulator, "Asia/Jerusalem").await;
    let message = assert_refused(&scene, "Set api.timezone to UTC").await;
    assert!(message.contains("DateEpoch"), "{message}");
}

#[tokio::test]
async fn in_whatever_form_dates_come_a_wrong_zone_is_refused() {
    let zones = [Tz::UTC, Tz::Asia__Jerusalem, Tz::America__New_York, Tz::Asia__Kolkata];
    let forms = [DateForm::Zulu, DateForm::Plain, DateForm::Minutes, DateForm::Fractions, DateForm::Trimmed];
    let pairs = zones.iter().flat_map(|theirs| zones.iter().map(move |ours| (*theirs, *ours)));
    // Each pair in one form of each generation.
    for (n, (theirs, ours)) in pairs.filter(|(theirs, ours)| theirs != ours).enumerate() {
        for (generation, form) in
            [(ApiGeneration::V01, forms[1 + n % 4]), (ApiGeneration::Current, forms[n % forms.len()])]
        {
            let mut simulator = busy(generation);
            simulator.dialect.zone = Some(theirs);
            simulator.dialect.date_form = Some(form);
            let scene = read_in(simulator, ours.name()).await;
            println!("{generation:?} {form:?}: {theirs} read as {ours}");
            assert_refused(&scene, "does not fit the API").await;
        }
    }
}

#[tokio::test]
async fn once_the_zone_is_set_right_everything_is_read() {
    let (database, clock) = (Arc::new(Database::new().await), ManualClock::new(instant(TUESDAY)));
    let setup =
        || Setup { now: instant(TUESDAY), history: days(2), ..Setup::new(busy(ApiGeneration::Current)) };
    let wrong = setup().with("CDR_SYNC__API__TIMEZONE", "America/New_York");
    let scene = MirrorScene::on(database.clone(), clock.clone(), wrong).await;
    assert_refused(&scene, "Set api.timezone to UTC").await;
    let scene = MirrorScene::on(database, clock, setup()).await;
    scene.pass().await;
    scene.assert_mirrors().await;
    scene.assert_complete().await;
}

#[tokio::test]
async fn dates_with_z_beside_bounds_in_another_zone_are_believed_when_the_calls_come() {
    let mut simulator = busy(ApiGeneration::Current);
    simulator.dialect.zone = Some(Tz::Asia__Jerusalem);
    simulator.dialect.date_form = Some(DateForm::Zulu);
    let scene = read_in(simulator.clone(), "Asia/Jerusalem").await;
    scene.pass().await;
    scene.assert_mirrors().await;
    scene.assert_complete().await;
    // And as UTC they lie beside the bounds.
    let scene = read_in(simulator, "UTC").await;
    assert_refused(&scene, "Set api.timezone to Asia/Jerusalem").await;
}

/// When a day ahead was asked for, in a zone that is this far ahead of UTC.
fn looks(scene: &MirrorScene, zone: TimeDelta) -> Vec<DateTime<Utc>> {
    let ahead = |entry: &RequestEntry| {
        let to = entry.search.as_ref().and_then(|search| search.to);
        to.is_some_and(|to| to.and_utc() - zone > entry.at + hours(23))
    };
    scene.simulator.requests().all().into_iter().filter(ahead).map(|entry| entry.at).collect()
}

#[tokio::test]
async fn an_empty_answer_where_calls_are_stored_calls_for_a_look() {
    let scene = read_in(busy(ApiGeneration::Current), "UTC").await;
    let begin = scene.now();
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, begin + hours(1)).await;
    assert_eq!(looks(&scene, hours(0)), [begin]);
    scene.simulator.faults().always(Fault::EmptyOk);
    scene.live(&mut engine, begin + hours(2)).await;
    engine.close().await.unwrap();
    let mut looks = looks(&scene, hours(0));
    looks.dedup();
    assert!((2..=8).contains(&looks.len()), "{looks:?}");
    assert!(looks[1] - begin <= minutes(80), "{looks:?}");
}

#[tokio::test]
async fn a_daemon_looks_a_day_ahead_at_its_start_and_daily() {
    let scene = read_in(zoneless(Tz::Asia__Jerusalem), "Asia/Jerusalem").await;
    let begin = scene.now();
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, begin + hours(50)).await;
    engine.close().await.unwrap();
    // Bounds are in Israel's time, three hours ahead of UTC in June.
    let looks = looks(&scene, hours(3));
    assert_eq!(looks.len(), 3, "{looks:?}");
    assert_eq!(looks[0], begin);
    assert!(looks[1] - begin >= days(1) && looks[1] - begin < days(1) + minutes(5), "{looks:?}");
}

#[tokio::test]
async fn an_api_that_has_nothing_where_calls_are_stored_is_not_believed() {
    let (database, clock) = (Arc::new(Database::new().await), ManualClock::new(instant(TUESDAY)));
    let setup = |simulator| Setup { now: instant(TUESDAY), history: days(2), ..Setup::new(simulator) };
    let scene = MirrorScene::on(database.clone(), clock.clone(), setup(busy(ApiGeneration::Current))).await;
    scene.pass().await;
    let (scope, rows) = (scene.account.scope.clone(), scene.truth().len() as i64);
    clock.advance(TimeDelta::minutes(20));
    let empty = SimulatorOptions { world: WorldOptions::empty(), ..simulated(ApiGeneration::Current) };
    let mut scene = MirrorScene::on(database, clock, setup(empty)).await;
    scene.account.scope = scope;
    scene.account.backoff =
        cdr_sync::rate_limit::Backoff { min: std::time::Duration::ZERO, max: std::time::Duration::ZERO };
    let before = scene.status().await.cursor.unwrap();
    let error = ends_with(&scene).await;
    assert!(error.to_string().contains("the API has returned none since the start"), "{error}");
    assert_eq!(scene.status().await.cursor.unwrap(), before);
    let there = "select count(*) from voicenter.cdr where removed_at is null";
    assert_eq!(scene.database.count(there).await, rows);
}
