//! An API that is unreachable as a whole says nothing of single windows, whenever that begins and however often.

use super::*;

/// A day of a daemon whose API comes and goes: which gaps open, and how much stays unread.
struct Spells<'a> {
    calls: &'a Calls,
    /// Returns `true` if the API answers at this second.
    answers: &'a dyn Fn(i64) -> bool,
    /// A second that it can never answer for.
    poison: Option<i64>,
    /// How long the daemon waits after this many failures in a row.
    wait: &'a dyn Fn(u32) -> i64,
}

impl Spells<'_> {
    /// Runs to `until`; the gaps that were opened, each with when.
    fn run(&self, planner: &mut Planner, until: i64) -> Vec<(i64, Window)> {
        let (mut now, mut opened, mut failures) = (NOW, Vec::new(), 0);
        while now < until {
            match planner.next(at(now)) {
                Next::Request(request) => {
                    let sent = second(request.sent.from)..=second(request.sent.to);
                    let poisoned = self.poison.is_some_and(|poison| sent.contains(&poison));
                    let reply = match whole(self.calls, &request).0 {
                        Reply::Answer(evidence) if (self.answers)(now) && !poisoned => {
                            Reply::Answer(Evidence { server_date: Some(at(now)), ..evidence })
                        }
                        _ => Reply::Failed,
                    };
                    let progress = planner.absorb(&request, &reply, at(now));
                    opened.extend(progress.gaps.iter().map(|gap| (now, gap.window)));
                    failures = if progress.outcome == Outcome::Failed { failures + 1 } else { 0 };
                    now += if failures == 0 { 2 } else { (self.wait)(failures).max(2) };
                }
                Next::Wait(until) => now = second(until),
                Next::Done => break,
            }
        }
        opened
    }
}

/// As the daemon's: 5 s, doubling to 5 minutes.
fn backoff(failures: u32) -> i64 {
    (5 << failures.min(7).saturating_sub(1)).min(300)
}

#[test]
fn an_api_that_is_up_for_seconds_of_every_minute_or_two_opens_no_gap() {
    let calls = Calls::every(1080, 5);
    let mut found = Vec::new();
    for (down, up) in [(90, 20), (50, 20)] {
        for pause in [0, 7, 20] {
            for phase in (0..down + up).step_by(46) {
                let wait = |failures| if pause == 0 { backoff(failures) } else { pause };
                let answers = |now| (now - NOW + phase) % (down + up) >= down;
                let spells = Spells { calls: &calls, answers: &answers, poison: None, wait: &wait };
                let mut planner = planner(Mode::Daemon, NOW - 5 * DAY, NOW);
                let opened = spells.run(&mut planner, NOW + 3 * HOUR);
                if !opened.is_empty() {
                    found.push((down, up, pause, phase, opened.len()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} {found:?}", found.len());
}

#[test]
fn an_outage_that_begins_while_a_window_is_narrowed_opens_no_gap() {
    let calls = Calls::every(300, 3);
    let mut found = Vec::new();
    for (poison, covered_until) in [
        (NOW - 300, 900),
        (NOW - 1_000, 1_800),
        (NOW - 300, 3_000),
        (NOW - 5_000, 8_000),
        (NOW - DAY, 3 * DAY),
    ] {
        for begins in (0..60).step_by(12) {
            let mut coverage = Coverage::new();
            if covered_until < 3 * DAY {
                coverage.claim(window(NOW - 3 * DAY, NOW - covered_until), TimeDelta::zero());
            }
            let ledger = Ledger { coverage, ..Ledger::new(at(NOW - 3 * DAY)) };
            let mut planner = Planner::new(PlanSettings::default(), Mode::Daemon, ledger, at(NOW));
            let away = NOW + begins..NOW + begins + 2 * HOUR;
            let answers = |now| !away.contains(&now);
            let spells = Spells { calls: &calls, answers: &answers, poison: Some(poison), wait: &backoff };
            let opened = spells.run(&mut planner, NOW + 3 * HOUR);
            // One that holds the poison had failed between answers already.
            let innocent = |(now, gap): &&(i64, Window)| away.contains(now) && !gap.contains(at(poison));
            let wrong = opened.iter().filter(innocent).count();
            if wrong > 0 {
                found.push((NOW - poison, begins, wrong));
            }
            let gaps = &planner.ledger().gaps;
            let length: TimeDelta = gaps.iter().map(|gap| gap.window.len()).sum();
            assert!(gaps.iter().any(|gap| gap.window.contains(at(poison))), "{gaps:?}");
            assert!(length <= TimeDelta::minutes(30), "{gaps:?}");
        }
    }
    assert!(found.is_empty(), "{} {found:?}", found.len());
}
