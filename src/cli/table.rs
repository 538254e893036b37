//! Plain tables: columns as wide as their widest cell, and colours on a terminal.

use std::io::IsTerminal;

use chrono::{DateTime, Utc};

use crate::voicenter::said::printable;

/// Renders rows under a heading. A column is left-aligned unless its heading starts with a space.
pub(super) fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    // Text from other systems must not move the terminal's cursor.
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let head = heading.get(column).map_or(0, |head| head.trim_start().chars().count());
        cells.max().unwrap_or(0).max(head)
    };
    let widths: Vec<(usize, bool)> =
        heading.iter().enumerate().map(|(i, head)| (width(i), head.starts_with(' '))).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.into_iter().zip(&widths).map(|(cell, (width, right))| {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            if *right { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heading.iter().map(|head| head.trim_start()).collect())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// Colours, on a terminal that does not refuse them (<https://no-color.org>).
pub(super) struct Paint(bool);

impl Paint {
    pub(super) fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(std::io::stdout().is_terminal() && !refused)
    }

    pub(super) fn good(&self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn warn(&self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn bad(&self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn quiet(&self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A number with a comma between thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A stretch of time for people: the two largest units.
pub(super) fn span(delta: chrono::TimeDelta) -> String {
    let seconds = delta.num_seconds().max(0);
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut parts = Vec::new();
    let mut left = seconds;
    for (name, size) in units {
        if left >= size && parts.len() < 2 {
            parts.push(format!("{}{name}", left / size));
            left %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

pub(super) fn time(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// How many characters of a long text a cell shows: on a terminal about a line, otherwise all.
pub(super) struct CellWidth(usize);

impl CellWidth {
    pub(super) fn on_stdout() -> Self {
        Self(if std::io::stdout().is_terminal() { 60 } else { usize::MAX })
    }

    pub(super) fn cell(&self, text: &str) -> String {
        let text = text.replace(['\n', '\r', '\t'], " ");
        if text.chars().count() <= self.0 {
            return text;
        }
        text.chars().take(self.0).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["sales".to_owned(), "12".to_owned()], vec!["a".to_owned(), "3456".to_owned()]];
        assert_eq!(render(&["account", " rows"], &rows), "account  rows\nsales      12\na        3456");
    }

    #[test]
    fn numbers_and_spans_read_well() {
        assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        let spans = [0, 59, 61, 3600, 90_061].map(|s| span(chrono::TimeDelta::seconds(s)));
        assert_eq!(spans, ["0s", "59s", "1m 1s", "1h", "1d 1h"]);
    }
}
