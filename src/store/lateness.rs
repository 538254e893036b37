//! How late calls appear, and from which age on an hour counts as settled: docs/decisions/0032-hours-settle-at-a-re-read.md.
//!
//! A call appears after it has ended, under the hour in which it started. An hour is read at a few ages only, so what is
//! learned is after which of them it still changed.

mod evidence;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::types::PgInterval;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::change::Claim;
use super::ledger::Locked;
use super::{Interval, Store, StoreError, interval, span, sql, sql_as, sql_value};
use crate::window::Window;
use crate::window::coverage::Coverage;
use evidence::STEPS;
pub use evidence::{HourEvidence, Lateness, missed_a_read};

/// The final hours that are kept as evidence: no more than four may have changed, so a new lateness shows soon.
pub const KEPT_HOURS: i64 = 5_000;
/// Hours that are counted in one transaction.
const COUNTED_AT_ONCE: i64 = 2_000;
/// The histogram of records is halved above this number.
const KEPT_RECORDS: i64 = 200_000;

/// How complete an account's hours are, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// `sync_state.settled_until`.
    pub settled_until: Option<DateTime<Utc>>,
    /// `sync_state.final_until`.
    pub final_until: Option<DateTime<Utc>>,
    /// The re-read age from which on an hour counts as settled.
    pub settled_after: TimeDelta,
    /// The last re-read age.
    pub final_after: TimeDelta,
    /// What is known of hours.
    pub hours: HourEvidence,
    /// What is known of records.
    pub records: Lateness,
}

#[derive(FromRow)]
struct CompletenessRow {
    account: String,
    settled_until: Option<DateTime<Utc>>,
    final_until: Option<DateTime<Utc>>,
    #[sqlx(try_from = "PgInterval")]
    settled_after: Interval,
    #[sqlx(try_from = "PgInterval")]
    final_after: Interval,
}

#[derive(FromRow)]
struct HourRow {
    account: String,
    #[sqlx(try_from = "PgInterval")]
    reread_age: Interval,
    followed: i64,
    changed: i64,
}

#[derive(FromRow)]
struct SettlingRow {
    reread_ages: Vec<PgInterval>,
    followed_from: DateTime<Utc>,
}

fn lengths(intervals: Vec<PgInterval>) -> Vec<TimeDelta> {
    intervals.into_iter().map(|length| Interval::from(length).0).collect()
}

impl Store {
    /// Sets the ages at which stretches are read again, ascending. What was learned holds for ages that were in force:
    /// if an age is added, or the last one changes, learning starts again.
    pub async fn set_reread_ages(
        &self,
        account: &str,
        ages: &[TimeDelta],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(last) = ages.iter().max() else { return Ok(()) };
        self.in_time(async {
            let mut tx = self.begin().await?;
            sql("select from cdr_sync.cursor where account = $1 for update")
                .bind(account)
                .execute(&mut *tx)
                .await?;
            let is_new: bool = sql_value(
                "with before as materialized (
                     select reread_ages, followed_from, counted_until from cdr_sync.settling where account = $1
                 ), stored as (
                     insert into cdr_sync.settling as s (account, reread_ages, settled_after, followed_from, counted_until)
                     select $1, $2, $3, from_hour.at, from_hour.at
                     from (select date_trunc('hour', $4) + interval '1 hour' as at) as from_hour
                     on conflict (account) do update
                     set reread_ages = excluded.reread_ages, settled_after = excluded.settled_after,
                         followed_from = excluded.followed_from, counted_until = excluded.counted_until
                     -- A clock that ran fast may have begun in the future, or counted up to there; a program of before
                     -- changes the scope without knowing of this.
                     where s.reread_ages <> excluded.reread_ages or s.followed_from > excluded.followed_from
                        or s.counted_until > $4
                        or s.followed_from <= (select scope_since from cdr_sync.account where name = $1)
                     returning 1
                 )
                 select exists (select from stored)
                    and not exists (select from before where reread_ages @> $2 and followed_from <= $4 + interval '1 hour'
                                    and counted_until <= $4
                                    and followed_from > (select scope_since from cdr_sync.account where name = $1)
                                    and reread_ages[cardinality(reread_ages)] = $3)",
            )
            .bind(account)
            .bind(ages.iter().copied().map(interval).collect::<Vec<_>>())
            .bind(interval(*last))
            .bind(now)
            .fetch_one(&mut *tx)
            .await?;
            if is_new {
                sql("delete from cdr_sync.late_hour where account = $1")
                    .bind(account)
                    .execute(&mut *tx)
                    .await?;
                sql("delete from cdr_sync.hour_count where account = $1")
                    .bind(account)
                    .execute(&mut *tx)
                    .await?;
            }
            decide(&mut tx, account).await?;
            tx.commit().await
        })
        .await
    }

    /// Counts the hours that have become final, and lets go of evidence that has grown old. Repeating it changes nothing.
    pub async fn count_final_hours(&self) -> Result<(), StoreError> {
        let accounts: Vec<String> = self
            .soon(async {
                let mut tx = self.begin().await?;
                let accounts = sql_value("select account from cdr_sync.settling order by account")
                    .fetch_all(&mut *tx)
                    .await?;
                tx.commit().await?;
                Ok(accounts)
            })
            .await?;
        let mut all = Ok(());
        for account in accounts {
            let counted = self.in_time(async {
                let mut tx = self.begin().await?;
                // The same lock as every commit, and as the housekeeping of other daemons.
                sql("select from cdr_sync.cursor where account = $1 for update")
                    .bind(&account)
                    .execute(&mut *tx)
                    .await?;
                sql(COUNT_FINAL).bind(&account).bind(COUNTED_AT_ONCE).execute(&mut *tx).await?;
                sql(TRIM_HOURS).bind(&account).bind(KEPT_HOURS).execute(&mut *tx).await?;
                sql(TRIM_RECORDS).bind(&account).bind(KEPT_RECORDS).execute(&mut *tx).await?;
                decide(&mut tx, &account).await?;
                tx.commit().await
            });
            // One account does not keep the others from being counted.
            all = all.and(counted.await);
        }
        all
    }
}

