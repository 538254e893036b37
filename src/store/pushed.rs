//! What notifications said of each record, joined to what the pull has: rows of `voicenter.cdr_push`.
//!
//! Whoever changes these rows holds a lock on the account's notifications until the transaction ends: several processes may take
//! them in, one at a time.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::analysis::{self, AnalysisSource, ReceivedAnalysis};
use super::calls::{FoldedSlice, PLANNED_ANEW, SliceSize};
use super::transaction::Tx;
use super::{Store, StoreError, forgotten, interval, number, push::UnreadPush, sql, sql_as, sql_value};
use crate::clock::monotonic;
use crate::push::{
    Analysis, Arrival, Facts, JoinRules, Joined, Leg, PushedCall, PushedRecord, RecordState, TimeBase, join,
};

/// The first half of the advisory lock's key: any number that no other program on the database uses.
const LOCK: i32 = 0x6364_7270;
/// So many bodies are taken in at once, and so many bytes of them.
const BODIES: i64 = 200;
const BYTES: i64 = 8 << 20;
/// So many calls are looked at in one transaction.
pub(crate) const CALLS_AT_ONCE: i64 = 500;
/// Records that were received longer ago are not looked at again by themselves.
const LOOKED_AT_FOR: TimeDelta = TimeDelta::days(7);

/// A notification that was understood.
#[derive(Clone)]
pub(crate) struct ReadPush {
    pub(crate) body_sha256: Vec<u8>,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) calls: Vec<PushedCall>,
}

#[derive(FromRow)]
pub(super) struct RecordRow {
    call_id: String,
    call_type: String,
    columns: String,
    first_received_at: DateTime<Utc>,
    last_received_at: DateTime<Utc>,
    versions: i32,
    state: String,
    confirmed_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    time_base: String,
    asked: i32,
    asked_at: Option<DateTime<Utc>>,
    to_fold: bool,
}

#[derive(FromRow)]
struct LegRow {
    call_id: String,
    call_type: String,
    cdr_type: Option<i32>,
    started_at: DateTime<Utc>,
    first_seen_at: DateTime<Utc>,
    #[sqlx(json)]
    columns: Map<String, Value>,
}

impl RecordRow {
    /// `None` if it cannot be read: nothing of it may be written again then.
    pub(super) fn read(self) -> Option<PushedRecord> {
        Some(PushedRecord {
            facts: Facts::of_text(&self.columns, self.last_received_at)?,
            key: (self.call_id, self.call_type),
            first_received_at: self.first_received_at,
            last_received_at: self.last_received_at,
            versions: self.versions,
            state: RecordState::named(&self.state)?,
            confirmed_at: self.confirmed_at,
            started_at: self.started_at,
            time_base: TimeBase::named(&self.time_base)?,
            asked: self.asked,
            asked_at: self.asked_at,
            to_fold: self.to_fold,
        })
    }
}

impl From<LegRow> for Leg {
    fn from(row: LegRow) -> Self {
        Self {
            key: (row.call_id, row.call_type),
            cdr_type: row.cdr_type,
            started_at: row.started_at,
            first_seen_at: row.first_seen_at,
            columns: row.columns,
        }
    }
}

