//! What one answer changes, and what became of it: types only.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::commit_count::CommitCount;
use super::gap::NewGap;
use super::recheck::Recheck;
use super::window_read::WindowRead;
use crate::cdr::{Cdr, CdrKey, Column, Rejected};
use crate::window::Window;
use crate::window::coverage::{Coverage, Stretch};
use crate::window::lacking::Lacking;

/// A window that an answer, with the pages before it, proves to have been read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The window.
    pub window: Window,
    /// The re-read age that it has been served.
    pub reread_age: TimeDelta,
    /// The fields that it was not asked for.
    pub lacking: Lacking,
    /// When the (first) request for it started.
    pub read_at: DateTime<Utc>,
    /// Whether rows missing from it may count towards removal.
    pub may_mark: bool,
}

/// How many reads must miss a suspicious row.
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
    /// Over how long reads must miss a suspicious row.
    pub suspicious_after: TimeDelta,
    /// How many reads must miss it.
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

/// Everything that one answer changes.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// The account.
    pub account: &'a str,
    /// The leader's number, from its lease.
    pub fence: i64,
    /// Which commit of the account this must be.
    pub count: &'a CommitCount,
    /// When the request of this answer started.
    pub read_at: DateTime<Utc>,
    /// The answer's records, as they came: sharing keys, in any order.
    pub records: &'a [Cdr],
    /// The answer's records that could not be decoded.
    pub rejected: &'a [Rejected],
    /// The columns that at least one of its records had a field for.
    pub columns: &'a BTreeSet<Column>,
    /// The fields without a column that at least one of them had, in lower case.
    pub other_fields: &'a BTreeSet<String>,
    /// What it proves.
    pub claims: &'a [Claim],
    /// Keys that earlier pages of the same read returned for the claimed windows.
    pub earlier_keys: &'a [CdrKey],
    /// Records of those pages that could not be decoded.
    pub earlier_rejected: &'a [Rejected],
    /// What counts as read at this re-read age at most, unless it is claimed.
    pub lowered: &'a [Stretch],
    /// What is no longer to count as read, whatever is claimed.
    pub uncover: &'a [Window],
    /// Windows given up for now; one that is an open gap already was tried in vain.
    pub open_gaps: &'a [NewGap<'a>],
    /// Gaps that were read after all.
    pub close_gaps: &'a [Window],
    /// What was learned of the API, when that changed.
    pub knowledge: Option<&'a Value>,
    /// The line for `cdr_sync.window_read`.
    pub window_read: Option<WindowRead<'a>>,
    /// When a missing row counts as removed.
    pub removal: RemovalRules,
    /// The missing keys that the API, asked by CallID, no longer knows: only they are marked. `None` where it cannot
    /// be asked.
    pub confirmed_gone: Option<&'a BTreeSet<CdrKey>>,
    /// Fields, in lower case, whose changes alone are no reason to write a row: `sync.ignored_changes`.
    pub ignored: &'a [String],
    /// Whether replaced versions are kept: `sync.history`.
    pub history: bool,
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    /// New rows.
    pub inserted: u64,
    /// Rows whose content changed or that came back.
    pub updated: u64,
    /// Records that stood in the table already.
    pub unchanged: u64,
    /// Rows marked removed.
    pub removed: u64,
    /// Rows whose removal mark was cleared; they count as updated too.
    pub returned: u64,
    /// Records that could not be stored, duplicates not counted.
    pub rejected: u64,
    /// Different records whose key is stored from another one.
    pub duplicates: u64,
    /// Rows that the records were compared with.
    pub compared: u64,
    /// In how many of them each column had changed.
    pub changed: BTreeMap<String, u64>,
    /// Columns that the whole answer lacked and whose stored values were kept.
    pub fields_kept: Vec<Column>,
    /// Whether the whole answer lacked Type though rows of its calls have one: theirs were kept.
    pub type_kept: bool,
    /// Members of `extra` likewise.
    pub members_kept: Vec<String>,
    /// The `updated_at` of all changed rows; `None` when none changed.
    pub updated_at: Option<DateTime<Utc>>,
    /// `history_from` to `synced_until`.
    pub cursor: Option<Window>,
    /// What has been read completely, after this answer.
    pub coverage: Coverage,
    /// What must be read again, and when, because rows are missing.
    pub rechecks: Vec<Recheck>,
    /// Rows found missing for the first time.
    pub missing_new: u64,
    /// Whether so many rows were missing that the answer is distrusted.
    pub suspicious: bool,
    /// The vendor's horizon, when this answer moved it.
    pub horizon: Option<DateTime<Utc>>,
}

impl Committed {
    /// Takes in what became of the next batch of the same answer.
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
