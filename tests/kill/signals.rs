//! SIGTERM and SIGINT.

use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{Connection, Executor, PgConnection};

use crate::program::{Running, Scene, slow_server, until};

#[tokio::test]
async fn sigterm_in_the_middle_of_a_first_sync_ends_the_daemon_in_good_order() {
    let scene = Scene::new(slow_server()).await;
    let mut daemon = Running::start(scene.command("run"));
    until("requests", async || scene.simulator.requests().len() > 10).await;
    daemon.signal(Signal::SIGTERM);
    let (status, took) = daemon.wait().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let (from, to) = scene.cursor().await.unwrap();
    scene.assert_mirrors(from, to).await;
    let leases =
        scene.count("select count(*) from cdr_sync.lease where expires_at > clock_timestamp()").await;
    assert_eq!(leases, 0, "the lead was given back");
}

#[tokio::test]
async fn sigint_ends_a_daemon_that_waits_for_calls() {
    let mut server = slow_server();
    server.record_limit = 10_000;
    server.world.calls_per_day = 100.0;
    let scene = Scene::new(server).await;
    let mut daemon = Running::start(scene.command("run"));
    until("the first sync", async || scene.cursor().await.is_some_and(|(from, _)| from <= scene.start)).await;
    daemon.signal(Signal::SIGINT);
    let (status, took) = daemon.wait().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_second_signal_ends_a_daemon_at_once_that_cannot_store() {
    let scene = Scene::new(slow_server()).await;
    let mut daemon = Running::start(scene.command("run"));
    until("rows", async || scene.cursor().await.is_some()).await;
    let mut blocker = PgConnection::connect(scene.database.url()).await.unwrap();
    blocker.execute("begin; lock table voicenter.cdr in access exclusive mode").await.unwrap();
    let waits = async || scene.count("select count(*) from pg_locks where not granted").await > 0;
    until("a commit that waits", waits).await;
    daemon.signal(Signal::SIGTERM);
    // It would end within 10 s; the second signal must not wait for that.
    daemon.signal(Signal::SIGINT);
    let (status, took) = daemon.wait().await;
    assert!(!status.success(), "{status}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn sigterm_ends_a_daemon_within_ten_seconds_even_if_it_cannot_store() {
    let scene = Scene::new(slow_server()).await;
    let mut daemon = Running::start(scene.command("run"));
    until("rows", async || scene.cursor().await.is_some()).await;
    let mut blocker = PgConnection::connect(scene.database.url()).await.unwrap();
    blocker.execute("begin; lock table voicenter.cdr in access exclusive mode").await.unwrap();
    let waits = async || scene.count("select count(*) from pg_locks where not granted").await > 0;
    until("a commit that waits", waits).await;
    daemon.signal(Signal::SIGTERM);
    let (status, took) = daemon.wait().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
