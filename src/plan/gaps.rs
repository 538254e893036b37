//! Windows that fail, and the gaps they become.

use chrono::{DateTime, TimeDelta, Utc};

use super::{LONG_GAP, Mode, Planner, RefusedRange};
use crate::plan::ledger::{Gap, LedgerChange};
use crate::read::request::{GapReason, Outcome, Reason, Request};
use crate::window::bounds::{ceil, floor};
use crate::window::{Lane, Window};

/// After this many refusals one window is no longer used to find out where history ends.
const REFUSALS: u8 = 8;
/// What a poll requests must fail this often, while other requests are answered, to be held at fault.
const LIVE_STRIKES: u8 = 2;
/// A refused window this much older than another shows that history ends between them.
const OLDER: TimeDelta = TimeDelta::hours(12);

impl Planner {
    /// Opens a gap, joined with bordering gaps of the same reason, or postpones the one that is there.
    pub(super) fn open_gap(
        &mut self,
        window: Window,
        reason: GapReason,
        now: DateTime<Utc>,
        change: &mut LedgerChange,
    ) {
        if let Some(gap) = self.ledger.gaps.iter_mut().find(|gap| gap.window == window) {
            gap.tries += 1;
            gap.next_try_at = now + retry_delay(gap.tries);
            let gap = gap.clone();
            return self.note_gap(gap, now, change);
        }
        let borders = |gap: &mut Gap| {
            let (a, b) = (gap.window, window);
            gap.reason == reason && a.from() <= b.to() && b.from() <= a.to()
        };
        let joined: Vec<Gap> = self.ledger.gaps.extract_if(.., borders).collect();
        let window = joined.iter().fold(window, |all, gap| all.hull(&gap.window));
        let tries = joined.iter().map(|gap| gap.tries).min().unwrap_or(0);
        for gap in &joined {
            change.gaps.retain(|new| new.window != gap.window);
            change.closed_gaps.push(gap.window);
        }
        let gap = Gap { window, reason, tries, next_try_at: now + retry_delay(tries) };
        self.ledger.gaps.push(gap.clone());
        self.note_gap(gap, now, change);
    }

    /// Opens a gap for a window whose parts never add up. It is retried at growing intervals.
    pub(super) fn give_up(
        &mut self,
        window: Window,
        tries: u32,
        now: DateTime<Utc>,
        change: &mut LedgerChange,
    ) {
        self.open_gap(window, GapReason::Incomplete, now, change);
        change.outcome = Outcome::Gap;
        let given_up = |gap: &&mut Gap| gap.window.intersect(&window).is_some();
        if let Some(gap) = self.ledger.gaps.iter_mut().find(given_up) {
            gap.tries = gap.tries.max(tries);
            gap.next_try_at = now + retry_delay(gap.tries);
            let gap = gap.clone();
            self.note_gap(gap, now, change);
        }
    }

    /// Schedules the retry of a gap: soon if it lies in the lookback, because it must not hide new calls.
    fn note_gap(&mut self, mut gap: Gap, now: DateTime<Utc>, change: &mut LedgerChange) {
        if gap.window.to() > now - self.settings.lookback {
            gap.next_try_at = gap.next_try_at.min(now + self.settings.lookback_every);
            if let Some(known) = self.ledger.gaps.iter_mut().find(|known| known.window == gap.window) {
                known.next_try_at = gap.next_try_at;
            }
        }
        change.gaps.retain(|new| new.window != gap.window);
        change.gaps.push(gap);
    }

    /// Removes `read` from the gaps, whichever lane read it.
    pub(super) fn fill_gaps(&mut self, read: Window, change: &mut LedgerChange) {
        let touched: Vec<Gap> =
            self.ledger.gaps.extract_if(.., |gap| gap.window.intersect(&read).is_some()).collect();
        for gap in touched {
            change.gaps.retain(|new| new.window != gap.window);
            change.closed_gaps.push(gap.window);
            let left = [
                Window::new(gap.window.from(), read.from().min(gap.window.to())),
                Window::new(read.to().max(gap.window.from()), gap.window.to()),
            ];
            for window in left.into_iter().flatten() {
                let gap = Gap { window, ..gap.clone() };
                self.ledger.gaps.push(gap.clone());
                change.gaps.push(gap);
            }
        }
    }

