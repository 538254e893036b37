//! Lists of reference data, which come from hosts of their own (docs/voicenter-api.md#lists).

use reqwest::header::CONTENT_TYPE;
use secrecy::ExposeSecret;
use serde_json::json;

use super::response::RawResponse;
use super::{ApiError, BadBody, Client, Credential, Method, decode, explaining};
use crate::reference::{self, BadList, List, ListAnswer, ListKind};

/// A request without a list that can be used. It contains neither a credential nor an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The account has a bearer token.
    #[error("the lists take a code only, and this account has a token")]
    NoCode,
    /// `ERR` is not 0.
    #[error("the list is refused (ERR {number}: {description})")]
    Refused {
        /// The `ERR` of the answer.
        number: i64,
        /// The explanation, without personal data.
        description: String,
    },
    /// There is no answer, or none of the expected form.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ListError {
    /// Why, in one word for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoCode
            | Self::Refused { .. }
            | Self::Api(ApiError::CredentialRefused { .. } | ApiError::AddressRefused { .. }) => "refused",
            Self::Api(ApiError::RateLimited { .. }) => "rate_limited",
            Self::Api(ApiError::Blocked { .. }) => "blocked",
            Self::Api(ApiError::TimedOut(_)) => "timed_out",
            Self::Api(ApiError::NoConnection(_) | ApiError::Transport(_) | ApiError::Redirected) => {
                "unreachable"
            }
            Self::Api(_) => "unreadable",
        }
    }

    /// Every reason.
    pub const REASONS: [&'static str; 6] =
        ["refused", "rate_limited", "blocked", "timed_out", "unreachable", "unreadable"];

    /// What an operator can do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoCode => "configure the account with a code, or turn [reference] off",
            Self::Refused { .. } => {
                "check the code, and that this host's address is whitelisted for the lists as well"
            }
            Self::Api(error) => error.advice(),
        }
    }
}

impl Client {
    /// Asks for a whole list; `api.url` of this client is the address of that list.
    ///
    /// # Errors
    /// If there is no list. A list that cannot be right is not an error: that shows only beside what is stored.
    pub async fn list(&self, kind: ListKind) -> Result<List, ListError> {
        let Credential::Code(code) = &self.settings.credential else { return Err(ListError::NoCode) };
        let (came, _memory) =
            self.send_request(self.list_request(kind, code.expose_secret()), self.memory.nothing()).await?;
        let text = decode::page(&came.body, came.charset());
        let ListAnswer { error_number, description, list } =
            reference::decode(kind, &text).map_err(|bad| self.unlistable(&came, bad))?;
        if error_number != 0 {
            let description = explaining(&self.scrub(&description));
            return Err(ListError::Refused { number: error_number, description });
        }
        let list = list.unwrap_or_default();
        match came.status {
            200 => Ok(list),
            status => {
                let signs = format!("HTTP {status} with ERR 0 and {} entries", list.entries.len());
                let retry_after = came.retry_after;
                Err(ApiError::Contradictory { status: status.into(), signs, retry_after }.into())
            }
        }
    }

    fn list_request(&self, kind: ListKind, code: &str) -> reqwest::RequestBuilder {
        let url = self.settings.url.clone();
        let of_all = kind == ListKind::Extensions;
        match self.settings.method {
            Method::Post => {
                let mut body = json!({ "code": code });
                if of_all && let Some(body) = body.as_object_mut() {
                    body.insert("showAll".to_owned(), json!(1));
                }
                self.http.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string())
            }
            Method::Get => {
                let mut url = url;
                url.query_pairs_mut()
                    .append_pair("code", code)
                    .extend_pairs(of_all.then_some(("showAll", "1")));
                self.http.get(url)
            }
        }
    }

    fn unlistable(&self, came: &RawResponse, bad: BadList) -> ApiError {
        let known = match bad {
            BadList::Empty => BadBody::Empty,
            BadList::Html => BadBody::Html,
            BadList::Cut => BadBody::Cut,
            BadList::NotJson => BadBody::NotJson,
            BadList::NoList(_) if came.status != 200 => BadBody::NotJson,
            BadList::NoList(_) => {
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
