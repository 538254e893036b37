//! Decides which window is read next, and why. Pure: the ledger, the clock's reading and replies go in,
//! the next request and what it proved come out.
//!
//! Live tail, lookback, backfill, reconcile and gaps are not loops of their own: they are reasons for which
//! one planner picks a window, and the map of coverage is all they share.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::ask::{Ask, GapReason, Outcome, Reason, Reply};
use super::coverage::{Coverage, Stretch};
use super::knowledge::{aligned, ceil, floor};
use super::ledger::{Gap, Ledger, Progress, Recheck};
use super::reading::{Context, Reading, ReadingSettings};
use super::suspect::Suspects;
use super::{Lane, Order, Window};

/// The settings that planning needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Those of single readings.
    pub reading: ReadingSettings,
    /// `sync.poll_interval`.
    pub poll_interval: TimeDelta,
    /// The newest stretch, read at every poll: 15 minutes (contract, `sync.lookback`).
    pub newest: TimeDelta,
    /// `sync.lookback`.
    pub lookback: TimeDelta,
    /// How often the whole lookback is read: 10 minutes (contract).
    pub lookback_every: TimeDelta,
    /// `sync.reconcile`, ascending.
    pub reconcile: Vec<TimeDelta>,
    /// `sync.max_window`.
    pub max_window: TimeDelta,
    /// Windows that fail are split down to this before a gap is opened.
    pub gap_grain: TimeDelta,
}

impl Settings {
    /// The re-read ages, ascending: leaving the lookback is the first of them.
    fn ages(&self) -> impl DoubleEndedIterator<Item = TimeDelta> {
        std::iter::once(self.lookback).chain(self.reconcile.iter().copied())
    }

    /// How long a stretch may wait beyond its age, so that many are read with one request.
    fn slack(&self, age: TimeDelta) -> TimeDelta {
        (age / 24).clamp(self.lookback_every * 3, TimeDelta::hours(12).max(self.lookback_every * 3))
    }
}

/// How far the planner goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For ever.
    Daemon,
    /// Once everything that is due now has been read, it is done.
    Pass,
    /// Only what was asked for.
    Asked,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make this request.
    Ask(Ask),
    /// Nothing is due before this instant.
    Wait(DateTime<Utc>),
    /// All that was to be done is done.
    Done,
}

/// A piece of a span that somebody asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    span: Window,
    window: Window,
}

/// The planner of one account.
#[derive(Clone, Debug)]
pub struct Planner {
    settings: Settings,
    mode: Mode,
    ledger: Ledger,
    readings: BTreeMap<Lane, Reading>,
    suspects: Suspects,
    asked: VecDeque<Asked>,
    asked_now: Option<Window>,
    /// The gap that is being tried again, and whether something of it failed.
    gap_now: Option<(Window, bool)>,
    last_poll: Option<DateTime<Utc>>,
    last_lookback: Option<DateTime<Utc>>,
}

impl Planner {
    /// A planner that starts from what the ledger knows at `now`.
    ///
    /// Coverage ahead of `now` is cut back: a host's clock that ran fast must not hide calls.
    pub fn new(settings: Settings, mode: Mode, mut ledger: Ledger, now: DateTime<Utc>) -> Self {
        if let Some(ahead) = Window::new(now, DateTime::<Utc>::MAX_UTC) {
            ledger.coverage.uncover(ahead);
        }
        Self {
            settings,
            mode,
            ledger,
            readings: BTreeMap::new(),
            suspects: Suspects::default(),
            asked: VecDeque::new(),
            asked_now: None,
            gap_now: None,
            last_poll: None,
            last_lookback: None,
        }
    }

    /// Asks for `span` to be read again, before reconcile and backfill.
    pub fn ask_for(&mut self, span: Window) {
        self.asked.push_back(Asked { span, window: span });
    }

    /// Changes how far it goes.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// What is known now.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Replaces the missing records to look at again by what the store knows after a commit.
    pub fn set_rechecks(&mut self, rechecks: Vec<Recheck>) {
        self.ledger.rechecks = rechecks;
    }

