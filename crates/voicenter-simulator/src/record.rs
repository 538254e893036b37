//! One record as the API shows it at an instant, with all its fields.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Asia::Jerusalem;
use serde_json::{Map, Value, json};

use super::calls::{CallKind, Entry};
use super::people::{self, Representative};
use super::random::Random;
use super::recordings::NOWHERE;

/// A call detail record of the simulated API. Empty text, `{}` and `[]` mean that there is no value.
///
/// A record to insert by hand: `Record { duration: Some(12), ..Record::new("id", "Queue", date) }`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the API's field of its name")]
pub struct Record {
    pub call_id: String,
    /// `Type`; left out of the answer if empty, unless `empty_as` names it.
    pub call_type: String,
    pub cdr_type: Option<i32>,
    /// `Date`, as an instant; it is sent in the API's zone.
    pub started_at: DateTime<Utc>,
    /// `Duration` of the call, in seconds.
    pub duration: Option<i32>,
    /// `RingTime` of the call, in seconds.
    pub ring_time: Option<i32>,
    pub caller_number: String,
    pub caller_extension: String,
    pub target_number: String,
    pub target_extension: String,
    pub target_prefix_name: String,
    pub did: String,
    pub dial_status: String,
    pub dial_status2: String,
    pub queue_name: String,
    /// Compared with `queueID` of a search; not sent itself.
    pub queue_id: Option<i64>,
    /// Compared with `campaignID` of a search; not sent itself.
    pub campaign_id: Option<i64>,
    pub department_id: String,
    pub department_name: String,
    pub representative_code: String,
    pub representative_name: String,
    pub user_id: String,
    pub user_name: String,
    /// `Price` in agorot, as the text of a JSON number.
    pub price: Option<String>,
    pub record_url: String,
    pub record_expect: Option<bool>,
    pub dtmf_data: Value,
    pub custom_data: Value,
    /// Undocumented fields, sent as they are.
    pub unknown: Map<String, Value>,
    /// How fields without a value are written.
    pub empties: Empties,
    /// How single fields without a value are written, by the field's name, if not like the others.
    pub empty_as: BTreeMap<&'static str, Empties>,
}

/// How a server writes a field that has no value; all three occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empties {
    /// `""`, `{}` or `[]`; numbers as null.
    #[default]
    Empty,
    /// `null`, whatever the field's type.
    Null,
    /// The field is left out.
    Absent,
}

impl Record {
    /// A record with nothing but its CallID, Type and Date.
    pub fn new(call_id: &str, call_type: &str, started_at: DateTime<Utc>) -> Self {
        Self {
            call_id: call_id.to_owned(),
            call_type: call_type.to_owned(),
            cdr_type: None,
            started_at,
            duration: None,
            ring_time: None,
            caller_number: String::new(),
            caller_extension: String::new(),
            target_number: String::new(),
            target_extension: String::new(),
            target_prefix_name: String::new(),
            did: String::new(),
            dial_status: String::new(),
            dial_status2: String::new(),
            queue_name: String::new(),
            queue_id: None,
            campaign_id: None,
            department_id: String::new(),
            department_name: String::new(),
            representative_code: String::new(),
            representative_name: String::new(),
            user_id: String::new(),
            user_name: String::new(),
            price: None,
            record_url: String::new(),
            record_expect: None,
            dtmf_data: json!([]),
            custom_data: json!({}),
            unknown: Map::new(),
            empties: Empties::Empty,
            empty_as: BTreeMap::new(),
        }
    }

    /// The generated record behind an index entry, as it is at `at` (seconds since 1970).
    pub(crate) fn of(entry: &Entry, at: i64) -> Self {
        let mut shared = Random::of(&[entry.call, 4]);
        let mut own = Random::of(&[entry.id, 5]);
        let kind = entry.kind_at(at);
        let mut record = Self::bare(entry, own_call_id(entry), at, &mut own);
        record.join_parties(kind, entry.status == "ANSWER", &mut shared);
        record.fill_in(entry, at, &mut own);
        if entry.kind == CallKind::Transfer
            && let Value::Object(custom) = &mut record.custom_data
        {
            custom.insert("OriginalIvrUniqueID".to_owned(), call_id(entry.call, entry.call_started).into());
        }
        record.press_keys(entry.kind, &mut own);
        record
    }

    /// The record behind an index entry without its parties, as it is at `at`.
    pub(crate) fn begin(entry: &Entry, call_id: String, at: i64) -> Self {
        let mut own = Random::of(&[entry.id, 5]);
        let mut record = Self::bare(entry, call_id, at, &mut own);
        record.fill_in(entry, at, &mut own);
        record
    }

    fn bare(entry: &Entry, call_id: String, at: i64, own: &mut Random) -> Self {
        let (call_type, cdr_type) = entry.kind_at(at).names();
        let started = entry.date_at(at).unwrap_or(entry.started);
        let empties = own.weighted(&[(80, Empties::Empty), (10, Empties::Null), (10, Empties::Absent)]);
        let status2 = if entry.status == "ANSWER" && own.chance(0.3) { "ANSWER" } else { "" };
        Self {
            cdr_type: Some(cdr_type),
            duration: Some(entry.duration),
            ring_time: Some(entry.ring),
            dial_status: entry.status.to_owned(),
            dial_status2: status2.to_owned(),
            empties,
            ..Self::new(&call_id, call_type, instant(started))
        }
    }

