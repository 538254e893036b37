//! What one answer changes, and the result of storing it: types only.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::StoreError;
use super::commit_count::CommitCount;
use super::gap::NewGap;
use super::window_read::WindowRead;
use crate::cdr::{Cdr, CdrKey, Column, Rejected};
use crate::plan::ledger::Recheck;
use crate::window::Window;
use crate::window::coverage::{Coverage, Stretch};
use crate::window::lacking::Lacking;

/// A window that an answer, with the pages before it, proves to have been read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The half-open window that was read.
    pub window: Window,
    /// The re-read age that this read satisfies.
    pub reread_age: TimeDelta,
    /// Fields that the requests did not ask for.
    pub lacking: Lacking,
    /// When the (first) request for it started.
    pub read_at: DateTime<Utc>,
    /// `true` if rows missing from it may count towards removal.
    pub may_mark: bool,
}

/// This many reads must miss a suspicious row before it counts as removed.
pub(super) const SUSPICIOUS_READS: u32 = 3;

/// When a missing row counts as removed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemovalRules {
    /// How far the second read that misses a row must be from the first: `sync.removal_after`.
    pub after: TimeDelta,
    /// More rows than this missing at once are suspicious …
    pub suspicious_rows: u32,
    /// … if they are also more than this share of the stretch's rows.
    pub suspicious_share: f64,
    /// How long reads must miss a suspicious row.
    pub suspicious_after: TimeDelta,
    /// How many reads must miss a suspicious row.
    pub suspicious_reads: u32,
}

impl RemovalRules {
    /// The rules of docs/decisions/0023-removal-needs-two-reads.md with this `sync.removal_after`.
    pub fn new(after: TimeDelta) -> Self {
        Self {
            after,
            suspicious_rows: 20,
            suspicious_share: 0.30,
            suspicious_after: TimeDelta::hours(6),
            suspicious_reads: SUSPICIOUS_READS,
        }
    }
}

/// Everything that one answer changes, as the database takes it: borrowed, and in the words of its tables. The engine
/// keeps the same, owned, as `PendingBatch` until it is stored.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// The account's name in the configuration.
    pub account: &'a str,
    /// The leader's number, from its lease.
    pub fence: i64,
    /// The commits that the ledger must have had before this one.
    pub count: &'a CommitCount,
    /// When the request of this answer started.
    pub read_at: DateTime<Utc>,
    /// The answer's records as received: keys may repeat, in any order.
    pub records: &'a [Cdr],
    /// The answer's records that could not be decoded.
    pub rejected: &'a [Rejected],
    /// Columns for which at least one record had a field.
    pub columns: &'a BTreeSet<Column>,
    /// Fields without a column that at least one record had, in lower case.
    pub other_fields: &'a BTreeSet<String>,
    /// Windows that this answer proves to have been read completely.
    pub claims: &'a [Claim],
    /// Keys that earlier pages of the same read returned for the claimed windows.
    pub earlier_keys: &'a [CdrKey],
    /// Records of those pages that could not be decoded.
    pub earlier_rejected: &'a [Rejected],
    /// Stretches that count as read at no more than this re-read age, unless claimed.
    pub lowered: &'a [Stretch],
    /// Windows that no longer count as read, even if claimed.
    pub uncover: &'a [Window],
    /// Windows given up for now; for one that is already an open gap, this was another failed try.
    pub open_gaps: &'a [NewGap<'a>],
    /// Gaps that were read after all.
    pub close_gaps: &'a [Window],
    /// What was learned of the API, as JSON; `None` if unchanged.
    pub knowledge: Option<&'a Value>,
    /// The row to write to `cdr_sync.window_read`.
    pub window_read: Option<WindowRead<'a>>,
    /// When a missing row counts as removed.
    pub removal: RemovalRules,
    /// Missing keys that the API no longer returns by CallID: only these are marked. `None` if it cannot be asked.
    pub confirmed_gone: Option<&'a BTreeSet<CdrKey>>,
    /// Fields, in lower case, whose changes alone are no reason to write a row: `sync.ignored_changes`.
    pub ignored: &'a [String],
    /// `true` if replaced versions are kept: `sync.history`.
    pub history: bool,
}

/// What one commit has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    /// Rows that were new to the table.
    pub inserted: u64,
    /// Rows whose content changed or that came back.
    pub updated: u64,
    /// Records that were in the table already, unchanged.
    pub unchanged: u64,
    /// Rows that were marked as removed.
    pub removed: u64,
    /// Rows whose removal mark was cleared; they count as updated too.
    pub returned: u64,
    /// Records that could not be stored, duplicates not counted.
    pub rejected: u64,
    /// Records whose key already belongs to a different record.
    pub duplicates: u64,
    /// Rows that the records were compared with.
    pub compared: u64,
    /// For each column, the number of compared rows in which it had changed.
    pub changed: BTreeMap<String, u64>,
    /// Columns that the whole answer lacked and whose stored values were kept.
    pub fields_kept: Vec<Column>,
    /// `true` if the whole answer lacked Type although rows of its calls have one: theirs were kept.
    pub type_kept: bool,
    /// Members of `extra` that the whole answer lacked and whose stored values were kept.
    pub members_kept: Vec<String>,
    /// The `updated_at` of all changed rows; `None` when none changed.
    pub updated_at: Option<DateTime<Utc>>,
    /// The span from `history_from` to `synced_until` after this commit.
    pub cursor: Option<Window>,
    /// What has been read completely, after this answer.
    pub coverage: Coverage,
    /// What must be read again, and when, because rows are missing.
    pub rechecks: Vec<Recheck>,
    /// Rows found missing for the first time.
    pub missing_new: u64,
    /// `true` if too many rows were missing for the answer to be trusted.
    pub suspicious: bool,
    /// The vendor's horizon, when this answer moved it.
    pub horizon: Option<DateTime<Utc>>,
    /// The floor of `retention.calls`: nothing older is kept.
    pub kept_from: Option<DateTime<Utc>>,
    /// Calls with values that no rule of `voicenter.calls` foresaw: they stay as they were there.
    pub unfolded: u64,
    /// Why `voicenter.calls` does not follow this commit at once, if it failed.
    pub calls_left: Option<StoreError>,
    /// Why it was not noted how late the new records are, if that failed.
    pub lateness_error: Option<StoreError>,
}

impl Committed {
    /// Adds the result of the next batch of the same answer.
    pub(super) fn add(&mut self, next: Committed) {
        let before = std::mem::replace(self, next);
        self.inserted += before.inserted;
        self.updated += before.updated;
        self.unchanged += before.unchanged;
        self.returned += before.returned;
        self.compared += before.compared;
        for (column, rows) in before.changed {
            *self.changed.entry(column).or_default() += rows;
        }
        self.rejected += before.rejected;
        self.duplicates += before.duplicates;
        self.unfolded += before.unfolded;
        self.calls_left = self.calls_left.take().or(before.calls_left);
        self.lateness_error = self.lateness_error.take().or(before.lateness_error);
        self.updated_at = self.updated_at.or(before.updated_at);
        for column in before.fields_kept {
            if !self.fields_kept.contains(&column) {
                self.fields_kept.push(column);
            }
        }
        for member in before.members_kept {
            if !self.members_kept.contains(&member) {
                self.members_kept.push(member);
            }
        }
    }
}
