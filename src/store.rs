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
mod coverage;
pub mod error;
mod future;
pub mod gap;
pub mod lease;
pub mod ledger;
mod merge;
mod migration;
pub mod missing;
pub mod overview;
mod recheck;
pub mod rejected;
pub mod request;
pub mod row;
pub mod shared_calls;
pub mod stage;
mod twin;
pub mod window_read;

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::types::{PgInterval, PgRange};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::query::{Query, QueryAs};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Postgres, Transaction};

use crate::window::Window;
pub use error::StoreError;
pub use migration::SchemaState;

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
    /// What stands in between.
    pub pooler: Pooler,
    /// The longest a statement may run; keep transactions below a third of the lease.
    pub statement_timeout: Duration,
    /// The longest a statement may wait for a lock.
    pub lock_timeout: Duration,
}

impl DatabaseSettings {
    /// The defaults for `url`.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            max_connections: 5,
            pooler: Pooler::None,
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
        }
    }
}

/// The database. A clone shares its connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    begin: String,
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
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy_with(options);
        Ok(Self { pool, begin: begin_statement(settings) })
    }

    /// [`Store::open`], and one connection made to see that it works.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let store = Self::open(settings)?;
        store.ping().await?;
        Ok(store)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sql("select 1").execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Makes one connection beside the others, at once: the reason of a failure is the server's own, where waiting
    /// for a free connection would only say that none came.
    pub async fn try_connecting(&self) -> Result<(), StoreError> {
        let connection = PgConnection::connect_with(&self.pool.connect_options()).await?;
        Ok(connection.close().await?)
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Every statement runs in a transaction that sets what it needs by itself: nothing is kept in a session, which
    /// a transaction pooler would hand to somebody else.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        Ok(self.pool.begin_with(AssertSqlSafe(self.begin.clone())).await?)
    }
}

/// The isolation level is named: a database, a role or a pooler's other client may have set another default, under
/// which commits would fail for no reason of theirs. Compiling a statement takes longer than any of ours runs.
fn begin_statement(settings: &DatabaseSettings) -> String {
    let statement = settings.statement_timeout.as_millis();
    let lock = settings.lock_timeout.as_millis();
    format!(
        "begin isolation level read committed; set local timezone = 'UTC'; set local jit = off; set local statement_timeout = {statement}; \
         set local lock_timeout = {lock}; set local idle_in_transaction_session_timeout = {statement}"
    )
}

/// A statement. Unnamed: named ones break behind poolers and after another process's migration, and at a few
/// commits a minute parsing costs nothing.
fn sql<'q>(text: &'static str) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(text).persistent(false)
}

/// A statement that returns rows as tuples.
fn sql_as<'q, O>(text: &'static str) -> QueryAs<'q, Postgres, O, PgArguments>
where
    O: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    sqlx::query_as(text).persistent(false)
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

/// A window read back from two bounds. The tables' checks keep it from being empty.
fn window(from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Window, StoreError> {
    Window::new(from, to).ok_or_else(|| StoreError::Refused {
        code: "client".into(),
        message: "the ledger holds an empty span: repair that row by hand".into(),
    })
}
