//! CDR notifications that were received, and the spool.

use chrono::{DateTime, TimeDelta, Utc};
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::counters::AccountCounters;
use super::{Definer, Metrics, MetricsError, unix};
use crate::push::Confirmation;

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

/// How the notifications of an account fare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushState {
    pub(crate) last_received_at: Option<DateTime<Utc>>,
    pub(crate) new: i64,
    pub(crate) provisional: i64,
    pub(crate) unmatched: i64,
}

#[derive(Debug)]
pub(super) struct PushFamilies {
    pub(super) received: AccountCounters,
    last_received: GaugeVec,
    unauthorized: IntCounterVec,
    spool_files: IntGaugeVec,
    spool_bytes: IntGaugeVec,
    disagreements: IntCounterVec,
    latency: HistogramVec,
    lead: HistogramVec,
    offset: GaugeVec,
    waiting: IntGaugeVec,
    records: IntGaugeVec,
    expected: IntGaugeVec,
    matched: IntGaugeVec,
    usual_gap: GaugeVec,
}

/// From half a minute to a day.
const LATENCY_BUCKETS: [f64; 11] =
    [30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0];
/// Both ways, for either may come first.
const LEAD_BUCKETS: [f64; 11] =
    [-3_600.0, -600.0, -300.0, -120.0, -60.0, 0.0, 60.0, 120.0, 300.0, 600.0, 3_600.0];

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
            disagreements: define.counters(
                "push_disagreements_total",
                "Values of notifications that were different from those of the pull, by column, which has the pull's.",
                &["account", "column"],
            )?,
            latency: define.histograms(
                "push_latency_seconds",
                "From the end of a call to its first notification.",
                &LATENCY_BUCKETS,
                &["account"],
            )?,
            lead: define.histograms(
                "push_lead_seconds",
                "From the first notification of a record to when the pull brought it; negative where that was before.",
                &LEAD_BUCKETS,
                &["account"],
            )?,
            offset: define.gauges(
                "push_time_offset_seconds",
                "How far the time in notifications is ahead of the pull's: 7200 or 10800 where it is a wall clock of Israel.",
                &["account"],
            )?,
            waiting: define.int_gauges(
                "push_waiting",
                "CDR notifications that are stored and not yet joined.",
                &["account"],
            )?,
            records: define.int_gauges(
                "push_records",
                "Records that notifications brought and the pull did not: provisional ones may still come, unmatched ones were asked for.",
                &["account", "state"],
            )?,
            expected: define.int_gauges(
                "push_expected_records",
                "Records of the last 7 days that started a day ago or earlier while the receiver was running, by type.",
                &["account", "type"],
            )?,
            matched: define.int_gauges(
                "push_matched_records",
                "Those of them of which a notification was received.",
                &["account", "type"],
            )?,
            usual_gap: define.gauges(
                "push_usual_gap_seconds",
                "The longest pause between notifications that is usual: 95 % of the last week's were shorter.",
                &["account"],
            )?,
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

    /// Counts what the meetings of pushes with the pull have shown.
    pub(crate) fn pushes_confirmed(&self, account: &str, confirmations: &[Confirmation]) {
        let push = &self.0.push;
        for Confirmation { latency, lead, disagreements } in confirmations {
            push.latency.with_label_values(&[account]).observe(seconds(*latency));
            push.lead.with_label_values(&[account]).observe(seconds(*lead));
            for column in disagreements {
                push.disagreements.with_label_values(&[account, column]).inc();
            }
        }
    }

    /// Shows how the notifications of an account fare.
    pub(crate) fn push_state(&self, account: &str, state: PushState) {
        let push = &self.0.push;
        push.waiting.with_label_values(&[account]).set(state.new);
        push.records.with_label_values(&[account, "provisional"]).set(state.provisional);
        push.records.with_label_values(&[account, "unmatched"]).set(state.unmatched);
        let last = push.last_received.with_label_values(&[account]);
        // Of other processes, and of before the start.
        last.set(last.get().max(state.last_received_at.map_or(0.0, unix)));
    }

    /// Shows how far the time in notifications is ahead, and how long they usually keep away.
    pub(crate) fn push_signs(&self, account: &str, offset: Option<i64>, usual_gap: Option<f64>) {
        let push = &self.0.push;
        for (gauge, value) in
            [(&push.offset, offset.map(|seconds| seconds as f64)), (&push.usual_gap, usual_gap)]
        {
            if let Some(value) = value {
                gauge.with_label_values(&[account]).set(value);
            }
        }
    }

    /// Shows how many records of a type were to have a notification, and how many had one.
    pub(crate) fn pushed_share(&self, account: &str, call_type: &str, records: i64, pushed: i64) {
        let (push, labels) = (&self.0.push, &[account, call_type]);
        push.expected.with_label_values(labels).set(records);
        push.matched.with_label_values(labels).set(pushed);
    }

    /// Sets what is in the spool.
    pub(crate) fn push_spool(&self, files: u64, bytes: u64) {
        let push = &self.0.push;
        for (gauge, value) in [(&push.spool_files, files), (&push.spool_bytes, bytes)] {
            gauge.with_label_values::<&str>(&[]).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

fn seconds(delta: TimeDelta) -> f64 {
    delta.as_seconds_f64()
}
