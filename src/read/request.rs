//! Requests, replies and what follows from them: the vocabulary between the planner and the outside world.

use chrono::{DateTime, Utc};

use crate::read::evidence::Evidence;
use crate::read::partition::FilterPartition;
use crate::window::bounds::Bounds;
use crate::window::{Lane, Order, Window};

/// Why a window is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The newest minutes, read at every poll.
    Newest,
    /// The whole lookback, and whatever was missed since the last read.
    Lookback,
    /// Somebody asked for this span.
    Asked,
    /// A stretch reached one of the re-read ages.
    Reconcile,
    /// Missing records have to be looked for again.
    Recheck,
    /// An open gap is due for a retry.
    Gap,
    /// History that was never read.
    Backfill,
}

impl Reason {
    /// The reason's name in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Newest => "newest",
            Reason::Lookback => "lookback",
            Reason::Asked => "asked",
            Reason::Reconcile => "reconcile",
            Reason::Recheck => "recheck",
            Reason::Gap => "gap",
            Reason::Backfill => "backfill",
        }
    }
}

/// One request to be made, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The lane on whose behalf it is made.
    pub lane: Lane,
    /// Why this window is read.
    pub reason: Reason,
    /// The window that a complete answer would prove.
    pub window: Window,
    /// The bounds to send; at least as wide as the window.
    pub sent: Bounds,
    /// The order to ask for, if a cut answer could be continued.
    pub order: Option<Order>,
    /// The filter within one overloaded unit, if it is read in slices.
    pub partition: Option<FilterPartition>,
    /// `true` to write the bounds as the wall times of the window itself, even where a clock shows them twice: the
    /// wider, unambiguous form holds too many records.
    pub narrow: bool,
}

/// What a request led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer with error 0.
    Answer(Evidence),
    /// Error 3: more records than the server returns at once.
    TooMany {
        /// `true` if the bounds were sent as planned. A clock change of a zoned API widens them.
        exact: bool,
    },
    /// The answer was larger than `api.max_response_bytes`.
    TooLarge,
    /// Error 5: the API does not accept such a range.
    Invalid {
        /// The `Date` header of the refusal: the API's clock.
        server_date: Option<DateTime<Utc>>,
    },
    /// The answer took too long or ended early.
    TimedOut,
    /// There was no usable answer; this counts as an attempt.
    Failed,
    /// No connection was made. That says nothing about the request and does not count as an attempt.
    Unreachable,
}

/// Which records are needed later, when the window they were read for is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// No records have to be remembered.
    #[default]
    Nothing,
    /// The records of this answer.
    ThisAnswer,
    /// The records of this answer and those already held.
    AndEarlier,
}

/// Why a span could not be read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The smallest window still holds more records than one answer can.
    Overloaded,
    /// The API answers other windows, but not this one.
    Unreadable,
    /// The API calls the range invalid (error 5).
    Invalid,
    /// The API announces more records than it returns, however it is asked.
    Incomplete,
}

impl GapReason {
    /// The reason that a stored word means; an unknown word is treated as unreadable.
    pub fn from_word(word: &str) -> Self {
        let all = [GapReason::Overloaded, GapReason::Unreadable, GapReason::Invalid, GapReason::Incomplete];
        all.into_iter().find(|reason| reason.as_str() == word).unwrap_or(GapReason::Unreadable)
    }

    /// The word stored in `cdr_sync.gap.reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            GapReason::Overloaded => "overloaded",
            GapReason::Unreadable => "unreadable",
            GapReason::Invalid => "invalid_range",
            GapReason::Incomplete => "incomplete",
        }
    }
}

/// What an answer led to, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Outcome {
    #[default]
    Whole,
    Continued,
    SplitUnproven,
    SplitTooMany,
    SplitTooLarge,
    Doubted,
    Refused,
    TooSlow,
    Gap,
    Failed,
}

impl Outcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: [Outcome; 10] = [
        Outcome::Whole,
        Outcome::Continued,
        Outcome::SplitUnproven,
        Outcome::SplitTooMany,
        Outcome::SplitTooLarge,
        Outcome::Doubted,
        Outcome::Refused,
        Outcome::TooSlow,
        Outcome::Gap,
        Outcome::Failed,
    ];

    /// The outcome's name in tables, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Whole => "whole",
            Outcome::Continued => "continued",
            Outcome::SplitUnproven => "split_unproven",
            Outcome::SplitTooMany => "split_too_many",
            Outcome::SplitTooLarge => "split_too_large",
            Outcome::Doubted => "doubted",
            Outcome::Refused => "range_refused",
            Outcome::TooSlow => "split_too_slow",
            Outcome::Gap => "gap",
            Outcome::Failed => "failed",
        }
    }
}

/// What follows from one reply for the reading that asked. The planner turns it into a `plan::ledger::LedgerChange`, which
/// adds what only the account's ledger shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Windows now proven to be read completely.
    pub claims: Vec<Window>,
    /// Windows whose proof turned out to be wrong; applied after the claims.
    pub uncover: Vec<Window>,
    /// Spans given up for now, and why.
    pub gaps: Vec<(Window, GapReason)>,
    /// A window that failed as often as it may, and why.
    pub failed: Option<(Window, GapReason)>,
    /// A short range that the API refuses because of its position.
    pub out_of_reach: Option<Window>,
    /// `true` if the claims follow from counts: then the answer does not hold all records of the windows.
    pub by_count: bool,
    /// Which records must be remembered.
    pub hold: Hold,
    /// The outcome in one word, for logs and metrics.
    pub outcome: Outcome,
}