    /// Handles a window that failed as often as it may. After the retry of a gap, the next retry waits longer; any
    /// other window is quarantined and, when the API answers everything else, narrowed down to a gap.
    pub(super) fn failed(
        &mut self,
        request: &Request,
        window: Window,
        reason: GapReason,
        now: DateTime<Utc>,
        change: &mut LedgerChange,
    ) {
        if request.reason == Reason::Gap {
            return;
        }
        // The request that was to show where history ends cannot be answered.
        if reason != GapReason::Invalid
            && request.lane == Lane::Backfill
            && let Some(refused) = self.refused_at.take()
        {
            self.failing.failed(refused.window, 1);
        }
        // A window is to blame only while its neighbours are answered: the failures of an API that answers nothing
        // do not add up.
        if request.lane != Lane::Live
            && self.mode != Mode::Asked
            && !self.answers
            && self.failing.is_confirmed(window)
        {
            change.quarantined = Some(window);
            return;
        }
        // No poll runs between the failures of what a poll itself requests, so it must fail that much more often.
        let confirmed =
            self.failing.failed(window, if request.lane == Lane::Live { LIVE_STRIKES } else { 1 });
        if !confirmed && reason == GapReason::Unreadable && self.mode == Mode::Daemon {
            // Is it the window, or does the API answer nothing?
            self.last_poll = None;
        }
        if confirmed && window.len() <= self.settings.gap_grain {
            self.open_gap(window, reason, now, change);
            change.outcome = Outcome::Gap;
            return;
        }
        change.quarantined = Some(window);
        if reason == GapReason::Invalid && !confirmed {
            // A refusal that taught nothing is a failure: an API that refuses everything is retried at growing
            // intervals.
            change.outcome = Outcome::Failed;
        }
        let parts = if confirmed {
            self.ledger.forecast.divide(window, 2, self.unit().max(self.settings.gap_grain / 2))
        } else {
            vec![window]
        };
        for part in parts {
            if confirmed {
                self.failing.confirm(part);
            }
            if request.lane == Lane::Asked {
                self.asked.again(part);
            }
        }
    }

    /// Notes from `outcome` whether the API answers at all. Between the failures of a suspected window, polls show
    /// whether anything is answered; while polls fail, no other window counts as failed.
    pub(super) fn note_life(&mut self, request: &Request, outcome: Outcome) {
        if outcome != Outcome::Failed {
            self.answers = true;
            return;
        }
        if request.lane == Lane::Live {
            self.answers = false;
            self.failing.excuse(request.window);
            let others = self.readings.iter_mut().filter(|(lane, _)| **lane != Lane::Live);
            others.for_each(|(_, reading)| reading.forgive());
        } else if self.failing.is_confirmed(request.window)
            && self.readings.get(&request.lane).is_some_and(|reading| reading.attempts() > 0)
        {
            self.answers = false;
            self.last_poll = None;
        }
    }

    /// Handles a short window that is refused because of its position. If an older one is refused, too, the API's
    /// history ends there.
    pub(super) fn out_of_reach(
        &mut self,
        request: &Request,
        window: Window,
        now: DateTime<Utc>,
        change: &mut LedgerChange,
    ) {
        let suspected = self.failing.narrowed().any(|narrowed| narrowed.intersect(&window).is_some());
        // A request made to find out where history ends is judged for that alone.
        let narrowed = suspected && self.refused_at.is_none();
        // No API keeps less than a day, and none refuses what it answered before unless its history moves on: such
        // refusals are trouble, and nothing is learned from them.
        let is_newer = self.refused_at.is_some_and(|first| window.from() >= first.window.to());
        let moves = self.ledger.profile.range.oldest(now).is_some();
        let trouble = is_newer && !moves && self.refused_at.is_some_and(|first| !first.again);
        if narrowed || trouble || window.to() > now - TimeDelta::days(1) {
            let first = self.refused_at.take_if(|_| is_newer);
            for refused in first.map(|first| first.window).into_iter().chain([window]) {
                self.failed(request, refused, GapReason::Invalid, now, change);
            }
            return;
        }
        let oldest = self.first_instant(now);
        // Nothing older is left to request: only newer windows can show whether history ends here.
        let is_oldest = |window: Window| window.from() - oldest <= LONG_GAP;
        let Some(first) = self.refused_at else {
            let (older_too, again) = (is_oldest(window), request.lane == Lane::Reconcile);
            self.refused_at = Some(RefusedRange { window, older_too, again, confirm: false, tries: 0 });
            return;
        };
        if first.confirm && first.window.intersect(&window).is_some() {
            return self.end_reach(first.window.to(), now, change);
        }
        if first.tries >= REFUSALS {
            self.refused_at = None;
            return self.failed(request, first.window, GapReason::Invalid, now, change);
        }
        let older_too = window.to() + OLDER <= first.window.from() || first.older_too;
        let window = if older_too && !is_newer { first.window } else { first.window.hull(&window) };
        let older_too = older_too || is_oldest(window);
        self.refused_at = Some(RefusedRange { window, older_too, tries: first.tries + 1, ..first });
    }

