//! What happens to the records of an answer.

use std::collections::BTreeSet;

use cdr_sync::cdr::{Cdr, CdrKey, Column, RejectReason, Rejected};
use cdr_sync::store::commit::{Commit, Committed};
use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;
use sqlx::PgConnection;

use crate::store_postgres::scene::{StoreScene, at, cdr, cdrs, claim, hour, key};
use crate::support::dates::{minutes, window};

fn counts(done: &Committed) -> (u64, u64, u64) {
    (done.inserted, done.updated, done.unchanged)
}

#[tokio::test]
async fn an_answer_is_stored_as_it_came() {
    let scene = StoreScene::new().await;
    let mut plain = cdr("a", at(1, 0));
    plain.custom_data = None;
    plain.extra.clear();
    let records = vec![plain, cdr("b", at(1, 1))];
    let done = scene.store(&records).await;
    assert_eq!(counts(&done), (2, 0, 0));
    assert_eq!(scene.rows().await, records);
}

#[tokio::test]
async fn the_same_answer_again_writes_nothing() {
    let scene = StoreScene::new().await;
    let records = cdrs(30, at(1, 0));
    let first = scene.read(hour(1), &records, at(12, 0)).await;
    // But for the number of the commit.
    let tables = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int8 from pg_stat_user_tables
                  where relname <> 'cursor'";
    let before = settled(&scene, tables).await;
    let second = scene.read(hour(1), &records, at(12, 0)).await;
    assert_eq!(settled(&scene, tables).await, before);
    assert_eq!(counts(&second), (0, 0, 30));
    assert_eq!((second.updated_at, &second.coverage), (None, &first.coverage));
}

/// The statistics once every connection of the store has reported its own.
async fn settled(scene: &StoreScene, query: &'static str) -> i64 {
    // A backend reports when it ends; a new pool is made at the next call.
    scene
        .database
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'cdr-sync'",
        )
        .await;
    let active = "select count(*) from pg_stat_activity
                  where datname = current_database() and application_name = 'cdr-sync'";
    while scene.database.count(active).await > 0 {
        tokio::task::yield_now().await;
    }
    scene.database.count(query).await
}

#[tokio::test]
async fn unchanged_rows_are_neither_locked_nor_written() {
    let scene = StoreScene::new().await;
    for size in [400, 5_000] {
        let records = cdrs(size, at(1, 0));
        scene.store(&records).await;
        assert_eq!(counts(&scene.store(&records).await), (0, 0, size as u64));
    }
    // A row that was locked, by ON CONFLICT DO UPDATE for one, carries the locker's transaction in xmax.
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr where xmax <> 0").await, 0);
    let written = "select n_tup_upd + n_tup_del + n_dead_tup from pg_stat_user_tables where relname = 'cdr'";
    assert_eq!(settled(&scene, written).await, 0);
}

#[tokio::test]
#[ignore = "measures the WAL of the whole server: run it alone"]
async fn unchanged_rows_cost_next_to_no_wal() {
    let scene = StoreScene::new().await;
    let records = cdrs(5_000, at(1, 0));
    scene.store(&records).await;
    // A checkpoint makes the next write of every page a full image: the dearest case.
    scene.database.execute("checkpoint").await;
    let place = "select (pg_current_wal_insert_lsn() - '0/0')::int8";
    let before = scene.database.count(place).await;
    assert_eq!(counts(&scene.store(&records).await), (0, 0, 5_000));
    let written = scene.database.count(place).await - before;
    println!("{written} bytes of WAL");
    assert!(written < 400_000, "{written} bytes of WAL for 5,000 unchanged rows");
}

