//! Tells people of an account's trouble and of its end, by a webhook or by mail, where no Prometheus does.

mod message;
mod send;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::NotifyConfig;
use crate::health::facts::AccountFacts;
use crate::health::{Level, ProblemKind, problems};
use crate::store::notice::{DueNotice, Trouble};
use crate::store::{Store, StoreError};
use message::{Event, Notice};

pub(crate) use send::{Channel, Sender};

/// How often the accounts are looked at, or more often if people are to be told sooner.
const EVERY: Duration = Duration::from_secs(15);
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// What a way did not take is tried again after this time, like what none took.
const AGAIN: TimeDelta = TimeDelta::minutes(1);
/// Chats and cards take some 20 kB.
const AT_ONCE: usize = 20;
const LONGEST: usize = 500;
const MOST_OWED: usize = 200;
/// The name of a failure that is no way's.
const LOOKING: &str = "database";
/// The name of a failure for some recipients while others have the mail.
const SOME: &str = "some recipients of mail";

/// Tells of these accounts for as long as it is polled.
pub(crate) struct Notifier {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) settings: NotifyConfig,
    pub(crate) sender: Sender,
    /// The accounts of this daemon's configuration.
    pub(crate) accounts: Vec<String>,
    pub(crate) poll_interval: TimeDelta,
}

/// What this process remembers between two looks.
#[derive(Debug, Default)]
struct Memory {
    /// What a way did not take while another did.
    owed: BTreeMap<Channel, Owed>,
    /// The database does not answer.
    away: Option<Away>,
    /// What fails, logged once until it works again.
    complaints: BTreeSet<&'static str>,
}

#[derive(Debug)]
struct Owed {
    notices: Vec<Notice>,
    next_try: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    since: DateTime<Utc>,
    was_told: bool,
}

