//! Brings `voicenter.calls` up to date with what commits left to it: after a first sync, an upgrade, or a corrected rule.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::clock::{Clock, monotonic};
use crate::store::calls::SliceSize;
use crate::store::{Store, StoreError};

/// Interval between two looks for changes that were not folded.
const EVERY: Duration = Duration::from_secs(15);

/// Folds until stopped; only the accounts in `only`, if given.
pub(super) async fn run(store: Store, clock: Clock, only: Option<Vec<String>>) {
    let mut backlogs = BTreeMap::new();
    loop {
        if let Err(error) = fold(&store, only.as_deref(), &mut backlogs).await {
            tracing::warn!(event = "folding_failed", %error, "trying again in {} s", EVERY.as_secs());
        }
        clock.sleep(EVERY).await;
    }
}

/// What was folded of an account since it fell behind.
#[derive(Default)]
struct Backlog {
    size: SliceSize,
    rows: u64,
    /// Calls that could not be folded.
    failed: u64,
}

/// Gives every account that is behind a slice at a time, until none is but those that fail.
async fn fold(
    store: &Store,
    only: Option<&[String]>,
    backlogs: &mut BTreeMap<String, Backlog>,
) -> Result<(), StoreError> {
    let started = monotonic();
    let mut failing: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        let mut behind = store.unfolded_accounts().await?;
        failing.retain(|_, failed_at| failed_at.elapsed() < EVERY);
        behind.retain(|account| {
            only.is_none_or(|only| only.contains(account)) && !failing.contains_key(account)
        });
        if behind.is_empty() {
            break;
        }
        for account in behind {
            let backlog = backlogs.entry(account.clone()).or_default();
            match store.fold_calls(&account, &mut backlog.size).await {
                Ok(slice) => {
                    backlog.rows += slice.rows;
                    backlog.failed += slice.failed;
                }
                // The other accounts are not to wait for it.
                Err(error) => {
                    tracing::warn!(
                        event = "folding_failed",
                        account,
                        %error,
                        "trying again in {} s",
                        EVERY.as_secs()
                    );
                    failing.insert(account, monotonic());
                    if error.is_unavailable() {
                        // Of the database or of a lock: the next question tells.
                        break;
                    }
                }
            }
        }
    }
    let seconds = started.elapsed().as_secs();
    let ended: Vec<String> =
        backlogs.keys().filter(|account| !failing.contains_key(*account)).cloned().collect();
    for account in ended {
        let Some(Backlog { rows, failed, .. }) = backlogs.remove(&account) else { continue };
        tracing::info!(event = "calls_folded", account, rows, seconds, "voicenter.calls is up to date again");
        if failed > 0 {
            tracing::error!(
                event = "calls_not_folded",
                account,
                calls = failed,
                "voicenter.calls keeps these as they were: no rule foresaw their values"
            );
        }
    }
    Ok(())
}
