//! How many calls to expect in a window: sizes windows where the API only says "too many".

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

use crate::window::bounds::{ceil, floor};
use crate::window::{Order, Window};

const HOUR: i64 = 3600;
/// Windows are at most this many times as long as the time already seen: with little evidence, small steps.
const GROWTH: f64 = 64.0;

/// Calls per hour of the week, learned from what was read.
#[derive(Clone, Debug)]
pub struct Forecast {
    week: Vec<Cell>,
    day: Vec<Cell>,
    all: Cell,
    /// Actual calls relative to expected ones, smoothed: lets the whole forecast rise and fall with the business.
    level: f64,
    /// The recent ratio in hours of the week never seen before: such hours are like their neighbours.
    drift: f64,
    /// Recent mean relative error, smoothed: the safety margin follows it.
    error: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    calls: f64,
    seconds: f64,
}

impl Cell {
    fn add(&mut self, calls: f64, seconds: f64) {
        self.calls += calls;
        self.seconds += seconds;
    }

    /// Calls per second. With little time seen it leans on `prior`, which counts for `weight` seconds.
    fn rate(self, prior: f64, weight: f64) -> f64 {
        (self.calls + prior * weight) / (self.seconds + weight)
    }
}

impl Default for Forecast {
    fn default() -> Self {
        Self {
            week: vec![Cell::default(); 168],
            day: vec![Cell::default(); 24],
            all: Cell::default(),
            level: 1.0,
            drift: 1.0,
            error: 0.2,
        }
    }
}

impl Forecast {
    /// Learns from a window that was read completely, with the dates of its records: compares them with what was
    /// expected, then counts them. A campaign's burst counts as a busy minute only, since it says nothing about
    /// other days.
    pub fn learn(&mut self, window: Window, dates: &[DateTime<Utc>]) {
        let inside: Vec<_> = dates.iter().copied().filter(|date| window.contains(*date)).collect();
        let usual = without_bursts(window, &inside, self.all.rate(0.0, 1.0) * 60.0);
        self.compare(window, usual.len() as f64);
        self.observe(window, &usual);
    }

    /// Learns from some records of a window that holds `total` of them; they count for the time that they
    /// represent. A burst makes a guessed total worthless.
    pub fn learn_sample(&mut self, window: Window, dates: &[DateTime<Utc>], total: f64, guessed: bool) {
        let inside: Vec<_> = dates.iter().copied().filter(|date| window.contains(*date)).collect();
        let usual = without_bursts(window, &inside, self.all.rate(0.0, 1.0) * 60.0);
        let burst = (usual.len() as f64) < 0.8 * inside.len() as f64;
        if guessed && burst {
            return;
        }
        if !guessed {
            self.compare(window, total * usual.len() as f64 / inside.len().max(1) as f64);
        }
        let share = (usual.len() as f64 / total.max(1.0)).min(1.0);
        for hour in hours(window) {
            self.add(hour.from(), 0.0, seconds(hour) * share);
        }
        for date in usual {
            self.add(date, 1.0, 0.0);
        }
    }

    /// How many records to expect in a window of which these are some. The forecast covers the ordinary minutes
    /// alone, so it is raised in proportion to the records in bursts.
    pub fn expected_with(&self, window: Window, dates: &[DateTime<Utc>]) -> f64 {
        let usual = without_bursts(window, dates, self.all.rate(0.0, 1.0) * 60.0);
        self.expected(window) * dates.len() as f64 / usual.len().max(1) as f64
    }

    fn observe(&mut self, window: Window, dates: &[DateTime<Utc>]) {
        for hour in hours(window) {
            self.add(hour.from(), 0.0, seconds(hour));
        }
        for date in dates {
            self.add(*date, 1.0, 0.0);
        }
    }

    /// Learns from an hour that was read completely and held this many calls.
    pub fn observe_count(&mut self, hour: Window, calls: f64) {
        self.add(hour.from(), calls, seconds(hour));
    }

    /// Compares what was found with what was expected, before it is learned. Only a surplus counts for the margin,
    /// since fewer records overload no answer.
    pub fn compare(&mut self, window: Window, actual: f64) {
        let expected = self.expected(window);
        if expected < 20.0 {
            return; // noise, not a trend
        }
        let ratio = (actual / expected).clamp(0.1, 10.0);
        let error = if ratio > 1.0 { ratio - 1.0 } else { (1.0 - ratio) / 4.0 };
        self.error = 0.7 * self.error + 0.3 * error.min(1.5);
        // An hour of the week that was never seen says nothing about the business as a whole.
        let seen = |hour: &Window| self.has_seen_hour(hour.from());
        let known: f64 = hours(window).filter(seen).map(seconds).sum();
        let known = known / seconds(window).max(1.0);
        self.level = (self.level * (0.8 + 0.2 * ratio).powf(known)).clamp(0.2, 5.0);
        self.drift = (self.drift * ratio.powf(0.5 * (1.0 - known))).clamp(0.2, 4.0);
    }

