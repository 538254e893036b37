//! One account's loop. `tick` is one turn of it: plan, ask, decode, judge, and hand over to be stored.

mod comparing;
pub(super) mod loading;
mod pushed;
mod storing;
mod work_requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::batch::{self, CarriedKeys, Lookup, PendingBatch};
use super::churn::Churn;
use super::clocks::ClockWatch;
use super::events::{
    CallNotAsked, ErrorNotNoted, FieldChurns, FieldsDoubted, LatenessNotNoted, ReportingZoneUnknown,
    ScopeChanged,
};
use super::fetch::{Fetched, Fetcher};
use super::leadership::{Leadership, Leases};
use super::status::ProgressWatch;
use super::{Account, SyncError};
use crate::cdr::CdrKey;
use crate::clock::Clock;
use crate::plan::ledger::HistoryStart;
use crate::plan::{Mode, Next, Planner};
use crate::read::request::{Reason, Request};
use crate::store::account::Start;
use crate::store::commit::Committed;
use crate::store::commit_count::CommitCount;
use crate::store::{Store, StoreError};
use crate::voicenter::{Action, Capability, Form};
use crate::window::{Lane, Window};
use comparing::Comparison;
use loading::{Learned, Loaded};
use pushed::Pushed;
use work_requests::WorkRequests;

/// Look up at most this many missing records by CallID; above that, only re-reads of the window decide.
const CALLS_ASKED: usize = 25;
/// A single pass gives up after this many consecutive failures.
pub(super) const PATIENCE: u32 = 8;
/// No API drops calls as recent as this.
const RECENT: TimeDelta = TimeDelta::days(1);
/// The first of consecutive failures that is recorded for `status`, and the interval after it.
const NOTED_FROM: u32 = 3;
const NOTED_EVERY: u32 = 10;
/// Limit for a start: what an older version left of a large account may have to be scanned once.
const OPENING: Duration = Duration::from_secs(1800);
/// A turn ends within this time, or announces how long it may take.
pub(super) const TURN: Duration = Duration::from_secs(150);
/// How often a long wait checks whether an operator has ended it.
pub(super) const RESUME_EVERY: Duration = Duration::from_secs(3);

/// The outcome of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickOutcome {
    /// At least one request was made.
    Asked,
    /// Nothing is due before this instant.
    Idle(DateTime<Utc>),
    /// Everything that was to be done is done and stored.
    Done,
}

/// The engine of one account.
#[derive(Debug)]
pub struct Engine {
    fetcher: Fetcher,
    store: Store,
    leadership: Leadership,
    planner: Planner,
    count: Arc<CommitCount>,
    learned: Option<serde_json::Value>,
    carried: BTreeMap<Lane, CarriedKeys>,
    storing: Option<JoinHandle<Result<Committed, StoreError>>>,
    /// Missing records that were looked up by CallID recently: when, and `true` if they are gone.
    looked_up: BTreeMap<CdrKey, (DateTime<Utc>, bool)>,
    clocks: ClockWatch,
    churn: Churn,
    comparison: Comparison,
    pushed: Pushed,
    work: WorkRequests,
}

