//! Decides which window is read next, and why. Pure: the ledger, the clock's reading and replies go in,
//! the next request and what it proved come out.
//!
//! Live tail, lookback, backfill, reconcile and gaps are not loops of their own: they are reasons for which
//! one planner picks a window, and the map of coverage is all they share.

mod api_clock;
mod asked;
mod choice;
pub mod failing;
mod gaps;
mod kept;
pub mod ledger;
mod set_back;
mod withdrawn;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use api_clock::ApiClock;
use asked::AskedSpans;
use choice::outward;
use withdrawn::Withdrawn;

use crate::plan::failing::FailingWindows;
use crate::plan::ledger::{Ledger, LedgerChange, Recheck};
use crate::read::request::{Hold, Outcome, Reason, Reply, Request};
use crate::read::{Context, Reading, ReadingSettings};
use crate::window::bounds::{aligned, floor};
use crate::window::coverage::Stretch;
use crate::window::lacking::Lacking;
use crate::window::{Lane, Order, Window};

/// The settings that planning needs.
#[derive(Clone, Debug)]
pub struct PlanSettings {
    /// Settings of each single reading: limits of answers, units, attempts.
    pub reading: ReadingSettings,
    /// `sync.poll_interval`: the time between two polls.
    pub poll_interval: TimeDelta,
    /// The newest stretch, read at every poll: 15 minutes (docs/contract.md#configuration).
    pub newest: TimeDelta,
    /// `sync.lookback`: how far back changes are looked for at short intervals.
    pub lookback: TimeDelta,
    /// How often the whole lookback is read: 10 minutes (docs/contract.md#configuration).
    pub lookback_every: TimeDelta,
    /// `sync.reconcile`, ascending: the ages at which stretches are read again.
    pub reconcile: Vec<TimeDelta>,
    /// `sync.max_window`: the longest window of one request.
    pub max_window: TimeDelta,
    /// Failing windows are split down to this length before a gap is opened.
    pub gap_grain: TimeDelta,
}

impl Default for PlanSettings {
    /// The defaults of the configuration, and what docs/contract.md#configuration fixes.
    fn default() -> Self {
        Self {
            reading: ReadingSettings::default(),
            poll_interval: TimeDelta::minutes(1),
            newest: TimeDelta::minutes(15),
            lookback: TimeDelta::hours(3),
            lookback_every: TimeDelta::minutes(10),
            reconcile: [1, 7, 30].map(TimeDelta::days).to_vec(),
            max_window: TimeDelta::days(31),
            gap_grain: TimeDelta::minutes(15),
        }
    }
}

impl PlanSettings {
    /// The re-read ages, ascending. The first is the age at which a stretch leaves the lookback.
    pub fn ages(&self) -> impl DoubleEndedIterator<Item = TimeDelta> {
        std::iter::once(self.lookback).chain(self.reconcile.iter().copied())
    }

    /// The least time between two rechecks of missing records.
    fn looks_apart(&self) -> TimeDelta {
        self.lookback_every / 4
    }

    /// How long a stretch may wait beyond its age, so that one request reads many of them. Stretches that leave the
    /// lookback are read together with the lookback itself.
    fn slack(&self, age: TimeDelta) -> TimeDelta {
        if age == self.lookback {
            return self.lookback_every * 3;
        }
        (age / 24).min(TimeDelta::hours(12)).max(self.poll_interval)
    }
}

/// How far the API's clock may be behind before it is in doubt.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);
/// The longest gap: a longer window that fails is narrowed down first.
const LONG_GAP: TimeDelta = TimeDelta::hours(1);
/// A live reading that needs more requests than this gives way to the newest minutes.
const LIVE_REQUESTS: u32 = 10;

/// When the planner is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Never: it plans until the process stops.
    Daemon,
    /// As soon as everything that is due now has been read.
    Pass,
    /// As soon as the requested spans have been read.
    Asked,
}

/// What the engine has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make this request and pass its reply to [`Planner::absorb`].
    Request(Request),
    /// Nothing is due before this instant.
    Wait(DateTime<Utc>),
    /// Everything that this mode covers has been read.
    Done,
}

/// A short window that the API refuses because of its position, not its length.
#[derive(Clone, Copy, Debug)]
struct RefusedRange {
    window: Window,
    /// Everything older is refused, too; whether newer windows are still answered is not known yet.
    older_too: bool,
    /// This was a re-read: newer history may have become unavailable as well since it was read.
    again: bool,
    /// All signs say that history ends here. It is requested once more, because the API may have recovered in
    /// between.
    confirm: bool,
    /// Number of refusals since then.
    tries: u8,
}