#[tokio::test]
async fn a_changed_row_keeps_its_old_version_in_history_and_shares_the_answers_updated_at() {
    let scene = StoreScene::new().await;
    let mut records = cdrs(3, at(1, 0));
    let first = scene.store(&records).await.updated_at.unwrap();
    for record in &mut records[..2] {
        record.record_url = Some("https://example/1.mp3".into());
    }
    let second = scene.store(&records).await;
    assert_eq!(counts(&second), (0, 2, 1));
    let stamp = second.updated_at.unwrap();
    assert!(stamp > first);
    let rows = scene.database.lines("select call_id || ' ' || (updated_at = (select updated_at from cdr_sync.cursor)) || ' ' ||
        (first_seen_at = (select valid_from from voicenter.cdr_history limit 1)) from voicenter.cdr order by 1").await;
    assert_eq!(rows, ["000000 true true", "000001 true true", "000002 false true"]);
    let history = scene
        .database
        .lines(
            "select h.call_id || ' ' || (h.record_url is null) || ' ' || (h.valid_to = c.updated_at)
        from voicenter.cdr_history h join voicenter.cdr c using (account, call_id, type) order by 1",
        )
        .await;
    assert_eq!(history, ["000000 true true", "000001 true true"]);
}

#[tokio::test]
async fn without_history_only_a_changed_date_keeps_the_old_version() {
    let scene = StoreScene::new().await;
    let mut records = cdrs(2, at(1, 0));
    scene.store(&records).await;
    records[0].started_at += minutes(1);
    records[1].ring_seconds = Some(6);
    let commit = Commit { history: false, ..scene.commit(&records, at(12, 1)) };
    assert_eq!(scene.store.commit(&commit).await.unwrap().updated, 2);
    assert_eq!(scene.database.lines("select call_id from voicenter.cdr_history").await, ["000000"]);
}

#[tokio::test]
async fn updated_at_grows_even_when_the_databases_clock_goes_back() {
    let scene = StoreScene::new().await;
    scene.database.execute("update cdr_sync.cursor set updated_at = '2999-01-01'").await;
    let stamp = scene.store(&[cdr("a", at(1, 0))]).await.updated_at.unwrap();
    assert_eq!(stamp.to_rfc3339(), "2999-01-01T00:00:00.000001+00:00");
}

#[tokio::test]
async fn a_field_that_the_whole_answer_lacks_leaves_its_column_alone_and_is_reported() {
    let scene = StoreScene::new().await;
    let mut records = cdrs(2, at(1, 0));
    scene.store(&records).await;
    for record in &mut records {
        (record.price, record.did, record.dial_status) = (None, None, Some("BUSY".into()));
    }
    let mut columns: BTreeSet<Column> = Column::ALL.into();
    columns.remove(&Column::Price);
    columns.remove(&Column::Did);
    let commit = Commit { columns: &columns, ..scene.commit(&records, at(12, 1)) };
    let done = scene.store.commit(&commit).await.unwrap();
    assert_eq!((done.updated, done.fields_kept), (2, vec![Column::Price]));
    let rows = scene.rows().await;
    assert_eq!((rows[0].price.as_deref(), rows[0].dial_status.as_deref()), (Some("12.50"), Some("BUSY")));
    assert_eq!(scene.store.commit(&commit).await.unwrap().unchanged, 2);
}

#[tokio::test]
async fn a_field_that_one_record_of_the_answer_has_empties_the_column_of_the_others() {
    let scene = StoreScene::new().await;
    let mut records = cdrs(2, at(1, 0));
    scene.store(&records).await;
    records[0].price = None;
    assert_eq!(scene.store(&records).await.updated, 1);
    assert_eq!(scene.rows().await[0].price, None);
}

#[tokio::test]
async fn of_records_sharing_a_key_the_later_date_is_stored_and_the_other_stands_in_rejected() {
    let scene = StoreScene::new().await;
    let (early, late) = (cdr("a", at(1, 0)), cdr("a", at(1, 1)));
    let mut tie = late.clone();
    tie.ring_seconds = Some(9);
    let answer = [early.clone(), tie.clone(), late.clone(), late.clone()];
    let done = scene.store(&answer).await;
    assert_eq!((done.inserted, done.duplicates, done.rejected), (1, 2, 0));
    // 9 sorts after 5: the larger canonical JSON.
    assert_eq!(scene.rows().await, [tie]);
    let mut raw =
        scene.database.lines("select raw from cdr_sync.rejected where reason = 'duplicate_key'").await;
    raw.sort();
    let mut expected = [early.canonical_json(), late.canonical_json()];
    expected.sort();
    assert_eq!(raw, expected);
}

#[tokio::test]
async fn two_records_sharing_a_key_in_two_windows_do_not_flip_for_ever() {
    let scene = StoreScene::new().await;
    let (a, b) = ([cdr("x", at(1, 0))], [cdr("x", at(2, 0))]);
    scene.read(hour(1), &a, at(12, 0)).await;
    scene.read(hour(2), &b, at(12, 1)).await;
    for round in 2..6 {
        let done = scene.read(hour(1), &a, at(12, round * 2)).await;
        assert_eq!((done.updated, done.duplicates, done.removed, done.updated_at), (0, 1, 0, None));
        let done = scene.read(hour(2), &b, at(12, round * 2 + 1)).await;
        assert_eq!((done.updated, done.unchanged, done.updated_at), (0, 1, None));
    }
    assert_eq!(scene.rows().await, b);
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr_history").await, 1);
    // Once when it gave way to the later one.
    assert_eq!(scene.database.count("select times_seen from cdr_sync.rejected").await, 5);
}

#[tokio::test]
async fn a_duplicate_is_closed_when_its_content_is_stored_after_all() {
    let scene = StoreScene::new().await;
    let (early, late) = (cdr("a", at(1, 0)), cdr("a", at(1, 1)));
    scene.store(&[early.clone(), late.clone()]).await;
    scene.store(&[late]).await;
    assert_eq!(scene.store.rejected(Some("main"), 10).await.unwrap().len(), 1);
    // Alone it does not say that the later one is gone; as the whole of the window it does.
    scene.store(std::slice::from_ref(&early)).await;
    assert_eq!(scene.store.rejected(None, 10).await.unwrap().len(), 1);
    scene.read(hour(1), std::slice::from_ref(&early), at(12, 1)).await;
    assert_eq!(scene.store.rejected(None, 10).await.unwrap(), []);
    assert_eq!(scene.rows().await, [early]);
}

#[tokio::test]
async fn a_rejected_record_is_kept_once_per_content_and_closed_when_its_key_is_stored() {
    let scene = StoreScene::new().await;
    let bad = |raw: &str, key: Option<CdrKey>| Rejected {
        raw: raw.into(),
        reason: RejectReason::NoDate,
        key,
        started_at: None,
    };
    let rejected = [bad("{1}", None), bad("{2}", Some(key("a"))), bad("{1}", None)];
    for minute in [0, 0, 1] {
        let commit = Commit { rejected: &rejected, ..scene.commit(&[], at(12, minute)) };
        assert_eq!(scene.store.commit(&commit).await.unwrap().rejected, 3);
    }
    let seen =
        scene.database.lines("select raw || ' ' || times_seen from cdr_sync.rejected order by 1").await;
    assert_eq!(seen, ["{1} 2", "{2} 2"]);
    scene.store(&[cdr("a", at(1, 0))]).await;
    assert_eq!(
        scene.database.lines("select raw from cdr_sync.rejected where closed_at is null").await,
        ["{1}"]
    );
}

#[tokio::test]
async fn a_record_that_postgresql_refuses_is_rejected_alone_and_the_others_are_stored() {
    for size in [7, 1_200] {
        let scene = StoreScene::new().await;
        let mut records = cdrs(size, at(1, 0));
        records[2].caller_number = Some("nul\0".into());
        records[4].key.call_id = "x".repeat(3_000);
        records[5].price = Some("many".into());
        let claims = [claim(hour(1), at(12, 0))];
        let commit = Commit { claims: &claims, ..scene.commit(&records, at(12, 0)) };
        let done = scene.store.commit(&commit).await.unwrap();
        assert_eq!((done.inserted, done.rejected), (size as u64 - 3, 3));
        assert_eq!(done.coverage.stretches().len(), 1);
        let refused =
            scene.database.lines("select reason || ' ' || error from cdr_sync.rejected order by 1").await;
        assert_eq!(refused, ["unstorable 22021", "unstorable 22P02", "unstorable 23514"]);
        records[5].price = None;
        scene.store(&records[5..6]).await;
        assert_eq!(scene.store.rejected(None, 10).await.unwrap().len(), 2);
    }
}

/// A record with every kind of value, also the kinds that need escaping.
fn wild(call_id: String, text: &str, number: &str, i: i32) -> Cdr {
    let mut record = cdr(&call_id, at(1, 0) + TimeDelta::microseconds(i64::from(i)));
    record.key.call_type = text.into();
    record.duration_seconds = Some(i);
    record.representative_name = Some(text.into());
    record.target_prefix_name = (i % 2 == 0).then(|| format!("{text}\\N\t\\.\n\r\"'{{}}"));
    record.price = Some(number.into());
    record.record_expected = [None, Some(true), Some(false)][(i % 3).unsigned_abs() as usize];
    record.dtmf_data = (i % 3 > 0).then(|| json!([{"LayerName": text, "DTMF": "\\"}]));
    let huge: serde_json::Value = serde_json::from_str(number).unwrap();
    record.extra = if i % 5 == 0 { Default::default() } else { [(format!("f{text}"), huge)].into() };
    record
}

/// What a client that asks for text sees of the whole table.
async fn table(conn: &mut PgConnection) -> Vec<String> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select (to_jsonb(c) - 'first_seen_at' - 'updated_at')::text from voicenter.cdr c order by call_id, type",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    rows.into_iter().map(|(row,)| row).collect()
}

