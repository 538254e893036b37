//! What became of the pushes of each CDR, for comparison with what a receiver has stored.

use chrono::{DateTime, Utc};

/// The pushes of one CDR.
///
/// A mirror's missed pushes are those with `received_at` absent (and the call over for long enough).
#[derive(Clone, Debug, PartialEq)]
pub struct PushTruth {
    /// CallID.
    pub call_id: String,
    /// Type, as it is when the first push is written; the API may show another one later.
    pub call_type: String,
    /// Date, likewise.
    pub started_at: DateTime<Utc>,
    /// When the call was over.
    pub ended_at: DateTime<Utc>,
    /// When the first push is due; `None` if the CDR is never pushed, or was before the simulator's start.
    pub first_at: Option<DateTime<Utc>>,
    /// When the first push with AI data is due; `None` if there is none.
    pub ai_at: Option<DateTime<Utc>>,
    /// When the earliest push that was accepted was sent, by the simulated clock; `None` if none was so far.
    pub received_at: Option<DateTime<Utc>>,
    /// The same of pushes with AI data.
    pub ai_received_at: Option<DateTime<Utc>>,
    /// A push that was accepted had a `type`.
    pub was_type_received: bool,
    /// `actualCallDuration`.
    pub talk_seconds: i32,
    /// `seconds_waiting_in_queue` of a queue's call; the push of any other has 0.
    pub queue_wait_seconds: Option<i32>,
    /// `queueid`; 0 is none.
    pub queue_id: i64,
    /// `time` is the wall clock of the zone, not the epoch.
    pub is_local_time: bool,
}

/// What came of the pushes that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Requests that were sent, repeats included.
    pub sent: u64,
    /// Those with a good answer.
    pub accepted: u64,
    /// Those with another answer, or none.
    pub refused: u64,
    /// Pushes that are not repeated any more.
    pub given_up: u64,
}

impl Deliveries {
    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.given_up += other.given_up;
    }
}
