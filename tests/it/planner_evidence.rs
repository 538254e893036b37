//! What answers prove, case by case: servers that cut in silence, count after the cut, answer with nothing, refuse
//! ranges, refuse everything, or take too long. Each is a server that an earlier version lost calls to.

mod api_clock;
mod asked;
mod clock;
mod kept;
mod outage;
mod trouble;

use std::collections::BTreeSet;

use cdr_sync::plan::ledger::{Gap, Ledger};
use cdr_sync::plan::{Mode, Next, PlanSettings, Planner};
use cdr_sync::read::ReadingSettings;
use cdr_sync::read::evidence::Evidence;
use cdr_sync::read::partition::FilterPartition;
use cdr_sync::read::request::{GapReason, Outcome, Reason, Reply, Request};
use cdr_sync::window::coverage::Coverage;
use cdr_sync::window::{Lane, Order, Window};
use chrono::{DateTime, TimeDelta, Utc};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const NOW: i64 = 40 * DAY;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_400 + second, 0).unwrap()
}

fn second(instant: DateTime<Utc>) -> i64 {
    instant.timestamp() - 1_760_000_400
}

fn window(from: i64, to: i64) -> Window {
    Window::new(at(from), at(to)).unwrap()
}

fn planner(mode: Mode, start: i64, now: i64) -> Planner {
    Planner::new(PlanSettings::default(), mode, Ledger::new(at(start)), at(now))
}

/// Seconds at which calls started, ascending.
struct Calls(Vec<i64>);

impl Calls {
    /// One about every `apart` seconds, up to a minute before `NOW`.
    fn every(apart: i64, days: i64) -> Self {
        let from = NOW - days * DAY + 17;
        Self((0..).map(|n| from + n * apart + (n * n) % 7).take_while(|date| *date < NOW - 60).collect())
    }

    /// The indices of those in the bounds of `request`, both inclusive, in the order that it wants.
    fn found(&self, request: &Request) -> Vec<usize> {
        let (from, to) = (second(request.sent.from), second(request.sent.to));
        let mut found: Vec<usize> =
            (0..self.0.len()).filter(|index| (from..=to).contains(&self.0[*index])).collect();
        if request.order == Some(Order::Descending) {
            found.reverse();
        }
        found
    }
}

/// What came of running a planner to its end.
struct Run {
    planner: Planner,
    requests: Vec<Request>,
    outcomes: Vec<Outcome>,
    given: BTreeSet<usize>,
}

impl Run {
    /// Nothing is lost: every call was given out and stands under coverage.
    fn assert_whole(&self, calls: &Calls, from: i64) {
        let ledger = self.planner.ledger();
        assert_eq!(ledger.gaps, [], "{} requests", self.requests.len());
        for (index, date) in calls.0.iter().enumerate().filter(|(_, date)| **date >= from) {
            assert!(self.given.contains(&index), "call {index} at {date} was never given out");
        }
        let holes = ledger.coverage.holes(window(from, NOW - 120));
        assert_eq!(holes, [], "{} requests", self.requests.len());
    }
}

/// Answers: `given` are the indices of what came.
type Answered = (Reply, Vec<usize>);

fn run(mut planner: Planner, most: usize, mut server: impl FnMut(&Request, usize) -> Answered) -> Run {
    let (mut requests, mut outcomes, mut given) = (Vec::new(), Vec::new(), BTreeSet::new());
    while let Next::Request(request) = planner.next(at(NOW)) {
        assert!(requests.len() < most, "does not end: {:?}", &requests[requests.len().saturating_sub(5)..]);
        let (reply, came) = server(&request, requests.len());
        given.extend(came);
        outcomes.push(planner.absorb(&request, &reply, at(NOW)).outcome);
        requests.push(request);
    }
    Run { planner, requests, outcomes, given }
}

fn evidence(calls: &Calls, came: &[usize], total: Option<usize>) -> Reply {
    Reply::Answer(Evidence {
        dates: came.iter().map(|index| at(calls.0[*index])).collect(),
        listed: came.len(),
        total: total.map(|total| total as u64),
        returned: total.map(|_| came.len() as u64),
        second_dates: true,
        exact_bounds: true,
        server_date: Some(at(NOW)),
        ..Evidence::default()
    })
}

/// A whole answer with honest totals.
fn whole(calls: &Calls, request: &Request) -> Answered {
    let found = calls.found(request);
    (evidence(calls, &found, Some(found.len())), found)
}

