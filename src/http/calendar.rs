//! The days that are covered, computed without I/O.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::Serialize;

use crate::window::Window;
use crate::window::coverage::Stretch;

/// At most this many days (a little over a year) are drawn; older days are summed up.
const DRAWN: usize = 371;

/// The state of a day: the worst of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Read completely, and again at every age that is due by now.
    ReadAgain,
    Read,
    /// Part of the day has been read.
    Partly,
    /// Nothing of the day has been read yet.
    Unread,
    /// Part of the day could not be read.
    Gap,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Day {
    pub date: NaiveDate,
    pub state: State,
    /// The highest age in days at which the whole day has been read again.
    pub again_days: i64,
    /// Minutes of the day that have been read.
    pub read_minutes: i64,
    /// Minutes of the day that are open gaps, rounded up.
    pub gap_minutes: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Calendar {
    pub days: Vec<Day>,
    /// Days before those drawn, and how many of them have not been read in full.
    pub earlier_days: usize,
    pub earlier_incomplete: usize,
}

/// The days from `start` to `end`, the latest time that could have been read by now.
pub(super) fn calendar(
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    stretches: &[Stretch],
    gaps: &[Window],
) -> Calendar {
    let mut days = Vec::new();
    let mut date = start.date_naive();
    while let Some(next) = date.checked_add_days(Days::new(1)) {
        let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
        let Some(window) = Window::new(midnight(date).max(start), midnight(next).min(end)) else { break };
        days.push(day(date, window, stretches, gaps));
        date = next;
    }
    let earlier = days.len().saturating_sub(DRAWN);
    let drawn = days.split_off(earlier);
    let incomplete = days.iter().filter(|day| day.state > State::Read).count();
    Calendar { days: drawn, earlier_days: earlier, earlier_incomplete: incomplete }
}

fn day(date: NaiveDate, window: Window, stretches: &[Stretch], gaps: &[Window]) -> Day {
    // Stretches are in order: those of one day lie together.
    let first = stretches.partition_point(|stretch| stretch.window.to() <= window.from());
    let parts = stretches.iter().skip(first).take_while(|stretch| stretch.window.from() < window.to());
    let mut read = TimeDelta::zero();
    let mut reread_age = TimeDelta::MAX;
    for part in parts {
        if let Some(shared) = part.window.intersect(&window) {
            read += shared.len();
            reread_age = reread_age.min(part.reread_age);
        }
    }
    let gap: TimeDelta = gaps.iter().filter_map(|gap| gap.intersect(&window)).map(|gap| gap.len()).sum();
    let whole = read >= window.len();
    let again_days = if whole { reread_age.num_days() } else { 0 };
    let state = if gap > TimeDelta::zero() {
        State::Gap
    } else if whole && again_days > 0 {
        State::ReadAgain
    } else if whole {
        State::Read
    } else if read > TimeDelta::zero() {
        State::Partly
    } else {
        State::Unread
    };
    let gap_minutes = (gap.num_seconds() + 59) / 60;
    Day { date, state, again_days, read_minutes: read.num_minutes(), gap_minutes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u64, hour: u64) -> DateTime<Utc> {
        let date = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap() + Days::new(day);
        date.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(i64::try_from(hour).unwrap())
    }

    fn stretch(from: DateTime<Utc>, to: DateTime<Utc>, days: i64) -> Stretch {
        Stretch {
            window: Window::new(from, to).unwrap(),
            reread_age: TimeDelta::days(days),
            lacking: Default::default(),
        }
    }

    #[test]
    fn each_day_shows_the_worst_of_its_parts() {
        let stretches =
            [stretch(at(1, 12), at(3, 0), 7), stretch(at(3, 0), at(4, 0), 0), stretch(at(4, 2), at(6, 0), 1)];
        let gaps = [Window::new(at(4, 0), at(4, 2)).unwrap()];
        let states: Vec<State> =
            calendar(at(0, 6), at(6, 9), &stretches, &gaps).days.iter().map(|day| day.state).collect();
        use State::*;
        assert_eq!(states, [Unread, Partly, ReadAgain, Read, Gap, ReadAgain, Unread]);
    }

    #[test]
    fn the_first_and_the_last_day_count_only_as_far_as_they_are_wanted() {
        let stretches = [stretch(at(0, 6), at(1, 9), 0)];
        let calendar = calendar(at(0, 6), at(1, 9), &stretches, &[]);
        assert!(calendar.days.iter().all(|day| day.state == State::Read));
        assert_eq!(calendar.days.iter().map(|day| day.read_minutes).sum::<i64>(), 27 * 60);
    }

    #[test]
    fn years_are_summed_up() {
        let calendar = calendar(at(0, 0), at(1000, 0), &[stretch(at(100, 0), at(1000, 0), 30)], &[]);
        assert_eq!((calendar.days.len(), calendar.earlier_days), (371, 629));
        assert_eq!(calendar.earlier_incomplete, 100);
    }
}
