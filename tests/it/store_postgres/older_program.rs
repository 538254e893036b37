//! The program of the minor version before, 0.1, upon this one's ledger: its own statements, word for word.

use cdr_sync::store::account::Start;
use cdr_sync::store::commit::{Claim, Commit};
use cdr_sync::window::Window;
use cdr_sync::window::coverage::Stretch;
use cdr_sync::window::lacking::Lacking;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;
use sqlx::postgres::types::{PgInterval, PgRange};

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, claim, hour};
use crate::support::dates::window;
use crate::support::polling::until;

const DAY: TimeDelta = TimeDelta::days(1);

fn user_id() -> Lacking {
    Lacking::of(["UserId"])
}

/// A stretch as 0.1 knows it.
type Old = (Window, TimeDelta);

/// Its `read_coverage`, up to the joining of neighbours.
async fn old_read(conn: &mut PgConnection) -> Vec<Old> {
    let rows: Vec<(DateTime<Utc>, DateTime<Utc>, PgInterval)> = sqlx::query_as(
        "select lower(span), upper(span), tier from cdr_sync.coverage where account = $1 order by span",
    )
    .bind(ACCOUNT)
    .fetch_all(conn)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(from, to, reread_age)| (window(from, to), TimeDelta::microseconds(reread_age.microseconds)))
        .collect()
}

/// Its `write_coverage`, with the difference that it worked out. Returns how many rows it deleted.
async fn old_write(conn: &mut PgConnection, gone: &[Old], come: &[Old]) -> u64 {
    let spans =
        |rows: &[Old]| -> Vec<_> { rows.iter().map(|(w, _)| PgRange::from(w.from()..w.to())).collect() };
    let interval = |(_, reread_age): &Old| PgInterval {
        months: 0,
        days: 0,
        microseconds: reread_age.num_microseconds().unwrap(),
    };
    let deleted = sqlx::query("delete from cdr_sync.coverage where account = $1 and span = any($2)")
        .bind(ACCOUNT)
        .bind(spans(gone))
        .execute(&mut *conn)
        .await
        .unwrap();
    sqlx::query(
        "insert into cdr_sync.coverage (account, span, tier) select $1, * from unnest($2::tstzrange[], $3::interval[])",
    )
    .bind(ACCOUNT)
    .bind(spans(come))
    .bind(come.iter().map(interval).collect::<Vec<_>>())
    .execute(conn)
    .await
    .unwrap();
    deleted.rows_affected()
}

/// Hours 1 to 3 of one tier, the middle one read without UserId.
async fn with_a_field_lacking() -> StoreScene {
    let scene = StoreScene::new().await;
    let claims = [1, 2, 3].map(|n| Claim {
        lacking: if n == 2 { user_id() } else { Lacking::NONE },
        ..claim(hour(n), at(12, 0))
    });
    let commit = Commit { claims: &claims, ..scene.commit(&[], at(12, 0)) };
    assert_eq!(scene.store.commit(&commit).await.unwrap().coverage.stretches().len(), 3);
    scene
}

async fn loaded(scene: &StoreScene) -> Vec<Stretch> {
    scene.store.load(ACCOUNT).await.unwrap().coverage.stretches().to_vec()
}

fn stretch(window: Window, reread_age: TimeDelta, lacking: Lacking) -> Stretch {
    Stretch { window, reread_age, lacking }
}

#[tokio::test]
async fn it_finds_one_row_where_only_fields_differ_and_replaces_it() {
    let scene = with_a_field_lacking().await;
    let mut conn = scene.database.sql().await;
    let all = (window(at(1, 0), at(4, 0)), TimeDelta::zero());
    assert_eq!(old_read(&mut conn).await, [all], "what it joins in memory is joined in the table");
    // It reads hour 2 again at the age of a day, then hour 4.
    let come = [(hour(1), TimeDelta::zero()), (hour(2), DAY), (hour(3), TimeDelta::zero())];
    assert_eq!(old_write(&mut conn, &[all], &come).await, 1);
    let longer = (window(at(3, 0), at(5, 0)), TimeDelta::zero());
    assert_eq!(old_write(&mut conn, &come[2..], &[longer]).await, 1);
    // The field may have come with its read: looked at once more it does no harm.
    let expected = [
        stretch(hour(1), TimeDelta::zero(), Lacking::NONE),
        stretch(hour(2), DAY, user_id()),
        stretch(longer.0, TimeDelta::zero(), Lacking::NONE),
    ];
    assert_eq!(loaded(&scene).await, expected);
    // A read with the field ends it, whatever stood there.
    scene.read(window(at(1, 0), at(5, 0)), &[], at(12, 5)).await;
    assert_eq!(scene.database.count("select count(*) from cdr_sync.lacking").await, 0);
    assert_eq!(old_read(&mut conn).await, [come[0], come[1], longer]);
}

