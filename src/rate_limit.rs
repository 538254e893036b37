//! When a request may leave: the shared budget of the credential, and waiting after trouble.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota};

use crate::clock::{Clock, jitter, monotonic};
use crate::store::budget::{self, Lifted, Reserved, Slot};
use crate::store::{Store, StoreError};

/// An immediate slot whose reservation took longer than this is checked again.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Limit for the last check of a slot, or twice what its reservation took, but never more than [`LATEST`].
const LATE: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(4);
/// A request leaves anyway after more than this many missed slots.
const PASSED: u32 = 3;
/// How often a wait checks that its slot is still valid.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    Round,
    /// The slot's instant has passed.
    Late,
    /// The slot was voided, or none was reserved.
    NoMore,
}

/// The rate limit of one credential, shared by all processes on one database.
///
/// The database's row binds all processes; `governor` keeps this one within the limit even if that row is lost.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    store: Store,
    credential: String,
    per_minute: u32,
    burst: u32,
    local: Arc<DefaultDirectRateLimiter>,
}

impl RateLimiter {
    /// The limiter for the credential with this fingerprint (`Client::credential_fingerprint`).
    pub fn new(store: Store, credential: String, per_minute: u32, burst: u32) -> Self {
        let local = Arc::new(local_limiter(per_minute, burst));
        Self { store, credential, per_minute, burst, local }
    }

    /// The database that holds the budget.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until a request may leave. The instant was reserved before the wait, so nobody else has it. `waiting` is
    /// called with the length of each wait.
    pub async fn ready(&self, clock: &Clock, waiting: impl Fn(Duration) + Send) -> Result<(), StoreError> {
        let mut passed = 0;
        loop {
            let asked = monotonic();
            let reserved = self.store.reserve(&self.credential, self.per_minute, self.burst).await?;
            let took = asked.elapsed();
            let comes = match reserved {
                Reserved::After(wait, _) if wait.is_zero() && took < AT_ONCE => Comes::Round,
                Reserved::After(..) if took > LATEST => Comes::Late,
                Reserved::After(wait, slot) => self.comes_round(clock, wait, took, &slot, &waiting).await?,
                Reserved::Later(wait) => {
                    waiting(wait);
                    clock.sleep(wait).await;
                    Comes::NoMore
                }
            };
            passed += u32::from(comes == Comes::Late);
            // On a database that is always slow every slot would be missed; one request from each process is then no
            // crowd.
            if comes == Comes::Round || passed > PASSED {
                // A database that was restored has forgotten what has left since.
                self.local.until_ready().await;
                return Ok(());
            }
        }
    }

    /// Waits for a slot whose reservation took `took`.
    async fn comes_round(
        &self,
        clock: &Clock,
        wait: Duration,
        took: Duration,
        slot: &Slot,
        waiting: impl Fn(Duration),
    ) -> Result<Comes, StoreError> {
        let mut left = wait;
        loop {
            waiting(left);
            let step = left.min(LOOK_EVERY);
            clock.sleep(step).await;
            left -= step;
            let looked = monotonic();
            let stands = self.store.stands(&self.credential, slot).await;
            let looking = looked.elapsed();
            match stands {
                Ok(false) => return Ok(Comes::NoMore),
                // After a standstill of the database all waiting requests would leave at once.
                Ok(true) if left.is_zero() && looking > LATE.max(took * 2).min(LATEST) => {
                    return Ok(Comes::Late);
                }
                Ok(true) if left.is_zero() => return Ok(Comes::Round),
                // Only the last look must succeed.
                Err(error) if left.is_zero() => return Err(error),
                Ok(true) | Err(_) => {}
            }
            left = left.saturating_sub(looking);
        }
    }

    /// Lets requests leave again, at the configured rate. Returns what had held them back.
    pub async fn resume(&self) -> Result<Lifted, StoreError> {
        self.store.resume_credential(&self.credential).await
    }

    /// After error 1: stops all requests with this credential for `wait` (an existing longer pause stays), and lowers
    /// its rate for a while.
    pub async fn pause(&self, wait: Duration) -> Result<(), StoreError> {
        if let Some(per_minute) = self.store.slow_down(&self.credential, self.per_minute, wait).await? {
            tracing::info!(
                event = "rate_lowered",
                per_minute,
                configured = self.per_minute,
                "the API was asked too often: the rate is lowered, and rises by one request per minute each minute"
            );
        }
        Ok(())
    }
}

