//! One call as it happened, and its intent.

use super::customers::{Customer, Spelling};
use super::legs::Leg;
use super::queues::QueueNumber;
use super::staff::AgentNumber;
use crate::intent::{AgentIntent, AgentRole, CallDirection, CallOutcome, Initiator, Intent, VisitIntent};
use crate::record::{call_id, instant};

/// Identifies a call and dates its CallID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallName {
    pub(crate) seed: u64,
    /// When the call reached the company, in seconds since 1970.
    pub(crate) arrived: i64,
}

impl CallName {
    pub(crate) fn call_id(self) -> String {
        call_id(self.seed, self.arrived)
    }
}

/// A call while and after it happens; instants are seconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: CallName,
    pub(super) started: i64,
    pub(super) ended: i64,
    pub(super) direction: CallDirection,
    pub(super) initiator: Initiator,
    pub(super) outcome: CallOutcome,
    pub(super) customer: Option<(Customer, Spelling)>,
    pub(super) keys: [u8; 2],
    pub(super) wait: Option<i64>,
    pub(super) talk: i64,
    pub(super) visits: Vec<Visit>,
    pub(super) parts: Vec<Part>,
    pub(super) transfer_answered: Option<bool>,
    pub(super) original: Option<CallName>,
    pub(super) legs: Vec<Leg>,
}

/// A stay in a queue; `outcome` is `None` while it lasts and after an overflow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) queue: QueueNumber,
    pub(super) entered: i64,
    pub(super) wait: i64,
    pub(super) outcome: Option<CallOutcome>,
    pub(super) overflowed_to: Option<QueueNumber>,
}

/// What an agent did in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) agent: AgentNumber,
    pub(super) role: AgentRole,
    pub(super) started: i64,
    pub(super) ring: i64,
    pub(super) answered: bool,
    pub(super) talk: i64,
}

impl Call {
    pub(super) fn intent(&self) -> Intent {
        let seconds = |value: i64| u32::try_from(value).unwrap_or(0);
        let customer = self.customer.filter(|(_, spelling)| *spelling != Spelling::Withheld);
        Intent {
            call_id: self.name.call_id(),
            started_at: instant(self.started),
            ended_at: instant(self.ended),
            direction: self.direction,
            initiated_by: self.initiator,
            outcome: self.outcome,
            missed: self.is_missed(),
            wait_seconds: self.wait.map(seconds),
            talk_seconds: seconds(self.talk),
            customer_number: customer.map(|(customer, _)| customer.canonical()),
            queue_visits: self.visits.iter().map(Visit::intent).collect(),
            agents: self.parts.iter().map(Part::intent).collect(),
            menu_choices: self.keys.into_iter().filter(|key| *key > 0).collect(),
            transferred: self.transfer_answered.is_some(),
            transfer_answered: self.transfer_answered,
            original_call: self.original.map(CallName::call_id),
        }
    }

    pub(super) fn is_missed(&self) -> bool {
        self.direction == CallDirection::Incoming && self.original.is_none() && self.outcome.is_missed()
    }
}

impl Visit {
    fn intent(&self) -> VisitIntent {
        VisitIntent {
            queue_name: self.queue.department().queue.to_owned(),
            entered_at: instant(self.entered),
            wait_seconds: u32::try_from(self.wait).unwrap_or(0),
            outcome: self.outcome,
            overflowed_to: self.overflowed_to.map(|queue| queue.department().queue.to_owned()),
        }
    }
}

impl Part {
    fn intent(&self) -> AgentIntent {
        AgentIntent {
            representative_code: self.agent.code(),
            extension: self.agent.extension(),
            role: self.role,
            started_at: instant(self.started),
            ring_seconds: u32::try_from(self.ring).unwrap_or(0),
            answered: self.answered,
            talk_seconds: u32::try_from(self.talk).unwrap_or(0),
        }
    }
}
