//! A cache of the ledger: the database is asked at most every few seconds, whatever the number of requests.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::health::facts::AccountFacts;
use crate::metrics::LedgerFacts;
use crate::store::overview::HourOfCalls;
use crate::store::{Store, StoreError};

/// The ledger is read again once the cached facts are older than this.
const FRESH: TimeDelta = TimeDelta::seconds(2);
/// Counting calls reads a few days of rows, and once a minute is enough for a chart of hours.
const CALLS_FRESH: TimeDelta = TimeDelta::seconds(60);
/// Delay before a failed count is tried again.
const CALLS_AGAIN: TimeDelta = TimeDelta::seconds(15);
/// Table sizes change slowly, so they are measured at this interval.
const SIZES_FRESH: TimeDelta = TimeDelta::seconds(60);
/// The longest wait for the database.
const PATIENCE: Duration = Duration::from_secs(3);
/// The chart of calls: this many hours, each beside the same hour a week earlier.
pub(super) const HOURS: i64 = 48;

/// The state of the ledger at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Every account in the ledger.
    pub accounts: Vec<AccountFacts>,
    /// Calls by hour, of the last two days and of the same days a week before; empty if they were never counted.
    pub calls: Option<Arc<Vec<HourOfCalls>>>,
    /// Size of each table on disk, in bytes.
    pub table_sizes: Vec<(String, i64)>,
    /// Why these facts are out of date: the error of a database that did not answer.
    pub failure: Option<String>,
}

impl Facts {
    pub(super) fn for_metrics(&self) -> Vec<LedgerFacts> {
        let facts = |AccountFacts { status, unread, .. }: &AccountFacts| LedgerFacts {
            account: status.name.clone(),
            synced_until: status.cursor.map(|cursor| cursor.to()),
            history_from: status.cursor.map(|cursor| cursor.from()),
            history_start: status.history_start,
            unread_seconds: unread.num_seconds(),
            gaps: status.gaps,
            rejected: status.rejected,
            suspicious: status.suspicious,
        };
        self.accounts.iter().map(facts).collect()
    }
}

/// Reads the ledger for all requests, one at a time.
#[derive(Debug)]
pub(super) struct LedgerCache {
    store: Store,
    clock: Clock,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    facts: Facts,
    read_at: Option<DateTime<Utc>>,
    calls_at: Option<DateTime<Utc>>,
    sizes_at: Option<DateTime<Utc>>,
}

impl LedgerCache {
    pub(super) fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, last: Mutex::default() }
    }

    /// The facts of at most [`FRESH`] ago; while the database is unreachable, the last known ones, with the failure.
    pub(super) async fn read(&self) -> Facts {
        self.look(false).await
    }

    /// The same facts with the calls by hour.
    pub(super) async fn read_with_calls(&self) -> Facts {
        self.look(true).await
    }

    async fn look(&self, with_calls: bool) -> Facts {
        let mut last = self.last.lock().await;
        let now = self.clock.now();
        // A wall clock that was set back makes everything stale.
        let stale = |at: Option<DateTime<Utc>>, fresh| at.is_none_or(|at| now - at >= fresh || at > now);
        if stale(last.read_at, FRESH) {
            match within_patience(AccountFacts::read_all(&self.store, now)).await {
                Ok(accounts) => {
                    last.facts.accounts = accounts;
                    last.facts.failure = None;
                }
                Err(failure) => last.facts.failure = Some(failure),
            }
            // Taken after the wait for a database that hangs: requests that queued behind it need not wait again.
            last.read_at = Some(self.clock.now());
        }
        if last.facts.failure.is_none() && stale(last.sizes_at, SIZES_FRESH) {
            // A table that is being rebuilt cannot be measured, which is no reason to fail.
            if let Ok(sizes) = within_patience(self.store.table_sizes()).await {
                last.facts.table_sizes = sizes;
            }
            last.sizes_at = Some(self.clock.now());
        }
        if with_calls && last.facts.failure.is_none() && stale(last.calls_at, CALLS_FRESH) {
            last.calls_at = match within_patience(self.calls(now)).await {
                Ok(calls) => {
                    last.facts.calls = Some(Arc::new(calls));
                    Some(self.clock.now())
                }
                Err(_) => Some(self.clock.now() - CALLS_FRESH + CALLS_AGAIN),
            };
        }
        last.facts.clone()
    }

    async fn calls(&self, now: DateTime<Utc>) -> Result<Vec<HourOfCalls>, StoreError> {
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let (from, to) = (hour - TimeDelta::hours(HOURS - 1), hour + TimeDelta::hours(1));
        let week = TimeDelta::days(7);
        let mut calls = self.store.calls_by_hour(from - week, to - week).await?;
        calls.extend(self.store.calls_by_hour(from, to).await?);
        Ok(calls)
    }
}

async fn within_patience<T>(reading: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
