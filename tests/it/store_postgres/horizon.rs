//! What the vendor no longer keeps is not removed; what is gone from among older records is.

use cdr_sync::cdr::Cdr;
use cdr_sync::store::commit::{Commit, Committed};
use cdr_sync::store::window_read::WindowRead;
use cdr_sync::window::Window;
use chrono::{DateTime, TimeDelta, Utc};

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdr};
use crate::support::dates::window;

fn day(n: i64) -> DateTime<Utc> {
    at(0, 0) + TimeDelta::days(n)
}

/// An API that shows some of its records, and a reader that follows the rechecks.
struct Api<'a> {
    scene: &'a StoreScene,
    shown: Vec<Cdr>,
    now: DateTime<Utc>,
}

impl<'a> Api<'a> {
    /// Ninety days of eight calls, all read and stored; now is the day after.
    async fn new(scene: &'a StoreScene) -> Self {
        let calls = (0..90 * 8).map(|n| cdr(&format!("{n:03}"), day(0) + TimeDelta::minutes(n * 180 + 7)));
        let mut api = Self { scene, shown: calls.collect(), now: day(90) };
        api.read(window(day(-300), day(90))).await;
        api
    }

    async fn read(&mut self, span: Window) -> Committed {
        self.now += TimeDelta::seconds(5);
        let shown: Vec<Cdr> =
            self.shown.iter().filter(|record| span.contains(record.started_at)).cloned().collect();
        self.scene.read(span, &shown, self.now).await
    }

    /// A day of looks at what is due. Returns how many requests they took.
    async fn follow(&mut self) -> usize {
        let end = self.now + TimeDelta::days(1);
        let mut looks = 0;
        loop {
            let due = self.scene.store.load(ACCOUNT).await.unwrap().rechecks;
            let next = due.iter().map(|recheck| recheck.due_at).min();
            // Looks keep a distance.
            let Some(next) = next.map(|next| next.max(self.now + TimeDelta::minutes(3))) else { break };
            if next >= end {
                break;
            }
            self.now = next;
            self.poll().await;
            let now = self.now;
            for recheck in due.iter().filter(|recheck| recheck.due_at <= now).rev() {
                self.read(recheck.window).await;
                looks += 1;
            }
        }
        self.now = end;
        looks
    }

    /// The tail is read all the time: the server is alive.
    async fn poll(&mut self) {
        let tail = [cdr(&format!("tail{}", self.now), self.now - TimeDelta::minutes(1))];
        let read = WindowRead {
            lane: "live",
            reason: "newest",
            window: window(self.now - TimeDelta::minutes(15), self.now),
            requests: 1,
            seen: 1,
            outcome: "whole",
            started_at: self.now,
            elapsed: TimeDelta::zero(),
        };
        let commit = Commit { window_read: Some(read), ..self.scene.commit(&tail, self.now) };
        self.scene.store.commit(&commit).await.unwrap();
        self.shown.extend(tail);
    }

    fn purge(&mut self, before: DateTime<Utc>) {
        self.shown.retain(|record| record.started_at >= before);
    }

    async fn horizon(&self) -> Option<DateTime<Utc>> {
        self.scene.store.load(ACCOUNT).await.unwrap().horizon
    }

    async fn missing(&self) -> i64 {
        self.scene.database.count("select count(*) from cdr_sync.missing").await
    }
}

#[tokio::test]
async fn a_purge_edge_inside_a_window_that_begins_before_the_first_record_marks_nothing() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene).await;
    api.purge(day(40) + TimeDelta::hours(7));
    let done = api.read(window(day(-300), day(90))).await;
    assert_eq!(done.horizon, Some(day(40) + TimeDelta::minutes(9 * 60 + 7)));
    assert_eq!((done.missing_new, done.removed), (0, 0));
    api.follow().await;
    assert_eq!((scene.removed().await, api.missing().await), (vec![], 0));
}

#[tokio::test]
async fn a_purge_met_chunk_by_chunk_in_either_direction_marks_nothing() {
    for descending in [true, false] {
        let scene = StoreScene::new().await;
        let mut api = Api::new(&scene).await;
        api.purge(day(65) + TimeDelta::hours(7));
        let mut chunks: Vec<Window> = (-1..9).map(|n| window(day(n * 10), day(n * 10 + 10))).collect();
        if descending {
            chunks.reverse();
        }
        for _ in 0..4 {
            for chunk in &chunks {
                api.read(*chunk).await;
            }
            api.follow().await;
        }
        assert_eq!((scene.removed().await, api.missing().await), (vec![], 0), "descending: {descending}");
        assert_eq!(api.horizon().await, Some(day(65) + TimeDelta::minutes(9 * 60 + 7)));
    }
}

#[tokio::test]
async fn a_purge_met_in_the_midst_of_rows_that_nobody_reads_again_marks_nothing_and_ends_the_looks() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene).await;
    // The re-read at 30 days meets a vendor that keeps 29: older rows are never read by themselves.
    for n in 0..6 {
        api.purge(day(61 + n));
        api.read(window(day(60 + n), day(61 + n))).await;
        let looks = api.follow().await;
        assert!(looks < 40, "{looks} looks in a day");
    }
    assert_eq!(scene.removed().await, Vec::<String>::new());
    assert!(api.horizon().await.is_some_and(|horizon| horizon > day(64)), "{:?}", api.horizon().await);
    assert!(api.missing().await <= 8);
}

#[tokio::test]
async fn old_rows_missing_among_older_ones_that_are_shown_are_removed() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene).await;
    // One call alone, and a whole morning.
    let morning = window(day(41), day(41) + TimeDelta::hours(13));
    api.shown.retain(|record| record.key.call_id != "200" && !morning.contains(record.started_at));
    // Read in windows that show no older record.
    for span in [
        window(day(25) + TimeDelta::minutes(7), day(25) + TimeDelta::minutes(8)),
        window(day(41), day(41) + TimeDelta::hours(4)),
        window(day(41) + TimeDelta::hours(4), day(41) + TimeDelta::hours(13)),
    ] {
        assert_eq!(api.read(span).await.horizon, None);
    }
    api.follow().await;
    assert_eq!(scene.removed().await, ["200", "328", "329", "330", "331", "332"]);
    assert_eq!((api.horizon().await, api.missing().await), (None, 0));
}

#[tokio::test]
async fn the_very_oldest_calls_of_the_account_cannot_be_told_from_a_purge_and_are_not_marked() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene).await;
    api.purge(day(0) + TimeDelta::hours(4));
    api.read(window(day(0), day(0) + TimeDelta::hours(8))).await;
    api.follow().await;
    assert_eq!((scene.removed().await, api.missing().await), (vec![], 0));
    assert_eq!(api.horizon().await, Some(day(0) + TimeDelta::minutes(6 * 60 + 7)));
}

#[tokio::test]
async fn a_horizon_is_unlearned_when_older_records_are_shown_again() {
    let scene = StoreScene::new().await;
    let mut api = Api::new(&scene).await;
    let all = api.shown.clone();
    api.purge(day(40));
    api.read(window(day(-300), day(90))).await;
    assert!(api.horizon().await.is_some());
    api.shown = all;
    api.shown.retain(|record| record.key.call_id != "200");
    let done = api.read(window(day(0), day(90))).await;
    assert_eq!(done.horizon, Some(day(0) + TimeDelta::minutes(7)));
    api.follow().await;
    assert_eq!(scene.removed().await, ["200"]);
}
