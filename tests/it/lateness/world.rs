//! A world of late calls, and the planner's years in it: no database, no request, time as planned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cdr_sync::plan::ledger::Ledger;
use cdr_sync::plan::{Mode, Next, PlanSettings, Planner};
use cdr_sync::read::evidence::Evidence;
use cdr_sync::read::request::Reply;
use cdr_sync::store::commit::Claim;
use cdr_sync::store::lateness::{HourEvidence, KEPT_HOURS, missed_a_read};
use cdr_sync::window::coverage::Coverage;
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use crate::support::dates::{days, instant, minutes, window};

const HOUR: i64 = 3_600;

/// How late the calls of a server appear: shares, each up to so many minutes after their end.
#[derive(Clone, Copy)]
pub struct Server {
    pub steps: &'static [(f64, i64)],
}

impl Server {
    /// Seconds from the end of a call until it appears.
    fn lateness(self, rng: &mut Rng) -> i64 {
        let chance: f64 = rng.f64();
        let step = self.steps.iter().position(|(share, _)| chance < *share).unwrap_or(self.steps.len() - 1);
        let from = step.checked_sub(1).map_or(0, |before| self.steps[before].1);
        rng.i64(from * 60..=self.steps[step].1 * 60)
    }
}

struct Call {
    at: i64,
    appears: i64,
    is_seen: bool,
}

/// What came of it.
pub struct Year {
    /// Hours that have calls and were read at every age.
    pub hours: usize,
    /// Hours with calls that were called settled, and those of them before the last re-read age.
    pub settled: usize,
    pub settled_early: usize,
    /// Those that got a call afterwards.
    pub changed: usize,
    /// Hours that got a call after they had been read at the age of a day.
    pub would_change_after_a_day: usize,
    /// What was learned in the end, and when it was first less than the last age.
    pub settled_after: TimeDelta,
    pub learned_on: Option<i64>,
}

impl fmt::Display for Year {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} settled hours changed afterwards ({:.4} %), {} settled before the last age; after a day {} of {} \
             would have changed; settled after {} h, first learned on day {:?}",
            self.changed,
            self.settled,
            100.0 * self.changed as f64 / self.settled.max(1) as f64,
            self.settled_early,
            self.would_change_after_a_day,
            self.hours,
            self.settled_after.num_hours(),
            self.learned_on
        )
    }
}

/// The tables of migration 0010, in memory.
struct Learned {
    ages: Vec<TimeDelta>,
    followed_from: i64,
    counted_until: i64,
    late: BTreeMap<i64, TimeDelta>,
    missed: BTreeSet<i64>,
    counted: Vec<TimeDelta>,
    settled_after: TimeDelta,
}

impl Learned {
    fn decide(&mut self) {
        let kept = self.counted.len().saturating_sub(KEPT_HOURS as usize);
        self.counted.drain(..kept);
        let mut evidence = HourEvidence { followed: self.counted.len() as u64, ..HourEvidence::default() };
        let pending = self.late.iter().filter(|(hour, _)| !self.missed.contains(hour)).map(|(_, age)| age);
        for age in self.counted.iter().chain(pending).filter(|age| !age.is_zero()) {
            *evidence.changed.entry(*age).or_default() += 1;
        }
        self.settled_after = evidence.settled_after(&self.ages).unwrap();
    }
}

fn base() -> DateTime<Utc> {
    instant("2025-01-05T00:00:00Z")
}

fn at(second: i64) -> DateTime<Utc> {
    base() + TimeDelta::seconds(second)
}

fn second(instant: DateTime<Utc>) -> i64 {
    (instant - base()).num_seconds()
}

fn age_at(coverage: &Coverage, instant: DateTime<Utc>) -> Option<TimeDelta> {
    coverage.stretches().iter().find(|stretch| stretch.window.contains(instant)).map(|s| s.reread_age)
}

/// The age at which all of an hour was read.
fn age_of_hour(coverage: &Coverage, hour: i64) -> Option<TimeDelta> {
    let hour = window(at(hour * HOUR), at((hour + 1) * HOUR));
    let inside = coverage.stretches().iter().filter(|stretch| stretch.window.intersect(&hour).is_some());
    coverage.covers(hour).then(|| inside.map(|stretch| stretch.reread_age).min()).flatten()
}

impl Year {
    pub fn of(server: Server, calls_an_hour: f64, length: i64, seed: u64) -> Self {
        Self::changing(server, length, server, calls_an_hour, length, seed)
    }

