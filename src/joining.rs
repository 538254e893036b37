//! Joins the notifications that were received to what the pull has, and lets calls follow them.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;

use crate::clock::Clock;
use crate::config::{Config, PushConfig};
use crate::metrics::{Metrics, PushState};
use crate::push::{JoinRules, Joined, RecordState, TimeBase, decode};
use crate::receiver::Receiver;
use crate::store::calls::SliceSize;
use crate::store::push::UnreadPush;
use crate::store::push_figures::{PushOverview, PushWork};
use crate::store::pushed::ReadPush;
use crate::store::{Store, StoreError};

/// How often is looked for what the pull has brought meanwhile, if no notification comes.
const EVERY: Duration = Duration::from_secs(15);
/// A receiver that was not heard of for this long was not running.
const GAP: TimeDelta = TimeDelta::minutes(3);
/// How often signs are read, and unmatched records looked at again.
const SIGNS_EVERY: TimeDelta = TimeDelta::minutes(10);
/// How often it is counted which records had a notification.
const SHARES_EVERY: TimeDelta = TimeDelta::hours(1);
/// So many accounts are looked at in one turn, and so many batches taken in of each: joining goes on meanwhile.
const ACCOUNTS_AT_ONCE: usize = 20;
const BATCHES_AT_ONCE: usize = 20;

/// Joins the notifications of the configured accounts.
#[derive(Clone, Debug)]
pub struct Joining {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    accounts: Vec<String>,
    push: PushConfig,
}

/// What was last looked at, and when.
#[derive(Debug)]
pub struct Seen {
    accounts: BTreeMap<String, Looked>,
    shown_at: DateTime<Utc>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { accounts: BTreeMap::new(), shown_at: DateTime::<Utc>::MIN_UTC }
    }
}

/// The same of one account.
#[derive(Clone, Debug)]
struct Looked {
    signs_at: DateTime<Utc>,
    shares_at: DateTime<Utc>,
    usual_base: TimeBase,
    size: SliceSize,
    /// Types of which a share is shown.
    types: BTreeSet<String>,
}

impl Default for Looked {
    fn default() -> Self {
        Self {
            signs_at: DateTime::<Utc>::MIN_UTC,
            shares_at: DateTime::<Utc>::MIN_UTC,
            usual_base: TimeBase::Unknown,
            size: SliceSize::default(),
            types: BTreeSet::new(),
        }
    }
}

impl Looked {
    /// A clock that was set back must not keep it from looking.
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        (now - self.signs_at).abs() >= SIGNS_EVERY || (now - self.shares_at).abs() >= SHARES_EVERY
    }
}

fn panicked() -> StoreError {
    StoreError::Away("joining CDR notifications has panicked: a bug".to_owned())
}

impl Joining {
    /// For the accounts of a configuration.
    pub fn new(config: &Config, store: Store, clock: Clock, metrics: Metrics) -> Self {
        let accounts = config.accounts.iter().map(|account| account.name.clone()).collect();
        Self { store, clock, metrics, accounts, push: config.push.clone() }
    }

    /// Joins until stopped: whatever `receiver` stores at once, and what the pull has brought meanwhile.
    pub(crate) async fn run(self, receiver: Receiver) {
        let (mut seen, mut complained) = (Seen::default(), None);
        loop {
            match self.turn(&mut seen).await {
                Ok(()) => complained = None,
                Err(error) => {
                    let error = error.to_string();
                    if complained.as_ref() != Some(&error) {
                        tracing::warn!(
                            event = "pushes_not_joined",
                            error,
                            "CDR notifications wait in cdr_sync.push; trying again in {} s",
                            EVERY.as_secs()
                        );
                    }
                    complained = Some(error);
                    // What comes meanwhile is no reason to try again sooner.
                    self.clock.sleep(EVERY).await;
                    continue;
                }
            }
            tokio::select! {
                () = receiver.has_stored() => {}
                () = self.clock.sleep(EVERY) => {}
            }
        }
    }

