//! Records that somebody wrote, or saved from an API, as JSON: read leniently, in any spelling that real servers use.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Deserializer, Map, Value};

use super::clock::is_in_a_world;
use super::record::{Empties, Record};
use super::wire::Field;

/// Why a text holds no usable records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnusableRecords {
    /// Where: `line 3`, or `record 2` of a list.
    place: Option<String>,
    text: String,
}

impl fmt::Display for UnusableRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

const FORMS: &str = "expected are a JSON list of records, one record a line, or a saved answer with CDR_LIST";

/// Reads records from a JSON list, from JSON lines or from whole answers. Dates without a zone are wall time in `zone`.
pub(crate) fn read(text: &str, zone: Tz) -> Result<Vec<Record>, UnusableRecords> {
    let text = text.trim_start_matches('\u{feff}');
    let mut records = Vec::new();
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    let (mut line, mut counted, mut is_empty) = (1, 0, true);
    loop {
        let rest = text.get(values.byte_offset()..).unwrap_or_default();
        let start = text.len() - rest.trim_start().len();
        line += text.get(counted..start).unwrap_or_default().matches('\n').count();
        counted = start;
        let Some(value) = values.next() else { break };
        is_empty = false;
        let value = value.map_err(|error| UnusableRecords {
            place: Some(format!("line {}", error.line())),
            text: format!("this is not JSON ({error}); {FORMS}"),
        })?;
        append(&mut records, value, line, zone)?;
    }
    if is_empty {
        return Err(UnusableRecords {
            place: None,
            text: format!("there is nothing; {FORMS}, or [] for none"),
        });
    }
    Ok(records)
}

fn append(records: &mut Vec<Record>, value: Value, line: usize, zone: Tz) -> Result<(), UnusableRecords> {
    let at_line = |text: String| UnusableRecords { place: Some(format!("line {line}")), text };
    let list = match value {
        Value::Array(items) => items,
        Value::Object(mut object) => {
            let envelope = object.keys().find(|key| key.eq_ignore_ascii_case("CDR_LIST")).cloned();
            let Some(envelope) = envelope else {
                records.push(record(object, zone).map_err(at_line)?);
                return Ok(());
            };
            match object.remove(&envelope) {
                Some(Value::Array(items)) => items,
                Some(Value::Null) => Vec::new(),
                _ => return Err(at_line(format!("{envelope} must be a list of records"))),
            }
        }
        other => return Err(at_line(format!("a record must be an object, not {}; {FORMS}", short(&other)))),
    };
    for (index, item) in list.into_iter().enumerate() {
        let at_item = |text| UnusableRecords { place: Some(format!("record {}", index + 1)), text };
        let Value::Object(object) = item else {
            return Err(at_item(format!("a record must be an object, not {}", short(&item))));
        };
        records.push(record(object, zone).map_err(at_item)?);
    }
    Ok(())
}

/// When the API first shows a record that says nothing about that: at the end of its call.
pub(crate) fn end(record: &Record) -> DateTime<Utc> {
    let seconds = |part: Option<i32>| TimeDelta::seconds(i64::from(part.unwrap_or(0).max(0)));
    record.started_at + seconds(record.ring_time) + seconds(record.duration)
}

/// Reads one record; the error names the field, the value and what was expected.
fn record(object: Map<String, Value>, zone: Tz) -> Result<Record, String> {
    let mut record = Record { empties: Empties::Absent, ..Record::new("", "", DateTime::UNIX_EPOCH) };
    let (mut date, mut epoch) = (None, None);
    if let Some((one, other)) = same_names(&object) {
        return Err(format!("{one} and {other} are the same name: letter case does not matter"));
    }
    for (name, value) in object {
        let Some(field) = Field::spelled(&name) else {
            match name.to_lowercase().as_str() {
                "queueid" => record.queue_id = whole(&value),
                "campaignid" => record.campaign_id = whole(&value),
                _ => {}
            }
            record.unknown.insert(name, value);
            continue;
        };
        if let Some(empty) = emptiness(&value) {
            record.empty_as.insert(field.name(), empty);
            continue;
        }
        match field {
            Field::Date => date = Some(text(&name, value)?),
            Field::DateEpoch => {
                let instant = whole(&value).and_then(at_epoch);
                epoch = Some(instant.ok_or_else(|| odd(&name, &value, SECONDS))?)
            }
            field => fill(&mut record, field, &name, value)?,
        }
    }
    if record.call_id.is_empty() {
        return Err("CallID is missing: every record has one".to_owned());
    }
    record.started_at = match (date, epoch) {
        (Some(date), epoch) => instant(&date, epoch, zone)?,
        (None, Some(epoch)) => epoch,
        (None, None) => return Err("Date is missing: write it like \"2026-06-08T09:04:58Z\"".to_owned()),
    };
    Ok(record)
}

