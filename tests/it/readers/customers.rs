//! Who a call was with, which missed ones were settled how, and who called again.

use serde_json::{Value, json};

use crate::readers::scene::ReaderScene;

/// A missed incoming call, `minute` minutes after ten.
fn missed(call_id: &str, minute: u32, caller: &str) -> Value {
    json!({"call_id": call_id, "dial_status": "NOANSWER", "started_at": at(minute), "caller_number": caller})
}

fn incoming(call_id: &str, minute: u32, caller: &str) -> Value {
    json!({"call_id": call_id, "started_at": at(minute), "caller_number": caller, "target_extension": "SIP1"})
}

fn outgoing(call_id: &str, minute: u32, target: &str, status: &str) -> Value {
    json!({"call_id": call_id, "type": "Extension Outgoing", "started_at": at(minute), "target_number": target,
           "caller_number": "031234567", "caller_extension": "SIP2", "dial_status": status})
}

fn at(minute: u32) -> String {
    format!("2024-06-{:02}T{:02}:{:02}:00Z", 10 + minute / 1440, 10 + minute % 1440 / 60, minute % 60)
}

const CUSTOMERS: &str = "select call_id, customer_number from voicenter.calls order by call_id";

#[tokio::test]
async fn however_a_number_is_written_it_is_one_customer() {
    let mut scene = ReaderScene::of(json!([
        incoming("1", 0, "0541234567"),
        incoming("2", 1, "972541234567"),
        outgoing("3", 2, "054-123-4567", "ANSWER"),
        incoming("4", 3, "0527654321"),
    ]))
    .await;
    let expected = json!([
        {"call_id": "1", "customer_number": "+972541234567"}, {"call_id": "2", "customer_number": "+972541234567"},
        {"call_id": "3", "customer_number": "+972541234567"}, {"call_id": "4", "customer_number": "+972527654321"}
    ]);
    assert_eq!(scene.rows(CUSTOMERS).await, expected);
    let keys = "select count(*), count(distinct customer_key) as keys, count(distinct (customer_key, customer_number)) as customers,
                    bool_or(customer_key ~ '^[0-9]+$' and customer_number like '%' || customer_key || '%') as is_shown
                from voicenter.calls";
    let expected = json!({"count": 4, "keys": 2, "customers": 2, "is_shown": false});
    assert_eq!(scene.row(keys).await, expected);
}

#[tokio::test]
async fn withheld_numbers_colleagues_and_ones_own_agents_are_no_customers() {
    let mut scene = ReaderScene::of(json!([
        incoming("1", 0, "anonymous"),
        incoming("2", 1, ""),
        {"call_id": "3", "caller_number": null},
        {"call_id": "4", "type": "Extension Outgoing", "caller_extension": "101", "caller_number": "101",
         "target_extension": "102", "target_number": "SIP102"},
        // The agent did not pick up, so that the customer was never dialled.
        {"call_id": "5", "type": "Click2Call leg1", "dial_status": "NOANSWER", "caller_number": "0541234567",
         "target_number": "102", "target_extension": "102"},
        {"call_id": "6", "type": "XferCDR", "caller_extension": "101", "target_extension": "102", "caller_number": "101",
         "target_number": "102"},
    ]))
    .await;
    let expected = json!([
        {"call_id": "1", "customer_number": null}, {"call_id": "2", "customer_number": null},
        {"call_id": "3", "customer_number": null}, {"call_id": "4", "customer_number": null},
        {"call_id": "5", "customer_number": "+972541234567"}, {"call_id": "6", "customer_number": null}
    ]);
    assert_eq!(scene.rows(CUSTOMERS).await, expected);
}

#[tokio::test]
async fn a_missed_call_is_called_back_called_again_open_or_without_a_number() {
    let mut scene = ReaderScene::of(json!([
        missed("back", 0, "0541111111"),
        outgoing("tried", 5, "+972541111111", "NOANSWER"),
        outgoing("reached", 12, "972541111111", "ANSWER"),
        incoming("later", 14, "0541111111"),
        missed("again", 0, "0542222222"),
        missed("again-in-vain", 1, "972542222222"),
        incoming("got-through", 181, "972542222222"),
        // What came before settles nothing, nor does what nobody answered.
        incoming("before", 0, "0543333333"),
        missed("open", 1, "0543333333"),
        outgoing("in-vain", 2, "0543333333", "NOANSWER"),
        missed("withheld", 0, "anonymous"),
        incoming("another-withheld", 1, "anonymous"),
        // Not dialled: one's own agent did not pick up.
        missed("untried", 0, "0544444444"),
        {"call_id": "click", "type": "Click2Call leg1", "dial_status": "NOANSWER", "started_at": at(1),
         "caller_number": "0544444444", "target_extension": "SIP3"},
    ]))
    .await;
    let list = "select call_id, resolution, resolved_call_id as by_call, resolved_by as by, minutes_to_resolve as minutes,
                    resolved_within_3_hours as soon, to_char(first_attempt_at at time zone 'UTC', 'HH24:MI') as attempt
                from voicenter.missed_calls order by call_id";
    let expected = json!([
        {"call_id": "again", "resolution": "called_again", "by_call": "got-through", "by": "SIP1", "minutes": 181,
         "soon": false, "attempt": null},
        {"call_id": "again-in-vain", "resolution": "called_again", "by_call": "got-through", "by": "SIP1", "minutes": 180,
         "soon": true, "attempt": null},
        {"call_id": "back", "resolution": "called_back", "by_call": "reached", "by": "SIP2", "minutes": 12, "soon": true,
         "attempt": "10:05"},
        {"call_id": "open", "resolution": "open", "by_call": null, "by": null, "minutes": null, "soon": false,
         "attempt": "10:02"},
        {"call_id": "untried", "resolution": "open", "by_call": null, "by": null, "minutes": null, "soon": false,
         "attempt": null},
        {"call_id": "withheld", "resolution": "no_number", "by_call": null, "by": null, "minutes": null, "soon": null,
         "attempt": null}
    ]);
    assert_eq!(scene.rows(list).await, expected);
}

#[tokio::test]
async fn another_accounts_calls_settle_nothing() {
    let elsewhere = outgoing("reached", 5, "0541111111", "ANSWER");
    let elsewhere = json!({"account": "b"})
        .as_object()
        .unwrap()
        .clone()
        .into_iter()
        .chain(elsewhere.as_object().unwrap().clone());
    let mut scene =
        ReaderScene::of(json!([missed("1", 0, "0541111111"), Value::Object(elsewhere.collect())])).await;
    let list = "select account, resolution from voicenter.missed_calls";
    assert_eq!(scene.row(list).await, json!({"account": "a", "resolution": "open"}));
}

#[tokio::test]
async fn who_calls_twice_on_a_day_is_a_repeat_caller() {
    let mut scene = ReaderScene::of(json!([
        missed("1", 0, "0541111111"),
        incoming("2", 9, "972541111111"),
        outgoing("3", 10, "0541111111", "ANSWER"),
        incoming("4", 0, "0542222222"),
        incoming("5", 24 * 60, "0542222222"),
        incoming("6", 0, "anonymous"),
        incoming("7", 1, "anonymous"),
    ]))
    .await;
    let callers =
        "select day, customer_number as number, customer_key is not null as has_key, calls, answered, missed,
                       extract(epoch from last_at - first_at)::integer as seconds
                   from voicenter.repeat_callers";
    let expected = json!({"day": "2024-06-10", "number": "+972541111111", "has_key": true, "calls": 2, "answered": 1,
                          "missed": 1, "seconds": 540});
    assert_eq!(scene.row(callers).await, expected);
}
