//! Periodic deletion of old data while the daemon runs.

use std::time::Duration;

use crate::clock::Clock;
use crate::config::RetentionConfig;
use crate::store::{Store, StoreError};

/// Interval between two cleanups of the database.
const EVERY: Duration = Duration::from_secs(3600);

/// Cleans up at once and then every hour.
pub(super) async fn run(store: Store, clock: Clock, retention: RetentionConfig) {
    loop {
        if let Err(error) = clean_up(&store, &clock, retention).await {
            tracing::warn!(event = "housekeeping_failed", %error, "trying again in an hour");
        }
        clock.sleep(EVERY).await;
    }
}

async fn clean_up(store: &Store, clock: &Clock, retention: RetentionConfig) -> Result<(), StoreError> {
    store.compact_window_reads(clock.now()).await?;
    let trimmed = store.trim_rejected(clock.now()).await?;
    if trimmed > 0 {
        tracing::warn!(
            event = "rejected_trimmed",
            records = trimmed,
            "too many records could not be stored, and the oldest of them were deleted: see cdr-sync rejected"
        );
    }
    if let Some(kept) = retention.history {
        while store.trim_history(kept, clock.now()).await? > 0 {}
    }
    store.count_final_hours().await
}