    /// Handles a window that was answered beside a refused one. An older one shows that there is a hole in the
    /// middle; a newer one, after older ones were refused, shows that history ends there.
    pub(super) fn reached_beyond(
        &mut self,
        request: &Request,
        now: DateTime<Utc>,
        change: &mut LedgerChange,
    ) {
        let Some(refused) = self.refused_at else { return };
        if refused.confirm && refused.window.intersect(&request.window).is_some() {
            self.refused_at = None;
        } else if request.window.to() <= refused.window.from() {
            self.refused_at = None;
            self.failed(request, refused.window, GapReason::Invalid, now, change);
        } else if refused.older_too && request.window.from() >= refused.window.to() {
            self.refused_at = Some(RefusedRange { confirm: true, ..refused });
        }
    }

    /// Notes that the API's history ends at `instant`.
    fn end_reach(&mut self, instant: DateTime<Utc>, now: DateTime<Utc>, change: &mut LedgerChange) {
        self.refused_at = None;
        self.ledger.profile.range.end_reach(instant, now);
        self.failing.forget_before(instant);
        let below = |gap: &mut Gap| gap.window.to() <= instant;
        change.closed_gaps.extend(self.ledger.gaps.extract_if(.., below).map(|gap| gap.window));
    }

    /// The window to request in order to find out where the API's history ends.
    pub(super) fn beyond_reach(&self, now: DateTime<Utc>) -> Option<Window> {
        if self.mode == Mode::Asked {
            return None;
        }
        let range = &self.ledger.profile.range;
        if let Some(RefusedRange { window: refused, older_too, confirm, tries, .. }) = self.refused_at {
            if confirm {
                return Window::new((refused.to() - LONG_GAP).max(refused.from()), refused.to());
            }
            if older_too {
                // Not right beside it, because the end of history moves on.
                let from = ceil(refused.to(), self.unit()) + LONG_GAP * (1 << tries.min(REFUSALS));
                return Window::new(from, (from + LONG_GAP).min(self.present(now)));
            }
            let from = (refused.from() - OLDER * 2).max(self.first_instant(now));
            return Window::new(from, (from + LONG_GAP).min(refused.from()));
        }
        let oldest = range.oldest(now).filter(|_| range.reach_is_due(now))?;
        let to = floor(oldest, self.unit());
        let from = (to - LONG_GAP).max(floor(self.ledger.history_start, self.unit()));
        Window::new(from, to)
    }

    /// Updates the gap or the asked span whose reading has ended.
    pub(super) fn finish_reading(
        &mut self,
        request: &Request,
        now: DateTime<Utc>,
        change: &mut LedgerChange,
    ) {
        if self.readings.get(&request.lane).is_none_or(|reading| !reading.is_done()) {
            return self.finish_unreachable(now, change);
        }
        if request.lane == Lane::Asked {
            self.finish_asked(now, change);
        }
        if request.reason == Reason::Gap
            && let Some(window) = self.gap_now.take()
        {
            self.finish_gap(window, now, change);
        }
    }

    /// Postpones what is left of a gap after its retry.
    fn finish_gap(&mut self, window: Window, now: DateTime<Utc>, change: &mut LedgerChange) {
        let left = self.ledger.gaps.iter().filter(|gap| gap.window.intersect(&window).is_some());
        let left: Vec<_> = left.filter(|gap| is_due(gap, now)).cloned().collect();
        for gap in left {
            self.open_gap(gap.window, gap.reason, now, change);
        }
    }
}

/// Returns `true` if the next try is due, or further ahead than it can have been postponed (then the clock was set
/// back).
pub(super) fn is_due(gap: &Gap, now: DateTime<Utc>) -> bool {
    gap.next_try_at <= now || gap.next_try_at - now > retry_delay(gap.tries)
}

/// The wait before the next retry of a gap: 5 minutes at first, a day at last.
fn retry_delay(tries: u32) -> TimeDelta {
    TimeDelta::minutes(5 << tries.min(9)).min(TimeDelta::days(1))
}
