//! What the parts of a split window must add up to.

use chrono::{DateTime, TimeDelta, Utc};

use super::Window;

/// What is checked when all parts of a split window were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The API announced this many for the whole.
    Announced {
        /// `TOTAL_HITS`.
        total: u64,
    },
    /// The whole answer had a suspicious length.
    Doubted {
        /// Its length.
        listed: usize,
        /// How many of its records were dated inside the window.
        inside: u64,
    },
    /// The API refused the whole as too much: the sum bounds its limit from above.
    Refused,
}

/// The running sum over the parts of one split window.
#[derive(Clone, Debug)]
pub struct Sum {
    /// The window that was split.
    pub window: Window,
    /// What is checked at the end.
    pub kind: Kind,
    /// The window is already being read for the second time.
    pub again: bool,
    /// Records read, those in the margins beyond the window's bounds included.
    pub seen: u64,
    /// Records read that are dated inside.
    pub inside: u64,
    left: TimeDelta,
}

impl Sum {
    /// Nothing read yet.
    pub fn new(window: Window, kind: Kind, again: bool) -> Self {
        Self { window, kind, again, seen: 0, inside: 0, left: window.len() }
    }

    /// Whether `window` is a part of this one.
    pub fn holds(&self, window: Window) -> bool {
        self.window.intersect(&window) == Some(window)
    }

    /// Counts a part that was read completely.
    ///
    /// The announced total counts what the widened bounds let in, so the outermost parts count their margins.
    pub fn add(&mut self, part: Window, dates: &[DateTime<Utc>], undated: usize) {
        if !self.holds(part) {
            return;
        }
        let belongs = |date: &DateTime<Utc>| {
            (part.from() <= *date || part.from() == self.window.from())
                && (*date < part.to() || part.to() == self.window.to())
        };
        self.seen += (dates.iter().filter(|date| belongs(date)).count() + undated) as u64;
        self.inside += dates.iter().filter(|date| part.contains(**date)).count() as u64;
        self.left -= part.len();
    }

    /// Forgets what an inner sum had counted, because its window is read again.
    pub fn take_back(&mut self, inner: &Sum) {
        if self.holds(inner.window) {
            self.seen = self.seen.saturating_sub(inner.seen);
            self.inside = self.inside.saturating_sub(inner.inside);
            self.left += inner.window.len();
        }
    }

    /// Whether every part was read.
    pub fn is_complete(&self) -> bool {
        self.left <= TimeDelta::zero()
    }
}
