//! `query`: one request to the API, printed to the terminal.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::moment::{Moment, moment};
use super::paced_session::PacedSession;
use super::spreadsheet::{self, Cell};
use super::table::render;
use super::{CliError, Exit, fields, span};
use crate::cdr::{Cdr, FieldValue};
use crate::clock::Clock;
use crate::config::{self, AccountConfig, Config};
use crate::setup::{self, SetupError};
use crate::voicenter::said::{printable, without_controls};
use crate::voicenter::{Action, Answer, ApiError, Fields, Filter, Form, Format, IdentityCriteria, Question};
use crate::window::Window;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync query --from 2026-11-01T08:00:00Z --to 2026-11-01T09:00:00Z --phone 972547588535\n  cdr-sync query --from 2026-11-01 --to 2026-11-02 --format csv > calls.csv\n  cdr-sync query --from -2h --format xlsx > calls.xlsx"
)]
pub(super) struct QueryArgs {
    /// Request calls from this time on: RFC 3339, a day (midnight UTC), or relative such as -2h, today, yesterday.
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    from: Moment,
    /// Request calls up to this time [default: now].
    #[arg(long, value_name = "T", value_parser = moment, allow_hyphen_values = true)]
    to: Option<Moment>,
    /// Ask as this account; required if several are configured.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only calls of this phone number, with country code; repeatable.
    #[arg(long = "phone", value_name = "N")]
    phones: Vec<String>,
    /// Only calls of this extension (SIP name); repeatable.
    #[arg(long = "extension", value_name = "X")]
    extensions: Vec<String>,
    /// Whose calls to request with this credential.
    #[arg(long, value_name = "WHOSE")]
    identity: Option<Identity>,
    /// Only calls of this CdrType (current generation of the API); repeatable.
    #[arg(long = "cdr-type", value_name = "NUMBER")]
    cdr_types: Vec<i32>,
    /// Only the call with this CallID (current generation of the API).
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
    /// Print only this field; repeatable.
    #[arg(long = "field", value_name = "F")]
    pub(super) fields: Vec<String>,
    /// Send the request with this HTTP method; by default the configured one.
    #[arg(long)]
    method: Option<Sending>,
    /// Print the answer in this format.
    #[arg(long, default_value = "table")]
    pub(super) format: Printing,
    /// With --format csv: for spreadsheets, with a byte order mark, numbers as text (0501… keeps its zero), and nothing that
    /// would be calculated.
    #[arg(long)]
    pub(super) bom: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Identity {
    Account,
    Hierarchical,
    Department,
    User,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sending {
    Get,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Printing {
    /// A table for the terminal.
    Table,
    /// An array of objects with the columns of voicenter.cdr.
    Json,
    /// One row per record, with the columns of voicenter.cdr.
    Csv,
    /// A workbook for Excel, to be written to a file; times are in UTC.
    Xlsx,
    /// The API's own HTML page, unchanged.
    Html,
}

pub(super) async fn run(config: &Config, args: QueryArgs, clock: Clock) -> Result<Exit, CliError> {
    let span = span(args.from, args.to, clock.now())?;
    if args.bom && args.format != Printing::Csv {
        return Err(CliError::Usage("--bom is for --format csv".into()));
    }
    let mut config = config.clone();
    if let Some(method) = args.method {
        config.api.method = match method {
            Sending::Get => config::Method::Get,
            Sending::Post => config::Method::Post,
        };
    }
    let account = choose(&config, args.account.as_deref())?;
    let client = setup::client(&config, account).map_err(SetupError::from)?.keeping_items();
    let question = question(account, span, &args);
    let store = setup::open_store(&config).ok();
    let mut session = PacedSession::new(&config, account, client, store.as_ref(), &clock).await;
    if args.format == Printing::Html {
        return html(session, question).await;
    }
    let answer = match session.ask(question).await {
        Ok(answer) => answer,
        Err(error) => return Ok(told(&error)),
    };
    print(&answer, &args)?;
    let listed = answer.listed as u64;
    if let Some(total) = answer.total_hits.filter(|total| *total > listed) {
        eprintln!("cdr-sync: the API returned {listed} of {total} records: ask for a shorter span");
        return Ok(Exit::Incomplete);
    }
    // Records with only some fields may lack what a row needs.
    Ok(if answer.rejected.is_empty() || !args.fields.is_empty() { Exit::Done } else { Exit::Incomplete })
}

/// Prints the API's own page unchanged.
async fn html(mut session: PacedSession<'_>, question: Question) -> Result<Exit, CliError> {
    match session.ask_html(Question { format: Format::Html, ..question }).await {
        Ok(page) => {
            std::io::stdout().lock().write_all(page.as_bytes())?;
            Ok(Exit::Done)
        }
        Err(error) => Ok(told(&error)),
    }
}

fn told(error: &ApiError) -> Exit {
    eprintln!("cdr-sync: {error}. {}", error.advice());
    if matches!(error.action(), Action::Pause { .. }) { Exit::Refused } else { Exit::Failed }
}

fn choose<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a AccountConfig, CliError> {
    let accounts = config.require_accounts()?;
    let found = match name {
        Some(name) => accounts.iter().find(|account| account.name == name),
        None => accounts.first().filter(|_| accounts.len() == 1),
    };
    found.ok_or_else(|| {
        let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
        CliError::Usage(format!("--account must be one of: {}", names.join(", ")))
    })
}

fn question(account: &AccountConfig, span: Window, args: &QueryArgs) -> Question {
    let base = setup::filter(account);
    let or =
        |mine: &[String], configured: Vec<String>| if mine.is_empty() { configured } else { mine.to_vec() };
    Question {
        from: span.from(),
        to: span.to(),
        narrow: false,
        order: None,
        form: Form::FULL,
        filter: Filter {
            phones: or(&args.phones, base.phones),
            extensions: or(&args.extensions, base.extensions),
            identity: args.identity.map(Identity::on_the_wire).or(base.identity),
            cdr_types: if args.cdr_types.is_empty() { base.cdr_types } else { args.cdr_types.clone() },
            call_id: args.call_id.clone(),
            ..Filter::default()
        },
        fields: if args.fields.is_empty() { Fields::All } else { Fields::Only(args.fields.clone()) },
        format: Format::Json,
    }
}

impl Identity {
    const fn on_the_wire(self) -> IdentityCriteria {
        match self {
            Identity::Account => IdentityCriteria::Account,
            Identity::Hierarchical => IdentityCriteria::Hierarchical,
            Identity::Department => IdentityCriteria::Department,
            Identity::User => IdentityCriteria::User,
        }
    }
}

fn print(answer: &Answer, args: &QueryArgs) -> Result<(), CliError> {
    if !args.fields.is_empty() {
        return fields::print(&answer.items, args);
    }
    let mut out = std::io::stdout().lock();
    if args.format == Printing::Json {
        let records = answer.records.iter().map(Cdr::canonical_json).collect::<Vec<_>>();
        let rejected = answer.rejected.iter().map(|rejected| rejected.raw.clone());
        let all: Vec<String> = records.into_iter().chain(rejected).collect();
        writeln!(out, "[{}]", all.join(",\n"))?;
        return Ok(());
    }
    if args.format == Printing::Csv {
        return csv(out, answer, args.bom);
    }
    if args.format == Printing::Xlsx {
        drop(out);
        let rows: Vec<Vec<Cell>> = answer.records.iter().map(Cell::of).collect();
        spreadsheet::workbook(&Cdr::COLUMNS.map(|(name, _)| name), &rows)?;
        tell_rejected(answer);
        return Ok(());
    }
    let heading = ["date", "type", "caller", "target", "status", " seconds", "agent", "call id"];
    let rows: Vec<Vec<String>> = answer.records.iter().map(row).collect();
    writeln!(out, "{}", render(&heading, &rows))?;
    writeln!(out, "{} records", answer.listed)?;
    for rejected in &answer.rejected {
        writeln!(out, "cannot be a row ({}): {}", rejected.reason.as_str(), printable(&rejected.raw))?;
    }
    Ok(())
}

/// Prints a row for each record; fields without a column are in `extra`, as JSON. Rejected records go to stderr.
fn csv(mut out: impl std::io::Write, answer: &Answer, for_spreadsheets: bool) -> Result<(), CliError> {
    let failed = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => CliError::Output(error),
        kind => CliError::Failed(format!("{kind:?}")),
    };
    if for_spreadsheets {
        spreadsheet::begin(&mut out)?;
    }
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(Cdr::COLUMNS.map(|(name, _)| name)).map_err(failed)?;
    for record in &answer.records {
        writer.write_record(record.values().map(|value| cell(value, for_spreadsheets))).map_err(failed)?;
    }
    writer.flush()?;
    tell_rejected(answer);
    Ok(())
}

fn tell_rejected(answer: &Answer) {
    for rejected in &answer.rejected {
        eprintln!("cdr-sync: cannot be a row ({}): {}", rejected.reason.as_str(), printable(&rejected.raw));
    }
}

fn cell(value: FieldValue<'_>, for_spreadsheets: bool) -> String {
    match value {
        FieldValue::Null => String::new(),
        FieldValue::Text(text) if for_spreadsheets => spreadsheet::guarded(without_controls(text)),
        FieldValue::Text(text) => without_controls(text),
        FieldValue::Members(members) if members.is_empty() => String::new(),
        FieldValue::Instant(instant) => instant.to_rfc3339(),
        other => serde_json::to_string(&other).unwrap_or_default(),
    }
}

fn row(record: &Cdr) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let either = |a: &Option<String>, b: &Option<String>| a.clone().or_else(|| b.clone()).unwrap_or_default();
    let number =
        |value: Option<i32>| value.map_or_else(String::new, |number| Value::from(number).to_string());
    vec![
        record.started_at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        record.key.call_type.clone(),
        either(&record.caller_number, &record.caller_extension),
        either(&record.target_number, &record.target_extension),
        text(&record.dial_status),
        number(record.duration_seconds),
        text(&record.representative_name),
        record.key.call_id.clone(),
    ]
}
