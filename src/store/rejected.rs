//! Records that could not be stored, kept once per content.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection};

use super::action::{self, ActionKind};
use super::change::Claim;
use super::migration::hex;
use super::missing::columns;
use super::{Store, StoreError, sql, sql_as, sql_value};
use crate::cdr::{Cdr, CdrKey, RejectReason, Rejected};

/// A line of `cdr_sync.rejected` that is still open. `raw` holds personal data and is shown to the operator only.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct OpenRejected {
    /// The primary key in `cdr_sync.rejected`.
    pub id: i64,
    /// The account whose answer held the record.
    pub account: String,
    /// The reason, in the words of [`RejectReason::as_str`].
    pub reason: String,
    /// PostgreSQL's error code, for `unstorable`.
    pub error: Option<String>,
    /// The record's date, if it has one.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// The number of answers that held the record.
    pub times_seen: i64,
    /// When an operator said that it needs nothing.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// The record's text as received.
    pub raw: String,
}

impl Store {
    /// The open rejected records of one account or of all, at most `limit`: those not acknowledged first, duplicates last, then the newest.
    pub async fn rejected(&self, account: Option<&str>, limit: i64) -> Result<Vec<OpenRejected>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let open = sql_as(
                "select id, account, reason, error, started_at, first_seen_at, last_seen_at, times_seen, acknowledged_at, raw
                 from cdr_sync.rejected
                 where closed_at is null and ($1::text is null or account = $1)
                 order by acknowledged_at is not null, reason = 'duplicate_key', last_seen_at desc, id desc
                 limit $2",
            )
            .bind(account)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(open)
        })
        .await
    }

    /// How many open rejected records of an account nobody has acknowledged. One that only has the key of another record is
    /// told once: it counts if it was first seen at `since` or later.
    pub(crate) async fn rejected_to_tell(
        &self,
        account: &str,
        since: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let count = sql_value(
                "select count(*) from cdr_sync.rejected
                 where account = $1 and closed_at is null and acknowledged_at is null
                   and (reason <> $2 or first_seen_at >= $3)",
            )
            .bind(account)
            .bind(RejectReason::DuplicateKey.as_str())
            .bind(since)
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(count)
        })
        .await
    }

    /// Notes that open rejected records of an account are known and need nothing: those of `ids`, or all. Returns the numbers
    /// of those that were not acknowledged before.
    pub async fn acknowledge(&self, account: &str, ids: Option<&[i64]>) -> Result<Vec<i64>, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let mut done: Vec<i64> = sql_value(
                "update cdr_sync.rejected set acknowledged_at = clock_timestamp()
                 where account = $1 and closed_at is null and acknowledged_at is null and ($2::bigint[] is null or id = any ($2))
                 returning id",
            )
            .bind(account)
            .bind(ids)
            .fetch_all(&mut *tx)
            .await?;
            if !done.is_empty() {
                let detail = format!("{} rejected records", done.len());
                action::note(&mut tx, account, ActionKind::Acknowledge, Some(&detail)).await?;
            }
            tx.commit().await?;
            done.sort_unstable();
            Ok(done)
        })
        .await
    }
}

/// SHA-256 of reason and content: what makes two rejected records the same.
fn content_hash(reason: RejectReason, raw: &str) -> String {
    hex(&Sha256::new().chain_update(reason.as_str()).chain_update("\n").chain_update(raw).finalize())
}