#[tokio::test]
async fn what_it_no_longer_counts_as_read_is_not_covered_by_what_was_lacking_there() {
    let scene = with_a_field_lacking().await;
    let mut conn = scene.database.sql().await;
    let all = (window(at(1, 0), at(4, 0)), TimeDelta::zero());
    let first = (hour(1), TimeDelta::zero());
    assert_eq!(old_write(&mut conn, &[all], &[first]).await, 1);
    assert_eq!(loaded(&scene).await, [stretch(hour(1), TimeDelta::zero(), Lacking::NONE)]);
    // The next commit clears what has no meaning any more.
    scene.read(hour(3), &[], at(12, 5)).await;
    assert_eq!(scene.database.count("select count(*) from cdr_sync.lacking").await, 0);
    assert_eq!(loaded(&scene).await.len(), 2);
}

#[tokio::test]
async fn rows_that_overlap_are_replaced_by_the_next_commit() {
    let scene = with_a_field_lacking().await;
    let mut conn = scene.database.sql().await;
    let around = [(window(at(0, 30), at(2, 30)), TimeDelta::zero()), (window(at(2, 15), at(2, 45)), DAY)];
    old_write(&mut conn, &[], &around).await;
    let expected = [
        stretch(window(at(0, 30), at(2, 0)), TimeDelta::zero(), Lacking::NONE),
        stretch(window(at(2, 0), at(2, 15)), TimeDelta::zero(), user_id()),
        stretch(window(at(2, 15), at(2, 45)), DAY, user_id()),
        stretch(window(at(2, 45), at(3, 0)), TimeDelta::zero(), user_id()),
        stretch(hour(3), TimeDelta::zero(), Lacking::NONE),
    ];
    assert_eq!(loaded(&scene).await, expected);
    let uncover = [hour(2)];
    let commit = Commit { uncover: &uncover, ..scene.commit(&[], at(12, 5)) };
    scene.store.commit(&commit).await.unwrap();
    let left = [(window(at(0, 30), at(2, 0)), TimeDelta::zero()), (hour(3), TimeDelta::zero())];
    assert_eq!(old_read(&mut conn).await, left);
    assert_eq!(scene.database.count("select count(*) from cdr_sync.lacking").await, 0);
}

#[tokio::test]
async fn what_it_read_is_doubted_as_far_as_its_form_gives_cause() {
    for (generation, doubted) in [("current", false), ("v01", true)] {
        let scene = with_a_field_lacking().await;
        let mut conn = scene.database.sql().await;
        let all = (window(at(1, 0), at(4, 0)), TimeDelta::zero());
        let longer = (window(at(1, 0), at(5, 0)), TimeDelta::zero());
        assert_eq!(old_write(&mut conn, &[all], &[longer]).await, 1);
        sqlx::query("update cdr_sync.account set knowledge = $1")
            .bind(json!({"generation": generation, "api": {}}))
            .execute(&mut conn)
            .await
            .unwrap();
        assert!(scene.store.doubt_fields(ACCOUNT).await.unwrap());
        assert!(!scene.store.doubt_fields(ACCOUNT).await.unwrap(), "once");
        let expected = match doubted {
            true => vec![stretch(longer.0, TimeDelta::zero(), Lacking::ALL)],
            false => vec![
                stretch(hour(1), TimeDelta::zero(), Lacking::NONE),
                stretch(hour(2), TimeDelta::zero(), user_id()),
                stretch(window(at(3, 0), at(5, 0)), TimeDelta::zero(), Lacking::NONE),
            ],
        };
        assert_eq!(loaded(&scene).await, expected);
        assert_eq!(old_read(&mut conn).await, [longer]);
    }
}

