//! The endpoints, over a real database.

use std::time::Instant;

use cdr_sync::clock::{Clock, ManualClock};
use cdr_sync::http::{AccountSettings, PageSettings, Web, serve};
use cdr_sync::metrics::Metrics;
use cdr_sync::store::Store;
use cdr_sync::sync::status::ProgressWatch;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Response;
use serde_json::Value;
use sqlx::Connection as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::support::database::{Database, settings};
use crate::support::dates::instant;
use crate::support::polling::until;

pub fn now() -> DateTime<Utc> {
    instant("2026-11-23T10:20:30Z")
}

/// What serves an account that may make 30 requests a minute, under these names.
pub fn web(store: Store, clock: ManualClock, account: &str, hosts: Vec<String>) -> Web {
    let metrics = Metrics::new().unwrap();
    let watch = ProgressWatch::new(metrics.account(account));
    watch.update(|progress| (progress.leads, progress.overdue) = (true, TimeDelta::hours(150)));
    let shown = AccountSettings { requests_per_minute: 30, watch };
    let settings = PageSettings {
        poll_interval: TimeDelta::seconds(60),
        hosts,
        accounts: [(account.to_owned(), shown)].into(),
    };
    Web::new(store, Clock::Manual(clock), metrics, settings)
}

struct WebScene {
    database: Database,
    store: Store,
    web: Web,
    clock: ManualClock,
    address: String,
    _server: AbortOnDropHandle<()>,
}

impl WebScene {
    async fn new() -> Self {
        let database = Database::new().await;
        let store = Store::open(&settings(database.url())).unwrap();
        let clock = ManualClock::new(now());
        let web = web(store.clone(), clock.clone(), "sales", vec!["calls.example.com".into()]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = serve(listener, web.clone(), CancellationToken::new());
        let server = AbortOnDropHandle::new(tokio::spawn(serving));
        Self { database, store, web, clock, address, _server: server }
    }

    /// A scene whose database is migrated and holds a ledger.
    async fn with_ledger() -> Self {
        let scene = Self::new().await;
        scene.store.migrate().await.unwrap();
        scene.web.migrated();
        scene.database.execute(LEDGER).await;
        scene
    }

    async fn ask(&self, path: &str, host: Option<&str>) -> Response {
        cdr_sync::voicenter::install_crypto();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{}{path}", self.address));
        let request = host.into_iter().fold(request, |request, host| request.header("host", host));
        request.send().await.unwrap()
    }

    /// Status, type and body.
    async fn get(&self, path: &str) -> (u16, String, String) {
        let response = self.ask(path, None).await;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status().as_u16(), kind, response.text().await.unwrap())
    }

    /// The status and body of an answer to a request by this name.
    async fn by_name(&self, path: &str, host: &str) -> (u16, String) {
        let response = self.ask(path, Some(host)).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let (status, kind, body) = self.get(path).await;
        assert_eq!(kind, "application/json");
        (status, serde_json::from_str(&body).unwrap())
    }
}

const LEDGER: &str = "
insert into cdr_sync.account (name, scope, scope_since, history_start, last_success_at, last_error, last_error_at)
values ('sales', '{}', now(), '2026-11-01T00:00Z', '2026-11-23T10:00Z',
        'the API does not trust the address 192.0.2.7 (error 4: IP address 192.0.2.7 is not trusted.). Ask Voicenter to whitelist this address, or use a bearer token.',
        '2026-11-23T10:20Z'),
       ('left over', '{}', now(), '2026-11-01T00:00Z', null, null, null);
insert into cdr_sync.cursor (account, history_from, synced_until)
values ('sales', '2026-11-11T00:00Z', '2026-11-23T10:00Z'), ('left over', null, null);
insert into cdr_sync.coverage (account, span, tier) values ('sales', '[2026-11-11T00:00Z,2026-11-23T10:00Z)', '0');
insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at)
values ('sales', '[2026-11-10T23:45Z,2026-11-11T00:00Z)', 'unreadable', now(), now(), now());
insert into cdr_sync.rejected (account, content_hash, raw, reason, first_seen_at, last_seen_at)
values ('sales', 'x', '{\"CallerNumber\":\"0501234567\"}', 'no_call_id', now(), now());
insert into cdr_sync.lease (account, holder, holder_name, taken_at, expires_at)
values ('sales', 'x', 'host-1, process 7', now(), now() + interval '1 hour');
insert into cdr_sync.window_read
    (account, started_at, lane, span, reason, outcome, requests, seen, inserted, updated, unchanged, removed, rejected, elapsed)
