//! What the parts of a divided window come to, once all of them were read.

use super::part::{Part, Recount};
use super::{Context, Reading};
use crate::read::evidence::Evidence;
use crate::read::request::{Ask, GapReason, Outcome, Step};
use crate::read::totals::{Kind, Read, Sum};
use crate::window::Window;

/// At least this many records must be held back by a cut for its order to prove anything.
const HELD_BACK: usize = 25;

impl Reading {
    /// Claims a window that was read completely, and counts it in the sums that it belongs to.
    pub(super) fn claim(&mut self, read: &Read<'_>, context: &mut Context<'_>, step: &mut Step) {
        step.claims.push(read.window);
        for sum in &mut self.sums {
            sum.add(read);
        }
        // Innermost sums stand last: they close first.
        while let Some(at) = self.sums.iter().rposition(Sum::is_complete) {
            let sum = self.sums.remove(at);
            self.close(sum, context, step);
        }
    }

    fn close(&mut self, sum: Sum, context: &mut Context<'_>, step: &mut Step) {
        match &sum.kind {
            Kind::Announced { total } | Kind::Short { total, .. } if sum.seen >= *total => {
                context.knowledge.confirm_totals(context.now);
            }
            // The parts show just what the whole showed, divided differently: the rest is never shown. Unless it was not
            // divided: one part that holds as many as the whole may have been cut where the whole was.
            Kind::Short { listed, .. }
                if sum.seen <= *listed as u64
                    && (sum.largest < *listed || *listed < context.settings.limits.doubt_from) =>
            {
                context.knowledge.strike_totals(context.now);
            }
            // Each part was proven by itself; what lies just outside was in the whole's total alone.
            Kind::Announced { .. } | Kind::Short { .. } if !sum.comparable => {}
            Kind::Announced { .. } if !sum.again => self.count_again(sum, step),
            Kind::Short { .. } if !sum.again => self.read_again(sum, step),
            Kind::Announced { .. } | Kind::Short { .. } => {
                self.sums.iter_mut().for_each(|outer| outer.take_back(&sum));
                self.sums.retain(|outer| !outer.holds(sum.window));
                step.uncover.push(sum.window);
                step.gaps.push((sum.window, GapReason::Incomplete));
                step.outcome = Outcome::Gap;
            }
            Kind::Doubted { listed, dates } => {
                let inside = dates.iter().filter(|date| sum.window.contains(**date)).count() as u64;
                // Else it was whole this time; but that is no proof that longer ones exist.
                if sum.inside > inside {
                    step.uncover.extend(context.knowledge.note_silent_cut(*listed));
                }
            }
            // So few are no limit's fault.
            Kind::Refused if (sum.seen as usize) < context.settings.limits.doubt_from => {}
            Kind::Refused => {
                let read = sum.seen as usize;
                let fewest = context.knowledge.refused.map_or(read, |known| known.min(read));
                context.knowledge.refused = Some(fewest);
            }
            Kind::Scarce { listed } if sum.seen > *listed as u64 => self.distrust_empty(sum, step),
            Kind::Scarce { .. } => {}
            // Fewer is no proof of anything.
            Kind::Ordered { inside } if sum.inside < *inside => {}
            Kind::Ordered { inside } => self.judge_order(sum.inside == *inside, context, step),
        }
    }

    /// The parts hold fewer records than were announced for the whole: some may have gone meanwhile, which the whole's
    /// total shows when it is asked for once more.
    fn count_again(&mut self, sum: Sum, step: &mut Step) {
        step.uncover.push(sum.window);
        self.sums.iter_mut().for_each(|outer| outer.take_back(&sum));
        let (seen, Kind::Announced { total: announced }) = (sum.seen, sum.kind) else { return };
        self.todo.push(Part { recount: Some(Recount { seen, announced }), ..Part::new(sum.window) });
    }

    fn read_again(&mut self, sum: Sum, step: &mut Step) {
        self.sums.iter_mut().for_each(|outer| outer.take_back(&sum));
        step.uncover.push(sum.window);
        self.todo.push(Part { again: true, ..Part::new(sum.window) });
    }

    /// The answer to the question for a whole whose parts showed fewer records than were announced.
    pub(super) fn recounted(
        &mut self,
        ask: &Ask,
        recount: Recount,
        evidence: &Evidence,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let Some(part) = self.todo.pop() else { return };
        if !recount.is_contradictory() && evidence.total.is_some_and(|total| total <= recount.seen) {
            step.by_count = true;
            let undated = usize::try_from(recount.seen).unwrap_or(usize::MAX);
            let read = Read { window: part.window, sent: ask.sent, dates: &[], undated };
            return self.claim(&read, context, step);
        }
        step.outcome = Outcome::SplitUnproven;
        if recount.is_contradictory() {
            // What was announced is to be found even if an answer agrees with itself on less.
            let total = evidence.total.filter(|total| *total > recount.seen).unwrap_or(recount.announced);
            let sum = Sum::new(part.window, ask.sent, Kind::Announced { total }, true);
            self.sums.push(sum.of_bounds(evidence.exact_bounds));
        }
        self.todo.push(Part { again: true, ..Part::new(part.window) });
    }

    /// An answer that held too little was wrong; so may have been the empty ones among those that confirmed it.
    fn distrust_empty(&mut self, sum: Sum, step: &mut Step) {
        for window in sum.empty {
            step.uncover.push(window);
            for outer in &mut self.sums {
                outer.forget(window);
            }
            self.todo.push(Part::new(window));
        }
    }

    /// The page's own window held just what the page showed: the server sorts before it cuts, if the rest of the window
    /// really holds more. Else it does not, and what was claimed on that is to be read again.
    pub(super) fn judge_order(&mut self, kept: bool, context: &mut Context<'_>, step: &mut Step) {
        if kept {
            self.order_kept = true;
            return;
        }
        context.knowledge.sorts = false;
        context.knowledge.sort_strikes = context.knowledge.sort_strikes.saturating_add(1);
        let unchecked = std::mem::take(&mut context.knowledge.unchecked);
        step.uncover.extend(unchecked.iter().filter_map(|page| Window::new(page.from, page.to)));
    }

    /// The answer after a page whose own window was checked: only records held back for it prove that there was a cut.
    pub(super) fn prove_order(&mut self, ask: &Ask, evidence: &Evidence, context: &mut Context<'_>) {
        let inside = evidence.dates.iter().filter(|date| ask.window.contains(**date)).count();
        if std::mem::take(&mut self.order_kept) && inside >= HELD_BACK {
            context.knowledge.sorts = true;
            context.knowledge.sort_strikes = 0;
            context.knowledge.unchecked.clear();
        }
    }

    /// The window of a page, asked for by itself, is cut again: it holds more than the page showed.
    pub(super) fn refute_order(
        &mut self,
        ask: &Ask,
        evidence: &Evidence,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let shown = evidence.dates.iter().filter(|date| ask.window.contains(**date)).count() as u64;
        let refuted = |sum: &Sum| {
            sum.window == ask.window && matches!(sum.kind, Kind::Ordered { inside } if shown > inside)
        };
        if let Some(at) = self.sums.iter().rposition(refuted) {
            self.sums.remove(at);
            self.judge_order(false, context, step);
        }
    }
}
