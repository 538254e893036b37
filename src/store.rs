//! The database: rows and ledger, always changed together.
//!
//! # The order of a commit
//!
//! One transaction stores one answer ([`Store::commit`]):
//!
//! 1. Records that share a key are folded; more than [`stage::INLINE_RECORDS`] go by `COPY` into a temporary table.
//!    Until then nothing shared is locked: a client stopped inside `COPY` would keep its locks.
//! 2. The account's `cdr_sync.cursor` row is locked if it still carries our fence. No row: another process leads.
//! 3. `updated_at` for all rows of this answer is taken: after the lock, greater than any given out before.
//! 4. One merge inserts new rows and updates those whose content differs; unchanged rows are not touched.
//! 5. Rejected records, dates to look at again because records share a key (`twin`), then rows that the answer lacks
//!    (`missing`, removal, the vendor's horizon).
//! 6. The floor of `retention.calls`, if it is due; gaps, coverage, and the cursor derived from them; `window_read`; what was learned.
//!
//! Commit is the only truth: until then nothing happened, afterwards the same commit changes nothing.

pub mod account;
pub(crate) mod action;
pub mod activity;
pub(crate) mod analysis;
pub mod budget;
pub mod call_history;
pub mod calls;
mod change;
pub mod collation;
pub mod commit;
pub mod commit_count;
pub(crate) mod connections;
mod coverage;
pub mod day;
pub mod environment;
pub mod error;
pub mod forget;
mod forgotten;
mod future;
pub mod gap;
mod history;
pub mod lateness;
pub mod lease;
pub mod ledger;
mod merge;
pub(crate) mod migration;
pub mod missing;
pub(crate) mod notice;
mod number;
pub mod overview;
pub mod pause;
pub(crate) mod push;
mod push_asking;
pub mod push_figures;
pub(crate) mod pushed;
mod recheck;
pub mod reference;
pub mod rejected;
pub mod replica;
pub mod retention;
pub mod row;
mod scope;
pub mod semantics;
pub mod shared_calls;
mod speed;
pub mod stage;
mod standstill;
mod transaction;
pub mod trim;
mod twin;
pub mod window_read;
pub mod work_request;

use std::ops::Bound;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::types::{PgInterval, PgRange};
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres};

use crate::window::Window;
use connections::{ConnectionCount, Connections};
pub use error::StoreError;
pub use migration::SchemaState;
use speed::Speed;
use standstill::Watched;
use transaction::{Trouble, Tx};

/// What is between this program and PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or a pooler that gives each client its own session.
    #[default]
    None,
    /// A transaction pooler such as PgBouncer: nothing of a session outlives a transaction.
    Transaction,
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: SecretString,
    /// The most connections that may be open at once.
    pub max_connections: u32,
    /// A connection unused for this long is closed.
    pub idle_timeout: Duration,
    /// The pooler between this program and PostgreSQL, if any.
    pub pooler: Pooler,
    /// The longest a statement may run; keep transactions below a third of the lease.
    pub statement_timeout: Duration,
    /// The longest a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// The longest to wait for a connection.
    pub acquire_timeout: Duration,
}

impl DatabaseSettings {
    /// The default settings for the database at `url`.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            max_connections: 5,
            // Firewalls drop idle connections.
            idle_timeout: Duration::from_secs(120),
            pooler: Pooler::None,
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            // Split over several tries, each long enough for a distant server and its TLS handshake.
            acquire_timeout: Duration::from_secs(20),
        }
    }
}

/// PostgreSQL ends a transaction that is idle for this long.
const IDLE: Duration = Duration::from_secs(10);
/// What the program may need between two statements on a machine that does a lot of other things.
const PAUSE: Duration = Duration::from_secs(5);
/// Limit for short statements, including the wait for a lock (`lock_timeout`).
const SOON: Duration = Duration::from_secs(30);

/// A handle to the database; clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    connections: Connections,
    /// The same database over one separate connection, for what must not wait for a commit.
    beside: Option<Box<Store>>,
    begin: String,
    trouble: Trouble,
    statement_timeout: Duration,
    speed: Speed,
    /// Sets a tenth of the statement timeout, for optional statements of which many run.
    brief: String,
}

impl Store {
    /// Prepares the pool without connecting, for a daemon that waits for its database.
    ///
    /// Fails with [`StoreError::Url`] only.
    pub fn open(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let mut options = PgConnectOptions::from_str(settings.url.expose_secret())
            .map_err(|_| StoreError::Url)?
            .application_name("cdr-sync")
            // Statements are never named (see `sql`), so there is nothing to cache.
            .statement_cache_capacity(0)
            .disable_statement_logging();
        if settings.pooler == Pooler::Transaction {
            // PgBouncer refuses this start-up parameter unless configured to ignore it. Values are read in binary, so
            // it is not needed.
            options = options.extra_float_digits(None);
        }
        let trouble = Trouble::default();
        let (most, patience) = (settings.max_connections, settings.acquire_timeout);
        let connections = Connections::new(options, most, patience, settings.idle_timeout, &trouble);
        let statement_timeout = settings.statement_timeout;
        let tenth = settings.statement_timeout.as_millis() / 10;
        let mut store = Self {
            brief: format!("set local statement_timeout = {}", tenth.max(1)),
            connections,
            beside: None,
            begin: begin_statement(settings),
            trouble,
            statement_timeout,
            speed: Speed::default(),
        };
        store.beside = Some(Box::new(store.beside(1, settings.idle_timeout)));
        Ok(store)
    }

