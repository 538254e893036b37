//! Joins pushes to what the pull has brought, by their key: CallID and type. The pull is never changed by it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::facts::{Facts, SHARED_COLUMNS};
use super::pushed_call::PushedCall;
use super::time_base::{TOLERANCE, TimeBase, started_at, time_base};

/// What became of a pushed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// The pull has not brought it yet.
    Provisional,
    /// The pull had it.
    Confirmed,
    /// The pull was asked for it, and does not have it.
    Unmatched,
}

impl RecordState {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordState::Provisional => "provisional",
            RecordState::Confirmed => "confirmed",
            RecordState::Unmatched => "unmatched",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Provisional, Self::Confirmed, Self::Unmatched].into_iter().find(|state| state.as_str() == name)
    }
}

/// CallID and type.
pub type RecordKey = (String, String);

/// A record as its pushes have it: a row of `voicenter.cdr_push`.
#[derive(Clone, Debug, PartialEq)]
pub struct PushedRecord {
    /// Its key. The type is that of the pull once it is confirmed.
    pub key: RecordKey,
    /// What the pushes said.
    pub facts: Facts,
    /// When the first of them was received.
    pub first_received_at: DateTime<Utc>,
    /// When the newest was.
    pub last_received_at: DateTime<Utc>,
    /// How many there were.
    pub versions: i32,
    /// What became of it.
    pub state: RecordState,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When the call started, if that is known.
    pub started_at: Option<DateTime<Utc>>,
    /// What the push's own time is counted from.
    pub time_base: TimeBase,
    /// How often the API was asked for it.
    pub asked: i32,
    /// When it was asked last.
    pub asked_at: Option<DateTime<Utc>>,
    /// Whether calls are to follow what it says.
    pub to_fold: bool,
}

/// A push that is to be taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// What it says.
    pub call: PushedCall,
    /// When it was received.
    pub received_at: DateTime<Utc>,
}

/// A row of `voicenter.cdr` that is not removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// Its key.
    pub key: RecordKey,
    /// Its CdrType.
    pub cdr_type: Option<i32>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When the pull first brought it.
    pub first_seen_at: DateTime<Utc>,
    /// Its columns, by name.
    pub columns: Map<String, Value>,
}

/// How pushes are joined.
#[derive(Clone, Copy, Debug)]
pub struct JoinRules {
    /// The account's zone.
    pub zone: Tz,
    /// What `push.time_base` says; `None` if each record decides.
    pub fixed_base: Option<TimeBase>,
    /// The base of most confirmed records.
    pub usual_base: TimeBase,
    /// The present.
    pub now: DateTime<Utc>,
}

/// What the first meeting of push and pull shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirmation {
    /// From the end of the call to the first push.
    pub latency: TimeDelta,
    /// From the first push to when the pull brought the record: negative if that was before.
    pub lead: TimeDelta,
    /// Columns of which both have a value, and not the same.
    pub disagreements: Vec<&'static str>,
}

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// Rows that are new or differ.
    pub rows: Vec<PushedRecord>,
    /// Keys of rows that have become part of another one, with the type of that.
    pub moved: Vec<(RecordKey, String)>,
    /// One for each record that was confirmed.
    pub confirmations: Vec<Confirmation>,
    /// The type of the record that a push of a call speaks of, by the type that it names, where that is another one.
    named: BTreeMap<RecordKey, String>,
}

impl Joined {
    /// The type of the record that pushes of a call with the type `named` speak of.
    pub fn type_of<'a>(&'a self, key: &'a RecordKey) -> &'a str {
        self.named.get(key).unwrap_or(&key.1)
    }
}

/// Takes in `arrivals`, and confirms whatever the pull has. `known` are all rows of the same CallIDs, `legs` what the pull has
/// of them. Doing it again changes nothing but the count of versions.
pub fn join(known: Vec<PushedRecord>, arrivals: Vec<Arrival>, legs: &[Leg], rules: &JoinRules) -> Joined {
    let mut calls: BTreeMap<String, Call> = BTreeMap::new();
    for record in known {
        calls.entry(record.key.0.clone()).or_default().known.push(record);
    }
    for arrival in arrivals {
        calls.entry(arrival.call.call_id.clone()).or_default().arrived.push(new_record(arrival));
    }
    for leg in legs {
        if let Some(call) = calls.get_mut(&leg.key.0) {
            call.legs.push(leg);
        }
    }
    let mut joined = Joined::default();
    calls.into_values().for_each(|call| call.join(rules, &mut joined));
    joined
}

