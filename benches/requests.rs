//! Requests used against the fewest possible, for a fresh sync: `cargo bench --bench requests`.
//!
//! The planner runs against the records of a simulated company, without HTTP: what is counted is questions. Beside it
//! stand two plain ways: halving whatever overflows, and fixed windows of a day (halved where they overflow).

#![allow(clippy::unwrap_used, reason = "a benchmark stops where it is wrong")]

use cdr_sync::clock::{Clock, ManualClock};
use cdr_sync::simulator::{Simulator, SimulatorOptions, WorldOptions, fewest_possible};
use cdr_sync::window::ask::{Ask, Reply};
use cdr_sync::window::coverage::Coverage;
use cdr_sync::window::density::Forecast;
use cdr_sync::window::knowledge::Knowledge;
use cdr_sync::window::ledger::Ledger;
use cdr_sync::window::planner::{Mode, Next, Planner, Settings};
use cdr_sync::window::reading::ReadingSettings;
use cdr_sync::window::slice::Slice;
use cdr_sync::window::verdict::{Evidence, Limits};
use cdr_sync::window::{Order, Window};
use chrono::{DateTime, TimeDelta, Utc};

const CALLS_PER_DAY: f64 = 3_000.0;
const MAX_WINDOW: TimeDelta = TimeDelta::days(31);

struct Api<'a> {
    /// Ascending.
    dates: &'a [DateTime<Utc>],
    limit: usize,
    current: bool,
}

impl Api<'_> {
    fn within(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> &[DateTime<Utc>] {
        let first = self.dates.partition_point(|date| *date < from);
        let last = self.dates.partition_point(|date| *date <= to);
        self.dates.get(first..last).unwrap_or_default()
    }

    fn answer(&self, ask: &Ask, now: DateTime<Utc>) -> Reply {
        let found = self.within(ask.sent.from, ask.sent.to);
        let total = found.len();
        if total > self.limit && !self.current {
            return Reply::TooMany;
        }
        let mut dates = found.to_vec();
        if ask.order == Some(Order::Descending) {
            dates.reverse();
        }
        dates.truncate(self.limit);
        Reply::Answer(Evidence {
            listed: dates.len(),
            total: self.current.then_some(total as u64),
            returned: self.current.then_some(dates.len() as u64),
            dates,
            minute_dates: false,
            exact_bounds: true,
            server_date: Some(now),
        })
    }
}

/// The planner's requests for a fresh sync of `[start, now)`.
fn planned(api: &Api<'_>, start: DateTime<Utc>, now: DateTime<Utc>) -> usize {
    let settings = Settings {
        reading: ReadingSettings {
            limits: Limits { records: 10_000, round: 500, doubt_from: 100 },
            granularity: TimeDelta::seconds(1),
            min_window: TimeDelta::seconds(1),
            attempts: 3,
            slice: Slice::default(),
        },
        poll_interval: TimeDelta::seconds(60),
        newest: TimeDelta::minutes(15),
        lookback: TimeDelta::hours(3),
        lookback_every: TimeDelta::minutes(10),
        reconcile: vec![TimeDelta::days(1), TimeDelta::days(7), TimeDelta::days(30)],
        max_window: MAX_WINDOW,
        gap_grain: TimeDelta::minutes(15),
    };
    let ledger = Ledger {
        history_start: start,
        coverage: Coverage::new(),
        gaps: Vec::new(),
        rechecks: Vec::new(),
        knowledge: Knowledge::default(),
        forecast: Forecast::default(),
    };
    let mut planner = Planner::new(settings, Mode::Pass, ledger, now);
    let mut requests = 0;
    while let Next::Ask(ask) = planner.next(now) {
        requests += 1;
        let reply = api.answer(&ask, now);
        planner.absorb(&ask, &reply, now);
    }
    assert!(planner.ledger().coverage.covers(Window::new(start, now).unwrap()));
    requests
}

/// Asks for `window`; halves it while it overflows.
fn halved(api: &Api<'_>, window: Window) -> usize {
    if api.within(window.from(), window.to()).len() <= api.limit {
        return 1;
    }
    let middle = window.from() + TimeDelta::seconds(window.len().num_seconds() / 2);
    1 + halved(api, Window::new(window.from(), middle).unwrap())
        + halved(api, Window::new(middle, window.to()).unwrap())
}

fn fixed(api: &Api<'_>, start: DateTime<Utc>, now: DateTime<Utc>, length: TimeDelta) -> usize {
    let mut from = start;
    let mut requests = 0;
    while let Some(window) = Window::new(from, now.min(from + length)) {
        requests += halved(api, window);
        from = window.to();
    }
    requests
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let now: DateTime<Utc> = "2026-11-23T10:00:00Z".parse().unwrap();
    println!(
        "fresh sync at {CALLS_PER_DAY} calls a day; requests, and as a multiple of the fewest possible\n"
    );
    println!("generation  days  limit  records  fewest  cdr-sync        halving         fixed days");
    for (seed, days) in [(1, 10), (2, 10), (3, 30), (4, 90)] {
        let start = now - TimeDelta::days(days);
        let world =
            WorldOptions { seed, calls_per_day: CALLS_PER_DAY, from: start, ..WorldOptions::default() };
        let options = SimulatorOptions { world, ..SimulatorOptions::default() };
        let simulator = Simulator::start(options, Clock::Manual(ManualClock::new(now))).await.unwrap();
        let mut dates: Vec<_> = simulator.truth(now, start, now).iter().map(|row| row.started_at).collect();
        dates.sort_unstable();
        for current in [true, false] {
            for limit in [500, 10_000] {
                let api = Api { dates: &dates, limit, current };
                let fewest = fewest_possible(&dates, limit, MAX_WINDOW);
                let shown =
                    |requests: usize| format!("{requests:>5} ({:.2})", requests as f64 / fewest as f64);
                println!(
                    "{:<10}  {days:>4}  {limit:>5}  {:>7}  {fewest:>6}  {:<14}  {:<14}  {}",
                    if current { "current" } else { "v0.1" },
                    dates.len(),
                    shown(planned(&api, start, now)),
                    shown(fixed(&api, start, now, MAX_WINDOW)),
                    shown(fixed(&api, start, now, TimeDelta::days(1))),
                );
            }
        }
        simulator.stop().await;
    }
}
