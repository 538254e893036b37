//! The analysis of a single call on request (GetCallHistory): what is in an answer, and how many requests a week has room for.

mod answer;
mod week;

use chrono::TimeDelta;

pub use answer::{BadHistory, CallHistory, Refusal, decode, refusal};
pub use week::{Turn, WeekOfRequests, begin_of_week, lost, rests_until, turn};

/// Which calls are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRules {
    /// Those that began at least so long ago: until then a notification may bring it …
    pub after: TimeDelta,
    /// … and at most so long ago.
    pub back: TimeDelta,
    /// Where the call log does not say whether there is an analysis: those that were answered and lasted so many seconds.
    pub min_seconds: i32,
}
