//! SIGKILL at random moments of a first sync.

use cdr_sync::clock::Clock;
use nix::sys::signal::Signal;

use crate::kill::scene::{KillScene, slow_server};
use crate::support::polling::until;
use crate::support::program::Running;

/// `CDR_SYNC_KILLS`, or as few as every run of the tests can afford.
fn kills() -> usize {
    std::env::var("CDR_SYNC_KILLS").map_or(6, |text| text.parse().expect("CDR_SYNC_KILLS is a number"))
}

/// Kills the program again and again in the middle of its work; what it says it has read must be there each time.
async fn survives_kills(command: &str, seed: u64) {
    let scene = KillScene::new(slow_server()).await;
    let mut random = fastrand::Rng::with_seed(seed);
    let (kills, mut in_the_middle) = (kills(), 0);
    for number in 0..kills {
        let mut program = Running::start(scene.command(command));
        // Few requests, so that all kills fall before the end: 12 days are about 120 of them.
        let enough = scene.simulator.requests().len() + random.usize(1..=(100 / kills).max(2));
        until("requests", async || scene.simulator.requests().len() >= enough).await;
        // A request has just come in, and the answer before it is being stored; every other kill makes sure of that.
        if number % 2 == 1 {
            until("an open transaction", async || scene.is_storing().await).await;
        }
        program.signal(Signal::SIGKILL);
        let (status, _) = program.wait().await;
        in_the_middle += usize::from(!status.success() && status.code().is_none());
        if let Some((from, to)) = scene.cursor().await {
            eprintln!("kill {number}: {} requests, {from} to {to}", scene.simulator.requests().len());
            scene.assert_mirrors(from, to).await;
        }
    }
    assert_eq!(in_the_middle, kills, "every kill must hit a program at work");
    let mut last = Running::start(scene.command("sync"));
    let (status, _) = last.wait().await;
    assert!(status.success(), "{status}");
    scene.assert_mirrors(scene.start, Clock::System.now()).await;
    let (from, to) = scene.cursor().await.unwrap();
    assert!(from <= scene.start && to >= scene.settled);
    assert_eq!(
        scene.replaced_versions().await,
        0,
        "nothing changed at the API, so nothing was written twice"
    );
}

#[tokio::test]
async fn a_pass_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    survives_kills("sync", 1).await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    survives_kills("run", 2).await;
}
