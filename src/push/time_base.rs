//! What the `time` of a push is counted from: its documents contradict each other, so each record decides for itself.

use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

/// The clocks of the switch and of what CallIDs are made by may differ by this much.
pub(super) const TOLERANCE: TimeDelta = TimeDelta::minutes(10);

/// What the `time` of a push is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBase {
    /// The account's wall clock, written as if it were UTC.
    Local,
    /// The epoch.
    Utc,
    /// Nothing shows it.
    Unknown,
}

impl TimeBase {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            TimeBase::Local => "local",
            TimeBase::Utc => "utc",
            TimeBase::Unknown => "unknown",
        }
    }

    /// The base of that name.
    pub fn named(name: &str) -> Option<Self> {
        [TimeBase::Local, TimeBase::Utc, TimeBase::Unknown].into_iter().find(|base| base.as_str() == name)
    }
}

/// The base of `time` in an account of `zone`. A CallID begins with the wall clock at which the call came; without one that
/// fits, it is `usual`, the base of the account's other records.
pub fn time_base(time: i64, call_id: &str, zone: Tz, usual: TimeBase) -> TimeBase {
    let Some((instant, prefix)) = DateTime::from_timestamp(time, 0).zip(CallIdTime::of(call_id)) else {
        return usual;
    };
    let as_local = prefix.is_near(instant.naive_utc());
    let as_utc = prefix.is_near(instant.with_timezone(&zone).naive_local());
    match (as_local, as_utc) {
        (true, false) => TimeBase::Local,
        (false, true) => TimeBase::Utc,
        // Wall clock and UTC are the same here, unless an hour is doubled: then only UTC would name an instant.
        (true, true) if started_at(time, TimeBase::Local, zone).single().is_some() => TimeBase::Utc,
        (true, true) => TimeBase::Local,
        (false, false) => usual,
    }
}

/// When a call started: one instant, either of two in the hour that is doubled when summer time ends, or none (an unknown
/// base, or a wall clock that the beginning of summer time leaves out).
pub fn started_at(time: i64, base: TimeBase, zone: Tz) -> MappedLocalTime<DateTime<Utc>> {
    let Some(instant) = DateTime::from_timestamp(time, 0) else { return MappedLocalTime::None };
    match base {
        TimeBase::Utc => MappedLocalTime::Single(instant),
        TimeBase::Local => zone.from_local_datetime(&instant.naive_utc()).map(|local| local.to_utc()),
        TimeBase::Unknown => MappedLocalTime::None,
    }
}

/// The wall clock that a CallID begins with, as exactly as it is given there: from its first instant to its last.
struct CallIdTime {
    first: NaiveDateTime,
    last: NaiveDateTime,
}

impl CallIdTime {
    /// `None` if there are no date and hour.
    fn of(call_id: &str) -> Option<Self> {
        let digits = call_id.len() - call_id.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = |from: usize, to: usize| -> Option<u32> {
            (to <= digits).then(|| call_id.get(from..to)?.parse().ok()).flatten()
        };
        let day = NaiveDate::from_ymd_opt(number(0, 4)?.cast_signed(), number(4, 6)?, number(6, 8)?)?;
        let hour = day.and_hms_opt(number(8, 10)?, 0, 0)?;
        // Some CallIDs go on with something else after the hour.
        let minute = number(10, 12).filter(|minute| *minute < 60);
        let second = minute.and(number(12, 14)).filter(|second| *second < 60);
        let first = hour
            + TimeDelta::minutes(minute.unwrap_or(0).into())
            + TimeDelta::seconds(second.unwrap_or(0).into());
        let unit = match (minute, second) {
            (Some(_), Some(_)) => TimeDelta::zero(),
            (Some(_), None) => TimeDelta::minutes(1),
            (None, _) => TimeDelta::hours(1),
        };
        Some(Self { first, last: first + unit })
    }

