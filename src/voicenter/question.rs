//! What is asked: values only.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::window::Order;

/// Which generation of the endpoint answers (API document, first table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Nothing has answered yet: asked in today's form, and in that of v0.1 if that is refused.
    Unknown,
    /// The "Call log" document of v0.1: no totals, no sort.
    V01,
    /// Today's: totals, `sort`, `version`, GMT.
    Current,
}

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// JSON in the body.
    Post,
    /// Everything in the query.
    Get,
}

/// How fine the dates are that are sent: `api.granularity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// `2024-06-01T00:00:00`
    Second,
    /// `2015-05-14T08:00`
    Minute,
}

/// `format` of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Records.
    Json,
    /// A page with a table.
    Html,
}

/// `fields` of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields {
    /// All that are documented for the generation.
    All,
    /// These.
    Only(Vec<String>),
}

/// `IdentityCriteria`: whose calls the credential stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the API's word of its name")]
pub enum IdentityCriteria {
    Account,
    Hierarchical,
    Department,
    User,
}

impl IdentityCriteria {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Account, Self::Hierarchical, Self::Department, Self::User];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "Account",
            Self::Hierarchical => "Hierarchical",
            Self::Department => "Department",
            Self::User => "User",
        }
    }
}

/// What a question is narrowed to; what is empty does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `phones`, with country code.
    pub phones: Vec<String>,
    /// `extensions`: SIP names.
    pub extensions: Vec<String>,
    /// `IdentityCriteria`.
    pub identity: Option<IdentityCriteria>,
    /// `cdrTypes` (today only).
    pub cdr_types: Vec<i32>,
    /// `callID` (today only).
    pub call_id: Option<String>,
    /// `campaignID` (today only).
    pub campaign_ids: Vec<i64>,
    /// `queueID` (today only).
    pub queue_ids: Vec<i64>,
}

/// One question to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// `fromdate`, as it is to be sent.
    pub from: DateTime<Utc>,
    /// `todate`, as it is to be sent.
    pub to: DateTime<Utc>,
    /// In the hour that a clock repeats: send the bounds' own readings, though they occur twice, rather than the whole hour.
    pub narrow: bool,
    /// `sort` by Date; v0.1 is not asked for it.
    pub order: Option<Order>,
    /// In whose form to ask.
    pub generation: Generation,
    /// What to narrow it to.
    pub filter: Filter,
    /// Which fields to send.
    pub fields: Fields,
    /// In which form to answer.
    pub format: Format,
}
