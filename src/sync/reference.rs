//! One list of reference data of one account: when it is due, and reading it.
//!
//! It has its own connections, hosts and waits: nothing here takes from the budget of the call log, and no failure is the
//! account's.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::rate_limit::Backoff;
use crate::reference::ListKind;
use crate::store::reference::{FollowedList, ListSchedule};
use crate::store::{Store, StoreError};
use crate::voicenter::{Client, ListError};

/// The wait after the first failure; it doubles up to the usual interval.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// What became of a request for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOutcome {
    /// The list came; whether it was believed is part of it.
    Followed(FollowedList),
    /// It did not come.
    Failed(ListError),
    /// The ledger does not know the account any more.
    Forgotten,
}

/// Reads one list of one account.
#[derive(Clone, Debug)]
pub struct ListReader {
    /// The account's name in the configuration.
    pub account: String,
    /// Which list.
    pub kind: ListKind,
    /// A client whose address is that of the list.
    pub client: Client,
    /// The database.
    pub store: Store,
    /// `reference.every`.
    pub every: Duration,
}

impl ListReader {
    /// Requests the list and stores what it changes.
    ///
    /// # Errors
    /// If the database fails. What is wrong with the list is an outcome.
    pub async fn read(&self, now: DateTime<Utc>) -> Result<ListOutcome, StoreError> {
        let list = match self.client.list(self.kind).await {
            Ok(list) => list,
            Err(error) => {
                self.store.note_list_failure(&self.account, self.kind, &error.to_string(), now).await?;
                return Ok(ListOutcome::Failed(error));
            }
        };
        let followed = self.store.follow_list(&self.account, self.kind, &list, now).await?;
        Ok(followed.map_or(ListOutcome::Forgotten, ListOutcome::Followed))
    }

    /// The wait until the list is due, after `failures` in a row that this process has seen; `None` while nothing may be asked for
    /// the account.
    pub async fn due_in(&self, failures: u32, now: DateTime<Utc>) -> Result<Option<Duration>, StoreError> {
        let schedule = self.store.list_schedule(&self.account, self.kind).await?;
        Ok((!schedule.is_paused).then(|| wait(schedule, self.every, failures, now)))
    }
}

fn wait(schedule: ListSchedule, every: Duration, failures: u32, now: DateTime<Utc>) -> Duration {
    let pace = match schedule.has_problem {
        true => Backoff { min: AFTER_FAILURE.min(every), max: every }.doubling(failures),
        false => every,
    };
    // A request in the future was made by a clock that has been set back.
    let Some(asked_at) = schedule.asked_at.filter(|asked_at| *asked_at <= now) else { return Duration::ZERO };
    let due = TimeDelta::from_std(pace).ok().and_then(|pace| asked_at.checked_add_signed(pace));
    due.map_or(every, |due| (due - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_due_after_the_interval_sooner_after_a_failure_and_at_once_if_never_asked_for() {
        let every = Duration::from_secs(1800);
        let at = |seconds: i64| DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap();
        let asked = |has_problem| ListSchedule { asked_at: Some(at(0)), has_problem, is_paused: false };
        let seconds = |schedule, failures, now| wait(schedule, every, failures, at(now)).as_secs();
        assert_eq!(seconds(ListSchedule { asked_at: None, ..asked(false) }, 0, 0), 0);
        assert_eq!(seconds(asked(false), 0, 0), 1800);
        assert_eq!(seconds(asked(false), 0, 1700), 100);
        assert_eq!(seconds(asked(false), 0, 1801), 0);
        assert_eq!(seconds(asked(true), 0, 0), 60, "another process has seen it fail");
        assert_eq!(seconds(asked(true), 1, 0), 60);
        assert_eq!(seconds(asked(true), 3, 0), 240);
        assert_eq!(seconds(asked(true), 30, 0), 1800);
        assert_eq!(seconds(asked(false), 0, -5), 0, "the clock has been set back");
    }
}
