//! What was learned about one account's API from its answers; kept in the ledger.
//!
//! Everything here can be unlearned: a longer answer refutes a limit, and evidence ages.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::read::evidence::Evidence;
use crate::read::range_limits::RangeLimits;
use crate::window::bounds::Bounds;
use crate::window::{Order, Window};

/// How long a server's behaviour is believed without new evidence.
const BELIEVED: TimeDelta = TimeDelta::days(7);
/// Pages claimed on a proven order between two checks of that order.
const UNCHECKED_PAGES: usize = 16;

/// This many refusals in a row narrow a window to a thousandth: no limit of records explains that.
const TROUBLE: u8 = 10;

/// How many windows claimed on refusals alone are remembered.
const BELIEVED_WINDOWS: usize = 64;

/// What answers have taught about this account's API. It is part of the ledger, so it survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiProfile {
    /// `true` if a date came with minutes only.
    pub minute_dates: bool,
    /// `true` if a date showed seconds: a date with minutes alone is then a trimmed `:00`.
    pub second_dates: bool,
    /// `true` if a record dated exactly on a lower bound was seen, so that bound need not be widened.
    pub from_inclusive: bool,
    /// `true` if a record dated exactly on an upper bound was seen.
    pub to_inclusive: bool,
    /// `true` if answers announce `TOTAL_HITS`; `None` before the first answer.
    pub totals: Option<bool>,
    /// When a total above the number of records received was last proven right: such a server announces its cuts.
    pub honest_at: Option<DateTime<Utc>>,
    /// How often, and when last, totals were found to count records that are never shown.
    pub inflated: Strikes,
    /// The number of records at which answers were found to be cut.
    pub record_limit: Option<usize>,
    /// `true` if continuation was proven here: the server sorts before it cuts.
    pub sorts: bool,
    /// Failed proofs in a row; two of them end continuation for this account.
    pub sort_strikes: u8,
    /// When continuation was given up.
    pub struck_since: Option<DateTime<Utc>>,
    /// Since when bounds are believed to be inclusive; the belief expires.
    pub bounds_since: Option<DateTime<Utc>>,
    /// Number of cut answers in a row whose records were in no order.
    pub unsorted: u8,
    /// Refusals with error 3 since the last cut answer, without long rows of refusals.
    pub refusals: u8,
    /// Refusals with error 3 since records were last returned.
    pub refused_in_a_row: u8,
    /// The fewest records known to have been refused with error 3.
    pub refused: Option<usize>,
    /// When that refusal was received.
    pub refused_at: Option<DateTime<Utc>>,
    /// Windows claimed recently on refusals alone.
    pub believed: Vec<Bounds>,
    /// The longest answer of each of the last days.
    pub lengths: Vec<Length>,
    /// Pages claimed without a total since the order was last checked.
    pub unchecked: Vec<Bounds>,
    /// Which ranges of dates the API accepts.
    pub range: RangeLimits,
}

/// Strikes against a belief; they expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Strikes {
    /// Number of strikes, until they expire.
    pub count: u8,
    /// When the last strike was counted.
    pub at: Option<DateTime<Utc>>,
}

/// The longest answer of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Length {
    /// The day, in days since 1970.
    pub day: i64,
    /// Number of records in that answer.
    pub records: usize,
}

fn is_recent(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    // An instant in the future was noted by a clock that ran fast: it does not count.
    at.is_some_and(|at| (-TimeDelta::minutes(5)..BELIEVED).contains(&(now - at)))
}

impl ApiProfile {
    /// Learns what an answer to a request with the bounds `sent` shows, whatever its verdict.
    pub fn learn(&mut self, sent: Bounds, evidence: &Evidence) {
        self.minute_dates |= evidence.minute_dates;
        self.second_dates |= evidence.second_dates;
        if !self.shows_bounds() {
            (self.from_inclusive, self.to_inclusive) = (false, false);
        } else if evidence.exact_bounds {
            self.from_inclusive |= evidence.dates.contains(&sent.from);
            self.to_inclusive |= evidence.dates.contains(&sent.to);
        }
        if evidence.listed > 0 {
            self.refused_in_a_row = 0;
        }
        if evidence.total.is_some() {
            self.totals = Some(true);
        } else if evidence.listed > 0 || self.totals.is_none() {
            self.totals = Some(false);
        }
    }

    /// Counts a refusal with error 3. An API that refuses everything is in trouble, so a row of refusals says
    /// little about a limit.
    pub fn note_refusal(&mut self, now: DateTime<Utc>) {
        self.refused_in_a_row = self.refused_in_a_row.saturating_add(1);
        self.refusals = if self.refused_in_a_row < TROUBLE { self.refusals.saturating_add(1) } else { 1 };
        self.refused_at = Some(now);
    }

