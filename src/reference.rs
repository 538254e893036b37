//! Reference data: an account's extensions and queues, which Voicenter lists whole, without a history. What stands in a list,
//! and which intervals of validity it opens and closes; pure.
//!
//! A list is evidence only as a whole: a wrong code is answered with an empty list and no error, and the code of a department
//! with a short one (docs/decisions/0043-lists-are-believed-whole-or-not-at-all.md).

mod compare;
mod decode;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub use compare::{Comparison, Doubt, KnownRows, NewRow, OpenRow, compare};
pub use decode::{BadList, ListAnswer, decode};

/// One of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListKind {
    /// `GetExtensions`: extensions with their departments and users.
    Extensions,
    /// `GetQueuesCallers`: queues; who waits in them is not kept.
    Queues,
}

impl ListKind {
    /// Both lists.
    pub const ALL: [Self; 2] = [Self::Extensions, Self::Queues];

    /// Its name in the ledger, in metrics and in log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Extensions => "extensions",
            Self::Queues => "queues",
        }
    }

    /// The key of the configuration that holds its address.
    pub const fn url_key(self) -> &'static str {
        match self {
            Self::Extensions => "reference.extensions_url",
            Self::Queues => "reference.queues_url",
        }
    }

    /// The member of an answer that holds the list.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Extensions => "EXTENSIONS",
            Self::Queues => "QUEUES",
        }
    }

    /// The field that identifies an entry.
    const fn id(self) -> &'static str {
        match self {
            Self::Extensions => "SIP",
            Self::Queues => "ID",
        }
    }

    /// The fields that have columns.
    const fn fields(self) -> &'static [Field] {
        match self {
            Self::Extensions => &EXTENSION_FIELDS,
            Self::Queues => &QUEUE_FIELDS,
        }
    }

    /// The columns of its fields.
    pub fn columns(self) -> impl Iterator<Item = &'static str> {
        self.fields().iter().map(|field| field.column)
    }

    /// Fields that are not kept: they are of the moment, and hold the phone numbers of callers.
    const fn dropped(self) -> &'static [&'static str] {
        match self {
            Self::Extensions => &[],
            Self::Queues => &["Callers"],
        }
    }
}

const EXTENSION_FIELDS: [Field; 6] = [
    Field::text("Name", "name"),
    Field::text("SpeedDial", "speed_dial"),
    Field::text("AccountID", "department_id"),
    Field::text("AccountName", "department_name"),
    Field::text("UserName", "user_name"),
    Field::text("UserEmail", "user_email"),
];
const QUEUE_FIELDS: [Field; 2] = [Field::text("Name", "name"), Field::number("Weight", "weight")];

/// A field of an entry, and the column that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    name: &'static str,
    column: &'static str,
    /// Only whole numbers of 32 bits fit into the column.
    is_number: bool,
}

impl Field {
    const fn text(name: &'static str, column: &'static str) -> Self {
        Self { name, column, is_number: false }
    }

    const fn number(name: &'static str, column: &'static str) -> Self {
        Self { name, column, is_number: true }
    }
}

/// The values of a row by column; all columns of its list are there.
pub type Values = BTreeMap<&'static str, Option<String>>;

/// An entry of a list. It holds names and e-mail addresses, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What identifies it within its account: an extension's SIP name, a queue's number.
    pub id: String,
    /// Its values by column.
    pub values: Values,
    /// Its other fields, their names in lower case.
    pub extra: Map<String, Value>,
}

/// A list as it was received. Not printed, as its entries.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct List {
    /// The entries that have an id, in their order.
    pub entries: Vec<Entry>,
    /// The columns that at least one entry had a field for.
    pub columns: BTreeSet<&'static str>,
    /// Number of entries without an id that can be stored.
    pub unusable: usize,
}
