//! `voicenter.calls` and what is counted from it: folded from the rows of `voicenter.cdr`, by the rules that stand in
//! migrations/0008_calls.sql, 0009_folding_within_limits.sql, 0011_customers.sql, 0012_queues_and_agents_by_quarter.sql and
//! 0017_queues_and_agents_by_day.sql, with corrections in 0015_folding_by_lookups.sql.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::ledger::Locked;
use super::{Store, StoreError, number, sql, sql_as, sql_value};
use crate::clock::monotonic;
use crate::phone_number::Country;
use crate::window::Window;

/// The most changed rows that a slice folds in one transaction.
const LARGEST_SLICE: i32 = 5_000;
/// A commit that changes more rows than this leaves them to [`Store::fold_calls`]: it would take twice as long and more.
const AT_ONCE: u64 = 1_000;
/// Calls that started within this span are compared by one statement.
const COMPARED_AT_ONCE: TimeDelta = TimeDelta::hours(24);
/// A commit waits a second for the slice before it, so slices are made to take about half of that.
const SLICE_TAKES: Duration = Duration::from_millis(500);
/// How many rows more the next slice has after a quick one.
const MORE: i32 = 500;

/// Planned each time, for the tables as they are: what a connection planned while one was small would read all of it later.
pub(super) const PLANNED_ANEW: &str = "set local plan_cache_mode = force_custom_plan";

/// How many changed rows of an account are folded at once: as many as PostgreSQL folds in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceSize(i32);

impl Default for SliceSize {
    fn default() -> Self {
        Self(LARGEST_SLICE)
    }
}

impl SliceSize {
    /// To begin with this many rows.
    pub(crate) const fn of(rows: i32) -> Self {
        Self(rows)
    }

    /// How many rows the next slice may have.
    pub(super) fn rows(self) -> i32 {
        self.0
    }

    /// The size of the next slice, given how long this one took.
    pub(super) fn after(self, took: Duration) -> Self {
        match took {
            long if long > SLICE_TAKES => Self((self.0 / 2).max(1)),
            quick if quick < SLICE_TAKES / 2 => Self(self.0.saturating_add(MORE).min(LARGEST_SLICE)),
            _ => self,
        }
    }

    /// After a slice that PostgreSQL ended; `None` if it was of a single row.
    pub(super) fn smaller(self) -> Option<Self> {
        (self.0 > 1).then(|| Self((self.0 / 8).max(1)))
    }
}

/// What one slice of folding did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldedSlice {
    /// Changed rows of `voicenter.cdr` that were followed.
    pub rows: u64,
    /// Calls with values that no rule foresaw: they stay as they were.
    pub failed: u64,
    /// `true` if more may be left.
    pub has_more: bool,
}

/// What a commit did to `voicenter.calls`.
#[derive(Debug, Default)]
pub(super) struct FoldedCommit {
    /// Calls with values that no rule foresaw: they stay as they were.
    pub failed: u64,
    /// Why nothing was folded, if so.
    pub error: Option<StoreError>,
}

/// How `voicenter.calls` compares with the rows that it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallsCompared {
    /// Calls that were compared.
    pub calls: u64,
    /// Those that are missing, too many, or different.
    pub wrong: u64,
    /// Quarters of an hour whose counts (of all calls, of queues, of agents) differ from the calls.
    pub wrong_quarters: u64,
    /// Days whose counts (of queues, of agents) differ from the quarters; one that two statements compare may count twice.
    pub wrong_days: u64,
    /// `true` if not all changes were folded yet, so that differences are no fault.
    pub is_behind: bool,
}

#[derive(FromRow)]
struct ComparedRow {
    calls: i64,
    wrong: i64,
    wrong_quarters: i64,
    wrong_days: i64,
    is_behind: bool,
}

/// How an account's calls are counted, and its numbers read.
#[derive(Debug, Default, PartialEq, Eq, FromRow)]
struct ReportingRow {
    timezone: String,
    country: String,
}

#[derive(FromRow)]
struct SliceRow {
    taken: i32,
    failed: i32,
}

