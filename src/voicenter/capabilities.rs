//! Which parts of the newest form of request a server accepts: found out from its replies, and checked again from
//! time to time.
//!
//! Pure: what the server made of the last form goes in, the next form to try comes out. Nothing is dropped on one
//! sign alone: a form must be refused twice and work without the part before the part is left out, and whatever was
//! left out is tried again after some minutes, every day, and at every start.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::window::lacking::Lacking;

/// When something that was just dropped is tried again: an outage of the API rarely lasts that long.
const CONFIRM_AFTER: TimeDelta = TimeDelta::minutes(10);
/// How often something that stays dropped is tried again.
const RETRY_EVERY: TimeDelta = TimeDelta::days(1);

/// Something that not every server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// The field `DateEpoch`, as one of the fields to return.
    DateEpoch,
    /// The field `CdrType`, as one of the fields to return.
    CdrType,
    /// The field `UserName`, as one of the fields to return.
    UserName,
    /// The field `UserId`, as one of the fields to return.
    UserId,
    /// The key `version` of a request.
    Version,
    /// The key `sort` with the field `date`, as the vendor spells it (docs/voicenter-api.md#order).
    SortLower,
    /// The key `sort` with the field `Date`.
    SortPascal,
    /// The search criterion `callID`, for looking up single calls.
    CallId,
    /// The search criterion `cdrTypes`, if the daemon adds it by itself.
    CdrTypes,
}

impl Capability {
    /// Every capability, in the order of the bits of [`Form`].
    pub const ALL: [Self; 9] = [
        // In the order of `Lacking::NAMES`.
        Self::DateEpoch,
        Self::CdrType,
        Self::UserName,
        Self::UserId,
        Self::Version,
        Self::SortLower,
        Self::SortPascal,
        Self::CallId,
        Self::CdrTypes,
    ];

    /// The capability's name in the ledger and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DateEpoch => "DateEpoch",
            Self::CdrType => "CdrType",
            Self::UserName => "UserName",
            Self::UserId => "UserId",
            Self::Version => "version",
            Self::SortLower => "sort by date",
            Self::SortPascal => "sort by Date",
            Self::CallId => "callID",
            Self::CdrTypes => "cdrTypes",
        }
    }

    /// The word by which a server's error message names it.
    fn word(self) -> String {
        self.name().split(' ').next().unwrap_or_default().to_ascii_lowercase()
    }
}

/// A set of capabilities: those that a question uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form(u16);

impl Form {
    /// The empty set: only what every server accepts.
    pub const BARE: Self = Self(0);
    /// The full set of capabilities.
    pub const FULL: Self = Self(0b1_1111_1111);
    /// The extra fields to return.
    pub(super) const FIELDS: Self = Self(0b1111);
    /// What cannot be left out without asking something else.
    const ESSENTIAL: Self = Self(0b1_1000_0000);

    /// The set of these capabilities.
    pub fn of(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self(capabilities.into_iter().fold(0, |bits, one| bits | 1 << one as u16))
    }

    /// Returns `true` if `capability` is in the set.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 >> capability as u16 & 1 == 1
    }

    /// The capabilities in the set.
    pub fn members(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |one| self.has(*one))
    }

    /// The fields that a question in this form leaves out.
    pub fn lacking(self) -> Lacking {
        let left_out = Self::FIELDS.minus(self);
        Lacking::of(left_out.members().map(Capability::name))
    }

    /// The capabilities that a server's error message names.
    pub(super) fn named_in(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        Self::of(Capability::ALL.into_iter().filter(|one| words.contains(&one.word().as_str())))
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn is_bare(self) -> bool {
        self.0 == 0
    }

    const fn holds(self, other: Self) -> bool {
        other.minus(self).is_bare()
    }

    /// The part that is really sent: at most one spelling of `sort`.
    fn on_the_wire(self) -> Self {
        if self.has(Capability::SortLower) { self.minus(Self::of([Capability::SortPascal])) } else { self }
    }
}

/// What a reply says about the form of its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// The server understood the form.
    Taken,
    /// The reply was an error of unknown meaning, whose text names these capabilities.
    Refused(Form),
    /// The reply was an HTTP error, which may be caused by the form or by anything else.
    Failed,
    /// The reply was a problem that has nothing to do with the form.
    Unrelated,
}

/// What to do next about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptStep {
    /// Send the question in this form.
    Request(Form),
    /// Use the last reply to a form that was accepted.
    Take,
    /// Use the last reply: no other form is left to try.
    GiveUp,
}

/// What a server accepts, as far as its replies have shown.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    dropped: Form,
    /// What the server has accepted since the start.
    proven: Form,
    /// Dropped capabilities to be tried with the next question that can use them, one group at a time.
    untried: VecDeque<Form>,
    retry_at: Option<DateTime<Utc>>,
    /// Consecutive refusals of the form in force.
    strikes: u32,
    /// What cannot be left out and was refused once, and whether a question without it was accepted since.
    struck: Form,
    taken_since_struck: bool,
}

