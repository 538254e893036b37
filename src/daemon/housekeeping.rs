//! Periodic deletion of old data while the daemon runs.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::clock::{Clock, monotonic};
use crate::config::{Config, RetentionConfig};
use crate::store::calls::SliceSize;
use crate::store::trim::MostRejected;
use crate::store::{Store, StoreError};

/// Interval between two cleanups of the database.
const EVERY: Duration = Duration::from_secs(3600);

/// The rows of the first slice of deletion: commits of the account wait for it, and it may read what nobody has read for years.
const FIRST: i32 = 500;

/// Cleans up at once and then every hour. Calls are deleted of configured accounts only.
pub(super) async fn run(store: Store, clock: Clock, config: Config) {
    let retention = config.retention;
    let configured: Vec<String> = config.accounts.iter().map(|account| account.name.clone()).collect();
    loop {
        let mut steps = vec![clean_up(&store, &clock, retention).await];
        steps.push(store.end_abandoned_work(&configured, clock.now()).await);
        match store.account_names().await {
            Ok(accounts) => {
                for account in accounts {
                    steps.push(trim(&store, &clock, &account).await);
                    steps.push(empty_applied_pushes(&store, &clock, &account, config.push.keep).await);
                    // One account does not keep the others from being cleaned up.
                    if let Some(kept) = retention.calls
                        && configured.contains(&account)
                    {
                        steps.push(delete_older(&store, &account, kept).await);
                    }
                }
            }
            Err(error) => steps.push(Err(error)),
        }
        for error in steps.into_iter().filter_map(Result::err).take(1) {
            tracing::warn!(event = "housekeeping_failed", %error, "trying again in an hour");
        }
        clock.sleep(EVERY).await;
    }
}

async fn clean_up(store: &Store, clock: &Clock, retention: RetentionConfig) -> Result<(), StoreError> {
    store.compact_window_reads(clock.now()).await?;
    if let Some(kept) = retention.history {
        while store.trim_history(kept, clock.now()).await? > 0 {}
    }
    store.count_final_hours().await
}

async fn trim(store: &Store, clock: &Clock, account: &str) -> Result<(), StoreError> {
    let records = store.trim_ledger(account, clock.now(), MostRejected::default()).await?;
    if records > 0 {
        tracing::warn!(
            event = "rejected_trimmed",
            account,
            records,
            "too many records could not be stored, and the oldest of them were deleted: see cdr-sync rejected"
        );
    }
    Ok(())
}

async fn empty_applied_pushes(
    store: &Store,
    clock: &Clock,
    account: &str,
    keep: TimeDelta,
) -> Result<(), StoreError> {
    while store.empty_applied_pushes(account, keep, clock.now()).await? > 0 {}
    Ok(())
}

/// Deletes the calls that are older than `retention.calls` says, in slices; commits get their turn in between.
async fn delete_older(store: &Store, account: &str, kept: TimeDelta) -> Result<(), StoreError> {
    let (started, mut size, mut rows): (Instant, _, u64) = (monotonic(), SliceSize::of(FIRST), 0);
    let ended = loop {
        match store.delete_older_calls(account, kept, &mut size).await {
            Ok(0) => break Ok(()),
            Ok(deleted) => rows += deleted,
            Err(error) => break Err(error),
        }
    };
    if rows > 0 {
        let seconds = started.elapsed().as_secs();
        tracing::info!(
            event = "calls_deleted",
            account,
            rows,
            seconds,
            "calls older than retention.calls were deleted"
        );
    }
    ended
}
