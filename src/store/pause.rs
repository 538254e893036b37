//! Accounts that an operator has paused: nothing is asked of the API for them until they are resumed.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};

use super::action::{self, ActionKind};
use super::{Store, StoreError, sql, sql_as, sql_value};

/// An account is paused by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: DateTime<Utc>,
    /// User and host of whoever paused it.
    pub by: String,
    /// Why, in that person's words.
    pub reason: Option<String>,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "paused since {} UTC by {}", self.since.format("%Y-%m-%d %H:%M:%S"), self.by)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

pub(super) type PauseRow = (Option<DateTime<Utc>>, Option<String>, Option<String>);

pub(super) fn of_row((since, by, reason): PauseRow) -> Option<Pause> {
    Some(Pause { since: since?, by: by?, reason })
}

impl Store {
    /// Pauses an account. Returns the pause that holds: an earlier one stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownAccount`] if the ledger does not know it.
    pub async fn pause_account(&self, name: &str, reason: Option<&str>) -> Result<Pause, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let paused = sql(
                "update cdr_sync.account set pause_since = clock_timestamp(), pause_by = $2, pause_reason = $3
                 where name = $1 and pause_since is null",
            )
            .bind(name)
            .bind(action::operator())
            .bind(reason.map(action::storable))
            .execute(&mut *tx)
            .await?;
            if paused.rows_affected() > 0 {
                action::note(&mut tx, name, ActionKind::Pause, reason).await?;
            }
            let row: Option<PauseRow> =
                sql_as("select pause_since, pause_by, pause_reason from cdr_sync.account where name = $1")
                    .bind(name)
                    .fetch_optional(&mut *tx)
                    .await?;
            let pause = row.and_then(of_row).ok_or_else(|| StoreError::UnknownAccount(name.to_owned()))?;
            tx.commit().await?;
            Ok(pause)
        })
        .await
    }

    /// Ends an account's pause. Returns the pause that ended, or `None` if it was not paused.
    pub async fn end_pause(&self, name: &str) -> Result<Option<Pause>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let row: Option<PauseRow> = sql_as(
                "update cdr_sync.account a set pause_since = null, pause_by = null, pause_reason = null
                 from (select name, pause_since, pause_by, pause_reason from cdr_sync.account where name = $1 for update) before
                 where a.name = before.name and before.pause_since is not null
                 returning before.pause_since, before.pause_by, before.pause_reason",
            )
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
            if row.is_some() {
                action::note(&mut tx, name, ActionKind::Resume, None).await?;
            }
            tx.commit().await?;
            Ok(row.and_then(of_row))
        })
        .await
    }

    /// The pause of an account, if it is paused.
    pub(crate) async fn pause_of(&self, name: &str) -> Result<Option<Pause>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let row: Option<PauseRow> =
                sql_as("select pause_since, pause_by, pause_reason from cdr_sync.account where name = $1")
                    .bind(name)
                    .fetch_optional(&mut *tx)
                    .await?;
            tx.commit().await?;
            Ok(row.and_then(of_row))
        })
        .await
    }

    /// Which of `accounts` are paused.
    pub(crate) async fn paused(&self, accounts: &[String]) -> Result<BTreeSet<String>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let names: Vec<String> = sql_value(
                "select name from cdr_sync.account where name = any ($1) and pause_since is not null",
            )
            .bind(accounts)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(names.into_iter().collect())
        })
        .await
    }
}
