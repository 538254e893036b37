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

    /// Its first instant.
    pub fn from(&self) -> DateTime<Utc> {
        self.from
    }

    /// The first instant after it.
    pub fn to(&self) -> DateTime<Utc> {
        self.to
    }

    /// How long it is.
    pub fn len(&self) -> TimeDelta {
        self.to - self.from
    }

    /// Whether `instant` lies inside.
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.from <= instant && instant < self.to
    }

    /// The smallest window that holds both.
    pub fn hull(&self, other: &Window) -> Window {
        Window { from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    /// What both have in common.
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

/// The order in which records are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first: the live lane.
    Ascending,
    /// Newest first: backfill.
    Descending,
}

/// Why requests are made, in the order in which they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The newest minutes and the lookback.
    Live,
    /// What a person asked for.
    Asked,
    /// Reading again at the reconcile ages, second looks at missing records, gap retries.
    Reconcile,
    /// History, newest first.
    Backfill,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Lane; 4] = [Lane::Live, Lane::Asked, Lane::Reconcile, Lane::Backfill];

    /// Its name in tables, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Live => "live",
            Lane::Asked => "asked",
            Lane::Reconcile => "reconcile",
            Lane::Backfill => "backfill",
        }
    }
}
