//! An answer on its way into the database while the next one is fetched.

use std::time::Instant;

use super::super::execute::Parcel;
use super::super::{DATABASE, events};
use super::TURN;
use crate::clock::Clock;
use crate::store::commit::Committed;
use crate::store::{Store, StoreError};
use crate::sync::status::Board;

/// Stores a parcel, waiting for as long as the database is away or too slow: the answer is not asked for twice.
pub(super) async fn store_parcel(
    store: Store,
    clock: Clock,
    parcel: Parcel,
    board: Board,
) -> Result<Committed, StoreError> {
    let mut failures = 0;
    let committed = loop {
        board.heart.beats_within(TURN);
        let began = Instant::now();
        let result = parcel.commit(&store).await;
        if result.is_ok() {
            board.metrics.stored(began.elapsed());
        }
        match result {
            Err(error) if error.is_away() || error.is_too_slow() => {
                failures += 1;
                let wait = DATABASE.wait(failures, fastrand::f64(), None);
                tracing::warn!(event = "database_away", account = parcel.account, seconds = wait.as_secs(), %error, "holding the answer");
                clock.sleep(wait).await;
            }
            result => break result?,
        }
    };
    events::report(&parcel, &committed, &board);
    Ok(committed)
}
