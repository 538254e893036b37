//! `voicenter.calls` beside the commits that it follows.

use cdr_sync::cdr::Cdr;
use cdr_sync::phone_number::Country;
use cdr_sync::store::StoreError;
use cdr_sync::store::calls::SliceSize;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdr, hour};

#[tokio::test]
async fn a_commit_waits_for_nobody_who_changes_a_rule() {
    let scene = StoreScene::new().await;
    scene.store(&[cdr("1", at(1, 0))]).await;
    let mut operator = scene.database.sql().await;
    sqlx::raw_sql("begin; update voicenter.outcomes set missed = not missed where outcome = 'busy'")
        .execute(&mut operator)
        .await
        .unwrap();
    let committed = scene.read(hour(2), &[cdr("2", at(2, 0))], at(12, 0)).await;
    assert_eq!(committed.inserted, 1);
    assert!(matches!(committed.calls_left, Some(StoreError::Away(_))), "{committed:?}");
    sqlx::raw_sql("commit").execute(&mut operator).await.unwrap();
    assert_eq!(scene.store.unfolded_accounts().await.unwrap(), [ACCOUNT]);
    while scene.store.fold_calls(ACCOUNT, &mut SliceSize::default()).await.unwrap().has_more {}
    assert_eq!(scene.database.count("select count(*) from voicenter.calls").await, 2);
    // Opening the account writes nothing that an operator could hold up.
    sqlx::raw_sql("begin; update voicenter.outcomes set missed = not missed where outcome = 'busy'")
        .execute(&mut operator)
        .await
        .unwrap();
    assert!(scene.store.set_reporting(ACCOUNT, chrono_tz::Asia::Jerusalem, Country::IL).await.unwrap());
    sqlx::raw_sql("rollback").execute(&mut operator).await.unwrap();
}

#[tokio::test]
async fn whatever_folding_does_the_records_are_stored() {
    let scene = StoreScene::new().await;
    let broken = "create or replace function cdr_sync.fold_commit(of_account text, committed_at timestamptz) returns integer
                  language plpgsql as $$ begin perform 1 / 0; end $$";
    scene.database.execute(broken).await;
    let committed = scene.read(hour(1), &[cdr("1", at(1, 0))], at(12, 0)).await;
    assert_eq!(
        (committed.inserted, committed.calls_left),
        (1, Some(StoreError::Data { code: "22012".into() }))
    );
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr").await, 1);
    assert_eq!(scene.store.unfolded_accounts().await.unwrap(), [ACCOUNT]);
}

#[tokio::test]
async fn verify_sees_queue_visits_that_are_not_what_the_rows_say() {
    let scene = StoreScene::new().await;
    let queued = Cdr { queue_name: Some("Q".into()), ..cdr("1", at(1, 0)) };
    scene.read(hour(1), &[queued], at(12, 0)).await;
    let compared = scene.store.compare_calls(ACCOUNT, hour(1)).await.unwrap();
    assert_eq!((compared.calls, compared.wrong), (1, 0));
    scene.database.execute("update voicenter.queue_visits set queue_name = 'other'").await;
    assert_eq!(scene.store.compare_calls(ACCOUNT, hour(1)).await.unwrap().wrong, 1);
    scene.database.execute("delete from voicenter.queue_visits").await;
    assert_eq!(scene.store.compare_calls(ACCOUNT, hour(1)).await.unwrap().wrong, 1);
}

#[tokio::test]
async fn verify_sees_counts_that_are_not_what_the_calls_say() {
    let scene = StoreScene::new().await;
    let queued = Cdr { queue_name: Some("Q".into()), ..cdr("1", at(1, 0)) };
    scene.read(hour(1), &[queued, cdr("2", at(1, 20))], at(12, 0)).await;
    let wrong = async || scene.store.compare_calls(ACCOUNT, hour(1)).await.unwrap().wrong_quarters;
    assert_eq!(wrong().await, 0);
    for (table, counted) in [("queue_15min", "offered"), ("agent_15min", "calls"), ("calls_15min", "calls")] {
        let change = |by: &str| {
            format!(
                "update voicenter.{table} set {counted} = {counted} {by} where starts_at = '2024-06-10T01:00Z'"
            )
        };
        scene.database.execute(&change("+ 1")).await;
        assert_eq!(wrong().await, 1, "{table}");
        scene.database.execute(&change("- 1")).await;
        assert_eq!(wrong().await, 0, "{table}");
    }
    for (table, counted) in [("queue_1day", "offered"), ("agent_1day", "calls")] {
        let wrong = async || scene.store.compare_calls(ACCOUNT, hour(1)).await.unwrap().wrong_days;
        let change = |by: &str| format!("update voicenter.{table} set {counted} = {counted} {by}");
        assert_eq!(wrong().await, 0, "{table}");
        scene.database.execute(&change("+ 1")).await;
        assert_eq!(wrong().await, 1, "{table}");
        scene.database.execute(&change("- 1")).await;
        assert_eq!(wrong().await, 0, "{table}");
    }
    scene.database.execute("delete from voicenter.agent_15min").await;
    assert_eq!(wrong().await, 2);
}

