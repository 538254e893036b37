//! SIGKILL at random moments while notifications come.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Executor as _;
use tokio::sync::Notify;

use crate::push::scene::{KEPT, KEY, PushScene, record, send};
use crate::support::polling::until;
use crate::support::program::ACCOUNT;

/// `CDR_SYNC_PUSH_KILLS`, or as few as every run of the tests can afford.
fn kills() -> usize {
    std::env::var("CDR_SYNC_PUSH_KILLS")
        .map_or(20, |text| text.parse().expect("CDR_SYNC_PUSH_KILLS is a number"))
}

/// Pushes one after the other until the daemon is gone; the CallIDs of those that were answered. `begun` is told of the first.
async fn pusher(address: &str, name: String, begun: &Notify) -> Vec<String> {
    let mut kept = Vec::new();
    for number in 0.. {
        let call_id = format!("{name}-{number}");
        let body = record(&call_id);
        let length = body.len();
        let request = format!(
            "POST /push/{ACCOUNT}/{KEY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        match send(address, &request).await {
            Ok(answered) if answered.body == KEPT => {
                kept.push(call_id);
                begun.notify_one();
            }
            Ok(answered) => panic!("{answered:?}"),
            Err(_) => break,
        }
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_lost() {
    let scene = PushScene::new().await;
    let mut random = fastrand::Rng::with_seed(3);
    let mut answered = BTreeSet::new();
    for round in 0..kills() {
        let mut daemon = scene.start(scene.with_spool()).await;
        // It is killed while it starts, while they go into the spool, or in the midst of storing and joining.
        let (is_locked, is_busy) = (round % 3 == 1, round % 3 == 2);
        let mut slow = scene.database.sql().await;
        if is_locked {
            slow.execute("begin; lock table cdr_sync.push in access exclusive mode").await.unwrap();
        }
        let begun = Notify::new();
        let pushers = (0..4).map(|number| pusher(&scene.address, format!("{round}-{number}"), &begun));
        let killing = async {
            if is_busy {
                begun.notified().await;
            }
            let least = if is_locked { 600 } else { 0 };
            tokio::time::sleep(Duration::from_millis(least + random.u64(0..150))).await;
            daemon.kill().await;
        };
        let (kept, ()) = tokio::join!(join_all(pushers), killing);
        answered.extend(kept.into_iter().flatten());
        drop(slow);
    }
    println!("{} were answered", answered.len());
    assert!(answered.len() > kills(), "{}", answered.len());
    let _daemon = scene.start(scene.with_spool()).await;
    until("an empty spool", async || scene.spooled() == 0).await;
    until("an empty inbox", async || {
        scene.database.count("select count(*) from cdr_sync.push where state = 'new'").await == 0
    })
    .await;
    // Kept, and joined: a kill between the two, or within the second, has lost nothing either.
    for kept in ["cdr_sync.push where state = 'applied'", "voicenter.cdr_push where type = 'Queue'"] {
        let calls: BTreeSet<String> =
            scene.database.lines(&format!("select call_id from {kept}")).await.into_iter().collect();
        assert_eq!(answered.difference(&calls).collect::<Vec<_>>(), Vec::<&String>::new(), "{kept}");
    }
}
