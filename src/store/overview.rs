//! What the status page shows of an account beyond its status: how it stands, and what happened lately.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, Row as _};

use super::gap::{self, OpenGap};
use super::{Store, StoreError, coverage, sql, sql_as, window};
use crate::window::Window;
use crate::window::coverage::Coverage;

/// So many reads are listed.
const RECENT: i64 = 25;

/// One account's ledger, for people. No secret, no personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The account.
    pub account: String,
    /// What was read completely.
    pub coverage: Coverage,
    /// What could not be.
    pub gaps: Vec<OpenGap>,
    /// Requests of the last hour by lane.
    pub requests: Vec<LaneRequests>,
    /// How far backfill came lately, if it worked at all in the last hour.
    pub backfill: Option<Backfill>,
    /// The last reads, the newest first.
    pub recent: Vec<RecentRead>,
    /// Open rejected records by reason.
    pub rejected: Vec<(String, i64)>,
}

/// Requests of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRequests {
    /// The lane.
    pub lane: String,
    /// In the last hour.
    pub hour: i64,
    /// In the last five minutes.
    pub five_minutes: i64,
}

/// Backfill's way back in time during the last hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// When its first request of that hour started.
    pub since: DateTime<Utc>,
    /// Up to where history was still unread then.
    pub from: DateTime<Utc>,
    /// Up to where it is unread now.
    pub to: DateTime<Utc>,
}

/// A line of `cdr_sync.window_read`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the table's comments say it")]
pub struct RecentRead {
    pub started_at: DateTime<Utc>,
    pub lane: String,
    pub reason: String,
    pub window: Window,
    pub outcome: String,
    pub requests: i32,
    pub seen: i64,
    pub inserted: i64,
    pub updated: i64,
    pub removed: i64,
    pub rejected: i64,
    pub elapsed: TimeDelta,
}

/// Calls that started in one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourOfCalls {
    /// The account.
    pub account: String,
    /// The full hour.
    pub hour: DateTime<Utc>,
    /// Calls: the legs of one count once.
    pub calls: i64,
}

impl Store {
    /// Every account's overview, all of one moment.
    pub async fn overview(&self, now: DateTime<Utc>) -> Result<Vec<Overview>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            sqlx::raw_sql("set transaction isolation level repeatable read, read only")
                .execute(&mut *tx)
                .await?;
            let names: Vec<(String,)> =
                sql_as("select name from cdr_sync.account order by name").fetch_all(&mut *tx).await?;
            let mut overviews = Vec::new();
            for (account,) in names {
                overviews.push(Overview {
                    coverage: coverage::read(&mut tx, &account).await?.combined(),
                    gaps: gap::open(&mut tx, &account).await?,
                    requests: requests(&mut tx, &account, now).await?,
                    backfill: backfill(&mut tx, &account, now).await?,
                    recent: recent(&mut tx, &account).await?,
                    rejected: rejected(&mut tx, &account).await?,
                    account,
                });
            }
            tx.commit().await?;
            Ok(overviews)
        })
        .await
    }

    /// Calls by hour of every account in `[from, to)`, removed ones left out.
    pub async fn calls_by_hour(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<HourOfCalls>, StoreError> {
        self.in_time(async {
        let mut tx = self.begin().await?;
        let rows: Vec<(String, DateTime<Utc>, i64)> = sql_as(
            // By account: else the planner may prefer to read the whole table.
            "select a.name, h.hour, h.calls
             from cdr_sync.account a
             cross join lateral (
                 select date_trunc('hour', c.started_at) as hour, count(distinct c.call_id) as calls
                 from voicenter.cdr c
                 where c.account = a.name and c.started_at >= $1 and c.started_at < $2 and c.removed_at is null
                 group by 1
             ) h
             order by 1, 2",
        )
        .bind(from)
        .bind(to)
        .fetch_all(&mut *tx)
        .await?;
tx.commit().await?;
        Ok(rows.into_iter().map(|(account, hour, calls)| HourOfCalls { account, hour, calls }).collect())
        })
        .await
    }

    /// The last complete read of each account and lane.
    pub async fn last_successes(&self) -> Result<Vec<(String, String, DateTime<Utc>)>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let found = sql_as(
                "select account, lane, max(started_at) from cdr_sync.window_read
             where outcome in ('whole', 'continued') group by 1, 2",
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(found)
        })
        .await
    }
}

async fn requests(
    conn: &mut PgConnection,
    account: &str,
    now: DateTime<Utc>,
) -> Result<Vec<LaneRequests>, StoreError> {
    let rows: Vec<(String, i64, i64)> = sql_as(
        "select lane, sum(requests),
                coalesce(sum(requests) filter (where started_at > $2 - interval '5 minutes'), 0)
         from cdr_sync.window_read
         where account = $1 and started_at > $2 - interval '1 hour' and outcome <> 'summed'
         group by lane",
    )
    .bind(account)
    .bind(now)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|(lane, hour, five_minutes)| LaneRequests { lane, hour, five_minutes }).collect())
}

/// History is read from the newest to the oldest, so the windows' upper ends tell how far it has come.
async fn backfill(
    conn: &mut PgConnection,
    account: &str,
    now: DateTime<Utc>,
) -> Result<Option<Backfill>, StoreError> {
    type Row = (Option<DateTime<Utc>>, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let (since, from, to): Row = sql_as(
        "select min(started_at), max(upper(span)),
                (select min(lower(span)) from cdr_sync.coverage where account = $1)
         from cdr_sync.window_read
         where account = $1 and lane = 'backfill' and started_at > $2 - interval '1 hour' and outcome <> 'summed'",
    )
    .bind(account)
    .bind(now)
    .fetch_one(conn)
    .await?;
    Ok((|| Some(Backfill { since: since?, from: from?, to: to? }))())
}

async fn recent(conn: &mut PgConnection, account: &str) -> Result<Vec<RecentRead>, StoreError> {
    let rows = sql("select started_at, lane, reason, lower(span), upper(span), outcome,
                requests, seen, inserted, updated, removed, rejected, elapsed
         from cdr_sync.window_read
         where account = $1 and outcome <> 'summed'
         order by started_at desc limit $2")
    .bind(account)
    .bind(RECENT)
    .fetch_all(conn)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let elapsed: PgInterval = row.try_get(12)?;
        Ok(RecentRead {
            started_at: row.try_get(0)?,
            lane: row.try_get(1)?,
            reason: row.try_get(2)?,
            window: window(row.try_get(3)?, row.try_get(4)?)?,
            outcome: row.try_get(5)?,
            requests: row.try_get(6)?,
            seen: row.try_get(7)?,
            inserted: row.try_get(8)?,
            updated: row.try_get(9)?,
            removed: row.try_get(10)?,
            rejected: row.try_get(11)?,
            elapsed: TimeDelta::microseconds(elapsed.microseconds),
        })
    };
    rows.iter().map(read).collect()
}

async fn rejected(conn: &mut PgConnection, account: &str) -> Result<Vec<(String, i64)>, StoreError> {
    Ok(sql_as(
        "select reason, count(*) from cdr_sync.rejected
         where account = $1 and closed_at is null group by 1 order by 2 desc",
    )
    .bind(account)
    .fetch_all(conn)
    .await?)
}
