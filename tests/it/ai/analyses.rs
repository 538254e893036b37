//! Parts that come one by one, in any order, again and again.

use serde_json::{Value, json};

use crate::ai::scene::{AiScene, at, push, said};

fn summary(text: &str) -> Value {
    json!({ "insights": { "summary": text } })
}

#[tokio::test]
async fn what_comes_after_the_first_push_is_stored_and_a_push_without_it_takes_nothing_away() {
    let scene = AiScene::new().await;
    scene.receive(at(0), &push("1", Value::Null)).await;
    scene.apply().await;
    scene.receive(at(5), &push("1", said(&["Hello", "Good morning"]))).await;
    scene.apply().await;
    let expected = ["1 1 agent Hello", "1 2 customer Good morning"];
    assert_eq!(scene.transcript().await, expected);
    for (minute, ai) in
        [(6, json!({ "insights": null })), (7, json!({})), (8, json!({ "transcript": [], "insights": null }))]
    {
        scene.receive(at(minute), &push("1", ai)).await;
        scene.apply().await;
    }
    assert_eq!(scene.transcript().await, expected);
    assert_eq!(scene.database.count("select count(*) from cdr_sync.push where state = 'new'").await, 0);
}

#[tokio::test]
async fn a_part_is_replaced_whole_and_the_others_stay() {
    let scene = AiScene::new().await;
    let mut first = said(&["one", "two", "three"]);
    first["insights"] = json!({
        "summary": "First",
        "questions": [{ "key": "a", "data_type": 1, "answer": "false" }, { "key": "b", "data_type": "number", "answer": "7.50" }],
        "participants": { "caller": { "name": "Dana", "personality_traits": ["calm"] }, "callee": { "name": "Noa" } }
    });
    first["emotions"] = json!({
        "questions": [{ "key": "mood", "data_type": "string", "answer": "[good]" }],
        "sentences": [{ "sentence_id": 3, "emotion": "joy", "emotion_direction": 1, "confidence_emotion": 0.91 }]
    });
    scene.receive(at(0), &push("1", first)).await;
    scene.apply().await;
    let second = json!({
        "transcript": [{ "speaker": "Speaker1", "text": "only" }],
        "insights": { "participants": { "callee": { "name": "Gal" } } }
    });
    scene.receive(at(1), &push("1", second)).await;
    scene.apply().await;
    assert_eq!(scene.transcript().await, ["1 1 customer only"]);
    let call = "select summary, caller_name, callee_name, personality, source, received_at > first_received_at as is_later,
                    (select count(*) from cdr_sync.push p where p.body_sha256 = a.body_sha256 and p.received_at = a.received_at) as bodies
                from voicenter_ai.call_ai a";
    assert_eq!(
        scene.value(call).await,
        json!([{ "summary": "First", "caller_name": null, "callee_name": "Gal", "personality": {}, "source": "push", "is_later": true, "bodies": 1 }])
    );
    let answers = "select part, position, key, data_type, answer, answer_bool, answer_number, answer_text from voicenter_ai.call_ai_answer
                   order by part desc, position";
    assert_eq!(
        scene.value(answers).await,
        json!([
            { "part": "insights", "position": 1, "key": "a", "data_type": "boolean", "answer": "false", "answer_bool": false, "answer_number": null, "answer_text": null },
            { "part": "insights", "position": 2, "key": "b", "data_type": "number", "answer": "7.50", "answer_bool": null, "answer_number": 7.5, "answer_text": null },
            { "part": "emotions", "position": 1, "key": "mood", "data_type": "string", "answer": "[good]", "answer_bool": null, "answer_number": null, "answer_text": "[good]" },
        ])
    );
    let sentences = "select sentence_id, emotion, direction, confidence from voicenter_ai.call_ai_sentence";
    assert_eq!(
        scene.value(sentences).await,
        json!([{ "sentence_id": "3", "emotion": "joy", "direction": 1, "confidence": 0.91 }])
    );
}

