//! The text of a value, as PostgreSQL's input functions read it: the one form in which records are sent.
//!
//! It can be written piece by piece, since a single value can be as large as an answer.

use std::borrow::Cow;
use std::collections::btree_map;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::cdr::{Cdr, FieldValue};

/// At most this much of a text is written at a time, in bytes.
pub(super) const PIECE: usize = 64 << 10;

/// The whole text of a value; `None` for NULL.
pub(super) fn whole(value: FieldValue<'_>) -> Option<Cow<'_, str>> {
    if let FieldValue::Text(text) = value {
        return Some(Cow::Borrowed(text));
    }
    let (mut pieces, mut text) = (ValueText::default(), Vec::new());
    if !pieces.begin(value) {
        return None;
    }
    while let Some(piece) = pieces.next() {
        text.extend_from_slice(piece);
    }
    Some(Cow::Owned(String::from_utf8_lossy(&text).into_owned()))
}

/// The rest of a value's text; reused for one value after another.
#[derive(Debug, Default)]
pub(super) struct ValueText<'a> {
    /// Parts still to be written, the next one last.
    parts: Vec<TextPart<'a>>,
    /// The piece written last.
    piece: Vec<u8>,
}

/// A part of a value that is still to be written.
#[derive(Debug)]
enum TextPart<'a> {
    Text(&'a str),
    Number(i32),
    Instant(DateTime<Utc>),
    /// The content of a JSON string.
    Quoted(&'a str),
    Mark(&'static [u8]),
    Value(&'a Value),
    Elements(std::slice::Iter<'a, Value>, bool),
    Members(btree_map::Iter<'a, String, Value>, bool),
    MapMembers(serde_json::map::Iter<'a>, bool),
}

impl<'a> ValueText<'a> {
    /// Begins the text of `value`. Returns `false` if that is NULL, which has none.
    pub(super) fn begin(&mut self, value: FieldValue<'a>) -> bool {
        self.parts.clear();
        match value {
            FieldValue::Null | FieldValue::Json(Value::Null) => return false,
            // An empty `extra` counts as absent.
            FieldValue::Members(members) if members.is_empty() => return false,
            FieldValue::Members(members) => {
                self.parts.extend([TextPart::Members(members.iter(), true), TextPart::Mark(b"{")]);
            }
            FieldValue::Json(value) => self.parts.push(TextPart::Value(value)),
            FieldValue::Text(text) => self.parts.push(TextPart::Text(text)),
            FieldValue::Flag(flag) => self.parts.push(TextPart::Mark(if flag { b"t" } else { b"f" })),
            FieldValue::Number(number) => self.parts.push(TextPart::Number(number)),
            FieldValue::Instant(instant) => self.parts.push(TextPart::Instant(instant)),
        }
        true
    }

    /// The next piece; `None` once the text has ended.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        self.piece.clear();
        match self.parts.pop()? {
            TextPart::Text(text) => {
                let (piece, rest) = divided(text);
                if !rest.is_empty() {
                    self.parts.push(TextPart::Text(rest));
                }
                return Some(piece.as_bytes());
            }
            TextPart::Mark(mark) => return Some(mark),
            TextPart::Number(number) => json(&number, &mut self.piece),
            TextPart::Instant(instant) => self.piece.extend_from_slice(instant.to_rfc3339().as_bytes()),
            TextPart::Quoted(text) => {
                let (piece, rest) = divided(text);
                json(piece, &mut self.piece);
                // Without the quotes.
                self.piece.pop();
                self.piece.remove(0);
                if !rest.is_empty() {
                    self.parts.push(TextPart::Quoted(rest));
                }
            }
            TextPart::Value(value) => self.value(value),
            TextPart::Elements(mut elements, is_first) => match elements.next() {
                None => self.piece.push(b']'),
                Some(value) => {
                    comma(is_first, &mut self.piece);
                    self.parts.push(TextPart::Elements(elements, false));
                    self.parts.push(TextPart::Value(value));
                }
            },
            TextPart::Members(mut members, is_first) => match members.next() {
                None => self.piece.push(b'}'),
                Some((name, value)) => {
                    comma(is_first, &mut self.piece);
                    self.parts.push(TextPart::Members(members, false));
                    self.member(name, value);
                }
            },
            TextPart::MapMembers(mut members, is_first) => match members.next() {
                None => self.piece.push(b'}'),
                Some((name, value)) => {
                    comma(is_first, &mut self.piece);
                    self.parts.push(TextPart::MapMembers(members, false));
                    self.member(name, value);
                }
            },
        }
        Some(&self.piece)
    }

    fn member(&mut self, name: &'a str, value: &'a Value) {
        self.parts.push(TextPart::Value(value));
        self.parts.push(TextPart::Mark(b":"));
        self.string(name);
    }

    fn value(&mut self, value: &'a Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => json(value, &mut self.piece),
            Value::String(text) => self.string(text),
            Value::Array(elements) => {
                self.piece.push(b'[');
                self.parts.push(TextPart::Elements(elements.iter(), true));
            }
            Value::Object(members) => {
                self.piece.push(b'{');
                self.parts.push(TextPart::MapMembers(members.iter(), true));
            }
        }
    }

    fn string(&mut self, text: &'a str) {
        if text.len() <= PIECE {
            json(text, &mut self.piece);
        } else {
            self.piece.push(b'"');
            self.parts.push(TextPart::Mark(b"\""));
            self.parts.push(TextPart::Quoted(text));
        }
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing texts and numbers to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

fn comma(is_first: bool, out: &mut Vec<u8>) {
    if !is_first {
        out.push(b',');
    }
}

/// The beginning of a text, [`PIECE`] bytes long at most, and the rest.
fn divided(text: &str) -> (&str, &str) {
    text.split_at(text.floor_char_boundary(PIECE))
}

/// Returns `true` if the records' texts take up more than `most` bytes; stops counting there.
pub(super) fn takes_more_than(records: &[&Cdr], most: usize) -> bool {
    let (mut bytes, mut values) = (0, Vec::new());
    for record in records {
        for value in record.values() {
            match value {
                FieldValue::Null => {}
                FieldValue::Text(text) => bytes += text.len(),
                FieldValue::Number(_) | FieldValue::Flag(_) => bytes += size_of::<u64>(),
                FieldValue::Instant(_) => bytes += "2024-06-10T09:04:58+00:00".len(),
                FieldValue::Json(value) => values.push(value),
                FieldValue::Members(members) => {
                    bytes += members.keys().map(String::len).sum::<usize>();
                    values.extend(members.values());
                }
            }
        }
        while let Some(value) = values.pop() {
            bytes += match value {
                Value::Null | Value::Bool(_) | Value::Number(_) => size_of::<u64>(),
                Value::String(text) => text.len() + 2,
                Value::Array(elements) => {
                    values.extend(elements);
                    elements.len()
                }
                Value::Object(members) => {
                    values.extend(members.values());
                    members.keys().map(|name| name.len() + 4).sum()
                }
            };
            if bytes > most {
                return true;
            }
        }
    }
    bytes > most
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn record(extra: Value) -> Cdr {
        let extra = extra.as_object().unwrap().clone().into_iter().collect();
        Cdr { extra, ..Cdr::default() }
    }

    #[test]
    fn a_text_in_pieces_is_the_whole_text_and_json_is_serdes() {
        let long = "say \"hi\" \\ \u{5d0}\n\t\u{1f600}".repeat(8_000);
        let json = serde_json::json!({
            "Empty": {}, "None": [], "Deep": [[1, null], {"b": true, "a\n\"": -1.5e300}], "Note": long, "Z": ""
        });
        let record = record(json.clone());
        for (value, expected) in [
            (FieldValue::Text(&long), Some(long.clone())),
            (FieldValue::Number(-7), Some("-7".into())),
            (FieldValue::Flag(true), Some("t".into())),
            (FieldValue::Flag(false), Some("f".into())),
            (FieldValue::Instant(chrono::DateTime::UNIX_EPOCH), Some("1970-01-01T00:00:00+00:00".into())),
            (FieldValue::Json(&json), Some(json.to_string())),
            (FieldValue::Members(&record.extra), Some(json.to_string())),
            (FieldValue::Members(&BTreeMap::new()), None),
            (FieldValue::Json(&Value::Null), None),
            (FieldValue::Null, None),
        ] {
            assert_eq!(whole(value).as_deref(), expected.as_deref());
            let (mut pieces, mut all) = (ValueText::default(), Vec::new());
            assert_eq!(pieces.begin(value), expected.is_some());
            while let Some(piece) = pieces.next() {
                assert!(piece.len() < 2 * PIECE);
                all.extend_from_slice(piece);
            }
            assert_eq!(String::from_utf8(all).unwrap(), expected.unwrap_or_default());
        }
    }

    #[test]
    fn the_size_of_records_is_seen_whatever_holds_it() {
        for extra in [
            serde_json::json!({"Note": "x".repeat(2000)}),
            serde_json::json!({"List": vec![1; 500]}),
            serde_json::json!({"x".repeat(2000): 1}),
            serde_json::json!({"Object": {"x".repeat(2000): 1}}),
        ] {
            assert!(takes_more_than(&[&record(extra.clone())], 1000));
            assert!(!takes_more_than(&[&record(extra)], 10_000));
        }
        let short = record(serde_json::json!({}));
        assert!(takes_more_than(&[&short; 100], 1000) && !takes_more_than(&[&short; 10], 1000));
    }
}
