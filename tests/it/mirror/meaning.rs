//! What the tables for readers conclude from records, against what a simulated call centre meant by them.

use std::collections::BTreeMap;

use cdr_sync::store::calls::SliceSize;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;
use voicenter_simulator::{
    AgentIntent, AgentRole, ApiGeneration, CallDirection, Intent, SimulatorOptions, WorldOptions,
};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::dates::{days, instant};

#[derive(FromRow)]
struct Row {
    call_id: String,
    direction: String,
    outcome: String,
    missed: bool,
    wait_seconds: Option<i32>,
    wait_source: Option<String>,
    talk_seconds: Option<i32>,
    transferred: bool,
    transfer_answered: Option<bool>,
    handled_by: String,
    first_agent_key: Option<String>,
    last_agent_key: Option<String>,
    ended_at: DateTime<Utc>,
    queues: i32,
    customer_number: Option<String>,
}

/// What the records cannot tell: whether a recording was played for the hour.
fn outcome(intent: &Intent) -> &'static str {
    match intent.outcome.name() {
        "after_hours" => "recording_played",
        other => other,
    }
}

fn direction(intent: &Intent) -> &'static str {
    match intent.direction {
        CallDirection::Incoming => "incoming",
        CallDirection::Outgoing => "outgoing",
        CallDirection::Internal => "internal",
    }
}

fn handled_by(intent: &Intent) -> &'static str {
    match intent.outcome.name() {
        "answered" => "agent",
        "voicemail" => "voicemail",
        "in_menu" | "recording_played" | "after_hours" => "machine",
        _ => "nobody",
    }
}

/// No record says who is called in an internal call, nor at whom a queue rang in vain.
fn is_named(intent: &Intent, part: &AgentIntent) -> bool {
    part.role != AgentRole::Called
        || intent.direction != CallDirection::Internal && (part.answered || intent.queue_visits.is_empty())
}

/// Four days of a call centre, all of whose records have appeared; transfers are part of what they continue.
async fn mirrored() -> (MirrorScene, Vec<Intent>) {
    let simulator = simulated(ApiGeneration::Current);
    let world = WorldOptions { calls_per_day: 3_000.0, seed: 3, ..WorldOptions::call_centre() };
    let simulator = SimulatorOptions { world: world.unchanging(), ..simulator };
    // A Friday at midnight: four working days.
    let setup = Setup { now: instant("2026-06-19T00:00:00Z"), history: days(5), ..Setup::new(simulator) };
    let scene = MirrorScene::of(setup).await;
    scene.pass().await;
    let mut size = SliceSize::default();
    while scene.store.fold_calls(&scene.account.name, &mut size).await.unwrap().has_more {}

    let (from, to) = span(&scene);
    let intents = scene.simulator.intents(scene.now(), from, to);
    let intents: Vec<Intent> = intents.into_iter().filter(|intent| intent.original_call.is_none()).collect();
    assert!(intents.len() > 5_000, "{}", intents.len());
    (scene, intents)
}

fn span(scene: &MirrorScene) -> (DateTime<Utc>, DateTime<Utc>) {
    (scene.now() - days(4), scene.now() - TimeDelta::hours(8))
}

#[tokio::test]
async fn calls_queues_menus_and_agents_are_what_the_call_centre_meant() {
    let (scene, intents) = mirrored().await;
    assert_calls(&scene, &intents).await;
    assert_visits(&scene, &intents).await;
    assert_menus(&scene, &intents).await;
    assert_agents(&scene, &intents).await;
}