impl Engine {
    /// Takes the lease of the account and loads its ledger.
    ///
    /// Fails with [`SyncError::Led`] while another process leads it.
    pub async fn open(
        account: Account,
        store: Store,
        clock: Clock,
        leases: &Leases,
        mode: Mode,
        watch: ProgressWatch,
    ) -> Result<Self, SyncError> {
        watch.heart.beats_within(OPENING);
        if let Some(pause) = store.pause_of(&account.name).await? {
            return Err(SyncError::Paused { account: account.name, pause });
        }
        let leadership = leases.take(&account.name, &watch.heart).await?;
        let now = clock.now();
        let start = match account.start {
            HistoryStart::Default => Start::Default(account.start.instant(now)),
            HistoryStart::At(instant) => Start::Configured(instant),
        };
        store.disbelieve_future(&account.name, now).await?;
        let opened = store.open_account(&account.name, &account.scope, start, now).await?;
        if let Some((before, after)) = &opened.scope_changed {
            ScopeChanged { account: &account.name, keys: &changed_keys(before, after) }.emit();
        }
        let (zone, country) = (account.reporting_timezone, account.reporting_country);
        if !store.set_reporting(&account.name, zone, country).await? {
            ReportingZoneUnknown { account: &account.name, zone: zone.name() }.emit();
        }
        // A single command may have other settings than the daemon: what was learned and what is deleted follows the daemon's.
        if mode != Mode::Asked {
            store.set_retention(&account.name, account.retention, now).await?;
            let ages: Vec<TimeDelta> = account.settings.ages().collect();
            match store.set_reread_ages(&account.name, &ages, now).await {
                Err(away) if away.is_unavailable() => return Err(away.into()),
                Err(error) => LatenessNotNoted { account: &account.name, error: &error }.emit(),
                Ok(()) => {}
            }
        }
        if store.doubt_fields(&account.name).await? {
            FieldsDoubted { account: &account.name }.emit();
        }
        let Loaded { ledger, count, remembered, ids_refuted_at } =
            loading::load(&store, &account, now).await?;
        let planner = Planner::new(account.settings.clone(), mode, ledger, now);
        let (unread, overdue) = (planner.unread(now), planner.overdue(now));
        watch.update(|progress| {
            progress.unread = unread;
            progress.overdue = overdue;
            progress.unread_at_start = unread;
        });
        let mut fetcher = Fetcher::new(account, clock, &remembered, watch);
        fetcher.zone.ids_refuted_at = ids_refuted_at;
        fetcher.lease = Some(leadership.good_until());
        fetcher.patience = (mode != Mode::Daemon).then_some(PATIENCE);
        Ok(Self {
            fetcher,
            store,
            leadership,
            planner,
            count: Arc::new(count),
            learned: None,
            carried: BTreeMap::new(),
            storing: None,
            looked_up: BTreeMap::new(),
            clocks: ClockWatch::default(),
            churn: Churn::default(),
            comparison: Comparison::default(),
            pushed: Pushed::default(),
            work: WorkRequests::default(),
        })
    }

    /// Asks for a span to be read again.
    pub fn ask_for(&mut self, span: Window) {
        self.planner.ask_for(span);
    }

    /// What is planned and known, for tests and status.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// Runs turns until there is nothing left to do; with a daemon's planner, that is never.
    pub async fn run(&mut self) -> Result<(), SyncError> {
        loop {
            match self.tick().await? {
                TickOutcome::Asked => {}
                TickOutcome::Idle(until) => self.fetcher.clock.sleep_until(until).await,
                TickOutcome::Done => return Ok(()),
            }
        }
    }

    /// One turn: one planned request at most. Its answer may still be on its way into the database when this
    /// returns; the next turn waits for that before it stores its own.
    pub async fn tick(&mut self) -> Result<TickOutcome, SyncError> {
        self.fetcher.check_lease()?;
        self.fetcher.watch.heart.beats_within(TURN);
        let now = self.fetcher.clock.now();
        if self.comparison.is_due(now) {
            self.compare(now).await?;
        }
        if self.fetcher.zone.is_due(now) {
            self.fetcher.look_at_zone().await?;
            return Ok(TickOutcome::Asked);
        }
        self.ask_for_pushed(now).await?;
        let next = self.planner.next(now);
        if let Some(by) = self.planner.take_set_back() {
            self.fetcher.clock_was_set_back(by).await?;
        }
        match next {
            Next::Request(request) => {
                self.fetcher.watch.update(|progress| {
                    progress.reading = Some((request.lane, request.window));
                    progress.caught_up = false;
                });
                let span = tracing::info_span!(
                    "window", account = self.fetcher.account.name, lane = request.lane.as_str(),
                    reason = request.reason.as_str(), window = %request.window
                );
                self.serve(request).instrument(span).await?;
                Ok(TickOutcome::Asked)
            }
            Next::Wait(until) => {
                // What the commit says about missing records may be due before `until`.
                let stored = self.settle().await?;
                let overdue = self.planner.overdue(now);
                self.fetcher.watch.update(|progress| {
                    progress.reading = None;
                    progress.caught_up = true;
                    progress.overdue = overdue;
                });
                Ok(if stored { TickOutcome::Idle(now) } else { TickOutcome::Idle(until) })
            }
            Next::Done => {
                self.settle().await?;
                self.fetcher.watch.update(|progress| progress.reading = None);
                match self.planner.behind() {
                    Some(until) => Err(SyncError::ApiClock { until, now }),
                    None => Ok(TickOutcome::Done),
                }
            }
        }
    }

    /// Returns when an operator has made open gaps due early.
    pub(super) async fn gaps_resumed(&mut self) {
        if self.planner.ledger().gaps.is_empty() {
            return std::future::pending().await;
        }
        loop {
            self.fetcher.clock.sleep(RESUME_EVERY).await;
            let now = self.fetcher.clock.now();
            let due = self.store.due_gaps(&self.fetcher.account.name, now).await.unwrap_or_default();
            if self.planner.hasten_gaps(&due, now) {
                return;
            }
        }
    }

