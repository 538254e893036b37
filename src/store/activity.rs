//! What some accounts did lately, for the page: requests, reads, calls, and how complete their hours are.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgRange;
use sqlx::{FromRow, PgConnection};

use super::lateness::{self, Completeness};
use super::work_request::{self, WorkRequest};
use super::{Store, StoreError, sql_as};
use crate::window::Window;

/// At most this many reads are listed.
const RECENT: i64 = 25;

/// What one account did lately. No secret, no personal data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Requests of the last hour by lane.
    pub requests: Vec<LaneRequests>,
    /// Progress of backfill in the last hour, if it made any requests.
    pub backfill: Option<Backfill>,
    /// The most recent reads, newest first.
    pub recent: Vec<RecentRead>,
    /// How complete its hours are; `None` before its first start with this version.
    pub completeness: Option<Completeness>,
    /// How far `voicenter.calls` is, while it does not follow all rows yet.
    pub building: Option<Building>,
    /// What was asked of its leader: open, or ended within the hour.
    pub work: Vec<WorkRequest>,
}

/// How far `voicenter.calls` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Building {
    /// Changed rows that were followed since all were last to be folded.
    pub folded: i64,
    /// Rows that the account has.
    pub rows: i64,
}

/// Number of recent requests of one lane.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LaneRequests {
    /// The lane, such as `live` or `backfill`.
    pub lane: String,
    /// Requests in the last hour.
    pub hour: i64,
    /// Requests in the last five minutes.
    pub five_minutes: i64,
}

/// Backfill's progress back in time during the last hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Backfill {
    /// When its first request of that hour started.
    pub since: DateTime<Utc>,
    /// Up to here history was still unread at that time.
    pub from: DateTime<Utc>,
    /// Up to here history is unread now.
    pub to: DateTime<Utc>,
}

/// A row of `cdr_sync.window_read`, for the list of recent reads.
#[derive(Clone, Debug, PartialEq, FromRow)]
#[expect(missing_docs, reason = "the table's comments say it")]
pub struct RecentRead {
    pub started_at: DateTime<Utc>,
    pub lane: String,
    pub reason: String,
    #[sqlx(rename = "span", try_from = "PgRange<DateTime<Utc>>")]
    pub window: Window,
    pub outcome: String,
    pub requests: i32,
    pub seen: i64,
    pub inserted: i64,
    pub updated: i64,
    pub removed: i64,
    pub rejected: i64,
    pub elapsed_ms: i64,
}

/// Calls that started in one hour.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct HourOfCalls {
    /// The instant at which the hour starts.
    pub hour: DateTime<Utc>,
    /// Number of calls; the legs of a call count once.
    pub calls: i64,
}

impl Store {
    /// The activity of each of `accounts`, by name, all from one snapshot.
    pub async fn activity(
        &self,
        accounts: &[String],
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<String, Activity>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin_of_one_moment().await?;
            let mut requests = requests(&mut tx, accounts, now).await?;
            let backfill = backfill(&mut tx, accounts, now).await?;
            let mut recent = recent(&mut tx, accounts).await?;
            let mut completeness = lateness::completeness(&mut tx, accounts).await?;
            let building = building(&mut tx, accounts).await?;
            let mut work = work_request::recent(&mut tx, accounts).await?;
            tx.commit().await?;
            let activity = |account: &String| {
                let activity = Activity {
                    requests: requests.remove(account).unwrap_or_default(),
                    backfill: backfill.get(account).copied(),
                    recent: recent.remove(account).unwrap_or_default(),
                    completeness: completeness.remove(account),
                    building: building.get(account).copied(),
                    work: work.remove(account).unwrap_or_default(),
                };
                (account.clone(), activity)
            };
            Ok(accounts.iter().map(activity).collect())
        })
        .await
    }

    /// Calls by hour of each of `accounts` in `[from, to)`, removed ones left out.
    pub async fn calls_by_hour(
        &self,
        accounts: &[String],
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<BTreeMap<String, Vec<HourOfCalls>>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let hours = sql_as(
                // By account: otherwise the planner may prefer to read the whole table.
                "select a.name as account, h.hour, h.calls
             from unnest($1::text[]) a (name)
             cross join lateral (
                 select date_trunc('hour', c.started_at) as hour, count(distinct c.call_id) as calls
                 from voicenter.cdr c
                 where c.account = a.name and c.started_at >= $2 and c.started_at < $3 and c.removed_at is null
                 group by 1
             ) h
             order by 1, 2",
            )
            .bind(accounts)
            .bind(from)
            .bind(to)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(by_account(hours))
        })
        .await
    }
}