#[tokio::test]
async fn quarters_that_a_version_before_left_uncounted_are_counted_though_no_call_changes() {
    let scene = StoreScene::new().await;
    let queued = Cdr { queue_name: Some("Q".into()), ..cdr("1", at(1, 0)) };
    scene.read(hour(1), &[queued, cdr("2", at(1, 20))], at(12, 0)).await;
    let stamp = "select max(updated_at)::text from voicenter.calls";
    let before = scene.database.lines(stamp).await;
    scene.database.execute("truncate voicenter.queue_15min, voicenter.agent_15min, voicenter.queue_1day, voicenter.agent_1day").await;
    scene
        .database
        .execute("update cdr_sync.reporting set folded_until = '-infinity', folded_call = ''")
        .await;
    fold(&scene).await;
    let compared = scene.store.compare_calls(ACCOUNT, hour(1)).await.unwrap();
    assert_eq!((compared.calls, compared.wrong_quarters), (2, 0));
    let counted = "select (select sum(calls) from voicenter.agent_daily) || ' ' || (select sum(offered) from voicenter.queue_daily)";
    assert_eq!(scene.database.lines(counted).await, ["2 1"]);
    assert_eq!(scene.database.lines(stamp).await, before);
}

#[tokio::test]
async fn how_far_folding_is_counts_from_the_start_each_time_that_all_is_folded_again() {
    let scene = StoreScene::new().await;
    let records: Vec<Cdr> = (0..30).map(|n| cdr(&n.to_string(), at(1, n))).collect();
    scene.read(hour(1), &records, at(12, 0)).await;
    let rows = async || scene.database.count("select folded_rows from cdr_sync.reporting").await;
    assert_eq!(rows().await, 30);
    scene.database.execute("update voicenter.outcomes set missed = not missed where outcome = 'busy'").await;
    assert_eq!(rows().await, 0);
    scene.database.execute("select cdr_sync.fold_changes('main', 20)").await;
    assert_eq!(rows().await, 20);
    // It is a step back only once.
    scene.database.execute("update voicenter.outcomes set missed = not missed where outcome = 'busy'").await;
    fold(&scene).await;
    assert_eq!(rows().await, 30);
}

#[tokio::test]
async fn an_account_that_a_program_of_before_deletes_leaves_no_counts() {
    let scene = StoreScene::new().await;
    let queued = Cdr { queue_name: Some("Q".into()), ..cdr("1", at(1, 0)) };
    scene.read(hour(1), &[queued], at(12, 0)).await;
    // Its statements of what is made of the rows.
    let old = "delete from voicenter.calls; delete from voicenter.removed_calls; delete from voicenter.queue_visits;
               delete from voicenter.calls_15min; delete from voicenter.queues; delete from cdr_sync.transfer;
               delete from cdr_sync.reporting";
    scene.database.execute(old).await;
    let left =
        "select (select count(*) from voicenter.queue_15min) + (select count(*) from voicenter.agent_15min)
                    + (select count(*) from voicenter.queue_1day) + (select count(*) from voicenter.agent_1day)
                    + (select count(*) from cdr_sync.number)";
    assert_eq!(scene.database.count(left).await, 0);
}

const CUSTOMERS: &str =
    "select call_id || ' ' || coalesce(customer_number, 'nobody') from voicenter.calls order by call_id";

async fn fold(scene: &StoreScene) {
    while scene.store.fold_calls(ACCOUNT, &mut SliceSize::default()).await.unwrap().has_more {}
}

#[tokio::test]
async fn a_commit_spells_the_numbers_that_are_new() {
    let scene = StoreScene::new().await;
    let from = |caller: &str| Some(caller.to_owned());
    scene.store(&[Cdr { caller_number: from("0541234567"), ..cdr("1", at(1, 0)) }]).await;
    scene.store(&[Cdr { caller_number: from("972541234567"), ..cdr("2", at(2, 0)) }]).await;
    scene.store(&[Cdr { caller_number: from("anonymous"), ..cdr("3", at(3, 0)) }]).await;
    assert_eq!(scene.database.lines(CUSTOMERS).await, ["1 +972541234567", "2 +972541234567", "3 nobody"]);
    let spelt =
        "select raw || ' ' || coalesce(number, 'nobody') from cdr_sync.number order by raw collate \"C\"";
    let expected = [
        "031234567 +97231234567",
        "0541234567 +972541234567",
        "972541234567 +972541234567",
        "anonymous nobody",
    ];
    assert_eq!(scene.database.lines(spelt).await, expected);
}

