//! What the program's exit status means.

use chrono::TimeDelta;
use voicenter_simulator::{ApiGeneration, Record, SimulatorOptions};

use crate::kill::scene::{KillScene, quiet_server};
use crate::support::program::Running;

async fn status_of(command: tokio::process::Command) -> Option<i32> {
    Running::start(command).wait().await.0.code()
}

#[tokio::test]
async fn a_whole_pass_ends_with_0() {
    let scene = KillScene::new(quiet_server()).await;
    assert_eq!(status_of(scene.command("sync")).await, Some(0));
}

#[tokio::test]
async fn a_bad_configuration_ends_with_2() {
    let scene = KillScene::new(quiet_server()).await;
    for (name, value) in [("CDR_SYNC__SYNC__LOOKBACK", "soon"), ("CDR_SYNC__SYNC__NO_SUCH_KEY", "1")] {
        let mut command = scene.command("sync");
        command.env(name, value).stderr(std::process::Stdio::null());
        assert_eq!(status_of(command).await, Some(2), "{name}={value}");
    }
    assert!(scene.simulator.requests().is_empty());
}

#[tokio::test]
async fn a_refused_credential_and_a_refused_address_end_with_3() {
    let scene = KillScene::new(quiet_server()).await;
    let mut command = scene.command("sync");
    command.env("VOICENTER_CODE", "wrong").stderr(std::process::Stdio::null());
    assert_eq!(status_of(command).await, Some(3));
    let scene = KillScene::new(SimulatorOptions { refuse_address: true, ..quiet_server() }).await;
    let mut command = scene.command("sync");
    command.stderr(std::process::Stdio::null());
    assert_eq!(status_of(command).await, Some(3));
    assert_eq!(scene.simulator.requests().len(), 1, "a refused address is not asked from again");
}

#[tokio::test]
async fn a_pass_that_leaves_a_gap_ends_with_4() {
    let mut server = quiet_server();
    server.generation = ApiGeneration::V01;
    server.dialect.date_epoch = false;
    server.record_limit = 50;
    let scene = KillScene::new(server).await;
    let second = scene.settled - TimeDelta::days(3);
    for number in 0..60 {
        scene
            .simulator
            .world()
            .insert(Record::new(&format!("crowd{number}"), "Queue", second), second + TimeDelta::minutes(1));
    }
    let mut command = scene.command("sync");
    command.stderr(std::process::Stdio::null());
    assert_eq!(status_of(command).await, Some(4));
    scene.assert_mirrors(scene.start, second - TimeDelta::seconds(5)).await;
    scene.assert_mirrors(second + TimeDelta::seconds(5), scene.settled).await;
}
