//! Brings `voicenter.calls` up to date with what commits left to it: after a first sync, an upgrade, or a corrected rule.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Clock, monotonic};
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

/// Rows that were folded of an account, and calls that could not be, since it fell behind.
#[derive(Default)]
struct Backlog {
    rows: u64,
    failed: u64,
}

/// Gives every account that is behind a slice at a time, until none is.
async fn fold(
    store: &Store,
    only: Option<&[String]>,
    backlogs: &mut BTreeMap<String, Backlog>,
) -> Result<(), StoreError> {
    let started = monotonic();
    loop {
        let mut behind = store.unfolded_accounts().await?;
        behind.retain(|account| only.is_none_or(|only| only.contains(account)));
        if behind.is_empty() {
            break;
        }
        for account in behind {
            let slice = store.fold_calls(&account).await?;
            let backlog = backlogs.entry(account).or_default();
            backlog.rows += slice.rows;
            backlog.failed += slice.failed;
        }
    }
    for (account, Backlog { rows, failed }) in std::mem::take(backlogs) {
        let seconds = started.elapsed().as_secs();
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
