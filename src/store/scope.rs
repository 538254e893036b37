//! A change of what an account reads: everything is read again, and rows of the earlier scope are never taken for
//! removed before an answer under the new one has returned them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::missing::columns;
use super::{StoreError, span, sql, sql_value};
use crate::cdr::CdrKey;
use crate::window::Window;

/// Deletes what was known of the account under its earlier scope.
const EMPTY_LEDGER: [&str; 14] = [
    "delete from cdr_sync.coverage where account = $1",
    "delete from cdr_sync.lacking where account = $1",
    "delete from cdr_sync.gap where account = $1",
    "delete from cdr_sync.missing where account = $1",
    "delete from cdr_sync.twin where account = $1",
    // Other calls, perhaps of another server.
    "delete from cdr_sync.settling where account = $1",
    "delete from cdr_sync.late_hour where account = $1",
    "delete from cdr_sync.hour_count where account = $1",
    "delete from cdr_sync.lateness where account = $1",
    // What shared a key under the earlier scope says nothing of this one; what still does is seen again.
    "update cdr_sync.rejected set closed_at = clock_timestamp()
     where account = $1 and reason = 'duplicate_key' and closed_at is null",
    "update cdr_sync.cursor set history_from = null, synced_until = null where account = $1",
    "update cdr_sync.account set horizon = null, knowledge = null where name = $1",
    // Which rows the new scope lacks is found out stretch by stretch: to note each of millions would take minutes.
    "delete from cdr_sync.unscoped where account = $1",
    "insert into cdr_sync.unscoped (account, span, since)
     select account, tstzrange('-infinity', 'infinity'), greatest(clock_timestamp(), updated_at + interval '1 microsecond')
     from cdr_sync.cursor where account = $1",
];

/// Stores a new scope. Returns the old and the new one if they differ.
pub(super) async fn change(
    conn: &mut PgConnection,
    name: &str,
    scope: &Value,
    now: DateTime<Utc>,
) -> Result<Option<(Value, Value)>, StoreError> {
    // Compared by PostgreSQL, which ignores the order of keys.
    let before: Option<Value> =
        sql_value("select scope from cdr_sync.account where name = $1 and scope <> $2")
            .bind(name)
            .bind(scope)
            .fetch_optional(&mut *conn)
            .await?;
    let Some(before) = before else { return Ok(None) };
    for statement in EMPTY_LEDGER {
        sql(statement).bind(name).execute(&mut *conn).await?;
    }
    sql("update cdr_sync.account set scope = $2, scope_since = $3 where name = $1")
        .bind(name)
        .bind(scope)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(Some((before, scope.clone())))
}

/// After a complete read of `window` that returned `seen`: notes what else is stored there under an earlier scope.
pub(super) async fn has_read(
    conn: &mut PgConnection,
    account: &str,
    window: Window,
    seen: &BTreeSet<&CdrKey>,
) -> Result<(), StoreError> {
    let (call_ids, types) = columns(seen.iter().copied());
    sql("with seen as materialized (
             select * from unnest($3::text[], $4::text[]) as seen(call_id, type)
         ), lacked as (
             insert into cdr_sync.earlier_scope (account, call_id, type)
             select c.account, c.call_id, c.type
             from cdr_sync.unscoped u
             join voicenter.cdr c on c.account = u.account and c.started_at <@ (u.span * $2)
                                 and c.started_at >= lower($2) and c.started_at < upper($2)
             where u.account = $1 and u.span && $2 and c.first_seen_at < u.since and c.removed_at is null
               and not exists (select from seen where seen.call_id = c.call_id and seen.type = c.type)
             on conflict do nothing
         ), cut as (
             delete from cdr_sync.unscoped where account = $1 and span && $2 returning span, since
         )
         insert into cdr_sync.unscoped (account, span, since)
         select $1, piece.span, cut.since
         from cut
         cross join lateral (values
             (tstzrange(lower(cut.span), greatest(lower(cut.span), lower($2)))),
             (tstzrange(least(upper(cut.span), upper($2)), upper(cut.span)))
         ) as piece(span)
         where not isempty(piece.span)")
    .bind(account)
    .bind(span(window))
    .bind(call_ids)
    .bind(types)
    .execute(conn)
    .await?;
    Ok(())
}
