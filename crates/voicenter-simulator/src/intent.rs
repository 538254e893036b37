//! What a call-centre world meant: what each call was, before anything of it became records.

use chrono::{DateTime, TimeDelta, Utc};

/// A call as it happened, for tests of whatever is concluded from its records.
///
/// A transfer has a CallID, and so an intent, of its own, with `original_call` set. The intent of the original
/// already includes what the transfer added: agents, talk and the end. To count calls, leave out those with an
/// `original_call`.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// CallID of all its records.
    pub call_id: String,
    /// Date of its first record. The menu before a queue lies before it: the call log does not show how long it took.
    pub started_at: DateTime<Utc>,
    /// When the last party hung up.
    pub ended_at: DateTime<Utc>,
    /// Who called whom.
    pub direction: CallDirection,
    /// What started it.
    pub initiated_by: Initiator,
    /// How it ended for the party that called (for a dialer's call: for the customer).
    pub outcome: CallOutcome,
    /// The caller reached a person's queue or extension and was not served.
    pub missed: bool,
    /// From the first queue, or the first ring of an extension, to the answer or to the end; `None` if the call was
    /// not incoming or reached neither.
    pub wait_seconds: Option<u32>,
    /// With the customer, all agents together. On hold during a consultation counts.
    pub talk_seconds: u32,
    /// Digits with the country code; `None` if withheld, or if no customer took part.
    pub customer_number: Option<String>,
    /// In the order in which the caller entered them.
    pub queue_visits: Vec<VisitIntent>,
    /// In the order in which they were offered the call, or made it.
    pub agents: Vec<AgentIntent>,
    /// The keys pressed in the menu.
    pub menu_choices: Vec<u8>,
    /// An agent passed the answered call on.
    pub transferred: bool,
    /// Somebody took it then; `None` if it was not transferred.
    pub transfer_answered: Option<bool>,
    /// CallID of the call that this one continues.
    pub original_call: Option<String>,
}

/// A stay in one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct VisitIntent {
    /// QueueName.
    pub queue_name: String,
    /// When the caller entered it.
    pub entered_at: DateTime<Utc>,
    /// In this queue alone.
    pub wait_seconds: u32,
    /// How the stay ended; `None` if the caller went on to the queue `overflowed_to`.
    pub outcome: Option<CallOutcome>,
    /// QueueName of the queue that the caller was passed to.
    pub overflowed_to: Option<String>,
}

/// What one agent did in a call. An agent with two parts in one call has two of these.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentIntent {
    /// RepresentativeCode.
    pub representative_code: String,
    /// The SIP name.
    pub extension: String,
    /// In what capacity.
    pub role: AgentRole,
    /// When the phone began to ring, or the agent began to dial.
    pub started_at: DateTime<Utc>,
    /// How long it rang.
    pub ring_seconds: u32,
    /// The agent spoke with the other side.
    pub answered: bool,
    /// How long they spoke.
    pub talk_seconds: u32,
}

impl AgentIntent {
    /// When the agent hung up, or the phone stopped ringing.
    pub fn ended_at(&self) -> DateTime<Utc> {
        self.started_at + TimeDelta::seconds(i64::from(self.ring_seconds) + i64::from(self.talk_seconds))
    }
}

/// In what capacity an agent takes part in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentRole {
    /// The call came to the agent, from a queue, to the extension, or from a dialer.
    Called,
    /// The agent made the call.
    Caller,
    /// A colleague asked the agent before passing the call on.
    Consulted,
    /// The call was passed on to the agent.
    TransferredTo,
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CallDirection {
    Incoming,
    Outgoing,
    Internal,
}

/// What started a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Initiator {
    /// Somebody dialled.
    Person,
    /// A click in another program.
    Click2Call,
    /// A campaign.
    Dialer,
}

/// How a call ends: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`name` gives the word for each")]
pub enum CallOutcome {
    Answered,
    Abandoned,
    ShortAbandoned,
    NoAnswer,
    Busy,
    Voicemail,
    InMenu,
    RecordingPlayed,
    AfterHours,
    QueueTimeout,
    QueueFull,
    QueueUnstaffed,
    LeftByKey,
    NotDialled,
    Failed,
    DialerAbandoned,
}

impl CallOutcome {
    /// The outcome as one word, such as `queue_timeout`.
    pub const fn name(self) -> &'static str {
        match self {
            CallOutcome::Answered => "answered",
            CallOutcome::Abandoned => "abandoned",
            CallOutcome::ShortAbandoned => "short_abandoned",
            CallOutcome::NoAnswer => "no_answer",
            CallOutcome::Busy => "busy",
            CallOutcome::Voicemail => "voicemail",
            CallOutcome::InMenu => "in_menu",
            CallOutcome::RecordingPlayed => "recording_played",
            CallOutcome::AfterHours => "after_hours",
            CallOutcome::QueueTimeout => "queue_timeout",
            CallOutcome::QueueFull => "queue_full",
            CallOutcome::QueueUnstaffed => "queue_unstaffed",
            CallOutcome::LeftByKey => "left_by_key",
            CallOutcome::NotDialled => "not_dialled",
            CallOutcome::Failed => "failed",
            CallOutcome::DialerAbandoned => "dialer_abandoned",
        }
    }

    /// Returns `true` if an incoming call that ends so is missed.
    pub const fn is_missed(self) -> bool {
        use CallOutcome::{Abandoned, NoAnswer, QueueFull, QueueTimeout, QueueUnstaffed, Voicemail};
        matches!(self, Abandoned | NoAnswer | QueueTimeout | QueueFull | QueueUnstaffed | Voicemail)
    }
}
