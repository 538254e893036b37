//! The loop around windows: plan → fetch → decode → store → plan.

mod batch;
mod churn;
mod clocks;
pub mod engine;
mod events;
mod fetch;
pub mod leadership;
mod share;
pub mod status;
pub mod supervisor;
pub mod verify;
mod zone;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::plan::PlanSettings;
use crate::rate_limit::{Backoff, RateLimiter};
use crate::store::StoreError;
use crate::voicenter::{Client, Filter};

/// One configured account: what to read, how, and as whom.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// The API, with the account's credential.
    pub client: Client,
    /// When requests may leave.
    pub rate_limit: RateLimiter,
    /// What it reads: kept in the ledger, and everything is read again when it changes.
    pub scope: Value,
    /// The configured criteria.
    pub filter: Filter,
    /// How far back history goes.
    pub start: Start,
    /// The planner's settings.
    pub settings: PlanSettings,
    /// `sync.removal_after`.
    pub removal_after: TimeDelta,
    /// `sync.ignored_changes`, in lower case.
    pub ignored_changes: Vec<String>,
    /// `sync.history`.
    pub history: bool,
    /// `api.timeout`.
    pub timeout: Duration,
    /// `api.backoff_min` and `api.backoff_max`.
    pub backoff: Backoff,
}

/// Where history starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is configured: so long before the first start, and fixed then.
    Before(TimeDelta),
    /// Configured.
    At(DateTime<Utc>),
}

/// How long to wait for the database: seconds, for it costs no request to ask again.
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
    /// So many requests in a row had no usable answer that a single pass gives up.
    #[error("{failures} requests in a row failed; the last: {last}")]
    Failing {
        /// How many.
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
        /// What this host's says.
        now: DateTime<Utc>,
    },
    /// Another process leads this account.
    #[error("{holder} keeps this account in sync already: stop it first, or leave the work to it")]
    Led {
        /// The account.
        account: String,
        /// Who leads.
        holder: String,
        /// When the lease ends unless it is renewed.
        expires_in: Duration,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has not turned for longer than anything takes: a fault of ours.
    #[error("stuck: nothing has moved for longer than any wait may last; the account is started again")]
    Stuck,
    /// A task panicked: a fault of ours.
    #[error("a task panicked: this is a bug; the account is started again")]
    Panicked,
}
