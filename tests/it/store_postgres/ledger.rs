//! Accounts: their start, their scope, their names.

use cdr_sync::store::StoreError;
use cdr_sync::store::account::Start;
use cdr_sync::store::commit::Commit;
use serde_json::json;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdr, cdrs, claim, hour};

#[tokio::test]
async fn the_default_start_is_fixed_at_the_first_start_and_a_configured_one_holds() {
    let scene = StoreScene::new().await;
    let open = |start| async move {
        let scope = json!({"url": "u"});
        (start, scope)
    };
    let mut found = Vec::new();
    for start in [
        Start::Default(at(5, 0)),
        Start::Configured(at(3, 0)),
        Start::Default(at(9, 0)),
        Start::Configured(at(4, 0)),
    ] {
        let (start, scope) = open(start).await;
        let opened = scene.store.open_account(ACCOUNT, &scope, start, at(12, 0)).await.unwrap();
        assert_eq!((opened.first, opened.scope_changed), (false, None));
        found.push(opened.history_start);
    }
    assert_eq!(found, [at(0, 0), at(3, 0), at(3, 0), at(4, 0)]);
}

#[tokio::test]
async fn a_changed_scope_empties_the_ledger_and_protects_rows_until_they_are_returned() {
    let scene = StoreScene::new().await;
    let records = cdrs(3, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    scene.read(hour(1), &records[1..], at(12, 1)).await;
    let opened = scene
        .store
        .open_account(ACCOUNT, &json!({"url": "v"}), Start::Default(at(0, 0)), at(12, 2))
        .await
        .unwrap();
    assert_eq!(opened.scope_changed, Some((json!({"url": "u"}), json!({"url": "v"}))));
    let ledger = scene.store.load(ACCOUNT).await.unwrap();
    assert!(ledger.coverage.stretches().is_empty() && ledger.rechecks.is_empty());
    // 000002 is returned once under the new scope; the others never.
    scene.read(hour(1), &records[2..], at(12, 3)).await;
    for minute in [20, 40] {
        scene.read(hour(1), &[cdr("elsewhere", at(2, 0))], at(12, minute)).await;
    }
    assert_eq!(scene.removed().await, ["000002"]);
    assert_eq!(
        scene.database.lines("select call_id from cdr_sync.earlier_scope order by 1").await,
        ["000000", "000001"]
    );
}

#[tokio::test]
async fn an_account_can_be_renamed_and_forgotten() {
    let scene = StoreScene::new().await;
    let records = cdrs(3, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    scene.store.rename_account(ACCOUNT, "other").await.unwrap();
    let stale = scene.commit(&records, at(12, 1));
    assert_eq!(scene.store.commit(&stale).await, Err(StoreError::Fenced));
    let renamed = Commit { account: "other", fence: 1, ..stale };
    assert_eq!(scene.store.commit(&renamed).await.unwrap().unchanged, 3);
    let unknown = Err(StoreError::UnknownAccount(ACCOUNT.into()));
    assert_eq!(scene.store.rename_account(ACCOUNT, "x").await, unknown);
    assert_eq!(scene.store.forget_account("other", true).await.unwrap(), 3);
    assert_eq!(scene.store.status().await.unwrap(), []);
    assert!(matches!(scene.store.load("other").await, Err(StoreError::UnknownAccount(_))));
}

#[tokio::test]
async fn what_an_operator_wrote_follows_a_renamed_account_and_goes_with_its_rows() {
    for (table, main, beside) in [
        ("opening_hours", "'main', '', 1, '08:00', '20:00'", "'beside', '', 1, '09:00', '10:00'"),
        ("numbers", "'main', '0721234567', 'Summer'", "'beside', '0721234567', 'Winter'"),
    ] {
        let scene = StoreScene::new().await;
        scene.database.execute(&format!("insert into voicenter.{table} values ({main}), ({beside})")).await;
        let accounts = format!("select account from voicenter.{table} order by account");
        scene.store.rename_account(ACCOUNT, "other").await.unwrap();
        assert_eq!(scene.database.lines(&accounts).await, ["beside", "other"]);
        // The ledger alone: its rows stay, and what an operator wrote.
        scene.store.forget_account("other", false).await.unwrap();
        assert!(scene.store.has_rows("other").await.unwrap(), "{table}");
        scene.store.forget_account("other", true).await.unwrap();
        assert_eq!(scene.database.lines(&accounts).await, ["beside"]);
    }
}

#[tokio::test]
async fn status_tells_errors_and_pauses() {
    let scene = StoreScene::new().await;
    scene.store.note_error(ACCOUNT, "refused", Some(at(12, 5)), at(12, 0)).await.unwrap();
    let status = &scene.store.status().await.unwrap()[0];
    assert_eq!(status.last_error, Some(("refused".into(), at(12, 0))));
    assert_eq!(status.paused_until, Some(at(12, 5)));
    assert_eq!(scene.store.resume_account(ACCOUNT).await.unwrap(), Some(at(12, 5)));
    assert_eq!(scene.store.status().await.unwrap()[0].paused_until, None);
}

#[tokio::test]
async fn an_error_is_no_success() {
    let scene = StoreScene::new().await;
    let status = async || scene.store.status().await.unwrap().remove(0);
    scene.store.note_error(ACCOUNT, "the API is down", None, at(12, 0)).await.unwrap();
    assert_eq!(status().await.last_success_at, None);
    scene.read(hour(1), &cdrs(3, at(1, 0)), at(12, 30)).await;
    scene.store.note_error(ACCOUNT, "the API is down", None, at(12, 40)).await.unwrap();
    assert_eq!(status().await.last_success_at, Some(at(12, 30)));
    // A clock that was set back: the success cannot be later than the error.
    scene.store.note_error(ACCOUNT, "the API is down", None, at(12, 20)).await.unwrap();
    assert_eq!(status().await.last_success_at, Some(at(12, 20)));
}

#[tokio::test]
async fn beside_a_record_that_cannot_be_identified_rows_of_another_scope_are_not_missing() {
    let scene = StoreScene::new().await;
    let records = cdrs(3, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    let start = Start::Default(at(0, 0));
    scene.store.open_account(ACCOUNT, &json!({"url": "v"}), start, at(12, 2)).await.unwrap();
    let rejected = [cdr_sync::cdr::Rejected {
        raw: "{}".into(),
        reason: cdr_sync::cdr::RejectReason::NoCallId,
        key: None,
        started_at: Some(at(1, 30)),
    }];
    for minute in [10, 30, 50] {
        let claims = [claim(hour(1), at(12, minute))];
        let commit = scene.commit(&records[2..], at(12, minute));
        scene.store.commit(&Commit { rejected: &rejected, claims: &claims, ..commit }).await.unwrap();
    }
    assert_eq!(scene.removed().await, [""; 0]);
    assert_eq!(scene.database.count("select count(*) from cdr_sync.missing").await, 0);
}
