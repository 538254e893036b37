//! What can come instead of records, and what it calls for.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::advice;
use super::outcome::RequestOutcome;

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
    /// No whole answer in time: counts as an attempt, and asking for less may do.
    TooSlow,
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
    #[error("the API was asked too often ({description})")]
    RateLimited {
        /// What it said.
        description: String,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Error 2.
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
        /// The `Date` header: a range may be refused for ending after it.
        server_date: Option<DateTime<Utc>>,
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
    /// HTTP 401, 403 and the like without the API's JSON: a firewall, a proxy or a gateway before the API refuses. It says
    /// nothing about the credential, and it passes as suddenly as it comes.
    #[error("HTTP {status} from something in front of the API: {what}")]
    Blocked {
        /// The HTTP status.
        status: u16,
        /// What came.
        what: String,
    },
    /// One sign of the answer says that all went well, another that it did not.
    #[error("the answer contradicts itself: {signs}")]
    Contradictory {
        /// The status that says so: HTTP's, else STATUS_CODE.
        status: i64,
        /// Both signs.
        signs: String,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// No answer, or one that is none of the API's: empty, HTML, no JSON.
    #[error("HTTP {status}, and no answer of the API's: {what}")]
    Unreadable {
        /// The HTTP status.
        status: u16,
        /// What came.
        what: String,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The connection stood, but no whole answer came within `api.timeout`.
    #[error("the API did not answer in time: {0}")]
    TimedOut(String),
    /// Answers of other accounts took up the memory for so long that this one was given up.
    #[error(
        "the answer was given up after {received} bytes: answers of other accounts take up the memory for it"
    )]
    NoMemory {
        /// What came of it, decompressed.
        received: u64,
    },
    /// The answer began and ended in the middle.
    #[error("the answer was cut off after {received} bytes: {what}")]
    CutBody {
        /// What came of it, decompressed.
        received: usize,
        /// How it ended.
        what: String,
    },
    /// No connection was made: no such host, refused, no route, no TLS.
    #[error("the API could not be reached: {0}")]
    NoConnection(String),
    /// The connection was made, and nothing came.
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
            ApiError::Unreadable { status: 429 | 503, retry_after: Some(wait), .. }
            | ApiError::Contradictory { status: 429 | 503, retry_after: Some(wait), .. } => {
                Action::SlowDown { retry_after: Some(*wait) }
            }
            ApiError::Contradictory { status: 429, .. } => Action::SlowDown { retry_after: None },
            // A gateway that waited too long for the API says so by its status.
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

    /// With the answer's own time, where that bears on the error.
    pub(super) fn dated(mut self, date: Option<DateTime<Utc>>) -> Self {
        if let ApiError::InvalidRange { server_date, .. } = &mut self {
            *server_date = date;
        }
        self
    }

    /// The server's time when it refused a range.
    pub(crate) fn server_date(&self) -> Option<DateTime<Utc>> {
        match self {
            ApiError::InvalidRange { server_date, .. } => *server_date,
            _ => None,
        }
    }

    /// How the request ended, in one word.
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
            ApiError::Blocked { .. } => {
                "It is retried. If it lasts, a firewall, a proxy or a gateway refuses this address or the credential: check api.url, \
                 and ask whoever runs it."
            }
            ApiError::Contradictory { .. } => {
                "It is retried: such an answer proves nothing. If it lasts, ask Voicenter."
            }
            ApiError::TimedOut(_) | ApiError::CutBody { .. } => {
                "It is retried with shorter spans. If it lasts, raise api.timeout."
            }
            ApiError::NoMemory { .. } => {
                "It is retried. If it lasts, the database is slow: see database_away and store_duration_seconds; a lower \
                 api.max_response_bytes makes answers smaller."
            }
            ApiError::Unreadable { .. } => {
                "Check api.url; if that is right, it is the API's trouble and is retried."
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
