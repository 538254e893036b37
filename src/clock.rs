//! The one clock, passed in wherever time is needed, so that tests can drive it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

/// What time it is, and how to wait for a later one.
///
/// A clone shows the same time: a manual clock advanced through one clone is advanced for all.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The host's clock and real sleeping.
    System,
    /// A clock that stands still until a test advances it.
    Manual(ManualClock),
}

impl Clock {
    /// The present instant.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the host's clock")]
            Clock::System => Utc::now(),
            Clock::Manual(manual) => manual.now(),
        }
    }

    /// Waits until `instant`; returns at once when it has passed.
    pub async fn sleep_until(&self, instant: DateTime<Utc>) {
        match self {
            Clock::System => {
                // In steps, so that a host whose wall clock jumps is noticed within one.
                while let Ok(left) = (instant - self.now()).to_std()
                    && !left.is_zero()
                {
                    tokio::time::sleep(left.min(Duration::from_secs(10))).await;
                }
            }
            Clock::Manual(manual) => manual.sleep_until(instant).await,
        }
    }

    /// Waits for `duration` of this clock's time.
    pub async fn sleep(&self, duration: Duration) {
        let delta = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        self.sleep_until(self.now().checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC)).await;
    }
}

/// A clock that a test holds in its hand.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<Mutex<DateTime<Utc>>>,
    advanced: watch::Sender<DateTime<Utc>>,
    /// The instants that somebody waits for, and how many do.
    awaited: watch::Sender<BTreeMap<DateTime<Utc>, usize>>,
}

impl ManualClock {
    /// A clock standing at `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        let (advanced, awaited) = (watch::channel(now).0, watch::channel(BTreeMap::new()).0);
        Self { now: Arc::new(Mutex::new(now)), advanced, awaited }
    }

    /// The instant it stands at.
    pub fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it forward and wakes whoever waits for an instant that has come.
    pub fn advance(&self, by: TimeDelta) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
        self.advanced.send_replace(*now);
    }

    /// Waits until somebody waits for this clock; returns the first instant that is waited for.
    pub async fn awaited(&self) -> DateTime<Utc> {
        let mut awaited = self.awaited.subscribe();
        let first = awaited.wait_for(|instants| !instants.is_empty()).await;
        first.ok().and_then(|instants| instants.keys().next().copied()).unwrap_or_else(|| self.now())
    }

    async fn sleep_until(&self, instant: DateTime<Utc>) {
        if self.now() >= instant {
            return;
        }
        let _sleeper = Sleeper::new(self, instant);
        let mut advanced = self.advanced.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = advanced.wait_for(|now| *now >= instant).await;
    }
}

/// Somebody who waits for a manual clock, until it is dropped.
struct Sleeper<'a>(&'a ManualClock, DateTime<Utc>);

impl<'a> Sleeper<'a> {
    fn new(clock: &'a ManualClock, instant: DateTime<Utc>) -> Self {
        clock.awaited.send_modify(|instants| *instants.entry(instant).or_default() += 1);
        Self(clock, instant)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.awaited.send_modify(|instants| match instants.get_mut(&self.1) {
            Some(sleepers) if *sleepers > 1 => *sleepers -= 1,
            _ => drop(instants.remove(&self.1)),
        });
    }
}