    /// Remembers a window that was claimed because the server seems to refuse where others cut.
    pub fn note_believed(&mut self, window: Window) {
        if self.refusals >= 3 {
            self.believed.push(Bounds { from: window.from(), to: window.to() });
            let old = self.believed.len().saturating_sub(BELIEVED_WINDOWS);
            self.believed.drain(..old);
        }
    }

    /// Notes that an answer was proven to be cut at this length: such a server does not refuse. Returns the windows
    /// that were claimed on the belief that it does.
    pub fn note_silent_cut(&mut self, listed: usize) -> Vec<Window> {
        self.record_limit = Some(listed);
        (self.refused, self.refused_at, self.refusals) = (None, None, 0);
        let believed = std::mem::take(&mut self.believed);
        believed.iter().filter_map(|claimed| Window::new(claimed.from, claimed.to)).collect()
    }

    /// Forgets what is due to be found out again.
    pub fn age(&mut self, now: DateTime<Utc>) {
        if !is_recent(Some(*self.bounds_since.get_or_insert(now)), now) {
            (self.from_inclusive, self.to_inclusive) = (false, false);
            self.bounds_since = Some(now);
        }
        if self.sort_strikes < 2 {
            self.struck_since = None;
        } else if (now - *self.struck_since.get_or_insert(now)).abs() >= TimeDelta::days(1) {
            (self.sort_strikes, self.struck_since) = (1, None);
        }
    }

    /// Returns `true` if dates are precise enough to show that a bound is inclusive.
    pub fn shows_bounds(&self) -> bool {
        !self.minute_dates || self.second_dates
    }

    /// Forgets limits that this answer exceeds: what taught them was wrong, such as a total or a refusal made up by
    /// a server in trouble. Believed forever, it would make every answer look cut and every window too large.
    pub fn refute_limits(&mut self, evidence: &Evidence) {
        self.record_limit = self.record_limit.filter(|limit| evidence.listed <= *limit);
        // Far more than was refused: the refusals were trouble, so they do not rule out silent cuts.
        if self.refused.is_some_and(|refused| evidence.listed > refused + refused / 4) {
            (self.refused_at, self.refusals) = (None, 0);
        }
        self.refused = self.refused.filter(|refused| evidence.listed < *refused);
    }

    /// Remembers how long an answer was: a later, shorter one cannot have been cut at this server's limit.
    pub fn note_length(&mut self, records: usize, now: DateTime<Utc>) {
        let day = now.timestamp().div_euclid(86_400);
        self.lengths.retain(|length| day - length.day < BELIEVED.num_days() && length.day <= day);
        match self.lengths.iter_mut().find(|length| length.day == day) {
            Some(length) => length.records = length.records.max(records),
            None if records > 0 => self.lengths.push(Length { day, records }),
            None => {}
        }
    }

    /// The number of records in the longest recent answer.
    pub fn longest(&self, now: DateTime<Utc>) -> usize {
        let day = now.timestamp().div_euclid(86_400);
        let recent = self.lengths.iter().filter(|length| day - length.day < BELIEVED.num_days());
        recent.map(|length| length.records).max().unwrap_or(0)
    }

    /// Returns `true` if this server was recently seen to announce what it held back.
    pub fn is_honest(&self, now: DateTime<Utc>) -> bool {
        is_recent(self.honest_at, now)
    }

    /// Returns `true` if totals count records that are never shown; they then prove nothing.
    pub fn is_inflated(&self, now: DateTime<Utc>) -> bool {
        self.inflated.count >= 2 && is_recent(self.inflated.at, now)
    }

    /// Notes that a total announced more than two readings, divided differently, could show.
    pub fn strike_totals(&mut self, now: DateTime<Utc>) {
        let count = if is_recent(self.inflated.at, now) { self.inflated.count.saturating_add(1) } else { 1 };
        self.inflated = Strikes { count, at: Some(now) };
    }

    /// Notes that a total above the number of records received was proven right.
    pub fn confirm_totals(&mut self, now: DateTime<Utc>) {
        self.honest_at = Some(now);
        self.inflated = Strikes::default();
    }

    /// Returns `true` if a server that holds this many records refuses with error 3 instead of cutting.
    pub fn refuses_above(&self, listed: usize, now: DateTime<Utc>) -> bool {
        let refuses = self.refused.map_or(self.refusals >= 3, |refused| listed < refused);
        // If the longest length of all is met again, it indicates a cut.
        refuses && listed != self.longest(now) && is_recent(self.refused_at, now)
    }

