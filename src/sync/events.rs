//! What is logged and counted when an answer has been stored.

use super::batch::PendingBatch;
use super::status::ProgressWatch;
use crate::cdr::Column;
use crate::metrics::Changes;
use crate::store::commit::Committed;

/// One line for each window, and the board.
pub(super) fn report(batch: &PendingBatch, committed: &Committed, watch: &ProgressWatch) {
    let listed = batch.answer.as_ref().map_or(0, |answer| answer.listed);
    watch.update(|progress| {
        progress.windows += 1;
        progress.records += listed as u64;
        progress.inserted += committed.inserted;
        progress.updated += committed.updated;
        progress.removed += committed.removed;
        progress.rejected += committed.rejected + committed.duplicates;
        progress.cursor = committed.cursor;
    });
    let changes = Changes {
        inserted: committed.inserted,
        updated: committed.updated,
        unchanged: committed.unchanged,
        removed: committed.removed,
        rejected: committed.rejected + committed.duplicates,
    };
    for (column, rows) in &committed.changed {
        watch.metrics.changed(column, *rows);
    }
    watch.metrics.window(batch.request.lane, batch.change.outcome, changes);
    if !batch.change.claims.is_empty() {
        watch.metrics.success(batch.request.lane.as_str(), batch.read_at);
    }
    tracing::info!(
        event = "window", account = batch.account, lane = batch.request.lane.as_str(), reason = batch.request.reason.as_str(),
        window = %batch.request.window, outcome = batch.change.outcome.as_str(), requests = batch.requests,
        records = listed, inserted = committed.inserted, updated = committed.updated, unchanged = committed.unchanged,
        removed = committed.removed, rejected = committed.rejected, duplicates = committed.duplicates,
        elapsed_ms = batch.elapsed.num_milliseconds(),
    );
    for gap in &batch.change.gaps {
        tracing::error!(
            event = "gap_opened", account = batch.account, window = %gap.window, reason = gap.reason.as_str(),
            tries = gap.tries, next_try_at = %gap.next_try_at, error = batch.error,
            "a span could not be read in full; it is tried again ever more seldom"
        );
    }
    if committed.suspicious {
        tracing::warn!(
            event = "suspicious_answer", account = batch.account, window = %batch.request.window,
            "very many stored rows are missing from an answer: none is marked before three reads over six hours agree"
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

/// The fields that no record had though rows have them. Those that were not asked for are no surprise.
fn absent_fields<'a>(batch: &PendingBatch, committed: &'a Committed) -> Vec<&'a str> {
    let unasked = |column: &&Column| batch.lacking.names().any(|name| name == column.field());
    let columns = committed.fields_kept.iter().filter(|column| !unasked(column)).map(|column| column.name());
    let columns = committed.type_kept.then_some("type").into_iter().chain(columns);
    columns.chain(committed.members_kept.iter().map(String::as_str)).collect()
}

/// A field that is different at each read of the same rows.
pub(super) fn field_churns(account: &str, column: &str) {
    let field = Column::ALL.iter().find(|one| one.name() == column).map_or(column, |one| one.field());
    tracing::warn!(
        event = "field_churns",
        account,
        column,
        "most rows are written again at each read, for this field is never the same: if the API does that, put {field} into sync.ignored_changes; else look for a trigger on voicenter.cdr"
    );
}
