//! Work whose connection has died without a word: PostgreSQL waits for our next statement while we wait for its answer.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use super::{Store, StoreError, Tx, sql, sql_as};

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

/// So many looks must agree while an answer is on its way to the server: a part of it may take long on a slow line.
const LOOKS_AT_COPY: u32 = 3;

/// The process of PostgreSQL that is at work, and what we do for it.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// 0: none yet.
    backend: AtomicI32,
    /// Counts the parts of an answer on their way.
    sent: AtomicU64,
}

impl Watched {
    /// `tx` is what is watched.
    pub fn begins(&self, tx: &Tx) {
        self.backend.store(tx.backend, Ordering::Relaxed);
    }

    /// Another part of an answer was sent.
    pub fn sends(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub fn has_begun(&self) -> bool {
        self.backend.load(Ordering::Relaxed) != 0
    }
}

/// Returns once the process is gone, or has waited for us from one look to the next; then it is ended, for its locks would be
/// in the way of another try. Or once nothing could be seen of it for long.
pub(super) async fn of(store: &Store, watched: &Watched) {
    let mut waits = Waits::default();
    let mut seen_at = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (backend, sent) = (watched.backend.load(Ordering::Relaxed), watched.sent.load(Ordering::Relaxed));
        if backend == 0 {
            seen_at = Instant::now();
            continue;
        }
        let mut patience = DEAF;
        let looks = match look(store, backend).await {
            Ok(Seen::Gone) => return,
            Ok(Seen::Waiting(since)) => waits.seen(since, sent, 1),
            Ok(Seen::Reading(since)) => waits.seen(since, sent, LOOKS_AT_COPY),
            Ok(Seen::Busy) => waits.none(),
            Ok(Seen::Nothing) | Err(StoreError::NotAdmitted { .. }) => {
                patience = BLIND;
                None
            }
            Err(_) => None,
        };
        match looks {
            Some(true) if end(store, backend).await.is_ok() => return,
            Some(_) => seen_at = Instant::now(),
            None if seen_at.elapsed() > patience => return,
            None => {}
        }
    }
}

/// Since when the process has waited, as often as that was seen.
#[derive(Debug, Default)]
struct Waits {
    last: Option<(DateTime<Utc>, u64)>,
    again: u32,
}

impl Waits {
    /// Whether it was seen so often `again`.
    fn seen(&mut self, since: DateTime<Utc>, sent: u64, again: u32) -> Option<bool> {
        self.again = if self.last == Some((since, sent)) { self.again + 1 } else { 0 };
        self.last = Some((since, sent));
        Some(self.again >= again)
    }

    fn none(&mut self) -> Option<bool> {
        *self = Self::default();
        Some(false)
    }
}

enum Seen {
    /// Its connection ended, and we have not heard of it.
    Gone,
    /// Since then, for our next statement.
    Waiting(DateTime<Utc>),
    /// For more of an answer; its statement began then.
    Reading(DateTime<Utc>),
    Busy,
    /// The server keeps what its processes do to itself (`track_activities`).
    Nothing,
}

async fn look(store: &Store, backend: i32) -> Result<Seen, StoreError> {
    const LOOK: &str =
        "select state = 'disabled', state like 'idle%', wait_event = 'ClientRead', state_change
                        from pg_stat_activity where pid = $1";
    type Row = (Option<bool>, Option<bool>, Option<bool>, Option<DateTime<Utc>>);
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
        Some((_, Some(true), _, Some(since))) => Seen::Waiting(since),
        Some((_, _, Some(true), Some(since))) => Seen::Reading(since),
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