impl Store {
    /// The oldest notifications that are to be taken in.
    pub(crate) async fn new_pushes(&self, account: &str) -> Result<Vec<UnreadPush>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let pushes = sql_as(
                "select n.body_sha256, n.received_at, n.content_type, n.raw
                 from (
                     select p.*, row_number() over w as nth, sum(octet_length(p.raw)) over w as bytes
                     from (
                         select body_sha256, received_at, content_type, raw
                         from cdr_sync.push
                         where account = $1 and state = 'new' and raw is not null
                         order by received_at
                         limit $2
                     ) p
                     window w as (order by p.received_at, p.body_sha256 rows unbounded preceding)
                 ) n
                 where n.nth = 1 or n.bytes <= $3
                 order by n.nth",
            )
            .bind(account)
            .bind(BODIES)
            .bind(BYTES)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(pushes)
        })
        .await
    }

    /// Takes in notifications: joins what they say to what is known, and what the pull has. `None` while another process does so.
    /// If PostgreSQL refuses the analysis in one that came alone, says so: everything else in it is taken in.
    pub(crate) async fn take_in_pushes(
        &self,
        account: &str,
        pushes: &[ReadPush],
        rules: &JoinRules,
    ) -> Result<Option<(Joined, Option<String>)>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            if !lock(&mut tx, account).await? {
                tx.commit().await?;
                return Ok(None);
            }
            let done = take_in(&mut tx, account, pushes, rules).await;
            tx.end(done).await.map(Some)
        })
        .await
    }

    /// Notes that a notification that had been understood is not: it cannot be stored.
    pub(crate) async fn refuse_push(
        &self,
        account: &str,
        body_sha256: &[u8],
        problem: &str,
    ) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("update cdr_sync.push set state = 'rejected', problem = $3
                 where account = $1 and body_sha256 = $2 and state = 'new'")
            .bind(account)
            .bind(body_sha256)
            .bind(problem)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// Calls with records of this state of which the pull has brought something, some of them after `after`: those of the last days.
    pub(crate) async fn calls_to_confirm(
        &self,
        account: &str,
        state: RecordState,
        after: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            let calls = sql_value(
                "select distinct p.call_id
                 from voicenter.cdr_push p
                 where p.account = $1 and p.state = $4 and p.call_id > $2
                   and p.first_received_at > $6 - $5::interval
                   and coalesce((
                       select true from voicenter.cdr c
                       where c.account = (select $1) and c.call_id = p.call_id and c.removed_at is null
                       limit 1
                   ), false)
                 order by p.call_id
                 limit $3",
            )
            .bind(account)
            .bind(after)
            .bind(CALLS_AT_ONCE)
            .bind(state.as_str())
            .bind(interval(LOOKED_AT_FOR))
            .bind(now)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(calls)
        })
        .await
    }

    /// Confirms what the pull has of these calls by now. `None` while another process takes notifications in.
    pub(crate) async fn confirm_pushed(
        &self,
        account: &str,
        calls: &[String],
        rules: &JoinRules,
    ) -> Result<Option<Joined>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            if !lock(&mut tx, account).await? {
                tx.commit().await?;
                return Ok(None);
            }
            let done = join_some(&mut tx, account, calls.to_vec(), Vec::new(), rules).await;
            tx.end(done).await.map(Some)
        })
        .await
    }

    /// Lets calls follow what notifications say of them, some at a time. `None` while another process takes notifications in.
    pub(crate) async fn fold_pushed(
        &self,
        account: &str,
        size: &mut SliceSize,
    ) -> Result<Option<FoldedSlice>, StoreError> {
        loop {
            let started = monotonic();
            match self.fold_some_pushed(account, size.rows()).await {
                Ok(slice) => {
                    *size = size.after(started.elapsed());
                    return Ok(slice);
                }
                Err(error) if error.is_too_slow() => *size = size.smaller().ok_or(error)?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn fold_some_pushed(&self, account: &str, at_most: i32) -> Result<Option<FoldedSlice>, StoreError> {
        self.in_time(async {
            let mut tx = self.begin().await?;
            if !lock(&mut tx, account).await? {
                tx.commit().await?;
                return Ok(None);
            }
            let done = fold_some(&mut tx, account, at_most).await;
            let (taken, failed) = tx.end(done).await?;
            Ok(Some(FoldedSlice {
                rows: u64::from(taken.unsigned_abs()),
                failed: u64::from(failed.unsigned_abs()),
                has_more: taken == at_most,
            }))
        })
        .await
    }
}

/// How many calls were taken up, and how many of them failed.
async fn fold_some(conn: &mut PgConnection, account: &str, at_most: i32) -> Result<(i32, i32), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(format!("{}; {PLANNED_ANEW}", number::SPELT))).execute(&mut *conn).await?;
    let folded = sql_as("select taken, failed from cdr_sync.fold_pushed($1, $2)")
        .bind(account)
        .bind(at_most)
        .fetch_one(conn)
        .await?;
    Ok(folded)
}

