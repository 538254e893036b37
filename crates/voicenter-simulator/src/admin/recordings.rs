//! `/simulator/recordings`: what links to recordings are answered with.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{AdminError, Given};
use crate::api::Api;
use crate::recordings::{RecordingAnswer, Recordings};

pub(super) fn show(api: &Api) -> Result<Value, AdminError> {
    let recordings = host(api)?;
    Ok(json!({
        "answer": recordings.current().name(),
        "requests": recordings.requests(),
        "private_requests": recordings.private_requests(),
    }))
}

pub(super) fn change(api: &Api, body: &[u8]) -> Result<Value, AdminError> {
    let example = r#"{"answer":"login-page"}"#;
    let recordings = host(api)?;
    let mut given = Given::read(body, &["answer"], example)?;
    let name = given
        .text("answer")?
        .ok_or_else(|| AdminError::bad(format!("answer is missing, as in {example}")))?;
    let answer = RecordingAnswer::from_str(&name, false).map_err(|_| {
        let known: Vec<String> = RecordingAnswer::all().iter().map(|answer| answer.name()).collect();
        AdminError::bad(format!("unknown answer {name}; known are: {}", known.join(", ")))
    })?;
    recordings.answer(answer);
    show(api)
}

fn host(api: &Api) -> Result<&Recordings, AdminError> {
    api.recordings.as_ref().ok_or_else(|| AdminError {
        status: 404,
        text: "there is no recording host: start the simulator with --recordings audio".to_owned(),
    })
}
