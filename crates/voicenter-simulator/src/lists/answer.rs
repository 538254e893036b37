//! Requests for lists, and their answers.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{AllLists, ListFault, ListName, ListedExtension, ListedQueue};

/// A request as it was received.
pub(super) struct ListRequest<'a> {
    pub(super) is_post: bool,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: &'a [u8],
}

/// An answer before it is sent; `None` if there is never one.
pub(super) type ListReply = Option<(u16, &'static str, Vec<u8>)>;

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The list that a path is of.
pub(crate) fn is_meant(path: &str) -> Option<ListName> {
    let path = path.trim_end_matches('/');
    [ListName::Extensions, ListName::Queues].into_iter().find(|list| list.path().eq_ignore_ascii_case(path))
}

/// Answers a request for a list.
pub(super) fn answer(
    all: &AllLists,
    list: ListName,
    request: &ListRequest<'_>,
    refuse_address: bool,
    now: DateTime<Utc>,
) -> ListReply {
    let Some(given) = given(request) else { return failed(200, list, 1, "Bad request.") };
    let known = ["code", "showAll", "queue"];
    if given.iter().any(|(key, _)| !known.contains(&key.as_str())) {
        return failed(200, list, 1, "Bad request.");
    }
    let value = |name: &str| given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let Some(code) = value("code").filter(|code| !code.is_empty()) else {
        return failed(200, list, 1, "Unauthorized");
    };
    if refuse_address {
        return failed(403, list, 4, "IP address is not trusted.");
    }
    let Some(lists) = all.known(code) else {
        // What the vendor's page says of a code that nobody has.
        return match list {
            ListName::Extensions => well(list, &[], now, None, None),
            ListName::Queues => failed(200, list, 2, "Internal error."),
        };
    };
    let mut board = lists.board();
    *board.requests.entry(list).or_default() += 1;
    let fault = board.faults.get(&list).copied();
    let whole = match list {
        ListName::Extensions => {
            let own = board.extensions.first().map(|first| first.account_id);
            let all = !matches!(value("showAll"), Some("0" | "false" | "False"));
            let shown = board.extensions.iter().filter(|one| all || Some(one.account_id) == own);
            shown.map(Entry::from).collect::<Vec<_>>()
        }
        ListName::Queues => {
            let shown =
                board.queues.iter().filter(|one| value("queue").is_none_or(|id| id == one.id.to_string()));
            shown.map(Entry::from).collect()
        }
    };
    spoilt(list, &whole, now, fault)
}

fn spoilt(list: ListName, whole: &[Entry<'_>], now: DateTime<Utc>, fault: Option<ListFault>) -> ListReply {
    let page = |status: u16, title: &str| {
        let page = format!("<html><head><title>{title}</title></head><body>{title}</body></html>");
        Some((status, HTML, page.into_bytes()))
    };
    match fault {
        Some(ListFault::Empty) => well(list, &[], now, None, None),
        Some(ListFault::Shrunk) => {
            well(list, whole.get(..whole.len() / 3).unwrap_or_default(), now, None, None)
        }
        Some(ListFault::Refused) => failed(200, list, 1, "Unauthorized"),
        Some(ListFault::Untrusted) => failed(403, list, 4, "IP address is not trusted."),
        Some(ListFault::HtmlWith200) => page(200, "Login"),
        Some(ListFault::Blocked) => page(403, "Just a moment..."),
        Some(ListFault::Http500) => page(500, "500 Internal Server Error"),
        Some(ListFault::Http500WithList) => {
            well(list, whole, now, None, None).map(|(_, kind, body)| (500, kind, body))
        }
        Some(ListFault::Hang) => None,
        Some(ListFault::Truncated) => well(list, whole, now, None, None).map(|(status, kind, mut body)| {
            body.truncate(body.len() / 2);
            (status, kind, body)
        }),
        Some(ListFault::Twice) => {
            let first = whole.first().copied();
            well(list, whole, now, fault, first)
        }
        Some(_) | None => well(list, whole, now, fault, None),
    }
}

/// Code and the like, from the query or from a JSON object.
fn given(request: &ListRequest<'_>) -> Option<Vec<(String, String)>> {
    if !request.is_post {
        return Some(request.query.clone());
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(request.body) else { return None };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some(body.into_iter().map(|(key, value)| (key, text(value))).collect())
}

#[derive(Clone, Copy)]
enum Entry<'a> {
    Extension(&'a ListedExtension),
    Queue(&'a ListedQueue),
}

impl<'a> From<&'a ListedExtension> for Entry<'a> {
    fn from(one: &'a ListedExtension) -> Self {
        Self::Extension(one)
    }
}

impl<'a> From<&'a ListedQueue> for Entry<'a> {
    fn from(one: &'a ListedQueue) -> Self {
        Self::Queue(one)
    }
}

impl Entry<'_> {
    /// The members in the order of the vendor's pages.
    fn members(&self, now: DateTime<Utc>) -> Vec<(&'static str, Value)> {
        match self {
            Self::Extension(one) => vec![
                ("SIP", json!(one.sip)),
                ("Name", json!(one.name)),
                ("SpeedDial", json!(one.speed_dial)),
                ("AccountID", json!(one.account_id)),
                ("AccountName", json!(one.account_name)),
                ("UserName", json!(one.user_name)),
                ("UserEmail", json!(one.user_email)),
            ],
            Self::Queue(one) => {
                let joined = now.timestamp() - 21;
                let callers = one.callers.iter().enumerate().map(|(at, phone)| {
                    json!({"Phone": phone, "CallID": format!("{joined}{at}"), "JoinTime": joined, "Duration": 21})
                });
                vec![
                    ("Name", json!(one.name)),
                    ("ID", json!(one.id)),
                    ("Weight", json!(one.weight)),
                    ("Callers", callers.collect()),
                ]
            }
        }
    }

    fn write(&self, out: &mut String, now: DateTime<Utc>, fault: Option<ListFault>, place: Place) {
        let mut members = self.members(now);
        let id = if matches!(self, Self::Extension(_)) { "SIP" } else { "ID" };
        match fault {
            Some(ListFault::UnknownField) => {
                members.push(("BrandNew", json!({"of": place.at})));
            }
            Some(ListFault::AbsentField) => {
                members.retain(|(name, _)| !["UserEmail", "Weight"].contains(name))
            }
            Some(ListFault::NoId) if place.is_last => members.retain(|(name, _)| *name != id),
            _ => {}
        }
        for (at, (name, value)) in members.iter().enumerate() {
            let name = if fault == Some(ListFault::LowerCaseNames) {
                name.to_lowercase()
            } else {
                (*name).to_owned()
            };
            let mut value = value.clone();
            if fault == Some(ListFault::NumbersAsText) && value.is_number() {
                value = json!(value.to_string());
            }
            if let (Value::String(text), "Name") = (&mut value, name.as_str()) {
                match fault {
                    Some(ListFault::Nul) if place.at == 0 => text.push('\0'),
                    Some(ListFault::Twice) if place.is_repeat => text.push_str(" (old)"),
                    _ => {}
                }
            }
            // Writing into a string does not fail.
            let _ = write!(out, "{}\"{name}\":{value}", if at == 0 { "{" } else { "," });
        }
        out.push('}');
    }
}

/// Where an entry stands in its list.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    is_last: bool,
    is_repeat: bool,
}