/// Takes in those of `pushes` that nobody has.
async fn take_in(
    conn: &mut PgConnection,
    account: &str,
    pushes: &[ReadPush],
    rules: &JoinRules,
) -> Result<(Joined, Option<String>), StoreError> {
    let bodies: Vec<&[u8]> = pushes.iter().map(|push| push.body_sha256.as_slice()).collect();
    // Another process may have taken some of them in.
    let left: Vec<Vec<u8>> = sql_value(
        "update cdr_sync.push set state = 'applied'
         where account = $1 and body_sha256 = any ($2) and state = 'new'
         returning body_sha256",
    )
    .bind(account)
    .bind(bodies)
    .fetch_all(&mut *conn)
    .await?;
    let left: BTreeSet<Vec<u8>> = left.into_iter().collect();
    let (mut arrivals, mut analyses) = (Vec::new(), Vec::new());
    let left: Vec<&ReadPush> = pushes.iter().filter(|push| left.contains(&push.body_sha256)).collect();
    let all: Vec<PushedCall> = left.iter().flat_map(|push| push.calls.iter().cloned()).collect();
    let is_forgotten = forgotten::among(&mut *conn, account, &all).await?;
    let from = left.iter().flat_map(|push| push.calls.iter().map(move |_| *push));
    for ((mut call, push), _) in all.into_iter().zip(from).zip(is_forgotten).filter(|(_, gone)| !gone) {
        if let Some(ai) = call.ai.take() {
            analyses.push(analysis_of(&call, push, ai));
        }
        arrivals.push(Arrival { call, received_at: push.received_at });
    }
    let calls: BTreeSet<String> = arrivals.iter().map(|arrival| arrival.call.call_id.clone()).collect();
    let joined = join_some(&mut *conn, account, calls.into_iter().collect(), arrivals, rules).await?;
    for analysis in &mut analyses {
        let named = (analysis.call_id.clone(), std::mem::take(&mut analysis.call_type));
        joined.type_of(&named).clone_into(&mut analysis.call_type);
    }
    analysis::find_incoming(&mut *conn, account, &mut analyses).await?;
    let refused = match pushes {
        [only] => store_or_refuse(&mut *conn, account, only, &analyses).await?,
        // Whoever splits them finds the one at fault.
        _ => {
            analysis::store_analyses(&mut *conn, account, &analyses).await?;
            None
        }
    };
    Ok((joined, refused))
}

/// Keeps other processes from taking in notifications of the account until the transaction ends. `false` if one is at it.
async fn lock(tx: &mut Tx, account: &str) -> Result<bool, StoreError> {
    let locking = sql_value("select pg_try_advisory_xact_lock($1, hashtext($2))").bind(LOCK).bind(account);
    Ok(locking.fetch_one(&mut **tx).await?)
}

/// Waits until no other process takes in notifications of the account, and keeps them from it until the transaction ends.
pub(super) async fn lock_waiting(conn: &mut PgConnection, account: &str) -> Result<(), StoreError> {
    sql("select pg_advisory_xact_lock($1, hashtext($2))").bind(LOCK).bind(account).execute(conn).await?;
    Ok(())
}

fn analysis_of(call: &PushedCall, push: &ReadPush, ai: Map<String, Value>) -> ReceivedAnalysis {
    ReceivedAnalysis {
        call_id: call.call_id.clone(),
        call_type: call.call_type.clone().unwrap_or_default(),
        source: AnalysisSource::Push,
        received_at: push.received_at,
        body_sha256: push.body_sha256.clone(),
        is_incoming: call.direction.as_deref().is_some_and(|way| way.eq_ignore_ascii_case("incoming")),
        analysis: Analysis::read(ai),
    }
}

/// Stores what AI makes of the calls in a notification. Returns what is wrong with it if PostgreSQL refuses that: then the
/// notification can be read again later, and what else is in it stays.
async fn store_or_refuse(
    conn: &mut PgConnection,
    account: &str,
    push: &ReadPush,
    analyses: &[ReceivedAnalysis],
) -> Result<Option<String>, StoreError> {
    if analyses.is_empty() {
        return Ok(None);
    }
    sqlx::raw_sql("savepoint analysis").execute(&mut *conn).await?;
    let code = match analysis::store_analyses(&mut *conn, account, analyses).await {
        Err(StoreError::Data { code }) => code,
        stored => return stored.map(|_| None),
    };
    sqlx::raw_sql("rollback to savepoint analysis").execute(&mut *conn).await?;
    let problem = format!("PostgreSQL refused the analysis in it (SQLSTATE {code}); everything else is used");
    sql("update cdr_sync.push set state = 'rejected', problem = $3 where account = $1 and body_sha256 = $2")
        .bind(account)
        .bind(&push.body_sha256)
        .bind(&problem)
        .execute(conn)
        .await?;
    Ok(Some(problem))
}

