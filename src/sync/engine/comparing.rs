//! The table beside the ledger: what somebody else deleted is read again.

use chrono::{DateTime, TimeDelta, Utc};

use super::Engine;
use crate::store::StoreError;
use crate::sync::SyncError;

/// How often some days are compared; at the start more of them.
const EVERY: TimeDelta = TimeDelta::minutes(5);
/// So many rows are counted at a time.
const ROWS: i64 = 200_000;

impl Engine {
    pub(super) fn is_comparison_due(&self, now: DateTime<Utc>) -> bool {
        self.compared.is_none_or(|(at, _)| now - at >= EVERY || now < at)
    }

    /// Counts the rows of some days, the newest first and then further back from time to time. Days that have fewer than
    /// were stored no longer count as read: the ledger is to be loaded again.
    pub(super) async fn compare(&mut self, now: DateTime<Utc>) -> Result<(), SyncError> {
        self.settle().await?;
        let below = self.compared.and_then(|(_, day)| day);
        let compared = self
            .asker
            .while_away(|asker| {
                let (store, count) = (self.store.clone(), self.count.clone());
                let (name, fence) = (asker.account.name.clone(), self.leadership.fence);
                async move { store.compare_days(&name, fence, &count, below, ROWS).await }
            })
            .await?;
        self.compared = Some((now, compared.down_to));
        if compared.lost_days == 0 {
            return Ok(());
        }
        tracing::error!(
            event = "rows_lost",
            account = self.asker.account.name,
            days = compared.lost_days,
            rows = compared.lost_rows,
            "rows were deleted from voicenter.cdr by somebody else: the days are read again"
        );
        Err(StoreError::RowsLost.into())
    }
}
