//! Asking the API: at the pace of the budget, again where that helps, and with a word for every outcome.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tracing::Instrument;

use super::status::Board;
use super::{Account, SyncError, execute};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::voicenter::{Action, Answer, ApiError, Generation, Question};
use crate::window::ask::{Ask, Outcome, Reply};

/// Who asks for one account.
#[derive(Debug)]
pub(super) struct Asker {
    pub account: Account,
    pub clock: Clock,
    pub generation: Generation,
    pub board: Board,
    /// Until when the lease holds; `None` for commands that only read.
    pub lease: Option<watch::Receiver<Instant>>,
    /// How many failures in a row a single pass endures; a daemon goes on for ever.
    pub patience: Option<u32>,
    failures: u32,
    /// Something has answered in the present form.
    answered: bool,
}

/// What came of one planned request.
pub(super) struct Fetched {
    pub reply: Reply,
    pub answer: Option<Answer>,
    pub error: String,
    pub requests: u32,
    pub read_at: DateTime<Utc>,
}

impl Fetched {
    /// What was wrong with it, if it was of no use for planning.
    pub fn failure(&self, outcome: Outcome) -> Option<String> {
        match self.reply {
            // Less is asked for next: nothing to wait for.
            Reply::Invalid { .. } | Reply::TimedOut if outcome != Outcome::Failed => None,
            Reply::Failed | Reply::Invalid { .. } | Reply::TimedOut => Some(self.error.clone()),
            Reply::TooMany { .. } if outcome == Outcome::Failed => {
                Some(format!("even the smallest window is refused: {}", self.error))
            }
            _ if outcome == Outcome::Failed => Some("the numbers of the answer contradict each other".into()),
            _ => None,
        }
    }
}

impl Asker {
    pub fn new(account: Account, clock: Clock, generation: Generation, board: Board) -> Self {
        let answered = generation != Generation::Unknown;
        let (patience, lease) = (None, None);
        Self { account, clock, generation, board, lease, patience, failures: 0, answered }
    }

    /// How many requests in a row had no usable answer.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A holder stops asking when its lease is over by its own monotonic clock.
    pub fn check_lease(&self) -> Result<(), SyncError> {
        let over = self.lease.as_ref().is_some_and(|until| Instant::now() >= *until.borrow());
        if over { Err(StoreError::Fenced.into()) } else { Ok(()) }
    }

    /// Makes the planned request, as often as it takes to get a reply that means something.
    pub async fn fetch(&mut self, ask: &Ask) -> Result<Fetched, SyncError> {
        let mut requests = 0;
        loop {
            let question = execute::question(&self.account, ask, self.generation);
            let (read_at, result) = self.request(&question, &mut requests).await?;
            let (reply, answer, error) = match result {
                Ok(answer) => {
                    self.learn_generation(&answer);
                    (Reply::Answer(execute::evidence(&answer)), Some(answer), String::new())
                }
                Err(error) => match error.action() {
                    _ if self.older_form_may_do(&error) => continue,
                    Action::Split => {
                        let exact = self.account.client.sends_exactly(&question);
                        (Reply::TooMany { exact }, None, error.to_string())
                    }
                    Action::TooSlow => {
                        tracing::warn!(
                            event = "request_failed", account = self.account.name, lane = ask.lane.as_str(),
                            window = %ask.window, failures = self.failures + 1, %error, "no usable answer in time"
                        );
                        (Reply::TimedOut, None, error.to_string())
                    }
                    Action::SplitTooLarge => (Reply::TooLarge, None, error.to_string()),
                    Action::Pause { .. } => return Err(self.refused(&error)),
                    Action::Stop => {
                        tracing::error!(event = "invalid_range", account = self.account.name, window = %ask.window, %error, advice = error.advice());
                        (Reply::Invalid { server_date: error.server_date() }, None, error.to_string())
                    }
                    _ => {
                        tracing::warn!(
                            event = "request_failed", account = self.account.name, lane = ask.lane.as_str(),
                            window = %ask.window, failures = self.failures + 1, %error, "no usable answer"
                        );
                        (Reply::Failed, None, error.to_string())
                    }
                },
            };
            return Ok(Fetched { reply, answer, error, requests, read_at });
        }
    }