    /// How much of history is still to be read for the first time.
    pub fn unread(&self, now: DateTime<Utc>) -> TimeDelta {
        let all = Window::new(self.ledger.history_start, now);
        all.map_or(TimeDelta::zero(), |all| self.ledger.coverage.holes(all).iter().map(Window::len).sum())
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: DateTime<Utc>) -> Next {
        for lane in Lane::ALL {
            if self.readings.get(&lane).is_none_or(Reading::is_done) {
                self.readings.remove(&lane);
                if let Some(reading) = self.start(lane, now) {
                    self.readings.insert(lane, reading);
                }
            }
            if let Some(reading) = self.readings.get_mut(&lane)
                && let Some(ask) = reading.next_ask(&Context {
                    knowledge: &mut self.ledger.knowledge,
                    forecast: &mut self.ledger.forecast,
                    settings: &self.settings.reading,
                })
            {
                return Next::Ask(ask);
            }
        }
        match self.mode {
            Mode::Daemon => Next::Wait(self.wake_at(now)),
            // Nothing else is left, so what was set aside has its turn again; and a poll tells whether the API
            // answers at all.
            Mode::Pass | Mode::Asked if self.suspects.release() => {
                self.last_poll = None;
                self.next(now)
            }
            Mode::Pass | Mode::Asked => Next::Done,
        }
    }

    /// Takes in the reply to `ask`, whose request was started at `read_at`.
    pub fn absorb(&mut self, ask: &Ask, reply: &Reply, read_at: DateTime<Utc>) -> Progress {
        let Some(reading) = self.readings.get_mut(&ask.lane) else { return Progress::default() };
        let step = reading.absorb(
            ask,
            reply,
            &mut Context {
                knowledge: &mut self.ledger.knowledge,
                forecast: &mut self.ledger.forecast,
                settings: &self.settings.reading,
            },
        );
        let mut progress = Progress { hold: step.hold, outcome: step.outcome, ..Progress::default() };
        let server_date = match reply {
            Reply::Answer(evidence) => evidence.server_date,
            _ => None,
        };
        let horizon = server_date.map_or(read_at, |date| date.min(read_at));
        for window in step.claims {
            self.claim(window, horizon, read_at, &mut progress);
        }
        for window in step.uncover {
            self.uncover(window, &mut progress);
        }
        for (window, reason) in step.gaps {
            self.open_gap(window, reason, read_at, &mut progress);
        }
        match (step.failed, reply) {
            (Some(window), _) => self.failed(ask, window, read_at, &mut progress),
            (None, Reply::Failed) => {}
            // A contradictory answer is no sign of life either: it is a failure that was not the last.
            (None, _) if progress.outcome == Outcome::Failed => {}
            (None, _) => self.suspects.api_answered(),
        }
        self.finish_reading(ask, read_at, &mut progress);
        progress
    }

    fn unit(&self) -> TimeDelta {
        self.ledger.knowledge.unit(self.settings.reading.granularity)
    }

    fn start(&mut self, lane: Lane, now: DateTime<Utc>) -> Option<Reading> {
        let (reason, order, windows) = match lane {
            Lane::Live => self.live(now)?,
            Lane::Asked => self.next_asked(now)?,
            Lane::Reconcile => self.again(now)?,
            Lane::Backfill => (Reason::Backfill, Order::Descending, vec![self.hole(now)?]),
        };
        let unit = self.unit();
        let windows = windows.into_iter().map(|window| outward(window, unit)).collect();
        let reading = Reading::new(lane, reason, order, windows);
        (!reading.is_done()).then_some(reading)
    }

    /// The tail: the newest minutes, and in turn the whole lookback.
    fn live(&mut self, now: DateTime<Utc>) -> Option<(Reason, Order, Vec<Window>)> {
        let due = match self.mode {
            Mode::Daemon => self.last_poll.is_none_or(|last| now >= last + self.settings.poll_interval),
            // A pass over years of history takes hours: the tail is kept fresh meanwhile.
            Mode::Pass => self.last_poll.is_none_or(|last| now >= last + self.settings.lookback_every),
            Mode::Asked => false,
        };
        if !due {
            return None;
        }
        let first = self.last_poll.replace(now).is_none();
        let to = floor(now, self.unit());
        let (reason, from) = match self.ledger.coverage.end() {
            // Nothing was ever read: backfill begins with the newest calls, so no request is spent on the tail.
            None if first => {
                self.last_lookback = Some(now);
                return None;
            }
            // Backfill has got nowhere since: the tail must not wait for it.
            None => (Reason::Newest, now - self.settings.newest),
            Some(end) => self.tail_from(end, now),
        };
        let from = floor(from, self.unit()).max(self.first_instant());
        Some((reason, Order::Ascending, self.readable(Window::new(from, to)?)))
    }

