//! Connections to the database: the many, and the few beside them for what must not wait until a commit ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::sync::Semaphore;

use super::transaction::Trouble;

/// A connection that met something odd is not kept for long.
const LIFETIME: Duration = Duration::from_secs(300);
/// How often a connection is asked for within `acquire_timeout`: who began to wait while none was free goes on trying to
/// make another, which a server that allows few of them refuses, and never looks for one that has become free since.
const TRIES: u32 = 5;
/// So long one of the few is waited for before one of the many will do.
const BESIDE: Duration = Duration::from_secs(2);
/// … which is looked for as often, and each time for so long.
const SHARING_TRIES: u32 = 10;
const SHARING: Duration = Duration::from_millis(500);
/// The server allowed no more connections: it is not asked for another one before this is over.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Some connections to one database.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    pool: PgPool,
    /// The many, if these are the few.
    many: Option<Arc<Many>>,
}

#[derive(Debug)]
struct Many {
    pool: PgPool,
    /// One at a time, so that those who ask here never keep the others waiting for long.
    turn: Semaphore,
    /// Until when they are asked first.
    first_until: Mutex<Option<Instant>>,
}

impl Connections {
    /// At most `most` of them; a call waits for one no longer than `patience`.
    pub fn new(
        options: PgConnectOptions,
        most: u32,
        patience: Duration,
        idle_timeout: Duration,
        trouble: &Trouble,
    ) -> Self {
        Self { pool: pool(options, most, patience / TRIES, idle_timeout, trouble), many: None }
    }

    /// `most` more of the same kind. Where the server allows no more, they are taken from these.
    pub fn beside(&self, most: u32, idle_timeout: Duration, trouble: &Trouble) -> Self {
        let options = PgConnectOptions::clone(&self.options());
        let many = Many { pool: self.pool.clone(), turn: Semaphore::new(1), first_until: Mutex::default() };
        Self { pool: pool(options, most, BESIDE, idle_timeout, trouble), many: Some(Arc::new(many)) }
    }

    /// How many there may be.
    pub fn most(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// How they are made.
    pub fn options(&self) -> Arc<PgConnectOptions> {
        self.pool.connect_options()
    }

    /// One of them; [`sqlx::Error::PoolTimedOut`] when none could be had.
    pub async fn one(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let tries = if self.many.is_some() { 1 } else { TRIES };
        if !self.many.as_ref().is_some_and(|many| many.comes_first()) {
            for _ in 0..tries {
                match self.pool.acquire().await {
                    Err(sqlx::Error::PoolTimedOut) => {}
                    result => return result,
                }
            }
        }
        let Some(many) = &self.many else { return Err(sqlx::Error::PoolTimedOut) };
        // Nobody closes the semaphore.
        let _turn = many.turn.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        // In short tries: one that becomes free is not seen while another is being made.
        for _ in 0..SHARING_TRIES {
            if let Ok(acquired) = tokio::time::timeout(SHARING, many.pool.acquire()).await {
                many.come_first();
                return acquired;
            }
        }
        Err(sqlx::Error::PoolTimedOut)
    }

    /// Ends them.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Many {
    fn comes_first(&self) -> bool {
        let until = self.first_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn come_first(&self) {
        let mut until = self.first_until.lock().unwrap_or_else(PoisonError::into_inner);
        let over = until.is_none_or(|until| until <= Instant::now());
        if over {
            *until = Some(Instant::now() + REMEMBERED);
        }
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