#[test]
fn a_silent_cut_is_found_out_at_any_length() {
    for limit in [50, 250, 500, 730] {
        for totals_after_the_cut in [false, true] {
            let calls = Calls::every(1080, 30);
            let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 400, |request, _| {
                let mut found = calls.found(request);
                found.truncate(limit);
                (evidence(&calls, &found, totals_after_the_cut.then_some(found.len())), found)
            });
            run.assert_whole(&calls, NOW - 30 * DAY);
            assert_eq!(run.planner.ledger().profile.record_limit, Some(limit));
        }
    }
}

#[test]
fn an_account_that_is_never_cut_costs_a_handful_of_requests_more() {
    let calls = Calls::every(1080, 30);
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 20, |request, _| whole(&calls, request));
    run.assert_whole(&calls, NOW - 30 * DAY);
    assert!(run.requests.len() <= 4, "{} requests", run.requests.len());
}

#[test]
fn a_server_without_a_limit_is_not_taken_for_one_that_cuts_at_ten_thousand() {
    let calls = Calls::every(216, 30); // 12,000
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 20, |request, _| whole(&calls, request));
    run.assert_whole(&calls, NOW - 30 * DAY);
    assert!(run.requests.len() <= 4, "{} requests", run.requests.len());
}

#[test]
fn one_false_empty_answer_loses_nothing() {
    let calls = Calls::every(1080, 30);
    for lie in 0..8 {
        let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 40, |request, number| match number == lie {
            true => (evidence(&calls, &[], Some(0)), Vec::new()),
            false => whole(&calls, request),
        });
        run.assert_whole(&calls, NOW - 30 * DAY);
    }
}

#[test]
fn an_answer_made_of_other_times_is_no_answer() {
    let calls = Calls::every(1080, 30);
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 40, |request, number| {
        match (request.window.to(), number) {
            // The calls of an hour, whatever was asked for.
            (_, 1) => {
                let other: Vec<usize> = (0..4).collect();
                (evidence(&calls, &other, Some(4)), Vec::new())
            }
            _ => whole(&calls, request),
        }
    });
    run.assert_whole(&calls, NOW - 30 * DAY);
}

#[test]
fn a_server_that_takes_a_week_at_most_gives_everything_out() {
    let calls = Calls::every(1080, 30);
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 40, |request, _| {
        if request.sent.to - request.sent.from > TimeDelta::days(7) + TimeDelta::seconds(5) {
            return (Reply::Invalid { server_date: Some(at(NOW)) }, Vec::new());
        }
        whole(&calls, request)
    });
    run.assert_whole(&calls, NOW - 30 * DAY);
    assert!(run.requests.len() <= 20, "{} requests", run.requests.len());
}

#[test]
fn a_server_that_keeps_ten_days_gives_them_out_and_no_gap_opens() {
    let calls = Calls::every(1080, 30);
    let oldest = NOW - 10 * DAY - 1234;
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 80, |request, _| {
        if second(request.sent.from) < oldest {
            return (Reply::Invalid { server_date: Some(at(NOW)) }, Vec::new());
        }
        whole(&calls, request)
    });
    run.assert_whole(&calls, oldest + HOUR);
}

#[test]
fn an_end_in_the_servers_future_is_drawn_back_with_and_without_its_date() {
    let calls = Calls::every(1080, 30);
    for date in [true, false] {
        for behind in [0, 2, 20] {
            let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 60, |request, _| {
                let servers = at(NOW - behind);
                if request.sent.to > servers {
                    return (Reply::Invalid { server_date: date.then_some(servers) }, Vec::new());
                }
                whole(&calls, request)
            });
            run.assert_whole(&calls, NOW - 30 * DAY);
            assert!(run.requests.len() <= 30, "{} requests, date {date}, {behind} s", run.requests.len());
        }
    }
}

#[test]
fn a_hole_in_the_middle_that_is_always_refused_is_a_gap_of_an_hour_at_most() {
    let calls = Calls::every(1080, 30);
    let hole = NOW - 9 * DAY..NOW - 9 * DAY + 600;
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 200, |request, _| {
        if second(request.sent.from) < hole.end && hole.start <= second(request.sent.to) {
            return (Reply::Invalid { server_date: Some(at(NOW)) }, Vec::new());
        }
        whole(&calls, request)
    });
    let gaps = &run.planner.ledger().gaps;
    let length: TimeDelta = gaps.iter().map(|gap| gap.window.len()).sum();
    assert!(length > TimeDelta::zero() && length <= TimeDelta::hours(1), "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::Invalid), "{gaps:?}");
}