    /// Waits for the answer that is being stored and releases the lease. Also called after `tick` was cancelled.
    pub async fn close(mut self) -> Result<(), SyncError> {
        let settled = self.settle().await;
        if settled.is_ok() {
            self.note_work().await;
        }
        self.leadership.release().await;
        settled.map(drop)
    }

    async fn serve(&mut self, request: Request) -> Result<(), SyncError> {
        if self.fetcher.account.client.memory().exceeds_pool() {
            // Two such answers at once would exceed the memory budget.
            self.settle().await?;
        }
        let lookup = self.look_for_missing(&request).await?;
        let mut fetched = self.fetcher.fetch(&request).await?;
        if self.is_dubiously_empty(&request, &fetched).await? {
            fetched.distrust(
                "calls of this time or of the last day are stored, but the API has returned none since the start: \
                 run cdr-sync check",
            );
        }
        if let Some(answer) = &fetched.answer {
            self.clocks.look(&self.fetcher.account.name, answer, fetched.read_at);
        }
        let earlier = self.carried.remove(&request.lane).unwrap_or_default();
        self.planner
            .note_fields(fetched.lacking.union(earlier.lacking), self.fetcher.session.refused_fields());
        let change = self.planner.absorb(&request, &fetched.reply, fetched.read_at);
        let failure = fetched.failure(change.outcome);
        match &fetched.answer {
            Some(answer) => {
                let carried = earlier.clone().after(change.hold, answer, fetched.lacking, fetched.read_at);
                self.carried.extend(carried.map(|carried| (request.lane, carried)));
            }
            // There is no proof yet; the retry may still bring it.
            None if change.quarantined.is_none() => drop(self.carried.insert(request.lane, earlier.clone())),
            None => {}
        }
        let knowledge = self.learned_anew();
        let finished = change.finished;
        let mut batch = PendingBatch {
            account: self.fetcher.account.name.clone(),
            fence: self.leadership.fence,
            count: Arc::clone(&self.count),
            elapsed: (self.fetcher.clock.now() - fetched.read_at).max(TimeDelta::zero()),
            requests: fetched.requests + lookup.requests,
            read_at: fetched.read_at,
            answer: fetched.answer,
            lacking: fetched.lacking,
            error: fetched.error,
            earlier,
            change,
            knowledge,
            removal_after: self.fetcher.account.removal_after,
            ignored: self.fetcher.account.ignored_changes.clone(),
            history: self.fetcher.account.history,
            lookup,
            left_out: 0,
            request,
        };
        self.settle().await?;
        batch.leave_out_older(self.planner.ledger().kept_from);
        let (store, clock, watch) =
            (self.store.clone(), self.fetcher.clock.clone(), self.fetcher.watch.clone());
        let storing = storing::store_batch(store, clock, batch, watch);
        let span = tracing::info_span!("store", account = self.fetcher.account.name);
        self.storing = Some(tokio::spawn(storing.instrument(span)));
        // It is noted once this answer is stored.
        finished.into_iter().for_each(|window| self.work.finish(window));
        if let Some(error) = &failure {
            self.note_failure(error).await;
        }
        self.fetcher.after(failure).await
    }

    /// An API that is asked in the wrong time zone returns no calls, and all would seem well: an empty answer where
    /// calls are stored casts doubt on the zone.
    async fn is_dubiously_empty(&mut self, request: &Request, fetched: &Fetched) -> Result<bool, SyncError> {
        if fetched.answer.as_ref().is_none_or(|answer| answer.listed > 0) {
            return Ok(false);
        }
        let (now, seen) = (fetched.read_at, self.fetcher.zone.has_seen_records());
        let mut window = request.window;
        if !seen {
            let recent = Window::new(window.from().min(now - RECENT), window.to().max(now));
            window = recent.unwrap_or(window);
        }
        let store = self.store.clone();
        let stored = self.fetcher.retry_while_unavailable(|fetcher| {
            let (store, name) = (store.clone(), fetcher.account.name.clone());
            async move { store.has_calls(&name, window).await }
        });
        let stored = stored.await?;
        if stored && seen && self.fetcher.zone.may_look_again(now) {
            self.fetcher.look_at_zone().await?;
        }
        Ok(stored && !seen)
    }

    /// Records failures so that `status` on any host shows an API that does not answer. The first few are commonplace.
    async fn note_failure(&self, error: &str) {
        let failures = self.fetcher.failures() + 1;
        if failures != NOTED_FROM && !failures.is_multiple_of(NOTED_EVERY) {
            return;
        }
        let account = &self.fetcher.account.name;
        let error = format!("{failures} requests in a row had no usable answer; the last: {error}");
        if let Err(error) = self.store.note_error(account, &error, None, self.fetcher.clock.now()).await {
            ErrorNotNoted { account, error: &error }.emit();
        }
    }

