//! What is cleaned up while the daemon runs.

use std::time::Duration;

use crate::clock::Clock;
use crate::config::RetentionConfig;
use crate::store::{Store, StoreError};

/// How often.
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
            "the oldest of very many records that cannot be stored were deleted: see cdr-sync rejected"
        );
    }
    if let Some(kept) = retention.history {
        while store.trim_history(kept, clock.now()).await? > 0 {}
    }
    Ok(())
}
