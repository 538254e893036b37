//! The one clock, passed in wherever time is needed, so that tests can drive it.

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
}

impl ManualClock {
    /// A clock standing at `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { now: Arc::new(Mutex::new(now)), advanced: watch::channel(now).0 }
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

    async fn sleep_until(&self, instant: DateTime<Utc>) {
        let mut advanced = self.advanced.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = advanced.wait_for(|now| *now >= instant).await;
    }
}
