//! `retention.calls`: what lies below the floor goes with all that is made of it, and everything else stays as it was.

use cdr_sync::cdr::{Cdr, CdrKey};
use cdr_sync::phone_number::Country;
use cdr_sync::store::account::Start;
use cdr_sync::store::calls::{CallsCompared, SliceSize};
use cdr_sync::store::commit::Commit;
use cdr_sync::store::gap::NewGap;
use cdr_sync::window::Window;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::store_postgres::scene::{ACCOUNT, StoreScene, at, cdr, claim};
use crate::support::dates::{days, hours, minutes, window};

/// Some days before the scene's day.
fn before(n: i64, hour: u32, minute: u32) -> DateTime<Utc> {
    at(hour, minute) - days(n)
}

/// The days from `n` days before the scene's day until its noon.
fn since(n: i64) -> Window {
    window(before(n, 0, 0), at(12, 0))
}

/// A leg of a call in another record.
fn leg(call_id: &str, call_type: &str, started_at: DateTime<Utc>) -> Cdr {
    Cdr { key: CdrKey { call_id: call_id.into(), call_type: call_type.into() }, ..cdr(call_id, started_at) }
}

/// A call that `original` was transferred to.
fn transferred(call_id: &str, original: &str, started_at: DateTime<Utc>) -> Cdr {
    Cdr { custom_data: Some(json!({"OriginalIvrUniqueID": original})), ..cdr(call_id, started_at) }
}

/// Days are those of UTC.
async fn scene() -> StoreScene {
    let scene = StoreScene::new().await;
    assert!(scene.store.set_reporting(ACCOUNT, chrono_tz::UTC, Country::IL).await.unwrap());
    scene
}

impl StoreScene {
    /// The floor, by the ledger.
    async fn floor(&self) -> Option<DateTime<Utc>> {
        self.store.load(ACCOUNT).await.unwrap().kept_from
    }

    async fn keep(&self, kept: Option<TimeDelta>) -> Option<DateTime<Utc>> {
        self.store.set_retention(ACCOUNT, kept, at(12, 0)).await.unwrap()
    }

    /// As a daemon that knows of the same retention.
    async fn delete_older(&self) -> u64 {
        let kept = "select coalesce(extract(epoch from retention), 0)::bigint from cdr_sync.account where name = 'main'";
        let kept = TimeDelta::seconds(self.database.count(kept).await);
        let (mut size, mut rows) = (SliceSize::default(), 0);
        loop {
            match self.store.delete_older_calls(ACCOUNT, kept, &mut size).await.unwrap() {
                0 => return rows,
                deleted => rows += deleted,
            }
        }
    }

    /// The calls, counts and queue visits are what the rows say, over all time.
    async fn assert_calls_equal_rows(&self) {
        let all = window(before(40, 0, 0), at(23, 0));
        let compared = self.store.compare_calls(ACCOUNT, all).await.unwrap();
        let CallsCompared { wrong, wrong_quarters, is_behind, .. } = compared;
        assert_eq!((wrong, wrong_quarters, is_behind), (0, 0, false), "{compared:?}");
    }

    async fn feed(&self) -> Vec<String> {
        self.database
            .lines("select concat_ws(' ', call_id, kind, updated_at) from voicenter.changes order by 1")
            .await
    }
}

/// Calls of every kind, an hour apart, over five days; with a replaced version and a removed one each day.
async fn five_days(scene: &StoreScene) -> Vec<Cdr> {
    let mut records = Vec::new();
    for n in 0..5 {
        for hour in 0..10 {
            let id = |kind: &str| format!("{kind}-{n}-{hour}");
            let start = before(n, hour, 0);
            records.push(cdr(&id("plain"), start));
            records
                .push(Cdr { queue_name: Some("Q".into()), ..leg(&id("queue"), "Queue", start + minutes(1)) });
            records.push(leg(&id("queue"), "Incoming Call", start + minutes(2)));
            records.push(transferred(&id("to"), &id("queue"), start + minutes(3)));
        }
    }
    scene.read(since(5), &records, at(12, 0)).await;
    for record in records.iter_mut().filter(|record| record.key.call_id.starts_with("plain")) {
        record.duration_seconds = Some(77);
    }
    scene.read(since(5), &records, at(12, 1)).await;
    scene
        .database
        .execute("update voicenter.cdr set removed_at = now(), updated_at = clock_timestamp() where call_id like '%-5'")
        .await;
    while scene.store.fold_calls(ACCOUNT, &mut SliceSize::default()).await.unwrap().has_more {}
    records
}

