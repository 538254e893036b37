//! Checks that the database answers, at most once a second, whatever the number of probes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::store::{Store, StoreError};

/// A probe answers within this time, even if the database hangs.
const PROBE: Duration = Duration::from_secs(2);
/// An answer of the database is reused for this long.
const FRESH: TimeDelta = TimeDelta::seconds(1);

#[derive(Debug)]
pub(super) struct Readiness {
    store: Store,
    clock: Clock,
    migrated: AtomicBool,
    /// Why the schema is not up to date, after an attempt to migrate it.
    not_migrated: StdMutex<String>,
    last: Mutex<Option<ReadyAnswer>>,
}

#[derive(Debug)]
struct ReadyAnswer {
    at: DateTime<Utc>,
    trouble: Option<String>,
}

impl Readiness {
    pub(super) fn new(store: Store, clock: Clock) -> Self {
        Self {
            store,
            clock,
            migrated: AtomicBool::new(false),
            not_migrated: StdMutex::default(),
            last: Mutex::default(),
        }
    }

    pub(super) fn migrated(&self) {
        self.migrated.store(true, Ordering::Relaxed);
    }

    pub(super) fn not_migrated(&self, why: &StoreError) {
        *self.not_migrated.lock().unwrap_or_else(PoisonError::into_inner) = format!(": {why}");
    }

    /// Why the process is not ready; empty if it is. A throttled or refused credential is no reason: another process
    /// would have the same problem.
    pub(super) async fn reasons(&self) -> Vec<String> {
        let migrated = self.migrated.load(Ordering::Relaxed);
        let unmigrated = (!migrated).then(|| {
            let why = self.not_migrated.lock().unwrap_or_else(PoisonError::into_inner);
            format!("the schema is not up to date yet{why}")
        });
        unmigrated.into_iter().chain(self.trouble().await).collect()
    }

    async fn trouble(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        let now = self.clock.now();
        // A wall clock that was set back makes it stale.
        if let Some(answer) = last.as_ref().filter(|answer| answer.at <= now && now - answer.at < FRESH) {
            return answer.trouble.clone();
        }
        let trouble = match tokio::time::timeout(PROBE, self.store.takes_writes()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("the database: {error}")),
            Err(_) => {
                let before = self.store.last_trouble().map(|why| format!(" (before: {why})"));
                let before = before.unwrap_or_default();
                Some(format!("the database does not answer within {} s{before}", PROBE.as_secs()))
            }
        };
        // Taken after the wait for a database that hangs: probes that queued behind it need not wait again.
        *last = Some(ReadyAnswer { at: self.clock.now(), trouble: trouble.clone() });
        trouble
    }
}
