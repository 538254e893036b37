//! `retention.calls`: the floor below which nothing is kept, and the deletion of what is older.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::calls::SliceSize;
use super::{Store, StoreError, analysis, coverage, gap, interval, number, sql, sql_value};
use crate::clock::monotonic;
use crate::window::Window;
use crate::window::coverage::cursor;

/// Moves the floor forward if it is due: by a day at least, and once something was read.
const RAISE: &str = "
update cdr_sync.account a
set retained_from = f.at, history_start = greatest(coalesce(a.wanted_start, a.history_start), f.at)
from (select cdr_sync.floor_of($1, $2) as at) f
where a.name = $1 and f.at > coalesce(a.retained_from, '-infinity')
  and exists (select from cdr_sync.cursor c where c.account = $1 and c.synced_until is not null)";

/// What the ledger knows of times below the floor, $2. Coverage is left to the caller.
const FORGET: [&str; 7] = [
    "delete from cdr_sync.missing where account = $1 and started_at < $2",
    "delete from cdr_sync.twin where account = $1 and started_at < $2",
    "delete from cdr_sync.rejected where account = $1 and started_at < $2 and closed_at is null",
    "delete from cdr_sync.late_hour where account = $1 and hour < $2",
    // An hour that is not kept will never be final: none after it would be counted.
    "update cdr_sync.settling
     set counted_until = greatest(counted_until, to_timestamp(ceil(extract(epoch from $2::timestamptz) / 3600) * 3600))
     where account = $1",
    "with older as (
         delete from cdr_sync.unscoped where account = $1 and lower(span) < $2 returning span, since
     )
     insert into cdr_sync.unscoped (account, span, since)
     select $1, span * tstzrange($2, null), since from older where upper(span) > $2
     on conflict do nothing",
    "with older as (
         delete from cdr_sync.gap where account = $1 and closed_at is null and lower(span) < $2
         returning span, reason, tries, opened_at, last_tried_at, next_try_at, last_error
     )
     insert into cdr_sync.gap (account, span, reason, tries, opened_at, last_tried_at, next_try_at, last_error)
     select $1, span * tstzrange($2, null), reason, tries, opened_at, last_tried_at, next_try_at, last_error
     from older where upper(span) > $2
     on conflict do nothing",
];

/// The longest that a slice may take, in seconds: commits of the account wait for it.
const SLICE_TAKES: u32 = 2;

impl Store {
    /// Sets how long the calls of an account are kept; `None` is without limit. The floor never moves back unless that is
    /// longer than before: what was deleted no longer counts as read, so it is asked for again. Returns the floor.
    pub async fn set_retention(
        &self,
        account: &str,
        kept: Option<TimeDelta>,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            // The same lock as every commit.
            sql("select from cdr_sync.cursor where account = $1 for update")
                .bind(account)
                .execute(&mut *tx)
                .await?;
            sql("update cdr_sync.account
                 set retention = $2,
                     -- One that a fast clock set would keep everything from being read.
                     retained_from = case
                         when $2 is null or $2 > retention or retained_from > clock_timestamp() - $2 + interval '2 days' then null
                         else retained_from
                     end,
                     history_start = coalesce(wanted_start, history_start)
                 where name = $1")
            .bind(account)
            .bind(kept.map(interval))
            .execute(&mut *tx)
            .await?;
            let floor = raise(&mut tx, account, now).await?;
            if let Some(floor) = floor {
                forget(&mut tx, account, floor).await?;
                uncover(&mut tx, account, floor).await?;
            }
            // Before the first read nothing can be deleted, so there is no floor yet; but nothing older is to be read.
            sql("update cdr_sync.account
                 set history_start = greatest(coalesce(wanted_start, history_start), retained_from, cdr_sync.floor_of($1, $2))
                 where name = $1")
            .bind(account)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(floor)
        })
        .await
    }