#[tokio::test]
async fn slices_spell_the_numbers_of_rows_that_are_there() {
    let scene = StoreScene::new().await;
    let rows = "insert into voicenter.cdr (account, call_id, type, started_at, caller_number, dial_status, first_seen_at, updated_at)
                select 'main', (n / 2)::text, 'Type ' || n % 2, '2024-06-10T01:00Z', '054123456' || n, 'ANSWER', now(), now()
                from generate_series(0, 9) n";
    scene.database.execute(rows).await;
    // A slice of one row folds its whole call.
    let first = "select cdr_sync.unspelt_of_slice('main', 1) order by 1";
    assert_eq!(scene.database.lines(first).await, [""; 0], "the account is new");
    scene.database.execute("insert into cdr_sync.reporting (account) values ('main')").await;
    assert_eq!(scene.database.lines(first).await, ["0541234560", "0541234561"]);
    fold(&scene).await;
    let spelt = "select count(*) from cdr_sync.number where number = '+972' || substr(raw, 2)";
    assert_eq!(scene.database.count(spelt).await, 10);
    assert!(scene.database.lines("select cdr_sync.unspelt_of_slice('main', 100)").await.is_empty());
    let compared = scene.store.compare_calls(ACCOUNT, hour(1)).await.unwrap();
    assert_eq!((compared.calls, compared.wrong), (5, 0));
}

#[tokio::test]
async fn another_country_spells_all_numbers_again() {
    let scene = StoreScene::new().await;
    let zone = chrono_tz::Asia::Jerusalem;
    assert!(scene.store.set_reporting(ACCOUNT, zone, Country::IL).await.unwrap());
    let caller = Some("07911123456".to_owned());
    scene.store(&[Cdr { caller_number: caller, ..cdr("1", at(1, 0)) }]).await;
    assert!(scene.store.set_reporting(ACCOUNT, zone, Country::GB).await.unwrap());
    assert_eq!(scene.store.unfolded_accounts().await.unwrap(), [ACCOUNT]);
    fold(&scene).await;
    assert_eq!(scene.database.lines(CUSTOMERS).await, ["1 +447911123456"]);
    // The same once more is nothing to do.
    assert!(scene.store.set_reporting(ACCOUNT, zone, Country::GB).await.unwrap());
    assert!(scene.store.unfolded_accounts().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_program_folded_that_cannot_spell_gets_its_customers_later() {
    let scene = StoreScene::new().await;
    scene.store(&[cdr("1", at(1, 0))]).await;
    // As the program of before does.
    scene
        .database
        .execute(
            "insert into voicenter.cdr (account, call_id, type, started_at, caller_number, dial_status, first_seen_at, updated_at)
             values ('main', '2', 'Incoming Call', now(), '0541234567', 'ANSWER', now(), clock_timestamp());
             select cdr_sync.fold_changes('main', 100)",
        )
        .await;
    assert_eq!(scene.database.lines(CUSTOMERS).await, ["1 +972501234567", "2 nobody"]);
    scene.store(&[cdr("3", at(3, 0))]).await;
    fold(&scene).await;
    assert_eq!(
        scene.database.lines(CUSTOMERS).await,
        ["1 +972501234567", "2 +972541234567", "3 +972501234567"]
    );
    assert!(scene.store.unfolded_accounts().await.unwrap().is_empty());
}

#[tokio::test]
async fn spellings_follow_a_renamed_account_and_go_with_a_deleted_one() {
    let scene = StoreScene::new().await;
    scene.store(&[cdr("1", at(1, 0))]).await;
    scene.store.rename_account(ACCOUNT, "new").await.unwrap();
    let accounts = "select distinct account from cdr_sync.number";
    assert_eq!(scene.database.lines(accounts).await, ["new"]);
    let compared = scene.store.compare_calls("new", hour(1)).await.unwrap();
    assert_eq!((compared.calls, compared.wrong), (1, 0));
    scene.store.forget_account("new", true).await.unwrap();
    assert_eq!(scene.database.count("select count(*) from cdr_sync.number").await, 0);
}
