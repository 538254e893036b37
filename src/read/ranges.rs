//! Ranges that the API refuses, or does not answer in time.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Context, Reading};
use crate::read::range_limits::{Refusal, SHORT};
use crate::read::request::{GapReason, Outcome, Request, Step};
use crate::window::bounds::floor;
use crate::window::{Order, Window};

impl Reading {
    /// Limits the request to a range that the API accepts and answers in time.
    pub(super) fn limit_range(&mut self, context: &Context<'_>) {
        let Some(part) = self.todo.last().filter(|part| part.is_plain()) else {
            return;
        };
        let unit = context.unit();
        let longest =
            context.profile.range.at_most(TimeDelta::MAX, unit, context.now).max(context.smallest());
        if part.window.len() <= longest || longest == TimeDelta::MAX {
            return;
        }
        let longest = floor(DateTime::UNIX_EPOCH + longest, context.smallest()) - DateTime::UNIX_EPOCH;
        let piece = match self.order {
            Order::Ascending => Window::new(part.window.from(), part.window.from() + longest),
            Order::Descending => Window::new(part.window.to() - longest, part.window.to()),
        };
        if let Some(piece) = piece {
            self.put_before(piece);
        }
    }

    /// Handles a range that the API refuses because of its end, its length or its beginning.
    pub(super) fn invalid(
        &mut self,
        request: &Request,
        server_date: Option<DateTime<Utc>>,
        context: &mut Context<'_>,
        step: &mut Step,
    ) {
        self.give_page_back();
        step.outcome = Outcome::Refused;
        match context.profile.range.refuse(request.sent, server_date, context.now) {
            Refusal::EndAt(end) => {
                let end = floor(end, context.unit());
                self.cut_off_at(end);
                if !self.todo.iter().any(|part| part.window.to() == end) {
                    // Nothing of it lies before that instant: the next poll requests it.
                    step.outcome = Outcome::Failed;
                }
            }
            Refusal::AtMost(_) => {}
            Refusal::Unexplained if request.sent.len() <= SHORT + context.unit() * 4 => {
                let Some(part) = self.todo.pop() else { return };
                self.sums.retain(|sum| !sum.touches(part.window));
                // First find out whether anything older is available.
                self.todo.retain(|older| older.window.from() >= part.window.to());
                step.out_of_reach = Some(part.window);
            }
            Refusal::Unexplained => {
                let parts = context.forecast.divide(request.window, 2, context.smallest());
                self.replace(parts);
            }
        }
    }

    /// Leaves out everything after `end`.
    fn cut_off_at(&mut self, end: DateTime<Utc>) {
        self.todo = std::mem::take(&mut self.todo)
            .into_iter()
            .filter_map(|part| {
                let window = Window::new(part.window.from(), part.window.to().min(end))?;
                Some(if window == part.window { part } else { part.piece(window) })
            })
            .collect();
        self.sums.retain(|sum| sum.window.to() <= end);
    }

    /// Handles an answer that took too long or ended early: a shorter range may work.
    pub(super) fn timed_out(&mut self, request: &Request, context: &mut Context<'_>, step: &mut Step) {
        let long = context.profile.range.too_slow(request.sent);
        // A short window that is late again is treated as too full.
        let again = self.todo.last().is_some_and(|part| part.attempts > 0);
        if request.partition.is_some() || request.window.len() <= context.smallest() || !(long || again) {
            return self.fail(GapReason::Unreadable, context, step);
        }
        self.give_page_back();
        step.outcome = Outcome::TooSlow;
        let parts = context.forecast.divide(request.window, 2, context.smallest());
        self.replace(parts);
    }
}