fn well(
    list: ListName,
    entries: &[Entry<'_>],
    now: DateTime<Utc>,
    fault: Option<ListFault>,
    repeated: Option<Entry<'_>>,
) -> ListReply {
    let (number, member) =
        (if fault == Some(ListFault::NumbersAsText) { "\"0\"" } else { "0" }, member(list));
    let mut body = format!("{{\"ERR\":{number},\"DESC\":\"OK\",\"{member}\":[");
    for (at, entry) in entries.iter().chain(&repeated).enumerate() {
        if at > 0 {
            body.push(',');
        }
        let place = Place { at, is_last: at + 1 == entries.len(), is_repeat: at == entries.len() };
        entry.write(&mut body, now, fault, place);
    }
    body.push_str("]}");
    if fault == Some(ListFault::LowerCaseNames) {
        for name in ["ERR", "DESC", member] {
            body = body.replacen(&format!("\"{name}\""), &format!("\"{}\"", name.to_lowercase()), 1);
        }
    }
    Some((200, JSON, body.into_bytes()))
}

fn failed(status: u16, list: ListName, number: i64, description: &str) -> ListReply {
    let body = format!("{{\"ERR\":{number},\"DESC\":\"{description}\",\"{}\":[]}}", member(list));
    Some((status, JSON, body.into_bytes()))
}

fn member(list: ListName) -> &'static str {
    match list {
        ListName::Extensions => "EXTENSIONS",
        ListName::Queues => "QUEUES",
    }
}