#[test]
fn a_batch_by_copy_and_a_batch_inside_the_statement_give_the_same_table_and_the_records_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(StoreScene::new());
    let text = "[a-zא-ת0-9\\\\\t\n\r\"'{}, .💬\u{1}\u{7f}]{0,20}";
    // No minus before zero: PostgreSQL has none.
    let number = "(0|-?[1-9][0-9]{0,60})(\\.[0-9]{1,40})?";
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 12, ..Default::default() });
    let batches = (501..520_usize, proptest::collection::vec((text, number), 40));
    runner
        .run(&batches, |(size, parts)| {
            let records: Vec<Cdr> = (0..size)
                .map(|i| {
                    let (text, number) = &parts[i % parts.len()];
                    wild(format!("{i:04}{text}"), text, number, i as i32)
                })
                .collect();
            runtime.block_on(async {
                let mut conn = scene.database.sql().await;
                let empty = "truncate voicenter.cdr, voicenter.cdr_history";
                sqlx::raw_sql(empty).execute(&mut conn).await.unwrap();
                let done = scene.store(&records).await;
                assert_eq!((done.inserted, done.rejected), (size as u64, 0));
                let by_copy = table(&mut conn).await;
                let mut back = scene.rows().await;
                back.sort_by(|a, b| a.key.cmp(&b.key));
                assert!(back == records, "the records did not come back as they went");
                sqlx::raw_sql(empty).execute(&mut conn).await.unwrap();
                for part in records.chunks(400) {
                    scene.store(part).await;
                }
                assert!(table(&mut conn).await == by_copy, "two ways, two tables");
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
#[ignore = "measures: prints how long a big answer takes beside many stored rows"]
async fn ten_thousand_records_beside_three_hundred_thousand() {
    let scene = StoreScene::new().await;
    let start = at(0, 0) - TimeDelta::days(30);
    for part in 0..30 {
        let mut records = cdrs(10_000, start + TimeDelta::days(part));
        records.iter_mut().for_each(|record| record.key.call_id.insert_str(0, &format!("{part:02}")));
        scene.store(&records).await;
    }
    scene.database.execute("vacuum analyze voicenter.cdr").await;
    let day = window(start + TimeDelta::days(7), start + TimeDelta::days(8));
    let mut records = cdrs(10_000, start + TimeDelta::days(7));
    records.iter_mut().for_each(|record| record.key.call_id.insert_str(0, "07"));
    let mut new = cdrs(10_000, at(0, 0));
    new.iter_mut().for_each(|record| record.key.call_id.insert_str(0, "99"));
    let mut changed = records.clone();
    changed.iter_mut().for_each(|record| record.record_url = Some("https://example/1.mp3".into()));
    let steps = [
        ("unchanged", &records[..]),
        ("new", &new[..]),
        ("changed", &changed[..]),
        ("200 unchanged", &changed[..200]),
    ];
    for (what, answer) in steps {
        let began = std::time::Instant::now();
        let done = scene.read(day, answer, at(12, 0)).await;
        println!("{what}: {:?} {:?} missing {}", began.elapsed(), counts(&done), done.missing_new);
    }
}
