//! A database that loses what it had acknowledged, one that is slow, and connections that go bad.

use std::time::Duration;

use cdr_sync::store::commit::Commit;
use cdr_sync::store::{Store, StoreError};
use cdr_sync::window::Window;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdrs, claim, hour};
use crate::support::database::settings;

/// All rows that a comparison may count.
const ALL: i64 = i64::MAX;

#[tokio::test]
async fn a_commit_that_the_database_lost_is_noticed_by_the_next() {
    let scene = StoreScene::new().await;
    scene.database.execute("create table before as select * from cdr_sync.cursor").await;
    scene.store(&cdrs(100, at(8, 0))).await;
    // What a failover to a replica that lagged behind leaves, and a restored snapshot.
    scene.database.execute("delete from voicenter.cdr; delete from cdr_sync.day;
         update cdr_sync.cursor c set commits = b.commits, updated_at = b.updated_at from before b where b.account = c.account",
    )
    .await;

    let next = cdrs(5, at(9, 0));
    let refused = scene.store.commit(&scene.commit(&next, at(12, 0))).await;
    assert_eq!(refused, Err(StoreError::CommitsLost));

    let count = scene.store.load(ACCOUNT).await.unwrap().count;
    let done = scene.store.commit(&Commit { count: &count, ..scene.commit(&next, at(12, 0)) }).await.unwrap();
    assert_eq!(done.inserted, 5);
}

#[tokio::test]
async fn rows_that_somebody_deleted_no_longer_count_as_read() {
    let scene = StoreScene::new().await;
    for h in [8, 9] {
        scene.read(hour(h), &cdrs(50, at(h, 0))[..], at(12, 0)).await;
    }
    let compare = async || {
        let count = std::sync::Arc::new(scene.store.load(ACCOUNT).await.unwrap().count);
        scene.store.compare_days(ACCOUNT, scene.fence, &count, None, ALL).await.unwrap()
    };
    // The same CallIDs at another hour moved; nothing is missing.
    assert_eq!(compare().await.lost_rows, 0);
    let day = Window::new(at(0, 0), at(23, 59)).unwrap();
    assert!(!scene.store.load(ACCOUNT).await.unwrap().coverage.stretches().is_empty());

    scene.database.execute("delete from voicenter.cdr where call_id < '000010'").await;
    let found = compare().await;
    assert_eq!((found.lost_days, found.lost_rows), (1, 10));
    let coverage = scene.store.load(ACCOUNT).await.unwrap().coverage;
    assert_eq!(coverage.holes(day), [day]);
    // It was reported once; what is there is what counts now.
    assert_eq!(compare().await.lost_rows, 0);
}

#[tokio::test]
async fn more_rows_than_were_counted_are_no_loss() {
    let scene = StoreScene::new().await;
    scene.read(hour(8), &cdrs(50, at(8, 0)), at(12, 0)).await;
    // A program of an earlier version stores and does not count.
    scene
        .database
        .execute(
            "insert into voicenter.cdr (account, call_id, started_at, first_seen_at, updated_at)
         select account, call_id || 'x', started_at, now(), now() from voicenter.cdr",
        )
        .await;
    let count = std::sync::Arc::new(scene.store.load(ACCOUNT).await.unwrap().count);
    let found = scene.store.compare_days(ACCOUNT, scene.fence, &count, None, ALL).await.unwrap();
    assert_eq!(found.lost_days, 0);
    scene.database.execute("delete from voicenter.cdr where call_id = '000001x'").await;
    let found = scene.store.compare_days(ACCOUNT, scene.fence, &count, None, ALL).await.unwrap();
    assert_eq!((found.lost_days, found.lost_rows), (1, 1));
}

#[tokio::test]
async fn a_day_that_only_a_program_of_an_earlier_version_stored_is_compared_as_well() {
    let scene = StoreScene::new().await;
    scene.read(hour(8), &cdrs(50, at(8, 0)), at(12, 0)).await;
    scene.database.execute("delete from cdr_sync.day").await;
    let compare = async || {
        let count = std::sync::Arc::new(scene.store.load(ACCOUNT).await.unwrap().count);
        scene.store.compare_days(ACCOUNT, scene.fence, &count, None, ALL).await.unwrap()
    };
    assert_eq!(compare().await.lost_days, 0);
    scene.database.execute("truncate voicenter.cdr").await;
    let found = compare().await;
    assert_eq!((found.lost_days, found.lost_rows), (1, 50));
}

#[tokio::test]
async fn days_of_which_nothing_was_noted_are_not_all_counted_at_once() {
    let scene = StoreScene::new().await;
    scene
        .database
        .execute(
            "insert into voicenter.cdr (account, call_id, started_at, first_seen_at, updated_at)
         select account, i::text, timestamptz '2026-01-01Z' + i * interval '1 day', now(), now()
         from cdr_sync.cursor, generate_series(1, 100) as i",
        )
        .await;
    let (mut below, mut rounds) = (None, 0);
    loop {
        let count = std::sync::Arc::new(scene.store.load(ACCOUNT).await.unwrap().count);
        let found = scene.store.compare_days(ACCOUNT, scene.fence, &count, below, 200_000).await.unwrap();
        assert_eq!(found.lost_days, 0);
        (below, rounds) = (found.down_to, rounds + 1);
        if below.is_none() {
            break;
        }
    }
    assert_eq!(rounds, 11, "ten days each, and none");
    assert_eq!(scene.database.count("select sum(rows)::bigint from cdr_sync.day").await, 100);
}

