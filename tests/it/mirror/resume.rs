//! What an operator lifts ends in a running daemon, too.

use std::collections::BTreeMap;
use std::time::Duration;

use cdr_sync::clock::Clock;
use cdr_sync::rate_limit::Backoff;
use cdr_sync::sync::leadership::Leases;
use cdr_sync::sync::status::ProgressWatch;
use cdr_sync::sync::supervisor::{self, Common};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use voicenter_simulator::{ApiGeneration, Fault};

use crate::mirror::scene::{MirrorScene, Setup, simulated, time_passes};
use crate::support::dates::days;
use crate::support::polling::until;

#[tokio::test]
async fn a_refused_account_and_a_paused_credential_go_on_within_seconds_when_they_are_resumed() {
    let mut simulator = simulated(ApiGeneration::Current);
    simulator.world.calls_per_day = 200.0;
    let mut scene = MirrorScene::of(Setup { history: days(1), ..Setup::new(simulator) }).await;
    let hour = Duration::from_secs(3600);
    scene.account.backoff = Backoff { min: hour, max: hour };
    let (clock, watch, stop) = (scene.clock.clone(), ProgressWatch::default(), CancellationToken::new());
    let common = Common {
        store: scene.store.clone(),
        clock: Clock::Manual(clock.clone()),
        leases: Leases::new(&scene.store),
    };
    let watches = BTreeMap::from([("main".to_owned(), watch.clone())]);
    scene.simulator.faults().always(Fault::AuthorizationFailed);
    let daemon = tokio::spawn(supervisor::run(vec![scene.account.clone()], common, watches, stop.clone()));
    let end = clock.now() + TimeDelta::hours(1);
    until("the refusal", async || scene.waits_until(end).await).await;
    scene.simulator.faults().clear();
    // A little later: it waits for most of an hour still.
    scene.simulator.faults().next(Fault::RateLimited);
    assert_eq!(scene.store.resume_account("main").await.unwrap(), Some(end));
    let resumed = async {
        until("error 1", async || scene.simulator.requests().len() >= 2).await;
        until("the pause", async || scene.account.rate_limit.resume().await.unwrap().pause.is_some()).await;
        until("its calls", async || watch.read().caught_up).await;
    };
    tokio::select! {
        () = time_passes(&clock, TimeDelta::milliseconds(100)) => {}
        () = resumed => {}
    }
    assert!(clock.now() < end - TimeDelta::minutes(30), "{}", clock.now());
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), daemon).await.unwrap().unwrap();
}
