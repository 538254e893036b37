//! A response as it was received, before it is judged.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER, SERVER};

use super::super::decode::BadBody;
use super::super::said::explaining;

/// A response as it was received, before it is judged.
pub(super) struct RawResponse {
    pub(super) status: u16,
    pub(super) server_date: Option<DateTime<Utc>>,
    pub(super) retry_after: Option<Duration>,
    pub(super) content_type: Option<String>,
    pub(super) server: Option<String>,
    /// Empty once it has been decoded.
    pub(super) body: Vec<u8>,
    pub(super) size: usize,
}

/// Only a page's title or a short text is quoted; the rest of a body may contain anything.
const LONGEST_QUOTE: usize = 120;

impl RawResponse {
    /// The head of a response; its body is read later.
    pub(super) fn head(response: &reqwest::Response) -> Self {
        let header = |name: HeaderName| {
            response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let server_date = header(DATE).and_then(http_date);
        Self {
            status: response.status().as_u16(),
            server_date,
            retry_after: header(RETRY_AFTER).and_then(|text| retry_after(text, server_date)),
            content_type: header(CONTENT_TYPE).map(str::to_owned),
            server: header(SERVER).map(str::to_owned),
            body: Vec::new(),
            size: 0,
        }
    }

    /// The `charset` of the Content-Type.
    pub(super) fn charset(&self) -> Option<&str> {
        let parameters = self.content_type.as_deref()?.split(';').skip(1);
        let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
        let (_, charset) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
        Some(charset.trim().trim_matches(['"', '\'']))
    }

    /// Describes for the operator a body that is not the API's.
    pub(super) fn kind_of_body(&self, bad: BadBody) -> String {
        let text = String::from_utf8_lossy(self.body.get(..4096).unwrap_or(&self.body));
        let quoted = match bad {
            BadBody::Html => title(&text),
            BadBody::NotJson if self.status >= 400 && !text.trim_start().starts_with(['{', '[']) => {
                Some(&*text)
            }
            _ => None,
        };
        let quoted = quoted.map(explaining);
        let quoted = quoted.filter(|text| !text.is_empty() && text.chars().count() <= LONGEST_QUOTE);
        let server = self.server.as_deref().filter(|_| self.status >= 400).map(explaining);
        let by = server.filter(|server| server != "…").map(|server| format!(" of {server}"));
        format!(
            "{bad}{}{}",
            by.unwrap_or_default(),
            quoted.map(|text| format!(", {text}")).unwrap_or_default()
        )
    }
}

/// The title of an HTML page.
fn title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let from = open + lower.get(open..)?.find('>')? + 1;
    let length = lower.get(from..)?.find("</title")?;
    page.get(from..from + length)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

/// `Retry-After`: seconds, or a date, which counts from the server's own clock.
fn retry_after(text: &str, server_date: Option<DateTime<Utc>>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    (http_date(text)? - server_date?).to_std().ok()
}
