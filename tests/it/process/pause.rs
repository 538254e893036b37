//! An account that an operator has paused.

use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::process::scene::ProcessScene;
use crate::support::polling::until;
use crate::support::program::Running;

fn daemon(scene: &ProcessScene) -> Running {
    let mut command = scene.command(&["run"]);
    command.env("CDR_SYNC__SYNC__POLL_INTERVAL", "1s").stdout(Stdio::null()).stderr(Stdio::null());
    Running::start(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_it_until_it_is_resumed_not_even_after_a_restart() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    let mut first = daemon(&scene);
    let complete = "select count(*) from voicenter.sync_state where history_from <= history_start";
    until("all calls", async || scene.database.count(complete).await == 1).await;
    let (status, said) = scene.output(&["account", "pause", "default", "--reason", "a move"]).await;
    assert!(status == Some(0) && said.contains("account default is paused"), "{said}");
    let leaders = "select count(*) from cdr_sync.lease where expires_at > now()";
    until("nobody leads", async || scene.database.count(leaders).await == 0).await;
    let asked = scene.simulator.requests().len();

    first.signal(Signal::SIGTERM);
    first.wait().await;
    let second = daemon(&scene);
    let daemons = "select count(*) from cdr_sync.replica where expires_at > now()";
    until("the second daemon", async || scene.database.count(daemons).await == 1).await;
    // What needs the lead is refused with the reason, and what is left to the daemon waits.
    let (status, said) = scene.output(&["sync", "--from", "-2h"]).await;
    assert!(
        status == Some(1)
            && said.contains("paused since")
            && said.contains(": a move. cdr-sync account resume default"),
        "{said}"
    );
    let (status, said) = scene.output(&["sync", "--from", "-2h", "--no-wait"]).await;
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = scene.output(&["status"]).await;
    assert!(status == Some(0) && said.contains("paused by hand") && said.contains("a move"), "{said}");
    assert_eq!((scene.database.count(leaders).await, scene.simulator.requests().len()), (0, asked));

    let (status, said) = scene.output(&["account", "resume", "default"]).await;
    assert!(status == Some(0) && said.contains("account default is resumed; it was paused since"), "{said}");
    let done = "select count(*) from cdr_sync.request where state = 'done'";
    until("what was asked for meanwhile", async || scene.database.count(done).await == 1).await;
    let actions = "select concat_ws(' ', what, nullif(detail, '')) from cdr_sync.action where what <> 'read again' order by id";
    assert_eq!(scene.database.lines(actions).await, ["pause a move", "resume"]);
    let read_again = "select count(*) from cdr_sync.action where what = 'read again' and detail like '%: sync' and by_whom like '% on %'";
    assert_eq!(scene.database.count(read_again).await, 1);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_is_running_ends_and_says_why() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    // It waits for its next request nearly all the time.
    let mut command = scene.command(&["sync"]);
    command
        .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", "2")
        .env("CDR_SYNC__API__BURST", "1")
        .env("CDR_SYNC__SYNC__POLL_INTERVAL", "1h")
        .env("CDR_SYNC__SYNC__LOOKBACK", "1h")
        .env("CDR_SYNC__SYNC__MAX_WINDOW", "1h");
    let pass = Running::start(command);
    until("its first request", async || !scene.simulator.requests().is_empty()).await;
    let (status, said) = scene.output(&["account", "pause", "default", "--reason", "a move"]).await;
    assert_eq!(status, Some(0), "{said}");
    let (status, out, err) = pass.finish().await;
    assert_eq!(status, Some(1), "{out}{err}");
    assert!(err.contains("paused since") && err.contains("a move"), "{out}{err}");
}
