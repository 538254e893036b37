//! The record of one call as a push has it.

use serde_json::{Map, Value};

use super::fields::Fields;

/// CallIDs and types are keys: longer ones are no such thing.
const LONGEST_KEY: usize = 200;

/// The record of one call. What the document of the push does not name, or whose value does not fit, is in `extra`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PushedCall {
    /// `ivruniqueid`: the CallID.
    pub call_id: String,
    /// `type`, which distinguishes the legs that share a CallID.
    pub call_type: Option<String>,
    /// `time`, whose base is to be found out ([`super::time_base`]).
    pub time: Option<i64>,
    /// `duration`: of the whole call, waiting in a queue included.
    pub duration_seconds: Option<i64>,
    /// `dialtime`.
    pub ring_seconds: Option<i64>,
    /// `actualCallDuration`: talk.
    pub talk_seconds: Option<i64>,
    /// `actualCallDialtime`.
    pub actual_ring_seconds: Option<i64>,
    /// `seconds_waiting_in_queue`.
    pub queue_wait_seconds: Option<i64>,
    /// `queueid`; the API writes 0 for none.
    pub queue_id: Option<i64>,
    /// `queuename`.
    pub queue_name: Option<String>,
    /// `isAnswer`.
    pub is_answered: Option<bool>,
    /// `direction`.
    pub direction: Option<String>,
    /// `status`: the dial status.
    pub dial_status: Option<String>,
    /// `leg1DialStatusName`.
    pub leg1_dial_status: Option<String>,
    /// `caller`.
    pub caller: Option<String>,
    /// `target`.
    pub target: Option<String>,
    /// `callerPhone`: the customer's number.
    pub client_phone: Option<String>,
    /// `caller_country`.
    pub caller_country: Option<String>,
    /// `target_country`.
    pub target_country: Option<String>,
    /// `callerextension`.
    pub caller_extension: Option<String>,
    /// `callerextension_name`.
    pub caller_extension_name: Option<String>,
    /// `targetextension`.
    pub target_extension: Option<String>,
    /// `targetextension_name`.
    pub target_extension_name: Option<String>,
    /// `extenUser`: the agent's SIP code.
    pub extension_user: Option<String>,
    /// `did`.
    pub did: Option<String>,
    /// `record`: the link to the recording.
    pub record_url: Option<String>,
    /// `price`, in agorot, as a decimal number.
    pub price: Option<String>,
    /// `representative_name`.
    pub representative_name: Option<String>,
    /// `representative_code`.
    pub representative_code: Option<String>,
    /// `DepartmentID`.
    pub department_id: Option<String>,
    /// `DepartmentName`.
    pub department_name: Option<String>,
    /// `TopDepartmentID`.
    pub top_department_id: Option<String>,
    /// `TopDepartmentName`.
    pub top_department_name: Option<String>,
    /// `OriginalIvrUniqueID`: the call that this one continues.
    pub original_call_id: Option<String>,
    /// `IVR`: the menus that the caller went through.
    pub ivr: Option<Vec<Value>>,
    /// `aiData`: the analysis, transcript included.
    pub ai: Option<Map<String, Value>>,
    /// What an automatic dialer knows of the call.
    pub dialer: Dialer,
    /// The customer's wish not to be called.
    pub do_not_call: DoNotCall,
    /// `CUSTOM_DATA` or `CustomData`.
    pub custom_data: Option<Value>,
    /// Every other field, under its own name.
    pub extra: Map<String, Value>,
}

/// What an automatic dialer knows of a call: fields of the record, or of `dialerData` in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dialer {
    /// `campaignID`.
    pub campaign_id: Option<String>,
    /// `campaignCode`.
    pub campaign_code: Option<String>,
    /// `campaignName`.
    pub campaign_name: Option<String>,
    /// `CampaignTypeID`.
    pub campaign_type_id: Option<String>,
    /// `campaignTypeName`.
    pub campaign_type_name: Option<String>,
    /// `StatusName`.
    pub status_name: Option<String>,
    /// `Phone`: the number that was dialled.
    pub phone: Option<String>,
    /// `CallInserted`: when the call was put on the list.
    pub call_inserted: Option<String>,
    /// `RetryNum`: which try this was.
    pub retry_number: Option<i64>,
    /// `RetryAmount`: the most tries.
    pub retry_amount: Option<i64>,
    /// Every other field of `dialerData`, under its own name.
    pub extra: Map<String, Value>,
}