    /// The same database over at most `most` additional connections, each closed after `idle_timeout` unused. If the
    /// server allows no more, this store's connections are shared, one at a time.
    pub fn beside(&self, most: u32, idle_timeout: Duration) -> Self {
        let trouble = Trouble::default();
        let connections = self.connections.beside(most, idle_timeout, &trouble);
        Self { connections, trouble, beside: None, ..self.clone() }
    }

    /// The store for leases; with `max_connections = 1` they share the only connection.
    fn aside(&self) -> &Self {
        if self.connections.most() > 1 { self.watcher() } else { self }
    }

    /// The store for watching long work on these connections. Rarely needed, so it may open one more.
    fn watcher(&self) -> &Self {
        self.beside.as_deref().unwrap_or(self)
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> ConnectionCount {
        self.connections.count()
    }

    /// [`Store::open`] followed by [`Store::ping`].
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let store = Self::open(settings)?;
        store.ping().await?;
        Ok(store)
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("select 1").execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }

    /// Checks that the database answers and accepts writes, which a standby does not.
    pub async fn takes_writes(&self) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let read_only: String =
                sql_value("select current_setting('transaction_read_only')").fetch_one(&mut *tx).await?;
            // Without a commit the connection is closed: the next one may lead to a primary.
            if read_only == "off" { tx.commit().await } else { Err(StoreError::read_only()) }
        })
        .await
    }

    /// Makes one connection outside the pool, at once: on failure the error is the server's own reason, while waiting
    /// for a pooled connection would only report a timeout.
    pub async fn try_connecting(&self) -> Result<(), StoreError> {
        let connection = PgConnection::connect_with(&self.connections.options()).await?;
        Ok(connection.close().await?)
    }

    /// Closes all connections, including those for leases and watching.
    pub async fn close(&self) {
        self.connections.close().await;
        if let Some(beside) = &self.beside {
            beside.connections.close().await;
        }
    }

    /// Begins a transaction that makes all its own settings: nothing is kept in the session, which a transaction pooler
    /// would hand to another client.
    async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_with(&self.begin).await
    }

    /// Begins one whose statements take long to send, during which PostgreSQL hears nothing.
    async fn begin_large(&self) -> Result<Tx, StoreError> {
        let long = self.statement_timeout.as_millis();
        let idle = format!("{}; set local idle_in_transaction_session_timeout = {long}", self.begin);
        self.begin_with(&idle).await
    }

    /// Begins a read-only one whose statements all see one snapshot.
    async fn begin_of_one_moment(&self) -> Result<Tx, StoreError> {
        self.begin_with(&self.begin.replacen("read committed", "repeatable read, read only", 1)).await
    }

    async fn begin_with(&self, statements: &str) -> Result<Tx, StoreError> {
        let result = Tx::begin(self, statements).await;
        self.trouble.set_reason(result.as_ref().err().map(StoreError::to_string));
        result
    }

    /// Limits short work to [`SOON`]: statements that touch a few rows, and waits for locks.
    fn soon<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        self.within(SOON, Box::pin(work))
    }

    /// Limits statements that PostgreSQL itself ends after `statement_timeout`: on a connection that died silently,
    /// nothing else would end the wait.
    fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        self.within(self.statement_timeout + SOON, Box::pin(work))
    }

    /// Runs work of any length for as long as PostgreSQL is busy with it. `work` is given its transaction, which has
    /// neither `statement_timeout` nor `lock_timeout`.
    async fn at_length<T>(
        &self,
        work: impl AsyncFnOnce(Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let watched = Watched::default();
        let work = Box::pin(async {
            let tx = self
                .soon(async {
                    let mut tx = self.begin().await?;
                    sqlx::raw_sql("set local statement_timeout = 0; set local lock_timeout = 0")
                        .execute(&mut *tx)
                        .await?;
                    Ok(tx)
                })
                .await?;
            watched.begins(&tx);
            work(tx).await
        });
        let result = tokio::select! {
            result = work => result,
            () = Box::pin(standstill::of(self, &watched)) => Err(StoreError::silent(standstill::SEEN_WITHIN)),
        };
        if result.as_ref().is_err_and(StoreError::is_unavailable) {
            self.trouble.note();
        }
        result
    }

    /// `work` is boxed so that it takes up memory only while it runs, and once: passed through several functions, it
    /// would take up room in each of their futures, in the task of every account.
    async fn within<T>(
        &self,
        patience: Duration,
        work: Pin<Box<impl Future<Output = Result<T, StoreError>>>>,
    ) -> Result<T, StoreError> {
        let result = tokio::time::timeout(patience, work).await;
        let result = result.unwrap_or_else(|_| Err(StoreError::silent(patience)));
        if result.as_ref().is_err_and(StoreError::is_unavailable) {
            self.trouble.note();
        }
        result
    }

    async fn why_none_came(&self) -> StoreError {
        match tokio::time::timeout(ASKING_WHY, self.try_connecting()).await {
            Ok(Err(reason)) => reason,
            Ok(Ok(())) => StoreError::busy(),
            Err(_) => StoreError::silent(ASKING_WHY),
        }
    }

    /// Why the last attempt to use the database failed; `None` if it succeeded.
    pub fn last_trouble(&self) -> Option<String> {
        self.trouble.reason()
    }
}