    fn tail_from(&mut self, end: DateTime<Utc>, now: DateTime<Utc>) -> (Reason, DateTime<Utc>) {
        // A poll early rather than late: no instant of the lookback may wait longer than `lookback_every`.
        let again_at =
            |last: DateTime<Utc>| last + self.settings.lookback_every - self.settings.poll_interval;
        let lookback = self.last_lookback.is_none_or(|last| now >= again_at(last) + TimeDelta::seconds(1));
        let oldest = now - self.settings.lookback;
        if !lookback && end > oldest {
            return (Reason::Newest, end.min(now - self.settings.newest));
        }
        self.last_lookback = Some(now);
        // What has just left the lookback is taken along: that is its re-read at the first age.
        let leaving = self.ledger.coverage.stretches().iter();
        let leaving =
            leaving.filter(|stretch| stretch.tier < self.settings.lookback && stretch.window.to() > oldest);
        let from = leaving.map(|stretch| stretch.window.from()).min().unwrap_or(oldest);
        (Reason::Lookback, from.clamp(oldest - self.settings.slack(self.settings.lookback), oldest))
    }

    fn next_asked(&mut self, now: DateTime<Utc>) -> Option<(Reason, Order, Vec<Window>)> {
        loop {
            let asked = self.asked.pop_front()?;
            let window = outward(asked.window, self.unit());
            if let Some(window) = Window::new(window.from(), window.to().min(floor(now, self.unit()))) {
                self.asked_now = Some(asked.span);
                return Some((Reason::Asked, Order::Descending, self.chunks(window)));
            }
        }
    }

    /// Second looks, gap retries and re-reads by age.
    fn again(&mut self, now: DateTime<Utc>) -> Option<(Reason, Order, Vec<Window>)> {
        if self.mode == Mode::Asked {
            return None;
        }
        let unit = self.unit();
        let mut looks = Coverage::new();
        for recheck in self.ledger.rechecks.extract_if(.., |recheck| recheck.due_at <= now) {
            looks.claim(outward(recheck.window, unit), TimeDelta::zero());
        }
        let looks: Vec<Window> =
            looks.stretches().iter().flat_map(|look| self.readable(look.window)).collect();
        if let Some(windows) = some(looks) {
            return Some((Reason::Recheck, Order::Descending, windows));
        }
        if let Some(gap) = self.ledger.gaps.iter().find(|gap| gap.next_try_at <= now) {
            self.gap_now = Some((gap.window, false));
            return Some((Reason::Gap, Order::Descending, vec![gap.window]));
        }
        some(self.due(now)).map(|windows| (Reason::Reconcile, Order::Descending, windows))
    }

    /// Stretches that reached a re-read age without having been read at it; all of them, once one is overdue.
    fn due(&self, now: DateTime<Utc>) -> Vec<Window> {
        let unit = self.unit();
        let mut due = Coverage::new();
        let mut overdue = false;
        for stretch in self.ledger.coverage.stretches() {
            let Some(age) = self.settings.ages().find(|age| *age > stretch.tier) else { continue };
            let window = Window::new(stretch.window.from(), stretch.window.to().min(floor(now - age, unit)));
            let from = self.first_instant();
            if let Some(window) = window.and_then(|window| Window::new(window.from().max(from), window.to()))
            {
                overdue |= now - window.from() >= age + self.settings.slack(age);
                due.claim(window, TimeDelta::zero());
            }
        }
        if !overdue {
            return Vec::new();
        }
        let windows = due.stretches().iter().flat_map(|stretch| self.readable(stretch.window));
        windows.flat_map(|window| self.chunks(window)).collect()
    }

    /// The newest stretch of history that was never read.
    fn hole(&self, now: DateTime<Utc>) -> Option<Window> {
        if self.mode == Mode::Asked {
            return None;
        }
        // What came after the last poll is for the next one.
        let to = floor(self.last_poll.unwrap_or(now), self.unit());
        let history = Window::new(self.first_instant(), to)?;
        let holes = self.ledger.coverage.holes(history);
        let mut unread = holes.into_iter().rev().flat_map(|hole| self.readable(hole).into_iter().rev());
        let live = |hole: &Window| self.readings.get(&Lane::Live).is_some_and(|reading| reading.has(*hole));
        let newest = unread.find(|hole| !live(hole))?;
        self.chunks(newest).pop()
    }

    fn first_instant(&self) -> DateTime<Utc> {
        floor(self.ledger.history_start, self.unit())
    }