#[tokio::test]
async fn what_is_older_than_the_floor_goes_with_all_that_was_made_of_it() {
    let scene = scene().await;
    let records = five_days(&scene).await;
    scene.assert_calls_equal_rows().await;
    let made = "select count(*) from (
            select day from voicenter.calls union all select day from voicenter.queue_visits
            union all select day from voicenter.calls_15min union all select day from voicenter.queue_15min
            union all select day from voicenter.agent_15min union all select day from voicenter.queue_1day
            union all select day from voicenter.agent_1day union all select (started_at at time zone 'UTC')::date from voicenter.cdr
            union all select (started_at at time zone 'UTC')::date from voicenter.cdr_history
            union all select day from cdr_sync.day) d where day < '2024-06-08'";
    let rest = "select md5(string_agg(t, ',' order by t)) from (
            select c::text as t from voicenter.calls c where day >= '2024-06-08'
            union all select c::text from voicenter.queue_visits c where day >= '2024-06-08'
            union all select c::text from voicenter.calls_15min c where day >= '2024-06-08'
            union all select c::text from voicenter.queue_15min c where day >= '2024-06-08'
            union all select c::text from voicenter.agent_15min c where day >= '2024-06-08'
            union all select c::text from voicenter.queue_1day c where day >= '2024-06-08'
            union all select c::text from voicenter.agent_1day c where day >= '2024-06-08'
            union all select c::text from voicenter.cdr_history c where started_at >= '2024-06-08Z'
            union all select c::text from voicenter.cdr c where started_at >= '2024-06-08Z') x";
    assert!(scene.database.count(made).await > 100);
    let (kept, feed) = (scene.database.lines(rest).await, scene.feed().await);
    let versions = "select count(*) from voicenter.cdr_history";
    let versions_before = scene.database.count(versions).await;

    // Two days and a half back from noon: the day in which that lies begins on the 7th.
    assert_eq!(scene.keep(Some(days(2) + hours(13))).await, Some(before(3, 0, 0)));
    assert_eq!(scene.keep(Some(days(2))).await, Some(before(2, 0, 0)));
    let ledger = scene.store.load(ACCOUNT).await.unwrap();
    assert_eq!(
        (ledger.history_start, ledger.kept_from),
        (before(2, 0, 0).max(at(0, 0)), Some(before(2, 0, 0)))
    );
    assert_eq!(ledger.coverage.span(), Some(since(2)), "nothing below the floor counts as read");
    assert_eq!(scene.delete_older().await, 80);
    assert_eq!(scene.database.count(made).await, 0);
    assert_eq!(scene.database.lines(rest).await, kept, "nothing else was touched");
    assert!(scene.database.count(versions).await < versions_before);
    scene.assert_calls_equal_rows().await;
    // No call was removed: the feed lacks what was deleted and says nothing of it.
    let after = scene.feed().await;
    assert!(after.iter().all(|line| feed.contains(line)) && after.len() < feed.len(), "{after:?}");
    assert_eq!(
        scene.database.count("select count(*) from cdr_sync.transfer where call_id like 'to-4%'").await,
        0
    );
    let compared =
        scene.store.compare_days(ACCOUNT, 0, &scene.count.clone().into(), None, 1_000_000).await.unwrap();
    assert_eq!(compared.lost_days, 0, "what retention deletes was not lost");
    // An answer that shows all of it again stores nothing below the floor as read.
    let committed = scene.read(since(5), &records[..0], at(12, 2)).await;
    assert_eq!(committed.cursor, Some(since(2)));
    assert_eq!(scene.delete_older().await, 0);
}

