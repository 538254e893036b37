//! Which calls start in an hour, and when each of their records appears, moves and vanishes.
//!
//! This is only the index of the world, small enough to keep for a year; `record` adds the rest on demand.

use super::options::WorldOptions;
use super::random::Random;
use super::schedule::share_of_week;

/// "Never", as seconds since 1970.
pub(crate) const NEVER: i64 = i64::MAX;
/// A record's Date lies at most this many seconds before the hour that it was generated for …
pub(crate) const LONGEST_BEFORE: i64 = 1_800;
/// … and at most this many seconds after that hour's end.
pub(crate) const LONGEST_AFTER: i64 = 4_800;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The Types of docs/voicenter-api.md#types, with their CdrTypes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CallKind {
    #[default]
    Incoming,
    Outgoing,
    Queue,
    Click2CallLeg1,
    Click2CallLeg2,
    VoiceMail,
    Transfer,
    ProductiveLeg1,
    ProductiveLeg2,
    Click2Ivr,
    Click2IvrIncoming,
    Click2QueueIncoming,
    AttendedLeg1,
    AttendedLeg2,
    AutoForward,
}

impl CallKind {
    /// The names on the wire: Type and CdrType.
    pub(crate) const fn names(self) -> (&'static str, i32) {
        match self {
            CallKind::Incoming => ("Incoming Call", 1),
            CallKind::Outgoing => ("Extension Outgoing", 4),
            CallKind::Queue => ("Queue", 8),
            CallKind::Click2CallLeg1 => ("Click2Call leg1", 9),
            CallKind::Click2CallLeg2 => ("Click2Call leg2", 10),
            CallKind::VoiceMail => ("VoiceMail", 11),
            CallKind::Transfer => ("XferCDR", 13),
            CallKind::ProductiveLeg1 => ("ProductiveCall Leg1", 14),
            CallKind::ProductiveLeg2 => ("ProductiveCall Leg2", 15),
            CallKind::Click2Ivr => ("Click 2 IVR", 17),
            CallKind::Click2IvrIncoming => ("Click 2 IVR Incoming", 18),
            CallKind::Click2QueueIncoming => ("Click 2 Queue Incoming", 19),
            CallKind::AttendedLeg1 => ("Attended CDR leg1", 21),
            CallKind::AttendedLeg2 => ("Attended CDR leg2", 22),
            CallKind::AutoForward => ("Auto forward", 23),
        }
    }

    fn statuses(self) -> &'static [(u32, &'static str)] {
        match self {
            CallKind::Queue | CallKind::Click2QueueIncoming => &[
                (70, "ANSWER"),
                (18, "ABANDONE"),
                (5, "TIMEOUT"),
                (3, "EXIT"),
                (1, "FULL"),
                (1, "JOINEMPTY"),
                (2, "VOEND"),
            ],
            CallKind::VoiceMail => &[(80, "VOICEMAIL"), (20, "VOEND")],
            CallKind::Incoming | CallKind::AutoForward => {
                &[(72, "ANSWER"), (14, "NOANSWER"), (6, "BUSY"), (5, "CANCEL"), (2, "TE"), (1, "NOTCALLED")]
            }
            _ => &[
                (66, "ANSWER"),
                (18, "NOANSWER"),
                (6, "BUSY"),
                (6, "CANCEL"),
                (2, "CONGESTION"),
                (1, "CHANUNAVAIL"),
                (1, "NOTDIALED"),
            ],
        }
    }
}

/// Which kinds of records a call leaves, by weight; the second kind, if any, is that of a second record.
const SHAPES: [(u32, (CallKind, Option<CallKind>)); 11] = [
    (34, (CallKind::Incoming, None)),
    (30, (CallKind::Outgoing, None)),
    (18, (CallKind::Queue, None)),
    (3, (CallKind::Incoming, Some(CallKind::Transfer))),
    (5, (CallKind::Click2CallLeg1, Some(CallKind::Click2CallLeg2))),
    (3, (CallKind::VoiceMail, None)),
    (3, (CallKind::ProductiveLeg1, Some(CallKind::ProductiveLeg2))),
    (1, (CallKind::Click2Ivr, Some(CallKind::Click2IvrIncoming))),
    (1, (CallKind::Click2QueueIncoming, None)),
    (1, (CallKind::AttendedLeg1, Some(CallKind::AttendedLeg2))),
    (1, (CallKind::AutoForward, None)),
];

/// One record in the index; instants are seconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Distinguishes it from every other record, and seeds its details.
    pub(crate) id: u64,
    /// Seeds what the records of one call have in common.
    pub(crate) call: u64,
    pub(crate) call_started: i64,
    pub(crate) started: i64,
    pub(crate) ring: i32,
    pub(crate) duration: i32,
    pub(crate) appears: i64,
    pub(crate) vanishes: i64,
    /// When its Date changes, and by how much.
    pub(crate) moved: (i64, i64),
    pub(crate) kind: CallKind,
    /// When its Type changes, and to what.
    pub(crate) retyped: (i64, CallKind),
    pub(crate) status: &'static str,
    pub(crate) changes: bool,
}

impl Entry {
    /// Its Date as the API shows it at `at`; `None` if the API does not show the record then.
    pub(crate) fn date_at(&self, at: i64) -> Option<i64> {
        let shown = self.appears <= at && at < self.vanishes;
        shown.then(|| if self.moved.0 <= at { self.started + self.moved.1 } else { self.started })
    }

