//! What the parts of a split window must add up to.

use chrono::{DateTime, TimeDelta, Utc};

use crate::window::Window;
use crate::window::bounds::Bounds;

/// Why a window was split, which is what is checked when all parts were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitCause {
    /// The API announced this many records for the whole.
    Announced {
        /// `TOTAL_HITS` of the answer for the whole.
        total: u64,
    },
    /// The API announced more than it showed in an answer shorter than others: the parts are read, and what they
    /// show counts.
    Short {
        /// `TOTAL_HITS` of the answer for the whole.
        total: u64,
        /// Number of records received for the whole.
        listed: usize,
    },
    /// The whole answer had a suspicious length.
    Doubted {
        /// The suspicious number of records.
        listed: usize,
        /// The dates of its records, sorted.
        dates: Vec<DateTime<Utc>>,
    },
    /// The API refused the whole as too much: the sum is an upper bound for its limit.
    Refused,
    /// The whole answer held nothing, or far too little: the parts are a second opinion.
    Scarce {
        /// Number of records received for the whole.
        listed: usize,
    },
    /// The first records of a cut answer that came in order, requested by themselves, to see whether the server
    /// sorts before it cuts.
    Ordered {
        /// How many records the cut answer had there.
        inside: u64,
    },
}

/// A window that was read completely.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// The window that counts as read.
    pub window: Window,
    /// The bounds that were sent for it.
    pub sent: Bounds,
    /// The dates of the records received.
    pub dates: &'a [DateTime<Utc>],
    /// Number of records received without a date.
    pub undated: usize,
}

/// The running sum over the parts of one split window.
#[derive(Clone, Debug)]
pub struct SplitTotals {
    /// The window that was split.
    pub window: Window,
    /// The bounds with which the whole was requested.
    sent: Bounds,
    /// Why the window was split.
    pub kind: SplitCause,
    /// `true` if the window is already being read for the second time.
    pub again: bool,
    /// Number of records read, including those in the margins beyond the window's bounds.
    pub seen: u64,
    /// Number of records read that are dated inside.
    pub inside: u64,
    /// The most records received for one part.
    pub largest: usize,
    /// The parts that held nothing.
    pub empty: Vec<Window>,
    /// `true` if the whole was requested with exactly its own bounds, and its outermost parts with bounds as wide.
    pub comparable: bool,
    left: TimeDelta,
}

impl SplitTotals {
    /// A sum of which nothing has been read yet.
    pub fn new(window: Window, sent: Bounds, kind: SplitCause, again: bool) -> Self {
        Self {
            window,
            sent,
            kind,
            again,
            seen: 0,
            inside: 0,
            largest: 0,
            empty: Vec::new(),
            comparable: true,
            left: window.len(),
        }
    }

    /// Sets `comparable`: only if the whole was requested with exactly its own bounds can its parts show as much as
    /// its total counts.
    pub fn of_bounds(self, exact: bool) -> Self {
        Self { comparable: exact, ..self }
    }

    /// Returns `true` if all of `window` lies in this one.
    pub fn holds(&self, window: Window) -> bool {
        self.window.intersect(&window) == Some(window)
    }

    /// Returns `true` if any of `window` lies in this one.
    pub fn touches(&self, window: Window) -> bool {
        self.window.intersect(&window).is_some()
    }

    /// Counts a part that was read completely; it may reach beyond this window.
    ///
    /// The announced total counts what the widened bounds let in, so the outermost parts count their margins.
    pub fn add(&mut self, read: &Read<'_>) {
        let (part, dates) = (read.window, read.dates);
        let Some(common) = part.intersect(&self.window) else { return };
        let (first, last) = (part.from() <= self.window.from(), part.to() >= self.window.to());
        let narrower = (first && read.sent.from > self.sent.from) || (last && read.sent.to < self.sent.to);
        self.comparable &= !narrower;
        self.largest = self.largest.max(dates.len() + read.undated);
        let belongs = |date: &&DateTime<Utc>| {
            common.contains(**date)
                || (first && self.sent.from <= **date && **date < self.window.from())
                || (last && self.window.to() <= **date && **date <= self.sent.to)
        };
        self.seen += (dates.iter().filter(belongs).count() + read.undated) as u64;
        let inside = dates.iter().filter(|date| common.contains(**date)).count() as u64;
        self.inside += inside;
        if inside == 0 {
            self.empty.push(common);
        }
        self.left -= common.len();
    }

    /// Subtracts what an inner sum had counted, because its window is read again.
    pub fn take_back(&mut self, inner: &SplitTotals) {
        if self.holds(inner.window) {
            self.seen = self.seen.saturating_sub(inner.seen);
            self.inside = self.inside.saturating_sub(inner.inside);
            self.left += inner.window.len();
        }
    }

    /// Counts a part that held nothing as unread, because it is read again.
    pub fn forget(&mut self, part: Window) {
        if let Some(common) = part.intersect(&self.window) {
            self.left += common.len();
        }
    }

    /// Returns `true` if every part was read.
    pub fn is_complete(&self) -> bool {
        self.left <= TimeDelta::zero()
    }

    /// Returns `true` if a whole answer for `part` shows far fewer records than the doubted answer had there.
    pub fn is_contradicted_by(&self, part: Window, shown: &[DateTime<Utc>]) -> bool {
        let (SplitCause::Doubted { dates, .. }, true) = (&self.kind, self.holds(part)) else { return false };
        let inside = |dates: &[DateTime<Utc>]| dates.iter().filter(|date| part.contains(**date)).count();
        // One or two may have been removed in between.
        inside(shown) + 2 < inside(dates)
    }

    /// The number of records in the doubted answer that `part` is a part of.
    pub fn doubted(&self, part: Window) -> Option<usize> {
        match self.kind {
            SplitCause::Doubted { listed, .. } if self.holds(part) => Some(listed),
            _ => None,
        }
    }

    /// Returns `true` if an answer for `part`, whole or not, shows more records than the doubted answer had there:
    /// then that one was cut.
    pub fn is_exceeded_by(&self, part: Window, shown: &[DateTime<Utc>]) -> bool {
        let (SplitCause::Doubted { dates, .. }, Some(common)) = (&self.kind, part.intersect(&self.window))
        else {
            return false;
        };
        let inside = |dates: &[DateTime<Utc>]| dates.iter().filter(|date| common.contains(**date)).count();
        // One or two may have appeared in between.
        inside(shown) > inside(dates) + 2
    }
}
