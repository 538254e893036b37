//! Rows that complete answers lack: when they count as removed, and the vendor's own horizon.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::commit::{Claim, Commit, SUSPICIOUS_READS};
use super::{Store, StoreError, interval, merge, sql, sql_as, window};
use crate::cdr::{Cdr, CdrKey};
use crate::window::Window;

/// How long a window must be for its emptiness alone to tell of the vendor's horizon.
const HORIZON_LENGTH: TimeDelta = TimeDelta::hours(12);

/// How old its end must be.
const HORIZON_AGE: TimeDelta = TimeDelta::days(1);

/// A window to be read again because rows in it are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// What to read: whole minutes around the missing rows of one hour.
    pub window: Window,
    /// The first instant at which a read can settle it.
    pub due_at: DateTime<Utc>,
}

impl Store {
    /// The missing rows of `window` that a complete read started at `read_at` would mark removed: the ones to ask
    /// for by CallID first.
    pub async fn missing_keys(
        &self,
        account: &str,
        window: Window,
        read_at: DateTime<Utc>,
    ) -> Result<Vec<CdrKey>, StoreError> {
        let mut tx = self.begin().await?;
        let rows: Vec<(String, String)> = sql_as(
            "select call_id, type from cdr_sync.missing
             where account = $1 and started_at >= $2 and started_at < $3
               and due_at <= $4 and (not suspicious or reads + 1 >= $5)
             order by call_id, type",
        )
        .bind(account)
        .bind(window.from())
        .bind(window.to())
        .bind(read_at)
        .bind(i64::from(SUSPICIOUS_READS))
        .fetch_all(&mut *tx)
        .await?;
        Ok(rows.into_iter().map(|(call_id, call_type)| CdrKey { call_id, call_type }).collect())
    }
}

/// The keys as two arrays, for `unnest`.
pub(super) fn columns<'k>(keys: impl IntoIterator<Item = &'k CdrKey>) -> (Vec<&'k str>, Vec<&'k str>) {
    keys.into_iter().map(|key| (key.call_id.as_str(), key.call_type.as_str())).unzip()
}

