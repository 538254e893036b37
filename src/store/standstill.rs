//! Work whose connection has died without a word: PostgreSQL waits for our next statement while we wait for its answer.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{Store, StoreError, sql, sql_as};

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

/// Returns once the process `backend` (none is 0) is gone, or has waited for us from one look to the next; then it is ended,
/// for its locks would be in the way of another try. Or once nothing could be seen of it for long.
pub(super) async fn of(store: &Store, backend: &AtomicI32) {
    let mut waited_since = None;
    let mut seen_at = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let backend = backend.load(Ordering::Relaxed);
        if backend == 0 {
            seen_at = Instant::now();
            continue;
        }
        let mut patience = DEAF;
        match look(store, backend).await {
            Ok(Seen::Gone) => return,
            Ok(Seen::Waiting(since)) if waited_since == Some(since) && end(store, backend).await.is_ok() => {
                return;
            }
            Ok(Seen::Waiting(since)) => (waited_since, seen_at) = (Some(since), Instant::now()),
            Ok(Seen::Busy) => (waited_since, seen_at) = (None, Instant::now()),
            Ok(Seen::Nothing) | Err(StoreError::NotAdmitted { .. }) => patience = BLIND,
            Err(_) => waited_since = None,
        }
        if seen_at.elapsed() > patience {
            return;
        }
    }
}

enum Seen {
    /// Its connection ended, and we have not heard of it.
    Gone,
    /// Since then, for the next statement of its transaction.
    Waiting(DateTime<Utc>),
    Busy,
    /// The server keeps what its processes do to itself (`track_activities`).
    Nothing,
}

async fn look(store: &Store, backend: i32) -> Result<Seen, StoreError> {
    const LOOK: &str = "select state = 'disabled', state like 'idle in transaction%', state_change
                        from pg_stat_activity where pid = $1";
    type Row = (Option<bool>, Option<bool>, Option<DateTime<Utc>>);
    let looking = async {
        let look = sql_as::<Row>(LOOK).bind(backend);
        if let Some(aside) = &store.aside {
            let mut tx = aside.begin().await?;
            let row = look.fetch_optional(&mut *tx).await?;
            tx.commit().await?;
            return Ok(row);
        }
        // The only connection is the one that is looked after.
        let mut connection = PgConnection::connect_with(&store.connections.options()).await?;
        let row = look.fetch_optional(&mut connection).await?;
        connection.close().await?;
        Ok::<_, StoreError>(row)
    };
    let row = tokio::time::timeout(LOOKING, looking).await;
    Ok(match row.map_err(|_| StoreError::silent(LOOKING))?? {
        None => Seen::Gone,
        Some((Some(true), ..)) => Seen::Nothing,
        Some((_, Some(true), Some(since))) => Seen::Waiting(since),
        Some(_) => Seen::Busy,
    })
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
