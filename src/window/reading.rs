//! One reading of some windows: what to ask next, and what the answers prove.
//!
//! A cut answer is continued where it ended, but what it held is claimed only when the next answer announces
//! as many records as must be left: a server may cut first and sort the page afterwards. What cannot be
//! continued is split, and the parts must add up to what was announced for the whole.

use chrono::{DateTime, TimeDelta, Utc};

use super::ask::{Ask, GapReason, Hold, Outcome, Reason, Reply, Step};
use super::density::Forecast;
use super::knowledge::{Bounds, Knowledge};
use super::page::{Page, Proof, continuation};
use super::slice::Slice;
use super::sum::{Kind, Sum};
use super::verdict::{Evidence, Limits, Verdict, judge};
use super::{Lane, Order, Window};

/// The settings that reading needs.
#[derive(Clone, Debug)]
pub struct ReadingSettings {
    /// Which lengths of answers mean what.
    pub limits: Limits,
    /// The unit on the wire.
    pub granularity: TimeDelta,
    /// `sync.min_window`.
    pub min_window: TimeDelta,
    /// Failures in a row before a window is set aside.
    pub attempts: u32,
    /// What the account reads, for dividing an overloaded unit.
    pub slice: Slice,
}

/// What a reading learns from and adds to.
pub struct Context<'a> {
    /// What is known of the API.
    pub knowledge: &'a mut Knowledge,
    /// What is known of the calls.
    pub forecast: &'a mut Forecast,
    /// The settings.
    pub settings: &'a ReadingSettings,
}

impl Context<'_> {
    fn unit(&self) -> TimeDelta {
        self.knowledge.unit(self.settings.granularity)
    }

    fn smallest(&self) -> TimeDelta {
        self.unit().max(self.settings.min_window)
    }

    /// How many records to aim at where the API says nothing but "too many".
    fn target(&self) -> f64 {
        self.knowledge.likely_limit(self.settings.limits.records) as f64 * self.forecast.margin()
    }
}

/// The state of reading some windows.
#[derive(Clone, Debug)]
pub struct Reading {
    lane: Lane,
    reason: Reason,
    order: Order,
    /// What is left to read; the next part stands last.
    todo: Vec<Part>,
    page: Option<Page>,
    sums: Vec<Sum>,
}

#[derive(Clone, Debug)]
struct Part {
    window: Window,
    attempts: u32,
    /// Read for the second time because its parts did not add up.
    again: bool,
    /// The bounds of the first page: the far one must stay the same, or totals cannot be compared. Of an overloaded
    /// unit, the bounds for which its total was announced.
    first_sent: Option<Bounds>,
    slicing: Option<Slicing>,
}

impl Part {
    fn new(window: Window) -> Self {
        Self { window, attempts: 0, again: false, first_sent: None, slicing: None }
    }
}

/// An overloaded unit being read slice by slice.
#[derive(Clone, Debug)]
struct Slicing {
    total: u64,
    seen: u64,
    dates: Vec<DateTime<Utc>>,
    undated: usize,
    todo: Vec<Slice>,
}

impl Reading {
    /// A reading of `windows`, in the given order.
    pub fn new(lane: Lane, reason: Reason, order: Order, mut windows: Vec<Window>) -> Self {
        windows.sort_unstable();
        if order == Order::Ascending {
            windows.reverse();
        }
        let todo = windows.into_iter().map(Part::new).collect();
        Self { lane, reason, order, todo, page: None, sums: Vec::new() }
    }

    /// Why it reads.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether nothing is left to ask.
    pub fn is_done(&self) -> bool {
        self.todo.is_empty()
    }

    /// Whether something of `window` is still being read.
    pub fn has(&self, window: Window) -> bool {
        let pending = self.page.iter().map(|page| page.tentative);
        self.todo.iter().map(|part| part.window).chain(pending).any(|part| part.intersect(&window).is_some())
    }

    /// The next request, or `None` when done.
    pub fn next_ask(&mut self, context: &Context<'_>) -> Option<Ask> {
        let continues = context.knowledge.continues();
        if !continues && self.page.is_none() {
            self.fit(context);
        }
        let part = self.todo.last()?;
        let mut sent = context.knowledge.bounds(part.window, context.unit());
        if let Some(first) = part.first_sent {
            match (&part.slicing, self.order) {
                // Slices add up to what was announced for just these bounds.
                (Some(_), _) => sent = first,
                (None, Order::Ascending) => sent.to = first.to,
                (None, Order::Descending) => sent.from = first.from,
            }
        }
        Some(Ask {
            lane: self.lane,
            reason: self.reason,
            window: part.window,
            sent,
            order: continues.then_some(self.order),
            slice: part.slicing.as_ref().and_then(|slicing| slicing.todo.last().cloned()),
        })
    }

