//! What the simulated call centre meant by its calls: the answers that it would give itself.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Asia::Jerusalem;
use serde_json::{Value, json};
use voicenter_simulator::{
    AgentIntent, AgentRole, CallDirection, CallOutcome, Initiator, Intent, VisitIntent,
};

use crate::bi::scene::{CallCentre, NOW, Row};
use crate::support::dates::instant;

/// The calls of the seven whole days before today, and what came after.
pub struct Meant {
    week: Vec<Intent>,
    later: Vec<Intent>,
}

const SOON: TimeDelta = TimeDelta::hours(3);

impl Meant {
    pub fn by(call_centre: &CallCentre) -> Self {
        let (from, to) = (instant("2026-06-10T21:00:00Z"), instant("2026-06-17T21:00:00Z"));
        Self { week: call_centre.intents(from, to), later: call_centre.intents(to, instant(NOW)) }
    }

    /// The rows that answer a question, in the columns that the world knows.
    pub fn answer(&self, number: usize) -> Option<Vec<Row>> {
        let incoming = || self.week.iter().filter(|intent| intent.direction == CallDirection::Incoming);
        let rows = match number {
            1 => grouped(&self.week, day, |day, calls| {
                let of = |direction| count(calls, |call| call.direction == direction);
                json!({
                    "day": day, "calls": calls.len(), "incoming": of(CallDirection::Incoming),
                    "incoming_answered":
                        count(calls, |call| call.direction == CallDirection::Incoming && is_answered(call)),
                    "missed": count(calls, |call| call.missed),
                    "outgoing": of(CallDirection::Outgoing), "internal": of(CallDirection::Internal),
                })
            }),
            3 => grouped(
                incoming(),
                outcome,
                |outcome, calls| json!({"outcome": outcome, "calls": calls.len()}),
            ),
            7 => self.queues(),
            8 => self.given_up(),
            12 => self.resolutions(),
            14 => {
                let callers = grouped(
                    incoming().filter(|call| call.customer_number.is_some()),
                    |call| call.customer_number.clone().unwrap(),
                    |_, calls| json!({"calls": calls.len()}),
                );
                let times: Vec<usize> =
                    callers.iter().map(|caller| caller["calls"].as_u64().unwrap() as usize).collect();
                grouped(
                    &times,
                    |times| **times,
                    |calls, callers| json!({"calls": calls, "callers": callers.len()}),
                )
            }
            17 => grouped(
                self.week.iter().filter(|call| is_answered(call)),
                |call| direction(call),
                |direction, calls| {
                    json!({
                        "direction": direction, "calls": calls.len(),
                        "transferred": count(calls, |call| call.transferred),
                        "answered_there": count(calls, |call| call.transfer_answered == Some(true)),
                    })
                },
            ),
            18 => grouped(
                self.week.iter().filter(|call| call.direction == CallDirection::Outgoing),
                |call| initiator(call),
                |by, calls| {
                    let ended = |outcome| count(calls, |call| call.outcome == outcome);
                    json!({
                        "initiated_by": by, "calls": calls.len(), "reached": count(calls, is_answered),
                        "no_answer": ended(CallOutcome::NoAnswer), "busy": ended(CallOutcome::Busy),
                        "not_dialled": ended(CallOutcome::NotDialled),
                        "dialer_abandoned": ended(CallOutcome::DialerAbandoned),
                    })
                },
            ),
            24 => self.agents(),
            _ => return None,
        };
        Some(rows)
    }

    /// Agents by the calls that they took, or that were passed on to them, and those that they placed. Who is called in
    /// an internal call, no record says.
    fn agents(&self) -> Vec<Row> {
        let mut parts = BTreeMap::<(&str, &str), Vec<&AgentIntent>>::new();
        for call in &self.week {
            let known = call
                .agents
                .iter()
                .filter(|agent| call.direction != CallDirection::Internal || agent.role == AgentRole::Caller);
            for agent in known {
                parts.entry((&agent.representative_code, &call.call_id)).or_default().push(agent);
            }
        }
        let parts: Vec<_> = parts.into_iter().collect();
        grouped(
            &parts,
            |((code, _), _)| format!("code:{code}"),
            |key, calls| {
                let of = |is_counted: fn(&AgentIntent) -> bool| {
                    calls.iter().filter(|(_, parts)| parts.iter().any(|part| is_counted(part))).count()
                };
                json!({
                    "agent_key": key,
                    "answered": of(|part| part.role != AgentRole::Caller && part.answered),
                    "placed": of(|part| part.role == AgentRole::Caller),
                })
            },
        )
    }

