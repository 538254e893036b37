//! What is learned of late calls, and when hours are settled.

use cdr_sync::cdr::Cdr;
use cdr_sync::store::account::Start;
use cdr_sync::store::commit::{Claim, Commit};
use cdr_sync::window::Window;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdr, claim, hour};
use crate::support::dates::{days, hours, window};

const LATE_HOURS: &str =
    "select extract(hour from hour at time zone 'UTC') || ' ' || extract(epoch from reread_age)::int / 3600 || ' ' || is_followed
     from cdr_sync.late_hour order by hour";
const LATENESS: &str =
    "select within_seconds || ' ' || records from cdr_sync.lateness order by within_seconds";
const AFTER: &str = "select (extract(epoch from settled_after)::int / 3600)::text from cdr_sync.settling";

struct LateScene(StoreScene);

impl LateScene {
    /// The account is followed from one o'clock on.
    async fn new() -> Self {
        let scene = StoreScene::new().await;
        scene.database.execute("update cdr_sync.account set scope_since = '2024-06-10T00:00:00Z'").await;
        scene.store.set_reread_ages(ACCOUNT, &ages(), at(0, 30)).await.unwrap();
        Self(scene)
    }

    /// A complete read of the window that serves this age.
    async fn read(&self, window: Window, age: TimeDelta, records: &[Cdr], read_at: DateTime<Utc>) {
        let claims = [Claim { reread_age: age, ..claim(window, read_at) }];
        let commit = Commit { claims: &claims, ..self.0.commit(records, read_at) };
        self.0.store.commit(&commit).await.unwrap();
    }

    async fn lines(&self, query: &'static str) -> Vec<String> {
        self.0.database.lines(query).await
    }

    /// As many final hours are known in which nothing was late.
    async fn knows(&self, hours: u32) {
        let known =
            format!("insert into cdr_sync.hour_count values ('{ACCOUNT}', '2024-01-01', '0', {hours})");
        self.0.database.execute(&known).await;
        self.0.store.count_final_hours().await.unwrap();
    }
}

fn ages() -> [TimeDelta; 4] {
    [hours(3), days(1), days(7), days(30)]
}

#[tokio::test]
async fn only_records_of_instants_that_had_been_read_tell_lateness() {
    let scene = LateScene::new().await;
    let first = [cdr("first", at(9, 10))];
    scene.read(hour(9), TimeDelta::zero(), &first, at(10, 0)).await;
    assert_eq!(scene.lines(LATENESS).await, Vec::<String>::new(), "a first read says nothing");
    // Talked for 60 s, rang for 5: ended 9:21:05, seen 8 min 55 s later.
    let second = [first[0].clone(), cdr("second", at(9, 20))];
    scene.read(hour(9), TimeDelta::zero(), &second, at(9, 30)).await;
    assert_eq!(scene.lines(LATENESS).await, ["600 1"]);
    scene.read(hour(9), hours(3), &second, at(13, 0)).await;
    scene.read(hour(9), hours(3), &second, at(13, 1)).await;
    assert_eq!(scene.lines(LATENESS).await, ["600 1"], "nothing for what was there");
    assert_eq!(scene.lines(LATE_HOURS).await, Vec::<String>::new(), "it came before the lookback was over");
    let third = [cdr("third", at(9, 59))];
    scene.read(hour(9), days(1), &third, at(9, 0) + days(1) + hours(2)).await;
    assert_eq!(scene.lines(LATENESS).await, ["600 1", "93600 1"]);
    assert_eq!(scene.lines(LATE_HOURS).await, ["9 3 true"]);
}

#[tokio::test]
async fn a_move_a_return_a_rejected_record_and_a_fast_clock_are_no_late_calls() {
    let scene = LateScene::new().await;
    let records = [cdr("moves", at(9, 10)), cdr("returns", at(9, 20))];
    scene.read(window(at(8, 0), at(10, 0)), TimeDelta::zero(), &records, at(10, 0)).await;
    scene.read(window(at(8, 0), at(10, 0)), hours(3), &records, at(13, 0)).await;
    scene.0.database.execute("update voicenter.cdr set removed_at = now() where call_id = 'returns'").await;
    scene
        .0
        .database
        .execute(
            "insert into cdr_sync.rejected (account, content_hash, raw, reason, call_id, type, first_seen_at, last_seen_at)
             values ('main', 'x', '', 'unstorable', 'rejected', 'Incoming Call', now(), now())",
        )
        .await;
    let records = [cdr("moves", at(8, 10)), cdr("returns", at(9, 20)), cdr("rejected", at(9, 30))];
    scene.read(window(at(8, 0), at(10, 0)), hours(3), &records, at(14, 10)).await;
    // Claimed three hours after the call by a clock that ran fast; seen at a time when it was one hour old.
    scene.read(hour(9), hours(3), &[cdr("early", at(9, 40))], at(10, 40)).await;
    assert_eq!(scene.lines(LATENESS).await, Vec::<String>::new());
    assert_eq!(scene.lines(LATE_HOURS).await, Vec::<String>::new());
}