fn new_record(arrival: Arrival) -> PushedRecord {
    let Arrival { call, received_at } = arrival;
    PushedRecord {
        key: (call.call_id.clone(), call.call_type.clone().unwrap_or_default()),
        facts: Facts::of(call, received_at),
        first_received_at: received_at,
        last_received_at: received_at,
        versions: 1,
        state: RecordState::Provisional,
        confirmed_at: None,
        started_at: None,
        time_base: TimeBase::Unknown,
        asked: 0,
        asked_at: None,
        to_fold: false,
    }
}

/// What there is of one CallID.
#[derive(Default)]
struct Call<'l> {
    known: Vec<PushedRecord>,
    arrived: Vec<PushedRecord>,
    legs: Vec<&'l Leg>,
}

impl Call<'_> {
    fn join(self, rules: &JoinRules, joined: &mut Joined) {
        let Self { known, arrived, legs } = self;
        let named = known.iter().chain(&arrived).filter_map(|record| record.facts.named_type());
        let types: BTreeSet<String> = named.map(str::to_owned).collect();
        let before: BTreeMap<RecordKey, PushedRecord> =
            known.iter().map(|record| (record.key.clone(), record.clone())).collect();
        let mut records: BTreeMap<RecordKey, PushedRecord> = BTreeMap::new();
        for mut record in known.into_iter().chain(arrived) {
            // The pull may have given a confirmed one another type since.
            let is_met =
                record.state == RecordState::Confirmed && legs.iter().any(|leg| leg.key == record.key);
            if !is_met
                && let Some(leg) = leg_of(&record.key.1, &types, &legs)
                && leg.key.1 != record.key.1
            {
                if before.contains_key(&record.key) {
                    joined.moved.push((record.key.clone(), leg.key.1.clone()));
                }
                joined.named.insert(record.key.clone(), leg.key.1.clone());
                record.key.1.clone_from(&leg.key.1);
            }
            match records.remove(&record.key) {
                Some(other) => drop(records.insert(record.key.clone(), other.and(record))),
                None => drop(records.insert(record.key.clone(), record)),
            }
        }
        for (key, mut record) in records {
            let old = before.get(&key);
            match legs.iter().find(|leg| leg.key == key) {
                Some(leg) => joined.confirmations.extend(record.meet(leg, old, rules)),
                None if record.state != RecordState::Confirmed => record.wait(rules),
                // The pull has lost it since.
                None => {}
            }
            if old != Some(&record) {
                joined.rows.push(record);
            }
        }
    }
}

/// The leg that pushes of this type speak of, among all of the call that the pull has brought. `types` are those that its
/// pushes name.
fn leg_of<'l>(call_type: &str, types: &BTreeSet<String>, legs: &[&'l Leg]) -> Option<&'l Leg> {
    let only = |fits: &dyn Fn(&Leg) -> bool| {
        let mut fitting = legs.iter().filter(|leg| fits(leg));
        fitting.next().filter(|_| fitting.next().is_none()).copied()
    };
    let trimmed = call_type.trim();
    let exact = only(&|leg| leg.key.1 == call_type);
    let alike = || only(&|leg| leg.key.1.trim().eq_ignore_ascii_case(trimmed));
    let by_number = || only(&|leg| leg.cdr_type.is_some_and(|number| number.to_string() == trimmed));
    // One side names no type, and there is nothing else that could be meant.
    let untyped =
        || only(&|_| true).filter(|leg| trimmed.is_empty() || leg.key.1.is_empty() && types.len() == 1);
    exact.or_else(alike).or_else(by_number).or_else(untyped)
}

impl PushedRecord {
    /// What two rows know of one record.
    fn and(self, other: Self) -> Self {
        let state = match (self.state, other.state) {
            (RecordState::Confirmed, _) | (_, RecordState::Confirmed) => RecordState::Confirmed,
            (RecordState::Unmatched, _) | (_, RecordState::Unmatched) => RecordState::Unmatched,
            _ => RecordState::Provisional,
        };
        Self {
            facts: self.facts.and(other.facts),
            first_received_at: self.first_received_at.min(other.first_received_at),
            last_received_at: self.last_received_at.max(other.last_received_at),
            versions: self.versions.saturating_add(other.versions),
            state,
            confirmed_at: [self.confirmed_at, other.confirmed_at].into_iter().flatten().min(),
            started_at: self.started_at.or(other.started_at),
            time_base: if self.time_base == TimeBase::Unknown { other.time_base } else { self.time_base },
            asked: self.asked.max(other.asked),
            asked_at: self.asked_at.max(other.asked_at),
            to_fold: self.to_fold || other.to_fold,
            key: self.key,
        }
    }

