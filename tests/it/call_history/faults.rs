//! Answers that go wrong: nothing is stored, the ration is kept, and the calls themselves are not concerned.

use cdr_sync::sync::call_history::HistoryTurn;
use cdr_sync::voicenter::HistoryError;
use chrono::TimeDelta;
use voicenter_simulator::HistoryFault;

use crate::call_history::scene::{AskScene, TOKEN, call};

#[tokio::test]
async fn each_fault_is_told_apart_and_stores_nothing() {
    let scene = AskScene::new().await;
    scene.mirrors((0..9).map(|n| call(&format!("{n}"), &scene, TimeDelta::hours(7 + n)))).await;
    for (fault, words) in [
        (HistoryFault::Unauthorized, "the token is refused"),
        (HistoryFault::Blocked, "403"),
        (HistoryFault::LoginPage, "HTML"),
        (HistoryFault::Http500, "500"),
        (HistoryFault::Truncated, "ends in the middle"),
        (HistoryFault::OtherCall, "another call"),
        (HistoryFault::Hang, "timed out"),
    ] {
        scene.histories().fail(Some(fault));
        let HistoryTurn::Failed(error) = scene.turn().await else { panic!("{fault:?}") };
        let said = format!("{error} {error:?} {}", error.advice());
        assert!(said.contains(words), "{fault:?}: {said}");
        assert!(!said.contains(TOKEN) && !said.contains("127.0.0.1"), "{said}");
    }
    assert_eq!(scene.lines("select call_id from voicenter_ai.call_ai").await, [""; 0]);
    let failed = "select count(*) from cdr_sync.call_history where outcome = 'failed'";
    assert_eq!(scene.mirror.database.count(failed).await, 7);
    // Each is asked for again, a day later.
    scene.histories().fail(None);
    scene.goes_on(TimeDelta::days(1) + TimeDelta::hours(1));
    scene.turns().await;
    assert_eq!(scene.lines("select count(*)::text from voicenter_ai.call_ai").await, ["9"]);
}

#[tokio::test]
async fn a_used_up_ration_rests_for_a_day_at_most_and_costs_no_call_its_tries() {
    for fault in [HistoryFault::UsedUp, HistoryFault::UsedUpWith200] {
        let scene = AskScene::new().await;
        scene.mirrors([call("a", &scene, TimeDelta::hours(7))]).await;
        scene.histories().fail(Some(fault));
        assert_eq!(scene.turn().await, HistoryTurn::Failed(HistoryError::UsedUp), "{fault:?}");
        let HistoryTurn::NotBefore(until) = scene.turn().await else { panic!("{fault:?}") };
        // The vendor's week may turn at another time.
        assert_eq!(until - scene.mirror.now(), TimeDelta::days(1));
        scene.histories().fail(None);
        assert!(matches!(scene.turn().await, HistoryTurn::NotBefore(_)), "it rests");
        assert_eq!(scene.mirror.database.count("select count(*) from cdr_sync.call_history").await, 0);
        scene.goes_on(until - scene.mirror.now());
        assert_eq!(scene.turn().await, HistoryTurn::Analysis);
    }
}

#[tokio::test]
async fn the_servers_own_ration_is_met_and_no_more_is_asked_for() {
    let scene = AskScene::of(3, false).await;
    scene.mirrors((0..9).map(|n| call(&format!("{n}"), &scene, TimeDelta::hours(7 + n)))).await;
    for _ in 0..3 {
        assert_eq!(scene.turn().await, HistoryTurn::Analysis);
    }
    assert_eq!(scene.turn().await, HistoryTurn::Failed(HistoryError::UsedUp));
    for _ in 0..5 {
        assert!(matches!(scene.turn().await, HistoryTurn::NotBefore(_)));
    }
    assert_eq!(scene.histories().asked().len(), 4);
}

#[tokio::test]
async fn a_wrong_token_is_refused_before_anything_is_counted_there() {
    let mut scene = AskScene::new().await;
    scene.mirrors([call("a", &scene, TimeDelta::hours(7))]).await;
    let right = scene.reader.client.clone();
    scene.reader.client = scene.client_with("another-token");
    assert_eq!(scene.turn().await, HistoryTurn::Failed(HistoryError::Token));
    assert_eq!(scene.histories().asked(), [""; 0]);
    scene.reader.client = right;
    scene.goes_on(TimeDelta::days(1) + TimeDelta::minutes(1));
    assert_eq!(scene.turn().await, HistoryTurn::Analysis);
}
