//! Sends requests to the API: within the budget, again where that helps, and with a named outcome for each.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tracing::Instrument as _;

use super::engine::TURN;
use super::events::{
    CapabilityDropped, CapabilityRestored, InvalidRange, Refused, RequestEnded, RequestFailed, Waiting,
};
use super::status::ProgressWatch;
use super::zone::{Shows, ZoneWatch};
use super::{Account, DATABASE, SyncError, batch};
use crate::answer_memory::ReservedMemory;
use crate::clock::{Clock, monotonic};
use crate::read::request::{Outcome, Reply, Request};
use crate::store::StoreError;
use crate::voicenter::capabilities::Remembered;
use crate::voicenter::session::{Asked, Session};
use crate::voicenter::{Action, Answer, ApiError, Capability, Form, Question, RequestOutcome};
use crate::window::lacking::Lacking;

/// A single pass gives up on an unreachable database after this many tries, which take some minutes.
const DATABASE_PATIENCE: u32 = 60;
/// A wait for memory is reported after this long, and then at this interval.
const UNREMARKABLE: Duration = Duration::from_secs(10);
const REMINDED_EVERY: Duration = Duration::from_secs(60);
/// Memory stays reserved for a request that may leave within this time.
const IDLE_MEMORY: Duration = Duration::from_secs(5);
/// The same after an answer was abandoned for lack of memory: the next try must not fail in the same way.
const IDLE_MEMORY_AFTER_WANT: Duration = Duration::from_secs(90);

/// Makes the requests of one account.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub account: Account,
    pub clock: Clock,
    pub session: Session,
    pub watch: ProgressWatch,
    /// Until when the lease holds; `None` for commands that only read.
    pub lease: Option<watch::Receiver<Instant>>,
    /// A single pass gives up after this many consecutive failures; a daemon (`None`) never does.
    pub patience: Option<u32>,
    /// What was seen of the API's clock.
    pub zone: ZoneWatch,
    failures: u32,
}

/// The result of one planned request.
pub(super) struct Fetched {
    pub reply: Reply,
    pub answer: Option<Answer>,
    /// Fields that the answer was not asked for.
    pub lacking: Lacking,
    pub error: String,
    pub requests: u32,
    pub read_at: DateTime<Utc>,
}

impl Fetched {
    /// Treats the answer as a failure after all.
    pub(super) fn distrust(&mut self, why: &str) {
        (self.reply, self.answer, self.error) = (Reply::Failed, None, why.to_owned());
    }

    /// What was wrong with it, if it was of no use for planning.
    pub(super) fn failure(&self, outcome: Outcome) -> Option<String> {
        match self.reply {
            // It is a gap now, or a shorter span is requested next: nothing to wait for.
            _ if matches!(outcome, Outcome::SplitTooMany | Outcome::Gap) => None,
            Reply::Invalid { .. } | Reply::TimedOut if outcome != Outcome::Failed => None,
            Reply::Failed | Reply::Unreachable | Reply::Invalid { .. } | Reply::TimedOut => {
                Some(self.error.clone())
            }
            Reply::TooMany { .. } if outcome == Outcome::Failed => {
                Some(format!("even the smallest window is refused: {}", self.error))
            }
            _ if outcome == Outcome::Failed => Some("the numbers of the answer contradict each other".into()),
            _ => None,
        }
    }
}

impl Fetcher {
    pub(super) fn new(account: Account, clock: Clock, remembered: &Remembered, watch: ProgressWatch) -> Self {
        let session = Session::new(account.client.method(), remembered);
        let zone = ZoneWatch::default();
        Self { account, clock, session, watch, lease: None, patience: None, zone, failures: 0 }
    }

    /// Number of consecutive requests without a usable answer.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Fails once the lease has expired by this process's own monotonic clock.
    pub(super) fn check_lease(&self) -> Result<(), SyncError> {
        let over = self.lease.as_ref().is_some_and(|until| monotonic() >= *until.borrow());
        if over { Err(StoreError::Fenced.into()) } else { Ok(()) }
    }

