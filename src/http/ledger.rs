//! A cache of the ledger: the database is asked at most every few seconds, whatever the number of requests.
//!
//! Metrics, status and probes need the accounts' state alone. What only the page draws is read for the accounts that it
//! draws, over a connection of its own, and nobody else waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::health::facts::AccountFacts;
use crate::metrics::{LedgerFacts, ListFacts};
use crate::store::activity::{Activity, HourOfCalls};
use crate::store::connections::ConnectionCount;
use crate::store::push_figures::PushFigures;
use crate::store::reference::ListState;
use crate::store::{Store, StoreError};

/// The ledger is read again once the cached facts are older than this.
const FRESH: TimeDelta = TimeDelta::seconds(2);
/// Counting calls reads a few days of rows, and once a minute is enough for a chart of hours.
const CALLS_FRESH: TimeDelta = TimeDelta::seconds(60);
/// Delay before a failed count is tried again.
const CALLS_AGAIN: TimeDelta = TimeDelta::seconds(15);
/// The same of a week of records, and of what came with them.
const PUSHES_FRESH: TimeDelta = TimeDelta::minutes(5);
/// Table sizes change slowly, so they are measured at this interval.
const SIZES_FRESH: TimeDelta = TimeDelta::seconds(60);
/// The longest wait for the database.
const PATIENCE: Duration = Duration::from_secs(3);
/// The chart of calls: this many hours, each beside the same hour a week earlier.
pub(super) const HOURS: i64 = 48;

/// The state of the ledger at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Every account in the ledger, by name.
    pub accounts: Arc<Vec<AccountFacts>>,
    /// Size of each table on disk, in bytes.
    pub table_sizes: Vec<(String, i64)>,
    /// Why these facts are out of date: the error of a database that did not answer.
    pub failure: Option<String>,
}

impl Facts {
    pub(super) fn for_metrics(&self) -> Vec<LedgerFacts> {
        let facts = |AccountFacts { status, unread, overview }: &AccountFacts| LedgerFacts {
            account: status.name.clone(),
            synced_until: status.cursor.map(|cursor| cursor.to()),
            history_from: status.cursor.map(|cursor| cursor.from()),
            history_start: status.history_start,
            unread_seconds: unread.num_seconds(),
            gaps: status.gaps,
            rejected: status.rejected,
            suspicious: status.suspicious,
            is_paused: status.pause.is_some(),
            lists: overview.lists.iter().map(list_facts).collect(),
        };
        self.accounts.iter().map(facts).collect()
    }
}

fn list_facts(known: &ListState) -> ListFacts {
    ListFacts { list: known.list, rows: known.rows.into(), read_at: known.read_at }
}

/// What the page draws of one account beyond its facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Details {
    pub activity: Arc<Activity>,
    /// Calls by hour, of the last two days and of the same days a week before; `None` if they were never counted.
    pub calls: Option<Arc<Vec<HourOfCalls>>>,
    /// What its CDR notifications are like, where one ever came.
    pub pushes: Option<Arc<PushFigures>>,
}

/// Reads the ledger for all requests: the facts one at a time, and beside them the details one at a time.
#[derive(Debug)]
pub(super) struct LedgerCache {
    store: Store,
    clock: Clock,
    facts: Mutex<LastFacts>,
    details: Mutex<LastDetails>,
}

#[derive(Debug, Default)]
struct LastFacts {
    facts: Facts,
    read_at: Option<DateTime<Utc>>,
    sizes_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Default)]
struct LastDetails {
    activity: ByAccount<Arc<Activity>>,
    calls: ByAccount<Option<Arc<Vec<HourOfCalls>>>>,
    pushes: ByAccount<Option<Arc<PushFigures>>>,
    /// When and why the last reading failed, if it did.
    failure: Option<(DateTime<Utc>, String)>,
}

/// What was read of some accounts, and when.
type ByAccount<T> = BTreeMap<String, (DateTime<Utc>, T)>;

