//! Which calls are asked for, when, and what is stored.

use chrono::TimeDelta;
use serde_json::{Value, json};
use voicenter_simulator::{Record, analysis_of};

use cdr_sync::store::call_history::CallAsked;
use cdr_sync::sync::call_history::{HistoryReader, HistoryTurn};

use crate::ai::scene::{AiScene, TABLES};
use crate::call_history::scene::{AskScene, call};

fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

#[tokio::test]
async fn what_the_api_knows_of_each_call_is_stored_in_both_forms() {
    for is_flat in [false, true] {
        let scene = AskScene::of(400, is_flat).await;
        let records: Vec<Record> = (0..20).map(|n| call(&format!("{n}"), &scene, hours(10 + n))).collect();
        scene.mirrors(records.clone()).await;
        scene.turns().await;
        assert_eq!(scene.histories().asked().len(), 20);
        let stored = "select concat_ws(' ', call_id, type, source, summary) from voicenter_ai.call_ai order by call_id";
        let mut expected: Vec<String> = records
            .iter()
            .map(|record| {
                let analysis = analysis_of(record).unwrap();
                let summary = analysis["insights"]["summary"].as_str().map(|text| format!(" {text}"));
                format!("{} Incoming Call history{}", record.call_id, summary.unwrap_or_default())
            })
            .collect();
        expected.sort();
        assert_eq!(scene.lines(stored).await, expected);
        let answers: usize = records
            .iter()
            .map(|record| {
                analysis_of(record).unwrap()["insights"]["questions"].as_array().map_or(0, Vec::len)
            })
            .sum();
        let stored = scene.lines("select count(*)::text from voicenter_ai.call_ai_answer").await;
        assert_eq!(stored, [answers.to_string()]);
        // The phone number in the answer is a fact of the call, not of the analysis.
        for table in TABLES {
            let found =
                format!("select count(*)::text from voicenter_ai.{table} t where t::text like '%541112222%'");
            assert_eq!(scene.lines(&found).await, ["0"], "{table}");
        }
        // Nothing is asked for twice.
        scene.goes_on(TimeDelta::days(2));
        scene.turns().await;
        assert_eq!(scene.histories().asked().len(), 20);
    }
}

#[tokio::test]
async fn only_calls_are_asked_for_that_may_have_one_the_newest_first() {
    let scene = AskScene::new().await;
    let with = |call_id: &str, ago, change: &dyn Fn(&mut Record)| {
        let mut record = call(call_id, &scene, ago);
        change(&mut record);
        record
    };
    let silent = |record: &mut Record| record.custom_data = json!({});
    let leg = |call_type: &str, url: &str, exists: Value| Record {
        call_type: call_type.to_owned(),
        record_url: url.to_owned(),
        custom_data: exists,
        ..call("legs", &scene, hours(9))
    };
    scene
        .mirrors([
            with("older", hours(20), &|_| {}),
            with("newer", hours(7), &|_| {}),
            with("said to have none", hours(8), &|record| record.custom_data = json!({ "AiExists": false })),
            with("long", hours(21), &silent),
            with("short", hours(8), &|record| {
                silent(record);
                record.duration = Some(29);
            }),
            with("not answered", hours(8), &|record| {
                silent(record);
                record.dial_status = "NOANSWER".to_owned();
            }),
            with("too new", hours(5), &|_| {}),
            with("too old", TimeDelta::days(8), &|_| {}),
            // The recording is that of the second leg.
            leg("Click2Call leg1", "", json!({})),
            leg("Click2Call leg2", "https://example.com/legs.mp3", json!({})),
        ])
        .await;
    scene.turns().await;
    assert_eq!(scene.histories().asked(), ["newer", "legs", "older", "long"]);
    let outcomes =
        scene.lines("select concat_ws(' ', call_id, outcome) from cdr_sync.call_history order by 1").await;
    assert!(outcomes.contains(&"newer analysis".to_owned()), "{outcomes:?}");
    let legs = scene.lines("select type from voicenter_ai.call_ai where call_id = 'legs'").await;
    assert!(legs.iter().all(|leg| leg == "Click2Call leg2"), "{legs:?}");
}

#[tokio::test]
async fn a_call_that_has_an_analysis_is_not_asked_for() {
    let scene = AskScene::new().await;
    scene.mirrors([call("pushed", &scene, hours(7)), call("missed", &scene, hours(8))]).await;
    scene
        .mirror
        .database
        .execute(
            "insert into voicenter_ai.call_ai (account, call_id, type, source, received_at, first_received_at)
             values ('main', 'pushed', '', 'push', now(), now())",
        )
        .await;
    scene.turns().await;
    assert_eq!(scene.histories().asked(), ["missed"]);
}