#[tokio::test]
async fn an_account_that_it_renames_or_forgets_takes_what_is_lacking_along() {
    let scene = with_a_field_lacking().await;
    let lacking = "select account from cdr_sync.lacking";
    let mut conn = scene.database.sql().await;
    for statement in [
        "update cdr_sync.account set name = 'other' where name = 'main'",
        "update cdr_sync.cursor set account = 'other', fence = fence + 1 where account = 'main'",
        "update cdr_sync.coverage set account = 'other' where account = 'main'",
    ] {
        sqlx::query(statement).execute(&mut conn).await.unwrap();
    }
    assert_eq!(scene.database.lines(lacking).await, ["other"]);
    assert_eq!(scene.store.load("other").await.unwrap().coverage.stretches().len(), 3);
    // This program relies on the same.
    scene.store.rename_account("other", "third").await.unwrap();
    assert_eq!(scene.database.lines(lacking).await, ["third"]);
    assert_eq!(scene.store.load("third").await.unwrap().coverage.stretches().len(), 3);
    sqlx::query("delete from cdr_sync.account where name = 'third'").execute(&mut conn).await.unwrap();
    assert_eq!(scene.database.lines(lacking).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_changed_scope_lacks_nothing() {
    let scene = with_a_field_lacking().await;
    scene
        .store
        .open_account(ACCOUNT, &json!({"url": "v"}), Start::Default(at(0, 0)), at(12, 2))
        .await
        .unwrap();
    assert_eq!(scene.database.count("select count(*) from cdr_sync.lacking").await, 0);
}

/// Back to before the migration.
const BACK: &str = "drop table cdr_sync.lacking;
    alter table cdr_sync.coverage add column lacking text[] not null default '{}';
    delete from cdr_sync.migration where name = '0006_lacking';";

#[tokio::test]
async fn a_commit_of_a_program_that_still_runs_ends_before_a_migration_begins() {
    let scene = StoreScene::new().await;
    scene.read(hour(1), &[], at(12, 0)).await;
    let mut conn = scene.database.sql().await;
    sqlx::raw_sql(BACK).execute(&mut conn).await.unwrap();
    // As far as a commit has come when it has read coverage.
    let begun = "begin; select from cdr_sync.cursor for update; select * from cdr_sync.coverage";
    sqlx::raw_sql(begun).execute(&mut conn).await.unwrap();
    let store = scene.store.clone();
    let migrating = tokio::spawn(async move { store.migrate().await });
    let waits = "select count(*) from pg_locks where not granted and database = (
                     select oid from pg_database where datname = current_database())";
    until("the migration to wait", async || scene.database.count(waits).await > 0).await;
    let rest = "delete from cdr_sync.coverage where account = 'main';
                update cdr_sync.account set last_success_at = now(); commit";
    sqlx::raw_sql(rest).execute(&mut conn).await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap().pending, ["0006_lacking"]);
    assert_eq!(
        scene.database.count("select count(*) from cdr_sync.coverage").await,
        0,
        "what it withdrew stays withdrawn"
    );
}

#[tokio::test]
async fn a_ledger_that_kept_the_fields_in_coverage_is_taken_over() {
    let scene = StoreScene::new().await;
    let mut conn = scene.database.sql().await;
    sqlx::raw_sql(BACK).execute(&mut conn).await.unwrap();
    sqlx::raw_sql(
        // Neighbours that differ in fields, in tier, in nothing; a hole; a row laid over others by 0.1; another account.
        "insert into cdr_sync.account (name, scope, scope_since, history_start)
         values ('other', '{}', now(), now());
         insert into cdr_sync.coverage (account, span, tier, lacking) values
             ('main', '[2024-06-10 01:00Z,2024-06-10 02:00Z)', '0', '{}'),
             ('main', '[2024-06-10 02:00Z,2024-06-10 03:00Z)', '0', '{UserId,UserName}'),
             ('main', '[2024-06-10 03:00Z,2024-06-10 04:00Z)', '24:00:00', '{}'),
             ('main', '[2024-06-10 05:00Z,2024-06-10 06:00Z)', '24:00:00', '{}'),
             ('main', '[2024-06-10 05:30Z,2024-06-10 07:00Z)', '0', '{}'),
             ('other', '[2024-06-10 01:00Z,2024-06-10 02:00Z)', '0', '{DateEpoch}')",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    assert_eq!(scene.store.migrate().await.unwrap().pending, ["0006_lacking"]);
    let coverage = scene.database.lines(
        "select concat_ws(' ', account, to_char(lower(span) at time zone 'UTC', 'HH24:MI'),
                          to_char(upper(span) at time zone 'UTC', 'HH24:MI'), tier)
         from cdr_sync.coverage order by account, span",
    );
    let expected = [
        "main 01:00 03:00 00:00:00",
        "main 03:00 04:00 24:00:00",
        "main 05:00 06:00 24:00:00",
        "main 06:00 07:00 00:00:00",
        "other 01:00 02:00 00:00:00",
    ];
    assert_eq!(coverage.await, expected);
    let lacking = scene.database.lines(
        "select concat_ws(' ', account, to_char(lower(span) at time zone 'UTC', 'HH24:MI'),
                          to_char(upper(span) at time zone 'UTC', 'HH24:MI'), fields)
         from cdr_sync.lacking order by account, span",
    );
    assert_eq!(lacking.await, ["main 02:00 03:00 {UserId,UserName}", "other 01:00 02:00 {DateEpoch}"]);
}

