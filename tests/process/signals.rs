//! How the program ends: by signals, and with which exit status.

use std::time::{Duration, Instant};

use cdr_sync::simulator::{Fault, Record};
use chrono::TimeDelta;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use tokio::process::Child;

use crate::scene::{Scene, ended};

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_daemon_within_ten_seconds_and_with_status_0() {
    let scene = Scene::new(4, 150).await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let before = scene.simulator.requests().len();
        let mut daemon = scene.command(&["run"]).spawn().unwrap();
        scene.asked(before + 1, None).await;
        let sent = Instant::now();
        send(&daemon, signal);
        assert_eq!(ended(&mut daemon).await.code(), Some(0));
        assert!(sent.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_even_while_it_is_storing() {
    let scene = Scene::new(4, 150).await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    let before = scene.simulator.requests().len();
    let mut daemon = scene.command(&["run"]).spawn().unwrap();
    scene.asked(before + 2, None).await;
    // Its next commit waits for a row that we hold.
    let mut connection = PgConnection::connect(scene.database.url()).await.unwrap();
    let mut holding = connection.begin().await.unwrap();
    sqlx::query("select from cdr_sync.cursor for update").execute(&mut *holding).await.unwrap();
    scene.asked(scene.simulator.requests().len() + 1, Some(Instant::now() + Duration::from_secs(5))).await;
    send(&daemon, Signal::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(5);
    while daemon.try_wait().unwrap().is_none() && Instant::now() < deadline {
        send(&daemon, Signal::SIGTERM);
        tokio::task::yield_now().await;
    }
    let status = ended(&mut daemon).await.code();
    assert!(matches!(status, Some(0 | 143)), "{status:?}");
    assert!(Instant::now() < deadline, "the second signal did not end it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_tells_what_is_wrong() {
    let scene = Scene::new(1, 10_000).await;
    let mut wrong = scene.command(&["sync"]);
    wrong.env("VOICENTER_CODE", "a-wrong-secret");
    let (status, said) = scene.finish(wrong).await;
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("refuses the credential") && !said.contains("a-wrong-secret"), "{said}");

    let mut typo = scene.command(&["sync"]);
    typo.env("CDR_SYNC__SYNC__LOKBACK", "3h");
    let (status, said) = scene.finish(typo).await;
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("sync.lookback"), "{said}");

    let (status, said) = scene.output(&["sync", "--from", "2026-11-02", "--to", "2026-11-01"]).await;
    assert_eq!(status, Some(2), "{said}");

    assert_eq!(scene.output(&["sync"]).await.0, Some(0));
    let (from, to) = (scene.start.to_rfc3339(), scene.now.to_rfc3339());
    let (status, said) = scene.output(&["verify", "--from", &from, "--to", &to]).await;
    assert_eq!(status, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_told_and_status_4_says_so() {
    let scene = Scene::new(1, 10_000).await;
    let at = scene.start + TimeDelta::hours(1);
    scene.simulator.world().insert(Record::new("", "Incoming Call", at), at);
    let (status, said) = scene.output(&["sync"]).await;
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("1 rejected"), "{said}");
    let (status, said) = scene.output(&["rejected"]).await;
    assert_eq!(status, Some(4));
    assert!(said.contains("no_call_id"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_is_missing_different_and_extra() {
    let scene = Scene::new(1, 10_000).await;
    assert_eq!(scene.output(&["sync"]).await.0, Some(0));
    let mut connection = PgConnection::connect(scene.database.url()).await.unwrap();
    for change in [
        "delete from voicenter.cdr where (call_id, type) = (select call_id, type from voicenter.cdr order by 1, 2 limit 1)",
        "update voicenter.cdr set duration_seconds = 4711
         where (call_id, type) = (select call_id, type from voicenter.cdr order by 1, 2 offset 5 limit 1)",
        "insert into voicenter.cdr select (jsonb_populate_record(c, '{\"call_id\": \"of nowhere\"}')).*
         from voicenter.cdr c limit 1",
    ] {
        sqlx::query(change).execute(&mut connection).await.unwrap();
    }
    let (from, to) = (scene.start.to_rfc3339(), scene.now.to_rfc3339());
    let (status, said) = scene.output(&["verify", "--from", &from, "--to", &to]).await;
    assert_eq!(status, Some(4), "{said}");
    let row =
        said.lines().find(|line| line.starts_with("default")).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row[3..6], ["1", "1", "1"], "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_answers_nothing_ends_a_pass_with_status_1_and_opens_no_gap() {
    let scene = Scene::new(1, 10_000).await;
    scene.simulator.faults().always(Fault::HtmlWith200);
    let mut sync = scene.command(&["sync"]);
    sync.env("CDR_SYNC__API__BACKOFF_MIN", "1s").env("CDR_SYNC__API__BACKOFF_MAX", "1s");
    let (status, said) = scene.finish(sync).await;
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(scene.output(&["gaps"]).await.1.trim(), "no open gaps");
}
