//! A transaction, and what becomes of its connection.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _};
use tokio::sync::OwnedSemaphorePermit;

use super::connections::{self, One};
use super::{Store, StoreError};
use crate::clock::monotonic;

/// A connection that does not begin a transaction within this time is dead.
const BEGINNING: Duration = Duration::from_secs(4);
/// At most this many connections are tried in a row.
const CONNECTIONS: u32 = 3;
/// An open transaction. Unless it ends by [`Tx::commit`], its connection is closed: after an error it may lead to a
/// read-only database, and after a cancelled wait it is in the middle of an answer.
#[derive(Debug)]
pub(super) struct Tx {
    connection: PoolConnection<Postgres>,
    _turn: Option<OwnedSemaphorePermit>,
    /// Id of the PostgreSQL process that serves it.
    pub backend: i32,
    is_ended: bool,
}

impl Tx {
    /// Begins a transaction with the given statements, on a live connection.
    ///
    /// If there is none, the error is the server's own reason.
    pub(super) async fn begin(store: &Store, statements: &str) -> Result<Self, StoreError> {
        let mut tried = 0;
        loop {
            let (connection, _turn) = one(store).await?;
            let mut tx = Self { connection, _turn, backend: 0, is_ended: false };
            let begin = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
            let error = match tokio::time::timeout(BEGINNING, begin.fetch_one(&mut *tx)).await {
                Ok(begun) => match begun.and_then(|row| row.try_get(0)) {
                    Ok(backend) => {
                        tx.backend = backend;
                        return Ok(tx);
                    }
                    Err(error) => StoreError::from(error),
                },
                Err(_) => StoreError::silent(BEGINNING),
            };
            tried += 1;
            if !error.is_unavailable() || tried == CONNECTIONS {
                return Err(error);
            }
            store.trouble.note();
        }
    }

    /// Ends it by whether all went well. After an error its locks are given up before somebody tries again: the server notices
    /// only in a while that a connection was closed.
    pub(super) async fn end<T>(mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match done {
            Ok(done) => self.commit().await.map(|()| done),
            Err(error) => {
                if !error.is_unavailable() {
                    let undoing = sqlx::raw_sql("rollback").execute(&mut *self);
                    // The connection is closed in any case.
                    let _ = tokio::time::timeout(BEGINNING, undoing).await;
                }
                Err(error)
            }
        }
    }

    /// After an error the commit may or may not have happened.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        sqlx::raw_sql("commit").execute(&mut *self).await?;
        self.is_ended = true;
        Ok(())
    }
}

async fn one(store: &Store) -> Result<One, StoreError> {
    for _ in 0..connections::TRIES {
        match store.connections.one().await {
            Err(sqlx::Error::PoolTimedOut) => {}
            result => return Ok(result?),
        }
        if !store.connections.may_ask_why() {
            continue;
        }
        match store.why_none_came().await {
            why if why == StoreError::busy() => {}
            why if why.is_crowded() => store.connections.make_room(),
            why => return Err(why),
        }
    }
    Err(store.why_none_came().await)
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

/// When a connection last failed, and why the last transaction could not begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Mutex<(Option<Instant>, Option<String>)>>);

impl Trouble {
    /// Notes that a connection failed: those idle now may lead to the same dead server.
    pub(super) fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(monotonic());
    }

    /// Returns `true` if no connection failed while this one was idle, for `idle_for`.
    pub(super) fn has_spared(&self, idle_for: Duration) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).0;
        last.is_none_or(|last| last.elapsed() > idle_for)
    }

    /// Why the last transaction could not begin, if it could not.
    pub(super) fn set_reason(&self, reason: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = reason;
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}
