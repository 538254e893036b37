//! Answers that do not hold all of their window: cut, refused, too large, or of a length that may be a limit.

use chrono::TimeDelta;

use super::part::{Part, Partitioning, Tight, sent};
use super::{Context, REFUSED_SMALLEST, Reading};
use crate::read::evidence::Evidence;
use crate::read::request::{GapReason, Hold, Outcome, Request, Step};
use crate::read::totals::{Read, SplitCause, SplitTotals};
use crate::read::unproven_page::{UnprovenPage, continuation};
use crate::window::Window;

/// An answer this many times shorter than expected is checked by a second one …
const SCARCE: f64 = 8.0;
/// … if at least this many records were expected.
const EXPECTED: f64 = 50.0;
/// An empty answer is checked by a second one if at least this many records were expected.
const NONE: f64 = 10.0;
/// An empty first answer for a longer window than this is always checked by a second one.
const EMPTY: TimeDelta = TimeDelta::hours(1);
/// How many times more than it shows a cut answer without a total is assumed to stand for, at least and at most.
const LEAST: f64 = 1.7;
const MOST: f64 = 3.0;
/// How much more is requested with a smallest window that announces more than it shows.
const WIDER: TimeDelta = TimeDelta::hours(1);
/// A shorter page may be in order by chance although its server cuts before it sorts: it is always checked.
const TRUSTED: usize = 100;
/// The widest window whose bounds may be written as its own wall times.
const NARROW: TimeDelta = TimeDelta::hours(2);

impl Reading {
    /// Handles a cut answer: it is continued in the order it shows, or else divided.
    pub(super) fn cut(
        &mut self,
        request: &Request,
        evidence: &Evidence,
        total: Option<u64>,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        // A lower one is no limit but a total that a server in trouble made up.
        if total.is_some() && evidence.listed >= context.settings.limits.doubt_from {
            context.profile.record_limit = Some(evidence.listed);
        }
        context.profile.note_length(evidence.listed, context.now);
        self.refute_order(request, evidence, context, step);
        let shown = evidence.shown_order(request.order.unwrap_or(self.order));
        context.profile.note_cut(shown);
        // The page also holds what wider bounds let in, so its last date does not show where the rest begins.
        let shown = shown.filter(|_| evidence.exact_bounds);
        if let (Some(order), Some(part)) = (shown, self.todo.last())
            && let Some((tentative, rest)) = continuation(part.window, evidence, order, context.unit())
            && context.profile.continues()
            // The widened bounds of the next request take back up to two units: less would be no progress.
            && tentative.len() > context.unit() * 2
        {
            step.outcome = Outcome::Continued;
            let page = UnprovenPage {
                tentative,
                total: total.unwrap_or(0),
                dates: evidence.dates.clone(),
                undated: evidence.undated(),
                sent: request.sent,
                order,
            };
            return match total {
                Some(_) => self.hold(request, page, rest, step),
                None => self.go_on(page, rest, context, step),
            };
        }
        step.outcome = Outcome::SplitUnproven;
        // With a total, slices add up; not every server allows that for the bounds of a single unit.
        let slices = total.is_some() && context.settings.partition.halves().is_some();
        if self.narrow(evidence.exact_bounds) || self.tighten(request, slices, context) {
            return;
        }
        self.divide(request, evidence, total, context, step);
    }

    /// Keeps a page until the next answer proves it.
    fn hold(&mut self, request: &Request, page: UnprovenPage, rest: Window, step: &mut Step) {
        let Some(part) = self.todo.last_mut() else { return };
        part.window = rest;
        part.chain = Some((page.order, request.sent));
        self.page = Some(page);
        step.hold = Hold::ThisAnswer;
    }