    /// Takes in the reply to `ask`, which must be the latest of `next_ask`.
    pub fn absorb(&mut self, ask: &Ask, reply: &Reply, context: &mut Context<'_>) -> Step {
        let mut step = Step::default();
        if self.todo.last().is_none_or(|part| part.window != ask.window) {
            return step;
        }
        match reply {
            Reply::Answer(evidence) => self.answer(ask, evidence, context, &mut step),
            Reply::TooMany => self.overflow(ask, Outcome::SplitTooMany, context, &mut step),
            Reply::TooLarge => self.overflow(ask, Outcome::SplitTooLarge, context, &mut step),
            // The newest minutes are no invalid range, but a sign of clocks that disagree: that passes.
            Reply::Invalid if self.lane != Lane::Live => self.invalid(&mut step),
            Reply::Invalid | Reply::Failed => self.fail(context, &mut step),
        }
        step
    }

    /// Where overflow is answered with nothing, reads only as much at once as is likely to fit.
    fn fit(&mut self, context: &Context<'_>) {
        let Some(part) = self.todo.last_mut().filter(|part| part.slicing.is_none()) else { return };
        if self.reason == Reason::Newest {
            return; // a few minutes; also the first question ever, which tells what kind of API this is
        }
        let piece = context.forecast.take(part.window, self.order, context.target(), context.smallest());
        let rest = match self.order {
            Order::Ascending => Window::new(piece.to(), part.window.to()),
            Order::Descending => Window::new(part.window.from(), piece.from()),
        };
        if let Some(rest) = rest {
            part.window = rest;
            let again = part.again;
            self.todo.push(Part { again, ..Part::new(piece) });
        }
    }

    fn answer(&mut self, ask: &Ask, evidence: &Evidence, context: &mut Context<'_>, step: &mut Step) {
        context.knowledge.refute_limits(evidence);
        let verdict = judge(evidence, context.knowledge, context.settings.limits);
        if verdict == Verdict::Contradictory {
            return self.fail(context, step);
        }
        context.knowledge.learn(ask.sent, evidence);
        self.settle(ask, evidence, context, step);
        if ask.slice.is_some() {
            return self.sliced(evidence, verdict == Verdict::Whole, context, step);
        }
        match verdict {
            Verdict::Whole => self.finish(evidence, context, step),
            Verdict::Cut { total } => self.cut(ask, evidence, total, context, step),
            Verdict::Doubted => self.doubt(evidence, context, step),
            Verdict::Contradictory => {}
        }
    }

    /// Claims or gives back what the page before tentatively held.
    fn settle(&mut self, ask: &Ask, evidence: &Evidence, context: &mut Context<'_>, step: &mut Step) {
        let Some(page) = self.page.take() else { return };
        match page.proof(ask, evidence.total, context.knowledge, self.order) {
            Proof::Proven => {
                context.knowledge.sorts = true;
                context.knowledge.sort_strikes = 0;
                let proven = page.proven(ask, context.knowledge, self.order, context.unit());
                self.hand_on(page.tentative, proven);
                if let Some(proven) = proven {
                    self.observe(proven, &page.dates, context);
                    self.claim(proven, &page.dates, page.undated, context, step);
                }
            }
            Proof::Unclear => self.give_back(page.tentative),
            Proof::Refuted => {
                context.knowledge.sorts = false;
                context.knowledge.sort_strikes += 1;
                self.give_back(page.tentative);
            }
        }
    }

    /// What of a page was not proven borders on the current part and is asked for with it.
    fn hand_on(&mut self, tentative: Window, proven: Option<Window>) {
        let Some(part) = self.todo.last_mut() else { return };
        let rest = match (self.order, proven) {
            (_, None) => Some(tentative),
            (Order::Ascending, Some(proven)) => Window::new(proven.to(), tentative.to()),
            (Order::Descending, Some(proven)) => Window::new(tentative.from(), proven.from()),
        };
        if let Some(rest) = rest {
            part.window = part.window.hull(&rest);
        }
    }

    /// Puts a window that is still unread below the current part.
    fn give_back(&mut self, window: Window) {
        let below = self.todo.len().saturating_sub(1);
        self.todo.insert(below, Part::new(window));
    }

    fn finish(&mut self, evidence: &Evidence, context: &mut Context<'_>, step: &mut Step) {
        let Some(part) = self.todo.pop() else { return };
        context.knowledge.note_length(part.window, evidence);
        self.observe(part.window, &evidence.dates, context);
        self.claim(part.window, &evidence.dates, evidence.undated(), context, step);
    }

