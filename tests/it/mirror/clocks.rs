//! Clocks that are set, and clocks that are wrong: the host's, the database's, the API's.

use std::time::Duration;

use cdr_sync::plan::Mode;
use cdr_sync::rate_limit::Backoff;
use cdr_sync::sync::SyncError;
use cdr_sync::sync::engine::{Engine, TickOutcome};
use cdr_sync::sync::status::ProgressWatch;
use chrono::{DateTime, TimeDelta, Utc};
use voicenter_simulator::{ApiGeneration, Fault, SimulatorOptions};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::dates::{days, hours, instant, minutes};

/// A Tuesday noon: the middle of a working day.
const TUESDAY: &str = "2026-06-16T09:00:00Z";

fn quiet() -> SimulatorOptions {
    let mut simulator = simulated(ApiGeneration::Current);
    simulator.world.calls_per_day = 800.0;
    simulator.world = simulator.world.unchanging();
    simulator
}

async fn scene(simulator: SimulatorOptions) -> MirrorScene {
    MirrorScene::of(Setup { now: instant(TUESDAY), history: days(1), ..Setup::new(simulator) }).await
}

/// Turns until nothing is due for now; returns until when.
async fn caught_up(engine: &mut Engine) -> DateTime<Utc> {
    loop {
        if let TickOutcome::Idle(until) = engine.tick().await.unwrap() {
            return until;
        }
    }
}

/// Goes on to the next poll, after which everything is there.
async fn to_the_next_poll(scene: &MirrorScene, engine: &mut Engine) {
    let until = caught_up(engine).await;
    scene.clock.advance((until - scene.now()).max(TimeDelta::zero()));
    caught_up(engine).await;
}

/// How many requests leave while this much time passes.
async fn requests_during(scene: &MirrorScene, engine: &mut Engine, length: TimeDelta) -> usize {
    let (before, end) = (scene.simulator.requests().len(), scene.now() + length);
    scene.live(engine, end).await;
    scene.simulator.requests().len() - before
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_no_polling() {
    for back in [TimeDelta::seconds(150), hours(1)] {
        let scene = scene(quiet()).await;
        let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
        scene.live(&mut engine, scene.now() + hours(1)).await;
        scene.clock.step(-back);
        let polled = requests_during(&scene, &mut engine, minutes(14)).await;
        assert!(polled >= 13, "{polled} requests in 14 minutes after the clock was set back by {back}");
        let status = scene.status().await;
        assert!(
            status.cursor.unwrap().to() <= scene.now(),
            "nothing of the future counts as read: {status:?}"
        );
        assert!(status.last_success_at.unwrap() <= scene.now());
        // Set right again, as suddenly.
        scene.clock.step(back);
        let polled = requests_during(&scene, &mut engine, minutes(14)).await;
        assert!(polled >= 13, "{polled} requests in 14 minutes after the clock was set right");
        scene.assert_complete().await;
        engine.close().await.unwrap();
        // Late arrivals are read with the lookback, every ten minutes: it is read once more.
        scene.pass().await;
        scene.assert_mirrors().await;
    }
}

#[tokio::test]
async fn a_clock_that_ran_fast_and_is_set_right_hides_no_call() {
    // Without a Date header nothing shows that the clock runs fast, so the future counts as read.
    let scene = scene(SimulatorOptions { date_header: false, ..quiet() }).await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, scene.now() + minutes(5)).await;
    scene.clock.step(hours(1));
    scene.live(&mut engine, scene.now() + minutes(2)).await;
    scene.clock.step(-hours(1));
    let polled = requests_during(&scene, &mut engine, minutes(2)).await;
    assert!(polled >= 2, "{polled}");
    assert!(scene.status().await.cursor.unwrap().to() <= scene.now());
    scene.live(&mut engine, scene.now() + minutes(90)).await;
    to_the_next_poll(&scene, &mut engine).await;
    engine.close().await.unwrap();
    scene.assert_mirrors().await;
}

#[tokio::test]
async fn errors_after_the_clock_was_set_back_are_shown() {
    let scene = scene(quiet()).await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, scene.now() + minutes(5)).await;
    scene.clock.step(-hours(2));
    scene.simulator.faults().always(Fault::AuthorizationFailed);
    let ended = loop {
        if let Err(error) = engine.tick().await {
            break error;
        }
    };
    engine.close().await.unwrap();
    scene.store.note_error("main", &ended.to_string(), None, scene.now()).await.unwrap();
    let status = scene.status().await;
    let ((_, at), success) = (status.last_error.clone().unwrap(), status.last_success_at.unwrap());
    assert!(success <= at, "the success of {success} hides the error of {at}");
}

#[tokio::test]
async fn a_restart_after_the_clock_was_set_right_waits_for_no_instant_of_the_wrong_time() {
    let mut scene = scene(quiet()).await;
    // Waiting after a failure takes no time.
    scene.account.backoff = Backoff { min: Duration::ZERO, max: Duration::ZERO };
    let bad = scene.now() - hours(3);
    scene.simulator.faults().within(Fault::Http500, bad, bad + minutes(5));
    scene.clock.step(days(40));
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    caught_up(&mut engine).await;
    engine.close().await.unwrap();
    scene.clock.step(-days(40));
    scene.simulator.faults().clear();
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, scene.now() + minutes(30)).await;
    to_the_next_poll(&scene, &mut engine).await;
    engine.close().await.unwrap();
    scene.assert_mirrors().await;
    scene.assert_complete().await;
}

#[tokio::test]
async fn a_pass_does_not_end_well_while_the_api_shows_an_old_date() {
    let scene = scene(SimulatorOptions { clock_offset: -hours(5), ..quiet() }).await;
    let mut engine = scene.engine(Mode::Pass, ProgressWatch::default()).await;
    let ended = engine.run().await;
    engine.close().await.unwrap();
    assert!(matches!(ended, Err(SyncError::ApiClock { .. })), "{ended:?}");
    assert!(scene.status().await.cursor.unwrap().to() <= scene.now() - hours(5));
}
