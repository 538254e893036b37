//! Parts that came under several types of one record.

use serde_json::json;

use crate::ai::scene::{AiScene, at, push, said};

const PULLED: &str = "
    insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
    select 'default', c, 'Queue', '2026-11-01T07:59:00Z', now(), now() from unnest(array['1', '2']) c";

/// Calls 1 and 2 have a notification without a type and one with it: of the first call the former came first, of the other the
/// latter. Returns all that is known in the end.
async fn outcome(is_pulled_first: bool) -> Vec<String> {
    let scene = AiScene::new().await;
    if is_pulled_first {
        scene.database.execute(PULLED).await;
    }
    for (call_id, minutes) in [("1", [0, 1]), ("2", [1, 0])] {
        let mut untyped = said(&["without", "a type"]);
        untyped["insights"] = json!({ "summary": "without", "questions": [{ "key": "a" }, { "key": "b" }] });
        untyped["emotions"] = json!({ "sentences": [{ "emotion": "joy" }] });
        let mut untyped = push(call_id, untyped);
        untyped.as_object_mut().unwrap().remove("type");
        let mut typed = said(&["with one"]);
        typed["insights"] =
            json!({ "questions": [{ "key": "c" }], "participants": { "caller": { "name": "Dana" } } });
        typed["emotions"] = json!({ "questions": [{ "key": "d" }], "sentences": [{ "emotion": "fear" }, { "emotion": "joy" }] });
        typed["more"] = json!(1);
        let mut bodies = [(minutes[0], untyped), (minutes[1], push(call_id, typed))];
        bodies.sort_by_key(|(minute, _)| *minute);
        for (minute, body) in bodies {
            scene.receive(at(minute), &body).await;
            scene.apply().await;
        }
    }
    let keys = "select concat_ws('|', call_id, type) from voicenter_ai.call_ai order by 1";
    if !is_pulled_first {
        assert_eq!(scene.database.lines(keys).await, ["1|", "1|Queue", "2|", "2|Queue"]);
        scene.database.execute(PULLED).await;
        // Whatever comes next of a call has all of it joined.
        for call_id in ["1", "2"] {
            scene.receive(at(2), &json!({ "ivruniqueid": call_id, "type": "Queue" })).await;
        }
        scene.apply().await;
    }
    assert_eq!(scene.database.lines(keys).await, ["1|Queue", "2|Queue"]);
    assert_eq!(scene.database.lines("select call_id from voicenter.cdr_push order by 1").await, ["1", "2"]);
    scene.known().await
}

#[tokio::test]
async fn once_the_pull_brings_the_type_they_are_one_and_the_newer_part_counts() {
    let known = outcome(false).await;
    assert_eq!(known, outcome(true).await, "as if the type had been known from the beginning");
    let has = |call_id: &str, what: &str| {
        let of_call = format!("\"call_id\": \"{call_id}\"");
        known.iter().any(|row| row.contains(&of_call) && row.contains(what))
    };
    for (call_id, newer, older) in [("1", "with one", "a type"), ("2", "a type", "with one")] {
        assert!(has(call_id, newer) && !has(call_id, older), "{call_id}: {known:#?}");
        // What only one of them had.
        assert!(
            has(call_id, "\"summary\": \"without\"") && has(call_id, "Dana") && has(call_id, "\"d\""),
            "{known:#?}"
        );
    }
    assert!(has("1", "\"c\"") && !has("1", "\"b\"") && has("2", "\"b\"") && !has("2", "\"c\""), "{known:#?}");
    assert!(has("1", "fear") && !has("2", "fear"), "{known:#?}");
}
