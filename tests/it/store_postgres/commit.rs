//! A commit as a whole: fenced, atomic, repeatable.

use std::time::Duration;

use cdr_sync::store::StoreError;
use cdr_sync::store::commit::Commit;
use cdr_sync::store::gap::NewGap;
use cdr_sync::store::window_read::WindowRead;
use cdr_sync::window::coverage::Stretch;
use cdr_sync::window::lacking::Lacking;
use chrono::TimeDelta;
use serde_json::json;
use sqlx::Connection as _;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdr, cdrs, claim, hour};
use crate::support::database::settings;
use crate::support::dates::{minutes, window};

#[tokio::test]
async fn a_commit_with_another_fence_is_refused_and_changes_nothing() {
    let scene = StoreScene::new().await;
    let records = cdrs(3, at(1, 0));
    let stale = Commit { fence: 7, ..scene.commit(&records, at(12, 0)) };
    assert_eq!(scene.store.commit(&stale).await, Err(StoreError::Fenced));
    assert_eq!(scene.rows().await, []);
}

#[tokio::test]
async fn claims_move_the_cursor_and_neighbours_of_one_tier_are_one_row() {
    let scene = StoreScene::new().await;
    scene.read(hour(3), &[], at(12, 0)).await;
    let done = scene.read(hour(4), &[], at(12, 1)).await;
    assert_eq!(done.cursor, Some(window(at(3, 0), at(5, 0))));
    assert_eq!(scene.database.count("select count(*) from cdr_sync.coverage").await, 1);
    let claims =
        [cdr_sync::store::commit::Claim { reread_age: TimeDelta::days(1), ..claim(hour(3), at(12, 2)) }];
    let uncover = [window(at(4, 30), at(5, 0))];
    let done = scene
        .store
        .commit(&Commit { claims: &claims, uncover: &uncover, ..scene.commit(&[], at(12, 2)) })
        .await
        .unwrap();
    assert_eq!(done.cursor, Some(window(at(3, 0), at(4, 30))));
    let ledger = scene.store.load(ACCOUNT).await.unwrap();
    assert_eq!(ledger.coverage, done.coverage);
    assert_eq!(ledger.coverage.stretches().len(), 2);
}

#[tokio::test]
async fn an_age_that_was_claimed_too_early_is_lowered_and_what_was_read_stays_read() {
    let scene = StoreScene::new().await;
    let aged = |reread_age| cdr_sync::store::commit::Claim { reread_age, ..claim(hour(3), at(12, 0)) };
    let claims = [aged(TimeDelta::days(7))];
    scene.store.commit(&Commit { claims: &claims, ..scene.commit(&[], at(12, 0)) }).await.unwrap();
    let lower = |reread_age| Stretch { window: hour(3), reread_age, lacking: Lacking::NONE };
    for (reread_age, claims, expected) in [(1, &[][..], 1), (7, &[], 1), (0, &[aged(TimeDelta::days(3))], 3)]
    {
        let lowered = [lower(TimeDelta::days(reread_age))];
        let commit = Commit { lowered: &lowered, claims, ..scene.commit(&[], at(12, 1)) };
        let done = scene.store.commit(&commit).await.unwrap();
        assert_eq!(done.coverage.stretches(), [lower(TimeDelta::days(expected))]);
        assert_eq!(scene.store.load(ACCOUNT).await.unwrap().coverage, done.coverage);
    }
}

#[tokio::test]
async fn a_gap_is_opened_once_tried_closed_and_bridged_by_the_cursor() {
    let scene = StoreScene::new().await;
    scene.read(hour(1), &[], at(12, 0)).await;
    scene.read(hour(3), &[], at(12, 0)).await;
    let gap = [NewGap { window: hour(2), reason: "timeout", error: "timed out", next_try_at: at(13, 0) }];
    for _ in 0..2 {
        let open = Commit { open_gaps: &gap, ..scene.commit(&[], at(12, 1)) };
        assert_eq!(scene.store.commit(&open).await.unwrap().cursor, Some(window(at(1, 0), at(4, 0))));
    }
    let open = scene.store.gaps(None).await.unwrap();
    assert_eq!((open.len(), open[0].tries, open[0].window), (1, 1, hour(2)));
    let tried = [NewGap { error: "again", next_try_at: at(14, 0), ..gap[0] }];
    for _ in 0..2 {
        let again = Commit { open_gaps: &tried, ..scene.commit(&[], at(13, 0)) };
        scene.store.commit(&again).await.unwrap();
    }
    let open = scene.store.gaps(Some(ACCOUNT)).await.unwrap();
    assert_eq!((open.len(), open[0].tries, open[0].next_try_at), (1, 2, at(14, 0)));
    assert_eq!(open[0].last_error.as_deref(), Some("again"));
    scene.store.hasten_gaps(ACCOUNT, at(13, 5)).await.unwrap();
    assert_eq!(scene.store.gaps(None).await.unwrap()[0].next_try_at, at(13, 5));
    let (closed, claims) = ([hour(2)], [claim(hour(2), at(14, 0))]);
    let close = Commit { close_gaps: &closed, claims: &claims, ..scene.commit(&[], at(14, 0)) };
    let done = scene.store.commit(&close).await.unwrap();
    assert_eq!(done.coverage.stretches().len(), 1);
    assert_eq!(scene.store.gaps(None).await.unwrap(), []);
}

