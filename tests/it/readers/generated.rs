//! Totals agree between the views, and with the rows, whatever the rows are.

use serde_json::json;

use crate::readers::scene::ReaderScene;

/// Thousands of rows: two accounts, four days, every type and status, one to four legs, some removed, many nulls.
const ROWS: &str = "
    select setseed(SEED);
    insert into voicenter.cdr (account, call_id, type, cdr_type, started_at, duration_seconds, ring_seconds,
        caller_extension, target_extension, dial_status, queue_name, representative_code, representative_name, price,
        record_url, first_seen_at, updated_at, removed_at)
    select account, call_id::text, type, case when random() < 0.5 then number end,
        timestamptz '2024-03-28Z' + call_id * interval '230 seconds' + random() * interval '40 minutes',
        nullif((random() * 300)::int, 0), nullif((random() * 30)::int, 0),
        case when random() < 0.3 then 'SIP' || call_id % 5 end, case when random() < 0.3 then 'SIP' || call_id % 7 end,
        (array['ANSWER', 'answer', 'NOANSWER', 'ABANDONE', 'TIMEOUT', 'VOEND', null])[1 + (random() * 6)::int],
        case when random() < 0.3 then 'Q' || (random() * 3)::int end,
        case when random() < 0.5 then (random() * 5)::int::text end, case when random() < 0.5 then 'N' || (random() * 5)::int end,
        case when random() < 0.6 then round((random() * 100)::numeric, 1) end,
        case when random() < 0.6 then 'https://x.example/' || (random() * 99)::int end,
        now(), now(), case when random() < 0.1 then now() end
    from generate_series(1, 1500) call_id, unnest(array['a', 'b']) account,
        (values ('Incoming Call', 1), ('Queue', 8), ('Extension Outgoing', 4), ('Click2Call leg1', 9),
                ('Click2Call leg2', 10), ('VoiceMail', 11), ('XferCDR', 13), ('Attended CDR leg1', 21), ('', null),
                ('Something new', 99)) as t (type, number)
    where random() < 0.2;";

const TOTALS: &str = "account, sum(calls) as calls, sum(incoming) as incoming, sum(outgoing) as outgoing,
    sum(answered) as answered, sum(incoming_answered) as incoming_answered, sum(outgoing_answered) as outgoing_answered,
    sum(missed) as missed, sum(talk_seconds) as talk, sum(ring_seconds) as ring, sum(price) as price";

#[tokio::test]
async fn totals_agree() {
    for seed in ["0.1", "-0.7"] {
        let mut scene = ReaderScene::new().await;
        scene.run(&ROWS.replace("SEED", seed)).await;
        let calls = scene
            .rows(
                "select account, count(*) as calls, count(*) filter (where direction = 'incoming') as incoming,
                     count(*) filter (where direction = 'outgoing') as outgoing, count(*) filter (where answered) as answered,
                     count(*) filter (where direction = 'incoming' and answered) as incoming_answered,
                     count(*) filter (where direction = 'outgoing' and answered) as outgoing_answered,
                     count(*) filter (where missed) as missed, sum(talk_seconds) as talk, sum(ring_seconds) as ring,
                     sum(price) as price from voicenter.calls group by account order by account",
            )
            .await;
        assert!(calls.as_array().is_some_and(|totals| totals.len() == 2));
        for view in ["calls_hourly", "calls_daily", "agent_daily"] {
            let totals = format!("select {TOTALS} from voicenter.{view} group by account order by account");
            assert_eq!(scene.rows(&totals).await, calls, "{view}, seed {seed}");
        }
        let by_hour = format!("select {TOTALS}, day from voicenter.calls_hourly group by account, day");
        let by_day = format!("select {TOTALS}, day from voicenter.calls_daily group by account, day");
        let differing = format!(
            "select count(*) from (({by_hour}) except ({by_day}) union all ({by_day}) except ({by_hour})) x"
        );
        assert_eq!(scene.row(&differing).await, json!({"count": 0}), "seed {seed}");
    }
}

#[tokio::test]
async fn calls_are_the_keys_of_rows_not_removed_each_once() {
    let mut scene = ReaderScene::new().await;
    scene.run(&ROWS.replace("SEED", "0.4")).await;
    // Folded in another way: by grouping.
    let folded =
        "select account, call_id, min(started_at) as started_at, count(*)::int as legs, sum(price) as price,
                      bool_or(coalesce(upper(dial_status) = 'ANSWER', false)
                          and type not in ('VoiceMail', 'Click2Call leg1')) as answered,
                      string_agg(type, ', ' order by started_at, type) as types,
                      array_agg(distinct record_url) filter (where record_url is not null) as record_urls
                  from voicenter.cdr where removed_at is null group by account, call_id";
    let calls =
        "select account, call_id, started_at, legs, price, answered, types, record_urls from voicenter.calls";
    for (what, one, other) in [("missing", folded, calls), ("too much", calls, folded)] {
        let rows = scene.rows(&format!("select * from ({one}) o except all select * from ({other}) p")).await;
        assert_eq!(rows, json!([]), "{what}");
    }
    let odd = "select count(*) from voicenter.calls where missed and (answered or direction <> 'incoming')
               or answered <> (outcome = 'answered') or not answered and talk_seconds > 0";
    assert_eq!(scene.row(odd).await, json!({"count": 0}));
}

#[tokio::test]
async fn queues_count_each_call_once_in_each_queue() {
    let mut scene = ReaderScene::new().await;
    scene.run(&ROWS.replace("SEED", "0.9")).await;
    let counted = scene
        .rows(
            "select account, queue_name, sum(offered) as offered, sum(answered) as answered,
                 bool_and(offered = answered + abandoned + other and answer_rate between 0 and 1) as adds_up
             from voicenter.queue_daily group by account, queue_name order by account, queue_name",
        )
        .await;
    let expected = scene
        .rows(
            "select account, queue_name, count(distinct call_id) as offered,
                 count(distinct call_id) filter (where upper(dial_status) = 'ANSWER'
                     and type not in ('VoiceMail', 'Click2Call leg1')) as answered, true as adds_up
             from voicenter.cdr where removed_at is null and (queue_name is not null or type = 'Queue')
                 and type not like 'Click2Call%'
                 -- One's own colleague may call a queue.
                 and (type <> 'Extension Outgoing' or caller_extension is not null and target_extension is not null)
             group by account, queue_name order by account, queue_name",
        )
        .await;
    assert_eq!(counted, expected);
}
