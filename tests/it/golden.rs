//! The seed document's requests as written there, and the answers quoted in it decoded to written-out rows.

use std::collections::{BTreeMap, BTreeSet};

use cdr_sync::cdr::{Cdr, CdrKey, Column, RejectReason};
use cdr_sync::voicenter::wire::{self, DateForm};
use cdr_sync::voicenter::{
    BadBody, Fields, Filter, Form, Format, Granularity, IdentityCriteria, Question, decode,
};
use cdr_sync::window::Order;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

const MINUTES: DateForm = DateForm { zone: Tz::UTC, granularity: Granularity::Minute };
const SECONDS: DateForm = DateForm { zone: Tz::UTC, granularity: Granularity::Second };

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The question behind the seed document's example.
fn seed_question() -> Question {
    Question {
        from: utc("2014-11-11T16:31:00Z"),
        to: utc("2014-11-18T16:31:00Z"),
        narrow: false,
        order: None,
        form: Form::BARE,
        filter: Filter {
            phones: vec!["972547588535".into(), "0500000000".into()],
            extensions: vec!["SipSip".into()],
            ..Filter::default()
        },
        fields: Fields::Only(vec!["Date".into(), "Type".into()]),
        format: Format::Json,
    }
}

#[test]
fn the_seed_documents_get_is_made_as_written_there() {
    let written = "code=CODE&format=JSON&fromdate=2014-11-11T16:31&todate=2014-11-18T16:31&phones=972547588535\
                   &phones=0500000000&extension=SipSip&fields=Date&fields=Type";
    let mut expected: Vec<String> = written.split('&').map(str::to_owned).collect();
    let pairs = wire::query(&seed_question(), MINUTES, Some("CODE"));
    let mut made: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    expected.sort();
    made.sort();
    assert_eq!(made, expected);
}

#[test]
fn the_seed_documents_post_is_made_as_written_there() {
    let expected = json!({
        "code": "CODE", "format": "JSON", "fields": ["Date", "Type"],
        "search": {
            "fromdate": "2014-11-11T16:31", "todate": "2014-11-18T16:31",
            "phones": ["972547588535", "0500000000"], "extensions": ["SipSip"],
        },
    });
    assert_eq!(wire::body(&seed_question(), MINUTES, Some("CODE")), expected);
}

#[test]
fn every_search_parameter_of_today_reaches_the_wire() {
    let question = Question {
        order: Some(Order::Descending),
        form: Form::FULL,
        filter: Filter {
            identity: Some(IdentityCriteria::Hierarchical),
            cdr_types: vec![1, 4],
            call_id: Some("abc".into()),
            campaign_ids: vec![7],
            queue_ids: vec![8, 9],
            ..seed_question().filter
        },
        ..seed_question()
    };
    let body = wire::body(&question, SECONDS, None);
    assert_eq!(body["search"]["fromdate"], "2014-11-11T16:31:00");
    assert_eq!(body["search"]["IdentityCriteria"], "Hierarchical");
    assert_eq!(body["search"]["cdrTypes"], json!([1, 4]));
    assert_eq!(body["search"]["callID"], "abc");
    assert_eq!(body["search"]["campaignID"], json!([7]));
    assert_eq!(body["search"]["queueID"], json!([8, 9]));
    assert_eq!(body["sort"], json!([{"field": "date", "order": "desc"}]));
    assert_eq!(body["version"], "2");
    assert_eq!(body.get("code"), None);
    let pairs = wire::query(&question, SECONDS, Some("CODE"));
    for pair in [
        ("cdrTypes", "4"),
        ("callID", "abc"),
        ("queueID", "9"),
        ("IdentityCriteria", "Hierarchical"),
        ("code", "CODE"),
    ] {
        assert!(pairs.iter().any(|(name, value)| (*name, value.as_str()) == pair), "{pair:?}");
    }
}

