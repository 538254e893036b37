//! Runs the planner against one server: a pass over history, then a day and a half as a daemon; and judges it.

use std::collections::BTreeMap;

use cdr_sync::plan::ledger::{Gap, Ledger};
use cdr_sync::plan::{Mode, Next, PlanSettings, Planner};
use cdr_sync::read::ReadingSettings;
use cdr_sync::read::partition::FilterPartition;
use cdr_sync::read::request::{Outcome, Request};
use cdr_sync::read::verdict::AnswerLimits;
use cdr_sync::window::Window;
use cdr_sync::window::bounds::floor;
use chrono::TimeDelta;

use crate::servers::calls::{Call, DAY, HOUR, MINUTE, TYPES, fewest};
use crate::servers::draw::Drawn;
use crate::servers::server::{Totals, at, second};

const LOOKBACK: i64 = 3 * HOUR;
const AGES: [i64; 4] = [LOOKBACK, DAY, 7 * DAY, 30 * DAY];
/// `sync.max_window`.
const MAX_WINDOW: i64 = 31 * DAY;
/// What appeared less than this before a claim may be missing: the claim rests on an earlier answer.
const FRESH: i64 = 10 * MINUTE;

/// A unit that is overfull is read by type, perhaps in several tries.
const SLICED: usize = 30;

/// What came of one server.
#[derive(Debug, Default)]
pub struct Verdict {
    pub records: usize,
    /// Claimed in the end, and never read.
    pub lost: usize,
    /// Claimed before they were read.
    pub early: usize,
    /// Neither claimed nor under a gap in the end, in seconds.
    pub holes: i64,
    pub gaps: usize,
    /// Gaps that nothing at the server explains any more.
    pub idle_gaps: usize,
    pub doubts: usize,
    pub fewest: usize,
    /// Requests of the pass over history.
    pub used: usize,
    /// Requests of the daemon.
    pub daily: usize,
    pub faults: Vec<String>,
}

impl Verdict {
    fn fault(&mut self, text: String) {
        if self.faults.len() < 3 {
            self.faults.push(text);
        }
    }
}

struct Run {
    drawn: Drawn,
    planner: Planner,
    now: i64,
    read: Vec<bool>,
    verdict: Verdict,
    verbose: bool,
}

pub fn run(drawn: Drawn, verbose: bool) -> Verdict {
    let (history, until, poll_interval) = (drawn.history, drawn.until, drawn.poll_interval);
    let dates: Vec<i64> = drawn.server.calls.iter().map(|call| call.date).collect();
    let past = &dates[..dates.partition_point(|date| *date < history)];
    let longest = drawn.server.longest_range.unwrap_or(MAX_WINDOW).min(MAX_WINDOW);
    // Where slowness or what is kept bounds an answer, more are needed.
    let (slow, slow_calls) = drawn.server.slow.unwrap_or((i64::MAX, usize::MAX));
    let limit = drawn.server.limit_at(0).min(drawn.configured_limit).min(slow_calls);
    let fewest = fewest(past, limit, longest.min(slow)).max(1);
    let planner = Planner::new(settings(&drawn), Mode::Pass, Ledger::new(at(0)), at(history));
    let verdict = Verdict { records: dates.len(), fewest, ..Verdict::default() };
    let read = vec![false; dates.len()];
    let mut run = Run { drawn, planner, now: history, read, verdict, verbose };
    run.verdict.used = run.go(i64::MAX, 15 * fewest + 600 + SLICED * run.overfull(limit));
    let began = run.now;
    let ledger = run.planner.ledger().clone();
    run.planner = Planner::new(settings(&run.drawn), Mode::Daemon, ledger, at(run.now));
    let polls = ((until - run.now).max(0) / poll_interval) as usize;
    run.verdict.daily = run.go(until, 8 * polls + 10 * fewest + 2_000);
    run.judge(history, began);
    run.verdict
}

fn settings(drawn: &Drawn) -> PlanSettings {
    let defaults = PlanSettings::default();
    let limits = AnswerLimits { records: drawn.configured_limit, ..AnswerLimits::default() };
    let slice = FilterPartition { cdr_types: TYPES.to_vec(), ..FilterPartition::default() };
    let reading = ReadingSettings { limits, partition: slice, ..defaults.reading };
    PlanSettings { reading, poll_interval: TimeDelta::seconds(drawn.poll_interval), ..defaults }
}

