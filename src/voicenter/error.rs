//! What can come instead of records, and what it calls for.

use std::time::Duration;

/// What to do about an [`ApiError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asked too often: wait, all of this credential's requests together. No failed attempt.
    SlowDown {
        /// What `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// Ask the same again, later; counts as an attempt.
    Retry,
    /// More records than one answer gives: ask for less at once.
    Split,
    /// A larger answer than we take: ask for less at once.
    SplitTooLarge,
    /// The operator must act; ask again seldom.
    Pause {
        /// The address to whitelist, where that is the reason.
        ip: Option<String>,
    },
    /// A fault of ours or of the configuration: asking the same again is no use.
    Stop,
}

/// A request without a usable answer. Holds neither a credential nor a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Error 1, or HTTP 429.
    #[error("the API was asked too often (error 1: {description})")]
    RateLimited {
        /// What it said.
        description: String,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Error 2, or HTTP 401 and 403 without the API's JSON.
    #[error("the API refuses the credential (error 2: {description})")]
    CredentialRefused {
        /// What it said.
        description: String,
    },
    /// Error 3.
    #[error("too many records for one answer (error 3: {description})")]
    TooManyRecords {
        /// What it said.
        description: String,
    },
    /// Error 4.
    #[error("the API does not trust the address {ip} (error 4: {description})", ip = ip.as_deref().unwrap_or("it sees"))]
    AddressRefused {
        /// The address as the API sees it.
        ip: Option<String>,
        /// What it said.
        description: String,
    },
    /// Error 5.
    #[error("the API calls the range of dates invalid (error 5: {description})")]
    InvalidRange {
        /// What it said.
        description: String,
    },
    /// Any other ERROR_NUMBER.
    #[error("the API answered error {number}: {description}")]
    Unknown {
        /// ERROR_NUMBER.
        number: i64,
        /// What it said.
        description: String,
    },
    /// An answer larger than `api.max_response_bytes`.
    #[error("the answer is larger than {limit} bytes (api.max_response_bytes)")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// No answer, or one that is none of the API's: cut, empty, HTML, no JSON.
    #[error("HTTP {status}, and no answer of the API's: {what}")]
    Unreadable {
        /// The HTTP status.
        status: u16,
        /// What came.
        what: String,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Nothing came: refused, reset, timed out.
    #[error("the API could not be reached: {0}")]
    Transport(String),
    /// A redirect: not followed, for it would carry the credential along and cost a request that nobody counted.
    #[error("the API redirects elsewhere, which is not followed")]
    Redirected,
}

impl ApiError {
    /// What it calls for.
    pub fn action(&self) -> Action {
        match self {
            ApiError::RateLimited { retry_after, .. } => Action::SlowDown { retry_after: *retry_after },
            ApiError::Unreadable { status: 429 | 503, retry_after: Some(wait), .. } => {
                Action::SlowDown { retry_after: Some(*wait) }
            }
            ApiError::CredentialRefused { .. } => Action::Pause { ip: None },
            ApiError::AddressRefused { ip, .. } => Action::Pause { ip: ip.clone() },
            ApiError::TooManyRecords { .. } => Action::Split,
            ApiError::TooLarge { .. } => Action::SplitTooLarge,
            ApiError::InvalidRange { .. } => Action::Stop,
            ApiError::Unknown { .. }
            | ApiError::Unreadable { .. }
            | ApiError::Transport(_)
            | ApiError::Redirected => Action::Retry,
        }
    }

    /// Its name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            ApiError::RateLimited { .. } => "rate_limited",
            ApiError::CredentialRefused { .. } => "credential_refused",
            ApiError::TooManyRecords { .. } => "too_many_records",
            ApiError::AddressRefused { .. } => "address_refused",
            ApiError::InvalidRange { .. } => "invalid_range",
            ApiError::Unknown { .. } => "unknown_error",
            ApiError::TooLarge { .. } => "too_large",
            ApiError::Unreadable { .. } => "unreadable",
            ApiError::Transport(_) => "unreachable",
            ApiError::Redirected => "redirected",
        }
    }

    /// What the operator can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            ApiError::RateLimited { .. } => "Nothing to do; if it lasts, lower api.requests_per_minute.",
            ApiError::CredentialRefused { .. } => "Check the account's code or token with Voicenter.",
            ApiError::TooManyRecords { .. } | ApiError::TooLarge { .. } => {
                "Nothing to do: less is asked for at once."
            }
            ApiError::AddressRefused { .. } => {
                "Ask Voicenter to whitelist this address, or use a bearer token."
            }
            ApiError::InvalidRange { .. } => {
                "Check sync.start and api.timezone, and that this host's clock is right."
            }
            ApiError::Unknown { .. } => "If it lasts, ask Voicenter what it means.",
            ApiError::Unreadable { .. } => {
                "Check api.url; if that is right, it is the API's trouble and is retried."
            }
            ApiError::Transport(_) => "Check api.url, the network, and HTTPS_PROXY.",
            ApiError::Redirected => "Set api.url to the address that the API redirects to, if you trust it.",
        }
    }
}

/// The error that an envelope with this `ERROR_NUMBER` means; `None` for 0.
pub(super) fn of_number(number: i64, description: String, retry_after: Option<Duration>) -> Option<ApiError> {
    Some(match number {
        0 => return None,
        1 => ApiError::RateLimited { description, retry_after },
        2 => ApiError::CredentialRefused { description },
        3 => ApiError::TooManyRecords { description },
        4 => ApiError::AddressRefused { ip: address_in(&description), description },
        5 => ApiError::InvalidRange { description },
        _ => ApiError::Unknown { number, description },
    })
}

/// "IP address 192.0.2.7 is not trusted."
fn address_in(description: &str) -> Option<String> {
    let words = description.split_whitespace().map(|word| word.trim_matches(['.', ',', '"', '\'', '(', ')']));
    words.filter(|word| word.parse::<std::net::IpAddr>().is_ok()).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_number_calls_for_what_the_document_says() {
        let action = |number, text: &str| of_number(number, text.into(), None).map(|error| error.action());
        assert_eq!(action(0, "OK"), None);
        assert_eq!(action(1, "Request limit exceeded."), Some(Action::SlowDown { retry_after: None }));
        assert_eq!(action(2, "Authorization failed."), Some(Action::Pause { ip: None }));
        assert_eq!(action(3, "CDR limit exceeded."), Some(Action::Split));
        let untrusted = action(4, "IP address 192.0.2.7 is not trusted.");
        assert_eq!(untrusted, Some(Action::Pause { ip: Some("192.0.2.7".into()) }));
        assert_eq!(action(5, "date range invalid"), Some(Action::Stop));
        assert_eq!(action(77, "something else"), Some(Action::Retry));
    }
}
