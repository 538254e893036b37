//! How the requests of a week are spread over it.

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc};

/// The requests of one week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeekOfRequests {
    /// When it began; `None` if none was ever made.
    pub begins_at: Option<DateTime<Utc>>,
    /// Requests since then.
    pub requests: u32,
    /// The ration is used up until then.
    pub rests_until: Option<DateTime<Utc>>,
}

/// When the next request may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Now,
    /// Not before this.
    At(DateTime<Utc>),
}

const WEEK: TimeDelta = TimeDelta::weeks(1);
/// Clocks are never quite together.
const AFTER_THE_TURN: TimeDelta = TimeDelta::minutes(5);
/// What was not used for longer is lost: whoever begins on a Sunday does not use up a week's ration in an hour.
const LEFT_OVER: TimeDelta = TimeDelta::days(1);

/// The last Monday's midnight, UTC. When the vendor's week turns is not known; those who count it take this one.
pub fn begin_of_week(now: DateTime<Utc>) -> DateTime<Utc> {
    let days = TimeDelta::days(now.weekday().num_days_from_monday().into());
    (now - days).with_time(NaiveTime::MIN).single().unwrap_or(now)
}

/// Up to when nothing is asked for once the ration is used up: the vendor's week may turn at another time than ours, so the
/// next day's first request finds out.
pub fn rests_until(now: DateTime<Utc>) -> DateTime<Utc> {
    let next = begin_of_week(now) + WEEK + AFTER_THE_TURN;
    next.min(now + TimeDelta::days(1))
}

/// When the next request may be made, of `most` in a week: evenly over it, so that each day's calls get their share. What was
/// left over in the last day may be used at once.
pub fn turn(known: WeekOfRequests, most: u32, now: DateTime<Utc>) -> Turn {
    if let Some(until) = known.rests_until.filter(|until| *until > now && *until - now <= WEEK) {
        return Turn::At(until);
    }
    let begin = begin_of_week(now);
    // One that is still to come was begun by a clock that has been set back.
    let used = if known.begins_at >= Some(begin) { known.requests } else { 0 };
    if used >= most {
        return Turn::At(begin + WEEK);
    }
    let used = used.max(lost(most, now));
    let due = begin + TimeDelta::seconds(WEEK.num_seconds() * i64::from(used) / i64::from(most));
    if due <= now { Turn::Now } else { Turn::At(due) }
}

/// How many of the week's requests count as made, whether they were or not: those that were left over for too long.
pub fn lost(most: u32, now: DateTime<Utc>) -> u32 {
    let passed = (now - begin_of_week(now) - LEFT_OVER).max(TimeDelta::zero());
    u32::try_from(passed.num_seconds() * i64::from(most) / WEEK.num_seconds()).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_week_begins_on_monday() {
        let monday = at("2026-11-23T00:00:00Z");
        for now in ["2026-11-23T00:00:00Z", "2026-11-26T13:00:00Z", "2026-11-29T23:59:59Z"] {
            assert_eq!(begin_of_week(at(now)), monday);
        }
        assert_eq!(begin_of_week(at("2026-11-30T00:00:00Z")), monday + WEEK);
    }

    #[test]
    fn requests_are_spread_over_the_week() {
        let monday = at("2026-11-23T00:00:00Z");
        let known = |requests| WeekOfRequests { begins_at: Some(monday), requests, rests_until: None };
        let day = TimeDelta::days(1);
        assert_eq!(turn(WeekOfRequests::default(), 7, monday), Turn::Now);
        assert_eq!(turn(known(1), 7, monday + day / 2), Turn::At(monday + day));
        assert_eq!(turn(known(1), 7, monday + day), Turn::Now);
        // Whoever begins late, or had nothing to ask, has a day's in hand.
        assert_eq!(turn(known(1), 7, monday + day * 3), Turn::Now);
        assert_eq!(turn(known(3), 7, monday + day * 3), Turn::Now);
        assert_eq!(turn(known(4), 7, monday + day * 3), Turn::At(monday + day * 4));
        let late = monday + day * 6 + day / 2;
        // Each counts as one more than those that were made or are lost.
        let mut used = 0;
        let mut made = 0;
        while turn(known(used), 700, late) == Turn::Now {
            (used, made) = (used.max(lost(700, late)) + 1, made + 1);
        }
        assert_eq!((used, made), (651, 101), "550 are lost, and a day's are in hand");
        assert_eq!(
            turn(WeekOfRequests { begins_at: Some(monday + WEEK), ..known(7) }, 7, late),
            Turn::At(monday + WEEK)
        );
        assert_eq!(turn(known(7), 7, monday + day * 6), Turn::At(monday + WEEK));
        assert_eq!(turn(known(9), 7, monday + day * 6), Turn::At(monday + WEEK));
        assert_eq!(turn(known(7), 7, monday + WEEK), Turn::Now);
        assert_eq!(turn(known(7), 0, monday + WEEK), Turn::At(monday + WEEK * 2));
    }

    #[test]
    fn a_used_up_ration_rests_until_the_week_turns_but_not_for_longer() {
        let now = at("2026-11-26T13:00:00Z");
        let rests = |until| WeekOfRequests { rests_until: Some(until), ..WeekOfRequests::default() };
        assert_eq!(turn(rests(now + TimeDelta::days(4)), 300, now), Turn::At(now + TimeDelta::days(4)));
        assert_eq!(turn(rests(now), 300, now), Turn::Now);
        let monday = at("2026-11-30T00:05:00Z");
        assert_eq!(rests_until(now), now + TimeDelta::days(1));
        assert_eq!(rests_until(at("2026-11-29T23:00:00Z")), monday);
        assert_eq!(rests_until(at("2026-11-30T00:00:01Z")), at("2026-12-01T00:00:01Z"));
        // Written by a clock that was far ahead.
        assert_eq!(turn(rests(now + TimeDelta::days(400)), 300, now), Turn::Now);
    }
}
