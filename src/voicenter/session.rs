//! The one way to ask: a question in the fullest form that the server takes, and again where its form may be to blame.

use chrono::{DateTime, TimeDelta, Utc};

use super::capabilities::{Attempt, AttemptStep, Capabilities, Capability, Form, Reception, Remembered};
use super::error::ApiError;
use super::question::{Fields, Method, Question};
use crate::window::lacking::Lacking;

/// All questions of one account, and what their replies have shown.
#[derive(Clone, Debug)]
pub struct Session {
    method: Method,
    capabilities: Capabilities,
}

/// A question on its way to an answer: sent as often as [`Session::absorb`] says so.
#[derive(Clone, Debug)]
pub struct Asking<T> {
    question: Question,
    attempt: Attempt,
    /// The last reply to a form that the server took.
    taken: Option<Result<Asked<T>, ApiError>>,
}

/// An answer, and what it was not asked for.
#[derive(Clone, Debug)]
pub struct Asked<T> {
    /// The answer.
    pub answer: T,
    /// The fields that the question left out.
    pub lacking: Lacking,
}

impl<T> Asking<T> {
    /// What is to be sent now.
    pub fn question(&self) -> &Question {
        &self.question
    }
}

impl Session {
    /// A session that goes on from what an earlier one found out.
    pub fn new(method: Method, remembered: &Remembered) -> Self {
        Self { method, capabilities: Capabilities::recalled(remembered) }
    }

    /// What the next session should know.
    pub fn remembered(&self) -> Remembered {
        self.capabilities.remembered()
    }

    /// What is left out at present.
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

    /// The server took `capability` and did something else.
    pub fn ignores(&mut self, capability: Capability, now: DateTime<Utc>) {
        self.capabilities.ignores(capability, now);
    }

    /// The host's clock was set back: what was due is due after the same time as before.
    pub fn clock_was_set_back(&mut self, by: TimeDelta) {
        self.capabilities.clock_was_set_back(by);
    }

    /// Begins with a question; without `essential` it would be another one.
    pub fn begin<T>(&mut self, mut question: Question, essential: Form, now: DateTime<Utc>) -> Asking<T> {
        let wanted = wanted(&question, self.method);
        let (attempt, form) = self.capabilities.begin(wanted, essential, now);
        question.form = form;
        Asking { question, attempt, taken: None }
    }

    /// Takes in what came. `None`: [`Asking::question`] is to be sent now.
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

    /// Asks a question from beginning to end; `send` sends it, at whatever pace is due.
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

/// What a question has a use for.
fn wanted(question: &Question, method: Method) -> Form {
    let mut wanted = if question.fields == Fields::All { Form::FIELDS } else { Form::BARE };
    // Nobody says how these look in a query (docs/voicenter-api.md#get): a GET is asked without.
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
        // Who counts the records has understood the question.
        Ok(_) | Err(ApiError::TooManyRecords { .. } | ApiError::TooLarge { .. }) => Reception::Taken,
        Err(ApiError::Unknown { description, .. }) => Reception::Refused(Form::named_in(description)),
        Err(ApiError::Unreadable { status: 400 | 422 | 500, .. }) => Reception::Failed,
        Err(_) => Reception::Unrelated,
    }
}