values ('sales', '2026-11-23T10:00Z', 'live', '[2026-11-23T09:45Z,2026-11-23T10:00Z)', 'newest', 'whole', 2, 9, 9, 0, 0, 0, 0, '1 s'),
       ('sales', '2026-11-23T10:10Z', 'backfill', '[2026-11-11T00:00Z,2026-11-13T00:00Z)', 'backfill', 'whole', 1, 9, 9, 0, 0, 0, 0, '1 s');
insert into voicenter.cdr (account, call_id, type, started_at, caller_number, representative_name, first_seen_at, updated_at)
values ('sales', 'call-1', 'leg1', '2026-11-23T09:10Z', '0501234567', 'Dana Levi', now(), now()),
       ('sales', 'call-1', 'leg2', '2026-11-23T09:10Z', '0501234567', 'Dana Levi', now(), now()),
       ('sales', 'call-2', '', '2026-11-16T09:10Z', '0501234567', 'Dana Levi', now(), now());
insert into cdr_sync.day (account, day, rows) values ('sales', '2026-11-23', 2), ('sales', '2026-11-16', 1);
";

#[tokio::test]
async fn ready_means_migrated_and_a_database_that_answers() {
    let scene = WebScene::new().await;
    assert_eq!(scene.get("/livez").await.0, 200);
    let (status, _, body) = scene.get("/readyz").await;
    assert_eq!((status, body.contains("the schema is not up to date yet")), (503, true), "{body}");
    let (status, health) = scene.json("/healthz").await;
    assert_eq!((status, &health["ready"], &health["live"]), (503, &false.into(), &true.into()));
    scene.store.migrate().await.unwrap();
    scene.web.migrated();
    assert_eq!(scene.get("/readyz").await.0, 200);
    // The database goes. A second later that is seen: until then, however many ask, it is not asked again.
    scene.store.close().await;
    assert_eq!(scene.get("/readyz").await.0, 200);
    scene.clock.advance(TimeDelta::seconds(1));
    let (status, _, body) = scene.get("/readyz").await;
    assert_eq!((status, body.contains("the database")), (503, true), "{body}");
    assert_eq!(scene.get("/livez").await.0, 200);
}

#[tokio::test]
async fn metrics_tell_what_the_ledger_says_and_go_on_without_the_database() {
    let scene = WebScene::with_ledger().await;
    let (status, kind, text) = scene.get("/metrics").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "cdr_sync_database_up 1",
        "cdr_sync_lag_seconds{account=\"sales\"} 1230",
        "cdr_sync_gaps{account=\"sales\"} 1",
        "cdr_sync_rejected_records{account=\"sales\"} 1",
        // From the first to the eleventh day, less the gap.
        "cdr_sync_unread_seconds{account=\"sales\"} 863100",
        "cdr_sync_leader{account=\"sales\"} 0",
        "cdr_sync_gaps{account=\"left over\"} 0",
        "cdr_sync_table_bytes{table=\"voicenter.cdr\"} ",
        "cdr_sync_table_bytes{table=\"cdr_sync.window_read\"} ",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    scene.store.close().await;
    scene.clock.advance(TimeDelta::seconds(70));
    let (status, _, text) = scene.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("cdr_sync_database_up 0"), "{text}");
    assert!(text.contains("cdr_sync_lag_seconds{account=\"sales\"} 1300"), "{text}");
}

