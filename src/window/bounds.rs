//! The bounds that are sent for a window, and the whole units that they are made of.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Window;

/// The bounds that are sent, wider than the window they are meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// `fromdate`.
    pub from: DateTime<Utc>,
    /// `todate`.
    pub to: DateTime<Utc>,
}

impl Bounds {
    /// How long the range is that the API sees.
    pub fn len(&self) -> TimeDelta {
        self.to - self.from
    }
}

/// `instant` rounded down to a whole multiple of `unit`.
pub fn floor(instant: DateTime<Utc>, unit: TimeDelta) -> DateTime<Utc> {
    instant.duration_trunc(unit).unwrap_or(instant)
}

/// `instant` rounded up to a whole multiple of `unit`.
pub fn ceil(instant: DateTime<Utc>, unit: TimeDelta) -> DateTime<Utc> {
    let down = floor(instant, unit);
    if down == instant { down } else { down + unit }
}

/// The part of `window` that is made of whole units.
pub fn aligned(window: Window, unit: TimeDelta) -> Option<Window> {
    Window::new(ceil(window.from(), unit), floor(window.to(), unit))
}