impl Run {
    /// Goes on until the planner is done or the time is over; the requests used.
    fn go(&mut self, until: i64, most: usize) -> usize {
        let mut used = 0;
        while self.now < until {
            match self.planner.next(at(self.now)) {
                Next::Request(request) => {
                    used += 1;
                    self.request(&request);
                }
                Next::Wait(wake) => {
                    let wake = second(wake);
                    if wake <= self.now || wake > self.now + DAY + HOUR {
                        self.verdict.fault(format!("at {} it waits for {wake}", self.now));
                        break;
                    }
                    self.now = wake;
                }
                Next::Done => break,
            }
            if used > most {
                self.verdict.fault(format!("more than {most} requests until {}", self.now));
                break;
            }
        }
        used
    }

    fn request(&mut self, request: &Request) {
        let asked_at = self.now;
        let (reply, calls) = self.drawn.server.answer(request, asked_at);
        for call in &calls {
            self.read[*call] = true;
        }
        let progress = self.planner.absorb(request, &reply, at(asked_at));
        self.now += 2;
        self.verdict.doubts += usize::from(progress.outcome == Outcome::Doubted);
        if self.verbose {
            println!(
                "{asked_at} {:?} {} {:?}: {} calls, {} hidden, {:?}, claims {:?}, gaps {:?}",
                request.reason,
                request.window,
                request.order,
                calls.len(),
                self.drawn.server.hid,
                progress.outcome,
                progress.claims.iter().map(|claim| claim.window).collect::<Vec<_>>(),
                progress.gaps.iter().map(|gap| (gap.window, gap.reason)).collect::<Vec<_>>(),
            );
        }
        for claim in &progress.claims {
            if claim.window.to() > at(asked_at) {
                self.verdict.fault(format!("{} claimed at {asked_at}, ahead of time", claim.window));
            }
            let taken_back = progress.uncover.iter().any(|window| window.intersect(&claim.window).is_some());
            if !taken_back {
                self.check_claim(claim.window, request, asked_at);
            }
        }
    }

    /// All that had appeared in good time before the claim must have been read.
    fn check_claim(&mut self, claim: Window, request: &Request, now: i64) {
        let server_now = now + self.drawn.server.clock;
        let calls = &self.drawn.server.calls;
        let first = calls.partition_point(|call| call.date < second(claim.from()));
        let last = calls.partition_point(|call| call.date < second(claim.to()) + 60);
        let missing = (first..last).filter(|index| {
            let call = &calls[*index];
            claim.contains(at(self.drawn.server.shown(call)))
                && !self.read[*index]
                && !call.hidden
                // A lie with consistent numbers is found out when the parts are added up, or at the next age: what counts
                // is that nothing is lost in the end.
                && self.drawn.server.denied[*index] == 0
                && call.appears <= server_now - FRESH
                && call.vanishes > server_now
                && !self.is_gone(call, server_now)
                && !self.is_denied(*index)
        });
        let missing = missing.count();
        if missing > 0 {
            self.verdict.early += missing;
            self.verdict
                .fault(format!("{missing} calls in {claim} claimed, never read, by {request:?} at {now}"));
        }
    }

    /// No longer kept by a server that says nothing of it: as good as vanished.
    fn is_gone(&self, call: &Call, server_now: i64) -> bool {
        let server = &self.drawn.server;
        server.keeps.is_some_and(|(keeps, refuses)| !refuses && server.shown(call) < server_now - keeps)
    }

    /// Hidden by more answers that lied than any client could see through.
    fn is_denied(&self, index: usize) -> bool {
        let call = &self.drawn.server.calls[index];
        let late = call.appears > call.date + FRESH;
        self.drawn.server.denied[index] >= if late { 1 } else { 2 }
    }