/// Up to the first hour that is neither final nor in a gap: of one in a gap nothing is known. A clock that ran fast makes
/// hours final too early.
const COUNT_FINAL: &str = "
with mine as materialized (
    select counted_until, reread_ages[cardinality(reread_ages)] as final_age from cdr_sync.settling where account = $1
), final as materialized (
    select c.span
    from mine m
    join cdr_sync.coverage c on c.account = $1 and c.tier >= m.final_age and upper(c.span) > m.counted_until
), hour as materialized (
    select h.hour
    from mine m
    cross join (select max(upper(span)) as until from final) f
    cross join lateral generate_series(m.counted_until, f.until - interval '1 hour', interval '1 hour') h (hour)
    order by h.hour
    limit $2
), waiting as materialized (
    select min(h.hour) as first
    from hour h, mine m
    where h.hour + interval '1 hour' > clock_timestamp() - m.final_age
       or not exists (select from final f where f.span @> tstzrange(h.hour, h.hour + interval '1 hour'))
          and not exists (select from cdr_sync.gap g
                          where g.account = $1 and g.closed_at is null
                            and g.span && tstzrange(h.hour, h.hour + interval '1 hour'))
), known as materialized (
    select h.hour from hour h, waiting w where w.first is null or h.hour < w.first
), judged as materialized (
    select h.hour, coalesce(l.reread_age, interval '0') as reread_age
    from known h
    left join cdr_sync.late_hour l on l.account = $1 and l.hour = h.hour
    where coalesce(l.is_followed, true)
      and exists (select from final f where f.span @> tstzrange(h.hour, h.hour + interval '1 hour'))
      and exists (select from voicenter.cdr c
                  where c.account = $1 and c.started_at >= h.hour and c.started_at < h.hour + interval '1 hour'
                    and c.removed_at is null)
), counted as (
    insert into cdr_sync.hour_count as n (account, day, reread_age, hours)
    select $1, hour::date, reread_age, count(*) from judged group by hour::date, reread_age
    on conflict (account, day, reread_age) do update set hours = n.hours + excluded.hours
), gone as (
    delete from cdr_sync.late_hour where account = $1 and hour <= (select max(hour) from known)
)
update cdr_sync.settling s set counted_until = n.until
from (select max(hour) + interval '1 hour' as until from known) n
where s.account = $1 and n.until is not null";

const TRIM_HOURS: &str = "
with newer as materialized (
    select day, sum(sum(hours)) over (order by day desc) - sum(hours) as hours
    from cdr_sync.hour_count where account = $1 group by day
)
delete from cdr_sync.hour_count n using newer
where n.account = $1 and n.day = newer.day and newer.hours >= $2";

const TRIM_RECORDS: &str = "
update cdr_sync.lateness set records = records / 2
where account = $1 and (select sum(records) from cdr_sync.lateness where account = $1) > $2";

/// Begins a step that records are not to wait for.
const BEGIN: &str = "savepoint learning; set local statement_timeout = '2s'";

