//! An answer on its way into the database while the next one is fetched.

use std::time::{Duration, Instant};

use super::super::batch::PendingBatch;
use super::super::{DATABASE, events};
use super::{NOTED_EVERY, NOTED_FROM, TURN};
use crate::clock::Clock;
use crate::store::commit::Committed;
use crate::store::{Store, StoreError};
use crate::sync::status::ProgressWatch;

/// How often a commit is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Stores a parcel, waiting for as long as the database is away or too slow: the answer is not asked for twice.
pub(super) async fn store_batch(
    store: Store,
    clock: Clock,
    batch: PendingBatch,
    watch: ProgressWatch,
) -> Result<Committed, StoreError> {
    let mut failures = 0;
    let committed = loop {
        let began = Instant::now();
        let result = committed(&batch, &store, &watch).await;
        if result.is_ok() {
            watch.metrics.stored(began.elapsed());
        }
        match result {
            Err(error) if error.is_unavailable() || error.is_too_slow() => {
                failures += 1;
                let wait = DATABASE.wait(failures, fastrand::f64(), None);
                if error.is_too_slow() && (failures == NOTED_FROM || failures % NOTED_EVERY == 0) {
                    note(&store, &clock, &batch.account, &error).await;
                }
                tracing::warn!(event = "database_away", account = batch.account, seconds = wait.as_secs(), %error, "holding the answer");
                watch.heart.stores_within(wait + TURN);
                clock.sleep(wait).await;
            }
            result => {
                watch.heart.has_stored();
                break result?;
            }
        }
    };
    events::report(&batch, &committed, &watch);
    Ok(committed)
}

/// So that `status` on any host tells of an answer that cannot be stored in time.
async fn note(store: &Store, clock: &Clock, account: &str, error: &StoreError) {
    let error = format!("the last answer cannot be stored: {error}");
    if let Err(error) = store.note_error(account, &error, None, clock.now()).await {
        tracing::debug!(event = "error_not_noted", account, %error);
    }
}

/// One try. A slow database may take many transactions for it, each in time.
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