    /// Sets who spoke with whom, according to the kind of call.
    fn join_parties(&mut self, kind: CallKind, answered: bool, shared: &mut Random) {
        let (customer, prefix) = people::phone(shared);
        let agent = people::representative(shared);
        let department = people::department(shared);
        self.did = department.did.to_owned();
        match kind {
            CallKind::Outgoing
            | CallKind::Click2CallLeg2
            | CallKind::ProductiveLeg2
            | CallKind::AttendedLeg2 => {
                self.caller_number = agent.department.did.to_owned();
                self.caller_extension = agent.extension.clone();
                self.target_number = customer;
                self.target_prefix_name = prefix.to_owned();
                self.did = String::new();
                self.credit(&agent);
            }
            CallKind::Click2CallLeg1
            | CallKind::ProductiveLeg1
            | CallKind::AttendedLeg1
            | CallKind::Transfer => {
                self.caller_number = customer;
                self.target_number = agent.extension.clone();
                self.target_extension = agent.extension.clone();
                self.credit(&agent);
            }
            CallKind::Queue | CallKind::Click2QueueIncoming => {
                self.caller_number = customer;
                self.target_number = department.did.to_owned();
                self.queue_name = department.queue.to_owned();
                self.queue_id = Some(department.queue_id);
                if answered {
                    self.target_extension = agent.extension.clone();
                    self.credit(&agent);
                }
            }
            _ => {
                self.caller_number = customer;
                self.target_number = department.did.to_owned();
                if answered {
                    self.target_extension = agent.extension.clone();
                    self.credit(&agent);
                }
            }
        }
        if matches!(kind, CallKind::ProductiveLeg1 | CallKind::ProductiveLeg2) {
            self.campaign_id = Some(shared.between(71, 74));
        }
    }

    fn credit(&mut self, agent: &Representative) {
        self.representative_name = agent.name.to_owned();
        self.representative_code = agent.code.clone();
        self.user_id = agent.user_id.clone();
        self.user_name = agent.name.to_owned();
        self.department_id = agent.department.id.to_string();
        self.department_name = agent.department.name.to_owned();
    }

    /// Sets what is added later: RecordURL, Price, CustomData.
    fn fill_in(&mut self, entry: &Entry, at: i64, own: &mut Random) {
        let answered = entry.status == "ANSWER";
        let mut later = |low, high| {
            let delay = own.between(low, high);
            let at_once = !entry.changes || own.chance(0.3);
            if at_once { 0 } else { delay }
        };
        let (recorded, priced, analysed) = (later(120, 21_600), later(3_600, 432_000), later(600, 172_800));
        let since = at.saturating_sub(entry.appears);
        if answered && own.chance(0.8) {
            self.record_expect = Some(true);
            if since >= recorded {
                let name = format!("{}{}", instant(entry.started).format("%Y%m%d"), entry.id % 100_000_000);
                self.record_url = format!("{NOWHERE}{name}.mp3");
            }
        } else {
            self.record_expect = Some(false);
        }
        if answered && own.chance(0.6) {
            let agorot = i64::from(entry.duration / 60 + 1) * own.between(3, 14);
            let first = if own.chance(0.5) { None } else { Some("0".to_owned()) };
            let last = if own.chance(0.1) { format!("{agorot}.5") } else { agorot.to_string() };
            self.price = if since >= priced { Some(last) } else { first };
        }
        let mut custom = Map::new();
        // Drawn even if it does not show yet: what follows must not depend on the time of the request.
        let (has_analysis, found) = (own.chance(0.35), own.chance(0.8));
        if answered && has_analysis && since >= analysed {
            custom.insert("AiExists".to_owned(), found.into());
        }
        self.custom_data = Value::Object(custom);
    }

    fn press_keys(&mut self, kind: CallKind, own: &mut Random) {
        if matches!(kind, CallKind::Incoming | CallKind::Queue | CallKind::Click2IvrIncoming)
            && own.chance(0.5)
        {
            let pressed = own.between(1, 3);
            self.dtmf_data = (1..=pressed)
                .map(|layer| {
                    let name = own.pick(&["תפריט ראשי", "Main menu", "שעות פעילות"]);
                    json!({"LayerName": name, "DTMF": own.between(0, 9), "LayerNumber": layer})
                })
                .collect();
        }
    }
}

/// The most seconds between the time in a CallID and the start of its call.
const LONGEST_AHEAD: u64 = 8;

/// The CallID of a record; a transfer is a call of its own.
fn own_call_id(entry: &Entry) -> String {
    let tail = if entry.kind == CallKind::Transfer { entry.call.rotate_left(32) } else { entry.call };
    dated_call_id(tail, call_id_time(entry.call, entry.call_started))
}

/// The CallID of the call with this seed that started then.
pub(crate) fn call_id(call: u64, started: i64) -> String {
    dated_call_id(call, call_id_time(call, started))
}

fn dated_call_id(tail: u64, time: impl std::fmt::Display) -> String {
    format!("{time}{tail:016x}5c")
}

/// The time in a CallID: Israel's wall time some seconds before the call, as in real ones.
fn call_id_time(call: u64, started: i64) -> String {
    let ahead = 1 + (call % LONGEST_AHEAD) as i64;
    let local = instant(started - ahead).with_timezone(&Jerusalem);
    local.format("%Y%m%d%H%M%S").to_string()
}

/// The first and the last instant (seconds since 1970) at which the call with this generated CallID can have started.
pub(crate) fn call_starts(call_id: &str) -> BTreeSet<i64> {
    let time = call_id.get(..14).and_then(|time| NaiveDateTime::parse_from_str(time, "%Y%m%d%H%M%S").ok());
    let local = time.map(|time| Jerusalem.from_local_datetime(&time));
    // In the hour that occurs twice, both passes are meant.
    let instants = local.into_iter().flat_map(|local| [local.earliest(), local.latest()]).flatten();
    instants.flat_map(|time| [time.timestamp() + 1, time.timestamp() + LONGEST_AHEAD as i64]).collect()
}

/// Seconds since 1970 as an instant.
pub(crate) fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
        .checked_add_signed(TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
