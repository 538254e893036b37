//! Clocks of the API (its `Date`) that are behind or stand still, at one of its nodes or at all: nothing newer is claimed,
//! nothing is given up in silence, and nothing is asked for without end.

use super::*;

/// An answer whose `Date` is `date`, with the calls up to `now`.
fn dated(calls: &Calls, request: &Request, now: i64, date: i64) -> Reply {
    let mut found = calls.found(request);
    found.retain(|index| calls.0[*index] <= now);
    let Reply::Answer(evidence) = evidence(calls, &found, Some(found.len())) else { return Reply::Failed };
    Reply::Answer(Evidence { server_date: Some(at(date)), ..evidence })
}

#[test]
fn a_span_that_reaches_past_the_apis_clock_is_not_asked_for_without_end_and_the_pass_says_so() {
    let calls = Calls::every(300, 3);
    for behind in [1_000, 2 * HOUR + 7, 5 * DAY] {
        let mut planner = planner(Mode::Asked, NOW - 3 * DAY, NOW);
        planner.ask_for(window(NOW - 2 * DAY, NOW));
        let run = run(planner, 8, |request, _| (dated(&calls, request, NOW, NOW - behind), Vec::new()));
        assert_eq!(run.planner.behind(), Some(at(NOW - behind)), "{} requests", run.requests.len());
    }
}

#[test]
fn what_one_nodes_clock_left_unread_is_not_forgotten_for_the_right_clock_of_another() {
    let calls = Calls::every(300, 3);
    let spans = [window(NOW - DAY, NOW - HOUR), window(NOW - 3 * DAY, NOW - 2 * DAY)];
    // How many answers of the newer span come from the node that is behind, and whether all is read in the end.
    for (bad, complete) in [(1, true), (100, false)] {
        let mut planner = planner(Mode::Asked, NOW - 3 * DAY, NOW);
        for span in spans {
            planner.ask_for(span);
        }
        let mut left = bad;
        let run = run(planner, 20, |request, _| {
            let recent = request.sent.to > at(NOW - DAY);
            let is_behind = recent && left > 0;
            left -= i32::from(is_behind);
            (dated(&calls, request, NOW, if is_behind { NOW - 2 * HOUR } else { NOW }), Vec::new())
        });
        let read = run.planner.ledger().coverage.covers(spans[0]);
        assert_eq!(read, complete, "{} requests", run.requests.len());
        assert_eq!(run.planner.behind().is_none(), complete, "{} requests", run.requests.len());
    }
}

#[test]
fn a_daemon_asks_for_what_lies_past_the_apis_clock_at_polls_at_most_until_it_was_read() {
    let calls = Calls::every(300, 3);
    let span = window(NOW - DAY, NOW - 60);
    let heals = NOW + 6 * HOUR;
    let mut coverage = Coverage::new();
    coverage.claim(window(NOW - 2 * DAY, NOW - 60), TimeDelta::zero());
    let mut planner = Planner::new(
        PlanSettings::default(),
        Mode::Daemon,
        Ledger { coverage, ..Ledger::new(at(NOW - 2 * DAY)) },
        at(NOW),
    );
    planner.ask_for(span);
    let (mut now, mut requests, mut finished_at) = (NOW, 0, None);
    let mut read = Coverage::new();
    while now < heals + HOUR && finished_at.is_none() {
        match planner.next(at(now)) {
            Next::Request(request) => {
                requests += i64::from(request.lane == Lane::Asked);
                let date = if now < heals { NOW - 2 * HOUR } else { now };
                let progress = planner.absorb(&request, &dated(&calls, &request, now, date), at(now));
                progress.claims.iter().for_each(|claim| read.claim(claim.window, TimeDelta::zero()));
                finished_at = progress.finished.map(|_| now);
                now += 2;
            }
            Next::Wait(until) => now = second(until),
            Next::Done => break,
        }
    }
    assert!(finished_at.is_some_and(|at| at >= heals && at <= heals + 900), "{finished_at:?}");
    assert_eq!(read.holes(window(NOW - DAY, NOW - 900)), []);
    assert!(requests <= 6 * 60 + 10, "{requests} requests of the lane within 6 hours");
}

