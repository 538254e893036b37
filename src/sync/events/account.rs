//! An account that is led, handed over, stopped or doubted.

use std::fmt::Display;
use std::time::Duration;

use crate::cdr::Column;
use crate::store::StoreError;
use crate::sync::SyncError;
use crate::sync::status::ProgressWatch;

/// This process keeps the account in sync from now on.
pub(in crate::sync) struct Leading<'a> {
    pub account: &'a str,
}

impl Leading<'_> {
    pub(in crate::sync) fn emit(&self, watch: &ProgressWatch) {
        watch.metrics.leads(true);
        watch.update(|progress| (progress.leads, progress.failing_for) = (true, Duration::ZERO));
        tracing::info!(event = "leading", account = self.account, "this process keeps the account in sync");
    }
}

/// Another process keeps the account in sync.
pub(in crate::sync) struct Standby<'a> {
    pub account: &'a str,
    pub holder: &'a str,
}

impl Standby<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, holder } = self;
        tracing::info!(event = "standby", account, holder, "another process leads this account");
    }
}

/// An operator has paused the account.
pub(in crate::sync) struct PausedByHand<'a> {
    pub account: &'a str,
}

impl PausedByHand<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::info!(
            event = "paused",
            account = self.account,
            "an operator has paused this account: nothing is asked for it"
        );
    }
}

/// Another process has taken the account over.
pub(in crate::sync) struct Fenced<'a> {
    pub account: &'a str,
}

impl Fenced<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::warn!(
            event = "fenced",
            account = self.account,
            "another process has taken over this account"
        );
    }
}

/// This process hands the account over to another daemon.
pub(in crate::sync) struct HandedOver<'a> {
    pub account: &'a str,
    pub why: &'static str,
}

impl HandedOver<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, why } = self;
        tracing::info!(event = "handed_over", account, why, "another daemon takes it over");
    }
}

/// The ledger is not what this process had stored: it is read again.
pub(in crate::sync) struct LedgerReloaded<'a> {
    pub account: &'a str,
    pub error: &'a StoreError,
}

impl LedgerReloaded<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::warn!(event = "ledger_reloaded", account = self.account, error = %self.error);
    }
}

/// Syncing the account ended with an error.
pub(in crate::sync) struct AccountStopped<'a> {
    pub account: &'a str,
    pub error: &'a SyncError,
    pub wait: Duration,
}

impl AccountStopped<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, error, wait } = self;
        tracing::error!(event = "account_stopped", account, %error, seconds = wait.as_secs(), "trying again later");
    }
}

/// The account's task panicked, which is a bug.
pub(in crate::sync) struct Panicked<'a> {
    pub account: &'a str,
    pub failures: u32,
}

impl Panicked<'_> {
    pub(in crate::sync) fn emit(&self, watch: &ProgressWatch) {
        let Self { account, failures } = self;
        tracing::error!(event = "panicked", account, failures, "this is a bug; the account is restarted");
        watch.metrics.panicked();
    }
}

/// An operator has ended the account's wait.
pub(in crate::sync) struct Resumed<'a> {
    pub account: &'a str,
}

impl Resumed<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::info!(event = "resumed", account = self.account, "an operator has ended the wait");
    }
}

/// The program was stopped before an answer was stored.
pub(in crate::sync) struct NotStored<'a> {
    pub account: &'a str,
}

impl NotStored<'_> {
    pub(in crate::sync) fn emit(&self) {
        let account = self.account;
        tracing::warn!(event = "not_stored", account, "stopped while storing; it will be read again");
    }
}

/// An error could not be noted for `status`.
pub(in crate::sync) struct ErrorNotNoted<'a> {
    pub account: &'a str,
    pub error: &'a StoreError,
}

impl ErrorNotNoted<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::debug!(event = "error_not_noted", account = self.account, error = %self.error);
    }
}

