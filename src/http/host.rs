//! Host names under which the page is served. A web site can point its own name at this address (DNS rebinding), and
//! its script could then read the page: names that are not configured are refused.

use std::net::Ipv6Addr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{TEXT, Web, answer};

/// Orchestrators and Prometheus use names of their own, and these paths show nothing of use to a web site.
const ANY_HOST: [&str; 4] = ["/livez", "/readyz", "/healthz", "/metrics"];

const REFUSED: &str = "the page is not served under this host name: use localhost or an IP address, or add \
                       the name to http.hosts (CDR_SYNC__HTTP__HOSTS, separated by commas)\n";

pub(super) async fn refuse_foreign(State(web): State<Web>, request: Request, next: Next) -> Response {
    let allowed = ANY_HOST.contains(&request.uri().path())
        || names(&request).all(|name| is_own(name.as_deref(), &web.shown().settings.hosts));
    if allowed {
        return next.run(request).await;
    }
    answer(StatusCode::MISDIRECTED_REQUEST, TEXT, REFUSED.to_owned())
}

/// Every host name in the request; `None` for one that cannot be read. A browser always sends one.
fn names(request: &Request) -> impl Iterator<Item = Option<String>> {
    let headers = request.headers().get_all(header::HOST).into_iter();
    let headers = headers.map(|value| value.to_str().ok()?.parse::<Authority>().ok());
    let authorities = request.uri().authority().cloned().map(Some).into_iter().chain(headers);
    authorities.map(|authority| authority.map(|authority| authority.host().to_owned()))
}

fn is_own(name: Option<&str>, hosts: &[String]) -> bool {
    let Some(name) = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase()) else { return false };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::Ipv4Addr>().is_ok()
        || bare.is_some_and(|bare| bare.parse::<Ipv6Addr>().is_ok())
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_loopback_addresses_and_what_is_configured() {
        let hosts = ["calls.example.com".to_owned()];
        for own in
            ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "10.1.2.3", "[::1]", "Calls.Example.com"]
        {
            assert!(is_own(Some(own), &hosts), "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "calls.example.com.evil",
            "1.2.3",
        ] {
            assert!(!is_own(Some(foreign), &hosts), "{foreign}");
        }
        assert!(!is_own(None, &hosts));
    }
}