/// Plans the requests of one account and keeps its ledger.
#[derive(Clone, Debug)]
pub struct Planner {
    settings: PlanSettings,
    mode: Mode,
    ledger: Ledger,
    readings: BTreeMap<Lane, Reading>,
    failing: FailingWindows,
    withdrawn: Withdrawn,
    asked: AskedSpans,
    /// The gap that is being retried.
    gap_now: Option<Window>,
    last_poll: Option<DateTime<Utc>>,
    has_polled: bool,
    /// Coverage that lay in the future: to be removed from the database, too.
    ahead: Vec<Window>,
    /// Re-read ages that a fast clock claimed too early: to be lowered in the database, too.
    lowered: Vec<Stretch>,
    /// When missing records were last rechecked.
    last_look: Option<DateTime<Utc>>,
    /// The end of what the last poll could read; later records are left to the next poll.
    polled_until: Option<DateTime<Utc>>,
    last_lookback: Option<DateTime<Utc>>,
    /// A short window that the API refuses because of its position, until an older one shows whether history ends
    /// there.
    refused_at: Option<RefusedRange>,
    /// The parts of the lookback that a hurried poll left unread.
    left_over: Vec<Window>,
    /// `true` once the live reading has used many requests: the newest minutes then come first.
    hurried: bool,
    /// The fields that the server does not provide at present.
    refused_fields: Lacking,
    /// The fields that the request of the answer being absorbed left out.
    lacking: Lacking,
    /// When stretches were last read again because they lacked fields.
    last_for_fields: Option<DateTime<Utc>>,
    /// The latest instant passed in as the present since the clock was last set back.
    latest: DateTime<Utc>,
    /// `true` if the API has answered since the last failure.
    answers: bool,
    /// How far the clock was set back, until `take_set_back` returns it.
    set_back: Option<TimeDelta>,
    /// The reading of the API's own clock, if claims end there long before the present.
    behind: Option<DateTime<Utc>>,
    api_clock: ApiClock,
    /// When the pages that a lane still holds unproven were requested.
    shown_since: BTreeMap<Lane, DateTime<Utc>>,
}

impl Planner {
    /// A planner that starts from what the ledger knows at `now`.
    ///
    /// Claims that only a fast clock can have made are withdrawn: a host's clock that ran fast must hide neither
    /// calls nor their changes.
    pub fn new(settings: PlanSettings, mode: Mode, mut ledger: Ledger, now: DateTime<Utc>) -> Self {
        // Longer gaps come from an earlier version, which gave up whole plans.
        for gap in ledger.gaps.iter_mut().filter(|gap| gap.window.len() > LONG_GAP || gaps::is_due(gap, now))
        {
            gap.next_try_at = gap.next_try_at.min(now);
        }
        let ahead_by = set_back::ahead_by(&ledger.coverage, now);
        let mut planner = Self {
            settings,
            mode,
            ledger,
            readings: BTreeMap::new(),
            failing: FailingWindows::default(),
            withdrawn: Withdrawn::default(),
            asked: AskedSpans::default(),
            gap_now: None,
            last_poll: None,
            has_polled: false,
            ahead: Vec::new(),
            lowered: Vec::new(),
            api_clock: ApiClock::default(),
            shown_since: BTreeMap::new(),
            last_look: None,
            polled_until: None,
            last_lookback: None,
            refused_at: None,
            left_over: Vec::new(),
            hurried: false,
            refused_fields: Lacking::NONE,
            lacking: Lacking::NONE,
            last_for_fields: None,
            latest: now,
            answers: true,
            set_back: None,
            behind: None,
        };
        if let Some(by) = ahead_by {
            planner.take_back_early_claims(by, now);
        }
        planner.forget_older();
        planner
    }

    /// Sets the fields that the request of the next absorbed answer (or of a page held for it) left out, and the
    /// fields that the server does not provide at present.
    pub fn note_fields(&mut self, lacking: Lacking, refused: Lacking) {
        (self.lacking, self.refused_fields) = (lacking, refused);
    }

    /// What is known now: the ledger from the start, changed by every reply since.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Replaces the missing records to recheck by what the store knows after a commit.
    pub fn set_rechecks(&mut self, rechecks: Vec<Recheck>) {
        self.ledger.rechecks = rechecks;
        self.forget_older();
    }

    /// Makes the gaps with exactly these windows due at once. Returns `true` if one of them would have waited
    /// longer.
    pub fn hasten_gaps(&mut self, due: &[Window], now: DateTime<Utc>) -> bool {
        let mut hastened = false;
        for gap in
            self.ledger.gaps.iter_mut().filter(|gap| due.contains(&gap.window) && gap.next_try_at > now)
        {
            (gap.next_try_at, hastened) = (now, true);
        }
        hastened
    }

