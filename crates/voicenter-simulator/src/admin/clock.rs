//! `/simulator/clock`: the present of the simulated world.

use serde_json::{Value, json};

use super::{AdminError, Given, written};
use crate::api::Api;
use crate::clock::ClockChange;
use crate::parse;

pub(super) fn show(api: &Api) -> Value {
    json!({
        "now": written(api.clock.now()),
        "running": api.clock.is_running(),
    })
}

pub(super) fn change(api: &Api, body: &[u8]) -> Result<Value, AdminError> {
    let example = r#"{"now":"2026-06-08T12:00:00Z"} or {"advance":"15m"}"#;
    let mut given = Given::read(body, &["now", "advance", "running"], example)?;
    let change = ClockChange {
        now: given.parsed("now", parse::instant)?,
        advance: given.parsed("advance", parse::span)?,
        running: given.truth("running")?,
    };
    if change == ClockChange::default() {
        return Err(AdminError::bad(format!("now, advance or running is missing, as in {example}")));
    }
    if !api.clock.change(change) {
        return Err(AdminError::bad("the clock can show the years 1970 to 2199 only"));
    }
    Ok(show(api))
}
