//! What stands in an answer: lenient in names and kinds, strict in what is taken for a list.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::cdr::plain_json;

use super::{Entry, Field, List, ListKind, Values};

/// The longest id that is stored, in characters: it is part of a key.
const LONGEST_ID: usize = 200;
/// A number with more digits than this is kept as text: PostgreSQL might refuse it.
const LONGEST_NUMBER: usize = 40;

/// An answer that is JSON of the expected form.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ListAnswer {
    /// `ERR`: 0 if all is well, which an answer without it is taken to be.
    pub error_number: i64,
    /// `DESC`, unfiltered.
    pub description: String,
    /// The list; `None` if there is none.
    pub list: Option<List>,
}

/// Why a body holds no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    /// The body has no bytes.
    #[error("an empty body")]
    Empty,
    /// The body is an HTML page.
    #[error("an HTML page")]
    Html,
    /// The JSON ends in the middle.
    #[error("JSON that ends in the middle")]
    Cut,
    /// The body is not JSON.
    #[error("a body that is not JSON")]
    NotJson,
    /// The body is JSON, but of another form.
    #[error("JSON without a list of {}", .0.as_str())]
    NoList(ListKind),
}

/// Reads the text of a body.
///
/// # Errors
/// If it is no answer of this form. There is never a part of a list.
pub fn decode(kind: ListKind, text: &str) -> Result<ListAnswer, BadList> {
    let text = text.trim();
    if text.is_empty() {
        return Err(BadList::Empty);
    }
    if text.starts_with('<') {
        return Err(BadList::Html);
    }
    let body: Value = plain_json::parse(text)
        .map_err(|error| if error.is_eof() { BadList::Cut } else { BadList::NotJson })?;
    let Value::Object(mut body) = body else { return Err(BadList::NoList(kind)) };
    let error_number = match take(&mut body, "ERR") {
        None | Some(Value::Null) => 0,
        Some(number) => plain(&number).and_then(|text| text.parse().ok()).ok_or(BadList::NoList(kind))?,
    };
    let description = take(&mut body, "DESC").as_ref().and_then(plain).unwrap_or_default();
    let list = match take(&mut body, kind.member()) {
        Some(Value::Array(items)) => Some(list(kind, items)),
        None | Some(Value::Null) => None,
        Some(_) => return Err(BadList::NoList(kind)),
    };
    if list.is_none() && error_number == 0 {
        return Err(BadList::NoList(kind));
    }
    Ok(ListAnswer { error_number, description, list })
}

fn list(kind: ListKind, items: Vec<Value>) -> List {
    let mut list = List::default();
    for item in items {
        match entry(kind, item, &mut list.columns) {
            Some(entry) => list.entries.push(entry),
            None => list.unusable += 1,
        }
    }
    list
}

fn entry(kind: ListKind, item: Value, columns: &mut BTreeSet<&'static str>) -> Option<Entry> {
    let Value::Object(mut item) = item else { return None };
    let id = take(&mut item, kind.id()).as_ref().and_then(plain)?;
    if id.chars().count() > LONGEST_ID {
        return None;
    }
    let mut values = Values::new();
    let mut extra = Map::new();
    for field in kind.fields() {
        let value = take(&mut item, field.name);
        if value.is_some() {
            columns.insert(field.column);
        }
        let fitting = value.as_ref().and_then(|value| fitting(*field, value));
        // What does not fit is kept beside the columns.
        if let Some(value) = value.filter(|value| fitting.is_none() && !is_empty(value)) {
            extra.insert(field.name.to_lowercase(), storable(value));
        }
        values.insert(field.column, fitting);
    }
    for name in kind.dropped() {
        take(&mut item, name);
    }
    let others = item.into_iter().filter(|(_, value)| !is_empty(value));
    extra.extend(others.map(|(name, value)| (clean(&name).to_lowercase(), storable(value))));
    Some(Entry { id, values, extra })
}

/// Removes the member of this name, in whatever case it is written; of several, the last one that says something.
fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let names: Vec<String> = object.keys().filter(|key| key.eq_ignore_ascii_case(name)).cloned().collect();
    let found = names.iter().filter_map(|name| object.remove(name));
    found.reduce(|before, value| if is_empty(&value) { before } else { value })
}

fn fitting(field: Field, value: &Value) -> Option<String> {
    let text = plain(value)?;
    match field.is_number {
        true => text.parse::<i32>().ok().map(|number| number.to_string()),
        false => Some(text),
    }
}

/// A value as text, whichever kind it is written as; `None` if it says nothing or is not plain.
fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => clean(text).trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// PostgreSQL stores no NUL.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn storable(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text)),
        Value::Number(number) => match number.to_string() {
            text if text.len() > LONGEST_NUMBER || text.contains(['e', 'E']) => Value::String(text),
            _ => Value::Number(number),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(storable).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (clean(&name), storable(value))).collect())
        }
        other => other,
    }
}