    /// How much of history has not been read even once.
    pub fn unread(&self, now: DateTime<Utc>) -> TimeDelta {
        let all = Window::new(self.first_instant(now), now);
        all.map_or(TimeDelta::zero(), |all| self.ledger.coverage.holes(all).iter().map(Window::len).sum())
    }

    /// Decides what to do at `now`.
    pub fn next(&mut self, now: DateTime<Utc>) -> Next {
        self.notice_set_back(now);
        self.hurry(now);
        for lane in Lane::ALL {
            if self.readings.get(&lane).is_none_or(Reading::is_done) {
                self.readings.remove(&lane);
                if let Some(reading) = self.start(lane, now) {
                    self.shown_since.remove(&lane);
                    self.withdrawn.next_reading();
                    self.readings.insert(lane, reading);
                }
            }
            if let Some(reading) = self.readings.get_mut(&lane)
                && let Some(request) = reading.next_ask(&Context {
                    profile: &mut self.ledger.profile,
                    forecast: &mut self.ledger.forecast,
                    settings: &self.settings.reading,
                    coverage: &self.ledger.coverage,
                    now,
                })
            {
                return Next::Request(request);
            }
        }
        match self.mode {
            Mode::Daemon => Next::Wait(self.wake_at(now)),
            // Nothing else is left, so quarantined windows are tried again, and a poll shows whether the API
            // answers at all.
            Mode::Pass | Mode::Asked if self.failing.release() => {
                self.last_poll = None;
                self.next(now)
            }
            Mode::Pass | Mode::Asked => Next::Done,
        }
    }

    /// Takes in the reply to `request`, which was sent at `read_at`.
    pub fn absorb(&mut self, request: &Request, reply: &Reply, read_at: DateTime<Utc>) -> LedgerChange {
        let Some(reading) = self.readings.get_mut(&request.lane) else { return LedgerChange::default() };
        self.ledger.profile.age(read_at);
        let step = reading.absorb(
            request,
            reply,
            &mut Context {
                profile: &mut self.ledger.profile,
                forecast: &mut self.ledger.forecast,
                settings: &self.settings.reading,
                coverage: &self.ledger.coverage,
                now: read_at,
            },
        );
        if step.outcome == Outcome::Refused {
            // Records between the two are left to the next poll.
            self.polled_until = self.polled_until.map(|until| until.min(self.present(read_at)));
        }
        let by_count = step.by_count;
        let mut change =
            LedgerChange { hold: step.hold, outcome: step.outcome, by_count, ..LedgerChange::default() };
        change.uncover.append(&mut self.ahead);
        change.lowered.append(&mut self.lowered);
        // This also counts if the clock was fast only during this request.
        self.latest = self.latest.max(read_at);
        let server_date = match reply {
            Reply::Answer(evidence) => evidence.server_date,
            _ => None,
        };
        let horizon = server_date.map_or(read_at, |date| date.min(read_at));
        if server_date.is_some() {
            self.behind = (read_at - horizon > CLOCKS_APART).then_some(horizon);
        }
        if matches!(reply, Reply::Answer(_)) {
            let rereads = request.reason == Reason::Reconcile;
            self.api_clock.note(horizon, rereads, read_at, &self.settings);
        }
        let shown_since = self.shown_since(request.lane, step.hold, horizon);
        for window in step.claims {
            self.claim(window, horizon, shown_since, &mut change);
        }
        for window in step.uncover {
            self.uncover(window, &mut change);
            // Among the newest calls new ones appear all the time, so a withdrawn claim proves nothing there.
            let repeated = (request.lane != Lane::Live).then(|| self.withdrawn.note(window, read_at));
            if let Some(tries) = repeated.flatten() {
                self.give_up(window, tries, read_at, &mut change);
            }
        }
        for (window, reason) in step.gaps {
            self.open_gap(window, reason, read_at, &mut change);
        }
        if let Some(window) = step.out_of_reach {
            self.out_of_reach(request, window, read_at, &mut change);
        } else if self.refused_at.is_some()
            && matches!(reply, Reply::Answer(_))
            && request.lane == Lane::Backfill
            && change.outcome != Outcome::Failed
        {
            self.reached_beyond(request, read_at, &mut change);
        }
        self.note_life(request, change.outcome);
        match (step.failed, reply) {
            (Some((window, reason)), _) => self.failed(request, window, reason, read_at, &mut change),
            // A contradictory answer does not show that the API works: it is a failure with further attempts to
            // come.
            (None, Reply::Answer(_)) if change.outcome != Outcome::Failed => {
                // Quarantined windows of the newest minutes are tried while the API answers.
                if self.failing.api_answered() && self.mode == Mode::Daemon {
                    self.last_poll = None;
                }
            }
            // A refusal does not show it either: an API in trouble refuses everything.
            (None, _) => {}
        }
        if request.lane == Lane::Asked {
            self.asked.note(&change, horizon);
        }
        self.finish_reading(request, read_at, &mut change);
        change
    }

