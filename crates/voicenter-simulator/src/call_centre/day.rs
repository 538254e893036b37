//! One day, event by event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use super::calendar::Calendar;
use super::call::{Call, CallName};
use super::customers::{self, Customer, Spelling};
use super::legs::{Course, Leg, Parties};
use super::outgoing::Errand;
use super::queues::QueueNumber;
use super::staff::{self, Agent};
use crate::intent::{CallDirection, CallOutcome, Initiator};
use crate::options::WorldOptions;
use crate::random::Random;

/// Measured: how many records a call leaves, repeated calls and callbacks included in what the shares below make.
const RECORDS_PER_CALL: f64 = 1.22;
/// Shares of the calls that somebody starts.
const TO_THE_MENU: f64 = 0.55;
const TO_AN_EXTENSION: f64 = 0.08;
const BY_AN_AGENT: f64 = 0.26;
const BY_THE_DIALER: f64 = 0.11;

/// What happens next; an index means a call, or an agent in today's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Menu(Option<Customer>),
    Extension,
    Join(usize, QueueNumber),
    /// The caller in this visit (by number) is at the end of patience, or of what the queue allows.
    Deadline(usize, usize),
    /// The agent picked up, did not, or the caller was faster.
    Rung(usize, usize, Ring),
    TalkEnds(usize, usize),
    Ready(usize),
    Errand(Errand, u8),
    Dial(u8),
    /// A customer picked up for the dialer at the first instant, and waits for an agent until the second.
    Bridge(usize, i64, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ring {
    PickedUp,
    NobodyPickedUp,
    CallerLeft,
}

/// What a waiting caller intends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) gives_up: i64,
    pub(super) presses_key: i64,
    pub(super) is_ringing: bool,
    /// The phone that rings began to do so then.
    pub(super) ringing_since: i64,
}

pub(super) struct Simulation<'a> {
    pub(super) options: &'a WorldOptions,
    pub(super) calendar: Calendar,
    pub(super) open: (i64, i64),
    pub(super) random: Random,
    pub(super) agents: Vec<Agent>,
    pub(super) waiting: [VecDeque<usize>; QueueNumber::COUNT],
    pub(super) calls: Vec<Call>,
    pub(super) callers: HashMap<usize, Caller>,
    /// When each customer was last spoken with.
    pub(super) served: HashMap<Customer, i64>,
    events: BinaryHeap<Reverse<(i64, u32, Event)>>,
    scheduled: u32,
    seed: u64,
}

/// The calls of the local day with this number.
pub(super) fn simulate(options: &WorldOptions, day: i64) -> Vec<Call> {
    let mut random = Random::of(&[options.seed, day as u64, 8]);
    let calendar = Calendar::of(day);
    let agents = staff::roster(options.calls_per_day, calendar, &mut random);
    let mut simulation = Simulation {
        options,
        calendar,
        open: calendar.open().unwrap_or((0, 0)),
        seed: random.next(),
        random,
        agents,
        waiting: Default::default(),
        calls: Vec::new(),
        callers: HashMap::new(),
        served: HashMap::new(),
        events: BinaryHeap::new(),
        scheduled: 0,
    };
    simulation.plan();
    while let Some(Reverse((now, _, event))) = simulation.events.pop() {
        simulation.happen(now, event);
    }
    simulation.calls
}

