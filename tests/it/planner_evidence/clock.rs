//! Hosts' clocks that are ahead for a time: what they claim too early must not keep changes from being seen.

use cdr_sync::window::coverage::Stretch;

use super::*;

const AGES: [i64; 4] = [3 * HOUR, DAY, 7 * DAY, 30 * DAY];

/// Calls, and when each was given out, by the true clock.
struct World {
    calls: Calls,
    reads: Vec<Vec<i64>>,
    /// Answers carry a `Date`.
    dates: bool,
    /// What a database would hold of coverage.
    stored: Coverage,
}

impl World {
    fn new(from: i64, until: i64, dates: bool) -> Self {
        let calls = Calls((from..until).step_by(4_000).collect());
        let reads = vec![Vec::new(); calls.0.len()];
        Self { calls, reads, dates, stored: Coverage::new() }
    }

    /// Runs from one true second to another, by a clock that is ahead by `fast`.
    fn run(&mut self, planner: &mut Planner, from: i64, until: i64, fast: i64) {
        let mut now = from;
        while now < until {
            match planner.next(at(now + fast)) {
                Next::Request(request) => {
                    let mut found = self.calls.found(&request);
                    found.retain(|index| self.calls.0[*index] <= now);
                    for index in &found {
                        self.reads[*index].push(now);
                    }
                    let Reply::Answer(evidence) = evidence(&self.calls, &found, Some(found.len())) else {
                        return;
                    };
                    let server_date = self.dates.then(|| at(now));
                    let reply = Reply::Answer(Evidence { server_date, ..evidence });
                    let progress = planner.absorb(&request, &reply, at(now + fast));
                    self.store(&progress.lowered, &progress.claims, &progress.uncover);
                    now += 2;
                }
                Next::Wait(until) => now = second(until) - fast,
                Next::Done => return,
            }
        }
        assert_eq!(self.stored, planner.ledger().coverage, "the database knows what the planner knows");
    }

    fn store(&mut self, lowered: &[Stretch], claims: &[Stretch], uncover: &[Window]) {
        lowered.iter().for_each(|stretch| self.stored.lower(stretch.window, stretch.reread_age));
        claims.iter().for_each(|stretch| {
            self.stored.claim_lacking(stretch.window, stretch.reread_age, stretch.lacking)
        });
        uncover.iter().for_each(|window| self.stored.uncover(*window));
    }

    /// Every change at an age, made before it, was read at that age by `until`, or as soon as the clock was right again.
    fn assert_read_at_every_age(&self, right_again: i64, until: i64) {
        for (date, reads) in self.calls.0.iter().zip(&self.reads) {
            for age in AGES {
                let reached = date + age;
                let slack = (age / 24).clamp(30 * 60, 12 * HOUR) + 2 * HOUR;
                let latest = reached.max(right_again) + slack;
                let in_time = reads.iter().any(|read| (reached..=latest).contains(read));
                assert!(
                    latest > until || in_time,
                    "{date} at {age}: {:?}",
                    reads.iter().rev().take(9).collect::<Vec<_>>()
                );
            }
        }
    }
}

fn settings() -> PlanSettings {
    PlanSettings { poll_interval: TimeDelta::minutes(20), ..PlanSettings::default() }
}

#[test]
fn what_a_clock_forty_days_ahead_claimed_is_read_again_at_its_ages() {
    let clocks = [
        (40 * DAY, 2, false, false),
        (40 * DAY, 9, false, true),
        (40 * DAY, 2, true, false),
        (5 * HOUR, 1, false, true),
    ];
    for (fast, days, dates, restarts) in clocks {
        let start = NOW - 40 * DAY;
        let right_again = NOW + (1 + days) * DAY;
        let until = right_again + 9 * DAY;
        let mut world = World::new(start, until, dates);
        let mut planner = Planner::new(settings(), Mode::Daemon, Ledger::new(at(start)), at(NOW));
        world.run(&mut planner, NOW, NOW + DAY, 0);
        world.run(&mut planner, NOW + DAY, right_again, fast);
        if restarts {
            let ledger = Ledger { coverage: world.stored.clone(), ..planner.ledger().clone() };
            planner = Planner::new(settings(), Mode::Daemon, ledger, at(right_again));
        }
        world.run(&mut planner, right_again, until, 0);
        println!("{fast} s ahead for {days} days, Date {dates}, restarts {restarts}");
        world.assert_read_at_every_age(right_again, until);
    }
}

