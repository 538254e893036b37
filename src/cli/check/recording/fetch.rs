//! Fetches the beginning of a recording, once, without a credential, and from the hosts that are allowed only.

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::time::timeout;
use url::Url;

use super::answer::{BodyEnd, Received};
use super::hosts::{Hosts, Refusal, Target};
use crate::voicenter::install_crypto;
use crate::voicenter::said::printable;

/// What the host may take to connect …
const CONNECTING: Duration = Duration::from_secs(5);
/// … until its answer begins …
const ANSWERING: Duration = Duration::from_secs(10);
/// … and for the beginning of its body.
const READING: Duration = Duration::from_secs(5);
/// This much of a body shows what it is.
const BEGINNING: usize = 4 << 10;
/// A link that leads further than this many times leads nowhere.
const MOST_REDIRECTS: usize = 4;

/// What became of a link, and the host that it led to last.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The name, and the port if it is not the usual one. Nothing else of a link may be shown.
    pub(super) host: String,
    pub(super) outcome: Outcome,
    /// How many redirects were followed.
    pub(super) redirects: usize,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Answered(Received),
    Refused(Refusal),
    /// It leads on and on.
    TooManyRedirects,
    /// No connection, or no answer; why.
    Unreachable(String),
}

pub(super) async fn fetch(link: &str, hosts: &Hosts<'_>) -> Fetched {
    let refused = |refusal| Outcome::Refused(refusal);
    let Ok(mut url) = Url::parse(link.trim()) else {
        return Fetched { host: String::new(), outcome: refused(Refusal::NoAddress), redirects: 0 };
    };
    for redirects in 0..=MOST_REDIRECTS {
        let fetched = |outcome| Fetched { host: host(&url), outcome, redirects };
        let target = match hosts.admit(&url) {
            Ok(target) => target,
            Err(refusal) => return fetched(refused(refusal)),
        };
        let response = match request(&url, &target).await {
            Ok(response) => response,
            Err(outcome) => return fetched(outcome),
        };
        match next(&url, &response) {
            None => return fetched(Outcome::Answered(beginning(response).await)),
            Some(next) => url = next,
        }
    }
    Fetched { host: host(&url), outcome: Outcome::TooManyRedirects, redirects: MOST_REDIRECTS }
}

/// Sends one request, to an address that was looked at before.
async fn request(url: &Url, target: &Target) -> Result<Response, Outcome> {
    install_crypto();
    let mut client = Client::builder()
        .user_agent(concat!("cdr-sync/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECTING)
        .redirect(Policy::none())
        .no_gzip();
    match timeout(CONNECTING, tokio::net::lookup_host((target.name.as_str(), target.port))).await {
        Ok(Ok(addresses)) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            target.admit(addresses.iter().map(SocketAddr::ip)).map_err(Outcome::Refused)?;
            // Nobody else looks the name up again, which may then lead elsewhere.
            client = client.resolve_to_addrs(&target.name, &addresses);
        }
        // Behind a proxy, only the proxy may know the name. Nobody else looks it up again here, either.
        _ if super::super::proxy_variable().is_some() => {
            client = client.resolve_to_addrs(&target.name, &[]);
        }
        Ok(Err(_)) => return Err(Outcome::Unreachable("its name is not known".to_owned())),
        Err(_) => return Err(Outcome::Unreachable(silent(CONNECTING))),
    }
    let client = client.build().map_err(|error| Outcome::Unreachable(reason(error)))?;
    let mut url = url.clone();
    if url.domain().is_some() {
        // The name that was looked up, which may have been written with a dot at its end.
        let _ = url.set_host(Some(&target.name));
    }
    // A name and a password in a link would be a credential.
    let _ = (url.set_username(""), url.set_password(None));
    match timeout(ANSWERING, client.get(url).send()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(Outcome::Unreachable(reason(error))),
        Err(_) => Err(Outcome::Unreachable(silent(ANSWERING))),
    }
}

/// Where a redirect leads.
fn next(url: &Url, response: &Response) -> Option<Url> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| is_redirect)?;
    url.join(location.to_str().ok()?).ok()
}

/// Reads as much as shows what it is, and drops the connection.
async fn beginning(mut response: Response) -> Received {
    let text = |headers: &HeaderMap, name: &str| -> Option<String> {
        headers.get(name)?.to_str().ok().map(str::to_owned)
    };
    let headers = response.headers();
    let mut received = Received {
        status: response.status().as_u16(),
        content_type: text(headers, "content-type"),
        content_length: text(headers, "content-length").and_then(|length| length.parse().ok()),
        retry_after: text(headers, "retry-after"),
        is_challenge: text(headers, "cf-mitigated").is_some_and(|value| value == "challenge"),
        ..Received::default()
    };
    let reading = async {
        while received.body.len() < BEGINNING {
            match response.chunk().await {
                Ok(Some(chunk)) => received.body.extend_from_slice(&chunk),
                Ok(None) => return BodyEnd::Whole,
                Err(_) => return BodyEnd::BrokeOff,
            }
        }
        BodyEnd::MoreToCome
    };
    received.end = timeout(READING, reading).await.unwrap_or(BodyEnd::BrokeOff);
    received
}

fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

fn silent(within: Duration) -> String {
    format!("no answer within {} s", within.as_secs())
}

/// The innermost reason: the outer ones may hold the address.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost = error.source();
    while let Some(deeper) = innermost.and_then(std::error::Error::source) {
        innermost = Some(deeper);
    }
    printable(&innermost.map_or_else(|| error.to_string(), ToString::to_string))
}
