//! `query --field`: the records as the API sent them, with exactly the fields asked for. They need not be complete
//! rows.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::CliError;
use super::query::{Printing, QueryArgs};
use super::spreadsheet::{self, Cell};
use super::table::render;
use crate::voicenter::said::{printable, without_controls};

/// Prints `items`, the records' own texts, limited to the fields asked for.
pub(super) fn print(items: &[String], args: &QueryArgs) -> Result<(), CliError> {
    let (fields, format) = (&args.fields, args.format);
    let mut out = io::stdout().lock();
    let (records, others): (Vec<_>, Vec<_>) =
        items.iter().map(|item| (item, object(item))).partition(|(_, o)| o.is_some());
    let records: Vec<Map<String, Value>> = records.into_iter().filter_map(|(_, object)| object).collect();
    let row = |record: &Map<String, Value>| {
        fields.iter().map(|field| cell(value(record, field))).collect::<Vec<_>>()
    };
    match format {
        Printing::Json => {
            let records = records.iter().map(|record| json(record, fields));
            let all: Vec<String> = records.chain(others.iter().map(|(item, _)| (*item).clone())).collect();
            writeln!(out, "[{}]", all.join(",\n"))?;
        }
        Printing::Csv if args.bom => {
            spreadsheet::begin(&mut out)?;
            let guarded = |record: &Map<String, Value>| {
                let cells = fields.iter().map(|field| value(record, field));
                cells
                    .map(|value| match value {
                        Some(Value::String(text)) => spreadsheet::guarded(without_controls(text)),
                        other => cell(other),
                    })
                    .collect()
            };
            csv(&mut out, fields, records.iter().map(guarded))?;
        }
        Printing::Csv => csv(&mut out, fields, records.iter().map(row))?,
        Printing::Xlsx => {
            drop(out);
            let heading: Vec<&str> = fields.iter().map(String::as_str).collect();
            let cells = |record: &Map<String, Value>| {
                fields.iter().map(|field| Cell::of_json(value(record, field))).collect()
            };
            let rows: Vec<Vec<Cell>> = records.iter().map(cells).collect();
            spreadsheet::workbook(&heading, &rows)?;
        }
        Printing::Table | Printing::Html => {
            let heading: Vec<&str> = fields.iter().map(String::as_str).collect();
            let rows: Vec<Vec<String>> = records.iter().map(row).collect();
            writeln!(out, "{}\n{} records", render(&heading, &rows), items.len())?;
        }
    }
    if format != Printing::Json {
        for (item, _) in others {
            eprintln!("cdr-sync: not an object: {}", printable(item));
        }
    }
    Ok(())
}

fn object(item: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(item).ok()
}

/// Field names may be in any case.
fn value<'a>(record: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    record.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

/// The fields that were returned, in the order in which they were asked for.
fn json(record: &Map<String, Value>, fields: &[String]) -> String {
    let members = fields.iter().filter_map(|field| Some((field, value(record, field)?)));
    let members: Vec<String> =
        members.map(|(field, value)| format!("{}:{value}", Value::from(field.as_str()))).collect();
    format!("{{{}}}", members.join(","))
}

fn csv(out: impl Write, fields: &[String], rows: impl Iterator<Item = Vec<String>>) -> Result<(), CliError> {
    let failed = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => CliError::Output(error),
        kind => CliError::Failed(format!("{kind:?}")),
    };
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(fields).map_err(failed)?;
    for row in rows {
        writer.write_record(row.iter().map(|cell| without_controls(cell))).map_err(failed)?;
    }
    Ok(writer.flush()?)
}
