//! A transaction, and what becomes of its connection.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres};

use super::StoreError;

/// A connection that does not even begin a transaction within this is dead without a word.
const BEGINNING: Duration = Duration::from_secs(4);
/// So many connections are tried in a row.
const TRIES: u32 = 3;

/// An open transaction. Unless it ends by [`Tx::commit`], its connection ends with it: after an error it may be one that
/// met a database that only reads, and where nobody waited for an answer it stands in the middle of one.
#[derive(Debug)]
pub(super) struct Tx {
    connection: PoolConnection<Postgres>,
    is_ended: bool,
}

impl Tx {
    /// Begins one with the given statements, on a connection that is alive.
    pub async fn begin(pool: &PgPool, statements: &str, trouble: &Trouble) -> Result<Self, StoreError> {
        let mut tries = 0;
        loop {
            let mut tx = Self { connection: pool.acquire().await?, is_ended: false };
            let begin = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
            let error = match tokio::time::timeout(BEGINNING, begin.execute(&mut *tx)).await {
                Ok(Ok(_)) => return Ok(tx),
                Ok(Err(error)) => StoreError::from(error),
                Err(_) => StoreError::silent(BEGINNING),
            };
            tries += 1;
            if !error.is_away() || tries == TRIES {
                return Err(error);
            }
            trouble.note();
        }
    }

    /// Ends it. After an error it may or may not have happened.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        sqlx::raw_sql("commit").execute(&mut *self).await?;
        self.is_ended = true;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if !self.is_ended {
            self.connection.close_on_drop();
        }
    }
}

/// When a connection last failed: those that were idle then may lead to the same server that is no more.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<Instant>>>);

impl Trouble {
    pub fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection that was idle for so long saw none.
    pub fn has_spared(&self, idle_for: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|last| last.elapsed() > idle_for)
    }
}
