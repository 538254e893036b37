//! Records that share a key in different answers: one that moved, or two.

use cdr_sync::cdr::{Cdr, RejectReason, Rejected};
use cdr_sync::store::account::Start;
use cdr_sync::store::commit::{Commit, Committed};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdr, claim, hour};
use crate::support::dates::window;

/// The API as it is: which records it shows at which instant, and a reader that does as it is bid by the rechecks.
struct Api<'a> {
    scene: &'a StoreScene,
    shown: Vec<Cdr>,
    now: DateTime<Utc>,
}

impl<'a> Api<'a> {
    fn new(scene: &'a StoreScene) -> Self {
        Self { scene, shown: Vec::new(), now: at(12, 0) }
    }

    async fn read(&mut self, span: cdr_sync::window::Window) -> Committed {
        self.now += TimeDelta::seconds(30);
        let shown: Vec<Cdr> =
            self.shown.iter().filter(|record| span.contains(record.started_at)).cloned().collect();
        self.scene.read(span, &shown, self.now).await
    }

    /// One look at all that is due, the newest first, as the planner does it.
    async fn look_again(&mut self) -> usize {
        self.now += TimeDelta::minutes(3);
        let due = self.scene.store.load(ACCOUNT).await.unwrap().rechecks;
        let due: Vec<_> = due.into_iter().filter(|recheck| recheck.due_at <= self.now).collect();
        for recheck in due.iter().rev() {
            self.read(recheck.window).await;
        }
        due.len()
    }

    async fn row(&self) -> Vec<DateTime<Utc>> {
        self.scene.rows().await.iter().map(|row| row.started_at).collect()
    }

    async fn open(&self) -> Vec<DateTime<Utc>> {
        let open = self.scene.store.rejected(None, 10).await.unwrap();
        open.iter().map(|record| record.started_at.unwrap()).collect()
    }
}

#[tokio::test]
async fn of_twins_in_two_windows_the_later_is_stored_whichever_comes_first_and_no_look_is_left() {
    for order in [[1, 2], [2, 1]] {
        let scene = StoreScene::new().await;
        let mut api = Api::new(&scene);
        api.shown = vec![cdr("x", at(1, 10)), cdr("x", at(2, 10))];
        for at_hour in order {
            api.read(hour(at_hour)).await;
        }
        assert_eq!((api.row().await, api.open().await), (vec![at(2, 10)], vec![at(1, 10)]), "{order:?}");
        assert!(api.look_again().await > 0, "{order:?}: both dates are read again");
        let versions = scene.database.count("select count(*) from voicenter.cdr_history").await;
        for at_hour in [1, 2, 2, 1] {
            let done = api.read(hour(at_hour)).await;
            assert_eq!((done.updated, done.rechecks, done.missing_new), (0, vec![], 0), "{order:?}");
        }
        assert_eq!(api.look_again().await, 0);
        assert_eq!((api.row().await, api.open().await), (vec![at(2, 10)], vec![at(1, 10)]), "{order:?}");
        assert_eq!(scene.database.count("select count(*) from voicenter.cdr_history").await, versions);
    }
}

#[tokio::test]
async fn a_record_that_moved_ends_at_its_new_date_with_nothing_rejected_within_one_look() {
    for (before, after) in [((1, 10), (2, 10)), ((2, 10), (1, 10))] {
        let (before, after) = (at(before.0, before.1), at(after.0, after.1));
        let scene = StoreScene::new().await;
        let mut api = Api::new(&scene);
        api.shown = vec![cdr("x", before)];
        api.read(hour(1)).await;
        api.read(hour(2)).await;
        api.shown = vec![cdr("x", after)];
        // Only the new window is read in the ordinary course.
        api.read(window(after, after + TimeDelta::minutes(5))).await;
        api.look_again().await;
        assert_eq!((api.row().await, api.open().await), (vec![after], vec![]), "from {before}");
        assert_eq!(api.look_again().await, 0);
        assert_eq!(scene.removed().await, Vec::<String>::new());
        // And back: versions from before say nothing.
        api.shown = vec![cdr("x", before)];
        api.read(window(before, before + TimeDelta::minutes(5))).await;
        api.look_again().await;
        assert_eq!((api.row().await, api.open().await), (vec![before], vec![]), "back to {before}");
        assert_eq!(api.look_again().await, 0);
    }
}

#[tokio::test]
async fn a_record_that_moved_forth_and_back_between_two_reads_leaves_nothing_behind() {
    for (home, away) in [((1, 10), (2, 10)), ((2, 10), (1, 10))] {
        let (home, away) = (at(home.0, home.1), at(away.0, away.1));
        let scene = StoreScene::new().await;
        let mut api = Api::new(&scene);
        api.shown = vec![cdr("x", home)];
        api.read(window(at(1, 0), at(3, 0))).await;
        api.shown = vec![cdr("x", away)];
        api.read(window(away, away + TimeDelta::minutes(5))).await;
        api.shown = vec![cdr("x", home)];
        api.look_again().await;
        api.look_again().await;
        assert_eq!((api.row().await, api.open().await), (vec![home], vec![]), "home is {home}");
        assert_eq!(api.look_again().await, 0);
        api.read(window(at(1, 0), at(3, 0))).await;
        assert_eq!((api.row().await, api.open().await), (vec![home], vec![]));
    }
}

