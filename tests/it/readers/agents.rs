//! The agents of a call, by hand-written legs.

use serde_json::{Value, json};

use crate::readers::scene::ReaderScene;

const AGENTS: &str = "
    select call_id, nth, is_last, agent_key, role, offered, answered, ring_seconds, talk_seconds
    from voicenter.agent_calls where account = 'a' order by call_id, nth";

/// A row of the view, in short.
fn agent(call_id: &str, (nth, is_last): (u32, bool), code: &str, role: &str, offered: bool) -> Value {
    json!({"call_id": call_id, "nth": nth, "is_last": is_last, "agent_key": format!("code:{code}"), "role": role,
           "offered": offered, "answered": true, "ring_seconds": 4, "talk_seconds": 60})
}

fn with(mut row: Value, changes: Value) -> Value {
    row.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    row
}

/// A leg of a minute, after four seconds of ringing.
fn leg(call_id: &str, kind: &str, minute: u32, code: &str) -> Value {
    json!({"call_id": call_id, "type": kind, "started_at": format!("2024-06-10T10:{minute:02}:00Z"), "ring_seconds": 4,
           "duration_seconds": 60, "representative_code": code, "representative_name": format!("Agent {code}")})
}

#[tokio::test]
async fn a_call_has_a_row_for_each_agent_and_says_what_each_did() {
    let original = json!({"custom_data": {"OriginalIvrUniqueID": "passed"}});
    let mut scene = ReaderScene::of(json!([
        leg("direct", "Incoming Call", 0, "1"),
        with(leg("queued", "Queue", 0, "1"), json!({"queue_name": "Q"})),
        with(leg("rang", "Incoming Call", 0, "1"), json!({"dial_status": "NOANSWER"})),
        leg("placed", "Extension Outgoing", 0, "1"),
        leg("passed", "Incoming Call", 0, "1"),
        with(leg("continued", "XferCDR", 1, "2"), original.clone()),
        // Passed on once more, to nobody.
        with(with(leg("in-vain", "XferCDR", 2, "3"), original), json!({"dial_status": "NOANSWER", "duration_seconds": 0})),
        // Consulted, then with the customer.
        leg("attended", "Incoming Call", 0, "1"),
        leg("attended", "Attended CDR leg1", 1, "2"),
        leg("attended", "Attended CDR leg2", 2, "2"),
        // Nobody is named: a menu, or a queue that nobody answered.
        {"call_id": "nobody", "type": "Queue", "dial_status": "ABANDONE"},
    ]))
    .await;
    let only = (1, true);
    let expected = json!([
        agent("attended", (1, false), "1", "called", true),
        with(
            agent("attended", (2, true), "2", "transferred_to", true),
            json!({"ring_seconds": 8, "talk_seconds": 120})
        ),
        agent("direct", only, "1", "called", true),
        agent("passed", (1, false), "1", "called", true),
        agent("passed", (2, false), "2", "transferred_to", true),
        with(
            agent("passed", (3, true), "3", "transferred_to", true),
            json!({"answered": false, "talk_seconds": 0})
        ),
        agent("placed", only, "1", "caller", false),
        with(agent("queued", only, "1", "called", true), json!({"talk_seconds": null})),
        with(agent("rang", only, "1", "called", true), json!({"answered": false, "talk_seconds": 0})),
    ]);
    assert_eq!(scene.rows(AGENTS).await, expected);
    // A removed leg is none.
    scene.run("update voicenter.cdr set removed_at = now() where call_id in ('continued', 'in-vain')").await;
    let passed =
        "select agent_key, is_last from voicenter.agent_calls where account = 'a' and call_id = 'passed'";
    assert_eq!(scene.rows(passed).await, json!([{"agent_key": "code:1", "is_last": true}]));
}

#[tokio::test]
async fn in_a_call_of_two_legs_the_agents_own_is_no_answer_of_the_customer() {
    let two = |call_id: &str, kind: &str, own: &str, customers: &str| {
        [
            with(
                leg(call_id, &format!("{kind} leg1"), 0, "1"),
                json!({"dial_status": own, "duration_seconds": 70}),
            ),
            with(leg(call_id, &format!("{kind} leg2"), 0, "1"), json!({"dial_status": customers})),
        ]
    };
    let legs: Vec<Value> = [
        two("1-click", "Click2Call", "ANSWER", "ANSWER"),
        two("2-click-busy", "Click2Call", "ANSWER", "BUSY"),
        two("3-click-missed", "Click2Call", "NOANSWER", "NOTDIALED"),
        two("4-dialer", "ProductiveCall", "ANSWER", "ANSWER"),
        two("5-dialer-missed", "ProductiveCall", "NOANSWER", "ANSWER"),
    ]
    .concat();
    let mut scene = ReaderScene::of(Value::from(legs)).await;
    let only = (1, true);
    let unanswered = json!({"answered": false, "talk_seconds": 0});
    let both = json!({"ring_seconds": 8});
    let click = |call_id| with(agent(call_id, only, "1", "caller", false), both.clone());
    let expected = json!([
        click("1-click"),
        with(click("2-click-busy"), unanswered.clone()),
        with(click("3-click-missed"), unanswered.clone()),
        agent("4-dialer", only, "1", "called", true),
        with(agent("5-dialer-missed", only, "1", "called", true), unanswered),
    ]);
    assert_eq!(scene.rows(AGENTS).await, expected);
    // Agents are named as in calls.
    let named = "select bool_and(a.agent_key = c.agent_key and a.agent = c.agent and a.day = c.day) as as_in_calls
                 from voicenter.agent_calls a join voicenter.calls c on c.account = a.account and c.call_id = a.call_id";
    assert_eq!(scene.row(named).await, json!({"as_in_calls": true}));
}