    /// Sends a question when the budget lets it, and again while the API says that it was asked too often.
    pub async fn request(
        &mut self,
        question: &Question,
        requests: &mut u32,
    ) -> Result<(DateTime<Utc>, Result<Answer, ApiError>), SyncError> {
        let mut limited = 0;
        loop {
            self.ready().await?;
            self.check_lease()?;
            let read_at = self.clock.now();
            let sent = Instant::now();
            let span = tracing::info_span!("request", otel.kind = "client", outcome = tracing::field::Empty);
            let result = self.account.client.ask(question).instrument(span.clone()).await;
            let outcome = result.as_ref().err().map_or("ok", ApiError::name);
            span.record("outcome", outcome);
            drop(span);
            self.board.metrics.request(outcome, sent.elapsed());
            *requests += 1;
            self.board.update(|progress| {
                progress.requests += 1;
                progress.waiting = None;
            });
            let Err(error) = &result else { return Ok((read_at, result)) };
            let Action::SlowDown { retry_after } = error.action() else { return Ok((read_at, result)) };
            limited += 1;
            let wait = self.account.backoff.wait(limited, fastrand::f64(), retry_after);
            self.waits("rate_limited", wait, &error.to_string());
            self.while_away(|asker| {
                let pace = asker.account.pace.clone();
                async move { pace.pause(wait).await }
            })
            .await?;
        }
    }

    /// Waits for the budget.
    async fn ready(&mut self) -> Result<(), SyncError> {
        self.while_away(|asker| {
            let (pace, clock) = (asker.account.pace.clone(), asker.clock.clone());
            async move { pace.ready(&clock).await }
        })
        .await
    }

    /// Does something with the database, waiting for as long as it is away.
    async fn while_away<F, Fut, T>(&mut self, mut action: F) -> Result<T, SyncError>
    where
        F: FnMut(&mut Self) -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        let mut failures = 0;
        loop {
            match action(self).await {
                Err(error) if error.is_away() && self.patience.is_none_or(|patience| failures < patience) => {
                    failures += 1;
                    let wait = self.account.backoff.wait(failures, fastrand::f64(), None);
                    self.waits("database_away", wait, &error.to_string());
                    self.clock.sleep(wait).await;
                }
                result => return Ok(result?),
            }
        }
    }

    /// Waits after a reply that was of no use; ends a pass after too many in a row.
    pub async fn after(&mut self, failure: Option<String>) -> Result<(), SyncError> {
        let Some(last) = failure else {
            self.failures = 0;
            return Ok(());
        };
        self.failures += 1;
        if self.patience.is_some_and(|patience| self.failures >= patience) {
            return Err(SyncError::Failing { failures: self.failures, last });
        }
        let wait = self.account.backoff.wait(self.failures, fastrand::f64(), None);
        self.waits("after_failure", wait, &last);
        self.clock.sleep(wait).await;
        Ok(())
    }

    fn waits(&self, why: &str, wait: Duration, error: &str) {
        let until = self.clock.now() + TimeDelta::from_std(wait).unwrap_or_default();
        tracing::info!(event = "waiting", account = self.account.name, why, seconds = wait.as_secs(), %until, error);
        self.board.update(|progress| {
            progress.waiting = Some((format!("{}: {error}", why.replace('_', " ")), until))
        });
    }

    fn refused(&self, error: &ApiError) -> SyncError {
        let message = format!("{error}. {}", error.advice());
        tracing::error!(event = "refused", account = self.account.name, error = message);
        SyncError::Refused { message }
    }

    /// Before anything has answered, an error of no known meaning may be a v0.1 server's word for a key that it does
    /// not know. Whether the question is worth asking in the older form.
    fn older_form_may_do(&mut self, error: &ApiError) -> bool {
        let unknown_error = matches!(error, ApiError::Unknown { .. });
        match (self.generation, error.action()) {
            (Generation::Current | Generation::Unknown, Action::OlderForm) => {}
            (Generation::Unknown, _) if unknown_error => {}
            (Generation::V01, _) if unknown_error && !self.answered => {
                self.generation = Generation::Unknown; // the form was not to blame
                return false;
            }
            _ => return false,
        }
        tracing::info!(event = "older_form", account = self.account.name, %error, "asking in the form of v0.1");
        self.generation = Generation::V01;
        true
    }

    fn learn_generation(&mut self, answer: &Answer) {
        self.answered = true;
        if answer.generation != Generation::Unknown && answer.generation != self.generation {
            tracing::info!(event = "generation", account = self.account.name, generation = ?answer.generation);
            self.generation = answer.generation;
        }
    }
}
