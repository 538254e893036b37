//! A CDR in the words of a push (docs/voicenter-api.md#notification), with what the call log does not have.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::ai;
use crate::random::Random;
use crate::record::Record;

/// What only a push says of a CDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) talk: i32,
    /// `None` if it is not of a queue.
    pub(super) wait: Option<i32>,
    /// The whole call.
    pub(super) whole: i32,
}

impl Facts {
    /// Of a queue's call the wait is a part of the whole; it lasts at least as long as a phone rang.
    pub(super) fn of(record: &Record, seed: u64) -> Self {
        let (duration, ring) = (record.duration.unwrap_or(0).max(0), record.ring_time.unwrap_or(0).max(0));
        let is_answered = record.dial_status == "ANSWER";
        if record.queue_name.is_empty() {
            let talk = if is_answered || record.call_type == "VoiceMail" { duration } else { 0 };
            return Self { talk, wait: None, whole: duration };
        }
        let whole = duration.max(ring);
        let longest = if is_answered { (whole - 1).max(0) } else { whole };
        let wait = match is_answered {
            true => {
                let drawn = Random::of(&[seed, 22]).between(ring.into(), i64::from(ring) + 40);
                i32::try_from(drawn).unwrap_or(ring).min(longest)
            }
            false => longest,
        };
        Self { talk: if is_answered { whole - wait } else { 0 }, wait: Some(wait), whole }
    }
}

/// How one push is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) zone: Tz,
    pub(super) is_local: bool,
    pub(super) has_type: bool,
    pub(super) has_ai: bool,
}

/// The fields of a push; `random` draws what is inconsistent between pushes.
pub(super) fn of(record: &Record, seed: u64, style: Style, random: &mut Random) -> Map<String, Value> {
    let facts = Facts::of(record, seed);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    let is_outgoing = is_outgoing(&record.call_type);
    put("caller", json!(record.caller_number));
    put("target", json!(record.target_number));
    put("time", json!(time(record.started_at, style)));
    put("duration", json!(facts.whole));
    put("ivruniqueid", json!(record.call_id));
    if style.has_type {
        put("type", json!(record.call_type));
    }
    put("status", json!(record.dial_status));
    put("targetextension", json!(record.target_extension));
    put("callerextension", json!(record.caller_extension));
    let name = |extension: &str| if extension.is_empty() { "" } else { record.representative_name.as_str() };
    put("targetextension_name", json!(name(&record.target_extension)));
    put("callerextension_name", json!(name(&record.caller_extension)));
    put("did", json!(record.did));
    put("queueid", json!(record.queue_id.unwrap_or(0)));
    put("queuename", json!(record.queue_name));
    put("record", json!(link(record, random)));
    put("price", price(record, random));
    put("dialtime", json!(record.ring_time));
    put("representative_name", json!(record.representative_name));
    put("representative_code", json!(record.representative_code));
    put("target_country", json!(country(&record.target_number)));
    put("caller_country", json!(country(&record.caller_number)));
    put("seconds_waiting_in_queue", json!(facts.wait.unwrap_or(0)));
    put("actualCallDuration", json!(facts.talk));
    put("actualCallDialtime", json!(record.ring_time));
    put("isAnswer", json!(i32::from(record.dial_status == "ANSWER")));
    put("direction", json!(if is_outgoing { "Outgoing" } else { "Incoming" }));
    let extension = if is_outgoing { &record.caller_extension } else { &record.target_extension };
    put("extenUser", json!(extension));
    put("callerPhone", json!(if is_outgoing { &record.target_number } else { &record.caller_number }));
    put("DepartmentName", json!(record.department_name));
    put("DepartmentID", record.department_id.parse::<i64>().map_or(Value::Null, Value::from));
    if !record.department_id.is_empty() {
        put("TopDepartmentID", json!(1200));
        put("TopDepartmentName", json!("החברה"));
    }
    if record.call_type.to_lowercase().contains("leg") {
        put("leg1DialStatusName", json!(record.dial_status));
    }
    put("IVR", menus(record, seed));
    if let Value::Object(mut custom) = record.custom_data.clone() {
        if let Some(original) = custom.remove("OriginalIvrUniqueID") {
            put("OriginalIvrUniqueID", original);
        }
        put(if random.chance(0.5) { "CustomData" } else { "CUSTOM_DATA" }, Value::Object(custom));
    }
    if let Some(campaign) = record.campaign_id {
        dialer(record, campaign, seed, random).into_iter().for_each(|(name, value)| put(&name, value));
    }
    if style.has_ai {
        // The same analysis in every push of the CDR.
        put("aiData", ai::data(record, &mut Random::of(&[seed, 23])));
    } else if random.chance(0.3) {
        put("aiData", Value::Null);
    }
    fields
}

fn time(started: DateTime<Utc>, style: Style) -> i64 {
    match style.is_local {
        true => started.with_timezone(&style.zone).naive_local().and_utc().timestamp(),
        false => started.timestamp(),
    }
}

