//! Where records lie inside windows that one answer could not hold, according to cut answers and refusals.
//!
//! The latest information counts.

use chrono::{DateTime, TimeDelta, Utc};

use crate::window::bounds::{ceil, floor};
use crate::window::density::Forecast;
use crate::window::{Order, Window};

/// A sample of fewer points than this says less than the forecast.
const POINTS: usize = 4;
/// How many standard deviations of a sampled count to leave room for.
const CAUTION: f64 = 1.4;

/// What overfull windows have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    list: Vec<Overfull>,
}

#[derive(Clone, Debug)]
struct Overfull {
    window: Window,
    /// Number of records inside, announced or guessed.
    total: f64,
    /// `true` if it was refused: the total is then only a lower bound.
    at_least: bool,
    /// `true` if the total was guessed.
    guessed: bool,
    /// Number of its records read since.
    seen: f64,
    /// `true` if some of it was read.
    trimmed: bool,
    /// Dates of some of its records, sorted; empty after a refusal.
    dates: Vec<DateTime<Utc>>,
}

impl Overfull {
    fn weight(&self) -> f64 {
        (self.total / self.dates.len().max(1) as f64).max(1.0)
    }
}

/// What a piece is cut to fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    pub order: Order,
    /// How many records one answer holds.
    pub limit: f64,
    /// How many records to aim at by the forecast.
    pub target: f64,
    pub smallest: TimeDelta,
    /// `true` if cut answers announce totals: where nothing else is known, an answer cut on purpose is then a
    /// sample to size windows by.
    pub samples: bool,
}

/// How many answers' worth of records to draw a sample from.
const SAMPLED: f64 = 5.0;

impl Fit {
    fn by_forecast(&self, share: f64) -> f64 {
        if self.samples { self.limit * SAMPLED } else { self.target * share }
    }
}

impl Samples {
    /// Notes a cut answer of a window that holds `total` records; `guessed` if that is an estimate.
    pub(super) fn cut(&mut self, window: Window, total: f64, guessed: bool, dates: &[DateTime<Utc>]) {
        let mut dates: Vec<_> = dates.iter().copied().filter(|date| window.contains(*date)).collect();
        dates.sort_unstable();
        let (at_least, trimmed, seen) = (false, false, 0.0);
        self.list.push(Overfull { window, total, at_least, guessed, seen, trimmed, dates });
    }

    /// Notes a refusal: at least this many records are somewhere in `window`.
    pub(super) fn refused(&mut self, window: Window, least: f64) {
        let (dates, guessed, seen) = (Vec::new(), false, 0.0);
        self.list.push(Overfull {
            window,
            total: least,
            at_least: true,
            guessed,
            seen,
            trimmed: false,
            dates,
        });
    }

    /// Returns `true` if an answer shows fewer records in `window` than a cut one did before; one or two may have
    /// been removed.
    pub(super) fn contradict(&self, window: Window, shown: &[DateTime<Utc>]) -> bool {
        let inside = |dates: &[DateTime<Utc>]| dates.iter().filter(|date| window.contains(**date)).count();
        self.list.iter().any(|overfull| inside(shown) + 2 < inside(&overfull.dates))
    }

    /// Returns `true` if anything is known of a part of `window`.
    pub(super) fn touches(&self, window: Window) -> bool {
        self.list.iter().any(|overfull| overfull.window.intersect(&window).is_some())
    }

    /// Notes that `window` was read with this many records, or given up. Returns the fewest records that a refused
    /// window around it may hold, by what was read and what is expected of the rest.
    pub(super) fn done(
        &mut self,
        window: Window,
        count: usize,
        forecast: &Forecast,
        fit: f64,
    ) -> Option<f64> {
        let mut fewest: Option<f64> = None;
        self.list.retain_mut(|overfull| {
            let Some(common) = overfull.window.intersect(&window) else { return true };
            let before = Window::new(overfull.window.from(), common.from());
            let after = Window::new(common.to(), overfull.window.to());
            let rest = match (before, after) {
                (Some(rest), None) | (None, Some(rest)) => rest,
                // Read in the middle or completely: what is left says nothing by itself.
                _ => return false,
            };
            let weight = overfull.weight();
            overfull.window = rest;
            overfull.trimmed = true;
            overfull.seen += count as f64;
            overfull.dates.retain(|date| rest.contains(*date));
            overfull.total -= count as f64;
            if overfull.guessed {
                overfull.total = weight * overfull.dates.len() as f64;
            }
            if overfull.at_least {
                let all = overfull.seen + forecast.expected(rest);
                fewest = Some(fewest.map_or(all, |fewest| fewest.min(all)));
                // What must still be inside may well fit by now.
                overfull.total > fit * 0.3 || forecast.expected(rest).max(overfull.total * 1.2) > fit
            } else {
                overfull.total > 0.0 && overfull.dates.len() >= POINTS
            }
        });
        fewest
    }