/// Four bodies about two calls in every order, each applied alone, and all at once.
#[tokio::test]
async fn the_outcome_is_the_same_in_whatever_order_they_are_applied() {
    let mut bodies = vec![
        push("1", said(&["old"])),
        push(
            "1",
            json!({ "insights": { "summary": "second" }, "transcript": [{ "text": "newer" }, { "text": "lines" }] }),
        ),
        push(
            "1",
            json!({ "insights": { "summary": "third", "questions": [{ "key": "k", "answer": true }] }, "more": 1 }),
        ),
    ];
    bodies.push(json!([push("2", summary("of two")), push("1", summary("of two, the newest"))]));
    let scene = AiScene::new().await;
    let mut outcomes = Vec::new();
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1], [3, 0, 1, 2], [0, 2, 3, 1]];
    for (order, is_single) in orders.into_iter().map(|order| (order, true)).chain([(orders[0], false)]) {
        scene
            .database
            .execute(
                "truncate cdr_sync.push, voicenter_ai.call_ai, voicenter_ai.call_ai_part, voicenter_ai.call_ai_answer,
                     voicenter_ai.call_ai_sentence, voicenter_ai.call_transcript",
            )
            .await;
        for nth in order {
            scene.receive(at(nth as i64), &bodies[nth]).await;
            if is_single {
                scene.apply().await;
            }
        }
        scene.apply().await;
        // When the first part came is known only if it was applied.
        let mut known = scene.known().await;
        known.retain(|row| !row.starts_with("call_ai "));
        known.extend(scene.database.lines("select concat_ws(' ', call_id, summary, extra, received_at) from voicenter_ai.call_ai order by 1").await);
        outcomes.push(known);
    }
    assert!(outcomes[0].iter().any(|row| row.contains("newer")), "{:?}", outcomes[0]);
    assert!(
        outcomes[0].iter().any(|row| row.contains("1 of two, the newest {\"more\": 1} 2026-11-01 08:03")),
        "{:?}",
        outcomes[0]
    );
    for outcome in &outcomes {
        assert_eq!(outcome, &outcomes[0]);
    }
}

#[tokio::test]
async fn who_speaks_is_claimed_for_incoming_calls_only() {
    let scene = AiScene::new().await;
    for (call_id, direction) in [("1", "Incoming"), ("2", "outgoing"), ("3", "")] {
        let mut body = push(call_id, said(&["a", "b"]));
        body["direction"] = json!(direction);
        scene.receive(at(0), &body).await;
    }
    scene.apply().await;
    assert_eq!(
        scene.transcript().await,
        ["1 1 agent a", "1 2 customer b", "2 1 a", "2 2 b", "3 1 a", "3 2 b"]
    );
    let labels =
        "select count(*) from voicenter_ai.call_transcript where speaker in ('Speaker0', 'Speaker1')";
    assert_eq!(scene.database.count(labels).await, 6);
}

#[tokio::test]
async fn a_notification_that_does_not_say_that_the_call_was_incoming_is_helped_by_what_is_known() {
    let scene = AiScene::new().await;
    // Of another notification, in a batch of its own or in the same one; of the pull; of both, which differ; of nobody.
    for (call_id, direction) in [("1-before", "INCOMING"), ("4-both", "outgoing")] {
        let known = json!({ "ivruniqueid": call_id, "type": "Queue", "direction": direction });
        scene.receive(at(0), &known).await;
    }
    scene.apply().await;
    scene
        .database
        .execute(
            "insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
             select 'default', c.call_id, c.type, now(), now(), now()
             from (values ('3-pulled', 'Queue'), ('4-both', 'Queue'), ('5-placed', 'Extension Outgoing')) c (call_id, type)",
        )
        .await;
    scene
        .receive(at(1), &json!({ "ivruniqueid": "2-beside", "type": "Queue", "direction": "incoming" }))
        .await;
    for call_id in ["1-before", "2-beside", "3-pulled", "4-both", "5-placed", "6-unknown"] {
        let mut body = push(call_id, said(&["a"]));
        body.as_object_mut().unwrap().remove("direction");
        // The pull may know the type as well.
        if call_id > "3" {
            body.as_object_mut().unwrap().remove("type");
        }
        scene.receive(at(2), &body).await;
    }
    scene.apply().await;
    assert_eq!(
        scene.transcript().await,
        [
            "1-before 1 agent a",
            "2-beside 1 agent a",
            "3-pulled 1 agent a",
            "4-both 1 a",
            "5-placed 1 a",
            "6-unknown 1 a"
        ]
    );
}

