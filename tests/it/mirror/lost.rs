//! A database that loses commits or rows under a running engine.

use cdr_sync::plan::Mode;
use cdr_sync::store::StoreError;
use cdr_sync::sync::SyncError;
use cdr_sync::sync::engine::TickOutcome;
use cdr_sync::sync::status::ProgressWatch;
use voicenter_simulator::{ApiGeneration, SimulatorOptions, WorldOptions};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::database::{RESTORE, SNAPSHOT};
use crate::support::dates::minutes;

/// Many pages, so that the claims of one answer rest on the rows of those before it.
fn paged() -> Setup {
    let world = WorldOptions { calls_per_day: 600.0, ..WorldOptions::default() };
    Setup::new(SimulatorOptions { record_limit: 60, world, ..simulated(ApiGeneration::Current) })
}

#[tokio::test]
async fn commits_that_the_database_lost_are_read_again() {
    let scene = MirrorScene::of(paged()).await;
    let mut engine = scene.engine(Mode::Pass, ProgressWatch::default()).await;
    for _ in 0..5 {
        engine.tick().await.unwrap();
    }
    scene.database.execute(SNAPSHOT).await;
    for _ in 0..3 {
        engine.tick().await.unwrap();
    }
    scene.database.execute(RESTORE).await;
    let ended = loop {
        match engine.tick().await {
            Ok(TickOutcome::Done) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    assert!(matches!(ended, Err(SyncError::Store(StoreError::CommitsLost))), "{ended:?}");
    engine.close().await.unwrap();
    scene.pass().await;
    scene.assert_mirrors().await;
    scene.assert_complete().await;
}

#[tokio::test]
async fn rows_that_somebody_deleted_come_back_by_themselves() {
    let scene = MirrorScene::of(paged()).await;
    scene.pass().await;
    let mut engine = scene.engine(Mode::Daemon, ProgressWatch::default()).await;
    scene.live(&mut engine, scene.now() + minutes(2)).await;
    scene.database.execute("truncate voicenter.cdr").await;
    let until = scene.now() + minutes(10);
    let ended = loop {
        match engine.tick().await {
            Ok(TickOutcome::Idle(instant)) if instant < until => scene.clock.advance(instant - scene.now()),
            Ok(TickOutcome::Asked) => {}
            Ok(_) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert!(matches!(ended, Err(SyncError::Store(StoreError::RowsLost))), "{ended:?}");
    engine.close().await.unwrap();
    scene.pass().await;
    scene.assert_mirrors().await;
    scene.assert_complete().await;
}
