//! The floor of `retention.calls`: whatever the ledger holds and the server answers, nothing below it is planned.

use cdr_sync::plan::ledger::Recheck;
use proptest::prelude::*;

use super::*;

/// A span in hours before `NOW`.
fn span() -> impl Strategy<Value = Window> {
    (1..960_i64, 1..240_i64)
        .prop_map(|(ago, long)| window(NOW - ago * HOUR, NOW - (ago - long).max(0) * HOUR))
}

fn ledger() -> impl Strategy<Value = Ledger> {
    let stretches = prop::collection::vec((span(), prop::sample::select(vec![0, 3, 24, 168])), 0..6);
    let spans = || prop::collection::vec(span(), 0..4);
    (stretches, spans(), spans(), 0..960_i64, prop::option::of(0..40_i64)).prop_map(
        |(stretches, gaps, rechecks, start, floor)| {
            let mut ledger = Ledger::new(at(NOW - start * HOUR));
            for (window, age) in stretches {
                ledger.coverage.claim(window, TimeDelta::hours(age));
            }
            let reason = GapReason::Invalid;
            ledger.gaps = gaps
                .into_iter()
                .map(|window| Gap { window, reason, tries: 1, next_try_at: at(NOW) })
                .collect();
            ledger.rechecks =
                rechecks.into_iter().map(|window| Recheck { window, due_at: at(NOW) }).collect();
            ledger.kept_from = floor.map(|days| at(NOW - days * DAY));
            ledger
        },
    )
}

/// What the server says to one request after the other.
#[derive(Clone, Copy, Debug)]
enum Word {
    Whole,
    Cut,
    TooMany,
    Failed,
    Refused,
}

fn reply(word: Word, calls: &Calls, request: &Request) -> Reply {
    let mut found = calls.found(request);
    match word {
        Word::Whole => evidence(calls, &found, Some(found.len())),
        Word::Cut => {
            let total = found.len();
            found.truncate(40);
            evidence(calls, &found, Some(total))
        }
        Word::TooMany => Reply::TooMany { exact: false },
        Word::Failed => Reply::Failed,
        Word::Refused => Reply::Invalid { server_date: None },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn nothing_below_the_floor_is_ever_planned(
        ledger in ledger(),
        asked in prop::collection::vec(span(), 0..3),
        mode in prop::sample::select(vec![Mode::Daemon, Mode::Pass, Mode::Asked]),
        words in prop::collection::vec(
            prop::sample::select(vec![Word::Whole, Word::Whole, Word::Cut, Word::TooMany, Word::Failed, Word::Refused]), 1..12),
        // After how many requests the floor moves, and to how many days before `NOW`.
        raises in prop::collection::vec((0..40_usize, 0..40_i64), 0..4),
    ) {
        let calls = Calls::every(2 * HOUR, 40);
        let mut planner = Planner::new(PlanSettings::default(), mode, ledger, at(NOW));
        for span in asked {
            planner.ask_for(span);
        }
        let mut now = NOW;
        for nth in 0..120 {
            let raised = raises.iter().filter(|(at, _)| *at == nth).map(|(_, days)| at(NOW - days * DAY)).max();
            planner.keep_from(raised);
            let floor = planner.ledger().kept_from;
            match planner.next(at(now)) {
                Next::Request(request) => {
                    let first = floor.unwrap_or(DateTime::<Utc>::MIN_UTC);
                    prop_assert!(request.window.from() >= first, "{request:?} below {first}");
                    planner.absorb(&request, &reply(words[nth % words.len()], &calls, &request), at(now));
                    now += 2;
                }
                Next::Wait(until) => now = second(until),
                Next::Done => break,
            }
            if let Some(floor) = floor {
                let below = |window: Window| window.from() < floor;
                prop_assert!(!planner.ledger().coverage.stretches().iter().any(|stretch| below(stretch.window)));
                prop_assert!(!planner.ledger().gaps.iter().any(|gap| below(gap.window)));
                prop_assert!(!planner.ledger().rechecks.iter().any(|recheck| below(recheck.window)));
            }
        }
    }
}

#[test]
fn what_is_asked_for_below_the_floor_is_left_out_and_the_rest_is_read() {
    let calls = Calls::every(1080, 10);
    let ledger = Ledger { kept_from: Some(at(NOW - 5 * DAY)), ..Ledger::new(at(NOW - 10 * DAY)) };
    let mut planner = Planner::new(PlanSettings::default(), Mode::Asked, ledger, at(NOW));
    planner.ask_for(window(NOW - 9 * DAY, NOW - 8 * DAY));
    planner.ask_for(window(NOW - 6 * DAY, NOW - 4 * DAY));
    let run = run(planner, 20, |request, _| whole(&calls, request));
    assert!(run.requests.iter().all(|request| request.window.from() >= at(NOW - 5 * DAY)));
    assert!(run.planner.ledger().coverage.covers(window(NOW - 5 * DAY, NOW - 4 * DAY)));
}

#[test]
fn a_reading_that_the_floor_overtakes_is_planned_anew() {
    let ledger = Ledger::new(at(NOW - 30 * DAY));
    let settings = PlanSettings { max_window: TimeDelta::days(1), ..PlanSettings::default() };
    let mut planner = Planner::new(settings, Mode::Asked, ledger, at(NOW));
    planner.ask_for(window(NOW - 30 * DAY, NOW - 20 * DAY));
    let calls = Calls::every(1080, 30);
    let Next::Request(first) = planner.next(at(NOW)) else { panic!("nothing was asked for") };
    planner.absorb(&first, &whole(&calls, &first).0, at(NOW));
    planner.keep_from(Some(at(NOW - 25 * DAY)));
    let run = run(planner, 40, |request, _| whole(&calls, request));
    assert_eq!(run.planner.ledger().coverage.holes(window(NOW - 25 * DAY, NOW - 20 * DAY)), []);
    assert!(run.requests.iter().all(|request| request.window.from() >= at(NOW - 25 * DAY)));
}
