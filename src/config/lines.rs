//! The line of each value in its file, since the config crate reports only the file.

use config::{Map, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The values of a file, each with `file:line` as its source. `text` is the content of the file, which has been parsed
/// before.
pub(super) fn with_lines(values: Map<String, Value>, name: &str, text: &str) -> Map<String, Value> {
    let Ok(document) = DeTable::parse(text) else { return values };
    in_table(values, document.get_ref(), &LineSource { name, text })
}

struct LineSource<'a> {
    name: &'a str,
    text: &'a str,
}

impl LineSource<'_> {
    fn line<T>(&self, part: &Spanned<T>) -> String {
        let before = self.text.get(..part.span().start).unwrap_or_default();
        format!("{}:{}", self.name, before.matches('\n').count() + 1)
    }
}

fn in_table(values: Map<String, Value>, table: &DeTable<'_>, source: &LineSource<'_>) -> Map<String, Value> {
    let with_line = |(key, value): (String, Value)| {
        let found = table.iter().find(|(name, _)| name.get_ref().as_ref() == key);
        let value = match found {
            Some((name, part)) => in_value(value, part.get_ref(), source.line(name), source),
            None => value,
        };
        (key, value)
    };
    values.into_iter().map(with_line).collect()
}

fn in_value(value: Value, part: &DeValue<'_>, line: String, source: &LineSource<'_>) -> Value {
    let kind = match (value.kind, part) {
        (ValueKind::Table(values), DeValue::Table(table)) => {
            ValueKind::Table(in_table(values, table, source))
        }
        (ValueKind::Array(values), DeValue::Array(parts)) => ValueKind::Array(
            values
                .into_iter()
                .enumerate()
                .map(|(index, value)| match parts.get(index) {
                    Some(part) => in_value(value, part.get_ref(), source.line(part), source),
                    None => value,
                })
                .collect(),
        ),
        (kind, _) => kind,
    };
    Value::new(Some(&line), kind)
}
