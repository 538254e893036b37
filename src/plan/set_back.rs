//! A host's clock that is set back: what was planned by it now lies in the future.

use chrono::{DateTime, TimeDelta, Utc};

use super::Planner;
use crate::window::bounds::floor;
use crate::window::coverage::{Coverage, Stretch};
use crate::window::{Lane, Window};

/// A step back that is shorter than this is a clock being slewed.
const SLEWED: TimeDelta = TimeDelta::seconds(3);

impl Planner {
    /// Returns how far the clock was set back since the last call, if it was.
    pub fn take_set_back(&mut self) -> Option<TimeDelta> {
        self.set_back.take()
    }

    /// The reading of the API's own clock, if it is too far behind for anything newer to be claimed, or if a single
    /// pass left something unread because of it.
    pub fn behind(&self) -> Option<DateTime<Utc>> {
        self.behind.or(self.api_clock.given_up())
    }

    /// Notices that the clock was set back: every interval is over, and whatever was read of the new future has to
    /// be read again.
    pub(super) fn notice_set_back(&mut self, now: DateTime<Utc>) {
        let by = self.latest - now;
        if by <= SLEWED {
            self.latest = self.latest.max(now);
            return;
        }
        self.latest = now;
        self.set_back = Some(self.set_back.unwrap_or_default() + by);
        (self.last_poll, self.last_look, self.last_lookback) = (None, None, None);
        (self.last_for_fields, self.polled_until) = (None, None);
        self.api_clock.forget_instants();
        // Its requests were made for the newest minutes by the old clock.
        self.readings.remove(&Lane::Live);
        self.take_back_early_claims(by, now);
    }

    /// Withdraws the claims of a clock that was ahead by `by`: stretches of the future, and ages reached too early.
    pub(super) fn take_back_early_claims(&mut self, by: TimeDelta, now: DateTime<Utc>) {
        if let Some(ahead) = self.ledger.coverage.end().and_then(|end| Window::new(now, end)) {
            self.ledger.coverage.uncover(ahead);
            self.ahead.push(ahead);
        }
        let unit = self.unit();
        let lowered = |stretch: &Stretch| {
            // A stretch that is old enough now may have been too young while the clock was ahead.
            let from = floor(now - stretch.reread_age - ahead_for(by), unit).max(stretch.window.from());
            let window = Window::new(from, stretch.window.to())?;
            Some(Stretch { window, reread_age: self.age_at_least(stretch.reread_age - by), ..*stretch })
        };
        let lowered: Vec<Stretch> = self
            .ledger
            .coverage
            .stretches()
            .iter()
            .filter(|stretch| !stretch.reread_age.is_zero())
            .filter_map(lowered)
            .collect();
        lowered.iter().for_each(|stretch| self.ledger.coverage.lower(stretch.window, stretch.reread_age));
        self.lowered.extend(lowered);
    }

    /// The highest re-read age that a read at `age` served.
    fn age_at_least(&self, age: TimeDelta) -> TimeDelta {
        self.settings.ages().rev().find(|known| *known <= age).unwrap_or_default()
    }
}

/// How long a clock that was ahead by `by` has been ahead. Nothing shows it, so the further it was ahead, the more
/// is read again; a clock that is hardly wrong costs next to nothing.
fn ahead_for(by: TimeDelta) -> TimeDelta {
    by.max((by * 24).min(TimeDelta::days(7)))
}

/// How far ahead a clock must have been, at least, to make the claims in the ledger: a stretch read at some age
/// cannot be younger than that now. `None` if all claims can be true.
pub(super) fn ahead_by(coverage: &Coverage, now: DateTime<Utc>) -> Option<TimeDelta> {
    let early =
        coverage.stretches().iter().map(|stretch| stretch.window.to() + stretch.reread_age - now).max()?;
    (early > TimeDelta::zero()).then_some(early)
}
