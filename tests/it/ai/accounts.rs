//! What becomes of it when an account is renamed or dropped.

use crate::ai::scene::{ACCOUNT, AiScene, TABLES, at, push, said};
use cdr_sync::store::forget::Forget;

#[tokio::test]
async fn it_goes_with_its_account_and_what_is_forgotten_stays_so() {
    let scene = AiScene::new().await;
    let account = "insert into cdr_sync.account (name, scope, scope_since, history_start) values ('default', '{}', now(), now())";
    scene.database.execute(account).await;
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
    assert_eq!(rows(ACCOUNT).await, ["0"; 6]);
    assert_eq!(rows("new").await, ["1", "4", "1", "1", "1", "1"]);
    assert_eq!(scene.known().await, known);
    scene.store.forget_account("new", false).await.unwrap();
    assert_eq!(rows("new").await, ["1", "4", "1", "1", "1", "1"]);
    assert!(scene.store.has_rows("new").await.unwrap());
    scene.store.forget_account("new", true).await.unwrap();
    assert_eq!(rows("new").await, ["0", "0", "0", "0", "0", "1"]);
    assert!(!scene.store.has_rows("new").await.unwrap());
}
