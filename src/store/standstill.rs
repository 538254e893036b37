//! Work whose connection has died without a word: PostgreSQL waits for our next statement while we wait for its answer.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Store, StoreError, Tx, sql, sql_as};
use crate::clock::monotonic;

/// How often PostgreSQL is asked; between two statements of ours lie milliseconds.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A look takes no longer.
const LOOKING: Duration = Duration::from_secs(10);
/// Two looks must agree.
pub(super) const SEEN_WITHIN: Duration = Duration::from_secs(6);
/// A database that cannot even be looked at for so long is away …
const DEAF: Duration = Duration::from_secs(120);
/// … and for so long if it is there, and has no connection to spare or does not say what it does.
const BLIND: Duration = Duration::from_secs(1800);

/// So many more looks must agree while `COPY` is on its way to the server: on a slow line a part of it takes long, and another
/// one may wait in the buffers in between …
const LOOKS_AT_COPY: u32 = 5;
/// … and while a large statement is.
const LOOKS_AT_STATEMENT: u32 = 3;

/// The process of PostgreSQL that is at work, and what we do for it.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// 0: none yet.
    backend: AtomicI32,
    /// Counts the parts of an answer on their way.
    sent: AtomicU64,
    sends_much: bool,
}

impl Watched {
    /// `sends_much`: in single statements.
    pub(super) fn new(sends_much: bool) -> Self {
        Self { sends_much, ..Self::default() }
    }

    fn looks_at_statement(&self) -> u32 {
        if self.sends_much { LOOKS_AT_STATEMENT } else { 1 }
    }

    /// `tx` is what is watched.
    pub(super) fn begins(&self, tx: &Tx) {
        self.backend.store(tx.backend, Ordering::Relaxed);
    }

    /// Another part of an answer was sent.
    pub(super) fn sends(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.backend.load(Ordering::Relaxed) != 0
    }
}

/// Returns once the process is gone, or has waited for us from one look to the next; then it is ended, for its locks would be
/// in the way of another try. Or once nothing could be seen of it for long.
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
            // The answer to COMMIT, and the process serves nobody or somebody else.
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

/// Since when the process has waited, as often as that was seen.
#[derive(Debug, Default)]
struct Waits {
    last: Option<(DateTime<Utc>, u64)>,
    again: u32,
}

impl Waits {
    /// Whether it was seen so often `again`.
    fn seen(&mut self, since: DateTime<Utc>, sent: u64, again: u32) -> bool {
        self.again = if self.last == Some((since, sent)) { self.again + 1 } else { 0 };
        self.last = Some((since, sent));
        self.again >= again
    }
}

enum WaitState {
    /// Its connection ended, and we have not heard of it.
    Gone,
    /// In no transaction since then: ours has ended.
    Idle(DateTime<Utc>),
    /// Since then, for our next statement.
    Waiting(DateTime<Utc>),
    /// For more of an answer; its statement began then.
    Reading(DateTime<Utc>),
    Busy,
    /// The server keeps what its processes do to itself (`track_activities`).
    Nothing,
}

async fn is_there(store: &Store) -> bool {
    let connecting = tokio::time::timeout(LOOK_EVERY, store.try_connecting()).await;
    matches!(connecting, Ok(Ok(()) | Err(StoreError::NotAdmitted { .. })))
}

/// A line of `pg_stat_activity`.
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

/// Ends the process, if it still waits as it did. Behind a transaction pooler it may serve somebody else by now.
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
