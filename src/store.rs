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
//! 6. Gaps, coverage, and the cursor derived from them; `window_read`; what was learned.
//!
//! Commit is the only truth: until then nothing happened, afterwards the same commit changes nothing.

pub mod account;
pub mod budget;
mod change;
pub mod commit;
pub mod commit_count;
mod connections;
mod coverage;
pub mod day;
pub mod environment;
pub mod error;
mod future;
pub mod gap;
mod history;
pub mod lease;
pub mod ledger;
mod merge;
mod migration;
pub mod missing;
pub mod overview;
mod recheck;
pub mod rejected;
pub mod replica;
pub mod request;
pub mod row;
mod scope;
pub mod shared_calls;
mod speed;
pub mod stage;
mod standstill;
mod transaction;
mod twin;
pub mod window_read;

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
use connections::Connections;
pub use error::StoreError;
pub use migration::SchemaState;
use speed::Speed;
use standstill::Watched;
use transaction::{Trouble, Tx};

/// What stands between this program and PostgreSQL.
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
    /// The most connections open at once.
    pub max_connections: u32,
    /// A connection that nobody used for this long is closed.
    pub idle_timeout: Duration,
    /// What stands in between.
    pub pooler: Pooler,
    /// The longest a statement may run; keep transactions below a third of the lease.
    pub statement_timeout: Duration,
    /// The longest a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// The longest to wait for a connection.
    pub acquire_timeout: Duration,
}

impl DatabaseSettings {
    /// The defaults for `url`.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            max_connections: 5,
            // Firewalls forget connections on which nothing moves.
            idle_timeout: Duration::from_secs(120),
            pooler: Pooler::None,
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            // Several tries, each of which must be long enough for a far server and its TLS.
            acquire_timeout: Duration::from_secs(20),
        }
    }
}

/// A transaction that stands idle for so long is ended by PostgreSQL.
const IDLE: Duration = Duration::from_secs(10);
/// Longer than anything short takes, the wait for a lock (`lock_timeout`) included.
const SOON: Duration = Duration::from_secs(30);

/// The database. A clone shares its connections.
#[derive(Clone, Debug)]
pub struct Store {
    connections: Connections,
    /// The same database over a connection of its own: for what must not wait until a commit ends.
    beside: Option<Box<Store>>,
    begin: String,
    trouble: Trouble,
    statement_timeout: Duration,
    speed: Speed,
    /// For one of many statements that only make something better: a tenth of what others may take.
    brief: String,
}

impl Store {
    /// Prepares connections without making one: for a daemon that waits for its database.
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
            // A start-up parameter that PgBouncer refuses unless told to ignore it. No float is ever read.
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

    /// The same database over at most `most` connections more, kept when unused for `idle_timeout`. Where the server
    /// allows no more, this store's are shared, one at a time.
    pub fn beside(&self, most: u32, idle_timeout: Duration) -> Self {
        let trouble = Trouble::default();
        let connections = self.connections.beside(most, idle_timeout, &trouble);
        Self { connections, trouble, beside: None, ..self.clone() }
    }

    /// For leases; where there may be one connection only, that is for them, too.
    fn aside(&self) -> &Self {
        if self.connections.most() > 1 { self.watcher() } else { self }
    }

    /// For a look at long work over these connections. Hardly ever needed, so that it may be one more.
    fn watcher(&self) -> &Self {
        self.beside.as_deref().unwrap_or(self)
    }

