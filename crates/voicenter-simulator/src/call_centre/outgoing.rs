//! Calls that agents and the dialer make.

use super::call::Part;
use super::customers::{self, Customer};
use super::day::{Event, Simulation};
use super::legs::{Course, Parties};
use super::staff::AgentNumber;
use crate::calls::CallKind;
use crate::intent::{AgentRole, CallDirection, CallOutcome, Initiator};
use crate::random::Random;

const MOST_TRIES: u8 = 12;
const PAPERWORK: (i64, i64) = (3, 20);
/// How often the dialer calls without keeping an agent ready, when there is one and when there is none.
const UNRESERVED: f64 = 0.06;
const OVERDIALLED: f64 = 0.015;
/// The team that the dialer calls for.
const DIALER_TEAM: usize = 0;

/// A reason to call somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    #[default]
    Customer,
    Colleague,
    /// Somebody was not served at that instant.
    CallBack(Customer, i64),
}

impl Errand {
    pub(super) fn any(random: &mut Random) -> Self {
        random.weighted(&[(84, Errand::Customer), (16, Errand::Colleague)])
    }
}

/// What became of dialling somebody.
#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    status: &'static str,
    outcome: Option<CallOutcome>,
    rings: bool,
}

const fn attempt(status: &'static str, outcome: CallOutcome, rings: bool) -> Attempt {
    Attempt { status, outcome: Some(outcome), rings }
}

const ANSWER: Attempt = attempt("ANSWER", CallOutcome::Answered, true);
const NO_ANSWER: Attempt = attempt("NOANSWER", CallOutcome::NoAnswer, true);
const BUSY: Attempt = attempt("BUSY", CallOutcome::Busy, false);
const CANCEL: Attempt = attempt("CANCEL", CallOutcome::NoAnswer, true);
const CONGESTION: Attempt = attempt("CONGESTION", CallOutcome::Failed, false);
const UNAVAILABLE: Attempt = attempt("CHANUNAVAIL", CallOutcome::Failed, false);
const NOT_DIALLED: Attempt = attempt("NOTDIALED", CallOutcome::NotDialled, false);

const BY_HAND: [(u32, Attempt); 7] = [
    (66, ANSWER),
    (18, NO_ANSWER),
    (6, BUSY),
    (6, CANCEL),
    (2, CONGESTION),
    (1, UNAVAILABLE),
    (1, NOT_DIALLED),
];
const BY_DIALER: [(u32, Attempt); 5] =
    [(45, ANSWER), (40, NO_ANSWER), (8, BUSY), (3, CONGESTION), (4, UNAVAILABLE)];

