//! A call centre: people who work in shifts, queues that fill, customers who give up and call again.
//!
//! Each local day is simulated on its own, event by event, from the seed and the date alone. Only the records' index is
//! kept; what the calls were is simulated again when somebody asks (`intents`).
//!
//! Two records of one call never share their Type. A caller who is passed to a second queue leaves a "Queue" with
//! TIMEOUT and an "Incoming Call" with the second queue's QueueName; voicemail is a "VoiceMail" with the same CallID.
//! Leg 1 of Click2Call and of the dialer is the agent's side, leg 2 the customer's; a dialer that reaches nobody
//! leaves leg 2 alone.

mod calendar;
mod call;
mod customers;
mod day;
mod incoming;
mod legs;
mod outgoing;
mod queues;
mod replay;
mod staff;
mod talk;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

use super::intent::Intent;
use super::options::WorldOptions;
use super::people::Department;
use super::record::instant;
use call::Call;

pub(crate) use calendar::days;
pub(crate) use legs::Leg;
pub(crate) use replay::after_hours;

/// The records of the calls that reach the company on the local day with this number (since 1970).
pub(crate) fn legs(options: &WorldOptions, day: i64) -> Vec<Leg> {
    let calls = calls(options, day);
    calls.into_iter().flat_map(|call| call.legs).collect()
}

/// Everybody employed: extension, name and department.
pub(crate) fn staff(options: &WorldOptions) -> Vec<(String, String, &'static Department)> {
    let all = staff::employed(options.calls_per_day);
    all.map(|agent| (agent.extension(), agent.name(), agent.department())).collect()
}

/// The calls that started in `[from, to)` and have a record that is shown at `at`, in the order of their starts.
pub(crate) fn intents(
    options: &WorldOptions,
    at: DateTime<Utc>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<Intent> {
    let first = from.max(options.from).timestamp() - super::calls::LONGEST_AFTER;
    let is_shown = |call: &Call| call.legs.iter().any(|leg| leg.entry.date_at(at.timestamp()).is_some());
    let is_meant = |call: &Call| (from..to).contains(&instant(call.started)) && is_shown(call);
    let mut found: Vec<Intent> = Vec::new();
    for day in days(first, to.min(at).timestamp()) {
        found.extend(calls(options, day).iter().filter(|call| is_meant(call)).map(Call::intent));
    }
    found.sort_by(|a, b| (a.started_at, &a.call_id).cmp(&(b.started_at, &b.call_id)));
    found
}

fn calls(options: &WorldOptions, day: i64) -> Vec<Call> {
    let mut calls = day::simulate(options, day);
    let earliest = options.from.timestamp();
    calls.retain(|call| call.original.map_or(call.name.arrived, |original| original.arrived) >= earliest);
    calls
}