    /// Handles a page without a total: it is claimed on the order that was proven before. Now and then a request
    /// for the page's own window checks that order; its answer must hold exactly what the page showed.
    fn go_on(&mut self, page: UnprovenPage, rest: Window, context: &mut Context<'_>, step: &mut Step) {
        let Some(part) = self.todo.pop() else { return };
        self.todo.push(part.piece(rest));
        let scarce = !part.confirms && self.is_scarce_page(&page, context);
        // If all dates are equal, the order of the records is unknown.
        let ordered = page.dates.first() != page.dates.last();
        if context.profile.trusts_order() && ordered && !scarce && page.dates.len() >= TRUSTED {
            let tentative = page.tentative;
            context.profile.unchecked.push(super::Bounds { from: tentative.from(), to: tentative.to() });
            self.observe(tentative, &page.dates, context);
            return self.claim(&page.read(tentative), context, step);
        }
        self.check_order(&page);
        let confirms = part.confirms || scarce;
        self.todo.push(Part { confirms, ..part.piece(page.tentative) });
    }

    /// Returns `true` if the page holds too few records for its time span: like a whole answer, it can be wrong.
    pub(super) fn is_scarce_page(&self, page: &UnprovenPage, context: &Context<'_>) -> bool {
        let inside = page.dates.iter().filter(|date| page.tentative.contains(**date)).count();
        context.forecast.has_seen(TimeDelta::days(2))
            && self.holds_too_little(page.tentative, inside + page.undated, context)
    }

    /// Has the next answer, for the page's own window, show whether the server sorts before it cuts.
    pub(super) fn check_order(&mut self, page: &UnprovenPage) {
        let inside = page.dates.iter().filter(|date| page.tentative.contains(**date)).count() as u64;
        self.sums.push(SplitTotals::new(page.tentative, page.sent, SplitCause::Ordered { inside }, false));
    }

    /// Handles a cut answer that cannot be continued: the current part is read in pieces that fit.
    fn divide(
        &mut self,
        request: &Request,
        evidence: &Evidence,
        total: Option<u64>,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let Some(mut part) = self.todo.pop() else { return };
        if part.window.len() <= context.smallest() {
            return match (total, context.settings.partition.halves()) {
                // Without a total nothing could show whether the slices add up.
                (Some(total), Some((a, b))) => {
                    let (dates, undated) = (Vec::new(), 0);
                    part.partitioning = Some(Partitioning {
                        sent: request.sent,
                        total,
                        seen: 0,
                        dates,
                        undated,
                        todo: vec![b, a],
                    });
                    self.todo.push(part);
                }
                _ => self.overloaded(part, context, step),
            };
        }
        if let Some(total) = total {
            let sum =
                SplitTotals::new(part.window, request.sent, SplitCause::Announced { total }, part.again);
            self.sums.push(sum.of_bounds(evidence.exact_bounds));
        }
        let listed = evidence.listed as f64;
        let guess = context.forecast.expected_with(part.window, &evidence.dates);
        let guess = guess.clamp(listed * LEAST, listed * MOST);
        let all = total.map_or(guess, |total| total as f64);
        let guessed = total.is_none();
        context.forecast.learn_sample(part.window, &evidence.dates, all, guessed);
        self.samples.cut(part.window, all, guessed, &evidence.dates);
        self.take_back(part);
    }

    /// Puts a part back, joined with the one below if they border: a piece that fits may cross their border.
    fn take_back(&mut self, part: Part) {
        let joins = |below: &Part| {
            let (a, b) = (below.window, part.window);
            below.is_like(&part) && below.attempts == 0 && (a.to() == b.from() || a.from() == b.to())
        };
        match self.todo.last_mut().filter(|below| joins(below)) {
            Some(below) => {
                below.window = below.window.hull(&part.window);
                below.chain = None;
            }
            None => self.todo.push(part.piece(part.window)),
        }
    }