#[tokio::test]
async fn hours_before_the_first_start_and_hours_whose_reads_came_late_are_no_evidence() {
    let scene = LateScene::new().await;
    scene.read(hour(0), hours(3), &[], at(5, 0)).await;
    scene.read(hour(0), days(1), &[cdr("old", at(0, 30))], at(2, 0) + days(1)).await;
    assert_eq!(scene.lines(LATENESS).await, Vec::<String>::new(), "before the account was followed");
    // The program was down: the first read is the one at three hours.
    scene.read(hour(9), hours(3), &[], at(13, 0)).await;
    assert_eq!(scene.lines(LATE_HOURS).await, ["9 0 false"]);
    // Read in time, but not at three hours.
    scene.read(hour(10), TimeDelta::zero(), &[], at(11, 0)).await;
    scene.read(hour(10), days(1), &[], at(11, 0) + days(1)).await;
    assert_eq!(scene.lines(LATE_HOURS).await.len(), 2);
}

#[tokio::test]
async fn final_hours_are_counted_once_by_several_daemons() {
    let scene = LateScene::new().await;
    let records: Vec<Cdr> = (9..13).map(|hour| cdr(&format!("{hour}"), at(hour, 30))).collect();
    let all = window(at(9, 0), at(13, 0));
    scene.read(all, TimeDelta::zero(), &records, at(13, 0)).await;
    scene.read(all, hours(3), &records, at(14, 30)).await;
    scene.read(all, days(1), &[cdr("late", at(9, 40))], at(13, 0) + days(1)).await;
    scene.read(all, days(7), &[], at(13, 0) + days(7)).await;
    scene.0.store.count_final_hours().await.unwrap();
    let counted = "select extract(epoch from reread_age)::int / 3600 || ' ' || hours from cdr_sync.hour_count order by 1";
    assert_eq!(scene.lines(counted).await, Vec::<String>::new(), "nothing is final yet");
    // While an earlier hour may still become final, none after it is counted.
    scene.read(window(at(9, 0), at(12, 0)), days(30), &[], at(13, 0) + days(30)).await;
    scene.0.store.count_final_hours().await.unwrap();
    assert_eq!(scene.lines(counted).await, Vec::<String>::new());
    scene.read(window(at(1, 0), at(9, 0)), days(30), &[], at(13, 0) + days(30)).await;
    let (one, other) = tokio::join!(scene.0.store.count_final_hours(), scene.0.store.count_final_hours());
    one.unwrap();
    other.unwrap();
    assert_eq!(
        scene.lines(counted).await,
        ["0 2", "3 1"],
        "of three hours with calls one had changed after the lookback"
    );
    assert_eq!(scene.lines(LATE_HOURS).await, Vec::<String>::new());
    scene.read(window(at(12, 0), at(13, 0)), days(30), &[], at(13, 0) + days(30)).await;
    scene.0.store.count_final_hours().await.unwrap();
    assert_eq!(scene.lines(counted).await, ["0 3", "3 1"]);
}

#[tokio::test]
async fn a_settled_hour_that_changes_takes_the_claim_back_at_once() {
    let scene = LateScene::new().await;
    assert_eq!(scene.lines(AFTER).await, ["720"], "nothing is known");
    scene.knows(1_500).await;
    assert_eq!(scene.lines(AFTER).await, ["3"]);
    scene.read(hour(9), TimeDelta::zero(), &[], at(10, 0)).await;
    scene.read(hour(9), hours(3), &[], at(13, 0)).await;
    let settled = "select (settled_until is not null)::text from voicenter.sync_state";
    assert_eq!(scene.lines(settled).await, ["true"]);
    scene.read(hour(9), days(1), &[cdr("late", at(9, 5))], at(10, 0) + days(1)).await;
    assert_eq!(scene.lines(AFTER).await, ["24"], "one in 1,500 may be followed by another");
    assert_eq!(scene.lines(settled).await, ["true"], "read again at that age by the same request");
    scene.read(hour(9), days(7), &[cdr("later", at(9, 6))], at(10, 0) + days(7)).await;
    scene.0.store.count_final_hours().await.unwrap();
    assert_eq!(scene.lines(AFTER).await, ["168"]);
}

