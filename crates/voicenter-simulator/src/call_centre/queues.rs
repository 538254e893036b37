//! The queues: who answers, in what order, and where callers go who wait for too long.

use crate::people::{Department, department_number};

/// A queue, by its place in `QUEUES`; its department has the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueNumber(u8);

pub(super) const SALES: QueueNumber = QueueNumber(0);
pub(super) const SERVICE: QueueNumber = QueueNumber(1);
pub(super) const SUPPORT: QueueNumber = QueueNumber(2);
pub(super) const ACCOUNTS: QueueNumber = QueueNumber(3);
const OVERFLOW: QueueNumber = QueueNumber(4);

/// The queues that each team answers.
pub(super) const TEAM_QUEUES: [&[QueueNumber]; 4] = [&[SALES], &[SERVICE], &[SUPPORT], &[ACCOUNTS, OVERFLOW]];

/// Who gets the next call of those who are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    LongestIdle,
    FewestCalls,
    /// Always the first of the list.
    InOrder,
}

/// Where a caller goes at the queue's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtLimit {
    Overflow(QueueNumber),
    Voicemail,
    HangUp,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) team: usize,
    pub(super) strategy: Strategy,
    /// The longest wait, in seconds.
    pub(super) limit: i64,
    pub(super) at_limit: AtLimit,
    /// Callers that may wait, for each ten agents of the team.
    pub(super) room: usize,
    /// The local second of the day at which its agents log out of it.
    pub(super) closes: u32,
}

const DAY: u32 = 86_400;

static QUEUES: [Queue; 5] = [
    Queue {
        team: 0,
        strategy: Strategy::FewestCalls,
        limit: 120,
        at_limit: AtLimit::Overflow(OVERFLOW),
        room: 20,
        closes: DAY,
    },
    Queue {
        team: 1,
        strategy: Strategy::LongestIdle,
        limit: 300,
        at_limit: AtLimit::Overflow(OVERFLOW),
        room: 16,
        closes: DAY,
    },
    Queue {
        team: 2,
        strategy: Strategy::LongestIdle,
        limit: 1_200,
        at_limit: AtLimit::HangUp,
        room: 18,
        closes: DAY,
    },
    Queue {
        team: 3,
        strategy: Strategy::InOrder,
        limit: 180,
        at_limit: AtLimit::Voicemail,
        room: 12,
        closes: 16 * 3_600,
    },
    Queue {
        team: 3,
        strategy: Strategy::LongestIdle,
        limit: 600,
        at_limit: AtLimit::HangUp,
        room: 12,
        closes: 19 * 3_600,
    },
];

impl QueueNumber {
    pub(super) const COUNT: usize = QUEUES.len();

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn rules(self) -> &'static Queue {
        let [first, ..] = &QUEUES;
        QUEUES.get(self.index()).unwrap_or(first)
    }

    pub(crate) fn department(self) -> &'static Department {
        department_number(self.index())
    }

    /// The key that a caller presses for it in the menu.
    pub(super) fn key(self) -> u8 {
        self.0 + 1
    }
}