    pub(crate) fn kind_at(&self, at: i64) -> CallKind {
        if self.retyped.0 <= at { self.retyped.1 } else { self.kind }
    }
}

/// The records of all calls that start in the UTC hour with this number (since 1970).
pub(crate) fn hour(options: &WorldOptions, hour: i64) -> Vec<Entry> {
    let mut random = Random::of(&[options.seed, hour as u64, 1]);
    let burst = if random.chance(0.05) { 2.0 } else { 0.9 / 0.95 };
    let calls = options.calls_per_day * 7.0 * share_of_week(hour) * burst / records_per_call(options);
    let rushes = [0, 1, 2].map(|_| random.between(60, HOUR - 60));
    let mut entries = campaigns(options, hour);
    for number in 0..random.count(calls) {
        let within = if random.chance(0.12) {
            random.pick(&rushes) + random.between(-20, 20)
        } else {
            random.between(0, HOUR - 1)
        };
        let started = hour * HOUR + within;
        let seed = Random::of(&[options.seed, hour as u64, 2, number as u64]).next();
        if started >= options.from.timestamp() {
            call(options, seed, started, &mut entries);
        }
    }
    entries
}

/// The calls of the campaigns that start in an hour; none of them continues into the next one.
fn campaigns(options: &WorldOptions, hour: i64) -> Vec<Entry> {
    let mut random = Random::of(&[options.seed, hour as u64, 6]);
    let mut entries = Vec::new();
    for campaign in 0..random.count(options.campaigns_per_day * 7.0 * share_of_week(hour)) {
        let length = random.between(60, 120);
        let begin = hour * HOUR + random.between(0, HOUR - length);
        for number in 0..options.campaign_calls {
            let started = begin + random.between(0, length - 1);
            let parts = [options.seed, hour as u64, 7, campaign as u64, number as u64];
            if started >= options.from.timestamp() {
                call(options, Random::of(&parts).next(), started, &mut entries);
            }
        }
    }
    entries
}

fn records_per_call(options: &WorldOptions) -> f64 {
    let total: u32 = SHAPES.iter().map(|(weight, _)| weight).sum();
    let double: u32 = SHAPES.iter().filter(|(_, shape)| shape.1.is_some()).map(|(weight, _)| weight).sum();
    let double = f64::from(double) / f64::from(total);
    1.0 + double + (1.0 - double) * options.twin_share
}

fn call(options: &WorldOptions, seed: u64, started: i64, entries: &mut Vec<Entry>) {
    let mut random = Random::of(&[seed, 3]);
    let (first, second) = random.weighted(&SHAPES);
    let mut leg = record(options, &mut random, (seed, started), first, started);
    let twin = random.chance(options.twin_share);
    match second {
        Some(kind) => {
            let later = match kind {
                CallKind::Transfer => i64::from(leg.ring + leg.duration.min(2_400)),
                _ => random.between(0, 25),
            };
            entries.push(leg);
            entries.push(record(options, &mut random, (seed, started), kind, started + later));
        }
        None if twin => {
            let later = if random.chance(0.3) { 0 } else { random.between(1, 240) };
            let other = record(options, &mut random, (seed, started), first, started + later);
            entries.extend([leg, other]);
        }
        None => {
            if random.chance(options.retype_share) {
                let kind = if first == CallKind::Incoming { CallKind::VoiceMail } else { CallKind::Incoming };
                leg.retyped = (leg.appears + random.between(HOUR, 30 * HOUR), kind);
            }
            entries.push(leg);
        }
    }
}

fn record(
    options: &WorldOptions,
    random: &mut Random,
    call: (u64, i64),
    kind: CallKind,
    started: i64,
) -> Entry {
    let status = random.weighted(kind.statuses());
    let ring = random.between(0, 35) as i32;
    let duration = talk(options, random, status);
    let lag = if random.chance(options.late_share) { options.late_lag } else { options.lag };
    let lag = random.between(lag.0.num_seconds(), lag.1.num_seconds());
    let appears = started + i64::from(ring + duration) + lag;
    let vanishes = match random.chance(options.vanish_share) {
        true => appears + random.between(2 * HOUR, 20 * DAY),
        false => NEVER,
    };
    let moved = match random.chance(options.move_share) {
        true => (appears + random.between(HOUR, 30 * HOUR), random.between(-LONGEST_BEFORE, LONGEST_BEFORE)),
        false => (NEVER, 0),
    };
    Entry {
        id: random.next(),
        call: call.0,
        call_started: call.1,
        started,
        ring,
        duration,
        appears,
        vanishes,
        moved,
        kind,
        retyped: (NEVER, kind),
        status,
        changes: random.chance(options.change_share),
    }
}

/// Seconds; what is answered lasts at least as long.
const SHORTEST_TALK: i32 = 5;

/// Seconds of talk: most calls are short, some last hours.
fn talk(options: &WorldOptions, random: &mut Random, status: &str) -> i32 {
    match status {
        "ANSWER" if random.chance(options.long_share) => random.between(3_600, 3 * 3_600) as i32,
        "ANSWER" => {
            let unit = random.unit();
            SHORTEST_TALK
                + (unit * unit * unit * f64::from(i32::from(options.usual_talk) - SHORTEST_TALK)) as i32
        }
        "VOICEMAIL" | "VOEND" => random.between(4, 90) as i32,
        _ => 0,
    }
}