/// Nothing is known any more: a change may have gone unnoticed.
const UNLEARN: &str = "
with late as (
    delete from cdr_sync.late_hour where account = $1
), counted as (
    delete from cdr_sync.hour_count where account = $1
)
update cdr_sync.settling
set settled_after = reread_ages[cardinality(reread_ages)],
    followed_from = date_trunc('hour', clock_timestamp()) + interval '1 hour',
    counted_until = date_trunc('hour', clock_timestamp()) + interval '1 hour'
where account = $1";

/// Ends such a step. If it failed, nothing of it stays, the error is passed on for the log, and the commit goes on.
async fn end(
    conn: &mut PgConnection,
    account: &str,
    locked: &Locked,
    learned: Result<(), StoreError>,
) -> Result<Option<StoreError>, StoreError> {
    let full = format!("set local statement_timeout = '{}'", locked.statement_timeout);
    let Err(error) = learned else {
        sqlx::raw_sql(AssertSqlSafe(format!("release savepoint learning; {full}"))).execute(conn).await?;
        return Ok(None);
    };
    // On a connection that died, this fails too.
    sqlx::raw_sql("rollback to savepoint learning").execute(&mut *conn).await?;
    if sql(UNLEARN).bind(account).execute(&mut *conn).await.is_err() {
        sqlx::raw_sql("rollback to savepoint learning").execute(conn).await?;
    }
    Ok(Some(error))
}

/// Notes the records that this commit has inserted at instants that had been read before; run before it changes the
/// coverage. What was rejected until now had been shown earlier. Returns why it failed, if it did.
pub(super) async fn note_records(
    conn: &mut PgConnection,
    account: &str,
    read_at: DateTime<Utc>,
    locked: &Locked,
) -> Result<Option<StoreError>, StoreError> {
    sqlx::raw_sql(BEGIN).execute(&mut *conn).await?;
    let noted = count_records(conn, account, read_at, locked.stamp).await;
    end(conn, account, locked, noted).await
}

async fn count_records(
    conn: &mut PgConnection,
    account: &str,
    read_at: DateTime<Utc>,
    stamp: DateTime<Utc>,
) -> Result<(), StoreError> {
    let is_too_late: bool = sql_value(
        "with fresh as materialized (
             select c.started_at, v.tier, s.settled_after, s.counted_until,
                    greatest(ceil(extract(epoch from $3 - c.started_at
                        - (coalesce(c.duration_seconds, 0)::bigint
                           + case when c.queue_name is null then coalesce(c.ring_seconds, 0) else 0 end)
                          * interval '1 second')), 0)::bigint as late_seconds
             from cdr_sync.settling s
             join voicenter.cdr c on c.account = s.account and c.updated_at = $2 and c.first_seen_at = $2
                                 and c.started_at >= s.followed_from
             join cdr_sync.coverage v on v.account = s.account and v.span @> c.started_at
             where s.account = $1
               -- A clock that ran fast has claimed an age too early.
               and c.started_at + v.tier <= $3
               and not exists (select from cdr_sync.rejected r
                               where r.account = c.account and r.call_id = c.call_id and r.type = c.type
                                 and r.closed_at is null)
         ), counted as (
             insert into cdr_sync.lateness as l (account, within_seconds, records)
             select $1, ($4::bigint[])[least(width_bucket(late_seconds - 1, $4::bigint[]) + 1, cardinality($4::bigint[]))] as step,
                    count(*)
             from fresh group by step order by step
             on conflict (account, within_seconds) do update set records = l.records + excluded.records
         ), noted as (
             insert into cdr_sync.late_hour as l (account, hour, reread_age, is_followed)
             select $1, date_trunc('hour', started_at) as hour, max(tier), true
             from fresh where tier > interval '0' and started_at >= counted_until group by hour order by hour
             on conflict (account, hour) do update set reread_age = excluded.reread_age
             where l.reread_age < excluded.reread_age
         )
         select coalesce(bool_or(tier >= settled_after), false) from fresh",
    )
    .bind(account)
    .bind(stamp)
    .bind(read_at)
    .bind(STEPS.as_slice())
    .fetch_one(&mut *conn)
    .await?;
    // A settled hour has changed: if that is too often, no other is called so from this moment on.
    if is_too_late { decide(conn, account).await } else { Ok(()) }
}

/// Notes the hours whose reads came late. Returns why it failed, if it did.
pub(super) async fn note_missed_reads(
    conn: &mut PgConnection,
    account: &str,
    before: &Coverage,
    claims: &[Claim],
    locked: &Locked,
) -> Result<Option<StoreError>, StoreError> {
    if claims.iter().all(|claim| claim.reread_age.is_zero()) {
        return Ok(None);
    }
    sqlx::raw_sql(BEGIN).execute(&mut *conn).await?;
    let noted = exclude_missed_reads(conn, account, before, claims).await;
    end(conn, account, locked, noted).await
}