async fn assert_calls(scene: &MirrorScene, intents: &[Intent]) {
    let (from, to) = span(scene);
    let rows: Vec<Row> = sqlx::query_as(
        "select call_id, direction, outcome, missed, wait_seconds, wait_source, talk_seconds, transferred, transfer_answered,
             handled_by, first_agent_key, last_agent_key, ended_at, queues, customer_number
         from voicenter.calls where started_at >= $1 and started_at < $2",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&mut scene.database.sql().await)
    .await
    .unwrap();
    let rows: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.call_id.as_str(), row)).collect();
    let ids: BTreeMap<&str, &Intent> =
        intents.iter().map(|intent| (intent.call_id.as_str(), intent)).collect();
    assert!(rows.keys().eq(ids.keys()), "{} calls, {} meant", rows.len(), ids.len());

    let mut wrong = BTreeMap::<String, u32>::new();
    let mut check = |what: String, is_right: bool| {
        if !is_right {
            *wrong.entry(what).or_default() += 1;
        }
    };
    let (mut known_waits, mut customers) = (0, 0);
    for (id, intent) in ids {
        let row = rows[id];
        check(format!("outcome {} for {}", row.outcome, outcome(intent)), row.outcome == outcome(intent));
        check(
            format!("direction {} for {}", row.direction, direction(intent)),
            row.direction == direction(intent),
        );
        check(format!("missed {} of {}", row.missed, intent.outcome.name()), row.missed == intent.missed);
        let passed_on = (intent.transferred, intent.transfer_answered);
        check("transfer".to_owned(), (row.transferred, row.transfer_answered) == passed_on);
        check("queues".to_owned(), row.queues == i32::try_from(intent.queue_visits.len()).unwrap());
        let customer = intent.customer_number.as_ref().map(|digits| format!("+{digits}"));
        customers += u32::from(customer.is_some());
        check(
            format!("customer of {} {}", intent.outcome.name(), direction(intent)),
            row.customer_number == customer,
        );
        // A wait is right or not there.
        if let Some(wait) = row.wait_seconds {
            known_waits += 1;
            let source = row.wait_source.as_deref().unwrap_or_default();
            let is_right = intent.wait_seconds == u32::try_from(wait).ok();
            check(format!("wait of {} ({source})", intent.outcome.name()), is_right);
        }
        if let Some(talk) = row.talk_seconds {
            let is_right = u32::try_from(talk).ok() == Some(intent.talk_seconds);
            check(
                format!("talk of {} {} {}", intent.outcome.name(), direction(intent), intent.transferred),
                is_right,
            );
        }
        let named: Vec<String> = intent
            .agents
            .iter()
            .filter(|part| is_named(intent, part))
            .map(|part| format!("code:{}", part.representative_code))
            .collect();
        check(
            format!("first agent {} {} {}", intent.outcome.name(), direction(intent), intent.transferred),
            row.first_agent_key.as_ref() == named.first(),
        );
        check(
            format!("last agent {} {} {}", intent.outcome.name(), direction(intent), intent.transferred),
            row.last_agent_key.as_ref() == named.last(),
        );
        check(
            format!("handled by {} {}", row.handled_by, intent.outcome.name()),
            row.handled_by == handled_by(intent),
        );
        check(
            format!(
                "end {} {} {} {}",
                intent.outcome.name(),
                direction(intent),
                intent.transferred,
                row.ended_at.signed_duration_since(intent.ended_at).num_seconds()
            ),
            row.ended_at == intent.ended_at,
        );
    }
    assert!(known_waits > 300 && customers > 3_000, "{known_waits} waits, {customers} customers");
    assert_eq!(wrong, BTreeMap::new());
}

#[derive(FromRow)]
struct VisitRow {
    call_id: String,
    nth: i32,
    queue_name: Option<String>,
    entered_at: DateTime<Utc>,
    outcome: String,
    overflowed_to: Option<String>,
    wait_seconds: Option<i32>,
}

