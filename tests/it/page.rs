//! The status page in a real browser: Debian's Chromium, headless.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Html;
use axum::routing::get;
use cdr_sync::clock::ManualClock;
use cdr_sync::store::Store;
use chrono::TimeDelta;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

use crate::http::{now, web};
use crate::support::database::{Database, execute, settings};
use crate::support::folder::Folder;
use crate::support::pushes::pushes;

const ACCOUNT: &str = "sales <b>&amp; service</b>";
/// What the clock of `crate::http` says, in SQL.
const NOW: &str = "timestamptz '2026-11-23T10:20:30Z'";

struct PageScene {
    address: String,
    overviews: Arc<AtomicU32>,
    _server: AbortOnDropHandle<()>,
    database: Database,
}

impl PageScene {
    /// An account with some days read, shown by the real endpoints. `between` is run when a page asks for its data
    /// for the third time.
    async fn new(between: &'static str) -> Self {
        let database = Database::migrated().await;
        let store = Store::open(&settings(database.url())).unwrap();
        let clock = ManualClock::new(now());
        let web = web(store, clock.clone(), ACCOUNT, Vec::new());
        web.migrated();
        let overviews = Arc::new(AtomicU32::new(0));
        let (counted, url) = (overviews.clone(), database.url().to_owned());
        let (frame, opener) = (Html(FRAME), Html(OPENER));
        let router = web.router().route("/frame", get(async move || frame));
        let router = router.route("/keyboard", get(async || Html(KEYBOARD)));
        let router = router.route("/axe", get(async || Html(AXE))).route("/axe.js", get(async || axe()));
        let router = router.route("/opener", get(async move || opener)).layer(middleware::from_fn(
            move |request: Request, next: Next| {
                let (counted, url) = (counted.clone(), url.clone());
                // The browser's time flies while it waits for nobody, and so does the server's.
                clock.advance(TimeDelta::seconds(5));
                async move {
                    let overview = request.uri().path() == "/api/overview";
                    if overview && counted.fetch_add(1, Ordering::Relaxed) == 2 && !between.is_empty() {
                        execute(&url, between).await;
                    }
                    next.run(request).await
                }
            },
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        database.execute(LEDGER).await;
        Self { database, address, overviews, _server: AbortOnDropHandle::new(server) }
    }

    /// The page's document after it ran for some seconds of the browser's own time.
    async fn dom(&self, path: &str, seconds: u32) -> String {
        self.dom_with(path, seconds, &[]).await
    }

    async fn dom_with(&self, path: &str, seconds: u32, arguments: &[&str]) -> String {
        let profile = Folder::new();
        let run = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("--window-size=1200,900")
            .arg(format!("--virtual-time-budget={}", seconds * 1000))
            .args(arguments)
            .arg(format!("{}{path}", self.address))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output();
        let run = tokio::time::timeout(Duration::from_secs(90), run).await.expect("the browser ends");
        let output = run.expect("this test needs chromium; scripts/test installs it or leaves the test out");
        drawn(&String::from_utf8(output.stdout).unwrap())
    }
}

/// A document without its script and style, which hold some of the words that tests look for.
fn drawn(document: &str) -> String {
    let mut text = document.to_owned();
    for tag in ["script", "style"] {
        while let (Some(from), Some(to)) = (text.find(&format!("<{tag}")), text.find(&format!("</{tag}>"))) {
            text.replace_range(from..to + tag.len() + 3, "");
        }
    }
    text
}

/// The page in a phone's width, and how wide its content is there.
const FRAME: &str = r#"<!doctype html><iframe src="/" width="360" height="740"></iframe><p id="width"></p><script>
const frame = document.querySelector('iframe');
setInterval(() => {
  const page = frame.contentDocument;
  if (!page || !page.body || !page.body.dataset.updates) return;
  page.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''));
  document.getElementById('width').textContent = 'content is ' + page.documentElement.scrollWidth + ' wide';
}, 200);
</script>"#;