/// Two names that differ only in letter case.
fn same_names(object: &Map<String, Value>) -> Option<(&String, &String)> {
    let mut known = BTreeMap::new();
    object.keys().find_map(|name| Some((known.insert(name.to_lowercase(), name)?, name)))
}

fn fill(record: &mut Record, field: Field, name: &str, value: Value) -> Result<(), String> {
    let number = |value: &Value| {
        let number = whole(value).and_then(|number| i32::try_from(number).ok());
        number.ok_or_else(|| odd(name, value, "a whole number"))
    };
    match field {
        Field::CdrType => record.cdr_type = Some(number(&value)?),
        Field::Duration => record.duration = Some(number(&value)?),
        Field::RingTime => record.ring_time = Some(number(&value)?),
        Field::Price => {
            record.price = Some(price(&value).ok_or_else(|| odd(name, &value, "a number (agorot)"))?);
        }
        Field::RecordExpect => {
            record.record_expect = Some(truth(&value).ok_or_else(|| odd(name, &value, "true or false"))?);
        }
        Field::DtmfData => record.dtmf_data = value,
        Field::CustomData => record.custom_data = value,
        field => {
            if let Some(into) = text_of(record, field) {
                *into = text(name, value)?;
            }
        }
    }
    Ok(())
}

/// Where a record keeps a field that is text.
fn text_of(record: &mut Record, field: Field) -> Option<&mut String> {
    Some(match field {
        Field::CallId => &mut record.call_id,
        Field::Type => &mut record.call_type,
        Field::CallerNumber => &mut record.caller_number,
        Field::TargetNumber => &mut record.target_number,
        Field::DialStatus => &mut record.dial_status,
        Field::DialStatus2 => &mut record.dial_status2,
        Field::TargetExtension => &mut record.target_extension,
        Field::CallerExtension => &mut record.caller_extension,
        Field::Did => &mut record.did,
        Field::TargetPrefixName => &mut record.target_prefix_name,
        Field::RecordUrl => &mut record.record_url,
        Field::RepresentativeName => &mut record.representative_name,
        Field::RepresentativeCode => &mut record.representative_code,
        Field::QueueName => &mut record.queue_name,
        Field::DepartmentName => &mut record.department_name,
        Field::DepartmentId => &mut record.department_id,
        Field::UserName => &mut record.user_name,
        Field::UserId => &mut record.user_id,
        Field::Date
        | Field::DateEpoch
        | Field::CdrType
        | Field::Duration
        | Field::RingTime
        | Field::Price
        | Field::RecordExpect
        | Field::DtmfData
        | Field::CustomData => return None,
    })
}

/// How a value says that there is none; `None` if there is one.
fn emptiness(value: &Value) -> Option<Empties> {
    match value {
        Value::Null => Some(Empties::Null),
        Value::String(text) if text.is_empty() => Some(Empties::Empty),
        Value::Array(items) if items.is_empty() => Some(Empties::Empty),
        Value::Object(fields) if fields.is_empty() => Some(Empties::Empty),
        _ => None,
    }
}

fn odd(name: &str, value: &Value, expected: &str) -> String {
    format!("{name} must be {expected}, not {}", short(value))
}

/// A value as one sees it in the file, but no longer than a line.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text,
    }
}