#[tokio::test]
async fn analyses_go_with_their_calls_and_those_without_a_call_by_when_they_were_received() {
    let scene = scene().await;
    five_days(&scene).await;
    let calls = "select distinct on (c.started_at < '2024-06-08Z') c.call_id, c.type, c.started_at < '2024-06-08Z' as is_old
                 from voicenter.cdr c where c.call_id not in (
                     select d.call_id from voicenter.cdr d where d.started_at >= '2024-06-08Z' intersect
                     select d.call_id from voicenter.cdr d where d.started_at < '2024-06-08Z')
                 order by c.started_at < '2024-06-08Z', c.call_id";
    // Of a call on each side of the floor; of calls that nobody knows; of one of those a part came later.
    scene
        .database
        .execute(&format!(
            "create table analysis as
             select call_id, type, is_old, '2024-06-06Z'::timestamptz as received_at from ({calls}) c
             union all select v.call_id, v.type, v.is_old, v.received_at::timestamptz
             from (values ('unknown-old', '', true, '2024-06-06Z'), ('unknown-late', 'Queue', false, '2024-06-06Z'),
                 ('unknown-late', '', false, '2024-06-09Z'), ('unknown-new', '', false, '2024-06-09Z')) v (call_id, type, is_old, received_at);
             insert into voicenter_ai.call_ai (account, call_id, type, source, received_at, first_received_at)
                 select a, call_id, type, 'push', received_at, received_at from analysis, unnest(array['main', 'beside']) a;
             insert into voicenter_ai.call_ai_part
                 select a, call_id, type, 'extra', 'push', received_at, 'x' from analysis, unnest(array['main', 'beside']) a;
             insert into voicenter_ai.call_ai_answer (account, call_id, type, part, position)
                 select a, call_id, type, 'insights', 1 from analysis, unnest(array['main', 'beside']) a;
             insert into voicenter_ai.call_ai_sentence (account, call_id, type, position)
                 select a, call_id, type, 1 from analysis, unnest(array['main', 'beside']) a;
             insert into voicenter_ai.call_transcript (account, call_id, type, position)
                 select a, call_id, type, 1 from analysis, unnest(array['main', 'beside']) a"
        ))
        .await;
    let expected =
        |of: &str| format!("select concat_ws(' ', call_id, type) from analysis where {of} order by 1");
    let (all, kept) =
        (scene.database.lines(&expected("true")).await, scene.database.lines(&expected("not is_old")).await);
    assert_eq!((all.len(), kept.len()), (6, 4));
    assert_eq!(scene.keep(Some(days(2))).await, Some(before(2, 0, 0)));
    assert!(scene.delete_older().await > 0);
    for table in ["call_ai", "call_ai_part", "call_ai_answer", "call_ai_sentence", "call_transcript"] {
        let of = async |account: &str| {
            let rows = format!(
                "select concat_ws(' ', call_id, type) from voicenter_ai.{table} where account = '{account}' order by 1"
            );
            scene.database.lines(&rows).await
        };
        assert_eq!(of(ACCOUNT).await, kept, "{table}");
        assert_eq!(of("beside").await, all, "{table} of an account without retention");
    }
}

#[tokio::test]
async fn a_call_on_both_sides_of_the_floor_stays_whole_until_its_last_row_goes() {
    let scene = scene().await;
    let midnight = before(2, 0, 0);
    let call = [
        Cdr { queue_name: Some("Q".into()), ..leg("legs", "Queue", midnight - minutes(3)) },
        leg("legs", "Incoming Call", midnight + minutes(1)),
        cdr("root", midnight - minutes(9)),
        transferred("child", "root", midnight - minutes(5)),
        transferred("grandchild", "child", midnight + minutes(2)),
        cdr("over", midnight - minutes(1)),
        // Legs that no call has so far apart: what lies below the floor goes.
        leg("freak", "Queue", midnight - days(2) - minutes(1)),
        leg("freak", "Incoming Call", midnight + minutes(4)),
    ];
    scene.read(since(5), &call, at(12, 0)).await;
    scene.assert_calls_equal_rows().await;
    let whole = "select c::text from voicenter.calls c where call_id in ('legs', 'root') order by 1";
    let before_it = scene.database.lines(whole).await;
    assert_eq!(before_it.len(), 2);
    assert_eq!(scene.keep(Some(days(2))).await, Some(midnight));
    assert_eq!(scene.delete_older().await, 2);
    let rows =
        "select concat_ws(' ', call_id, type) from voicenter.cdr where started_at < '2024-06-08Z' order by 1";
    assert_eq!(scene.database.lines(rows).await, ["child Incoming Call", "legs Queue", "root Incoming Call"]);
    assert_eq!(scene.database.lines(whole).await, before_it);
    scene.assert_calls_equal_rows().await;
    let feed = "select concat_ws(' ', call_id, kind) from voicenter.changes order by 1";
    assert_eq!(scene.database.lines(feed).await, ["freak stored", "legs stored", "root stored"]);
    // They are neither missing nor marked.
    for minute in [1, 30] {
        let claims = [claim(window(before(5, 0, 0), before(2, 1, 0)), at(12, minute))];
        let kept = [call[1].clone(), call[4].clone(), call[7].clone()];
        let commit = Commit { claims: &claims, ..scene.commit(&kept, at(12, minute)) };
        scene.store.commit(&commit).await.unwrap();
    }
    assert_eq!(scene.removed().await, Vec::<String>::new());
    assert_eq!(scene.database.count("select count(*) from cdr_sync.missing").await, 0);
    // A day later.
    let next = window(at(12, 0), at(12, 0) + days(1));
    assert_eq!(scene.read(next, &[], next.to()).await.kept_from, Some(midnight));
    let next = window(next.to(), next.to() + hours(1));
    assert_eq!(scene.read(next, &[], next.to()).await.kept_from, Some(midnight + days(1)));
    assert_eq!(scene.delete_older().await, 6);
    for table in [
        "cdr",
        "calls",
        "queue_visits",
        "calls_15min",
        "queue_15min",
        "agent_15min",
        "queue_1day",
        "agent_1day",
        "removed_calls",
        "cdr_history",
    ] {
        assert_eq!(
            scene.database.count(&format!("select count(*) from voicenter.{table}")).await,
            0,
            "{table}"
        );
    }
    assert_eq!(scene.database.count("select count(*) from cdr_sync.transfer").await, 0);
}

