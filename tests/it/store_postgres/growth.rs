//! What would grow without end: fields that are new at each read, records that nobody can read.

use cdr_sync::cdr::{Cdr, RejectReason, Rejected};
use cdr_sync::store::commit::Commit;
use cdr_sync::store::trim::MostRejected;
use chrono::TimeDelta;
use serde_json::json;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdrs, claim, hour};
use crate::support::dates::instant;

/// The same records with another address of their recording, as one with a signature is at each read.
fn signed(n: usize, signature: u32) -> Vec<Cdr> {
    let mut records = cdrs(n, at(8, 0));
    for record in &mut records {
        record.record_url = Some(format!("https://recordings.example/{}?s={signature}", record.key.call_id));
        record.extra = [("New".to_owned(), json!(signature))].into();
    }
    records
}

#[tokio::test]
async fn columns_that_changed_are_counted() {
    let scene = StoreScene::new().await;
    scene.store(&signed(40, 1)).await;
    let mut records = signed(40, 2);
    records[0].duration_seconds = Some(61);
    let done = scene.store(&records).await;
    assert_eq!(done.compared, 40);
    let changed: Vec<_> = done.changed.iter().map(|(column, rows)| (column.as_str(), *rows)).collect();
    assert_eq!(changed, [("duration_seconds", 1), ("extra", 40), ("record_url", 40)]);
}

#[tokio::test]
async fn a_row_is_not_written_for_changes_that_are_ignored() {
    let scene = StoreScene::new().await;
    let ignored = ["recordurl".to_owned(), "new".to_owned()];
    scene.store(&signed(40, 1)).await;
    let records = signed(40, 2);
    let commit = Commit { ignored: &ignored, ..scene.commit(&records, at(12, 1)) };
    let done = scene.store.commit(&commit).await.unwrap();
    assert_eq!((done.updated, done.unchanged), (0, 40));

    // Written for another reason, a row is as new as its record.
    let mut records = signed(40, 3);
    records[7].duration_seconds = Some(61);
    let commit = Commit { ignored: &ignored, ..scene.commit(&records, at(12, 2)) };
    assert_eq!(scene.store.commit(&commit).await.unwrap().updated, 1);
    let row = scene.rows().await.into_iter().find(|row| row.key == records[7].key).unwrap();
    assert_eq!(row, records[7]);
}

fn unreadable(n: u32, dated: bool) -> Vec<Rejected> {
    let reject = |i| Rejected {
        raw: format!("{{\"garbage\": {i}, \"of\": {n}, \"filler\": \"{}\"}}", "x".repeat(100)),
        reason: RejectReason::NoCallId,
        key: None,
        started_at: dated.then(|| at(8, 0) + TimeDelta::seconds(i)),
    };
    (0..50).map(reject).collect()
}

#[tokio::test]
async fn of_records_that_nobody_can_read_the_newest_are_kept() {
    let scene = StoreScene::new().await;
    for n in 0..4_u32 {
        let rejected = unreadable(n, false);
        let read_at = at(12, n);
        scene.store.commit(&Commit { rejected: &rejected, ..scene.commit(&[], read_at) }).await.unwrap();
    }
    let open = "select count(*) from cdr_sync.rejected where closed_at is null";
    assert_eq!(scene.database.count(open).await, 200);
    let most = MostRejected::default();
    assert_eq!(
        scene.store.trim_ledger(ACCOUNT, at(13, 0), MostRejected { bytes: 13_800, ..most }).await.unwrap(),
        100
    );
    assert_eq!(scene.store.trim_ledger(ACCOUNT, at(13, 0), most).await.unwrap(), 0);
    assert_eq!(scene.store.rejected_left_out().await.unwrap(), [(ACCOUNT.to_owned(), 100)]);
    let newest =
        "select count(*) from cdr_sync.rejected where raw like '%\"of\": 3%' or raw like '%\"of\": 2%'";
    assert_eq!((scene.database.count(open).await, scene.database.count(newest).await), (100, 100));
    let few = MostRejected { records: 30, ..most };
    assert_eq!(scene.store.trim_ledger(ACCOUNT, at(13, 0), few).await.unwrap(), 70);
    assert_eq!(scene.store.rejected_left_out().await.unwrap(), [(ACCOUNT.to_owned(), 170)]);
}

#[tokio::test]
async fn a_record_that_could_not_be_read_is_closed_once_a_whole_answer_no_longer_shows_it() {
    let scene = StoreScene::new().await;
    let rejected = unreadable(0, true);
    scene.store.commit(&Commit { rejected: &rejected, ..scene.commit(&[], at(12, 0)) }).await.unwrap();
    let claims = [claim(hour(8), at(12, 30))];
    scene.store.commit(&Commit { claims: &claims, ..scene.commit(&[], at(12, 30)) }).await.unwrap();
    assert_eq!(
        scene.database.count("select count(*) from cdr_sync.rejected where closed_at is null").await,
        0
    );
    assert_eq!(scene.store.trim_ledger(ACCOUNT, at(12, 30), MostRejected::default()).await.unwrap(), 0);
    assert_eq!(scene.database.count("select count(*) from cdr_sync.rejected").await, 50);
    let far = instant("2999-01-01T00:00:00Z");
    scene.store.trim_ledger(ACCOUNT, far, MostRejected::default()).await.unwrap();
    assert_eq!(
        scene.database.count("select count(*) from cdr_sync.rejected").await,
        50,
        "a clock that is fast deletes nothing"
    );
    scene.database.execute("update cdr_sync.rejected set closed_at = '2020-01-01Z'").await;
    scene.store.trim_ledger(ACCOUNT, far, MostRejected::default()).await.unwrap();
    assert_eq!(scene.database.count("select count(*) from cdr_sync.rejected").await, 0);
}

#[tokio::test]
async fn old_versions_are_deleted_and_no_others() {
    let scene = StoreScene::new().await;
    for n in 1..4 {
        scene.store(&signed(30, n)).await;
    }
    let versions = "select count(*) from voicenter.cdr_history";
    let now = instant("2999-01-01T00:00:00Z");
    assert_eq!(scene.store.trim_history(TimeDelta::days(900_000), now).await.unwrap(), 0);
    assert_eq!(scene.database.count(versions).await, 60);
    assert_eq!(scene.store.trim_history(TimeDelta::zero(), now).await.unwrap(), 60);
    assert_eq!(scene.database.count(versions).await, 0);
}
