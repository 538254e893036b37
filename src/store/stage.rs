//! Sends an answer's records to the database: folded to one per key, then as arrays or by `COPY`.
//!
//! Either way each value is sent as the same text (`value_text`), so that PostgreSQL reads it with the same function.

mod line;
mod value_text;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::standstill::Watched;
use super::{StoreError, sql_as};
use crate::cdr::{Cdr, CdrKey, RejectReason, Rejected};
use line::Line;

/// At most this many records are sent inside the merge statement, which avoids a temporary table at every poll.
pub const INLINE_RECORDS: usize = 500;
/// More bytes than this are sent by `COPY`, whatever the number of records: piece by piece, so that probes are
/// answered.
const INLINE_BYTES: usize = 4 << 20;

/// Bytes that a line of 1 Mbit/s carries in the time after which silence counts as a failure.
const LONG_BYTES: usize = 256 << 10;
/// Approximate size of a `COPY` chunk, in bytes.
const COPY_CHUNK: usize = 1 << 20;

/// An answer's records, one per key.
#[derive(Clone, Debug, Default)]
pub(super) struct Folded<'a> {
    /// The records to store, in the order of their keys.
    pub winners: Vec<&'a Cdr>,
    /// Records that gave way to a different one of the same key, as `duplicate_key`.
    pub losers: Vec<Rejected>,
}

impl<'a> Folded<'a> {
    /// At most `most` records from number `from` on, with those that gave way to them.
    pub(super) fn slice(&self, from: usize, most: usize) -> Cow<'_, Self> {
        if from == 0 && most >= self.winners.len() {
            return Cow::Borrowed(self);
        }
        let rest = self.winners.get(from..).unwrap_or_default();
        let winners = rest.get(..most).unwrap_or(rest).to_vec();
        let is_among = |loser: &&Rejected| {
            let key = loser.key.as_ref();
            key.is_some_and(|key| winners.binary_search_by(|winner| winner.key.cmp(key)).is_ok())
        };
        let losers = self.losers.iter().filter(is_among).cloned().collect();
        Cow::Owned(Self { winners, losers })
    }
}

/// Leaves one record per key: either of two equal ones, otherwise the one that outranks the others.
pub(super) fn fold(records: &[Cdr]) -> Folded<'_> {
    let mut winners: BTreeMap<&CdrKey, &Cdr> = BTreeMap::new();
    let mut losers = Vec::new();
    for record in records {
        let Some(winner) = winners.get_mut(&record.key) else {
            winners.insert(&record.key, record);
            continue;
        };
        match record.outranks(winner) {
            Ordering::Greater => losers.push(duplicate(std::mem::replace(winner, record))),
            Ordering::Less => losers.push(duplicate(record)),
            // The same date and the same canonical text: equals.
            Ordering::Equal => {}
        }
    }
    losers.sort_by(|a, b| a.raw.cmp(&b.raw));
    losers.dedup_by(|a, b| a.raw == b.raw);
    Folded { winners: winners.into_values().collect(), losers }
}

/// `record` as the one of a pair that is not stored.
pub(super) fn duplicate(record: &Cdr) -> Rejected {
    rejected(record, RejectReason::DuplicateKey)
}

/// `record` as a rejected one: its canonical JSON serves as the raw text.
pub(super) fn rejected(record: &Cdr, reason: RejectReason) -> Rejected {
    Rejected {
        raw: record.canonical_json(),
        reason,
        key: Some(record.key.clone()),
        started_at: Some(record.started_at),
    }
}

/// The records as an array of texts for each column: they are parameters of the merge statement.
pub(super) fn as_arrays<'a>(records: &[&'a Cdr]) -> Vec<Vec<Option<Cow<'a, str>>>> {
    let mut arrays: Vec<_> = Cdr::COLUMNS.iter().map(|_| Vec::with_capacity(records.len())).collect();
    for record in records {
        for (array, value) in arrays.iter_mut().zip(record.values()) {
            array.push(value_text::whole(value));
        }
    }
    arrays
}

/// Returns `true` if the role has the right. PUBLIC has it by default, but some administrators revoke it; then answers
/// of any length are sent inline. Checked each time, since a failed statement would abort the transaction.
pub(super) async fn may_create_temporary_tables(conn: &mut PgConnection) -> Result<bool, StoreError> {
    let (may,): (bool,) =
        sql_as("select has_database_privilege(current_database(), 'temporary')").fetch_one(conn).await?;
    Ok(may)
}

/// Returns `true` if the records are too many or too large for the merge statement.
pub(super) fn is_large(records: &[&Cdr]) -> bool {
    records.len() > INLINE_RECORDS || value_text::takes_more_than(records, INLINE_BYTES)
}

/// Returns `true` if the records take a while on a slow line.
pub(super) fn is_long(records: &[&Cdr]) -> bool {
    value_text::takes_more_than(records, LONG_BYTES)
}

/// Creates `pg_temp.staged` and fills it by `COPY`; it is dropped with the transaction.
pub(super) async fn copy(
    conn: &mut PgConnection,
    records: &[&Cdr],
    watched: &Watched,
) -> Result<(), StoreError> {
    let definitions = Cdr::COLUMNS.map(|(name, kind)| format!("{name} {kind}")).join(", ");
    let create = format!("create temporary table staged ({definitions}) on commit drop");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut *conn).await?;
    let mut copy = conn.copy_in_raw("copy pg_temp.staged from stdin").await?;
    let mut chunk = Vec::with_capacity(COPY_CHUNK + (COPY_CHUNK >> 3));
    for record in records {
        let mut line = Line::of(record);
        while !line.write(&mut chunk, COPY_CHUNK) {
            if let Err(fault) = copy.send(chunk.as_slice()).await {
                // The error that stopped the sending says more than the error of ending the COPY.
                let _ = copy.abort("sending failed").await;
                return Err(fault.into());
            }
            watched.sends();
            chunk.clear();
            // A socket that always has room never yields, but probes must be answered between chunks.
            tokio::task::yield_now().await;
        }
    }
    if let Err(fault) = copy.send(chunk.as_slice()).await {
        let _ = copy.abort("sending failed").await;
        return Err(fault.into());
    }
    copy.finish().await?;
    Ok(())
}