/// One question and the forms in which it has been sent.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    wanted: Form,
    essential: Form,
    sent: Form,
    phase: Phase,
    taken: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Sent in the form in force.
    InForce,
    /// Sent without what the server named.
    Named { without: Form },
    /// Sent without anything that could be to blame.
    Bare,
    /// Sent with one group of what was dropped.
    Trying { base: Form, group: Form },
}

/// What is stored in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    dropped: Vec<String>,
}

impl Capabilities {
    /// Starts from what an earlier process found out; all of it is tried again.
    pub fn recalled(remembered: &Remembered) -> Self {
        let known = |one: &Capability| remembered.dropped.iter().any(|name| name == one.name());
        let dropped = Form::of(Capability::ALL.into_iter().filter(known));
        let mut recalled = Self { dropped, ..Self::default() };
        recalled.try_again();
        recalled
    }

    /// What the next process should know.
    pub fn remembered(&self) -> Remembered {
        Remembered { dropped: self.dropped.members().map(|one| one.name().to_owned()).collect() }
    }

    /// The capabilities that are left out at present.
    pub const fn dropped(&self) -> Form {
        self.dropped
    }

    /// Notes that the server accepts `capability` but ignores it: it is then left out.
    pub fn ignores(&mut self, capability: Capability, now: DateTime<Utc>) {
        self.drop(Form::of([capability]), now);
    }

    /// Notes that the host's clock was set back: what was due stays due after the same time as before.
    pub fn clock_was_set_back(&mut self, by: TimeDelta) {
        self.retry_at = self.retry_at.map(|at| at - by);
    }

    /// Starts a question that can use `wanted` and makes no sense without `essential`.
    pub fn begin(&mut self, wanted: Form, essential: Form, now: DateTime<Utc>) -> (Attempt, Form) {
        match self.retry_at {
            Some(at) if at > now => {}
            Some(_) => {
                self.retry_at = Some(now + RETRY_EVERY);
                self.try_again();
            }
            // Dropped by an earlier process, and about to be tried.
            None if !self.dropped.is_bare() => self.retry_at = Some(now + RETRY_EVERY),
            None => {}
        }
        let wanted = wanted.minus(Form::ESSENTIAL);
        let in_force = wanted.minus(self.dropped);
        let sent = in_force.on_the_wire();
        let mut attempt = Attempt { wanted, essential, sent, phase: Phase::InForce, taken: false };
        if essential.is_bare() {
            self.next(&mut attempt, in_force);
        }
        (attempt, attempt.sent)
    }

    /// Tries what was dropped with the next questions that can use it. A criterion is simply used again, and one
    /// more refusal drops it.
    fn try_again(&mut self) {
        let criteria = self.dropped.both(Form::ESSENTIAL);
        if !criteria.is_bare() {
            (self.struck, self.taken_since_struck) = (criteria, true);
        }
        self.dropped = self.dropped.minus(criteria);
        self.untried = VecDeque::from([self.dropped]);
    }

    /// Takes in the result of the form that was sent last.
    pub fn absorb(&mut self, attempt: &mut Attempt, reception: Reception, now: DateTime<Utc>) -> AttemptStep {
        match reception {
            Reception::Taken => self.taken(attempt, now),
            Reception::Refused(_) | Reception::Failed if !attempt.essential.is_bare() => {
                let named = if let Reception::Refused(named) = reception { named } else { Form::BARE };
                self.essential_refused(attempt, named, now)
            }
            Reception::Refused(named) => self.refused(attempt, named.both(attempt.sent), true),
            Reception::Failed => self.refused(attempt, Form::BARE, false),
            Reception::Unrelated => {
                if let Phase::Trying { group, .. } = attempt.phase {
                    self.untried.push_front(group);
                }
                attempt.outcome()
            }
        }
    }

    fn taken(&mut self, attempt: &mut Attempt, now: DateTime<Utc>) -> AttemptStep {
        self.proven = self.proven.union(attempt.sent);
        self.strikes = 0;
        attempt.taken = true;
        if attempt.essential.is_bare() {
            self.taken_since_struck = true;
        } else {
            self.struck = self.struck.minus(attempt.essential);
        }
        match attempt.phase {
            Phase::InForce => AttemptStep::Take,
            Phase::Named { without } => {
                self.drop(without.minus(attempt.essential), now);
                AttemptStep::Take
            }
            Phase::Bare => {
                // Something of all this is to blame, or nothing any more: try each of them.
                let failing = attempt.wanted.minus(self.dropped);
                self.drop(failing, now);
                self.untried.extend([failing.both(Form::FIELDS), failing.minus(Form::FIELDS)]);
                self.next(attempt, Form::BARE)
            }
            Phase::Trying { base, group } => {
                self.dropped = self.dropped.minus(group);
                self.next(attempt, base.union(group))
            }
        }
    }

