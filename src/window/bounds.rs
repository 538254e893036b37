//! The bounds that are sent for a window, and the whole units that they are made of.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Window;

/// The bounds that are sent, as wide as the window they are meant for or wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Sent as `fromdate`; at or before the window's start.
    pub from: DateTime<Utc>,
    /// Sent as `todate`; may lie after the window's end.
    pub to: DateTime<Utc>,
}

impl Bounds {
    /// The length of the range that the API sees.
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