fn text(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        value => Err(odd(name, &value, "text")),
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn price(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => {
            serde_json::from_str::<serde_json::Number>(text).ok().map(|number| number.to_string())
        }
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
    match text.as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

const SECONDS: &str = "in seconds since 1970, up to the year 2199";

fn at_epoch(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0).filter(|instant| is_in_a_world(*instant))
}

/// Reads a Date of the years that a world has.
fn instant(date: &str, epoch: Option<DateTime<Utc>>, zone: Tz) -> Result<DateTime<Utc>, String> {
    let date = date.trim();
    let instant = any_instant(date, epoch, zone)?;
    match is_in_a_world(instant) {
        true => Ok(instant),
        false => Err(format!("Date must be in the years 1970 to 2199, not \"{date}\"")),
    }
}

/// Reads a Date in each form that real servers use (docs/voicenter-api.md#dates).
fn any_instant(date: &str, epoch: Option<DateTime<Utc>>, zone: Tz) -> Result<DateTime<Utc>, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(date) {
        return Ok(instant.to_utc());
    }
    let (wall, zone) = match date.strip_suffix('Z') {
        Some(wall) => (wall, Tz::UTC),
        None => (date, zone),
    };
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let wall = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(wall, form).ok());
    let unknown = || format!("Date must be like \"2026-06-08T09:04:58Z\", not \"{date}\"");
    let wall = wall.ok_or_else(unknown)?;
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(instant) => Ok(instant.to_utc()),
        MappedLocalTime::Ambiguous(earlier, later) => {
            let is_later = epoch == Some(later.to_utc());
            Ok(if is_later { later.to_utc() } else { earlier.to_utc() })
        }
        MappedLocalTime::None => skipped(wall, zone).ok_or_else(unknown),
    }
}