    /// Waits for the answer that is being stored and takes over what the store found out. Returns `true` if there was
    /// one.
    async fn settle(&mut self) -> Result<bool, SyncError> {
        let Some(storing) = self.storing.as_mut() else { return Ok(false) };
        let result = storing.await;
        self.storing = None;
        let committed = result.map_err(|_| SyncError::Panicked)??;
        let now = self.fetcher.clock.now();
        for column in self.churn.absorb(committed.compared, &committed.changed, now) {
            FieldChurns { account: &self.fetcher.account.name, column: &column }.emit();
        }
        self.planner.set_rechecks(committed.rechecks);
        self.planner.keep_from(committed.kept_from);
        let unread = self.planner.unread(self.fetcher.clock.now());
        self.fetcher.watch.update(|progress| progress.unread = unread);
        self.work.stored();
        self.note_work().await;
        Ok(true)
    }

    /// What was learned, if it differs from what was stored last.
    fn learned_anew(&mut self) -> Option<serde_json::Value> {
        let learned = Learned {
            capabilities: self.fetcher.session.remembered(),
            api: self.planner.ledger().profile.clone(),
            ids_refuted_at: self.fetcher.zone.ids_refuted_at,
        };
        let value = serde_json::to_value(&learned).ok()?;
        if self.learned.as_ref() == Some(&value) {
            return None;
        }
        self.learned = Some(value.clone());
        Some(value)
    }

    /// Before missing records are marked, the API is asked for each by its CallID: a changed Date or Type is not a
    /// removal.
    async fn look_for_missing(&mut self, request: &Request) -> Result<Lookup, SyncError> {
        let now = self.fetcher.clock.now();
        let rechecks = &self.planner.ledger().rechecks;
        let due = request.reason == Reason::Recheck
            || rechecks
                .iter()
                .any(|look| look.due_at <= now && look.window.intersect(&request.window).is_some());
        if !due || !self.fetcher.session.has(Capability::CallId) {
            return Ok(Lookup::default());
        }
        self.settle().await?;
        let missing = self.store.missing_keys(&self.fetcher.account.name, request.window, now).await?;
        if missing.len() > CALLS_ASKED {
            return Ok(Lookup::default());
        }
        let fresh = self.fetcher.account.removal_after.max(TimeDelta::minutes(1));
        self.looked_up.retain(|_, (asked_at, _)| (now - *asked_at).abs() < fresh);
        let mut lookup = Lookup { gone: Some(BTreeSet::new()), ..Lookup::default() };
        // Around its stored date: far enough for a Date that moved, yet not a range that a server would refuse.
        let around = TimeDelta::days(7);
        let span = Window::new(
            request.window.from() - around,
            (request.window.to() + around).min(now + TimeDelta::days(1)),
        );
        for key in missing {
            let Some(span) = span else { break };
            // A failed read is retried at once; its calls were already looked up.
            if let Some((_, gone)) = self.looked_up.get(&key) {
                lookup.note(key, *gone);
                continue;
            }
            let question = batch::question_for_call(&self.fetcher.account, &key, span);
            let by_id = Form::of([Capability::CallId]);
            let taken = match self.fetcher.ask(question, by_id, &mut lookup.requests).await?.1 {
                Ok(asked) => lookup.take(&key, asked.answer),
                // One call does not have that many records.
                Err(error) if matches!(error.action(), Action::Split | Action::SplitTooLarge) => None,
                // Not known to be gone: it is not marked this time.
                Err(error) => {
                    CallNotAsked { account: &self.fetcher.account.name, error: &error }.emit();
                    break;
                }
            };
            let Some(gone) = taken else {
                self.fetcher.ignores(Capability::CallId);
                break;
            };
            self.looked_up.insert(key.clone(), (now, gone));
            lookup.note(key, gone);
        }
        // Then windows alone decide, as with a server that cannot be asked by CallID.
        if !self.fetcher.session.has(Capability::CallId) {
            return Ok(Lookup { requests: lookup.requests, ..Lookup::default() });
        }
        Ok(lookup)
    }
}

/// The names of what changed; the values may be phone numbers.
fn changed_keys(before: &serde_json::Value, after: &serde_json::Value) -> String {
    let keys = after.as_object().into_iter().flat_map(|object| object.keys());
    keys.filter(|key| before.get(key) != after.get(key)).cloned().collect::<Vec<_>>().join(", ")
}