#[test]
fn every_field_of_the_table_is_requested() {
    let question = Question { form: Form::FULL, fields: Fields::All, ..seed_question() };
    let body = wire::body(&question, SECONDS, None);
    let requested: BTreeSet<&str> =
        body["fields"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
    let not_columns = ["CallID", "Type", "Date", "DateEpoch"];
    let table: BTreeSet<&str> = Column::ALL.iter().map(|column| column.field()).chain(not_columns).collect();
    assert_eq!(requested, table, "see the recipe at the head of src/cdr/fields.rs");
}

/// The answer quoted in docs/voicenter-api.md#answer.
const QUOTED: &str = r#"{"ERROR_NUMBER":0,"ERROR_DESCRIPTION":"OK","STATUS_CODE":200,"TOTAL_HITS":2,"RETURN_HITS":2,
 "CDR_LIST":[{"CallerNumber":"0722776772","TargetNumber":"972501234567","Date":"2024-06-10T09:04:58Z",
  "Duration":2,"CallID":"202406101204550233243ghff3189e5c","CustomData":{},"Type":"Extension Outgoing",
  "CdrType":4,"DialStatus":"ANSWER","CallerExtension":"SIPSIP1","DID":"","RingTime":10,
  "RecordURL":"https://cpanel.example/CallsHistory/PlayRecord/2024061043950926.mp3",
  "RepresentativeName":"…","RepresentativeCode":"87654321","DTMFData":[],"DepartmentName":"Sales"}]}"#;

fn empty(call_id: &str, call_type: &str, started_at: &str) -> Cdr {
    let key = CdrKey { call_id: call_id.into(), call_type: call_type.into() };
    Cdr { key, started_at: utc(started_at), ..Cdr::default() }
}

fn quoted_row() -> Cdr {
    let text = |text: &str| Some(text.to_owned());
    Cdr {
        cdr_type: Some(4),
        duration_seconds: Some(2),
        ring_seconds: Some(10),
        caller_number: text("0722776772"),
        caller_extension: text("SIPSIP1"),
        target_number: text("972501234567"),
        dial_status: text("ANSWER"),
        department_name: text("Sales"),
        representative_code: text("87654321"),
        representative_name: text("…"),
        record_url: text("https://cpanel.example/CallsHistory/PlayRecord/2024061043950926.mp3"),
        ..empty("202406101204550233243ghff3189e5c", "Extension Outgoing", "2024-06-10T09:04:58Z")
    }
}

#[test]
fn the_quoted_answer_decodes_to_its_row() {
    let envelope = decode(QUOTED.as_bytes(), Tz::UTC).unwrap();
    assert_eq!(
        (envelope.error_number, envelope.total_hits, envelope.return_hits),
        (Some(0), Some(2), Some(2))
    );
    assert_eq!(envelope.listed, 1);
    assert_eq!(envelope.records, [quoted_row()]);
    assert!(envelope.columns.contains(&Column::Did) && !envelope.columns.contains(&Column::Price));
}

/// The records of an answer with these items.
fn records(items: &Value) -> Vec<Cdr> {
    let body = json!({"ERROR_NUMBER": "0", "CDR_LIST": items}).to_string();
    let envelope = decode(body.as_bytes(), Tz::UTC).unwrap();
    assert_eq!(envelope.rejected, []);
    envelope.records
}

#[test]
fn names_in_lower_case_and_values_as_text_decode_to_the_same_row() {
    let lower =
        QUOTED.replace("\"Duration\":2", "\"duration\":\"2\"").replace("\"CdrType\":4", "\"cdrtype\":\"4\"");
    let names = [
        "CallerNumber",
        "TargetNumber",
        "Date",
        "CallID",
        "CustomData",
        "Type",
        "DialStatus",
        "CallerExtension",
        "RecordURL",
        "RepresentativeName",
        "RepresentativeCode",
    ];
    let lower = names.iter().fold(lower, |text, name| {
        text.replace(&format!("\"{name}\""), &format!("\"{}\"", name.to_lowercase()))
    });
    assert_eq!(decode(lower.as_bytes(), Tz::UTC).unwrap().records, [quoted_row()]);
}

