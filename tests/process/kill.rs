//! SIGKILL at random moments: nothing is lost, and the cursor never promises more than the table holds.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use crate::compare::assert_mirrors;
use crate::scene::{Scene, ended};

/// `history_from` and `synced_until`, once there are any.
async fn cursor(url: &str) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let there: (bool,) = sqlx::query_as("select to_regclass('cdr_sync.cursor') is not null")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if !there.0 {
        return None;
    }
    let row: Option<(Option<DateTime<Utc>>, Option<DateTime<Utc>>)> =
        sqlx::query_as("select history_from, synced_until from cdr_sync.cursor")
            .fetch_optional(&mut connection)
            .await
            .unwrap();
    let (from, until) = row?;
    Some((from?, until?))
}

async fn assert_cursor_keeps_its_word(scene: &Scene) {
    if let Some((from, until)) = cursor(scene.database.url()).await {
        let truth = scene.simulator.truth(scene.now, from, until);
        assert_mirrors(scene.database.url(), "default", &truth, from, until).await;
    }
}

/// `CDR_SYNC_KILLS` asks for more kills, `CDR_SYNC_SEED` for other moments.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_loses_nothing_and_promises_nothing_it_does_not_hold() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (kills, seed) = (number("CDR_SYNC_KILLS", 8), number("CDR_SYNC_SEED", 1));
    println!("{kills} kills, seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let scene = Scene::new(8, 150).await;
    for _ in 0..kills {
        let before = scene.simulator.requests().len();
        let mut daemon = scene.command(&["run"]).spawn().unwrap();
        // Somewhere between the first start of the schema and the middle of the fourth answer.
        scene.asked(before + random.usize(0..5), Some(Instant::now() + Duration::from_millis(1500))).await;
        let moment = Instant::now() + Duration::from_micros(random.u64(0..60_000));
        while Instant::now() < moment {
            tokio::task::yield_now().await;
        }
        daemon.start_kill().unwrap();
        ended(&mut daemon).await;
        assert_cursor_keeps_its_word(&scene).await;
    }
    let (status, said) = scene.output(&["sync"]).await;
    assert_eq!(status, Some(0), "{said}");
    let truth = scene.simulator.truth(scene.now, scene.start, scene.now);
    assert!(truth.len() > 10_000, "{} records", truth.len());
    assert_mirrors(scene.database.url(), "default", &truth, scene.start, scene.now).await;
}