#[test]
fn a_burst_whose_seconds_fit_opens_no_gap() {
    // 20,000 calls within two minutes: 167 a second, and the bounds of three seconds would hold 500.
    let mut calls = Calls::every(1080, 3);
    calls.0.extend((0..20_000).map(|n| NOW - DAY + n * 120 / 20_000));
    calls.0.sort_unstable();
    let run = run(planner(Mode::Pass, NOW - 3 * DAY, NOW), 800, |request, _| {
        let found = calls.found(request);
        if found.len() > 500 {
            return (Reply::TooMany { exact: true }, Vec::new());
        }
        (evidence(&calls, &found, None), found)
    });
    run.assert_whole(&calls, NOW - 3 * DAY);
}

#[test]
fn a_second_that_no_answer_holds_is_a_gap_of_a_few_seconds() {
    let mut calls = Calls::every(1080, 3);
    calls.0.extend(std::iter::repeat_n(NOW - DAY, 250));
    calls.0.sort_unstable();
    for (single, exact) in [(true, true), (false, true), (false, false)] {
        let run = run(planner(Mode::Pass, NOW - 3 * DAY, NOW), 200, |request, _| {
            if !single && request.sent.from == request.sent.to {
                return (Reply::Failed, Vec::new());
            }
            let found = calls.found(request);
            if found.len() > 100 {
                return (Reply::TooMany { exact }, Vec::new());
            }
            (evidence(&calls, &found, None), found)
        });
        let gaps = &run.planner.ledger().gaps;
        let length: TimeDelta = gaps.iter().map(|gap| gap.window.len()).sum();
        assert!(length > TimeDelta::zero() && length <= TimeDelta::seconds(5), "{gaps:?}");
        assert!(gaps.iter().all(|gap| gap.reason == GapReason::Overloaded), "{gaps:?}");
    }
}

#[test]
fn error_3_to_everything_is_the_apis_trouble_and_opens_no_gap() {
    let calls = Calls::every(1080, 30);
    let mut planner = planner(Mode::Daemon, NOW - 30 * DAY, NOW);
    let (mut failures, mut requests) = (0, 0);
    while failures < 4 {
        let Next::Request(request) = planner.next(at(NOW)) else { break };
        requests += 1;
        let progress = planner.absorb(&request, &Reply::TooMany { exact: true }, at(NOW));
        assert_eq!(progress.gaps, []);
        failures += u32::from(progress.outcome == Outcome::Failed);
    }
    assert!(requests <= 160, "{requests} requests to find out that nothing is answered");
    // Then the API is well again.
    let mut given = BTreeSet::new();
    let mut now = at(NOW);
    for _ in 0..60 {
        match planner.next(now) {
            Next::Request(request) => {
                let (reply, came) = whole(&calls, &request);
                given.extend(came);
                planner.absorb(&request, &reply, now);
            }
            Next::Wait(until) => now = until,
            Next::Done => break,
        }
    }
    assert_eq!(planner.ledger().gaps, []);
    assert_eq!(given.len(), calls.0.len());
}

#[test]
fn error_5_to_everything_counts_as_failures_and_teaches_nothing_that_lasts() {
    let calls = Calls::every(1080, 30);
    for mode in [Mode::Daemon, Mode::Pass] {
        let mut planner = planner(mode, NOW - 30 * DAY, NOW);
        let (mut failures, mut requests, mut now) = (0, 0, at(NOW));
        while failures < 4 {
            match planner.next(now) {
                Next::Request(request) => {
                    requests += 1;
                    let progress = planner.absorb(&request, &Reply::Invalid { server_date: Some(now) }, now);
                    assert_eq!(progress.gaps, []);
                    failures += u32::from(progress.outcome == Outcome::Failed);
                }
                Next::Wait(until) => now = until,
                Next::Done => break,
            }
            assert!(requests < 300, "{requests} requests, {failures} failures");
        }
        let end = now + TimeDelta::hours(2);
        let mut given = BTreeSet::new();
        for _ in 0..2_000 {
            match planner.next(now) {
                Next::Request(request) => {
                    let (reply, came) = whole(&calls, &request);
                    given.extend(came);
                    planner.absorb(&request, &reply, now);
                }
                Next::Wait(until) if until < end => now = until,
                _ => break,
            }
        }
        // A pass may end while the newest hour is still barred; then it is not claimed.
        let settled = calls.0.iter().filter(|date| **date < NOW - HOUR || mode == Mode::Daemon).count();
        assert!(given.len() >= settled, "{mode:?}: {} of {settled}", given.len());
    }
}