impl Store {
    /// Folds what a commit changed as the last step of its transaction. Records are stored whatever becomes of it: if it
    /// fails or takes too long, nothing of it stays, and the changes are left to [`Store::fold_calls`].
    pub(super) async fn fold_commit(
        &self,
        conn: &mut PgConnection,
        account: &str,
        locked: &Locked,
        changed: u64,
    ) -> Result<FoldedCommit, StoreError> {
        if changed == 0 || changed > AT_ONCE {
            return Ok(FoldedCommit::default());
        }
        let [full, third] = [1, 3].map(|part| self.statement_timeout.as_millis() / part);
        let brief = format!(
            "savepoint folding; set local statement_timeout = {}; set local lock_timeout = '1s'; {}; {PLANNED_ANEW}",
            third.max(1),
            number::SPELT
        );
        sqlx::raw_sql(AssertSqlSafe(brief)).execute(&mut *conn).await?;
        // Boxed: many accounts wait for a connection, and need no room for this yet.
        match Box::pin(spell_and_fold(conn, account, locked.stamp)).await {
            Ok(failed) => {
                let end = format!(
                    "release savepoint folding; set local statement_timeout = {full}; set local plan_cache_mode = default"
                );
                sqlx::raw_sql(AssertSqlSafe(end)).execute(conn).await?;
                Ok(FoldedCommit { failed: u64::from(failed.unsigned_abs()), error: None })
            }
            Err(error) => {
                // On a connection that died, this fails too.
                sqlx::raw_sql("rollback to savepoint folding").execute(conn).await?;
                Ok(FoldedCommit { failed: 0, error: Some(error) })
            }
        }
    }

    /// Sets the zone of an account's local days and hours, and the country of its numbers; when one changes, all calls
    /// are folded again. Returns `false` if PostgreSQL does not know the zone: its days are those of UTC then.
    pub async fn set_reporting(&self, account: &str, zone: Tz, country: Country) -> Result<bool, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            // Nothing is written, and so nobody is waited for, unless something is new.
            let stored: Option<ReportingRow> =
                sql_as("select timezone, country from cdr_sync.reporting where account = $1")
                    .bind(account)
                    .fetch_optional(&mut *tx)
                    .await?;
            let wanted =
                ReportingRow { timezone: zone.name().to_owned(), country: country.as_ref().to_owned() };
            if stored.as_ref() == Some(&wanted) {
                tx.commit().await?;
                return Ok(true);
            }
            let before = stored.unwrap_or_default();
            let (is_known, is_new): (bool, bool) = sql_as(
                "with zone as materialized (
                     select case when exists (select from pg_timezone_names where name = $2) then $2 else 'UTC' end as name
                 ), stored as (
                     insert into cdr_sync.reporting as r (account, timezone, country)
                     select $1, name, $3 from zone where (name, $3) <> ($4, $5)
                     on conflict (account) do update
                     set timezone = excluded.timezone, country = excluded.country, folded_until = '-infinity',
                         folded_call = ''
                     where (r.timezone, r.country) <> (excluded.timezone, excluded.country)
                     returning 1
                 )
                 select name = $2, exists (select from stored) from zone",
            )
            .bind(account)
            .bind(zone.name())
            .bind(country.as_ref())
            .bind(before.timezone)
            .bind(&before.country)
            .fetch_one(&mut *tx)
            .await?;
            if is_new && before.country != country.as_ref() {
                sql("delete from cdr_sync.number where account = $1")
                    .bind(account)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok(is_known)
        })
        .await
    }

    /// The accounts of the ledger with changes that are not in `voicenter.calls` yet.
    pub async fn unfolded_accounts(&self) -> Result<Vec<String>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let names = sql_value(
                "select account from voicenter.sync_state where not calls_current order by account",
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(names)
        })
        .await
    }

    /// Folds some of an account's oldest changes; call it again while there are more. `size` follows how many PostgreSQL
    /// folds in time.
    pub async fn fold_calls(&self, account: &str, size: &mut SliceSize) -> Result<FoldedSlice, StoreError> {
        loop {
            let started = monotonic();
            match self.fold_slice(account, size.0).await {
                Ok(slice) => {
                    *size = size.after(started.elapsed());
                    return Ok(slice);
                }
                Err(error) if error.is_too_slow() => *size = size.smaller().ok_or(error)?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn fold_slice(&self, account: &str, at_most: i32) -> Result<FoldedSlice, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            sqlx::raw_sql(AssertSqlSafe(format!("{}; {PLANNED_ANEW}", number::SPELT)))
                .execute(&mut *tx)
                .await?;
            let country = number::lock(&mut tx, account).await?;
            let unspelt = number::unspelt_of_slice(&mut tx, account, at_most).await?;
            number::spell(&mut tx, account, unspelt, country).await?;
            let slice: SliceRow = sql_as("select taken, failed from cdr_sync.fold_changes($1, $2)")
                .bind(account)
                .bind(at_most)
                .fetch_one(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(FoldedSlice {
                rows: u64::from(slice.taken.unsigned_abs()),
                failed: u64::from(slice.failed.unsigned_abs()),
                has_more: slice.taken == at_most,
            })
        })
        .await
    }

    /// Compares the calls that started in `span` with the rows that they are made of, and the counts with the calls.
    pub async fn compare_calls(&self, account: &str, span: Window) -> Result<CallsCompared, StoreError> {
        let mut all = CallsCompared::default();
        let mut from = span.from();
        while from < span.to() {
            let to = from.checked_add_signed(COMPARED_AT_ONCE).map_or(span.to(), |to| to.min(span.to()));
            let part = self.compare_some(account, from, to).await?;
            all.calls += part.calls;
            all.wrong += part.wrong;
            all.wrong_quarters += part.wrong_quarters;
            all.wrong_days += part.wrong_days;
            all.is_behind |= part.is_behind;
            from = to;
        }
        Ok(all)
    }

    async fn compare_some(
        &self,
        account: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<CallsCompared, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let row: ComparedRow =
                sql_as(COMPARISON).bind(account).bind(from).bind(to).fetch_one(&mut *tx).await?;
            tx.commit().await?;
            Ok(CallsCompared {
                calls: row.calls.unsigned_abs(),
                wrong: row.wrong.unsigned_abs(),
                wrong_quarters: row.wrong_quarters.unsigned_abs(),
                wrong_days: row.wrong_days.unsigned_abs(),
                is_behind: row.is_behind,
            })
        })
        .await
    }
}

