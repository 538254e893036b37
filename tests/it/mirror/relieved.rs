//! A daemon that has no way to the API does not keep an account from one that has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cdr_sync::clock::Clock;
use cdr_sync::sync::Account;
use cdr_sync::sync::leadership::Leases;
use cdr_sync::sync::status::ProgressWatch;
use cdr_sync::sync::supervisor::{self, Common};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use voicenter_simulator::ApiGeneration;

use crate::mirror::scene::{MirrorScene, Setup, simulated, time_passes};
use crate::support::dates::days;
use crate::support::polling::until;

#[tokio::test]
async fn an_account_whose_requests_fail_here_goes_to_a_daemon_that_can_make_them() {
    let setup = || {
        let mut simulator = simulated(ApiGeneration::Current);
        simulator.world.calls_per_day = 200.0;
        Setup { history: days(1), ..Setup::new(simulator) }
    };
    let scene = MirrorScene::of(setup()).await;
    let clock = scene.clock.clone();
    let MirrorScene { simulator, account, .. } =
        MirrorScene::on(Arc::clone(&scene.database), clock.clone(), setup()).await;
    drop(simulator);
    let cut_off = Account { scope: scene.account.scope.clone(), ..account };

    let stop = CancellationToken::new();
    let daemon = |account: Account| {
        let common = Common {
            store: scene.store.clone(),
            clock: Clock::Manual(clock.clone()),
            leases: Leases::new(&scene.store),
        };
        let watch = ProgressWatch::default();
        let watches = BTreeMap::from([("main".to_owned(), watch.clone())]);
        (watch, tokio::spawn(supervisor::run(vec![account], common, watches, stop.clone())))
    };
    let (cut_off, first) = daemon(cut_off);
    until("the first leads", async || cut_off.read().leads).await;
    let (well, second) = daemon(scene.account.clone());
    tokio::select! {
        () = time_passes(&clock, TimeDelta::milliseconds(100)) => {}
        () = until("its calls", async || well.read().caught_up) => {}
    }
    assert!(!cut_off.read().leads);
    stop.cancel();
    for daemon in [first, second] {
        tokio::time::timeout(Duration::from_secs(20), daemon).await.unwrap().unwrap();
    }
}