    /// Handles an answer that announces more than it shows, though it is shorter than others: its halves are read,
    /// and what they show counts.
    pub(super) fn short(
        &mut self,
        request: &Request,
        evidence: &Evidence,
        total: u64,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let widened = self.is_widened(request.window);
        let Some(part) = self.todo.last_mut() else { return };
        step.outcome = Outcome::SplitUnproven;
        if part.window.len() <= context.smallest() {
            // It cannot be divided, but something around it can.
            let (from, to) = (part.window.from(), part.window.to());
            let present = context.profile.range.present(context.now);
            let wider = if to + WIDER <= present {
                Window::new(from, to + WIDER)
            } else {
                Window::new(from - WIDER, to)
            };
            if let Some(wider) = wider.filter(|_| !widened) {
                (part.window, part.chain) = (wider, None);
                self.widened.push(wider);
                return;
            }
            // The API has not failed here.
            let Some(part) = self.todo.pop() else { return };
            return self.open_gap(part.window, GapReason::Incomplete, step);
        }
        let kind = SplitCause::Short { total, listed: evidence.listed };
        let sum = SplitTotals::new(part.window, request.sent, kind, part.again);
        self.sums.push(sum.of_bounds(evidence.exact_bounds));
        part.ignores_totals = true;
        let halves = context.forecast.divide(request.window, 2, context.smallest());
        self.replace(halves);
    }

    /// Returns `true` if the window was requested in two ways already, with other answers in between.
    fn is_widened(&self, window: Window) -> bool {
        self.widened.iter().any(|wider| wider.intersect(&window).is_some())
    }

    /// Handles a length that may be a silent limit. The halves show it; the emptier one, missing most, comes first.
    pub(super) fn doubt(
        &mut self,
        request: &Request,
        evidence: &Evidence,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        step.outcome = Outcome::Doubted;
        context.profile.note_length(evidence.listed, context.now);
        let Some(part) = self.todo.last_mut() else { return };
        if part.window.len() <= context.smallest() {
            part.around = Some(evidence.listed);
            return;
        }
        let mut dates = evidence.dates.clone();
        dates.sort_unstable();
        let mut halves = context.forecast.divide(part.window, 2, context.smallest());
        let inside = |half: &Window| dates.iter().filter(|date| half.contains(**date)).count();
        halves.sort_by_key(|half| std::cmp::Reverse((inside(half), half.from())));
        let parts: Vec<_> = halves.into_iter().map(|half| part.piece(half)).collect();
        let (window, again) = (part.window, part.again);
        self.sums.push(SplitTotals::new(
            window,
            request.sent,
            SplitCause::Doubted { listed: evidence.listed, dates },
            again,
        ));
        self.todo.pop();
        self.todo.extend(parts);
    }

    /// Handles the answer to the wider request around a smallest window, which showed `listed` records that cannot
    /// be divided: if it shows more, their number is no limit.
    pub(super) fn looked_around(
        &mut self,
        listed: usize,
        evidence: &Evidence,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        step.outcome = Outcome::Doubted;
        let Some(part) = self.todo.last_mut() else { return };
        part.around = None;
        if evidence.listed > listed {
            part.cleared = true;
            return context.profile.note_length(evidence.listed, context.now);
        }
        context.profile.record_limit = Some(listed);
        let Some(part) = self.todo.pop() else { return };
        self.overloaded(part, context, step);
    }

    /// Handles an answer that shows more than a doubted one had there: that one was cut, at its length.
    pub(super) fn exceed(
        &mut self,
        request: &Request,
        evidence: &Evidence,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let mut dates = evidence.dates.clone();
        dates.sort_unstable();
        self.sums.retain(|sum| {
            let SplitCause::Doubted { listed, .. } = &sum.kind else { return true };
            let exceeded = request.partition.is_none() && sum.is_exceeded_by(request.window, &dates);
            if exceeded && evidence.listed <= *listed {
                step.uncover.extend(context.profile.note_silent_cut(*listed));
            }
            !exceeded
        });
    }

    /// Returns `true` if a first answer holds so little that a second opinion is worth a request.
    pub(super) fn is_scarce(&self, request: &Request, evidence: &Evidence, context: &Context<'_>) -> bool {
        let confirms = self.todo.last().is_some_and(|part| part.confirms || part.ignores_totals);
        if confirms || request.window.len() <= context.smallest() {
            return false;
        }
        self.holds_too_little(request.window, evidence.listed, context)
    }