/// A wall time that is skipped moves forward by what was skipped: the offset before the change holds.
fn skipped(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let before = zone.from_local_datetime(&wall.checked_sub_signed(TimeDelta::hours(6))?).earliest()?;
    before.offset().fix().from_local_datetime(&wall).single().map(|instant| instant.to_utc())
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Jerusalem;
    use serde_json::json;

    use super::*;

    fn one(fields: Value) -> Result<Record, String> {
        let mut all = json!({"CallID": "a", "Date": "2026-06-08T09:04:58Z"});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let read = read(&all.to_string(), Jerusalem);
        read.map(|mut records| records.remove(0)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_lines_and_a_saved_answer_are_the_same_records() {
        let records = [
            r#"{"CallID":"a","Date":"2026-06-08T09:04:58Z"}"#,
            r#"{"callid":"b","date":"2026-06-08T09:05Z"}"#,
        ];
        let list = read(&format!("[{}]", records.join(",")), Tz::UTC).unwrap();
        assert_eq!(list.iter().map(|record| record.call_id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(read(&records.join("\n"), Tz::UTC).unwrap(), list);
        let answer = format!("{{\"ERROR_NUMBER\":0,\"CDR_LIST\":[{}]}}", records.join(","));
        assert_eq!(read(&format!("\u{feff}{answer}\n"), Tz::UTC).unwrap(), list);
        assert_eq!(read("[]", Tz::UTC).unwrap(), []);
        assert_eq!(read(r#"{"CDR_LIST":null}"#, Tz::UTC).unwrap(), []);
    }

    #[test]
    fn every_form_of_a_date_and_of_a_value_is_understood() {
        let started = |date: Value| one(json!({"Date": date})).map(|record| record.started_at.to_rfc3339());
        for (date, expected) in [
            ("2026-06-08T09:04:58Z", "2026-06-08T09:04:58+00:00"),
            ("2026-06-08T09:04Z", "2026-06-08T09:04:00+00:00"),
            ("2026-06-08T09:04:58+03:00", "2026-06-08T06:04:58+00:00"),
            ("2026-06-08T09:04:58", "2026-06-08T06:04:58+00:00"),
            ("2026-06-08 09:04:58.000", "2026-06-08T06:04:58+00:00"),
            ("2026-06-08T09:04", "2026-06-08T06:04:00+00:00"),
            // This wall time occurs twice in Israel.
            ("2026-10-25T01:30:00", "2026-10-24T22:30:00+00:00"),
            // This one is skipped, and means 03:30.
            ("2026-03-27T02:30:00", "2026-03-27T00:30:00+00:00"),
        ] {
            assert_eq!(started(json!(date)).unwrap(), expected, "{date}");
        }
        let second = one(json!({"Date": "2026-10-25T01:30:00", "DateEpoch": "1792884600"})).unwrap();
        assert_eq!(second.started_at.to_rfc3339(), "2026-10-24T23:30:00+00:00");
        assert_eq!(one(json!({"Date": null, "DateEpoch": 60})).unwrap().started_at.timestamp(), 60);
        let record = one(json!({
            "duration": "12", "RingTime": 3, "recordexpect": "1", "Price": "7.50", "RepresentativeCode": 87,
            "Targetextension": "SIP1", "DID": "", "QueueName": null, "QueueId": 305, "New": {"a": 1}}))
        .unwrap();
        assert_eq!(
            (record.duration, record.ring_time, record.record_expect),
            (Some(12), Some(3), Some(true))
        );
        assert_eq!((record.price.as_deref(), record.representative_code.as_str()), (Some("7.50"), "87"));
        assert_eq!((record.target_extension.as_str(), record.queue_id), ("SIP1", Some(305)));
        assert_eq!(record.empty_as, [("DID", Empties::Empty), ("QueueName", Empties::Null)].into());
        assert_eq!(Value::from(record.unknown.clone()), json!({"QueueId": 305, "New": {"a": 1}}));
        assert_eq!((end(&record) - record.started_at).num_seconds(), 15);
    }

    #[test]
    fn an_error_names_the_place_the_field_and_what_was_expected() {
        for (text, expected) in [
            ("", "there is nothing; expected are a JSON list of records"),
            ("[1]", "record 1: a record must be an object, not 1"),
            ("3", "line 1: a record must be an object, not 3; expected are"),
            (
                r#"[{"CallID":"a","Date":"2026-06-08"}]"#,
                "record 1: Date must be like \"2026-06-08T09:04:58Z\", not",
            ),
            (r#"[{"CallID":"a"}]"#, "record 1: Date is missing"),
            (r#"[{"Date":"2026-06-08T09:04"}]"#, "record 1: CallID is missing"),
            (r#"{"CDR_LIST":5}"#, "line 1: CDR_LIST must be a list of records"),
        ] {
            let error = read(text, Tz::UTC).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let good = r#"{"CallID":"a","Date":"2026-06-08T09:04:58Z"}"#;
        let late = format!("{good}\n\n{good}\n{{\"CallID\":\"c\",\"Date\":\"x\"}}\n");
        assert!(read(&late, Tz::UTC).unwrap_err().to_string().starts_with("line 4: Date must be"));
        let broken = format!("{good}\n{{\"CallID\":\n");
        let error = read(&broken, Tz::UTC).unwrap_err().to_string();
        assert!(
            error.starts_with("line 3: this is not JSON (EOF") || error.starts_with("line 2: this is not"),
            "{error}"
        );
        for (fields, expected) in [
            (json!({"Duration": "soon"}), "line 1: Duration must be a whole number, not \"soon\""),
            (json!({"Price": "free"}), "line 1: Price must be a number (agorot), not \"free\""),
            (json!({"RecordExpect": "maybe"}), "line 1: RecordExpect must be true or false, not \"maybe\""),
            (json!({"DID": [1]}), "line 1: DID must be text, not [1]"),
            (
                json!({"DateEpoch": 1_780_909_498_000_i64}),
                "line 1: DateEpoch must be in seconds since 1970, up to the year 2199, not 1780909498000",
            ),
            (
                json!({"Date": "+262142-12-31T23:59:59Z"}),
                "line 1: Date must be in the years 1970 to 2199, not \"+262142-12-31T23:59:59Z\"",
            ),
            (json!({"Date": "+262142-12-31T23:59"}), "line 1: Date must be in the years 1970 to 2199, not"),
            (json!({"Date": "1969-12-31T23:59"}), "line 1: Date must be in the years 1970 to 2199, not"),
            (json!({"date": "2026-06-08T09:05Z"}), "line 1: Date and date are the same name"),
            (json!({"New": 1, "new": 2}), "line 1: New and new are the same name"),
        ] {
            assert!(one(fields).unwrap_err().starts_with(expected), "{expected}");
        }
    }
}
