//! Windows that fail, and the gaps they become.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Asked, Planner};
use crate::window::ask::{Ask, GapReason, Outcome, Reason};
use crate::window::ledger::{Gap, Progress};
use crate::window::{Lane, Window};

impl Planner {
    pub(super) fn open_gap(
        &mut self,
        window: Window,
        reason: GapReason,
        now: DateTime<Utc>,
        progress: &mut Progress,
    ) {
        let known = self.ledger.gaps.iter_mut().find(|gap| gap.window == window);
        let gap = match known {
            Some(gap) => {
                gap.tries += 1;
                gap.next_try_at = now + retry_delay(gap.tries);
                gap.clone()
            }
            None => {
                // Nobody mends an invalid range within minutes.
                let delay = retry_delay(if reason == GapReason::Invalid { u32::MAX } else { 0 });
                let gap = Gap { window, reason, tries: 0, next_try_at: now + delay };
                self.ledger.gaps.push(gap.clone());
                gap
            }
        };
        progress.gaps.push(gap);
    }

    /// A window failed as often as it may: a gap's retry waits longer, another window is set aside, and
    /// when the API answers all else, it is narrowed down to a gap.
    pub(super) fn failed(&mut self, ask: &Ask, window: Window, now: DateTime<Utc>, progress: &mut Progress) {
        if ask.reason == Reason::Gap {
            self.gap_now = self.gap_now.map(|(gap, _)| (gap, true));
            return;
        }
        let confirmed = self.suspects.failed(window);
        if confirmed && window.len() <= self.settings.gap_grain {
            self.open_gap(window, GapReason::Unreadable, now, progress);
            progress.outcome = Outcome::Gap;
            return;
        }
        progress.set_aside = Some(window);
        let parts = if confirmed {
            self.ledger.forecast.divide(window, 2, self.settings.gap_grain)
        } else {
            vec![window]
        };
        for part in parts {
            if confirmed {
                self.suspects.confirm(part);
            }
            if let (Lane::Asked, Some(span)) = (ask.lane, self.asked_now) {
                self.asked.push_back(Asked { span, window: part });
            }
        }
    }

    /// When a reading of a gap or of an asked span ends, says what became of it.
    pub(super) fn finish_reading(&mut self, ask: &Ask, now: DateTime<Utc>, progress: &mut Progress) {
        if self.readings.get(&ask.lane).is_none_or(|reading| !reading.is_done()) {
            return;
        }
        if ask.lane == Lane::Asked {
            let span = self.asked_now.take();
            progress.finished = span.filter(|span| self.asked.iter().all(|left| left.span != *span));
        }
        if ask.reason == Reason::Gap
            && let Some((window, failed)) = self.gap_now.take()
        {
            self.finish_gap(window, failed, now, progress);
        }
    }

    /// After a gap was tried again: it is closed, replaced by smaller gaps inside it, or put off.
    fn finish_gap(&mut self, window: Window, failed: bool, now: DateTime<Utc>, progress: &mut Progress) {
        let Some(gap) = self.ledger.gaps.iter().find(|gap| gap.window == window) else { return };
        if gap.next_try_at > now {
            return; // it was opened once more, and put off thereby
        }
        let reason = gap.reason;
        let mut known = self.ledger.coverage.clone();
        for gap in self.ledger.gaps.iter().filter(|gap| gap.window != window) {
            known.claim(gap.window, TimeDelta::zero());
        }
        if !failed && known.covers(window) {
            self.ledger.gaps.retain(|gap| gap.window != window);
            progress.closed_gaps.push(window);
        } else {
            self.open_gap(window, reason, now, progress);
        }
    }
}

/// A gap is retried for ever, ever more seldom: after 5 minutes first, once a day at last.
fn retry_delay(tries: u32) -> TimeDelta {
    TimeDelta::minutes(5 << tries.min(9)).min(TimeDelta::days(1))
}