/// The page of very many accounts, of which one is opened; what it draws before and after.
const OPENER: &str = r#"<!doctype html><iframe src="/" width="1100" height="740"></iframe><p id="before"></p><p id="after"></p><script>
const frame = document.querySelector('iframe');
const drawn = () => `${frame.contentDocument.querySelectorAll('.account').length} accounts, ${frame.contentDocument.querySelectorAll('.days').length} in full`;
setInterval(() => {
  const page = frame.contentDocument;
  if (!page || !page.body || !page.body.dataset.updates) return;
  if (page.querySelector('.days')) document.getElementById('after').textContent = drawn();
  if (document.getElementById('before').textContent) return;
  document.getElementById('before').textContent = `${drawn()}, first ${page.querySelector('h2').textContent}`;
  [...page.querySelectorAll('.account')].find((one) => one.dataset.account.startsWith('sales')).querySelector('summary').click();
}, 200);
</script>"#;

/// A page in which somebody has gone to the first link or summary by keyboard; what has the focus after it was drawn anew.
const KEYBOARD: &str = r#"<!doctype html><iframe src="/" width="1100" height="740"></iframe><p id="focus"></p><script>
const frame = document.querySelector('iframe');
setInterval(() => {
  const page = frame.contentDocument;
  if (!page || !page.body || !page.body.dataset.updates) return;
  if (page.body.dataset.updates === '1') page.querySelector('article summary').focus();
  else document.getElementById('focus').textContent = `the focus is on ${page.activeElement.tagName} after ${page.body.dataset.updates} updates`;
}, 200);
</script>"#;

