//! What is known of an account between one request and the next, and what a reply changes in it.

use chrono::{DateTime, Utc};

use crate::read::api_profile::ApiProfile;
use crate::read::request::{GapReason, Hold, Outcome};
use crate::window::Window;
use crate::window::coverage::{Coverage, Stretch};
use crate::window::density::Forecast;

/// An open gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What could not be read.
    pub window: Window,
    /// Why.
    pub reason: GapReason,
    /// How often it was tried again.
    pub tries: u32,
    /// When it is tried again.
    pub next_try_at: DateTime<Utc>,
}

/// Missing records to look at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// Where they are.
    pub window: Window,
    /// From when on a second look counts.
    pub due_at: DateTime<Utc>,
}

/// What is known of one account when planning starts.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// How far back history is filled.
    pub history_start: DateTime<Utc>,
    /// What was read.
    pub coverage: Coverage,
    /// Open gaps.
    pub gaps: Vec<Gap>,
    /// Missing records.
    pub rechecks: Vec<Recheck>,
    /// What was learned of the API.
    pub profile: ApiProfile,
    /// What was learned of the calls.
    pub forecast: Forecast,
}

impl Ledger {
    /// Nothing is known yet.
    pub fn new(history_start: DateTime<Utc>) -> Self {
        Self {
            history_start,
            coverage: Coverage::new(),
            gaps: Vec::new(),
            rechecks: Vec::new(),
            profile: ApiProfile::default(),
            forecast: Forecast::default(),
        }
    }
}

/// What one reply changes in the ledger: to be stored in one transaction with the records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerChange {
    /// Stretches proven to be read completely, with the age at which they were.
    pub claims: Vec<Stretch>,
    /// Stretches that count as read at this age at most, before the claims.
    pub lowered: Vec<Stretch>,
    /// Windows to forget, after the claims.
    pub uncover: Vec<Window>,
    /// Gaps to open, or to update where one stands with the same window.
    pub gaps: Vec<Gap>,
    /// Gaps that are gaps no more.
    pub closed_gaps: Vec<Window>,
    /// Whose keys to remember.
    pub hold: Hold,
    /// A window was set aside after failing too often.
    pub quarantined: Option<Window>,
    /// The word for it.
    pub outcome: Outcome,
    /// The claims follow from counts: rows missing from the answer say nothing.
    pub by_count: bool,
    /// An asked span that is finished with this reply.
    pub finished: Option<Window>,
}