/// The limiter for what leaves this process, also without a database (`query`, `check`).
pub fn local_limiter(per_minute: u32, burst: u32) -> DefaultDirectRateLimiter {
    let (spacing, burst) = budget::spacing(per_minute, burst);
    let quota = Quota::with_period(spacing).unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN));
    governor::RateLimiter::direct(quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)))
}

const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// How long to wait after trouble: exponential with full jitter (AWS architecture blog, "Exponential Backoff And
/// Jitter"), so that many clients do not come back all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// `api.backoff_min`: no wait is shorter.
    pub min: Duration,
    /// `api.backoff_max`: no wait is longer.
    pub max: Duration,
}

impl Backoff {
    /// The wait after `times` consecutive refusals: from the least, doubling up to the most. Without jitter: whoever
    /// corrects the credential should soon see it work.
    pub fn doubling(&self, times: u32) -> Duration {
        self.min.saturating_mul(1 << times.clamp(1, 17).saturating_sub(1)).min(self.max).max(self.min)
    }

    /// The wait after `failures` consecutive failures, with `jitter` drawn from 0 to 1. What the server asks for
    /// (`Retry-After`) is obeyed up to `max`, and up to an hour if it insists: one slip must not stop an account.
    pub fn wait(&self, failures: u32, jitter: f64, asked: Option<Duration>) -> Duration {
        let doubled = self.min.saturating_mul(1 << failures.clamp(1, 16));
        let ceiling = doubled.min(self.max).max(self.min);
        let wait = self.min + (ceiling - self.min).mul_f64(jitter.clamp(0.0, 1.0));
        let longest = if failures > 1 { LONGEST_ASKED } else { self.max.min(LONGEST_ASKED) };
        wait.max(asked.unwrap_or_default().min(longest))
    }
}

impl Backoff {
    /// [`Backoff::wait`] with jitter drawn at each call.
    pub(crate) fn drawn(&self, failures: u32, asked: Option<Duration>) -> Duration {
        self.wait(failures, jitter(), asked)
    }

    /// The waits of something that is retried until it succeeds.
    pub(crate) fn retries(self) -> Retries {
        Retries { backoff: self, failures: 0 }
    }
}

/// Failures in a row, and the wait after each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    backoff: Backoff,
    failures: u32,
}

impl Retries {
    pub(crate) fn failures(self) -> u32 {
        self.failures
    }

    /// Counts another failure. Returns how long to wait.
    pub(crate) fn failed(&mut self) -> Duration {
        self.failures += 1;
        self.backoff.drawn(self.failures, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff { min: Duration::from_secs(5), max: Duration::from_secs(300) };

    #[test]
    fn waits_grow_from_the_least_to_the_most() {
        let longest = |failures| BACKOFF.wait(failures, 1.0, None).as_secs();
        assert_eq!([1, 2, 3, 6, 40].map(longest), [10, 20, 40, 300, 300]);
        assert_eq!(BACKOFF.wait(40, 0.0, None).as_secs(), 5);
    }

    #[test]
    fn refusals_are_tried_again_after_the_least_wait_doubling_to_the_most() {
        let waits = [0, 1, 2, 3, 4, 5, 6, 7, 8, u32::MAX].map(|times| BACKOFF.doubling(times).as_secs());
        assert_eq!(waits, [5, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn what_the_server_asks_for_once_is_obeyed_up_to_the_longest_wait_and_repeated_up_to_an_hour() {
        assert_eq!(BACKOFF.wait(1, 0.0, Some(Duration::from_secs(42))).as_secs(), 42);
        assert_eq!(BACKOFF.wait(1, 0.0, Some(Duration::from_secs(u64::MAX))).as_secs(), 300);
        assert_eq!(BACKOFF.wait(2, 0.0, Some(Duration::from_secs(u64::MAX))).as_secs(), 3600);
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_or_longer_than_configured(failures in any::<u32>(), jitter in any::<f64>(), asked in prop::option::of(0..100_000_u64)) {
            let wait = BACKOFF.wait(failures, jitter, asked.map(Duration::from_secs));
            let longest = BACKOFF.max.max(LONGEST_ASKED.min(Duration::from_secs(asked.unwrap_or(0))));
            prop_assert!(wait >= BACKOFF.min && wait <= longest);
        }
    }
}
