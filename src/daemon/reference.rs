//! Reads the lists of reference data of the accounts that this process leads.

use std::time::Duration;

use futures_util::future::join_all;

use crate::clock::Clock;
use crate::config::{Config, Credential};
use crate::metrics::Metrics;
use crate::setup::{self, SetupError};
use crate::store::Store;
use crate::sync::leadership::Leases;
use crate::sync::reference::{ListOutcome, ListReader};

/// How often an account that another process leads, or that is paused, is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The wait for a database that fails, and for one that fails to store a list: each try is a request.
const TRY_AGAIN: Duration = Duration::from_secs(30);
const REQUEST_AGAIN: Duration = Duration::from_secs(300);

/// The lists of all configured accounts, and what reading them takes.
#[derive(Clone, Debug)]
pub(super) struct ReferenceLists {
    readers: Vec<ListReader>,
    leases: Leases,
    clock: Clock,
    metrics: Metrics,
}

impl ReferenceLists {
    /// `None` if no list is to be read.
    pub(super) fn new(
        config: &Config,
        store: &Store,
        leases: &Leases,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Option<Self>, SetupError> {
        let (mut readers, shared) = (Vec::new(), setup::list_resources());
        for account in &config.accounts {
            if config.reference.enabled && matches!(account.credential, Credential::Token(_)) {
                tracing::warn!(
                    event = "reference_list_without_code",
                    account = account.name,
                    "the lists of reference data take a code, and this account has a token: none is read"
                );
                continue;
            }
            for (kind, client) in setup::list_clients(config, account, &shared)? {
                metrics.follows_list(&account.name, kind);
                let (account, store, every) = (account.name.clone(), store.clone(), config.reference.every);
                readers.push(ListReader { account, kind, client, store, every });
            }
        }
        let (leases, clock, metrics) = (leases.clone(), clock.clone(), metrics.clone());
        Ok((!readers.is_empty()).then_some(Self { readers, leases, clock, metrics }))
    }

    /// Reads each list whenever it is due, for as long as it is polled. One that hangs keeps no other from being read.
    pub(super) async fn run(self) {
        join_all(self.readers.iter().map(|reader| self.follow(reader))).await;
    }

    async fn follow(&self, reader: &ListReader) {
        let mut known = Known::default();
        loop {
            let wait = match self.leases.leads(&reader.account) {
                false => LOOK_EVERY,
                true => self.turn(reader, &mut known).await,
            };
            self.clock.sleep(wait).await;
        }
    }

    /// Reads the list if it is due. Returns the wait until the next turn.
    async fn turn(&self, reader: &ListReader, known: &mut Known) -> Duration {
        match reader.due_in(known.failures, self.clock.now()).await {
            Ok(Some(Duration::ZERO)) => {}
            Ok(Some(wait)) => return wait,
            Ok(None) => return LOOK_EVERY,
            Err(error) => return self.not_stored(reader, known, error.to_string(), TRY_AGAIN),
        }
        match reader.read(self.clock.now()).await {
            Ok(outcome) => self.report(reader, known, outcome),
            Err(error) => return self.not_stored(reader, known, error.to_string(), REQUEST_AGAIN),
        }
        Duration::ZERO
    }

    fn not_stored(&self, reader: &ListReader, known: &mut Known, error: String, again: Duration) -> Duration {
        if known.changes_to(Some(&error)) {
            tracing::warn!(
                event = "reference_list_not_stored",
                account = reader.account,
                list = reader.kind.as_str(),
                error,
                "a list of reference data could not be stored; tried again"
            );
        }
        again
    }

    fn report(&self, reader: &ListReader, known: &mut Known, outcome: ListOutcome) {
        let (account, list) = (reader.account.as_str(), reader.kind.as_str());
        let followed = match outcome {
            ListOutcome::Forgotten => return,
            ListOutcome::Failed(error) => {
                return self.failed(reader, known, error.reason(), &error.to_string(), error.advice());
            }
            ListOutcome::Followed(followed) => followed,
        };
        if followed.ambiguous != known.ambiguous && followed.ambiguous > 0 {
            tracing::warn!(
                event = "reference_list_ambiguous",
                account,
                list,
                ids = followed.ambiguous,
                "a list has ids several times with different values, which stay as they are"
            );
        }
        known.ambiguous = followed.ambiguous;
        if let Some(doubt) = followed.doubt {
            return self.failed(reader, known, doubt.reason(), &doubt.to_string(), doubt.advice());
        }
        known.failures = 0;
        let is_over = known.changes_to(None);
        if followed.opened + followed.closed > 0 || is_over {
            tracing::info!(
                event = "reference_list_read",
                account,
                list,
                opened = followed.opened,
                closed = followed.closed,
                rows = followed.rows,
                "a list of reference data was read"
            );
        }
    }

    fn failed(
        &self,
        reader: &ListReader,
        known: &mut Known,
        reason: &'static str,
        problem: &str,
        advice: &'static str,
    ) {
        self.metrics.list_failed(&reader.account, reader.kind, reason);
        known.failures = known.failures.saturating_add(1);
        if known.changes_to(Some(reason)) {
            tracing::warn!(
                event = "reference_list_not_read",
                account = reader.account,
                list = reader.kind.as_str(),
                reason,
                problem,
                advice,
                "a list of reference data did not come or is not believed: what is stored is kept"
            );
        }
    }
}

/// What this process knows of a list, so that it warns of changes only.
#[derive(Debug, Default)]
struct Known {
    failures: u32,
    ambiguous: usize,
    problem: Option<String>,
}

impl Known {
    /// Notes the present problem. Returns `true` if it was another.
    fn changes_to(&mut self, problem: Option<&str>) -> bool {
        let changes = self.problem.as_deref() != problem;
        self.problem = problem.map(str::to_owned);
        changes
    }
}