#[tokio::test]
async fn what_is_pushed_replaces_it_also_for_the_other_leg() {
    let scene = AskScene::new().await;
    let leg = |call_type: &str, url: &str| Record {
        call_type: call_type.to_owned(),
        record_url: url.to_owned(),
        custom_data: json!({}),
        ..call("legs", &scene, hours(9))
    };
    let legs = [leg("Click2Call leg1", ""), leg("Click2Call leg2", "https://example.com/legs.mp3")];
    let lone = Record { custom_data: json!({}), ..call("lone", &scene, hours(8)) };
    scene.mirrors(legs.into_iter().chain([lone])).await;
    // As if both had been asked for.
    let store = &scene.reader.store;
    let now = scene.mirror.now();
    for call_id in ["lone", "legs"] {
        let asked = store.next_call_to_ask("main", scene.reader.rules, now).await.unwrap().unwrap();
        assert_eq!(asked.call_id, call_id);
        assert!(store.take_history_request("main", "some-credential", call_id, 10_000, now).await.unwrap());
        let text = json!({ "callId": call_id, "summary": "asked", "emotions": { "sentences": [{ "emotion": "joy" }] } });
        let found = cdr_sync::call_history::decode(&text.to_string()).unwrap();
        let found = CallAsked::Analysis(Box::new(found.analysis.unwrap()), vec![1; 32]);
        store.note_call_asked("main", &asked, &found, now).await.unwrap();
    }
    let stored = "select concat_ws(' ', call_id, type, source, summary) from voicenter_ai.call_ai order by 1";
    assert_eq!(
        scene.lines(stored).await,
        ["legs Click2Call leg2 history asked", "lone Incoming Call history asked"]
    );
    let inbox = AiScene { database: scene.mirror.database.clone(), store: store.clone() };
    for (call_id, call_type) in [("legs", Some("Click2Call leg1")), ("lone", None)] {
        let body = json!({ "ivruniqueid": call_id, "type": call_type, "aiData": { "insights": { "summary": "pushed" } } });
        inbox.receive_for("main", now, body.to_string().as_bytes()).await;
    }
    inbox.apply_for("main").await;
    assert_eq!(
        scene.lines(stored).await,
        ["legs Click2Call leg1 push pushed", "lone Incoming Call push pushed"]
    );
    // What the push does not have is that of the request still, where it is the same leg.
    let sentences = "select call_id from voicenter_ai.call_ai_sentence";
    assert_eq!(scene.lines(sentences).await, ["lone"]);
}

#[tokio::test]
async fn a_call_without_one_is_asked_for_once_a_day_and_three_times_in_all() {
    let scene = AskScene::new().await;
    scene.mirrors([]).await;
    // Inserted into the mirror alone: the API does not know it.
    scene
        .mirror
        .database
        .execute(&format!(
            "insert into voicenter.cdr (account, call_id, type, started_at, dial_status, duration_seconds, first_seen_at, updated_at)
             values ('main', 'unknown', 'Queue', '{}', 'ANSWER', 60, now(), now())",
            (scene.mirror.now() - hours(7)).to_rfc3339()
        ))
        .await;
    let mut asked = Vec::new();
    for _ in 0..10 {
        scene.turns().await;
        asked.push(scene.histories().asked().len());
        scene.goes_on(hours(13));
    }
    assert_eq!(asked, [1, 1, 2, 2, 3, 3, 3, 3, 3, 3]);
    let noted = "select concat_ws(' ', call_id, outcome, times) from cdr_sync.call_history";
    assert_eq!(scene.lines(noted).await, ["unknown none 3"]);
}

#[tokio::test]
async fn requests_are_spread_over_the_week() {
    let mut scene = AskScene::new().await;
    scene.reader.per_week = 7;
    scene.mirrors((0..60).map(|n| call(&format!("{n}"), &scene, hours(7 + 2 * n)))).await;
    let mut asked = Vec::new();
    for _ in 0..28 {
        // What a day has left over may be used at once, later one is asked for each day.
        scene.turns().await;
        asked.push(scene.histories().asked().len());
        scene.goes_on(hours(6));
    }
    assert!(asked[0] <= 2, "{asked:?}");
    assert!(asked.windows(5).all(|day| day[4] - day[0] <= 2), "{asked:?}");
    assert!((6..=9).contains(&asked[27]), "{asked:?}");
}

