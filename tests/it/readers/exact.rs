//! `voicenter.calls` and its counts after any change: equal to what the rows give from scratch.

use serde_json::json;

use crate::readers::scene::ReaderScene;

/// A commit: new calls, changes, moves, removals, returns, transfers that come before and after what they continue.
const COMMIT: &str = "
    insert into voicenter.cdr (account, call_id, type, cdr_type, started_at, duration_seconds, ring_seconds,
        target_extension, dial_status, queue_name, representative_code, price, custom_data, first_seen_at, updated_at)
    select 'a', (random() * 60)::int::text, t.type, t.kind,
        timestamptz '2024-10-26 21:00Z' + floor(random() * 20000) * interval '1 second',
        (random() * 300)::int, (random() * 30)::int, case when random() < 0.5 then 'SIP' || (random() * 4)::int end,
        (array['ANSWER', 'NOANSWER', 'ABANDONE', 'TIMEOUT', 'VOEND', 'new', null])[1 + (random() * 6)::int],
        case when random() < 0.4 then 'Q' || (random() * 2)::int end,
        case when random() < 0.4 then (random() * 3)::int::text end, case when random() < 0.5 then (random() * 9)::int end,
        case when t.kind = 13 or random() < 0.1 then jsonb_build_object('OriginalIvrUniqueID', (random() * 60)::int::text) end,
        STAMP, STAMP
    from generate_series(1, 8), lateral (
        select * from (values ('Incoming Call', 1), ('Queue', 8), ('Extension Outgoing', 4), ('XferCDR', 13),
                              ('VoiceMail', 11), ('ProductiveCall Leg2', 15)) v (type, kind)
        order by random() limit 1
    ) t
    on conflict (account, call_id, type) do nothing;
    update voicenter.cdr set duration_seconds = (random() * 300)::int, updated_at = STAMP where random() < 0.03;
    update voicenter.cdr set started_at = started_at + floor(random() * 5000 - 2500) * interval '1 second', updated_at = STAMP
        where random() < 0.03;
    update voicenter.cdr set removed_at = case when removed_at is null then STAMP end, updated_at = STAMP where random() < 0.06;
    update voicenter.cdr set custom_data = case when random() < 0.5
            then jsonb_build_object('OriginalIvrUniqueID', (random() * 60)::int::text) end, updated_at = STAMP
        where random() < 0.03;";

/// What the tables hold beyond, or short of, what the rules make of all rows at once.
const DIFFERENCES: &str = "
    select (select count(*) from (
                (select to_jsonb(m) - 'updated_at' from cdr_sync.calls_of('a', array(
                     select distinct c.call_id from voicenter.cdr c
                     where not exists (select from cdr_sync.transfer t where t.call_id = c.call_id and t.root_call_id is not null)
                 ), 'Asia/Jerusalem', now()) m
                 except all select to_jsonb(c) - 'updated_at' from voicenter.calls c)
                union all
                (select to_jsonb(c) - 'updated_at' from voicenter.calls c
                 except all select to_jsonb(m) - 'updated_at' from cdr_sync.calls_of('a', array(
                     select distinct c.call_id from voicenter.cdr c
                     where not exists (select from cdr_sync.transfer t where t.call_id = c.call_id and t.root_call_id is not null)
                 ), 'Asia/Jerusalem', now()) m)) x) as calls,
           (select count(*) from (
                (select cdr_sync.quarter(started_at), direction, day, count(*), count(*) filter (where answered),
                     count(*) filter (where missed), count(*) filter (where outcome = 'abandoned'), count(wait_seconds),
                     coalesce(sum(wait_seconds), 0), coalesce(sum(talk_seconds), 0), sum(price_agorot)
                 from voicenter.calls group by 1, 2, 3
                 except all
                 select starts_at, direction, day, calls, answered, missed, abandoned, waits_known, wait_seconds, talk_seconds,
                     price_agorot from voicenter.calls_15min)
                union all
                (select starts_at, direction, day, calls, answered, missed, abandoned, waits_known, wait_seconds, talk_seconds,
                     price_agorot from voicenter.calls_15min
                 except all
                 select cdr_sync.quarter(started_at), direction, day, count(*), count(*) filter (where answered),
                     count(*) filter (where missed), count(*) filter (where outcome = 'abandoned'), count(wait_seconds),
                     coalesce(sum(wait_seconds), 0), coalesce(sum(talk_seconds), 0), sum(price_agorot)
                 from voicenter.calls group by 1, 2, 3)) x) as quarters,
           (select count(*) from (
                (select to_jsonb(v) from voicenter.queue_visits v
                 except all
                 select to_jsonb(v) from cdr_sync.queue_visits_of('a', array(select call_id from voicenter.calls), 'Asia/Jerusalem') v)
                union all
                (select to_jsonb(v) from cdr_sync.queue_visits_of('a', array(select call_id from voicenter.calls), 'Asia/Jerusalem') v
                 except all
                 select to_jsonb(v) from voicenter.queue_visits v)) x) as visits,
           (select count(*) from (
                (select cdr_sync.quarter(entered_at), coalesce(queue_name, ''), day, count(*), count(*) filter (where answered),
                     count(*) filter (where outcome in ('abandoned', 'short_abandoned')),
                     count(*) filter (where outcome = 'overflowed'), count(wait_seconds), coalesce(sum(wait_seconds), 0),
                     max(wait_seconds), sum(duration_seconds)
                 from voicenter.queue_visits group by 1, 2, 3
                 except all
                 select starts_at, queue_name, day, offered, answered, abandoned, overflowed, waits_known, wait_seconds,
                     longest_wait_seconds, duration_seconds from voicenter.queue_15min)
                union all
                (select starts_at, queue_name, day, offered, answered, abandoned, overflowed, waits_known, wait_seconds,
                     longest_wait_seconds, duration_seconds from voicenter.queue_15min
                 except all
                 select cdr_sync.quarter(entered_at), coalesce(queue_name, ''), day, count(*), count(*) filter (where answered),
                     count(*) filter (where outcome in ('abandoned', 'short_abandoned')),
                     count(*) filter (where outcome = 'overflowed'), count(wait_seconds), coalesce(sum(wait_seconds), 0),
                     max(wait_seconds), sum(duration_seconds)
                 from voicenter.queue_visits group by 1, 2, 3)) x) as queues,
           (select count(*) from (
                (select cdr_sync.quarter(started_at), agent_key, agent, representative_code, day, count(*),
                     count(*) filter (where answered), count(*) filter (where missed),
                     count(*) filter (where direction = 'outgoing'), coalesce(sum(talk_seconds), 0), sum(price_agorot)
                 from voicenter.calls group by 1, 2, 3, 4, 5
                 except all
                 select starts_at, nullif(agent_key, ''), nullif(agent, ''),
                     case when agent_key like 'code:%' then substr(agent_key, 6) end, day, calls, answered, missed, outgoing,
                     talk_seconds, price_agorot from voicenter.agent_15min)
                union all
                (select starts_at, nullif(agent_key, ''), nullif(agent, ''),
                     case when agent_key like 'code:%' then substr(agent_key, 6) end, day, calls, answered, missed, outgoing,
                     talk_seconds, price_agorot from voicenter.agent_15min
                 except all
                 select cdr_sync.quarter(started_at), agent_key, agent, representative_code, day, count(*),
                     count(*) filter (where answered), count(*) filter (where missed),
                     count(*) filter (where direction = 'outgoing'), coalesce(sum(talk_seconds), 0), sum(price_agorot)
                 from voicenter.calls group by 1, 2, 3, 4, 5)) x) as agents,
           -- Each row that is not removed is a leg of exactly one call.
           (select count(*) from voicenter.cdr where removed_at is null)
               - (select coalesce(sum(legs), 0) from voicenter.calls) as legs";