impl Simulation<'_> {
    /// Schedules what comes from outside, by the hour, and the shifts.
    fn plan(&mut self) {
        let demand = if self.random.chance(0.15) { 1.5 } else { 0.86 + 0.12 * self.random.unit() };
        let calls = self.options.calls_per_day * 7.0 * demand / RECORDS_PER_CALL;
        let hours: Vec<(i64, f64)> = self.calendar.hours().collect();
        for (start, share) in hours {
            // A campaign in the papers, an outage: some hours are a rush that no shift was planned for.
            let rush = if self.random.chance(0.1) { 1.6 } else { 0.94 };
            let mean = calls * share * rush;
            self.plan_some(start, mean * TO_THE_MENU, |_| Event::Menu(None));
            self.plan_some(start, mean * TO_AN_EXTENSION, |_| Event::Extension);
            if self.is_open(start) {
                self.plan_some(start, mean * BY_AN_AGENT, |random| Event::Errand(Errand::any(random), 0));
            }
            // The dialer runs in two sessions.
            let hour = (start - self.open.0) / 3_600;
            if self.is_open(start) && matches!(hour, 2 | 3 | 8 | 9) {
                self.plan_some(start, mean * BY_THE_DIALER * 3.2, |_| Event::Dial(0));
            }
        }
        for agent in 0..self.agents.len() {
            let begins = self.agents.get(agent).map(Agent::begins);
            begins.into_iter().flatten().for_each(|begin| self.schedule(begin, Event::Ready(agent)));
        }
    }

    fn plan_some(&mut self, start: i64, mean: f64, event: impl Fn(&mut Random) -> Event) {
        for _ in 0..self.random.count(mean) {
            let at = start + self.random.between(0, 3_599);
            let event = event(&mut self.random);
            self.schedule(at, event);
        }
    }

    pub(super) fn schedule(&mut self, at: i64, event: Event) {
        self.events.push(Reverse((at, self.scheduled, event)));
        self.scheduled += 1;
    }

    fn happen(&mut self, now: i64, event: Event) {
        match event {
            Event::Menu(customer) => self.enter_menu(now, customer),
            Event::Extension => self.ring_extension(now),
            Event::Join(call, queue) => self.join(now, call, queue),
            Event::Deadline(call, visit) => self.meet_deadline(now, call, visit),
            Event::Rung(call, agent, ring) => self.end_ringing(now, call, agent, ring),
            Event::TalkEnds(call, agent) => self.end_talk(now, call, agent),
            Event::Ready(agent) => self.serve_queues_of(now, agent),
            Event::Errand(errand, tries) => self.run_errand(now, errand, tries),
            Event::Dial(tries) => self.dial(now, tries),
            Event::Bridge(call, picked_up, until) => self.bridge(now, call, picked_up, until),
        }
    }

    pub(super) fn is_open(&self, now: i64) -> bool {
        self.open.0 <= now && now < self.open.1
    }

    pub(super) fn any_customer(&mut self) -> Customer {
        customers::customer(self.options.calls_per_day, &mut self.random)
    }

    /// A new call of the day; its index.
    pub(super) fn begin(
        &mut self,
        now: i64,
        direction: CallDirection,
        customer: Option<(Customer, Spelling)>,
    ) -> usize {
        let seed = Random::of(&[self.seed, self.calls.len() as u64, 10]).next();
        self.calls.push(Call {
            name: CallName { seed, arrived: now },
            started: now,
            ended: now,
            direction,
            initiator: Initiator::Person,
            outcome: CallOutcome::Answered,
            customer,
            keys: [0; 2],
            wait: None,
            talk: 0,
            visits: Vec::new(),
            parts: Vec::new(),
            transfer_answered: None,
            original: None,
            legs: Vec::new(),
        });
        self.calls.len() - 1
    }

    /// Adds a record to a call; what all its records have in common is filled in here.
    pub(super) fn leave_record(&mut self, call: usize, course: Course, parties: Parties) {
        let Some(call) = self.calls.get_mut(call) else { return };
        let keys = if call.legs.is_empty() { call.keys } else { [0; 2] };
        let parties = Parties { customer: call.customer, keys, original: call.original, ..parties };
        let number = call.legs.len() as u64;
        call.legs.push(Leg::new(self.options, call.name, number, course, parties));
    }

    pub(super) fn finish(&mut self, now: i64, call: usize, outcome: CallOutcome) {
        let Some(call) = self.calls.get_mut(call) else { return };
        call.outcome = outcome;
        call.ended = call.ended.max(now);
        let customer = call.customer.map(|(customer, _)| customer);
        if outcome == CallOutcome::Answered
            && let Some(customer) = customer
        {
            self.served.insert(customer, now);
        }
        if call.is_missed()
            && let Some(customer) = customer
        {
            let withheld = matches!(call.customer, Some((_, Spelling::Withheld)));
            self.follow_up(now, customer, withheld);
        }
    }

    /// Whoever was not served calls again, is called back, both, or neither.
    fn follow_up(&mut self, now: i64, customer: Customer, withheld: bool) {
        if self.random.chance(0.5) {
            let later = now + self.random.between(40, 2_400);
            self.schedule(later, Event::Menu(Some(customer)));
        }
        // Nobody can call a withheld number back.
        if !withheld && self.random.chance(0.6) {
            let later = now
                + if self.random.chance(0.7) {
                    self.random.between(180, 3_600)
                } else {
                    self.random.between(3_600, 6 * 3_600)
                };
            self.schedule(later, Event::Errand(Errand::CallBack(customer, now), 0));
        }
    }

    /// The agent's phone is in use until then, some seconds of paperwork included.
    pub(super) fn occupy(&mut self, agent: usize, until: i64, paperwork: (i64, i64)) {
        let ready = until + self.random.between(paperwork.0, paperwork.1);
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.busy_until = ready;
            agent.calls += 1;
        }
        self.schedule(ready, Event::Ready(agent));
    }

    /// Seconds of talk: most calls are short, some last long.
    pub(super) fn talk_time(&mut self, share_of_usual: f64) -> i64 {
        if self.random.chance(self.options.long_share) {
            return self.random.between(1_200, 2_700);
        }
        let unit = self.random.unit();
        let usual = f64::from(self.options.usual_talk) * share_of_usual;
        self.random.between(6, 20) + (unit * unit * unit * usual) as i64
    }
}
