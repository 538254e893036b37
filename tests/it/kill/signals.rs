//! SIGTERM and SIGINT; SIGHUP, which reads the configuration again; and those that mean nothing.

use std::fs::{self, File};
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{Executor, PgConnection};
use tokio::process::Command;
use voicenter_simulator::SimulatorOptions;

use crate::kill::scene::{KillScene, quiet_server, slow_server};
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::polling::until;
use crate::support::program::{CODE, Running};

async fn ends_in_good_order(daemon: &mut Running) {
    let (status, took) = daemon.wait().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_first_sync_ends_the_daemon_in_good_order() {
    let scene = KillScene::new(slow_server()).await;
    let mut daemon = Running::start(scene.command("run"));
    until("requests", async || scene.simulator.requests().len() > 10).await;
    daemon.signal(Signal::SIGTERM);
    ends_in_good_order(&mut daemon).await;
    let (from, to) = scene.cursor().await.unwrap();
    scene.assert_mirrors(from, to).await;
    assert_eq!(scene.leases().await, 0, "the lead was given back");
}

#[tokio::test]
async fn a_daemon_that_is_stopped_as_soon_as_it_leads_gives_the_lead_back() {
    let scene = KillScene::new(slow_server()).await;
    let migrated = scene.command("migrate").status().await.unwrap();
    assert!(migrated.success());
    for _ in 0..10 {
        let mut daemon = Running::start(scene.command("run"));
        until("the lead", async || scene.leases().await > 0).await;
        daemon.signal(Signal::SIGTERM);
        ends_in_good_order(&mut daemon).await;
        assert_eq!(scene.leases().await, 0);
    }
}

#[tokio::test]
async fn sigint_ends_a_daemon_that_waits_for_calls() {
    let scene = KillScene::new(SimulatorOptions { record_limit: 10_000, ..quiet_server() }).await;
    let mut daemon = Running::start(scene.command("run"));
    until("the first sync", async || scene.cursor().await.is_some_and(|(from, _)| from <= scene.start)).await;
    daemon.signal(Signal::SIGINT);
    ends_in_good_order(&mut daemon).await;
}

/// Locks of this database that somebody waits for: tests share a server.
const WAITING: &str = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                       where d.datname = current_database() and not l.granted";

/// A daemon whose commit waits, and the connection that it waits for.
async fn cannot_store(scene: &KillScene) -> (Running, PgConnection) {
    let daemon = Running::start(scene.command("run"));
    until("rows", async || scene.cursor().await.is_some()).await;
    let mut blocker = scene.database.sql().await;
    blocker.execute("begin; lock table voicenter.cdr in access exclusive mode").await.unwrap();
    let waits = async || scene.database.count(WAITING).await > 0;
    until("a commit that waits", waits).await;
    (daemon, blocker)
}

#[tokio::test]
async fn a_second_signal_ends_a_daemon_at_once_that_cannot_store() {
    let scene = KillScene::new(slow_server()).await;
    let (mut daemon, _blocker) = cannot_store(&scene).await;
    daemon.signal(Signal::SIGTERM);
    // It would end within 10 s; the second signal must not wait for that.
    daemon.signal(Signal::SIGINT);
    let (status, took) = daemon.wait().await;
    assert!(!status.success(), "{status}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn sigterm_ends_a_daemon_within_ten_seconds_even_if_it_cannot_store() {
    let scene = KillScene::new(slow_server()).await;
    let (mut daemon, _blocker) = cannot_store(&scene).await;
    daemon.signal(Signal::SIGTERM);
    ends_in_good_order(&mut daemon).await;
}

/// The configuration, secrets in files, and the log.
struct Files(Folder);

const SETTINGS: &str = "[sync]\npoll_interval = \"1s\"\n[database]\nurl_file = \"url\"\n[[accounts]]\nname = \"default\"\ncode_file = \"code\"\n";

impl Files {
    fn new(code: &str, url: &str) -> Self {
        let files = Self(Folder::new());
        files.write("settings.toml", SETTINGS);
        files.write("code", code);
        files.write("url", url);
        files
    }

    fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
    }

    /// The daemon of the scene, configured by these files.
    fn daemon(&self, scene: &KillScene) -> Command {
        let mut command = scene.command("run");
        command
            .args(["--config", "settings.toml"])
            .current_dir(self.0.path())
            .env_remove("VOICENTER_CODE")
            .env_remove("DATABASE_URL")
            .env("CDR_SYNC__LOG__LEVEL", "info")
            .stderr(File::create(self.0.path().join("log")).unwrap());
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.path().join("log")).unwrap()
    }

    fn says(&self, event: &str) -> bool {
        self.log().contains(&format!("\"event\":\"{event}\""))
    }
}