impl Notifier {
    /// Looks again and again until `stop`; what is being told by then is noted.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut memory = Memory::default();
        let soon = self.settings.after.to_std().unwrap_or(EVERY) / 4;
        let every = soon.clamp(AT_LEAST_EVERY, EVERY);
        loop {
            // Before the first look, too: a new database is being migrated.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(every) => {}
            }
            self.pay_what_is_owed(&mut memory).await;
            match self.look().await {
                Ok((active, due)) => {
                    memory.complaints.remove(LOOKING);
                    self.database_is_back(&mut memory).await;
                    self.tell_all(&mut memory, &active, due).await;
                }
                // A table that somebody has locked is no database that is away.
                Err(error) if error.is_unavailable() && self.store.takes_writes().await.is_err() => {
                    self.database_is_away(&mut memory, &error).await;
                }
                Err(error) => complain(&mut memory, LOOKING, &error.to_string()),
            }
        }
    }

    /// Notes what is wrong. Returns the accounts that are not paused, and what people are to be told of them.
    async fn look(&self) -> Result<(Vec<String>, Vec<DueNotice>), StoreError> {
        let now = self.clock.now();
        let facts = AccountFacts::read_all(&self.store, now).await?;
        let own = facts.iter().filter(|facts| self.accounts.contains(&facts.status.name));
        // A paused account has no trouble, but what was told of it is not over either.
        let (paused, active): (Vec<&AccountFacts>, Vec<&AccountFacts>) =
            own.partition(|facts| facts.status.pause.is_some());
        let names = |facts: &[&AccountFacts]| -> Vec<String> {
            facts.iter().map(|facts| facts.status.name.clone()).collect()
        };
        let present: Vec<Trouble> = active.iter().flat_map(|facts| self.trouble(facts, now)).collect();
        let (active, after) = (names(&active), self.settings.after);
        self.store.follow_trouble(&active, &names(&paused), &present, after).await?;
        let due = self.claim(&active).await?;
        Ok((active, due))
    }

    async fn claim(&self, accounts: &[String]) -> Result<Vec<DueNotice>, StoreError> {
        let NotifyConfig { after, repeat, .. } = self.settings;
        self.store.claim_notices(accounts, after, repeat, AT_ONCE).await
    }

    /// As many at once as a message holds, each claimed when its turn comes: a claim lasts for one message.
    async fn tell_all(&self, memory: &mut Memory, accounts: &[String], mut due: Vec<DueNotice>) {
        while !due.is_empty() && self.tell(memory, &due).await {
            due = match self.claim(accounts).await {
                Ok(due) => due,
                Err(error) => return complain(memory, LOOKING, &error.to_string()),
            };
        }
    }

    fn trouble(&self, facts: &AccountFacts, now: DateTime<Utc>) -> Vec<Trouble> {
        let problems = problems(facts, true, None, self.poll_interval, now);
        let bad = problems.into_iter().filter(|problem| problem.level == Level::Bad);
        bad.map(|problem| Trouble {
            account: facts.status.name.clone(),
            kind: kind_name(problem.kind),
            text: problem.text.chars().take(LONGEST).collect(),
            advice: problem.advice,
        })
        .collect()
    }

    /// Returns `true` once people are told and that is noted.
    async fn tell(&self, memory: &mut Memory, due: &[DueNotice]) -> bool {
        let notices: Vec<Notice> = due.iter().map(notice).collect();
        if !self.send(memory, &notices).await {
            // The claim runs out, and another try is due.
            return false;
        }
        match self.store.note_told(due).await {
            Ok(()) => {
                for Notice { account, kind, event, .. } in &notices {
                    tracing::info!(
                        event = "notified",
                        account,
                        kind,
                        what = event.as_str(),
                        "people were told"
                    );
                }
                true
            }
            Err(error) => {
                complain(memory, LOOKING, &format!("{error}; people may be told twice"));
                false
            }
        }
    }

    /// Returns `true` once any way has taken them; to the others they are owed.
    async fn send(&self, memory: &mut Memory, notices: &[Notice]) -> bool {
        let mut failed = Vec::new();
        let mut is_taken = false;
        for channel in self.sender.channels() {
            // In their order: the end of a trouble is not told before it.
            self.pay(memory, channel).await;
            if !memory.owed.contains_key(&channel) && self.send_by(memory, channel, notices).await {
                is_taken = true;
            } else {
                failed.push(channel);
            }
        }
        if is_taken {
            let next_try = self.clock.now() + AGAIN;
            for channel in failed {
                let owed =
                    memory.owed.entry(channel).or_insert_with(|| Owed { notices: Vec::new(), next_try });
                owed.notices.extend_from_slice(notices);
                let most = owed.notices.len().saturating_sub(MOST_OWED);
                owed.notices.drain(..most);
            }
        }
        is_taken
    }

    async fn send_by(&self, memory: &mut Memory, channel: Channel, notices: &[Notice]) -> bool {
        match self.sender.send(channel, notices, self.clock.now()).await {
            Ok(refused) => {
                memory.complaints.remove(channel.as_str());
                if refused.is_empty() {
                    memory.complaints.remove(SOME);
                } else {
                    complain(memory, SOME, &refused.to_string());
                }
                true
            }
            Err(error) => {
                complain(memory, channel.as_str(), &error);
                false
            }
        }
    }

    async fn pay_what_is_owed(&self, memory: &mut Memory) {
        let now = self.clock.now();
        let due = memory.owed.iter().filter(|(_, owed)| owed.next_try <= now || owed.next_try > now + AGAIN);
        let due: Vec<Channel> = due.map(|(channel, _)| *channel).collect();
        for channel in due {
            self.pay(memory, channel).await;
        }
    }

    async fn pay(&self, memory: &mut Memory, channel: Channel) {
        let Some(mut owed) = memory.owed.remove(&channel) else { return };
        while !owed.notices.is_empty() {
            let end = owed.notices.len().min(AT_ONCE);
            let some: Vec<Notice> = owed.notices.iter().take(end).cloned().collect();
            if !self.send_by(memory, channel, &some).await {
                memory.owed.insert(channel, Owed { next_try: self.clock.now() + AGAIN, ..owed });
                return;
            }
            owed.notices.drain(..end);
        }
    }

    /// Its trouble cannot be noted in it: each daemon tells of that by itself.
    async fn database_is_away(&self, memory: &mut Memory, error: &StoreError) {
        let now = self.clock.now();
        let away = *memory.away.get_or_insert(Away { since: now, was_told: false });
        if !away.was_told && now - away.since >= self.settings.after {
            let text = format!("The database does not answer: {error}").chars().take(LONGEST).collect();
            let was_told = self.send(memory, &[database_notice(away.since, Event::Trouble, text)]).await;
            memory.away = Some(Away { was_told, ..away });
        }
    }

    async fn database_is_back(&self, memory: &mut Memory) {
        let Some(away) = memory.away else { return };
        let back = database_notice(away.since, Event::Over, "The database answers again.".to_owned());
        if !away.was_told || self.send(memory, &[back]).await {
            memory.away = None;
        }
    }
}

/// Logs a failure when it begins, not at every look.
fn complain(memory: &mut Memory, channel: &'static str, error: &str) {
    if memory.complaints.insert(channel) {
        tracing::warn!(
            event = "not_notified",
            channel,
            error,
            "people cannot be told of trouble; it is tried again"
        );
    }
}

fn kind_name(kind: ProblemKind) -> String {
    serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn notice(due: &DueNotice) -> Notice {
    let event = match (due.ended_at, due.told_at) {
        (Some(_), _) => Event::Over,
        (None, Some(_)) => Event::Lasts,
        (None, None) => Event::Trouble,
    };
    let DueNotice { account, kind, text, advice, since, ended_at, .. } = due.clone();
    Notice { event, account: Some(account), kind, text, advice, since, ended_at }
}

fn database_notice(since: DateTime<Utc>, event: Event, text: String) -> Notice {
    let advice =
        "Answers are held, and stored once the database is back; cdr-sync check shows what fails.".to_owned();
    Notice { event, account: None, kind: "database_away".to_owned(), text, advice, since, ended_at: None }
}
