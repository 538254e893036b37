//! An answer none of whose records has a Type, though the rows stored have.

use cdr_sync::cdr::Cdr;
use cdr_sync::store::commit::Commit;

use crate::store_postgres::scene::{StoreScene, at, cdr, cdrs, claim, hour};

fn typeless(record: &Cdr) -> Cdr {
    let mut record = record.clone();
    record.key.call_type.clear();
    record
}

#[tokio::test]
async fn an_answer_without_a_type_doubles_no_row_and_removes_none() {
    let scene = StoreScene::new().await;
    let mut records = cdrs(300, at(1, 0));
    // Two legs of one call.
    let mut leg = records[7].clone();
    leg.key.call_type = "Queue".into();
    records.push(leg);
    scene.read(hour(1), &records, at(12, 0)).await;
    let mut answer: Vec<Cdr> = records.iter().map(typeless).collect();
    answer[3].record_url = Some("https://example/3.mp3".into());
    answer.push(typeless(&cdr("new", at(1, 59))));
    for minute in [1, 20] {
        let claims = [claim(hour(1), at(12, minute))];
        let shown = if minute == 1 { &answer[..] } else { &answer[1..] };
        let commit = Commit { claims: &claims, ..scene.commit(shown, at(12, minute)) };
        let done = scene.store.commit(&commit).await.unwrap();
        let new = u64::from(minute == 1);
        assert_eq!((done.inserted, done.updated, done.missing_new, done.removed), (new, new, 0, 0));
        assert!(done.type_kept);
    }
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr").await, 302);
    assert_eq!(scene.database.lines("select call_id from voicenter.cdr where type = ''").await, ["new"]);
    assert_eq!(
        scene.database.lines("select call_id from voicenter.cdr where record_url is not null").await,
        ["000003"]
    );
    // With types again: the row without one goes, as any that is no longer shown.
    records.push(cdr("new", at(1, 59)));
    assert!(!scene.read(hour(1), &records, at(12, 30)).await.type_kept);
    assert_eq!(scene.read(hour(1), &records, at(12, 41)).await.removed, 1);
    assert_eq!(
        scene.database.count("select count(*) from voicenter.cdr where removed_at is null").await,
        302
    );
}

#[tokio::test]
async fn a_server_that_knows_no_types_is_mirrored_as_it_is() {
    let scene = StoreScene::new().await;
    let records: Vec<Cdr> = cdrs(20, at(1, 0)).iter().map(typeless).collect();
    scene.read(hour(1), &records, at(12, 0)).await;
    let done = scene.read(hour(1), &records[1..], at(12, 1)).await;
    assert_eq!((done.unchanged, done.missing_new, done.type_kept), (19, 1, false));
    assert_eq!(scene.read(hour(1), &records[1..], at(12, 11)).await.removed, 1);
}