async fn assert_visits(scene: &MirrorScene, intents: &[Intent]) {
    let (from, to) = span(scene);
    let rows: Vec<VisitRow> = sqlx::query_as(
        "select call_id, nth, queue_name, entered_at, outcome, overflowed_to, wait_seconds from voicenter.queue_visits
         where (account, call_id) in (select account, call_id from voicenter.calls where started_at >= $1 and started_at < $2)",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&mut scene.database.sql().await)
    .await
    .unwrap();
    let mut meant = BTreeMap::new();
    for intent in intents.iter().filter(|intent| intent.direction == CallDirection::Incoming) {
        let visits = (1..).zip(&intent.queue_visits);
        meant.extend(visits.map(|(nth, visit)| ((intent.call_id.as_str(), nth), visit)));
    }
    let mut wrong = BTreeMap::<String, u32>::new();
    let (mut waits, mut overflows) = (0, 0);
    for row in &rows {
        let Some(visit) = meant.get(&(row.call_id.as_str(), row.nth)) else {
            *wrong.entry(format!("visit {} that was none", row.nth)).or_default() += 1;
            continue;
        };
        let outcome = visit.outcome.map_or("overflowed", |outcome| outcome.name());
        overflows += u32::from(visit.overflowed_to.is_some());
        waits += u32::from(row.wait_seconds.is_some());
        // A wait is right or not there.
        let wait = row.wait_seconds.is_none_or(|wait| u32::try_from(wait).ok() == Some(visit.wait_seconds));
        for (what, is_right) in [
            ("queue", row.queue_name.as_deref() == Some(visit.queue_name.as_str())),
            ("entered_at", row.entered_at == visit.entered_at),
            ("outcome", row.outcome == outcome),
            ("overflowed_to", row.overflowed_to == visit.overflowed_to),
            ("wait", wait),
        ] {
            if !is_right {
                *wrong.entry(format!("{what} of {outcome}: {}", row.outcome)).or_default() += 1;
            }
        }
    }
    assert_eq!(wrong, BTreeMap::new());
    assert_eq!(rows.len(), meant.len());
    assert!(waits > 200 && overflows > 50, "{waits} waits, {overflows} overflows");
}

async fn assert_menus(scene: &MirrorScene, intents: &[Intent]) {
    let (from, to) = span(scene);
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select call_id, string_agg(keys, ' ' order by nth) from voicenter.menu_choices
         where started_at >= $1 and started_at < $2 group by call_id",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&mut scene.database.sql().await)
    .await
    .unwrap();
    let keys = |intent: &Intent| {
        let keys: Vec<String> = intent.menu_choices.iter().map(u8::to_string).collect();
        keys.join(" ")
    };
    let meant: BTreeMap<String, String> = intents
        .iter()
        .filter(|intent| !intent.menu_choices.is_empty())
        .map(|intent| (intent.call_id.clone(), keys(intent)))
        .collect();
    assert!(meant.len() > 1_000, "{}", meant.len());
    assert!(meant == rows.into_iter().collect(), "menus differ");
}

#[derive(FromRow)]
struct AgentRow {
    call_id: String,
    agent_key: String,
    role: String,
    offered: bool,
    answered: bool,
    ring_seconds: Option<i32>,
    talk_seconds: Option<i32>,
}

/// What an agent did in a call, all parts together. The records do not tell a consultation from the transfer after it.
struct Part {
    role: &'static str,
    answered: bool,
    ring_seconds: u32,
    talk_seconds: u32,
}

impl Part {
    fn of(parts: &[&AgentIntent]) -> Self {
        let is_any = |role| parts.iter().any(|part| part.role == role);
        Self {
            role: if is_any(AgentRole::Caller) {
                "caller"
            } else if is_any(AgentRole::Called) {
                "called"
            } else {
                "transferred_to"
            },
            answered: parts.iter().any(|part| part.answered),
            ring_seconds: parts.iter().map(|part| part.ring_seconds).sum(),
            talk_seconds: parts.iter().map(|part| part.talk_seconds).sum(),
        }
    }
}

async fn assert_agents(scene: &MirrorScene, intents: &[Intent]) {
    let (from, to) = span(scene);
    let rows: Vec<AgentRow> = sqlx::query_as(
        "select call_id, agent_key, role, offered, answered, ring_seconds, talk_seconds
         from voicenter.agent_calls
         where (account, call_id) in (select account, call_id from voicenter.calls where started_at >= $1 and started_at < $2)",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&mut scene.database.sql().await)
    .await
    .unwrap();
    let mut parts = BTreeMap::<(&str, String), Vec<&AgentIntent>>::new();
    for intent in intents {
        for part in intent.agents.iter().filter(|part| is_named(intent, part)) {
            let key = (intent.call_id.as_str(), format!("code:{}", part.representative_code));
            parts.entry(key).or_default().push(part);
        }
    }
    let parts: BTreeMap<_, _> = parts.into_iter().map(|(key, parts)| (key, Part::of(&parts))).collect();

    let mut wrong = BTreeMap::<String, u32>::new();
    let mut check = |what: String, is_right: bool| {
        if !is_right {
            *wrong.entry(what).or_default() += 1;
        }
    };
    let mut talks = 0;
    for row in &rows {
        let Some(part) = parts.get(&(row.call_id.as_str(), row.agent_key.clone())) else {
            check(format!("{} who was not there", row.role), false);
            continue;
        };
        check(format!("role {} for {}", row.role, part.role), row.role == part.role);
        check(format!("answered by {}", part.role), row.answered == part.answered);
        check(format!("offered to {}", part.role), row.offered == (part.role != "caller"));
        let ring = row.ring_seconds.and_then(|ring| u32::try_from(ring).ok());
        check(format!("ring of {}", part.role), ring == Some(part.ring_seconds));
        if let Some(talk) = row.talk_seconds {
            talks += 1;
            check(format!("talk of {}", part.role), u32::try_from(talk).ok() == Some(part.talk_seconds));
        }
    }
    assert_eq!(wrong, BTreeMap::new());
    assert_eq!(rows.len(), parts.len());
    assert!(
        talks > 1_000 && rows.iter().filter(|row| row.role == "transferred_to").count() > 50,
        "{talks} talks"
    );
}
