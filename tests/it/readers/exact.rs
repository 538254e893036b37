//! `voicenter.calls` and its counts after any change: equal to what the rows give from scratch.

use serde_json::json;

use crate::readers::scene::ReaderScene;

/// A commit: new calls, changes, moves, removals, returns, transfers that come before and after what they continue.
const COMMIT: &str = "
    insert into voicenter.cdr (account, call_id, type, cdr_type, started_at, duration_seconds, ring_seconds,
        target_extension, dial_status, queue_name, representative_code, price, custom_data, first_seen_at, updated_at)
    select 'a', (random() * 60)::int::text, t.type, t.kind,
        timestamptz '2024-10-26 19:00Z' + floor(random() * 20000) * interval '1 second',
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

/// What all rows make at once, apart from when that was.
const ALL_CALLS: &str = "
    select to_jsonb(m) - 'updated_at' from cdr_sync.calls_of('a', array(
        select distinct c.call_id from voicenter.cdr c
        where not exists (select from cdr_sync.transfer t where t.call_id = c.call_id and t.root_call_id is not null)
    ), 'Asia/Jerusalem', now()) m";
const ALL_VISITS: &str = "
    select to_jsonb(v)
    from cdr_sync.queue_visits_of('a', array(select call_id from voicenter.calls), 'Asia/Jerusalem') v";

/// What is counted by quarter of an hour, and how it is counted from `voicenter.calls`: by name, so that nothing of the program is in it.
fn of_calls() -> Vec<(String, String)> {
    let outcomes = "abandoned short_abandoned no_answer busy voicemail in_menu recording_played after_hours queue_timeout
        queue_full queue_unstaffed left_by_key not_dialled failed dialer_abandoned unknown";
    let outcome = |name: &str| (name.to_owned(), format!("count(*) filter (where outcome = '{name}')"));
    let mut counts: Vec<_> = outcomes.split_whitespace().map(outcome).collect();
    counts.extend(named(&[
        ("missed", "count(*) filter (where missed)"),
        ("waits_known", "count(wait_seconds)"),
        ("wait_seconds", "coalesce(sum(wait_seconds), 0)"),
        ("transferred", "count(*) filter (where transferred)"),
    ]));
    counts.extend(waits_of_answered());
    counts.extend(of_talks());
    counts
}

/// What calls and agents have in common.
fn of_talks() -> Vec<(String, String)> {
    named(&[
        ("calls", "count(*)"),
        ("answered", "count(*) filter (where answered)"),
        ("talks_known", "count(*) filter (where answered and talk_seconds is not null)"),
        ("talk_seconds", "coalesce(sum(talk_seconds), 0)"),
        ("ring_seconds", "coalesce(sum(ring_seconds), 0)"),
        ("duration_seconds", "sum(duration_seconds)"),
        ("priced", "count(*) filter (where priced)"),
        ("price_agorot", "sum(price_agorot)"),
    ])
}

fn of_agents() -> Vec<(String, String)> {
    let mut counts = of_talks();
    counts.extend(named(&[
        ("incoming", "count(*) filter (where direction = 'incoming')"),
        ("outgoing", "count(*) filter (where direction = 'outgoing')"),
        ("internal", "count(*) filter (where direction = 'internal')"),
        ("incoming_answered", "count(*) filter (where direction = 'incoming' and answered)"),
        ("outgoing_answered", "count(*) filter (where direction = 'outgoing' and answered)"),
        ("missed", "count(*) filter (where missed)"),
        ("transferred", "count(*) filter (where transferred)"),
    ]));
    counts
}

fn of_visits() -> Vec<(String, String)> {
    let outcomes =
        "short_abandoned overflowed no_answer voicemail queue_timeout queue_full queue_unstaffed left_by_key";
    let outcome = |name: &str| (name.to_owned(), format!("count(*) filter (where outcome = '{name}')"));
    let mut counts: Vec<_> = outcomes.split_whitespace().map(outcome).collect();
    counts.extend(named(&[
        ("offered", "count(*)"),
        ("answered", "count(*) filter (where answered)"),
        ("abandoned", "count(*) filter (where outcome like '%abandoned')"),
        ("waits_known", "count(wait_seconds)"),
        ("wait_seconds", "coalesce(sum(wait_seconds), 0)"),
        ("longest_wait_seconds", "max(wait_seconds)"),
        ("duration_seconds", "sum(duration_seconds)"),
        ("answered_duration_seconds", "coalesce(sum(case when answered then duration_seconds end), 0)"),
    ]));
    counts.extend(waits_of_answered());
    counts
}

fn waits_of_answered() -> Vec<(String, String)> {
    let within = |limit: u32| {
        (
            format!("answered_within_{limit}"),
            format!("count(*) filter (where answered and wait_seconds <= {limit})"),
        )
    };
    let mut counts: Vec<_> = [20, 30, 60, 180, 360].map(within).into();
    counts.extend(named(&[(
        "answered_waits",
        "count(*) filter (where answered and wait_seconds is not null)",
    )]));
    counts
}

fn named(counts: &[(&str, &str)]) -> Vec<(String, String)> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), (*count).to_owned())).collect()
}

/// How many rows two queries do not have in common.
fn differing(one: &str, other: &str) -> String {
    format!(
        "(select count(*) from ((({one}) except all ({other})) union all (({other}) except all ({one}))) x)"
    )
}

