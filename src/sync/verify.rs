//! Reads a span again and compares it with the table. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::engine;
use super::engine::loading::{self, Loaded};
use super::fetch::Fetcher;
use super::status::ProgressWatch;
use super::{Account, SyncError};
use crate::cdr::{Cdr, CdrKey};
use crate::clock::Clock;
use crate::plan::{Mode, Next, Planner};
use crate::store::Store;
use crate::store::calls::CallsCompared;
use crate::window::Window;
use crate::window::coverage::Coverage;

/// The last seconds before the present cannot be read in full yet; they do not count against a span that includes them.
const UNSETTLED: TimeDelta = TimeDelta::minutes(1);

/// The result of comparing a span with the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records that the API has in the span, those sharing a key counted once.
    pub at_the_api: u64,
    /// Rows of the table in the span, removed ones left out.
    pub in_the_table: u64,
    /// Records at the API that are not in the table.
    pub missing: u64,
    /// Records in both, with different content.
    pub different: u64,
    /// Rows in the table that are not at the API.
    pub extra: u64,
    /// Records that the API sent but that cannot be rows.
    pub rejected: u64,
    /// `voicenter.calls` against the rows that it is made of.
    pub calls: CallsCompared,
    /// Where the calls to keep begin, if the span begins before: nothing older was compared.
    pub kept_from: Option<DateTime<Utc>>,
    /// Parts of the span that the API did not return in full.
    pub unread: Vec<Window>,
    /// What is missing, different or extra, by date; empty unless details were asked for.
    pub details: Vec<Difference>,
}

/// A record or row that has no equal on the other side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Start of the call: the record's Date.
    pub started_at: DateTime<Utc>,
    /// CallID and Type, which identify a record.
    pub key: CdrKey,
    /// How it differs from the other side.
    pub kind: DifferenceKind,
    /// The columns that differ, if both sides have the record; members of `extra` as `extra.NAME`.
    pub fields: Vec<String>,
}

/// How the table differs from the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// At the API, not in the table.
    Missing,
    /// In both, with different content.
    Different,
    /// In the table, not at the API.
    Extra,
}

impl DifferenceKind {
    /// The word shown in the output.
    pub const fn as_str(self) -> &'static str {
        match self {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Different => "different",
            DifferenceKind::Extra => "extra",
        }
    }
}

impl Verified {
    /// Returns `true` if the table is exactly what the API shows.
    pub fn is_equal(&self) -> bool {
        self.missing + self.different + self.extra == 0 && self.unread.is_empty() && !self.has_wrong_calls()
    }

    /// Returns `true` if calls or their counts differ from the rows of the table, although all changes were folded.
    pub fn has_wrong_calls(&self) -> bool {
        let CallsCompared { wrong, wrong_quarters, wrong_days, is_behind, .. } = self.calls;
        !is_behind && wrong + wrong_quarters + wrong_days > 0
    }
}

/// What one key has at the API: the forms of the latest date, as fingerprints.
///
/// Two records may share a key; the one with the later Date is the row, and on a tie either may be.
#[derive(Clone, Debug)]
struct ApiVersion {
    started_at: DateTime<Utc>,
    forms: Vec<u64>,
    /// The first of the forms, kept where details are asked for.
    record: Option<Box<Cdr>>,
}