    /// Queues by what became of those who entered them.
    fn queues(&self) -> Vec<Row> {
        let visits = self.week.iter().flat_map(|call| &call.queue_visits);
        let gave_up = [Some(CallOutcome::Abandoned), Some(CallOutcome::ShortAbandoned)];
        grouped(
            visits,
            |visit| visit.queue_name.clone(),
            |queue, visits| {
                let answered = visits.iter().filter(|visit| visit.outcome == Some(CallOutcome::Answered));
                let (short, long): (Vec<&VisitIntent>, Vec<_>) = visits
                    .iter()
                    .filter(|visit| gave_up.contains(&visit.outcome))
                    .partition(|visit| visit.outcome == Some(CallOutcome::ShortAbandoned));
                json!({
                    "queue_name": queue, "offered": visits.len(), "answered": answered.count(),
                    "abandoned": long.len(), "short_abandoned": short.len(),
                })
            },
        )
    }

    /// Callers who gave up, by how long they had waited.
    fn given_up(&self) -> Vec<Row> {
        let gave_up = [CallOutcome::Abandoned, CallOutcome::ShortAbandoned];
        let calls = self.week.iter().filter(|call| gave_up.contains(&call.outcome));
        let waits = calls.filter_map(|call| call.wait_seconds);
        grouped(
            &waits.collect::<Vec<_>>(),
            |wait| match **wait {
                0..10 => "1: under 10 s",
                10..30 => "2: 10 to 29 s",
                30..60 => "3: 30 to 59 s",
                60..180 => "4: 1 to 3 min",
                180..360 => "5: 3 to 6 min",
                _ => "6: 6 min and more",
            },
            |waited, waits| json!({"waited": waited, "callers": waits.len(), "longest_seconds": waits.iter().max()}),
        )
    }

    /// Missed calls by what answered call came first afterwards.
    fn resolutions(&self) -> Vec<Row> {
        let mut by_number = BTreeMap::<&str, Vec<&Intent>>::new();
        for call in self.week.iter().chain(&self.later) {
            if let (Some(number), true) = (&call.customer_number, call.direction != CallDirection::Internal) {
                by_number.entry(number).or_default().push(call);
            }
        }
        let after = |missed: &Intent| {
            let same = missed.customer_number.as_deref().and_then(|number| by_number.get(number));
            let at = missed.started_at;
            same.into_iter().flatten().copied().filter(move |call| call.started_at > at)
        };
        let answer = |missed: &Intent| {
            after(missed).filter(|call| is_answered(call)).min_by_key(|call| call.started_at)
        };
        let resolution = |missed: &&&Intent| match answer(missed).map(|call| call.direction) {
            _ if missed.customer_number.is_none() => "no_number",
            Some(CallDirection::Outgoing) => "called_back",
            Some(_) => "called_again",
            None => "open",
        };
        let is_tried = |call: &Intent| {
            call.direction == CallDirection::Outgoing && call.outcome != CallOutcome::NotDialled
        };
        let missed: Vec<&Intent> = self.week.iter().filter(|call| call.missed).collect();
        grouped(&missed, resolution, |resolution, calls| {
            let soon = |missed: &Intent| {
                answer(missed).is_some_and(|answer| answer.started_at <= missed.started_at + SOON)
            };
            json!({
                "resolution": resolution, "missed_calls": calls.len(),
                "within_3_hours": calls.iter().filter(|call| soon(call)).count(),
                "tried_in_vain": calls.iter()
                    .filter(|call| *resolution == "open" && after(call).any(is_tried)).count(),
            })
        })
    }
}

/// One row for each key.
fn grouped<'a, T: 'a, K: Ord>(
    items: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&&'a T) -> K,
    row: impl Fn(&K, &[&'a T]) -> Value,
) -> Vec<Row> {
    let mut groups = BTreeMap::<K, Vec<&T>>::new();
    for item in items {
        groups.entry(key(&item)).or_default().push(item);
    }
    groups
        .iter()
        .map(|(key, items)| match row(key, items) {
            Value::Object(row) => row,
            other => panic!("no row: {other}"),
        })
        .collect()
}

fn count(calls: &[&Intent], is_counted: impl Fn(&Intent) -> bool) -> usize {
    calls.iter().filter(|call| is_counted(call)).count()
}

fn day(call: &&Intent) -> String {
    let local: DateTime<Utc> = call.started_at;
    local.with_timezone(&Jerusalem).date_naive().to_string()
}

fn is_answered(call: &Intent) -> bool {
    call.outcome == CallOutcome::Answered
}

/// What the records cannot tell: whether a recording was played for the hour.
fn outcome(call: &&Intent) -> &'static str {
    match call.outcome {
        CallOutcome::AfterHours => CallOutcome::RecordingPlayed.name(),
        other => other.name(),
    }
}

fn direction(call: &Intent) -> &'static str {
    match call.direction {
        CallDirection::Incoming => "incoming",
        CallDirection::Outgoing => "outgoing",
        CallDirection::Internal => "internal",
    }
}

fn initiator(call: &Intent) -> &'static str {
    match call.initiated_by {
        Initiator::Person => "person",
        Initiator::Click2Call => "click2call",
        Initiator::Dialer => "dialer",
    }
}
