//! The API's own clock, its `Date`: where that is behind ours, claims end there. Its nodes may differ, and the clock of one
//! may stand still.

use chrono::{DateTime, Utc};

use super::{CLOCKS_APART, Mode, PlanSettings};

/// Re-reads in a row that older clocks may leave unserved: the next answer may come from a node whose clock is right.
const AT_ONCE: u32 = 3;

/// What answers showed of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ApiClock {
    /// The latest instant that claims could reach so far: it counts, or one clock that stands still would put off all
    /// re-reads by age.
    reached: Option<DateTime<Utc>>,
    /// Of the current re-read by age: when an answer of an older clock came, which may have left it unserved, and where
    /// that clock stood.
    short: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// How many re-reads by age in a row had such an answer.
    tries: u32,
    /// A single pass left something unread that lies past this reading of the clock.
    given_up: Option<DateTime<Utc>>,
}

impl ApiClock {
    /// Notes that claims of an answer read at `now` end at `horizon`.
    pub(super) fn note(
        &mut self,
        horizon: DateTime<Utc>,
        rereads: bool,
        now: DateTime<Utc>,
        by: &PlanSettings,
    ) {
        let reached = self.reached.map_or(horizon, |reached| reached.max(horizon));
        self.reached = Some(reached);
        // Less leaves nothing that would be overdue at once.
        let slack = by.ages().map(|age| by.slack(age)).min().unwrap_or(CLOCKS_APART);
        if rereads && reached - horizon > CLOCKS_APART.min(slack / 2) {
            self.tries += u32::from(self.short.is_none());
            self.short = Some((now, horizon));
        }
    }

    /// Forgets what a clock of ours showed that was set back since.
    pub(super) fn forget_instants(&mut self) {
        *self = Self { given_up: self.given_up, ..Self::default() };
    }

    /// The instant by which ages count: asked for before the API's clock has come there, a re-read would not be served.
    pub(super) fn reached(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.reached.map_or(now, |reached| reached.min(now))
    }

    /// Returns `true` if re-reads by age may be asked for: after some that older clocks left unserved, they keep growing
    /// distances, up to that of lookbacks. The distances differ by a poll, or nodes that answer in turn could let the same
    /// one answer each time.
    pub(super) fn rereads_may_start(&mut self, now: DateTime<Utc>, mode: Mode, by: &PlanSettings) -> bool {
        let Some((at, horizon)) = self.short else { return true };
        if mode != Mode::Daemon {
            if self.tries >= AT_ONCE {
                self.give_up(horizon);
            }
            return self.tries < AT_ONCE;
        }
        let (poll, rounds) = (by.poll_interval, i32::try_from(self.tries / AT_ONCE).unwrap_or(i32::MAX));
        let most = by.lookback_every - poll * (rounds % 2);
        let apart = (poll * rounds.min(60)).min(most).max(poll);
        !self.tries.is_multiple_of(AT_ONCE) || now >= at + apart
    }

    /// Notes that a re-read by age starts.
    pub(super) fn reread_starts(&mut self) {
        if self.short.take().is_none() {
            self.tries = 0;
        }
    }

    /// Notes that what lies past `clock` is left unread.
    pub(super) fn give_up(&mut self, clock: DateTime<Utc>) {
        self.given_up = Some(self.given_up.map_or(clock, |earlier| earlier.min(clock)));
    }

    /// Where the clock stood, if something is left unread for it.
    pub(super) fn given_up(&self) -> Option<DateTime<Utc>> {
        self.given_up
    }
}
