//! Few records, but large ones: nobody else is kept waiting while they are stored.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::store_postgres::scene::{StoreScene, at, cdr};

/// A daemon has one thread: what is encoded on it in one piece keeps probes and leases waiting.
#[tokio::test(flavor = "current_thread")]
async fn a_record_of_many_megabytes_is_stored_piece_by_piece() {
    let scene = StoreScene::new().await;
    let mut record = cdr("large", at(1, 0));
    record.extra.insert("Note".into(), json!("a \"note\"\\ ".repeat(3 << 20)));
    let began = Instant::now();
    let size = record.canonical_json().len();
    let in_one_piece = began.elapsed();
    let (sender, longest) = tokio::sync::watch::channel(Duration::ZERO);
    let _other = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let waiting = Instant::now();
            tokio::task::yield_now().await;
            sender.send_if_modified(|longest| {
                let is_longer = waiting.elapsed() > *longest;
                *longest = waiting.elapsed().max(*longest);
                is_longer
            });
        }
    }));
    tokio::task::yield_now().await;
    scene.store(std::slice::from_ref(&record)).await;
    let longest = *longest.borrow();
    eprintln!("{size} bytes: {in_one_piece:?} in one piece; the longest wait {longest:?}");
    assert!(longest < in_one_piece / 2, "{in_one_piece:?} in one piece; the longest wait {longest:?}");
    assert_eq!(scene.rows().await, [record]);
}
