//! When people call: the Israeli working week by the hour, in local time.

use chrono::{DateTime, Datelike, Timelike, Weekday};
use chrono_tz::Asia::Jerusalem;

/// Calls in each local hour of a full working day, relative to that day's other hours.
const WORKDAY: [u32; 24] =
    [4, 2, 1, 1, 1, 2, 8, 40, 150, 240, 260, 250, 210, 190, 200, 190, 160, 110, 70, 45, 30, 20, 12, 8];
/// A Friday ends in the early afternoon.
const FRIDAY: [u32; 24] = [4, 2, 1, 1, 1, 2, 8, 30, 110, 150, 150, 120, 70, 30, 8, 3, 2, 1, 1, 1, 1, 1, 1, 1];
/// On a Saturday only the automatic answer works, and after sunset a few people.
const SATURDAY: [u32; 24] = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 6, 8, 6, 4, 2];

/// Percentage of an average day.
const SUNDAY_RUSH: u32 = 115;

/// The share of a week's calls that starts in the UTC hour with this number (since 1970), on average.
pub(crate) fn share_of_week(hour: i64) -> f64 {
    let Some(start) = DateTime::from_timestamp(hour.saturating_mul(3600), 0) else { return 0.0 };
    let local = start.with_timezone(&Jerusalem);
    share_of_hour(local.weekday(), local.hour())
}

/// The share of a week's calls that come in this hour of such a day.
pub(crate) fn share_of_hour(day: Weekday, hour: u32) -> f64 {
    f64::from(weight(day, hour)) / f64::from(total_weight())
}

fn weight(day: Weekday, hour: u32) -> u32 {
    let (table, percent) = match day {
        Weekday::Sun => (&WORKDAY, SUNDAY_RUSH),
        Weekday::Mon | Weekday::Tue => (&WORKDAY, 102),
        Weekday::Wed => (&WORKDAY, 98),
        Weekday::Thu => (&WORKDAY, 92),
        Weekday::Fri => (&FRIDAY, 100),
        Weekday::Sat => (&SATURDAY, 100),
    };
    usize::try_from(hour).ok().and_then(|hour| table.get(hour)).copied().unwrap_or(0) * percent
}

fn total_weight() -> u32 {
    let workdays: u32 = WORKDAY.iter().sum::<u32>() * (SUNDAY_RUSH + 102 + 102 + 98 + 92);
    workdays + (FRIDAY.iter().sum::<u32>() + SATURDAY.iter().sum::<u32>()) * 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hours_of_a_week_share_all_of_it() {
        // A week without a clock change: 2026-06-07 is a Sunday, 21:00 UTC of the day before its local start.
        let first = 1_780_779_600 / 3600;
        let sum: f64 = (first..first + 168).map(share_of_week).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
}