#[test]
fn booleans_empties_and_spellings_decode_as_listed() {
    for (sent, expected) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(1), true),
        (json!("1"), true),
        (json!("0"), false),
    ] {
        let row = &records(&json!([{"CallID": "a", "Date": "2024-06-10 09:04:58", "RecordExpect": sent}]))[0];
        assert_eq!(row.record_expected, Some(expected), "{sent}");
    }
    let row = &records(
        &json!([{"CallID": "a", "Date": "2024-06-10T09:04", "Targetextension": "X1", "DID": null, "QueueName": "", "Price": "12.50"}]),
    )[0];
    let expected = Cdr {
        target_extension: Some("X1".into()),
        price: Some("12.50".into()),
        ..empty("a", "", "2024-06-10T09:04:00Z")
    };
    assert_eq!(*row, expected);
}

#[test]
fn arrays_that_come_as_text_and_custom_data_are_kept_as_json() {
    let dtmf = json!([{"LayerName": "ראשי", "DTMF": 1, "LayerNumber": 2}]);
    let custom = json!({"OriginalIvrUniqueID": "x", "AiExists": true});
    let row = &records(
        &json!([{"CallID": "a", "Type": "Queue", "Date": "2024-06-10T09:04:58.5", "DTMFData": dtmf.to_string(), "CustomData": custom}]),
    )[0];
    let expected = Cdr {
        dtmf_data: Some(dtmf),
        custom_data: Some(custom),
        ..empty("a", "Queue", "2024-06-10T09:04:58.5Z")
    };
    assert_eq!(*row, expected);
}

#[test]
fn unknown_fields_and_bad_values_are_kept_in_extra() {
    let row = &records(
        &json!([{"CallID": "a", "Date": "2024-06-10T09:04:58Z", "Duration": "abc", "RingTime": 99_999_999_999_i64, "NewField": {"x": [1]}}]),
    )[0];
    let extra = [
        ("Duration", json!("abc")),
        ("NewField", json!({"x": [1]})),
        ("RingTime", json!(99_999_999_999_i64)),
    ];
    let extra = extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(*row, Cdr { extra, ..empty("a", "", "2024-06-10T09:04:58Z") });
}

#[test]
fn the_epoch_is_never_kept_and_known_fields_stand_in_extra_under_their_own_name_or_not_at_all() {
    // As text: the order of members counts.
    let body = r#"{"ERROR_NUMBER": 0, "CDR_LIST": [{
        "CallID": "a", "Date": "2024-06-10T09:04:58Z", "dateepoch": "1718010298", "DateEpoch": "soon",
        "date": "2024-06-10 09:04:58Z", "TYPE": null, "Price": 1.5, "PRICE": "1.50", "Targetextension": "x",
        "targetextension": "x", "TARGETEXTENSION": "y", "duration": "abc", "Empty": {}, "Void": [ ]}]}"#;
    let row = &decode(body.as_bytes(), Tz::UTC).unwrap().records[0];
    let extra = [("Duration", json!("abc")), ("TargetExtension", json!("y"))];
    let extra = extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let (price, target_extension) = (Some("1.5".into()), Some("x".into()));
    assert_eq!(*row, Cdr { extra, price, target_extension, ..empty("a", "", "2024-06-10T09:04:58Z") });
}

