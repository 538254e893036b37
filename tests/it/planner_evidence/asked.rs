//! Spans that somebody asked for: every piece of them is read, or stands as a gap, before they are finished.

use super::*;

/// What became of an asked span.
struct Served {
    finished_at: Option<i64>,
    /// Of the span, neither read since it was asked for nor under a gap when it was finished.
    dropped: Vec<Window>,
    planner: Planner,
}

/// A daemon that has read everything is asked for `span`.
fn serve(span: Window, until: i64, server: impl FnMut(&Request, i64) -> Reply) -> Served {
    serve_with(Vec::new(), span, until, server)
}

fn serve_with(
    gaps: Vec<Gap>,
    span: Window,
    until: i64,
    mut server: impl FnMut(&Request, i64) -> Reply,
) -> Served {
    let mut coverage = Coverage::new();
    coverage.claim(window(NOW - 10 * DAY, NOW - 60), TimeDelta::zero());
    coverage.claim(window(NOW - 10 * DAY, NOW - 7 * DAY), TimeDelta::days(7));
    coverage.claim(window(NOW - 7 * DAY, NOW - DAY), TimeDelta::days(1));
    coverage.claim(window(NOW - DAY, NOW - 3 * HOUR), TimeDelta::hours(3));
    let ledger = Ledger { coverage, gaps, ..Ledger::new(at(NOW - 10 * DAY)) };
    let mut planner = Planner::new(PlanSettings::default(), Mode::Daemon, ledger, at(NOW));
    planner.ask_for(span);
    let (mut now, mut read) = (NOW, Coverage::new());
    let mut served = Served { finished_at: None, dropped: Vec::new(), planner: planner.clone() };
    while now < until && served.finished_at.is_none() {
        match planner.next(at(now)) {
            Next::Request(request) => {
                let reply = server(&request, now);
                let progress = planner.absorb(&request, &reply, at(now));
                progress.claims.iter().for_each(|claim| read.claim(claim.window, TimeDelta::zero()));
                progress.uncover.iter().for_each(|window| read.uncover(*window));
                if progress.finished == Some(span) {
                    served.finished_at = Some(now);
                }
                now += if progress.outcome == Outcome::Failed { 7 } else { 2 };
            }
            Next::Wait(until) => now = second(until),
            Next::Done => break,
        }
    }
    planner.ledger().gaps.iter().for_each(|gap| read.claim(gap.window, TimeDelta::zero()));
    let reach = planner.ledger().profile.range.oldest(at(now)).unwrap_or(span.from());
    served.dropped =
        Window::new(span.from().max(reach), span.to()).map(|span| read.holes(span)).unwrap_or_default();
    served.planner = planner;
    served
}

#[test]
fn a_piece_that_fails_while_nothing_is_answered_is_asked_for_again() {
    let calls = Calls::every(300, 10);
    for poison in [NOW - 2 * DAY, NOW - 2 * DAY + 4_000] {
        for begins in (0..200).step_by(20) {
            let away = NOW + begins..NOW + begins + HOUR;
            let served = serve(window(NOW - 3 * DAY, NOW - DAY), NOW + 6 * HOUR, |request, now| {
                let sent = second(request.sent.from)..=second(request.sent.to);
                if away.contains(&now) || sent.contains(&poison) {
                    Reply::Failed
                } else {
                    whole(&calls, request).0
                }
            });
            assert_eq!(served.dropped, [], "away from {begins} s on");
            assert!(served.finished_at.is_some(), "away from {begins} s on");
            let gaps: TimeDelta = served.planner.ledger().gaps.iter().map(|gap| gap.window.len()).sum();
            assert!(gaps <= TimeDelta::minutes(30), "{:?}", served.planner.ledger().gaps);
        }
    }
}

#[test]
fn a_piece_that_is_refused_is_read_or_a_gap_before_its_span_is_finished() {
    let calls = Calls::every(300, 10);
    for (begin, length) in [(NOW - 2 * DAY, 600), (NOW - 2 * DAY + 1_234, 3 * HOUR), (NOW - 3 * DAY, 600)] {
        for heals in [NOW + 100 * DAY, NOW + 20, NOW + 60] {
            let served = serve(window(NOW - 3 * DAY, NOW - DAY), NOW + 6 * HOUR, |request, now| {
                let touches = second(request.sent.from) < begin + length && begin <= second(request.sent.to);
                match touches && now < heals {
                    true => Reply::Invalid { server_date: Some(at(now)) },
                    false => whole(&calls, request).0,
                }
            });
            assert_eq!(served.dropped, [], "{length} s are refused until {}", heals - NOW);
            assert!(served.finished_at.is_some(), "{length} s are refused until {}", heals - NOW);
        }
    }
}

#[test]
fn a_span_below_the_end_of_history_is_finished() {
    let calls = Calls::every(300, 10);
    let served = serve(window(NOW - 9 * DAY, NOW - 5 * DAY), NOW + 6 * HOUR, |request, now| {
        match second(request.sent.from) < now - 6 * DAY {
            true => Reply::Invalid { server_date: Some(at(now)) },
            false => whole(&calls, request).0,
        }
    });
    assert!(served.finished_at.is_some());
    assert_eq!(served.planner.ledger().gaps, []);
}

#[test]
fn a_span_that_the_api_cannot_tell_of_yet_is_read_once_it_can() {
    let calls = Calls::every(300, 10);
    let span = window(NOW + 60, NOW + 120);
    let served = serve(span, NOW + HOUR, |request, now| {
        let Reply::Answer(evidence) = whole(&calls, request).0 else { return Reply::Failed };
        Reply::Answer(Evidence { server_date: Some(at(now)), ..evidence })
    });
    assert!(served.finished_at.is_some_and(|at| at >= NOW + 60), "{:?}", served.finished_at);
}

#[test]
fn a_piece_is_not_dropped_where_no_poll_can_show_whether_the_api_answers() {
    let calls = Calls::every(300, 10);
    let poison = NOW - 2 * DAY;
    // The newest minutes stand under a gap: there is nothing to poll for.
    let gap = Gap {
        window: window(NOW - 1_200, NOW + 2_400),
        reason: GapReason::Unreadable,
        tries: 12,
        next_try_at: at(NOW + DAY),
    };
    let served = serve_with(vec![gap], window(NOW - 3 * DAY, NOW - DAY), NOW + 6 * HOUR, |request, _| {
        let sent = second(request.sent.from)..=second(request.sent.to);
        if sent.contains(&poison) { Reply::Failed } else { whole(&calls, request).0 }
    });
    assert_eq!(served.dropped, []);
    assert!(served.finished_at.is_some());
}
