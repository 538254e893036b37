//! Few records, but large ones: nobody else is kept waiting while they are stored.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::store_postgres::scene::{StoreScene, at, cdr};

/// How long this thread has worked: what others do on the machine meanwhile is not in it, where the system tells.
fn worked() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGAN.elapsed(), Duration::from_nanos)
}

/// A daemon has one thread: what is encoded on it in one piece keeps probes and leases waiting.
#[tokio::test(flavor = "current_thread")]
async fn a_record_of_many_megabytes_is_stored_piece_by_piece() {
    let scene = StoreScene::new().await;
    let mut record = cdr("large", at(1, 0));
    record.extra.insert("Note".into(), json!("a \"note\"\\ ".repeat(3 << 20)));
    let began = worked();
    let size = record.canonical_json().len();
    let in_one_piece = worked() - began;
    let (sender, longest) = tokio::sync::watch::channel(Duration::ZERO);
    let _other = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let before = worked();
            tokio::task::yield_now().await;
            let waited = worked() - before;
            sender.send_if_modified(|longest| {
                let is_longer = waited > *longest;
                *longest = waited.max(*longest);
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