#[tokio::test]
async fn sighup_takes_up_a_new_credential_and_no_broken_configuration() {
    let scene = KillScene::new(slow_server()).await;
    let files = Files::new("wr0ng-c0de", scene.database.url());
    let mut daemon = Running::start(files.daemon(&scene));
    until("a refusal", async || files.says("refused")).await;
    files.write("settings.toml", "[sync]\npoll_interval = \"soon\"\n");
    daemon.signal(Signal::SIGHUP);
    until("a refused configuration", async || files.says("configuration_not_reloaded")).await;
    assert!(files.log().contains("sync.poll_interval"), "{}", files.log());
    files.write("settings.toml", &SETTINGS.replace("1s", "2s"));
    files.write("code", CODE);
    daemon.signal(Signal::SIGHUP);
    until("rows", async || scene.cursor().await.is_some()).await;
    let changed = "\"changed\":\"accounts[0].code, sync.poll_interval\"";
    assert!(files.log().contains(changed), "{}", files.log());
    for secret in [CODE, "wr0ng-c0de", "postgres://"] {
        assert!(!files.log().contains(secret), "{secret} is in {}", files.log());
    }
    // Nothing has changed: nothing stops.
    let leading = files.log().matches("\"event\":\"leading\"").count();
    daemon.signal(Signal::SIGHUP);
    until("an answer", async || files.log().contains("nothing has changed")).await;
    assert_eq!(files.log().matches("\"event\":\"leading\"").count(), leading);
    daemon.signal(Signal::SIGTERM);
    ends_in_good_order(&mut daemon).await;
    assert_eq!(scene.leases().await, 0, "the lead was given back");
}

#[tokio::test]
async fn a_refused_account_asks_at_once_with_a_new_secret_and_nobody_has_to_signal_it() {
    let scene = KillScene::new(slow_server()).await;
    let files = Files::new("wr0ng-c0de", scene.database.url());
    let mut command = files.daemon(&scene);
    // It would wait for longer than this test does.
    command.env("CDR_SYNC__API__BACKOFF_MIN", "1h").env("CDR_SYNC__API__BACKOFF_MAX", "1h");
    let mut daemon = Running::start(command);
    until("a refusal", async || files.says("refused")).await;
    files.write("code", CODE);
    until("rows", async || scene.cursor().await.is_some()).await;
    daemon.signal(Signal::SIGTERM);
    ends_in_good_order(&mut daemon).await;
}

#[tokio::test]
async fn sighup_moves_to_another_database_once_that_can_be_used() {
    let scene = KillScene::new(slow_server()).await;
    let other = Database::new().await;
    let files = Files::new(CODE, scene.database.url());
    let mut daemon = Running::start(files.daemon(&scene));
    until("rows", async || scene.cursor().await.is_some()).await;
    files.write("url", "postgres://nobody@127.0.0.1:1/none");
    daemon.signal(Signal::SIGHUP);
    until("a refused database", async || files.says("configuration_not_reloaded")).await;
    assert_eq!(scene.leases().await, 1, "it goes on with the old one");
    files.write("url", other.url());
    daemon.signal(Signal::SIGHUP);
    let rows = async || {
        other.count("select count(to_regclass('voicenter.cdr'))").await == 1
            && other.count("select count(*) from voicenter.cdr").await > 0
    };
    until("rows in the other database", rows).await;
    assert_eq!(scene.leases().await, 0, "the lead of the old one was given back");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().await.0.code(), Some(0));
}

#[tokio::test]
async fn sigusr1_and_sigusr2_mean_nothing() {
    let scene = KillScene::new(slow_server()).await;
    let mut daemon = Running::start(scene.command("run"));
    until("rows", async || scene.cursor().await.is_some()).await;
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2] {
        let asked = scene.simulator.requests().len();
        daemon.signal(signal);
        until("more requests", async || {
            daemon.ended().is_some() || scene.simulator.requests().len() > asked + 3
        })
        .await;
        assert_eq!(daemon.ended(), None, "{signal}");
    }
}
