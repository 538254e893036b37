//! One line of `COPY`'s text format, written piece by piece: a single record can be as large as an answer.

use std::borrow::Cow;
use std::collections::btree_map;

use serde_json::Value;

use crate::cdr::Cdr;

/// At most this much of a text is escaped at a time, in bytes.
const PIECE: usize = 64 << 10;

/// What is left of a record's line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    fields: std::array::IntoIter<Field<'a>, 27>,
    /// What is left of the field begun, the next part last.
    parts: Vec<Part<'a>>,
    is_first: bool,
    ended: bool,
    /// JSON before it is escaped for `COPY`.
    json: Vec<u8>,
}

/// A value in the order of [`super::COLUMNS`].
#[derive(Debug)]
enum Field<'a> {
    Null,
    Text(Cow<'a, str>),
    Json(&'a Value),
    Members(&'a std::collections::BTreeMap<String, Value>),
}

/// A part of a field that is still to be written.
#[derive(Debug)]
enum Part<'a> {
    Text(Cow<'a, str>, usize),
    /// The inside of a JSON string.
    Quoted(&'a str),
    Close(&'static [u8]),
    Value(&'a Value),
    Elements(std::slice::Iter<'a, Value>, bool),
    Members(btree_map::Iter<'a, String, Value>, bool),
    MapMembers(serde_json::map::Iter<'a>, bool),
}

impl<'a> Line<'a> {
    pub(super) fn of(record: &'a Cdr) -> Self {
        let fields = fields(record).into_iter();
        Self { fields, parts: Vec::new(), is_first: true, ended: false, json: Vec::new() }
    }

    /// Appends to `chunk` until that is about `full` bytes long. Returns `true` once the line has ended.
    pub(super) fn write(&mut self, chunk: &mut Vec<u8>, full: usize) -> bool {
        while !self.ended && chunk.len() < full {
            match self.parts.pop() {
                Some(part) => self.write_part(part, chunk),
                None => self.next_field(chunk),
            }
        }
        self.ended
    }

    fn next_field(&mut self, chunk: &mut Vec<u8>) {
        let Some(field) = self.fields.next() else {
            chunk.push(b'\n');
            self.ended = true;
            return;
        };
        if !std::mem::take(&mut self.is_first) {
            chunk.push(b'\t');
        }
        match field {
            Field::Null => chunk.extend_from_slice(b"\\N"),
            Field::Text(text) => self.parts.push(Part::Text(text, 0)),
            Field::Json(value) => self.parts.push(Part::Value(value)),
            Field::Members(members) => {
                chunk.push(b'{');
                self.parts.push(Part::Members(members.iter(), true));
            }
        }
    }

    fn write_part(&mut self, part: Part<'a>, chunk: &mut Vec<u8>) {
        match part {
            Part::Text(text, from) => {
                let rest = text.get(from..).unwrap_or_default();
                let piece = beginning(rest);
                escape(piece.as_bytes(), chunk);
                if piece.len() < rest.len() {
                    let from = from + piece.len();
                    self.parts.push(Part::Text(text, from));
                }
            }
            Part::Quoted(text) => {
                let piece = beginning(text);
                self.json(piece, chunk, true);
                if let Some(rest) = text.get(piece.len()..).filter(|rest| !rest.is_empty()) {
                    self.parts.push(Part::Quoted(rest));
                }
            }
            Part::Close(end) => chunk.extend_from_slice(end),
            Part::Value(value) => self.value(value, chunk),
            Part::Elements(mut elements, is_first) => match elements.next() {
                None => chunk.push(b']'),
                Some(value) => {
                    comma(is_first, chunk);
                    self.parts.push(Part::Elements(elements, false));
                    self.parts.push(Part::Value(value));
                }
            },
            Part::Members(mut members, is_first) => match members.next() {
                None => chunk.push(b'}'),
                Some((name, value)) => {
                    comma(is_first, chunk);
                    self.parts.push(Part::Members(members, false));
                    self.member(name, value, chunk);
                }
            },
            Part::MapMembers(mut members, is_first) => match members.next() {
                None => chunk.push(b'}'),
                Some((name, value)) => {
                    comma(is_first, chunk);
                    self.parts.push(Part::MapMembers(members, false));
                    self.member(name, value, chunk);
                }
            },
        }
    }

    fn member(&mut self, name: &'a str, value: &'a Value, chunk: &mut Vec<u8>) {
        self.parts.push(Part::Value(value));
        self.parts.push(Part::Close(b":"));
        self.string(name, chunk);
    }

    fn value(&mut self, value: &'a Value, chunk: &mut Vec<u8>) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.json(value, chunk, false),
            Value::String(text) => self.string(text, chunk),
            Value::Array(elements) => {
                chunk.push(b'[');
                self.parts.push(Part::Elements(elements.iter(), true));
            }
            Value::Object(members) => {
                chunk.push(b'{');
                self.parts.push(Part::MapMembers(members.iter(), true));
            }
        }
    }

    fn string(&mut self, text: &'a str, chunk: &mut Vec<u8>) {
        if text.len() <= PIECE {
            self.json(text, chunk, false);
        } else {
            chunk.push(b'"');
            self.parts.push(Part::Close(b"\""));
            self.parts.push(Part::Quoted(text));
        }
    }

    /// Appends a small value as JSON, a string's quotes left out if it is a piece of one.
    fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T, chunk: &mut Vec<u8>, is_piece: bool) {
        self.json.clear();
        // Fails neither for texts and numbers nor into memory.
        let _ = serde_json::to_writer(&mut self.json, value);
        let mut text = self.json.as_slice();
        if is_piece {
            text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
        }
        escape(text, chunk);
    }
}

fn comma(is_first: bool, chunk: &mut Vec<u8>) {
    if !is_first {
        chunk.push(b',');
    }
}

/// The beginning of a text, [`PIECE`] bytes long at most.
fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(PIECE)).unwrap_or(text)
}

/// PostgreSQL's manual, COPY, "Text Format": these four must be escaped, nothing else need be.
fn escape(text: &[u8], line: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            other => line.push(other),
        }
    }
}

/// The record's values as PostgreSQL reads them.
fn fields(record: &Cdr) -> [Field<'_>; 27] {
    fn text(value: &Option<String>) -> Field<'_> {
        value.as_deref().map_or(Field::Null, |text| Field::Text(Cow::Borrowed(text)))
    }
    fn number(value: Option<i32>) -> Field<'static> {
        value.map_or(Field::Null, |number| Field::Text(Cow::Owned(number.to_string())))
    }
    fn json(value: &Option<Value>) -> Field<'_> {
        value.as_ref().filter(|value| !value.is_null()).map_or(Field::Null, Field::Json)
    }
    fn boolean(value: bool) -> Field<'static> {
        Field::Text(Cow::Borrowed(if value { "t" } else { "f" }))
    }
    [
        Field::Text(Cow::Borrowed(&record.key.call_id)),
        Field::Text(Cow::Borrowed(&record.key.call_type)),
        number(record.cdr_type),
        Field::Text(Cow::Owned(record.started_at.to_rfc3339())),
        number(record.duration_seconds),
        number(record.ring_seconds),
        text(&record.caller_number),
        text(&record.caller_extension),
        text(&record.target_number),
        text(&record.target_extension),
        text(&record.target_prefix_name),
        text(&record.did),
        text(&record.dial_status),
        text(&record.dial_status2),
        text(&record.queue_name),
        text(&record.department_id),
        text(&record.department_name),
        text(&record.representative_code),
        text(&record.representative_name),
        text(&record.user_id),
        text(&record.user_name),
        text(&record.price),
        text(&record.record_url),
        record.record_expected.map_or(Field::Null, boolean),
        json(&record.dtmf_data),
        json(&record.custom_data),
        if record.extra.is_empty() { Field::Null } else { Field::Members(&record.extra) },
    ]
}

