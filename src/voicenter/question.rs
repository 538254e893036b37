//! Questions to the API: values only.

use chrono::{DateTime, Utc};

use super::capabilities::Form;
use crate::window::Order;

/// How requests are sent: `api.method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// POST, with JSON in the body.
    Post,
    /// GET, with everything in the query.
    Get,
}

/// The precision of the dates that are sent: `api.granularity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// With seconds, as in `2024-06-01T00:00:00`.
    Second,
    /// With minutes only, as in `2015-05-14T08:00`.
    Minute,
}

/// The form of the answer: `format` of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON with a list of records.
    Json,
    /// A page with a table of records.
    Html,
}

/// Which fields to return: `fields` of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields {
    /// All documented fields (docs/voicenter-api.md#fields), except those that the form leaves out.
    All,
    /// Only the fields with these names.
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
    /// Every criterion, in the order of declaration.
    pub const ALL: [Self; 4] = [Self::Account, Self::Hierarchical, Self::Department, Self::User];

    /// The word sent for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "Account",
            Self::Hierarchical => "Hierarchical",
            Self::Department => "Department",
            Self::User => "User",
        }
    }
}

/// What a question is narrowed to; empty parts do not narrow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `phones`: phone numbers with country code.
    pub phones: Vec<String>,
    /// `extensions`: SIP names of extensions.
    pub extensions: Vec<String>,
    /// `IdentityCriteria`: whose calls the credential stands for.
    pub identity: Option<IdentityCriteria>,
    /// `cdrTypes` (current generation only): numbers of call types.
    pub cdr_types: Vec<i32>,
    /// `callID` (current generation only): the records of one call.
    pub call_id: Option<String>,
    /// `campaignID` (current generation only): the calls of these campaigns.
    pub campaign_ids: Vec<i64>,
    /// `queueID` (current generation only): the calls of these queues.
    pub queue_ids: Vec<i64>,
}

/// One question to the API, in whichever form it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// `fromdate`, before it is written in the API's zone.
    pub from: DateTime<Utc>,
    /// `todate`, before it is written in the API's zone.
    pub to: DateTime<Utc>,
    /// In the hour that a clock repeats: `true` to send the bounds' own readings, though they occur twice, rather
    /// than the whole hour.
    pub narrow: bool,
    /// The order to `sort` by Date in, if the form has it.
    pub order: Option<Order>,
    /// Which of the parts that not every server accepts to use; a session chooses them.
    pub form: Form,
    /// What the question is narrowed to.
    pub filter: Filter,
    /// Which fields of the records to return.
    pub fields: Fields,
    /// The form of the answer.
    pub format: Format,
}

impl Question {
    /// A question for the newest calls of a span, with all fields and whole seconds as bounds.
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
