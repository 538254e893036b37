//! What Voicenter is answered: anything but status 200 with `Err` 0 makes it send the notification again.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is stored, or in the spool.
    Kept,
    TooLarge,
    TooSlow,
    TooMany,
    /// Neither the database nor the spool has taken it.
    NotKept,
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let (status, error, text) = match answer {
            Answer::Kept => (StatusCode::OK, 0, "OK"),
            Answer::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 2, "the body is too large"),
            Answer::TooSlow => (StatusCode::REQUEST_TIMEOUT, 2, "the body was not complete in time"),
            Answer::TooMany => (StatusCode::SERVICE_UNAVAILABLE, 2, "too many requests at once"),
            Answer::NotKept => (StatusCode::SERVICE_UNAVAILABLE, 2, "it cannot be stored at present"),
        };
        let body = format!("{{\"Err\":{error},\"Errdesc\":\"{text}\"}}");
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// The same whatever is wrong with an address, its account, its key or its sender.
pub(super) fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}