#[tokio::test]
async fn tables_equal_what_the_rows_give_from_scratch_after_any_change() {
    for (seed, in_commits) in [(0.11, true), (0.37, false), (-0.52, true), (0.83, false)] {
        let mut scene = ReaderScene::new().await;
        scene.set(&format!("select setseed({seed})")).await;
        // A downstream copy that asks for nothing but changes.
        scene.set("create temporary table copy (call_id text primary key, outcome text, legs int)").await;
        for round in 0..40 {
            let stamp = format!("timestamptz '2024-11-01Z' + {round} * interval '1 minute'");
            scene.set(&COMMIT.replace("STAMP", &stamp)).await;
            let follow = match (in_commits, round % 5) {
                (true, _) => format!("select cdr_sync.fold_commit('a', {stamp})"),
                // A slice that ends in the middle of a commit, then the rest.
                (false, 4) => {
                    "select cdr_sync.fold_changes('a', 7); select cdr_sync.fold_changes('a', 100000)"
                        .to_owned()
                }
                (false, _) => continue,
            };
            scene.set(&follow).await;
            let differences = scene.row(DIFFERENCES).await;
            let none = json!({"calls": 0, "quarters": 0, "visits": 0, "queues": 0, "agents": 0, "legs": 0});
            assert_eq!(differences, none, "seed {seed}, round {round}");
            scene.set(FROM_SCRATCH).await;
            let scratch = scene.row("select count(*) from (select * from before except select to_jsonb(c) - 'updated_at' from voicenter.calls c) x").await;
            assert_eq!(scratch, json!({"count": 0}), "seed {seed}, round {round}: links");
            scene.set("rollback").await;
            scene.set(INCREMENT).await;
            let copied = "select count(*) from (select call_id, outcome, legs from voicenter.calls except select * from copy) x,
                              (select count(*) as rows from copy) c, (select count(*) as rows from voicenter.calls) o
                          where c.rows <> o.rows or x.call_id is not null";
            assert_eq!(scene.row(copied).await, json!({"count": 0}), "seed {seed}, round {round}");
        }
        let folded = scene
            .row("select count(*) > 0 as some from voicenter.calls where transferred and legs > 1")
            .await;
        assert_eq!(folded, json!({"some": true}));
    }
}

/// Which calls continue which, and all else, as if everything had come at once; to be rolled back.
const FROM_SCRATCH: &str = "
    begin;
    create temporary table before as select to_jsonb(c) - 'updated_at' as call from voicenter.calls c;
    truncate cdr_sync.transfer, voicenter.calls, voicenter.queue_visits, voicenter.calls_15min, voicenter.queue_15min,
        voicenter.agent_15min;
    update cdr_sync.reporting set folded_until = '-infinity', folded_call = '';
    select cdr_sync.fold_changes('a', 1000000)";

/// As an incremental model of dbt does it: by the highest `updated_at` that it has seen.
const INCREMENT: &str = "
    create temporary table if not exists seen (until timestamptz not null);
    insert into seen select '-infinity' where not exists (select from seen);
    delete from copy where call_id in (select call_id from voicenter.changes where account = 'a' and updated_at > (select until from seen));
    insert into copy
    select c.call_id, c.outcome, c.legs
    from voicenter.changes f
    join voicenter.calls c on c.account = f.account and c.call_id = f.call_id
    where f.account = 'a' and f.updated_at > (select until from seen) and f.kind = 'stored';
    update seen set until = (select max(updated_at) from voicenter.changes where account = 'a')";
