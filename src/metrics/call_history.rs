//! Analyses that were asked for call by call.

use super::Metrics;
use super::counters::AccountCounters;

/// What came of asking for the analysis of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistoryOutcome {
    /// It came.
    Analysis,
    /// The call has none.
    None,
    /// The week's ration is used up.
    UsedUp,
    /// The token is refused.
    Refused,
    /// No usable answer.
    Failed,
}

impl HistoryOutcome {
    const ALL: [Self; 5] = [Self::Analysis, Self::None, Self::UsedUp, Self::Refused, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::None => "none",
            Self::UsedUp => "used_up",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The family of these counters.
pub(super) fn requests() -> AccountCounters {
    AccountCounters::new(
        "ai_requests_total",
        "Requests for the analysis of one call (GetCallHistory), by what came.",
        vec![("outcome", HistoryOutcome::ALL.map(HistoryOutcome::as_str).to_vec())],
    )
}

impl Metrics {
    /// Shows the series of an account from now on.
    pub(crate) fn asks_for_history(&self, account: &str) {
        self.0.ai_requests.define(account);
    }

    /// Counts a request.
    pub(crate) fn history_asked(&self, account: &str, outcome: HistoryOutcome) {
        self.0.ai_requests.add(account, &[outcome.as_str()], 1);
    }
}
