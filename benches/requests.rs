//! Requests used against the fewest possible, for a fresh sync: `cargo bench --bench requests`.
//!
//! The planner runs against servers in memory that all give at most 500 records, over the calls of a simulated
//! company: without campaigns, and with several a day that make more calls in a minute or two than an answer holds.
//! `-- quick` takes one world in place of five; other words choose the rows whose names contain one of them.

#![allow(clippy::unwrap_used, reason = "a benchmark stops where it is wrong")]

use cdr_sync::clock::{Clock, ManualClock};
use cdr_sync::plan::ledger::Ledger;
use cdr_sync::plan::{Mode, Next, PlanSettings, Planner};
use cdr_sync::read::evidence::Evidence;
use cdr_sync::read::request::{Reply, Request};
use cdr_sync::window::{Order, Window};
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use voicenter_simulator::{Simulator, SimulatorOptions, WorldOptions, fewest_possible};

const CALLS_PER_DAY: f64 = 3_000.0;
const MAX_WINDOW: TimeDelta = TimeDelta::days(31);
const LIMIT: usize = 500;
const CAMPAIGN_CALLS: usize = 700;
const CAMPAIGNS_PER_DAY: i64 = 4;
/// More requests than this mean that a sync does not end.
const ENDLESS: usize = 20_000;

/// What a server does with `sort`, and which records it gives when there are more than fit.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Honoured,
    OldestFirst,
    NewestFirst,
    Random,
}

#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    totals: bool,
    /// `None`: error 3 in place of a cut answer.
    sort: Option<Sort>,
    /// The most requests, as multiples of the fewest: without campaigns, and with them.
    goals: [f64; 2],
}

const fn kind(name: &'static str, totals: bool, sort: Option<Sort>, goals: [f64; 2]) -> Kind {
    Kind { name, totals, sort, goals }
}

const KINDS: [Kind; 9] = [
    kind("totals, sort honoured", true, Some(Sort::Honoured), [1.1; 2]),
    kind("totals, oldest first", true, Some(Sort::OldestFirst), [1.1; 2]),
    kind("totals, newest first", true, Some(Sort::NewestFirst), [1.1; 2]),
    kind("totals, random order", true, Some(Sort::Random), [1.8; 2]),
    kind("no totals, sort honoured", false, Some(Sort::Honoured), [1.4; 2]),
    kind("no totals, oldest first", false, Some(Sort::OldestFirst), [1.4; 2]),
    kind("no totals, newest first", false, Some(Sort::NewestFirst), [1.4; 2]),
    kind("no totals, random order", false, Some(Sort::Random), [2.5; 2]),
    kind("error 3", false, None, [2.0, 4.6]),
];

struct Api<'a> {
    kind: Kind,
    /// Ascending.
    dates: &'a [DateTime<Utc>],
    /// Which of them were given out.
    given: Vec<bool>,
    random: fastrand::Rng,
}

impl Api<'_> {
    fn answer(&mut self, ask: &Request, now: DateTime<Utc>) -> Reply {
        let first = self.dates.partition_point(|date| *date < ask.sent.from);
        let last = self.dates.partition_point(|date| *date <= ask.sent.to);
        let mut found: Vec<usize> = (first..last).collect();
        let total = found.len();
        match self.kind.sort {
            None if total > LIMIT => return Reply::TooMany { exact: true },
            Some(Sort::NewestFirst) => found.reverse(),
            Some(Sort::Honoured) if ask.order == Some(Order::Descending) => found.reverse(),
            Some(Sort::Random) => self.random.shuffle(&mut found),
            _ => {}
        }
        found.truncate(LIMIT);
        found
            .iter()
            .for_each(|index| self.given.iter_mut().skip(*index).take(1).for_each(|given| *given = true));
        let dates: Vec<_> = found.iter().filter_map(|index| self.dates.get(*index).copied()).collect();
        Reply::Answer(Evidence {
            listed: dates.len(),
            total: self.kind.totals.then_some(total as u64),
            returned: self.kind.totals.then_some(dates.len() as u64),
            dates,
            exact_bounds: true,
            server_date: Some(now),
            ..Evidence::default()
        })
    }
}

/// What a fresh sync of `[start, now)` came to.
#[derive(Default)]
struct Sync {
    records: usize,
    fewest: usize,
    used: usize,
    /// Never given out, though all of history was to be read.
    lost: usize,
    /// Not covered in the end.
    unread: TimeDelta,
}

