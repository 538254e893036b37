//! Every form of a push that is known. All numbers and names are invented.

use cdr_sync::push::{DecodeError, Dialer, DoNotCall, PushedCall, decode};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

const JSON: Option<&str> = Some("application/json");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

fn one(content_type: Option<&str>, body: &str) -> PushedCall {
    let mut calls = decode(content_type, body.as_bytes()).unwrap();
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

/// A record as a form, what is nested as JSON in a text.
pub fn as_form(record: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut form = form_urlencoded::Serializer::new(String::new());
    record.as_object().unwrap().iter().for_each(|(name, value)| {
        form.append_pair(name, &text(value));
    });
    form.finish()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn queue_call() -> (Value, PushedCall) {
    let menus = json!([
        { "layer_id": 1234, "layer_name": "תפריט ראשי", "layer_number": 1, "Dtmf": 2, "dtmf_order": 1 },
        { "layer_id": 4321, "layer_name": "Sales", "layer_number": 2001, "Dtmf": 0, "dtmf_order": 2 }
    ]);
    let sent = json!({
        "caller": "0500000001", "target": "", "time": 1_595_333_610, "duration": 20,
        "ivruniqueid": "202007211213270124c", "type": "Queue", "status": "ANSWER", "did": "0720000002",
        "queueid": 123_456_789, "queuename": "Sales Queue", "price": 0.0, "isAnswer": 1, "direction": "incoming",
        "record": "https://recordings.example.com/202007211213270124c.mp3", "seconds_waiting_in_queue": 20,
        "actualCallDuration": 0, "actualCallDialtime": 3, "callerPhone": "0500000001", "extenUser": "SIPSIP",
        "IVR": menus, "target_country": null, "caller_country": "Israel",
        "TopDepartmentID": 7, "TopDepartmentName": "Head office", "DepartmentID": 12_345_678, "DepartmentName": "Sales",
        "aNewField": { "of": ["the vendor"] }
    });
    let read = PushedCall {
        call_id: "202007211213270124c".to_owned(),
        call_type: text("Queue"),
        time: Some(1_595_333_610),
        duration_seconds: Some(20),
        talk_seconds: Some(0),
        actual_ring_seconds: Some(3),
        queue_wait_seconds: Some(20),
        queue_id: Some(123_456_789),
        queue_name: text("Sales Queue"),
        is_answered: Some(true),
        direction: text("incoming"),
        dial_status: text("ANSWER"),
        caller: text("0500000001"),
        client_phone: text("0500000001"),
        caller_country: text("Israel"),
        extension_user: text("SIPSIP"),
        did: text("0720000002"),
        record_url: text("https://recordings.example.com/202007211213270124c.mp3"),
        price: text("0"),
        department_id: text("12345678"),
        department_name: text("Sales"),
        top_department_id: text("7"),
        top_department_name: text("Head office"),
        ivr: menus.as_array().cloned(),
        extra: object(json!({ "aNewField": { "of": ["the vendor"] } })),
        ..PushedCall::default()
    };
    (sent, read)
}

#[test]
fn a_call_of_a_queue_in_every_encoding() {
    let (sent, read) = queue_call();
    let body = sent.to_string();
    assert_eq!(one(JSON, &body), read);
    // The type that is sent with it may be wrong or missing.
    assert_eq!(one(FORM, &body), read);
    assert_eq!(one(None, &format!("\u{feff}\r\n {body}\n")), read);
    assert_eq!(one(JSON, &format!("[{body}]")), read);
    let several = decode(JSON, format!("[{body},{body}]").as_bytes()).unwrap();
    assert_eq!(several, [read.clone(), read.clone()]);

    let mut menus_as_text = sent.clone();
    menus_as_text["IVR"] = json!(sent["IVR"].to_string());
    assert_eq!(one(JSON, &menus_as_text.to_string()), read);

    let mut all_as_text = menus_as_text;
    for name in
        ["time", "duration", "queueid", "price", "isAnswer", "seconds_waiting_in_queue", "DepartmentID"]
    {
        all_as_text[name] = json!(sent[name].to_string());
    }
    assert_eq!(one(JSON, &all_as_text.to_string()), read);

    // A form has no objects: what nobody knows stays a text.
    let mut of_form = read.clone();
    of_form.extra["aNewField"] = json!(r#"{"of":["the vendor"]}"#);
    assert_eq!(one(FORM, &as_form(&sent)), of_form);
    assert_eq!(one(JSON, &as_form(&sent)), of_form);
}

#[test]
fn an_outgoing_call() {
    let body = r#"{"caller":"0720000002","target":"0500000003","time":1595960350,"duration":11,"ivruniqueid":"2020072818dcDHFJcc804",
        "type":"Extension Outgoing","status":"ANSWER","callerextension":"SIPSIP","targetextension":"","callerextension_name":"Front desk",
        "targetextension_name":"Back office","did":"","queueid":0,"price":12.50,"dialtime":2,"representative_name":"Dana Example",
        "representative_code":"12345678","OriginalIvrUniqueID":"2020072817aa","leg1DialStatusName":"BUSY","isAnswer":"false"}"#;
    let read = PushedCall {
        call_id: "2020072818dcDHFJcc804".to_owned(),
        call_type: text("Extension Outgoing"),
        time: Some(1_595_960_350),
        duration_seconds: Some(11),
        ring_seconds: Some(2),
        is_answered: Some(false),
        dial_status: text("ANSWER"),
        leg1_dial_status: text("BUSY"),
        caller: text("0720000002"),
        target: text("0500000003"),
        caller_extension: text("SIPSIP"),
        caller_extension_name: text("Front desk"),
        target_extension_name: text("Back office"),
        price: text("12.5"),
        representative_name: text("Dana Example"),
        representative_code: text("12345678"),
        original_call_id: text("2020072817aa"),
        ..PushedCall::default()
    };
    assert_eq!(one(JSON, body), read);
}

#[test]
fn a_call_of_a_dialer_with_its_fields_in_either_place() {
    let campaign = json!({
        "campaignID": 17, "campaignName": "Renewals", "campaignCode": "R-1", "CampaignTypeID": "2", "campaignTypeName": "Progressive",
        "StatusName": "Done", "Phone": "0500000004", "CallInserted": "2026-11-01 08:00", "RetryNum": "1", "RetryAmount": 3
    });
    let mut flat = campaign.clone();
    flat["ivruniqueid"] = json!("2026110108000000");
    for (name, value) in [
        ("IsDoNotCallMe", json!("true")),
        ("DoNotCallMeStatus", json!("Added")),
        ("DoNotCallMeStatusCode", json!(1)),
        ("DoNotCallMetransactionId", json!("abc")),
    ] {
        flat[name] = value;
    }
    let mut nested = flat.clone();
    for name in campaign.as_object().unwrap().keys() {
        nested.as_object_mut().unwrap().remove(name);
    }
    nested["dialerData"] = campaign;
    let read = one(JSON, &flat.to_string());
    assert_eq!(
        read.dialer,
        Dialer {
            campaign_id: text("17"),
            campaign_code: text("R-1"),
            campaign_name: text("Renewals"),
            campaign_type_id: text("2"),
            campaign_type_name: text("Progressive"),
            status_name: text("Done"),
            phone: text("0500000004"),
            call_inserted: text("2026-11-01 08:00"),
            retry_number: Some(1),
            retry_amount: Some(3),
            extra: Map::new(),
        }
    );
    let wish = DoNotCall {
        is_wished: Some(true),
        status: text("Added"),
        status_code: text("1"),
        transaction_id: text("abc"),
    };
    assert_eq!((read.do_not_call.clone(), read.extra.len()), (wish, 0));
    assert_eq!(one(JSON, &nested.to_string()), read);
    assert_eq!(one(FORM, &as_form(&nested)), read);
}

#[test]
fn custom_data_under_both_names_and_in_both_forms() {
    for name in ["CUSTOM_DATA", "CustomData"] {
        let data = json!({ "var_customer": "17", "CUSTOM_DATA": "x" });
        for value in [data.clone(), json!(data.to_string())] {
            let read = one(JSON, &json!({ "ivruniqueid": "1", name: value }).to_string());
            assert_eq!((read.custom_data, read.extra.len()), (Some(data.clone()), 0), "{name}");
        }
    }
    assert_eq!(one(FORM, "ivruniqueid=1&CUSTOM_DATA=plain").custom_data, Some(json!("plain")));
}

#[test]
fn an_analysis_as_an_object_and_as_a_text_and_none() {
    let analysis = json!({
        "insights": {
            "questions": [{ "key": "issue_resolved", "question": "Was it?", "data_type": 1, "answer": "false" }],
            "participants": { "caller": { "name": null, "personality_traits": [] }, "callee": { "name": "Agent One" } },
            "summary": "An invented call."
        },
        "emotions": { "questions": [], "sentences": [
            { "sentence_id": 21, "emotion": "calm", "emotion_direction": 0, "confidence_emotion": 0.92 }
        ] },
        "transcript": [{ "speaker": "Speaker0", "text": "שלום", "startTime": 1.87, "endTime": null, "sentence_id": 1 }]
    });
    for value in [analysis.clone(), json!(analysis.to_string())] {
        let read = one(JSON, &json!({ "ivruniqueid": "1", "type": "Queue", "aiData": value }).to_string());
        assert_eq!((read.ai, read.extra.len()), (Some(object(analysis.clone())), 0));
    }
    for none in ["null", "\"\"", "\"null\""] {
        let read = one(JSON, &format!("{{\"ivruniqueid\":\"1\",\"aiData\":{none}}}"));
        assert_eq!(read, PushedCall { call_id: "1".to_owned(), ..PushedCall::default() });
    }
}

#[test]
fn names_in_another_case_are_known_and_values_that_do_not_fit_are_kept() {
    let body = json!({ "IvrUniqueId": "1", "Duration": "soon", "price": "free", "IVR": "no list", "aiData": "{broken" });
    let read = one(JSON, &body.to_string());
    let extra = json!({ "Duration": "soon", "price": "free", "IVR": "no list" });
    // What may be of an analysis is for its readers only.
    let ai = Some(object(json!({ "aiData": "{broken" })));
    assert_eq!(
        read,
        PushedCall { call_id: "1".to_owned(), ai, extra: object(extra), ..PushedCall::default() }
    );
    let body = json!({ "ivruniqueid": "1", "aiData": { "a": 1 }, "AI_DATA": ["b"], "Transcript": "c" });
    let read = one(JSON, &body.to_string());
    let ai = Some(object(json!({ "a": 1, "AI_DATA": ["b"], "Transcript": "c" })));
    assert_eq!(read, PushedCall { call_id: "1".to_owned(), ai, ..PushedCall::default() });
}

#[test]
fn another_charset_is_read_where_the_type_names_it() {
    let body = b"{\"ivruniqueid\":\"1\",\"queuename\":\"\xf9\xec\xe5\xed\"}";
    let calls = decode(Some("application/json; charset=\"windows-1255\""), body).unwrap();
    assert_eq!(calls[0].queue_name, text("שלום"));
    assert_eq!(decode(JSON, body), Err(DecodeError::Charset { charset: "UTF-8" }));
}

#[test]
fn what_is_no_push_is_refused_without_its_contents() {
    let long = json!({ "ivruniqueid": "secret".repeat(40) }).to_string();
    for (body, said) in [
        ("", "the body is empty"),
        (" \r\n", "the body is empty"),
        (
            "<?xml version=\"1.0\"?><methodCall><methodName>secret</methodName></methodCall>",
            "XML-RPC is not read",
        ),
        ("secret", "neither JSON nor a form"),
        ("{\"ivruniqueid\":\"secret\"", "not valid JSON: it ends at line 1"),
        ("{\"ivruniqueid\":secret}", "not valid JSON: an error at line 1, column 16"),
        ("[]", "an empty array"),
        ("{\"caller\":\"secret\"}", "record 1 of 1 has no usable ivruniqueid"),
        ("[{\"ivruniqueid\":1},\"secret\"]", "record 2 of 2 is not an object"),
        ("ivruniqueid=&caller=secret", "record 1 of 1 has no usable ivruniqueid"),
        (&long, "record 1 of 1 has no usable ivruniqueid"),
    ] {
        let error = decode(None, body.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(said), "{body}: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}
