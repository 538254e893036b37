//! Four weeks of a call centre, looked at as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use chrono::{Duration, TimeZone};

use super::*;
use crate::intent::{AgentRole, CallDirection, CallOutcome};
use crate::record::Record;
use crate::world::World;

/// Midnight at the start of a Sunday in Israel.
fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 6, 21, 0, 0).unwrap()
}

fn end() -> DateTime<Utc> {
    start() + Duration::days(28)
}

fn options() -> WorldOptions {
    WorldOptions { calls_per_day: 4_000.0, ..WorldOptions::call_centre() }
}

static INTENTS: LazyLock<Vec<Intent>> = LazyLock::new(|| {
    let world = World::new(WorldOptions { vanish_share: 0.0, ..options() });
    world.intents(end() + Duration::days(30), start(), end())
});

static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let world = World::new(options().unchanging());
    let at = end() + Duration::days(30);
    world.shown(at, start(), end()).iter().map(|shown| shown.record(at)).collect()
});

/// Those that continue no other.
fn whole_calls() -> impl Iterator<Item = &'static Intent> {
    INTENTS.iter().filter(|intent| intent.original_call.is_none())
}

fn local_day(instant: DateTime<Utc>) -> i64 {
    *days(instant.timestamp(), instant.timestamp()).start()
}

#[test]
fn a_call_centre_makes_the_records_asked_for() {
    for calls_per_day in [500.0, 4_000.0, 20_000.0] {
        let options = WorldOptions { calls_per_day, ..options() };
        let first = local_day(start());
        let records: usize = (first..first + 28).map(|day| legs(&options, day).len()).sum();
        let average = records as f64 / 28.0;
        assert!((average / calls_per_day - 1.0).abs() < 0.12, "{calls_per_day}: {average}");
    }
}

#[test]
fn no_agent_is_in_two_calls_at_once() {
    let mut spans: HashMap<&str, Vec<[DateTime<Utc>; 2]>> = HashMap::new();
    for part in whole_calls().flat_map(|call| &call.agents) {
        // The phone of somebody who is busy, or not there, may ring in vain.
        if part.answered || part.talk_seconds > 0 {
            let span = [part.started_at, part.ended_at()];
            spans.entry(part.representative_code.as_str()).or_default().push(span);
        }
    }
    assert!(spans.len() > 20);
    for (agent, mut spans) in spans {
        spans.sort();
        for pair in spans.windows(2) {
            assert!(pair[0][1] <= pair[1][0], "{agent}: {pair:?}");
        }
    }
}

#[test]
fn nobody_talks_for_eight_hours_a_day_and_many_talk_for_three() {
    let mut talk: HashMap<(&str, i64), u32> = HashMap::new();
    for part in whole_calls().flat_map(|call| &call.agents) {
        let key = (part.representative_code.as_str(), local_day(part.started_at));
        *talk.entry(key).or_default() += part.talk_seconds;
    }
    let most = talk.values().copied().max().unwrap();
    assert!(most < 8 * 3_600, "{most}");
    let busy = talk.values().filter(|seconds| **seconds > 3 * 3_600).count();
    assert!(busy * 3 > talk.len(), "{busy} of {}", talk.len());
}

#[test]
fn waits_are_usually_short_with_a_tail_beyond_six_minutes() {
    let mut waits: Vec<u32> = whole_calls()
        .filter(|call| !call.queue_visits.is_empty())
        .filter_map(|call| call.wait_seconds)
        .collect();
    waits.sort_unstable();
    let beyond = waits.iter().filter(|wait| **wait > 360).count() as f64 / waits.len() as f64;
    assert!(waits[waits.len() / 2] < 90, "median {}", waits[waits.len() / 2]);
    assert!((0.005..0.10).contains(&beyond), "{beyond}");
    assert!(waits.iter().all(|wait| *wait < 1_800));
}

#[test]
fn every_outcome_occurs_and_most_incoming_calls_are_answered() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    whole_calls().for_each(|call| *counts.entry(call.outcome.name()).or_default() += 1);
    assert_eq!(counts.len(), 16, "{counts:?}");
    let incoming: Vec<_> = whole_calls().filter(|call| call.direction == CallDirection::Incoming).collect();
    let share = |outcome| {
        incoming.iter().filter(|call| call.outcome == outcome).count() as f64 / incoming.len() as f64
    };
    assert!((0.55..0.85).contains(&share(CallOutcome::Answered)), "{}", share(CallOutcome::Answered));
    assert!((0.03..0.2).contains(&share(CallOutcome::Abandoned)), "{}", share(CallOutcome::Abandoned));
    for direction in [CallDirection::Outgoing, CallDirection::Internal] {
        assert!(whole_calls().any(|call| call.direction == direction));
    }
}

