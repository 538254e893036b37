//! What a request can lead to instead of records, and what to do about it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::advice;
use super::outcome::RequestOutcome;

/// What to do about an [`ApiError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asked too often: all requests of this credential wait. This does not count as a failed attempt.
    SlowDown {
        /// The wait that `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// Repeat the same request later; this counts as an attempt.
    Retry,
    /// More records than one answer can hold: request less at once.
    Split,
    /// An answer larger than this program accepts: request less at once.
    SplitTooLarge,
    /// There was no complete answer in time: this counts as an attempt, and requesting less may help.
    TooSlow,
    /// The operator must act: repeat the request at long intervals.
    Pause {
        /// The IP address to whitelist, if that is the reason.
        ip: Option<String>,
    },
    /// A fault in this program or the configuration: repeating the request is useless.
    Stop,
}

/// A request without a usable answer. It contains neither a credential nor a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Error 1, or HTTP 429: too many requests.
    #[error("the API was asked too often ({description})")]
    RateLimited {
        /// The API's explanation, without personal data.
        description: String,
        /// The wait that `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// Error 2: wrong code or token.
    #[error("the API refuses the credential (error 2: {description})")]
    CredentialRefused {
        /// The API's explanation, without personal data.
        description: String,
    },
    /// Error 3: more records than one answer can hold.
    #[error("too many records for one answer (error 3: {description})")]
    TooManyRecords {
        /// The API's explanation, without personal data.
        description: String,
    },
    /// Error 4: the IP address is not whitelisted.
    #[error(
        "the API does not trust the address {ip} (error 4: {description})",
        ip = ip.as_deref().unwrap_or("it sees")
    )]
    AddressRefused {
        /// The IP address as the API sees it.
        ip: Option<String>,
        /// The API's explanation, without personal data.
        description: String,
    },
    /// Error 5: the range of dates is not accepted.
    #[error("the API calls the range of dates invalid (error 5: {description})")]
    InvalidRange {
        /// The API's explanation, without personal data.
        description: String,
        /// The `Date` header: a range may be refused for ending after it.
        server_date: Option<DateTime<Utc>>,
    },
    /// Any other `ERROR_NUMBER` than 0 to 5.
    #[error("the API answered error {number}: {description}")]
    Unknown {
        /// The `ERROR_NUMBER` of the answer.
        number: i64,
        /// The API's explanation, without personal data.
        description: String,
    },
    /// An answer larger than `api.max_response_bytes`.
    #[error("the answer is larger than {limit} bytes (api.max_response_bytes)")]
    TooLarge {
        /// The limit for one answer, in bytes.
        limit: u64,
    },
    /// HTTP 401, 403 and the like without the API's JSON: a firewall, a proxy or a gateway in front of the API
    /// refuses. This says nothing about the credential, and it may end as suddenly as it began.
    #[error("HTTP {status} from something in front of the API: {what}")]
    Blocked {
        /// The HTTP status of the response.
        status: u16,
        /// What the body was, in words.
        what: String,
    },
    /// Parts of the answer report success, others a failure.
    #[error("the answer contradicts itself: {signs}")]
    Contradictory {
        /// The status that reports the failure: HTTP's, otherwise STATUS_CODE.
        status: i64,
        /// Both contradicting parts, in words.
        signs: String,
        /// The wait that `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// The response has no body, or one that is not the API's: HTML, or no JSON.
    #[error("HTTP {status}, but not an answer from the API: {what}")]
    Unreadable {
        /// The HTTP status of the response.
        status: u16,
        /// What the body was, in words.
        what: String,
        /// The wait that `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// The connection was made, but no complete answer arrived within `api.timeout`.
    #[error("the API did not answer in time: {0}")]
    TimedOut(String),
    /// This answer was abandoned because answers of other accounts kept using up the memory.
    #[error("the answer was abandoned after {received} bytes: answers of other accounts use up the memory")]
    NoMemory {
        /// Number of bytes received, decompressed.
        received: u64,
    },
    /// The answer started and ended in the middle.
    #[error("the answer was cut off after {received} bytes: {what}")]
    CutBody {
        /// Number of bytes received, decompressed.
        received: usize,
        /// How the connection ended, in words.
        what: String,
    },
    /// No connection was made: the host is unknown or refuses, or there is no route or no TLS.
    #[error("the API could not be reached: {0}")]
    NoConnection(String),
    /// The connection was made, but nothing was received.
    #[error("the API could not be reached: {0}")]
    Transport(String),
    /// A redirect. It is not followed, because it would pass the credential on and make a request that no budget
    /// counts.
    #[error("the API redirects elsewhere; redirects are not followed")]
    Redirected,
}

impl ApiError {
    /// What to do about it.
    pub fn action(&self) -> Action {
        match self {
            ApiError::RateLimited { retry_after, .. } => Action::SlowDown { retry_after: *retry_after },
            ApiError::Unreadable { status: 429 | 503, retry_after: Some(wait), .. }
            | ApiError::Contradictory { status: 429 | 503, retry_after: Some(wait), .. } => {
                Action::SlowDown { retry_after: Some(*wait) }
            }
            ApiError::Contradictory { status: 429, .. } => Action::SlowDown { retry_after: None },
            // A gateway that waited too long for the API reports that by its status.
            ApiError::TimedOut(_)
            | ApiError::CutBody { .. }
            | ApiError::Unreadable { status: 408 | 504 | 524, .. }
            | ApiError::Contradictory { status: 408 | 504 | 524, .. } => Action::TooSlow,
            ApiError::CredentialRefused { .. } => Action::Pause { ip: None },
            ApiError::AddressRefused { ip, .. } => Action::Pause { ip: ip.clone() },
            ApiError::TooManyRecords { .. } => Action::Split,
            ApiError::TooLarge { .. } => Action::SplitTooLarge,
            ApiError::InvalidRange { .. } => Action::Stop,
            ApiError::Unknown { .. }
            | ApiError::NoMemory { .. }
            | ApiError::Blocked { .. }
            | ApiError::Contradictory { .. }
            | ApiError::Unreadable { .. }
            | ApiError::NoConnection(_)
            | ApiError::Transport(_)
            | ApiError::Redirected => Action::Retry,
        }
    }

    /// Adds the answer's own time if that bears on the error.
    pub(super) fn dated(mut self, date: Option<DateTime<Utc>>) -> Self {
        if let ApiError::InvalidRange { server_date, .. } = &mut self {
            *server_date = date;
        }
        self
    }

    /// The API's clock when it refused a range.
    pub(crate) fn server_date(&self) -> Option<DateTime<Utc>> {
        match self {
            ApiError::InvalidRange { server_date, .. } => *server_date,
            _ => None,
        }
    }

    /// How the request ended, in one word for metrics and traces.
    pub const fn outcome(&self) -> RequestOutcome {
        match self {
            ApiError::RateLimited { .. } => RequestOutcome::RateLimited,
            ApiError::CredentialRefused { .. } => RequestOutcome::CredentialRefused,
            ApiError::TooManyRecords { .. } => RequestOutcome::TooManyRecords,
            ApiError::AddressRefused { .. } => RequestOutcome::AddressRefused,
            ApiError::InvalidRange { .. } => RequestOutcome::InvalidRange,
            ApiError::Unknown { .. } => RequestOutcome::UnknownError,
            ApiError::TooLarge { .. } => RequestOutcome::TooLarge,
            ApiError::Blocked { .. } => RequestOutcome::Blocked,
            ApiError::Contradictory { .. } => RequestOutcome::Contradictory,
            ApiError::Unreadable { .. } => RequestOutcome::Unreadable,
            ApiError::TimedOut(_) => RequestOutcome::TimedOut,
            ApiError::CutBody { .. } => RequestOutcome::CutBody,
            ApiError::NoMemory { .. } => RequestOutcome::NoMemory,
            ApiError::NoConnection(_) | ApiError::Transport(_) => RequestOutcome::Unreachable,
            ApiError::Redirected => RequestOutcome::Redirected,
        }
    }

    /// The error and what to do about it, in one line.
    pub(crate) fn with_advice(&self) -> String {
        advice::join(self, self.advice())
    }

    /// What the operator can do about it, as a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            ApiError::RateLimited { .. } => "Nothing to do; if it lasts, lower api.requests_per_minute.",
            ApiError::CredentialRefused { .. } => "Check the account's code or token with Voicenter.",
            ApiError::TooManyRecords { .. } | ApiError::TooLarge { .. } => {
                "Nothing to do: a shorter span is requested."
            }
            ApiError::AddressRefused { .. } => {
                "Ask Voicenter to whitelist this address, or use a bearer token."
            }
            ApiError::InvalidRange { .. } => {
                "Check sync.start and api.timezone, and that this host's clock is right."
            }
            ApiError::Unknown { .. } => "If it lasts, ask Voicenter what it means.",
            ApiError::Blocked { .. } => {
                "It is retried. If it lasts, a firewall, a proxy or a gateway refuses this address or the \
                 credential: check api.url, and ask whoever runs it."
            }
            ApiError::Contradictory { .. } => {
                "It is retried: such an answer proves nothing. If it lasts, ask Voicenter."
            }
            ApiError::TimedOut(_) | ApiError::CutBody { .. } => {
                "It is retried with shorter spans. If it lasts, raise api.timeout."
            }
            ApiError::NoMemory { .. } => {
                "It is retried. If it lasts, the database is slow: see database_away and \
                 store_duration_seconds; a lower api.max_response_bytes makes answers smaller."
            }
            ApiError::Unreadable { .. } => {
                "Check api.url; if that is right, the API has a problem, and the request is retried."
            }
            ApiError::NoConnection(_) | ApiError::Transport(_) => {
                "Check api.url, the network, and HTTPS_PROXY."
            }
            ApiError::Redirected => "Set api.url to the address that the API redirects to, if you trust it.",
        }
    }
}

/// The error that an envelope with this `ERROR_NUMBER` means; `None` for 0.
pub(super) fn of_number(number: i64, description: String, retry_after: Option<Duration>) -> Option<ApiError> {
    Some(match number {
        0 => return None,
        1 => ApiError::RateLimited { description: format!("error 1: {description}"), retry_after },
        2 => ApiError::CredentialRefused { description },
        3 => ApiError::TooManyRecords { description },
        4 => ApiError::AddressRefused { ip: address_in(&description), description },
        5 => ApiError::InvalidRange { description, server_date: None },
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