    fn is_near(&self, wall: NaiveDateTime) -> bool {
        wall - self.last <= TOLERANCE && self.first - wall <= TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Jerusalem;
    use chrono_tz::Europe::London;

    use super::*;

    fn epoch(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().unwrap().timestamp()
    }

    fn base(time: i64, call_id: &str) -> TimeBase {
        time_base(time, call_id, Jerusalem, TimeBase::Unknown)
    }

    #[test]
    fn the_published_samples_are_wall_clocks() {
        for (time, call_id) in [
            (1_595_333_610, "202007211213270124c"),
            (1_595_960_350, "2020072818dcDHFJcc804"),
            (1_580_846_139, "2020020419500000000000000000"),
        ] {
            assert_eq!(base(time, call_id), TimeBase::Local, "{call_id}");
        }
    }

    #[test]
    fn a_true_epoch_is_recognised() {
        // 12:04 in Jerusalem's summer.
        assert_eq!(base(epoch("2024-06-10T09:04:58Z"), "20240610120455aa"), TimeBase::Utc);
        assert_eq!(base(epoch("2024-06-10T12:04:58Z"), "20240610120455aa"), TimeBase::Local);
    }

    #[test]
    fn ten_minutes_are_near_and_more_is_not() {
        assert_eq!(base(epoch("2024-06-10T12:10:00Z"), "20240610120000"), TimeBase::Local);
        assert_eq!(base(epoch("2024-06-10T12:10:01Z"), "20240610120000"), TimeBase::Unknown);
        assert_eq!(base(epoch("2024-06-10T11:50:00Z"), "20240610120000"), TimeBase::Local);
        assert_eq!(base(epoch("2024-06-10T11:49:59Z"), "20240610120000"), TimeBase::Unknown);
    }

    #[test]
    fn without_a_prefix_it_is_as_usual() {
        for call_id in ["", "abc", "2024", "20241399120000", "2024061029xx", "0042061012", "д20240610120000"]
        {
            let time = epoch("2024-06-10T12:00:00Z");
            assert_eq!(base(time, call_id), TimeBase::Unknown, "{call_id}");
            assert_eq!(time_base(time, call_id, Jerusalem, TimeBase::Local), TimeBase::Local);
        }
        assert_eq!(base(i64::MAX, "20240610120000"), TimeBase::Unknown);
    }

    #[test]
    fn a_wall_clock_of_the_doubled_hour_has_two_instants_and_one_of_the_missing_hour_none() {
        // Jerusalem: 2024-10-27 from 02:00 back to 01:00, 2024-03-29 from 02:00 on to 03:00.
        let doubled = epoch("2024-10-27T01:30:00Z");
        assert_eq!(base(doubled, "20241027013000"), TimeBase::Local);
        let (earlier, later) = (epoch("2024-10-26T22:30:00Z"), epoch("2024-10-26T23:30:00Z"));
        let both = started_at(doubled, TimeBase::Local, Jerusalem);
        assert_eq!(both.earliest().unwrap().timestamp(), earlier);
        assert_eq!(both.latest().unwrap().timestamp(), later);
        assert_eq!(base(earlier, "20241027013000"), TimeBase::Utc);
        assert_eq!(base(later, "20241027013000"), TimeBase::Utc);
        let missing = epoch("2024-03-29T02:30:00Z");
        assert_eq!(started_at(missing, TimeBase::Local, Jerusalem), MappedLocalTime::None);
        assert_eq!(started_at(missing, TimeBase::Unknown, Jerusalem), MappedLocalTime::None);
    }

    #[test]
    fn where_wall_clock_and_utc_agree_the_instant_is_certain() {
        let winter = epoch("2024-01-10T12:00:00Z");
        assert_eq!(time_base(winter, "20240110120000", London, TimeBase::Unknown), TimeBase::Utc);
        // 01:30 comes twice; as an epoch it would be the second one.
        let doubled = epoch("2024-10-27T01:30:00Z");
        assert_eq!(time_base(doubled, "20241027013000", London, TimeBase::Unknown), TimeBase::Local);
        assert_eq!(started_at(doubled, TimeBase::Local, London).single(), None);
    }
}