#[tokio::test]
async fn a_date_that_moved_within_one_window_is_no_matter_for_a_second_look() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene);
    for minute in [30, 10, 50] {
        api.shown = vec![cdr("x", at(1, minute))];
        let done = api.read(hour(1)).await;
        assert_eq!((done.rechecks, done.duplicates), (vec![], 0));
        assert_eq!((api.row().await, api.open().await), (vec![at(1, minute)], vec![]));
    }
}

#[tokio::test]
async fn when_the_later_twin_vanishes_the_other_becomes_the_row() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene);
    api.shown = vec![cdr("x", at(1, 10)), cdr("x", at(2, 10)), cdr("y", at(2, 20))];
    api.read(hour(1)).await;
    api.read(hour(2)).await;
    api.look_again().await;
    api.shown.remove(1);
    api.read(hour(2)).await;
    api.look_again().await;
    assert_eq!((api.row().await, api.open().await), (vec![at(1, 10), at(2, 20)], vec![]));
    for _ in 0..3 {
        api.now += TimeDelta::minutes(15);
        api.look_again().await;
        api.read(hour(2)).await;
    }
    assert_eq!(scene.removed().await, Vec::<String>::new());
    assert_eq!(api.look_again().await, 0);
}

#[tokio::test]
async fn when_the_earlier_twin_vanishes_nothing_stands_rejected_any_more() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene);
    api.shown = vec![cdr("x", at(1, 10)), cdr("x", at(2, 10))];
    api.read(window(at(1, 0), at(3, 0))).await;
    assert_eq!(api.open().await, [at(1, 10)]);
    api.shown.remove(0);
    api.read(hour(1)).await;
    assert_eq!((api.row().await, api.open().await), (vec![at(2, 10)], vec![]));
    // It comes back, changed: one content stands there, not two.
    let mut changed = cdr("x", at(1, 10));
    changed.ring_seconds = Some(99);
    api.shown.push(changed.clone());
    api.read(hour(1)).await;
    changed.ring_seconds = Some(100);
    api.shown[1] = changed;
    api.read(hour(1)).await;
    assert_eq!(api.open().await, [at(1, 10)]);
}

#[tokio::test]
async fn the_row_that_gives_way_stands_in_rejected_in_the_same_transaction_as_it_was() {
    let scene = StoreScene::new().await;
    let (early, late) = (cdr("x", at(1, 10)), cdr("x", at(2, 10)));
    scene.read(hour(1), std::slice::from_ref(&early), at(12, 0)).await;
    let done = scene.read(hour(2), &[late], at(12, 1)).await;
    assert_eq!((done.updated, done.duplicates), (1, 1));
    let raw = scene.database.lines("select raw from cdr_sync.rejected where closed_at is null").await;
    assert_eq!(raw, [early.canonical_json()]);
}

#[tokio::test]
async fn dates_of_another_scope_do_not_count() {
    let scene = StoreScene::new().await;
    let records: Vec<Cdr> = (0..20).map(|minute| cdr(&format!("{minute}"), at(3, minute))).collect();
    let shifted: Vec<Cdr> = records
        .iter()
        .map(|record| Cdr { started_at: record.started_at + TimeDelta::hours(2), ..record.clone() })
        .collect();
    let scope = |zone: &str| json!({"timezone": zone});
    for (round, (zone, shown)) in (1..).zip([("a", &records), ("b", &shifted), ("a", &records)]) {
        scene
            .store
            .open_account(ACCOUNT, &scope(zone), Start::Default(at(0, 0)), at(12, round))
            .await
            .unwrap();
        // In narrow windows, so that no answer shows that the old dates are gone.
        for record in shown {
            let span = window(record.started_at, record.started_at + TimeDelta::minutes(1));
            scene.read(span, std::slice::from_ref(record), at(12, round)).await;
        }
        assert_eq!(scene.rows().await, *shown, "round {round}");
        assert_eq!(scene.store.rejected(None, 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_read_that_proves_nothing_puts_the_look_off_ever_longer() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene);
    api.shown = vec![cdr("x", at(1, 10)), cdr("x", at(2, 10))];
    api.read(hour(2)).await;
    api.read(hour(1)).await;
    let unknown = [Rejected { raw: "?".into(), reason: RejectReason::NoCallId, key: None, started_at: None }];
    let mut waits = Vec::new();
    for _ in 0..4 {
        let due = scene.store.load(ACCOUNT).await.unwrap().rechecks;
        let read_at = due.iter().map(|recheck| recheck.due_at).max().unwrap() + TimeDelta::seconds(1);
        let claims = [claim(window(at(1, 0), at(3, 0)), read_at)];
        let commit = Commit { claims: &claims, rejected: &unknown, ..scene.commit(&api.shown[..1], read_at) };
        let done = scene.store.commit(&commit).await.unwrap();
        waits.push((done.rechecks[0].due_at - read_at).num_minutes());
    }
    assert_eq!(waits, [10, 20, 40, 80]);
}