    fn judge(&mut self, history: i64, began: i64) {
        let ledger = self.planner.ledger().clone();
        let mut known = ledger.coverage.clone();
        for gap in &ledger.gaps {
            known.claim(gap.window, TimeDelta::zero());
        }
        let server = &self.drawn.server;
        let oldest = server.keeps.map_or(0, |(keeps, _)| (self.now + server.clock - keeps).max(0) + HOUR);
        let newest = self.now.min(self.now + server.clock) - FRESH - self.drawn.poll_interval;
        let whole = Window::new(at(oldest), floor(at(newest), TimeDelta::minutes(1)));
        let holes = whole.map(|whole| known.holes(whole)).unwrap_or_default();
        self.verdict.holes = holes.iter().map(|hole| hole.len().num_seconds()).sum();
        if let Some(hole) = holes.last() {
            self.verdict.fault(format!("{} holes are left, the newest {hole}", holes.len()));
        }
        let lost: Vec<usize> = (0..server.calls.len())
            .filter(|index| {
                let call = &server.calls[*index];
                let date = at(server.shown(call));
                let in_gap = ledger.gaps.iter().any(|gap| gap.window.contains(date));
                let claimed =
                    ledger.coverage.covers(Window::new(date, date + TimeDelta::seconds(1)).unwrap());
                claimed
                    && !in_gap
                    && !self.read[*index]
                    && !self.is_denied(*index)
                    && self.is_due(*index, history, began)
            })
            .collect();
        self.verdict.lost = lost.len();
        if let Some(first) = lost.first() {
            let call = &server.calls[*first];
            self.verdict.fault(format!("{} calls are lost, as {} {call:?}", lost.len(), at(call.date)));
        }
        self.verdict.gaps = ledger.gaps.len();
        let idle: Vec<&Gap> = ledger.gaps.iter().filter(|gap| !self.is_explained(gap)).collect();
        self.verdict.idle_gaps = idle.len();
        if let Some(gap) = idle.first() {
            self.verdict.fault(format!("{} idle gaps, as {} {:?}", idle.len(), gap.window, gap.reason));
        }
    }

    /// Returns `true` if some reading after the call appeared must have brought it.
    fn is_due(&self, index: usize, history: i64, began: i64) -> bool {
        let server = &self.drawn.server;
        let call = &server.calls[index];
        // A tenth of the calls with numbers that agree is no sign where no more are expected: the next age finds it.
        let began = server.cheated[index].map_or(began, |cheated| cheated.max(began));
        let backfilled = server.cheated[index].is_none();
        // Times by our clock.
        let (appears, vanishes) = (call.appears - server.clock, call.vanishes - server.clock);
        if call.hidden || self.is_gone(call, self.now + server.clock) {
            return false;
        }
        if backfilled && appears <= history && vanishes > began {
            return server.keeps.is_none_or(|(keeps, _)| call.date > began + server.clock - keeps + HOUR);
        }
        // Our clock alone says how old a date is; a server whose clock is behind lets calls appear that much later.
        AGES.iter().any(|age| {
            let reached = call.date + age;
            let read_by = reached + (age / 24).clamp(90 * MINUTE, 12 * HOUR) + 2 * HOUR;
            reached > began && appears <= reached && read_by < self.now.min(vanishes)
        })
    }

    /// How many units hold, with those beside them that go out in the same bounds, more calls than an answer.
    fn overfull(&self, limit: usize) -> usize {
        let unit = if self.drawn.server.dates == crate::servers::server::Dates::Minutes { 60 } else { 1 };
        let mut units = BTreeMap::<i64, usize>::new();
        for call in &self.drawn.server.calls {
            *units.entry(call.date.div_euclid(unit)).or_default() += 1;
        }
        units
            .keys()
            .filter(|at| units.range(**at - 1..=**at + 1).map(|(_, calls)| calls).sum::<usize>() > limit)
            .count()
    }

    /// Returns `true` if the server still cannot say what is in the gap, and the gap is not wider than it must be.
    fn is_explained(&self, gap: &Gap) -> bool {
        let server = &self.drawn.server;
        let (from, to) = (second(gap.window.from()), second(gap.window.to()));
        let near = |second: i64| from - 120 <= second && second <= to + 120;
        if server.keeps.is_some_and(|(keeps, _)| from < self.now + server.clock - keeps + HOUR) {
            return true;
        }
        if to - from > HOUR {
            return false;
        }
        let unit = if server.dates == crate::servers::server::Dates::Minutes { 60 } else { 1 };
        let most = server.limit_at(self.now).min(self.drawn.configured_limit);
        // A little below what is answered in time, no longer answer can show that this length is no limit.
        let most = server.slow.map_or(most, |(_, calls)| most.min(calls / 5 * 4));
        let inside: Vec<&Call> = server.calls.iter().filter(|call| near(call.date)).collect();
        // Bounds that are not known to be inclusive take in the units beside.
        let crowded = |call: &&Call| {
            let units =
                |other: &&&Call| (other.date.div_euclid(unit) - call.date.div_euclid(unit)).abs() <= 1;
            inside.iter().filter(units).count() >= most
        };
        let hidden = server.totals != Totals::Absent && inside.iter().any(|call| call.hidden);
        server.poison.is_some_and(near) || hidden || inside.iter().any(crowded)
    }
}