    /// The part of `window`, from the end where reading starts, that should fit one answer.
    pub(super) fn take(&self, window: Window, forecast: &Forecast, fit: Fit) -> Window {
        let mut share = 1.0; // of one answer, still to be filled
        let mut rest = window;
        let mut taken = TimeDelta::zero();
        loop {
            let (length, used) = self.step(rest, share, forecast, fit);
            taken += length;
            share -= used;
            let left = match fit.order {
                Order::Ascending => Window::new(rest.from() + length, rest.to()),
                Order::Descending => Window::new(rest.from(), rest.to() - length),
            };
            match left {
                Some(left) if share > 0.05 => rest = left,
                _ => break,
            }
        }
        let piece = end_piece(window, fit.order, taken, fit.smallest);
        self.narrowed(piece, forecast, fit)
    }

    /// Narrows a piece that holds a whole window known to be too full: that is never requested as a whole again.
    fn narrowed(&self, piece: Window, forecast: &Forecast, fit: Fit) -> Window {
        let holds = |overfull: &&Overfull| {
            !overfull.trimmed && overfull.window.intersect(&piece) == Some(overfull.window)
        };
        let Some(overfull) = self.list.iter().rev().find(holds) else {
            return piece;
        };
        let before = match fit.order {
            Order::Ascending => Window::new(piece.from(), overfull.window.from()),
            Order::Descending => Window::new(overfull.window.to(), piece.to()),
        };
        let narrower = before.or_else(|| half(overfull.window, forecast, fit));
        narrower
            .filter(|narrower| *narrower != piece)
            .map_or(piece, |narrower| self.narrowed(narrower, forecast, fit))
    }

    /// How far to go from the starting end of `rest` with `share` of an answer to fill, and how much of it that
    /// fills: all of it, if this is where to stop.
    fn step(&self, rest: Window, share: f64, forecast: &Forecast, fit: Fit) -> (TimeDelta, f64) {
        let descending = fit.order == Order::Descending;
        let start = if descending { rest.to() - TimeDelta::microseconds(1) } else { rest.from() };
        let Some(overfull) = self.list.iter().rev().find(|overfull| overfull.window.contains(start)) else {
            return self.by_forecast(rest, share, forecast, fit);
        };
        let Some(inside) = overfull.window.intersect(&rest) else { return (rest.len(), 1.0) };
        if overfull.at_least {
            // Half of what is left of it, although less may be wanted here.
            let half = half(overfull.window, forecast, fit).and_then(|half| half.intersect(&rest));
            let piece = forecast.take(half.unwrap_or(inside), fit.order, fit.target, fit.smallest);
            return (piece.len(), 1.0);
        }
        let weight = overfull.weight();
        let points: Vec<_> = overfull.dates.iter().filter(|date| inside.contains(**date)).collect();
        // A sample too thin to size windows by is good enough to draw the next one by.
        let thin = fit.samples && weight > 2.0 * SAMPLED;
        let room = if thin { fit.limit * SAMPLED } else { fit.limit * share * 0.98 };
        let error = (1.0 - 1.0 / weight).max(0.0);
        let fits = |points: usize| {
            let points = points as f64;
            weight * (points + CAUTION * (error * points).sqrt()) <= room
        };
        let most = (1..=points.len()).take_while(|points| fits(*points)).count();
        if most == points.len() {
            let used = (weight * points.len() as f64 / room * share).max(0.01);
            // A piece filled up with an unknown region is likely to be cut again.
            return (inside.len(), if fit.samples && used > share * 0.7 { 1.0 } else { used });
        }
        if most < POINTS && weight > 1.5 && !fit.samples {
            let expected = forecast.expected(inside).max(1.0);
            let scaled = fit.target * share * (expected / overfull.total).min(1.0);
            let piece = forecast.take(inside, fit.order, scaled, fit.smallest);
            return (piece.len(), 1.0);
        }
        let length = if descending {
            points.len().checked_sub(most + 1).and_then(|at| points.get(at)).map(|date| rest.to() - **date)
        } else {
            points.get(most).map(|date| **date - rest.from())
        };
        // Up to, but not including, the first record that may be too many.
        let length =
            length.unwrap_or(inside.len()) - if descending { fit.smallest } else { TimeDelta::zero() };
        (length.max(TimeDelta::zero()), 1.0)
    }

