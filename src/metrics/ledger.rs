//! What the ledger says, as metrics.

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, IntGaugeVec};

use super::{Definer, ListFacts, MetricsError, unix};

/// What the ledger says, rewritten at each exposition so that a forgotten account disappears.
#[derive(Debug)]
pub(super) struct LedgerFamilies {
    database_up: IntGaugeVec,
    table_bytes: IntGaugeVec,
    lag: GaugeVec,
    synced_until: GaugeVec,
    history_from: GaugeVec,
    history_start: GaugeVec,
    unread: GaugeVec,
    gaps: IntGaugeVec,
    rejected: IntGaugeVec,
    suspicious: IntGaugeVec,
    paused: IntGaugeVec,
}

/// What the ledger says of one account.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerFacts {
    /// The account's name in the configuration.
    pub account: String,
    /// The first instant that was not read yet, if anything was read.
    pub synced_until: Option<DateTime<Utc>>,
    /// From here to `synced_until` everything was read or is a gap.
    pub history_from: Option<DateTime<Utc>>,
    /// How far back history is to be filled.
    pub history_start: DateTime<Utc>,
    /// History still unread, in seconds.
    pub unread_seconds: i64,
    /// Number of open gaps: spans that could not be read in full.
    pub gaps: i64,
    /// Number of open rejected records: those that could not be stored.
    pub rejected: i64,
    /// Rows that went missing with suspiciously many others.
    pub suspicious: i64,
    /// `true` if an operator has paused it.
    pub is_paused: bool,
    /// Its lists of reference data, as far as they were ever requested.
    pub lists: Vec<ListFacts>,
}

impl LedgerFamilies {
    pub(super) fn new(define: &Definer<'_>) -> Result<Self, MetricsError> {
        let account = &["account"];
        Ok(Self {
            database_up: define.int_gauges("database_up", "1 while the database answers, else 0.", &[])?,
            table_bytes: define.int_gauges(
                "table_bytes",
                "What a table takes on disk with its indexes, in bytes.",
                &["table"],
            )?,
            lag: define.gauges("lag_seconds", "How far the mirror is behind the present.", account)?,
            synced_until: define.gauges(
                "synced_until_timestamp_seconds",
                "The first instant not read yet, as Unix time.",
                account,
            )?,
            history_from: define.gauges(
                "history_from_timestamp_seconds",
                "From here to synced_until everything was read or stands as a gap, as Unix time.",
                account,
            )?,
            history_start: define.gauges(
                "history_start_timestamp_seconds",
                "How far back history is to be filled, as Unix time.",
                account,
            )?,
            unread: define.gauges(
                "unread_seconds",
                "History that is still to be read for the first time.",
                account,
            )?,
            gaps: define.int_gauges(
                "gaps",
                "Spans that could not be read in full and stand open.",
                account,
            )?,
            rejected: define.int_gauges(
                "rejected_records",
                "Records that could not be stored, stand open and are not acknowledged.",
                account,
            )?,
            suspicious: define.int_gauges(
                "suspicious_rows",
                "Rows that went missing with very many others, not marked removed yet.",
                account,
            )?,
            paused: define.int_gauges(
                "paused",
                "1 while an operator has paused the account, else 0.",
                account,
            )?,
        })
    }

    pub(super) fn table_sizes(&self, sizes: &[(String, i64)]) {
        for (table, bytes) in sizes {
            self.table_bytes.with_label_values(&[table]).set(*bytes);
        }
    }

    /// Replaces all values, so that a forgotten account disappears.
    pub(super) fn write(&self, facts: &[LedgerFacts], database_up: bool, now: DateTime<Utc>) {
        self.database_up.with_label_values::<&str>(&[]).set(i64::from(database_up));
        for family in [&self.lag, &self.synced_until, &self.history_from, &self.history_start, &self.unread] {
            family.reset();
        }
        for family in [&self.gaps, &self.rejected, &self.suspicious, &self.paused] {
            family.reset();
        }
        for fact in facts {
            let name = &[fact.account.as_str()];
            if let Some(until) = fact.synced_until {
                self.synced_until.with_label_values(name).set(unix(until));
                self.lag.with_label_values(name).set((now - until).as_seconds_f64().max(0.0));
            }
            if let Some(from) = fact.history_from {
                self.history_from.with_label_values(name).set(unix(from));
            }
            self.history_start.with_label_values(name).set(unix(fact.history_start));
            self.unread.with_label_values(name).set(fact.unread_seconds as f64);
            self.gaps.with_label_values(name).set(fact.gaps);
            self.rejected.with_label_values(name).set(fact.rejected);
            self.suspicious.with_label_values(name).set(fact.suspicious);
            self.paused.with_label_values(name).set(i64::from(fact.is_paused));
        }
    }
}