/// Drops the doubts about rows that this answer returned, and about those that stand at another Date now. Another
/// record of the key says nothing of a row that stands where it stood.
pub(super) async fn forget_returned(
    conn: &mut PgConnection,
    account: &str,
    records: &[&Cdr],
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let (call_ids, types) = columns(records.iter().map(|record| &record.key));
    sql("with seen as materialized (
             select * from unnest($2::text[], $3::text[], $4::timestamptz[]) as seen(call_id, type, started_at)
         ), known_again as (
             delete from cdr_sync.earlier_scope e using seen
             where e.account = $1 and e.call_id = seen.call_id and e.type = seen.type
         )
         delete from cdr_sync.missing m using seen
         where m.account = $1 and m.call_id = seen.call_id and m.type = seen.type
           and (m.started_at = seen.started_at or not exists (
                    select from voicenter.cdr c
                    where c.account = $1 and c.call_id = m.call_id and c.type = m.type
                      and c.started_at = m.started_at))")
    .bind(account)
    .bind(call_ids)
    .bind(types)
    .bind(records.iter().map(|record| record.started_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the vendor's horizon and forgets the missing below it.
pub(super) async fn move_horizon(
    conn: &mut PgConnection,
    account: &str,
    horizon: DateTime<Utc>,
) -> Result<(), StoreError> {
    sql("with forgotten as (delete from cdr_sync.missing where account = $1 and started_at < $2)
         update cdr_sync.account set horizon = $2 where name = $1")
    .bind(account)
    .bind(horizon)
    .execute(conn)
    .await?;
    Ok(())
}

/// One claim's rows against one answer's keys.
pub(super) struct Removal<'a> {
    pub commit: &'a Commit<'a>,
    pub claim: &'a Claim,
    /// Every key that the read returned.
    pub seen: &'a BTreeSet<&'a CdrKey>,
    pub stamp: DateTime<Utc>,
    pub horizon: Option<DateTime<Utc>>,
}

/// What a claim's comparison found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub removed: u64,
    pub new: u64,
    pub suspicious: bool,
    pub horizon: Option<DateTime<Utc>>,
}

impl Removal<'_> {
    /// Compares, notes what is missing, and marks what has been missing for long enough.
    pub(super) async fn judge(
        &self,
        conn: &mut PgConnection,
        history_from: Option<DateTime<Utc>>,
    ) -> Result<Found, StoreError> {
        if self.may_show_horizon(history_from) && self.shows_horizon(conn).await? {
            let horizon = self.claim.window.to();
            move_horizon(conn, self.commit.account, horizon).await?;
            return Ok(Found { horizon: Some(horizon), ..Found::default() });
        }
        let (missing, new, suspicious) = self.note(conn).await?;
        let removed = if missing > 0 { self.mark(conn).await? } else { 0 };
        Ok(Found { removed, new, suspicious, horizon: None })
    }

    /// Only a wholly empty answer at the old end of history can show the vendor's horizon.
    fn may_show_horizon(&self, history_from: Option<DateTime<Utc>>) -> bool {
        let window = self.claim.window;
        self.seen.is_empty()
            && history_from.max(self.horizon).is_some_and(|floor| window.from() <= floor)
            && window.to() <= self.claim.read_at - HORIZON_AGE
    }

    async fn shows_horizon(&self, conn: &mut PgConnection) -> Result<bool, StoreError> {
        let (rows,): (i64,) = sql_as(
            "select count(*) from voicenter.cdr c
             where account = $1 and started_at >= $2 and started_at < $3 and removed_at is null
               and not exists (select from cdr_sync.earlier_scope e
                               where e.account = c.account and e.call_id = c.call_id and e.type = c.type)",
        )
        .bind(self.commit.account)
        .bind(self.floor())
        .bind(self.claim.window.to())
        .fetch_one(conn)
        .await?;
        // All of them are missing, so their number alone tells whether that is suspicious.
        let suspicious = rows > i64::from(self.commit.removal.suspicious_rows);
        Ok(rows > 0 && (suspicious || self.claim.window.len() >= HORIZON_LENGTH))
    }

    /// Below it nothing is compared.
    fn floor(&self) -> DateTime<Utc> {
        self.horizon.map_or(self.claim.window.from(), |horizon| horizon.max(self.claim.window.from()))
    }

    /// Writes the rows that the answer lacks into `cdr_sync.missing`: how many, how many newly, whether suspicious.
    /// The same read counts once, however often it is committed.
    async fn note(&self, conn: &mut PgConnection) -> Result<(i64, u64, bool), StoreError> {
        let (call_ids, types) = columns(self.seen.iter().copied());
        let rules = self.commit.removal;
        let (missing, new, suspicious): (i64, i64, bool) = sql_as(
            "with seen as (
                 select * from unnest($5::text[], $6::text[]) as seen(call_id, type)
             ), stored as materialized (
                 select c.call_id, c.type, c.started_at, seen.call_id is null as gone
                 from voicenter.cdr c
                 left join seen on seen.call_id = c.call_id and seen.type = c.type
                 where c.account = $1 and c.started_at >= $2 and c.started_at < $3 and c.removed_at is null
                   and not exists (select from cdr_sync.earlier_scope e
                                   where e.account = c.account and e.call_id = c.call_id and e.type = c.type)
             ), judged as materialized (
                 select count(*) filter (where gone) as missing,
                        count(*) filter (where gone) > greatest($7::float8, $8::float8 * count(*)) as suspicious
                 from stored
             ), noted as (
                 insert into cdr_sync.missing as m
                     (account, call_id, type, started_at, first_missed_at, last_missed_at, due_at, suspicious)
                 select $1, call_id, type, started_at, $4, $4, $4 + case when suspicious then $10 else $9 end,
                        suspicious
                 from stored, judged where gone
                 on conflict (account, call_id, type) do update
                 set last_missed_at = excluded.last_missed_at, reads = m.reads + 1,
                     suspicious = m.suspicious or excluded.suspicious,
                     -- A row that this read could have settled but did not (the API, asked by CallID, did not
                     -- confirm) waits another turn.
                     due_at = case
                         when m.suspicious or excluded.suspicious then
                             case when m.first_missed_at + $11 > excluded.last_missed_at and m.reads + 2 >= $12
                                  then m.first_missed_at + $11 else excluded.last_missed_at + $10 end
                         when m.first_missed_at + $9 > excluded.last_missed_at then m.first_missed_at + $9
                         else excluded.last_missed_at + $9 end
                 where m.last_missed_at < excluded.last_missed_at
                 returning m.call_id, m.type, m.started_at, m.reads
             ), twins as (
                 -- Another record of the key may still be there: it would be the row.
                 insert into cdr_sync.twin (account, call_id, type, started_at, noted_at, due_at)
                 select distinct $1, r.call_id, r.type, r.started_at, $4, $4
                 from noted join cdr_sync.rejected r
                   on r.account = $1 and r.call_id = noted.call_id and r.type = noted.type
                      and r.started_at <> noted.started_at
                 where r.closed_at is null and r.reason = 'duplicate_key'
                 on conflict do nothing
             )
             select missing, (select count(*) from noted where reads = 1), suspicious from judged",
        )
        .bind(self.commit.account)
        .bind(self.floor())
        .bind(self.claim.window.to())
        .bind(self.claim.read_at)
        .bind(call_ids)
        .bind(types)
        .bind(f64::from(rules.suspicious_rows))
        .bind(rules.suspicious_share)
        .bind(interval(rules.after))
        .bind(interval(rules.suspicious_after / i32::try_from(rules.suspicious_reads.max(2) - 1).unwrap_or(1)))
        .bind(interval(rules.suspicious_after))
        .bind(i64::from(rules.suspicious_reads))
        .fetch_one(conn)
        .await?;
        Ok((missing, new.unsigned_abs(), suspicious))
    }

    /// Marks what this read missed and enough reads before it, over enough time.
    async fn mark(&self, conn: &mut PgConnection) -> Result<u64, StoreError> {
        let rules = self.commit.removal;
        let confirmed = self.commit.confirmed_gone.map(columns);
        let (call_ids, types) = confirmed.unzip();
        let statement = format!(
            "with confirmed as (
                 select * from unnest($11::text[], $12::text[]) as confirmed(call_id, type)
             ), due as (
                 delete from cdr_sync.missing m
                 where m.account = $1 and m.started_at >= $2 and m.started_at < $3 and m.last_missed_at = $4
                   and case when m.suspicious
                            then m.reads >= $7 and m.last_missed_at - m.first_missed_at >= $8
                            else m.reads >= 2 and m.last_missed_at - m.first_missed_at >= $6 end
                   and ($11::text[] is null or exists (
                            select from confirmed where confirmed.call_id = m.call_id and confirmed.type = m.type))
                   -- A server that has had no record at all since then is more likely sick than these calls gone.
                   and ($13 or exists (
                            select from cdr_sync.window_read w
                            where w.account = $1 and w.started_at >= m.first_missed_at and w.seen > 0))
                 returning m.call_id, m.type, m.first_missed_at
             ), replaced as (
                 insert into voicenter.cdr_history ({row}, valid_from, valid_to)
                 select {stored_row}, c.updated_at, $5
                 from due join voicenter.cdr c on c.account = $1 and c.call_id = due.call_id and c.type = due.type
                 where $9 and c.removed_at is null and c.started_at >= $10
             ), marked as (
                 update voicenter.cdr c set removed_at = due.first_missed_at, updated_at = $5
                 from due
                 where c.account = $1 and c.call_id = due.call_id and c.type = due.type
                   and c.removed_at is null and c.started_at >= $10
                 returning 1
             )
             select count(*) from marked",
            row = merge::row(""),
            stored_row = merge::row("c."),
        );
        let (removed,): (i64,) = sqlx::query_as(AssertSqlSafe(statement))
            .persistent(false)
            .bind(self.commit.account)
            .bind(self.claim.window.from())
            .bind(self.claim.window.to())
            .bind(self.claim.read_at)
            .bind(self.stamp)
            .bind(interval(rules.after))
            .bind(i64::from(rules.suspicious_reads))
            .bind(interval(rules.suspicious_after))
            .bind(self.commit.history)
            .bind(self.floor())
            .bind(call_ids)
            .bind(types)
            .bind(!self.commit.records.is_empty())
            .fetch_one(conn)
            .await?;
        Ok(removed.unsigned_abs())
    }
}

/// The missing rows and the dates of records that share a key, gathered into a window an hour, each with the instant
/// from which on a read is wanted.
pub(super) async fn rechecks(conn: &mut PgConnection, account: &str) -> Result<Vec<Recheck>, StoreError> {
    let rows: Vec<(DateTime<Utc>, DateTime<Utc>, DateTime<Utc>)> = sql_as(
        "select date_trunc('minute', min(started_at)), date_trunc('minute', max(started_at)) + interval '1 minute',
                min(due_at)
         from (select started_at, due_at, suspicious from cdr_sync.missing where account = $1
               union all
               select started_at, due_at, null from cdr_sync.twin where account = $1) as wanted
         group by date_trunc('hour', started_at), suspicious
         order by 1",
    )
    .bind(account)
    .fetch_all(conn)
    .await?;
    let recheck = |(from, to, due_at)| Ok(Recheck { window: window(from, to)?, due_at });
    rows.into_iter().map(recheck).collect()
}
