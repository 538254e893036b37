//! One leader at a time.

use std::time::Duration;

use cdr_sync::store::commit::Commit;
use cdr_sync::store::lease::{Holder, Taken};
use cdr_sync::store::{Store, StoreError};
use sqlx::Connection as _;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdrs};
use crate::support::database::settings;

const TTL: Duration = Duration::from_secs(30);

fn holder(id: &str) -> Holder {
    Holder { id: id.into(), name: format!("host-{id}") }
}

fn alive(_: &str) -> bool {
    false
}

async fn expire(scene: &StoreScene) {
    scene
        .database
        .execute("update cdr_sync.lease set expires_at = clock_timestamp() - interval '1 second'")
        .await;
}

async fn renewed(scene: &StoreScene, holder: &Holder) -> Option<bool> {
    let accounts = [ACCOUNT.to_owned(), "another".to_owned()];
    let renewed = scene.store.renew_leases(&accounts, holder, TTL).await.unwrap();
    assert!(renewed.keys().all(|account| account == ACCOUNT));
    renewed.get(ACCOUNT).copied()
}

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_is_over_or_released() {
    let scene = StoreScene::new().await;
    let (a, b) = (holder("a"), holder("b"));
    assert_eq!(scene.store.take_lease(ACCOUNT, &a, TTL, alive).await.unwrap(), Taken::Ours { fence: 1 });
    let Taken::HeldBy { name, expires_in } = scene.store.take_lease(ACCOUNT, &b, TTL, alive).await.unwrap()
    else {
        panic!("two leaders");
    };
    assert!(name == "host-a" && expires_in <= TTL && expires_in > TTL / 2);
    assert_eq!(renewed(&scene, &a).await, Some(true));
    expire(&scene).await;
    assert_eq!(scene.store.take_lease(ACCOUNT, &b, TTL, alive).await.unwrap(), Taken::Ours { fence: 2 });
    assert_eq!(renewed(&scene, &a).await, None);
    scene.store.release_lease(ACCOUNT, &b).await.unwrap();
    assert_eq!(scene.store.take_lease(ACCOUNT, &a, TTL, alive).await.unwrap(), Taken::Ours { fence: 3 });
}

#[tokio::test]
async fn the_lease_of_a_holder_known_to_be_dead_is_taken_at_once() {
    let scene = StoreScene::new().await;
    scene.store.take_lease(ACCOUNT, &holder("a"), TTL, alive).await.unwrap();
    let taken = scene.store.take_lease(ACCOUNT, &holder("b"), TTL, |id| id == "a").await.unwrap();
    assert_eq!(taken, Taken::Ours { fence: 2 });
}

#[tokio::test]
async fn of_many_that_ask_at_once_one_leads() {
    let scene = StoreScene::new().await;
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
    let scene = StoreScene::new().await;
    scene.store.take_lease(ACCOUNT, &holder("a"), TTL, alive).await.unwrap();
    let records = cdrs(2, at(1, 0));
    let old = Commit { fence: 1, ..scene.commit(&records, at(12, 0)) };
    scene.store.commit(&old).await.unwrap();
    expire(&scene).await;
    scene.store.take_lease(ACCOUNT, &holder("b"), TTL, alive).await.unwrap();
    assert_eq!(scene.store.commit(&old).await, Err(StoreError::Fenced));
}

#[tokio::test]
async fn a_leader_stuck_inside_a_commit_is_ended_after_a_moment() {
    let scene = StoreScene::new().await;
    let mut conn = scene.database.sql().await;
    let mut stuck = conn.begin().await.unwrap();
    sqlx::raw_sql("select from cdr_sync.cursor for update").execute(&mut *stuck).await.unwrap();
    let taken = scene.store.take_lease(ACCOUNT, &holder("b"), TTL, alive).await.unwrap();
    assert_eq!(taken, Taken::Ours { fence: 1 });
    assert!(sqlx::raw_sql("select 1").execute(&mut *stuck).await.is_err());
}

