//! The views by hour, day, agent and queue, calculated by hand.

use serde_json::json;

use crate::readers::scene::ReaderScene;

/// One day of two agents and a caller nobody answered.
async fn a_day() -> ReaderScene {
    ReaderScene::of(json!([
        {"call_id": "1", "representative_name": "Dana", "duration_seconds": 100, "ring_seconds": 5, "price": 10},
        {"call_id": "2", "representative_name": "Dana", "duration_seconds": 50, "ring_seconds": 6, "price": 0.5,
         "started_at": "2024-06-10T10:59:59Z"},
        {"call_id": "3", "dial_status": "NOANSWER", "ring_seconds": 30, "started_at": "2024-06-10T11:00:00Z"},
        {"call_id": "4", "type": "Extension Outgoing", "caller_extension": "SIP2", "duration_seconds": 20,
         "ring_seconds": 9, "started_at": "2024-06-10T11:10:00Z"},
        {"call_id": "5", "type": "Extension Outgoing", "caller_extension": "SIP2", "dial_status": "BUSY",
         "started_at": "2024-06-10T11:20:00Z"},
        {"call_id": "6", "type": "XferCDR", "representative_name": "Dana", "duration_seconds": 7,
         "started_at": "2024-06-10T11:30:00Z"},
        {"call_id": "7", "type": "Extension Outgoing", "caller_extension": "SIP2", "dial_status": "NOANSWER",
         "started_at": "2024-06-12T00:00:00Z"}
    ]))
    .await
}

#[tokio::test]
async fn a_day_is_counted() {
    let mut scene = a_day().await;
    let columns = "account, day, day_of_week, calls, incoming, outgoing, internal, answered, incoming_answered,
                   outgoing_answered, missed, no_answer, busy, answer_rate, talk_seconds, talks_known, ring_seconds,
                   priced, price_agorot, price";
    let days = scene.rows(&format!("select {columns} from voicenter.calls_daily order by day")).await;
    let expected = json!([
        {"account": "a", "day": "2024-06-10", "day_of_week": 2, "calls": 6, "incoming": 3, "outgoing": 2, "internal": 0,
         "answered": 4, "no_answer": 1, "busy": 1, "talks_known": 4, "priced": 2, "price_agorot": 10.5,
         "incoming_answered": 2, "outgoing_answered": 1, "missed": 1, "answer_rate": 0.6667, "talk_seconds": 177,
         "ring_seconds": 50, "price": 10.5},
        // Nothing to divide by; the day between has no row.
        {"account": "a", "day": "2024-06-12", "day_of_week": 4, "calls": 1, "incoming": 0, "outgoing": 1, "internal": 0,
         "answered": 0, "no_answer": 1, "busy": 0, "talks_known": 0, "priced": 0, "price_agorot": null,
         "incoming_answered": 0, "outgoing_answered": 0, "missed": 0, "answer_rate": null, "talk_seconds": 0,
         "ring_seconds": 0, "price": null}
    ]);
    assert_eq!(days, expected);
}

#[tokio::test]
async fn hours_are_counted() {
    let mut scene = a_day().await;
    scene.set("set timezone = 'UTC'").await;
    let hours = scene
        .rows("select hour, calls, missed, answer_rate, talk_seconds, price from voicenter.calls_hourly order by hour")
        .await;
    let expected = json!([
        {"hour": "2024-06-10T10:00:00+00:00", "calls": 2, "missed": 0, "answer_rate": 1.0000, "talk_seconds": 150, "price": 10.5},
        {"hour": "2024-06-10T11:00:00+00:00", "calls": 4, "missed": 1, "answer_rate": 0.0000, "talk_seconds": 27, "price": null},
        {"hour": "2024-06-12T00:00:00+00:00", "calls": 1, "missed": 0, "answer_rate": null, "talk_seconds": 0, "price": null}
    ]);
    assert_eq!(hours, expected);
}

