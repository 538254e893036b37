//! Rows that complete answers lack: when they count as removed, and the vendor's own horizon.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::change::{Claim, RemovalRules, SUSPICIOUS_READS};
use super::{Store, StoreError, interval, merge, sql, sql_as};
use crate::cdr::{Cdr, CdrKey, Rejected};
use crate::window::Window;

/// How long the old end of history must be empty for one answer to show the vendor's horizon.
const HORIZON_LENGTH: TimeDelta = TimeDelta::hours(12);

/// Every vendor keeps younger rows: they are missing for another reason.
pub(super) const HORIZON_AGE: TimeDelta = TimeDelta::days(1);

/// A row `c` that the API has shown under the present scope and that is not removed; $1 is the account.
///
/// While rows of an earlier scope are left, only what the present one has covered is searched: looking for the next
/// such row would otherwise scan all of history at every commit. `offset 0` makes it one lookup per row; without it the
/// planner would read all of that table.
pub(super) const LIVE: &str = "c.account = $1 and c.removed_at is null
    and c.started_at >= (select case when exists (select from cdr_sync.earlier_scope where account = $1)
            or exists (select from cdr_sync.unscoped where account = $1)
        then coalesce((select min(lower(span)) from cdr_sync.coverage where account = $1), 'infinity')
        else '-infinity' end)
    and not exists (
        select from cdr_sync.unscoped u
        where u.account = c.account and u.span @> c.started_at and c.first_seen_at < u.since)
    and not exists (
        select from cdr_sync.earlier_scope e
        where e.account = c.account and e.call_id = c.call_id and e.type = c.type offset 0)";

/// If the server has returned no record at all since the row `m` went missing, the server is probably at fault.
const ALIVE: &str = "($alive or exists (
    select from cdr_sync.window_read w where w.account = $1 and w.started_at >= m.first_missed_at and w.seen > 0))";

impl Store {
    /// The missing rows of `window` that a complete read started at `read_at` would mark removed: the ones to ask
    /// for by CallID first.
    pub async fn missing_keys(
        &self,
        account: &str,
        window: Window,
        read_at: DateTime<Utc>,
    ) -> Result<Vec<CdrKey>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let rows: Vec<(String, String)> = sql_as(
                "select call_id, type from cdr_sync.missing
             where account = $1 and started_at >= $2 and started_at < $3
               and due_at <= $4 and reads + tries + 1 >= case when suspicious then $5 else 2 end
               and (older_shown or started_at > $6)
             order by call_id, type",
            )
            .bind(account)
            .bind(window.from())
            .bind(window.to())
            .bind(read_at)
            .bind(i64::from(SUSPICIOUS_READS))
            .bind(read_at - HORIZON_AGE)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(rows.into_iter().map(|(call_id, call_type)| CdrKey { call_id, call_type }).collect())
        })
        .await
    }
}

/// The keys as two arrays, for `unnest`.
pub(super) fn columns<'k>(keys: impl IntoIterator<Item = &'k CdrKey>) -> (Vec<&'k str>, Vec<&'k str>) {
    keys.into_iter().map(|key| (key.call_id.as_str(), key.call_type.as_str())).unzip()
}

/// Forgets that rows were missing which this answer returned or which have another Date now. Another record of the key
/// proves nothing about a row whose Date has not changed.
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
             -- By the rows' places: joined, the planner would read the whole table.
             delete from cdr_sync.earlier_scope where ctid = any (array(
                 select found.place from seen cross join lateral (
                     select e.ctid as place from cdr_sync.earlier_scope e
                     where e.account = $1 and e.call_id = seen.call_id and e.type = seen.type limit 1) as found))
         )
         delete from cdr_sync.missing m using seen
         where m.account = $1 and m.call_id = seen.call_id and m.type = seen.type
           and (m.started_at = seen.started_at or not exists (
                    select from voicenter.cdr c
                    where c.account = (select $1) and c.call_id = m.call_id and c.type = m.type
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

/// The records of an answer that could not be decoded: any of the missing rows may be one of them.
#[derive(Debug, Default)]
pub(super) struct Shields<'a> {
    /// Rows with these keys are there.
    pub keys: Vec<&'a CdrKey>,
    /// Rows of these seconds may be there: a record without a key.
    pub seconds: Vec<DateTime<Utc>>,
    /// A record had neither key nor date, so any row may be there. Rows that seem to be missing are read again in a
    /// narrow window, whose answer need not hold that record.
    pub anonymous: bool,
}

impl<'a> Shields<'a> {
    pub(super) fn of(rejected: impl Iterator<Item = &'a Rejected>) -> Self {
        let mut shields = Self::default();
        for record in rejected {
            match (&record.key, record.started_at) {
                (Some(key), _) => shields.keys.push(key),
                (None, Some(date)) => shields.seconds.push(date.trunc_subsecs(0)),
                (None, None) => shields.anonymous = true,
            }
        }
        shields
    }
}

/// One claim's rows against one answer's keys.
pub(super) struct Removal<'a> {
    pub account: &'a str,
    pub rules: RemovalRules,
    /// `true` if replaced versions are kept.
    pub history: bool,
    pub claim: &'a Claim,
    /// Every key that the read returned.
    pub seen: &'a BTreeSet<&'a CdrKey>,
    /// The keys among them from pages before this answer.
    pub earlier_keys: &'a [CdrKey],
    /// Missing keys that the API no longer returns by CallID; `None` if it cannot be asked.
    pub confirmed_gone: Option<&'a BTreeSet<CdrKey>>,
    /// `true` if this answer has records.
    pub has_records: bool,
    /// The oldest record of this answer.
    pub oldest: Option<DateTime<Utc>>,
    pub shields: &'a Shields<'a>,
    pub stamp: DateTime<Utc>,
    pub horizon: Option<DateTime<Utc>>,
}

