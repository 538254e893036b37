//! A commit whose connection has died without a word: PostgreSQL waits for our next statement while we wait for its answer.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Store, StoreError, sql, sql_as};

/// How often PostgreSQL is asked; between two statements of ours lie milliseconds.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Two looks must agree.
pub(super) const SEEN_WITHIN: Duration = Duration::from_secs(6);

/// Returns once the process `backend` (none is 0) has waited for us from one look to the next, and ends it: its locks would
/// be in the way of another try.
pub(super) async fn of(store: &Store, backend: &AtomicI32) {
    let mut waited_since = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let backend = backend.load(Ordering::Relaxed);
        if backend == 0 {
            continue;
        }
        let since = waits_since(store, backend).await.ok().flatten();
        if since.is_some() && since == waited_since && end(store, backend).await.is_ok() {
            return;
        }
        waited_since = since;
    }
}

/// Since when the process waits for the next statement of its transaction.
async fn waits_since(store: &Store, backend: i32) -> Result<Option<DateTime<Utc>>, StoreError> {
    store
        .soon(async {
            let mut tx = store.begin().await?;
            let row: Option<(DateTime<Utc>,)> = sql_as(
                "select state_change from pg_stat_activity where pid = $1 and state like 'idle in transaction%'",
            )
            .bind(backend)
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(row.map(|(since,)| since))
        })
        .await
}

async fn end(store: &Store, backend: i32) -> Result<(), StoreError> {
    store
        .soon(async {
            let mut tx = store.begin().await?;
            sql("select pg_terminate_backend($1)").bind(backend).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
}
