//! Reads a request as docs/voicenter-api.md#request describes it, and refuses anything else, naming the broken
//! rule.

use chrono::NaiveDateTime;
use serde_json::{Map, Value};

use super::options::ApiGeneration;
use super::wire::Field;

/// What a request asks for, as the simulator understood it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// `fromdate`, in the API's wall time; absent only with `callID`.
    pub from: Option<NaiveDateTime>,
    /// `todate`, in the API's wall time; absent only with `callID`.
    pub to: Option<NaiveDateTime>,
    /// `phones`: calls from or to these numbers.
    pub phones: Vec<String>,
    /// `extensions`: calls of these SIP names.
    pub extensions: Vec<String>,
    /// `IdentityCriteria`: whose calls the credential stands for.
    pub identity: Option<String>,
    /// `callID`: the records of this call.
    pub call_id: Option<String>,
    /// `cdrTypes`: records of these types.
    pub cdr_types: Vec<i64>,
    /// `campaignID`: calls of these campaigns.
    pub campaigns: Vec<i64>,
    /// `queueID`: calls of these queues.
    pub queues: Vec<i64>,
}

/// One element of `sort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    pub(crate) field: Field,
    /// `true` if `order` is `desc`.
    pub descending: bool,
}

impl SortKey {
    /// The field's name as docs/voicenter-api.md#fields spells it.
    pub fn field_name(&self) -> &'static str {
        self.field.name()
    }
}

