//! One request: from the question to the answer and what of it is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::Account;
use crate::cdr::{Cdr, CdrKey, Column, Rejected};
use crate::plan::ledger::LedgerChange;
use crate::read::evidence::Evidence;
use crate::read::request::{Hold, Request};
use crate::store::commit::{Claim, Commit, Committed, RemovalRules};
use crate::store::commit_count::CommitCount;
use crate::store::gap::NewGap;
use crate::store::window_read::WindowRead;
use crate::store::{Store, StoreError};
use crate::voicenter::{Answer, Fields, Filter, Form, Format, Precision, Question};
use crate::window::lacking::Lacking;
use crate::window::{Order, Window};

/// The question that asks for what the planner wants.
pub(super) fn question(account: &Account, request: &Request) -> Question {
    let mut filter = account.filter.clone();
    if let Some(partition) = &request.partition {
        filter.cdr_types = partition.cdr_types.clone();
        filter.phones = partition.phones.clone();
        filter.extensions = partition.extensions.clone();
    }
    Question {
        from: request.sent.from,
        to: request.sent.to,
        narrow: request.narrow,
        order: request.order,
        form: Form::FULL,
        filter,
        fields: Fields::All,
        format: Format::Json,
    }
}

/// The question for one call by its CallID.
pub(super) fn question_for_call(account: &Account, key: &CdrKey, span: Window) -> Question {
    let filter = Filter { call_id: Some(key.call_id.clone()), ..account.filter.clone() };
    Question {
        from: span.from(),
        to: span.to(),
        narrow: false,
        order: Some(Order::Ascending),
        form: Form::FULL,
        filter,
        fields: Fields::All,
        format: Format::Json,
    }
}

/// What the planner needs to know of an answer.
pub(super) fn evidence(answer: &Answer) -> Evidence {
    Evidence {
        // Rejected records count as undated: where they were among the others is not known.
        dates: answer.records.iter().map(|record| record.started_at).collect(),
        listed: answer.listed,
        total: answer.total_hits,
        returned: answer.return_hits,
        minute_dates: answer.precision == Some(Precision::Minute),
        second_dates: answer.records.iter().any(|record| record.started_at.timestamp().rem_euclid(60) != 0),
        exact_bounds: answer.exact_bounds,
        server_date: answer.server_date,
    }
}

/// What was read for a window that is not proven yet.
#[derive(Clone, Debug, Default)]
pub(super) struct CarriedKeys {
    keys: Vec<CdrKey>,
    /// What could not be decoded, without its text.
    rejected: Vec<Rejected>,
    read_at: Option<DateTime<Utc>>,
    /// Fields that these answers were not asked for.
    pub(super) lacking: Lacking,
}

impl CarriedKeys {
    /// What is to be held after an answer, given what was held before it.
    pub(super) fn after(
        self,
        hold: Hold,
        answer: &Answer,
        lacking: Lacking,
        read_at: DateTime<Utc>,
    ) -> Option<CarriedKeys> {
        let mut carried = match hold {
            Hold::Nothing => return None,
            Hold::ThisAnswer => CarriedKeys { read_at: Some(read_at), ..CarriedKeys::default() },
            Hold::AndEarlier => CarriedKeys { read_at: self.read_at.or(Some(read_at)), ..self },
        };
        carried.keys.extend(answer.records.iter().map(|record| record.key.clone()));
        let textless = |rejected: &Rejected| Rejected { raw: String::new(), ..rejected.clone() };
        carried.rejected.extend(answer.rejected.iter().map(textless));
        carried.lacking = carried.lacking.union(lacking);
        Some(carried)
    }
}

/// What the API answered about missing records, asked by CallID.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// What it returned: the same records with another Date, or with another Type.
    pub records: Vec<Cdr>,
    /// The columns that these had fields for.
    pub columns: BTreeSet<Column>,
    /// The fields without a column that these had.
    pub other_fields: BTreeSet<String>,
    /// The keys that it no longer has; `None` when it was not asked.
    pub gone: Option<BTreeSet<CdrKey>>,
    pub requests: u32,
}

impl Lookup {
    /// Adds the answer to the question for `key`. Returns `None` if it has other calls too: the server ignores the
    /// CallID and cannot be asked for one call. Otherwise returns `true` if the record is gone.
    pub(super) fn take(&mut self, key: &CdrKey, answer: Answer) -> Option<bool> {
        if answer.records.iter().any(|record| record.key.call_id != key.call_id) {
            return None;
        }
        // Only a complete answer proves that it is gone.
        let whole =
            answer.rejected.is_empty() && answer.total_hits.is_none_or(|total| total <= answer.listed as u64);
        let gone = whole && !answer.records.iter().any(|record| record.key == *key);
        self.columns.extend(answer.columns);
        self.other_fields.extend(answer.other_fields);
        self.records.extend(answer.records);
        Some(gone)
    }