#[tokio::test]
async fn the_floor_moves_by_the_slowest_clock_and_back_only_when_more_is_to_be_kept() {
    let scene = scene().await;
    // Before the first read there is no floor, but nothing older is read.
    let far = at(12, 0) + days(30_000);
    let start = Start::Configured(before(90, 0, 0));
    assert_eq!(scene.store.set_retention(ACCOUNT, Some(days(10)), at(12, 0)).await.unwrap(), None);
    scene.store.open_account(ACCOUNT, &json!({"url": "u"}), start, at(12, 0)).await.unwrap();
    assert_eq!(scene.keep(Some(days(10))).await, None);
    assert_eq!(scene.store.load(ACCOUNT).await.unwrap().history_start, before(10, 0, 0));
    let gap = |window| NewGap { window, reason: "unreadable", error: "", next_try_at: at(13, 0) };
    let gaps =
        [gap(window(before(9, 0, 0), before(8, 0, 0))), gap(window(before(5, 0, 0), before(2, 12, 0)))];
    let claims = [claim(since(10), at(12, 0))];
    let commit = Commit { claims: &claims, open_gaps: &gaps, ..scene.commit(&[], at(12, 0)) };
    scene.store.commit(&commit).await.unwrap();
    // A clock that is fast by decades moves nothing: nothing was read there.
    assert_eq!(scene.store.set_retention(ACCOUNT, Some(days(3)), far).await.unwrap(), Some(before(3, 0, 0)));
    let open: Vec<Window> =
        scene.store.gaps(Some(ACCOUNT)).await.unwrap().iter().map(|gap| gap.window).collect();
    assert_eq!(open, [window(before(3, 0, 0), before(2, 12, 0))]);
    // An answer that was asked for below it, as by a version of before, says nothing of how far the vendor reaches.
    scene.store.commit(&scene.commit(&[cdr("below", before(5, 0, 0))], at(12, 0))).await.unwrap();
    assert_eq!(scene.database.count("select count(horizon) from cdr_sync.account").await, 0);
    // Neither a slow clock nor a restart moves it back.
    let slow = before(30, 0, 0);
    assert_eq!(scene.store.set_retention(ACCOUNT, Some(days(3)), slow).await.unwrap(), Some(before(3, 0, 0)));
    let opened = scene.store.open_account(ACCOUNT, &json!({"url": "u"}), start, at(12, 0)).await.unwrap();
    assert_eq!(opened.history_start, before(3, 0, 0));
    // A gap that an answer in flight has read or opened is cut like all others.
    let close = [window(before(5, 0, 0), before(2, 12, 0))];
    let commit = Commit { close_gaps: &close, open_gaps: &gaps[..1], ..scene.commit(&[], at(12, 1)) };
    scene.store.commit(&commit).await.unwrap();
    assert_eq!(scene.store.gaps(Some(ACCOUNT)).await.unwrap(), []);
    // Longer: what was deleted does not count as read, so it is asked for again.
    assert_eq!(scene.keep(Some(days(6))).await, Some(before(6, 0, 0)));
    let ledger = scene.store.load(ACCOUNT).await.unwrap();
    assert_eq!(ledger.history_start, before(6, 0, 0));
    assert_eq!(ledger.coverage.holes(since(6)), [window(before(6, 0, 0), before(3, 0, 0))]);
    assert_eq!(scene.keep(None).await, None);
    assert_eq!(scene.floor().await, None);
    assert_eq!(scene.store.load(ACCOUNT).await.unwrap().history_start, before(90, 0, 0));
    assert_eq!(scene.delete_older().await, 0);
}

