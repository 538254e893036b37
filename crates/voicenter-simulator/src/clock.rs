//! The clock of a simulated API. It is passed in, so that a test can control it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Datelike, TimeDelta, Utc};

/// Returns the present instant whenever the API needs it.
#[derive(Clone)]
pub struct WorldClock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl WorldClock {
    /// A clock that shows what `now` returns.
    pub fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl fmt::Debug for WorldClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorldClock({})", self.now())
    }
}

/// The clock of one simulator: the one that was passed in, until it is set, moved or stopped.
#[derive(Debug)]
pub(crate) struct AdjustableClock {
    given: WorldClock,
    /// How it was at the start.
    first: Setting,
    setting: Mutex<Setting>,
}

#[derive(Clone, Copy, Debug)]
enum Setting {
    /// It runs with the given clock, this far ahead of it.
    Running(TimeDelta),
    /// It stands still.
    Standing(DateTime<Utc>),
}

/// A change of the clock; parts that are absent stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ClockChange {
    /// The new present. Without `running`, the clock stands still there.
    pub(crate) now: Option<DateTime<Utc>>,
    /// How far to move it after that.
    pub(crate) advance: Option<TimeDelta>,
    /// `true` to let it run on, `false` to stop it.
    pub(crate) running: Option<bool>,
}

impl AdjustableClock {
    pub(crate) fn running(given: WorldClock) -> Self {
        Self::new(given, Setting::Running(TimeDelta::zero()))
    }

    pub(crate) fn standing(given: WorldClock, at: DateTime<Utc>) -> Self {
        Self::new(given, Setting::Standing(at))
    }

    fn new(given: WorldClock, first: Setting) -> Self {
        Self { given, first, setting: Mutex::new(first) }
    }

    /// Undoes all changes.
    pub(crate) fn restart(&self) {
        *self.setting() = self.first;
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.shown(*self.setting())
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(*self.setting(), Setting::Running(_))
    }

    /// Changes the clock. Returns `false` without any change if it would leave the years that a world has.
    pub(crate) fn change(&self, change: ClockChange) -> bool {
        let mut setting = self.setting();
        let present = change.now.unwrap_or_else(|| self.shown(*setting));
        let target = present.checked_add_signed(change.advance.unwrap_or_default());
        let Some(target) = target.filter(|target| is_in_a_world(*target)) else { return false };
        let was_running = matches!(*setting, Setting::Running(_)) && change.now.is_none();
        *setting = match change.running.unwrap_or(was_running) {
            true => Setting::Running(target - self.given.now()),
            false => Setting::Standing(target),
        };
        true
    }

    fn shown(&self, setting: Setting) -> DateTime<Utc> {
        match setting {
            Setting::Running(ahead) => self.given.now() + ahead,
            Setting::Standing(at) => at,
        }
    }

    fn setting(&self) -> MutexGuard<'_, Setting> {
        self.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns `true` for an instant that can be the present of a world: the years 1970 to 2199.
pub(crate) fn is_in_a_world(instant: DateTime<Utc>) -> bool {
    (1970..2200).contains(&instant.year())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn a_clock_is_set_moved_stopped_and_let_go_again() {
        let seconds = Arc::new(AtomicI64::new(1_000));
        let host = Arc::clone(&seconds);
        let instant = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let given = WorldClock::new(move || instant(host.load(Ordering::SeqCst)));
        let clock = AdjustableClock::running(given);
        let change = |change| assert!(clock.change(change));
        let advance = Some(TimeDelta::seconds(50));
        change(ClockChange { advance, ..ClockChange::default() });
        seconds.store(1_001, Ordering::SeqCst);
        assert_eq!((clock.now(), clock.is_running()), (instant(1_051), true), "moved, it still runs");
        change(ClockChange { now: Some(instant(500)), ..ClockChange::default() });
        seconds.store(2_000, Ordering::SeqCst);
        assert_eq!((clock.now(), clock.is_running()), (instant(500), false), "set, it stands still");
        change(ClockChange { advance, ..ClockChange::default() });
        assert_eq!((clock.now(), clock.is_running()), (instant(550), false));
        change(ClockChange { running: Some(true), ..ClockChange::default() });
        seconds.store(2_010, Ordering::SeqCst);
        assert_eq!(clock.now(), instant(560), "it runs on from where it stood");
        change(ClockChange { running: Some(false), ..ClockChange::default() });
        seconds.store(3_000, Ordering::SeqCst);
        assert_eq!(clock.now(), instant(560));
        let far = ClockChange { advance: Some(TimeDelta::days(90_000)), ..ClockChange::default() };
        assert!(!clock.change(far), "that is after the year 2199");
        assert_eq!(clock.now(), instant(560));
        clock.restart();
        assert_eq!((clock.now(), clock.is_running()), (instant(3_000), true));
    }
}