/// Folds what a commit changed, the new numbers spelt before. Returns how many calls no rule foresaw.
async fn spell_and_fold(
    conn: &mut PgConnection,
    account: &str,
    stamp: DateTime<Utc>,
) -> Result<i32, StoreError> {
    let country = number::lock(conn, account).await?;
    let unspelt = number::unspelt(conn, account, stamp).await?;
    number::spell(conn, account, unspelt, country).await?;
    let fold = sql_value("select cdr_sync.fold_commit($1, $2)").bind(account).bind(stamp);
    Ok(fold.fetch_one(conn).await?)
}

/// One statement, so that all of it sees one moment.
const COMPARISON: &str = "
with zone as materialized (
    select coalesce((select timezone from cdr_sync.reporting where account = $1), 'Asia/Jerusalem') as name
), root as materialized (
    select call_id from voicenter.calls where account = $1 and started_at >= $2 and started_at < $3
    union
    select coalesce(t.root_call_id, c.call_id)
    from voicenter.cdr c
    left join cdr_sync.transfer t on t.account = c.account and t.call_id = c.call_id
    where c.account = $1 and c.started_at >= $2 and c.started_at < $3 and c.removed_at is null
), made as materialized (
    select m from cdr_sync.calls_of($1, array(select call_id from root), (select name from zone), now()) m
), stored as materialized (
    select s.c
    from root r
    cross join lateral (
        select c from voicenter.calls c where c.account = $1 and c.call_id = r.call_id offset 0
    ) s
), visit_made as materialized (
    select v.call_id, jsonb_agg(to_jsonb(v) order by v.nth) as visits
    from cdr_sync.queue_visits_of($1, array(select (m).call_id from made), (select name from zone)) v
    group by v.call_id
), visit_stored as materialized (
    select r.call_id, s.visits
    from root r
    cross join lateral (
        select jsonb_agg(to_jsonb(v) order by v.nth) as visits
        from voicenter.queue_visits v where v.account = $1 and v.call_id = r.call_id offset 0
    ) s
    where s.visits is not null
), wrong_visit as materialized (
    select coalesce(m.call_id, s.call_id) as call_id
    from visit_made m full join visit_stored s on s.call_id = m.call_id
    where m.visits is distinct from s.visits
), compared as materialized (
    select case when (m).call_id is null or (c).call_id is null then true
                else to_jsonb(m) - 'updated_at' <> to_jsonb(c) - 'updated_at' end
           or coalesce((m).call_id, (c).call_id) in (select call_id from wrong_visit) as is_wrong
    from made full join stored on (m).call_id = (c).call_id
), slot as materialized (
    select cdr_sync.quarter($2) + n * interval '15 minutes' as starts_at
    from generate_series(0, ceil(extract(epoch from $3 - cdr_sync.quarter($2)) / 900)::integer - 1) n
), slots as materialized (
    select array(select starts_at from slot) as all_of_them
), counted as materialized (
    select to_jsonb(q) as q from cdr_sync.calls_15min_of($1, (select all_of_them from slots), (select name from zone)) q
    union all
    select to_jsonb(q) from cdr_sync.queue_15min_of($1, (select all_of_them from slots), (select name from zone)) q
    union all
    select to_jsonb(q) from cdr_sync.agent_15min_of($1, (select all_of_them from slots), (select name from zone)) q
), kept as materialized (
    select to_jsonb(q) as q from slot s join voicenter.calls_15min q on q.account = $1 and q.starts_at = s.starts_at
    union all
    select to_jsonb(q) from slot s join voicenter.queue_15min q on q.account = $1 and q.starts_at = s.starts_at
    union all
    select to_jsonb(q) from slot s join voicenter.agent_15min q on q.account = $1 and q.starts_at = s.starts_at
), wrong_quarter as materialized (
    (select q from counted except all select q from kept)
    union all
    (select q from kept except all select q from counted)
), day as materialized (
    select distinct (starts_at at time zone (select name from zone))::date as day from slot
), queue as materialized (
    select array_agg(q.day) as days, array_agg(q.queue_name) as names
    from (
        select d.day, q.queue_name from day d join voicenter.queue_15min q on q.account = $1 and q.day = d.day
        union
        select d.day, q.queue_name from day d join voicenter.queue_1day q on q.account = $1 and q.day = d.day
    ) q
), agent as materialized (
    select array_agg(a.day) as days, array_agg(a.agent_key) as keys
    from (
        select d.day, a.agent_key from day d join voicenter.agent_15min a on a.account = $1 and a.day = d.day
        union
        select d.day, a.agent_key from day d join voicenter.agent_1day a on a.account = $1 and a.day = d.day
    ) a
), added_up as materialized (
    select to_jsonb(q) as d from queue, cdr_sync.queue_1day_of($1, queue.days, queue.names) q
    union all
    select to_jsonb(a) from agent, cdr_sync.agent_1day_of($1, agent.days, agent.keys) a
), kept_day as materialized (
    select to_jsonb(q) as d from day s join voicenter.queue_1day q on q.account = $1 and q.day = s.day
    union all
    select to_jsonb(a) from day s join voicenter.agent_1day a on a.account = $1 and a.day = s.day
), wrong_day as materialized (
    (select d from added_up except all select d from kept_day)
    union all
    (select d from kept_day except all select d from added_up)
)
select (select count(*) from compared) as calls,
       (select count(*) from compared where is_wrong) as wrong,
       (select count(distinct q ->> 'starts_at') from wrong_quarter) as wrong_quarters,
       (select count(distinct d ->> 'day') from wrong_day) as wrong_days,
       exists (select from voicenter.sync_state where account = $1 and not calls_current)
           or exists (select from voicenter.cdr_push where account = $1 and to_fold) as is_behind";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_as_large_as_commits_can_wait_for() {
        let size = SliceSize::default();
        let after = |size: SliceSize, ms| size.after(Duration::from_millis(ms));
        assert_eq!(after(size, 100), SliceSize(LARGEST_SLICE));
        assert_eq!(after(size, 900), SliceSize(LARGEST_SLICE / 2));
        assert_eq!(after(SliceSize(1_000), 100), SliceSize(1_500));
        assert_eq!(after(SliceSize(1_000), 400), SliceSize(1_000));
        assert_eq!(after(SliceSize(1), 900), SliceSize(1));
        assert_eq!(SliceSize(5).smaller(), Some(SliceSize(1)));
        assert_eq!(SliceSize(1).smaller(), None);
    }
}
