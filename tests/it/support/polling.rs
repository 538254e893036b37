//! Conditions of other processes and tasks, which announce nothing: looked at again and again, in real time.

use std::time::{Duration, Instant};

/// What a condition may take on a busy machine before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Short, so that a transaction that is open for some milliseconds is not missed.
const PAUSE: Duration = Duration::from_millis(3);

/// Waits for a condition, or panics.
pub async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    assert!(comes_within(PATIENCE, holds).await, "waited in vain for {what}");
}

/// Waits for a condition; false: it did not come in time.
pub async fn comes_within(limit: Duration, holds: impl AsyncFnMut() -> bool) -> bool {
    looked_at_every(PAUSE, limit, holds).await
}

/// The same for a condition that is expensive to look at.
pub async fn looked_at_every(pause: Duration, limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let began = Instant::now();
    while !holds().await {
        if began.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(pause).await;
    }
    true
}
