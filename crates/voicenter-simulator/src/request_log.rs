//! A log of all requests, and the rate limit that is based on it.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::faults::Fault;
use super::options::RateClock;
use super::request::{Search, SortKey};

/// Older entries are dropped, because a simulator may run for weeks.
const KEPT: usize = 100_000;

/// One request. Its credential is not kept.
#[derive(Clone, Debug)]
pub struct RequestEntry {
    /// When it was received, by the simulator's clock.
    pub at: DateTime<Utc>,
    /// When it was received, by the host's monotonic clock.
    pub real: Instant,
    /// The HTTP method: `GET`, `POST`, …
    pub method: String,
    /// What it asked for; `None` if it was refused before that was clear.
    pub search: Option<Search>,
    /// The fields that it named, as docs/voicenter-api.md#fields spells them; `None` if it named none.
    pub fields: Option<Vec<&'static str>>,
    /// The elements of its `sort`.
    pub sort: Vec<SortKey>,
    /// How the request was answered.
    pub outcome: RequestOutcome,
    /// Number of records in the answer.
    pub returned: usize,
    /// Number of records that match, as far as they were counted.
    pub total: usize,
}

/// How a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// With all records that match.
    Answered,
    /// With the records up to the limit and ERROR_NUMBER 0.
    Cut,
    /// With error 3: too many records.
    OverLimit,
    /// With error 1: too many requests.
    RateLimited,
    /// With error 2: wrong or no credential.
    Unauthorized,
    /// With error 4: the address is not whitelisted.
    Untrusted,
    /// With a refusal that names this broken rule.
    Refused(String),
    /// With this fault instead of a proper answer.
    Spoilt(Fault),
}

/// All requests received, the oldest first. Clones share the same log.
#[derive(Clone, Debug, Default)]
pub struct RequestLog(Arc<Mutex<VecDeque<RequestEntry>>>);

impl RequestLog {
    /// A copy of all entries kept (the newest 100,000).
    pub fn all(&self) -> Vec<RequestEntry> {
        self.entries().iter().cloned().collect()
    }

    /// Number of entries that are kept.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Returns `true` if no request was received yet.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The entry of the latest request.
    pub fn last(&self) -> Option<RequestEntry> {
        self.entries().back().cloned()
    }

    /// Removes all entries from the log.
    pub fn clear(&self) {
        self.entries().clear();
    }

    /// The most requests in any 60 seconds of the simulator's clock, including refused ones.
    pub fn busiest_minute(&self) -> usize {
        let instants: Vec<DateTime<Utc>> = self.entries().iter().map(|entry| entry.at).collect();
        busiest(&instants, |first, last| last - first < TimeDelta::seconds(60))
    }

    /// The most requests in any 60 seconds of the host's monotonic clock, including refused ones.
    pub fn busiest_real_minute(&self) -> usize {
        let instants: Vec<Instant> = self.entries().iter().map(|entry| entry.real).collect();
        busiest(&instants, |first, last| last.duration_since(first) < Duration::from_secs(60))
    }

    pub(crate) fn push(&self, entry: RequestEntry) {
        let mut entries = self.entries();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<RequestEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn busiest<T: Copy>(instants: &[T], within: impl Fn(T, T) -> bool) -> usize {
    let mut window = VecDeque::new();
    let lengths = instants.iter().map(|last| {
        while window.front().is_some_and(|first| !within(*first, *last)) {
            window.pop_front();
        }
        window.push_back(*last);
        window.len()
    });
    lengths.max().unwrap_or(0)
}

/// Allows at most this many answers in any 60 seconds for each credential. Only requests with an accepted credential
/// are counted, even if they are refused later.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_minute: usize,
    clock: RateClock,
    began: Instant,
    answered: Mutex<HashMap<u64, VecDeque<TimeDelta>>>,
}

impl RateLimit {
    pub(crate) fn new(per_minute: u32, clock: RateClock) -> Self {
        let per_minute = usize::try_from(per_minute).unwrap_or(usize::MAX);
        Self { per_minute, clock, began: Instant::now(), answered: Mutex::default() }
    }

    /// Forgets all requests, so that as many as allowed are answered at once.
    pub(crate) fn forget(&self) {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Counts a request. Returns `false` if it is one too many.
    pub(crate) fn admit(&self, credential: &str, at: DateTime<Utc>) -> bool {
        if self.per_minute == 0 {
            return true;
        }
        let now = match self.clock {
            RateClock::Injected => at - DateTime::UNIX_EPOCH,
            RateClock::Real => TimeDelta::from_std(self.began.elapsed()).unwrap_or(TimeDelta::MAX),
        };
        // Only a hash is kept, so that no memory dump contains the credential.
        let mut hasher = DefaultHasher::new();
        credential.hash(&mut hasher);
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let instants = answered.entry(hasher.finish()).or_default();
        while instants.front().is_some_and(|first| now - *first >= TimeDelta::seconds(60)) {
            instants.pop_front();
        }
        let admitted = instants.len() < self.per_minute;
        if admitted {
            instants.push_back(now);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thirty_first_request_in_any_sixty_seconds_is_one_too_many() {
        let limit = RateLimit::new(30, RateClock::Injected);
        let start = DateTime::UNIX_EPOCH;
        let second = |n: i64| start + TimeDelta::seconds(n);
        assert!((0..30).all(|n| limit.admit("a", second(n))));
        assert!(!limit.admit("a", second(59)));
        assert!(limit.admit("b", second(59)), "each credential has its own");
        assert!(limit.admit("a", second(60)), "the first is 60 seconds old");
        assert!(!limit.admit("a", second(60)));
    }
}
