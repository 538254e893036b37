//! Windows of time: the one kind of question that the API answers. Pure: values in, values out.

pub mod bounds;
pub mod coverage;
pub mod density;
pub mod lacking;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

/// A half-open stretch of time `[from, to)`, never empty, never inverted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Window {
    /// The window `[from, to)`, or `None` when that would be empty or inverted.
    pub fn new(from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// The first instant of the window.
    pub fn from(&self) -> DateTime<Utc> {
        self.from
    }

    /// The first instant after the window.
    pub fn to(&self) -> DateTime<Utc> {
        self.to
    }

    /// The length of the window, always positive.
    pub fn len(&self) -> TimeDelta {
        self.to - self.from
    }

    /// Returns `true` if `instant` lies inside.
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.from <= instant && instant < self.to
    }

    /// The smallest window that contains both.
    pub fn hull(&self, other: &Window) -> Window {
        Window { from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    /// The part that is not older than `instant`, if any.
    pub fn since(&self, instant: DateTime<Utc>) -> Option<Window> {
        Window::new(self.from.max(instant), self.to)
    }

    /// The part that both windows share, if any.
    pub fn intersect(&self, other: &Window) -> Option<Window> {
        Window::new(self.from.max(other.from), self.to.min(other.to))
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}, {})",
            self.from.format("%Y-%m-%dT%H:%M:%S%.fZ"),
            self.to.format("%Y-%m-%dT%H:%M:%S%.fZ")
        )
    }
}

/// The order in which records are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest records first, as in the live lane.
    Ascending,
    /// Newest records first, as in backfill.
    Descending,
}

/// What requests are made for, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The newest minutes and the lookback.
    Live,
    /// Spans that somebody asked to be read.
    Asked,
    /// Re-reads at the reconcile ages, rechecks of missing records, and retries of gaps.
    Reconcile,
    /// History that was never read, newest first.
    Backfill,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Lane; 4] = [Lane::Live, Lane::Asked, Lane::Reconcile, Lane::Backfill];

    /// The lane's name in tables, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Live => "live",
            Lane::Asked => "asked",
            Lane::Reconcile => "reconcile",
            Lane::Backfill => "backfill",
        }
    }
}
