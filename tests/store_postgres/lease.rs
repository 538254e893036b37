//! One leader at a time.

use std::time::Duration;

use cdr_sync::store::StoreError;
use cdr_sync::store::commit::Commit;
use cdr_sync::store::lease::{Holder, Taken};
use sqlx::Connection as _;

use crate::scene::{ACCOUNT, Scene, at, cdrs};

const TTL: Duration = Duration::from_secs(30);

fn holder(id: &str) -> Holder {
    Holder { id: id.into(), name: format!("host-{id}") }
}

fn alive(_: &str) -> bool {
    false
}

async fn expire(scene: &Scene) {
    sqlx::raw_sql("update cdr_sync.lease set expires_at = clock_timestamp() - interval '1 second'")
        .execute(&mut scene.sql().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_is_over_or_released() {
    let scene = Scene::new().await;
    let (a, b) = (holder("a"), holder("b"));
    assert_eq!(scene.store.take_lease(ACCOUNT, &a, TTL, alive).await.unwrap(), Taken::Ours { fence: 1 });
    let Taken::HeldBy { name, expires_in } = scene.store.take_lease(ACCOUNT, &b, TTL, alive).await.unwrap()
    else {
        panic!("two leaders");
    };
    assert!(name == "host-a" && expires_in <= TTL && expires_in > TTL / 2);
    assert!(scene.store.renew_lease(ACCOUNT, &a, TTL).await.unwrap());
    expire(&scene).await;
    assert_eq!(scene.store.take_lease(ACCOUNT, &b, TTL, alive).await.unwrap(), Taken::Ours { fence: 2 });
    assert!(!scene.store.renew_lease(ACCOUNT, &a, TTL).await.unwrap());
    scene.store.release_lease(ACCOUNT, &b).await.unwrap();
    assert_eq!(scene.store.take_lease(ACCOUNT, &a, TTL, alive).await.unwrap(), Taken::Ours { fence: 3 });
}

#[tokio::test]
async fn the_lease_of_a_holder_known_to_be_dead_is_taken_at_once() {
    let scene = Scene::new().await;
    scene.store.take_lease(ACCOUNT, &holder("a"), TTL, alive).await.unwrap();
    let taken = scene.store.take_lease(ACCOUNT, &holder("b"), TTL, |id| id == "a").await.unwrap();
    assert_eq!(taken, Taken::Ours { fence: 2 });
}

#[tokio::test]
async fn of_many_that_ask_at_once_one_leads() {
    let scene = Scene::new().await;
    let ask = |id: &'static str| {
        let store = scene.store.clone();
        async move { store.take_lease(ACCOUNT, &holder(id), TTL, alive).await.unwrap() }
    };
    let (a, b, c) = tokio::join!(ask("a"), ask("b"), ask("c"));
    let leaders = [a, b, c].iter().filter(|lease| matches!(lease, Taken::Ours { .. })).count();
    assert_eq!(leaders, 1);
}

#[tokio::test]
async fn a_new_leader_fences_the_old_one_off() {
    let scene = Scene::new().await;
    scene.store.take_lease(ACCOUNT, &holder("a"), TTL, alive).await.unwrap();
    let records = cdrs(2, at(1, 0));
    let old = Commit { fence: 1, ..scene.commit(&records, at(12, 0)) };
    scene.store.commit(&old).await.unwrap();
    expire(&scene).await;
    scene.store.take_lease(ACCOUNT, &holder("b"), TTL, alive).await.unwrap();
    assert_eq!(scene.store.commit(&old).await, Err(StoreError::Fenced));
}

#[tokio::test]
async fn a_leader_stuck_inside_a_commit_is_ended_after_five_seconds() {
    let scene = Scene::new().await;
    let mut conn = scene.sql().await;
    let mut stuck = conn.begin().await.unwrap();
    sqlx::raw_sql("select from cdr_sync.cursor for update").execute(&mut *stuck).await.unwrap();
    let taken = scene.store.take_lease(ACCOUNT, &holder("b"), TTL, alive).await.unwrap();
    assert_eq!(taken, Taken::Ours { fence: 1 });
    assert!(sqlx::raw_sql("select 1").execute(&mut *stuck).await.is_err());
}
