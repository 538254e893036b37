//! What is asked, what came of it, and what follows: the words between the planner and the world.

use chrono::{DateTime, Utc};

use crate::read::evidence::Evidence;
use crate::read::partition::FilterPartition;
use crate::window::bounds::Bounds;
use crate::window::{Lane, Order, Window};

/// Why a window is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The newest minutes, at every poll.
    Newest,
    /// The whole lookback, and what was missed since the last read.
    Lookback,
    /// Somebody asked for this span.
    Asked,
    /// A stretch reached one of the re-read ages.
    Reconcile,
    /// A second look at records that were missing.
    Recheck,
    /// Another try at an open gap.
    Gap,
    /// History that was never read.
    Backfill,
}

impl Reason {
    /// Its name in tables and logs.
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

/// One request to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// For which lane.
    pub lane: Lane,
    /// And why.
    pub reason: Reason,
    /// The window that a whole answer would prove.
    pub window: Window,
    /// The bounds to send.
    pub sent: Bounds,
    /// The order to ask for, where a cut answer could be continued.
    pub order: Option<Order>,
    /// What the question is narrowed to, within one overloaded unit.
    pub partition: Option<FilterPartition>,
    /// The bounds are to be written as the wall times of the window itself, also where a clock shows them twice: the
    /// wider form, which is clear, holds too many records.
    pub narrow: bool,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer with error 0.
    Answer(Evidence),
    /// Error 3: more records than the server gives out at once.
    TooMany {
        /// The bounds went out as planned: a clock change of a zoned API widens them.
        exact: bool,
    },
    /// The answer was larger than `api.max_response_bytes`.
    TooLarge,
    /// Error 5: the API will not be asked for such a range.
    Invalid {
        /// The `Date` header of the refusal.
        server_date: Option<DateTime<Utc>>,
    },
    /// It took too long to answer, or its answer ended early.
    TimedOut,
    /// No usable answer; counts as an attempt.
    Failed,
    /// No connection was made: that says nothing about what was asked for, and counts as no attempt.
    Unreachable,
}

/// Which records are needed later, when the window they were read for is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// None.
    #[default]
    Nothing,
    /// Those of this answer.
    ThisAnswer,
    /// Those of this answer and those already held.
    AndEarlier,
}

/// Why a span could not be read in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The smallest window still holds more records than one answer gives.
    Overloaded,
    /// The API answers other windows, but not this one.
    Unreadable,
    /// The API calls the range invalid (error 5).
    Invalid,
    /// The API announces more records than it gives, however it is asked.
    Incomplete,
}

impl GapReason {
    /// What a stored word means; an unknown one is as good as unreadable.
    pub fn from_word(word: &str) -> Self {
        let all = [GapReason::Overloaded, GapReason::Unreadable, GapReason::Invalid, GapReason::Incomplete];
        all.into_iter().find(|reason| reason.as_str() == word).unwrap_or(GapReason::Unreadable)
    }

    /// The word kept in `cdr_sync.gap.reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            GapReason::Overloaded => "overloaded",
            GapReason::Unreadable => "unreadable",
            GapReason::Invalid => "invalid_range",
            GapReason::Incomplete => "incomplete",
        }
    }
}

/// In one word, what an answer led to.
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
    /// All there are.
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

    /// Its name in tables, logs and metrics.
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

/// What follows from one reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Windows now proven to be read completely.
    pub claims: Vec<Window>,
    /// Windows whose proof turned out to be none; to be applied after the claims.
    pub uncover: Vec<Window>,
    /// Spans given up for now.
    pub gaps: Vec<(Window, GapReason)>,
    /// A window that failed as often as it may, and why.
    pub failed: Option<(Window, GapReason)>,
    /// A short range that the API refuses for where it lies.
    pub out_of_reach: Option<Window>,
    /// The claims follow from counts: the records of the answer are not all that the windows hold.
    pub by_count: bool,
    /// Whose records must be remembered.
    pub hold: Hold,
    /// The word for it.
    pub outcome: Outcome,
}
