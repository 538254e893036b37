//! A host's clock that is set back: what was planned by it lies in the future now.

use chrono::{DateTime, TimeDelta, Utc};

use super::Planner;
use crate::window::coverage::Stretch;
use crate::window::knowledge::floor;
use crate::window::{Lane, Window};

/// Less than this is a clock that is slewed.
const SLEWED: TimeDelta = TimeDelta::seconds(3);

impl Planner {
    /// By how much the clock was set back since the last question.
    pub fn take_set_back(&mut self) -> Option<TimeDelta> {
        self.set_back.take()
    }

    /// Where the API's own clock stands, if that is so far behind that nothing newer is claimed.
    pub fn behind(&self) -> Option<DateTime<Utc>> {
        self.behind
    }

    /// After the clock was set back every interval is over, and what was read of the time that is the future again is to be
    /// read once more.
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
        // It asks for the newest minutes by the clock as it was.
        self.readings.remove(&Lane::Live);
        let unit = self.unit();
        // A stretch that was read at some age is at least as old.
        let young = |stretch: &Stretch| {
            let oldest = floor(now - stretch.tier, unit).max(stretch.window.from());
            Window::new(oldest, stretch.window.to()).filter(|young| young.len() > SLEWED)
        };
        let ahead: Vec<Window> = self.ledger.coverage.stretches().iter().filter_map(young).collect();
        ahead.iter().for_each(|window| self.ledger.coverage.uncover(*window));
        self.ahead.extend(ahead);
    }
}
