//! The shared request budget.

use std::time::Duration;

use cdr_sync::clock::Clock;
use cdr_sync::store::Store;
use cdr_sync::store::budget::{Lifted, Reserved, Slot};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::store_postgres::scene::{StoreScene, at};
use crate::support::database::settings;

/// Reserves at `now` and returns the instant at which the request leaves.
async fn sent(store: &Store, credential: &str, rate: (u32, u32), mut now: DateTime<Utc>) -> DateTime<Utc> {
    sent_once_it_may(store, credential, rate, &mut now).await
}

/// The same; `now` goes on to when it was reserved, for the database's clock does not go back.
async fn sent_once_it_may(
    store: &Store,
    credential: &str,
    rate: (u32, u32),
    now: &mut DateTime<Utc>,
) -> DateTime<Utc> {
    loop {
        match store.reserve_at(credential, rate.0, rate.1, Some(*now)).await.unwrap() {
            Reserved::After(wait, _) => {
                return *now + TimeDelta::from_std(wait).unwrap();
            }
            Reserved::Later(wait) => *now += TimeDelta::from_std(wait).unwrap(),
        }
    }
}

/// The wait for the next request, by the database's clock.
async fn wait(store: &Store) -> Duration {
    match store.reserve("c", 30, 2).await.unwrap() {
        Reserved::After(wait, _) => wait,
        Reserved::Later(wait) => panic!("asked to come back in {wait:?}"),
    }
}

/// The most instants that any window of this length holds, both ends included.
fn most_within(instants: &[DateTime<Utc>], length: TimeDelta) -> usize {
    let mut sorted = instants.to_vec();
    sorted.sort();
    (0..sorted.len())
        .map(|i| sorted[i..].iter().take_while(|later| **later - sorted[i] <= length).count())
        .max()
        .unwrap_or(0)
}

