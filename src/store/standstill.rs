//! Work whose connection has died without a word: PostgreSQL waits for our next statement while we wait for its answer.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::{Store, StoreError, sql, sql_as};

/// How often PostgreSQL is asked; between two statements of ours lie milliseconds.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Two looks must agree.
pub(super) const SEEN_WITHIN: Duration = Duration::from_secs(6);
/// A database that cannot even be looked at for so long is away.
const DEAF: Duration = Duration::from_secs(120);

/// Returns once the process `backend` (none is 0) is gone, or has waited for us from one look to the next; then it is ended,
/// for its locks would be in the way of another try. Or once nothing could be looked at for two minutes.
pub(super) async fn of(store: &Store, backend: &AtomicI32) {
    let mut waited_since = None;
    let mut heard_at = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let backend = backend.load(Ordering::Relaxed);
        if backend == 0 {
            heard_at = Instant::now();
            continue;
        }
        let seen = look(store, backend).await;
        // A server that has no connection to spare is there.
        if seen.is_ok() || is_there(store).await {
            heard_at = Instant::now();
        }
        if heard_at.elapsed() > DEAF {
            return;
        }
        match seen {
            Ok(Seen::Gone) => return,
            Ok(Seen::Waiting(since)) if waited_since == Some(since) && end(store, backend).await.is_ok() => {
                return;
            }
            Ok(Seen::Waiting(since)) => waited_since = Some(since),
            Ok(Seen::Busy) | Err(_) => waited_since = None,
        }
    }
}

enum Seen {
    /// Its connection ended, and we have not heard of it.
    Gone,
    /// Since then, for the next statement of its transaction.
    Waiting(DateTime<Utc>),
    Busy,
}

async fn is_there(store: &Store) -> bool {
    let connecting = tokio::time::timeout(LOOK_EVERY, store.try_connecting()).await;
    matches!(connecting, Ok(Ok(()) | Err(StoreError::NotAdmitted { .. })))
}

async fn look(store: &Store, backend: i32) -> Result<Seen, StoreError> {
    store
        .soon(async {
            let mut tx = store.aside().begin().await?;
            let row: Option<(Option<bool>, Option<DateTime<Utc>>)> = sql_as(
                "select state like 'idle in transaction%', state_change from pg_stat_activity where pid = $1",
            )
            .bind(backend)
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(match row {
                None => Seen::Gone,
                Some((Some(true), Some(since))) => Seen::Waiting(since),
                Some(_) => Seen::Busy,
            })
        })
        .await
}

async fn end(store: &Store, backend: i32) -> Result<(), StoreError> {
    store
        .soon(async {
            let mut tx = store.aside().begin().await?;
            sql("select pg_terminate_backend($1)").bind(backend).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
}
