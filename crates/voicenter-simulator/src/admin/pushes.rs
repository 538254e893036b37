//! `/simulator/pushes`: what came of the notifications that were sent.

use serde_json::{Value, json};

use super::AdminError;
use crate::api::Api;

pub(super) fn show(api: &Api) -> Result<Value, AdminError> {
    let pusher = api.pusher.as_ref().ok_or_else(|| AdminError {
        status: 404,
        text: "no notifications are sent: start the simulator with --push-to URL".to_owned(),
    })?;
    let done = pusher.deliveries();
    Ok(json!({
        "sent": done.sent,
        "accepted": done.accepted,
        "refused": done.refused,
        "given_up": done.given_up,
    }))
}
