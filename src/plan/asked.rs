//! Spans that somebody asked for. Each piece is requested until it has been read, has become a gap, or turns out to
//! lie before the API's history.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::choice::{Choice, outward};
use super::kept::clip;
use super::{Mode, Planner};
use crate::plan::ledger::LedgerChange;
use crate::read::Reading;
use crate::read::request::Reason;
use crate::window::bounds::floor;
use crate::window::coverage::Coverage;
use crate::window::{Lane, Order, Window};

/// A piece of an asked span.
#[derive(Clone, Copy, Debug)]
struct Piece {
    span: Window,
    window: Window,
    /// `true` if it was requested before.
    again: bool,
    /// `true` if it lies past the API's clock: it then waits for the next poll that reads the lookback.
    late: bool,
}

/// The pieces that wait, and the one that is being read.
#[derive(Clone, Debug, Default)]
pub(super) struct AskedSpans {
    waiting: VecDeque<Piece>,
    now: Option<Piece>,
    /// What was read since the current piece was started.
    read: Coverage,
    /// The earliest end of claims among its answers.
    horizon: Option<DateTime<Utc>>,
}

impl AskedSpans {
    /// A span that waits as a whole is read once, however often it was asked for.
    pub(super) fn add(&mut self, span: Window) {
        let is_whole = |piece: &Piece| piece.span == span && piece.window == span && !piece.again;
        if !self.waiting.iter().any(is_whole) {
            self.waiting.push_back(Piece { span, window: span, again: false, late: false });
        }
    }

    /// Requests a part of the current piece once more.
    pub(super) fn again(&mut self, window: Window) {
        let again = self.now.map(|piece| Piece { window, again: true, ..piece });
        self.waiting.extend(again);
    }

    /// Puts the current piece back: its reading was given up.
    pub(super) fn interrupt(&mut self) {
        self.waiting.extend(self.now.take());
    }

    /// How much of `span` waits, with what is left of the piece that is being read.
    pub(super) fn left_of(&self, span: Window, reading: &[Window]) -> TimeDelta {
        let waiting = self.waiting.iter().filter(|piece| piece.span == span).map(|piece| piece.window.len());
        let now = self.now.filter(|piece| piece.span == span).into_iter();
        let now = now.flat_map(|_| reading.iter().map(Window::len));
        waiting.chain(now).sum()
    }

    /// Forgets a span: nobody waits for it any more. Returns `true` if it was being read.
    pub(super) fn withdraw(&mut self, span: Window) -> bool {
        self.waiting.retain(|piece| piece.span != span);
        self.now.take_if(|piece| piece.span == span).is_some()
    }

    /// Forgets what is older than `floor`.
    pub(super) fn keep_from(&mut self, floor: DateTime<Utc>) {
        self.waiting.retain_mut(|piece| clip(&mut piece.window, floor));
        self.now.take_if(|piece| !clip(&mut piece.window, floor));
    }

    /// Lets pieces that lay past the API's clock be requested again.
    pub(super) fn release_late(&mut self) {
        self.waiting.iter_mut().for_each(|piece| piece.late = false);
    }

    /// Takes in the outcome of an answer for the current piece, whose claims end at `horizon`.
    pub(super) fn note(&mut self, change: &LedgerChange, horizon: DateTime<Utc>) {
        self.horizon = Some(self.horizon.map_or(horizon, |earliest| earliest.min(horizon)));
        change.claims.iter().for_each(|claim| self.read.claim(claim.window, claim.reread_age));
        change.uncover.iter().for_each(|window| self.read.uncover(*window));
    }

    fn begin(&mut self, piece: Piece) {
        (self.now, self.read, self.horizon) = (Some(piece), Coverage::new(), None);
    }

    pub(super) fn is_waiting(&self, span: Window) -> bool {
        self.waiting.iter().chain(&self.now).any(|piece| piece.span == span)
    }
}

impl Planner {
    /// Requests that what is kept of `span` is read again, before reconcile and backfill.
    /// Returns that part; `None` if nothing of it is kept.
    pub fn ask_for(&mut self, span: Window) -> Option<Window> {
        let kept = self.kept(span);
        kept.into_iter().for_each(|kept| self.asked.add(kept));
        kept
    }

    /// Forgets a span that was asked for.
    pub fn withdraw(&mut self, span: Window) {
        if self.asked.withdraw(span) {
            self.readings.remove(&Lane::Asked);
        }
    }