    /// Makes the planned request, repeatedly if needed, until there is a meaningful reply.
    pub(super) async fn fetch(&mut self, request: &Request) -> Result<Fetched, SyncError> {
        let mut requests = 0;
        let essential = self.essential(request);
        if !essential.is_bare() && !self.session.has(Capability::CdrTypes) {
            let (error, read_at) = ("the API does not accept cdrTypes".to_owned(), self.clock.now());
            let (reply, lacking) = (Reply::TooMany { exact: true }, Lacking::NONE);
            return Ok(Fetched { reply, answer: None, lacking, error, requests, read_at });
        }
        let question = batch::question(&self.account, request);
        let exact = self.account.client.sends_exactly(&question);
        let (read_at, result) = self.ask(question.clone(), essential, &mut requests).await?;
        if let Ok(asked) = &result
            && let Shows::Open(error) = self.check_zone(&asked.answer, &question, false).await?
        {
            let (reply, lacking) = (Reply::Failed, Lacking::NONE);
            return Ok(Fetched { reply, answer: None, lacking, error, requests, read_at });
        }
        let (mut lacking, mut answer) = (Lacking::NONE, None);
        let (reply, error) = match result {
            Ok(asked) => {
                let reply = Reply::Answer(batch::evidence(&asked.answer));
                (lacking, answer) = (asked.lacking, Some(asked.answer));
                (reply, String::new())
            }
            Err(error) => match error.action() {
                Action::Split => (Reply::TooMany { exact }, error.to_string()),
                Action::TooSlow => {
                    self.failed(request, &error, true);
                    (Reply::TimedOut, error.to_string())
                }
                Action::SplitTooLarge => (Reply::TooLarge, error.to_string()),
                Action::Pause { .. } => return Err(self.refused(&error)),
                Action::Stop => {
                    let (account, window) = (self.account.name.as_str(), request.window);
                    InvalidRange { account, window, error: &error }.emit();
                    (Reply::Invalid { server_date: error.server_date() }, error.to_string())
                }
                _ => {
                    self.failed(request, &error, false);
                    let unreachable = matches!(error, ApiError::NoConnection(_));
                    (if unreachable { Reply::Unreachable } else { Reply::Failed }, error.to_string())
                }
            },
        };
        Ok(Fetched { reply, answer, lacking, error, requests, read_at })
    }

    /// A partition by type needs a server that accepts types, unless the account itself is filtered by type.
    fn essential(&self, request: &Request) -> Form {
        let sliced = request.partition.as_ref().is_some_and(|partition| !partition.cdr_types.is_empty());
        let by_us = sliced && self.account.filter.cdr_types.is_empty();
        if by_us { Form::of([Capability::CdrTypes]) } else { Form::BARE }
    }

    /// Asks a question in the fullest form that the server accepts. Returns when the answered request was sent, and the
    /// answer.
    pub(super) async fn ask(
        &mut self,
        question: Question,
        essential: Form,
        requests: &mut u32,
    ) -> Result<(DateTime<Utc>, Result<Asked<Answer>, ApiError>), SyncError> {
        let before = self.session.dropped();
        let mut asking = self.session.begin(question, essential, self.clock.now());
        loop {
            let question = asking.question().clone();
            let (read_at, result) = self.request(&question, requests).await?;
            let result = result.map(|answer| (read_at, answer));
            let Some(result) = self.session.absorb(&mut asking, result, self.clock.now()) else { continue };
            self.note_capabilities(before);
            return Ok(match result {
                Ok(Asked { answer: (read_at, answer), lacking }) => (read_at, Ok(Asked { answer, lacking })),
                Err(error) => (read_at, Err(error)),
            });
        }
    }

    /// Notes that the server accepts `capability` but ignores it.
    pub(super) fn ignores(&mut self, capability: Capability) {
        let before = self.session.dropped();
        self.session.ignores(capability, self.clock.now());
        self.note_capabilities(before);
    }

    fn note_capabilities(&self, before: Form) {
        let (now, account) = (self.session.dropped(), &self.account.name);
        for capability in now.minus(before).members().map(Capability::name) {
            CapabilityDropped { account, capability }.emit();
        }
        for capability in before.minus(now).members().map(Capability::name) {
            CapabilityRestored { account, capability }.emit();
        }
    }

    /// Sends a question when the budget allows it, and again while the API says that it was asked too often.
    async fn request(
        &mut self,
        question: &Question,
        requests: &mut u32,
    ) -> Result<(DateTime<Utc>, Result<Answer, ApiError>), SyncError> {
        let (mut limited, mut idle) = (0, IDLE_MEMORY);
        loop {
            let memory = self.ready_with_memory(idle).await?;
            self.check_lease()?;
            // Once for the API, once for a wait for memory during the answer.
            self.watch.heart.beats_within(self.account.timeout * 2 + TURN);
            let read_at = self.clock.now();
            let sent = monotonic();
            let span = tracing::info_span!("request", otel.kind = "client", outcome = tracing::field::Empty);
            let result = self.account.client.ask_within(question, memory).instrument(span.clone()).await;
            let outcome = result.as_ref().err().map_or(RequestOutcome::Ok, ApiError::outcome);
            span.record("outcome", outcome.as_str());
            drop(span);
            RequestEnded { outcome, took: sent.elapsed() }.emit(&self.watch);
            *requests += 1;
            let Err(error) = &result else { return Ok((read_at, result)) };
            if let ApiError::NoMemory { .. } = error {
                // No evidence against the window: it waits for memory again, for what it needed and more.
                idle = IDLE_MEMORY_AFTER_WANT;
                continue;
            }
            let Action::SlowDown { retry_after } = error.action() else { return Ok((read_at, result)) };
            limited += 1;
            let wait = self.account.backoff.drawn(limited, retry_after);
            self.waits("rate_limited", wait, &error.to_string());
            self.retry_while_unavailable(|fetcher| {
                let rate_limit = fetcher.account.rate_limit.clone();
                async move { rate_limit.pause(wait).await }
            })
            .await?;
        }
    }

