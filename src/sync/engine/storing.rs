//! Stores an answer while the next one is fetched.

use std::time::Duration;

use super::super::DATABASE;
use super::super::batch::PendingBatch;
use super::super::events::{ErrorNotNoted, StoreRetried, WindowStored};
use super::{NOTED_EVERY, NOTED_FROM, TURN};
use crate::clock::{Clock, monotonic};
use crate::store::commit::Committed;
use crate::store::{Store, StoreError};
use crate::sync::status::ProgressWatch;

/// How often a running commit is checked for progress.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Stores a batch, waiting for as long as the database is unavailable or too slow: the answer is not requested twice.
pub(super) async fn store_batch(
    store: Store,
    clock: Clock,
    batch: PendingBatch,
    watch: ProgressWatch,
) -> Result<Committed, StoreError> {
    let mut retries = DATABASE.retries();
    let (committed, took) = loop {
        let began = monotonic();
        let error = match committed(&batch, &store, &watch).await {
            Ok(committed) => break (committed, began.elapsed()),
            Err(error) if error.is_unavailable() || error.is_too_slow() => error,
            Err(error) => {
                watch.heart.has_stored();
                return Err(error);
            }
        };
        let wait = retries.failed();
        let failures = retries.failures();
        if error.is_too_slow() && (failures == NOTED_FROM || failures.is_multiple_of(NOTED_EVERY)) {
            note(&store, &clock, &batch.account, &error).await;
        }
        StoreRetried { account: &batch.account, wait, error: &error }.emit();
        watch.heart.stores_within(wait + TURN);
        clock.sleep(wait).await;
    };
    watch.heart.has_stored();
    WindowStored { batch: &batch, committed: &committed, took }.emit(&watch);
    Ok(committed)
}

/// Records the error so that `status` on any host shows that an answer cannot be stored in time.
async fn note(store: &Store, clock: &Clock, account: &str, error: &StoreError) {
    let error = format!("the last answer cannot be stored: {error}");
    if let Err(error) = store.note_error(account, &error, None, clock.now()).await {
        ErrorNotNoted { account, error: &error }.emit();
    }
}

/// One try, which on a slow database may take many transactions, each in time.
async fn committed(
    batch: &PendingBatch,
    store: &Store,
    watch: &ProgressWatch,
) -> Result<Committed, StoreError> {
    let mut committing = std::pin::pin!(batch.commit(store));
    let mut begun = None;
    loop {
        if begun != Some(batch.count.begun()) {
            begun = Some(batch.count.begun());
            watch.heart.stores_within(TURN);
        }
        if let Ok(result) = tokio::time::timeout(LOOK_EVERY, &mut committing).await {
            return result;
        }
    }
}