    /// Returns `true` while a part of a span that was asked for is still to be read.
    pub fn waits_for(&mut self, span: Window, now: DateTime<Utc>) -> bool {
        // An account on which nothing else goes on would never come to it.
        while self.drop_unreachable(now).is_some() {}
        self.asked.is_waiting(span)
    }

    /// The oldest instant that the API is known to have.
    pub fn oldest_of_api(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.ledger.profile.range.oldest(now)
    }

    /// How much of a span that was asked for is still to be read.
    pub fn left_of(&self, span: Window) -> TimeDelta {
        let reading = self.readings.get(&Lane::Asked).map(Reading::left).unwrap_or_default();
        self.asked.left_of(span, &reading)
    }

    /// The first piece of an asked span that can be requested now.
    pub(super) fn next_asked(&mut self, now: DateTime<Utc>) -> Option<Choice> {
        // The other lanes find out first where history ends.
        if self.refused_at.is_some() && self.mode != Mode::Asked {
            return None;
        }
        let (unit, present) = (self.unit(), self.present(now));
        let reachable = |piece: &Piece| {
            let window = outward(piece.window, unit);
            let from = if piece.again { window.from().max(self.first_of_api(now)) } else { window.from() };
            Window::new(from, window.to().min(present))
        };
        let (at, window) = self
            .asked
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, piece)| !piece.late)
            .find_map(|(at, piece)| reachable(piece).map(|window| (at, window)))?;
        let piece = self.asked.waiting.remove(at)?;
        self.asked.begin(Piece { window, ..piece });
        Some((Reason::Asked, Order::Descending, self.chunks(window, now)))
    }

    /// Where the API's history is known to begin.
    fn first_of_api(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.ledger.profile.range.oldest(now).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// Ends the reading of a piece: what it left unread is requested again.
    pub(super) fn finish_asked(&mut self, now: DateTime<Utc>, change: &mut LedgerChange) {
        let Some(piece) = self.asked.now.take() else { return };
        let mut settled = std::mem::take(&mut self.asked.read);
        let gaps = self.ledger.gaps.iter().map(|gap| gap.window);
        let waiting = self.asked.waiting.iter().filter(|other| other.span == piece.span);
        // In this mode nothing finds out whether history ends at the refused window.
        let refused = self.refused_at.filter(|_| self.mode == Mode::Asked).map(|refused| refused.window);
        for window in gaps.chain(waiting.map(|other| other.window)).chain(refused) {
            settled.claim(window, TimeDelta::zero());
        }
        // The newest minutes are read at every poll.
        let until = piece.window.to().min(now - self.settings.newest);
        let left = Window::new(piece.window.from(), until).map(|window| settled.holes(window));
        let clock = self.asked.horizon.map_or(now, |horizon| floor(horizon, self.unit()));
        for window in left.into_iter().flatten() {
            let left = Piece { window, again: true, ..piece };
            let past = Window::new(window.from().max(clock), window.to());
            self.asked.waiting.extend(
                Window::new(window.from(), window.to().min(clock)).map(|window| Piece { window, ..left }),
            );
            match past {
                Some(window) if self.mode == Mode::Daemon => {
                    self.asked.waiting.push_back(Piece { window, late: true, ..left });
                }
                // The next answer may come from a node whose clock is right.
                Some(window) if !piece.again => self.asked.waiting.push_back(Piece { window, ..left }),
                Some(_) => self.api_clock.give_up(clock),
                None => {}
            }
        }
        change.finished = Some(piece.span).filter(|span| !self.asked.is_waiting(*span));
    }

    /// Finishes a piece that turned out to lie before the API's history.
    pub(super) fn finish_unreachable(&mut self, now: DateTime<Utc>, change: &mut LedgerChange) {
        if let Some(span) = self.drop_unreachable(now) {
            change.finished = Some(span).filter(|span| !self.asked.is_waiting(*span));
        }
    }

    /// Drops a piece that turned out to lie before the API's history; returns its span.
    pub(super) fn drop_unreachable(&mut self, now: DateTime<Utc>) -> Option<Window> {
        let first = self.first_of_api(now);
        let beyond = |piece: &Piece| piece.again && piece.window.to() <= first;
        let at = self.asked.waiting.iter().position(beyond)?;
        self.asked.waiting.remove(at).map(|piece| piece.span)
    }
}