/// Runs a daemon for `days`, whose history was read when they began; `date` gives the `Date` of the answer to a request
/// of that number. Returns each call's reads, and how many re-reads by age were asked for.
fn daemon(days: i64, date: impl Fn(i64, i64) -> i64) -> (Calls, Vec<Vec<i64>>, usize) {
    let (from, until) = (NOW - 9 * DAY, NOW + days * DAY);
    let calls = Calls((from..until).step_by(4_000).collect());
    let mut reads = vec![Vec::new(); calls.0.len()];
    let mut coverage = Coverage::new();
    coverage.claim(window(from, NOW), TimeDelta::zero());
    coverage.claim(window(from, NOW - DAY), TimeDelta::days(1));
    coverage.claim(window(from, NOW - 7 * DAY), TimeDelta::days(7));
    let settings = PlanSettings { poll_interval: TimeDelta::minutes(5), ..PlanSettings::default() };
    let ledger = Ledger { coverage, ..Ledger::new(at(from)) };
    let mut planner = Planner::new(settings, Mode::Daemon, ledger, at(NOW));
    let (mut now, mut number, mut rereads) = (NOW, 0, 0);
    while now < until {
        match planner.next(at(now)) {
            Next::Request(request) => {
                number += 1;
                rereads += usize::from(request.reason == Reason::Reconcile);
                let date = date(number, now);
                calls.found(&request).iter().filter(|index| calls.0[**index] <= now).for_each(|index| {
                    // What a node shows is as old as its clock says.
                    reads[*index].push(date.min(now));
                });
                planner.absorb(&request, &dated(&calls, &request, now, date), at(now));
                now += 2;
            }
            Next::Wait(until) => now = second(until),
            Next::Done => break,
        }
    }
    (calls, reads, rereads)
}

/// Every call was shown at each age, an hour and a half later than that age may take at most, and `late` by the API's clock.
fn assert_read_at_every_age(calls: &Calls, reads: &[Vec<i64>], until: i64, late: i64) {
    for (date, reads) in calls.0.iter().zip(reads) {
        for age in [DAY, 7 * DAY] {
            let (reached, latest) = (date + age, date + age + age / 24 + 5_400);
            let due = reached >= NOW && latest + late <= until;
            let in_time = reads.iter().any(|read| (reached..=latest).contains(read));
            assert!(!due || in_time, "{} at {age}: {reads:?}", date - NOW);
        }
    }
}

#[test]
fn a_node_whose_clock_stands_still_keeps_no_re_read_by_age_from_the_others() {
    let (.., right) = daemon(10, |_, now| now);
    for nodes in [2, 3, 10] {
        // By number, and by what looks like chance.
        for chance in [false, true] {
            let (calls, reads, rereads) = daemon(10, |number, now| {
                let number = if chance { (number * 7_919) % 104_729 / 13 } else { number };
                if number % nodes == 0 { NOW - HOUR } else { now }
            });
            println!("one of {nodes}, chance {chance}: {rereads} re-reads");
            assert_read_at_every_age(&calls, &reads, NOW + 10 * DAY, 0);
            assert!(rereads <= right * 5, "{rereads} re-reads by age, {right} where the clock is right");
        }
    }
}

#[test]
fn an_api_that_is_hours_behind_is_asked_for_re_reads_as_frequently_as_one_that_is_not() {
    let (.., right) = daemon(10, |_, now| now);
    for behind in [HOUR, 5 * HOUR, 30 * HOUR] {
        let (calls, reads, rereads) = daemon(10, |_, now| now - behind);
        println!("{behind} s behind: {rereads} re-reads, {right} of one that is right");
        assert_read_at_every_age(&calls, &reads, NOW + 10 * DAY, behind);
        assert!(rereads <= right * 2 + 5, "{rereads} re-reads by age, {right} where the clock is right");
    }
    let (.., stuck) = daemon(10, |_, now| now.min(NOW + DAY));
    assert!(stuck <= right, "{stuck} re-reads by age, {right} where the clock is right");
}

#[test]
fn re_reads_that_a_clock_set_back_leaves_unserved_are_asked_for_at_intervals() {
    // All nodes fall behind by a day after two days: what was due by the clock before is not served for a day.
    let (calls, reads, rereads) = daemon(6, |_, now| if now < NOW + 2 * DAY { now } else { now - DAY });
    let (.., right) = daemon(6, |_, now| now);
    println!("{rereads} re-reads, {right} of one that is right");
    assert_read_at_every_age(&calls, &reads, NOW + 6 * DAY, DAY);
    assert!(
        rereads <= right + 3 * 24 * 6 + 20,
        "{rereads} re-reads by age, {right} where the clock is right"
    );
}

#[test]
fn a_pass_ends_where_one_nodes_clock_leaves_re_reads_unserved() {
    let calls = Calls::every(1080, 9);
    let mut coverage = Coverage::new();
    coverage.claim(window(NOW - 9 * DAY, NOW), TimeDelta::zero());
    // Polls come from a node whose clock is right, re-reads from one whose clock stands still.
    for stuck in [1, 100] {
        let ledger = Ledger { coverage: coverage.clone(), ..Ledger::new(at(NOW - 9 * DAY)) };
        let planner = Planner::new(PlanSettings::default(), Mode::Pass, ledger, at(NOW));
        let mut left = stuck;
        let run = run(planner, 40, |request, _| {
            let is_behind = request.reason == Reason::Reconcile && left > 0;
            left -= i32::from(is_behind);
            (dated(&calls, request, NOW, if is_behind { NOW - 20 * DAY } else { NOW }), Vec::new())
        });
        let oldest = run.planner.ledger().coverage.stretches()[0];
        assert_eq!(oldest.reread_age == TimeDelta::days(7), stuck == 1, "{oldest:?}");
        assert_eq!(run.planner.behind().is_none(), stuck == 1);
    }
}
