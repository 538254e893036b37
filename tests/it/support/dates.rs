//! Short names for instants, spans and windows.

use cdr_sync::clock::Clock;
use cdr_sync::window::Window;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};

pub fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The present, in whole seconds as the API counts them, for tests of a program that reads the host's clock.
pub fn present() -> DateTime<Utc> {
    Clock::System.now().duration_trunc(TimeDelta::seconds(1)).unwrap()
}

pub fn days(n: i64) -> TimeDelta {
    TimeDelta::days(n)
}

pub fn hours(n: i64) -> TimeDelta {
    TimeDelta::hours(n)
}

pub fn minutes(n: i64) -> TimeDelta {
    TimeDelta::minutes(n)
}

pub fn window(from: DateTime<Utc>, to: DateTime<Utc>) -> Window {
    Window::new(from, to).unwrap()
}
