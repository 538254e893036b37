//! The replaced versions of rows: how long they are kept.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Store, StoreError, interval, sql};

/// At most this many rows are deleted at a time, so that no commit has to wait for long.
const BATCH: i64 = 50_000;

impl Store {
    /// Deletes some of the versions that were replaced more than `kept` ago by both clocks, `now` and the database's.
    /// Returns how many: call it again until there are none.
    pub async fn trim_history(&self, kept: TimeDelta, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let deleted = sql("delete from voicenter.cdr_history where ctid = any (array(
                     select ctid from voicenter.cdr_history where valid_to < least($1, clock_timestamp() - $3) limit $2))")
            .bind(now.checked_sub_signed(kept).unwrap_or(DateTime::<Utc>::MIN_UTC))
            .bind(BATCH)
            .bind(interval(kept))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(deleted.rows_affected())
        })
        .await
    }
}