    /// Joins what there is.
    ///
    /// # Errors
    /// If the database cannot be reached or refuses a statement: what is left is joined by the next turn.
    pub async fn turn(&self, seen: &mut Seen) -> Result<(), StoreError> {
        let now = self.clock.now();
        let is_to_be_shown = self.push.listen.is_some()
            && (now - seen.shown_at).abs().to_std().is_ok_and(|passed| passed >= EVERY);
        if is_to_be_shown {
            self.store.note_push_uptime(&self.accounts, now, GAP).await?;
        }
        let mut failed = Ok(());
        for work in self.store.push_work(&self.accounts).await? {
            let known = seen.accounts.entry(work.account.clone()).or_default();
            // One account does not keep the others waiting.
            let done = AssertUnwindSafe(self.join(&work, known)).catch_unwind().await;
            failed = failed.and(done.unwrap_or_else(|_| Err(panicked())));
        }
        if self.push.listen.is_some() {
            let is_due = |looked: Option<&Looked>| looked.is_none_or(|looked| looked.is_due(now));
            let due = self.accounts.iter().filter(|account| is_due(seen.accounts.get(*account)));
            for account in due.take(ACCOUNTS_AT_ONCE).cloned().collect::<Vec<_>>() {
                let looked = seen.accounts.entry(account.clone()).or_default();
                failed = failed.and(self.look_for_signs(&account, looked, now).await);
            }
        }
        if is_to_be_shown {
            seen.shown_at = now;
            let known = self.store.push_overview(&self.accounts).await?;
            let nothing = PushOverview::default();
            for account in &self.accounts {
                let overview = known.iter().find(|known| known.account == *account).unwrap_or(&nothing);
                let state = PushState {
                    last_received_at: overview.last_received_at,
                    new: overview.new,
                    provisional: overview.provisional,
                    unmatched: overview.unmatched,
                };
                self.metrics.push_state(account, state);
            }
        }
        failed
    }

    async fn join(&self, work: &PushWork, looked: &mut Looked) -> Result<(), StoreError> {
        let account = work.account.as_str();
        if looked.signs_at == DateTime::<Utc>::MIN_UTC {
            looked.usual_base = self.store.push_signs(account).await?.usual_base;
        }
        let mut has_to_fold = work.has_to_fold;
        for _ in 0..BATCHES_AT_ONCE {
            let pushes = self.store.new_pushes(account).await?;
            if pushes.is_empty() {
                break;
            }
            match self.take_in(account, pushes, looked).await? {
                Some(confirmed) => has_to_fold |= confirmed,
                // Another process is at it.
                None => return Ok(()),
            }
        }
        if work.has_provisional || work.has_new {
            has_to_fold |= self.confirm(account, RecordState::Provisional, looked).await?;
        }
        if !has_to_fold {
            return Ok(());
        }
        while let Some(slice) = self.store.fold_pushed(account, &mut looked.size).await? {
            if slice.failed > 0 {
                tracing::error!(
                    event = "calls_not_folded",
                    account,
                    calls = slice.failed,
                    "voicenter.calls keeps these as they were: no rule foresaw their values"
                );
            }
            if !slice.has_more {
                break;
            }
        }
        Ok(())
    }