    /// By forecast, up to the nearest window of which more is known.
    fn by_forecast(&self, rest: Window, share: f64, forecast: &Forecast, fit: Fit) -> (TimeDelta, f64) {
        let ahead = self.list.iter().filter_map(|overfull| overfull.window.intersect(&rest));
        let free = match fit.order {
            Order::Ascending => {
                ahead.map(|window| window.from()).min().and_then(|to| Window::new(rest.from(), to))
            }
            Order::Descending => {
                ahead.map(|window| window.to()).max().and_then(|from| Window::new(from, rest.to()))
            }
        };
        let free = free.unwrap_or(rest);
        let piece = forecast.take(free, fit.order, fit.by_forecast(share), fit.smallest);
        if piece == free && free != rest {
            (free.len(), forecast.expected(free) / fit.by_forecast(1.0))
        } else {
            (piece.len(), 1.0)
        }
    }
}

/// The first half, by expected calls, of a window that was refused.
fn half(window: Window, forecast: &Forecast, fit: Fit) -> Option<Window> {
    let halves = forecast.divide(window, 2, fit.smallest);
    match fit.order {
        _ if halves.len() < 2 => None,
        Order::Ascending => halves.first().copied(),
        Order::Descending => halves.last().copied(),
    }
}

/// A piece of about `length` at the end of `window` where reading starts: at least a unit, unit-aligned inward.
fn end_piece(window: Window, order: Order, length: TimeDelta, unit: TimeDelta) -> Window {
    if length >= window.len() {
        return window;
    }
    let length = length.max(unit);
    let piece = match order {
        Order::Ascending => {
            let to = floor(window.from() + length, unit).max(window.from() + unit);
            Window::new(window.from(), to.min(window.to()))
        }
        Order::Descending => {
            let from = ceil(window.to() - length, unit).min(window.to() - unit);
            Window::new(from.max(window.from()), window.to())
        }
    };
    piece.unwrap_or(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn window(from: i64, to: i64) -> Window {
        Window::new(at(from), at(to)).unwrap()
    }

    fn fit(order: Order) -> Fit {
        Fit { order, limit: 500.0, target: 400.0, smallest: TimeDelta::seconds(1), samples: false }
    }

    #[test]
    fn a_cut_answer_in_no_order_shows_where_to_divide() {
        // 800 records, 700 of them in the first minute of an hour; every second one came.
        let dates: Vec<_> = (0..400).map(|n| at(if n < 350 { n / 6 } else { 60 + (n - 350) * 70 })).collect();
        let mut samples = Samples::default();
        samples.cut(window(0, 3600), 800.0, false, &dates);
        let first = samples.take(window(0, 3600), &Forecast::default(), fit(Order::Ascending));
        let points = dates.iter().filter(|date| first.contains(**date)).count();
        assert!((180..=250).contains(&points), "{points} in {first}");
        let last = samples.take(window(0, 3600), &Forecast::default(), fit(Order::Descending));
        let points = dates.iter().filter(|date| last.contains(**date)).count();
        assert!((180..=250).contains(&points), "{points} in {last}");
    }

    #[test]
    fn a_refused_window_is_never_asked_for_again_as_a_whole() {
        let mut samples = Samples::default();
        samples.refused(window(0, 3600), 501.0);
        let piece = samples.take(window(0, 7200), &Forecast::default(), fit(Order::Ascending));
        assert!(piece.len() <= TimeDelta::minutes(45), "{piece}");
        samples.done(piece, 480, &Forecast::default(), 400.0);
        assert!(!samples.touches(window(0, 3600)), "the rest need hold no more than 21");
    }

    proptest! {
        #[test]
        fn a_piece_is_a_part_of_the_window_at_its_starting_end(
            windows in prop::collection::vec((0..5_000_i64, 1..5_000_i64, 0..900_usize, any::<bool>()), 0..5),
            from in 0..5_000_i64,
            length in 1..9_000_i64,
            descending in any::<bool>(),
        ) {
            let mut samples = Samples::default();
            for (start, length, records, refused) in windows {
                let overfull = window(start, start + length);
                if refused {
                    samples.refused(overfull, records as f64);
                } else {
                    let dates: Vec<_> = (0..records as i64).map(|n| at(start + n * length / records as i64)).collect();
                    samples.cut(overfull, records as f64 + 100.0, false, &dates);
                }
            }
            let order = if descending { Order::Descending } else { Order::Ascending };
            let whole = window(from, from + length);
            let piece = samples.take(whole, &Forecast::default(), fit(order));
            prop_assert_eq!(piece.intersect(&whole), Some(piece));
            if descending {
                prop_assert_eq!(piece.to(), whole.to());
            } else {
                prop_assert_eq!(piece.from(), whole.from());
            }
        }
    }
}
