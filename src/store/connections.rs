//! Connections to the database: the many of the main pool, and the few beside them for what must not wait for a commit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::transaction::Trouble;
use crate::clock::monotonic;

/// Maximum age of a connection, so that one in an odd state is not kept for long.
const LIFETIME: Duration = Duration::from_secs(300);
/// Number of tries for a connection within `acquire_timeout`.
pub(super) const TRIES: u32 = 5;
/// How long to wait for one of the few before falling back to one of the many; a probe waits a little longer.
const BESIDE: Duration = Duration::from_millis(1500);
/// When connections are scarce, the first wait for one; each further wait is twice as long …
const SHARING: Duration = Duration::from_millis(250);
/// … with at most this many waits.
const SHARING_TRIES: u32 = 5;
/// How long to ask the many at once after the few had no connection.
const REMEMBERED: Duration = Duration::from_secs(60);
const ASKING_WHY_EVERY: Duration = Duration::from_secs(4);
/// How long the few are left to the many after the server refused the many a connection.
const SCARCE: Duration = Duration::from_secs(600);

/// Some connections to one database.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    pool: PgPool,
    room: Arc<Room>,
    /// The many, if these are the few.
    many: Option<Many>,
}

/// Connections to one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionCount {
    pub(crate) used: u32,
    pub(crate) idle: u32,
    /// How many may be open.
    pub(crate) most: u32,
}

/// A connection, with the caller's turn if it is one of the many.
pub(super) type One = (PoolConnection<Postgres>, Option<OwnedSemaphorePermit>);

#[derive(Clone, Debug)]
struct Many {
    pool: PgPool,
    /// One at a time, so that those who share never take all.
    turn: Arc<Semaphore>,
    /// While on, the many are asked before the few.
    first: Arc<Switch>,
}

/// A switch that turns itself off at an instant.
#[derive(Debug, Default)]
struct Switch(Mutex<Option<Instant>>);

/// What was seen of how many connections the server allows.
#[derive(Debug, Default)]
struct Room {
    asked_why_at: Mutex<Option<Instant>>,
    scarce: Switch,
    few: Mutex<Vec<PgPool>>,
}

impl Connections {
    /// At most `most` connections; a call waits for one no longer than `patience`.
    pub(super) fn new(
        options: PgConnectOptions,
        most: u32,
        patience: Duration,
        idle_timeout: Duration,
        trouble: &Trouble,
    ) -> Self {
        let pool = pool(options, most, patience / TRIES, idle_timeout, trouble);
        Self { pool, room: Arc::default(), many: None }
    }

    /// `most` more connections with the same options. If the server allows no more, they share these.
    pub(super) fn beside(&self, most: u32, idle_timeout: Duration, trouble: &Trouble) -> Self {
        let options = PgConnectOptions::clone(&self.options());
        let few = pool(options, most, BESIDE, idle_timeout, trouble);
        self.room.few.lock().unwrap_or_else(PoisonError::into_inner).push(few.clone());
        let many = Many { pool: self.pool.clone(), turn: Arc::new(Semaphore::new(1)), first: Arc::default() };
        Self { pool: few, room: Arc::clone(&self.room), many: Some(many) }
    }

    /// The most connections open at once.
    pub(super) fn most(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// How many there are to this database by now, those of the other pools included.
    pub(super) fn count(&self) -> ConnectionCount {
        let few = self.room.few.lock().unwrap_or_else(PoisonError::into_inner);
        let main = self.many.as_ref().map_or(&self.pool, |many| &many.pool);
        let all = few.iter().chain([main]).filter(|pool| !pool.is_closed());
        all.fold(ConnectionCount::default(), |sum, pool| {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            ConnectionCount {
                used: sum.used + pool.size().saturating_sub(idle),
                idle: sum.idle + idle,
                most: sum.most + pool.options().get_max_connections(),
            }
        })
    }

    pub(super) fn options(&self) -> Arc<PgConnectOptions> {
        self.pool.connect_options()
    }

    /// Acquires a connection; [`sqlx::Error::PoolTimedOut`] if there is none.
    pub(super) async fn one(&self) -> Result<One, sqlx::Error> {
        let Some(many) = &self.many else {
            // When the server refuses more, waiters should look for one that became free.
            let one = if self.room.scarce.is_on() {
                in_short_tries(&self.pool).await
            } else {
                self.pool.acquire().await
            };
            return Ok((one?, None));
        };
        // One of its own pool is always better.
        if let Some(own) = self.pool.try_acquire() {
            return Ok((own, None));
        }
        if !self.room.scarce.is_on() && !many.first.is_on() {
            match self.pool.acquire().await {
                Err(sqlx::Error::PoolTimedOut) => many.first.set(REMEMBERED),
                result => return Ok((result?, None)),
            }
        }
        many.one().await
    }

    /// After the server refused these another connection: closes idle ones of the few, which share from then on.
    pub(super) fn make_room(&self) {
        self.room.scarce.set(SCARCE);
        let few = self.room.few.lock().unwrap_or_else(PoisonError::into_inner);
        for pool in few.iter() {
            while let Some(mut idle) = pool.try_acquire() {
                idle.close_on_drop();
            }
        }
    }

    /// Returns `true` if it is time to check why there was no connection: one caller at a time, since the check takes
    /// another connection.
    pub(super) fn may_ask_why(&self) -> bool {
        let mut at = self.room.asked_why_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = at.is_none_or(|at| at.elapsed() >= ASKING_WHY_EVERY);
        if due {
            *at = Some(monotonic());
        }
        due
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Many {
    async fn one(&self) -> Result<One, sqlx::Error> {
        // Nobody closes the semaphore.
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        Ok((in_short_tries(&self.pool).await?, Some(turn)))
    }
}

/// Acquires in short tries: a single long wait that began when none was free keeps trying to open another, and never
/// looks for one that has become free since.
async fn in_short_tries(pool: &PgPool) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    let mut patience = SHARING;
    for _ in 0..SHARING_TRIES {
        if let Ok(acquired) = tokio::time::timeout(patience, pool.acquire()).await {
            return acquired;
        }
        patience *= 2;
    }
    Err(sqlx::Error::PoolTimedOut)
}

impl Switch {
    fn is_on(&self) -> bool {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| monotonic() < until)
    }

    fn set(&self, long: Duration) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Some(monotonic() + long));
    }
}

fn pool(
    options: PgConnectOptions,
    most: u32,
    patience: Duration,
    idle_timeout: Duration,
    trouble: &Trouble,
) -> PgPool {
    let seen = trouble.clone();
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(patience)
        .max_lifetime(LIFETIME)
        .idle_timeout(idle_timeout)
        // Beginning the transaction is the test.
        .test_before_acquire(false)
        .before_acquire(move |_, known| {
            let spared = seen.has_spared(known.idle_for);
            Box::pin(async move { Ok(spared) })
        })
        .connect_lazy_with(options)
}
