//! The analyses of one account that are asked for call by call: when, of which call, and what comes of it.
//!
//! They have a host, a token and a ration of their own: nothing here takes from the budget of the call log, and no failure is
//! the account's.

use chrono::{DateTime, TimeDelta, Utc};

use crate::call_history::{HistoryRules, Turn, rests_until, turn};
use crate::store::call_history::CallAsked;
use crate::store::{Store, StoreError};
use crate::voicenter::{Client, HistoryError};

/// What became of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryTurn {
    /// An analysis came and is stored.
    Analysis,
    /// The call has none.
    None,
    /// The call is not known there.
    Unknown,
    /// No usable answer.
    Failed(HistoryError),
    /// It is not its turn before then.
    NotBefore(DateTime<Utc>),
    /// There is no call to be asked for now.
    Nothing,
    /// An operator has paused the account, or it is not known.
    Paused,
}

/// Asks for the analyses of one account.
#[derive(Clone, Debug)]
pub struct HistoryReader {
    /// The account's name in the configuration.
    pub account: String,
    /// A client whose address is that of GetCallHistory, with the token for it.
    pub client: Client,
    /// The fingerprint of that token: accounts that share one share its ration.
    pub credential: String,
    /// The database.
    pub store: Store,
    /// Which calls are asked for.
    pub rules: HistoryRules,
    /// `ai.requests_per_week`.
    pub per_week: u32,
}

impl HistoryReader {
    /// Asks for one call, if it is time and there is one.
    ///
    /// # Errors
    /// If the database fails. What is wrong with an answer is an outcome.
    pub async fn turn(&self, now: DateTime<Utc>) -> Result<HistoryTurn, StoreError> {
        let Some(week) = self.store.week_of_history(&self.account, &self.credential).await? else {
            return Ok(HistoryTurn::Paused);
        };
        if let Turn::At(at) = turn(week, self.per_week, now) {
            return Ok(HistoryTurn::NotBefore(at));
        }
        let Some(call) = self.store.next_call_to_ask(&self.account, self.rules, now).await? else {
            return Ok(HistoryTurn::Nothing);
        };
        let (account, credential) = (self.account.as_str(), self.credential.as_str());
        if !self.store.take_history_request(account, credential, &call.call_id, self.per_week, now).await? {
            return Ok(HistoryTurn::NotBefore(now + TimeDelta::minutes(1)));
        }
        let (asked, outcome) = match self.client.call_history(&call.call_id).await {
            Ok(None) => (CallAsked::None, HistoryTurn::Unknown),
            Ok(Some(came)) => match came.found.analysis {
                Some(analysis) => {
                    (CallAsked::Analysis(Box::new(analysis), came.body_sha256), HistoryTurn::Analysis)
                }
                None => (CallAsked::None, HistoryTurn::None),
            },
            Err(HistoryError::UsedUp) => {
                let until = rests_until(now);
                self.store.rest_call_history(account, credential, &call.call_id, until).await?;
                return Ok(HistoryTurn::Failed(HistoryError::UsedUp));
            }
            Err(error) => (CallAsked::Failed, HistoryTurn::Failed(error)),
        };
        self.store.note_call_asked(&self.account, &call, &asked, now).await?;
        Ok(outcome)
    }
}