impl LedgerCache {
    pub(super) fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, facts: Mutex::default(), details: Mutex::default() }
    }

    pub(super) fn connections(&self) -> ConnectionCount {
        self.store.connections()
    }

    /// The facts of at most [`FRESH`] ago; while the database is unreachable, the last known ones, with the failure.
    pub(super) async fn read(&self) -> Facts {
        let mut last = self.facts.lock().await;
        let now = self.clock.now();
        let stale = |at: Option<DateTime<Utc>>, fresh| at.is_none_or(|at| is_stale(at, fresh, now));
        if stale(last.read_at, FRESH) {
            match within_patience(AccountFacts::read_all(&self.store, now)).await {
                Ok(accounts) => {
                    last.facts.accounts = Arc::new(accounts);
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
        last.facts.clone()
    }

    /// The details of `accounts` for these `facts`. While they cannot be read, the last known ones, with the failure.
    pub(super) async fn details(
        &self,
        accounts: &[String],
        facts: &Facts,
    ) -> (BTreeMap<String, Details>, Option<String>) {
        let mut last = self.details.lock().await;
        if facts.failure.is_none() {
            self.bring_up_to_date(&mut last, accounts).await;
            let pushed = facts.accounts.iter().filter(|known| known.overview.pushes.is_some());
            let pushed = pushed.map(|known| &known.status.name).filter(|name| accounts.contains(name));
            self.read_pushes(&mut last, &pushed.cloned().collect::<Vec<_>>()).await;
        }
        let details = accounts.iter().filter_map(|name| {
            let (_, activity) = last.activity.get(name)?;
            Some((
                name.clone(),
                Details {
                    activity: Arc::clone(activity),
                    calls: last.calls_of(name),
                    pushes: last.pushes_of(name),
                },
            ))
        });
        (details.collect(), last.failure.as_ref().map(|(_, failure)| failure.clone()))
    }

    async fn bring_up_to_date(&self, last: &mut LastDetails, accounts: &[String]) {
        let now = self.clock.now();
        if last.failure.as_ref().is_some_and(|(at, _)| !is_stale(*at, FRESH, now)) {
            // Requests that queued behind a database that hangs need not wait again.
            return;
        }
        last.failure = None;
        // What nobody has drawn for a while is not kept.
        last.activity.retain(|name, (at, _)| accounts.contains(name) || !is_stale(*at, CALLS_FRESH, now));
        last.calls.retain(|name, (at, _)| accounts.contains(name) || !is_stale(*at, CALLS_FRESH, now));
        let due_activity = due(&last.activity, accounts, FRESH, now);
        if !due_activity.is_empty() {
            match within_patience(self.store.activity(&due_activity, now)).await {
                Ok(read) => {
                    let at = self.clock.now();
                    last.activity.extend(read.into_iter().map(|(name, read)| (name, (at, Arc::new(read)))));
                }
                Err(failure) => {
                    last.failure = Some((self.clock.now(), failure));
                    return;
                }
            }
        }
        let due_calls = due(&last.calls, accounts, CALLS_FRESH, now);
        if !due_calls.is_empty() {
            let counted = within_patience(self.calls(&due_calls, now)).await.ok();
            for name in due_calls {
                let (at, calls) = match &counted {
                    Some(counted) => {
                        (self.clock.now(), Some(counted.get(&name).cloned().unwrap_or_default()))
                    }
                    None => (self.clock.now() - CALLS_FRESH + CALLS_AGAIN, last.calls_of(&name)),
                };
                last.calls.insert(name, (at, calls));
            }
        }
    }

    /// At most one account is read each time: the page is not to wait for many of them.
    async fn read_pushes(&self, last: &mut LastDetails, accounts: &[String]) {
        let now = self.clock.now();
        last.pushes.retain(|name, (at, _)| accounts.contains(name) || !is_stale(*at, PUSHES_FRESH, now));
        let Some(name) = due(&last.pushes, accounts, PUSHES_FRESH, now).into_iter().next() else { return };
        let read = within_patience(self.store.push_figures(&name, now)).await.ok().map(Arc::new);
        let read = read.or_else(|| last.pushes_of(&name));
        last.pushes.insert(name, (self.clock.now(), read));
    }

    async fn calls(
        &self,
        accounts: &[String],
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<String, Arc<Vec<HourOfCalls>>>, StoreError> {
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let (from, to) = (hour - TimeDelta::hours(HOURS - 1), hour + TimeDelta::hours(1));
        let week = TimeDelta::days(7);
        let mut calls = self.store.calls_by_hour(accounts, from - week, to - week).await?;
        for (name, hours) in self.store.calls_by_hour(accounts, from, to).await? {
            calls.entry(name).or_default().extend(hours);
        }
        Ok(calls.into_iter().map(|(name, hours)| (name, Arc::new(hours))).collect())
    }
}

impl LastDetails {
    fn pushes_of(&self, account: &str) -> Option<Arc<PushFigures>> {
        self.pushes.get(account).and_then(|(_, pushes)| pushes.clone())
    }

    fn calls_of(&self, account: &str) -> Option<Arc<Vec<HourOfCalls>>> {
        self.calls.get(account).and_then(|(_, calls)| calls.clone())
    }
}

/// A wall clock that was set back makes everything stale.
fn is_stale(at: DateTime<Utc>, fresh: TimeDelta, now: DateTime<Utc>) -> bool {
    now - at >= fresh || at > now
}

/// Those of `accounts` of which nothing `fresh` is known.
fn due<T>(known: &ByAccount<T>, accounts: &[String], fresh: TimeDelta, now: DateTime<Utc>) -> Vec<String> {
    let is_due = |name: &&String| known.get(*name).is_none_or(|(at, _)| is_stale(*at, fresh, now));
    accounts.iter().filter(is_due).cloned().collect()
}

async fn within_patience<T>(reading: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