fn sync(kind: Kind, world: &World) -> Sync {
    let World { dates, start, now } = world;
    let random = fastrand::Rng::with_seed(dates.len() as u64);
    let mut api = Api { kind, dates, given: vec![false; dates.len()], random };
    let mut planner = Planner::new(PlanSettings::default(), Mode::Pass, Ledger::new(*start), *now);
    let mut used = 0;
    while let Next::Request(ask) = planner.next(*now)
        && used < ENDLESS
    {
        used += 1;
        let reply = api.answer(&ask, *now);
        planner.absorb(&ask, &reply, *now);
    }
    let holes = planner.ledger().coverage.holes(Window::new(*start, *now).unwrap());
    Sync {
        records: dates.len(),
        fewest: fewest_possible(dates, LIMIT, MAX_WINDOW),
        used,
        lost: api.given.iter().filter(|given| !**given).count(),
        unread: holes.iter().map(Window::len).sum(),
    }
}

/// All calls of some days, ascending.
struct World {
    dates: Vec<DateTime<Utc>>,
    start: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl World {
    async fn smooth(seed: u64, days: i64) -> Self {
        let now: DateTime<Utc> = "2026-11-23T10:00:00Z".parse().unwrap();
        let start = now - TimeDelta::days(days);
        let world =
            WorldOptions { seed, calls_per_day: CALLS_PER_DAY, from: start, ..WorldOptions::default() };
        let options = SimulatorOptions { world, ..SimulatorOptions::default() };
        let simulator = Simulator::start(options, Clock::Manual(ManualClock::new(now))).await.unwrap();
        let mut dates: Vec<_> = simulator.truth(now, start, now).iter().map(|row| row.started_at).collect();
        dates.sort_unstable();
        simulator.stop().await;
        Self { dates, start, now }
    }

    /// The same with campaigns, each within a minute or two of working time.
    fn with_campaigns(&self, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut dates = self.dates.clone();
        for day in 0..(self.now - self.start).num_days() {
            for _ in 0..CAMPAIGNS_PER_DAY {
                let day = self.start + TimeDelta::days(day);
                // From 8 to 16 o'clock UTC.
                let hours = random.i64(8 * 3600..16 * 3600) - i64::from(day.num_seconds_from_midnight());
                let begin = day + TimeDelta::seconds(hours.rem_euclid(86_400));
                let length = random.i64(60..=120);
                let calls = (0..CAMPAIGN_CALLS).map(|_| begin + TimeDelta::seconds(random.i64(0..length)));
                dates.extend(calls.filter(|date| *date < self.now));
            }
        }
        dates.sort_unstable();
        Self { dates, ..*self }
    }
}

fn report(kind: Kind, worlds: &[World], traffic: &str, goal: f64) -> bool {
    let syncs: Vec<Sync> = worlds.iter().map(|world| sync(kind, world)).collect();
    let sum = |figure: fn(&Sync) -> usize| syncs.iter().map(figure).sum::<usize>();
    let (fewest, used, lost) = (sum(|sync| sync.fewest), sum(|sync| sync.used), sum(|sync| sync.lost));
    let unread: TimeDelta = syncs.iter().map(|sync| sync.unread).sum();
    let ratio = used as f64 / fewest as f64;
    let mut verdict = if ratio <= goal { "ok".to_owned() } else { "OVER".to_owned() };
    if syncs.iter().any(|sync| sync.used >= ENDLESS) {
        verdict.push_str(", ENDLESS");
    }
    if lost > 0 || !unread.is_zero() {
        verdict.push_str(&format!(", {lost} LOST, {} s unread", unread.num_seconds()));
    }
    println!(
        "{:<26}  {traffic:<9}  {:>7}  {fewest:>6}  {used:>6}  {ratio:>5.2}  {goal:>4.1}  {verdict}",
        kind.name,
        sum(|sync| sync.records)
    );
    verdict == "ok"
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (quick, wanted): (Vec<_>, Vec<_>) = words.iter().partition(|word| *word == "quick");
    let worlds: &[(u64, i64)] =
        if quick.is_empty() { &[(1, 10), (2, 10), (3, 10), (4, 30), (5, 30)] } else { &[(1, 10)] };
    let mut smooth = Vec::new();
    let mut bursts = Vec::new();
    for (seed, days) in worlds {
        let world = World::smooth(*seed, *days).await;
        bursts.push(world.with_campaigns(*seed));
        smooth.push(world);
    }
    println!(
        "fresh syncs of 10 and 30 days with {CALLS_PER_DAY} calls a day, at most {LIMIT} records an answer; \
         campaigns: {CAMPAIGNS_PER_DAY} a day of {CAMPAIGN_CALLS} calls\n"
    );
    println!("server                      traffic    records  fewest    used  ratio  goal");
    let chosen = |kind: &&Kind| wanted.is_empty() || wanted.iter().any(|word| kind.name.contains(*word));
    let mut all_met = true;
    for kind in KINDS.iter().filter(chosen) {
        let [goal, goal_with_campaigns] = kind.goals;
        all_met &= report(*kind, &smooth, "smooth", goal);
        all_met &= report(*kind, &bursts, "campaigns", goal_with_campaigns);
    }
    println!("\n{}", if all_met { "every goal is met" } else { "not every goal is met" });
}
