//! `/simulator/faults`: what goes wrong, switched at run time.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{AdminError, Given, written};
use crate::api::Api;
use crate::faults::{Fault, SHARES_TOO_LARGE};
use crate::parse;

/// More faults than that are certainly a mistake: `always` is meant.
const LONGEST_QUEUE: u64 = 1_000_000;

const EXAMPLE: &str = r#"{"fault":"http500","next":3} or {"fault":"http500","share":0.1}"#;

pub(super) fn list(api: &Api) -> Value {
    let list = api.faults.list();
    let next = list.next.iter().map(|(fault, times)| json!({"fault": fault.name(), "next": times}));
    let shares = list.shares.iter().map(|(fault, share)| json!({"fault": fault.name(), "share": share}));
    let within = list
        .within
        .iter()
        .map(|(fault, from, to)| json!({"fault": fault.name(), "from": written(*from), "to": written(*to)}));
    json!({
        "next": next.collect::<Vec<_>>(),
        "always": list.always.map(Fault::name),
        "shares": shares.collect::<Vec<_>>(),
        "within": within.collect::<Vec<_>>(),
    })
}

pub(super) fn clear(api: &Api) -> Value {
    api.faults.clear();
    list(api)
}

pub(super) fn add(api: &Api, body: &[u8]) -> Result<Value, AdminError> {
    let mut given = Given::read(body, &["fault", "next", "share", "always", "from", "to"], EXAMPLE)?;
    let name =
        given.text("fault")?.ok_or_else(|| AdminError::bad(format!("fault is missing, as in {EXAMPLE}")))?;
    let fault = Fault::from_str(&name, false)
        .map_err(|_| AdminError::bad(format!("unknown fault {name}; known are: {}", parse::fault_names())))?;
    let count = |value: &Value| value.as_u64().filter(|count| (1..=LONGEST_QUEUE).contains(count));
    let next = given.take("next", "a whole number from 1 to 1000000", count)?;
    let share = given.take("share", "a share from 0 to 1", |value| {
        value.as_f64().filter(|share| (0.0..=1.0).contains(share))
    })?;
    let always = given.truth("always")?;
    let (from, to) = (given.parsed("from", parse::instant)?, given.parsed("to", parse::instant)?);
    match (next, share, always, from, to) {
        (None, None, None, None, None) => api.faults.next(fault),
        (Some(next), None, None, None, None) => {
            api.faults.next_times(fault, usize::try_from(next).unwrap_or(usize::MAX));
        }
        (None, Some(share), None, None, None) => {
            if !api.faults.replace_share(fault, share) {
                return Err(AdminError::bad(SHARES_TOO_LARGE));
            }
        }
        (None, None, Some(true), None, None) => api.faults.always(fault),
        (None, None, Some(false), None, None) => api.faults.end_always(fault),
        (None, None, None, Some(from), Some(to)) if from < to => api.faults.within(fault, from, to),
        (None, None, None, Some(_), Some(_)) => return Err(AdminError::bad("from must be before to")),
        (None, None, None, _, _) => return Err(AdminError::bad("from and to belong together")),
        _ => return Err(AdminError::bad("only one of next, share, always, and from with to can be given")),
    }
    Ok(list(api))
}