    /// Returns `true` if at least `time` was seen: enough for the forecast to count against an answer.
    pub fn has_seen(&self, time: TimeDelta) -> bool {
        self.all.seconds >= time.num_seconds() as f64
    }

    /// The number of calls to expect in `window`.
    pub fn expected(&self, window: Window) -> f64 {
        hours(window).map(|hour| self.rate(hour.from()) * seconds(hour)).sum()
    }

    /// The share of the limit to aim at.
    pub fn margin(&self) -> f64 {
        (1.0 / (1.0 + 0.9 * self.error)).clamp(0.35, 0.93)
    }

    /// The part of `window`, from the end where reading starts, that should hold `calls` records.
    pub fn take(&self, window: Window, order: Order, calls: f64, unit: TimeDelta) -> Window {
        let seen = TimeDelta::seconds((self.all.seconds.max(900.0) * GROWTH).min(1e9) as i64);
        let mut left = calls;
        let mut pieces: Vec<Window> = hours(window).collect();
        if order == Order::Descending {
            pieces.reverse();
        }
        let mut length = TimeDelta::zero();
        for piece in pieces {
            let expected = self.rate(piece.from()) * seconds(piece);
            if expected > left {
                length += TimeDelta::seconds((seconds(piece) * left / expected) as i64);
                break;
            }
            left -= expected;
            length += piece.len();
        }
        end_piece(window, order, length.min(seen), unit)
    }

    /// `window` cut into `parts` of equal expected weight, oldest first; fewer where units are too coarse.
    pub fn divide(&self, window: Window, parts: usize, unit: TimeDelta) -> Vec<Window> {
        let share = self.expected(window) / parts as f64;
        let mut rest = window;
        let mut cut = Vec::with_capacity(parts);
        for left in (2..=parts).rev() {
            let even = TimeDelta::seconds(rest.len().num_seconds() / left as i64);
            let by_weight = if share > 0.0 { self.prefix(rest, share) } else { even };
            // Neither part of a cut may be a sliver, however lopsided the forecast is.
            let length = by_weight.clamp(even / 4, even + even / 2);
            // At least a unit on each side, or there is nothing left to divide.
            let at = ceil(rest.from() + length.max(unit), unit)
                .min(floor(rest.to() - TimeDelta::nanoseconds(1), unit));
            let (Some(first), Some(remaining)) = (Window::new(rest.from(), at), Window::new(at, rest.to()))
            else {
                break;
            };
            cut.push(first);
            rest = remaining;
        }
        cut.push(rest);
        cut
    }

    fn prefix(&self, window: Window, calls: f64) -> TimeDelta {
        let mut left = calls;
        let mut length = TimeDelta::zero();
        for piece in hours(window) {
            let expected = self.rate(piece.from()) * seconds(piece);
            if expected > left {
                return length + TimeDelta::seconds((seconds(piece) * left / expected) as i64);
            }
            left -= expected;
            length += piece.len();
        }
        length
    }

    fn add(&mut self, instant: DateTime<Utc>, calls: f64, seconds: f64) {
        let (week, day) = cells(instant);
        for cell in [self.week.get_mut(week), self.day.get_mut(day)].into_iter().flatten() {
            cell.add(calls, seconds);
        }
        self.all.add(calls, seconds);
    }

    fn rate(&self, instant: DateTime<Utc>) -> f64 {
        let (week, day) = cells(instant);
        let cell = |cells: &[Cell], at: usize| cells.get(at).copied().unwrap_or_default();
        let overall = self.all.rate(0.0, 1.0);
        let by_day = cell(&self.day, day).rate(overall, 1800.0);
        let trend = if self.has_seen_hour(instant) { self.level } else { self.level * self.drift };
        cell(&self.week, week).rate(by_day, 1200.0) * trend
    }

    fn has_seen_hour(&self, instant: DateTime<Utc>) -> bool {
        self.week.get(cells(instant).0).is_some_and(|cell| cell.seconds > 3000.0)
    }
}

/// The dates outside minutes that are far busier than the others; up to `usual` calls a minute are no burst.
fn without_bursts(window: Window, dates: &[DateTime<Utc>], usual: f64) -> Vec<DateTime<Utc>> {
    let minute = |date: &DateTime<Utc>| date.timestamp().div_euclid(60);
    let mut counts: BTreeMap<i64, f64> = BTreeMap::new();
    dates.iter().for_each(|date| *counts.entry(minute(date)).or_default() += 1.0);
    let minutes = (seconds(window) / 60.0).max(1.0);
    let mut most = f64::INFINITY;
    // Bursts raise the mean that they are measured by, less so with each round.
    for _ in 0..5 {
        let mean = counts.values().map(|count| count.min(most)).sum::<f64>() / minutes;
        most = 6.0 * mean.max(usual) + 5.0;
    }
    counts.clear();
    let fits = |date: &&DateTime<Utc>| {
        let count = counts.entry(minute(date)).or_default();
        *count += 1.0;
        *count <= most
    };
    dates.iter().filter(fits).copied().collect()
}

