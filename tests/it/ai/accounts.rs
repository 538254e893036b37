//! What becomes of it when an account is renamed or dropped.

use cdr_sync::store::forget::Forget;

use crate::ai::scene::{ACCOUNT, AiScene, TABLES, at, push, said};
use crate::support::polling::until;

const LEDGER: &str = "insert into cdr_sync.account (name, scope, scope_since, history_start) values ('default', '{}', now(), now())";

#[tokio::test]
async fn it_goes_with_its_account_and_what_is_forgotten_stays_so() {
    let scene = AiScene::new().await;
    scene.database.execute(LEDGER).await;
    let mut ai = said(&["a"]);
    ai["insights"] = serde_json::json!({ "summary": "s", "questions": [{ "key": "k" }] });
    ai["emotions"] = serde_json::json!({ "sentences": [{ "emotion": "joy" }] });
    scene.receive(at(0), &push("1", ai)).await;
    scene.apply().await;
    for account in [ACCOUNT, "new"] {
        let forget = Forget::Call("gone".to_owned());
        scene.store.forget_from_now_on(account, &forget).await.unwrap();
    }
    let mut everything = Vec::from(TABLES.map(|table| format!("voicenter_ai.{table}")));
    everything.push("cdr_sync.forgotten".to_owned());
    let rows = async |account: &str| {
        let counts = everything.iter().zip(1..).map(|(table, nth)| {
            format!("select {nth} as nth, count(*) as rows from {table} where account = '{account}'")
        });
        let counts = counts.collect::<Vec<_>>().join(" union all ");
        scene.database.lines(&format!("select rows::text from ({counts}) c order by nth")).await
    };
    let known = scene.known().await;
    assert_eq!(rows(ACCOUNT).await, ["1", "4", "1", "1", "1", "1"]);
    scene.store.rename_account(ACCOUNT, "new").await.unwrap();
    // A receiver may still have the old name.
    assert_eq!(rows(ACCOUNT).await, ["0", "0", "0", "0", "0", "1"]);
    assert_eq!(rows("new").await, ["1", "4", "1", "1", "1", "1"]);
    assert_eq!(scene.known().await, known);
    scene.store.forget_account("new", false).await.unwrap();
    assert_eq!(rows("new").await, ["1", "4", "1", "1", "1", "1"]);
    assert!(scene.store.has_rows("new").await.unwrap());
    scene.store.forget_account("new", true).await.unwrap();
    assert_eq!(rows("new").await, ["0", "0", "0", "0", "0", "1"]);
    assert!(!scene.store.has_rows("new").await.unwrap());
}

#[tokio::test]
async fn what_came_under_both_names_is_one_and_the_newer_part_counts() {
    let scene = AiScene::new().await;
    scene.database.execute(LEDGER).await;
    for (account, minute, call_id, line) in [
        (ACCOUNT, 0, "1", "older"),
        ("new", 1, "1", "newer"),
        ("new", 2, "2", "older"),
        (ACCOUNT, 3, "2", "newer"),
    ] {
        let body = push(call_id, said(&[line])).to_string();
        scene.receive_for(account, at(minute), body.as_bytes()).await;
        scene.apply_for(account).await;
    }
    scene.receive(at(4), &push("3", said(&["only"]))).await;
    scene.apply().await;
    scene.store.rename_account(ACCOUNT, "new").await.unwrap();
    let lines = "select concat_ws(' ', account, call_id, text) from voicenter_ai.call_transcript order by 1";
    assert_eq!(scene.database.lines(lines).await, ["new 1 newer", "new 2 newer", "new 3 only"]);
    let parts = "select concat_ws(' ', account, call_id, to_char(received_at at time zone 'UTC', 'MI')) from voicenter_ai.TABLE order by 1";
    for table in ["call_ai", "call_ai_part"] {
        let parts = scene.database.lines(&parts.replace("TABLE", table)).await;
        assert_eq!(parts, ["new 1 01", "new 2 03", "new 3 04"], "{table}");
    }
}

#[tokio::test]
async fn whoever_stores_a_notification_under_the_new_name_is_waited_for() {
    let scene = AiScene::new().await;
    scene.database.execute(LEDGER).await;
    scene.store.forget_from_now_on(ACCOUNT, &Forget::Call("gone".to_owned())).await.unwrap();
    let mut receiver = scene.database.sql().await;
    let begin = "begin; select cdr_sync.begin_keeping('new')";
    sqlx::raw_sql(begin).execute(&mut receiver).await.unwrap();
    let store = scene.store.clone();
    let rename = tokio::spawn(async move { store.rename_account(ACCOUNT, "new").await });
    let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted
                   and database = (select oid from pg_database where datname = current_database())";
    until("the renaming to wait", async || scene.database.count(waiting).await == 1).await;
    sqlx::raw_sql("commit").execute(&mut receiver).await.unwrap();
    rename.await.unwrap().unwrap();
    let forgotten = "select account from cdr_sync.forgotten order by 1";
    assert_eq!(scene.database.lines(forgotten).await, [ACCOUNT, "new"]);
}
