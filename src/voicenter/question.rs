//! What is asked: values only.

use chrono::{DateTime, Utc};

use super::capabilities::Form;
use crate::window::Order;

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
    /// All that are documented (docs/voicenter-api.md#fields), but for those that the form leaves out.
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
    /// `sort` by Date, if the form has it.
    pub order: Option<Order>,
    /// Which of the parts that not every server takes to ask with; a session chooses them.
    pub form: Form,
    /// What to narrow it to.
    pub filter: Filter,
    /// Which fields to send.
    pub fields: Fields,
    /// In which form to answer.
    pub format: Format,
}

impl Question {
    /// For the newest calls of a span, all fields, with whole seconds as bounds.
    pub fn for_newest(filter: Filter, from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        let whole =
            |instant: DateTime<Utc>| DateTime::from_timestamp(instant.timestamp(), 0).unwrap_or(instant);
        Self {
            from: whole(from),
            to: whole(to),
            narrow: false,
            order: Some(Order::Descending),
            form: Form::FULL,
            filter,
            fields: Fields::All,
            format: Format::Json,
        }
    }
}
