//! What trouble and lies leave behind, each drawn by `tests/servers` first: it must neither be believed for good nor
//! cost requests without end.

use super::*;

/// Runs a daemon from `now` for `hours`; the requests used besides polls. `server` is given the second of the request.
fn watch(planner: &mut Planner, hours: i64, mut server: impl FnMut(&Request, i64) -> Reply) -> usize {
    let (mut now, mut requests) = (NOW, 0);
    while now < NOW + hours * HOUR {
        match planner.next(at(now)) {
            Next::Request(request) => {
                let reply = server(&request, now);
                planner.absorb(&request, &reply, at(now));
                requests += usize::from(request.lane != Lane::Live);
                now += 2;
            }
            Next::Wait(until) => now = second(until),
            Next::Done => break,
        }
    }
    requests
}

fn refused() -> Answered {
    (Reply::Invalid { server_date: Some(at(NOW)) }, Vec::new())
}

#[test]
fn lengths_blamed_while_every_range_was_refused_are_forgotten_with_the_first_answer() {
    let calls = Calls::every(1080, 30);
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 120, |request, number| match number {
        ..40 => refused(),
        _ if request.sent.len() > TimeDelta::days(7) => refused(),
        _ => whole(&calls, request),
    });
    // A pass may end while the newest hour is still barred; then it is not claimed.
    let settled = calls.0.iter().filter(|date| **date < NOW - HOUR).count();
    assert!(run.given.len() >= settled, "{} of {settled}", run.given.len());
}

#[test]
fn totals_that_come_and_go_do_not_hide_that_pages_are_sorted_after_the_cut() {
    let calls = Calls::every(1080, 30);
    let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 150, |request, number| {
        let (mut found, total) = (calls.found(request), calls.found(request).len());
        found.sort_unstable();
        found.truncate(250);
        found.reverse();
        (evidence(&calls, &found, number.is_multiple_of(2).then_some(total)), found)
    });
    run.assert_whole(&calls, NOW - 30 * DAY);
}

#[test]
fn refusals_that_were_trouble_do_not_excuse_a_silent_cut() {
    let calls = Calls::every(1080, 30);
    let mut planner = planner(Mode::Pass, NOW - 30 * DAY, NOW);
    let mut given = BTreeSet::<usize>::new();
    for nth in 0..300 {
        let Next::Request(request) = planner.next(at(NOW)) else { break };
        let mut found = calls.found(&request);
        found.truncate(730);
        let reply = match nth {
            ..12 => Reply::TooMany { exact: true },
            _ => {
                given.extend(&found);
                evidence(&calls, &found, None)
            }
        };
        for claim in planner.absorb(&request, &reply, at(NOW)).claims {
            let inside = |index: &usize| claim.window.contains(at(calls.0[*index]));
            let unread = (0..calls.0.len()).filter(inside).find(|index| !given.contains(index));
            assert_eq!(unread, None, "claimed by request {nth}");
        }
    }
    assert_eq!(given.len(), calls.0.len());
}

#[test]
fn a_second_that_holds_a_call_that_is_never_shown_ends_as_a_gap() {
    // 26 calls a second for a minute, and one that is counted but never given out: neither slices nor a wider question
    // show it.
    let mut calls = Calls::every(1080, 2);
    calls.0.extend((0..26 * 60).map(|n| NOW - DAY + n / 26));
    calls.0.sort_unstable();
    let hidden = NOW - DAY + 30;
    let settings = PlanSettings::default();
    let slice = FilterPartition { cdr_types: vec![1, 4], ..FilterPartition::default() };
    let settings =
        PlanSettings { reading: ReadingSettings { partition: slice, ..settings.reading }, ..settings };
    let planner = Planner::new(settings, Mode::Pass, Ledger::new(at(NOW - 2 * DAY)), at(NOW));
    let run = run(planner, 400, |request, _| {
        let mut found = calls.found(request);
        if let Some(slice) = &request.partition {
            found.retain(|index| slice.cdr_types.contains(&if index % 2 == 0 { 1 } else { 4 }));
        }
        let hides = (second(request.sent.from)..=second(request.sent.to)).contains(&hidden)
            && request.partition.is_none();
        let total = found.len() + usize::from(hides);
        found.truncate(100);
        (evidence(&calls, &found, Some(total)), found)
    });
    let gaps = &run.planner.ledger().gaps;
    let length: TimeDelta = gaps.iter().map(|gap| gap.window.len()).sum();
    assert!(length <= TimeDelta::hours(2), "{gaps:?}");
    for (index, date) in calls.0.iter().enumerate() {
        let in_gap = gaps.iter().any(|gap| gap.window.contains(at(*date)));
        assert!(in_gap || run.given.contains(&index), "call {index} at {date}");
    }
}

#[test]
fn a_page_of_far_fewer_calls_than_usual_is_read_again() {
    // Sorted and cut at 250, without totals; one page is drawn from a tenth of the calls.
    let calls = Calls::every(216, 30);
    for lie in 8..12 {
        let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 150, |request, number| {
            let mut found = calls.found(request);
            if number == lie && found.len() > 5_000 {
                found = found.into_iter().step_by(10).collect();
            }
            found.truncate(250);
            (evidence(&calls, &found, None), found)
        });
        run.assert_whole(&calls, NOW - 30 * DAY);
    }
}