    fn cut(
        &mut self,
        ask: &Ask,
        evidence: &Evidence,
        total: Option<u64>,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        // A lower one is no limit but a total that a server in trouble made up.
        if total.is_some() && evidence.listed >= context.settings.limits.doubt_from {
            context.knowledge.record_limit = Some(evidence.listed);
        }
        if let (Some(total), Some(order)) = (total, ask.order)
            && evidence.is_sorted(order)
            && let Some(part) = self.todo.last_mut()
            && let Some((tentative, rest)) = continuation(part.window, evidence, order, context.unit())
            && context.knowledge.continues()
            // The widened bounds of the next question take back up to two units: less would be no progress.
            && tentative.len() > context.unit() * 2
        {
            part.window = rest;
            part.first_sent.get_or_insert(ask.sent);
            let (dates, undated) = (evidence.dates.clone(), evidence.undated());
            self.page = Some(Page { tentative, total, dates, undated });
            step.hold = Hold::ThisAnswer;
            step.outcome = Outcome::Continued;
            return;
        }
        step.outcome = Outcome::SplitUnproven;
        if let Some(part) = self.todo.last_mut() {
            let narrowest = context.knowledge.bounds(part.window, context.unit());
            if part.window.len() <= context.smallest() && ask.sent != narrowest {
                // The bounds need not be so wide: what overloads the answer may stand outside the window.
                part.first_sent = None;
                return;
            }
            part.first_sent = Some(ask.sent);
        }
        let parts = total.map_or(2, |total| parts_for(total, context));
        let kind = total.map(|total| Kind::Announced { total });
        self.split(kind, parts, total, context, step);
    }

    /// A length that may be a silent limit: the halves tell.
    fn doubt(&mut self, evidence: &Evidence, context: &mut Context<'_>, step: &mut Step) {
        step.outcome = Outcome::Doubted;
        let Some(part) = self.todo.last() else { return };
        let inside = evidence.dates.iter().filter(|date| part.window.contains(**date)).count() as u64;
        let kind = Kind::Doubted { listed: evidence.listed, inside };
        context.knowledge.note_length(part.window, evidence);
        self.split(Some(kind), 2, None, context, step);
    }

    fn overflow(&mut self, ask: &Ask, outcome: Outcome, context: &mut Context<'_>, step: &mut Step) {
        if let Some(page) = self.page.take() {
            self.give_back(page.tentative);
        }
        if ask.slice.is_some() {
            return self.sliced(&Evidence::default(), false, context, step);
        }
        step.outcome = outcome;
        let expected = context.forecast.expected(ask.window);
        if outcome == Outcome::SplitTooMany {
            let likely = context.knowledge.likely_limit(context.settings.limits.records) as f64;
            context.forecast.compare(expected, likely.max(expected) * 1.3);
        }
        // With nothing known yet, quarters find the right size with fewer refusals than halves.
        let parts = if expected < 1.0 { 4.0 } else { (expected / context.target()).ceil().clamp(2.0, 8.0) };
        let kind = (outcome == Outcome::SplitTooMany).then_some(Kind::Refused);
        self.split(kind, parts as usize, None, context, step);
    }

    /// Replaces the current part by smaller ones; at the smallest window, by slices or a gap.
    fn split(
        &mut self,
        kind: Option<Kind>,
        parts: usize,
        total: Option<u64>,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let Some(mut part) = self.todo.pop() else { return };
        if part.window.len() <= context.smallest() {
            return self.too_small_to_split(part, total, context, step);
        }
        let mut windows = context.forecast.divide(part.window, parts, context.smallest());
        if self.order == Order::Ascending {
            windows.reverse();
        }
        if let Some(kind) = kind {
            self.sums.push(Sum::new(part.window, kind, part.again));
        }
        part.first_sent = None;
        self.todo.extend(windows.into_iter().map(|window| Part { again: part.again, ..Part::new(window) }));
    }

    fn too_small_to_split(
        &mut self,
        mut part: Part,
        total: Option<u64>,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        match (total, context.settings.slice.halves()) {
            // Without a total nobody could tell whether the slices add up.
            (Some(total), Some((a, b))) => {
                part.slicing =
                    Some(Slicing { total, seen: 0, dates: Vec::new(), undated: 0, todo: vec![b, a] });
                self.todo.push(part);
            }
            _ => self.open_gap(part.window, GapReason::Overloaded, step),
        }
    }