#[tokio::test]
async fn other_ages_or_another_scope_begin_to_learn_anew_and_a_name_changes_nothing() {
    let scene = LateScene::new().await;
    scene.knows(1_500).await;
    let store = &scene.0.store;
    store.set_reread_ages(ACCOUNT, &ages(), at(20, 0)).await.unwrap();
    let from = "select (followed_from = '2024-06-10T01:00:00Z')::text from cdr_sync.settling";
    assert_eq!(
        (scene.lines(AFTER).await, scene.lines(from).await),
        (vec!["3".to_owned()], vec!["true".to_owned()])
    );
    store.set_reread_ages(ACCOUNT, &[hours(3), days(30)], at(20, 0)).await.unwrap();
    assert_eq!(scene.lines(AFTER).await, ["3"], "fewer ages: what is known of the others holds");
    store.rename_account(ACCOUNT, "new").await.unwrap();
    assert_eq!(
        scene
            .lines("select account from cdr_sync.settling union select account from cdr_sync.hour_count")
            .await,
        ["new"]
    );
    store.set_reread_ages("new", &[hours(3), days(60)], at(20, 0)).await.unwrap();
    assert_eq!(scene.lines(AFTER).await, ["1440"], "nobody has looked for so long");
    assert_eq!(scene.lines("select count(*)::text from cdr_sync.hour_count").await, ["0"]);
    store.open_account("new", &json!({"url": "other"}), Start::Default(at(0, 0)), at(21, 0)).await.unwrap();
    assert_eq!(scene.lines("select count(*)::text from cdr_sync.settling").await, ["0"]);
    store.set_reread_ages("new", &ages(), at(21, 0)).await.unwrap();
    store.forget_account("new", false).await.unwrap();
    assert_eq!(scene.lines("select count(*)::text from cdr_sync.settling").await, ["0"]);
}

#[tokio::test]
async fn a_gap_ends_what_is_settled_and_hours_begin_as_those_of_the_zone() {
    let scene = LateScene::new().await;
    let all = window(at(1, 0), at(6, 0));
    scene.read(all, days(30), &[], at(6, 0) + days(30)).await;
    let until = "select extract(hour from settled_until at time zone 'UTC') || ' ' || extract(hour from final_until at time zone 'UTC')
                 from voicenter.sync_state";
    assert_eq!(scene.lines(until).await, ["6 6"]);
    scene
        .0
        .database
        .execute(
            "insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at)
             values ('main', '[2024-06-10T03:10:00Z, 2024-06-10T03:20:00Z)', 'unreadable', now(), now(), now());
             insert into cdr_sync.reporting (account, timezone) values ('main', 'Asia/Kolkata')",
        )
        .await;
    assert_eq!(scene.lines(until).await, ["3 3"]);
    let states = "select to_char(hour at time zone 'UTC', 'HH24:MI') || ' ' || state from voicenter.hours
                  where hour < '2024-06-10T07:00:00Z' order by hour";
    let expected = [
        "23:30 open",
        "00:30 open",
        "01:30 final",
        "02:30 gap",
        "03:30 final",
        "04:30 final",
        "05:30 open",
        "06:30 open",
    ];
    assert_eq!(scene.lines(states).await, expected);
}

#[tokio::test]
async fn records_are_stored_whatever_becomes_of_learning() {
    let scene = LateScene::new().await;
    scene.knows(1_500).await;
    scene.read(hour(9), TimeDelta::zero(), &[], at(10, 0)).await;
    // No integer holds how long it took.
    let long =
        Cdr { duration_seconds: Some(i32::MAX), ring_seconds: Some(i32::MAX), ..cdr("long", at(9, 5)) };
    scene.read(hour(9), TimeDelta::zero(), &[long], at(10, 10)).await;
    assert_eq!(scene.lines(AFTER).await, ["3"]);
    scene.0.database.execute("alter table cdr_sync.lateness rename to gone").await;
    let claims = [claim(hour(9), at(10, 20))];
    let records = [cdr("next", at(9, 6))];
    let commit = Commit { claims: &claims, ..scene.0.commit(&records, at(10, 20)) };
    let done = scene.0.store.commit(&commit).await.unwrap();
    assert!(done.inserted == 1 && done.lateness_error.is_some(), "{done:?}");
    assert_eq!(scene.lines(AFTER).await, ["720"], "nothing is known any more");
    assert_eq!(scene.lines("select call_id from voicenter.cdr order by 1").await, ["long", "next"]);
}
