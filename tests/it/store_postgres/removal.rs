//! When a row that the API no longer returns counts as removed.

use std::collections::BTreeSet;

use cdr_sync::cdr::{RejectReason, Rejected};
use cdr_sync::store::commit::{Claim, Commit, RemovalRules};
use chrono::{DateTime, TimeDelta, Utc};

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdr, cdrs, claim, hour, key};
use crate::support::dates::{minutes, window};

#[tokio::test]
async fn a_row_is_removed_when_two_complete_reads_far_enough_apart_lack_it() {
    let scene = StoreScene::new().await;
    let records = cdrs(5, at(1, 0));
    let before = scene.read(hour(1), &records, at(12, 0)).await;
    let first = scene.read(hour(1), &records[1..], at(12, 1)).await;
    assert_eq!((first.removed, first.missing_new, first.suspicious), (0, 1, false));
    assert_eq!(first.rechecks.len(), 1);
    assert_eq!(
        (first.rechecks[0].window, first.rechecks[0].due_at),
        (window(at(1, 0), at(1, 1)), at(12, 11))
    );
    let soon = scene.read(hour(1), &records[1..], at(12, 10)).await;
    assert_eq!((soon.removed, soon.missing_new), (0, 0));
    let late = scene.read(hour(1), &records[1..], at(12, 11)).await;
    assert_eq!((late.removed, late.rechecks.len()), (1, 0));
    assert!(late.updated_at > before.updated_at);
    assert_eq!(scene.removed().await, ["000000"]);
    let marks = scene
        .database
        .lines("select to_char(removed_at, 'HH24:MI') from voicenter.cdr where removed_at is not null")
        .await;
    assert_eq!(marks, ["12:01"]);
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr_history").await, 1);
}

