//! Asks for the analyses of calls of the accounts that this process leads, where a token for that is configured.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;

use crate::clock::{Clock, jitter};
use crate::config::Config;
use crate::metrics::{HistoryOutcome, Metrics};
use crate::rate_limit::Backoff;
use crate::setup::{self, SetupError};
use crate::store::Store;
use crate::sync::call_history::{HistoryReader, HistoryTurn};
use crate::sync::leadership::Leases;
use crate::voicenter::{ApiError, HistoryError};

/// How often an account that another process leads, or that is paused, is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked for calls to ask for, if there were none.
const NOTHING: Duration = Duration::from_secs(600);
/// The longest wait: a clock that is set back must not make it longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// The least wait between two requests, up to twice as long: they need no hurry, and accounts are not to be in step.
const PAUSE: Duration = Duration::from_secs(30);
/// This many unknown calls in a row mean that the address is wrong.
const UNKNOWN_IN_A_ROW: u32 = 20;
/// After a failure, each twice as long as the one before.
const AFTER_FAILURE: Backoff = Backoff { min: Duration::from_secs(300), max: Duration::from_secs(6 * 3600) };
/// The same after the token was refused. A new token is tried at once, because it is a new configuration.
const AFTER_REFUSAL: Backoff =
    Backoff { min: Duration::from_secs(3600), max: Duration::from_secs(24 * 3600) };

/// The accounts that ask for analyses, and what that takes.
#[derive(Clone, Debug)]
pub(super) struct CallHistories {
    readers: Vec<HistoryReader>,
    leases: Leases,
    clock: Clock,
    metrics: Metrics,
}

impl CallHistories {
    /// `None` if no account asks.
    pub(super) async fn new(
        config: &Config,
        store: &Store,
        leases: &Leases,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Option<Self>, SetupError> {
        let (mut readers, shared) = (Vec::new(), setup::history_resources());
        let salt = store.salt().await?;
        for account in &config.accounts {
            let Some(client) = setup::history_client(config, account, &shared)? else { continue };
            metrics.asks_for_history(&account.name);
            readers.push(HistoryReader {
                account: account.name.clone(),
                credential: client.credential_fingerprint(&salt),
                client,
                store: store.clone(),
                rules: config.ai.rules(),
                per_week: config.ai.requests_per_week,
            });
        }
        let (leases, clock, metrics) = (leases.clone(), clock.clone(), metrics.clone());
        Ok((!readers.is_empty()).then_some(Self { readers, leases, clock, metrics }))
    }

    /// Asks for as long as the accounts are polled. One that hangs keeps no other from asking.
    pub(super) async fn run(self) {
        join_all(self.readers.iter().map(|reader| self.follow(reader))).await;
    }

    async fn follow(&self, reader: &HistoryReader) {
        let mut known = Known::default();
        loop {
            let wait = match self.leases.leads(&reader.account) {
                false => LOOK_EVERY,
                true => self.turn(reader, &mut known).await,
            };
            self.clock.sleep(wait.min(LONGEST) + PAUSE.mul_f64(jitter())).await;
        }
    }

    /// Returns the wait until the next turn.
    async fn turn(&self, reader: &HistoryReader, known: &mut Known) -> Duration {
        let now = self.clock.now();
        if let Some(wait) = known.rests_until.and_then(|until| (until - now).to_std().ok())
            && !wait.is_zero()
        {
            return wait;
        }
        known.rests_until = None;
        let account = reader.account.as_str();
        let outcome = match reader.turn(now).await {
            Ok(HistoryTurn::NotBefore(at)) => return (at - now).to_std().unwrap_or(Duration::ZERO),
            Ok(HistoryTurn::Nothing) => return NOTHING,
            Ok(HistoryTurn::Paused) => return LOOK_EVERY,
            Ok(HistoryTurn::Failed(error)) => return self.failed(account, known, &error, now),
            Ok(HistoryTurn::Analysis) => HistoryOutcome::Analysis,
            Ok(HistoryTurn::None) => HistoryOutcome::None,
            Ok(HistoryTurn::Unknown) => return self.unknown(account, known, now),
            Err(error) => {
                let error = error.to_string();
                if known.changes_to(Some(&error)) {
                    tracing::warn!(
                        event = "call_history_not_stored",
                        account,
                        error,
                        "analyses of calls cannot be asked for or stored; tried again"
                    );
                }
                // Each try may be a request.
                return known.rest(AFTER_FAILURE, now);
            }
        };
        self.metrics.history_asked(account, outcome);
        (known.failures, known.unknown) = (0, 0);
        if known.changes_to(None) {
            tracing::info!(event = "call_history_read", account, "analyses of calls are asked for again");
        }
        PAUSE
    }

    /// A call that is not known there is one answer; many in a row come from a wrong address.
    fn unknown(&self, account: &str, known: &mut Known, now: DateTime<Utc>) -> Duration {
        self.metrics.history_asked(account, HistoryOutcome::None);
        known.unknown = known.unknown.saturating_add(1);
        if known.unknown < UNKNOWN_IN_A_ROW {
            return PAUSE;
        }
        let problem = "no call of many in a row is known there";
        if known.changes_to(Some(problem)) {
            let advice = "check ai.url, and that ai_token is of this account";
            tracing::warn!(
                event = "call_history_not_read",
                account,
                problem,
                advice,
                "the analysis of a call did not come; calls themselves are not concerned"
            );
        }
        known.rest(AFTER_FAILURE, now)
    }

    fn failed(&self, account: &str, known: &mut Known, error: &HistoryError, now: DateTime<Utc>) -> Duration {
        let (outcome, wait) = match error {
            // Noted in the database.
            HistoryError::UsedUp => (HistoryOutcome::UsedUp, PAUSE),
            HistoryError::Token => (HistoryOutcome::Refused, known.rest(AFTER_REFUSAL, now)),
            HistoryError::Api(ApiError::RateLimited { retry_after, .. }) => {
                let wait = known.rest(AFTER_FAILURE, now).max(retry_after.unwrap_or_default());
                (HistoryOutcome::Failed, wait)
            }
            HistoryError::OtherCall | HistoryError::Api(_) => {
                (HistoryOutcome::Failed, known.rest(AFTER_FAILURE, now))
            }
        };
        self.metrics.history_asked(account, outcome);
        let problem = error.to_string();
        if known.changes_to(Some(&problem)) {
            tracing::warn!(
                event = "call_history_not_read",
                account,
                problem,
                advice = error.advice(),
                "the analysis of a call did not come; calls themselves are not concerned"
            );
        }
        wait
    }
}

/// What this process knows of an account's requests, so that it warns of changes only, and waits longer each time.
#[derive(Debug, Default)]
struct Known {
    failures: u32,
    /// Calls in a row that are not known there.
    unknown: u32,
    problem: Option<String>,
    rests_until: Option<DateTime<Utc>>,
}

impl Known {
    fn rest(&mut self, pace: Backoff, now: DateTime<Utc>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = pace.doubling(self.failures);
        self.rests_until = chrono::TimeDelta::from_std(wait).ok().map(|wait| now + wait);
        wait
    }

    /// Notes the present problem. Returns `true` if it was another.
    fn changes_to(&mut self, problem: Option<&str>) -> bool {
        let changes = self.problem.as_deref() != problem;
        self.problem = problem.map(str::to_owned);
        changes
    }
}
