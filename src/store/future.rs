//! Instants from a host's clock that are in the future: that clock ran fast when they were recorded.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, sql};

/// Each corrects instants of past events that are in the future, and due times later than any schedule can set. Hosts'
/// clocks differ slightly, so some minutes are tolerated.
const TAKEN_BACK: [&str; 4] = [
    "update cdr_sync.account
     -- Not `least`, for which a null is no least: what never happened did not happen now.
     set last_success_at = case when last_success_at > $2 then $2 else last_success_at end,
         last_error_at = case when last_error_at > $2 then $2 else last_error_at end,
         paused_until = case when paused_until <= $2 + interval '1 hour' then paused_until end
     where name = $1 and (last_success_at > $2 + interval '1 minute' or last_error_at > $2 + interval '1 minute'
                          or paused_until > $2 + interval '1 hour')",
    // Noted again when they are missed again.
    "delete from cdr_sync.missing where account = $1 and last_missed_at > $2 + interval '5 minutes'",
    "update cdr_sync.twin set noted_at = least(noted_at, $2), due_at = $2
     where account = $1 and (noted_at > $2 + interval '5 minutes' or due_at > $2 + interval '25 hours')",
    "update cdr_sync.gap set last_tried_at = least(last_tried_at, $2), next_try_at = $2
     where account = $1 and closed_at is null
       and (last_tried_at > $2 + interval '5 minutes' or next_try_at > $2 + interval '25 hours')",
];

impl Store {
    /// Moves the account's instants that are in the future back to `now`. Only its leader may call this.
    pub(crate) async fn disbelieve_future(
        &self,
        account: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            for statement in TAKEN_BACK {
                sql(statement).bind(account).bind(now).execute(&mut *tx).await?;
            }
            tx.commit().await
        })
        .await
    }
}
