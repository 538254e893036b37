//! The loop around windows: plan → fetch → decode → store → plan.

mod batch;
pub mod call_history;
mod churn;
mod clocks;
pub mod engine;
mod events;
mod fetch;
pub mod leadership;
pub mod reference;
mod share;
pub mod status;
pub mod supervisor;
pub mod verify;
mod zone;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::phone_number::Country;
use crate::plan::PlanSettings;
use crate::plan::ledger::HistoryStart;
use crate::rate_limit::{Backoff, RateLimiter};
use crate::store::StoreError;
use crate::store::pause::Pause;
use crate::voicenter::{Client, Filter};

/// One configured account: what to read, how, and as whom.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// The API, with the account's credential.
    pub client: Client,
    /// Decides when a request may leave.
    pub rate_limit: RateLimiter,
    /// What it reads: kept in the ledger, and everything is read again when it changes.
    pub scope: Value,
    /// The configured search criteria of every request.
    pub filter: Filter,
    /// The zone of the days and hours that its calls are counted by.
    pub reporting_timezone: Tz,
    /// The country of numbers that name none.
    pub reporting_country: Country,
    /// How far back history goes.
    pub start: HistoryStart,
    /// `retention.calls`: how long its calls are kept; `None` is without limit.
    pub retention: Option<TimeDelta>,
    /// Settings that the planner works by.
    pub settings: PlanSettings,
    /// `sync.removal_after`: the least time between two reads that must both miss a row.
    pub removal_after: TimeDelta,
    /// `sync.ignored_changes`: field names in lower case.
    pub ignored_changes: Vec<String>,
    /// `sync.history`: `true` if replaced versions of rows are kept.
    pub history: bool,
    /// How records are asked for that only notifications have brought; `None` where none are received.
    pub push: Option<PushAsking>,
    /// `api.timeout`: how long a request may take.
    pub timeout: Duration,
    /// `api.backoff_min` and `api.backoff_max`: the range of waits after failures.
    pub backoff: Backoff,
}

/// How to ask for records that only notifications have brought.
#[derive(Clone, Copy, Debug)]
pub struct PushAsking {
    /// `push.timezone`: the zone of the wall clock in notifications.
    pub zone: Tz,
    /// `push.confirm_after`: how long the pull has time to bring them by itself.
    pub confirm_after: TimeDelta,
}

/// Waits for the database: seconds, since asking again costs no API request.
pub(crate) const DATABASE: Backoff = Backoff { min: Duration::from_millis(500), max: Duration::from_secs(5) };

/// Why syncing an account ended.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The API refuses the credential or the address: the operator must act.
    #[error("{message}")]
    Refused {
        /// What the API said, and what to do.
        message: String,
    },
    /// What the API sends contradicts `api.timezone`: the operator must act, and nothing is claimed until then.
    #[error("{message}")]
    WrongZone {
        /// What shows it, and what to do.
        message: String,
    },
    /// A single pass gives up: too many consecutive requests had no usable answer.
    #[error("{failures} requests in a row failed; the last: {last}")]
    Failing {
        /// Number of consecutive failed requests.
        failures: u32,
        /// What went wrong with the last one.
        last: String,
    },
    /// The API's clock is far behind, and nothing newer than it says may be claimed: a pass is not complete.
    #[error(
        "the API's clock (its Date header) says {until}, this host's {now}: calls are claimed as read only up to the earlier of both. \
         Check this host's clock; if that is right, a cache or proxy in front of the API, or the API itself, gives an old Date"
    )]
    ApiClock {
        /// What the API's clock says.
        until: DateTime<Utc>,
        /// What this host's clock says.
        now: DateTime<Utc>,
    },
    /// Another process leads this account.
    #[error(
        "{holder} already keeps this account in sync: stop it first, or leave the work to it. Its lease ends in {} s unless it is \
         renewed: a copy of a database brings along the lease of whoever leads the original",
        expires_in.as_secs() + 1
    )]
    Led {
        /// The account's name in the configuration.
        account: String,
        /// Host and process id of the leader.
        holder: String,
        /// When the lease ends unless it is renewed.
        expires_in: Duration,
    },
    /// An operator has paused this account.
    #[error("account {account} is {pause}. cdr-sync account resume {account} ends that")]
    Paused {
        /// The account's name in the configuration.
        account: String,
        /// Who paused it, since when and why.
        pause: Pause,
    },
    /// An error of the database, or the loss of the lead.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine made no progress for longer than any wait may last: a bug in this program.
    #[error("stuck: no progress for longer than any wait may last; the account is restarted")]
    Stuck,
    /// A task panicked: a bug in this program.
    #[error("a task panicked: this is a bug; the account is restarted")]
    Panicked,
}
