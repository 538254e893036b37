//! The Voicenter call-log API: questions in its form, answers made into records.
//!
//! Two generations are in use (docs/voicenter-api.md#generations). What of the newer one a server takes is learned part by part.

pub(crate) mod advice;
pub mod capabilities;
pub mod client;
pub mod dates;
pub mod decode;
pub mod error;
mod outcome;
pub mod question;
pub(crate) mod said;
pub mod session;
pub mod wire;
pub mod zone_check;
pub mod zones;

pub use capabilities::{Capability, Form};
pub use client::{Client, ClientError, ClientResources, ClientSettings, Credential, install_crypto};
pub use dates::Precision;
pub use decode::{BadBody, Envelope, decode, decode_as};
pub use error::{Action, ApiError};
pub use outcome::RequestOutcome;
pub use question::{Fields, Filter, Format, Granularity, IdentityCriteria, Method, Question};
pub use zones::{Shift, ZoneEvidence};

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::answer_memory::ReservedMemory;
use crate::cdr::{Cdr, Column, Rejected};

/// An answer with error 0, decoded.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The records that can be rows, in the order in which they came.
    pub records: Vec<Cdr>,
    /// Those that cannot.
    pub rejected: Vec<Rejected>,
    /// The columns that at least one record had a field for.
    pub columns: BTreeSet<Column>,
    /// The fields without a column that at least one record had, in lower case.
    pub other_fields: BTreeSet<String>,
    /// Items in `CDR_LIST`, rejected ones included.
    pub listed: usize,
    /// `TOTAL_HITS`.
    pub total_hits: Option<u64>,
    /// `RETURN_HITS`.
    pub return_hits: Option<u64>,
    /// The `Date` header.
    pub server_date: Option<DateTime<Utc>>,
    /// The coarsest form of date in it.
    pub precision: Option<Precision>,
    /// What the dates show of their zone.
    pub zones: ZoneEvidence,
    /// Bytes that mean nothing in the body's charset; U+FFFD stands in their place.
    pub invalid_bytes: u64,
    /// The items of `CDR_LIST` as they came, in their order, when the client keeps them.
    pub items: Vec<String>,
    /// The bounds sent were exactly those asked for, not widened for a clock change.
    pub exact_bounds: bool,
    /// What it takes up of the memory for answers, until the last clone is dropped.
    pub memory: Arc<ReservedMemory>,
}