/// A row with the account that it belongs to.
#[derive(FromRow)]
struct OfAccount<T> {
    account: String,
    #[sqlx(flatten)]
    row: T,
}

/// Groups `rows` by account, keeping their order.
fn by_account<T>(rows: Vec<OfAccount<T>>) -> BTreeMap<String, Vec<T>> {
    let mut sorted = BTreeMap::<String, Vec<T>>::new();
    for OfAccount { account, row } in rows {
        sorted.entry(account).or_default().push(row);
    }
    sorted
}

async fn requests(
    conn: &mut PgConnection,
    accounts: &[String],
    now: DateTime<Utc>,
) -> Result<BTreeMap<String, Vec<LaneRequests>>, StoreError> {
    let rows: Vec<OfAccount<LaneRequests>> = sql_as(
        // By account: the index begins with it, and the diary of many accounts is long.
        "select a.name as account, r.lane, r.hour, r.five_minutes
         from unnest($1::text[]) a (name)
         cross join lateral (
             select lane, sum(requests) as hour,
                    coalesce(sum(requests) filter (where started_at > $2 - interval '5 minutes'), 0) as five_minutes
             from cdr_sync.window_read
             where account = a.name and started_at > $2 - interval '1 hour' and outcome <> 'summed'
             group by lane
         ) r",
    )
    .bind(accounts)
    .bind(now)
    .fetch_all(conn)
    .await?;
    Ok(by_account(rows))
}

/// History is read from the newest to the oldest, so the windows' upper ends show the progress.
async fn backfill(
    conn: &mut PgConnection,
    accounts: &[String],
    now: DateTime<Utc>,
) -> Result<BTreeMap<String, Backfill>, StoreError> {
    let rows: Vec<OfAccount<Backfill>> = sql_as(
        "select a.name as account, r.since, r.first as from, c.oldest as to
         from unnest($1::text[]) a (name)
         cross join lateral (
             select min(started_at) as since, max(upper(span)) as first from cdr_sync.window_read
             where account = a.name and lane = 'backfill' and started_at > $2 - interval '1 hour' and outcome <> 'summed'
         ) r
         cross join lateral (select min(lower(span)) as oldest from cdr_sync.coverage where account = a.name) c
         where r.since is not null and c.oldest is not null",
    )
    .bind(accounts)
    .bind(now)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.account, row.row)).collect())
}

/// Of the accounts whose calls are behind.
async fn building(
    conn: &mut PgConnection,
    accounts: &[String],
) -> Result<BTreeMap<String, Building>, StoreError> {
    let rows: Vec<OfAccount<Building>> = sql_as(
        "select a.name as account,
                coalesce((select folded_rows from cdr_sync.reporting where account = a.name), 0) as folded,
                (select coalesce(sum(rows), 0)::bigint from cdr_sync.day where account = a.name) as rows
         from unnest($1::text[]) a (name)
         cross join lateral (
             select from voicenter.sync_state s where s.account = a.name and not s.calls_current
         ) behind",
    )
    .bind(accounts)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.account, row.row)).collect())
}

async fn recent(
    conn: &mut PgConnection,
    accounts: &[String],
) -> Result<BTreeMap<String, Vec<RecentRead>>, StoreError> {
    let rows: Vec<OfAccount<RecentRead>> = sql_as(
        "select a.name as account, r.started_at, r.lane, r.reason, r.span, r.outcome, r.requests, r.seen,
                r.inserted, r.updated, r.removed, r.rejected,
                floor(extract(epoch from r.elapsed) * 1000)::bigint as elapsed_ms
         from unnest($1::text[]) a (name)
         cross join lateral (
             select * from cdr_sync.window_read w
             where w.account = a.name and w.outcome <> 'summed'
             order by w.started_at desc limit $2
         ) r
         order by a.name, r.started_at desc",
    )
    .bind(accounts)
    .bind(RECENT)
    .fetch_all(conn)
    .await?;
    Ok(by_account(rows))
}
