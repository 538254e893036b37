//! The API's own clock, as its `Date` headers show it: where it is behind this host's, claims end there. The API's
//! nodes may differ, and the clock of one of them may have stopped.

use chrono::{DateTime, Utc};

use super::{CLOCKS_APART, Mode, PlanSettings};

/// After this many re-reads in a row that older clocks may have left unserved, re-reads are spaced out. Until then
/// the next answer may come from a node whose clock is right.
const AT_ONCE: u32 = 3;

/// What answers have shown of the API's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ApiClock {
    /// The latest instant that claims could reach. Ages are counted by it; otherwise one node whose clock has
    /// stopped would put off all re-reads by age.
    reached: Option<DateTime<Utc>>,
    /// For the current re-read by age: when an answer with an older clock arrived, which may have left it unserved,
    /// and what that clock showed.
    short: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Number of re-reads by age in a row that had such an answer.
    tries: u32,
    /// The clock past which a single pass left something unread.
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
        // A smaller difference leaves nothing that would be overdue at once.
        let slack = by.ages().map(|age| by.slack(age)).min().unwrap_or(CLOCKS_APART);
        if rereads && reached - horizon > CLOCKS_APART.min(slack / 2) {
            self.tries += u32::from(self.short.is_none());
            self.short = Some((now, horizon));
        }
    }

    /// Forgets what was noted by this host's clock before it was set back.
    pub(super) fn forget_instants(&mut self) {
        *self = Self { given_up: self.given_up, ..Self::default() };
    }

    /// The instant by which ages are counted: a re-read requested before the API's clock gets there would not be
    /// served.
    pub(super) fn reached(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.reached.map_or(now, |reached| reached.min(now))
    }

    /// Returns `true` if re-reads by age may be requested. After several that older clocks left unserved, they are
    /// spaced out at growing intervals, up to that of lookbacks. The intervals differ by a poll; otherwise, with
    /// nodes answering in turn, the same one could answer each time.
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

    /// The clock past which something was left unread, if anything was.
    pub(super) fn given_up(&self) -> Option<DateTime<Utc>> {
        self.given_up
    }
}
