//! THE table of fields: what a record holds besides its key and its date, and its column in `voicenter.cdr`.
//!
//! The record, its canonical form, decoding, every statement that names columns, COPY and CSV are made from it.
//!
//! To add a field of the API:
//!
//! 1. Add a row to the table below. Its first name is the column and the member of [`Cdr`]; the kind decides the types.
//! 2. Write a migration that adds a nullable column of that name and SQL type to `voicenter.cdr` and
//!    `voicenter.cdr_history`. A test compares both with the table.
//! 3. Request the field: `voicenter/wire.rs` if every server has it, otherwise `voicenter/capabilities.rs`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::CdrKey;

/// What a field holds: how it is decoded, and the type of its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any scalar value, kept as text.
    Text,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of seconds, which some servers write like a clock (`00:08:10`).
    Seconds,
    /// A decimal number, kept digit for digit in the syntax of PostgreSQL's numeric.
    Numeric,
    /// `true` or `false`, in any of the API's spellings.
    Flag,
    /// An array or an object; an empty one counts as absent.
    Json,
}

impl Kind {
    /// The SQL type of a column of this kind.
    pub const fn sql_type(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Integer | Kind::Seconds => "integer",
            Kind::Numeric => "numeric",
            Kind::Flag => "boolean",
            Kind::Json => "jsonb",
        }
    }
}

/// The Rust type of each kind.
macro_rules! held_as {
    (Text) => {
        String
    };
    (Integer) => {
        i32
    };
    (Seconds) => {
        i32
    };
    (Numeric) => {
        String
    };
    (Flag) => {
        bool
    };
    (Json) => {
        Value
    };
}

/// Makes [`Cdr`] and [`Column`] from rows `column: Kind = Variant, "Field"`, and the conversions between them.
macro_rules! fields {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:ident = $column:ident, $field:literal;)*) => {
        /// One call detail record, a row of `voicenter.cdr`. An absent, null or empty value is `None`.
        #[derive(Clone, Debug, PartialEq, Default)]
        pub struct Cdr {
            /// `CallID` and `Type`, which identify the record.
            pub key: CdrKey,
            /// `Date`: when the call started.
            pub started_at: DateTime<Utc>,
            $(
                #[doc = concat!("`", $field, "`")]
                ///
                $(#[doc = $doc])*
                pub $name: Option<held_as!($kind)>,
            )*
            /// Every field without a column, and every value its column cannot hold, under its own name.
            pub extra: BTreeMap<String, Value>,
        }

        /// The columns of `voicenter.cdr` that an answer may lack altogether.
        ///
        /// A field absent from every record of a non-empty answer leaves its column as it is
        /// (docs/contract.md#absent-fields).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Column {
            $(#[doc = concat!("`", $field, "`")] $column,)*
        }

        impl Column {
            /// All columns, in the order of the table of fields.
            pub const ALL: [Column; [$(Column::$column),*].len()] = [$(Column::$column),*];

            /// The column's name in `voicenter.cdr`.
            pub const fn name(self) -> &'static str {
                match self { $(Column::$column => stringify!($name),)* }
            }

            /// The name of the API's field, as documented by the vendor.
            pub const fn field(self) -> &'static str {
                match self { $(Column::$column => $field,)* }
            }

            /// The kind of values that the column holds.
            pub const fn kind(self) -> Kind {
                match self { $(Column::$column => Kind::$kind,)* }
            }
        }

        impl Cdr {
            /// Every column of `voicenter.cdr` that comes from a record, with its SQL type, in the order of
            /// [`Cdr::values`].
            pub const COLUMNS: [(&'static str, &'static str); Column::ALL.len() + 4] = [
                ("call_id", "text"),
                ("type", "text"),
                ("started_at", "timestamptz"),
                $((stringify!($name), Kind::$kind.sql_type()),)*
                ("extra", "jsonb"),
            ];

            /// The record's values, in the order of [`Cdr::COLUMNS`].
            pub fn values(&self) -> [FieldValue<'_>; Self::COLUMNS.len()] {
                [
                    FieldValue::Text(&self.key.call_id),
                    FieldValue::Text(&self.key.call_type),
                    FieldValue::Instant(self.started_at),
                    $(FieldValue::from(&self.$name),)*
                    FieldValue::Members(&self.extra),
                ]
            }

            /// The value of one column.
            pub fn value(&self, column: Column) -> FieldValue<'_> {
                match column { $(Column::$column => FieldValue::from(&self.$name),)* }
            }

            /// Where the value of one column is kept.
            pub fn slot(&mut self, column: Column) -> ColumnSlot<'_> {
                match column { $(Column::$column => ColumnSlot::from(&mut self.$name),)* }
            }
        }
    };
}

