//! Who works at the call centre: teams, names, shifts.

use super::calendar::Calendar;
use super::queues::{QueueNumber, TEAM_QUEUES};
use crate::people::{Department, department_number};
use crate::random::Random;

/// Records per day for each person employed.
const RECORDS_PER_AGENT: f64 = 135.0;
const FEWEST_AGENTS: f64 = 12.0;
/// The team of each of twenty agents in turn: sales, service, support, back office (accounts and overflow).
const TEAMS: [u8; 20] = [0, 1, 2, 1, 3, 0, 1, 2, 1, 0, 2, 1, 3, 0, 2, 1, 0, 2, 1, 3];

const FIRST: [&str; 16] = [
    "נועה",
    "יוסי",
    "מרים",
    "אבי",
    "תמר",
    "דוד",
    "שירה",
    "משה",
    "יעל",
    "עומר",
    "Dana",
    "Michael",
    "Olga",
    "Ahmad",
    "רחל (רוחי)",
    "Jean-Luc",
];
const LAST: [&str; 17] = [
    "כהן",
    "לוי",
    "בן-דוד",
    "מזרחי",
    "פרץ",
    "ביטון",
    "אברהם",
    "פרידמן",
    "גולן",
    "חדד",
    "צ'רניחובסקי",
    "Levi",
    "O'Brien",
    "Petrova",
    "Khalil",
    "Klein",
    "Amsalem",
];

/// A person employed, by number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AgentNumber(pub(super) u16);

impl AgentNumber {
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn team(self) -> usize {
        usize::from(TEAMS.get(self.index() % TEAMS.len()).copied().unwrap_or(0))
    }

    pub(crate) fn department(self) -> &'static Department {
        department_number(self.team())
    }

    pub(crate) fn name(self) -> String {
        let part = |names: &[&'static str], index: usize| names.get(index % names.len()).copied();
        // Coprime lengths: no two of the first 272 have one name.
        let (first, last) = (part(&FIRST, self.index()), part(&LAST, self.index()));
        format!("{} {}", first.unwrap_or_default(), last.unwrap_or_default())
    }

    pub(crate) fn code(self) -> String {
        format!("{:08}", 20_340_017 + i64::from(self.0) * 1_031)
    }

    pub(crate) fn user_id(self) -> String {
        format!("{}", 41_000 + i64::from(self.0))
    }

    pub(crate) fn extension(self) -> String {
        format!("SIPSIP{}", i64::from(self.0) + 1)
    }

    /// The mobile phone that calls are forwarded to.
    pub(crate) fn mobile(self) -> String {
        format!("0529{:06}", 100_003 + i64::from(self.0) * 137)
    }
}

/// What an agent does on one day.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) number: AgentNumber,
    /// Beginning and end of the shift; an empty one on a day off.
    shift: (i64, i64),
    pause: (i64, i64),
    /// No call reaches the agent before.
    pub(super) busy_until: i64,
    pub(super) calls: u32,
}

impl Agent {
    pub(super) fn is_on_shift(&self, now: i64) -> bool {
        let within = |span: (i64, i64)| span.0 <= now && now < span.1;
        within(self.shift) && !within(self.pause)
    }

    pub(super) fn is_free(&self, now: i64) -> bool {
        self.busy_until <= now && self.is_on_shift(now)
    }

    pub(super) fn queues(&self) -> &'static [QueueNumber] {
        TEAM_QUEUES.get(self.number.team()).copied().unwrap_or_default()
    }

    /// The instants at which the agent becomes available.
    pub(super) fn begins(&self) -> [i64; 2] {
        [self.shift.0, self.pause.1]
    }
}

/// Everybody employed.
pub(super) fn employed(records_per_day: f64) -> impl Iterator<Item = AgentNumber> {
    let number = (records_per_day / RECORDS_PER_AGENT).ceil().clamp(FEWEST_AGENTS, 60_000.0) as u16;
    (0..number).map(AgentNumber)
}

/// Everybody employed, with today's shifts.
pub(super) fn roster(records_per_day: f64, calendar: Calendar, random: &mut Random) -> Vec<Agent> {
    // A wave of illness, now and then: the queues of such a day are long.
    let present = if random.chance(0.15) { 0.70 } else { 0.86 };
    employed(records_per_day).map(|number| agent(number, present, calendar, random)).collect()
}

fn agent(number: AgentNumber, present: f64, calendar: Calendar, random: &mut Random) -> Agent {
    let off = Agent { number, shift: (0, 0), pause: (0, 0), busy_until: 0, calls: 0 };
    let (is_here, late, pause) = (random.chance(present), random.between(0, 240), random.between(0, 7_200));
    let Some((opens, closes)) = calendar.open().filter(|_| is_here) else { return off };
    // Early, middle and late shifts of eight and a half hours; a short day has one.
    let begin = opens + random.pick(&[0, 0, 3_600, 7_200, 12_600, 12_600]) + late;
    let short = closes - opens < 8 * 3_600;
    let begin = if short { opens + late } else { begin };
    let end = (begin + 30_600).min(closes);
    let rests = begin + 3 * 3_600 + pause;
    let pause = if short { (0, 0) } else { (rests, rests + 2_700) };
    Agent { shift: (begin, end), pause, ..off }
}