#[test]
fn a_restart_believes_no_age_that_a_right_clock_cannot_have_claimed() {
    let mut coverage = Coverage::new();
    coverage.claim(window(NOW - 60 * DAY, NOW - 20 * DAY), TimeDelta::days(30));
    coverage.claim(window(NOW - 20 * DAY, NOW), TimeDelta::zero());
    let ledger = Ledger { coverage, ..Ledger::new(at(NOW - 60 * DAY)) };
    let planner = Planner::new(settings(), Mode::Daemon, ledger, at(NOW));
    let coverage = &planner.ledger().coverage;
    assert!(coverage.covers(window(NOW - 60 * DAY, NOW)), "what was read stays read");
    for stretch in coverage.stretches() {
        assert!(stretch.window.to() + stretch.reread_age <= at(NOW), "{stretch:?}");
    }
    let old = coverage.stretches().first().map(|stretch| (stretch.window, stretch.reread_age));
    assert_eq!(old, Some((window(NOW - 60 * DAY, NOW - 40 * DAY), TimeDelta::days(30))));
}

#[test]
fn a_restart_by_a_right_clock_takes_nothing_back() {
    let start = NOW - 40 * DAY;
    let mut world = World::new(start, NOW + 3 * DAY, true);
    let mut planner = Planner::new(settings(), Mode::Daemon, Ledger::new(at(start)), at(NOW));
    for hours in 0..60 {
        let (from, until) = (NOW + hours * HOUR, NOW + (hours + 1) * HOUR);
        world.run(&mut planner, from, until, 0);
        let again = Planner::new(settings(), Mode::Daemon, planner.ledger().clone(), at(until));
        assert_eq!(again.ledger().coverage, planner.ledger().coverage);
        planner = again;
    }
}

#[test]
fn an_age_is_served_by_the_clock_of_the_api_where_ours_is_ahead() {
    // Ours is an hour ahead from the first request on; the API says what time it is.
    let start = NOW - 3 * DAY;
    let mut world = World::new(start, NOW + 3 * DAY, true);
    let mut planner = Planner::new(settings(), Mode::Daemon, Ledger::new(at(start)), at(NOW + HOUR));
    world.run(&mut planner, NOW, NOW + 2 * DAY, HOUR);
    for stretch in planner.ledger().coverage.stretches() {
        assert!(stretch.window.to() + stretch.reread_age <= at(NOW + 2 * DAY), "{stretch:?}");
    }
    world.assert_read_at_every_age(NOW, NOW + 2 * DAY);
    let most = world.reads.iter().map(Vec::len).max().unwrap_or_default();
    assert!(most <= 40, "a call was read {most} times");
}

#[test]
fn a_page_that_an_outage_left_unproven_is_claimed_at_the_age_it_was_shown_at() {
    // The second page comes two days after the first.
    let calls = Calls::every(1080, 3);
    let mut planner = planner(Mode::Pass, NOW - 3 * DAY, NOW);
    let mut now = NOW;
    for nth in 0..40 {
        let Next::Request(request) = planner.next(at(now)) else { break };
        let mut found = calls.found(&request);
        let total = found.len();
        found.truncate(100);
        if request.lane == Lane::Backfill && nth == 1 {
            planner.absorb(&request, &Reply::Unreachable, at(now));
            now += 2 * DAY;
            continue;
        }
        planner.absorb(&request, &evidence(&calls, &found, Some(total)), at(now));
        if nth > 1 && request.lane == Lane::Backfill {
            break;
        }
    }
    let newest = planner
        .ledger()
        .coverage
        .stretches()
        .iter()
        .find(|stretch| stretch.window.contains(at(NOW - 2 * HOUR)));
    assert_eq!(
        newest.map(|stretch| stretch.reread_age),
        Some(TimeDelta::zero()),
        "shown when it was two hours old"
    );
}
