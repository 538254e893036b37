//! A first sync, and what reading the same again must not do.

use voicenter_simulator::{ApiGeneration, SimulatorOptions};

use crate::mirror::scene::{MirrorScene, simulated};

/// Ten days are read, the table equals the truth, and reading them again writes nothing.
async fn is_exact(simulator: SimulatorOptions) {
    let scene = MirrorScene::new(simulator).await;
    let first = scene.pass().await;
    scene.assert_mirrors().await;
    scene.assert_complete().await;
    assert!(first.inserted > 25_000, "{first:?}");
    let tuples = scene.tuples().await;
    for again in [scene.pass().await, scene.read_again(scene.history()).await] {
        assert!(again.records > 0, "{again:?}");
        assert_eq!((again.inserted, again.updated, again.removed), (0, 0, 0), "{again:?}");
    }
    assert_eq!(scene.tuples().await, tuples, "not even a lock is left on an unchanged row");
    scene.assert_complete().await;
}

#[tokio::test]
async fn ten_days_of_the_current_api_are_mirrored_exactly() {
    is_exact(simulated(ApiGeneration::Current)).await;
}

#[tokio::test]
async fn ten_days_of_the_current_api_in_small_answers_are_mirrored_exactly() {
    is_exact(SimulatorOptions { record_limit: 500, ..simulated(ApiGeneration::Current) }).await;
}

#[tokio::test]
async fn ten_days_of_the_older_api_are_mirrored_exactly() {
    is_exact(simulated(ApiGeneration::V01)).await;
}

#[tokio::test]
async fn ten_days_of_the_older_api_in_small_answers_are_mirrored_exactly() {
    is_exact(SimulatorOptions { record_limit: 500, ..simulated(ApiGeneration::V01) }).await;
}
