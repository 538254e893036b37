//! The one way to ask: a question in the fullest form that the server accepts, repeated if its form may be to
//! blame.

use chrono::{DateTime, TimeDelta, Utc};

use super::capabilities::{Attempt, AttemptStep, Capabilities, Capability, Form, Reception, Remembered};
use super::error::ApiError;
use super::question::{Fields, Method, Question};
use crate::window::lacking::Lacking;

/// The session of one account: what the replies to all its questions have shown.
#[derive(Clone, Debug)]
pub struct Session {
    method: Method,
    capabilities: Capabilities,
}

/// A question on its way to an answer, sent as often as [`Session::absorb`] requires.
#[derive(Clone, Debug)]
pub struct Asking<T> {
    question: Question,
    attempt: Attempt,
    /// The last reply to a form that the server accepted.
    taken: Option<Result<Asked<T>, ApiError>>,
}

/// An answer, and the fields that its question left out.
#[derive(Clone, Debug)]
pub struct Asked<T> {
    /// The decoded answer, or whatever `send` returned.
    pub answer: T,
    /// The fields that the question left out.
    pub lacking: Lacking,
}

impl<T> Asking<T> {
    /// The question to send now.
    pub fn question(&self) -> &Question {
        &self.question
    }
}

impl Session {
    /// A session that continues from what an earlier one found out.
    pub fn new(method: Method, remembered: &Remembered) -> Self {
        Self { method, capabilities: Capabilities::recalled(remembered) }
    }

    /// What the next session should know.
    pub fn remembered(&self) -> Remembered {
        self.capabilities.remembered()
    }

    /// The capabilities that are left out at present.
    pub fn dropped(&self) -> Form {
        self.capabilities.dropped()
    }

    /// The fields that are left out at present.
    pub fn refused_fields(&self) -> Lacking {
        Form::FULL.minus(self.dropped()).lacking()
    }

    /// Returns `true` if the server is not known to refuse `capability`.
    pub fn has(&self, capability: Capability) -> bool {
        !self.dropped().has(capability)
    }

    /// Notes that the server accepted `capability` but ignored it.
    pub fn ignores(&mut self, capability: Capability, now: DateTime<Utc>) {
        self.capabilities.ignores(capability, now);
    }

    /// Notes that the host's clock was set back: what was due stays due after the same time as before.
    pub fn clock_was_set_back(&mut self, by: TimeDelta) {
        self.capabilities.clock_was_set_back(by);
    }

    /// Starts a question. `essential` is what it cannot leave out without asking something else.
    pub fn begin<T>(&mut self, mut question: Question, essential: Form, now: DateTime<Utc>) -> Asking<T> {
        let wanted = wanted(&question, self.method);
        let (attempt, form) = self.capabilities.begin(wanted, essential, now);
        question.form = form;
        Asking { question, attempt, taken: None }
    }

    /// Takes in a reply. If this returns `None`, [`Asking::question`] is to be sent now.
    pub fn absorb<T>(
        &mut self,
        asking: &mut Asking<T>,
        result: Result<T, ApiError>,
        now: DateTime<Utc>,
    ) -> Option<Result<Asked<T>, ApiError>> {
        let reception = reception(&result);
        let lacking = asking.question.form.lacking();
        let result = result.map(|answer| Asked { answer, lacking });
        let mut failed = None;
        if reception == Reception::Taken {
            asking.taken = Some(result);
        } else {
            failed = Some(result);
        }
        match self.capabilities.absorb(&mut asking.attempt, reception, now) {
            AttemptStep::Request(form) => {
                asking.question.form = form;
                None
            }
            AttemptStep::Take => asking.taken.take().or(failed),
            AttemptStep::GiveUp => failed.or(asking.taken.take()),
        }
    }

    /// Asks a question from beginning to end; `send` sends it, at whatever rate is allowed.
    pub async fn ask<T>(
        &mut self,
        question: Question,
        now: impl Fn() -> DateTime<Utc>,
        mut send: impl AsyncFnMut(&Question) -> Result<T, ApiError>,
    ) -> Result<Asked<T>, ApiError> {
        let mut asking = self.begin(question, Form::BARE, now());
        loop {
            let result = send(asking.question()).await;
            if let Some(asked) = self.absorb(&mut asking, result, now()) {
                return asked;
            }
        }
    }
}

/// The capabilities that a question can use.
fn wanted(question: &Question, method: Method) -> Form {
    let mut wanted = if question.fields == Fields::All { Form::FIELDS } else { Form::BARE };
    // How these look in a query is not documented (docs/voicenter-api.md#get), so a GET goes without them.
    if method == Method::Post {
        wanted = wanted.union(Form::of([Capability::Version]));
        if question.order.is_some() {
            wanted = wanted.union(Form::of([Capability::SortLower, Capability::SortPascal]));
        }
    }
    wanted
}

/// What a reply says about the form of its question.
fn reception<T>(result: &Result<T, ApiError>) -> Reception {
    match result {
        // A server that counts the records has understood the question.
        Ok(_) | Err(ApiError::TooManyRecords { .. } | ApiError::TooLarge { .. }) => Reception::Taken,
        Err(ApiError::Unknown { description, .. }) => Reception::Refused(Form::named_in(description)),
        Err(ApiError::Unreadable { status: 400 | 422 | 500, .. }) => Reception::Failed,
        Err(_) => Reception::Unrelated,
    }
}
