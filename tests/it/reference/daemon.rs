//! The daemon reads the lists of the account that it leads; what it says holds no secret and no person.

use std::process::Stdio;

use nix::sys::signal::Signal;
use tokio::process::Command;
use voicenter_simulator::{ApiGeneration, ListFault, ListName, SimulatorOptions, WorldOptions};

use crate::process::scene::{ProcessScene, finish};
use crate::support::folder::Folder;
use crate::support::polling::until;
use crate::support::program::{CODE, Running, free_address};
use crate::support::simulator::{running, unlimited};

/// Of what stands in lists, this must never be seen.
const PERSONAL: [&str; 5] = ["@example.com", "נועה", "SIPSIP", "05012345", CODE];

fn with_lists(scene: &ProcessScene, arguments: &[&str]) -> Command {
    let mut command = scene.command(arguments);
    command
        .env("CDR_SYNC__REFERENCE__ENABLED", "true")
        .env("CDR_SYNC__REFERENCE__EXTENSIONS_URL", scene.simulator.list_url(ListName::Extensions))
        .env("CDR_SYNC__REFERENCE__QUEUES_URL", scene.simulator.list_url(ListName::Queues));
    command
}

struct Daemon {
    running: Running,
    page: String,
    log: Folder,
}

impl Daemon {
    fn start(scene: &ProcessScene) -> Self {
        let (page, log) = (free_address(), Folder::new());
        let file = std::fs::File::create(log.path().join("log")).unwrap();
        let mut command = with_lists(scene, &["run"]);
        command
            .env("CDR_SYNC__HTTP__LISTEN", &page)
            .env("CDR_SYNC__LOG__LEVEL", "trace")
            .stdout(Stdio::null())
            .stderr(Stdio::from(file));
        Self { running: Running::start(command), page, log }
    }

    async fn get(&self, path: &str) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{}{path}", self.page)).send().await;
        match answer {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Stops it. Returns what it logged.
    async fn end(mut self) -> String {
        self.running.signal(Signal::SIGTERM);
        assert_eq!(self.running.wait().await.0.code(), Some(0));
        std::fs::read_to_string(self.log.path().join("log")).unwrap()
    }
}

async fn rows(scene: &ProcessScene, table: &str) -> i64 {
    let there = format!("select count(to_regclass('voicenter.{table}'))");
    match scene.database.count(&there).await {
        0 => 0,
        _ => scene.database.count(&format!("select count(*) from voicenter.{table}")).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_read_beside_the_calls_and_a_restart_asks_for_none_again() {
    let scene = ProcessScene::new().await;
    let lists = scene.simulator.lists();
    lists.spoil(ListName::Queues, Some(ListFault::HtmlWith200));
    let daemon = Daemon::start(&scene);
    until("extensions", async || rows(&scene, "extension").await == 24).await;
    let failed =
        "cdr_sync_reference_failures_total{account=\"default\",list=\"queues\",reason=\"unreadable\"} 1";
    until("the failure", async || daemon.get("/metrics").await.contains(failed)).await;
    until("the rows", async || {
        daemon
            .get("/metrics")
            .await
            .contains("cdr_sync_reference_rows{account=\"default\",list=\"extensions\"} 24")
    })
    .await;
    let metrics = daemon.get("/metrics").await;
    let success = "cdr_sync_reference_last_success_timestamp_seconds{account=\"default\",list=";
    assert!(metrics.contains(&format!("{success}\"queues\"}} 0\n")), "{metrics}");
    assert!(!metrics.contains(&format!("{success}\"extensions\"}} 0\n")), "{metrics}");
    // A list that fails is no trouble of the account.
    until("calls", async || scene.database.count("select count(*) from voicenter.cdr").await > 0).await;
    assert_eq!(
        scene.database.count("select count(*) from cdr_sync.account where last_error is not null").await,
        0
    );
    let (page, status) = (daemon.get("/").await, daemon.get("/api/status").await);
    let log = daemon.end().await;
    assert!(log.contains("reference_list_not_read") && log.contains("reference_list_read"), "{log}");
    for shown in [&metrics, &page, &status, &log] {
        for secret in PERSONAL {
            assert!(!shown.contains(secret), "{secret} is shown");
        }
    }

    let asked = lists.requests(ListName::Extensions);
    assert_eq!(asked, 1);
    lists.spoil(ListName::Queues, None);
    scene.database.execute("update cdr_sync.reference_list set asked_at = null where list = 'queues'").await;
    let daemon = Daemon::start(&scene);
    until("queues", async || rows(&scene, "queue").await == 5).await;
    daemon.end().await;
    assert_eq!(lists.requests(ListName::Extensions), asked, "the list is not due");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_unless_it_is_enabled() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["sync"]).await.0, Some(0));
    let (page, mut command) = (free_address(), scene.command(&["run"]));
    command
        .env("CDR_SYNC__REFERENCE__EXTENSIONS_URL", scene.simulator.list_url(ListName::Extensions))
        .env("CDR_SYNC__HTTP__LISTEN", &page)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let daemon = Daemon { running: Running::start(command), page, log: Folder::new() };
    std::fs::write(daemon.log.path().join("log"), "").unwrap();
    let leads = "cdr_sync_leader{account=\"default\"} 1";
    until("a leader", async || daemon.get("/metrics").await.contains(leads)).await;
    assert!(!daemon.get("/metrics").await.contains("cdr_sync_reference_"));
    daemon.end().await;
    assert_eq!(scene.simulator.lists().requests(ListName::Extensions), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tries_the_lists_and_says_what_came() {
    let mut scene = ProcessScene::new().await;
    // `check` compares the clocks, and a slow machine takes longer than they may differ.
    let world = WorldOptions { from: scene.start, ..WorldOptions::default() };
    scene.simulator = running(SimulatorOptions { world, ..unlimited(ApiGeneration::Current) }).await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    let (status, said) = finish(with_lists(&scene, &["check"])).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("account default: 24 extensions are listed"), "{said}");
    assert!(said.contains("account default: 5 queues are listed"), "{said}");
    let lists = scene.simulator.lists();
    lists.spoil(ListName::Extensions, Some(ListFault::Empty));
    lists.spoil(ListName::Queues, Some(ListFault::Blocked));
    let (status, said) = finish(with_lists(&scene, &["check"])).await;
    assert_eq!(status, Some(0), "a list keeps no call from being stored: {said}");
    assert!(
        said.contains("the list of extensions is empty") && said.contains("no list of queues: HTTP 403"),
        "{said}"
    );
    assert!(PERSONAL.iter().all(|secret| !said.contains(secret)), "{said}");
    assert_eq!(scene.database.count("select count(*) from voicenter.extension").await, 0);
}