impl Simulation<'_> {
    /// Somebody who is free makes a call, or later, or nobody.
    pub(super) fn run_errand(&mut self, now: i64, errand: Errand, tries: u8) {
        if let Errand::CallBack(customer, missed) = errand
            && self.served.get(&customer).is_some_and(|served| *served > missed)
        {
            return;
        }
        if !self.is_open(now) || tries > MOST_TRIES {
            return;
        }
        let Some((agent, number)) = self.idle_agent(now) else {
            let later = now + self.random.between(90, 480);
            return self.schedule(later, Event::Errand(errand, tries + 1));
        };
        match errand {
            Errand::Colleague => self.call_colleague(now, agent, number),
            Errand::Customer => {
                let customer = self.any_customer();
                self.call_customer(now, agent, number, customer);
            }
            Errand::CallBack(customer, _) => self.call_customer(now, agent, number, customer),
        }
    }

    /// Somebody who is free and for whom nobody waits.
    fn idle_agent(&mut self, now: i64) -> Option<(usize, AgentNumber)> {
        let idle = |agent: &super::staff::Agent| {
            let waits = |queue: &super::queues::QueueNumber| {
                self.waiting.get(queue.index()).is_some_and(|waiting| !waiting.is_empty())
            };
            agent.is_free(now) && !agent.queues().iter().any(waits)
        };
        let idle = self.agents.iter().enumerate().filter(|(_, agent)| idle(agent));
        idle.min_by_key(|(_, agent)| agent.busy_until).map(|(index, agent)| (index, agent.number))
    }

    fn call_customer(&mut self, now: i64, agent: usize, number: AgentNumber, customer: Customer) {
        let spelling = customers::dialled_spelling(&mut self.random);
        let call = self.begin(now, CallDirection::Outgoing, Some((customer, spelling)));
        let clicks = self.random.chance(0.2);
        let first_ring = if clicks { self.random.between(2, 9) } else { 0 };
        if clicks {
            self.set_initiator(call, Initiator::Click2Call);
            if self.random.chance(0.08) {
                return self.miss_click(now, call, agent, number);
            }
        }
        let attempt = self.random.weighted(&BY_HAND);
        let answered = attempt.outcome == Some(CallOutcome::Answered);
        let ring = if attempt.rings { self.random.between(4, 30) } else { 0 };
        let talk = if answered { self.talk_time(0.3) } else { 0 };
        let parties = Parties { agent: Some(number), ..Parties::NOBODY };
        let dialled = now + first_ring;
        if clicks {
            let leg1 = Course {
                kind: CallKind::Click2CallLeg1,
                status: "ANSWER",
                started: now,
                ring: first_ring,
                duration: ring + talk,
            };
            self.leave_record(call, leg1, parties);
        }
        let kind = if clicks { CallKind::Click2CallLeg2 } else { CallKind::Outgoing };
        let course = Course { kind, status: attempt.status, started: dialled, ring, duration: talk };
        self.leave_record(call, course, parties);
        let part = Part {
            agent: number,
            role: AgentRole::Caller,
            started: now,
            ring: first_ring + ring,
            answered,
            talk,
        };
        self.conclude(call, part, attempt.outcome.unwrap_or(CallOutcome::Failed));
        self.occupy(agent, dialled + ring + talk, PAPERWORK);
    }

    /// Click2Call rings the agent first, who does not pick up: the customer is never dialled.
    fn miss_click(&mut self, now: i64, call: usize, agent: usize, number: AgentNumber) {
        let ring = 20;
        let parties = Parties { agent: Some(number), ..Parties::NOBODY };
        let leg = |kind, status, ring| Course { kind, status, started: now, ring, duration: 0 };
        self.leave_record(call, leg(CallKind::Click2CallLeg1, "NOANSWER", ring), parties);
        if self.random.chance(0.5) {
            self.leave_record(call, leg(CallKind::Click2CallLeg2, "NOTDIALED", 0), parties);
        }
        let part =
            Part { agent: number, role: AgentRole::Caller, started: now, ring, answered: false, talk: 0 };
        self.conclude(call, part, CallOutcome::NotDialled);
        self.occupy(agent, now + ring, (20, 90));
    }

    fn call_colleague(&mut self, now: i64, agent: usize, number: AgentNumber) {
        // The list of extensions shows who is on the phone, but not always in time.
        let tries: [Option<usize>; 3] = std::array::from_fn(|_| self.colleague(now, number));
        let is_free = |target: &usize| self.agents.get(*target).is_some_and(|agent| agent.is_free(now));
        let blind = tries[0].filter(|_| self.random.chance(0.2));
        let Some(target) = tries.into_iter().flatten().find(is_free).or(blind) else { return };
        let Some(callee) = self.agents.get(target).map(|agent| (agent.number, agent.is_free(now))) else {
            return;
        };
        let (callee, is_free) = callee;
        let call = self.begin(now, CallDirection::Internal, None);
        let attempt = match is_free {
            false => BUSY,
            true => self.random.weighted(&[(82, ANSWER), (18, NO_ANSWER)]),
        };
        let answered = attempt.outcome == Some(CallOutcome::Answered);
        let ring = if attempt.rings { self.random.between(2, 15) } else { 0 };
        let talk = if answered { self.talk_time(0.12) } else { 0 };
        let course =
            Course { kind: CallKind::Outgoing, status: attempt.status, started: now, ring, duration: talk };
        self.leave_record(
            call,
            course,
            Parties { agent: Some(number), colleague: Some(callee), ..Parties::NOBODY },
        );
        let part = |agent, role| Part { agent, role, started: now, ring, answered, talk };
        self.conclude(call, part(number, AgentRole::Caller), attempt.outcome.unwrap_or(CallOutcome::Failed));
        if is_free {
            if let Some(call) = self.calls.get_mut(call) {
                call.parts.push(part(callee, AgentRole::Called));
            }
            self.occupy(target, now + ring + talk, (1, 5));
        }
        self.occupy(agent, now + ring + talk, (1, 5));
    }

    /// The dialer calls a customer. It usually keeps an agent ready; if it does not, the customer may have to wait.
    pub(super) fn dial(&mut self, now: i64, tries: u8) {
        if !self.is_open(now) || tries > MOST_TRIES {
            return;
        }
        let ready = self.dialer_agent(now);
        if ready.is_none() && !self.random.chance(OVERDIALLED) {
            let later = now + self.random.between(60, 400);
            return self.schedule(later, Event::Dial(tries + 1));
        }
        let ready = ready.filter(|_| !self.random.chance(UNRESERVED));
        let customer = self.any_customer();
        let spelling = customers::dialled_spelling(&mut self.random);
        let call = self.begin(now, CallDirection::Outgoing, Some((customer, spelling)));
        self.set_initiator(call, Initiator::Dialer);
        let attempt = self.random.weighted(&BY_DIALER);
        let ring = if attempt.rings { self.random.between(4, 25) } else { 0 };
        if attempt.outcome == Some(CallOutcome::Answered) {
            match ready {
                Some(agent) => self.connect(now + ring, call, now + ring, agent),
                None => {
                    let patience = self.random.between(4, 25);
                    self.schedule(now + ring, Event::Bridge(call, now + ring, now + ring + patience));
                }
            }
            return;
        }
        let kind = CallKind::ProductiveLeg2;
        let course = Course { kind, status: attempt.status, started: now, ring, duration: 0 };
        self.leave_record(call, course, Parties::NOBODY);
        self.finish(now + ring, call, attempt.outcome.unwrap_or(CallOutcome::Failed));
        if let Some((agent, _)) = ready {
            self.occupy(agent, now + ring, (0, 2));
        }
    }

    fn dialer_agent(&self, now: i64) -> Option<(usize, AgentNumber)> {
        let mut agents = self.agents.iter().enumerate();
        let found = agents.find(|(_, agent)| agent.number.team() == DIALER_TEAM && agent.is_free(now));
        found.map(|(index, agent)| (index, agent.number))
    }

    /// Connects a customer who picked up for the dialer to whoever is free; nobody waits for long.
    pub(super) fn bridge(&mut self, now: i64, call: usize, picked_up: i64, until: i64) {
        match self.dialer_agent(now) {
            Some(agent) => self.connect(now, call, picked_up, agent),
            None if now < until => {
                self.schedule((now + 2).min(until), Event::Bridge(call, picked_up, until));
            }
            None => {
                self.leave_dialer_records(now, call, picked_up, None);
                self.finish(now, call, CallOutcome::DialerAbandoned);
            }
        }
    }

    fn connect(&mut self, now: i64, call: usize, picked_up: i64, (agent, number): (usize, AgentNumber)) {
        let talk = self.talk_time(0.3);
        self.leave_dialer_records(now, call, picked_up, Some((number, talk)));
        let role = AgentRole::Called;
        let part = Part { agent: number, role, started: now, ring: 0, answered: true, talk };
        self.conclude(call, part, CallOutcome::Answered);
        self.occupy(agent, now + talk, PAPERWORK);
    }

    /// The customer's leg lasts from the pick-up on, the waiting included; the agent's begins `now`, or rang in vain.
    fn leave_dialer_records(
        &mut self,
        now: i64,
        call: usize,
        picked_up: i64,
        agent: Option<(AgentNumber, i64)>,
    ) {
        let Some(dialled) = self.calls.get(call).map(|call| call.started) else { return };
        let talk = agent.map_or(0, |(_, talk)| talk);
        let parties = Parties { agent: agent.map(|(agent, _)| agent), ..Parties::NOBODY };
        let agents_side = match agent {
            Some(_) => ("ANSWER", now, 0),
            None => ("NOANSWER", picked_up, now - picked_up),
        };
        let (status, started, ring) = agents_side;
        let leg1 = Course { kind: CallKind::ProductiveLeg1, status, started, ring, duration: talk };
        let leg2 = Course {
            kind: CallKind::ProductiveLeg2,
            status: "ANSWER",
            started: dialled,
            ring: picked_up - dialled,
            duration: now - picked_up + talk,
        };
        self.leave_record(call, leg2, parties);
        self.leave_record(call, leg1, parties);
    }

    fn set_initiator(&mut self, call: usize, initiator: Initiator) {
        if let Some(call) = self.calls.get_mut(call) {
            call.initiator = initiator;
        }
    }

    /// Ends a call in which one agent took part.
    fn conclude(&mut self, call: usize, part: Part, outcome: CallOutcome) {
        if let Some(call) = self.calls.get_mut(call) {
            call.talk = part.talk;
            call.parts.push(part);
        }
        self.finish(part.started + part.ring + part.talk, call, outcome);
    }
}
