//! What is known of an account between two requests, and what a reply changes in it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::read::api_profile::ApiProfile;
use crate::read::request::{GapReason, Hold, Outcome};
use crate::window::Window;
use crate::window::coverage::{Coverage, Stretch};
use crate::window::density::Forecast;

/// A span that could not be read and is retried at growing intervals: what the planner needs of the ledger's row
/// (`store::gap::OpenGap`), with the reason as a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The span that could not be read.
    pub window: Window,
    /// Why it could not be read.
    pub reason: GapReason,
    /// Number of retries that have failed.
    pub tries: u32,
    /// When the next retry is due.
    pub next_try_at: DateTime<Utc>,
}

/// How far back history is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryStart {
    /// Back to this instant, as configured.
    At(DateTime<Utc>),
    /// Back to 30 days before the first start, which is stored in the ledger.
    Default,
}

impl HistoryStart {
    /// How far back the default is at the first start.
    const DEFAULT_AGE: TimeDelta = TimeDelta::days(30);

    /// The instant that it means at a start at `now`.
    pub fn instant(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            HistoryStart::At(instant) => instant,
            HistoryStart::Default => now - Self::DEFAULT_AGE,
        }
    }
}

/// Missing records that have to be looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// The window in which they are missing.
    pub window: Window,
    /// The earliest instant at which a second look counts.
    pub due_at: DateTime<Utc>,
}

/// What is known of one account when planning starts.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The instant back to which history is filled.
    pub history_start: DateTime<Utc>,
    /// The floor of `retention.calls`: nothing older is kept, nor asked for.
    pub kept_from: Option<DateTime<Utc>>,
    /// The stretches that were read completely.
    pub coverage: Coverage,
    /// The gaps that are still open.
    pub gaps: Vec<Gap>,
    /// The missing records that are still to be rechecked.
    pub rechecks: Vec<Recheck>,
    /// What the API's answers have taught about the API.
    pub profile: ApiProfile,
    /// What they have taught about when calls are made.
    pub forecast: Forecast,
}

impl Ledger {
    /// A ledger in which nothing has been read yet.
    pub fn new(history_start: DateTime<Utc>) -> Self {
        Self {
            history_start,
            kept_from: None,
            coverage: Coverage::new(),
            gaps: Vec::new(),
            rechecks: Vec::new(),
            profile: ApiProfile::default(),
            forecast: Forecast::default(),
        }
    }
}

/// What one reply changes in the whole account's ledger; stored in one transaction with the records. The planner makes
/// it from a reading's [`Step`](crate::read::request::Step), which knows neither re-read ages nor gaps and their tries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerChange {
    /// Stretches proven to be read completely, with the re-read age at that time.
    pub claims: Vec<Stretch>,
    /// Stretches that count as read at this age at most; applied before the claims.
    pub lowered: Vec<Stretch>,
    /// Windows that no longer count as read; applied after the claims.
    pub uncover: Vec<Window>,
    /// Gaps to open, or to update if one with the same window is open.
    pub gaps: Vec<Gap>,
    /// The windows of gaps to close.
    pub closed_gaps: Vec<Window>,
    /// Which records' keys to remember for a later proof.
    pub hold: Hold,
    /// The window that was quarantined after failing too often, if any.
    pub quarantined: Option<Window>,
    /// The outcome in one word, for logs and metrics.
    pub outcome: Outcome,
    /// `true` if the claims follow from counts: then rows missing from the answer prove nothing.
    pub by_count: bool,
    /// The asked span that this reply finishes, if any.
    pub finished: Option<Window>,
}