    /// Deletes some of an account's oldest calls that lie below the floor, and what was made of them; none unless calls are to
    /// be `kept` for exactly as long as the floor was set for. Returns the number of rows; call it again until there are none. `size` follows how many PostgreSQL deletes in time, since commits of
    /// the account wait meanwhile.
    pub async fn delete_older_calls(
        &self,
        account: &str,
        kept: TimeDelta,
        size: &mut SliceSize,
    ) -> Result<u64, StoreError> {
        loop {
            let started = monotonic();
            match self.delete_slice(account, kept, size.rows()).await {
                Ok(rows) => {
                    *size = size.after(started.elapsed());
                    return Ok(rows);
                }
                Err(error) if error.is_too_slow() => *size = size.smaller().ok_or(error)?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn delete_slice(&self, account: &str, kept: TimeDelta, at_most: i32) -> Result<u64, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            // Nothing is spelt: the numbers of calls that were folded before are known.
            let brief = format!("{}; set local statement_timeout = '{SLICE_TAKES}s'", number::SPELT);
            sqlx::raw_sql(AssertSqlSafe(brief)).execute(&mut *tx).await?;
            sql("select from cdr_sync.cursor where account = $1 for update")
                .bind(account)
                .execute(&mut *tx)
                .await?;
            let floor: Option<DateTime<Utc>> = sql_value(
                "select retained_from from cdr_sync.account
                 where name = $1 and retention = $2 and retained_from is not null",
            )
            .bind(account)
            .bind(interval(kept))
            .fetch_optional(&mut *tx)
            .await?;
            let Some(floor) = floor else {
                // Whoever leads the account has not opened it with these settings: nothing is deleted by others.
                tx.commit().await?;
                return Ok(0);
            };
            // A program of before may have read there since.
            uncover(&mut tx, account, floor).await?;
            let rows: i32 = sql_value("select cdr_sync.delete_older($1, $2)")
                .bind(account)
                .bind(at_most)
                .fetch_one(&mut *tx)
                .await?;
            for statement in ["delete from voicenter.removed_calls where account = $1 and ctid = any (array(
                     select r.ctid from voicenter.removed_calls r
                     where r.account = $1 and r.updated_at < (select retained_from from cdr_sync.account where name = $1)
                     order by r.updated_at limit $2))",
                "delete from voicenter.cdr_push where account = $1 and ctid = any (array(
                     select p.ctid from voicenter.cdr_push p
                     where p.account = $1 and p.started_at < (select retained_from from cdr_sync.account where name = $1)
                       and not exists (select from voicenter.cdr c
                                       where (c.account, c.call_id, c.type) = (p.account, p.call_id, p.type))
                     order by p.started_at limit $2))",
                "delete from voicenter.cdr_push where account = $1 and ctid = any (array(
                     select p.ctid from voicenter.cdr_push p
                     where p.account = $1 and p.started_at is null
                       and p.first_received_at < (select retained_from from cdr_sync.account where name = $1)
                     order by p.first_received_at limit $2))",
                "delete from cdr_sync.day where account = $1 and rows <= 0
                 and day < (select (retained_from at time zone 'UTC')::date from cdr_sync.account where name = $1)
                 and $2 > 0"]
            {
                sql(statement).bind(account).bind(i64::from(at_most)).execute(&mut *tx).await?;
            }
            analysis::delete_older(&mut tx, account, i64::from(at_most)).await?;
            tx.commit().await?;
            Ok(u64::from(rows.unsigned_abs()))
        })
        .await
    }
}

/// Moves the floor if it is due, and forgets what the ledger knows of times below it, coverage excepted. Returns the floor.
pub(super) async fn raise(
    conn: &mut PgConnection,
    account: &str,
    as_of: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let raised = sql(RAISE).bind(account).bind(as_of).execute(&mut *conn).await?;
    let floor: Option<Option<DateTime<Utc>>> =
        sql_value("select retained_from from cdr_sync.account where name = $1")
            .bind(account)
            .fetch_optional(&mut *conn)
            .await?;
    let floor = floor.flatten();
    if let Some(floor) = floor
        && raised.rows_affected() > 0
    {
        forget(conn, account, floor).await?;
    }
    Ok(floor)
}

async fn forget(conn: &mut PgConnection, account: &str, floor: DateTime<Utc>) -> Result<(), StoreError> {
    for statement in FORGET {
        sql(statement).bind(account).bind(floor).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Takes what lies below the floor out of the coverage, and derives the cursor from the rest. Another version may have
/// read there since.
async fn uncover(conn: &mut PgConnection, account: &str, floor: DateTime<Utc>) -> Result<(), StoreError> {
    let stored = coverage::read(conn, account).await?;
    let mut after = stored.combined();
    after.forget_before(floor);
    stored.write(conn, account, &after).await?;
    let gaps: Vec<Window> = gap::open(conn, account).await?.iter().map(|gap| gap.window).collect();
    let cursor = cursor(&after, &gaps);
    sql("update cdr_sync.cursor set history_from = $2, synced_until = $3 where account = $1")
        .bind(account)
        .bind(cursor.map(|window| window.from()))
        .bind(cursor.map(|window| window.to()))
        .execute(conn)
        .await?;
    Ok(())
}