    /// [`Store::open`], and one connection made to see that it works.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let store = Self::open(settings)?;
        store.ping().await?;
        Ok(store)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            sql("select 1").execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }

    /// Whether the database answers and takes what is written: a standby does not.
    pub async fn takes_writes(&self) -> Result<(), StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let read_only: String =
                sql_value("select current_setting('transaction_read_only')").fetch_one(&mut *tx).await?;
            // Else the connection is not kept.
            if read_only == "off" { tx.commit().await } else { Err(StoreError::read_only()) }
        })
        .await
    }

    /// Makes one connection beside the others, at once: the reason of a failure is the server's own, where waiting
    /// for a free connection would only say that none came.
    pub async fn try_connecting(&self) -> Result<(), StoreError> {
        let connection = PgConnection::connect_with(&self.connections.options()).await?;
        Ok(connection.close().await?)
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.connections.close().await;
        if let Some(beside) = &self.beside {
            beside.connections.close().await;
        }
    }

    /// Every statement runs in a transaction that sets what it needs by itself: nothing is kept in a session, which
    /// a transaction pooler would hand to somebody else.
    async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_with(&self.begin).await
    }

    /// The same, for statements that take long to send: nothing is heard from us meanwhile.
    async fn begin_large(&self) -> Result<Tx, StoreError> {
        let long = self.statement_timeout.as_millis();
        let idle = format!("{}; set local idle_in_transaction_session_timeout = {long}", self.begin);
        self.begin_with(&idle).await
    }

    /// The same, for statements that are all to see one moment.
    async fn begin_of_one_moment(&self) -> Result<Tx, StoreError> {
        self.begin_with(&self.begin.replacen("read committed", "repeatable read, read only", 1)).await
    }

    async fn begin_with(&self, statements: &str) -> Result<Tx, StoreError> {
        let result = Tx::begin(self, statements).await;
        self.trouble.set_reason(result.as_ref().err().map(StoreError::to_string));
        result
    }

    /// Waits for what takes no more than a moment: statements that touch a few rows, and the locks that others hold.
    fn soon<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        self.within(SOON, Box::pin(work))
    }

    /// Waits for statements that PostgreSQL itself ends when they take too long. A connection can die without a word: then
    /// nobody else would end the wait.
    fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> {
        self.within(self.statement_timeout + SOON, Box::pin(work))
    }

    /// Waits for what takes as long as it takes, while PostgreSQL is at work on it: `work` is given the transaction to do
    /// it in, with neither `statement_timeout` nor `lock_timeout`.
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

    /// Boxed, `work` takes up memory only while it goes on, and once: as the argument of several functions it would have
    /// room in each, in the task of every account.
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

    /// Why the database could not be used when that was tried last; `None` when it could.
    pub fn last_trouble(&self) -> Option<String> {
        self.trouble.reason()
    }
}

/// How long a connection is tried for to learn why the pool gave none.
const ASKING_WHY: Duration = Duration::from_secs(5);

/// The isolation level is named: a database, a role or a pooler's other client may have set another default, under
/// which commits would fail for no reason of theirs. Compiling a statement takes longer than any of ours runs.
fn begin_statement(settings: &DatabaseSettings) -> String {
    let statement = settings.statement_timeout.as_millis();
    let lock = settings.lock_timeout.as_millis();
    // Between two statements of ours lie milliseconds, and at most the reading of one record of many megabytes. A connection that
    // died without a word keeps its locks no longer.
    let idle = statement.min(IDLE.as_millis());
    format!(
        "begin isolation level read committed; set local timezone = 'UTC'; set local jit = off; set local statement_timeout = {statement}; \
         set local lock_timeout = {lock}; set local idle_in_transaction_session_timeout = {idle}; select pg_backend_pid()"
    )
}

/// A statement. Unnamed: named ones break behind poolers and after another process's migration, and at a few
/// commits a minute parsing costs nothing.
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

/// A statement that returns one value a row.
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
            (Bound::Included(from), Bound::Excluded(to)) => Window::new(from, to),
            _ => None,
        };
        window.ok_or_else(|| StoreError::Refused {
            code: "client".into(),
            message: "the ledger holds an empty span: repair that row by hand".into(),
        })
    }
}

/// What the ledger holds of a length of time: hours and less, never days or months.
#[derive(Clone, Copy, Debug)]
struct Length(TimeDelta);

impl From<PgInterval> for Length {
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

/// A standard duration as a signed one; as long as can be when it does not fit.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