/// Limit for the connection made to learn why the pool had none to give.
const ASKING_WHY: Duration = Duration::from_secs(5);

/// The isolation level is explicit: a database, a role or another client of the pooler may have set a default under
/// which commits would fail. JIT is off because compiling takes longer than any of these statements. What somebody's trigger
/// says may hold a call's numbers, and is not for the log.
fn begin_statement(settings: &DatabaseSettings) -> String {
    let statement = settings.statement_timeout.as_millis();
    let lock = settings.lock_timeout.as_millis();
    // Two statements are milliseconds apart, or at most the reading of one record of many megabytes, so this only
    // limits how long a connection that died silently keeps its locks.
    let idle = statement.clamp(PAUSE.as_millis(), IDLE.as_millis());
    format!(
        "begin isolation level read committed; set local timezone = 'UTC'; set local jit = off; \
         set local client_min_messages = error; set local statement_timeout = {statement}; set local lock_timeout = {lock}; set local idle_in_transaction_session_timeout = {idle}; select pg_backend_pid()"
    )
}

/// An unnamed statement: named ones break behind poolers and after another process's migration, and at a few commits a
/// minute parsing costs nothing.
fn sql<'q>(text: &'static str) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(text).persistent(false)
}

/// A statement that returns rows.
fn sql_as<'q, O>(text: &'static str) -> QueryAs<'q, Postgres, O, PgArguments>
where
    O: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    sqlx::query_as(text).persistent(false)
}

/// A statement that returns one value per row.
fn sql_value<'q, O>(text: &'static str) -> QueryScalar<'q, Postgres, O, PgArguments>
where
    (O,): for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    sqlx::query_scalar(text).persistent(false)
}

impl TryFrom<PgRange<DateTime<Utc>>> for Window {
    type Error = StoreError;

    /// The tables' checks keep spans from being empty or without bounds.
    fn try_from(range: PgRange<DateTime<Utc>>) -> Result<Self, StoreError> {
        let window = match (range.start, range.end) {
            // Whichever way the bounds are written: a row may come from an operator.
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                Window::new(from, to)
            }
            _ => None,
        };
        window.ok_or_else(|| StoreError::Refused {
            code: "client".into(),
            message: "the ledger holds an empty span: repair that row by hand".into(),
        })
    }
}

/// A length of time as the ledger stores it: in hours and less, never days or months.
#[derive(Clone, Copy, Debug)]
struct Interval(TimeDelta);

impl From<PgInterval> for Interval {
    fn from(interval: PgInterval) -> Self {
        Self(TimeDelta::microseconds(interval.microseconds))
    }
}

/// The window `[from, to)` as a `tstzrange`.
fn span(window: Window) -> PgRange<DateTime<Utc>> {
    PgRange::from(window.from()..window.to())
}

/// An interval of exact length: hours and less, never days or months.
fn interval(delta: TimeDelta) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: delta.num_microseconds().unwrap_or(i64::MAX) }
}

/// Converts to a signed duration, saturating.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_window_whichever_way_its_bounds_are_written() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let window = |start, end| Window::try_from(PgRange { start, end });
        let hour = Window::new(at(0), at(3_600)).unwrap();
        for start in [Bound::Included(at(0)), Bound::Excluded(at(0))] {
            for end in [Bound::Included(at(3_600)), Bound::Excluded(at(3_600))] {
                assert_eq!(window(start, end), Ok(hour));
            }
        }
    }

    #[test]
    fn a_span_that_is_empty_or_has_no_end_is_refused_with_what_to_do() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let endless = PgRange { start: Bound::Included(at(0)), end: Bound::Unbounded };
        let beginless = PgRange { start: Bound::Unbounded, end: Bound::Excluded(at(0)) };
        let empty = PgRange { start: Bound::Included(at(0)), end: Bound::Included(at(0)) };
        for range in [endless, beginless, empty] {
            let message = Window::try_from(range).unwrap_err().to_string();
            assert!(message.contains("repair that row"), "{message}");
        }
    }
}