#[test]
fn a_total_announced_for_a_refuted_page_is_not_forgotten() {
    // The first page announces what there is; then a tenth is given out for a while, with numbers that agree.
    let calls = Calls::every(1080, 7);
    let run = run(planner(Mode::Pass, NOW - 7 * DAY, NOW), 100, |request, number| {
        let mut found = calls.found(request);
        if (1..8).contains(&number) {
            found = found.into_iter().step_by(10).collect();
        }
        let total = found.len();
        found.truncate(100);
        (evidence(&calls, &found, Some(total)), found)
    });
    let ledger = run.planner.ledger();
    for (index, date) in calls.0.iter().enumerate().filter(|(index, _)| !run.given.contains(index)) {
        let in_gap = ledger.gaps.iter().any(|gap| gap.window.contains(at(*date)));
        assert!(in_gap, "call {index} at {date} is neither given out nor in a gap: {:?}", ledger.gaps);
    }
}

#[test]
fn an_empty_answer_inside_one_in_doubt_is_confirmed_as_well() {
    let calls = Calls::every(1080, 30);
    for lie in 1..6 {
        let run = run(planner(Mode::Pass, NOW - 30 * DAY, NOW), 200, |request, number| {
            let mut found = calls.found(request);
            found.truncate(if number == lie { 0 } else { 120 });
            (evidence(&calls, &found, None), found)
        });
        run.assert_whole(&calls, NOW - 30 * DAY);
    }
}

#[test]
fn a_question_around_a_full_second_is_no_longer_than_the_api_accepts() {
    let mut calls = Calls::every(1080, 3);
    calls.0.extend(std::iter::repeat_n(NOW - DAY, 464));
    calls.0.sort_unstable();
    for accepted in [HOUR, 6 * HOUR, DAY] {
        run(planner(Mode::Pass, NOW - 3 * DAY, NOW), 400, |request, _| {
            if request.sent.len() > TimeDelta::seconds(accepted) {
                return refused();
            }
            let found = calls.found(request);
            (evidence(&calls, &found, None), found)
        });
    }
}

/// Read at every re-read age up to this one.
fn covered(from: i64, highest: TimeDelta) -> Coverage {
    let mut coverage = Coverage::new();
    coverage.claim(window(from, NOW - 60), TimeDelta::zero());
    for age in [3 * HOUR, DAY].map(TimeDelta::seconds).into_iter().filter(|age| *age <= highest) {
        coverage.claim(window(from, NOW - 60 - age.num_seconds()), age);
    }
    coverage
}

#[test]
fn what_is_overdue_under_a_gap_hurries_no_other_re_read() {
    let calls = Calls::every(1080, 10);
    let gap = Gap {
        window: window(NOW - 8 * DAY, NOW - 8 * DAY + 60),
        reason: GapReason::Overloaded,
        tries: 12,
        next_try_at: at(NOW + DAY),
    };
    let coverage = covered(NOW - 10 * DAY, TimeDelta::hours(3));
    let ledger = Ledger { coverage, gaps: vec![gap], ..Ledger::new(at(NOW - 10 * DAY)) };
    let mut planner = Planner::new(PlanSettings::default(), Mode::Daemon, ledger, at(NOW));
    let requests = watch(&mut planner, 4, |request, _| whole(&calls, request).0);
    assert!(requests <= 20, "{requests} requests");
}

#[test]
fn a_history_that_ends_below_what_was_read_is_found_out_by_its_re_reads() {
    // Read long ago in full; the API keeps six and a half days by now, and refuses older ranges.
    let calls = Calls::every(1080, 8);
    let coverage = covered(NOW - 8 * DAY, TimeDelta::days(1));
    let ledger = Ledger { coverage, ..Ledger::new(at(NOW - 8 * DAY)) };
    let mut planner = Planner::new(PlanSettings::default(), Mode::Daemon, ledger, at(NOW));
    let requests =
        watch(&mut planner, 6, |request, now| match second(request.sent.from) < now - 13 * DAY / 2 {
            true => Reply::Invalid { server_date: Some(at(now)) },
            false => whole(&calls, request).0,
        });
    assert!(requests <= 60, "{requests} requests");
    assert_eq!(planner.ledger().gaps, []);
}

#[test]
fn a_silent_cut_below_ten_is_found_out_as_well() {
    let calls = Calls::every(1080, 2);
    for limit in [3, 5, 9] {
        let run = run(planner(Mode::Pass, NOW - 2 * DAY, NOW), 600, |request, _| {
            let mut found = calls.found(request);
            found.truncate(limit);
            (evidence(&calls, &found, None), found)
        });
        run.assert_whole(&calls, NOW - 2 * DAY);
    }
}

#[test]
fn spells_in_which_nothing_is_answered_never_add_up_to_a_gap() {
    let calls = Calls::every(1080, 30);
    for (down, up, pause) in [(400, 70, 20), (200, 65, 10), (1_000, 130, 45), (61, 61, 9), (3_000, 30, 100)] {
        let mut planner = planner(Mode::Daemon, NOW - 30 * DAY, NOW);
        let (mut now, mut opened) = (NOW, 0);
        while now < NOW + DAY {
            match planner.next(at(now)) {
                Next::Request(request) => {
                    let answers = (now - NOW) % (down + up) >= down;
                    let reply = match whole(&calls, &request).0 {
                        Reply::Answer(evidence) if answers => {
                            Reply::Answer(Evidence { server_date: Some(at(now)), ..evidence })
                        }
                        _ => Reply::Failed,
                    };
                    let progress = planner.absorb(&request, &reply, at(now));
                    opened += progress.gaps.len();
                    now += if answers { 2 } else { pause };
                }
                Next::Wait(until) => now = second(until),
                Next::Done => break,
            }
        }
        assert_eq!((opened, planner.ledger().gaps.len()), (0, 0), "down for {down} s, up for {up} s");
        assert!(planner.unread(at(now)) < TimeDelta::hours(2), "down for {down} s, up for {up} s");
    }
}