/// A request that obeys the rules, without its credential.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    pub(crate) html: bool,
    pub(crate) fields: Option<Vec<Field>>,
    pub(crate) search: Search,
    pub(crate) sort: Vec<SortKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRequest {
    /// Any rule except that of the date range.
    #[error("bad request: {0}")]
    Rule(String),
    /// An empty or inverted date range (error 5 of the current generation).
    #[error("date range invalid: {0}")]
    Range(&'static str),
}

fn rule<T>(text: impl Into<String>) -> Result<T, BadRequest> {
    Err(BadRequest::Rule(text.into()))
}

const IDENTITIES: [&str; 4] = ["Account", "Hierarchical", "Department", "User"];

/// Reads a JSON body, without its `code`.
pub(crate) fn from_body(body: Map<String, Value>, generation: ApiGeneration) -> Result<Request, BadRequest> {
    let mut request = Request::default();
    let current = generation == ApiGeneration::Current;
    for (key, value) in body {
        match key.as_str() {
            "format" => request.html = format_is_html(&text("format", value)?)?,
            "fields" => request.fields = Some(field_list(&texts("fields", value)?, generation)?),
            "search" => {
                let Value::Object(search) = value else { return rule("search must be an object") };
                for (key, value) in search {
                    criterion(&mut request.search, &key, value, generation)?;
                }
            }
            "sort" if current => request.sort = sort_keys(value)?,
            "version" if current => match value {
                Value::String(_) | Value::Number(_) => {}
                _ => return rule("version must be a string"),
            },
            _ => return rule(format!("unknown key: {key}")),
        }
    }
    check_range(&request.search)?;
    Ok(request)
}

/// Reads a query, without its `code`: the same names flat, arrays by repeating the key.
pub(crate) fn from_query(
    query: Vec<(String, String)>,
    generation: ApiGeneration,
) -> Result<Request, BadRequest> {
    let mut request = Request::default();
    let mut fields = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (key, value) in query {
        let key = query_key(key);
        let repeats =
            matches!(key.as_str(), "phones" | "extension" | "fields" | "cdrTypes" | "campaignID" | "queueID");
        if !repeats && seen.contains(&key) {
            return rule(format!("{key} must not be repeated"));
        }
        match key.as_str() {
            "format" => request.html = format_is_html(&value)?,
            "fields" => fields.push(value),
            "version" if generation == ApiGeneration::Current => {}
            "extension" => request.search.extensions.push(value),
            "extensions" => return rule("unknown key: extensions (in a query it is written extension)"),
            "phones" => request.search.phones.push(value),
            "cdrTypes" | "campaignID" | "queueID" => {
                let number: i64 =
                    value.parse().map_err(|_| BadRequest::Rule(format!("{key} must be a number")))?;
                append(&mut request.search, &key, number, generation)?;
            }
            _ => criterion(&mut request.search, &key, Value::String(value), generation)?,
        }
        seen.push(key);
    }
    if !fields.is_empty() {
        request.fields = Some(field_list(&fields, generation)?);
    }
    check_range(&request.search)?;
    Ok(request)
}

/// The name that a key of a query means: the v0.1 document's own example writes `Fields` beside `fields`
/// (docs/voicenter-api.md#get).
fn query_key(key: String) -> String {
    if key == "Fields" { "fields".to_owned() } else { key }
}

fn append(search: &mut Search, key: &str, number: i64, generation: ApiGeneration) -> Result<(), BadRequest> {
    let list = match (key, generation) {
        ("cdrTypes", ApiGeneration::Current) => &mut search.cdr_types,
        ("campaignID", ApiGeneration::Current) => &mut search.campaigns,
        ("queueID", ApiGeneration::Current) => &mut search.queues,
        _ => return rule(format!("unknown key: {key}")),
    };
    list.push(number);
    Ok(())
}

fn criterion(
    search: &mut Search,
    key: &str,
    value: Value,
    generation: ApiGeneration,
) -> Result<(), BadRequest> {
    match (key, generation) {
        ("fromdate", _) => search.from = Some(date(key, value)?),
        ("todate", _) => search.to = Some(date(key, value)?),
        ("phones", _) => search.phones = texts(key, value)?,
        ("extensions", _) => search.extensions = texts(key, value)?,
        ("IdentityCriteria", _) => {
            let identity = text(key, value)?;
            if !IDENTITIES.contains(&identity.as_str()) {
                return rule("IdentityCriteria must be Account, Hierarchical, Department or User");
            }
            search.identity = Some(identity);
        }
        ("callID", ApiGeneration::Current) => search.call_id = Some(text(key, value)?),
        ("cdrTypes" | "campaignID" | "queueID", ApiGeneration::Current) => {
            let Value::Array(items) = value else {
                return rule(format!("{key} must be an array of numbers"));
            };
            for item in items {
                let Some(number) = item.as_i64() else {
                    return rule(format!("{key} must be an array of numbers"));
                };
                append(search, key, number, generation)?;
            }
        }
        _ => return rule(format!("unknown key: {key}")),
    }
    Ok(())
}

fn check_range(search: &Search) -> Result<(), BadRequest> {
    match (search.from, search.to) {
        (Some(from), Some(to)) if from > to => Err(BadRequest::Range("fromdate is after todate")),
        (Some(from), Some(to)) if from == to => Err(BadRequest::Range("fromdate and todate are the same")),
        (Some(_), Some(_)) => Ok(()),
        (None, None) if search.call_id.is_some() => Ok(()),
        (None, _) => rule("fromdate is missing"),
        (_, None) => rule("todate is missing"),
    }
}

/// Parses a date with seconds or minutes and never a zone: no generation shows one in a request
/// (docs/voicenter-api.md#dates).
fn date(key: &str, value: Value) -> Result<NaiveDateTime, BadRequest> {
    let text = text(key, value)?;
    let form = match text.len() {
        16 => "%Y-%m-%dT%H:%M",
        _ => "%Y-%m-%dT%H:%M:%S",
    };
    // chrono also accepts short numbers and leap seconds; the checks of the length and the way back do not.
    match NaiveDateTime::parse_from_str(&text, form) {
        Ok(date) if date.format(form).to_string() == text => Ok(date),
        _ => rule(format!("{key} must be written YYYY-MM-DDTHH:MM or YYYY-MM-DDTHH:MM:SS")),
    }
}

fn format_is_html(format: &str) -> Result<bool, BadRequest> {
    match format {
        "JSON" => Ok(false),
        "HTML" => Ok(true),
        _ => rule("format must be JSON or HTML"),
    }
}

fn field_list(names: &[String], generation: ApiGeneration) -> Result<Vec<Field>, BadRequest> {
    let mut fields = Vec::new();
    for name in names {
        // These are in the list of docs/voicenter-api.md#fields, although they are search criteria.
        if ["fromdate", "todate", "phones"].contains(&name.as_str()) {
            continue;
        }
        match Field::named(name, generation) {
            Some(field) => fields.push(field),
            None => return rule(format!("unknown field: {name}")),
        }
    }
    Ok(fields)
}

fn sort_keys(value: Value) -> Result<Vec<SortKey>, BadRequest> {
    let Value::Array(items) = value else { return rule("sort must be an array of {field, order}") };
    items.into_iter().map(sort_key).collect()
}

fn sort_key(item: Value) -> Result<SortKey, BadRequest> {
    let Value::Object(item) = item else { return rule("sort must be an array of {field, order}") };
    let mut field = None;
    let mut descending = false;
    for (key, value) in item {
        match key.as_str() {
            "field" => {
                let name = text("field", value)?;
                let found = Field::named(&name, ApiGeneration::Current).filter(|field| field.can_sort());
                match found {
                    Some(found) => field = Some(found),
                    None => return rule(format!("sort: cannot sort by {name}")),
                }
            }
            "order" => match text("order", value)?.to_lowercase().as_str() {
                "asc" => descending = false,
                "desc" => descending = true,
                _ => return rule("sort: order must be asc or desc"),
            },
            _ => return rule(format!("sort: unknown key: {key}")),
        }
    }
    match field {
        Some(field) => Ok(SortKey { field, descending }),
        None => rule("sort: field is missing"),
    }
}

fn text(key: &str, value: Value) -> Result<String, BadRequest> {
    match value {
        Value::String(text) => Ok(text),
        _ => rule(format!("{key} must be a string")),
    }
}

fn texts(key: &str, value: Value) -> Result<Vec<String>, BadRequest> {
    match value {
        Value::Array(items) => items.into_iter().map(|item| text(key, item)).collect(),
        _ => rule(format!("{key} must be an array of strings")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(body: Value, generation: ApiGeneration) -> String {
        let Value::Object(body) = body else { panic!("an object") };
        from_body(body, generation).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_refusal_names_the_rule_that_was_broken() {
        let range = json!({"fromdate": "2026-01-01T00:00", "todate": "2026-01-02T00:00"});
        for (key, value) in [("sort", json!([])), ("version", json!("2")), ("Format", json!("JSON"))] {
            let body = json!({"search": range, key: value});
            assert_eq!(refusal(body, ApiGeneration::V01), format!("bad request: unknown key: {key}"));
        }
        for (search, expected) in [
            (json!({"cdrTypes": [1]}), "bad request: unknown key: cdrTypes"),
            (json!({"callID": "1"}), "bad request: unknown key: callID"),
            (json!({"phones": "972"}), "bad request: phones must be an array of strings"),
            (json!({"IdentityCriteria": "Me"}), "bad request: IdentityCriteria must be Account"),
            (json!({"fromdate": "2026-01-01T00:00:00Z"}), "bad request: fromdate must be written"),
            (json!({"fromdate": "2026-1-01T00:00:00"}), "bad request: fromdate must be written"),
            (json!({"fromdate": 5}), "bad request: fromdate must be a string"),
            (json!({"fromdate": "2026-01-01T00:00"}), "bad request: todate is missing"),
            (json!({}), "bad request: fromdate is missing"),
            (
                json!({"fromdate": "2026-01-02T00:00", "todate": "2026-01-01T00:00"}),
                "date range invalid: fromdate is after todate",
            ),
            (json!([]), "bad request: search must be an object"),
        ] {
            let refusal = refusal(json!({"search": search}), ApiGeneration::V01);
            assert!(refusal.starts_with(expected), "{refusal}");
        }
        for (key, value, expected) in [
            ("fields", json!(["Nonsense"]), "bad request: unknown field: Nonsense"),
            ("fields", json!("Date"), "bad request: fields must be an array of strings"),
            ("format", json!("XML"), "bad request: format must be JSON or HTML"),
            ("sort", json!([{"field": "Nonsense"}]), "bad request: sort: cannot sort by Nonsense"),
            ("sort", json!([{"field": "Date", "order": "up"}]), "bad request: sort: order must be"),
        ] {
            let refusal = refusal(json!({"search": range, key: value}), ApiGeneration::Current);
            assert!(refusal.starts_with(expected), "{refusal}");
        }
        assert_eq!(
            refusal(json!({"search": range, "fields": ["CdrType"]}), ApiGeneration::V01),
            "bad request: unknown field: CdrType"
        );
    }
}
