//! Questions in the API's form: JSON for POST, pairs for GET. Pure: the credential is passed in as text.

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::capabilities::{Capability, Form};
use super::dates::{self, Repeated};
use super::question::{Fields, Format, Granularity, Question};
use crate::window::Order;

/// The fields of a record that every server provides: those of v0.1 (docs/voicenter-api.md#fields).
/// [`Form::FIELDS`] are added to them.
const FIELDS: [&str; 23] = [
    "Date",
    "Type",
    "DID",
    "CallerNumber",
    "CallerExtension",
    "TargetNumber",
    "TargetExtension",
    "TargetPrefixName",
    "Duration",
    "Price",
    "RecordURL",
    "RecordExpect",
    "RepresentativeName",
    "RepresentativeCode",
    "DTMFData",
    "CallID",
    "QueueName",
    "DialStatus",
    "DialStatus2",
    "RingTime",
    "CustomData",
    "DepartmentName",
    "DepartmentId",
];

/// How dates are written for one account.
#[derive(Clone, Copy, Debug)]
pub struct DateForm {
    /// `api.timezone`: the zone of zoneless dates and bounds.
    pub zone: Tz,
    /// `api.granularity`: the precision of the bounds.
    pub granularity: Granularity,
}

/// Returns `true` if the bounds of `question` are sent exactly as requested.
pub fn is_exact(question: &Question, form: DateForm) -> bool {
    bounds(question, form).2
}

fn bounds(question: &Question, form: DateForm) -> (String, String, bool) {
    let repeated = if question.narrow { Repeated::Narrow } else { Repeated::Widen };
    dates::bounds(question.from, question.to, form.zone, form.granularity, repeated)
}

fn fields(question: &Question) -> Vec<String> {
    match &question.fields {
        Fields::Only(fields) => fields.clone(),
        Fields::All => {
            let extra = question.form.members().filter(|one| Form::FIELDS.has(*one)).map(Capability::name);
            FIELDS.into_iter().chain(extra).map(str::to_owned).collect()
        }
    }
}

const fn format_word(format: Format) -> &'static str {
    match format {
        Format::Json => "JSON",
        Format::Html => "HTML",
    }
}

const fn order_word(order: Order) -> &'static str {
    match order {
        Order::Ascending => "asc",
        Order::Descending => "desc",
    }
}

/// How the server spells the field to sort by.
fn sort_field(form: Form) -> Option<&'static str> {
    match (form.has(Capability::SortLower), form.has(Capability::SortPascal)) {
        (true, _) => Some("date"),
        (false, true) => Some("Date"),
        (false, false) => None,
    }
}

/// The body of a POST. `code` is absent if a bearer token is the credential.
pub fn body(question: &Question, form: DateForm, code: Option<&str>) -> Value {
    let (from, to, _) = bounds(question, form);
    let filter = &question.filter;
    let mut search = Map::new();
    search.insert("fromdate".into(), from.into());
    search.insert("todate".into(), to.into());
    let mut list = |name: &str, values: Vec<Value>| {
        if !values.is_empty() {
            search.insert(name.into(), values.into());
        }
    };
    list("phones", filter.phones.iter().map(|phone| json!(phone)).collect());
    list("extensions", filter.extensions.iter().map(|extension| json!(extension)).collect());
    list("cdrTypes", filter.cdr_types.iter().map(|number| json!(number)).collect());
    list("campaignID", filter.campaign_ids.iter().map(|number| json!(number)).collect());
    list("queueID", filter.queue_ids.iter().map(|number| json!(number)).collect());
    if let Some(identity) = filter.identity {
        search.insert("IdentityCriteria".into(), identity.as_str().into());
    }
    if let Some(call_id) = &filter.call_id {
        search.insert("callID".into(), call_id.as_str().into());
    }
    let mut body = Map::new();
    if let Some(code) = code {
        body.insert("code".into(), code.into());
    }
    body.insert("format".into(), format_word(question.format).into());
    body.insert("fields".into(), fields(question).into());
    body.insert("search".into(), search.into());
    if question.form.has(Capability::Version) {
        body.insert("version".into(), "2".into());
    }
    if let (Some(order), Some(field)) = (question.order, sort_field(question.form)) {
        body.insert("sort".into(), json!([{"field": field, "order": order_word(order)}]));
    }
    body.into()
}

/// The pairs of a GET's query: the same names flat, arrays by repeating the key, `extension` in the singular.
pub fn query(question: &Question, form: DateForm, code: Option<&str>) -> Vec<(&'static str, String)> {
    let (from, to, _) = bounds(question, form);
    let filter = &question.filter;
    let mut pairs = Vec::new();
    pairs.extend(code.map(|code| ("code", code.to_owned())));
    pairs.push(("format", format_word(question.format).to_owned()));
    pairs.push(("fromdate", from));
    pairs.push(("todate", to));
    pairs.extend(filter.phones.iter().map(|phone| ("phones", phone.clone())));
    pairs.extend(filter.extensions.iter().map(|extension| ("extension", extension.clone())));
    pairs.extend(filter.identity.map(|identity| ("IdentityCriteria", identity.as_str().to_owned())));
    pairs.extend(filter.cdr_types.iter().map(|number| ("cdrTypes", number.to_string())));
    pairs.extend(filter.call_id.iter().map(|call_id| ("callID", call_id.clone())));
    pairs.extend(filter.campaign_ids.iter().map(|number| ("campaignID", number.to_string())));
    pairs.extend(filter.queue_ids.iter().map(|number| ("queueID", number.to_string())));
    pairs.extend(fields(question).into_iter().map(|field| ("fields", field)));
    // How `sort` looks in a query is not documented (docs/voicenter-api.md#get): a GET asks without it, and cut
    // answers are split.
    pairs
}
