//! Reads a span again and compares it with the table. Changes nothing.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, TimeDelta, Utc};

use super::asker::Asker;
use super::engine;
use super::status::Board;
use super::{Account, SyncError};
use crate::cdr::{Cdr, CdrKey};
use crate::clock::Clock;
use crate::store::Store;
use crate::window::Window;
use crate::window::coverage::Coverage;
use crate::window::planner::{Mode, Next, Planner};

/// The last seconds before the present cannot be read in full yet; a span that reaches them is no less equal.
const UNSETTLED: TimeDelta = TimeDelta::minutes(1);

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records that the API has in the span, those sharing a key counted once.
    pub at_the_api: u64,
    /// Rows of the table in the span, removed ones left out.
    pub in_the_table: u64,
    /// At the API, not in the table.
    pub missing: u64,
    /// In both, with different content.
    pub different: u64,
    /// In the table, not at the API.
    pub extra: u64,
    /// Records that the API sent and that cannot be rows.
    pub rejected: u64,
    /// Parts of the span that the API did not give out in full.
    pub unread: Vec<Window>,
}

impl Verified {
    /// Whether the table is exactly what the API shows.
    pub fn is_equal(&self) -> bool {
        self.missing + self.different + self.extra == 0 && self.unread.is_empty()
    }
}

/// What one key has at the API: the forms of the latest date, as fingerprints.
///
/// Two records may share a key; the one with the later Date is the row, and on a tie either may be.
#[derive(Clone, Debug)]
struct Shown {
    started_at: DateTime<Utc>,
    forms: Vec<u64>,
}

/// Compares the table with the API within `span`.
pub async fn verify(
    account: Account,
    store: &Store,
    clock: Clock,
    span: Window,
    board: Board,
) -> Result<Verified, SyncError> {
    let (mut ledger, remembered) = engine::load(store, &account, clock.now()).await?;
    ledger.coverage = Coverage::new();
    ledger.gaps.clear();
    ledger.rechecks.clear();
    let mut planner = Planner::new(account.settings.clone(), Mode::Asked, ledger, clock.now());
    planner.ask_for(span);
    let settled = clock.now() - UNSETTLED;
    let mut asker = Asker::new(account, clock, &remembered, board);
    asker.patience = Some(engine::PATIENCE);
    let mut shown = BTreeMap::new();
    let mut verified = Verified::default();
    while let Next::Ask(ask) = planner.next(asker.clock.now()) {
        let fetched = asker.fetch(&ask).await?;
        let outcome = planner.absorb(&ask, &fetched.reply, fetched.read_at).outcome;
        if let Some(answer) = &fetched.answer {
            asker.board.update(|progress| {
                progress.windows += 1;
                progress.records += answer.listed as u64;
            });
            verified.rejected += answer.rejected.len() as u64;
            answer.records.iter().for_each(|record| show(&mut shown, record));
        }
        asker.after(fetched.failure(outcome)).await?;
    }
    shown.retain(|_, shown: &mut Shown| span.contains(shown.started_at));
    verified.at_the_api = shown.len() as u64;
    verified.unread =
        planner.ledger().coverage.holes(span).into_iter().filter(|hole| hole.from() < settled).collect();
    compare(&mut verified, shown, store, &asker.account.name, span).await?;
    Ok(verified)
}

fn show(shown: &mut BTreeMap<CdrKey, Shown>, record: &Cdr) {
    let form = fingerprint(record);
    let entry =
        shown.entry(record.key.clone()).or_insert(Shown { started_at: record.started_at, forms: Vec::new() });
    if record.started_at > entry.started_at {
        *entry = Shown { started_at: record.started_at, forms: vec![form] };
    } else if record.started_at == entry.started_at && !entry.forms.contains(&form) {
        entry.forms.push(form);
    }
}

async fn compare(
    verified: &mut Verified,
    mut shown: BTreeMap<CdrKey, Shown>,
    store: &Store,
    account: &str,
    span: Window,
) -> Result<(), SyncError> {
    let mut rows = store.read_span(account, span);
    while let Some((row, removed_at)) = rows.next().await? {
        if removed_at.is_some() {
            continue; // if the API shows it, it stays among the missing
        }
        verified.in_the_table += 1;
        match shown.remove(&row.key) {
            Some(shown) if shown.forms.contains(&fingerprint(&row)) => {}
            Some(_) => verified.different += 1,
            None => verified.extra += 1,
        }
    }
    verified.missing = shown.len() as u64;
    Ok(())
}

/// Equal records have equal fingerprints, however PostgreSQL writes their numbers.
fn fingerprint(record: &Cdr) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.normalised().canonical_json().hash(&mut hasher);
    hasher.finish()
}
