//! Which intervals a list opens and closes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Entry, List, Values};

/// A row whose interval is open. Not printed: it holds names.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenRow {
    /// Its values by column.
    pub values: Values,
    /// The fields without a column.
    pub extra: Map<String, Value>,
}

/// What is stored of a list. Not printed, as its rows.
#[derive(Clone, Default)]
pub struct KnownRows {
    /// The rows whose interval is open, by id.
    pub open: BTreeMap<String, OpenRow>,
    /// The newest instant at which any interval, also a closed one, begins or ends.
    pub newest: Option<DateTime<Utc>>,
}

/// A row whose interval begins now. Not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRow {
    /// What identifies it.
    pub id: String,
    /// What it says.
    pub row: OpenRow,
}

/// Why a list changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It has no entry, as a wrong code is answered.
    #[error("the list is empty, as for a wrong code: {known} rows are kept")]
    Empty {
        /// Number of open rows.
        known: usize,
    },
    /// It lacks more than half of what is known.
    #[error("the list has {found} of the {known} known entries, less than half: nothing is changed")]
    Shrunk {
        /// Number of open rows.
        known: usize,
        /// How many of them are in the list.
        found: usize,
    },
    /// Its changes would begin before others that are stored.
    #[error("the clock has been set back: the list would change the past")]
    ClockSetBack,
}

impl Doubt {
    /// Every reason, as metrics have it.
    pub const REASONS: [&'static str; 3] = ["empty", "shrunk", "clock_set_back"];

    /// Why, in one word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty",
            Self::Shrunk { .. } => "shrunk",
            Self::ClockSetBack => "clock_set_back",
        }
    }

    /// What an operator can do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Empty { .. } => {
                "check the account's code; an account that has none of these turns the list off (an empty address)"
            }
            Self::Shrunk { .. } => {
                "check whose code it is: that of a department has a shorter list; docs/operations.md#reference-data says how to accept the list"
            }
            Self::ClockSetBack => "synchronise this host's clock and the database's by NTP",
        }
    }
}

/// What a list changes. Not printed, as its rows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The ids whose interval ends now.
    pub close: BTreeSet<String>,
    /// The rows whose interval begins now, by id.
    pub open: Vec<NewRow>,
    /// New contents of `extra`, by id. These fields may be of the moment, so they open no interval.
    pub extra: BTreeMap<String, Map<String, Value>>,
    /// Number of ids that came several times with different values.
    pub ambiguous: usize,
    /// Why nothing changes, if the list is not believed.
    pub doubt: Option<Doubt>,
}

impl Comparison {
    /// Number of rows that are open afterwards.
    pub fn rows_after(&self, known: &KnownRows) -> usize {
        known.open.len() + self.open.len() - self.close.len()
    }
}

/// Compares a list that was requested at `read_at` with what is stored.
///
/// Signs that contradict each other are no evidence: a list that lacks more than half of what is known changes nothing at all,
/// values that differ between entries with one id stay as they are, and so does a column that no entry mentions. A list with
/// entries that cannot be told apart closes nothing.
pub fn compare(known: &KnownRows, list: &List, read_at: DateTime<Utc>) -> Comparison {
    let by_id = by_id(list);
    let ambiguous = by_id.values().filter(|together| together.values.values().any(Said::is_unclear)).count();
    let doubted = |doubt| Comparison { ambiguous, doubt: Some(doubt), ..Comparison::default() };
    let count = known.open.len();
    if by_id.is_empty() {
        return doubted(Doubt::Empty { known: count });
    }
    let found = known.open.keys().filter(|id| by_id.contains_key(*id)).count();
    if found * 2 < count {
        return doubted(Doubt::Shrunk { known: count, found });
    }
    let mut comparison = Comparison { ambiguous, ..Comparison::default() };
    for (id, said) in &by_id {
        let stored = known.open.get(id);
        let row = OpenRow { values: said.resolved(list, stored), extra: said.extra.clone() };
        match stored {
            Some(stored) if stored.values == row.values => {
                if stored.extra != row.extra {
                    comparison.extra.insert(id.clone(), row.extra);
                }
                continue;
            }
            Some(_) => drop(comparison.close.insert(id.clone())),
            None => {}
        }
        comparison.open.push(NewRow { id: id.clone(), row });
    }
    if list.unusable == 0 {
        comparison.close.extend(known.open.keys().filter(|id| !by_id.contains_key(*id)).cloned());
    }
    let changes = !comparison.close.is_empty() || !comparison.open.is_empty();
    if changes && known.newest.is_some_and(|newest| read_at <= newest) {
        return doubted(Doubt::ClockSetBack);
    }
    comparison
}

/// What the entries with one id say together.
struct Together<'a> {
    values: BTreeMap<&'static str, Said<'a>>,
    extra: Map<String, Value>,
}

/// What they say of one column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said<'a> {
    Value(Option<&'a String>),
    Unclear,
}

impl Said<'_> {
    fn is_unclear(&self) -> bool {
        *self == Self::Unclear
    }
}

fn by_id(list: &List) -> BTreeMap<String, Together<'_>> {
    let mut by_id: BTreeMap<String, Together<'_>> = BTreeMap::new();
    for entry in &list.entries {
        match by_id.get_mut(&entry.id) {
            Some(together) => together.add(entry),
            None => drop(by_id.insert(entry.id.clone(), Together::of(entry))),
        }
    }
    by_id
}

impl<'a> Together<'a> {
    fn of(entry: &'a Entry) -> Self {
        let values = entry.values.iter().map(|(column, value)| (*column, Said::Value(value.as_ref())));
        Self { values: values.collect(), extra: entry.extra.clone() }
    }

    fn add(&mut self, entry: &Entry) {
        for (column, said) in &mut self.values {
            let other = entry.values.get(column).and_then(Option::as_ref);
            if *said != Said::Value(other) {
                *said = Said::Unclear;
            }
        }
        self.extra.retain(|name, value| entry.extra.get(name) == Some(value));
    }

    /// The values of the row: what is unclear, or said by no entry of the list, stays as it is stored.
    fn resolved(&self, list: &List, stored: Option<&OpenRow>) -> Values {
        let value = |(column, said): (&&'static str, &Said<'a>)| {
            let value = match said {
                Said::Value(value) if list.columns.contains(column) => value.cloned(),
                Said::Value(_) | Said::Unclear => stored.and_then(|row| row.values.get(column)?.clone()),
            };
            (*column, value)
        };
        self.values.iter().map(value).collect()
    }
}
