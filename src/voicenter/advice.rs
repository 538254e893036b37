//! An error and the advice for it in one line, as logs and `cdr_sync.account.last_error` keep it. [`split`] takes the
//! parts apart again.

use std::fmt::Display;
use std::net::IpAddr;

const CREDENTIAL_REFUSED: &str = "the API refuses the credential (";
const ADDRESS_REFUSED: &str = "the API does not trust the address ";
const WRONG_ZONE: &str = "api.timezone ";

/// Causes that only an operator can fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    CredentialRefused,
    /// The address, as the API sees it, if it names one.
    AddressRefused(Option<IpAddr>),
    WrongZone,
}

/// The parts of an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advised<'a> {
    /// `None` for any other error.
    pub(crate) cause: Option<Cause>,
    pub(crate) error: &'a str,
    pub(crate) advice: Option<&'a str>,
}

/// `error` ends with details in brackets.
pub(crate) fn join(error: &impl Display, advice: &str) -> String {
    format!("{error}. {advice}")
}

/// The inverse of [`join`], for text without quotations from outside (`said::own_words`).
pub(crate) fn split(text: &str) -> Advised<'_> {
    let end = text.find("). ").map(|bracket| bracket + 1);
    let (error, advice) = match end.map(|end| (&text[..end], &text[end + 2..])) {
        Some((error, advice)) if !advice.is_empty() => (error, Some(advice)),
        _ => (text, None),
    };
    Advised { cause: cause(error), error, advice }
}

fn cause(error: &str) -> Option<Cause> {
    if let Some(rest) = error.strip_prefix(ADDRESS_REFUSED) {
        let address = rest.split(' ').next().and_then(|word| word.parse().ok());
        return Some(Cause::AddressRefused(address));
    }
    if error.starts_with(CREDENTIAL_REFUSED) {
        return Some(Cause::CredentialRefused);
    }
    error.starts_with(WRONG_ZONE).then_some(Cause::WrongZone)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;
    use crate::voicenter::ApiError;
    use crate::voicenter::said::{explaining, own_words};
    use crate::voicenter::zone_check::{Contradiction, Sign};

    fn assert_splits(text: &str, error: &str, advice: &str, cause: Cause) {
        let (text, error) = (own_words(text), own_words(error));
        assert_eq!(split(&text), Advised { cause: Some(cause), error: &error, advice: Some(advice) });
    }

    proptest! {
        #[test]
        fn a_refusal_is_read_back_as_it_was_written(said in ".{0,40}", ip in prop::option::of(any::<IpAddr>())) {
            let description = explaining(&said);
            let refused = ApiError::CredentialRefused { description: description.clone() };
            assert_splits(&refused.with_advice(), &refused.to_string(), refused.advice(), Cause::CredentialRefused);
            let refused = ApiError::AddressRefused { ip: ip.map(|ip| ip.to_string()), description };
            let cause = Cause::AddressRefused(ip);
            assert_splits(&refused.with_advice(), &refused.to_string(), refused.advice(), cause);
        }
    }

    #[test]
    fn a_wrong_zone_is_read_back_whatever_shows_it() {
        let now = DateTime::UNIX_EPOCH;
        for sign in [Sign::Epoch, Sign::Bounds, Sign::Zoned, Sign::Future, Sign::CallId, Sign::Disagreeing] {
            let found = Contradiction { sign, ahead: TimeDelta::hours(2), records: 3, of: 4 };
            let text = found.describe(Tz::UTC, now);
            let split = split(&text);
            assert_eq!((split.cause, split.error), (Some(Cause::WrongZone), &*found.shown(Tz::UTC)));
            assert!(split.advice.is_some_and(|advice| advice.starts_with(&found.advice(Tz::UTC, now))));
        }
    }

    #[test]
    fn any_other_error_has_no_cause() {
        let error = "3 requests in a row had no usable answer; the last: timed out";
        assert_eq!(split(error), Advised { cause: None, error, advice: None });
    }
}