#[tokio::test]
async fn status_is_the_commands_and_the_overview_says_more() {
    let scene = WebScene::with_ledger().await;
    let (status, body) = scene.json("/api/status").await;
    assert_eq!(status, 200);
    let accounts = scene.store.overview().await.unwrap();
    let accounts = accounts.iter().map(|(status, overview)| (status, overview));
    assert_eq!(body, cdr_sync::health::status::json(accounts, now()));
    // Whoever asked may have written anything; the page gets no control characters.
    sqlx::raw_sql(
        "insert into cdr_sync.request (account, span, reason, state, progress)
         values ('sales', '[2026-11-01Z,2026-11-02Z)', E'a\\x1b[31m b', 'running', 0.25)",
    )
    .execute(&mut scene.database.sql().await)
    .await
    .unwrap();
    let (_, overview) = scene.json("/api/overview").await;
    let sales = &overview["accounts"][1];
    assert_eq!(sales["status"]["account"], "sales");
    assert_eq!(sales["state"], "behind");
    let work = &sales["work"][0];
    assert_eq!((&work["state"], &work["progress"]), (&"running".into(), &0.25.into()));
    assert!(!work["reason"].as_str().unwrap().contains('\x1b'), "{work}");
    // A page that is still open after an upgrade runs the older script, which reads these names.
    assert_eq!(sales["standing"], sales["state"]);
    for problem in sales["problems"].as_array().unwrap() {
        assert!(problem["mend"].is_string() && problem["mend"] == problem["advice"], "{problem}");
    }
    // The newest minutes are missing: the day must not look read.
    assert_eq!(sales["calendar"]["days"].as_array().unwrap().last().unwrap()["state"], "partly");
    assert_eq!(sales["calls"].as_array().unwrap().len(), 48);
    // Nobody has folded them yet; the other account has none that could be.
    assert_eq!(sales["building"], serde_json::json!({"folded": 0, "rows": 3}));
    assert_eq!(overview["accounts"][0]["building"], Value::Null);
    // Two legs are one call; a week before there was one, too.
    let nine = &sales["calls"][46];
    assert_eq!((&nine[0], &nine[1], &nine[2]), (&"2026-11-23T09:00:00Z".into(), &1.into(), &1.into()));
    assert_eq!(sales["budget"]["lanes"][0]["hour"], 2);
    // In 20 minutes and 30 seconds two days were read; ten, less the gap, are left.
    let eta = sales["eta_seconds"].as_i64().unwrap();
    assert!((3_000..3_300).contains(&eta), "{eta}");
    let texts: Vec<String> = sales["problems"].as_array().unwrap().iter().map(|p| p.to_string()).collect();
    let all = texts.join("\n");
    for expected in ["whitelist 192.0.2.7", "15 minutes could not be read", "no call id", "far behind"] {
        assert!(all.contains(expected), "{expected} is not in {all}");
    }
    assert!(
        overview["accounts"][0]["problems"][0]["text"].as_str().unwrap().contains("not in the configuration")
    );
}