    /// Returns `true` if a never-read stretch holds so few records that a different division must confirm it.
    pub(super) fn holds_too_little(&self, window: Window, listed: usize, context: &Context<'_>) -> bool {
        let unread = context.coverage.holes(window);
        let length: TimeDelta = unread.iter().map(Window::len).sum();
        let expected: f64 = unread.iter().map(|hole| context.forecast.expected(*hole)).sum();
        // The very first answers have nothing to be measured by.
        if length > EMPTY * 2 && !context.forecast.has_seen(TimeDelta::hours(12)) {
            return listed == 0 || self.sums.is_empty();
        }
        // Over days the forecast is more certain.
        let far = if length > TimeDelta::days(1) { SCARCE / 3.0 } else { SCARCE };
        let few = listed as f64 * far < expected;
        match listed {
            0 => length > EMPTY || expected >= NONE && context.forecast.has_seen(TimeDelta::days(1)),
            _ => few && expected >= EXPECTED && context.forecast.has_seen(TimeDelta::days(2)),
        }
    }

    /// Requests the same window divided differently.
    pub(super) fn confirm(
        &mut self,
        request: &Request,
        evidence: &Evidence,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        step.outcome = Outcome::Doubted;
        let Some(part) = self.todo.last_mut() else { return };
        part.confirms = true;
        let kind = SplitCause::Scarce { listed: evidence.listed };
        self.sums.push(SplitTotals::new(part.window, request.sent, kind, part.again));
        let halves = context.forecast.divide(part.window, 2, context.smallest());
        self.replace(halves);
    }

    /// Handles a refusal with error 3.
    pub(super) fn refused(
        &mut self,
        request: &Request,
        exact: bool,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        self.give_page_back();
        if request.partition.is_some() {
            return self.sliced(&Evidence::default(), false, context, step);
        }
        step.outcome = Outcome::SplitTooMany;
        let Some(part) = self.todo.last_mut() else { return };
        part.chain = None;
        if let Some(listed) = part.around.take() {
            // A server that refuses this much does not cut.
            (context.profile.refused, context.profile.refused_at) = (Some(listed + 1), Some(context.now));
            part.cleared = true;
            return;
        }
        if part.window != request.window || self.narrow(exact) || self.tighten(request, false, context) {
            return;
        }
        let Some(part) = self.todo.pop() else { return };
        if part.window.len() <= context.smallest() {
            return self.overloaded(part, context, step);
        }
        context.profile.note_refusal(context.now);
        let expected = context.forecast.expected(part.window);
        if context.profile.refused.is_none() && expected >= 1.0 {
            self.guess = self.guess.min(expected);
        }
        let limit = self.limit(context);
        // Far more than expected is a burst, from which the forecast learns nothing.
        if expected > limit * 0.5 {
            context.forecast.compare(part.window, limit.max(expected) * 1.3);
        }
        self.sums.push(SplitTotals::new(part.window, request.sent, SplitCause::Refused, part.again));
        // Only a known limit bounds from below what the window holds.
        let known = context.profile.refused.is_some();
        self.samples
            .refused(part.window, if known { limit } else { context.profile.longest(context.now) as f64 });
        self.take_back(part);
    }

    /// Handles an answer larger than `api.max_response_bytes`.
    pub(super) fn overflow(&mut self, outcome: Outcome, context: &mut Context<'_>, step: &mut Step) {
        self.give_page_back();
        step.outcome = outcome;
        let Some(part) = self.todo.last_mut() else { return };
        if part.partitioning.is_some() || part.window.len() <= context.smallest() {
            let Some(part) = self.todo.pop() else { return };
            return self.open_gap(part.window, GapReason::Overloaded, step);
        }
        part.chain = None;
        let halves = context.forecast.divide(part.window, 2, context.smallest());
        self.replace(halves);
    }

