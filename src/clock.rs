//! The one clock, passed in wherever time is needed, so that tests can drive it; and the one source of randomness.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

/// The wall clock and the monotonic clock differ by more than this only if the clock was set or the host slept.
const STEP: TimeDelta = TimeDelta::seconds(3);
/// How late a sleeper notices that the wall clock was set forward.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
    /// The current time, in UTC.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Clock::System => host_now(),
            Clock::Manual(manual) => manual.now(),
        }
    }

    /// Waits until `instant`; returns at once when it has passed. No wait is longer than planned when it began, however
    /// far the clock is set back meanwhile.
    pub async fn sleep_until(&self, instant: DateTime<Utc>) {
        match self {
            Clock::System => {
                let began = monotonic();
                let Ok(whole) = (instant - self.now()).to_std() else { return };
                // In steps, so that a clock that was set forward is noticed within one.
                while let Ok(left) = (instant - self.now()).to_std()
                    && let Some(rest) = whole.checked_sub(began.elapsed())
                    && !left.is_zero()
                    && !rest.is_zero()
                {
                    tokio::time::sleep(left.min(rest).min(LOOK_EVERY)).await;
                }
            }
            Clock::Manual(manual) => {
                let left = instant - manual.now();
                manual.sleep(left, Some(instant)).await;
            }
        }
    }

    /// Waits for `duration`, by the monotonic clock.
    pub async fn sleep(&self, duration: Duration) {
        match self {
            Clock::System => tokio::time::sleep(duration).await,
            Clock::Manual(manual) => {
                manual.sleep(TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX), None).await;
            }
        }
    }
}

/// The current monotonic time, for measuring durations regardless of changes to the wall clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the host's monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// A random number from 0 to 1, so that many waiters do not all return at once.
#[expect(clippy::disallowed_methods, reason = "the one place that draws jitter")]
pub(crate) fn jitter() -> f64 {
    fastrand::f64()
}

/// A random number, unlikely to be drawn twice on any host. Not a secret.
#[expect(clippy::disallowed_methods, reason = "the one place that draws ids")]
pub(crate) fn random_id() -> u64 {
    fastrand::u64(..)
}

/// The wall clock and the monotonic clock when the host's time was last read.
static LAST_READ: Mutex<Option<(DateTime<Utc>, Instant)>> = Mutex::new(None);

#[expect(clippy::disallowed_methods, reason = "the one place that reads the host's clock")]
fn host_now() -> DateTime<Utc> {
    let mut last = LAST_READ.lock().unwrap_or_else(PoisonError::into_inner);
    let (wall, monotonic) = (Utc::now(), monotonic());
    let before = last.replace((wall, monotonic));
    drop(last);
    if let Some((then, since)) = before
        && let Some(step) = stepped(wall - then, monotonic.saturating_duration_since(since))
    {
        note_step(step);
    }
    wall
}

/// By how much the wall clock was set, if it advanced by `wall` while `monotonic` passed.
fn stepped(wall: TimeDelta, monotonic: Duration) -> Option<TimeDelta> {
    let step = wall - TimeDelta::from_std(monotonic).ok()?;
    (step.abs() > STEP).then_some(step)
}

fn note_step(step: TimeDelta) {
    tracing::warn!(
        event = "clock_stepped",
        seconds = step.num_seconds(),
        "this host's clock was set, or the host slept: what is too far ahead by the new time is due at once"
    );
}

/// A clock that a test controls.
#[derive(Clone, Debug)]
pub struct ManualClock {
    hands: watch::Sender<Hands>,
    /// The instants that somebody waits for, and how many do.
    awaited: watch::Sender<BTreeMap<DateTime<Utc>, usize>>,
    /// It shows the time as if nobody had ever set it.
    never_set: bool,
}

/// The time shown, and the time that has passed since the start.
#[derive(Clone, Copy, Debug)]
struct Hands {
    now: DateTime<Utc>,
    began: DateTime<Utc>,
    passed: TimeDelta,
}

impl ManualClock {
    /// A clock that shows `now` until it is advanced.
    pub fn new(now: DateTime<Utc>) -> Self {
        let hands = watch::channel(Hands { now, began: now, passed: TimeDelta::zero() }).0;
        Self { hands, awaited: watch::channel(BTreeMap::new()).0, never_set: false }
    }

