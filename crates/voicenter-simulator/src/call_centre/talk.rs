//! The end of an answered call: hung up, or passed on to a colleague.

use super::call::Part;
use super::day::Simulation;
use super::legs::{Course, Parties};
use super::staff::AgentNumber;
use crate::calls::CallKind;
use crate::intent::{AgentRole, CallOutcome};

const BLIND_SHARE: f64 = 0.06;
const ATTENDED_SHARE: f64 = 0.03;
const PAPERWORK: (i64, i64) = (5, 35);

impl Simulation<'_> {
    /// An incoming call has been spoken to its end, as far as this agent goes.
    pub(super) fn end_talk(&mut self, now: i64, call: usize, agent: usize) {
        let Some(number) = self.agents.get(agent).map(|agent| agent.number) else { return };
        let ended = match self.random.unit() {
            share if share < BLIND_SHARE => {
                self.pass_on_blindly(now, call, number);
                now
            }
            share if share < BLIND_SHARE + ATTENDED_SHARE => self.pass_on_attended(now, call, number),
            _ => now,
        };
        let Some(ended_call) = self.calls.get_mut(call) else { return };
        let Some(part) = ended_call.parts.iter_mut().rev().find(|part| part.agent == number) else { return };
        part.talk = ended - part.started - part.ring;
        let (ring, talk) = (part.ring, part.talk);
        let (started, is_queued) = (part.started, !ended_call.visits.is_empty());
        ended_call.talk += talk;
        let parties = Parties { agent: Some(number), ..Parties::NOBODY };
        if is_queued {
            self.leave_queue_record(ended, call, "ANSWER", ring, parties);
        } else {
            let department = u8::try_from(number.team()).ok();
            let course = Course { kind: CallKind::Incoming, status: "ANSWER", started, ring, duration: talk };
            self.leave_record(call, course, Parties { department, ..parties });
        }
        self.finish(ended, call, CallOutcome::Answered);
        self.occupy(agent, ended, PAPERWORK);
    }

    /// Any colleague who is at work, of whatever team.
    pub(super) fn colleague(&mut self, now: i64, of: AgentNumber) -> Option<usize> {
        let last = i64::try_from(self.agents.len()).unwrap_or(1) - 1;
        let tries: [i64; 12] = std::array::from_fn(|_| self.random.between(0, last));
        let is_there = |index: &usize| {
            self.agents.get(*index).is_some_and(|agent| agent.number != of && agent.is_on_shift(now))
        };
        tries.into_iter().filter_map(|index| usize::try_from(index).ok()).find(is_there)
    }

    fn is_free(&self, now: i64, agent: usize) -> bool {
        self.agents.get(agent).is_some_and(|agent| agent.is_free(now))
    }

    fn pass_on_blindly(&mut self, now: i64, call: usize, from: AgentNumber) {
        let Some(target) = self.colleague(now, from) else { return };
        let Some(number) = self.agents.get(target).map(|agent| agent.number) else { return };
        let Some(next) = self.continuation(now, call) else { return };
        let picks_up = self.random.chance(0.8);
        let (status, ring, talk) = match self.is_free(now, target) {
            false => ("BUSY", 0, 0),
            true if picks_up => ("ANSWER", self.random.between(2, 15), self.talk_time(0.3)),
            true => ("NOANSWER", self.random.between(15, 25), 0),
        };
        let answered = status == "ANSWER";
        let outcome = match status {
            "ANSWER" => CallOutcome::Answered,
            "BUSY" => CallOutcome::Busy,
            _ => CallOutcome::NoAnswer,
        };
        let role = AgentRole::TransferredTo;
        let part = Part { agent: number, role, started: now, ring, answered, talk };
        let course = Course { kind: CallKind::Transfer, status, started: now, ring, duration: talk };
        self.leave_record(next, course, Parties { agent: Some(number), ..Parties::NOBODY });
        self.continue_with(call, next, &[part]);
        self.finish(now + ring + talk, next, outcome);
        if status != "BUSY" {
            self.occupy(target, now + ring + talk, PAPERWORK);
        }
    }

    /// Returns when the first agent leaves the call: at once if no colleague is free.
    fn pass_on_attended(&mut self, now: i64, call: usize, from: AgentNumber) -> i64 {
        let target = self.colleague(now, from).filter(|target| self.is_free(now, *target));
        let number = target.and_then(|target| self.agents.get(target)).map(|agent| agent.number);
        let (Some(target), Some(number)) = (target, number) else { return now };
        let Some(next) = self.continuation(now, call) else { return now };
        let (ring, asked, talk) =
            (self.random.between(2, 8), self.random.between(8, 50), self.talk_time(0.3));
        let handed_over = now + ring + asked;
        let leg = |kind, started, ring, duration| Course { kind, status: "ANSWER", started, ring, duration };
        let parties = Parties { agent: Some(number), ..Parties::NOBODY };
        let consultation = leg(CallKind::AttendedLeg1, now, ring, asked);
        self.leave_record(next, consultation, Parties { colleague: Some(from), ..parties });
        self.leave_record(next, leg(CallKind::AttendedLeg2, handed_over, 0, talk), parties);
        let part =
            |role, started, ring, talk| Part { agent: number, role, started, ring, answered: true, talk };
        let parts = [
            part(AgentRole::Consulted, now, ring, asked),
            part(AgentRole::TransferredTo, handed_over, 0, talk),
        ];
        self.continue_with(call, next, &parts);
        self.finish(handed_over + talk, next, CallOutcome::Answered);
        self.occupy(target, handed_over + talk, PAPERWORK);
        handed_over
    }

    /// A call that continues another.
    fn continuation(&mut self, now: i64, of: usize) -> Option<usize> {
        let (name, direction, customer) =
            self.calls.get(of).map(|of| (of.name, of.direction, of.customer))?;
        let next = self.begin(now, direction, customer);
        self.calls.get_mut(next)?.original = Some(name);
        Some(next)
    }

    /// What is done in a continuation belongs to the original, too.
    fn continue_with(&mut self, original: usize, next: usize, parts: &[Part]) {
        let is_with_customer = |part: &&Part| part.role != AgentRole::Consulted;
        let talk: i64 = parts.iter().filter(is_with_customer).map(|part| part.talk).sum();
        let ended = parts.iter().map(|part| part.started + part.ring + part.talk).max();
        let answered = parts.iter().any(|part| part.answered);
        for index in [original, next] {
            let Some(call) = self.calls.get_mut(index) else { continue };
            call.parts.extend_from_slice(parts);
            call.talk += talk;
            call.ended = call.ended.max(ended.unwrap_or(0));
        }
        if let Some(call) = self.calls.get_mut(original) {
            call.transfer_answered = Some(answered);
        }
    }
}