#[tokio::test]
async fn a_commit_writes_its_diary_line_once_and_what_was_learned() {
    let scene = StoreScene::new().await;
    let records = cdrs(3, at(1, 0));
    let read = WindowRead {
        lane: "live",
        reason: "poll",
        window: hour(1),
        requests: 1,
        seen: 3,
        outcome: "complete",
        started_at: at(12, 0),
        elapsed: TimeDelta::milliseconds(1500),
    };
    let (claims, knowledge) = ([claim(hour(1), at(12, 0))], json!({"limit": 10000}));
    let commit = Commit {
        claims: &claims,
        window_read: Some(read),
        knowledge: Some(&knowledge),
        ..scene.commit(&records, at(12, 0))
    };
    for _ in 0..2 {
        scene.store.commit(&commit).await.unwrap();
    }
    let lines = scene
        .database
        .lines("select concat_ws(' ', lane, span, inserted, elapsed) from cdr_sync.window_read")
        .await;
    assert_eq!(lines, [r#"live ["2024-06-10 01:00:00+00","2024-06-10 02:00:00+00") 3 00:00:01.5"#]);
    assert_eq!(scene.store.load(ACCOUNT).await.unwrap().knowledge, Some(knowledge));
    assert_eq!(scene.store.status().await.unwrap()[0].last_success_at, Some(at(12, 0)));
}

#[tokio::test]
async fn old_diary_lines_are_summed_by_hour_and_lane() {
    let scene = StoreScene::new().await;
    for (lane, minute) in [("live", 1), ("live", 2), ("backfill", 3), ("live", 70)] {
        let started_at = at(1, 0) + minutes(minute);
        let read = WindowRead {
            lane,
            reason: "poll",
            window: hour(1),
            requests: 2,
            seen: 5,
            outcome: "complete",
            started_at,
            elapsed: TimeDelta::seconds(1),
        };
        let commit = Commit { window_read: Some(read), ..scene.commit(&[], started_at) };
        scene.store.commit(&commit).await.unwrap();
    }
    // 14 days later, within the second hour: only the first is over.
    let now = at(2, 30) + TimeDelta::days(14);
    assert_eq!(scene.store.compact_window_reads(now).await.unwrap(), 1);
    assert_eq!(scene.store.compact_window_reads(now).await.unwrap(), 0);
    let lines = scene.database.lines("select concat_ws(' ', lane, outcome, reads, requests, seen) from cdr_sync.window_read order by started_at, lane")
        .await;
    assert_eq!(lines, ["backfill summed 1 2 5", "live summed 2 4 10", "live complete 1 2 5"]);
}

#[tokio::test]
async fn a_commit_dropped_half_way_leaves_no_broken_connection_and_no_lock() {
    let scene = StoreScene::new().await;
    let records = cdrs(3_000, at(1, 0));
    let claims = [claim(hour(1), at(12, 0))];
    let commit = Commit { claims: &claims, ..scene.commit(&records, at(12, 0)) };
    for polls in (0..60).step_by(3) {
        let mut future = Box::pin(scene.store.commit(&commit));
        for _ in 0..polls {
            // Each turn of the loop lets the commit get as far as its next wait.
            if tokio::time::timeout(Duration::from_micros(300), &mut future).await.is_ok() {
                break;
            }
        }
        drop(future);
        scene.store.ping().await.unwrap();
    }
    let done = scene.store.commit(&commit).await.unwrap();
    assert_eq!(done.inserted + done.unchanged, 3_000);
    assert_eq!(scene.rows().await.len(), 3_000);
}

#[tokio::test]
async fn a_commit_that_the_lock_keeps_waiting_says_away_and_can_be_done_again() {
    let scene = StoreScene::new().await;
    let mut impatient = settings(scene.database.url());
    impatient.lock_timeout = Duration::from_millis(50);
    let store = cdr_sync::store::Store::connect(&impatient).await.unwrap();
    let mut conn = scene.database.sql().await;
    let mut holder = conn.begin().await.unwrap();
    sqlx::raw_sql("select from cdr_sync.cursor for update").execute(&mut *holder).await.unwrap();
    let records = [cdr("a", at(1, 0))];
    let commit = scene.commit(&records, at(12, 0));
    assert!(store.commit(&commit).await.unwrap_err().is_unavailable());
    holder.rollback().await.unwrap();
    assert_eq!(store.commit(&commit).await.unwrap().inserted, 1);
}

#[tokio::test]
async fn hours_are_counted() {
    let scene = StoreScene::new().await;
    let records: Vec<_> = (0..7).map(|i| cdr(&format!("{i}"), at(1, 0) + minutes(i * 15))).collect();
    scene.store(&records).await;
    let counts = scene.store.hourly_counts(ACCOUNT, at(0, 0), at(5, 0)).await.unwrap();
    assert_eq!(counts, [(at(1, 0), 4), (at(2, 0), 3)]);
}

#[tokio::test]
async fn rows_of_more_than_two_pages_are_read_once_each_and_in_order() {
    let scene = StoreScene::new().await;
    // Three to a second: a page ends between rows of one date.
    let started_at = |i: i64| at(1, 0) + TimeDelta::seconds(i / 3);
    let records: Vec<_> = (0..10_100).map(|i| cdr(&format!("{i:05}"), started_at(i))).collect();
    scene.store(&records).await;
    let mut rows = scene.store.read_span(ACCOUNT, window(at(1, 0), at(3, 0)));
    let mut read = Vec::new();
    while let Some((row, removed_at)) = rows.next().await.unwrap() {
        assert_eq!(removed_at, None);
        read.push(row.key.call_id);
    }
    assert!(read.iter().eq(records.iter().map(|record| &record.key.call_id)));
}
