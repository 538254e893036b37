//! Windows whose claims were withdrawn in reading after reading: sums that never add up must not be read endlessly.

use chrono::{DateTime, TimeDelta, Utc};

use crate::window::Window;

/// A window is given up for a while after its claim was withdrawn in this many readings.
const READINGS: u32 = 4;
/// How many windows are remembered, and for how long.
const REMEMBERED: usize = 64;
const REMEMBERED_FOR: TimeDelta = TimeDelta::days(2);

#[derive(Clone, Debug, Default)]
pub(super) struct Withdrawn {
    windows: Vec<WithdrawnClaim>,
    /// Number of readings started by the planner.
    reading: u64,
}

#[derive(Clone, Debug)]
struct WithdrawnClaim {
    window: Window,
    reading: u64,
    times: u32,
    at: DateTime<Utc>,
}

impl Withdrawn {
    /// Notes that another reading starts.
    pub(super) fn next_reading(&mut self) {
        self.reading += 1;
    }

    /// Notes that a claim was withdrawn. Returns how far a window that shares these instants is past the allowed
    /// number of readings, if it is.
    pub(super) fn note(&mut self, window: Window, now: DateTime<Utc>) -> Option<u32> {
        let reading = self.reading;
        self.windows.retain(|entry| now - entry.at < REMEMBERED_FOR);
        let touches = |entry: &mut WithdrawnClaim| entry.window.intersect(&window).is_some();
        let known: Vec<WithdrawnClaim> = self.windows.extract_if(.., touches).collect();
        // Windows beside each other may have one cause; the shortest is the one to watch.
        let most = known.iter().max_by_key(|entry| entry.times);
        let mut entry = WithdrawnClaim { window, reading, times: 1, at: now };
        if let Some(most) = most {
            entry.times = most.times + u32::from(most.reading != reading);
        }
        if let Some(shortest) = known.iter().map(|entry| entry.window).min_by_key(Window::len) {
            entry.window = if shortest.len() < window.len() { shortest } else { window };
        }
        let times = entry.times;
        self.windows.push(entry);
        if self.windows.len() > REMEMBERED {
            self.windows.remove(0);
        }
        times.checked_sub(READINGS)
    }
}