#[tokio::test]
async fn leases_are_renewed_while_every_connection_for_commits_is_busy() {
    let scene = StoreScene::new().await;
    let a = holder("a");
    let mut settings = settings(scene.database.url());
    settings.max_connections = 2;
    let store = Store::open(&settings).unwrap();
    let Taken::Ours { fence } = store.take_lease(ACCOUNT, &a, TTL, alive).await.unwrap() else {
        panic!("nobody leads");
    };
    let mut other = scene.database.sql().await;
    sqlx::raw_sql("begin; select from cdr_sync.cursor for update").execute(&mut other).await.unwrap();
    let records = cdrs(1, at(1, 0));
    let commit = Commit { fence, ..scene.commit(&records, at(12, 0)) };
    let commits = futures_util::future::join_all([store.commit(&commit), store.commit(&commit)]);
    let renewed = async {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        while scene.database.count(waiting).await < 2 {}
        let renewed = store.renew_leases(&[ACCOUNT.to_owned()], &a, TTL).await.unwrap();
        let waiting = scene.database.count(waiting).await;
        (renewed[ACCOUNT], waiting)
    };
    tokio::select! {
        _ = commits => panic!("a commit ended though its row is locked"),
        renewed = renewed => assert_eq!(renewed, (true, 2)),
    }
}

#[tokio::test]
async fn an_account_that_is_being_taken_over_does_not_hold_up_the_leases_of_others() {
    let scene = StoreScene::new().await;
    let a = holder("a");
    let accounts = [ACCOUNT.to_owned(), "another".to_owned()];
    for account in &accounts {
        scene.store.take_lease(account, &a, TTL, alive).await.unwrap();
    }
    let mut other = scene.database.sql().await;
    let locked = sqlx::query("select from cdr_sync.lease where account = $1 for update").bind(ACCOUNT);
    sqlx::raw_sql("begin").execute(&mut other).await.unwrap();
    locked.execute(&mut other).await.unwrap();
    let renewed = scene.store.renew_leases(&accounts, &a, TTL).await.unwrap();
    assert_eq!((renewed[ACCOUNT], renewed["another"]), (false, true));
}

#[tokio::test]
async fn a_lease_that_is_held_is_looked_at_without_locking_it() {
    let scene = StoreScene::new().await;
    scene.store.take_lease(ACCOUNT, &holder("a"), TTL, alive).await.unwrap();
    let mut other = scene.database.sql().await;
    sqlx::raw_sql("begin; select from cdr_sync.lease for update").execute(&mut other).await.unwrap();
    let mut settings = settings(scene.database.url());
    settings.lock_timeout = Duration::from_millis(100);
    let standby = Store::open(&settings).unwrap();
    let taken = standby.take_lease(ACCOUNT, &holder("b"), TTL, alive).await;
    assert!(matches!(taken, Ok(Taken::HeldBy { .. })), "{taken:?}");
}

#[tokio::test]
async fn a_role_with_few_connections_shares_them() {
    let scene = StoreScene::new().await;
    let database = scene.database.lines("select current_database()::text").await.remove(0);
    let role = format!("few_{database}");
    let make = format!(
        "create role {role} login password 'few' connection limit 2;
         grant all on schema cdr_sync to {role}; grant all on all tables in schema cdr_sync to {role}"
    );
    scene.database.execute(&make).await;
    let mut url = url::Url::parse(scene.database.url()).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("few")).unwrap();
    let store = Store::open(&settings(url.as_str())).unwrap();
    let page = store.beside(2, Duration::from_secs(30));
    let (a, b) = tokio::join!(store.ping(), store.ping());
    assert_eq!((a, b), (Ok(()), Ok(())));
    store.take_lease(ACCOUNT, &holder("a"), TTL, alive).await.unwrap();
    for _ in 0..2 {
        let renewing = store.renew_leases(&[ACCOUNT.to_owned()], &holder("a"), TTL).await;
        let (reading, writing) = tokio::join!(page.ping(), page.takes_writes());
        assert_eq!((renewing.map(|renewed| renewed[ACCOUNT]), reading, writing), (Ok(true), Ok(()), Ok(())));
    }
    store.close().await;
    let end = format!("drop owned by {role}; drop role {role}");
    scene.database.execute(&end).await;
}