    /// In the hour that a zoned API's clock repeats, unambiguous bounds cover all of it; a short window's own wall
    /// times return both passes of that part alone. Returns `true` if that has yet to be tried.
    fn narrow(&mut self, exact: bool) -> bool {
        let Some(part) = self.todo.last_mut() else { return false };
        let may = !exact && !part.narrow && part.window.len() <= NARROW;
        if may {
            part.narrow = true;
            part.chain = None;
        }
        may
    }

    /// Narrows the bounds of a smallest window, since the surplus may lie outside it; to a single unit only if
    /// `slices` is `false`. Returns `true` if there was something to narrow.
    fn tighten(&mut self, request: &Request, slices: bool, context: &Context<'_>) -> bool {
        let unit = context.unit();
        let Some(part) = self.todo.last_mut().filter(|part| part.window.len() <= context.smallest()) else {
            return false;
        };
        let inclusive = context.profile.from_inclusive;
        loop {
            part.tight = match part.tight {
                Tight::Wide if inclusive => Tight::Bounds,
                Tight::Wide | Tight::Bounds if part.window.len() == unit && !slices => Tight::Unit,
                _ => return false,
            };
            part.chain = None;
            if sent(part, context) != request.sent {
                return true;
            }
        }
    }

    /// Handles a smallest window that seems to hold more than one answer can. It becomes a gap only after the API
    /// has answered something else, because an API that refuses everything is in trouble.
    pub(super) fn overloaded(&mut self, part: Part, context: &mut Context<'_>, step: &mut Step) {
        if self.is_widened(part.window) {
            return self.open_gap(part.window, GapReason::Overloaded, step);
        }
        self.refused += 1;
        step.outcome = Outcome::SplitTooMany;
        let window = part.window;
        self.sums.retain(|sum| !sum.touches(window));
        let fit = self.target(context);
        self.done(window, 0, fit, context);
        step.failed = Some((window, GapReason::Overloaded));
        if self.refused >= REFUSED_SMALLEST {
            // Everything else left here would be refused as well: it comes later and says nothing about a limit.
            self.refused = 0;
            (context.profile.refusals, context.profile.refused_at) = (0, None);
            let left = self.todo.drain(..).map(|part| part.window);
            let all = left.fold(window, |all, part| all.hull(&part));
            self.sums.clear();
            step.outcome = Outcome::Failed;
            step.failed = Some((all, GapReason::Overloaded));
        }
    }

    pub(super) fn sliced(
        &mut self,
        evidence: &Evidence,
        whole: bool,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let Some(mut part) = self.todo.pop() else { return };
        let Some(mut partitioning) = part.partitioning.take() else { return };
        let partition = partitioning.todo.pop().unwrap_or_default();
        step.outcome = Outcome::SplitUnproven;
        if whole {
            partitioning.seen += evidence.listed as u64;
            partitioning.dates.extend(&evidence.dates);
            partitioning.undated += evidence.undated();
        } else if let Some((a, b)) = partition.halves() {
            partitioning.todo.extend([b, a]);
        } else {
            return self.overloaded(part, context, step);
        }
        if !partitioning.todo.is_empty() {
            part.partitioning = Some(partitioning);
            self.todo.push(part);
            step.hold = Hold::AndEarlier;
        } else if partitioning.seen == partitioning.total {
            step.outcome = Outcome::Whole;
            let fit = self.target(context);
            self.done(part.window, partitioning.dates.len(), fit, context);
            let Partitioning { sent, dates, undated, .. } = &partitioning;
            let read = Read { window: part.window, sent: *sent, dates, undated: *undated };
            self.claim(&read, context, step);
        } else {
            self.overloaded(part, context, step);
        }
    }

    pub(super) fn open_gap(&mut self, window: Window, reason: GapReason, step: &mut Step) {
        self.sums.retain(|sum| !sum.touches(window));
        step.gaps.push((window, reason));
        step.outcome = Outcome::Gap;
    }
}
