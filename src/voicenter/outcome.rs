//! How a request can end, in one word: a closed list, for metrics and traces.

/// How a request ended, as metrics and traces name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "docs/operations.md explains the words")]
pub enum RequestOutcome {
    Ok,
    RateLimited,
    CredentialRefused,
    AddressRefused,
    TooManyRecords,
    TooLarge,
    InvalidRange,
    UnknownError,
    Blocked,
    Contradictory,
    Unreadable,
    TimedOut,
    CutBody,
    NoMemory,
    Unreachable,
    Redirected,
}

impl RequestOutcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: [RequestOutcome; 16] = [
        RequestOutcome::Ok,
        RequestOutcome::RateLimited,
        RequestOutcome::CredentialRefused,
        RequestOutcome::AddressRefused,
        RequestOutcome::TooManyRecords,
        RequestOutcome::TooLarge,
        RequestOutcome::InvalidRange,
        RequestOutcome::UnknownError,
        RequestOutcome::Blocked,
        RequestOutcome::Contradictory,
        RequestOutcome::Unreadable,
        RequestOutcome::TimedOut,
        RequestOutcome::CutBody,
        RequestOutcome::NoMemory,
        RequestOutcome::Unreachable,
        RequestOutcome::Redirected,
    ];

    /// The outcome's name in metrics and traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            RequestOutcome::Ok => "ok",
            RequestOutcome::RateLimited => "rate_limited",
            RequestOutcome::CredentialRefused => "credential_refused",
            RequestOutcome::AddressRefused => "address_refused",
            RequestOutcome::TooManyRecords => "too_many_records",
            RequestOutcome::TooLarge => "too_large",
            RequestOutcome::InvalidRange => "invalid_range",
            RequestOutcome::UnknownError => "unknown_error",
            RequestOutcome::Blocked => "blocked",
            RequestOutcome::Contradictory => "contradictory",
            RequestOutcome::Unreadable => "unreadable",
            RequestOutcome::TimedOut => "timed_out",
            RequestOutcome::CutBody => "cut_body",
            RequestOutcome::NoMemory => "no_memory",
            RequestOutcome::Unreachable => "unreachable",
            RequestOutcome::Redirected => "redirected",
        }
    }
}