#[test]
fn totals_that_count_calls_which_are_never_shown_cost_few_requests() {
    let calls = Calls::every(1080, 3);
    let hidden: Vec<i64> = calls.0.iter().step_by(40).copied().collect();
    for always_one_more in [false, true] {
        let run = run(planner(Mode::Pass, NOW - 3 * DAY, NOW), 60, |request, _| {
            let found = calls.found(request);
            let inside = |date: &&i64| (second(request.sent.from)..=second(request.sent.to)).contains(*date);
            let more = if always_one_more { 1 } else { hidden.iter().filter(inside).count() };
            (evidence(&calls, &found, Some(found.len() + more)), found)
        });
        run.assert_whole(&calls, NOW - 3 * DAY);
    }
}

#[test]
fn what_takes_too_long_is_asked_for_in_shorter_spans_which_a_restart_remembers() {
    let calls = Calls::every(1080, 30);
    let slow = |request: &Request| request.sent.to - request.sent.from > TimeDelta::days(2);
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 100, |request, _| match slow(request) {
        true => (Reply::TimedOut, Vec::new()),
        false => whole(&calls, request),
    });
    run.assert_whole(&calls, NOW - 30 * DAY);
    let mut ledger = run.planner.ledger().clone();
    ledger.coverage = Coverage::new();
    let mut again = Planner::new(PlanSettings::default(), Mode::Pass, ledger, at(NOW));
    let Next::Request(first) = again.next(at(NOW)) else { panic!("nothing to ask") };
    assert!(first.window.len() <= TimeDelta::days(5), "{first:?}");
}

#[test]
fn dates_that_trim_a_zero_second_leave_the_unit_a_second() {
    let calls = Calls::every(1080, 3);
    let run = run(planner(Mode::Pass, NOW - 3 * DAY, NOW), 60, |request, _| {
        let (reply, found) = whole(&calls, request);
        let Reply::Answer(evidence) = reply else { panic!("no answer") };
        (Reply::Answer(Evidence { minute_dates: true, ..evidence }), found)
    });
    run.assert_whole(&calls, NOW - 3 * DAY);
    assert_eq!(run.planner.ledger().profile.unit(TimeDelta::seconds(1)), TimeDelta::seconds(1));
}

#[test]
fn the_newest_minutes_do_not_wait_for_a_burst() {
    // 20,000 calls in two minutes, ten minutes ago; the API gives out 500 in order.
    let mut calls = Calls(Vec::new());
    calls.0.extend((0..20_000).map(|n| NOW - 600 + n * 120 / 20_000));
    calls.0.extend((1..10).map(|n| NOW - 300 + n * 30));
    let ledger = Ledger {
        coverage: Coverage::from_stretches([cdr_sync::window::coverage::Stretch {
            reread_age: TimeDelta::zero(),
            ..stretch(NOW - DAY, NOW - 900)
        }]),
        ..Ledger::new(at(NOW - DAY))
    };
    let mut planner = Planner::new(PlanSettings::default(), Mode::Daemon, ledger, at(NOW));
    let mut newest = None;
    // Two seconds a request, as 30 a minute allow.
    for nth in 0..60 {
        let now = NOW + nth * 2;
        let Next::Request(request) = planner.next(at(now)) else { break };
        let mut found = calls.found(&request);
        let total = found.len();
        found.truncate(500);
        planner.absorb(&request, &evidence(&calls, &found, Some(total)), at(now));
        if planner.ledger().coverage.covers(window(NOW - 300, NOW - 1)) {
            newest.get_or_insert(nth * 2);
        }
    }
    assert!(newest.is_some_and(|seconds| seconds <= 90), "{newest:?}");
}

fn stretch(from: i64, to: i64) -> cdr_sync::window::coverage::Stretch {
    let mut coverage = Coverage::new();
    coverage.claim(window(from, to), TimeDelta::zero());
    coverage.stretches()[0]
}

#[test]
fn a_gap_shrinks_by_whatever_reads_it_and_never_bars_the_newest_hours_for_long() {
    let calls = Calls::every(1080, 1);
    let gap = |from, to| Gap {
        window: window(from, to),
        reason: GapReason::Invalid,
        tries: 12,
        next_try_at: at(NOW + DAY),
    };
    // As an earlier version left them: all of history and the newest minutes in one.
    let ledger = Ledger { gaps: vec![gap(NOW - DAY, NOW)], ..Ledger::new(at(NOW - DAY)) };
    let run = run(Planner::new(PlanSettings::default(), Mode::Pass, ledger, at(NOW)), 20, |request, _| {
        whole(&calls, request)
    });
    run.assert_whole(&calls, NOW - DAY);
    assert!(
        run.requests.iter().any(|request| request.reason == Reason::Gap && request.lane == Lane::Reconcile)
    );
    assert!(run.outcomes.contains(&Outcome::Whole));
}
