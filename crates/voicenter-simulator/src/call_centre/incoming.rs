//! Calls from outside: the menu, the queues, extensions.

use super::call::{Part, Visit};
use super::customers::{self, Customer};
use super::day::{Caller, Event, Ring, Simulation};
use super::legs::{Course, Parties};
use super::queues::{ACCOUNTS, AtLimit, QueueNumber, SALES, SERVICE, SUPPORT, Strategy};
use super::staff::Agent;
use crate::calls::CallKind;
use crate::intent::{AgentRole, CallDirection, CallOutcome};

/// How long an agent's phone rings before the queue tries another.
const RINGS_FOR: i64 = 15;
/// Who hangs up in a queue sooner than this did not really wait.
const SHORT: i64 = 10;

impl Simulation<'_> {
    /// Somebody calls the company's number. Who calls again was not served before, and does not if they were since.
    pub(super) fn enter_menu(&mut self, now: i64, again: Option<Customer>) {
        if let Some(customer) = again
            && self.served.get(&customer).is_some_and(|served| *served > now - 2_400)
        {
            return;
        }
        let customer = again.unwrap_or_else(|| self.any_customer());
        let spelling = customers::incoming_spelling(&mut self.random);
        let call = self.begin(now, CallDirection::Incoming, Some((customer, spelling)));
        if !self.is_open(now) {
            return self.play(now, call, "TE", CallOutcome::AfterHours);
        }
        match self.random.between(0, 99) {
            0..=7 => self.play(now, call, "VOEND", CallOutcome::InMenu),
            8..=10 => self.play(now, call, "TE", CallOutcome::RecordingPlayed),
            _ => {
                let queue = self.random.weighted(&[(28, SALES), (38, SERVICE), (25, SUPPORT), (9, ACCOUNTS)]);
                let language = if self.random.chance(0.3) { self.random.between(1, 2) as u8 } else { 0 };
                let in_menu = self.random.between(4, 40);
                if let Some(call) = self.calls.get_mut(call) {
                    call.keys = [queue.key(), language];
                    call.started = now + in_menu;
                }
                self.schedule(now + in_menu, Event::Join(call, queue));
            }
        }
    }

    fn play(&mut self, now: i64, call: usize, status: &'static str, outcome: CallOutcome) {
        let duration = self.random.between(3, 45);
        let course = Course { kind: CallKind::Incoming, status, started: now, ring: 0, duration };
        self.leave_record(call, course, Parties { department: Some(1), ..Parties::NOBODY });
        self.finish(now + duration, call, outcome);
    }

    pub(super) fn join(&mut self, now: i64, call: usize, queue: QueueNumber) {
        let visit = Visit { queue, entered: now, wait: 0, outcome: None, overflowed_to: None };
        let Some(visits) = self.calls.get_mut(call).map(|call| &mut call.visits) else { return };
        visits.push(visit);
        let number = visits.len() - 1;
        let rules = queue.rules();
        let logged_in = self.logged_in(now, queue);
        let room = (rules.room * logged_in / 10).max(4);
        let waiting = self.waiting.get(queue.index()).map_or(0, std::collections::VecDeque::len);
        if logged_in == 0 {
            return self.leave(now, call, "JOINEMPTY", CallOutcome::QueueUnstaffed);
        }
        if waiting >= room {
            return self.leave(now, call, "FULL", CallOutcome::QueueFull);
        }
        let fresh = Caller {
            gives_up: now + self.patience(),
            presses_key: if self.random.chance(0.04) { now + self.random.between(20, 150) } else { i64::MAX },
            is_ringing: false,
            ringing_since: 0,
        };
        let caller = *self.callers.entry(call).or_insert(fresh);
        let deadline = caller.gives_up.min(caller.presses_key).min(now + rules.limit).max(now + 1);
        self.schedule(deadline, Event::Deadline(call, number));
        if let Some(waiting) = self.waiting.get_mut(queue.index()) {
            waiting.push_back(call);
        }
        self.serve(now, queue);
    }

    /// Some hang up at once, most within minutes, and a few wait for half an hour.
    fn patience(&mut self) -> i64 {
        if self.random.chance(0.03) {
            return self.random.between(2, 9);
        }
        let unit = self.random.unit();
        15 + (210.0 * unit / (1.04 - unit)) as i64
    }

    fn logged_in(&self, now: i64, queue: QueueNumber) -> usize {
        let rules = queue.rules();
        if self.calendar.at(rules.closes).is_some_and(|closes| now >= closes) {
            return 0;
        }
        self.agents.iter().filter(|agent| agent.number.team() == rules.team && agent.is_on_shift(now)).count()
    }

    pub(super) fn meet_deadline(&mut self, now: i64, call: usize, visit: usize) {
        let Some(caller) = self.callers.get(&call).copied().filter(|caller| !caller.is_ringing) else {
            return;
        };
        let visits = self.calls.get(call).map(|call| &call.visits);
        let current = visits.and_then(|visits| visits.last().filter(|_| visits.len() == visit + 1)).copied();
        let Some(current) = current.filter(|current| current.outcome.is_none()) else { return };
        if let Some(waiting) = self.waiting.get_mut(current.queue.index()) {
            waiting.retain(|waiting| *waiting != call);
        }
        self.give_up(now, call, caller);
    }

    /// A caller leaves the queue unserved, for the reason that came first.
    fn give_up(&mut self, now: i64, call: usize, caller: Caller) {
        if caller.gives_up <= now {
            let waited = self.waited_before(call) + now - self.entered(call);
            let short = waited < SHORT;
            let outcome = if short { CallOutcome::ShortAbandoned } else { CallOutcome::Abandoned };
            self.leave(now, call, "ABANDONE", outcome);
        } else if caller.presses_key <= now {
            self.leave(now, call, "EXIT", CallOutcome::LeftByKey);
        } else {
            self.leave(now, call, "TIMEOUT", CallOutcome::QueueTimeout);
        }
    }

    fn entered(&self, call: usize) -> i64 {
        self.calls.get(call).and_then(|call| call.visits.last()).map_or(0, |visit| visit.entered)
    }

    fn waited_before(&self, call: usize) -> i64 {
        self.calls.get(call).map_or(0, |call| call.visits.iter().map(|visit| visit.wait).sum())
    }

    fn leave(&mut self, now: i64, call: usize, status: &'static str, outcome: CallOutcome) {
        let Some(queue) = self.close_visit(now, call, outcome) else { return };
        self.leave_queue_record(now, call, status, 0, Parties::NOBODY);
        match queue.rules().at_limit {
            AtLimit::Overflow(next) if outcome == CallOutcome::QueueTimeout => {
                let visit = self.calls.get_mut(call).and_then(|call| call.visits.last_mut());
                if let Some(visit) = visit {
                    (visit.outcome, visit.overflowed_to) = (None, Some(next));
                }
                self.join(now, call, next);
            }
            AtLimit::Voicemail if outcome == CallOutcome::QueueTimeout && self.random.chance(0.7) => {
                let duration = self.random.between(8, 90);
                let course = Course {
                    kind: CallKind::VoiceMail,
                    status: "VOICEMAIL",
                    started: now,
                    ring: 0,
                    duration,
                };
                self.leave_record(call, course, Parties { department: Some(3), ..Parties::NOBODY });
                self.finish(now + duration, call, CallOutcome::Voicemail);
            }
            _ => self.finish(now, call, outcome),
        }
    }

    /// Ends the caller's stay in the present queue.
    fn close_visit(&mut self, now: i64, call: usize, outcome: CallOutcome) -> Option<QueueNumber> {
        let call = self.calls.get_mut(call)?;
        let visit = call.visits.last_mut()?;
        visit.wait = now - visit.entered;
        visit.outcome = Some(outcome);
        let queue = visit.queue;
        call.wait = Some(call.visits.iter().map(|visit| visit.wait).sum());
        Some(queue)
    }

    /// The record of the present visit, which ends now. Of two, the second is an "Incoming Call".
    pub(super) fn leave_queue_record(
        &mut self,
        now: i64,
        call: usize,
        status: &'static str,
        ring: i64,
        parties: Parties,
    ) {
        let visits = self.calls.get(call).map(|call| (call.visits.len(), call.visits.last().copied()));
        let Some((count, Some(visit))) = visits else { return };
        let kind = if count == 1 { CallKind::Queue } else { CallKind::Incoming };
        let course = Course { kind, status, started: visit.entered, ring, duration: now - visit.entered };
        let department = u8::try_from(visit.queue.index()).ok();
        self.leave_record(call, course, Parties { queue: Some(visit.queue), department, ..parties });
    }

    /// Offers those who wait longest to whoever is free.
    pub(super) fn serve(&mut self, now: i64, queue: QueueNumber) {
        while let Some(call) = self.waiting.get(queue.index()).and_then(|waiting| waiting.front()).copied() {
            let Some(agent) = self.free_agent(now, queue) else { return };
            if let Some(waiting) = self.waiting.get_mut(queue.index()) {
                waiting.pop_front();
            }
            self.offer(now, call, agent);
        }
    }

    fn free_agent(&self, now: i64, queue: QueueNumber) -> Option<usize> {
        let rules = queue.rules();
        let free = |agent: &Agent| agent.number.team() == rules.team && agent.is_free(now);
        let free = self.agents.iter().enumerate().filter(|(_, agent)| free(agent));
        let order = |(index, agent): &(usize, &Agent)| match rules.strategy {
            Strategy::LongestIdle => (agent.busy_until, *index),
            Strategy::FewestCalls => (i64::from(agent.calls), *index),
            Strategy::InOrder => (0, *index),
        };
        free.min_by_key(order).map(|(index, _)| index)
    }

    pub(super) fn serve_queues_of(&mut self, now: i64, agent: usize) {
        let Some(agent) = self.agents.get(agent).filter(|agent| agent.is_free(now)) else { return };
        for queue in agent.queues() {
            self.serve(now, *queue);
        }
    }

    fn offer(&mut self, now: i64, call: usize, agent: usize) {
        let picks_up = self.random.chance(0.95);
        let ring = if picks_up { self.random.between(2, 12) } else { RINGS_FOR };
        let Some(caller) = self.callers.get_mut(&call) else { return };
        (caller.is_ringing, caller.ringing_since) = (true, now);
        // A phone that rings may ring on past the limit of the queue, but not past the caller's patience.
        let leaves = caller.gives_up.min(caller.presses_key);
        let (at, end) = match now + ring {
            answer if answer >= leaves => (leaves.max(now), Ring::CallerLeft),
            answer if picks_up => (answer, Ring::PickedUp),
            answer => (answer, Ring::NobodyPickedUp),
        };
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.busy_until = i64::MAX;
        }
        self.schedule(at, Event::Rung(call, agent, end));
    }

    pub(super) fn end_ringing(&mut self, now: i64, call: usize, agent: usize, end: Ring) {
        let Some(caller) = self.callers.get_mut(&call) else { return };
        caller.is_ringing = false;
        let caller = *caller;
        let ring = now - caller.ringing_since;
        let Some(number) = self.agents.get(agent).map(|agent| agent.number) else { return };
        let answered = end == Ring::PickedUp;
        let role = AgentRole::Called;
        let part = Part { agent: number, role, started: caller.ringing_since, ring, answered, talk: 0 };
        if let Some(call) = self.calls.get_mut(call) {
            call.parts.push(part);
        }
        match end {
            Ring::PickedUp => {
                self.close_visit(now, call, CallOutcome::Answered);
                let talk = self.talk_time(0.42);
                self.schedule(now + talk, Event::TalkEnds(call, agent));
            }
            Ring::CallerLeft => {
                self.occupy(agent, now, (1, 3));
                self.give_up(now, call, caller);
            }
            Ring::NobodyPickedUp => {
                // The agent has left the desk for a moment; the caller stays the first.
                self.occupy(agent, now, (20, 120));
                let visit =
                    self.calls.get(call).and_then(|call| Some((call.visits.len(), *call.visits.last()?)));
                let Some((visits, visit)) = visit else { return };
                if let Some(waiting) = self.waiting.get_mut(visit.queue.index()) {
                    waiting.push_front(call);
                }
                let deadline = caller.gives_up.min(caller.presses_key);
                let deadline = deadline.min(visit.entered + visit.queue.rules().limit).max(now);
                self.schedule(deadline, Event::Deadline(call, visits - 1));
                self.serve(now, visit.queue);
            }
        }
    }

    /// Somebody calls an agent's own number.
    pub(super) fn ring_extension(&mut self, now: i64) {
        let last = i64::try_from(self.agents.len()).unwrap_or(1) - 1;
        let tries: [i64; 3] = std::array::from_fn(|_| self.random.between(0, last));
        let tries = tries.map(|index| usize::try_from(index).unwrap_or(0));
        // Who calls an extension often knows when its owner has time.
        let is_free = |index: &usize| self.agents.get(*index).is_some_and(|agent| agent.busy_until <= now);
        let index = tries.into_iter().find(is_free).unwrap_or(tries[0]);
        let Some(agent) = self.agents.get(index).cloned() else { return };
        let customer = self.any_customer();
        let spelling = customers::incoming_spelling(&mut self.random);
        let call = self.begin(now, CallDirection::Incoming, Some((customer, spelling)));
        let on_shift = agent.is_on_shift(now);
        // A forwarded call reaches an agent who is not at work; a phone in use is busy wherever it is.
        let forwarded = !on_shift && self.random.chance(0.4);
        let kind = if forwarded { CallKind::AutoForward } else { CallKind::Incoming };
        let is_there = (on_shift || forwarded) && agent.busy_until <= now;
        let ring = self.random.between(3, 25);
        let department = u8::try_from(agent.number.team()).ok();
        let parties = Parties { agent: Some(agent.number), department, ..Parties::NOBODY };
        let (status, outcome) = match self.random.between(0, 99) {
            _ if agent.busy_until > now => ("BUSY", CallOutcome::Busy),
            0..=77 if is_there => ("ANSWER", CallOutcome::Answered),
            0..=89 => ("NOANSWER", CallOutcome::NoAnswer),
            _ => ("CANCEL", CallOutcome::NoAnswer),
        };
        let ring = if outcome == CallOutcome::Busy { 0 } else { ring };
        let answered = outcome == CallOutcome::Answered;
        let part =
            Part { agent: agent.number, role: AgentRole::Called, started: now, ring, answered, talk: 0 };
        if let Some(call) = self.calls.get_mut(call) {
            call.parts.push(part);
            call.wait = (ring > 0).then_some(ring);
        }
        if is_there {
            self.hold(index);
        }
        if answered && !forwarded {
            let talk = self.talk_time(0.3);
            self.schedule(now + ring + talk, Event::TalkEnds(call, index));
            return;
        }
        let talk = if answered { self.talk_time(0.2) } else { 0 };
        if let Some(call) = self.calls.get_mut(call) {
            call.talk = talk;
            call.parts.iter_mut().for_each(|part| part.talk = talk);
        }
        self.leave_record(call, Course { kind, status, started: now, ring, duration: talk }, parties);
        self.finish(now + ring + talk, call, outcome);
        if is_there {
            self.occupy(index, now + ring + talk, (2, 10));
        }
    }

    pub(super) fn hold(&mut self, agent: usize) {
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.busy_until = i64::MAX;
        }
    }
}