    /// Notes what is known of a key.
    pub(super) fn note(&mut self, key: CdrKey, gone: bool) {
        if gone {
            self.gone.get_or_insert_default().insert(key);
        }
    }
}

/// Everything that one answer changes, owned, so that it can be stored while the next one is fetched, and in the
/// planner's words, which logs and metrics need; [`Commit`] borrows from it for one try at storing.
#[derive(Debug)]
pub(super) struct PendingBatch {
    pub account: String,
    pub fence: i64,
    pub count: Arc<CommitCount>,
    pub request: Request,
    pub requests: u32,
    pub read_at: DateTime<Utc>,
    pub elapsed: TimeDelta,
    pub answer: Option<Answer>,
    /// Fields that the answer was not asked for.
    pub lacking: Lacking,
    pub earlier: CarriedKeys,
    pub change: LedgerChange,
    pub knowledge: Option<Value>,
    pub error: String,
    pub removal_after: TimeDelta,
    pub ignored: Vec<String>,
    pub history: bool,
    pub lookup: Lookup,
    /// Records that are older than what is kept.
    pub left_out: u64,
}

impl PendingBatch {
    /// Leaves out records that are older than what is kept.
    pub(super) fn leave_out_older(&mut self, kept_from: Option<DateTime<Utc>>) {
        let Some(floor) = kept_from else { return };
        let mut left_out = 0;
        let mut keep = |started_at: DateTime<Utc>| {
            let is_older = started_at < floor;
            left_out += u64::from(is_older);
            !is_older
        };
        if let Some(answer) = &mut self.answer {
            answer.records.retain(|record| keep(record.started_at));
            answer.rejected.retain(|rejected| rejected.started_at.is_none_or(&mut keep));
        }
        self.lookup.records.retain(|record| keep(record.started_at));
        self.left_out = left_out;
    }

    /// Stores everything, in one transaction unless the database is slow.
    pub(super) async fn commit(&self, store: &Store) -> Result<Committed, StoreError> {
        let mut records: &[Cdr] = self.answer.as_ref().map_or(&[], |answer| &answer.records);
        let joined;
        if !self.lookup.records.is_empty() {
            joined = [records, &self.lookup.records].concat();
            records = &joined;
        }
        let mut columns = self.lookup.columns.clone();
        columns.extend(self.answer.iter().flat_map(|answer| &answer.columns));
        let mut other_fields = self.lookup.other_fields.clone();
        other_fields.extend(self.answer.iter().flat_map(|answer| answer.other_fields.iter().cloned()));
        let claims = self.claims();
        let opened: Vec<NewGap<'_>> = self
            .change
            .gaps
            .iter()
            .map(|gap| NewGap {
                window: gap.window,
                reason: gap.reason.as_str(),
                error: &self.error,
                next_try_at: gap.next_try_at,
            })
            .collect();
        store
            .commit(&Commit {
                account: &self.account,
                fence: self.fence,
                count: &self.count,
                read_at: self.read_at,
                records,
                rejected: self.answer.as_ref().map_or(&[], |answer| &answer.rejected),
                columns: &columns,
                other_fields: &other_fields,
                claims: &claims,
                earlier_keys: &self.earlier.keys,
                earlier_rejected: &self.earlier.rejected,
                lowered: &self.change.lowered,
                uncover: &self.change.uncover,
                open_gaps: &opened,
                close_gaps: &self.change.closed_gaps,
                knowledge: self.knowledge.as_ref(),
                window_read: Some(self.window_read()),
                removal: RemovalRules::new(self.removal_after),
                confirmed_gone: self.lookup.gone.as_ref(),
                ignored: &self.ignored,
                history: self.history,
            })
            .await
    }

    fn claims(&self) -> Vec<Claim> {
        let may_mark = self.answer.is_some() && self.change.uncover.is_empty() && !self.change.by_count;
        let read_at = self.earlier.read_at.unwrap_or(self.read_at);
        let claim = |claim: &crate::window::coverage::Stretch| Claim {
            window: claim.window,
            reread_age: claim.reread_age,
            lacking: claim.lacking,
            read_at,
            may_mark,
        };
        self.change.claims.iter().map(claim).collect()
    }

    fn window_read(&self) -> WindowRead<'_> {
        WindowRead {
            lane: self.request.lane.as_str(),
            reason: self.request.reason.as_str(),
            window: self.request.window,
            requests: self.requests,
            seen: self.answer.as_ref().map_or(0, |answer| answer.listed as u64),
            outcome: self.change.outcome.as_str(),
            started_at: self.read_at,
            elapsed: self.elapsed,
        }
    }
}
