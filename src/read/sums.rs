//! What the parts of a divided window add up to, once all of them were read.

use super::part::{Part, Recount};
use super::{Context, Reading};
use crate::read::evidence::Evidence;
use crate::read::request::{GapReason, Outcome, Request, Step};
use crate::read::totals::{Read, SplitCause, SplitTotals};
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
        // Inner sums are at the end of the list, so they close first.
        while let Some(at) = self.sums.iter().rposition(SplitTotals::is_complete) {
            let sum = self.sums.remove(at);
            self.close(sum, context, step);
        }
    }

    fn close(&mut self, sum: SplitTotals, context: &mut Context<'_>, step: &mut Step) {
        match &sum.kind {
            SplitCause::Announced { total } | SplitCause::Short { total, .. } if sum.seen >= *total => {
                context.profile.confirm_totals(context.now);
            }
            // The parts show exactly what the whole showed, divided differently: the rest is never shown. This does
            // not hold if one part has as many records as the whole: it may have been cut at the same length.
            SplitCause::Short { listed, .. }
                if sum.seen <= *listed as u64
                    && (sum.largest < *listed || *listed < context.settings.limits.doubt_from) =>
            {
                context.profile.strike_totals(context.now);
            }
            // Each part was proven by itself; records just outside counted only in the total of the whole.
            SplitCause::Announced { .. } | SplitCause::Short { .. } if !sum.comparable => {}
            SplitCause::Announced { .. } if !sum.again => self.count_again(sum, step),
            SplitCause::Short { .. } if !sum.again => self.read_again(sum, step),
            SplitCause::Announced { .. } | SplitCause::Short { .. } => {
                self.sums.iter_mut().for_each(|outer| outer.take_back(&sum));
                self.sums.retain(|outer| !outer.holds(sum.window));
                step.uncover.push(sum.window);
                step.gaps.push((sum.window, GapReason::Incomplete));
                step.outcome = Outcome::Gap;
            }
            SplitCause::Doubted { listed, dates } => {
                let inside = dates.iter().filter(|date| sum.window.contains(**date)).count() as u64;
                // Otherwise it was whole this time, which does not prove that longer answers exist.
                if sum.inside > inside {
                    step.uncover.extend(context.profile.note_silent_cut(*listed));
                }
            }
            // So small a number cannot be the result of a limit.
            SplitCause::Refused if (sum.seen as usize) < context.settings.limits.doubt_from => {}
            SplitCause::Refused => {
                let read = sum.seen as usize;
                let fewest = context.profile.refused.map_or(read, |known| known.min(read));
                context.profile.refused = Some(fewest);
            }
            SplitCause::Scarce { listed } if sum.seen > *listed as u64 => self.distrust_empty(sum, step),
            SplitCause::Scarce { .. } => {}
            // Fewer records prove nothing.
            SplitCause::Ordered { inside } if sum.inside < *inside => {}
            SplitCause::Ordered { inside } => self.judge_order(sum.inside == *inside, context, step),
        }
    }

    /// Handles parts that hold fewer records than were announced for the whole. Some may have been removed
    /// meanwhile; the total of the whole shows that when it is requested once more.
    fn count_again(&mut self, sum: SplitTotals, step: &mut Step) {
        step.uncover.push(sum.window);
        self.sums.iter_mut().for_each(|outer| outer.take_back(&sum));
        let (seen, SplitCause::Announced { total: announced }) = (sum.seen, sum.kind) else { return };
        self.todo.push(Part { recount: Some(Recount { seen, announced }), ..Part::new(sum.window) });
    }

    fn read_again(&mut self, sum: SplitTotals, step: &mut Step) {
        self.sums.iter_mut().for_each(|outer| outer.take_back(&sum));
        step.uncover.push(sum.window);
        self.todo.push(Part { again: true, ..Part::new(sum.window) });
    }

    /// Handles the answer to the request for a whole whose parts showed fewer records than were announced.
    pub(super) fn recounted(
        &mut self,
        request: &Request,
        recount: Recount,
        evidence: &Evidence,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let Some(part) = self.todo.pop() else { return };
        if !recount.is_contradictory() && evidence.total.is_some_and(|total| total <= recount.seen) {
            step.by_count = true;
            let undated = usize::try_from(recount.seen).unwrap_or(usize::MAX);
            let read = Read { window: part.window, sent: request.sent, dates: &[], undated };
            return self.claim(&read, context, step);
        }
        step.outcome = Outcome::SplitUnproven;
        if recount.is_contradictory() {
            // The announced records must be found even if an answer with fewer is consistent in itself.
            let total = evidence.total.filter(|total| *total > recount.seen).unwrap_or(recount.announced);
            let sum = SplitTotals::new(part.window, request.sent, SplitCause::Announced { total }, true);
            self.sums.push(sum.of_bounds(evidence.exact_bounds));
        }
        self.todo.push(Part { again: true, ..Part::new(part.window) });
    }

    /// Reads empty parts again: an answer that held too little was wrong, and so may be the empty ones that
    /// confirmed it.
    fn distrust_empty(&mut self, sum: SplitTotals, step: &mut Step) {
        for window in sum.empty {
            step.uncover.push(window);
            for outer in &mut self.sums {
                outer.forget(window);
            }
            self.todo.push(Part::new(window));
        }
    }

    /// Judges a page by the answer for its own window. If that held exactly what the page showed, the server sorts
    /// before it cuts, provided that the rest of the window really holds more. Otherwise it does not, and whatever
    /// was claimed on that must be read again.
    pub(super) fn judge_order(&mut self, kept: bool, context: &mut Context<'_>, step: &mut Step) {
        if kept {
            self.order_kept = true;
            return;
        }
        context.profile.sorts = false;
        context.profile.sort_strikes = context.profile.sort_strikes.saturating_add(1);
        let unchecked = std::mem::take(&mut context.profile.unchecked);
        step.uncover.extend(unchecked.iter().filter_map(|page| Window::new(page.from, page.to)));
    }

    /// Takes in the answer after a page whose own window was checked: only records held back for it prove that
    /// there was a cut.
    pub(super) fn prove_order(&mut self, request: &Request, evidence: &Evidence, context: &mut Context<'_>) {
        let inside = evidence.dates.iter().filter(|date| request.window.contains(**date)).count();
        if std::mem::take(&mut self.order_kept) && inside >= HELD_BACK {
            context.profile.sorts = true;
            context.profile.sort_strikes = 0;
            context.profile.unchecked.clear();
        }
    }

    /// Handles a page's own window whose answer is cut again: it holds more than the page showed.
    pub(super) fn refute_order(
        &mut self,
        request: &Request,
        evidence: &Evidence,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        let shown = evidence.dates.iter().filter(|date| request.window.contains(**date)).count() as u64;
        let refuted = |sum: &SplitTotals| {
            sum.window == request.window
                && matches!(sum.kind, SplitCause::Ordered { inside } if shown > inside)
        };
        if let Some(at) = self.sums.iter().rposition(refuted) {
            self.sums.remove(at);
            self.judge_order(false, context, step);
        }
    }
}