/// PostgreSQL's text cannot hold NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Writes each content once, or notes that it was seen again at `seen_at`. Committing the same answer again counts
/// nothing twice.
pub(super) async fn record(
    conn: &mut PgConnection,
    account: &str,
    seen_at: DateTime<Utc>,
    records: &[(&Rejected, Option<&str>)],
) -> Result<(), StoreError> {
    let once: BTreeMap<String, &(&Rejected, Option<&str>)> =
        records.iter().map(|record| (content_hash(record.0.reason, &record.0.raw), record)).collect();
    if once.is_empty() {
        return Ok(());
    }
    let key = |part: fn(&CdrKey) -> &String| -> Vec<Option<String>> {
        once.values().map(|(rejected, _)| rejected.key.as_ref().map(|key| storable(part(key)))).collect()
    };
    sql("insert into cdr_sync.rejected as r (account, first_seen_at, last_seen_at,
             content_hash, raw, reason, error, call_id, type, started_at)
         select $1, $2, $2, * from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                                          $9::timestamptz[])
         on conflict (account, content_hash) do update
         set last_seen_at = excluded.last_seen_at, times_seen = r.times_seen + 1, closed_at = null
         where r.last_seen_at < excluded.last_seen_at")
    .bind(account)
    .bind(seen_at)
    .bind(once.keys().collect::<Vec<_>>())
    .bind(once.values().map(|(rejected, _)| storable(&rejected.raw)).collect::<Vec<_>>())
    .bind(once.values().map(|(rejected, _)| rejected.reason.as_str()).collect::<Vec<_>>())
    .bind(once.values().map(|(_, error)| *error).collect::<Vec<_>>())
    .bind(key(|key| &key.call_id))
    .bind(key(|key| &key.call_type))
    .bind(once.values().map(|(rejected, _)| rejected.started_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Closes records that have been stored after all: the same key and, for a duplicate, the same content, or another form
/// of it at the same Date that this answer does not show (`shown`).
pub(super) async fn close_stored<'r>(
    conn: &mut PgConnection,
    account: &str,
    closed_at: DateTime<Utc>,
    stored: impl Iterator<Item = &'r Cdr>,
    shown: &[(&Rejected, Option<&str>)],
) -> Result<(), StoreError> {
    let stored: BTreeMap<(&str, &str), &Cdr> =
        stored.map(|record| ((record.key.call_id.as_str(), record.key.call_type.as_str()), record)).collect();
    let (call_ids, types) = columns(stored.values().map(|record| &record.key));
    type Open = (i64, String, String, String, String, Option<DateTime<Utc>>);
    let open: Vec<Open> = sql_as(
        // One lookup per key: there may be very many open records.
        "select r.id, r.call_id, r.type, r.reason, r.content_hash, r.started_at
         from unnest($2::text[], $3::text[]) as stored(call_id, type)
         cross join lateral (
             select * from cdr_sync.rejected r
             where r.account = $1 and r.call_id = stored.call_id and r.type = stored.type and r.closed_at is null
             offset 0
         ) as r",
    )
    .bind(account)
    .bind(call_ids)
    .bind(types)
    .fetch_all(&mut *conn)
    .await?;
    if open.is_empty() {
        return Ok(());
    }
    let duplicate = RejectReason::DuplicateKey;
    let shown: BTreeSet<String> = shown.iter().map(|(r, _)| content_hash(r.reason, &r.raw)).collect();
    let closes = |(_, call_id, call_type, reason, hash, started_at): &&Open| {
        stored.get(&(call_id.as_str(), call_type.as_str())).is_some_and(|record| {
            reason != duplicate.as_str()
                || *hash == content_hash(duplicate, &record.canonical_json())
                || *started_at == Some(record.started_at) && !shown.contains(hash)
        })
    };
    let ids: Vec<i64> = open.iter().filter(closes).map(|row| row.0).collect();
    if !ids.is_empty() {
        sql("update cdr_sync.rejected set closed_at = $3 where account = $1 and id = any($2)")
            .bind(account)
            .bind(ids)
            .bind(closed_at)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Closes those dated inside a claim that its answers no longer show, but for keys that an undecodable record has.
pub(super) async fn close_gone(
    conn: &mut PgConnection,
    account: &str,
    claim: &Claim,
    shielded: &[&CdrKey],
    closed_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (call_ids, types) = columns(shielded.iter().copied());
    sql("update cdr_sync.rejected r set closed_at = $6
         where r.account = $1 and r.started_at >= $7 and r.started_at < $2 and r.closed_at is null
           and r.last_seen_at < $3
           and (r.call_id, r.type) not in (select * from unnest($4::text[], $5::text[]))")
    .bind(account)
    .bind(claim.window.to())
    .bind(claim.read_at)
    .bind(call_ids)
    .bind(types)
    .bind(closed_at)
    .bind(claim.window.from())
    .execute(conn)
    .await?;
    Ok(())
}
