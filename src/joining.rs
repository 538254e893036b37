//! Joins the notifications that were received to what the pull has, and lets calls follow them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::config::{Config, PushConfig};
use crate::metrics::{Metrics, PushState};
use crate::push::{DecodeError, JoinRules, Joined, RecordState, TimeBase, decode};
use crate::receiver::Receiver;
use crate::store::calls::SliceSize;
use crate::store::push::UnreadPush;
use crate::store::push_figures::PushWork;
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
const SHARES_OF: TimeDelta = TimeDelta::days(7);

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
#[derive(Clone, Copy, Debug)]
struct Looked {
    signs_at: DateTime<Utc>,
    shares_at: DateTime<Utc>,
    usual_base: TimeBase,
    size: SliceSize,
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
        for work in self.store.push_work(&self.accounts).await? {
            let known = seen.accounts.entry(work.account.clone()).or_insert(Looked {
                signs_at: DateTime::<Utc>::MIN_UTC,
                shares_at: DateTime::<Utc>::MIN_UTC,
                usual_base: TimeBase::Unknown,
                size: SliceSize::default(),
            });
            self.look_for_signs(&work.account, known, now).await?;
            self.join(&work, known).await?;
        }
        if is_to_be_shown {
            seen.shown_at = now;
            for overview in self.store.push_overview(&self.accounts).await? {
                let state = PushState {
                    last_received_at: overview.last_received_at,
                    new: overview.new,
                    provisional: overview.provisional,
                    unmatched: overview.unmatched,
                };
                self.metrics.push_state(&overview.account, state);
            }
        }
        Ok(())
    }

    async fn join(&self, work: &PushWork, looked: &mut Looked) -> Result<(), StoreError> {
        let account = work.account.as_str();
        let mut is_new = work.has_new;
        while is_new {
            let pushes = self.store.new_pushes(account).await?;
            is_new = !pushes.is_empty();
            if is_new && !self.take_in(account, pushes, looked).await? {
                // Another process is at it.
                return Ok(());
            }
        }
        if work.has_provisional || work.has_new {
            self.confirm(account, RecordState::Provisional, looked).await?;
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

    /// `false` while another process takes notifications in.
    async fn take_in(
        &self,
        account: &str,
        pushes: Vec<UnreadPush>,
        looked: &Looked,
    ) -> Result<bool, StoreError> {
        // Reading bodies of megabytes takes a while, during which everything else goes on.
        let Ok((read, unread)) = tokio::task::spawn_blocking(move || read_all(pushes)).await else {
            return Err(StoreError::Away("reading CDR notifications has panicked: a bug".to_owned()));
        };
        for (body_sha256, problem) in unread {
            self.store.refuse_push(account, &body_sha256, &problem).await?;
        }
        let mut parts = vec![read];
        while let Some(mut part) = parts.pop().filter(|part| !part.is_empty()) {
            match self.store.take_in_pushes(account, &part, &self.rules(looked)).await {
                Ok(Some(joined)) => self.show(account, &joined),
                Ok(None) => return Ok(false),
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
        Ok(true)
    }

    async fn confirm(&self, account: &str, state: RecordState, looked: &Looked) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let rules = self.rules(looked);
            let (joined, last) = self.store.confirm_pushed(account, state, &after, &rules).await?;
            if let Some(joined) = joined {
                self.show(account, &joined);
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn look_for_signs(
        &self,
        account: &str,
        looked: &mut Looked,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        // A clock that was set back must not keep it from looking.
        if (now - looked.signs_at).abs() >= SIGNS_EVERY {
            looked.signs_at = now;
            let signs = self.store.push_signs(account).await?;
            looked.usual_base = signs.usual_base;
            self.metrics.push_signs(account, signs.offset, signs.usual_gap);
            self.confirm(account, RecordState::Unmatched, looked).await?;
        }
        if (now - looked.shares_at).abs() >= SHARES_EVERY {
            looked.shares_at = now;
            for share in self.store.pushed_shares(account, now - SHARES_OF).await? {
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

    fn show(&self, account: &str, joined: &Joined) {
        self.metrics.pushes_confirmed(account, &joined.confirmations);
    }
}

/// What was read of bodies, and what is wrong with the others: they were understood when they came.
fn read_all(pushes: Vec<UnreadPush>) -> (Vec<ReadPush>, Vec<(Vec<u8>, String)>) {
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for UnreadPush { body_sha256, received_at, content_type, raw } in pushes {
        match decode(content_type.as_deref(), &raw) {
            Ok(calls) => read.push(ReadPush { body_sha256, received_at, calls }),
            Err(error) => unread.push((body_sha256, DecodeError::to_string(&error))),
        }
    }
    (read, unread)
}
