//! Spans that could not be read in full.

use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgRange;
use sqlx::{FromRow, PgConnection};

use super::{Store, StoreError, span, sql, sql_as};
use crate::window::Window;

/// A window that was given up for now, for the first time or again: a gap on its way into `cdr_sync.gap`, where the
/// database counts the tries ([`OpenGap`] is the row, `plan::ledger::Gap` what the planner needs of it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewGap<'a> {
    /// The window that could not be read in full.
    pub window: Window,
    /// The reason in a word, such as `unreadable`.
    pub reason: &'a str,
    /// What went wrong, without secrets or personal data.
    pub error: &'a str,
    /// When it is to be tried again.
    pub next_try_at: DateTime<Utc>,
}

/// A row of `cdr_sync.gap` that has not been closed yet, with what people want to know of it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct OpenGap {
    /// The gap's id in `cdr_sync.gap`.
    pub id: i64,
    /// The account's name in the configuration.
    pub account: String,
    /// The span that could not be read in full.
    #[sqlx(rename = "span", try_from = "PgRange<DateTime<Utc>>")]
    pub window: Window,
    /// The reason in a word, such as `unreadable`.
    pub reason: String,
    /// How many times it was tried.
    pub tries: i32,
    /// When the gap was first opened.
    pub opened_at: DateTime<Utc>,
    /// When it is to be tried again.
    pub next_try_at: DateTime<Utc>,
    /// What went wrong the last time.
    pub last_error: Option<String>,
}

impl Store {
    /// The open gaps of one account or of all, oldest first.
    pub async fn gaps(&self, account: Option<&str>) -> Result<Vec<OpenGap>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let gaps = select(&mut tx, account).await?;
            tx.commit().await?;
            Ok(gaps)
        })
        .await
    }

    /// Makes the open gaps due at once. Returns how many were not due yet.
    pub async fn hasten_gaps(&self, account: &str, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.soon(async {
        let mut tx = self.begin().await?;
        let done = sql("update cdr_sync.gap set next_try_at = least(next_try_at, $2) where account = $1 and closed_at is null and next_try_at > $2")
            .bind(account)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
        })
        .await
    }
}

impl Store {
    /// The open gaps that are due for another try.
    pub(crate) async fn due_gaps(
        &self,
        account: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Window>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let open = select(&mut tx, Some(account)).await?;
            tx.commit().await?;
            Ok(open.into_iter().filter(|gap| gap.next_try_at <= now).map(|gap| gap.window).collect())
        })
        .await
    }
}

pub(super) async fn open(conn: &mut PgConnection, account: &str) -> Result<Vec<OpenGap>, StoreError> {
    select(conn, Some(account)).await
}

/// The open gaps of all accounts.
pub(super) async fn all_open(conn: &mut PgConnection) -> Result<Vec<OpenGap>, StoreError> {
    select(conn, None).await
}

async fn select(conn: &mut PgConnection, account: Option<&str>) -> Result<Vec<OpenGap>, StoreError> {
    let gaps = sql_as(
        "select id, account, span, reason, tries, opened_at, next_try_at, last_error
         from cdr_sync.gap
         where closed_at is null and ($1::text is null or account = $1)
         order by account, span",
    );
    Ok(gaps.bind(account).fetch_all(conn).await?)
}

/// Closes and opens gaps after a read at `read_at`. Opening one that is already open counts another failed try.
pub(super) async fn write(
    conn: &mut PgConnection,
    account: &str,
    read_at: DateTime<Utc>,
    closed: &[Window],
    opened: &[NewGap<'_>],
) -> Result<(), StoreError> {
    if !closed.is_empty() {
        sql("update cdr_sync.gap set closed_at = $3 where account = $1 and span = any($2) and closed_at is null")
            .bind(account)
            .bind(closed.iter().copied().map(span).collect::<Vec<_>>())
            .bind(read_at)
            .execute(&mut *conn)
            .await?;
    }
    for new in opened {
        sql("insert into cdr_sync.gap as g
                 (account, span, reason, opened_at, last_tried_at, next_try_at, last_error)
             values ($1, $2, $3, $4, $4, $5, $6)
             on conflict (account, span) where closed_at is null do update
             set tries = g.tries + 1, last_tried_at = excluded.last_tried_at,
                 next_try_at = excluded.next_try_at, last_error = excluded.last_error
             where g.last_tried_at < excluded.last_tried_at")
        .bind(account)
        .bind(span(new.window))
        .bind(new.reason)
        .bind(read_at)
        .bind(new.next_try_at)
        .bind(new.error)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