/// What notifications say of legs of some calls.
fn told(call_ids: &str, kind: &str, talk_seconds: u32) -> String {
    format!(
        "insert into voicenter.cdr_push (account, call_id, type, time_base, talk_seconds, shared, extra, first_received_at, last_received_at,
             versions, older, state, confirmed_at)
         select 'a', c.call_id, '{kind}', 'unknown', {talk_seconds}, '{{}}', '{{}}', now(), now(), 1, '{{}}', 'confirmed', now()
         from ({call_ids}) c (call_id);"
    )
}

#[tokio::test]
async fn talk_that_a_notification_told_counts_before_the_length_of_the_leg() {
    let mut scene = ReaderScene::of(json!([
        with(leg("1-queued", "Queue", 0, "1"), json!({"queue_name": "Q"})),
        // The other leg of the queue has no notification.
        with(leg("2-twice", "Queue", 0, "1"), json!({"queue_name": "Q"})),
        with(leg("2-twice", "Queue again", 1, "1"), json!({"queue_name": "R"})),
        leg("3-direct", "Incoming Call", 0, "1"),
        leg("4-dialer", "ProductiveCall leg1", 0, "1"),
        leg("4-dialer", "ProductiveCall leg2", 0, "1"),
        // Longer than the leg: it contradicts it.
        leg("5-long", "Incoming Call", 0, "1"),
        with(leg("6-missed", "Queue", 0, "1"), json!({"dial_status": "NOANSWER"})),
        leg("7-attended", "Attended CDR leg1", 0, "2"),
        leg("7-attended", "Attended CDR leg2", 1, "2"),
    ]))
    .await;
    let talk = "select call_id, talk_seconds from voicenter.agent_calls where account = 'a' order by call_id";
    let talks = |seconds: [Option<u32>; 7]| -> Value {
        let calls = ["1-queued", "2-twice", "3-direct", "4-dialer", "5-long", "6-missed", "7-attended"]
            .iter()
            .zip(seconds);
        calls.map(|(call_id, seconds)| json!({"call_id": call_id, "talk_seconds": seconds})).collect()
    };
    let by_pull = talks([None, None, Some(60), Some(60), Some(60), Some(0), Some(120)]);
    assert_eq!(scene.rows(talk).await, by_pull);
    let pushed = [
        told("values ('1-queued')", "Queue", 25),
        told("values ('2-twice')", "Queue", 25),
        told("values ('3-direct')", "Incoming Call", 50),
        told("values ('4-dialer')", "ProductiveCall leg1", 45),
        told("values ('5-long')", "Incoming Call", 99),
        told("values ('6-missed')", "Queue", 25),
        told("values ('7-attended')", "Attended CDR leg2", 33),
    ];
    scene.run(&pushed.concat()).await;
    let by_both = talks([Some(25), None, Some(50), Some(45), Some(60), Some(0), Some(93)]);
    assert_eq!(scene.rows(talk).await, by_both);
    // As in calls, wherever one agent had one leg.
    let calls = "select c.call_id, c.talk_seconds = a.talk_seconds as as_in_calls
                 from voicenter.calls c join voicenter.agent_calls a on a.account = c.account and a.call_id = c.call_id
                 where c.call_id in ('1-queued', '3-direct', '4-dialer')";
    let same = scene.rows(calls).await;
    assert!(same.as_array().unwrap().iter().all(|call| call["as_in_calls"] == json!(true)), "{same}");
}

#[tokio::test]
async fn no_other_calls_are_read_than_those_asked_for() {
    let mut scene = ReaderScene::of(json!([leg("1", "Incoming Call", 0, "1")])).await;
    let many = told("select n::text from generate_series(1, 3000) n", "Queue", 1);
    scene.run(&(many + "analyze voicenter.cdr_push")).await;
    for (asked, conditions) in [
        ("call_id = '1'", ["account = 'a'::text", "call_id = '1'::text"]),
        (
            "day between '2024-06-01' and '2024-06-30'",
            ["day >= '2024-06-01'::date", "day <= '2024-06-30'::date"],
        ),
    ] {
        let explain = format!(
            "explain (costs off) select * from voicenter.agent_calls where account = 'a' and {asked}"
        );
        let plan: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).fetch_all(&mut scene.sql).await.unwrap();
        let plan = plan.join("\n");
        // First the calls, by what is asked, then for each its legs.
        let (calls, legs) = plan.split_once("WindowAgg").unwrap();
        assert!(
            calls.contains(" on calls c") && conditions.iter().all(|part| calls.contains(part)),
            "{plan}"
        );
        assert!(legs.contains("account = c.account") && legs.contains("(call_id = "), "{plan}");
        // And for each leg what was pushed of it, by its key.
        assert!(legs.contains("Index Scan using cdr_push_pkey on cdr_push n"), "{plan}");
    }
}
