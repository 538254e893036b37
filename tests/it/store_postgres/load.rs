//! How long commits take upon a large ledger: after a change of scope, beside many doubts.

use std::time::Instant;

use cdr_sync::cdr::Cdr;
use cdr_sync::store::account::Start;
use cdr_sync::store::commit::{Commit, Committed};
use cdr_sync::window::Window;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdrs, claim};
use crate::support::dates::window;

const DAYS: i64 = 30;

/// Records of a day: 10,000, one every eight seconds.
fn day(n: i64) -> (Window, Vec<Cdr>) {
    let start = at(0, 0) - TimeDelta::days(DAYS - n);
    let mut records = cdrs(10_000, start);
    for (i, record) in (0..).zip(&mut records) {
        record.key.call_id.insert_str(0, &format!("{n:02}"));
        record.started_at = start + TimeDelta::seconds(8 * i);
    }
    (window(start, start + TimeDelta::days(1)), records)
}

async fn timed(
    scene: &StoreScene,
    what: &str,
    window: Window,
    records: &[Cdr],
    read_at: DateTime<Utc>,
) -> Committed {
    let claims = [claim(window, read_at)];
    let commit = Commit { claims: &claims, ..scene.commit(records, read_at) };
    let began = Instant::now();
    let done = scene.store.commit(&commit).await.unwrap();
    let took = began.elapsed();
    println!(
        "{what}: {took:?} new {} changed {} same {} missing {} removed {} doubles {} rechecks {}",
        done.inserted,
        done.updated,
        done.unchanged,
        done.missing_new,
        done.removed,
        done.duplicates,
        done.rechecks.len()
    );
    done
}

#[tokio::test]
#[ignore = "measures: prints how long commits take upon 300,000 rows, in each state that costs more"]
async fn commits_upon_three_hundred_thousand_rows() {
    let scene = StoreScene::new().await;
    let days: Vec<_> = (0..DAYS).map(day).collect();
    for (_, records) in &days {
        scene.store(records).await;
    }
    let analyze = || scene.database.execute("vacuum analyze");
    analyze().await;
    let now = |minute: i64| at(12, 0) + TimeDelta::days(3) + TimeDelta::minutes(minute);
    let (newest, records) = &days[DAYS as usize - 1];
    let (poll, few) = (window(now(-20), now(0)), cdrs(10, now(-15)));
    let some = |keep: fn(usize) -> bool| -> Vec<Cdr> {
        records.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, record)| record.clone()).collect()
    };
    timed(&scene, "poll", poll, &few, now(0)).await;
    // A temporary table has no statistics: the wider its rows, the more of them the planner expects.
    let (wide_day, mut wide) = day(DAYS);
    for record in &mut wide {
        record.extra.insert("Notes".to_owned(), json!("x".repeat(3_000)));
    }
    timed(&scene, "10,000 wide records", wide_day, &wide, now(0)).await;
    timed(&scene, "the same again", wide_day, &wide, now(0)).await;
    let began = Instant::now();
    scene.store.open_account(ACCOUNT, &json!({"url": "v"}), Start::Default(at(0, 0)), now(0)).await.unwrap();
    println!("change of scope: {:?}", began.elapsed());
    for analyzed in [false, true] {
        let minute = if analyzed { 60 } else { 0 };
        if analyzed {
            analyze().await;
        }
        println!("-- every row of an earlier scope, analyzed: {analyzed}");
        timed(&scene, "newest day", *newest, records, now(minute + 1)).await;
        timed(&scene, "newest day but 100", *newest, &some(|i| i % 100 != 0), now(minute + 2)).await;
        timed(&scene, "poll beside 100 missing", poll, &few, now(minute + 3)).await;
        timed(&scene, "newest day, whole again", *newest, records, now(minute + 4)).await;
        timed(&scene, "poll beside nothing missing", poll, &few, now(minute + 5)).await;
    }
    println!("-- every other row of an earlier scope, all of history covered");
    let first = days[0].0;
    timed(
        &scene,
        "two records at the beginning",
        window(first.from(), first.from() + TimeDelta::seconds(16)),
        &days[0].1[..2],
        now(100),
    )
    .await;
    timed(&scene, "newest day but the oldest 100", *newest, &some(|i| i > 100), now(102)).await;
    timed(&scene, "poll beside 100 missing", poll, &few, now(103)).await;
    timed(&scene, "the same later", *newest, &some(|i| i > 100), now(113)).await;
    timed(&scene, "newest day, whole again", *newest, records, now(114)).await;
    println!("-- every row of this scope");
    scene.database.execute("truncate cdr_sync.earlier_scope").await;
    timed(&scene, "newest day but 3,000", *newest, &some(|i| i % 10 > 2), now(201)).await;
    timed(&scene, "poll beside 3,000 missing", poll, &few, now(202)).await;
    timed(&scene, "the same again", *newest, &some(|i| i % 10 > 2), now(203)).await;
    timed(&scene, "newest day, whole again", *newest, records, now(204)).await;
    let typeless: Vec<Cdr> = records
        .iter()
        .map(|record| {
            let mut record = record.clone();
            record.key.call_type.clear();
            record
        })
        .collect();
    timed(&scene, "newest day without types", *newest, &typeless, now(205)).await;
    let later: Vec<Cdr> = records
        .iter()
        .map(|record| Cdr { started_at: record.started_at + TimeDelta::days(1), ..record.clone() })
        .collect();
    let after = window(newest.to(), newest.to() + TimeDelta::days(1));
    timed(&scene, "10,000 at another date", after, &later, now(206)).await;
    timed(&scene, "poll beside 20,000 dates to look at", poll, &few, now(207)).await;
    analyze().await;
    timed(&scene, "poll, analyzed", poll, &few, now(208)).await;
    timed(&scene, "10,000 at the first date", *newest, records, now(209)).await;
    timed(&scene, "poll at last", poll, &few, now(210)).await;
}