/// What 0020 to 0023 keep of an account.
const KEPT_OF_PUSHES: &str = "
    insert into cdr_sync.push (account, body_sha256, received_at, last_received_at, raw, state)
        values ('main', sha256('x'), now(), now(), 'x', 'applied');
    insert into cdr_sync.push_uptime values ('main', now(), now());
    insert into cdr_sync.forgotten values ('main', sha256('y'), now());
    insert into voicenter.cdr_push (account, call_id, type, time_base, shared, extra, first_received_at, last_received_at, versions, older, state)
        values ('main', '1', '', 'unknown', '{}', '{}', now(), now(), 1, '{}', 'provisional');
    insert into voicenter_ai.call_ai (account, call_id, source, received_at, first_received_at) values ('main', '1', 'push', now(), now());
    insert into voicenter_ai.call_ai_part values ('main', '1', '', 'extra', 'push', now(), 'x');
    insert into voicenter_ai.call_ai_answer (account, call_id, part, position) values ('main', '1', 'insights', 1);
    insert into voicenter_ai.call_ai_sentence (account, call_id, position) values ('main', '1', 1);
    insert into voicenter_ai.call_transcript (account, call_id, position) values ('main', '1', 1);
    insert into voicenter.extension (account, extension, valid_from) values ('main', 'SIP1', now());
    insert into voicenter.queue (account, queue_id, valid_from) values ('main', '1', now());
    insert into cdr_sync.reference_list (account, list) values ('main', 'queues');
    insert into cdr_sync.reporting (account) values ('main') on conflict do nothing";

/// Which of these tables have a row of an account.
async fn with_rows(scene: &StoreScene, account: &str) -> Vec<String> {
    let tables = "cdr_sync.push cdr_sync.push_uptime cdr_sync.reference_list voicenter.cdr_push voicenter.extension voicenter.queue
        voicenter_ai.call_ai voicenter_ai.call_ai_answer voicenter_ai.call_ai_part voicenter_ai.call_ai_sentence
        voicenter_ai.call_transcript cdr_sync.forgotten";
    let mut with = Vec::new();
    for table in tables.split_whitespace() {
        if scene.database.count(&format!("select count(*) from {table} where account = '{account}'")).await
            > 0
        {
            with.push(table.to_owned());
        }
    }
    with
}

#[tokio::test]
async fn what_it_does_not_know_of_notifications_and_lists_follows_an_account_that_it_renames_or_forgets() {
    let scene = StoreScene::new().await;
    scene.database.execute(KEPT_OF_PUSHES).await;
    let all = with_rows(&scene, ACCOUNT).await;
    assert_eq!(all.len(), 12);
    // Its `rename_account`, as far as that goes.
    scene.database.execute("update cdr_sync.account set name = 'other' where name = 'main'").await;
    assert_eq!(with_rows(&scene, "other").await, all);
    assert_eq!(
        with_rows(&scene, ACCOUNT).await,
        ["cdr_sync.forgotten"],
        "a receiver may still have the name"
    );
    // Its `forget_account`, without and with --delete.
    scene.database.execute("delete from cdr_sync.account where name = 'other'").await;
    assert_eq!(with_rows(&scene, "other").await, all[3..], "what was made of them stays with the calls");
    scene.database.execute("delete from cdr_sync.reporting where account = 'other'").await;
    assert_eq!(with_rows(&scene, "other").await, ["cdr_sync.forgotten"]);
}

#[tokio::test]
async fn accounts_are_renamed_and_forgotten_where_a_restored_backup_lacks_the_schema_of_ai() {
    let scene = StoreScene::new().await;
    scene.database.execute("drop schema voicenter_ai cascade").await;
    scene.database.execute("update cdr_sync.account set name = 'other' where name = 'main'").await;
    scene.database.execute("delete from cdr_sync.account where name = 'other'").await;
    scene.database.execute("delete from cdr_sync.reporting where account = 'other'").await;
    assert!(scene.store.status().await.unwrap().is_empty());
}