fn is_outgoing(call_type: &str) -> bool {
    call_type == "Extension Outgoing" || call_type.to_lowercase().ends_with("leg2")
}

/// The link is often that of another store than the call log's.
fn link(record: &Record, random: &mut Random) -> String {
    match record.record_url.strip_suffix(".mp3") {
        Some(stem) if random.chance(0.3) => format!("{stem}-aws.mp3"),
        _ => record.record_url.clone(),
    }
}

/// The price is often not final.
fn price(record: &Record, random: &mut Random) -> Value {
    match &record.price {
        _ if random.chance(0.2) => json!(0),
        Some(price) => serde_json::from_str(price).unwrap_or(Value::Null),
        None => Value::Null,
    }
}

fn country(number: &str) -> &'static str {
    match number {
        "" | "anonymous" => "",
        number if number.starts_with("44") => "United Kingdom",
        _ => "Israel",
    }
}

/// The menus as a push has them: more of each than the call log's DTMFData.
fn menus(record: &Record, seed: u64) -> Value {
    let Value::Array(layers) = &record.dtmf_data else { return json!([]) };
    let mut random = Random::of(&[seed, 24]);
    let layers = layers.iter().zip(1..).map(|(layer, order)| {
        json!({
            "layer_id": random.between(1_000, 9_999),
            "layer_name": layer.get("LayerName"),
            "layer_number": layer.get("LayerNumber"),
            "Dtmf": layer.get("DTMF"),
            "dtmf_order": order,
        })
    });
    layers.collect()
}

/// What a campaign adds: on the record, within `dialerData`, or both.
fn dialer(record: &Record, campaign: i64, seed: u64, random: &mut Random) -> Vec<(String, Value)> {
    let mut own = Random::of(&[seed, 25]);
    let inserted = record.started_at - chrono::TimeDelta::minutes(own.between(1, 600));
    let all = json!({
        "campaignID": campaign,
        "campaignName": format!("קמפיין {campaign}"),
        "campaignCode": format!("C{campaign:04}"),
        "CampaignTypeID": 3,
        "campaignTypeName": "Productive",
        "StatusName": if record.dial_status == "ANSWER" { "Done" } else { "Retry" },
        "Phone": record.target_number,
        "CallInserted": inserted.format("%Y-%m-%d %H:%M:%S").to_string(),
        "RetryNum": own.between(1, 3),
        "RetryAmount": 3,
    });
    let Value::Object(all) = all else { return Vec::new() };
    let mut fields: Vec<(String, Value)> = Vec::new();
    let (outside, inside) = random.pick(&[(true, true), (true, false), (false, true)]);
    if inside || !outside {
        fields.push(("dialerData".to_owned(), Value::Object(all.clone())));
    }
    if outside {
        fields.extend(all);
    }
    if own.chance(0.1) {
        fields.push((
            "IsDoNotCallMe".to_owned(),
            json!(if own.chance(0.5) { json!("true") } else { json!(1) }),
        ));
        fields.push(("DoNotCallMeStatus".to_owned(), json!("Blocked")));
        fields.push(("DoNotCallMeStatusCode".to_owned(), json!(2)));
        fields.push(("DoNotCallMetransactionId".to_owned(), json!(format!("{:016x}", own.next()))));
    }
    fields
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn queue(status: &str, duration: i32, ring: i32) -> Record {
        let started = Utc.with_ymd_and_hms(2026, 6, 8, 9, 0, 0).unwrap();
        Record {
            duration: Some(duration),
            ring_time: Some(ring),
            dial_status: status.to_owned(),
            queue_name: "Sales".to_owned(),
            queue_id: Some(7),
            ..Record::new("1", "Queue", started)
        }
    }

    #[test]
    fn talk_and_wait_are_the_whole_of_a_queues_call() {
        for seed in 0..200 {
            let facts = Facts::of(&queue("ANSWER", 100, 20), seed);
            assert_eq!((facts.whole, facts.talk + facts.wait.unwrap()), (100, 100));
            assert!((20..=60).contains(&facts.wait.unwrap()), "{facts:?}");
            let short = Facts::of(&queue("ANSWER", 5, 20), seed);
            assert!(short.talk >= 1, "{short:?}");
            let facts = Facts::of(&queue("ABANDONE", 0, 20), seed);
            assert_eq!(facts, Facts { talk: 0, wait: Some(20), whole: 20 });
        }
    }

    #[test]
    fn the_time_is_the_wall_clock_written_as_utc_or_a_true_epoch() {
        let started = Utc.with_ymd_and_hms(2026, 6, 8, 9, 0, 0).unwrap();
        let style = |is_local| Style { zone: Tz::Asia__Jerusalem, is_local, has_type: true, has_ai: false };
        assert_eq!(time(started, style(true)) - time(started, style(false)), 3 * 3_600);
        assert_eq!(time(started, style(false)), started.timestamp());
    }
}