    /// The pull has it.
    fn meet(&mut self, leg: &Leg, before: Option<&Self>, rules: &JoinRules) -> Option<Confirmation> {
        let is_first = self.state != RecordState::Confirmed;
        self.to_fold |= is_first || before.is_none_or(|before| !before.facts.counts_as(&self.facts));
        self.started_at = Some(leg.started_at);
        self.time_base = self.base_by(leg, rules);
        if !is_first {
            return None;
        }
        (self.state, self.confirmed_at) = (RecordState::Confirmed, Some(rules.now));
        let seconds = |name: &str| leg.columns.get(name).and_then(Value::as_i64).unwrap_or(0);
        let ended_at =
            leg.started_at + TimeDelta::seconds(seconds("duration_seconds") + seconds("ring_seconds"));
        let disagrees = |name: &&'static str| {
            let (pushed, pulled) = (self.facts.shared(name), leg.columns.get(*name));
            pushed
                .zip(pulled)
                .is_some_and(|(pushed, pulled)| !pulled.is_null() && !is_same(name, pushed, pulled))
        };
        Some(Confirmation {
            latency: self.first_received_at - ended_at,
            lead: leg.first_seen_at - self.first_received_at,
            disagreements: SHARED_COLUMNS.into_iter().filter(|name| disagrees(name)).collect(),
        })
    }

    /// The pull has yet to bring it: until then its own time has to do.
    fn wait(&mut self, rules: &JoinRules) {
        let Some(time) = self.facts.time() else { return };
        self.time_base =
            rules.fixed_base.unwrap_or_else(|| time_base(time, &self.key.0, rules.zone, rules.usual_base));
        let started_at = started_at(time, self.time_base, rules.zone).single();
        self.started_at = started_at.filter(|at| (2_000..10_000).contains(&at.year()));
    }

    /// The base by which its time is the pull's.
    fn base_by(&self, leg: &Leg, rules: &JoinRules) -> TimeBase {
        let Some(time) = self.facts.time() else { return TimeBase::Unknown };
        let offset = rules.zone.offset_from_utc_datetime(&leg.started_at.naive_utc()).fix();
        let apart = time.saturating_sub(leg.started_at.timestamp());
        let is_near = |seconds: i64| {
            apart.saturating_sub(seconds).unsigned_abs() <= TOLERANCE.num_seconds().unsigned_abs()
        };
        if is_near(0) {
            TimeBase::Utc
        } else if is_near(offset.local_minus_utc().into()) {
            TimeBase::Local
        } else {
            TimeBase::Unknown
        }
    }

    /// How far its time is ahead of the pull's, in seconds, once it is confirmed.
    pub fn time_offset(&self) -> Option<i64> {
        let confirmed = self.started_at.filter(|_| self.state == RecordState::Confirmed)?;
        Some(self.facts.time()?.saturating_sub(confirmed.timestamp()))
    }

    /// When the call may have begun and ended, by its own time; `None` if that shows nothing.
    pub fn span(&self, zone: Tz) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let bases: &[TimeBase] = match self.time_base {
            TimeBase::Local => &[TimeBase::Local],
            TimeBase::Utc => &[TimeBase::Utc],
            TimeBase::Unknown => &[TimeBase::Local, TimeBase::Utc],
        };
        let time = self.facts.time();
        let told =
            time.into_iter().flat_map(|time| bases.iter().map(move |base| started_at(time, *base, zone)));
        let starts: Vec<DateTime<Utc>> = match self.started_at {
            Some(at) => vec![at],
            None => told.flat_map(|at| [at.earliest(), at.latest()]).flatten().collect(),
        };
        // A length that is no call's would have the whole history read.
        let length = TimeDelta::seconds(self.facts.length_seconds().clamp(0, 86_400));
        starts.iter().min().copied().zip(starts.iter().max().map(|latest| *latest + length))
    }
}

/// The push writes some numbers as texts.
fn is_same(column: &str, pushed: &Value, pulled: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (pushed, pulled) = (text(pushed), text(pulled));
    let is_number = matches!(column, "duration_seconds" | "ring_seconds" | "price");
    let numbers = pushed.parse::<f64>().ok().zip(pulled.parse::<f64>().ok()).filter(|_| is_number);
    pushed.trim() == pulled.trim() || numbers.is_some_and(|(pushed, pulled)| (pushed - pulled).abs() < 1e-9)
}

#[cfg(test)]
mod tests;
