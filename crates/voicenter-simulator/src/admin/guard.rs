//! Keeps web pages away from `/simulator/`: whatever a browser has open on this host could reach it otherwise.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use super::{AdminAnswer, failed};

/// The answer to a request that a web page may have made, to a simulator that listens on `listen`.
pub(crate) fn refusal(headers: &HeaderMap, listen: IpAddr) -> Option<AdminAnswer> {
    // Browsers send it with everything that a page of another site may change something by.
    if headers.contains_key(header::ORIGIN) {
        let text = "/simulator/ does not answer web pages; send the request without the header Origin";
        return Some(failed(403, text.to_owned()));
    }
    // A name that somebody else lets point at this host makes their page one of this site (DNS rebinding).
    let host = headers.get(header::HOST).filter(|_| listen.to_canonical().is_loopback())?;
    let host = host.to_str().unwrap_or_default();
    (!is_this_host(host)).then(|| {
        let text = format!("/simulator/ is reached by localhost or an IP address, not by {host}");
        failed(403, text)
    })
}

fn is_this_host(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| {
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_and_addresses_are_this_host_and_nothing_else() {
        for host in ["localhost", "LocalHost:8081", "127.0.0.1:8081", "[::1]:8081", "192.0.2.7"] {
            assert!(is_this_host(host), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "127.0.0.1.example.com:8081", "a b"] {
            assert!(!is_this_host(host), "{host}");
        }
    }
}
