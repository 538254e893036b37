//! What each lane reads next.

use chrono::{DateTime, TimeDelta, Utc};

use super::gaps::is_due;
use super::{Mode, Planner};
use crate::read::request::Reason;
use crate::window::bounds::{ceil, floor};
use crate::window::coverage::{Coverage, Stretch};
use crate::window::{Lane, Order, Window};

/// A reason, an order, and the windows to read.
pub(super) type Choice = (Reason, Order, Vec<Window>);

impl Planner {
    /// The tail: the newest minutes, and in turn the whole lookback.
    pub(super) fn live(&mut self, now: DateTime<Utc>) -> Option<Choice> {
        let due = match self.mode {
            Mode::Daemon => self.last_poll.is_none_or(|last| now >= last + self.settings.poll_interval),
            // A pass over years of history takes hours: the tail is kept fresh meanwhile.
            Mode::Pass => self.last_poll.is_none_or(|last| now >= last + self.settings.lookback_every),
            Mode::Asked => false,
        };
        if !due {
            return None;
        }
        self.last_poll = Some(now);
        let first = !std::mem::replace(&mut self.has_polled, true);
        let to = self.present(now);
        self.polled_until = Some(to);
        let hurried = std::mem::take(&mut self.hurried);
        let (reason, from) = match self.ledger.coverage.end() {
            // Nothing was ever read: backfill begins with the newest calls, so no request is spent on the tail.
            None if first => {
                self.last_lookback = Some(now);
                return None;
            }
            // Backfill has made no progress since: the tail must not wait for it.
            None => (Reason::Newest, now - self.settings.newest),
            Some(_) if hurried => (Reason::Newest, now - self.settings.newest),
            Some(end) => self.tail_from(end, now),
        };
        let from = floor(from, self.unit()).max(self.first_instant(now));
        let order = if hurried { Order::Descending } else { Order::Ascending };
        let windows = self.readable(Window::new(from, to)?);
        Some((reason, order, windows.into_iter().flat_map(|window| self.chunks(window, now)).collect()))
    }

    fn tail_from(&mut self, end: DateTime<Utc>, now: DateTime<Utc>) -> (Reason, DateTime<Utc>) {
        // Rather a poll early than late: no instant of the lookback may wait longer than `lookback_every`.
        let again_at =
            |last: DateTime<Utc>| last + self.settings.lookback_every - self.settings.poll_interval;
        let lookback = self.last_lookback.is_none_or(|last| now >= again_at(last) + TimeDelta::seconds(1));
        let oldest = now - self.settings.lookback;
        if !lookback && end > oldest {
            return (Reason::Newest, end.min(now - self.settings.newest));
        }
        self.last_lookback = Some(now);
        self.asked.release_late();
        // What has just left the lookback is read along with it: that is its re-read at the first age.
        let leaving = self.ledger.coverage.stretches().iter();
        let leaving = leaving
            .filter(|stretch| stretch.reread_age < self.settings.lookback && stretch.window.to() > oldest);
        let from = leaving.map(|stretch| stretch.window.from()).min().unwrap_or(oldest);
        (Reason::Lookback, from.clamp(oldest - self.settings.slack(self.settings.lookback), oldest))
    }

    /// Rechecks, gap retries and re-reads by age.
    pub(super) fn again(&mut self, now: DateTime<Utc>) -> Option<Choice> {
        if self.mode == Mode::Asked {
            return None;
        }
        if let Some(windows) = some(std::mem::take(&mut self.left_over)) {
            return Some((Reason::Lookback, Order::Descending, windows));
        }
        if let Some(windows) = some(self.looks(now)) {
            self.last_look = Some(now);
            return Some((Reason::Recheck, Order::Descending, windows));
        }
        if let Some(gap) = self.ledger.gaps.iter().find(|gap| is_due(gap, now)) {
            self.gap_now = Some(gap.window);
            let window = Window::new(gap.window.from().max(self.first_instant(now)), gap.window.to())
                .unwrap_or(gap.window);
            return Some((Reason::Gap, Order::Descending, self.chunks(window, now)));
        }
        // Whatever else is due may be refused for the same reason, so where history ends is found out first.
        if self.refused_at.is_some() {
            return None;
        }
        let windows = some(self.due_for_fields(now)).or_else(|| self.due_by_age(now))?;
        Some((Reason::Reconcile, Order::Descending, windows))
    }

    /// Where missing records are due for a recheck. A recheck stays due if its answer proves nothing, so rechecks
    /// are spaced out; otherwise they would starve gaps and re-reads.
    fn looks(&mut self, now: DateTime<Utc>) -> Vec<Window> {
        let mut looks = Coverage::new();
        if self.last_look.is_some_and(|last| now < last + self.settings.looks_apart()) {
            return Vec::new();
        }
        let unit = self.unit();
        for recheck in self.ledger.rechecks.extract_if(.., |recheck| recheck.due_at <= now) {
            looks.claim(outward(recheck.window, unit), TimeDelta::zero());
        }
        looks.stretches().iter().flat_map(|look| self.readable(look.window)).collect()
    }

    /// Stretches read without fields that the server provides now. They stay due if the server refuses the fields
    /// for just these windows, so they are requested once an hour at most.
    fn due_for_fields(&mut self, now: DateTime<Utc>) -> Vec<Window> {
        if self.last_for_fields.is_some_and(|last| now < last + TimeDelta::hours(1)) {
            return Vec::new();
        }
        let from = self.first_instant(now);
        let due = self.ledger.coverage.lacking_beyond(self.refused_fields).into_iter();
        let due = due.filter_map(|window| Window::new(window.from().max(from), window.to()));
        let windows: Vec<_> = due
            .flat_map(|window| self.readable(window))
            .flat_map(|window| self.chunks(window, now))
            .collect();
        if !windows.is_empty() {
            self.last_for_fields = Some(now);
        }
        windows
    }