#[test]
fn an_intent_adds_up() {
    for call in INTENTS.iter() {
        let with_customer = call.agents.iter().filter(|part| part.role != AgentRole::Consulted);
        let talk = match call.direction {
            CallDirection::Internal => call.agents[0].talk_seconds,
            _ => with_customer.map(|part| part.talk_seconds).sum(),
        };
        assert_eq!(call.talk_seconds, talk, "{call:?}");
        assert_eq!(call.outcome == CallOutcome::Answered, call.talk_seconds > 0, "{call:?}");
        assert!(call.agents.iter().all(|part| part.started_at >= call.started_at));
        assert!(call.agents.iter().all(|part| part.ended_at() <= call.ended_at), "{call:?}");
        if let Some(last) = call.queue_visits.last() {
            let waits: u32 = call.queue_visits.iter().map(|visit| visit.wait_seconds).sum();
            assert_eq!(call.wait_seconds, Some(waits));
            assert!(last.outcome.is_some() && last.overflowed_to.is_none());
            assert_eq!(call.queue_visits[0].entered_at, call.started_at);
        }
        for pair in call.queue_visits.windows(2) {
            assert_eq!((pair[0].overflowed_to.as_ref(), pair[0].outcome), (Some(&pair[1].queue_name), None));
        }
    }
    let overflowed: Vec<_> = whole_calls().filter(|call| call.queue_visits.len() == 2).collect();
    assert!(overflowed.len() > 50);
    assert!(overflowed.iter().any(|call| call.outcome == CallOutcome::Answered));
    assert!(overflowed.iter().any(|call| call.outcome == CallOutcome::Abandoned));
}

#[test]
fn only_answered_calls_are_transferred() {
    let calls: HashMap<&str, &Intent> =
        INTENTS.iter().map(|intent| (intent.call_id.as_str(), intent)).collect();
    assert_eq!(calls.len(), INTENTS.len(), "each call has one CallID");
    let transfers: Vec<_> = INTENTS.iter().filter(|intent| intent.original_call.is_some()).collect();
    assert!(transfers.iter().any(|transfer| transfer.outcome == CallOutcome::Answered));
    assert!(transfers.iter().any(|transfer| transfer.outcome == CallOutcome::NoAnswer));
    assert!(transfers.iter().any(|transfer| transfer.outcome == CallOutcome::Busy));
    for transfer in &transfers {
        let original = calls[transfer.original_call.as_deref().unwrap()];
        assert!(original.outcome == CallOutcome::Answered && original.transferred);
        assert_eq!(original.transfer_answered, Some(transfer.outcome == CallOutcome::Answered));
        assert!(original.ended_at >= transfer.ended_at);
    }
    assert_eq!(transfers.len(), whole_calls().filter(|call| call.transferred).count());
}

#[test]
fn customers_call_again_are_called_back_and_are_written_in_both_spellings() {
    let (mut again, mut back, mut missed) = (0, 0, 0);
    let mut by_customer: HashMap<&str, Vec<&Intent>> = HashMap::new();
    for call in whole_calls() {
        if let Some(number) = &call.customer_number {
            by_customer.entry(number).or_default().push(call);
        }
    }
    for call in whole_calls().filter(|call| call.missed) {
        let Some(number) = call.customer_number.as_deref() else { continue };
        let soon = |other: &&&Intent| {
            call.ended_at < other.started_at && other.started_at < call.ended_at + Duration::hours(7)
        };
        missed += 1;
        let followed: HashSet<_> =
            by_customer[number].iter().filter(soon).map(|call| call.direction).collect();
        again += usize::from(followed.contains(&CallDirection::Incoming));
        back += usize::from(followed.contains(&CallDirection::Outgoing));
    }
    assert!(again * 4 > missed && back * 4 > missed, "{again} again, {back} back, of {missed}");

    let callers =
        RECORDS.iter().filter(|record| record.call_type == "Queue").map(|r| r.caller_number.as_str());
    let callers: BTreeSet<&str> = callers.collect();
    assert!(callers.contains("anonymous"));
    let both = callers.iter().filter_map(|number| number.strip_prefix('0'));
    let both = both.filter(|national| callers.contains(format!("972{national}").as_str())).count();
    assert!(both > 50, "{both}");
}

