//! The Voicenter call-log API: turns questions into its requests and its answers into records.
//!
//! Two generations are in use (docs/voicenter-api.md#generations). Which parts of the newer one a server accepts is
//! learned part by part.

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
pub use client::{
    Client, ClientError, ClientResources, ClientSettings, Credential, HistoryError, ListError, install_crypto,
};
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

/// An answer that can be used: the records of an [`Envelope`] without an error, and what only the client knows of it (the
/// server's clock, the bounds that were sent, the memory that it holds).
#[derive(Clone, Debug)]
pub struct Answer {
    /// The records that can be rows, in the order of the answer.
    pub records: Vec<Cdr>,
    /// The items of the answer that cannot be rows, and why.
    pub rejected: Vec<Rejected>,
    /// The columns that at least one record had a field for.
    pub columns: BTreeSet<Column>,
    /// The fields without a column that at least one record had, in lower case.
    pub other_fields: BTreeSet<String>,
    /// Number of items in `CDR_LIST`, including rejected ones.
    pub listed: usize,
    /// `TOTAL_HITS`: how many records the API says there are.
    pub total_hits: Option<u64>,
    /// `RETURN_HITS`: how many records the API says it returned.
    pub return_hits: Option<u64>,
    /// The `Date` header: the API's clock.
    pub server_date: Option<DateTime<Utc>>,
    /// The least precise form of date in the answer.
    pub precision: Option<Precision>,
    /// What the dates show of their zone.
    pub zones: ZoneEvidence,
    /// Number of bytes invalid in the body's charset; U+FFFD replaces them.
    pub invalid_bytes: u64,
    /// The unchanged items of `CDR_LIST`, in their order; empty unless the client keeps them.
    pub items: Vec<String>,
    /// `true` if the bounds were sent exactly as requested, not widened for a clock change.
    pub exact_bounds: bool,
    /// The memory reserved for this answer, until the last clone is dropped.
    pub memory: Arc<ReservedMemory>,
}