fields! {
    // Column, which is also the member's name: kind = variant of `Column`, field of the API.
    // The kind decides the Rust type (`held_as!`) and the SQL type (`Kind::sql_type`).

    /// The numeric code that belongs to `Type`.
    cdr_type: Integer = CdrType, "CdrType";
    /// How many seconds the parties talked.
    duration_seconds: Seconds = DurationSeconds, "Duration";
    /// How many seconds the call rang.
    ring_seconds: Seconds = RingSeconds, "RingTime";
    caller_number: Text = CallerNumber, "CallerNumber";
    /// The SIP name of the calling extension.
    caller_extension: Text = CallerExtension, "CallerExtension";
    target_number: Text = TargetNumber, "TargetNumber";
    /// The SIP name of the called extension.
    target_extension: Text = TargetExtension, "TargetExtension";
    /// The destination's country or operator.
    target_prefix_name: Text = TargetPrefixName, "TargetPrefixName";
    /// The number of the account that was dialled.
    did: Text = Did, "DID";
    /// Text, not a closed list.
    dial_status: Text = DialStatus, "DialStatus";
    /// The status of a second leg.
    dial_status2: Text = DialStatus2, "DialStatus2";
    queue_name: Text = QueueName, "QueueName";
    department_id: Text = DepartmentId, "DepartmentId";
    department_name: Text = DepartmentName, "DepartmentName";
    representative_code: Text = RepresentativeCode, "RepresentativeCode";
    representative_name: Text = RepresentativeName, "RepresentativeName";
    user_id: Text = UserId, "UserId";
    user_name: Text = UserName, "UserName";
    /// The price of the call in agorot.
    price: Numeric = Price, "Price";
    /// Where the recording is; may be filled in some time after the call.
    record_url: Text = RecordUrl, "RecordURL";
    /// `true` if a recording is expected.
    record_expected: Flag = RecordExpected, "RecordExpect";
    /// The keys pressed in menus, an array.
    dtmf_data: Json = DtmfData, "DTMFData";
    /// An object with the customer's own data.
    custom_data: Json = CustomData, "CustomData";
}

impl Column {
    /// The column of an API field, whatever the case of its name.
    pub fn of_field(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.field().eq_ignore_ascii_case(name))
    }
}

/// A borrowed value of a record, for statements, JSON and CSV.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FieldValue<'a> {
    /// The record has no value for the column.
    Null,
    /// Text, or the digits of a numeric.
    Text(&'a str),
    /// A whole number, or a number of seconds.
    Number(i32),
    /// The value of a boolean column.
    Flag(bool),
    /// An instant, written as RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    Instant(DateTime<Utc>),
    /// An array or an object.
    Json(&'a Value),
    /// The members of the column `extra`.
    Members(&'a BTreeMap<String, Value>),
}

fn rfc3339<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant.to_rfc3339())
}

/// A mutable reference to a record's value of one column.
#[derive(Debug)]
pub enum ColumnSlot<'a> {
    /// A column of kind [`Kind::Text`] or [`Kind::Numeric`].
    Text(&'a mut Option<String>),
    /// A column of kind [`Kind::Integer`] or [`Kind::Seconds`].
    Number(&'a mut Option<i32>),
    /// A column of kind [`Kind::Flag`].
    Flag(&'a mut Option<bool>),
    /// A column of kind [`Kind::Json`].
    Json(&'a mut Option<Value>),
}

/// Converts the members' types to values and slots; each row is `Variant(type): conversion of a reference`.
macro_rules! conversions {
    ($($variant:ident($held:ty): $value:expr;)*) => {$(
        impl<'a> From<&'a Option<$held>> for FieldValue<'a> {
            fn from(held: &'a Option<$held>) -> Self {
                held.as_ref().map_or(FieldValue::Null, $value)
            }
        }

        impl<'a> From<&'a mut Option<$held>> for ColumnSlot<'a> {
            fn from(held: &'a mut Option<$held>) -> Self {
                ColumnSlot::$variant(held)
            }
        }
    )*};
}

conversions! {
    Text(String): |text| FieldValue::Text(text);
    Number(i32): |number| FieldValue::Number(*number);
    Flag(bool): |flag| FieldValue::Flag(*flag);
    Json(Value): FieldValue::Json;
}