#[test]
fn no_minute_ever_holds_more_requests_than_the_limit() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(StoreScene::new());
    // Arrivals of several processes: in no order, in crowds, after pauses.
    let arrivals = proptest::collection::vec(
        prop_oneof![3 => 0..2_000_i64, 1 => 0..30_000_i64, 1 => Just(120_000)],
        1..90,
    );
    // Some of the arrivals are answered with error 1.
    let errors = proptest::collection::btree_set(0..90_usize, 0..4);
    let strategy = (2..40_u32, 1..6_u32, arrivals, errors, any::<u64>());
    let mut runner = TestRunner::new(ProptestConfig { cases: 24, ..Default::default() });
    runner
        .run(&strategy, |(per_minute, burst, steps, errors, credential)| {
            let credential = credential.to_string();
            let instants = runtime.block_on(async {
                let (mut now, mut instants) = (at(0, 0), Vec::new());
                for (index, step) in steps.into_iter().enumerate() {
                    now += TimeDelta::milliseconds(step % 7_000);
                    instants.push(
                        sent_once_it_may(&scene.store, &credential, (per_minute, burst), &mut now).await,
                    );
                    if errors.contains(&index) {
                        let pause = Duration::from_secs(step as u64 % 60);
                        scene.store.slow_down_at(&credential, per_minute, pause, Some(now)).await.unwrap();
                    }
                }
                instants
            });
            for length in [60_000, 60_750] {
                let most = most_within(&instants, TimeDelta::milliseconds(length));
                prop_assert!(most <= per_minute as usize, "{most} > {per_minute} in {length} ms");
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn the_budget_is_used_up_not_only_kept() {
    let scene = StoreScene::new().await;
    let (mut now, mut instants) = (at(0, 0), Vec::new());
    for _ in 0..60 {
        instants.push(sent_once_it_may(&scene.store, "c", (30, 2), &mut now).await);
    }
    // 29 intervals of 61.5 s / 29: 60 requests in a little over two minutes.
    assert_eq!(instants[0], instants[1]);
    assert!(instants[59] - instants[0] < TimeDelta::seconds(124));
}

#[tokio::test]
async fn a_lowered_rate_adds_waiting_and_never_fills_the_bucket() {
    let scene = StoreScene::new().await;
    let start = at(0, 0);
    let mut last = start;
    for _ in 0..10 {
        last = last.max(sent(&scene.store, "c", (30, 2), start).await);
    }
    let slow = sent(&scene.store, "c", (6, 2), start).await;
    assert!(slow - last >= TimeDelta::seconds(12), "{}", slow - last);
    let next = sent(&scene.store, "c", (6, 2), start).await;
    assert!(next - slow >= TimeDelta::seconds(12), "{}", next - slow);
}

#[tokio::test]
async fn credentials_have_budgets_of_their_own() {
    let scene = StoreScene::new().await;
    for credential in ["a", "b", "c"] {
        assert_eq!(sent(&scene.store, credential, (1, 1), at(0, 0)).await, at(0, 0));
    }
}

#[tokio::test]
async fn a_pause_delays_every_request_and_is_never_shortened() {
    let scene = StoreScene::new().await;
    scene.store.slow_down("c", 30, Duration::from_secs(600)).await.unwrap();
    scene.store.slow_down("c", 30, Duration::from_secs(5)).await.unwrap();
    let first = wait(&scene.store).await;
    assert!(first > Duration::from_secs(590) && first <= Duration::from_secs(600), "{first:?}");
    wait(&scene.store).await;
    assert!(wait(&scene.store).await > Duration::from_secs(601));
}

#[tokio::test]
async fn without_a_pause_the_first_requests_leave_at_once() {
    let scene = StoreScene::new().await;
    assert_eq!(wait(&scene.store).await, Duration::ZERO);
    assert_eq!(wait(&scene.store).await, Duration::ZERO);
    assert!(wait(&scene.store).await > Duration::from_secs(1));
}

/// The instants at which requests leave that always want to, from `start` on.
async fn eager(store: &Store, start: DateTime<Utc>, length: TimeDelta) -> Vec<DateTime<Utc>> {
    let (mut now, mut instants) = (start, Vec::new());
    while now <= start + length {
        now = sent(store, "c", (30, 2), now).await;
        instants.push(now);
    }
    instants
}

#[tokio::test]
async fn after_error_1_the_rate_is_halved_and_rises_by_one_a_minute() {
    let scene = StoreScene::new().await;
    let start = at(0, 0);
    sent(&scene.store, "c", (30, 2), start).await;
    let pause = Duration::from_secs(10);
    let lowered = scene.store.slow_down_at("c", 30, pause, Some(start)).await.unwrap();
    assert_eq!(lowered, Some(15));
    // Requests that were under way together meet error 1 together.
    let again = scene.store.slow_down_at("c", 30, pause, Some(start + TimeDelta::seconds(3))).await.unwrap();
    assert_eq!(again, None);
    let resumed = start + TimeDelta::seconds(13);
    let instants = eager(&scene.store, start, TimeDelta::minutes(27)).await;
    assert!(instants[0] >= resumed, "{}", instants[0] - start);
    let in_minute = |minute: i64| {
        let from = resumed + TimeDelta::minutes(minute);
        instants.iter().filter(|at| (from..from + TimeDelta::minutes(1)).contains(at)).count()
    };
    for (minute, rate) in [(0, 15), (1, 16), (5, 20), (10, 25), (15, 30), (24, 30)] {
        let sent = in_minute(minute);
        assert!(sent <= rate && sent + 2 >= rate, "minute {minute}: {sent} of {rate}");
    }
}

#[tokio::test]
async fn error_1_again_and_again_leaves_two_requests_a_minute_and_never_fills_the_bucket() {
    let scene = StoreScene::new().await;
    // Another process on the same database.
    let other = Store::open(&settings(scene.database.url())).unwrap();
    let (mut now, mut rates) = (at(0, 0), Vec::new());
    let mut last = sent(&scene.store, "c", (30, 2), now).await;
    for store in [&scene.store, &other, &scene.store, &other, &scene.store] {
        rates.extend(store.slow_down_at("c", 30, Duration::from_secs(5), Some(now)).await.unwrap());
        let next = sent(&other, "c", (30, 2), now).await;
        let spacing = TimeDelta::milliseconds(61_500 / i64::from(*rates.last().unwrap()));
        assert!(next - last >= spacing, "{} after {rates:?}", next - last);
        (now, last) = (next, next);
    }
    assert_eq!(rates, [15, 7, 3, 2, 2]);
    // A higher rate that is configured for the same credential elsewhere counts for nothing now.
    let next = sent(&scene.store, "c", (600, 2), now).await;
    assert!(next - last >= TimeDelta::seconds(30), "{}", next - last);
}

#[tokio::test]
async fn a_budget_without_the_younger_columns_still_paces() {
    let scene = StoreScene::new().await;
    scene
        .database
        .execute("alter table cdr_sync.budget drop column lowered_to, drop column lowered_at")
        .await;
    assert_eq!(sent(&scene.store, "c", (30, 1), at(0, 0)).await, at(0, 0));
    assert!(sent(&scene.store, "c", (30, 1), at(0, 0)).await > at(0, 0));
}

#[tokio::test]
async fn a_budget_that_a_fast_clock_left_in_the_future_is_not_waited_for() {
    let scene = StoreScene::new().await;
    let right = at(1, 0);
    let fast = right + TimeDelta::hours(2);
    for _ in 0..5 {
        sent(&scene.store, "c", (30, 2), fast).await;
    }
    scene.store.slow_down_at("c", 30, Duration::from_secs(5), Some(fast)).await.unwrap();
    // The database's clock is set right.
    let instants = eager(&scene.store, right, TimeDelta::minutes(3)).await;
    assert!(instants[0] - right < TimeDelta::seconds(10), "waits for {}", instants[0] - right);
    assert!(most_within(&instants, TimeDelta::seconds(60)) <= 30);
    // The rate that error 1 lowered rises from now on, not in two hours.
    let lowered = scene.store.slow_down_at("c", 30, Duration::from_secs(5), Some(right)).await.unwrap();
    assert_eq!(lowered, Some(7));
    assert!(sent(&scene.store, "c", (30, 2), instants[1]).await < right + TimeDelta::minutes(10));
}

#[tokio::test]
async fn a_pause_is_lifted_with_what_was_reserved_for_its_end() {
    let scene = StoreScene::new().await;
    assert_eq!(scene.store.resume_credential("c").await.unwrap(), Lifted::default());
    scene.store.slow_down("c", 30, Duration::from_secs(600)).await.unwrap();
    for _ in 0..5 {
        assert!(wait(&scene.store).await > Duration::from_secs(590));
    }
    let lifted = scene.store.resume_credential("c").await.unwrap();
    assert!(lifted.pause.unwrap() > Duration::from_secs(590) && lifted.lowered_to == Some(15), "{lifted:?}");
    assert!(wait(&scene.store).await < Duration::from_secs(5));
    assert_eq!(scene.store.resume_credential("c").await.unwrap(), Lifted::default());
}

/// Reserves at `now`; the slot.
async fn slot(store: &Store, now: DateTime<Utc>) -> Slot {
    match store.reserve_at("c", 30, 2, Some(now)).await.unwrap() {
        Reserved::After(_, slot) => slot,
        Reserved::Later(wait) => panic!("asked to come back in {wait:?}"),
    }
}

#[tokio::test]
async fn a_slot_is_void_once_the_row_it_stands_in_was_set_back() {
    let scene = StoreScene::new().await;
    let store = &scene.store;
    // A little ahead, so that no slot passes meanwhile.
    let now = Clock::System.now() + TimeDelta::seconds(30);
    let first = slot(store, now).await;
    let second = slot(store, now).await;
    let stand = async |slot: &Slot| store.stands("c", slot).await.unwrap();
    assert!(stand(&first).await && stand(&second).await, "later ones change nothing");

    // Error 1 of another request: what waits has to wait for the end of its pause as well.
    store.slow_down("c", 30, Duration::from_secs(100)).await.unwrap();
    assert!(!stand(&second).await);

    let paused = slot(store, now).await;
    assert!(stand(&paused).await);
    store.resume_credential("c").await.unwrap();
    assert!(!stand(&paused).await, "an operator has lifted the pause");
    // Nor does another pause after that bring it back.
    store.slow_down("c", 30, Duration::from_secs(50)).await.unwrap();
    assert!(!stand(&paused).await);

    // The database's clock ran two hours fast and is set right.
    store.resume_credential("c").await.unwrap();
    let fast = slot(store, now + TimeDelta::hours(2)).await;
    assert!(stand(&fast).await);
    slot(store, now).await;
    assert!(!stand(&fast).await);
}