/// A thousand accounts have millions of reads and calls: what is asked for every few seconds must not read them.
#[tokio::test]
async fn metrics_status_and_health_read_no_reads_no_calls_and_no_evidence() {
    let scene = WebScene::with_ledger().await;
    for table in ["cdr_sync.window_read", "cdr_sync.lateness", "cdr_sync.hour_count", "voicenter.cdr"] {
        scene
            .database
            .execute(&format!(
                "alter table {table} rename to not_there_{}",
                table.split('.').next_back().unwrap()
            ))
            .await;
    }
    let (_, _, metrics) = scene.get("/metrics").await;
    for line in ["cdr_sync_database_up 1", "cdr_sync_unread_seconds{account=\"sales\"} 863100"] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    for path in ["/api/status", "/healthz", "/readyz"] {
        let (status, _, body) = scene.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    let (_, overview) = scene.json("/api/overview").await;
    let failure = overview["database_failure"].as_str().unwrap();
    assert!(failure.contains("lateness") || failure.contains("window_read"), "{failure}");
    // What needs none of them is drawn all the same.
    assert_eq!(overview["accounts"][1]["state"], "behind");
    assert_eq!(overview["accounts"][1]["calls"], Value::Null);
}

#[tokio::test]
async fn metrics_do_not_wait_for_what_the_page_waits_for() {
    let scene = WebScene::with_ledger().await;
    scene.get("/metrics").await;
    scene.clock.advance(TimeDelta::seconds(3));
    let mut lock = scene.database.sql().await;
    sqlx::raw_sql("begin; lock table cdr_sync.lateness in access exclusive mode")
        .execute(&mut lock)
        .await
        .unwrap();
    let page = async {
        let answer = scene.json("/api/overview").await;
        (answer, Instant::now())
    };
    let others = async {
        let waits =
            "select count(*) from pg_locks where not granted and relation = 'cdr_sync.lateness'::regclass";
        until("the page waits", async || scene.database.count(waits).await == 1).await;
        scene.clock.advance(TimeDelta::seconds(3));
        let (status, _, metrics) = scene.get("/metrics").await;
        assert_eq!((status, metrics.contains("cdr_sync_database_up 1")), (200, true));
        assert_eq!(scene.get("/api/status").await.0, 200);
        let answered = Instant::now();
        lock.close().await.unwrap();
        answered
    };
    let (((status, _), page), others) = tokio::join!(page, others);
    assert_eq!((status, others < page), (200, true));
}

#[tokio::test]
async fn of_very_many_accounts_only_those_asked_for_are_described_in_full() {
    let scene = WebScene::with_ledger().await;
    let more = "insert into cdr_sync.account (name, scope, scope_since, history_start)
                select format('account & %s', n), '{}', now(), '2026-11-01T00:00Z' from generate_series(1, 60) n;
                insert into cdr_sync.cursor (account) select name from cdr_sync.account on conflict do nothing;";
    scene.database.execute(more).await;
    let full = async |path: &str| {
        let (status, overview) = scene.json(path).await;
        assert_eq!((status, &overview["database_failure"]), (200, &Value::Null));
        let accounts = overview["accounts"].as_array().unwrap().clone();
        assert_eq!(accounts.len(), 62);
        for account in &accounts {
            // Every account has what a line of the page says.
            assert!(account["status"].is_object() && account["problems"].is_array(), "{account}");
            let parts =
                ["calendar", "gaps", "budget", "recent", "calls"].map(|part| account.get(part).is_some());
            assert!(parts == [true; 5] || parts == [false; 5], "{account}");
        }
        let full = accounts.iter().filter(|account| account.get("recent").is_some());
        full.map(|account| account["status"]["account"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(full("/api/overview").await, Vec::<String>::new());
    let asked = "/api/overview?account=sales&account=account+%26+7&account=unknown&other=account+%26+8";
    assert_eq!(full(asked).await, ["account & 7", "sales"]);
    let all: String = (1..=60).map(|n| format!("account=account+%26+{n}&")).collect();
    assert_eq!(full(&format!("/api/overview?{all}")).await.len(), 40);
}

#[tokio::test]
async fn nothing_shows_a_number_a_name_or_a_call() {
    let scene = WebScene::with_ledger().await;
    for path in ["/", "/api/status", "/api/overview", "/metrics", "/healthz", "/readyz"] {
        let (status, _, body) = scene.get(path).await;
        assert_eq!(status, 200, "{path}");
        for secret in ["0501234567", "Dana", "call-1", "postgres://"] {
            assert!(!body.contains(secret), "{path} shows {secret}");
        }
    }
    let (status, _, body) = scene.get("/nothing").await;
    assert_eq!((status, body.contains("/metrics")), (404, true));
}

#[tokio::test]
async fn the_page_lets_nothing_run_but_its_own_script() {
    let scene = WebScene::new().await;
    let response = scene.ask("/", None).await;
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
}

/// A web site whose name leads to this address would read the page by its visitor's browser.
#[tokio::test]
async fn a_name_that_nobody_configured_is_refused_except_for_probes() {
    let scene = WebScene::with_ledger().await;
    for path in ["/", "/api/status", "/api/overview", "/nothing"] {
        let (status, body) = scene.by_name(path, "rebound.example:8080").await;
        assert_eq!((status, body.contains("http.hosts")), (421, true), "{path}: {body}");
    }
    for path in ["/livez", "/readyz", "/healthz", "/metrics"] {
        assert_eq!(scene.by_name(path, "cdr-sync.calls.svc").await.0, 200, "{path}");
    }
    for own in ["localhost:8080", "127.0.0.1", "[::1]:8080", "10.0.0.7", "Calls.Example.com."] {
        assert_eq!(scene.by_name("/api/status", own).await.0, 200, "{own}");
    }
}

/// What a configuration that was read again shows.
#[tokio::test]
async fn what_is_shown_can_be_replaced_while_it_is_served() {
    let scene = WebScene::with_ledger().await;
    let settings = PageSettings { hosts: vec!["other.example.com".into()], ..PageSettings::default() };
    scene.web.show(scene.store.clone(), Metrics::new().unwrap(), settings);
    assert_eq!(scene.get("/readyz").await.0, 503, "not migrated");
    scene.web.migrated();
    assert_eq!(scene.get("/readyz").await.0, 200);
    assert_eq!(scene.by_name("/api/status", "other.example.com").await.0, 200);
    assert_eq!(scene.by_name("/api/status", "calls.example.com").await.0, 421);
}
