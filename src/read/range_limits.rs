//! Which ranges of dates the API accepts: a refusal (error 5) is about a range's length, its end or its beginning.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::window::bounds::Bounds;

/// How long a limit of ranges is believed before it is tried again: servers are fixed and clocks are set.
const BELIEVED: TimeDelta = TimeDelta::days(1);
/// A learned instant may lie this far in the future, because clocks are adjusted by moments.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);
/// Lengths at which servers set limits, tried from the longest.
const LENGTHS: [TimeDelta; 14] = [
    TimeDelta::days(31),
    TimeDelta::days(30),
    TimeDelta::days(28),
    TimeDelta::days(14),
    TimeDelta::days(10),
    TimeDelta::days(7),
    TimeDelta::days(5),
    TimeDelta::days(3),
    TimeDelta::days(2),
    TimeDelta::days(1),
    TimeDelta::hours(12),
    TimeDelta::hours(6),
    TimeDelta::hours(3),
    TimeDelta::hours(1),
];
/// A range this short is refused because of its position, not its length.
pub const SHORT: TimeDelta = TimeDelta::hours(1);
/// How far before the present a range has to end at first.
const FIRST_MARGIN: TimeDelta = TimeDelta::seconds(30);
/// How far before the present a range must end if the API's `Date` does not show it, tried from the shortest.
const MARGINS: [TimeDelta; 5] = [
    TimeDelta::seconds(5),
    TimeDelta::seconds(30),
    TimeDelta::minutes(2),
    TimeDelta::minutes(10),
    TimeDelta::hours(1),
];

/// What refusals have taught about ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RangeLimits {
    /// The longest range to request, in seconds, if longer ones were refused.
    longest: Option<i64>,
    longest_at: Option<DateTime<Utc>>,
    /// `true` if lengths were blamed although even the shortest was refused: the next answer refutes all of them.
    longest_doubtful: bool,
    /// The longest range accepted since, in seconds.
    accepted: i64,
    accepted_at: Option<DateTime<Utc>>,
    /// How far behind this host's clock a range must end, in seconds.
    margin: Option<i64>,
    margin_at: Option<DateTime<Utc>>,
    /// `true` if the API's own clock showed the margin.
    margin_measured: bool,
    /// `true` if the end was blamed before, without success.
    margin_tried: bool,
    /// How far back from now the API may be asked, in seconds.
    reach: Option<i64>,
    reach_at: Option<DateTime<Utc>>,
    /// The longest range to request, in seconds, if longer ones took too long to answer.
    patience: Option<i64>,
    /// The longest range that was answered in time, in seconds.
    in_time: i64,
}

/// What to do about a refused range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Repeat the request, ending at this instant.
    EndAt(DateTime<Utc>),
    /// Request at most this much at once.
    AtMost(TimeDelta),
    /// Neither its length nor its end explains it.
    Unexplained,
}

/// Returns `true` for an instant within the period. An instant learned by a clock that ran fast is not believed
/// until that time is reached.
fn is_since(at: DateTime<Utc>, believed: TimeDelta, now: DateTime<Utc>) -> bool {
    (-CLOCKS_APART..believed).contains(&(now - at))
}

fn is_recent(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    at.is_some_and(|at| is_since(at, BELIEVED, now))
}

impl RangeLimits {
    /// The longest window to request; its bounds may be sent a `unit` wider on each side.
    pub fn at_most(&self, configured: TimeDelta, unit: TimeDelta, now: DateTime<Utc>) -> TimeDelta {
        let limits = [self.longest_now(now), self.patience.map(TimeDelta::seconds)];
        limits.into_iter().flatten().map(|limit| limit - unit * 2).fold(configured, TimeDelta::min)
    }

    /// The longest range according to refusals: every hour, the next longer one is tried.
    fn longest_now(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let (longest, at) = self.longest.zip(self.longest_at).filter(|(_, at)| *at - now <= CLOCKS_APART)?;
        let hours = usize::try_from((now - at).num_hours()).unwrap_or(0);
        let longer = LENGTHS.into_iter().filter(|length| length.num_seconds() > longest).count();
        match hours {
            0 => Some(TimeDelta::seconds(longest)),
            hours => longer.checked_sub(hours).and_then(|at| LENGTHS.get(at)).copied(),
        }
    }