#[tokio::test]
async fn agents_are_counted_and_so_are_calls_of_nobody() {
    let mut scene = a_day().await;
    let agents = scene
        .rows(
            "select agent, calls, incoming, outgoing, answered, missed, answer_rate, talk_seconds
             from voicenter.agent_daily where day = '2024-06-10' order by agent",
        )
        .await;
    let expected = json!([
        {"agent": "Dana", "calls": 3, "incoming": 2, "outgoing": 0, "answered": 3, "missed": 0, "answer_rate": 1.0000, "talk_seconds": 157},
        {"agent": "SIP2", "calls": 2, "incoming": 0, "outgoing": 2, "answered": 1, "missed": 0, "answer_rate": null, "talk_seconds": 20},
        {"agent": null, "calls": 1, "incoming": 1, "outgoing": 0, "answered": 0, "missed": 1, "answer_rate": 0.0000, "talk_seconds": 0}
    ]);
    assert_eq!(agents, expected);
}

#[tokio::test]
async fn two_agents_of_one_name_stay_two() {
    let mut scene = ReaderScene::of(json!([
        {"call_id": "1", "representative_name": "Dana", "representative_code": "1"},
        {"call_id": "2", "representative_name": "Dana", "representative_code": "2"},
        {"call_id": "3", "representative_name": "Dana", "representative_code": "2"}
    ]))
    .await;
    let agents =
        scene.rows("select agent, representative_code, calls from voicenter.agent_daily order by representative_code").await;
    let expected = json!([{"agent": "Dana", "representative_code": "1", "calls": 1},
                          {"agent": "Dana", "representative_code": "2", "calls": 2}]);
    assert_eq!(agents, expected);
}

#[tokio::test]
async fn a_call_over_midnight_belongs_to_its_first_day_in_any_session() {
    let mut scene = ReaderScene::of(json!([
        {"type": "Incoming Call", "started_at": "2024-06-10T20:59:50Z", "dial_status": "NOANSWER", "ring_seconds": 20},
        {"type": "Queue", "started_at": "2024-06-10T21:00:10Z", "duration_seconds": 300, "queue_name": "Sales"}
    ]))
    .await;
    for zone in ["UTC", "Asia/Jerusalem", "America/Los_Angeles"] {
        scene.set(&format!("set timezone = '{zone}'")).await;
        let seen = scene
            .row(
                "select d.day, d.calls, d.talk_seconds, h.hour = '2024-06-10 20:00Z' as hour, h.hour_local, a.day as agents, q.day as queues
                 from voicenter.calls_daily d, voicenter.calls_hourly h, voicenter.agent_daily a, voicenter.queue_daily q",
            )
            .await;
        let expected = json!({"day": "2024-06-10", "calls": 1, "talk_seconds": 0, "hour": true,
                              "hour_local": "2024-06-10T23:00:00", "agents": "2024-06-10",
                              // That queue was entered after midnight.
                              "queues": "2024-06-11"});
        assert_eq!(seen, expected, "{zone}");
    }
}

