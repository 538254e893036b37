//! Two hundred accounts cost no more round trips than two, wherever all of them are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cdr_sync::store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::store_postgres::scene::{StoreScene, at};
use crate::support::database::settings;

/// Passes a database on and counts its `ReadyForQuery`: one ends each round trip.
struct Proxy {
    url: String,
    round_trips: Arc<AtomicUsize>,
}

impl Proxy {
    async fn before(url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        let (host, port) = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        url.set_query(Some("sslmode=disable"));
        let round_trips = Arc::new(AtomicUsize::new(0));
        let counted = round_trips.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                tokio::spawn(pass_on(client, server, counted.clone()));
            }
        });
        Self { url: url.into(), round_trips }
    }

    /// The round trips that `work` takes.
    async fn count(&self, work: impl Future<Output = ()>) -> usize {
        let before = self.round_trips.load(Ordering::SeqCst);
        work.await;
        self.round_trips.load(Ordering::SeqCst) - before
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, round_trips: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    // A message is a letter, its length with the length's own four bytes, and what it says.
    while let Ok(letter) = from_server.read_u8().await {
        let length = from_server.read_u32().await.unwrap();
        let mut body = vec![0; length as usize - 4];
        from_server.read_exact(&mut body).await.unwrap();
        if letter == b'Z' {
            round_trips.fetch_add(1, Ordering::SeqCst);
        }
        let message = [&[letter], &length.to_be_bytes()[..], &body].concat();
        if to_client.write_all(&message).await.is_err() {
            break;
        }
    }
}

/// Accounts with something in every table that the page reads.
async fn add_accounts(scene: &StoreScene, from: usize, to: usize) {
    let text = LEDGER.replace("FROM", &from.to_string()).replace("TO", &to.to_string());
    scene.database.execute(&text).await;
}

const LEDGER: &str = "
create temporary table new on commit drop as select format('account %s', n) as name from generate_series(FROM, TO) n;
insert into cdr_sync.account (name, scope, scope_since, history_start) select name, '{}', now(), '2024-06-01Z' from new;
insert into cdr_sync.cursor (account) select name from new;
insert into cdr_sync.coverage (account, span, tier) select name, '[2024-06-01Z,2024-06-10Z)', '0' from new;
insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at)
select name, '[2024-06-10Z,2024-06-11Z)', 'unreadable', now(), now(), now() from new;
insert into cdr_sync.rejected (account, content_hash, raw, reason, first_seen_at, last_seen_at)
select name, 'x', '{}', 'no_call_id', now(), now() from new;
insert into cdr_sync.window_read
    (account, started_at, lane, span, reason, outcome, requests, seen, inserted, updated, unchanged, removed, rejected, elapsed)
select name, '2024-06-10T11:30Z', 'backfill', '[2024-06-02Z,2024-06-03Z)', 'backfill', 'whole', 3, 9, 9, 0, 0, 0, 0, '1 s' from new;
insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
select name, format('%s %s', name, n), '', '2024-06-02Z', now(), now() from new, generate_series(1, 30) n;";

#[tokio::test]
async fn two_hundred_accounts_take_as_many_round_trips_as_two() {
    let scene = StoreScene::new().await;
    let proxy = Proxy::before(scene.database.url()).await;
    let store = Store::connect(&settings(&proxy.url)).await.unwrap();
    let everything = async || {
        store.status().await.unwrap();
        store.overview().await.unwrap();
        store.activity(&names(), at(12, 0)).await.unwrap();
        store.last_successes().await.unwrap();
        store.shared_calls().await.unwrap();
        store.calls_by_hour(&names(), at(0, 0), at(12, 0)).await.unwrap();
    };
    add_accounts(&scene, 1, 1).await;
    let few = proxy.count(everything()).await;
    add_accounts(&scene, 2, 199).await;
    let many = proxy.count(everything()).await;
    // The pool tests a connection that it takes back, on its own time.
    assert!(many <= few + 1, "{many} round trips for 200 accounts, {few} for one");
    // And each account is reported by itself.
    let overviews = store.overview().await.unwrap();
    assert_eq!(overviews.len(), 200);
    for (status, overview) in overviews.iter().filter(|(status, _)| status.name.starts_with("account ")) {
        assert_eq!(overview.coverage.stretches().len(), 1);
        assert_eq!((overview.gaps.len(), status.gaps, status.rejected), (1, 1, 1));
        assert_eq!(overview.gaps[0].account, status.name);
        assert_eq!(overview.rejected, [("no_call_id".to_owned(), 1)]);
    }
    let activity = store.activity(&names(), at(12, 0)).await.unwrap();
    assert_eq!(activity.len(), 199);
    for activity in activity.values() {
        assert_eq!((activity.requests[0].hour, activity.requests[0].five_minutes), (3, 0));
        assert_eq!(activity.recent.len(), 1);
        assert!(activity.backfill.is_some());
    }
    // Only of those that are named.
    let one = store.activity(&names()[..1], at(12, 0)).await.unwrap();
    assert_eq!(one.into_keys().collect::<Vec<_>>(), ["account 1"]);
}

/// The names of the accounts that [`add_accounts`] adds.
fn names() -> Vec<String> {
    (1..=199).map(|n| format!("account {n}")).collect()
}

#[tokio::test]
async fn calls_shared_among_very_many_accounts_are_still_found() {
    let scene = StoreScene::new().await;
    add_accounts(&scene, 1, 120).await;
    let sql = "insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
               select account, n::text, '', now(), now(), now()
               from unnest(array['account 7', 'account 70']) as account, generate_series(1, 300) as n";
    scene.database.execute(sql).await;
    let pairs = scene.store.shared_calls().await.unwrap();
    let [pair] = pairs.as_slice() else { panic!("{pairs:?}") };
    assert_eq!((pair.account.as_str(), pair.other.as_str()), ("account 7", "account 70"));
    assert_eq!((pair.shared, pair.sampled), (600, 660));
}

/// Every account with the same calls is half a million pairs: each is reported with the first of them.
#[tokio::test]
async fn accounts_that_are_all_the_same_are_as_many_pairs_as_accounts() {
    let scene = StoreScene::new().await;
    add_accounts(&scene, 1, 150).await;
    let same = "update voicenter.cdr set call_id = split_part(call_id, ' ', 3)";
    scene.database.execute(same).await;
    let pairs = scene.store.shared_calls().await.unwrap();
    assert_eq!(pairs.len(), 149);
    for pair in pairs {
        assert_eq!((pair.account.as_str(), pair.shared, pair.sampled), ("account 1", 60, 60));
    }
}

#[tokio::test]
async fn the_tables_that_grow_are_measured() {
    let scene = StoreScene::new().await;
    let sizes = scene.store.table_sizes().await.unwrap();
    let names: Vec<&str> = sizes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["cdr_sync.rejected", "cdr_sync.window_read", "voicenter.cdr", "voicenter.cdr_history"]
    );
    assert!(sizes.iter().all(|(_, bytes)| *bytes > 0), "{sizes:?}");
}