#[tokio::test]
async fn a_refused_analysis_leaves_the_facts_and_can_be_read_again() {
    let scene = AiScene::new().await;
    // No check of this program refuses it, but one of the database does.
    let check = "alter table voicenter_ai.call_transcript add constraint no_b check (text <> 'B')";
    scene.database.execute(check).await;
    for (call_id, line) in [("1", "A"), ("2", "B"), ("3", "C")] {
        let mut ai = said(&[line]);
        ai["insights"] = json!({ "summary": line });
        scene.receive(at(0), &push(call_id, ai)).await;
    }
    scene.apply().await;
    let facts = "select concat_ws(' ', call_id, direction) from voicenter.cdr_push order by 1";
    assert_eq!(scene.database.lines(facts).await, ["1 incoming", "2 incoming", "3 incoming"]);
    let summaries = "select concat_ws(' ', call_id, summary) from voicenter_ai.call_ai order by 1";
    assert_eq!(scene.database.lines(summaries).await, ["1 A", "3 C"], "not half of it either");
    let refused = "select concat_ws(' ', state, problem) from cdr_sync.push where state <> 'applied'";
    assert_eq!(
        scene.database.lines(refused).await,
        ["rejected PostgreSQL refused the analysis in it (SQLSTATE 23514); everything else is used"]
    );
    scene.database.execute("alter table voicenter_ai.call_transcript drop constraint no_b").await;
    // As `push replay` does.
    scene
        .database
        .execute("update cdr_sync.push set state = 'new', problem = null where state = 'rejected'")
        .await;
    scene.apply().await;
    assert_eq!(scene.database.lines(summaries).await, ["1 A", "2 B", "3 C"]);
    assert_eq!(scene.transcript().await, ["1 1 agent A", "2 1 agent B", "3 1 agent C"]);
    assert_eq!(scene.database.lines(refused).await, [""; 0]);
}

#[tokio::test]
async fn what_postgresql_cannot_hold_is_replaced_and_the_rest_of_the_batch_is_stored() {
    let scene = AiScene::new().await;
    let huge = "9".repeat(200_000);
    let body = format!(
        r#"{{"ivruniqueid":"1","type":"Queue","aiData":{{"insights":{{"summary":"a\u0000b\ud800c","questions":[{{"key":"k","data_type":3,"answer":1e400000}},{{"key":"l","data_type":3,"answer":{huge}}}]}},"x\u0000":1e-300000,"transcript":[{{"text":"\udc00","startTime":1e300,"endTime":"soon"}}]}}}}"#
    );
    scene.receive_for("default", at(0), body.as_bytes()).await;
    scene.receive(at(1), &push("2", summary("fine"))).await;
    scene.apply().await;
    let summaries = scene.database.lines("select summary from voicenter_ai.call_ai order by call_id").await;
    assert_eq!(summaries, ["a\u{fffd}b\u{fffd}c", "fine"]);
    let kept =
        "select count(*) from voicenter_ai.call_ai_answer where answer_number is null and answer is not null";
    assert_eq!(scene.database.count(kept).await, 2);
    let times = "select count(*) from voicenter_ai.call_transcript where start_seconds is null and extra ? 'startTime' and extra ? 'endTime'";
    assert_eq!(scene.database.count(times).await, 1);
}

#[tokio::test]
async fn the_state_of_each_call_says_how_far_its_analysis_is() {
    let scene = AiScene::new().await;
    scene
        .database
        .execute(
            "insert into voicenter.cdr (account, call_id, type, started_at, custom_data, first_seen_at, updated_at)
             select 'default', c.call_id, 'Queue', now() - c.ago::interval, c.custom_data::jsonb, now(), now()
             from (values ('announced', '1 day', '{\"AiExists\": true}'), ('late', '8 days', '{\"AiExists\": true}'),
                 ('none', '1 day', '{\"AiExists\": false}'), ('silent', '1 day', null), ('1', '9 days', '{\"AiExists\": true}')) c (call_id, ago, custom_data)",
        )
        .await;
    scene.receive(at(0), &push("1", said(&["a"]))).await;
    scene.receive(at(1), &push("2", summary("a"))).await;
    scene.apply().await;
    let states =
        "select call_id || ' ' || state from voicenter_ai.call_ai_state where account = 'default' order by 1";
    let expected =
        ["1 summary", "2 summary", "announced expected", "late gave_up", "none none", "silent none"];
    assert_eq!(scene.database.lines(states).await, expected);
    scene.receive(at(2), &push("1", summary("b"))).await;
    scene.apply().await;
    assert_eq!(scene.database.lines(states).await[0], "1 whole");
}
