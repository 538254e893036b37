//! The floor of `retention.calls`: nothing older is planned, by any lane.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Planner;
use crate::window::{Lane, Window};

impl Planner {
    /// Takes in where the calls to keep begin now. Here it never moves back: a new planner is made for that.
    pub fn keep_from(&mut self, floor: Option<DateTime<Utc>>) {
        if floor > self.ledger.kept_from {
            self.ledger.kept_from = floor;
            self.forget_older();
        }
    }

    /// The part of `window` that is not older than what is kept.
    pub(super) fn kept(&self, window: Window) -> Option<Window> {
        self.ledger.kept_from.map_or(Some(window), |floor| window.since(floor))
    }

    /// Forgets whatever lies below the floor, so that no lane finds anything to read there.
    pub(super) fn forget_older(&mut self) {
        let Some(floor) = self.ledger.kept_from else { return };
        self.ledger.history_start = self.ledger.history_start.max(floor);
        self.ledger.coverage.forget_before(floor);
        let mut seen = BTreeSet::new();
        self.ledger.gaps.retain_mut(|gap| clip(&mut gap.window, floor) && seen.insert(gap.window));
        self.ledger.rechecks.retain_mut(|recheck| clip(&mut recheck.window, floor));
        self.left_over.retain_mut(|window| clip(window, floor));
        self.refused_at = self.refused_at.filter(|refused| refused.window.to() > floor);
        if let Some(refused) = &mut self.refused_at {
            clip(&mut refused.window, floor);
        }
        self.failing.forget_before(floor);
        // A reading that would go on below the floor ends here; what is left of it above the floor is planned again.
        let goes_below = |lane: &Lane| {
            let reading = self.readings.get(lane);
            reading.is_some_and(|reading| reading.left().iter().any(|window| window.from() < floor))
        };
        for lane in Lane::ALL.into_iter().filter(goes_below).collect::<Vec<_>>() {
            self.readings.remove(&lane);
            if lane == Lane::Asked {
                self.asked.interrupt();
            }
        }
        self.asked.keep_from(floor);
    }
}

/// Cuts off what is older than `floor`. Returns `false` if nothing is left.
pub(super) fn clip(window: &mut Window, floor: DateTime<Utc>) -> bool {
    window.since(floor).inspect(|kept| *window = *kept).is_some()
}
