//! `healthcheck`: asks the daemon's own probe, for images that have no other program to do it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CliError, Exit};
use crate::config::Config;

/// A probe that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(3);
/// At most this many bytes of the probe's answer are read.
const LONGEST: u64 = 64 * 1024;

/// Exits with 0 if the daemon is ready or, with `live`, if it answers at all.
pub(super) async fn run(config: &Config, live: bool) -> Result<Exit, CliError> {
    let Some(listen) = config.http.listen else {
        return Err(CliError::Failed("http.listen is \"\": the daemon serves no probes to ask".into()));
    };
    let (address, path) = (reachable(listen), if live { "/livez" } else { "/readyz" });
    let asked = tokio::time::timeout(PATIENCE, ask(address, path)).await;
    let (status, body) = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(CliError::Failed(format!("http://{address}{path}: {error}"))),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            return Err(CliError::Failed(format!("http://{address}{path}: no answer within {seconds} s")));
        }
    };
    println!("{}", body.trim());
    Ok(if status == 200 { Exit::Done } else { Exit::Failed })
}

/// A daemon that listens on every interface is reached by loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The status and body of a GET. By hand: an HTTP client would load every certificate of the system for it.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status =
        answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let no_http = || std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is not HTTP");
    Ok((status.ok_or_else(no_http)?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_reached_by_loopback() {
        let reached = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reached("[::]:8080"), "[::1]:8080");
        assert_eq!(reached("192.0.2.7:81"), "192.0.2.7:81");
    }

    #[tokio::test]
    async fn the_probes_status_and_word_come_through() {
        use axum::http::StatusCode;
        let router = axum::Router::new().route(
            "/readyz",
            axum::routing::get(async || (StatusCode::SERVICE_UNAVAILABLE, "not ready: x\n")),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        assert_eq!(ask(address, "/readyz").await.unwrap(), (503, "not ready: x\n".to_owned()));
    }
}