/// The drawn page copied into a document without its policy, which axe-core could not run under, and what that says.
const AXE: &str = r#"<!doctype html><iframe id="page" width="1100" height="900"></iframe><iframe id="copy" width="1100" height="900"></iframe>
<p id="found"></p><script>
const [page, copy] = [document.getElementById('page'), document.getElementById('copy')];
page.src = location.hash.slice(1);
const waiting = setInterval(() => {
  const shown = page.contentDocument;
  if (!shown || !shown.querySelector('main') || shown.querySelector('main#accounts') && !shown.body.dataset.updates) return;
  clearInterval(waiting);
  const own = shown.documentElement.cloneNode(true);
  own.querySelectorAll('script').forEach((one) => one.remove());
  own.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''));
  const text = copy.contentDocument;
  text.open(); text.write('<!doctype html>' + own.outerHTML); text.close();
  const script = text.createElement('script');
  script.src = '/axe.js';
  script.onload = () => copy.contentWindow.axe.run().then(({ violations, passes }) => {
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => html.slice(0, 120) + any.map(({ message }) => message)).slice(0, 3).join(' / ')}`);
    document.getElementById('found').textContent = `${passes.length} rules hold, broken: ${found.join('; ') || 'none'}.`;
    copy.remove(); page.remove();
  }).catch((error) => { document.getElementById('found').textContent = `axe-core failed: ${error.stack}`; });
  text.head.append(script);
}, 200);
</script>"#;

/// axe-core, as scripts/test fetched it.
fn axe() -> String {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/../tools/axe.min.js");
    std::fs::read_to_string(file)
        .expect("this test needs axe-core; scripts/test fetches it or leaves the test out")
}

const LEDGER: &str = r#"
insert into cdr_sync.account (name, scope, scope_since, history_start, last_success_at)
values ('sales <b>&amp; service</b>', '{}', now(), '2026-11-10T00:00Z', '2026-11-23T10:20:00Z');
insert into cdr_sync.cursor (account, history_from, synced_until)
values ('sales <b>&amp; service</b>', '2026-11-12T06:00Z', '2026-11-23T10:20:00Z');
insert into cdr_sync.coverage (account, span, tier)
values ('sales <b>&amp; service</b>', '[2026-11-12T06:00Z,2026-11-20T00:00Z)', '24:00:00'),
       ('sales <b>&amp; service</b>', '[2026-11-20T00:00Z,2026-11-23T10:20:00Z)', '0');
insert into cdr_sync.lease (account, holder, holder_name, taken_at, expires_at)
values ('sales <b>&amp; service</b>', 'x', 'host-1, process 7', now(), now() + interval '1 hour');
insert into cdr_sync.window_read
    (account, started_at, lane, span, reason, outcome, requests, seen, inserted, updated, unchanged, removed, rejected, elapsed)
values ('sales <b>&amp; service</b>', '2026-11-23T10:20:00Z', 'live', '[2026-11-23T10:05Z,2026-11-23T10:20Z)', 'newest',
        'whole', 1, 41, 5, 1, 35, 0, 0, '0.3 s');
insert into voicenter.cdr (account, call_id, type, started_at, caller_number, representative_name, first_seen_at, updated_at)
select 'sales <b>&amp; service</b>', 'call' || n, leg, '2026-11-23T09:10Z', '0501234567', 'Dana Levi', now(), now()
from generate_series(1, 321) as n, unnest(array['leg1', 'leg2']) as leg;
insert into cdr_sync.day (account, day, rows) values ('sales <b>&amp; service</b>', '2026-11-23', 642);
insert into cdr_sync.reporting (account, folded_rows) values ('sales <b>&amp; service</b>', 160);
"#;

mod needs_chromium {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_page_draws_every_account_as_text() {
        let scene = PageScene::new("").await;
        let dom = scene.dom("/", 2).await;
        // The name is text, not markup.
        assert!(dom.contains("sales &lt;b&gt;&amp;amp; service&lt;/b&gt;"), "{dom}");
        assert!(dom.contains("badge fresh"), "{dom}");
        assert!(dom.contains(": 321 calls"), "calls are counted, not legs: {dom}");
        assert!(dom.contains("2026-11-10: not read yet") && dom.contains("2026-11-12: partly read"), "{dom}");
        assert!(
            dom.contains("2026-11-13: read, and read again after 1 day\"")
                && dom.contains("2026-11-21: read\""),
            "{dom}"
        );
        assert!(dom.contains("Calls for charts: 24.9 % built, 482 records to go"), "{dom}");
        assert!(dom.contains("of 1,800 allowed") && dom.contains("newest calls: 1"), "{dom}");
        assert!(dom.contains("host-1") && dom.contains("process 7"), "{dom}");
        assert!(dom.contains("<b>6 d 6 h overdue</b>"), "{dom}");
        assert!(dom.contains("2026-11-23 10:20:") && dom.contains(" UTC, like all times here"), "{dom}");
        for secret in ["0501234567", "Dana Levi", "call17"] {
            assert!(!dom.contains(secret), "the page shows {secret}");
        }
        let outside = dom.split(['"', '\'']).filter(|word| word.starts_with("http")).collect::<Vec<_>>();
        assert!(outside.iter().all(|url| url.contains("www.w3.org")), "an outside resource: {outside:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_gap_appears_by_itself() {
        // While the page is open, a gap appears.
        let scene = PageScene::new(
        "insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at, last_error)
         values ('sales <b>&amp; service</b>', '[2026-11-21T08:00Z,2026-11-21T08:07Z)', 'unreadable', now(), now(), now(),
                 'HTTP 500, but not an answer from the API: empty')",
    )
    .await;
        let early = scene.dom("/", 7).await;
        assert_eq!(scene.overviews.load(Ordering::Relaxed), 2, "the page asks again by itself");
        assert!(early.contains("data-updates=\"2\"") && !early.contains("could not be read"), "{early}");
        scene.overviews.store(0, Ordering::Relaxed);
        let dom = scene.dom("/", 17).await;
        assert!(scene.overviews.load(Ordering::Relaxed) >= 4);
        assert!(dom.contains("7 minutes could not be read in full"), "{dom}");
        assert!(dom.contains("HTTP 500, but not an answer from the API: empty"), "{dom}");
        assert!(dom.contains("2026-11-21: 7 min could not be read"), "{dom}");
        assert!(dom.contains("cdr-sync gaps --retry"), "{dom}");
        assert!(dom.contains("href=\"docs/operations.md#cdrsyncgapopen\""), "{dom}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_is_drawn_how_cdr_notifications_fare() {
        let scene = PageScene::new("").await;
        let without = scene.dom("/", 2).await;
        assert!(!without.contains("last push") && !without.contains("CDR notifications"), "{without}");
        scene.database.execute(&pushes(ACCOUNT, NOW)).await;
        let dom = scene.dom("/", 12).await;
        for text in [
            "<small>last push</small><b>2 h 30 min",
            "1 not in the pull yet",
            "CDR notifications: 2.0 % of 100 records of the last week had none",
            "Half come within 2 min of the call's end, 95 % within 2 min.",
            "The median comes 7 min before the pull. Their time is 3 h ahead of the pull's, which counts.",
            "never sent",
            "CDR notifications come as XML-RPC, which is kept but not read: the last at 2026-11-23 10:10:30 UTC.",
            "href=\"docs/operations.md#receive-cdr-notifications\"",
        ] {
            assert!(dom.contains(text), "{text} is not in {dom}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_of_very_many_accounts_is_opened() {
        let scene = PageScene::new("").await;
        let more = "insert into cdr_sync.account (name, scope, scope_since, history_start)
                    select format('account %s', n), '{}', now(), '2026-11-10T00:00Z' from generate_series(1, 60) n";
        scene.database.execute(more).await;
        let dom = scene.dom("/opener", 6).await;
        // Those that are not in the configuration come first.
        assert!(dom.contains("61 accounts, 0 in full, first account 1<"), "{dom}");
        assert!(dom.contains("61 accounts, 1 in full<"), "{dom}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_page_fits_a_phone() {
        let scene = PageScene::new("").await;
        scene.database.execute(&pushes(ACCOUNT, NOW)).await;
        let dom = scene.dom("/frame", 4).await;
        let drawn = dom.split("<p id=\"width\">content is ").nth(1);
        let width = drawn.and_then(|rest| rest.split(' ').next()).and_then(|word| word.parse::<u32>().ok());
        assert!(width.is_some_and(|width| width <= 360), "{dom}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_focus_stays_where_it_is_while_the_page_is_drawn_anew() {
        let scene = PageScene::new("").await;
        let dom = scene.dom("/keyboard", 17).await;
        assert!(dom.contains("the focus is on SUMMARY after ") && !dom.contains(" after 1 "), "{dom}");
    }

    mod needs_axe {
        use super::*;

        /// Contrast, names and roles, and what else axe-core can see, by day and by night.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn page_and_handbook_can_be_used_with_a_screen_reader() {
            let scene = PageScene::new("").await;
            let more = "insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at, last_error)
                 values ('sales <b>&amp; service</b>', '[2026-11-21T08:00Z,2026-11-21T08:07Z)', 'unreadable', now(), now(), now(), 'x');
                 insert into cdr_sync.request (account, span, reason, state, progress)
                 values ('sales <b>&amp; service</b>', '[2026-11-01Z,2026-11-02Z)', 'sync', 'running', 0.25)";
            scene.database.execute(more).await;
            scene.database.execute(&pushes(ACCOUNT, NOW)).await;
            for path in ["/axe#/", "/axe#/docs/operations.md"] {
                for scheme in ["preferredColorScheme=1", "preferredColorScheme=0"] {
                    let dom = scene.dom_with(path, 300, &[&format!("--blink-settings={scheme}")]).await;
                    assert!(dom.contains(" rules hold, broken: none."), "{path} {scheme}: {dom}");
                }
            }
        }
    }
}