    fn sliced(&mut self, evidence: &Evidence, whole: bool, context: &mut Context<'_>, step: &mut Step) {
        let Some(mut part) = self.todo.pop() else { return };
        let Some(mut slicing) = part.slicing.take() else { return };
        let slice = slicing.todo.pop().unwrap_or_default();
        step.outcome = Outcome::SplitUnproven;
        if whole {
            slicing.seen += evidence.total.unwrap_or(evidence.listed as u64);
            slicing.dates.extend(&evidence.dates);
            slicing.undated += evidence.undated();
        } else if let Some((a, b)) = slice.halves() {
            slicing.todo.extend([b, a]);
        } else {
            return self.open_gap(part.window, GapReason::Overloaded, step);
        }
        if !slicing.todo.is_empty() {
            part.slicing = Some(slicing);
            self.todo.push(part);
            step.hold = Hold::AndEarlier;
        } else if slicing.seen == slicing.total {
            step.outcome = Outcome::Whole;
            self.claim(part.window, &slicing.dates, slicing.undated, context, step);
        } else {
            self.open_gap(part.window, GapReason::Overloaded, step);
        }
    }

    /// Asking the same again would be no use: the window stands as a gap, to be tried again seldom.
    fn invalid(&mut self, step: &mut Step) {
        if let Some(page) = self.page.take() {
            self.give_back(page.tentative);
        }
        if let Some(part) = self.todo.pop() {
            self.open_gap(part.window, GapReason::Invalid, step);
        }
    }

    fn open_gap(&mut self, window: Window, reason: GapReason, step: &mut Step) {
        self.sums.retain(|sum| !sum.holds(window));
        step.gaps.push((window, reason));
        step.outcome = Outcome::Gap;
    }

    fn fail(&mut self, context: &Context<'_>, step: &mut Step) {
        step.outcome = Outcome::Failed;
        // The page before may have been right, but its proof did not come: keep it waiting for the retry.
        step.hold = if self.page.is_some() { Hold::AndEarlier } else { Hold::Nothing };
        let Some(part) = self.todo.last_mut() else { return };
        part.attempts += 1;
        if part.attempts < context.settings.attempts {
            return;
        }
        let window = part.window;
        if let Some(page) = self.page.take() {
            self.give_back(page.tentative);
        }
        self.todo.pop();
        self.sums.retain(|sum| !sum.holds(window));
        step.failed = Some(window);
    }

    fn observe(&self, window: Window, dates: &[DateTime<Utc>], context: &mut Context<'_>) {
        if self.reason == Reason::Newest {
            return; // calls of the last minutes are still to appear
        }
        let actual = dates.iter().filter(|date| window.contains(**date)).count();
        context.forecast.compare(context.forecast.expected(window), actual as f64);
        context.forecast.observe(window, dates);
    }

    fn claim(
        &mut self,
        window: Window,
        dates: &[DateTime<Utc>],
        undated: usize,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        step.claims.push(window);
        for sum in &mut self.sums {
            sum.add(window, dates, undated);
        }
        // Innermost sums stand last: they close first.
        while let Some(at) = self.sums.iter().rposition(Sum::is_complete) {
            let sum = self.sums.remove(at);
            self.close(sum, context, step);
        }
    }

    fn close(&mut self, sum: Sum, context: &mut Context<'_>, step: &mut Step) {
        match sum.kind {
            Kind::Announced { total } if sum.seen < total && !sum.again => {
                self.sums.iter_mut().for_each(|outer| outer.take_back(&sum));
                step.uncover.push(sum.window);
                self.todo.push(Part { again: true, ..Part::new(sum.window) });
            }
            Kind::Announced { .. } => {}
            Kind::Doubted { listed, inside } if sum.inside > inside => {
                context.knowledge.record_limit = Some(listed);
                // An earlier answer of this length was believed: it was cut as well.
                if let Some(longest) = context.knowledge.longest.filter(|longest| longest.records >= listed) {
                    step.uncover.extend(Window::new(longest.from, longest.to));
                    context.knowledge.longest = None;
                }
            }
            // Whole this time; but an answer of just this length is no proof that longer ones exist.
            Kind::Doubted { .. } => {}
            // So few are no limit's fault.
            Kind::Refused if (sum.seen as usize) < context.settings.limits.doubt_from => {}
            Kind::Refused => {
                let read = sum.seen as usize;
                let fewest = context.knowledge.refused.map_or(read, |known| known.min(read));
                context.knowledge.refused = Some(fewest);
            }
        }
    }
}

fn parts_for(total: u64, context: &Context<'_>) -> usize {
    let limit = context.knowledge.limit(context.settings.limits.records).max(1);
    let parts = (total as f64 / (limit as f64 * context.forecast.margin())).ceil();
    parts.clamp(2.0, 64.0) as usize
}