/// As much as a slow disk or somebody's trigger costs: 20 ms a row.
const SLOW: &str = "
create function public.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.02); return new; end $$;
create trigger slow before insert on voicenter.cdr for each row execute function public.slow()";

#[tokio::test]
async fn a_merge_that_takes_too_long_is_made_smaller() {
    let scene = StoreScene::new().await;
    scene.database.execute(SLOW).await;
    let mut settings = settings(scene.database.url());
    // Too short for all of them, and long for any other statement.
    settings.statement_timeout = Duration::from_secs(3);
    let store = Store::connect(&settings).await.unwrap();
    let records = cdrs(200, at(8, 0));
    let claims = [claim(hour(8), at(12, 0))];
    let commit = Commit { claims: &claims, ..scene.commit(&records, at(12, 0)) };
    let done = store.commit(&commit).await.unwrap();
    assert_eq!((done.inserted, done.unchanged), (200, 0));
    assert!(done.coverage.covers(hour(8)));
    let again = store.commit(&commit).await.unwrap();
    assert_eq!((again.inserted, again.updated, again.unchanged), (0, 0, 200));
}

#[tokio::test]
async fn a_connection_that_met_a_read_only_database_is_not_used_again() {
    let scene = StoreScene::new().await;
    let name = scene.database.lines("select current_database()::text").await.remove(0);
    scene.database.execute(&format!("alter database {name} set default_transaction_read_only = on")).await;
    let mut settings = settings(scene.database.url());
    settings.max_connections = 1;
    let store = Store::open(&settings).unwrap();
    let records = cdrs(3, at(8, 0));
    let commit = scene.commit(&records, at(12, 0));
    assert!(store.commit(&commit).await.unwrap_err().is_unavailable());
    // A database that only reads is not ready for a daemon that writes.
    assert!(store.takes_writes().await.unwrap_err().is_unavailable());

    scene
        .database
        .execute(&format!(
            "set transaction_read_only = off; alter database {name} reset default_transaction_read_only"
        ))
        .await;
    assert_eq!(store.commit(&commit).await.unwrap().inserted, 3);
}

/// A way to the database whose connections can die without a word, as behind a firewall that forgets them.
struct Wire {
    url: String,
    alive: watch::Sender<u32>,
}

impl Wire {
    async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let parsed = url::Url::parse(url).unwrap();
        let server = (parsed.host_str().unwrap().to_owned(), parsed.port().unwrap_or(5432));
        let mut wire = parsed.clone();
        wire.set_host(Some("127.0.0.1")).unwrap();
        wire.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (alive, lives) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (server, mut lives) = (server.clone(), lives.clone());
                lives.mark_unchanged();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = lives.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url: wire.into(), alive }
    }

    /// What is connected now stays so, and nothing passes any more.
    fn forget_connections(&self) {
        self.alive.send_modify(|generation| *generation += 1);
    }
}

#[tokio::test]
async fn connections_that_died_without_a_word_are_replaced_within_seconds() {
    let scene = StoreScene::new().await;
    let wire = Wire::to(scene.database.url()).await;
    let store = Store::open(&settings(&wire.url)).unwrap();
    let held = futures_util::future::join_all((0..4).map(|_| store.ping())).await;
    assert!(held.into_iter().all(|pinged| pinged.is_ok()));
    wire.forget_connections();
    let began = std::time::Instant::now();
    let records = cdrs(3, at(8, 0));
    let stored = store.commit(&scene.commit(&records, at(12, 0))).await;
    assert_eq!(stored.unwrap().inserted, 3);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

/// A trigger that is still at work when its connection dies, and done soon after.
const AT_WORK: &str = "
create function public.works() returns trigger language plpgsql as $$ begin perform pg_sleep(1); return null; end $$;
create trigger works after insert on voicenter.cdr for each statement execute function public.works()";

#[tokio::test]
async fn a_connection_that_dies_in_the_middle_of_a_commit_costs_seconds() {
    let scene = StoreScene::new().await;
    scene.database.execute(AT_WORK).await;
    let wire = Wire::to(scene.database.url()).await;
    let store = Store::open(&settings(&wire.url)).unwrap();
    let records = cdrs(3, at(8, 0));
    let commit = scene.commit(&records, at(12, 0));
    let began = std::time::Instant::now();
    let (stored, ()) = tokio::join!(store.commit(&commit), async {
        let merging = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
        while scene.database.count(merging).await == 0 {}
        wire.forget_connections();
    });
    assert!(stored.unwrap_err().is_unavailable());
    assert_eq!(store.commit(&commit).await.unwrap().inserted, 3);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn work_that_may_take_long_ends_when_its_connection_died_without_a_word() {
    let scene = StoreScene::new().await;
    let wire = Wire::to(scene.database.url()).await;
    let store = Store::open(&settings(&wire.url)).unwrap();
    let mut other = scene.database.sql().await;
    sqlx::raw_sql("begin; select from cdr_sync.cursor for update").execute(&mut other).await.unwrap();
    let began = std::time::Instant::now();
    let (renamed, ()) = tokio::join!(store.rename_account(ACCOUNT, "new"), async {
        let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        while scene.database.count(waits).await == 0 {}
        wire.forget_connections();
        sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    });
    assert!(renamed.unwrap_err().is_unavailable());
    store.rename_account(ACCOUNT, "new").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
