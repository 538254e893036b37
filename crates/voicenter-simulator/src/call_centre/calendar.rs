//! When the call centre is open, and how many calls come: weekdays, short Fridays, Israeli holidays.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Asia::Jerusalem;

use crate::record::instant;
use crate::schedule;

/// Days on which nobody works: the first and last days of the feasts, the Day of Atonement, Independence Day. Those
/// of 2025 to 2027; other years have none.
const HOLIDAYS: [(i32, u32, u32); 27] = [
    (2025, 4, 13),
    (2025, 4, 19),
    (2025, 5, 1),
    (2025, 6, 2),
    (2025, 9, 23),
    (2025, 9, 24),
    (2025, 10, 2),
    (2025, 10, 7),
    (2025, 10, 14),
    (2026, 4, 2),
    (2026, 4, 8),
    (2026, 4, 22),
    (2026, 5, 22),
    (2026, 9, 12),
    (2026, 9, 13),
    (2026, 9, 21),
    (2026, 9, 26),
    (2026, 10, 3),
    (2027, 4, 22),
    (2027, 4, 28),
    (2027, 5, 12),
    (2027, 6, 11),
    (2027, 10, 2),
    (2027, 10, 3),
    (2027, 10, 11),
    (2027, 10, 16),
    (2027, 10, 23),
];

const OPENS: u32 = 8 * 3_600;
const CLOSES: u32 = 20 * 3_600;
const CLOSES_ON_SHORT_DAYS: u32 = 13 * 3_600;

/// A day in Israel, of which there is one world each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    date: NaiveDate,
}

impl Calendar {
    /// The day with this number since 1970.
    pub(super) fn of(number: i64) -> Self {
        let days = TimeDelta::try_days(number).unwrap_or_default();
        let date = DateTime::UNIX_EPOCH.date_naive().checked_add_signed(days);
        Self { date: date.unwrap_or_default() }
    }

    /// The weekday whose hours this day has: a holiday's are those of a Saturday, its eve's those of a Friday.
    pub(super) fn like(self) -> Weekday {
        let tomorrow = self.date.succ_opt().unwrap_or(self.date);
        match self.date.weekday() {
            _ if is_holiday(self.date) => Weekday::Sat,
            Weekday::Sat => Weekday::Sat,
            _ if is_holiday(tomorrow) => Weekday::Fri,
            day => day,
        }
    }

    /// When the company opens and closes; `None` on a day without work.
    pub(super) fn open(self) -> Option<(i64, i64)> {
        let closes = match self.like() {
            Weekday::Sat => return None,
            Weekday::Fri => CLOSES_ON_SHORT_DAYS,
            _ => CLOSES,
        };
        Some((self.at(OPENS)?, self.at(closes)?))
    }

    /// The start of each local hour with its share of an average week's calls; the hour that a clock change skips is
    /// left out.
    pub(super) fn hours(self) -> impl Iterator<Item = (i64, f64)> {
        let like = self.like();
        (0..24).filter_map(move |hour| Some((self.at(hour * 3_600)?, schedule::share_of_hour(like, hour))))
    }

    /// Seconds since 1970 at this local time of the day.
    pub(super) fn at(self, second: u32) -> Option<i64> {
        let time = self.date.and_hms_opt(second / 3_600, second / 60 % 60, second % 60)?;
        Jerusalem.from_local_datetime(&time).earliest().map(|instant| instant.timestamp())
    }
}

fn is_holiday(date: NaiveDate) -> bool {
    HOLIDAYS.contains(&(date.year(), date.month(), date.day()))
}

/// The number of the local day that an instant lies in.
pub(super) fn day_of(instant: DateTime<Utc>) -> i64 {
    let date = instant.with_timezone(&Jerusalem).date_naive();
    (date - DateTime::UNIX_EPOCH.date_naive()).num_days()
}

/// The local days that touch `[first, last]`, both in seconds since 1970.
pub(crate) fn days(first: i64, last: i64) -> RangeInclusive<i64> {
    day_of(instant(first))..=day_of(instant(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fridays_and_eves_are_short_and_saturdays_and_holidays_closed() {
        let hours = |y, m, d| {
            let noon = Utc.with_ymd_and_hms(y, m, d, 9, 0, 0).unwrap();
            Calendar::of(day_of(noon)).open().map(|(opens, closes)| (closes - opens) / 3_600)
        };
        assert_eq!(hours(2026, 6, 7), Some(12), "a Sunday");
        assert_eq!(hours(2026, 6, 5), Some(5), "a Friday");
        assert_eq!(hours(2026, 6, 6), None, "a Saturday");
        assert_eq!(hours(2026, 4, 1), Some(5), "the eve of Passover");
        assert_eq!(hours(2026, 4, 2), None, "Passover");
        assert_eq!(hours(2026, 9, 12), None, "the New Year, a Saturday");
    }
}