    /// The instant that it shows.
    pub fn now(&self) -> DateTime<Utc> {
        let hands = *self.hands.borrow();
        if self.never_set { hands.began + hands.passed } else { hands.now }
    }

    /// Another host's clock: it advances with this one, but [`ManualClock::step`] does not set it.
    pub fn elsewhere(&self) -> Self {
        Self { never_set: true, ..self.clone() }
    }

    /// Moves it forward and wakes whoever waits for an instant that has been reached.
    pub fn advance(&self, by: TimeDelta) {
        self.hands.send_modify(|hands| {
            hands.now += by;
            hands.passed += by;
        });
    }

    /// Sets it, forward or back, in no time at all.
    pub fn step(&self, by: TimeDelta) {
        self.hands.send_modify(|hands| hands.now += by);
        note_step(by);
    }

    /// Waits until somebody waits for this clock; returns the first instant that is waited for.
    pub async fn awaited(&self) -> DateTime<Utc> {
        let mut awaited = self.awaited.subscribe();
        let first = awaited.wait_for(|instants| !instants.is_empty()).await;
        first.ok().and_then(|instants| instants.keys().next().copied()).unwrap_or_else(|| self.now())
    }

    /// Waits until `duration` has passed, or until it shows `instant`.
    async fn sleep(&self, duration: TimeDelta, instant: Option<DateTime<Utc>>) {
        if duration <= TimeDelta::zero() {
            return;
        }
        let (now, Hands { passed, .. }) = (self.now(), *self.hands.borrow());
        let end = passed.checked_add(&duration).unwrap_or(TimeDelta::MAX);
        let shown = now.checked_add_signed(duration).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let _sleeper = Sleeper::new(self, instant.unwrap_or(shown));
        let mut hands = self.hands.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        let has_ended = |hands: &Hands| {
            hands.passed >= end || instant.is_some_and(|instant| !self.never_set && hands.now >= instant)
        };
        let _ = hands.wait_for(has_ended).await;
    }
}

/// A wait for a manual clock, registered until it is dropped.
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn manual() -> (Clock, ManualClock) {
        let manual = ManualClock::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        (Clock::Manual(manual.clone()), manual)
    }

    #[test]
    fn a_wait_takes_its_duration_however_the_clock_is_set_back() {
        let (clock, manual) = manual();
        let waits = async {
            tokio::join!(
                clock.sleep(Duration::from_secs(60)),
                clock.sleep_until(manual.now() + TimeDelta::seconds(60)),
            )
        };
        let mut waits = std::pin::pin!(waits);
        assert_eq!(waits.as_mut().now_or_never(), None);
        manual.step(-TimeDelta::hours(1));
        manual.advance(TimeDelta::seconds(59));
        assert_eq!(waits.as_mut().now_or_never(), None);
        manual.advance(TimeDelta::seconds(1));
        assert_eq!(waits.as_mut().now_or_never(), Some(((), ())));
    }

    #[test]
    fn a_clock_set_forward_ends_a_wait_for_an_instant_but_no_wait_for_a_duration() {
        let (clock, manual) = manual();
        let mut until = std::pin::pin!(clock.sleep_until(manual.now() + TimeDelta::seconds(60)));
        let mut duration = std::pin::pin!(clock.sleep(Duration::from_secs(60)));
        assert_eq!((until.as_mut().now_or_never(), duration.as_mut().now_or_never()), (None, None));
        manual.step(TimeDelta::hours(1));
        assert_eq!((until.as_mut().now_or_never(), duration.as_mut().now_or_never()), (Some(()), None));
    }

    #[test]
    fn only_a_clock_that_was_set_is_a_step() {
        let step = |wall, monotonic| stepped(TimeDelta::seconds(wall), Duration::from_secs(monotonic));
        assert_eq!([step(10, 10), step(12, 10), step(7, 10)], [None; 3]);
        assert_eq!(step(-140, 10), Some(TimeDelta::seconds(-150)));
        assert_eq!(step(3610, 10), Some(TimeDelta::hours(1)));
    }
}
