//! What was learned of one account's API: values that answers teach, kept in the ledger.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Window;
use super::verdict::Evidence;

/// What answers have taught about this account's API. Part of the ledger, so a restart knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Knowledge {
    /// Dates came with minutes only: the unit of windows is a minute.
    pub minute_dates: bool,
    /// A record dated exactly on a lower bound was seen: it need not be widened.
    pub from_inclusive: bool,
    /// A record dated exactly on an upper bound was seen.
    pub to_inclusive: bool,
    /// Whether answers announce `TOTAL_HITS`; unknown before the first answer.
    pub totals: Option<bool>,
    /// A limit of the server lower than the configured one, found out.
    pub record_limit: Option<usize>,
    /// Continuation was proven here: the server sorts before it cuts.
    pub sorts: bool,
    /// Failed proofs in a row; two end continuation for this account.
    pub sort_strikes: u8,
    /// The longest answer that came without a total, and its window: limits lie at or above it.
    pub longest: Option<Longest>,
    /// The fewest records known to have been refused with error 3.
    pub refused: Option<usize>,
}

/// The longest answer that came without a total to prove it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Longest {
    /// Records in it.
    pub records: usize,
    /// First instant of its window.
    pub from: DateTime<Utc>,
    /// First instant after its window.
    pub to: DateTime<Utc>,
}

impl Knowledge {
    /// Takes in what an answer to a question with the bounds `sent` shows, whatever its verdict.
    pub fn learn(&mut self, sent: Bounds, evidence: &Evidence) {
        self.minute_dates |= evidence.minute_dates;
        self.from_inclusive |= evidence.exact_bounds && evidence.dates.contains(&sent.from);
        self.to_inclusive |= evidence.exact_bounds && evidence.dates.contains(&sent.to);
        if evidence.total.is_some() {
            self.totals = Some(true);
        } else if evidence.listed > 0 || self.totals.is_none() {
            self.totals = Some(false);
        }
    }

    /// A longer answer than a limit that was found out: what taught it was wrong, such as a total or a refusal that a
    /// server in trouble made up. Believed for ever, it would make every answer look cut and every window too large.
    pub fn refute_limits(&mut self, evidence: &Evidence) {
        self.record_limit = self.record_limit.filter(|limit| evidence.listed <= *limit);
        self.refused = self.refused.filter(|refused| evidence.listed < *refused);
    }

    /// Remembers the longest answer without a total: shorter ones cannot have been cut.
    pub fn note_length(&mut self, window: Window, evidence: &Evidence) {
        let longest = self.longest.map_or(0, |longest| longest.records);
        if evidence.total.is_none() && evidence.listed > longest {
            self.longest = Some(Longest { records: evidence.listed, from: window.from(), to: window.to() });
        }
    }

    /// The unit of windows: the coarser of the wire's granularity and the precision of dates seen.
    pub fn unit(&self, granularity: TimeDelta) -> TimeDelta {
        if self.minute_dates { granularity.max(TimeDelta::minutes(1)) } else { granularity }
    }

    /// What is sent for `window`: a granule wider on each side until that bound is known to be inclusive.
    pub fn bounds(&self, window: Window, unit: TimeDelta) -> Bounds {
        let widen = |known: bool| if known { TimeDelta::zero() } else { unit };
        Bounds {
            from: window.from() - widen(self.from_inclusive),
            to: window.to() + widen(self.to_inclusive),
        }
    }

    /// How many records make an answer count as cut.
    pub fn limit(&self, configured: usize) -> usize {
        self.record_limit.map_or(configured, |learned| learned.min(configured))
    }

    /// Where the server's limit probably lies, from what it gave and what it refused. Limits are round numbers.
    pub fn likely_limit(&self, configured: usize) -> usize {
        let limit = self.limit(configured);
        let Some(refused) = self.refused.filter(|refused| *refused <= limit) else { return limit };
        let longest = self.longest.map_or(0, |longest| longest.records);
        let round = (refused.saturating_sub(1) / 500) * 500;
        if round >= longest.max(1) { round } else { longest.midpoint(refused).max(1) }
    }

    /// Whether a cut answer may be continued where it ended; hoped for until the API has answered.
    pub fn continues(&self) -> bool {
        self.totals != Some(false) && self.sort_strikes < 2
    }
}

/// The bounds that are sent, wider than the window they are meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `fromdate`.
    pub from: DateTime<Utc>,
    /// `todate`.
    pub to: DateTime<Utc>,
}

/// `instant` rounded down to a whole multiple of `unit`.
pub fn floor(instant: DateTime<Utc>, unit: TimeDelta) -> DateTime<Utc> {
    instant.duration_trunc(unit).unwrap_or(instant)
}

/// `instant` rounded up to a whole multiple of `unit`.
pub fn ceil(instant: DateTime<Utc>, unit: TimeDelta) -> DateTime<Utc> {
    let down = floor(instant, unit);
    if down == instant { down } else { down + unit }
}

/// The part of `window` that is made of whole units.
pub fn aligned(window: Window, unit: TimeDelta) -> Option<Window> {
    Window::new(ceil(window.from(), unit), floor(window.to(), unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_longer_than_the_learned_limit_refutes_it() {
        let mut knowledge = Knowledge { record_limit: Some(700), refused: Some(701), ..Knowledge::default() };
        let answer = |listed| Evidence { listed, ..Evidence::default() };
        knowledge.refute_limits(&answer(700));
        assert_eq!((knowledge.limit(10_000), knowledge.refused), (700, Some(701)));
        knowledge.refute_limits(&answer(701));
        assert_eq!((knowledge.limit(10_000), knowledge.refused), (10_000, None));
    }
}
