//! Commands beside a running daemon leave the work to it.

use std::process::Stdio;

use chrono::TimeDelta;
use nix::sys::signal::Signal;
use voicenter_simulator::Record;

use crate::process::scene::ProcessScene;
use crate::support::polling::until;
use crate::support::program::Running;

/// A daemon that has read everything, after which a column of the first hours was lost: no re-read is due there.
async fn damaged() -> (ProcessScene, Running) {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    let mut command = scene.command(&["run"]);
    command.env("CDR_SYNC__SYNC__LOOKBACK", "1h").stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Running::start(command);
    let complete = "select count(*) from voicenter.sync_state where history_from <= history_start";
    until("all calls", async || scene.database.count(complete).await == 1).await;
    damage(&scene).await;
    (scene, daemon)
}

async fn damage(scene: &ProcessScene) {
    let damage = format!(
        "update voicenter.cdr set duration_seconds = 4711 where started_at < '{}'",
        scene.start + TimeDelta::hours(3)
    );
    scene.database.execute(&damage).await;
}

async fn wrong(scene: &ProcessScene) -> i64 {
    scene.database.count("select count(*) from voicenter.cdr where duration_seconds = 4711").await
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_daemon_sync_of_a_span_asks_it_and_waits() {
    let (scene, daemon) = damaged().await;
    let (from, to) = (scene.start.to_rfc3339(), (scene.start + TimeDelta::hours(3)).to_rfc3339());
    let span = ["sync", "--from", &from, "--to", &to];
    let (status, said) = scene.output(&span).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("left to the daemon") && said.contains("has read"), "{said}");
    assert_eq!(wrong(&scene).await, 0);

    damage(&scene).await;
    let (status, said) = scene.output(&[&span[..], &["--no-wait"]].concat()).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("left to the daemon (cdr_sync.request 2)"), "{said}");
    until("what nobody waits for", async || wrong(&scene).await == 0).await;

    // Without a span it would do what the daemon does.
    let (status, said) = scene.output(&["sync"]).await;
    assert!(status == Some(1) && said.contains("already keeps this account in sync"), "{said}");
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_daemon_what_was_rejected_is_tried_again_and_still_told() {
    let (scene, daemon) = damaged().await;
    let at = scene.now - TimeDelta::minutes(30);
    scene.simulator.world().insert(Record::new("", "Incoming Call", at), at);
    let rejected = "select count(*) from cdr_sync.rejected";
    let (from, to) = ((at - TimeDelta::minutes(1)).to_rfc3339(), scene.now.to_rfc3339());
    let (status, said) = scene.output(&["sync", "--from", &from, "--to", &to]).await;
    assert!(status == Some(4) && said.contains("1 rejected records"), "{said}");
    assert_eq!(scene.database.count(rejected).await, 1);
    let (status, said) = scene.output(&["rejected", "--retry"]).await;
    assert!(status == Some(4) && said.contains("has read") && said.contains("1 rejected records"), "{said}");
    let reasons = "select string_agg(reason || ' ' || state, ', ' order by id) from cdr_sync.request";
    assert_eq!(scene.database.lines(reasons).await, ["sync done, rejected done"]);
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_waiting_does_not_stop_the_work() {
    let (scene, daemon) = damaged().await;
    // The daemon does not come to it.
    let mut held = scene.database.sql().await;
    sqlx::raw_sql("begin; lock table voicenter.cdr in share row exclusive mode")
        .execute(&mut held)
        .await
        .unwrap();
    let (from, to) = (scene.start.to_rfc3339(), (scene.start + TimeDelta::hours(3)).to_rfc3339());
    let waiting = Running::start(scene.command(&["sync", "--from", &from, "--to", &to]));
    let asked = "select count(*) from cdr_sync.request";
    until("the request", async || scene.database.count(asked).await == 1).await;
    waiting.signal(Signal::SIGINT);
    let (status, out, err) = waiting.finish().await;
    assert_eq!(status, Some(1), "{out}{err}");
    assert!(out.contains("the daemon goes on with it (cdr_sync.request 1)"), "{out}{err}");
    let (_, said) = scene.output(&["status"]).await;
    assert!(said.contains("to be read again from"), "{said}");
    sqlx::raw_sql("commit").execute(&mut held).await.unwrap();
    until("the work", async || wrong(&scene).await == 0).await;
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_of_a_stored_record_is_told_once_and_any_other_rejected_record_each_time() {
    let scene = ProcessScene::new().await;
    let (status, said) = scene.output(&["sync"]).await;
    assert_eq!(status, Some(0), "{said}");
    let rejected = |reason: &str, first_seen: &str| {
        format!(
            "insert into cdr_sync.rejected (account, content_hash, raw, reason, first_seen_at, last_seen_at)
             values ('default', '{reason}', '{{}}', '{reason}', {first_seen}, {first_seen})"
        )
    };
    scene.database.execute(&rejected("duplicate_key", "now() - interval '1 day'")).await;
    let (status, said) = scene.output(&["sync"]).await;
    assert!(status == Some(0) && said.contains("1 rejected records"), "{said}");
    scene.database.execute(&rejected("no_call_id", "now() - interval '1 day'")).await;
    let (status, said) = scene.output(&["sync"]).await;
    assert!(status == Some(4) && said.contains("2 rejected records"), "{said}");
    // Seen for the first time by the pass itself.
    scene.database.execute("delete from cdr_sync.rejected where reason = 'no_call_id'").await;
    scene.database.execute("update cdr_sync.rejected set first_seen_at = now() + interval '1 minute'").await;
    let (status, said) = scene.output(&["sync"]).await;
    assert_eq!(status, Some(4), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_that_a_restored_copy_brought_along_is_explained() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    let lease = "insert into cdr_sync.lease values ('default', 'x', 'old-host, process 7', now(), now() + interval '25 seconds')";
    scene.database.execute(lease).await;
    let (status, said) = scene.output(&["sync"]).await;
    assert!(status == Some(1) && said.contains("old-host, process 7 already keeps"), "{said}");
    assert!(said.contains("unless it is renewed: a copy of a database brings along the lease"), "{said}");
}