    fn refused(&mut self, attempt: &mut Attempt, named: Form, at_once: bool) -> AttemptStep {
        if let Phase::Trying { base, group } = attempt.phase {
            let named = named.both(group);
            if !named.is_bare() {
                self.untried.push_front(group.minus(named));
            } else if group.0.count_ones() > 1 {
                let singles: Vec<_> = group.members().map(|one| Form::of([one])).collect();
                singles.into_iter().rev().for_each(|one| self.untried.push_front(one));
            }
            return self.next(attempt, base);
        }
        match attempt.phase {
            Phase::InForce => {
                self.strikes += 1;
                let known = named.is_bare() && self.proven.holds(attempt.sent);
                if attempt.sent.is_bare() {
                    return attempt.outcome();
                }
                if at_once && self.strikes == 1 && !known {
                    return AttemptStep::Request(attempt.sent); // perhaps a passing problem
                }
                // While the API is in trouble, most questions are not worth a second request.
                if self.strikes != 2 && !self.strikes.is_multiple_of(4) {
                    return attempt.outcome();
                }
                if named.is_bare() { self.bare(attempt) } else { self.without(attempt, named) }
            }
            Phase::Named { without } if !named.is_bare() => self.without(attempt, without.union(named)),
            // What the server named was not the reason, or not all of it.
            Phase::Named { .. } if !attempt.sent.is_bare() => self.bare(attempt),
            // The form is not to blame.
            _ => attempt.outcome(),
        }
    }

    fn without(&self, attempt: &mut Attempt, without: Form) -> AttemptStep {
        attempt.phase = Phase::Named { without };
        attempt.sent = attempt.wanted.minus(self.dropped).minus(without).on_the_wire();
        AttemptStep::Request(attempt.sent)
    }

    fn bare(&self, attempt: &mut Attempt) -> AttemptStep {
        attempt.phase = Phase::Bare;
        attempt.sent = Form::BARE;
        AttemptStep::Request(attempt.sent)
    }

    /// Decides about an essential criterion that was refused. It is dropped if it was refused by name twice while
    /// everything else works, or refused, another question accepted, and refused again.
    fn essential_refused(&mut self, attempt: &mut Attempt, named: Form, now: DateTime<Utc>) -> AttemptStep {
        let carried = named.both(attempt.sent.union(attempt.essential));
        if !carried.is_bare() && carried.both(attempt.essential).is_bare() {
            return AttemptStep::GiveUp; // the error is about something else, which the next plain question settles
        }
        let repeated = matches!(attempt.phase, Phase::Named { .. });
        if !carried.is_bare() && self.proven.holds(attempt.sent) && !repeated {
            attempt.phase = Phase::Named { without: attempt.essential };
            return AttemptStep::Request(attempt.sent);
        }
        if repeated || self.struck.holds(attempt.essential) && self.taken_since_struck {
            self.drop(attempt.essential, now);
            self.struck = Form::BARE;
        } else {
            (self.struck, self.taken_since_struck) = (attempt.essential, false);
        }
        AttemptStep::GiveUp
    }

    /// The next dropped group to try beside `base`, which works or is in force.
    fn next(&mut self, attempt: &mut Attempt, base: Form) -> AttemptStep {
        let mut left = VecDeque::new();
        let mut step = None;
        while let Some(untried) = self.untried.pop_front() {
            let untried = untried.both(self.dropped);
            let group = untried.both(attempt.wanted);
            if group == Form::of([Capability::SortPascal]) && base.has(Capability::SortLower) {
                // The question does not need it, so it cannot be tried and is treated as never sent.
                self.dropped = self.dropped.minus(group);
            } else if !group.is_bare() {
                left.extend(Some(untried.minus(group)).filter(|rest| !rest.is_bare()));
                attempt.phase = Phase::Trying { base, group };
                attempt.sent = base.union(group).on_the_wire();
                step = Some(AttemptStep::Request(attempt.sent));
                break;
            } else if !untried.is_bare() {
                left.push_back(untried);
            }
        }
        self.untried.extend(left);
        if self.dropped.is_bare() {
            self.retry_at = None;
        }
        if let Some(step) = step {
            return step;
        }
        if attempt.taken {
            return AttemptStep::Take;
        }
        attempt.phase = Phase::InForce;
        attempt.sent = base.on_the_wire();
        AttemptStep::Request(attempt.sent)
    }

    fn drop(&mut self, form: Form, now: DateTime<Utc>) {
        self.dropped = self.dropped.union(form);
        self.retry_at = Some(now + CONFIRM_AFTER);
    }
}

impl Attempt {
    fn outcome(&self) -> AttemptStep {
        if self.taken { AttemptStep::Take } else { AttemptStep::GiveUp }
    }
}

#[cfg(test)]
mod tests;