    /// The latest `todate` that the API is expected to accept.
    pub fn present(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - TimeDelta::seconds(self.margin_now(now).unwrap_or(0))
    }

    /// Returns `true` if a `todate` in the API's future was refused.
    pub fn refuses_future(&self, now: DateTime<Utc>) -> bool {
        self.margin_now(now).is_some()
    }

    /// The margin in force. A wide one delays new calls, so dropping it is tried sooner than for a narrow one.
    fn margin_now(&self, now: DateTime<Utc>) -> Option<i64> {
        let (margin, at) = self.margin.zip(self.margin_at)?;
        let wide = margin > FIRST_MARGIN.num_seconds() && !self.margin_measured;
        let believed = if wide { TimeDelta::minutes(10) } else { BELIEVED };
        is_since(at, believed, now).then_some(margin)
    }

    /// The oldest `fromdate` that the API is expected to accept.
    pub fn oldest(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.reach.map(|reach| now - TimeDelta::seconds(reach))
    }

    /// Returns `true` if it is time to ask again for something older than the oldest accepted instant.
    pub fn reach_is_due(&self, now: DateTime<Utc>) -> bool {
        self.reach.is_some() && !is_recent(self.reach_at, now)
    }

    fn accepted_now(&self, now: DateTime<Utc>) -> i64 {
        if is_recent(self.accepted_at, now) { self.accepted } else { 0 }
    }

    /// Learns from a range that was answered.
    pub fn accept(&mut self, sent: Bounds, now: DateTime<Utc>) {
        let length = sent.len().num_seconds();
        if length >= self.accepted_now(now) {
            (self.accepted, self.accepted_at) = (length, Some(now));
        }
        if std::mem::take(&mut self.longest_doubtful) || self.longest.is_some_and(|longest| length > longest)
        {
            self.longest = None;
        }
        if self.oldest(now).is_some_and(|oldest| sent.from < oldest) {
            self.reach = None;
        }
        self.in_time = self.in_time.max(length);
        // Twice what was answered in time: past trouble is forgotten step by step.
        self.patience =
            self.patience.map(|patience| if length * 10 >= patience * 9 { patience * 2 } else { patience });
        if self.patience.is_some_and(|patience| TimeDelta::seconds(patience) > TimeDelta::days(62)) {
            self.patience = None;
        }
    }