    /// When the records were received that a claim of this lane now rests on. The answer after a page claims it,
    /// and an outage may delay that answer until the page has reached another re-read age.
    fn shown_since(&mut self, lane: Lane, hold: Hold, horizon: DateTime<Utc>) -> DateTime<Utc> {
        let since = self.shown_since.remove(&lane).map_or(horizon, |since| since.min(horizon));
        match hold {
            Hold::Nothing => {}
            Hold::ThisAnswer => drop(self.shown_since.insert(lane, horizon)),
            Hold::AndEarlier => drop(self.shown_since.insert(lane, since)),
        }
        since
    }

    fn unit(&self) -> TimeDelta {
        self.ledger.profile.unit(self.settings.reading.granularity)
    }

    /// In a burst of calls a live reading may outlast its poll; it must not keep the newest minutes waiting. What
    /// it leaves unread is a hole like any other.
    fn hurry(&mut self, now: DateTime<Utc>) {
        let overdue = self.last_poll.is_some_and(|last| now >= last + self.settings.poll_interval);
        let long = self.readings.get(&Lane::Live).is_some_and(|reading| reading.requests() >= LIVE_REQUESTS);
        if self.mode != Mode::Daemon || !overdue || !long {
            return;
        }
        if let Some(reading) = self.readings.remove(&Lane::Live) {
            // Stretches that were read before leave no hole, so the rest of a lookback is read alongside the polls.
            if reading.reason() == Reason::Lookback {
                self.left_over = reading.left();
            }
            self.hurried = true;
        }
    }

    /// The end of what can be requested now.
    fn present(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        floor(self.ledger.profile.range.present(now), self.unit())
    }

    fn start(&mut self, lane: Lane, now: DateTime<Utc>) -> Option<Reading> {
        let (reason, order, windows) = match lane {
            Lane::Live => self.live(now)?,
            Lane::Asked => self.next_asked(now)?,
            Lane::Reconcile => self.again(now)?,
            Lane::Backfill => {
                let window = self.beyond_reach(now).or_else(|| self.hole(now))?;
                (Reason::Backfill, Order::Descending, vec![window])
            }
        };
        let unit = self.unit();
        let windows = windows.into_iter().map(|window| outward(window, unit)).collect();
        let reading = Reading::new(lane, reason, order, windows);
        (!reading.is_done()).then_some(reading)
    }

    /// Covers `window` up to `horizon`, split by the re-read ages it had at `shown_since`. The slower clock counts,
    /// this host's or the API's, because neither may claim an age too early.
    fn claim(
        &mut self,
        window: Window,
        horizon: DateTime<Utc>,
        shown_since: DateTime<Utc>,
        change: &mut LedgerChange,
    ) {
        let unit = self.unit();
        if window.to() > horizon {
            // The API's clock is behind this host's: requesting the rest again would not help before the next poll.
            self.polled_until = self.polled_until.min(Some(floor(horizon, unit)));
        }
        let Some(window) = Window::new(window.from(), window.to().min(horizon)) else { return };
        let Some(mut rest) = aligned(window, unit) else { return };
        let read = rest;
        self.failing.read(window);
        // The oldest part first: it has reached the highest age.
        for age in self.settings.ages().rev().chain([TimeDelta::zero()]) {
            let end = if age.is_zero() { rest.to() } else { floor(shown_since - age, unit).min(rest.to()) };
            if let Some(window) = Window::new(rest.from(), end) {
                self.ledger.coverage.claim_lacking(window, age, self.lacking);
                change.claims.push(Stretch { window, reread_age: age, lacking: self.lacking });
                match Window::new(end, rest.to()) {
                    Some(newer) => rest = newer,
                    None => break,
                }
            }
        }
        self.fill_gaps(read, change);
    }

    fn uncover(&mut self, window: Window, change: &mut LedgerChange) {
        self.ledger.coverage.uncover(window);
        change.uncover.push(window);
    }

    fn wake_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let poll = self.last_poll.map_or(now, |last| last + self.settings.poll_interval);
        let earliest = self.last_look.map(|last| last + self.settings.looks_apart());
        let rechecks =
            self.ledger.rechecks.iter().map(|recheck| recheck.due_at.max(earliest.unwrap_or(recheck.due_at)));
        let gaps =
            self.ledger.gaps.iter().map(|gap| if gaps::is_due(gap, now) { now } else { gap.next_try_at });
        // Re-reads by age become due once a minute at most; polls are that frequent, or rarer by choice of the
        // operator.
        rechecks.chain(gaps).fold(poll, DateTime::min).max(now + TimeDelta::seconds(1))
    }
}
