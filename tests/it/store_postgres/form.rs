//! What comes in another form is no other content.

use std::collections::BTreeSet;

use cdr_sync::cdr::Column;
use cdr_sync::store::commit::{Commit, Committed};
use cdr_sync::voicenter::decode;
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::store_postgres::scene::{StoreScene, at, cdrs};

/// Stores these items as an answer of the API would bring them.
async fn answer(scene: &StoreScene, items: Value, minute: u32) -> Committed {
    let body = json!({"ERROR_NUMBER": 0, "CDR_LIST": items}).to_string();
    let envelope = decode(body.as_bytes(), Tz::UTC).unwrap();
    assert_eq!(envelope.rejected, []);
    let commit = Commit {
        columns: &envelope.columns,
        other_fields: &envelope.other_fields,
        ..scene.commit(&envelope.records, at(12, minute))
    };
    scene.store.commit(&commit).await.unwrap()
}

async fn extras(scene: &StoreScene) -> Vec<String> {
    scene.database.lines("select extra::text from voicenter.cdr order by call_id").await
}

#[tokio::test]
async fn a_change_of_form_alone_rewrites_no_row() {
    let scene = StoreScene::new().await;
    let first = json!([
        {"CallID": "a", "Type": "Queue", "Date": "2024-06-10T01:00:00Z", "DateEpoch": 1717981200, "Duration": 5,
         "Price": 12.5, "RecordExpect": true, "NewField": 7, "Flag": true, "Deep": {"x": [1]}, "CustomData": {"k": 1}},
        {"CallID": "b", "Type": "Queue", "Date": "2024-06-10T01:01:00Z", "DateEpoch": 1717981260, "Duration": "long",
         "Newest": "x"},
    ]);
    assert_eq!(answer(&scene, first, 0).await.inserted, 2);
    let forms = [
        json!([
            {"callid": "a", "type": "Queue", "date": "2024-06-10 01:00:00", "dateepoch": "1717981200", "duration": "5",
             "price": "12.50", "recordexpect": "1", "newfield": "7", "flag": "true", "deep": {"x": [1.0]},
             "customdata": "{\"k\":1}", "empty": [], "DURATION": 5, "Date": "2024-06-10T01:00:00", "PRICE": "1.25e1"},
            {"callid": "b", "type": "Queue", "date": "2024-06-10T01:01:00.000Z", "duration": "long", "newest": "x"},
        ]),
        json!([
            {"CALLID": "a", "Type": "Queue", "Date": "2024-06-10T01:00:00Z", "Duration": 5, "Price": 12.5, "RecordExpect": 1,
             "NEWFIELD": 7, "Flag": "true", "Deep": {"x": [1]}, "CustomData": {"k": 1}, "DateEpoch": 1717981200000_i64},
            {"CALLID": "b", "Type": "Queue", "Date": "2024-06-10T01:01:00Z", "DURATION": "long", "NewEst": "x"},
        ]),
    ];
    for (minute, form) in (1..).zip(forms) {
        let done = answer(&scene, form, minute).await;
        assert_eq!((done.updated, done.inserted, done.unchanged), (0, 0, 2), "form {minute}");
    }
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr_history").await, 0);
    assert_eq!(
        extras(&scene).await,
        [r#"{"Deep": {"x": [1]}, "Flag": true, "NewField": 7}"#, r#"{"Newest": "x", "Duration": "long"}"#]
    );
}

#[tokio::test]
async fn a_member_of_extra_keeps_its_first_name_when_its_content_changes() {
    let scene = StoreScene::new().await;
    let item = |name: &str, value: i32| json!([{"CallID": "a", "Date": "2024-06-10T01:00:00Z", name: value}]);
    answer(&scene, item("NewField", 7), 0).await;
    assert_eq!(answer(&scene, item("newFIELD", 8), 1).await.updated, 1);
    assert_eq!(extras(&scene).await, [r#"{"NewField": 8}"#]);
}

#[tokio::test]
async fn a_field_without_a_column_that_the_whole_answer_lacks_stays_as_it_is_and_is_reported() {
    let scene = StoreScene::new().await;
    let items = |fields: [Value; 2]| {
        let [mut a, mut b] = fields;
        (a["CallID"], a["Date"]) = ("a".into(), "2024-06-10T01:00:00Z".into());
        (b["CallID"], b["Date"]) = ("b".into(), "2024-06-10T01:01:00Z".into());
        json!([a, b])
    };
    answer(&scene, items([json!({"New": 1, "Other": 2}), json!({"New": 3})]), 0).await;
    let done = answer(&scene, items([json!({"Other": 2}), json!({})]), 1).await;
    assert_eq!((done.updated, done.members_kept), (0, vec!["New".to_owned()]));
    // One record has it, if only empty: the others lack it in earnest.
    let done = answer(&scene, items([json!({"Other": 5, "new": null}), json!({})]), 2).await;
    assert_eq!((done.updated, done.members_kept), (2, vec![]));
    assert_eq!(extras(&scene).await, [r#"{"Other": 5}"#, "null"]);
}

#[tokio::test]
async fn the_epoch_that_earlier_versions_kept_rewrites_nothing_and_goes_with_the_next_change() {
    let scene = StoreScene::new().await;
    let item = |duration: i32| json!([{"CallID": "a", "Date": "2024-06-10T01:00:00Z", "DateEpoch": 1717981200, "Duration": duration, "New": 1}]);
    answer(&scene, item(5), 0).await;
    scene.database.execute(r#"update voicenter.cdr set extra = extra || '{"DateEpoch": 1717981200}'"#).await;
    let done = answer(&scene, item(5), 1).await;
    assert_eq!((done.updated, done.members_kept), (0, vec![]));
    assert_eq!(scene.rows().await[0].extra.keys().collect::<Vec<_>>(), ["New"]);
    assert_eq!(answer(&scene, item(6), 2).await.updated, 1);
    assert_eq!(extras(&scene).await, [r#"{"New": 1}"#]);
}

#[tokio::test]
async fn extra_is_compared_alike_in_answers_that_travel_by_copy() {
    let scene = StoreScene::new().await;
    let mut records = cdrs(1_200, at(1, 0));
    scene.store(&records).await;
    for record in &mut records {
        record.extra = [("NEW".to_owned(), json!("field"))].into();
    }
    assert_eq!(scene.store(&records).await.unchanged, 1_200);
    records[3].extra.insert("More".into(), json!(1));
    let (columns, others) = (Column::ALL.into(), BTreeSet::from(["new".to_owned(), "more".into()]));
    let commit = Commit { columns: &columns, other_fields: &others, ..scene.commit(&records, at(12, 1)) };
    assert_eq!(scene.store.commit(&commit).await.unwrap().updated, 1);
}