#[tokio::test]
async fn accounts_with_one_token_share_its_ration() {
    let mut scene = AskScene::new().await;
    scene.reader.per_week = 1;
    scene.mirrors([call("a", &scene, hours(7)), call("b", &scene, hours(8))]).await;
    let now = scene.mirror.now();
    let start = cdr_sync::store::account::Start::Default(now);
    scene.mirror.store.open_account("other", &json!({"url": "u"}), start, now).await.unwrap();
    scene.turns().await;
    assert_eq!(scene.histories().asked(), ["a"]);
    let other = HistoryReader { account: "other".to_owned(), ..scene.reader.clone() };
    assert!(matches!(other.turn(now).await.unwrap(), HistoryTurn::NotBefore(_)));
    let own_token = HistoryReader { credential: "another".to_owned(), ..other };
    assert_eq!(own_token.turn(now).await.unwrap(), HistoryTurn::Nothing);
}

#[tokio::test]
async fn what_was_forgotten_is_not_asked_for_nor_stored() {
    let scene = AskScene::new().await;
    let other = Record { caller_number: "0549999999".to_owned(), ..call("by number", &scene, hours(7)) };
    scene
        .mirrors([
            call("by id", &scene, hours(8)),
            other,
            call("kept", &scene, hours(9)),
            call("late", &scene, hours(5)),
        ])
        .await;
    scene
        .mirror
        .database
        .execute(
            "insert into cdr_sync.forgotten (account, hash)
             values ('main', cdr_sync.forgotten_hash('call', 'by id')),
                    ('main', cdr_sync.forgotten_hash('number', '+972549999999'))",
        )
        .await;
    scene.turns().await;
    assert_eq!(scene.histories().asked(), ["kept"]);
    assert_eq!(scene.lines("select call_id from voicenter_ai.call_ai").await, ["kept"]);
    // Forgotten while the answer was on its way.
    scene.goes_on(hours(2));
    let store = &scene.reader.store;
    let now = scene.mirror.now();
    let late = store.next_call_to_ask("main", scene.reader.rules, now).await.unwrap().unwrap();
    assert_eq!(late.call_id, "late");
    assert!(store.take_history_request("main", "some-credential", "late", 10_000, now).await.unwrap());
    scene
        .mirror
        .database
        .execute("insert into cdr_sync.forgotten (account, hash) values ('main', cdr_sync.forgotten_hash('call', 'late'))")
        .await;
    let found = cdr_sync::call_history::decode(r#"{"callId":"late","summary":"secret"}"#).unwrap();
    let asked = CallAsked::Analysis(Box::new(found.analysis.clone().unwrap()), vec![1; 32]);
    store.note_call_asked("main", &late, &asked, now).await.unwrap();
    assert_eq!(scene.lines("select call_id from voicenter_ai.call_ai").await, ["kept"]);
    // Nothing says which ones they were.
    assert_eq!(scene.lines("select call_id from cdr_sync.call_history").await, ["kept"]);
    // Nor is anything stored for an account that was forgotten or renamed meanwhile.
    scene.mirror.store.rename_account("main", "renamed").await.unwrap();
    let kept = CallAsked::Analysis(Box::new(found.analysis.unwrap()), vec![2; 32]);
    store.note_call_asked("main", &late, &kept, now).await.unwrap();
    assert_eq!(scene.lines("select distinct account from voicenter_ai.call_ai").await, ["renamed"]);
}

#[tokio::test]
async fn a_paused_or_forgotten_account_asks_for_nothing() {
    let scene = AskScene::new().await;
    scene.mirrors([call("a", &scene, hours(7))]).await;
    scene.mirror.store.pause_account("main", None).await.unwrap();
    assert_eq!(scene.turn().await, HistoryTurn::Paused);
    scene.mirror.store.end_pause("main").await.unwrap();
    scene.turns().await;
    assert_eq!(scene.histories().asked(), ["a"]);
    scene.mirror.store.forget_account("main", true).await.unwrap();
    assert_eq!(scene.turn().await, HistoryTurn::Paused);
    assert_eq!(scene.mirror.database.count("select count(*) from cdr_sync.call_history").await, 0);
}

#[tokio::test]
async fn a_call_id_is_one_segment_of_the_path_whatever_it_holds() {
    let scene = AskScene::new().await;
    let strange = ["../../secret", "a/b?c=d#e", "%2e%2e", "שיחה 7", "a+b&c"];
    scene.mirrors(strange.iter().zip(7..).map(|(call_id, ago)| call(call_id, &scene, hours(ago)))).await;
    scene.turns().await;
    assert_eq!(scene.histories().asked(), strange);
    assert_eq!(scene.lines("select call_id from voicenter_ai.call_ai").await.len(), strange.len());
}
