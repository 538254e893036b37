//! Records for spreadsheets: CSV that Excel opens without changing it, and Excel's own format.

use std::io::{self, IsTerminal, Write};

use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};
use serde_json::Value;

use super::CliError;
use crate::cdr::{Cdr, FieldValue};
use crate::voicenter::said::without_controls;

/// Without it Excel takes UTF-8 for the computer's old code page, and Hebrew names are unreadable.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Excel's limits.
const LONGEST_TEXT: usize = 32_767;
const MOST_ROWS: usize = 1_048_576;
/// A text that begins so is calculated: whoever sets a caller's name could run a formula on the reader's computer.
const BEGINS_FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Empty,
    Text(String),
    Number(f64),
    Flag(bool),
    /// A time in UTC, without its zone, which spreadsheets do not know.
    Instant(chrono::NaiveDateTime),
}

impl Cell {
    /// A record's cells in the order of `Cdr::COLUMNS`.
    pub(super) fn of(record: &Cdr) -> Vec<Cell> {
        let types = Cdr::COLUMNS.iter().map(|(_, sql_type)| *sql_type);
        record
            .values()
            .into_iter()
            .zip(types)
            .map(|(value, sql_type)| Cell::of_field(value, sql_type))
            .collect()
    }

    fn of_field(value: FieldValue<'_>, sql_type: &str) -> Cell {
        match value {
            FieldValue::Null => Cell::Empty,
            FieldValue::Text(text) if sql_type == "numeric" => {
                text.parse().map_or_else(|_| Cell::Text(text.to_owned()), Cell::Number)
            }
            FieldValue::Text(text) => Cell::Text(without_controls(text)),
            FieldValue::Number(number) => Cell::Number(number.into()),
            FieldValue::Flag(flag) => Cell::Flag(flag),
            FieldValue::Instant(instant) => Cell::Instant(instant.naive_utc()),
            FieldValue::Members(members) if members.is_empty() => Cell::Empty,
            other => Cell::Text(serde_json::to_string(&other).unwrap_or_default()),
        }
    }

    /// A field as the API sent it.
    pub(super) fn of_json(value: Option<&Value>) -> Cell {
        match value {
            None | Some(Value::Null) => Cell::Empty,
            Some(Value::String(text)) => Cell::Text(without_controls(text)),
            Some(Value::Bool(flag)) => Cell::Flag(*flag),
            // A spreadsheet keeps 15 digits.
            Some(Value::Number(number)) if number.to_string().len() > 15 => Cell::Text(number.to_string()),
            Some(Value::Number(number)) => {
                number.as_f64().map_or_else(|| Cell::Text(number.to_string()), Cell::Number)
            }
            Some(value) => Cell::Text(value.to_string()),
        }
    }
}

/// Begins CSV that spreadsheets read as UTF-8.
pub(super) fn begin(out: &mut impl Write) -> io::Result<()> {
    out.write_all(BYTE_ORDER_MARK)
}

/// A text cell of CSV that a spreadsheet shows as it is: numbers keep their zeros, and nothing is calculated.
pub(super) fn guarded(text: String) -> String {
    // What spreadsheets turn into numbers, dates or times consists of these alone.
    let is_numeral = |char: char| char.is_ascii_digit() || "+-.,:/eE ()%".contains(char);
    if text.contains(|char: char| char.is_ascii_digit()) && text.chars().all(is_numeral) {
        return format!("=\"{text}\"");
    }
    if text.starts_with(BEGINS_FORMULA) { format!("'{text}") } else { text }
}

/// Writes a workbook with one sheet.
pub(super) fn workbook(heading: &[&str], rows: &[Vec<Cell>]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        return Err(CliError::Usage(
            "--format xlsx writes a file, not text for a terminal: redirect it, as in > calls.xlsx".into(),
        ));
    }
    if rows.len() >= MOST_ROWS {
        return Err(CliError::Failed(format!(
            "{} records are more than a sheet holds ({MOST_ROWS}): ask for a shorter span, or use --format csv",
            rows.len()
        )));
    }
    let bytes = bytes(heading, rows).map_err(|error| CliError::Failed(format!("the workbook: {error}")))?;
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

fn bytes(heading: &[&str], rows: &[Vec<Cell>]) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let (bold, time) = (Format::new().set_bold(), Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"));
    let sheet = book.add_worksheet();
    sheet.set_name("calls")?.set_freeze_panes(1, 0)?;
    for (column, name) in (0..).zip(heading) {
        sheet.write_string_with_format(0, column, *name, &bold)?;
    }
    for (row, cells) in (1..).zip(rows) {
        for (column, cell) in (0..).zip(cells) {
            write(sheet, row, column, cell, &time)?;
        }
    }
    sheet.autofit();
    book.save_to_buffer()
}

fn write(sheet: &mut Worksheet, row: u32, column: u16, cell: &Cell, time: &Format) -> Result<(), XlsxError> {
    match cell {
        Cell::Empty => {}
        Cell::Text(text) => {
            // Excel counts UTF-16 units.
            let mut units = 0;
            let fits = text.chars().take_while(|char| {
                units += char.len_utf16();
                units <= LONGEST_TEXT
            });
            sheet.write_string(row, column, fits.collect::<String>())?;
        }
        Cell::Number(number) => {
            sheet.write_number(row, column, *number)?;
        }
        Cell::Flag(flag) => {
            sheet.write_boolean(row, column, *flag)?;
        }
        Cell::Instant(instant) => {
            // Excel counts days from 1899-12-30.
            let start =
                chrono::DateTime::<chrono::Utc>::from_timestamp(-2_209_161_600, 0).unwrap_or_default();
            let days = (instant.and_utc() - start).as_seconds_f64() / 86_400.0;
            if (1.0..2_958_466.0).contains(&days) {
                sheet.write_number_with_format(row, column, days, time)?;
            } else {
                sheet.write_string(row, column, instant.to_string())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_text_and_nothing_is_calculated() {
        let shown = |text: &str| guarded(text.to_owned());
        for text in ["0501234567", "+972501234567", "100", "1e5", "2026-11-18", "8:30", "-5"] {
            assert_eq!(shown(text), format!("=\"{text}\""));
        }
        assert_eq!(shown("=cmd|'/C calc'!A0"), "'=cmd|'/C calc'!A0");
        assert_eq!(
            (shown("@SUM(A1)"), shown("-a"), shown("＝1+a")),
            ("'@SUM(A1)".into(), "'-a".into(), "'＝1+a".into())
        );
        assert_eq!((shown("Dana"), shown(""), shown("+")), ("Dana".into(), String::new(), "'+".into()));
        assert_eq!(shown("202611181000058ea7eaa58881f28b5c"), "202611181000058ea7eaa58881f28b5c");
    }

    #[test]
    fn a_workbook_is_a_zip_file_whose_texts_are_cut_where_excel_must() {
        let rows = [vec![Cell::Text("א".repeat(40_000)), Cell::Number(1.5), Cell::Flag(true), Cell::Empty]];
        let book = bytes(&["a", "b", "c", "d"], &rows).unwrap();
        assert!(book.starts_with(b"PK"));
    }
}
