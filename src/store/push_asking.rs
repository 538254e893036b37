//! Records that notifications brought and the pull did not: which of them to ask for, and how often that was done.

use chrono::{DateTime, TimeDelta, Utc};

use super::pushed::{self, RecordRow};
use super::{Store, StoreError, interval, sql, sql_as};
use crate::push::{PushedRecord, RecordKey};

/// The newest minutes are read anyway.
const POLLED_WITHIN: &str = "1 minute";
/// When the API is asked a last time.
const LAST_ASKED_AFTER: &str = "1 day";

impl Store {
    /// Records to ask for: first for the time around them, after `confirm_after` for each by its CallID, after a day once more.
    /// Those that nobody asked for come first, then those that were not asked for the longest.
    pub(crate) async fn pushed_to_ask(
        &self,
        account: &str,
        confirm_after: TimeDelta,
        at_most: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<PushedRecord>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let rows: Vec<RecordRow> = sql_as(
                "select p.call_id, p.type as call_type, to_jsonb(p)::text as columns, p.first_received_at, p.last_received_at,
                     p.versions, p.state, p.confirmed_at, p.started_at, p.time_base, p.asked, p.asked_at, p.to_fold
                 from voicenter.cdr_push p
                 where p.account = $1 and p.state = 'provisional'
                   and p.first_received_at <= $2 - case p.asked when 0 then $4::interval when 1 then $3
                                                   else greatest($3, $5::interval) end
                   and p.asked < 3
                 order by p.asked_at nulls first, p.first_received_at
                 limit $6",
            )
            .bind(account)
            .bind(now)
            .bind(interval(confirm_after))
            .bind(POLLED_WITHIN)
            .bind(LAST_ASKED_AFTER)
            .bind(at_most)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(rows.into_iter().filter_map(RecordRow::read).collect())
        })
        .await
    }

    /// Notes that these records were asked for once more.
    pub(crate) async fn note_pushed_asked(
        &self,
        account: &str,
        keys: &[RecordKey],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let (calls, types): (Vec<&str>, Vec<&str>) =
            keys.iter().map(|(call_id, call_type)| (call_id.as_str(), call_type.as_str())).unzip();
        self.soon(async {
            let mut tx = self.begin().await?;
            pushed::lock_waiting(&mut tx, account).await?;
            sql("update voicenter.cdr_push p set asked = p.asked + 1, asked_at = $4
                 from unnest($2::text[], $3::text[]) k (call_id, type)
                 where p.account = $1 and p.call_id = k.call_id and p.type = k.type and p.state = 'provisional'")
            .bind(account)
            .bind(calls)
            .bind(types)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// Gives up records that were asked for in vain, `confirm_after` after the last time, and whatever was received longer ago than
    /// `longest`.
    pub(crate) async fn give_up_pushed(
        &self,
        account: &str,
        confirm_after: TimeDelta,
        longest: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            pushed::lock_waiting(&mut tx, account).await?;
            sql("update voicenter.cdr_push p set state = 'unmatched', asked_at = coalesce(p.asked_at, $2)
                 where p.account = $1 and p.state = 'provisional'
                   and (p.asked >= 3 and p.asked_at <= $2 - $3::interval or p.first_received_at <= $2 - $4::interval)")
            .bind(account)
            .bind(now)
            .bind(interval(confirm_after))
            .bind(interval(longest))
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }
}
