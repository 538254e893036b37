//! What one server refuses although docs/voicenter-api.md#request allows it.

use chrono::NaiveDateTime;
use serde_json::Value;

use super::answer::WireError;
use super::api::Ask;
use super::options::RefusalOptions;
use super::request::Search;

/// Refuses a request that uses a key, a field or a spelling in `sort` that this server does not know.
pub(crate) fn check_names(refusals: &RefusalOptions, ask: &Ask) -> Result<(), WireError> {
    if refusals.names.is_empty() {
        return Ok(());
    }
    let used = used(ask);
    match used.iter().find(|used| refusals.names.iter().any(|name| used.is(name))) {
        None => Ok(()),
        Some(_) if refusals.unspecific => Err(WireError::new(90, "bad request")),
        Some(used) => Err(WireError::new(90, format!("bad request: unknown {}: {}", used.kind, used.name))),
    }
}

/// Refuses with error 5 a range that is too long, ends in the future of the server's wall time or begins too far
/// back.
pub(crate) fn check_range(
    refusals: &RefusalOptions,
    search: &Search,
    now: NaiveDateTime,
) -> Result<(), WireError> {
    let (Some(from), Some(to)) = (search.from, search.to) else { return Ok(()) };
    let too_long = refusals.longest_range.is_some_and(|longest| to - from > longest);
    let too_old = refusals.horizon.is_some_and(|horizon| from < now - horizon);
    let broken = [
        (too_long, "the range is too long"),
        (refusals.future && to > now, "todate is in the future"),
        (too_old, "fromdate is too far back"),
    ];
    match broken.into_iter().find(|(is_broken, _)| *is_broken) {
        None => Ok(()),
        Some(_) if refusals.unspecific => Err(WireError::new(5, "Date range is not valid.")),
        Some((_, text)) => Err(WireError::new(5, format!("date range invalid: {text}"))),
    }
}

/// A name that a request uses.
struct UsedBudget {
    kind: &'static str,
    name: String,
}

impl UsedBudget {
    fn is(&self, refused: &str) -> bool {
        match refused.strip_prefix("sort=") {
            Some(spelling) => self.kind == "sort field" && self.name == spelling,
            None => self.kind != "sort field" && self.name.eq_ignore_ascii_case(refused),
        }
    }
}

fn used(ask: &Ask) -> Vec<UsedBudget> {
    let used = |kind, name: &str| UsedBudget { kind, name: name.to_owned() };
    let body = match ask {
        Ask::Query(query) => {
            let name = |(key, value): &(String, String)| match key.as_str() {
                "fields" | "Fields" => used("field", value),
                key => used("key", key),
            };
            return query.iter().map(name).collect();
        }
        Ask::Body(body) => body,
    };
    let search = body.get("search").and_then(Value::as_object);
    let keys = body.keys().chain(search.into_iter().flat_map(|search| search.keys()));
    let list = |key: &str| body.get(key).and_then(Value::as_array).into_iter().flatten();
    let fields = list("fields").filter_map(Value::as_str);
    let sorts = list("sort").filter_map(|sort| sort.get("field")).filter_map(Value::as_str);
    keys.map(|key| used("key", key))
        .chain(fields.map(|field| used("field", field)))
        .chain(sorts.map(|field| used("sort field", field)))
        .collect()
}