#[tokio::test]
async fn queues_are_counted_with_their_waits() {
    let mut scene = ReaderScene::of(json!([
        {"call_id": "1", "type": "Queue", "queue_name": "Sales", "duration_seconds": 100, "ring_seconds": 10},
        {"call_id": "2", "type": "Queue", "queue_name": "Sales", "duration_seconds": 60, "ring_seconds": 21},
        // Gave up: what lasted 45 seconds was waiting.
        {"call_id": "3", "type": "Queue", "queue_name": "Sales", "dial_status": "ABANDONE", "duration_seconds": 45, "ring_seconds": 0},
        {"call_id": "4", "type": "Queue", "queue_name": "Sales", "dial_status": "FULL"},
        // Left a message: its length is no wait.
        {"call_id": "5", "type": "Queue", "queue_name": "Sales", "dial_status": "VOEND", "duration_seconds": 90, "ring_seconds": 15},
        // Nobody in Support, then answered in Overflow: one call, two queues.
        {"call_id": "6", "type": "Queue", "queue_name": "Support", "dial_status": "TIMEOUT", "ring_seconds": 40},
        {"call_id": "6", "type": "Incoming Call", "queue_name": "Overflow", "duration_seconds": 30, "ring_seconds": 2,
         "started_at": "2024-06-10T10:00:41Z"},
        // Two legs in one queue: one call, its talk once.
        {"call_id": "7", "type": "Queue", "queue_name": "Overflow", "duration_seconds": 50, "ring_seconds": 4},
        {"call_id": "7", "type": "Click 2 Queue Incoming", "queue_name": "Overflow", "duration_seconds": 50, "ring_seconds": 1},
        {"call_id": "8", "type": "Queue", "dial_status": "JOINEMPTY"},
        {"call_id": "9", "type": "Incoming Call"},
        // Nobody called: a click and a dialer put them there.
        {"call_id": "clicked", "type": "Click 2 Queue Incoming", "queue_name": "Sales", "duration_seconds": 50},
        {"call_id": "dialled", "type": "ProductiveCall Leg2", "queue_name": "Sales", "dial_status": "ABANDONE"},
        {"call_id": "10", "type": "Queue", "queue_name": "Sales", "removed_at": "2024-06-11T00:00:00Z"}
    ]))
    .await;
    let queues = scene
        .rows(
            "select queue_name, offered, answered, abandoned, other, overflowed, answer_rate, talk_seconds, waits_known,
                 wait_seconds, average_wait_seconds, longest_wait_seconds
             from voicenter.queue_daily order by queue_name",
        )
        .await;
    let expected = json!([
        {"queue_name": "Overflow", "offered": 2, "answered": 2, "abandoned": 0, "other": 0, "overflowed": 0,
         "answer_rate": 1.0, "talk_seconds": 80, "waits_known": 0, "wait_seconds": 0, "average_wait_seconds": null,
         "longest_wait_seconds": null},
        {"queue_name": "Sales", "offered": 5, "answered": 2, "abandoned": 1, "other": 2, "overflowed": 0,
         "answer_rate": 0.4, "talk_seconds": 160, "waits_known": 2, "wait_seconds": 45, "average_wait_seconds": 22.5,
         "longest_wait_seconds": 45},
        {"queue_name": "Support", "offered": 1, "answered": 0, "abandoned": 0, "other": 1, "overflowed": 1,
         "answer_rate": 0.0, "talk_seconds": 0, "waits_known": 1, "wait_seconds": 40, "average_wait_seconds": 40.0,
         "longest_wait_seconds": 40},
        {"queue_name": null, "offered": 1, "answered": 0, "abandoned": 0, "other": 1, "overflowed": 0,
         "answer_rate": 0.0, "talk_seconds": 0, "waits_known": 1, "wait_seconds": 0, "average_wait_seconds": 0.0,
         "longest_wait_seconds": 0}
    ]);
    assert_eq!(queues, expected);
    let visits = "select nth, queue_name, outcome, overflowed_to, wait_seconds, wait_source, is_last
                  from voicenter.queue_visits where call_id = '6' order by nth";
    let expected = json!([
        {"nth": 1, "queue_name": "Support", "outcome": "overflowed", "overflowed_to": "Overflow", "wait_seconds": 40,
         "wait_source": "derived", "is_last": false},
        {"nth": 2, "queue_name": "Overflow", "outcome": "answered", "overflowed_to": null, "wait_seconds": null,
         "wait_source": "unknown", "is_last": true}
    ]);
    assert_eq!(scene.rows(visits).await, expected);
}

#[tokio::test]
async fn an_empty_database_has_no_days() {
    let mut scene = ReaderScene::new().await;
    for view in ["calls", "calls_hourly", "calls_daily", "agent_daily", "queue_daily", "sync_state"] {
        assert_eq!(scene.rows(&format!("select * from voicenter.{view}")).await, json!([]), "{view}");
    }
}

#[tokio::test]
async fn a_date_far_away_costs_no_more_than_a_near_one() {
    let mut scene = ReaderScene::of(json!([
        {"call_id": "1", "started_at": "0001-01-01T00:00:00Z"}, {"call_id": "2", "started_at": "9999-12-31T23:59:59Z"}
    ]))
    .await;
    scene.set("set statement_timeout = '5s'").await;
    assert_eq!(
        scene.row("select count(*), sum(calls) from voicenter.calls_hourly").await,
        json!({"count": 2, "sum": 2})
    );
}