/// The customer's wish not to be called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DoNotCall {
    /// `IsDoNotCallMe`.
    pub is_wished: Option<bool>,
    /// `DoNotCallMeStatus`.
    pub status: Option<String>,
    /// `DoNotCallMeStatusCode`.
    pub status_code: Option<String>,
    /// `DoNotCallMetransactionId`.
    pub transaction_id: Option<String>,
}

impl PushedCall {
    /// Reads one object; `None` if it has no usable CallID.
    pub(super) fn read(object: Map<String, Value>) -> Option<Self> {
        let mut from = Fields::new(object);
        Some(Self {
            call_id: from.text("ivruniqueid").filter(|text| is_key(text))?,
            call_type: from.text("type").filter(|text| is_key(text)),
            time: from.integer("time"),
            duration_seconds: from.integer("duration"),
            ring_seconds: from.integer("dialtime"),
            talk_seconds: from.integer("actualCallDuration"),
            actual_ring_seconds: from.integer("actualCallDialtime"),
            queue_wait_seconds: from.integer("seconds_waiting_in_queue"),
            queue_id: from.integer("queueid").filter(|id| *id != 0),
            queue_name: from.text("queuename"),
            is_answered: from.boolean("isAnswer"),
            direction: from.text("direction"),
            dial_status: from.text("status"),
            leg1_dial_status: from.text("leg1DialStatusName"),
            caller: from.text("caller"),
            target: from.text("target"),
            client_phone: from.text("callerPhone"),
            caller_country: from.text("caller_country"),
            target_country: from.text("target_country"),
            caller_extension: from.text("callerextension"),
            caller_extension_name: from.text("callerextension_name"),
            target_extension: from.text("targetextension"),
            target_extension_name: from.text("targetextension_name"),
            extension_user: from.text("extenUser"),
            did: from.text("did"),
            record_url: from.text("record"),
            price: from.decimal("price"),
            representative_name: from.text("representative_name"),
            representative_code: from.text("representative_code"),
            department_id: from.text("DepartmentID"),
            department_name: from.text("DepartmentName"),
            top_department_id: from.text("TopDepartmentID"),
            top_department_name: from.text("TopDepartmentName"),
            original_call_id: from.text("OriginalIvrUniqueID"),
            ivr: from.list("IVR"),
            ai: from.analysis(),
            dialer: Dialer::read(&mut from),
            do_not_call: DoNotCall::read(&mut from),
            custom_data: from.any("CUSTOM_DATA").or_else(|| from.any("CustomData")),
            extra: from.rest(),
        })
    }
}

impl Dialer {
    /// The record's own fields win over the same ones inside `dialerData`.
    fn read(record: &mut Fields) -> Self {
        let mut inner = Fields::new(record.object("dialerData").unwrap_or_default());
        let mut text = |name: &str| {
            let nested = inner.text(name);
            record.text(name).or(nested)
        };
        let [campaign_id, campaign_code, campaign_name] =
            ["campaignID", "campaignCode", "campaignName"].map(&mut text);
        let [campaign_type_id, campaign_type_name] = ["CampaignTypeID", "campaignTypeName"].map(&mut text);
        let [status_name, phone, call_inserted] = ["StatusName", "Phone", "CallInserted"].map(&mut text);
        let mut integer = |name: &str| {
            let nested = inner.integer(name);
            record.integer(name).or(nested)
        };
        let [retry_number, retry_amount] = ["RetryNum", "RetryAmount"].map(&mut integer);
        Self {
            campaign_id,
            campaign_code,
            campaign_name,
            campaign_type_id,
            campaign_type_name,
            status_name,
            phone,
            call_inserted,
            retry_number,
            retry_amount,
            extra: inner.rest(),
        }
    }
}

impl DoNotCall {
    fn read(record: &mut Fields) -> Self {
        Self {
            is_wished: record.boolean("IsDoNotCallMe"),
            status: record.text("DoNotCallMeStatus"),
            status_code: record.text("DoNotCallMeStatusCode"),
            transaction_id: record.text("DoNotCallMetransactionId"),
        }
    }
}

fn is_key(text: &str) -> bool {
    text.len() <= LONGEST_KEY && !text.chars().any(char::is_control)
}
