//! What agents, numbers and columns are called.

use serde_json::json;

use crate::readers::scene::ReaderScene;

#[tokio::test]
async fn agents_have_their_newest_name_and_all_that_they_had() {
    let call = |id: &str, day: u32, code: &str, name: Option<&str>| {
        json!({"call_id": id, "started_at": format!("2024-06-{day:02}T10:00:00Z"), "representative_code": code,
               "representative_name": name})
    };
    let mut scene = ReaderScene::of(json!([
        call("1", 1, "7", Some("Dana Levi")),
        call("2", 2, "7", Some("Dana Levi")),
        call("3", 5, "7", Some("Dana Cohen")),
        // The old name once more, before the newest call.
        call("4", 4, "7", Some("Dana Levi")),
        call("5", 3, "8", None),
        {"call_id": "6", "started_at": "2024-06-03T10:00:00Z", "target_extension": "SIP1"},
        {"call_id": "nobody"},
        {"account": "b", "call_id": "1", "representative_code": "7", "representative_name": "Avi"},
    ]))
    .await;
    let agents = scene
        .rows("select account, agent_key, agent, representative_code as code, names, first_day::text as first, last_day::text as last
               from voicenter.agents order by account, agent_key")
        .await;
    let expected = json!([
        {"account": "a", "agent_key": "code:7", "agent": "Dana Cohen", "code": "7", "names": 2, "first": "2024-06-01", "last": "2024-06-05"},
        {"account": "a", "agent_key": "code:8", "agent": "8", "code": "8", "names": 1, "first": "2024-06-03", "last": "2024-06-03"},
        {"account": "a", "agent_key": "extension:SIP1", "agent": "SIP1", "code": null, "names": 1, "first": "2024-06-03", "last": "2024-06-03"},
        {"account": "b", "agent_key": "code:7", "agent": "Avi", "code": "7", "names": 1, "first": "2024-06-10", "last": "2024-06-10"},
    ]);
    assert_eq!(agents, expected);
    let names = "select agent, first_day::text as first, last_day::text as last, is_latest
                 from voicenter.agent_names where account = 'a' and agent_key = 'code:7' order by agent";
    let both = json!([
        {"agent": "Dana Cohen", "first": "2024-06-05", "last": "2024-06-05", "is_latest": true},
        {"agent": "Dana Levi", "first": "2024-06-01", "last": "2024-06-04", "is_latest": false},
    ]);
    assert_eq!(scene.rows(names).await, both);
    // The call with the newest name is removed.
    scene.run("update voicenter.cdr set removed_at = now(), updated_at = now() where call_id = '3'").await;
    assert_eq!(
        scene.rows(names).await,
        json!([{"agent": "Dana Levi", "first": "2024-06-01", "last": "2024-06-04", "is_latest": true}])
    );
}

#[tokio::test]
async fn agents_are_those_of_the_calls_whatever_the_rows_are() {
    let mut scene = ReaderScene::new().await;
    scene
        .run(
            "insert into voicenter.cdr (account, call_id, type, started_at, dial_status, representative_code, representative_name,
                 first_seen_at, updated_at)
             select account, n::text, 'Incoming Call', timestamptz '2024-03-28Z' + n * interval '37 minutes', 'ANSWER',
                 (n * 7 % 13)::text, 'Name ' || n * 11 % 5, now(), now()
             from generate_series(1, 900) n, unnest(array['a', 'b']) account",
        )
        .await;
    let names = "select account, agent_key, agent, first_day, last_day from voicenter.agent_names";
    let counted =
        "select account, agent_key, agent, min(day), max(day) from voicenter.calls group by 1, 2, 3";
    for (one, other) in [(names, counted), (counted, names)] {
        assert_eq!(scene.rows(&format!("({one}) except all ({other})")).await, json!([]), "{one}");
    }
    let one_each = "select count(*) as agents, count(agent) as named, sum(names) as names,
        (select count(*) from voicenter.agent_names where is_latest) as latest from voicenter.agents";
    assert_eq!(scene.row(one_each).await, json!({"agents": 26, "named": 26, "names": 130, "latest": 26}));
}

#[tokio::test]
async fn the_dictionary_has_every_relation_and_column_and_says_what_it_means() {
    let mut scene = ReaderScene::new().await;
    let lacking = "
        select c.relname, a.attname
        from pg_class c
        left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'voicenter'::regnamespace and c.relkind in ('r', 'v') and not exists (
            select from voicenter.dictionary d where d.relation = c.relname and d.column_name = a.attname and d.meaning > '')";
    assert_eq!(scene.rows(lacking).await, json!([]));
    let of_calls = "select column_name, type, unit from voicenter.dictionary
        where relation = 'calls' and (column_name is null or column_name in ('started_at', 'day', 'talk_seconds', 'outcome')) order by nth";
    assert_eq!(
        scene.rows(of_calls).await,
        json!([
            {"column_name": null, "type": "table", "unit": null},
            {"column_name": "started_at", "type": "timestamp with time zone", "unit": "instant"},
            {"column_name": "day", "type": "date", "unit": "local day"},
            {"column_name": "outcome", "type": "text", "unit": null},
            {"column_name": "talk_seconds", "type": "integer", "unit": "seconds"},
        ])
    );
}
