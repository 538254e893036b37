//! While the database takes nothing, notifications wait on disk, or Voicenter is asked to repeat them.

use std::fs;

use futures_util::future::join_all;
use sqlx::{Executor as _, PgConnection};

use crate::push::scene::{KEPT, PushScene, record};
use crate::support::database::sql;
use crate::support::polling::until;

/// Somebody has locked the table: the database answers, but not in time.
async fn lock(scene: &PushScene) -> PgConnection {
    let mut connection = scene.database.sql().await;
    connection.execute("begin; lock table cdr_sync.push in access exclusive mode").await.unwrap();
    connection
}

#[tokio::test]
async fn a_database_that_is_too_slow_is_spared_and_gets_all_of_them_in_their_order() {
    let scene = PushScene::new().await;
    let _daemon = scene.start(scene.with_spool()).await;
    assert_eq!(scene.push(&record("0")).await.body, KEPT);
    let mut slow = lock(&scene).await;
    for call in ["1", "2", "3", "1"] {
        assert_eq!(scene.push(&record(call)).await.body, KEPT, "{call}");
    }
    fs::write(scene.folder.path().join("spool/notes.txt"), "of somebody else").unwrap();
    let metrics = scene.metrics().await;
    assert!(metrics.contains("outcome=\"spooled\"} 4\n"), "{metrics}");
    let sent_until = cdr_sync::clock::Clock::System.now();
    slow.execute("rollback").await.unwrap();
    until("an empty spool", async || scene.spooled() == 0).await;
    assert_eq!(
        scene.stored().await,
        ["0 Queue understood x1", "1 Queue understood x2", "2 Queue understood x1", "3 Queue understood x1"]
    );
    let order = "select call_id from cdr_sync.push order by received_at";
    assert_eq!(scene.database.lines(order).await, ["0", "1", "2", "3"]);
    // They keep the time at which they came.
    let last = "select count(*) from cdr_sync.push where last_received_at <= '";
    let last = format!("{last}{}'", sent_until.to_rfc3339());
    assert_eq!(scene.database.count(&last).await, 4);
    until("a word about it", async || {
        let log = scene.log();
        ["pushes_not_stored", "pushes_stored_again", "spool_moved"].iter().all(|event| log.contains(event))
    })
    .await;
}

#[tokio::test]
async fn without_a_spool_voicenter_is_asked_to_repeat_it() {
    let scene = PushScene::new().await;
    let _daemon = scene.ready(scene.command()).await;
    assert_eq!(scene.push(&record("0")).await.body, KEPT);
    let mut slow = lock(&scene).await;
    let answered = scene.push(&record("1")).await;
    assert_eq!(answered.status, 503);
    assert!(answered.body.starts_with("{\"Err\":2,"), "{answered:?}");
    slow.execute("rollback").await.unwrap();
    until("the repeat", async || scene.push(&record("1")).await.body == KEPT).await;
}

#[tokio::test]
async fn two_daemons_and_a_start_empty_a_spool_that_another_one_filled() {
    let scene = PushScene::new().await;
    let first = scene.start(scene.with_spool()).await;
    let mut slow = lock(&scene).await;
    let pushing = (0..20).map(async |call| scene.push(&record(&format!("{call:02}"))).await.body);
    assert_eq!(join_all(pushing).await, [KEPT; 20]);
    drop(first);
    assert_eq!(scene.spooled(), 20);
    let damaged = scene.folder.path().join("spool/00000000000000000001-damaged.push");
    fs::write(&damaged, "{\"format\":1}\nnothing").unwrap();
    let second = PushScene::new().await;
    let mut beside = scene.with_spool();
    beside.env("CDR_SYNC__PUSH__LISTEN", &second.address).env("CDR_SYNC__HTTP__LISTEN", "");
    let _first = scene.start(scene.with_spool()).await;
    let _second = second.start(beside).await;
    slow.execute("rollback").await.unwrap();
    until("an empty spool", async || scene.spooled() == 1).await;
    assert!(damaged.exists());
    let stored = scene.stored().await;
    assert_eq!(stored.len(), 20);
    assert!(stored.iter().all(|row| row.ends_with("Queue understood x1")), "{stored:?}");
    until("a word about the damaged one", async || scene.log().contains("spool_files_left")).await;
}

#[tokio::test]
async fn a_database_that_lets_nobody_in_is_waited_for() {
    let scene = PushScene::new().await;
    let _daemon = scene.ready(scene.with_spool()).await;
    assert_eq!(scene.push(&record("0")).await.body, KEPT);
    let name = scene.database.name();
    // A database cannot be shut from inside.
    let other = scene.database.url().replace(name, "postgres");
    let mut outside = sql(&other).await;
    let shut = format!(
        "alter database \"{name}\" allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(shut)).execute(&mut outside).await.unwrap();
    for call in ["1", "2"] {
        assert_eq!(scene.push(&record(call)).await.body, KEPT);
    }
    assert_eq!(scene.spooled(), 2);
    let open = format!("alter database \"{name}\" allow_connections true");
    sqlx::raw_sql(sqlx::AssertSqlSafe(open)).execute(&mut outside).await.unwrap();
    until("an empty spool", async || scene.spooled() == 0).await;
    assert_eq!(scene.stored().await.len(), 3);
}