    /// The unit of windows: the coarser of the wire's granularity and the precision of dates seen.
    pub fn unit(&self, granularity: TimeDelta) -> TimeDelta {
        let minutes = self.minute_dates && !self.second_dates;
        if minutes { granularity.max(TimeDelta::minutes(1)) } else { granularity }
    }

    /// The bounds to send for `window`: one unit wider on each side until that bound is known to be inclusive.
    pub fn bounds(&self, window: Window, unit: TimeDelta) -> Bounds {
        let widen = |known: bool| if known { TimeDelta::zero() } else { unit };
        Bounds {
            from: window.from() - widen(self.from_inclusive),
            to: window.to() + widen(self.to_inclusive),
        }
    }

    /// The number of records at which an answer counts as cut.
    pub fn limit(&self, configured: usize) -> usize {
        self.record_limit.map_or(configured, |learned| learned.min(configured))
    }

    /// The server's probable limit, judged by what it returned and what it refused. Limits are round numbers.
    pub fn likely_limit(&self, configured: usize, now: DateTime<Utc>) -> usize {
        let limit = self.limit(configured);
        let Some(refused) = self.refused.filter(|refused| *refused <= limit) else { return limit };
        let longest = self.longest(now);
        let round = (refused.saturating_sub(1) / 500) * 500;
        if round >= longest.max(1) { round } else { longest.midpoint(refused).max(1) }
    }

    /// Returns `true` if a cut answer may be continued where it ended; assumed until the API has answered.
    pub fn continues(&self) -> bool {
        self.sort_strikes < 2
    }

    /// Returns `true` if windows must be sized to fit one answer, because a cut one cannot be continued here.
    pub fn must_fit(&self) -> bool {
        !self.continues() || self.unsorted >= 2 || self.refusals > if self.sorts { 2 } else { 0 }
    }

    /// Returns `true` if cut answers announce totals, so that their records are a sample of known weight.
    pub fn samples(&self, now: DateTime<Utc>) -> bool {
        self.totals == Some(true) && self.refusals == 0 && !self.is_inflated(now)
    }

    /// Notes a cut answer and the order of its records, if they had one.
    pub fn note_cut(&mut self, shown: Option<Order>) {
        self.refusals = 0;
        self.unsorted = if shown.is_some() { 0 } else { self.unsorted.saturating_add(1) };
    }

    /// Returns `true` if a page without a total may be claimed on the order proven before.
    pub fn trusts_order(&self) -> bool {
        self.sorts && self.unchecked.len() < UNCHECKED_PAGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(number * 86_400 + 7, 0).unwrap()
    }

    #[test]
    fn an_answer_longer_than_the_learned_limit_refutes_it() {
        let mut profile = ApiProfile { record_limit: Some(700), refused: Some(701), ..ApiProfile::default() };
        let answer = |listed| Evidence { listed, ..Evidence::default() };
        profile.refute_limits(&answer(700));
        assert_eq!((profile.limit(10_000), profile.refused), (700, Some(701)));
        profile.refute_limits(&answer(701));
        assert_eq!((profile.limit(10_000), profile.refused), (10_000, None));
    }

    #[test]
    fn the_longest_answer_is_forgotten_after_a_week() {
        let mut profile = ApiProfile::default();
        profile.note_length(730, day(100));
        profile.note_length(20, day(103));
        assert_eq!(profile.longest(day(106)), 730);
        assert_eq!(profile.longest(day(107)), 20);
        assert_eq!(profile.longest(day(120)), 0);
    }

    #[test]
    fn one_date_with_seconds_makes_minutes_a_trimmed_form() {
        let mut profile = ApiProfile { minute_dates: true, ..ApiProfile::default() };
        assert_eq!(profile.unit(TimeDelta::seconds(1)), TimeDelta::minutes(1));
        profile.second_dates = true;
        assert_eq!(profile.unit(TimeDelta::seconds(1)), TimeDelta::seconds(1));
    }

    #[test]
    fn a_ledger_of_the_version_before_is_read() {
        let old = r#"{"minute_dates":false,"from_inclusive":true,"to_inclusive":true,"totals":true,"record_limit":500,
            "sorts":true,"sort_strikes":0,"longest":
            {"records":9,"from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z"},"refused":null}"#;
        let profile: ApiProfile = serde_json::from_str(old).unwrap();
        assert!(profile.from_inclusive && profile.sorts && profile.record_limit == Some(500));
    }
}