    /// After the clock was set back: instants recorded in what is now the future are moved to now.
    pub(super) async fn clock_was_set_back(&mut self, by: TimeDelta) -> Result<(), SyncError> {
        self.zone.clock_was_set_back(by);
        self.session.clock_was_set_back(by);
        self.retry_while_unavailable(|fetcher| {
            let (store, name) = (fetcher.account.rate_limit.store().clone(), fetcher.account.name.clone());
            let now = fetcher.clock.now();
            async move { store.disbelieve_future(&name, now).await }
        })
        .await
    }

    /// Waits for memory and then for the budget: an instant that was reserved must not pass unused.
    async fn ready_with_memory(&mut self, idle: Duration) -> Result<ReservedMemory, SyncError> {
        let account = self.account.client.memory().clone();
        let mut memory = account.nothing();
        {
            let mut growing = std::pin::pin!(memory.grow_to(account.expected()));
            let mut patience = UNREMARKABLE;
            while tokio::time::timeout(patience, &mut growing).await.is_err() {
                patience = REMINDED_EVERY;
                self.waits("memory", patience, "answers of other accounts are stored first");
            }
        }
        let mut ready = std::pin::pin!(self.ready());
        let in_time = tokio::time::timeout(idle, &mut ready).await;
        match in_time {
            Ok(ready) => ready?,
            Err(_) => {
                // A pause, or a low limit: others may use the memory meanwhile.
                memory.shrink_to(0);
                ready.await?;
                memory.grows_without_waiting(account.expected());
            }
        }
        Ok(memory)
    }

    async fn ready(&mut self) -> Result<(), SyncError> {
        self.retry_while_unavailable(|fetcher| {
            let (rate_limit, clock) = (fetcher.account.rate_limit.clone(), fetcher.clock.clone());
            let heart = fetcher.watch.heart.clone();
            async move { rate_limit.ready(&clock, |wait| heart.beats_within(wait + TURN)).await }
        })
        .await
    }

    /// Repeats `action` for as long as the database is unavailable.
    pub(super) async fn retry_while_unavailable<F, Fut, T>(&mut self, mut action: F) -> Result<T, SyncError>
    where
        F: FnMut(&mut Self) -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        let mut retries = DATABASE.retries();
        loop {
            match action(self).await {
                Err(error)
                    if error.is_unavailable()
                        && (self.patience.is_none() || retries.failures() < DATABASE_PATIENCE) =>
                {
                    let wait = retries.failed();
                    self.waits("database_away", wait, &error.to_string());
                    self.clock.sleep(wait).await;
                }
                result => return Ok(result?),
            }
        }
    }

    /// Waits after an unusable reply; ends a pass after too many in a row.
    pub(super) async fn after(&mut self, failure: Option<String>) -> Result<(), SyncError> {
        let Some(last) = failure else {
            self.failures = 0;
            self.watch.update(|progress| (progress.failing_for, progress.given_up) = (Duration::ZERO, None));
            return Ok(());
        };
        self.failures += 1;
        if self.patience.is_some_and(|patience| self.failures >= patience) {
            return Err(SyncError::Failing { failures: self.failures, last });
        }
        let wait = self.account.backoff.drawn(self.failures, None);
        self.watch.update(|progress| progress.failing_for += wait);
        self.waits("after_failure", wait, &last);
        self.clock.sleep(wait).await;
        Ok(())
    }

    fn waits(&self, why: &'static str, wait: Duration, error: &str) {
        self.watch.heart.beats_within(wait + TURN);
        let until = self.clock.now() + TimeDelta::from_std(wait).unwrap_or_default();
        Waiting { account: &self.account.name, why, wait, until, error }.emit(&self.watch);
    }

    fn failed(&self, request: &Request, error: &ApiError, too_slow: bool) {
        let (account, failures) = (self.account.name.as_str(), self.failures + 1);
        RequestFailed { account, request, failures, error, too_slow }.emit();
    }

    pub(super) fn refused(&self, error: &ApiError) -> SyncError {
        let message = error.with_advice();
        Refused { account: &self.account.name, message: &message }.emit();
        SyncError::Refused { message }
    }
}
