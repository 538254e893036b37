//! What the planner does not know yet costs nobody.

use cdr_sync::store::calls::SliceSize;

use crate::store_postgres::scene::{StoreScene, at, cdrs};
use crate::support::polling::until;

/// Entries that were read of the indexes of rows and calls; `None` until the server has counted all inserted rows.
async fn read_of_indexes(scene: &StoreScene, rows: i64) -> Option<i64> {
    let inserted =
        "select coalesce(sum(n_tup_ins), 0)::bigint from pg_stat_user_tables where relname = 'cdr'";
    if scene.database.count(inserted).await < rows {
        return None;
    }
    let read = "select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_user_indexes
                where relname in ('cdr', 'calls')";
    Some(scene.database.count(read).await)
}

#[tokio::test]
async fn the_records_of_an_account_that_came_after_the_last_analyze_are_looked_up_one_by_one() {
    let scene = StoreScene::new().await;
    let others = "alter table voicenter.cdr set (autovacuum_enabled = false);
        alter table voicenter.calls set (autovacuum_enabled = false);
        insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
        select 'other', md5(n::text), 'Incoming Call', timestamptz '2024-06-01Z' + n * interval '1 minute', now(), now()
        from generate_series(1, 5000) n";
    scene.database.execute(others).await;
    while scene.store.fold_calls("other", &mut SliceSize::default()).await.unwrap().has_more {}
    scene.database.execute("vacuum analyze").await;
    for hour in 0..4 {
        let mut records = cdrs(500, at(hour, 0));
        for record in &mut records {
            record.key.call_id.insert_str(0, &format!("{hour}-"));
        }
        scene.store(&records).await;
    }
    let mut read = 0;
    until("the server to have counted", async || match read_of_indexes(&scene, 7_000).await {
        Some(entries) => {
            read = entries;
            true
        }
        None => false,
    })
    .await;
    // By any other index each lookup reads all rows of the account: a million entries and more.
    assert!(read < 200_000, "{read} entries read for 2,000 records");
}
