//! One line of `COPY`'s text format, written piece by piece: a single record can be as large as an answer.

use super::value_text::ValueText;
use crate::cdr::{Cdr, FieldValue};

/// The rest of a record's line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    values: std::array::IntoIter<FieldValue<'a>, { Cdr::COLUMNS.len() }>,
    /// The value that is being written.
    text: ValueText<'a>,
    is_first: bool,
    ended: bool,
}

impl<'a> Line<'a> {
    pub(super) fn of(record: &'a Cdr) -> Self {
        let values = record.values().into_iter();
        Self { values, text: ValueText::default(), is_first: true, ended: false }
    }

    /// Appends to `chunk` until that is about `full` bytes long. Returns `true` once the line has ended.
    pub(super) fn write(&mut self, chunk: &mut Vec<u8>, full: usize) -> bool {
        while !self.ended && chunk.len() < full {
            match self.text.next() {
                Some(piece) => escape(piece, chunk),
                None => self.next_value(chunk),
            }
        }
        self.ended
    }

    fn next_value(&mut self, chunk: &mut Vec<u8>) {
        let Some(value) = self.values.next() else {
            chunk.push(b'\n');
            self.ended = true;
            return;
        };
        if !std::mem::take(&mut self.is_first) {
            chunk.push(b'\t');
        }
        if !self.text.begin(value) {
            chunk.extend_from_slice(b"\\N");
        }
    }
}

/// PostgreSQL's manual, COPY, "Text Format": only these four must be escaped.
fn escape(text: &[u8], line: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
        let (plain, special) = rest.split_at(at);
        line.extend_from_slice(plain);
        line.extend_from_slice(match special.first() {
            Some(b'\t') => b"\\t",
            Some(b'\n') => b"\\n",
            Some(b'\r') => b"\\r",
            _ => b"\\\\",
        });
        rest = special.get(1..).unwrap_or_default();
    }
    line.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::store::stage::value_text::PIECE;

    fn record(extra: Value) -> Cdr {
        let key = crate::cdr::CdrKey { call_id: "a\tb\\c".into(), call_type: String::new() };
        let extra = extra.as_object().unwrap().clone().into_iter().collect();
        Cdr { key, extra, ..Cdr::default() }
    }

    /// The line, and the length of its longest chunk.
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
        assert_eq!(fields.len(), Cdr::COLUMNS.len());
        assert_eq!((fields[0], fields[1], fields[3]), ("a\\tb\\\\c", "", "\\N"));
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
}