/// The same for a table by quarter of an hour and what it is counted from.
fn miscounted(
    table: &str,
    keys: &str,
    counts: &[(String, String)],
    from: &str,
    at: &str,
    by: &str,
) -> String {
    let names: Vec<&str> = counts.iter().map(|(name, _)| name.as_str()).collect();
    let counted: Vec<&str> = counts.iter().map(|(_, count)| count.as_str()).collect();
    let quarter = format!("to_timestamp(floor(extract(epoch from {at}) / 900) * 900)");
    differing(
        &format!("select starts_at, starts_local, hour, day, {keys}, {} from voicenter.{table}", names.join(", ")),
        &format!(
            "select {quarter}, {quarter} at time zone 'Asia/Jerusalem', date_trunc('hour', {at}), ({at} at time zone 'Asia/Jerusalem')::date,
                 {by}, {} from {from} group by 1, 2, 3, 4, {by}",
            counted.join(", ")
        ),
    )
}

/// The same for a table by local day.
fn miscounted_days(
    table: &str,
    keys: &str,
    counts: &[(String, String)],
    from: &str,
    at: &str,
    by: &str,
) -> String {
    let names: Vec<&str> = counts.iter().map(|(name, _)| name.as_str()).collect();
    let counted: Vec<&str> = counts.iter().map(|(_, count)| count.as_str()).collect();
    differing(
        &format!("select day, {keys}, {} from voicenter.{table}", names.join(", ")),
        &format!(
            "select ({at} at time zone 'Asia/Jerusalem')::date, {by}, {} from {from} group by 1, {by}",
            counted.join(", ")
        ),
    )
}

/// What the tables hold beyond, or short of, what the rules make of all rows at once.
fn differences() -> String {
    let calls = differing(ALL_CALLS, "select to_jsonb(c) - 'updated_at' from voicenter.calls c");
    let visits = differing(ALL_VISITS, "select to_jsonb(v) from voicenter.queue_visits v");
    let quarters =
        miscounted("calls_15min", "direction", &of_calls(), "voicenter.calls", "started_at", "direction");
    let queues = miscounted(
        "queue_15min",
        "queue_name",
        &of_visits(),
        "voicenter.queue_visits",
        "entered_at",
        "coalesce(queue_name, '')",
    );
    let agents = miscounted(
        "agent_15min",
        "agent_key, agent",
        &of_agents(),
        "voicenter.calls",
        "started_at",
        "coalesce(agent_key, ''), coalesce(agent, '')",
    );
    let queue_days = miscounted_days(
        "queue_1day",
        "queue_name",
        &of_visits(),
        "voicenter.queue_visits",
        "entered_at",
        "coalesce(queue_name, '')",
    );
    let mut of_agent_days = of_agents();
    of_agent_days.extend(named(&[(
        "last_quarter",
        "max(to_timestamp(floor(extract(epoch from started_at) / 900) * 900))",
    )]));
    let agent_days = miscounted_days(
        "agent_1day",
        "agent_key, agent",
        &of_agent_days,
        "voicenter.calls",
        "started_at",
        "coalesce(agent_key, ''), coalesce(agent, '')",
    );
    // Each row that is not removed is a leg of exactly one call, and the outcomes of a quarter add up to its calls.
    let outcomes: Vec<String> = of_calls().into_iter().map(|(name, _)| name).take(16).collect();
    format!(
        "select {calls} as calls, {visits} as visits, {quarters} as quarters, {queues} as queues, {agents} as agents,
             {queue_days} as queue_days, {agent_days} as agent_days,
             (select count(*) from voicenter.cdr where removed_at is null) - (select coalesce(sum(legs), 0) from voicenter.calls) as legs,
             (select count(*) from voicenter.calls_15min where calls <> answered + {}) as sums",
        outcomes.join(" + ")
    )
}

#[tokio::test]
async fn tables_equal_what_the_rows_give_from_scratch_after_any_change() {
    let differences = differences();
    for (seed, in_commits) in [(0.11, true), (0.37, false), (-0.52, true), (0.83, false)] {
        let mut scene = ReaderScene::new().await;
        scene.set(&format!("select setseed({seed})")).await;
        // A downstream copy that asks for nothing but changes.
        scene.set("create temporary table copy (like voicenter.calls)").await;
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
            let differences = scene.row(&differences).await;
            let none = json!({"calls": 0, "quarters": 0, "visits": 0, "queues": 0, "agents": 0, "queue_days": 0, "agent_days": 0, "legs": 0,
                              "sums": 0});
            assert_eq!(differences, none, "seed {seed}, round {round}");
            scene.set(FROM_SCRATCH).await;
            let scratch = scene.row("select count(*) from (select * from before except select to_jsonb(c) - 'updated_at' from voicenter.calls c) x").await;
            assert_eq!(scratch, json!({"count": 0}), "seed {seed}, round {round}: links");
            scene.set("rollback").await;
            scene.set(INCREMENT).await;
            let copied = format!(
                "select {} as count",
                differing("select to_jsonb(c) from voicenter.calls c", "select to_jsonb(c) from copy c")
            );
            assert_eq!(scene.row(&copied).await, json!({"count": 0}), "seed {seed}, round {round}");
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
        voicenter.agent_15min, voicenter.queue_1day, voicenter.agent_1day;
    update cdr_sync.reporting set folded_until = '-infinity', folded_call = '';
    select cdr_sync.fold_changes('a', 1000000)";

/// As an incremental model of dbt does it: by the highest `updated_at` that it has seen.
const INCREMENT: &str = "
    create temporary table if not exists seen (until timestamptz not null);
    insert into seen select '-infinity' where not exists (select from seen);
    delete from copy where call_id in (select call_id from voicenter.changes where account = 'a' and updated_at > (select until from seen));
    insert into copy
    select c.*
    from voicenter.changes f
    join voicenter.calls c on c.account = f.account and c.call_id = f.call_id
    where f.account = 'a' and f.updated_at > (select until from seen) and f.kind = 'stored';
    update seen set until = (select max(updated_at) from voicenter.changes where account = 'a')";
