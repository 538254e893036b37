//! The analysis of one call, from a host of its own and with a token of its own (docs/voicenter-api.md#analysis-of-one-call).

use sha2::{Digest, Sha256};

use super::response::RawResponse;
use super::{ApiError, BadBody, Client, decode};
use crate::call_history::{self, BadHistory, CallHistory, Refusal};

/// A request without a usable answer. It contains neither a credential nor an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The week's ration is used up.
    #[error("the week's ration of requests is used up")]
    UsedUp,
    /// The token is not valid, or not for this.
    #[error("the token is refused")]
    Token,
    /// Another call is described.
    #[error("the answer is about another call")]
    OtherCall,
    /// There is no answer, or none of the expected form.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl HistoryError {
    /// What an operator can do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::UsedUp => {
                "nothing to do: asking goes on when the week turns; ai.requests_per_week is how many are asked for at most"
            }
            Self::Token => "check ai_token: it is the token of GetCallHistory, not that of the call log",
            Self::OtherCall => "nothing to do unless this lasts; then ask Voicenter",
            Self::Api(ApiError::RateLimited { .. }) => {
                "nothing to do; if it lasts, lower ai.requests_per_week"
            }
            Self::Api(ApiError::Blocked { .. }) => {
                "it is tried again; if it lasts, a firewall, a proxy or a gateway refuses this address: check ai.url, and ask whoever runs it"
            }
            Self::Api(ApiError::Redirected) => {
                "set ai.url to the address that it redirects to, if you trust it"
            }
            Self::Api(ApiError::NoConnection(_) | ApiError::Transport(_)) => {
                "check ai.url, the network, and HTTPS_PROXY"
            }
            Self::Api(_) => "it is tried again; if it lasts, check ai.url, or ask Voicenter",
        }
    }
}

/// An answer about a call.
#[derive(Clone, Debug, PartialEq)]
pub struct AnsweredHistory {
    /// What is in it.
    pub found: CallHistory,
    /// The SHA-256 of its body.
    pub body_sha256: Vec<u8>,
}

impl Client {
    /// Asks for the analysis of a call; `None` if the call is not known there. The address of this client is that of the
    /// API's calls, without a CallID.
    ///
    /// # Errors
    /// If there is no answer about this call.
    pub async fn call_history(&self, call_id: &str) -> Result<Option<AnsweredHistory>, HistoryError> {
        // These lead elsewhere in a path, however they are written.
        if matches!(call_id, "." | "..") {
            return Ok(None);
        }
        let mut url = self.settings.url.clone();
        // A path segment: whatever stands in a CallID leads nowhere else.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(call_id);
        }
        let request = self.signed(self.http.get(url).header(reqwest::header::ACCEPT, "application/json"));
        let (came, _memory) = self.send_request(request, self.memory.nothing()).await?;
        let text = decode::page(&came.body, came.charset());
        match call_history::refusal(came.status, &text) {
            Some(Refusal::UsedUp) => return Err(HistoryError::UsedUp),
            Some(Refusal::Token) => return Err(HistoryError::Token),
            None => {}
        }
        if came.status == 404 && !text.trim_start().starts_with('<') {
            return Ok(None);
        }
        let found = call_history::decode(&text).map_err(|bad| self.no_history(&came, bad))?;
        if came.status != 200 {
            let signs = format!("HTTP {} with a call", came.status);
            let retry_after = came.retry_after;
            return Err(ApiError::Contradictory { status: came.status.into(), signs, retry_after }.into());
        }
        match &found.call_id {
            Some(named) if named != call_id => Err(HistoryError::OtherCall),
            _ => Ok(Some(AnsweredHistory { found, body_sha256: Sha256::digest(&came.body).to_vec() })),
        }
    }

    fn no_history(&self, came: &RawResponse, bad: BadHistory) -> ApiError {
        let known = match bad {
            BadHistory::Empty => BadBody::Empty,
            BadHistory::Html => BadBody::Html,
            BadHistory::Cut => BadBody::Cut,
            BadHistory::NotJson => BadBody::NotJson,
            BadHistory::NoCall if came.status != 200 => BadBody::NotJson,
            BadHistory::NoCall => {
                return ApiError::Unreadable {
                    status: came.status,
                    what: bad.to_string(),
                    retry_after: came.retry_after,
                };
            }
        };
        self.unreadable(came, known)
    }
}
