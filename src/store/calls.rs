//! `voicenter.calls` and what is counted from it: folded from the rows of `voicenter.cdr`, by the rules that stand in
//! migrations/0008_calls.sql.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::{FromRow, PgConnection};

use super::ledger::Locked;
use super::{Store, StoreError, sql_as, sql_value};
use crate::window::Window;

/// Changed rows that are folded in one transaction: a commit of the same account waits for no more.
const SLICE: i32 = 5_000;
/// While history is being filled, a commit that changes more rows than this leaves them to [`Store::fold_calls`].
const AT_ONCE: u64 = 1_000;
/// Calls that started within this span are compared by one statement.
const COMPARED_AT_ONCE: TimeDelta = TimeDelta::hours(24);

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

/// How `voicenter.calls` compares with the rows that it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallsCompared {
    /// Calls that were compared.
    pub calls: u64,
    /// Those that are missing, too many, or different.
    pub wrong: u64,
    /// Quarters of an hour in `voicenter.calls_15min` that differ from the calls.
    pub wrong_quarters: u64,
    /// `true` if not all changes were folded yet, so that differences are no fault.
    pub is_behind: bool,
}

#[derive(FromRow)]
struct ComparedRow {
    calls: i64,
    wrong: i64,
    wrong_quarters: i64,
    is_behind: bool,
}

#[derive(FromRow)]
struct SliceRow {
    taken: i32,
    failed: i32,
}

/// Folds what this commit changed, in its transaction. Returns how many calls could not be folded.
pub(super) async fn fold_commit(
    conn: &mut PgConnection,
    account: &str,
    locked: &Locked,
    changed: u64,
) -> Result<u64, StoreError> {
    if changed == 0 || locked.is_filling && changed > AT_ONCE {
        return Ok(0);
    }
    let failed: i32 = sql_value("select cdr_sync.fold_commit($1, $2)")
        .bind(account)
        .bind(locked.stamp)
        .fetch_one(conn)
        .await?;
    Ok(u64::from(failed.unsigned_abs()))
}

impl Store {
    /// Sets the zone of an account's local days and hours; when it changes, all calls are folded again. Returns `false`
    /// if PostgreSQL does not know the zone: its days are those of UTC then.
    pub async fn set_reporting_zone(&self, account: &str, zone: Tz) -> Result<bool, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let known: bool = sql_value(
                "with zone as materialized (
                     select case when exists (select from pg_timezone_names where name = $2) then $2 else 'UTC' end as name
                 ), stored as (
                     insert into cdr_sync.reporting as r (account, timezone) select $1, name from zone
                     on conflict (account) do update
                     set timezone = excluded.timezone, folded_until = '-infinity', folded_call = ''
                     where r.timezone <> excluded.timezone
                 )
                 select name = $2 from zone",
            )
            .bind(account)
            .bind(zone.name())
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(known)
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

    /// Folds some of an account's oldest changes; call it again while there are more.
    pub async fn fold_calls(&self, account: &str) -> Result<FoldedSlice, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let slice: SliceRow = sql_as("select taken, failed from cdr_sync.fold_changes($1, $2)")
                .bind(account)
                .bind(SLICE)
                .fetch_one(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(FoldedSlice {
                rows: u64::from(slice.taken.unsigned_abs()),
                failed: u64::from(slice.failed.unsigned_abs()),
                has_more: slice.taken == SLICE,
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
                is_behind: row.is_behind,
            })
        })
        .await
    }
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
), compared as materialized (
    select case when (m).call_id is null or (c).call_id is null then true
                else to_jsonb(m) - 'updated_at' <> to_jsonb(c) - 'updated_at' end as is_wrong
    from made full join stored on (m).call_id = (c).call_id
), slot as materialized (
    select cdr_sync.quarter($2) + n * interval '15 minutes' as starts_at
    from generate_series(0, ceil(extract(epoch from $3 - cdr_sync.quarter($2)) / 900)::integer - 1) n
), counted as materialized (
    select q from cdr_sync.calls_15min_of($1, array(select starts_at from slot), (select name from zone)) q
), kept as materialized (
    select q from slot s join voicenter.calls_15min q on q.account = $1 and q.starts_at = s.starts_at
)
select (select count(*) from compared) as calls,
       (select count(*) from compared where is_wrong) as wrong,
       (select count(*)
        from counted
        full join kept on (counted.q).starts_at = (kept.q).starts_at and (counted.q).direction = (kept.q).direction
        where to_jsonb(counted.q) is distinct from to_jsonb(kept.q)) as wrong_quarters,
       exists (select from voicenter.sync_state where account = $1 and not calls_current) as is_behind";
