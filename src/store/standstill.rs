//! Detects work whose connection died silently: PostgreSQL waits for the next statement while this program waits for
//! its answer.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Store, StoreError, Tx, sql, sql_as};
use crate::clock::monotonic;

/// How often PostgreSQL is asked; statements of one transaction are only milliseconds apart.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Limit for one look at PostgreSQL's processes.
const LOOKING: Duration = Duration::from_secs(10);
/// A standstill is seen within this time: two looks must agree.
pub(super) const SEEN_WITHIN: Duration = Duration::from_secs(6);
/// Give up after this long if the database cannot even be looked at …
const DEAF: Duration = Duration::from_secs(120);
/// … and after this long if it answers but has no connection to spare, or does not show what its processes do.
const BLIND: Duration = Duration::from_secs(1800);

/// This many further looks must agree while `COPY` data is being sent: on a slow line one part takes long, and another
/// may wait in the buffers in between …
const LOOKS_AT_COPY: u32 = 5;
/// … and this many while a large statement is being sent.
const LOOKS_AT_STATEMENT: u32 = 3;

/// The PostgreSQL process at work, and what was sent to it.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// 0 until a transaction has begun.
    backend: AtomicI32,
    /// Counts the parts of an answer that were sent.
    sent: AtomicU64,
    sends_much: bool,
}

impl Watched {
    /// `sends_much`: single statements are large.
    pub(super) fn new(sends_much: bool) -> Self {
        Self { sends_much, ..Self::default() }
    }

    fn looks_at_statement(&self) -> u32 {
        if self.sends_much { LOOKS_AT_STATEMENT } else { 1 }
    }

    /// Watches `tx` from now on.
    pub(super) fn begins(&self, tx: &Tx) {
        self.backend.store(tx.backend, Ordering::Relaxed);
    }

    /// Notes that another part of an answer was sent.
    pub(super) fn sends(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.backend.load(Ordering::Relaxed) != 0
    }
}

/// Returns once the process is gone, or has waited for us from one look to the next (it is then ended, since its locks
/// would block another try), or could not be observed for too long.
pub(super) async fn of(store: &Store, watched: &Watched) {
    let mut waits = Waits::default();
    let mut seen_at = monotonic();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (backend, sent) = (watched.backend.load(Ordering::Relaxed), watched.sent.load(Ordering::Relaxed));
        if backend == 0 {
            seen_at = monotonic();
            continue;
        }
        let mut patience = DEAF;
        let (since, is_over) = match look(store, backend).await {
            Ok(WaitState::Gone) => return,
            // The answer to COMMIT was lost: the process serves nobody, or another client.
            Ok(WaitState::Idle(since)) if waits.seen(since, sent, 1) => return,
            Ok(WaitState::Idle(since)) => (Some(since), false),
            Ok(WaitState::Waiting(since)) => {
                (Some(since), waits.seen(since, sent, watched.looks_at_statement()))
            }
            Ok(WaitState::Reading(since)) => (Some(since), waits.seen(since, sent, LOOKS_AT_COPY)),
            Ok(WaitState::Busy) => {
                (waits, seen_at) = (Waits::default(), monotonic());
                continue;
            }
            Ok(WaitState::Nothing) | Err(StoreError::NotAdmitted { .. }) => {
                patience = BLIND;
                (None, false)
            }
            Err(_) => {
                if is_there(store).await {
                    patience = BLIND;
                }
                (None, false)
            }
        };
        match since {
            Some(since) if is_over && end(store, backend, since).await.is_ok() => return,
            Some(_) => seen_at = monotonic(),
            None if seen_at.elapsed() > patience => return,
            None => {}
        }
    }
}

/// Since when the process has waited, and how often that was seen.
#[derive(Debug, Default)]
struct Waits {
    last: Option<(DateTime<Utc>, u64)>,
    again: u32,
}

impl Waits {
    /// Returns `true` if the same wait was seen `again` more times.
    fn seen(&mut self, since: DateTime<Utc>, sent: u64, again: u32) -> bool {
        self.again = if self.last == Some((since, sent)) { self.again + 1 } else { 0 };
        self.last = Some((since, sent));
        self.again >= again
    }
}

enum WaitState {
    /// The process has ended without this program noticing.
    Gone,
    /// In no transaction since then: the watched one has ended.
    Idle(DateTime<Utc>),
    /// Waiting for the next statement since then.
    Waiting(DateTime<Utc>),
    /// Waiting for more data of a statement that began then.
    Reading(DateTime<Utc>),
    Busy,
    /// The server does not show what its processes do (`track_activities` is off).
    Nothing,
}

async fn is_there(store: &Store) -> bool {
    let connecting = tokio::time::timeout(LOOK_EVERY, store.try_connecting()).await;
    matches!(connecting, Ok(Ok(()) | Err(StoreError::NotAdmitted { .. })))
}

#[derive(FromRow)]
struct BackendRow {
    state: Option<String>,
    reads: Option<bool>,
    state_change: Option<DateTime<Utc>>,
}

async fn look(store: &Store, backend: i32) -> Result<WaitState, StoreError> {
    let watcher = store.watcher();
    let looking = async {
        let mut tx = watcher.begin().await?;
        let row: Option<BackendRow> = sql_as(
            "select state, wait_event = 'ClientRead' as reads, state_change from pg_stat_activity where pid = $1",
        )
        .bind(backend)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok::<_, StoreError>(row)
    };
    let row = tokio::time::timeout(LOOKING, looking).await;
    let row = row.map_err(|_| StoreError::silent(LOOKING))??;
    let Some(BackendRow { state, reads, state_change: Some(since) }) = row else {
        return Ok(WaitState::Gone);
    };
    Ok(match state.as_deref() {
        None | Some("disabled") => WaitState::Nothing,
        Some("idle") => WaitState::Idle(since),
        Some(state) if state.starts_with("idle") => WaitState::Waiting(since),
        Some(_) if reads == Some(true) => WaitState::Reading(since),
        Some(_) => WaitState::Busy,
    })
}

/// Ends the process if it still waits as it did. Behind a transaction pooler it may serve another client by now.
async fn end(store: &Store, backend: i32, since: DateTime<Utc>) -> Result<(), StoreError> {
    let watcher = store.watcher();
    let ending = watcher.soon(async {
        let mut tx = watcher.begin().await?;
        sql("select pg_terminate_backend(pid) from pg_stat_activity
             where pid = $1 and state_change = $2 and (state like 'idle in transaction%' or wait_event = 'ClientRead')")
            .bind(backend)
            .bind(since)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    });
    ending.await
}
