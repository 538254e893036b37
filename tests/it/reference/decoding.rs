//! Answers in the forms of the vendor's pages and in those that servers make of them.

use cdr_sync::reference::{BadList, List, ListKind, decode};
use serde_json::json;

const EXTENSIONS: &str = r#"{"ERR":0,"DESC":"OK","EXTENSIONS":[
    {"SIP":"SIPSIP1","Name":"Extension 1","SpeedDial":"11","AccountID":12345678,"AccountName":"Voicenter Account",
     "UserName":"דנה כהן","UserEmail":"dana@example.com"},
    {"SIP":"SIPSIP2","Name":"Extension 2","SpeedDial":"12","AccountID":12345679,"AccountName":"Sales","UserName":"",
     "UserEmail":null}]}"#;

const QUEUES: &str = r#"{"ERR":0,"DESC":"OK","QUEUES":[
    {"Name":"Sales Queue","ID":12345678,"Weight":5,"Callers":[{"Phone":"0722776772","CallID":"1","JoinTime":1602599565,"Duration":21}]},
    {"Name":"Support Queue","ID":87654321,"Weight":0,"Callers":[]}]}"#;

fn list(kind: ListKind, text: &str) -> List {
    let answer = decode(kind, text).unwrap_or_else(|bad| panic!("{bad}"));
    assert_eq!(answer.error_number, 0);
    answer.list.unwrap()
}

fn value(list: &List, at: usize, column: &str) -> Option<String> {
    list.entries[at].values[column].clone()
}

#[test]
fn the_vendors_own_examples_are_read() {
    let extensions = list(ListKind::Extensions, EXTENSIONS);
    assert_eq!(extensions.entries[0].id, "SIPSIP1");
    assert_eq!(value(&extensions, 0, "department_id").unwrap(), "12345678");
    assert_eq!(value(&extensions, 0, "user_name").unwrap(), "דנה כהן");
    assert_eq!(value(&extensions, 0, "user_email").unwrap(), "dana@example.com");
    assert_eq!((value(&extensions, 1, "user_name"), value(&extensions, 1, "user_email")), (None, None));
    let queues = list(ListKind::Queues, QUEUES);
    assert_eq!(queues.entries[0].id, "12345678");
    assert_eq!(
        (value(&queues, 0, "name").unwrap(), value(&queues, 0, "weight").unwrap()),
        ("Sales Queue".into(), "5".into())
    );
    // Whoever waits is not kept: phone numbers, and another list at every request.
    assert!(queues.entries.iter().all(|queue| queue.extra.is_empty()));
}

#[test]
fn names_in_any_case_and_numbers_in_any_form_are_the_same() {
    let lower = EXTENSIONS.replace("\"SIP\"", "\"sip\"").replace("\"AccountID\"", "\"ACCOUNTID\"");
    let lower = lower.replace("\"EXTENSIONS\"", "\"extensions\"").replace("\"ERR\":0", "\"err\":\"0\"");
    assert!(list(ListKind::Extensions, &lower) == list(ListKind::Extensions, EXTENSIONS));
    let texts = EXTENSIONS.replace("12345678", "\"12345678\"").replace("\"12\"", " 12 ");
    assert!(
        list(ListKind::Extensions, &texts.replace("\"12345678\"9", "123456789")).entries[0].values
            == list(ListKind::Extensions, EXTENSIONS).entries[0].values
    );
}

#[test]
fn what_has_no_column_or_does_not_fit_is_kept_in_extra() {
    let queues = list(
        ListKind::Queues,
        r#"{"QUEUES":[{"Id":7,"Weight":"heavy","NewField":{"a":[1]},"callers":[{"Phone":"0501234567"}],"Empty":""}]}"#,
    );
    assert_eq!(value(&queues, 0, "weight"), None);
    let extra = serde_json::Value::Object(queues.entries[0].extra.clone());
    assert_eq!(extra, json!({"weight": "heavy", "newfield": {"a": [1]}}));
}

#[test]
fn entries_without_an_id_are_counted_and_what_the_database_refuses_is_replaced() {
    let extensions = list(
        ListKind::Extensions,
        r#"{"EXTENSIONS":[{"Name":"a"},{"SIP":""},{"SIP":null},7,{"SIP":{}},{"SIP":"S\u00001","Name":"a\u0000b","x\u0000":["\u0000",1e400]}]}"#,
    );
    assert_eq!((extensions.entries.len(), extensions.unusable), (1, 5));
    let entry = &extensions.entries[0];
    assert_eq!((entry.id.as_str(), entry.values["name"].as_deref()), ("S\u{fffd}1", Some("a\u{fffd}b")));
    assert_eq!(serde_json::Value::Object(entry.extra.clone()), json!({"x\u{fffd}": ["\u{fffd}", "1e+400"]}));
    let long = format!(r#"{{"EXTENSIONS":[{{"SIP":"{}"}}]}}"#, "S".repeat(201));
    assert_eq!(list(ListKind::Extensions, &long).unusable, 1);
}

#[test]
fn what_is_no_list_is_refused_for_its_reason() {
    let bad = |text: &str| decode(ListKind::Extensions, text).err();
    assert_eq!(bad(" "), Some(BadList::Empty));
    assert_eq!(bad("<html>Login</html>"), Some(BadList::Html));
    assert_eq!(bad(&EXTENSIONS[..200]), Some(BadList::Cut));
    assert_eq!(bad("hello"), Some(BadList::NotJson));
    for other in
        ["[]", "{}", r#"{"ERR":0}"#, r#"{"ERR":0,"EXTENSIONS":{}}"#, r#"{"ERR":"x","EXTENSIONS":[]}"#, QUEUES]
    {
        assert_eq!(bad(other), Some(BadList::NoList(ListKind::Extensions)), "{other}");
    }
    let refused = decode(ListKind::Extensions, r#"{"ERR":1,"DESC":"Unauthorized","EXTENSIONS":[]}"#);
    let refused = refused.unwrap_or_else(|bad| panic!("{bad}"));
    assert_eq!((refused.error_number, refused.description.as_str()), (1, "Unauthorized"));
}