    /// Learns from a refused range and returns what to do next.
    pub fn refuse(
        &mut self,
        sent: Bounds,
        server_date: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Refusal {
        // A clock that is further off is not the API's own.
        let server_date = server_date.filter(|date| (now - *date).abs() <= TimeDelta::hours(1));
        let present = server_date.unwrap_or(now);
        if server_date.is_some() && sent.to > present {
            // One more second, because the header is cut off at whole seconds.
            self.learn_margin((now - present).max(TimeDelta::zero()) + TimeDelta::seconds(1), now);
            self.margin_measured = true;
            return Refusal::EndAt(self.present(now));
        }
        let behind = now - sent.to;
        // Clocks a few seconds apart are more common than limits of length: try that once.
        if server_date.is_none() && behind < FIRST_MARGIN && !self.margin_tried && self.margin.is_none() {
            self.margin_tried = true;
            self.learn_margin(FIRST_MARGIN, now);
            return Refusal::EndAt(self.present(now));
        }
        let length = sent.len();
        // If a range no longer than the assumed limit is refused, the limit is lower.
        let known = self.longest_now(now);
        let below = known.map_or(length, |known| known.min(length));
        let shorter = LENGTHS.into_iter().find(|shorter| *shorter < below);
        if length.num_seconds() > self.accepted_now(now).max(SHORT.num_seconds() + 8)
            && let Some(shorter) = shorter
        {
            (self.longest, self.longest_at) = (Some(shorter.num_seconds()), Some(now));
            if self.margin == Some(FIRST_MARGIN.num_seconds()) && self.accepted_now(now) == 0 {
                (self.margin, self.margin_at) = (None, None);
            }
            return Refusal::AtMost(shorter);
        }
        if let Some(margin) = MARGINS.into_iter().find(|margin| *margin > behind)
            && behind < TimeDelta::hours(1)
        {
            self.learn_margin(margin, now);
            // Lengths were blamed for what the end caused.
            (self.longest, self.longest_at) = (None, None);
            return Refusal::EndAt(self.present(now));
        }
        // Nothing was answered since a length was blamed: it may have been trouble from the start.
        self.longest_doubtful |= sent.len() <= SHORT && self.accepted_at <= self.longest_at;
        Refusal::Unexplained
    }

    fn learn_margin(&mut self, margin: TimeDelta, now: DateTime<Utc>) {
        let known = self.margin_now(now).unwrap_or(0);
        (self.margin, self.margin_at) = (Some(margin.num_seconds().max(known)), Some(now));
        self.margin_measured = false;
    }

    /// Notes that the API keeps nothing before `instant`.
    pub fn end_reach(&mut self, instant: DateTime<Utc>, now: DateTime<Utc>) {
        (self.reach, self.reach_at) = (Some((now - instant).num_seconds()), Some(now));
    }

    /// Notes that a range took too long to answer or that its answer ended early. Returns `true` if its length is
    /// to blame; a short range, or one much shorter than what was answered in time, is not blamed at once.
    pub fn too_slow(&mut self, sent: Bounds) -> bool {
        let length = sent.len().num_seconds();
        if length <= self.in_time / 2 && self.patience.is_none() {
            return false;
        }
        if sent.len() > SHORT {
            self.patience = Some(length / 2);
            self.in_time = self.in_time.min(length / 2);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + hours * 3600, 0).unwrap()
    }

    fn sent(from: i64, to: i64) -> Bounds {
        Bounds { from: at(from), to: at(to) }
    }

    #[test]
    fn lengths_are_tried_from_the_longest_until_one_is_accepted() {
        let mut limits = RangeLimits::default();
        let mut length = TimeDelta::days(31);
        while length > TimeDelta::days(7) {
            let refusal = limits.refuse(Bounds { from: at(-100) - length, to: at(-100) }, None, at(0));
            let Refusal::AtMost(shorter) = refusal else { panic!("{refusal:?}") };
            length = shorter;
        }
        assert_eq!(length, TimeDelta::days(7));
        limits.accept(Bounds { from: at(-100) - length, to: at(-100) }, at(0));
        assert_eq!(limits.at_most(TimeDelta::days(31), TimeDelta::zero(), at(0)), TimeDelta::days(7));
        assert_eq!(
            limits.at_most(TimeDelta::days(31), TimeDelta::zero(), at(1)),
            TimeDelta::days(10),
            "a longer one is tried"
        );
        assert_eq!(limits.at_most(TimeDelta::days(31), TimeDelta::zero(), at(25)), TimeDelta::days(31));
    }

    #[test]
    fn an_end_after_the_servers_own_time_is_to_blame_before_the_length() {
        let mut limits = RangeLimits::default();
        let servers = at(0) - TimeDelta::seconds(20);
        let refusal = limits.refuse(sent(-700, 0), Some(servers), at(0));
        assert_eq!(refusal, Refusal::EndAt(servers - TimeDelta::seconds(1)));
        assert_eq!(limits.present(at(3)), at(3) - TimeDelta::seconds(21));
    }

    #[test]
    fn without_a_date_the_end_is_blamed_when_no_length_helps() {
        let mut limits = RangeLimits::default();
        limits.accept(sent(-5, -2), at(0));
        assert!(matches!(limits.refuse(sent(-1, 0), None, at(0)), Refusal::EndAt(_)));
        assert_eq!(limits.refuse(sent(-50, -49), None, at(0)), Refusal::Unexplained);
    }

    #[test]
    fn what_took_too_long_is_asked_for_in_halves_and_trusted_again_step_by_step() {
        let mut limits = RangeLimits::default();
        assert!(limits.too_slow(sent(-48, 0)));
        assert_eq!(limits.at_most(TimeDelta::days(31), TimeDelta::zero(), at(0)), TimeDelta::hours(24));
        limits.accept(sent(-24, 0), at(0));
        assert_eq!(limits.at_most(TimeDelta::days(31), TimeDelta::zero(), at(0)), TimeDelta::hours(48));
    }
}