async fn exclude_missed_reads(
    conn: &mut PgConnection,
    account: &str,
    before: &Coverage,
    claims: &[Claim],
) -> Result<(), StoreError> {
    let settling: Option<SettlingRow> =
        sql_as("select reread_ages, followed_from from cdr_sync.settling where account = $1")
            .bind(account)
            .fetch_optional(&mut *conn)
            .await?;
    let Some(SettlingRow { reread_ages, followed_from }) = settling else { return Ok(()) };
    let missed = missed_a_read(before, claims, &lengths(reread_ages));
    let since = |window: Window| Window::new(window.from().max(followed_from), window.to());
    let missed: Vec<_> = missed.into_iter().filter_map(since).map(span).collect();
    if missed.is_empty() {
        return Ok(());
    }
    sql("insert into cdr_sync.late_hour as l (account, hour, reread_age, is_followed)
         select distinct $1, h.hour, interval '0', false
         from unnest($2::tstzrange[]) as m (span)
         cross join lateral generate_series(date_trunc('hour', lower(m.span)),
                                            upper(m.span) - interval '1 microsecond', interval '1 hour') h (hour)
         on conflict (account, hour) do update set is_followed = false where l.is_followed")
    .bind(account)
    .bind(missed)
    .execute(conn)
    .await?;
    Ok(())
}

/// Decides from the evidence when an hour is settled, and stores it if it is news.
async fn decide(conn: &mut PgConnection, account: &str) -> Result<(), StoreError> {
    let ages: Option<Vec<PgInterval>> =
        sql_value("select reread_ages from cdr_sync.settling where account = $1")
            .bind(account)
            .fetch_optional(&mut *conn)
            .await?;
    let evidence = known_hours(conn, &[account.to_owned()]).await?.remove(account).unwrap_or_default();
    let Some(settled_after) = evidence.settled_after(&lengths(ages.unwrap_or_default())) else {
        return Ok(());
    };
    sql("update cdr_sync.settling set settled_after = $2 where account = $1 and settled_after <> $2")
        .bind(account)
        .bind(interval(settled_after))
        .execute(conn)
        .await?;
    Ok(())
}

async fn known_hours(
    conn: &mut PgConnection,
    accounts: &[String],
) -> Result<BTreeMap<String, HourEvidence>, StoreError> {
    let rows: Vec<HourRow> = sql_as(
        "select account, reread_age, coalesce(sum(hours) filter (where is_final), 0) as followed, sum(hours) as changed
         from (select account, reread_age, hours, true as is_final from cdr_sync.hour_count
               union all
               select account, reread_age, 1, false from cdr_sync.late_hour where is_followed) as known
         where account = any($1)
         group by account, reread_age",
    )
    .bind(accounts)
    .fetch_all(conn)
    .await?;
    let mut all = BTreeMap::<String, HourEvidence>::new();
    for HourRow { account, reread_age, followed, changed } in rows {
        let evidence = all.entry(account).or_default();
        evidence.followed += followed.unsigned_abs();
        if reread_age.0 > TimeDelta::zero() {
            evidence.changed.insert(reread_age.0, changed.unsigned_abs());
        }
    }
    Ok(all)
}

/// How complete the hours of each of `accounts` are.
pub(super) async fn completeness(
    conn: &mut PgConnection,
    accounts: &[String],
) -> Result<BTreeMap<String, Completeness>, StoreError> {
    let rows: Vec<CompletenessRow> = sql_as(
        "select s.account, v.settled_until, v.final_until, s.settled_after,
                s.reread_ages[cardinality(s.reread_ages)] as final_after
         from cdr_sync.settling s join voicenter.sync_state v on v.account = s.account
         where s.account = any($1)",
    )
    .bind(accounts)
    .fetch_all(&mut *conn)
    .await?;
    let mut hours = known_hours(conn, accounts).await?;
    let records: Vec<(String, i64, i64)> =
        sql_as("select account, within_seconds, records from cdr_sync.lateness where account = any($1)")
            .bind(accounts)
            .fetch_all(conn)
            .await?;
    let mut lateness = BTreeMap::<String, Lateness>::new();
    for (account, within, records) in records {
        lateness.entry(account).or_default().0.insert(within, records.unsigned_abs());
    }
    let complete = |row: CompletenessRow| {
        let completeness = Completeness {
            settled_until: row.settled_until,
            final_until: row.final_until,
            settled_after: row.settled_after.0,
            final_after: row.final_after.0,
            hours: hours.remove(&row.account).unwrap_or_default(),
            records: lateness.remove(&row.account).unwrap_or_default(),
        };
        (row.account, completeness)
    };
    Ok(rows.into_iter().map(complete).collect())
}
