//! The diary: each window read, 14 days in full, then summed by hour and lane.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::change::Committed;
use super::{Store, StoreError, interval, span, sql};
use crate::window::Window;

/// How long every read keeps its own row.
const KEPT_IN_FULL: TimeDelta = TimeDelta::days(14);

/// A read, for the diary; the commit adds what it changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowRead<'a> {
    /// The lane, as [`crate::window::Lane::as_str`] writes it.
    pub lane: &'a str,
    /// Why the planner chose this window, in a word.
    pub reason: &'a str,
    /// The window that was read.
    pub window: Window,
    /// Number of requests, including retries.
    pub requests: u32,
    /// Number of records in the answers.
    pub seen: u64,
    /// How it ended, in a word.
    pub outcome: &'a str,
    /// When the first request started.
    pub started_at: DateTime<Utc>,
    /// How long the read took, up to the commit.
    pub elapsed: TimeDelta,
}

impl Store {
    /// Sums rows older than 14 days into one row per hour and lane. Returns by how many rows the table has shrunk.
    pub async fn compact_window_reads(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.in_time(async {
        let mut tx = self.begin().await?;
        let (gone, come): (i64, i64) = super::sql_as(
            "with old as (
                 delete from cdr_sync.window_read
                 where started_at < date_trunc('hour', $1) and outcome <> 'summed'
                 returning *
             ), summed as (
                 insert into cdr_sync.window_read as w
                 (account, started_at, lane, span, reason, outcome, reads, requests, seen, inserted, updated,
                  unchanged, removed, rejected, elapsed)
                 select account, date_trunc('hour', started_at), lane,
                        tstzrange(min(lower(span)), max(upper(span))), 'all', 'summed', sum(reads), sum(requests),
                        sum(seen), sum(inserted), sum(updated), sum(unchanged), sum(removed), sum(rejected),
                        sum(elapsed)
                 from old
                 group by account, date_trunc('hour', started_at), lane
                 returning 1
             )
             select (select count(*) from old), (select count(*) from summed)",
        )
        .bind(now - KEPT_IN_FULL)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok((gone - come).unsigned_abs())
        })
        .await
    }
}

/// Writes the read's row; repeated commits of the same read write it once.
pub(super) async fn write(
    conn: &mut PgConnection,
    account: &str,
    read: &WindowRead<'_>,
    done: &Committed,
) -> Result<(), StoreError> {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sql("insert into cdr_sync.window_read
             (account, started_at, lane, span, reason, outcome, requests, elapsed, seen,
              inserted, updated, unchanged, removed, rejected)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         on conflict do nothing")
    .bind(account)
    .bind(read.started_at)
    .bind(read.lane)
    .bind(span(read.window))
    .bind(read.reason)
    .bind(read.outcome)
    .bind(i32::try_from(read.requests).unwrap_or(i32::MAX))
    .bind(interval(read.elapsed))
    .bind(count(read.seen))
    .bind(count(done.inserted))
    .bind(count(done.updated))
    .bind(count(done.unchanged))
    .bind(count(done.removed))
    .bind(count(done.rejected + done.duplicates))
    .execute(conn)
    .await?;
    Ok(())
}
