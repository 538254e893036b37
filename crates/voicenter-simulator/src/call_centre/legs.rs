//! The records that a call leaves: when each appears, and all its fields.

use serde_json::{Value, json};

use super::call::CallName;
use super::customers::{Customer, Spelling};
use super::queues::QueueNumber;
use super::staff::AgentNumber;
use crate::calls::{CallKind, Entry, LONGEST_BEFORE, NEVER};
use crate::options::WorldOptions;
use crate::people::department_number;
use crate::random::Random;
use crate::record::Record;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// A record in the index: its course in time, and who took part.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) entry: Entry,
    parties: Parties,
}

/// Who took part in what a record tells of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parties {
    pub(super) customer: Option<(Customer, Spelling)>,
    /// The agent whom the record names.
    pub(super) agent: Option<AgentNumber>,
    /// The colleague who called that agent.
    pub(super) colleague: Option<AgentNumber>,
    pub(super) queue: Option<QueueNumber>,
    /// The number that was called, by its department; not of outgoing calls.
    pub(super) department: Option<u8>,
    pub(super) keys: [u8; 2],
    pub(super) original: Option<CallName>,
}

impl Parties {
    pub(super) const NOBODY: Self = Self {
        customer: None,
        agent: None,
        colleague: None,
        queue: None,
        department: None,
        keys: [0; 2],
        original: None,
    };
}

/// What happened in a leg, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) kind: CallKind,
    pub(super) status: &'static str,
    pub(super) started: i64,
    pub(super) ring: i64,
    pub(super) duration: i64,
}

impl Course {
    /// A queue's Duration includes its waiting, and so the ringing.
    fn ended(&self, queued: bool) -> i64 {
        self.started + self.duration + if queued { 0 } else { self.ring }
    }
}

impl Leg {
    /// `number` tells the legs of one call apart.
    pub(super) fn new(
        options: &WorldOptions,
        name: CallName,
        number: u64,
        course: Course,
        parties: Parties,
    ) -> Self {
        let mut random = Random::of(&[name.seed, 9, number]);
        let ended = course.ended(parties.queue.is_some());
        let appears = ended + lateness(options, &mut random);
        let vanishes = match random.chance(options.vanish_share) {
            true => appears + random.between(2 * HOUR, 20 * DAY),
            false => NEVER,
        };
        let moved = match random.chance(options.move_share) {
            true => {
                (appears + random.between(HOUR, 30 * HOUR), random.between(-LONGEST_BEFORE, LONGEST_BEFORE))
            }
            false => (NEVER, 0),
        };
        let short = |seconds: i64| i32::try_from(seconds).unwrap_or(i32::MAX);
        let entry = Entry {
            id: random.next(),
            call: name.seed,
            call_started: name.arrived,
            started: course.started,
            ring: short(course.ring),
            duration: short(course.duration),
            appears,
            vanishes,
            moved,
            kind: course.kind,
            retyped: (NEVER, course.kind),
            status: course.status,
            changes: random.chance(options.change_share),
        };
        Self { entry, parties }
    }

    /// The record as it is at `at`.
    pub(crate) fn record(&self, at: i64) -> Record {
        let Parties { customer, agent, colleague, queue, department, keys, original } = self.parties;
        let name = CallName { seed: self.entry.call, arrived: self.entry.call_started };
        let mut record = Record::begin(&self.entry, name.call_id(), at);
        let number = customer.map(|(customer, spelling)| customer.written(spelling)).unwrap_or_default();
        let called = department.map(|department| department_number(usize::from(department)));
        if let Some(agent) = agent {
            record.representative_name = agent.name();
            record.representative_code = agent.code();
            record.user_id = agent.user_id();
            record.user_name = agent.name();
            record.department_id = agent.department().id.to_string();
            record.department_name = agent.department().name.to_owned();
        }
        if let Some(queue) = queue {
            record.queue_name = queue.department().queue.to_owned();
            record.queue_id = Some(queue.department().queue_id);
        }
        let extension = agent.map(AgentNumber::extension).unwrap_or_default();
        match self.entry.kind {
            CallKind::Outgoing if colleague.is_some() => {
                // A call from one extension to another; the record names the one who made it.
                record.caller_extension = extension;
                record.target_extension = colleague.map(AgentNumber::extension).unwrap_or_default();
                record.caller_number.clone_from(&record.caller_extension);
                record.target_number.clone_from(&record.target_extension);
            }
            CallKind::Outgoing
            | CallKind::Click2CallLeg2
            | CallKind::ProductiveLeg2
            | CallKind::AttendedLeg2 => {
                record.caller_number =
                    agent.map(|agent| agent.department().did.to_owned()).unwrap_or_default();
                record.caller_extension = extension;
                record.target_number = number;
                record.target_prefix_name =
                    customer.map(|(customer, _)| customer.prefix_name()).unwrap_or_default().to_owned();
            }
            CallKind::Click2CallLeg1
            | CallKind::ProductiveLeg1
            | CallKind::AttendedLeg1
            | CallKind::Transfer => {
                record.caller_number = match colleague {
                    Some(colleague) => colleague.extension(),
                    None => number,
                };
                record.caller_extension = colleague.map(AgentNumber::extension).unwrap_or_default();
                record.target_number.clone_from(&extension);
                record.target_extension = extension;
            }
            kind => {
                record.caller_number = number;
                record.target_number = match agent.filter(|_| kind == CallKind::AutoForward) {
                    Some(agent) => agent.mobile(),
                    None => called.map(|called| called.did.to_owned()).unwrap_or_default(),
                };
                record.target_extension = extension;
            }
        }
        record.did = called.map(|called| called.did.to_owned()).unwrap_or_default();
        if matches!(self.entry.kind, CallKind::ProductiveLeg1 | CallKind::ProductiveLeg2) {
            record.campaign_id = Some(71 + (self.entry.call_started / DAY) % 4);
        }
        record.dtmf_data = pressed(keys);
        if let (Some(original), Value::Object(custom)) = (original, &mut record.custom_data) {
            custom.insert("OriginalIvrUniqueID".to_owned(), original.call_id().into());
        }
        record
    }
}

/// The keys as DTMFData has them, by the menu's layers.
fn pressed(keys: [u8; 2]) -> Value {
    let layers = ["תפריט ראשי", "בחירת שפה"].into_iter().zip(keys).zip(1..);
    let pressed = layers.filter(|((_, key), _)| *key > 0);
    pressed
        .map(|((name, key), layer)| json!({"LayerName": name, "DTMF": key, "LayerNumber": layer}))
        .collect()
}

/// How long after its end a record appears: usually within ten minutes; of the late ones four fifths within three
/// hours, and one in fifty only days later.
fn lateness(options: &WorldOptions, random: &mut Random) -> i64 {
    if !random.chance(options.late_share) {
        return random.between(options.lag.0.num_seconds(), options.lag.1.num_seconds());
    }
    match random.between(1, 50) {
        1..=40 => random.between(600, 3 * HOUR),
        41..=49 => random.between(3 * HOUR, DAY),
        _ => random.between(DAY, 7 * DAY),
    }
}
