//! Lists of reference data: what the ledger says of them, and what went wrong here.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, IntGaugeVec};

use super::counters::AccountCounters;
use super::{Definer, LedgerFacts, Metrics, MetricsError, unix};
use crate::reference::{Doubt, ListKind};
use crate::voicenter::ListError;

/// What the ledger says of one list of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFacts {
    /// Which list.
    pub list: ListKind,
    /// Number of rows whose interval is open.
    pub rows: i64,
    /// When the last list was requested that was believed.
    pub read_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
pub(super) struct ReferenceFamilies {
    pub(super) failures: AccountCounters,
    rows: IntGaugeVec,
    last_success: GaugeVec,
    /// The lists that the configuration has: of others nothing is shown, since an alert would see them grow old.
    followed: Mutex<BTreeSet<(String, ListKind)>>,
}

impl ReferenceFamilies {
    pub(super) fn new(define: &Definer<'_>) -> Result<Self, MetricsError> {
        let reasons = ListError::REASONS.into_iter().chain(Doubt::REASONS).collect();
        let lists = ListKind::ALL.map(ListKind::as_str).to_vec();
        Ok(Self {
            failures: AccountCounters::new(
                "reference_failures_total",
                "Lists of reference data that did not come or were not believed.",
                vec![("list", lists), ("reason", reasons)],
            ),
            rows: define.int_gauges(
                "reference_rows",
                "Extensions or queues that are valid now.",
                &["account", "list"],
            )?,
            last_success: define.gauges(
                "reference_last_success_timestamp_seconds",
                "When the last list of reference data was requested that was believed, as Unix time; 0 for never.",
                &["account", "list"],
            )?,
            followed: Mutex::default(),
        })
    }

    /// Replaces all values.
    pub(super) fn write(&self, facts: &[LedgerFacts]) {
        self.rows.reset();
        self.last_success.reset();
        for (account, list) in self.followed.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let of_account = facts.iter().find(|facts| facts.account == *account);
            let known = of_account.and_then(|facts| facts.lists.iter().find(|known| known.list == *list));
            let labels = [account.as_str(), list.as_str()];
            self.rows.with_label_values(&labels).set(known.map_or(0, |known| known.rows));
            let read_at = known.and_then(|known| known.read_at);
            self.last_success.with_label_values(&labels).set(read_at.map_or(0.0, unix));
        }
    }
}

impl Metrics {
    /// Shows the series of a list from now on.
    pub(crate) fn follows_list(&self, account: &str, list: ListKind) {
        let reference = &self.0.reference;
        reference.failures.define(account);
        let mut followed = reference.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.insert((account.to_owned(), list));
    }

    /// Counts a list that did not come or was not believed.
    pub(crate) fn list_failed(&self, account: &str, list: ListKind, reason: &'static str) {
        self.0.reference.failures.add(account, &[list.as_str(), reason], 1);
    }
}
