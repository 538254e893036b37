//! A first start on the database of an earlier version.

use std::sync::Arc;

use cdr_sync::clock::ManualClock;
use chrono::TimeDelta;
use voicenter_simulator::{ApiGeneration, WorldOptions};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::database::Database;
use crate::support::dates::instant;

const LEDGER: &str = include_str!("ledgers/0_1_0.sql");
/// When version 0.1.0 ended its pass.
const ENDED: &str = "2026-11-28T16:19:58Z";
const START: &str = "2026-11-24T16:00:00Z";

/// The account of that ledger, some minutes later.
async fn ten_minutes_later(refusing: &[&str]) -> MirrorScene {
    let database = Arc::new(Database::new().await);
    database.execute(LEDGER).await;
    let mut simulator = simulated(ApiGeneration::Current);
    let world = WorldOptions { seed: 11, calls_per_day: 40.0, from: instant(START), ..simulator.world };
    simulator.world = WorldOptions { long_share: 0.0, ..world.unchanging() };
    simulator.refusals.names = refusing.iter().map(|name| (*name).to_owned()).collect();
    let now = instant(ENDED) + TimeDelta::minutes(10);
    let setup = Setup { account: "default", now, history: now - instant(START), ..Setup::new(simulator) };
    let scene = MirrorScene::on(database, ManualClock::new(now), setup).await;
    // Only the simulator's port is another one.
    sqlx::query("update cdr_sync.account set scope = $1")
        .bind(&scene.account.scope)
        .execute(&mut scene.database.sql().await)
        .await
        .unwrap();
    scene
}

#[tokio::test]
async fn what_version_0_1_0_left_without_some_fields_heals_at_the_first_start() {
    let bare = "select count(*) from voicenter.cdr where cdr_type is null";
    // As the server was, and after it has learned the key that it refused.
    for refusing in [&["version"][..], &[]] {
        let scene = ten_minutes_later(refusing).await;
        let rows = scene.database.count("select count(*) from voicenter.cdr").await;
        assert_eq!((scene.database.count(bare).await, rows), (101, 101), "the ledger is what it says");
        scene.pass().await;
        assert_eq!(scene.database.count(bare).await, 0);
        scene.assert_mirrors().await;
        scene.assert_complete().await;
        assert_eq!(
            scene.database.count("select count(*) from voicenter.cdr where removed_at is not null").await,
            0
        );
        let requests = scene.simulator.requests().len();
        assert!(requests <= 8, "{requests} requests");
        scene.pass().await;
        let again = scene.simulator.requests().len() - requests;
        // A start looks at the zone and tries what was refused; then the newest and the lookback are read.
        assert!(again <= 6, "{again} requests: nothing is read again for it");
    }
}