/// Compares the table with the API within `span`; with `details` it also says which records differ, and in what.
pub async fn verify(
    account: Account,
    store: &Store,
    clock: Clock,
    span: Window,
    watch: ProgressWatch,
    details: bool,
) -> Result<Verified, SyncError> {
    let Loaded { mut ledger, remembered, ids_refuted_at, .. } =
        loading::load(store, &account, clock.now()).await?;
    let kept_from = ledger.kept_from.filter(|floor| span.from() < *floor);
    let Some(span) = kept_from.map_or(Some(span), |floor| span.since(floor)) else {
        return Ok(Verified { kept_from, ..Verified::default() });
    };
    ledger.coverage = Coverage::new();
    ledger.gaps.clear();
    ledger.rechecks.clear();
    let mut planner = Planner::new(account.settings.clone(), Mode::Asked, ledger, clock.now());
    planner.ask_for(span);
    let settled = clock.now() - UNSETTLED;
    let mut fetcher = Fetcher::new(account, clock, &remembered, watch);
    fetcher.patience = Some(engine::PATIENCE);
    fetcher.zone.ids_refuted_at = ids_refuted_at;
    fetcher.look_at_zone().await?;
    let mut shown = BTreeMap::new();
    let mut verified = Verified { kept_from, ..Verified::default() };
    while let Next::Request(request) = planner.next(fetcher.clock.now()) {
        let fetched = fetcher.fetch(&request).await?;
        let outcome = planner.absorb(&request, &fetched.reply, fetched.read_at).outcome;
        if let Some(answer) = &fetched.answer {
            fetcher.watch.update(|progress| {
                progress.windows += 1;
                progress.records += answer.listed as u64;
            });
            verified.rejected += answer.rejected.len() as u64;
            answer.records.iter().for_each(|record| show(&mut shown, record, details));
        }
        fetcher.after(fetched.failure(outcome)).await?;
    }
    shown.retain(|_, shown: &mut ApiVersion| span.contains(shown.started_at));
    verified.at_the_api = shown.len() as u64;
    verified.unread =
        planner.ledger().coverage.holes(span).into_iter().filter(|hole| hole.from() < settled).collect();
    compare(&mut verified, shown, store, &fetcher.account.name, span, details).await?;
    verified.calls = store.compare_calls(&fetcher.account.name, span).await?;
    Ok(verified)
}

fn show(shown: &mut BTreeMap<CdrKey, ApiVersion>, record: &Cdr, details: bool) {
    let form = fingerprint(record);
    let first = || ApiVersion {
        started_at: record.started_at,
        forms: vec![form],
        record: details.then(|| Box::new(record.clone())),
    };
    let entry = shown.entry(record.key.clone()).or_insert_with(first);
    if record.started_at > entry.started_at {
        *entry = first();
    } else if record.started_at == entry.started_at && !entry.forms.contains(&form) {
        entry.forms.push(form);
    }
}

async fn compare(
    verified: &mut Verified,
    mut shown: BTreeMap<CdrKey, ApiVersion>,
    store: &Store,
    account: &str,
    span: Window,
    details: bool,
) -> Result<(), SyncError> {
    let mut rows = store.read_span(account, span);
    let mut found = Vec::new();
    while let Some((row, removed_at)) = rows.next().await? {
        if removed_at.is_some() {
            continue; // if the API shows it, it stays among the missing
        }
        verified.in_the_table += 1;
        let (kind, fields) = match shown.remove(&row.key) {
            Some(shown) if shown.forms.contains(&fingerprint(&row)) => continue,
            Some(shown) => {
                verified.different += 1;
                let fields = shown.record.map_or_else(Vec::new, |record| differing_fields(&record, &row));
                (DifferenceKind::Different, fields)
            }
            None => {
                verified.extra += 1;
                (DifferenceKind::Extra, Vec::new())
            }
        };
        if details {
            found.push(Difference { started_at: row.started_at, key: row.key, kind, fields });
        }
    }
    verified.missing = shown.len() as u64;
    if details {
        found.extend(shown.into_iter().map(|(key, shown)| Difference {
            started_at: shown.started_at,
            key,
            kind: DifferenceKind::Missing,
            fields: Vec::new(),
        }));
        found.sort();
        verified.details = found;
    }
    Ok(())
}

/// The columns in which two records differ, by name; members of `extra` as `extra.NAME`.
fn differing_fields(one: &Cdr, other: &Cdr) -> Vec<String> {
    let [one, other] = [one, other].map(columns);
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

fn columns(record: &Cdr) -> BTreeMap<String, Value> {
    let text = record.normalised().canonical_json();
    let mut columns: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    if let Some(Value::Object(members)) = columns.remove("extra") {
        columns.extend(members.into_iter().map(|(name, value)| (format!("extra.{name}"), value)));
    }
    columns
}

/// Equal records have equal fingerprints, however PostgreSQL writes their numbers.
fn fingerprint(record: &Cdr) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.normalised().canonical_json().hash(&mut hasher);
    hasher.finish()
}
