//! How long the ledger keeps what is over and done with, and how many records that could not be stored.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::{Store, StoreError, interval, sql, sql_as, sql_value};

/// How long closed rejected records are kept.
const CLOSED_KEPT: TimeDelta = TimeDelta::days(30);
/// How long closed gaps and finished requests are kept.
const DONE_KEPT: TimeDelta = TimeDelta::days(90);
/// How long a request waits for a daemon that works for its account.
const NOBODY_CAME_AFTER: TimeDelta = TimeDelta::days(7);
/// How long the diary's rows for an hour and lane are kept, and what operators did.
const SUMS_KEPT: TimeDelta = TimeDelta::days(400);
/// At most this many lines of the diary are deleted at a time.
const BATCH: i64 = 50_000;

/// How many open rejected records an account may have, so that a server that sends unreadable data does not fill the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MostRejected {
    /// Bytes of their text.
    pub bytes: i64,
    /// Records.
    pub records: i64,
}

impl Default for MostRejected {
    fn default() -> Self {
        Self { bytes: 256 << 20, records: 100_000 }
    }
}

impl Store {
    /// Deletes what is over and done with from an account's ledger, and the oldest rejected records if it has more open ones
    /// than `most`. Returns how many of these were deleted; `cdr_sync.account.rejected_left_out` counts them.
    pub async fn trim_ledger(
        &self,
        account: &str,
        now: DateTime<Utc>,
        most: MostRejected,
    ) -> Result<u64, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            // Before anything else, as a commit does.
            sql("select from cdr_sync.cursor where account = $1 for update")
                .bind(account)
                .execute(&mut *tx)
                .await?;
            for (statement, kept) in DONE {
                // By both clocks: one that is fast deletes nothing.
                sql(statement)
                    .bind(account)
                    .bind(now.checked_sub_signed(kept).unwrap_or(DateTime::<Utc>::MIN_UTC))
                    .bind(interval(kept))
                    .bind(BATCH)
                    .execute(&mut *tx)
                    .await?;
            }
            let left_out = trim_rejected(&mut tx, account, most).await?;
            tx.commit().await?;
            Ok(left_out)
        })
        .await
    }

    /// Ends the requests of accounts that are not among `configured` and that no daemon has worked for, either: they would wait
    /// for ever. What is paused goes on waiting.
    pub async fn end_abandoned_work(
        &self,
        configured: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            // By both clocks: one that is fast ends nothing.
            sql("update cdr_sync.request r
                 set state = 'failed', finished_at = clock_timestamp(),
                     error = 'no daemon has worked for this account for 7 days'
                 where r.state in ('waiting', 'running') and r.account <> all ($1)
                   and greatest(r.requested_at, r.started_at) < least($2, clock_timestamp() - $3)
                   and not exists (select from cdr_sync.lease l
                                   where l.account = r.account and l.expires_at > clock_timestamp() - $3)
                   and not exists (select from cdr_sync.account a
                                   where a.name = r.account and a.pause_since is not null)")
            .bind(configured)
            .bind(now.checked_sub_signed(NOBODY_CAME_AFTER).unwrap_or(DateTime::<Utc>::MIN_UTC))
            .bind(interval(NOBODY_CAME_AFTER))
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// The accounts of the ledger, by name.
    pub async fn account_names(&self) -> Result<Vec<String>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let names =
                sql_value("select name from cdr_sync.account order by name").fetch_all(&mut *tx).await?;
            tx.commit().await?;
            Ok(names)
        })
        .await
    }

    /// The accounts of which rejected records were deleted because there were too many, and how many.
    pub async fn rejected_left_out(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let counts = sql_as(
                "select name, rejected_left_out from cdr_sync.account where rejected_left_out > 0 order by name",
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(counts)
        })
        .await
    }
}

/// What is over and done with, and for how long it is kept. $2 is when by this host's clock, $3 how long, $4 how many at a
/// time.
const DONE: [(&str, TimeDelta); 6] = [
    (
        "delete from cdr_sync.rejected where account = $1 and closed_at < least($2, clock_timestamp() - $3) and $4 > 0",
        CLOSED_KEPT,
    ),
    (
        "delete from cdr_sync.gap where account = $1 and closed_at < least($2, clock_timestamp() - $3) and $4 > 0",
        DONE_KEPT,
    ),
    (
        "delete from cdr_sync.request where account = $1 and finished_at < least($2, clock_timestamp() - $3) and $4 > 0",
        DONE_KEPT,
    ),
    (
        "delete from cdr_sync.call_history where account = $1 and asked_at < least($2, clock_timestamp() - $3) and $4 > 0",
        SUMS_KEPT,
    ),
    (
        "delete from cdr_sync.action where account = $1 and at < least($2, clock_timestamp() - $3) and $4 > 0",
        SUMS_KEPT,
    ),
    (
        "delete from cdr_sync.window_read where account = $1 and ctid = any (array(
             select w.ctid from cdr_sync.window_read w
             where w.account = $1 and w.started_at < least($2, clock_timestamp() - $3)
             order by w.started_at limit $4))",
        SUMS_KEPT,
    ),
];

async fn trim_rejected(
    conn: &mut PgConnection,
    account: &str,
    most: MostRejected,
) -> Result<u64, StoreError> {
    let left_out: i64 = sql_value(
        "with gone as (
             delete from cdr_sync.rejected where account = $1 and id = any (array(
                 select id
                 from (
                     select id, sum(octet_length(raw)) over newest as bytes, row_number() over newest as records
                     from cdr_sync.rejected
                     where account = $1 and closed_at is null
                     window newest as (order by last_seen_at desc, id desc rows unbounded preceding)
                 ) as open
                 where bytes > $2 or records > $3))
             returning 1
         ), counted as (
             update cdr_sync.account set rejected_left_out = rejected_left_out + (select count(*) from gone)
             where name = $1 and exists (select from gone)
         )
         select count(*) from gone",
    )
    .bind(account)
    .bind(most.bytes)
    .bind(most.records)
    .fetch_one(conn)
    .await?;
    Ok(left_out.unsigned_abs())
}