/// Joins arrivals and what is known of these calls to what the pull has.
async fn join_some(
    conn: &mut PgConnection,
    account: &str,
    calls: Vec<String>,
    arrivals: Vec<Arrival>,
    rules: &JoinRules,
) -> Result<Joined, StoreError> {
    if calls.is_empty() {
        return Ok(Joined::default());
    }
    let known: Vec<RecordRow> = sql_as(
        "select p.call_id, p.type as call_type, to_jsonb(p)::text as columns, p.first_received_at, p.last_received_at, p.versions,
             p.state, p.confirmed_at, p.started_at, p.time_base, p.asked, p.asked_at, p.to_fold
         from unnest($2::text[]) k (call_id)
         cross join lateral (
             select * from voicenter.cdr_push p where p.account = (select $1) and p.call_id = k.call_id offset 0
         ) p",
    )
    .bind(account)
    .bind(&calls)
    .fetch_all(&mut *conn)
    .await?;
    let legs: Vec<LegRow> = sql_as(
        "select c.call_id, c.type as call_type, c.cdr_type, c.started_at, c.first_seen_at,
             jsonb_build_object(
                 'type', c.type, 'duration_seconds', c.duration_seconds, 'ring_seconds', c.ring_seconds,
                 'caller_number', c.caller_number, 'caller_extension', c.caller_extension,
                 'target_number', c.target_number, 'target_extension', c.target_extension, 'did', c.did,
                 'dial_status', c.dial_status, 'queue_name', c.queue_name, 'department_id', c.department_id,
                 'department_name', c.department_name, 'representative_code', c.representative_code,
                 'representative_name', c.representative_name, 'price', c.price, 'record_url', c.record_url) as columns
         from unnest($2::text[]) k (call_id)
         cross join lateral (
             select * from voicenter.cdr c
             where c.account = (select $1) and c.call_id = k.call_id and c.removed_at is null
             offset 0
         ) c",
    )
    .bind(account)
    .bind(&calls)
    .fetch_all(&mut *conn)
    .await?;
    let known: Option<Vec<PushedRecord>> = known.into_iter().map(RecordRow::read).collect();
    // A bug, for this program wrote it: as if PostgreSQL had refused it, so that it blocks nothing else.
    let known = known.ok_or_else(|| StoreError::Data { code: "unreadable".to_owned() })?;
    let legs: Vec<Leg> = legs.into_iter().map(Leg::from).collect();
    let joined = join(known, arrivals, &legs, rules);
    write(conn, account, &joined).await?;
    Ok(joined)
}

async fn write(conn: &mut PgConnection, account: &str, joined: &Joined) -> Result<(), StoreError> {
    if joined.rows.is_empty() {
        return Ok(());
    }
    for (key, call_type) in &joined.moved {
        analysis::give_type(&mut *conn, account, key, call_type).await?;
    }
    let replaced =
        joined.rows.iter().map(|record| &record.key).chain(joined.moved.iter().map(|(key, _)| key));
    let (calls, types): (Vec<&str>, Vec<&str>) =
        replaced.map(|(call_id, call_type)| (call_id.as_str(), call_type.as_str())).unzip();
    sql("delete from voicenter.cdr_push p
         using (select (select $1) as account, k.* from unnest($2::text[], $3::text[]) k (call_id, type) offset 0) k
         where p.account = k.account and p.call_id = k.call_id and p.type = k.type")
    .bind(account)
    .bind(calls)
    .bind(types)
    .execute(&mut *conn)
    .await?;
    let rows: Vec<Value> = joined.rows.iter().map(|record| row(account, record)).collect();
    sql("insert into voicenter.cdr_push select r.* from jsonb_populate_recordset(null::voicenter.cdr_push, $1) r")
        .bind(Value::Array(rows))
        .execute(conn)
        .await?;
    Ok(())
}

fn row(account: &str, record: &PushedRecord) -> Value {
    let mut row = record.facts.clone().into_row(record.last_received_at);
    let own = json!({
        "account": account,
        "call_id": record.key.0,
        "type": record.key.1,
        "started_at": record.started_at,
        "time_base": record.time_base.as_str(),
        "first_received_at": record.first_received_at,
        "last_received_at": record.last_received_at,
        "versions": record.versions,
        "state": record.state.as_str(),
        "confirmed_at": record.confirmed_at,
        "asked": record.asked,
        "asked_at": record.asked_at,
        "to_fold": record.to_fold,
    });
    if let Value::Object(own) = own {
        row.extend(own);
    }
    Value::Object(row)
}