/// Returns `true` if the records' texts take up more bytes than `most`; looks no further than that.
pub(super) fn takes_more_than(records: &[&Cdr], most: usize) -> bool {
    let (mut bytes, mut values) = (0, Vec::new());
    for record in records {
        for field in fields(record) {
            match field {
                Field::Null => {}
                Field::Text(text) => bytes += text.len(),
                Field::Json(value) => values.push(value),
                Field::Members(members) => {
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
    use super::*;

    fn record(extra: Value) -> Cdr {
        let members = extra.as_object().unwrap().clone();
        Cdr {
            key: crate::cdr::CdrKey { call_id: "a\tb\\c".into(), call_type: String::new() },
            cdr_type: None,
            started_at: chrono::DateTime::UNIX_EPOCH,
            duration_seconds: None,
            ring_seconds: None,
            caller_number: None,
            caller_extension: None,
            target_number: None,
            target_extension: None,
            target_prefix_name: None,
            did: None,
            dial_status: None,
            dial_status2: None,
            queue_name: None,
            department_id: None,
            department_name: None,
            representative_code: None,
            representative_name: None,
            user_id: None,
            user_name: None,
            price: None,
            record_url: None,
            record_expected: None,
            dtmf_data: None,
            custom_data: None,
            extra: members.into_iter().collect(),
        }
    }

    /// The line, and the longest of the chunks that it came in.
    fn written(record: &Cdr, full: usize) -> (String, usize) {
        let (mut line, mut chunk, mut all, mut longest) = (Line::of(record), Vec::new(), Vec::new(), 0);
        loop {
            let ended = line.write(&mut chunk, full);
            longest = longest.max(chunk.len());
            all.append(&mut chunk);
            if ended {
                return (String::from_utf8(all).unwrap(), longest);
            }
        }
    }

    fn unescaped(text: &str) -> String {
        text.replace("\\\\", "\u{1}").replace("\\t", "\t").replace("\\n", "\n").replace('\u{1}', "\\")
    }

    #[test]
    fn a_line_is_the_same_in_chunks_of_any_size_and_its_json_is_serdes() {
        let note = "say \"hi\" \\ \u{5d0}\n\t\u{1f600}".repeat(8_000);
        let values = serde_json::json!({
            "Empty": {}, "None": [], "Deep": [[1, null], {"b": true, "a\n\"": -1.5e300}], "Note": note, "Z": ""
        });
        let record = Cdr { custom_data: Some(values.clone()), ..record(values.clone()) };
        let (line, _) = written(&record, usize::MAX);
        assert_eq!(written(&record, 1).0, line);
        assert_eq!(written(&record, 1000).0, line);
        let line = line.strip_suffix('\n').unwrap();
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields.len(), 27);
        assert_eq!((fields[0], fields[1], fields[2]), ("a\\tb\\\\c", "", "\\N"));
        assert_eq!(unescaped(fields[25]), values.to_string());
        assert_eq!(unescaped(fields[26]), values.to_string());
    }

    #[test]
    fn a_record_of_many_megabytes_comes_in_chunks() {
        let many: Vec<String> = (0..100_000).map(|number| format!("part {number}")).collect();
        let record = record(
            serde_json::json!({"One": "\\".repeat(5 << 20), "Many": many, "Two": "\u{5d0}".repeat(1 << 20)}),
        );
        let (line, longest) = written(&record, 1 << 20);
        assert!(line.len() > 12 << 20);
        assert!(longest < (1 << 20) + 5 * PIECE, "{longest}");
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
