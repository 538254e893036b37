//! Whom a body is about: CallIDs and numbers, for what is forgotten.

use std::collections::BTreeSet;

use super::body::{decode, lossy_text};
use super::pushed_call::PushedCall;

/// Of a body that is not understood, at most as many words are looked at.
const MOST_WORDS: usize = 20_000;

/// Whom one record is about. No `Debug`: it holds numbers.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its CallID.
    pub(crate) call_id: String,
    /// Its numbers, as they were sent.
    pub(crate) numbers: Vec<String>,
}

/// Whom a body is about.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum BodyNames {
    /// Each of its records.
    Records(Vec<Named>),
    /// It is not understood: whatever in it may be a CallID, and whatever may be a number.
    Words {
        /// Runs of letters and digits.
        call_ids: Vec<String>,
        /// Runs of digits and what numbers are written with.
        numbers: Vec<String>,
    },
}

impl From<&PushedCall> for Named {
    fn from(call: &PushedCall) -> Self {
        let numbers = [&call.caller, &call.target, &call.client_phone, &call.dialer.phone];
        Self { call_id: call.call_id.clone(), numbers: numbers.into_iter().flatten().cloned().collect() }
    }
}

/// Whom a body is about.
pub(crate) fn names_of(content_type: Option<&str>, body: &[u8]) -> BodyNames {
    match decode(content_type, body) {
        Ok(calls) => BodyNames::Records(calls.iter().map(Named::from).collect()),
        Err(_) => {
            let text = lossy_text(content_type, body);
            BodyNames::Words {
                call_ids: words(&text, |c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.')),
                numbers: words(&text, |c| {
                    c.is_ascii_digit() || matches!(c, '+' | '*' | '#' | '-' | '.' | '(' | ')' | ' ')
                }),
            }
        }
    }
}

/// The different words of these characters that have digits enough for a CallID or a number.
fn words(text: &str, belongs: impl Fn(char) -> bool) -> Vec<String> {
    let words = text.split(|c| !belongs(c)).map(str::trim);
    let words =
        words.filter(|word| word.len() <= 200 && word.bytes().filter(u8::is_ascii_digit).count() >= 3);
    let different: BTreeSet<&str> = words.take(MOST_WORDS).collect();
    different.into_iter().map(str::to_owned).collect()
}