#[test]
fn records_and_intents_are_of_the_same_calls_and_keys_occur_once() {
    let intents: HashMap<&str, &Intent> =
        INTENTS.iter().map(|intent| (intent.call_id.as_str(), intent)).collect();
    let mut keys = HashSet::new();
    let mut first: HashMap<&str, DateTime<Utc>> = HashMap::new();
    for record in RECORDS.iter() {
        assert!(keys.insert((&record.call_id, &record.call_type)), "{record:?}");
        // What began before these weeks may leave records in them.
        let Some(intent) = intents.get(record.call_id.as_str()) else {
            assert!(record.started_at < start() + Duration::hours(2), "{record:?}");
            continue;
        };
        let started = first.entry(&record.call_id).or_insert(record.started_at);
        *started = record.started_at.min(*started);
        assert!(record.started_at <= intent.ended_at);
    }
    assert_eq!(first.len(), intents.len());
    assert!(first.iter().all(|(call_id, started)| intents[call_id].started_at == *started));
    let types: BTreeSet<_> = RECORDS.iter().filter_map(|record| record.cdr_type).collect();
    assert_eq!(types.into_iter().collect::<Vec<_>>(), [1, 4, 8, 9, 10, 11, 13, 14, 15, 21, 22, 23]);
}

#[test]
fn records_appear_as_late_as_the_vendors_do() {
    let first = local_day(start());
    let delays = (first..first + 28).flat_map(|day| legs(&options(), day)).map(|leg| {
        let queued = !leg.record(i64::MAX).queue_name.is_empty();
        let ring = if queued { 0 } else { leg.entry.ring };
        leg.entry.appears - leg.entry.started - i64::from(leg.entry.duration) - i64::from(ring)
    });
    let delays: Vec<i64> = delays.collect();
    let within =
        |seconds| delays.iter().filter(|delay| **delay <= seconds).count() as f64 / delays.len() as f64;
    assert!((within(600) - 0.95).abs() < 0.004, "{}", within(600));
    assert!((within(3 * 3_600) - 0.99).abs() < 0.002, "{}", within(3 * 3_600));
    assert!((within(86_400) - 0.999).abs() < 0.0005, "{}", within(86_400));
    assert!(delays.iter().all(|delay| 0 < *delay && *delay <= 7 * 86_400));
}

#[test]
fn the_same_records_come_whatever_window_is_asked_for_first() {
    let at = end() + Duration::days(30);
    let by_key = |world: &World, from, to| {
        let shown = world.shown(at, from, to);
        let records = shown.iter().map(|shown| shown.record(at));
        records.map(|r| ((r.call_id.clone(), r.call_type.clone()), r)).collect::<BTreeMap<_, _>>()
    };
    let (forwards, backwards) = (World::new(options()), World::new(options()));
    let whole = by_key(&forwards, start(), start() + Duration::days(5));
    let mut pieces = BTreeMap::new();
    for piece in (0..120).rev() {
        let from = start() + Duration::hours(piece);
        pieces.extend(by_key(&backwards, from, from + Duration::hours(1)));
    }
    assert!(whole.len() > 10_000);
    assert!(whole == pieces);
    let ((call_id, _), _) = whole.iter().nth(777).unwrap();
    let by_id = forwards.shown_around(at, call_id);
    assert!(by_id.iter().any(|shown| shown.record(at).call_id == *call_id));
}

#[test]
fn holidays_are_quiet_and_play_a_recording() {
    let passover = Utc.with_ymd_and_hms(2026, 4, 1, 21, 0, 0).unwrap();
    let world = World::new(options());
    let at = passover + Duration::days(40);
    let calls = |from: DateTime<Utc>| world.intents(at, from, from + Duration::days(1));
    let (holiday, workday) = (calls(passover), calls(passover + Duration::days(11)));
    assert!(holiday.len() * 15 < workday.len(), "{} and {}", holiday.len(), workday.len());
    assert!(holiday.iter().any(|call| call.outcome == CallOutcome::AfterHours));
    assert!(holiday.iter().all(|call| call.queue_visits.is_empty()));
}

#[test]
fn calls_while_the_company_is_closed_are_fewer_than_in_its_busiest_hour() {
    let world = World::new(options());
    let hour = |hours| world.after_hours_calls(start() + Duration::hours(hours));
    assert!(hour(10).is_empty() && hour(19).is_empty(), "the company is open");
    let mut busiest: BTreeMap<i64, usize> = BTreeMap::new();
    for record in RECORDS.iter() {
        *busiest.entry(record.started_at.timestamp() / 3_600).or_default() += 1;
    }
    let busiest = busiest.values().max().unwrap();
    for hours in [1, 2, 3, 24 + 2, 24 + 3, 6 * 24 + 12] {
        let calls = hour(hours);
        assert!(calls.len() > 10 && calls.len() * 2 < *busiest, "{} of {busiest}", calls.len());
        let within = start() + Duration::hours(hours)..=start() + Duration::hours(hours + 1);
        assert!(
            calls.iter().all(|(ended, record)| within.contains(ended) && within.contains(&record.started_at))
        );
    }
}
