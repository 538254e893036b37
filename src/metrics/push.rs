//! CDR notifications that were received, and the spool.

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

use super::counters::AccountCounters;
use super::{Definer, Metrics, MetricsError, unix};

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    /// Stored, and understood.
    New,
    /// The same body was stored before.
    Repeat,
    /// Stored, but not understood.
    Rejected,
    /// Stored, but in a format that is not read.
    Unsupported,
    /// Kept in the spool until the database takes it.
    Spooled,
    /// Not kept: too large, too slow, too many at once, or nothing to keep it in.
    Refused,
}

impl PushOutcome {
    const ALL: [Self; 6] =
        [Self::New, Self::Repeat, Self::Rejected, Self::Unsupported, Self::Spooled, Self::Refused];

    const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Repeat => "repeat",
            Self::Rejected => "rejected",
            Self::Unsupported => "unsupported",
            Self::Spooled => "spooled",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug)]
pub(super) struct PushFamilies {
    pub(super) received: AccountCounters,
    last_received: GaugeVec,
    unauthorized: IntCounterVec,
    spool_files: IntGaugeVec,
    spool_bytes: IntGaugeVec,
}

impl PushFamilies {
    pub(super) fn new(define: &Definer<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            received: AccountCounters::new(
                "push_received_total",
                "CDR notifications that were received, by what became of them.",
                vec![("outcome", PushOutcome::ALL.map(PushOutcome::as_str).to_vec())],
            ),
            last_received: define.gauges(
                "push_last_received_timestamp_seconds",
                "When this process last kept a CDR notification, as Unix time; 0 for not yet.",
                &["account"],
            )?,
            unauthorized: define.counters(
                "push_unauthorized_total",
                "Requests to the receiver that were answered 404: a wrong address, account or key.",
                &[],
            )?,
            spool_files: define.int_gauges(
                "push_spool_files",
                "CDR notifications in the spool that wait for the database.",
                &[],
            )?,
            spool_bytes: define.int_gauges("push_spool_bytes", "The room they take there.", &[])?,
        })
    }
}

impl Metrics {
    /// Shows the receiver's series of these accounts, at zero.
    pub(crate) fn receives_pushes<'n>(&self, accounts: impl IntoIterator<Item = &'n str>) {
        let push = &self.0.push;
        for account in accounts {
            push.received.define(account);
            push.last_received.with_label_values(&[account]);
        }
        push.unauthorized.with_label_values::<&str>(&[]);
        self.push_spool(0, 0);
    }

    /// Counts a notification.
    pub(crate) fn push_received(&self, account: &str, outcome: PushOutcome, at: DateTime<Utc>) {
        let push = &self.0.push;
        push.received.add(account, &[outcome.as_str()], 1);
        if outcome != PushOutcome::Refused {
            push.last_received.with_label_values(&[account]).set(unix(at));
        }
    }

    /// Counts a request without a valid address.
    pub(crate) fn push_unauthorized(&self) {
        self.0.push.unauthorized.with_label_values::<&str>(&[]).inc();
    }

    /// Sets what is in the spool.
    pub(crate) fn push_spool(&self, files: u64, bytes: u64) {
        let push = &self.0.push;
        for (gauge, value) in [(&push.spool_files, files), (&push.spool_bytes, bytes)] {
            gauge.with_label_values::<&str>(&[]).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}
