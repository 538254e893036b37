//! Connections to the database: the many, and the few beside them for what must not wait until a commit ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::transaction::Trouble;
use crate::clock::monotonic;

/// A connection that met something odd is not kept for long.
const LIFETIME: Duration = Duration::from_secs(300);
/// How often a connection is asked for within `acquire_timeout`.
pub(super) const TRIES: u32 = 5;
/// So long one of the few is waited for before one of the many will do; a probe waits a little longer.
const BESIDE: Duration = Duration::from_millis(1500);
/// Where connections are scarce, one is waited for first for so long, then for twice as long …
const SHARING: Duration = Duration::from_millis(250);
/// … so many times.
const SHARING_TRIES: u32 = 5;
/// No connection of the few came: the many are asked at once for so long.
const REMEMBERED: Duration = Duration::from_secs(60);
const ASKING_WHY_EVERY: Duration = Duration::from_secs(4);
/// The server allowed the many no more: the few are left to them for so long.
const SCARCE: Duration = Duration::from_secs(600);

/// Some connections to one database.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    pool: PgPool,
    room: Arc<Room>,
    /// The many, if these are the few.
    many: Option<Many>,
}

/// A connection, and one's turn for it where it is one of the many.
pub(super) type One = (PoolConnection<Postgres>, Option<OwnedSemaphorePermit>);

#[derive(Clone, Debug)]
struct Many {
    pool: PgPool,
    /// One at a time, so that those who share never take all.
    turn: Arc<Semaphore>,
    /// They are asked first.
    first: Arc<Switch>,
}

/// On until an instant.
#[derive(Debug, Default)]
struct Switch(Mutex<Option<Instant>>);

/// How many the server allows, as far as was seen.
#[derive(Debug, Default)]
struct Room {
    asked_why_at: Mutex<Option<Instant>>,
    scarce: Switch,
    few: Mutex<Vec<PgPool>>,
}

impl Connections {
    /// At most `most` of them; a call waits for one no longer than `patience`.
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

    /// `most` more of the same kind. Where the server allows no more, they are taken from these.
    pub(super) fn beside(&self, most: u32, idle_timeout: Duration, trouble: &Trouble) -> Self {
        let options = PgConnectOptions::clone(&self.options());
        let few = pool(options, most, BESIDE, idle_timeout, trouble);
        self.room.few.lock().unwrap_or_else(PoisonError::into_inner).push(few.clone());
        let many = Many { pool: self.pool.clone(), turn: Arc::new(Semaphore::new(1)), first: Arc::default() };
        Self { pool: few, room: Arc::clone(&self.room), many: Some(many) }
    }

    /// How many there may be.
    pub(super) fn most(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// How they are made.
    pub(super) fn options(&self) -> Arc<PgConnectOptions> {
        self.pool.connect_options()
    }

    /// One of them; [`sqlx::Error::PoolTimedOut`] when none could be had.
    pub(super) async fn one(&self) -> Result<One, sqlx::Error> {
        let Some(many) = &self.many else {
            // Where the server refuses more, who waits is to look for one that became free.
            let one = if self.room.scarce.is_on() {
                in_short_tries(&self.pool).await
            } else {
                self.pool.acquire().await
            };
            return Ok((one?, None));
        };
        // One of its own is always better.
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

    /// The server refused another connection for these: the few are closed, and share.
    pub(super) fn make_room(&self) {
        self.room.scarce.set(SCARCE);
        let few = self.room.few.lock().unwrap_or_else(PoisonError::into_inner);
        for pool in few.iter() {
            while let Some(mut idle) = pool.try_acquire() {
                idle.close_on_drop();
            }
        }
    }

    /// Whether to look why none came: one looks at a time, for a look is one more connection.
    pub(super) fn may_ask_why(&self) -> bool {
        let mut at = self.room.asked_why_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = at.is_none_or(|at| at.elapsed() >= ASKING_WHY_EVERY);
        if due {
            *at = Some(monotonic());
        }
        due
    }

    /// Ends them.
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

/// Who began to wait while none was free goes on trying to make another, and never looks for one that has become free
/// since.
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