#[test]
fn nasty_records_harm_no_neighbour_and_nothing_is_lost() {
    let nested = format!("{}1{}", "[".repeat(300), "]".repeat(300));
    let deeper = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let shallow = format!("{}1{}", "[".repeat(90), "]".repeat(90));
    let huge = "x".repeat(1_000_000);
    let good = r#"{"CallID":"good","Date":"2024-06-10T09:04:58Z"}"#;
    let nasty = [
        r#"{"CallID":"nul","Date":"2024-06-10T09:04:58Z","UserName":"a\u0000b"}"#.to_owned(),
        r#"{"CallID":"lone","Date":"2024-06-10T09:04:58Z","UserName":"a\ud800b","X":"\udc00"}"#.to_owned(),
        r#"{"CallID":"big","Date":"2024-06-10T09:04:58Z","Duration":1e400,"Far":1e999999999}"#.to_owned(),
        r#"{"CallID":"twice","Date":"2024-06-10T09:04:58Z","DID":"1","did":"2","DID":"1"}"#.to_owned(),
        format!(
            r#"{{"CallID":"deep","Date":"2024-06-10T09:04:58Z","Nested":{nested},"Shallow":{shallow},"Deeper":{deeper}}}"#
        ),
        format!(r#"{{"CallID":"long","Date":"2024-06-10T09:04:58Z","UserName":"{huge}"}}"#),
        r#"{"Date":"2024-06-10T09:04:58Z","X":1}"#.to_owned(),
        r#"{"CallID":"undated","Date":"soon"}"#.to_owned(),
        "7".to_owned(),
        "null".to_owned(),
    ];
    let mut body = b"\xef\xbb\xbf{\"ERROR_NUMBER\":0,\"CDR_LIST\":[".to_vec();
    for item in &nasty {
        body.extend(format!("{good},{item},").into_bytes());
    }
    // Raw: invalid UTF-8 and a control character inside strings.
    body.extend(b"{\"CallID\":\"raw\",\"Date\":\"2024-06-10T09:04:58Z\",\"UserName\":\"a\xff\x01b\"}]}");
    let envelope = decode(&body, Tz::UTC).unwrap();
    assert_eq!(envelope.listed, 2 * nasty.len() + 1);
    let find = |id: &str| envelope.records.iter().find(|record| record.key.call_id == id).unwrap();
    assert_eq!(
        envelope
            .records
            .iter()
            .filter(|record| **record == empty("good", "", "2024-06-10T09:04:58Z"))
            .count(),
        nasty.len()
    );
    assert_eq!(find("nul").user_name.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(find("lone").user_name.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(find("lone").extra["X"], "\u{fffd}");
    assert_eq!(find("big").extra["Duration"].to_string().to_lowercase().replace('+', ""), "1e400");
    assert_eq!(
        find("big").extra["Far"].as_str().map(|text| text.to_lowercase().replace('+', "")).as_deref(),
        Some("1e999999999")
    );
    assert_eq!((find("twice").did.as_deref(), &find("twice").extra["DID"]), (Some("1"), &json!("2")));
    assert_eq!(find("deep").extra["Nested"], nested.as_str());
    assert_eq!(find("deep").extra["Shallow"].to_string(), shallow);
    assert_eq!(find("deep").extra["Deeper"], deeper.as_str());
    assert_eq!(find("long").user_name.as_deref(), Some(huge.as_str()));
    assert_eq!(find("raw").user_name.as_deref(), Some("a\u{fffd}\u{1}b"));
    let reasons: Vec<RejectReason> = envelope.rejected.iter().map(|rejected| rejected.reason).collect();
    assert_eq!(
        reasons,
        [RejectReason::NoCallId, RejectReason::NoDate, RejectReason::NotAnObject, RejectReason::NotAnObject]
    );
    assert_eq!(envelope.rejected[0].raw, nasty[6]);
}

#[test]
fn a_list_that_is_null_absent_or_empty_text_is_empty_and_other_bodies_are_no_answers() {
    for list in ["", r#","CDR_LIST":null"#, r#","CDR_LIST":"""#, r#","CDR_LIST":[]"#] {
        let envelope = decode(format!(r#"{{"ERROR_NUMBER":"0"{list}}}"#).as_bytes(), Tz::UTC).unwrap();
        assert_eq!((envelope.listed, envelope.error_number), (0, Some(0)), "{list}");
    }
    assert_eq!(decode(b"", Tz::UTC).unwrap_err(), BadBody::Empty);
    assert_eq!(decode(b"<html>", Tz::UTC).unwrap_err(), BadBody::Html);
    assert_eq!(decode(b"{\"a\":1}", Tz::UTC).unwrap_err(), BadBody::NoEnvelope);
}

#[test]
fn a_list_in_another_shape_is_taken_where_it_can_be_read_in_one_way_only() {
    let record = |id: &str| format!(r#"{{"CallID":"{id}","Date":"2024-06-10T09:04:58Z"}}"#);
    let (a, b) = (record("a"), record("b"));
    let text = json!(format!("[{a},{b}]")).to_string();
    for (list, ids) in [
        (a.clone(), vec!["a"]),
        (format!(r#"{{"0":{a},"1":{b}}}"#), vec!["a", "b"]),
        (format!(r#"{{"1":{a},"7":{b}}}"#), vec!["a", "b"]),
        (text, vec!["a", "b"]),
        ("{}".to_owned(), vec![]),
    ] {
        let envelope =
            decode(format!(r#"{{"ERROR_NUMBER":0,"CDR_LIST":{list}}}"#).as_bytes(), Tz::UTC).unwrap();
        let found: Vec<&str> = envelope.records.iter().map(|record| record.key.call_id.as_str()).collect();
        assert_eq!((found, envelope.listed), (ids.clone(), ids.len()), "{list}");
    }
    for list in [r#""none""#, "7", "false", r#"{"a":1}"#, r#"{"0":1}"#, &format!(r#"{{"0":{a},"more":{b}}}"#)]
    {
        let refused = decode(format!(r#"{{"ERROR_NUMBER":0,"CDR_LIST":{list}}}"#).as_bytes(), Tz::UTC);
        assert_eq!(refused.unwrap_err(), BadBody::BadMember("CDR_LIST"), "{list}");
    }
}

#[test]
fn signs_that_are_there_twice_or_in_no_known_form_are_no_answer() {
    for (members, what) in [
        (r#""ERROR_NUMBER":0,"error_number":5"#, "ERROR_NUMBER"),
        (r#""ERROR_NUMBER":{}"#, "ERROR_NUMBER"),
        (r#""ERROR_NUMBER":0,"CDR_LIST":[],"cdr_list":[1]"#, "CDR_LIST"),
        (r#""ERROR_NUMBER":0,"STATUS_CODE":"failed""#, "STATUS_CODE"),
        (r#""ERROR_NUMBER":0,"STATUS_CODE":[500]"#, "STATUS_CODE"),
    ] {
        let refused = decode(format!("{{{members}}}").as_bytes(), Tz::UTC);
        assert_eq!(refused.unwrap_err(), BadBody::BadMember(what), "{members}");
    }
    for (code, read) in [
        ("200", Some(200)),
        (r#""500""#, Some(500)),
        (r#""500 Internal Server Error""#, Some(500)),
        (r#""OK""#, Some(200)),
        ("null", None),
        (r#""""#, None),
    ] {
        let envelope = decode(format!(r#"{{"ERROR_NUMBER":0,"STATUS_CODE":{code}}}"#).as_bytes(), Tz::UTC);
        assert_eq!(envelope.unwrap().status_code, read, "{code}");
    }
}

#[test]
fn a_record_that_is_no_json_is_rejected_alone() {
    let good = r#"{"CallID":"good","Date":"2024-06-10T09:04:58Z"}"#;
    let broken = r#"{"CallID":"x","Date":"2024-06-10T09:04:58Z","UserName":"O"Brien"}"#;
    for (word, kept) in [("NaN", "NaN"), ("-Infinity", "-Infinity")] {
        let odd = format!(r#"{{"CallID":"odd","Date":"2024-06-10T09:04:58Z","Price":{word}}}"#);
        let body = |more: &str| {
            format!(r#"{{"ERROR_NUMBER":0,"RETURN_HITS":4,"CDR_LIST":[{good},{odd},{good},{more}{good}]}}"#)
        };
        let envelope = decode(body("").as_bytes(), Tz::UTC).unwrap();
        assert_eq!((envelope.records.len(), envelope.rejected.len()), (4, 0));
        assert_eq!(envelope.records[1].extra["Price"], kept);
        assert_eq!(envelope.unfit, BTreeMap::from([("Price".to_owned(), 1)]));
        // One more than the server says it sent: what was recovered proves nothing.
        assert_eq!(decode(body(&format!("{broken},")).as_bytes(), Tz::UTC).unwrap_err(), BadBody::NotJson);
        let counted = body(&format!("{broken},")).replace("\"RETURN_HITS\":4", "\"RETURN_HITS\":5");
        let envelope = decode(counted.as_bytes(), Tz::UTC).unwrap();
        assert_eq!((envelope.records.len(), envelope.listed), (4, 5));
        assert_eq!(envelope.rejected[0].raw, broken);
    }
}

#[test]
fn durations_of_one_meaning_are_read_as_seconds_and_others_are_named() {
    for (sent, seconds) in [
        (json!("00:08:10"), Some(490)),
        (json!("100:00:01"), Some(360_001)),
        (json!("00:00:00"), Some(0)),
        (json!("PT12S"), Some(12)),
        (json!("PT1H2M"), Some(3720)),
        (json!(" 42 "), Some(42)),
        (json!("0:12"), None),
        (json!("00:61:00"), None),
        (json!("1,204"), None),
        (json!(12.7), None),
        (json!("PT"), None),
        (json!("eight minutes"), None),
    ] {
        let body = json!({"ERROR_NUMBER": 0, "CDR_LIST": [{"CallID": "a", "Date": "2024-06-10T09:04:58Z", "Duration": sent}]});
        let envelope = decode(body.to_string().as_bytes(), Tz::UTC).unwrap();
        let row = &envelope.records[0];
        assert_eq!(row.duration_seconds, seconds, "{sent}");
        assert_eq!(row.extra.get("Duration"), seconds.is_none().then_some(&sent));
        assert_eq!(envelope.unfit.get("Duration").copied(), seconds.is_none().then_some(1), "{sent}");
    }
}

#[test]
fn dates_show_whether_they_have_seconds() {
    for (date, shown) in [
        ("2024-06-10T09:04", false),
        ("2024-06-10T09:04:00Z", false),
        ("2024-06-10T09:04:00.000", false),
        ("2024-06-10T09:04:58Z", true),
        ("2024-06-10T09:04:00.5Z", true),
    ] {
        let body = json!({"ERROR_NUMBER": 0, "CDR_LIST": [{"CallID": "a", "Date": date}, {"CallID": "b", "Date": "2024-06-10T09:05"}]});
        assert_eq!(decode(body.to_string().as_bytes(), Tz::UTC).unwrap().second_dates, shown, "{date}");
    }
}

#[test]
fn an_answer_cut_at_any_byte_is_no_answer_rather_than_a_shorter_one() {
    let bytes = QUOTED.as_bytes();
    for length in 0..bytes.len() {
        let expected = if length == 0 { BadBody::Empty } else { BadBody::Cut };
        assert_eq!(decode(&bytes[..length], Tz::UTC).unwrap_err(), expected, "cut after {length} bytes");
    }
    // Nor does a record that is no JSON make a cut one whole.
    let broken =
        QUOTED.replacen("\"AiExists\"", "\"Ai\"Exists\"", 1).replacen("\"ANSWER\"", "\"AN\"SWER\"", 1);
    for length in 0..broken.len() {
        assert!(decode(&broken.as_bytes()[..length], Tz::UTC).is_err(), "cut after {length} bytes");
    }
}