/// The result of comparing a claim.
#[derive(Debug, Default)]
pub(super) struct FoundMissing {
    pub removed: u64,
    pub new: u64,
    pub suspicious: bool,
    pub horizon: Option<DateTime<Utc>>,
}

impl Removal<'_> {
    /// Compares, notes what is missing, and marks what has been missing for long enough.
    pub(super) async fn judge(mut self, conn: &mut PgConnection) -> Result<FoundMissing, StoreError> {
        let mut found = FoundMissing::default();
        if let Some(horizon) = self.shown_horizon(conn).await? {
            self.move_up(conn, horizon, &mut found).await?;
        }
        let missing;
        (missing, found.new, found.suspicious) = self.note(conn).await?;
        if missing == 0 {
            return Ok(found);
        }
        found.removed = self.mark(conn).await?;
        if let Some(horizon) = self.purged(conn).await? {
            self.move_up(conn, horizon, &mut found).await?;
        }
        Ok(found)
    }

    async fn move_up(
        &mut self,
        conn: &mut PgConnection,
        horizon: DateTime<Utc>,
        found: &mut FoundMissing,
    ) -> Result<(), StoreError> {
        move_horizon(conn, self.account, horizon).await?;
        (self.horizon, found.horizon) = (Some(horizon), Some(horizon));
        Ok(())
    }

    /// The vendor's horizon, if this answer shows it by itself: the oldest rows of the account, over a long stretch or
    /// very many, and nothing else up to the oldest record shown, are all missing. Where rows above are missing too, as
    /// when chunks are read from new to old, it is above those.
    async fn shown_horizon(&self, conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StoreError> {
        let limit = self.claim.read_at - HORIZON_AGE;
        let to = self.oldest.map_or(self.claim.window.to(), |oldest| oldest.min(self.claim.window.to()));
        let to = to.min(limit);
        let Some(stretch) = Window::new(self.floor(), to) else { return Ok(None) };
        if self.shields.anonymous {
            return Ok(None);
        }
        // This answer's own records are not older than the stretch.
        let earlier = self.earlier_keys.iter();
        let (call_ids, types) = columns(earlier.chain(self.shields.keys.iter().copied()));
        let statement = format!(
            "with live as not materialized (
                 select c.call_id, c.type, c.started_at from voicenter.cdr c where {LIVE}
             ), oldest as (
                 select call_id, type from live where started_at >= $2 and started_at < $3
             ), facts as materialized (
                 select (select count(*) from oldest) as gone,
                        exists (select from oldest join unnest($4::text[], $5::text[]) as seen(call_id, type)
                                                   using (call_id, type)) as seen
             )
             select gone,
                    case when gone = 0 or seen then false else not exists (
                        select from live where started_at < $2 and started_at >= coalesce($6, '-infinity')) end,
                    case when gone = 0 or seen then null else (
                        select started_at from live
                        where started_at >= $3 and not exists (
                            select from cdr_sync.missing m
                            where m.account = $1 and m.call_id = live.call_id and m.type = live.type)
                        order by started_at limit 1) end
             from facts"
        );
        let (gone, lowest, above): (i64, bool, Option<DateTime<Utc>>) =
            sqlx::query_as(AssertSqlSafe(statement))
                .persistent(false)
                .bind(self.account)
                .bind(stretch.from())
                .bind(stretch.to())
                .bind(call_ids)
                .bind(types)
                .bind(self.horizon)
                .fetch_one(conn)
                .await?;
        let long = stretch.len() >= HORIZON_LENGTH || gone > i64::from(self.rules.suspicious_rows);
        Ok((lowest && long).then(|| above.map_or(to, |above| above.clamp(to, limit))))
    }

    /// The horizon, if rows that were missing for long enough to be marked turn out to be beyond it: nothing older has
    /// been shown since, although the row before them was requested as well, or there is none.
    async fn purged(&self, conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StoreError> {
        let rules = self.rules;
        let statement = format!(
            "with live as not materialized (
                 select c.started_at from voicenter.cdr c
                 where {LIVE} and not exists (
                     select from cdr_sync.missing x
                     where x.account = $1 and x.call_id = c.call_id and x.type = c.type)
             ), newest as (
                 select m.started_at, m.first_missed_at from cdr_sync.missing m
                 where m.account = $1 and m.started_at >= $2 and m.started_at < $3 and m.last_missed_at = $4
                   and not m.older_shown and m.started_at <= $5 and m.reads >= {reads} and {long_enough}
                   and {alive}
                 order by m.started_at desc limit 1
             )
             select coalesce((select started_at from live where started_at > newest.started_at
                              order by started_at limit 1), newest.started_at + interval '1 microsecond')
             from newest
             where not exists (select from live where started_at < newest.started_at
                                                  and started_at >= coalesce($9, '-infinity'))
                or exists (select from cdr_sync.missing m
                           where m.account = $1 and m.started_at >= $2 and m.started_at < newest.started_at
                             and m.first_missed_at > newest.first_missed_at and m.last_missed_at = $4)",
            reads = "case when m.suspicious then $7 else 2 end",
            long_enough =
                "m.last_missed_at - m.first_missed_at >= case when m.suspicious then $8 else $6 end",
            alive = ALIVE.replace("$alive", "$10"),
        );
        let row: Option<(DateTime<Utc>,)> = sqlx::query_as(AssertSqlSafe(statement))
            .persistent(false)
            .bind(self.account)
            .bind(self.floor())
            .bind(self.claim.window.to())
            .bind(self.claim.read_at)
            .bind(self.claim.read_at - HORIZON_AGE)
            .bind(interval(rules.after))
            .bind(i64::from(rules.suspicious_reads))
            .bind(interval(rules.suspicious_after))
            .bind(self.horizon)
            .bind(self.has_records)
            .fetch_optional(conn)
            .await?;
        Ok(row.map(|(horizon,)| horizon.min(self.claim.read_at - HORIZON_AGE)))
    }

    /// Rows below the horizon are not compared.
    fn floor(&self) -> DateTime<Utc> {
        self.horizon.map_or(self.claim.window.from(), |horizon| horizon.max(self.claim.window.from()))
    }

    /// Writes the rows that the answer lacks into `cdr_sync.missing`. Returns how many, how many of them are new, and
    /// `true` if they are suspiciously many. Committing the same read again counts nothing twice.
    async fn note(&self, conn: &mut PgConnection) -> Result<(i64, u64, bool), StoreError> {
        let (call_ids, types) = columns(self.seen.iter().copied().chain(self.shields.keys.iter().copied()));
        let rules = self.rules;
        let (missing, new, suspicious): (i64, i64, bool) = sql_as(
            "with seen as (
                 select * from unnest($5::text[], $6::text[]) as seen(call_id, type)
             ), stored as materialized (
                 select c.call_id, c.type, c.started_at,
                        seen.call_id is null and date_trunc('second', c.started_at) <> all ($13::timestamptz[]) as gone
                 from voicenter.cdr c
                 left join seen on seen.call_id = c.call_id and seen.type = c.type
                 where c.account = $1 and c.started_at >= $2 and c.started_at < $3 and c.removed_at is null
                   and not exists (select from cdr_sync.unscoped u
                                   where u.account = c.account and u.span @> c.started_at and c.first_seen_at < u.since)
                   and not exists (select from cdr_sync.earlier_scope e
                                   where e.account = c.account and e.call_id = c.call_id and e.type = c.type offset 0)
             ), judged as materialized (
                 select count(*) filter (where gone) as missing,
                        count(*) filter (where gone) > greatest($7::float8, $8::float8 * count(*)) as suspicious
                 from stored
             ), noted as (
                 insert into cdr_sync.missing as m
                     (account, call_id, type, started_at, first_missed_at, last_missed_at, due_at, suspicious, reads,
                      older_shown)
                 select $1, call_id, type, started_at, $4, $4, $4 + case when suspicious then $10 else $9 end,
                        suspicious, case when $14 then 1 else 0 end, coalesce(started_at >= $15, false)
                 from stored, judged where gone
                 on conflict (account, call_id, type) do update
                 set last_missed_at = excluded.last_missed_at, reads = m.reads + excluded.reads,
                     tries = m.tries + case when m.due_at <= excluded.last_missed_at then 1 else 0 end,
                     suspicious = m.suspicious or excluded.suspicious,
                     older_shown = m.older_shown or excluded.older_shown,
                     -- A row that this read could have settled but did not (the API, asked by CallID, did not
                     -- confirm) waits another turn, and twice as long each time.
                     due_at = case
                         when m.suspicious or excluded.suspicious then
                             case when m.first_missed_at + $11 > excluded.last_missed_at and m.reads + 2 >= $12
                                  then m.first_missed_at + $11
                                  else excluded.last_missed_at
                                       + least($10 * power(2, greatest(least(m.tries, 10) - 1, 0)), interval '24 hours') end
                         when m.first_missed_at + $9 > excluded.last_missed_at then m.first_missed_at + $9
                         else excluded.last_missed_at + least($9 * power(2, least(m.tries, 10)),
                                                              greatest($9, interval '24 hours')) end
                 where m.last_missed_at < excluded.last_missed_at
                 returning m.call_id, m.type, m.started_at, m.first_missed_at = m.last_missed_at as new
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
             select missing, (select count(*) from noted where new), suspicious from judged",
        )
        .bind(self.account)
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
        .bind(&self.shields.seconds)
        .bind(!self.shields.anonymous)
        .bind(self.oldest)
        .fetch_one(conn)
        .await?;
        Ok((missing, new.unsigned_abs(), suspicious))
    }

    /// Marks rows as removed that this read and enough reads before it, over enough time, have missed.
    async fn mark(&self, conn: &mut PgConnection) -> Result<u64, StoreError> {
        let rules = self.rules;
        let confirmed = self.confirmed_gone.map(columns);
        let (call_ids, types) = confirmed.unzip();
        let statement = format!(
            "with confirmed as (
                 select * from unnest($11::text[], $12::text[]) as confirmed(call_id, type)
             ), due as (
                 delete from cdr_sync.missing m
                 where m.account = $1 and m.started_at >= $2 and m.started_at < $3 and m.last_missed_at = $4
                   -- The API's word for this very call makes up for reads that came with an unidentified record.
                   and m.reads + case when $11::text[] is null then 0 else m.tries end
                       >= case when m.suspicious then $7 else 2 end
                   and m.last_missed_at - m.first_missed_at >= case when m.suspicious then $8 else $6 end
                   and ($11::text[] is null and $14 or exists (
                            select from confirmed where confirmed.call_id = m.call_id and confirmed.type = m.type))
                   and (m.older_shown or m.started_at > $15)
                   and {alive}
                 returning m.call_id, m.type, m.first_missed_at
             ), replaced as (
                 insert into voicenter.cdr_history ({row}, valid_from, valid_to)
                 select {stored_row}, c.updated_at, $5
                 from due join voicenter.cdr c on c.account = (select $1) and c.call_id = due.call_id and c.type = due.type
                 where $9 and c.removed_at is null and c.started_at >= $10
             ), marked as (
                 update voicenter.cdr c set removed_at = due.first_missed_at, updated_at = $5
                 from due
                 where c.account = (select $1) and c.call_id = due.call_id and c.type = due.type
                   and c.removed_at is null and c.started_at >= $10
                 returning 1
             )
             select count(*) from marked",
            row = merge::row(""),
            stored_row = merge::row("c."),
            alive = ALIVE.replace("$alive", "$13"),
        );
        let (removed,): (i64,) = sqlx::query_as(AssertSqlSafe(statement))
            .persistent(false)
            .bind(self.account)
            .bind(self.claim.window.from())
            .bind(self.claim.window.to())
            .bind(self.claim.read_at)
            .bind(self.stamp)
            .bind(interval(rules.after))
            .bind(i64::from(rules.suspicious_reads))
            .bind(interval(rules.suspicious_after))
            .bind(self.history)
            .bind(self.floor())
            .bind(call_ids)
            .bind(types)
            .bind(self.has_records)
            .bind(!self.shields.anonymous)
            .bind(self.claim.read_at - HORIZON_AGE)
            .fetch_one(conn)
            .await?;
        Ok(removed.unsigned_abs())
    }
}

/// Notes for the missing rows that the API has shown an older record since they went missing.
pub(super) async fn note_older(
    conn: &mut PgConnection,
    account: &str,
    oldest: DateTime<Utc>,
    read_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sql("update cdr_sync.missing set older_shown = true
         where account = $1 and started_at >= $2 and first_missed_at <= $3 and not older_shown")
    .bind(account)
    .bind(oldest)
    .bind(read_at)
    .execute(conn)
    .await?;
    Ok(())
}
