//! Records that share a key: one that moved to another Date, or two (twins). No single answer
//! shows which of the two it is, so both dates are noted and read again.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use super::change::Claim;
use super::merge::Merged;
use super::missing::columns;
use super::{StoreError, interval, merge, row, span, sql};
use crate::cdr::{Cdr, CdrKey};

/// First wait of a date whose read decided nothing.
const WAIT: TimeDelta = TimeDelta::minutes(10);

/// The replaced versions of rows that gave way to a later record of their key without being known to be gone.
pub(super) async fn superseded(
    conn: &mut PgConnection,
    account: &str,
    merged: &Merged,
    stamp: DateTime<Utc>,
) -> Result<Vec<Cdr>, StoreError> {
    if merged.superseded.is_empty() {
        return Ok(Vec::new());
    }
    let (call_ids, types) = columns(&merged.superseded);
    // A replaced Date is always kept there.
    let statement = format!(
        "select {} from voicenter.cdr_history
         where account = $1 and valid_to = $2
           and (call_id, type) in (select * from unnest($3::text[], $4::text[]))",
        merge::readable_row()
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .persistent(false)
        .bind(account)
        .bind(stamp)
        .bind(call_ids)
        .bind(types)
        .fetch_all(conn)
        .await?;
    rows.iter().map(row::cdr_from_row).collect()
}

/// Notes the dates at which records of one key were seen. A pair that is already known is not read again.
pub(super) async fn note(
    conn: &mut PgConnection,
    account: &str,
    read_at: DateTime<Utc>,
    kept_out: &[&Cdr],
    superseded: &[Cdr],
) -> Result<(), StoreError> {
    let losers: Vec<&Cdr> = kept_out.iter().copied().chain(superseded).collect();
    if losers.is_empty() {
        return Ok(());
    }
    let (call_ids, types) = columns(losers.iter().map(|record| &record.key));
    sql("insert into cdr_sync.twin as t (account, call_id, type, started_at, noted_at, due_at)
         select distinct $1, l.call_id, l.type, d.started_at, $2::timestamptz, $2::timestamptz
         from unnest($3::text[], $4::text[], $5::timestamptz[]) as l(call_id, type, started_at)
         -- The limit keeps this a lookup a record.
         cross join lateral (
             select started_at from voicenter.cdr
             where account = (select $1) and call_id = l.call_id and type = l.type limit 1
         ) as c
         cross join lateral (values (c.started_at), (l.started_at)) as d(started_at)
         where not exists (
             select from cdr_sync.rejected r
             where r.account = $1 and r.call_id = l.call_id and r.type = l.type and r.started_at = l.started_at
               and r.reason = 'duplicate_key' and r.closed_at is null and r.first_seen_at < $2)
         on conflict (account, call_id, type, started_at) do update
         set noted_at = excluded.noted_at, due_at = excluded.due_at, tries = 0
         where t.noted_at < excluded.noted_at")
    .bind(account)
    .bind(read_at)
    .bind(call_ids)
    .bind(types)
    .bind(losers.iter().map(|record| record.started_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Settles the dates inside a claim: a proving claim has acted on all that it showed, any other one postpones them.
/// `shielded` keys may belong to a record that could not be decoded.
pub(super) async fn settle(
    conn: &mut PgConnection,
    account: &str,
    claim: &Claim,
    proves: bool,
    shielded: &[&CdrKey],
) -> Result<(), StoreError> {
    let (call_ids, types) = columns(shielded.iter().copied());
    sql("with shielded as (
             select * from unnest($4::text[], $5::text[]) as shielded(call_id, type)
         ), decided as (
             delete from cdr_sync.twin t
             where $6 and t.account = $1 and t.started_at <@ $2 and t.noted_at < $3
               and (t.call_id, t.type) not in (select * from shielded)
         )
         update cdr_sync.twin t
         set tries = t.tries + 1, due_at = least($3 + $7 * power(2, least(t.tries, 10)), $3 + interval '24 hours')
         where t.account = $1 and t.started_at <@ $2 and t.due_at <= $3 and t.noted_at < $3
           and (not $6 or (t.call_id, t.type) in (select * from shielded))")
    .bind(account)
    .bind(span(claim.window))
    .bind(claim.read_at)
    .bind(call_ids)
    .bind(types)
    .bind(proves)
    .bind(interval(WAIT))
    .execute(conn)
    .await?;
    Ok(())
}