fn cells(instant: DateTime<Utc>) -> (usize, usize) {
    let hour = instant.hour() as usize;
    (instant.weekday().num_days_from_sunday() as usize * 24 + hour, hour)
}

fn seconds(window: Window) -> f64 {
    window.len().num_milliseconds() as f64 / 1000.0
}

/// `window` cut at full hours, oldest first.
fn hours(window: Window) -> impl Iterator<Item = Window> {
    let mut from = window.from();
    std::iter::from_fn(move || {
        let next = floor(from, TimeDelta::seconds(HOUR)) + TimeDelta::seconds(HOUR);
        let hour = Window::new(from, next.min(window.to()))?;
        from = hour.to();
        Some(hour)
    })
}

/// A piece of about `length` at the end of `window` where reading starts: at least a unit, unit-aligned.
fn end_piece(window: Window, order: Order, length: TimeDelta, unit: TimeDelta) -> Window {
    let length = length.max(unit);
    let piece = match order {
        Order::Ascending => Window::new(window.from(), ceil(window.from() + length, unit).min(window.to())),
        Order::Descending => Window::new(floor(window.to() - length, unit).max(window.from()), window.to()),
    };
    piece.unwrap_or(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNIT: TimeDelta = TimeDelta::seconds(1);

    fn window(from: i64, to: i64) -> Window {
        let at = |second| DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();
        Window::new(at(from), at(to)).unwrap()
    }

    fn busy(calls_per_hour: usize) -> Forecast {
        let mut forecast = Forecast::default();
        if calls_per_hour == 0 {
            return forecast;
        }
        let day = window(0, 24 * HOUR);
        let step = HOUR / calls_per_hour as i64;
        let dates: Vec<_> =
            (0..24 * calls_per_hour as i64).map(|n| day.from() + TimeDelta::seconds(n * step)).collect();
        forecast.learn(day, &dates);
        forecast
    }

    #[test]
    fn it_expects_what_it_saw() {
        let expected = busy(60).expected(window(0, 10 * HOUR));
        assert!((expected - 600.0).abs() < 30.0, "{expected}");
    }

    #[test]
    fn it_takes_the_newest_part_for_backfill_and_the_oldest_for_live() {
        let forecast = busy(60);
        let all = window(0, 48 * HOUR);
        let newest = forecast.take(all, Order::Descending, 300.0, UNIT);
        assert_eq!(newest.to(), all.to());
        assert!((newest.len() - TimeDelta::hours(5)).abs() < TimeDelta::minutes(30), "{newest}");
        assert_eq!(forecast.take(all, Order::Ascending, 300.0, UNIT).from(), all.from());
    }

    #[test]
    fn little_evidence_makes_small_steps() {
        let mut forecast = Forecast::default();
        forecast.learn(window(0, 900), &[]);
        let step = forecast.take(window(0, 1000 * HOUR), Order::Descending, 300.0, UNIT);
        assert_eq!(step.len(), TimeDelta::hours(16));
    }

    #[test]
    fn a_campaign_does_not_move_the_forecast() {
        let mut forecast = busy(60);
        let before = forecast.expected(window(0, 24 * HOUR));
        let burst: Vec<_> = (0..700).map(|n| window(0, 1).from() + TimeDelta::seconds(n / 6)).collect();
        forecast.learn(window(0, HOUR), &burst);
        let after = forecast.expected(window(0, 24 * HOUR));
        assert!((after - before).abs() < before * 0.35, "{before} {after}");
    }

    #[test]
    fn a_forecast_that_errs_widens_its_margin() {
        let mut forecast = busy(60);
        let before = forecast.margin();
        let hours = window(0, 2 * HOUR);
        (0..5).for_each(|_| forecast.compare(hours, 300.0));
        assert!(forecast.margin() < before);
        (0..50).for_each(|_| forecast.compare(hours, forecast.expected(hours)));
        assert!(forecast.margin() > before);
    }

    proptest! {
        #[test]
        fn the_parts_of_a_division_are_the_whole(
            length in prop_oneof![2..10_i64, 2..3_000_000_i64],
            parts in 2..40_usize,
            calls in 0..60_usize,
            unit in prop::sample::select(vec![1, 60, 900]),
        ) {
            let whole = window(-800, -800 + length * unit); // aligned: the axis starts 800 s after a quarter
            let cut = busy(calls).divide(whole, parts, TimeDelta::seconds(unit));
            prop_assert!(cut.len() >= 2 && cut.len() <= parts);
            prop_assert_eq!(cut[0].from(), whole.from());
            prop_assert_eq!(cut[cut.len() - 1].to(), whole.to());
            for pair in cut.windows(2) {
                prop_assert_eq!(pair[0].to(), pair[1].from());
            }
        }
    }
}