/// What was asked of the leader could not be looked up or written down; it is tried again.
pub(in crate::sync) struct WorkNotNoted<'a> {
    pub account: &'a str,
    pub error: &'a StoreError,
}

impl WorkNotNoted<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, error } = self;
        tracing::warn!(event = "work_not_noted", account, %error, "requests could not be looked up or noted");
    }
}

/// Spans are read again because somebody asked for it.
pub(in crate::sync) struct WorkTaken<'a> {
    pub account: &'a str,
    pub requests: usize,
}

impl WorkTaken<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, requests } = self;
        tracing::info!(event = "work_taken", account, requests, "reading what was asked for");
    }
}

/// The configuration of what the account reads has changed.
pub(in crate::sync) struct ScopeChanged<'a> {
    pub account: &'a str,
    pub keys: &'a str,
}

impl ScopeChanged<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, keys } = self;
        tracing::warn!(
            event = "scope_changed",
            account,
            keys,
            "what this account reads has changed: everything is read again from the start"
        );
    }
}

/// An earlier version may have read calls without some fields.
pub(in crate::sync) struct FieldsDoubted<'a> {
    pub account: &'a str,
}

impl FieldsDoubted<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::info!(
            event = "fields_doubted",
            account = self.account,
            "an earlier version may have read calls without some fields: what the API still has is read again"
        );
    }
}

/// PostgreSQL does not know the configured zone of days and hours.
pub(in crate::sync) struct ReportingZoneUnknown<'a> {
    pub account: &'a str,
    pub zone: &'a str,
}

impl ReportingZoneUnknown<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::error!(
            event = "reporting_zone_unknown",
            account = self.account,
            zone = self.zone,
            "PostgreSQL does not know the zone of reporting.timezone: days and hours of voicenter.calls are those of UTC"
        );
    }
}

/// The ages of re-reads could not be set.
pub(in crate::sync) struct LatenessNotNoted<'a> {
    pub account: &'a str,
    pub error: &'a StoreError,
}

impl LatenessNotNoted<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::warn!(
            event = "lateness_not_noted",
            account = self.account,
            error = %self.error,
            "going on: hours may settle later than they could"
        );
    }
}

/// Rows were deleted by somebody else.
pub(in crate::sync) struct RowsLost<'a> {
    pub account: &'a str,
    pub days: usize,
    pub rows: i64,
}

impl RowsLost<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, days, rows } = self;
        tracing::error!(
            event = "rows_lost",
            account,
            days,
            rows,
            "rows were deleted from voicenter.cdr by somebody else: the days are read again"
        );
    }
}

/// Rows could not be counted in time.
pub(in crate::sync) struct DaysNotCompared<'a, E> {
    pub account: &'a str,
    pub error: &'a E,
}

impl<E: Display> DaysNotCompared<'_, E> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, error } = self;
        tracing::warn!(event = "days_not_compared", account, %error, "fewer rows are counted next time");
    }
}

/// A field that is different at each read of the same rows.
pub(in crate::sync) struct FieldChurns<'a> {
    pub account: &'a str,
    pub column: &'a str,
}

impl FieldChurns<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, column } = *self;
        let field = Column::ALL.iter().find(|one| one.name() == column).map_or(column, |one| one.field());
        tracing::warn!(
            event = "field_churns",
            account,
            column,
            "most rows are written again at each read because this field differs each time: if the API does that, put \
             {field} into sync.ignored_changes; otherwise look for a trigger on voicenter.cdr"
        );
    }
}

/// What notifications brought and the pull did not could not be looked up or noted in the database: tried again in a minute.
pub(in crate::sync) struct PushedNotAsked<'a> {
    pub account: &'a str,
    pub error: &'a StoreError,
}

impl PushedNotAsked<'_> {
    pub(in crate::sync) fn emit(&self) {
        tracing::warn!(event = "pushed_not_asked", account = self.account, error = %self.error);
    }
}