    /// `window` without what stands under a gap or was set aside, cut where a suspected part begins or ends;
    /// oldest first.
    fn readable(&self, window: Window) -> Vec<Window> {
        let mut barred = Coverage::new();
        for window in self.ledger.gaps.iter().map(|gap| gap.window).chain(self.suspects.set_aside()) {
            barred.claim(window, TimeDelta::zero());
        }
        let edges = self.suspects.narrowed().flat_map(|suspect| [suspect.from(), suspect.to()]);
        let mut pieces = barred.holes(window);
        for edge in edges {
            pieces = pieces.into_iter().flat_map(|piece| cut_at(piece, edge)).collect();
        }
        pieces
    }

    /// `window` in pieces of at most `max_window`, oldest first; the newest is a full one.
    fn chunks(&self, window: Window) -> Vec<Window> {
        let mut chunks = Vec::new();
        let mut to = window.to();
        while let Some(chunk) = Window::new((to - self.settings.max_window).max(window.from()), to) {
            chunks.push(chunk);
            to = chunk.from();
        }
        chunks.reverse();
        chunks
    }

    /// Covers `window` as far as `horizon` lets it, split by the re-read ages it had at `read_at`.
    fn claim(
        &mut self,
        window: Window,
        horizon: DateTime<Utc>,
        read_at: DateTime<Utc>,
        progress: &mut Progress,
    ) {
        let unit = self.unit();
        let Some(window) = Window::new(window.from(), window.to().min(horizon)) else { return };
        let Some(mut rest) = aligned(window, unit) else { return };
        let read = rest;
        self.suspects.read(window);
        // The oldest part first: it has reached the highest age.
        for age in self.settings.ages().rev().chain([TimeDelta::zero()]) {
            let end = if age.is_zero() { rest.to() } else { floor(read_at - age, unit).min(rest.to()) };
            if let Some(window) = Window::new(rest.from(), end) {
                self.ledger.coverage.claim(window, age);
                progress.claims.push(Stretch { window, tier: age });
                match Window::new(end, rest.to()) {
                    Some(newer) => rest = newer,
                    None => break,
                }
            }
        }
        let whole = |gap: &mut Gap| gap.window.intersect(&read) == Some(gap.window);
        let closed = self.ledger.gaps.extract_if(.., whole).map(|gap| gap.window);
        progress.closed_gaps.extend(closed);
    }

    fn uncover(&mut self, window: Window, progress: &mut Progress) {
        self.ledger.coverage.uncover(window);
        progress.uncover.push(window);
    }

    fn open_gap(&mut self, window: Window, reason: GapReason, now: DateTime<Utc>, progress: &mut Progress) {
        let known = self.ledger.gaps.iter_mut().find(|gap| gap.window == window);
        let gap = match known {
            Some(gap) => {
                gap.tries += 1;
                gap.next_try_at = now + retry_delay(gap.tries);
                gap.clone()
            }
            None => {
                let gap = Gap { window, reason, tries: 0, next_try_at: now + retry_delay(0) };
                self.ledger.gaps.push(gap.clone());
                gap
            }
        };
        progress.gaps.push(gap);
    }

    /// A window failed as often as it may: a gap's retry waits longer, another window is set aside, and
    /// when the API answers all else, it is narrowed down to a gap.
    fn failed(&mut self, ask: &Ask, window: Window, now: DateTime<Utc>, progress: &mut Progress) {
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
    fn finish_reading(&mut self, ask: &Ask, now: DateTime<Utc>, progress: &mut Progress) {
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

    fn wake_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let poll = self.last_poll.map_or(now, |last| last + self.settings.poll_interval);
        let rechecks = self.ledger.rechecks.iter().map(|recheck| recheck.due_at);
        let gaps = self.ledger.gaps.iter().map(|gap| gap.next_try_at);
        // Re-reads by age come due by the minute at most, and polls are at least that frequent or rarer by choice.
        rechecks.chain(gaps).fold(poll, DateTime::min).max(now + TimeDelta::seconds(1))
    }
}

/// A gap is retried for ever, ever more seldom: after 5 minutes first, once a day at last.
fn retry_delay(tries: u32) -> TimeDelta {
    TimeDelta::minutes(5 << tries.min(9)).min(TimeDelta::days(1))
}

/// `window` rounded outward to whole units.
fn outward(window: Window, unit: TimeDelta) -> Window {
    Window::new(floor(window.from(), unit), ceil(window.to(), unit)).unwrap_or(window)
}

fn cut_at(window: Window, edge: DateTime<Utc>) -> Vec<Window> {
    let edge = edge.clamp(window.from(), window.to());
    Window::new(window.from(), edge).into_iter().chain(Window::new(edge, window.to())).collect()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