#[tokio::test]
async fn the_same_read_committed_twice_is_one_read() {
    let scene = StoreScene::new().await;
    let records = cdrs(5, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    let now =
        Commit { removal: RemovalRules::new(TimeDelta::zero()), ..scene.commit(&records[1..], at(12, 1)) };
    let claims = [claim(hour(1), at(12, 1))];
    for _ in 0..3 {
        assert_eq!(scene.store.commit(&Commit { claims: &claims, ..now.clone() }).await.unwrap().removed, 0);
    }
    let claims = [claim(hour(1), at(12, 2))];
    assert_eq!(scene.store.commit(&Commit { claims: &claims, ..now }).await.unwrap().removed, 1);
}

#[tokio::test]
async fn a_removed_row_that_comes_back_is_unmarked_and_a_missing_one_is_forgotten() {
    let scene = StoreScene::new().await;
    let records = cdrs(5, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    scene.read(hour(1), &records[2..], at(12, 1)).await;
    scene.read(hour(1), &records[1..], at(12, 11)).await;
    assert_eq!(scene.removed().await, ["000000"]);
    let back = scene.read(hour(1), &records, at(12, 12)).await;
    assert_eq!((back.updated, back.returned, back.unchanged), (1, 1, 4));
    assert_eq!(scene.removed().await, Vec::<String>::new());
    // It was returned at 12:11: the doubt of 12:01 is gone.
    assert_eq!(scene.read(hour(1), &records[2..], at(12, 13)).await.removed, 0);
}

#[tokio::test]
async fn a_server_that_has_no_record_at_all_removes_nothing_until_it_has_one() {
    let scene = StoreScene::new().await;
    scene.read(hour(1), &cdrs(2, at(1, 0)), at(12, 0)).await;
    for minute in [1, 20, 40] {
        assert_eq!(scene.read(hour(1), &[], at(12, minute)).await.removed, 0);
    }
    let alive = scene.read(hour(1), &[cdr("elsewhere", at(2, 0))], at(13, 0)).await;
    assert_eq!(alive.removed, 2);
}

#[tokio::test]
async fn only_the_claimed_window_is_compared_and_only_if_it_may_be() {
    let scene = StoreScene::new().await;
    let records = [cdr("in", at(1, 30)), cdr("out", at(2, 0))];
    scene.store(&records).await;
    for (minute, may_mark) in [(0, false), (20, false), (40, true), (50, true)] {
        let claims = [Claim { may_mark, ..claim(hour(1), at(12, minute)) }];
        let elsewhere = [cdr("elsewhere", at(3, 0))];
        let commit = Commit { claims: &claims, ..scene.commit(&elsewhere, at(12, minute)) };
        let done = scene.store.commit(&commit).await.unwrap();
        assert_eq!((done.missing_new, done.removed), ((minute == 40).into(), (minute == 50).into()));
    }
    assert_eq!(scene.removed().await, ["in"]);
}

#[tokio::test]
async fn keys_of_earlier_pages_of_the_same_read_are_not_missing() {
    let scene = StoreScene::new().await;
    let records = cdrs(4, at(1, 0));
    scene.store(&records).await;
    let earlier = [records[0].key.clone(), records[1].key.clone()];
    let claims = [claim(hour(1), at(12, 0))];
    let commit = Commit { claims: &claims, earlier_keys: &earlier, ..scene.commit(&records[3..], at(12, 0)) };
    assert_eq!(scene.store.commit(&commit).await.unwrap().missing_new, 1);
    assert_eq!(scene.database.lines("select call_id from cdr_sync.missing").await, ["000002"]);
}

fn broken(key: Option<cdr_sync::cdr::CdrKey>, started_at: Option<DateTime<Utc>>) -> Rejected {
    Rejected { raw: "?".into(), reason: RejectReason::NoDate, key, started_at }
}

#[tokio::test]
async fn a_rejected_record_shields_only_its_own_key_or_second() {
    let scene = StoreScene::new().await;
    let records = cdrs(5, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    // The first two come in a form that cannot be decoded; the third is gone.
    let rejected =
        [broken(Some(key("000000")), None), broken(None, Some(at(1, 0) + TimeDelta::milliseconds(1_200)))];
    for (minute, removed) in [(1, 0), (20, 1), (40, 0), (60, 0)] {
        let read_at = at(12, 0) + minutes(minute);
        let claims = [claim(hour(1), read_at)];
        let commit = Commit { claims: &claims, rejected: &rejected, ..scene.commit(&records[3..], read_at) };
        assert_eq!(scene.store.commit(&commit).await.unwrap().removed, removed);
    }
    assert_eq!(scene.removed().await, ["000002"]);
    assert_eq!(scene.database.count("select count(*) from cdr_sync.missing").await, 0);
}

#[tokio::test]
async fn a_record_of_an_earlier_page_that_cannot_be_decoded_shields_its_key_too() {
    let scene = StoreScene::new().await;
    let records = cdrs(3, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    let rejected = [broken(Some(key("000000")), None)];
    for minute in [1, 20, 40] {
        let claims = [claim(hour(1), at(12, minute))];
        let commit = Commit {
            claims: &claims,
            earlier_rejected: &rejected,
            ..scene.commit(&records[1..], at(12, minute))
        };
        assert_eq!(scene.store.commit(&commit).await.unwrap().missing_new, 0);
    }
}

#[tokio::test]
async fn beside_a_record_that_cannot_be_identified_nothing_is_marked_and_a_narrow_read_decides() {
    let scene = StoreScene::new().await;
    let records = cdrs(4, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    let rejected = [broken(None, None)];
    let mut waits = Vec::new();
    let mut read_at = at(12, 1);
    for _ in 0..6 {
        let claims = [claim(hour(1), read_at)];
        let commit = Commit { claims: &claims, rejected: &rejected, ..scene.commit(&records[1..], read_at) };
        let done = scene.store.commit(&commit).await.unwrap();
        assert_eq!(done.removed, 0);
        waits.push((done.rechecks[0].due_at - read_at).num_minutes());
        read_at = done.rechecks[0].due_at;
    }
    assert_eq!(waits, [10, 10, 20, 40, 80, 160]);
    let minute = window(at(1, 0), at(1, 1));
    assert_eq!(scene.read(minute, &records[1..], read_at).await.removed, 0, "the first that lacks it");
    assert_eq!(scene.read(minute, &records[1..], read_at + minutes(320)).await.removed, 1);
}

#[tokio::test]
async fn beside_a_record_that_cannot_be_identified_the_apis_word_for_the_call_decides() {
    let scene = StoreScene::new().await;
    let records = cdrs(4, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    let rejected = [broken(None, None)];
    let mut asked = Vec::new();
    for minute in [1, 11, 21] {
        let read_at = at(12, minute);
        let gone: BTreeSet<_> =
            scene.store.missing_keys(ACCOUNT, hour(1), read_at).await.unwrap().into_iter().collect();
        let claims = [claim(hour(1), read_at)];
        let commit = Commit {
            claims: &claims,
            rejected: &rejected,
            confirmed_gone: Some(&gone),
            ..scene.commit(&records[1..], read_at)
        };
        asked.push((gone.len(), scene.store.commit(&commit).await.unwrap().removed));
    }
    assert_eq!(asked, [(0, 0), (0, 0), (1, 1)]);
}

#[tokio::test]
async fn a_duplicate_does_not_shield() {
    let scene = StoreScene::new().await;
    let records = cdrs(4, at(1, 0));
    scene.store(&records).await;
    let mut doubled = records[1..].to_vec();
    doubled.push(cdr("000001", at(0, 30)));
    assert_eq!(scene.read(hour(1), &doubled, at(12, 30)).await.missing_new, 1);
}

#[tokio::test]
async fn what_the_api_does_not_confirm_is_asked_about_ever_more_rarely() {
    let scene = StoreScene::new().await;
    let records = cdrs(3, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    let shown = [records[0].clone(), records[2].clone()];
    scene.read(hour(1), &shown, at(12, 1)).await;
    let (confirmed, mut read_at, mut waits) = (BTreeSet::new(), at(12, 11), Vec::new());
    for _ in 0..12 {
        assert_eq!(scene.store.missing_keys(ACCOUNT, hour(1), read_at).await.unwrap(), [key("000001")]);
        let claims = [claim(hour(1), read_at)];
        let commit =
            Commit { claims: &claims, confirmed_gone: Some(&confirmed), ..scene.commit(&shown, read_at) };
        let done = scene.store.commit(&commit).await.unwrap();
        waits.push((done.rechecks[0].due_at - read_at).num_minutes());
        assert_eq!(scene.store.missing_keys(ACCOUNT, hour(1), read_at + minutes(9)).await.unwrap(), []);
        read_at = done.rechecks[0].due_at;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440, 1440]);
}

#[tokio::test]
async fn very_many_missing_at_once_are_marked_only_by_three_reads_over_six_hours() {
    let scene = StoreScene::new().await;
    let records = cdrs(60, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    let first = scene.read(hour(1), &records[21..], at(12, 0)).await;
    assert_eq!((first.missing_new, first.suspicious), (21, true));
    assert_eq!(first.rechecks[0].due_at, at(15, 0));
    let second = scene.read(hour(1), &records[21..], at(15, 0)).await;
    assert_eq!((second.removed, second.rechecks[0].due_at), (0, at(18, 0)));
    // Fewer missing does not make the doubt smaller: it sticks to the rows.
    let third = scene.read(hour(1), &records[5..], at(17, 59)).await;
    assert_eq!((third.removed, third.suspicious), (0, false));
    assert_eq!(scene.store.status().await.unwrap()[0].suspicious, 5);
    let last = scene.read(hour(1), &records[5..], at(18, 0)).await;
    assert_eq!(last.removed, 5);
}

#[tokio::test]
async fn many_missing_of_far_more_rows_are_not_suspicious() {
    let scene = StoreScene::new().await;
    let records = cdrs(100, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    assert!(!scene.read(hour(1), &records[30..], at(12, 1)).await.suspicious);
    assert!(scene.read(hour(1), &records[31..], at(12, 2)).await.suspicious);
}

#[tokio::test]
async fn where_the_api_can_be_asked_only_confirmed_rows_are_marked_and_the_others_wait_another_turn() {
    let scene = StoreScene::new().await;
    let records = cdrs(4, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    scene.read(hour(1), &records[2..], at(12, 1)).await;
    let keys = |read_at| scene.store.missing_keys(ACCOUNT, hour(1), read_at);
    assert_eq!(keys(at(12, 10)).await.unwrap(), []);
    assert_eq!(keys(at(12, 11)).await.unwrap(), [key("000000"), key("000001")]);
    let confirmed = BTreeSet::from([key("000001")]);
    let claims = [claim(hour(1), at(12, 11))];
    let commit = Commit {
        claims: &claims,
        confirmed_gone: Some(&confirmed),
        ..scene.commit(&records[2..], at(12, 11))
    };
    let done = scene.store.commit(&commit).await.unwrap();
    assert_eq!((done.removed, done.rechecks[0].due_at), (1, at(12, 21)));
    assert_eq!(scene.removed().await, ["000001"]);
}

#[tokio::test]
async fn a_row_that_moved_to_another_date_is_not_missing() {
    let scene = StoreScene::new().await;
    scene.read(hour(1), &[cdr("a", at(1, 0))], at(12, 0)).await;
    let moved = scene.read(hour(1), &[cdr("a", at(3, 0))], at(12, 1)).await;
    assert_eq!((moved.updated, moved.missing_new), (1, 0));
    assert_eq!(scene.read(hour(1), &[], at(12, 20)).await.missing_new, 0);
}

#[tokio::test]
async fn a_wholly_empty_old_end_of_history_is_the_vendors_horizon() {
    let scene = StoreScene::new().await;
    let day = TimeDelta::days(1);
    let old = window(at(0, 0), at(12, 0));
    let records = [cdr("a", at(1, 0)), cdr("b", at(11, 0)), cdr("c", at(13, 0))];
    scene.read(window(at(0, 0), at(14, 0)), &records, at(14, 0)).await;
    let done = scene.read(old, &[], at(1, 0) + day * 3).await;
    assert_eq!((done.horizon, done.removed), (Some(at(13, 0)), 0), "the oldest record that is not missing");
    for days in 4..8 {
        assert_eq!(scene.read(old, &[], at(0, 0) + day * days).await.removed, 0);
    }
    assert_eq!(scene.removed().await, Vec::<String>::new());
    // A row that is returned from below lowers it: what lies above can be marked again.
    let done = scene.read(hour(11), &[records[1].clone()], at(0, 0) + day * 9).await;
    assert_eq!(done.horizon, Some(at(11, 0)));
    assert_eq!(scene.read(hour(11), &[cdr("new", at(11, 1))], at(0, 0) + day * 10).await.missing_new, 1);
}

#[tokio::test]
async fn a_window_that_is_young_or_short_or_not_at_the_old_end_shows_no_horizon() {
    let later = TimeDelta::days(3);
    for (asked, read_at) in [
        (window(at(0, 0), at(12, 0)), at(14, 0)),
        (hour(0), at(0, 0) + later),
        (window(at(0, 50), at(14, 0)), at(0, 0) + later),
    ] {
        let scene = StoreScene::new().await;
        scene.read(window(at(0, 0), at(14, 0)), &[cdr("a", at(0, 45)), cdr("b", at(13, 0))], at(14, 0)).await;
        let done = scene.read(asked, &[], read_at).await;
        assert!(done.horizon.is_none() && done.missing_new > 0, "{asked}");
    }
}

#[tokio::test]
async fn a_suspiciously_empty_short_window_at_the_old_end_is_the_horizon_too() {
    let scene = StoreScene::new().await;
    let records = cdrs(21, at(1, 0));
    scene.read(hour(1), &records, at(12, 0)).await;
    let done = scene.read(hour(1), &[], at(12, 0) + TimeDelta::days(2)).await;
    assert_eq!((done.horizon, done.missing_new), (Some(at(2, 0)), 0));
}
