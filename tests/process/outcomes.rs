//! What a pass and `verify` tell, and with which exit status.

use cdr_sync::simulator::{Fault, Record};
use chrono::TimeDelta;
use sqlx::{Connection, PgConnection};

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_told_and_status_4_says_so() {
    let scene = Scene::new(1, 10_000).await;
    let at = scene.start + TimeDelta::hours(1);
    scene.simulator.world().insert(Record::new("", "Incoming Call", at), at);
    let (status, said) = scene.output(&["sync"]).await;
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("1 rejected"), "{said}");
    let (status, said) = scene.output(&["rejected"]).await;
    assert_eq!(status, Some(4));
    assert!(said.contains("no call id"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_is_missing_different_and_extra() {
    let scene = Scene::new(1, 10_000).await;
    assert_eq!(scene.output(&["sync"]).await.0, Some(0));
    let mut connection = PgConnection::connect(scene.database.url()).await.unwrap();
    for change in [
        "delete from voicenter.cdr where (call_id, type) = (select call_id, type from voicenter.cdr order by 1, 2 limit 1)",
        "update voicenter.cdr set duration_seconds = 4711
         where (call_id, type) = (select call_id, type from voicenter.cdr order by 1, 2 offset 5 limit 1)",
        "insert into voicenter.cdr select (jsonb_populate_record(c, '{\"call_id\": \"of nowhere\"}')).*
         from voicenter.cdr c limit 1",
    ] {
        sqlx::query(change).execute(&mut connection).await.unwrap();
    }
    let (from, to) = (scene.start.to_rfc3339(), scene.now.to_rfc3339());
    let (status, said) = scene.output(&["verify", "--from", &from, "--to", &to]).await;
    assert_eq!(status, Some(4), "{said}");
    let row =
        said.lines().find(|line| line.starts_with("default")).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row[3..6], ["1", "1", "1"], "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_answers_nothing_ends_a_pass_with_status_1_and_opens_no_gap() {
    let scene = Scene::new(1, 10_000).await;
    scene.simulator.faults().always(Fault::HtmlWith200);
    let mut sync = scene.command(&["sync"]);
    sync.env("CDR_SYNC__API__BACKOFF_MIN", "1s").env("CDR_SYNC__API__BACKOFF_MAX", "1s");
    let (status, said) = scene.finish(sync).await;
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(scene.output(&["gaps"]).await.1.trim(), "no open gaps");
}
