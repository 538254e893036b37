//! Two daemons on one database: the second goes on for a first that stands still.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use voicenter_simulator::SimulatorOptions;

use crate::kill::scene::{KillScene, quiet_server, slow_server};
use crate::support::polling::until;
use crate::support::program::{CODE, Running};

/// A lease, and what a taker waits for a commit that stands still: 25 s, and some for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(40);

async fn fence(scene: &KillScene) -> i64 {
    scene.database.count("select fence from cdr_sync.cursor").await
}

/// Stops the leader at a moment, and lets it go on when another has led for a while.
async fn survives_a_stop(moment: impl AsyncFn(&KillScene) -> bool) {
    let scene = KillScene::new(slow_server()).await;
    let leader = Running::start(scene.command("run"));
    until("a leader at work", async || scene.simulator.requests().len() > 10).await;
    let standby = Running::start(scene.command("run"));
    until("the moment", async || moment(&scene).await).await;
    leader.signal(Signal::SIGSTOP);
    let (stopped_at, before) = (Instant::now(), fence(&scene).await);
    until("another leader", async || fence(&scene).await > before).await;
    assert!(stopped_at.elapsed() < TAKEN_OVER, "{:?}", stopped_at.elapsed());

    let taken_over = scene.simulator.requests().len();
    until("its requests", async || scene.simulator.requests().len() > taken_over + 5).await;
    leader.signal(Signal::SIGCONT);
    let whole =
        async || scene.cursor().await.is_some_and(|(from, to)| from <= scene.start && to >= scene.settled);
    until("all of it", whole).await;
    scene.assert_mirrors(scene.start, scene.settled).await;
    assert_eq!(scene.replaced_versions().await, 0, "nothing was written twice");
    for mut daemon in [leader, standby] {
        daemon.signal(Signal::SIGTERM);
        assert_eq!(daemon.wait().await.0.code(), Some(0));
    }
}

#[tokio::test]
async fn accounts_spread_over_the_daemons_that_are_there() {
    let scene = KillScene::new(SimulatorOptions { record_limit: 10_000, ..quiet_server() }).await;
    let start = || {
        let mut command = scene.command("run");
        command.env_remove("VOICENTER_CODE");
        for account in 0..4 {
            command.env(format!("CDR_SYNC__ACCOUNTS__{account}__NAME"), format!("account{account}"));
            command.env(format!("CDR_SYNC__ACCOUNTS__{account}__CODE"), CODE);
        }
        Running::start(command)
    };
    // How many accounts the busiest daemon leads, if all are led.
    let most = async || {
        scene
            .database
            .count(
                "select coalesce(max(n) filter (where led = 4), 0) from (
                     select count(*) as n, sum(count(*)) over () as led from cdr_sync.lease
                     where expires_at > clock_timestamp() group by holder
                 ) as by_daemon",
            )
            .await
    };
    let first = start();
    let tables = "select count(*) from pg_class where relname = 'lease'";
    until("the tables", async || scene.database.count(tables).await > 0).await;
    until("one that leads all", async || most().await == 4).await;
    let mut second = start();
    until("two that lead two each", async || most().await == 2).await;
    second.signal(Signal::SIGTERM);
    assert_eq!(second.wait().await.0.code(), Some(0));
    until("one that leads all again", async || most().await == 4).await;
    first.signal(Signal::SIGTERM);
}

#[tokio::test]
async fn a_leader_that_is_stopped_is_followed() {
    survives_a_stop(async |_| true).await;
}

#[tokio::test]
async fn a_leader_that_is_stopped_in_the_middle_of_a_commit_is_followed() {
    survives_a_stop(async |scene| scene.is_storing().await).await;
}