    fn due_by_age(&mut self, now: DateTime<Utc>) -> Option<Vec<Window>> {
        let windows = some(self.due(now))?;
        if !self.api_clock.rereads_may_start(now, self.mode, &self.settings) {
            return None;
        }
        self.api_clock.reread_starts();
        Some(windows)
    }

    /// Stretches that reached a re-read age without having been read at it; all of them, once one is overdue.
    fn due(&self, now: DateTime<Utc>) -> Vec<Window> {
        // The slower clock counts: requested before it reaches the age, a stretch would have to be requested again.
        let reached = self.api_clock.reached(now);
        let (unit, from) = (self.unit(), self.first_instant(now));
        let mut due = Coverage::new();
        let mut overdue = false;
        for stretch in self.ledger.coverage.stretches() {
            let Some(age) = self.settings.ages().find(|age| *age > stretch.reread_age) else { continue };
            let to = stretch.window.to().min(floor(reached - age, unit));
            let Some(window) = Window::new(stretch.window.from().max(from), to) else { continue };
            // What lies under a gap is overdue as long as the gap is open; that must not hurry anything else.
            for window in self.readable(window) {
                overdue |= reached - window.from() >= age + self.settings.slack(age);
                due.claim(window, TimeDelta::zero());
            }
        }
        if !overdue {
            return Vec::new();
        }
        let windows = due.stretches().iter().flat_map(|stretch| self.readable(stretch.window));
        windows.flat_map(|window| self.chunks(window, now)).collect()
    }

    /// How much was not read again in time at an age that it reached. What cannot be read, or lies under a gap, does not count.
    pub fn overdue(&self, now: DateTime<Utc>) -> TimeDelta {
        let (reached, from) = (self.api_clock.reached(now), self.first_instant(now));
        let of_stretch = |stretch: &Stretch| {
            let age = self.settings.ages().find(|age| *age > stretch.reread_age)?;
            let to = stretch.window.to().min(reached - age - self.settings.slack(age));
            Window::new(stretch.window.from().max(from), to)
        };
        let late = self.ledger.coverage.stretches().iter().filter_map(of_stretch);
        late.flat_map(|window| self.readable(window)).map(|window| window.len()).sum()
    }

    /// The newest stretch of history that was never read.
    pub(super) fn hole(&self, now: DateTime<Utc>) -> Option<Window> {
        if self.mode == Mode::Asked {
            return None;
        }
        let present = self.present(now);
        let history =
            Window::new(self.first_instant(now), self.polled_until.unwrap_or(present).min(present))?;
        let holes = self.ledger.coverage.holes(history);
        let mut unread = holes.into_iter().rev().flat_map(|hole| self.readable(hole).into_iter().rev());
        let live = |hole: &Window| self.readings.get(&Lane::Live).is_some_and(|reading| reading.has(*hole));
        let newest = unread.find(|hole| !live(hole))?;
        self.chunks(newest, now).pop()
    }

    /// Where history starts: as configured, or where the API's own history begins.
    pub(super) fn first_instant(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let start = floor(self.ledger.history_start, self.unit());
        let oldest = self.ledger.profile.range.oldest(now).map(|oldest| ceil(oldest, self.unit()));
        oldest.map_or(start, |oldest| oldest.max(start))
    }

    /// `window` without gaps and quarantined windows, cut where a suspected part begins or ends; oldest first.
    fn readable(&self, window: Window) -> Vec<Window> {
        let mut barred = Coverage::new();
        let gaps = self.ledger.gaps.iter().map(|gap| gap.window);
        for window in
            gaps.chain(self.failing.quarantined()).chain(self.refused_at.map(|refused| refused.window))
        {
            barred.claim(window, TimeDelta::zero());
        }
        let edges = self.failing.narrowed().flat_map(|failing| [failing.from(), failing.to()]);
        let mut pieces = barred.holes(window);
        for edge in edges {
            pieces = pieces.into_iter().flat_map(|piece| cut_at(piece, edge)).collect();
        }
        pieces
    }

    /// `window` in pieces as long as the configuration and the API allow, oldest first; the newest has the full
    /// length.
    pub(super) fn chunks(&self, window: Window, now: DateTime<Utc>) -> Vec<Window> {
        let unit = self.unit();
        let longest = self.ledger.profile.range.at_most(self.settings.max_window, unit, now).max(unit);
        let mut chunks = Vec::new();
        let mut to = window.to();
        while let Some(chunk) = Window::new(ceil(to - longest, unit).max(window.from()), to) {
            chunks.push(chunk);
            to = chunk.from();
        }
        chunks.reverse();
        chunks
    }
}

/// `window` rounded outward to whole units.
pub(super) fn outward(window: Window, unit: TimeDelta) -> Window {
    Window::new(floor(window.from(), unit), ceil(window.to(), unit)).unwrap_or(window)
}

fn cut_at(window: Window, edge: DateTime<Utc>) -> Vec<Window> {
    let edge = edge.clamp(window.from(), window.to());
    Window::new(window.from(), edge).into_iter().chain(Window::new(edge, window.to())).collect()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
