//! Events about storing a window's answer.

use std::time::Duration;

use crate::cdr::Column;
use crate::metrics::Changes;
use crate::store::StoreError;
use crate::store::commit::Committed;
use crate::sync::batch::PendingBatch;
use crate::sync::status::ProgressWatch;

/// An answer was committed to the database.
pub(in crate::sync) struct WindowStored<'a> {
    pub batch: &'a PendingBatch,
    pub committed: &'a Committed,
    pub took: Duration,
}

impl WindowStored<'_> {
    pub(in crate::sync) fn emit(&self, watch: &ProgressWatch) {
        self.show(watch);
        self.count(watch);
        self.log_window();
        self.log_gaps();
        self.log_doubts();
    }

    fn listed(&self) -> usize {
        self.batch.answer.as_ref().map_or(0, |answer| answer.listed)
    }

    fn show(&self, watch: &ProgressWatch) {
        let committed = self.committed;
        watch.update(|progress| {
            progress.windows += 1;
            progress.records += self.listed() as u64;
            progress.inserted += committed.inserted;
            progress.updated += committed.updated;
            progress.removed += committed.removed;
            progress.rejected += committed.rejected + committed.duplicates;
            progress.cursor = committed.cursor;
        });
    }

    fn count(&self, watch: &ProgressWatch) {
        let Self { batch, committed, took } = self;
        let changes = Changes {
            inserted: committed.inserted,
            updated: committed.updated,
            unchanged: committed.unchanged,
            removed: committed.removed,
            rejected: committed.rejected + committed.duplicates,
        };
        watch.metrics.stored(*took);
        for (column, rows) in &committed.changed {
            watch.metrics.changed(column, *rows);
        }
        watch.metrics.window(batch.request.lane, batch.change.outcome, changes);
        if !batch.change.claims.is_empty() {
            watch.metrics.success(batch.request.lane.as_str(), batch.read_at);
        }
    }

    fn log_window(&self) {
        let Self { batch, committed, .. } = self;
        tracing::info!(
            event = "window", account = batch.account, lane = batch.request.lane.as_str(), reason = batch.request.reason.as_str(),
            window = %batch.request.window, outcome = batch.change.outcome.as_str(), requests = batch.requests,
            records = self.listed(), inserted = committed.inserted, updated = committed.updated, unchanged = committed.unchanged,
            removed = committed.removed, rejected = committed.rejected, duplicates = committed.duplicates,
            left_out = batch.left_out,
            elapsed_ms = batch.elapsed.num_milliseconds(),
        );
    }

    fn log_gaps(&self) {
        for gap in &self.batch.change.gaps {
            tracing::error!(
                event = "gap_opened", account = self.batch.account, window = %gap.window, reason = gap.reason.as_str(),
                tries = gap.tries, next_try_at = %gap.next_try_at, error = self.batch.error,
                "a span could not be read in full; it is retried at growing intervals"
            );
        }
    }

    fn log_doubts(&self) {
        let Self { batch, committed, .. } = self;
        if committed.suspicious {
            tracing::warn!(
                event = "suspicious_answer", account = batch.account, window = %batch.request.window,
                "very many stored rows are missing from an answer: none is marked as removed before three reads over \
                 six hours agree"
            );
        }
        if committed.unfolded > 0 {
            tracing::error!(
                event = "calls_not_folded",
                account = batch.account,
                calls = committed.unfolded,
                "voicenter.calls keeps these as they were: no rule foresaw their values"
            );
        }
        if let Some(error) = &committed.calls_left {
            tracing::warn!(
                event = "calls_left", account = batch.account, %error,
                "the records are stored, but voicenter.calls does not follow yet; the daemon goes on trying"
            );
        }
        if let Some(error) = &committed.lateness_error {
            tracing::warn!(
                event = "lateness_not_noted", account = batch.account, %error,
                "the records are stored; when an hour settles is learned anew"
            );
        }
        let absent = absent_fields(batch, committed);
        if !absent.is_empty() {
            tracing::warn!(
                event = "fields_absent", account = batch.account, window = %batch.request.window, fields = absent.join(", "),
                "no record of the answer has these fields though stored rows do: the columns were left as they are"
            );
        }
    }
}

/// Fields that no record had although rows have them, except those that were not requested.
fn absent_fields<'a>(batch: &PendingBatch, committed: &'a Committed) -> Vec<&'a str> {
    let unasked = |column: &&Column| batch.lacking.names().any(|name| name == column.field());
    let columns = committed.fields_kept.iter().filter(|column| !unasked(column)).map(|column| column.name());
    let columns = committed.type_kept.then_some("type").into_iter().chain(columns);
    columns.chain(committed.members_kept.iter().map(String::as_str)).collect()
}

/// An answer could not be stored yet: the database is unreachable or too slow.
pub(in crate::sync) struct StoreRetried<'a> {
    pub account: &'a str,
    pub wait: Duration,
    pub error: &'a StoreError,
}

impl StoreRetried<'_> {
    pub(in crate::sync) fn emit(&self) {
        let Self { account, wait, error } = self;
        tracing::warn!(event = "database_away", account, seconds = wait.as_secs(), %error, "holding the answer");
    }
}