    /// Whether calls are to follow what was taken in; `None` while another process takes notifications in.
    async fn take_in(
        &self,
        account: &str,
        pushes: Vec<UnreadPush>,
        looked: &Looked,
    ) -> Result<Option<bool>, StoreError> {
        // Reading bodies of megabytes takes a while, during which everything else goes on.
        let Ok((read, unread)) = tokio::task::spawn_blocking(move || read_all(pushes)).await else {
            return Err(panicked());
        };
        for (body_sha256, problem) in unread {
            self.store.refuse_push(account, &body_sha256, &problem).await?;
        }
        let mut has_to_fold = false;
        let mut parts = vec![read];
        while let Some(mut part) = parts.pop().filter(|part| !part.is_empty()) {
            match self.store.take_in_pushes(account, &part, &self.rules(looked)).await {
                Ok(Some((joined, refused))) => {
                    has_to_fold |= self.show(account, &joined);
                    if let Some(problem) = refused {
                        tracing::warn!(
                            event = "push_not_understood",
                            account,
                            problem,
                            "the analysis in a CDR notification is kept, but not used; more of them may follow unlogged"
                        );
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) if error.is_too_slow() && part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                // One of them is at fault; the others are not to wait for it.
                Err(StoreError::Data { code }) => match part.as_slice() {
                    [only] => {
                        let problem = format!("PostgreSQL refused what it says (SQLSTATE {code})");
                        self.store.refuse_push(account, &only.body_sha256, &problem).await?;
                        tracing::warn!(
                            event = "push_not_understood",
                            account,
                            problem,
                            "a CDR notification is kept, but nothing in it is used; more of them may follow unlogged"
                        );
                    }
                    several => {
                        let rest = part.split_off(several.len() / 2);
                        parts.extend([rest, part]);
                    }
                },
                Err(error) => return Err(error),
            }
        }
        Ok(Some(has_to_fold))
    }

    /// Whether calls are to follow what was confirmed.
    async fn confirm(&self, account: &str, state: RecordState, looked: &Looked) -> Result<bool, StoreError> {
        let (mut after, mut has_to_fold) = (String::new(), false);
        loop {
            let calls = self.store.calls_to_confirm(account, state, &after, self.clock.now()).await?;
            let Some(last) = calls.last().cloned() else { return Ok(has_to_fold) };
            let mut parts = vec![calls];
            while let Some(mut part) = parts.pop() {
                match self.store.confirm_pushed(account, &part, &self.rules(looked)).await {
                    Ok(Some(joined)) => has_to_fold |= self.show(account, &joined),
                    Ok(None) => return Ok(false),
                    Err(StoreError::Data { .. }) if part.len() <= 1 => {
                        tracing::error!(
                            event = "push_not_confirmed",
                            account,
                            "a record that was pushed cannot be joined to that of the pull: this is a bug"
                        );
                    }
                    Err(error)
                        if matches!(error, StoreError::Data { .. })
                            || error.is_too_slow() && part.len() > 1 =>
                    {
                        let rest = part.split_off(part.len() / 2);
                        parts.extend([rest, part]);
                    }
                    Err(error) => return Err(error),
                }
            }
            after = last;
        }
    }

    async fn look_for_signs(
        &self,
        account: &str,
        looked: &mut Looked,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if (now - looked.signs_at).abs() >= SIGNS_EVERY {
            looked.signs_at = now;
            let signs = self.store.push_signs(account).await?;
            looked.usual_base = signs.usual_base;
            self.metrics.push_signs(account, signs.offset, signs.usual_gap);
            // The next turn folds them.
            self.confirm(account, RecordState::Unmatched, looked).await?;
        }
        if (now - looked.shares_at).abs() >= SHARES_EVERY {
            looked.shares_at = now;
            let shares = self.store.pushed_shares(account, now).await?;
            for gone in
                looked.types.iter().filter(|gone| shares.iter().all(|share| share.call_type != **gone))
            {
                self.metrics.pushed_share(account, gone, 0, 0);
            }
            looked.types = shares.iter().map(|share| share.call_type.clone()).collect();
            for share in shares {
                self.metrics.pushed_share(account, &share.call_type, share.records, share.pushed);
            }
        }
        Ok(())
    }

    fn rules(&self, looked: &Looked) -> JoinRules {
        JoinRules {
            zone: self.push.timezone,
            fixed_base: self.push.time_base,
            usual_base: looked.usual_base,
            now: self.clock.now(),
        }
    }

    /// Counts what was confirmed. Returns `true` if calls are to follow.
    fn show(&self, account: &str, joined: &Joined) -> bool {
        self.metrics.pushes_confirmed(account, &joined.confirmations);
        joined.rows.iter().any(|record| record.to_fold)
    }
}

/// What was read of bodies, and what is wrong with the others: they were understood when they came.
fn read_all(pushes: Vec<UnreadPush>) -> (Vec<ReadPush>, Vec<(Vec<u8>, String)>) {
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for UnreadPush { body_sha256, received_at, content_type, raw } in pushes {
        let decoded = std::panic::catch_unwind(|| decode(content_type.as_deref(), &raw));
        match decoded {
            Ok(Ok(calls)) => read.push(ReadPush { body_sha256, received_at, calls }),
            Ok(Err(error)) => unread.push((body_sha256, error.to_string())),
            Err(_) => unread
                .push((body_sha256, "it could not be read, because of a bug in this program".to_owned())),
        }
    }
    (read, unread)
}