    /// From day `from` on, the server is another one.
    pub fn changing(
        before: Server,
        from: i64,
        after: Server,
        calls_an_hour: f64,
        length: i64,
        seed: u64,
    ) -> Self {
        let mut world = calls(before, from, after, calls_an_hour, length, seed);
        // Polls are rarer than the daemon's, to be done in time: that changes nothing beyond the lookback.
        let settings = PlanSettings {
            poll_interval: minutes(30),
            lookback_every: minutes(30),
            ..PlanSettings::default()
        };
        let ages: Vec<TimeDelta> = settings.ages().collect();
        let last = *ages.last().unwrap();
        let mut planner = Planner::new(settings, Mode::Daemon, Ledger::new(base()), at(60));
        let mut learned = Learned {
            ages,
            followed_from: 1,
            counted_until: 1,
            late: BTreeMap::new(),
            missed: BTreeSet::new(),
            counted: Vec::new(),
            settled_after: last,
        };
        let (mut now, mut uncalled) = (60, BTreeSet::<i64>::new());
        let (mut called, mut changed, mut after_a_day) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut settled_early, mut learned_on, mut hours) = (0, None, 0);
        while now < second(base() + days(length)) {
            let request = match planner.next(at(now)) {
                Next::Request(request) => request,
                Next::Wait(until) => {
                    now = second(until).max(now + 1);
                    continue;
                }
                Next::Done => panic!("a daemon is never done"),
            };
            let (from, to) = (second(request.sent.from), second(request.sent.to));
            let mut dates = Vec::new();
            let mut fresh = Vec::new();
            let hours_asked = from.div_euclid(HOUR).max(0)..=to.div_euclid(HOUR).min(world.len() as i64 - 1);
            for calls in hours_asked.map(|hour| hour as usize) {
                for call in world[calls].iter_mut().filter(|c| from <= c.at && c.at <= to && c.appears <= now)
                {
                    dates.push(at(call.at));
                    if !std::mem::replace(&mut call.is_seen, true) {
                        fresh.push(call.at);
                    }
                }
            }
            let listed = dates.len();
            let evidence = Evidence {
                dates,
                listed,
                total: Some(listed as u64),
                returned: Some(listed as u64),
                minute_dates: false,
                second_dates: true,
                exact_bounds: true,
                server_date: Some(at(now)),
            };
            let before = planner.ledger().coverage.clone();
            let mut is_too_late = false;
            for call in fresh {
                let hour = call.div_euclid(HOUR);
                if !called.contains(&hour) {
                    uncalled.insert(hour);
                }
                let Some(age) = age_at(&before, at(call)).filter(|age| !age.is_zero()) else { continue };
                if called.contains(&hour) {
                    changed.insert(hour);
                }
                if hour < learned.followed_from {
                    continue;
                }
                if age >= days(1) {
                    after_a_day.insert(hour);
                }
                let known = learned.late.entry(hour).or_default();
                *known = (*known).max(age);
                is_too_late |= age >= learned.settled_after;
            }
            let change = planner.absorb(&request, &Reply::Answer(evidence), at(now));
            let claims: Vec<Claim> = change
                .claims
                .iter()
                .map(|claim| Claim {
                    window: claim.window,
                    reread_age: claim.reread_age,
                    lacking: claim.lacking,
                    read_at: at(now),
                    may_mark: false,
                })
                .collect();
            for missed in missed_a_read(&before, &claims, &learned.ages) {
                learned.missed.extend(
                    second(missed.from()).div_euclid(HOUR)..=(second(missed.to()) - 1).div_euclid(HOUR),
                );
            }
            if is_too_late {
                learned.decide();
            }
            let coverage = &planner.ledger().coverage;
            let counted = learned.counted_until;
            if claims.iter().any(|claim| claim.reread_age >= last) {
                while age_of_hour(coverage, learned.counted_until).is_some_and(|age| age >= last) {
                    let hour = learned.counted_until;
                    let age = learned.late.remove(&hour).unwrap_or_default();
                    if !learned.missed.remove(&hour) && world[hour as usize].iter().any(|call| call.is_seen) {
                        learned.counted.push(age);
                        hours += 1;
                    }
                    learned.counted_until += 1;
                }
            }
            let after_before = learned.settled_after;
            if learned.counted_until > counted {
                learned.decide();
                if learned.settled_after < last {
                    learned_on.get_or_insert(now / (24 * HOUR));
                }
            }
            // What has been read at that age just now, or all when a lower one was learned.
            let read = claims.iter().filter(|claim| claim.reread_age >= learned.settled_after);
            let mut candidates: Vec<i64> = read
                .flat_map(|claim| {
                    second(claim.window.from()).div_euclid(HOUR)..=second(claim.window.to()) / HOUR
                })
                .filter(|hour| uncalled.contains(hour))
                .collect();
            if learned.settled_after < after_before {
                candidates = uncalled.iter().copied().collect();
            }
            for hour in candidates {
                if let Some(age) = age_of_hour(coverage, hour).filter(|age| *age >= learned.settled_after) {
                    uncalled.remove(&hour);
                    settled_early += usize::from(called.insert(hour) && age < last);
                }
            }
            now += 2;
        }
        Self {
            hours,
            settled: called.len(),
            settled_early,
            changed: changed.len(),
            would_change_after_a_day: after_a_day.len(),
            settled_after: learned.settled_after,
            learned_on,
        }
    }
}

/// Calls by the hour in which they start: most of them by day, a few at night; one in a hundred lasts for up to two
/// hours.
fn calls(before: Server, from: i64, after: Server, an_hour: f64, length: i64, seed: u64) -> Vec<Vec<Call>> {
    let mut rng = Rng::with_seed(seed);
    let mut hours = Vec::new();
    for hour in 0..length * 24 {
        let share = if (6..19).contains(&(hour % 24)) { 1.0 } else { 0.1 };
        let most = 2.0 * an_hour * share;
        let count = (rng.f64() * most + rng.f64()).floor() as usize;
        let server = if hour / 24 < from { before } else { after };
        let mut calls: Vec<Call> = (0..count)
            .map(|_| {
                let at = hour * HOUR + rng.i64(0..HOUR);
                let is_long = rng.u8(0..100) == 0;
                let talk = if is_long { rng.i64(600..7_200) } else { rng.i64(5..600) };
                Call { at, appears: at + talk + server.lateness(&mut rng), is_seen: false }
            })
            .collect();
        calls.sort_by_key(|call| call.at);
        hours.push(calls);
    }
    hours
}