#[tokio::test]
async fn accounts_without_retention_keep_their_calls() {
    let scene = scene().await;
    five_days(&scene).await;
    let mut sql = String::from(
        "insert into cdr_sync.account (name, scope, scope_since, history_start) values ('other', '{}', now(), now());",
    );
    sql += "insert into voicenter.cdr select (jsonb_populate_record(c, '{\"account\": \"other\"}')).* from voicenter.cdr c";
    scene.database.execute(&sql).await;
    scene.keep(Some(days(2))).await;
    let mut size = SliceSize::default();
    // A daemon with another setting deletes nothing, before it leads the account and has set it.
    assert_eq!(scene.store.delete_older_calls(ACCOUNT, days(3), &mut size).await.unwrap(), 0);
    assert!(scene.delete_older().await > 0);
    assert_eq!(scene.store.delete_older_calls("other", days(2), &mut size).await.unwrap(), 0);
    assert_eq!(scene.database.count("select count(*) from voicenter.cdr where account = 'other'").await, 200);
}

#[tokio::test]
async fn what_is_over_and_done_with_does_not_stay_in_the_ledger() {
    let scene = StoreScene::new().await;
    let old = "insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at, closed_at)
            select 'main', tstzrange('2020-01-01Z', '2020-01-02Z'), 'unreadable', c, c, c, c
            from (values (now() - interval '91 days'), (now() - interval '89 days')) v (c);
        insert into cdr_sync.request (account, span, state, finished_at)
            values ('main', tstzrange('2020-01-01Z', '2020-01-02Z'), 'done', now() - interval '91 days'),
                   ('main', tstzrange('2020-01-01Z', '2020-01-02Z'), 'waiting', null);
        insert into cdr_sync.window_read (account, started_at, lane, span, reason, outcome, requests, seen, inserted, updated,
                                          unchanged, removed, rejected, elapsed)
            select 'main', c, 'live', tstzrange('2020-01-01Z', '2020-01-02Z'), 'all', 'summed', 1, 0, 0, 0, 0, 0, 0, '1s'
            from (values (now() - interval '401 days'), (now() - interval '399 days')) v (c)";
    scene.database.execute(old).await;
    let counts =
        "select concat_ws(' ', (select count(*) from cdr_sync.gap), (select count(*) from cdr_sync.request),
                                   (select count(*) from cdr_sync.window_read))";
    let present = crate::support::dates::present();
    scene.store.trim_ledger(ACCOUNT, at(12, 0), Default::default()).await.unwrap();
    scene.store.trim_ledger("other", present, Default::default()).await.unwrap();
    assert_eq!(scene.database.lines(counts).await, ["2 2 2"], "by both clocks, and for this account");
    scene.store.trim_ledger(ACCOUNT, present + days(9_000), Default::default()).await.unwrap();
    assert_eq!(scene.database.lines(counts).await, ["1 1 1"]);
}

#[tokio::test]
async fn what_no_daemon_comes_for_ends_after_a_week_and_says_so() {
    let scene = StoreScene::new().await;
    let ask = |account: &str, age: i32| {
        format!(
            "insert into cdr_sync.request (account, span, requested_at)
             values ('{account}', tstzrange('2020-01-01Z', '2020-01-02Z'), now() - interval '{age} days')"
        )
    };
    let told = "select concat_ws(' ', state, error) from cdr_sync.request order by requested_at";
    let end = async |configured: &[&str]| {
        let configured: Vec<String> = configured.iter().map(|name| (*name).to_owned()).collect();
        scene.store.end_abandoned_work(&configured, crate::support::dates::present()).await.unwrap();
        scene.database.lines(told).await
    };
    scene.database.execute(&ask(ACCOUNT, 8)).await;
    scene.database.execute(&ask(ACCOUNT, 6)).await;
    // A leader comes to it, or an operator ends the pause.
    let led =
        format!("insert into cdr_sync.lease values ('{ACCOUNT}', 'x', 'x', now(), now() + interval '30 s')");
    scene.database.execute(&led).await;
    assert_eq!(end(&[]).await, ["waiting", "waiting"]);
    let paused =
        "delete from cdr_sync.lease; update cdr_sync.account set pause_since = now(), pause_by = 'x'";
    scene.database.execute(paused).await;
    assert_eq!(end(&[]).await, ["waiting", "waiting"]);
    scene.database.execute("update cdr_sync.account set pause_since = null, pause_by = null").await;
    // A daemon with this account in its configuration comes to it.
    assert_eq!(end(&["other", ACCOUNT]).await, ["waiting", "waiting"]);
    let nobody = "failed no daemon has worked for this account for 7 days";
    assert_eq!(end(&["other"]).await, [nobody, "waiting"]);
    // A name that was mistyped is known to nobody.
    scene.database.execute(&ask("mian", 8)).await;
    assert_eq!(end(&[ACCOUNT]).await.iter().filter(|row| *row == nobody).count(), 2);
}
