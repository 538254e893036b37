//! HTTPS: served with files of the caller's own, and explained where they do not fit.

use std::time::Duration;

use chrono::{TimeZone, Utc};
use reqwest::{Certificate, Client};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use voicenter_simulator::{Fault, Simulator, SimulatorOptions, TlsOptions, WorldOptions};

use crate::clock::ManualClock;

fn file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/certificates").join(name)
}

fn options(certificate: &str, key: &str) -> SimulatorOptions {
    let tls = TlsOptions { certificate: file(certificate), key: file(key) };
    SimulatorOptions { tls: Some(tls), world: WorldOptions::empty(), ..SimulatorOptions::default() }
}

async fn start(options: SimulatorOptions) -> Result<Simulator, String> {
    let now = Utc.with_ymd_and_hms(2026, 6, 8, 12, 0, 0).unwrap();
    Simulator::start(options, ManualClock::new(now)).await.map_err(|error| error.to_string())
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = Certificate::from_pem(&std::fs::read(file("certificate.pem")).unwrap()).unwrap();
    Client::builder().no_proxy().tls_certs_only([trusted]).timeout(Duration::from_secs(20)).build().unwrap()
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_is_answered() {
    let simulator = start(options("certificate.pem", "key.pem")).await.unwrap();
    assert!(simulator.url().starts_with("https://localhost:"), "{}", simulator.url());
    let query = "code=simulated-code&fromdate=2026-06-08T10:00&todate=2026-06-08T11:00";
    let url = format!("https://127.0.0.1:{}/hub/cdr/?{query}", simulator.addr().port());
    // Somebody who connects and says nothing keeps nobody else waiting.
    let silent = TcpStream::connect(simulator.addr()).await.unwrap();
    let answer = client().get(&url).send().await.unwrap().text().await.unwrap();
    assert!(answer.starts_with("{\"ERROR_NUMBER\":0"), "{answer}");
    drop(silent);

    simulator.faults().next(Fault::Reset);
    assert!(client().get(&url).send().await.is_err());
    simulator.faults().next(Fault::AnswerLost);
    assert!(client().get(&url).send().await.is_err());
    assert!(client().get(&url).send().await.unwrap().status().is_success());

    let _ = rustls::crypto::ring::default_provider().install_default();
    let stranger = Client::builder().no_proxy().build().unwrap();
    assert!(stranger.get(&url).send().await.is_err(), "not trusted");
    assert!(client().get(url.replace("https", "http")).send().await.is_err(), "HTTP to an HTTPS port");
    simulator.stop().await;
}

#[tokio::test]
async fn stopping_ends_a_connection_without_a_handshake() {
    let simulator = start(options("certificate.pem", "key.pem")).await.unwrap();
    let mut silent = TcpStream::connect(simulator.addr()).await.unwrap();
    // Answered after the silent connection was accepted.
    let url = format!("{}?fromdate=x", simulator.url());
    client().get(url).send().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), simulator.stop()).await.unwrap();
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), silent.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn unfit_files_are_named_with_what_is_wrong() {
    for (certificate, key, expected) in [
        ("missing.pem", "key.pem", "cannot read the certificate"),
        ("certificate.pem", "missing.pem", "cannot read the private key"),
        ("key.pem", "key.pem", "holds no certificate in PEM: a line like -----BEGIN CERTIFICATE-----"),
        (
            "certificate.pem",
            "certificate.pem",
            "holds no private key in PEM: a line like -----BEGIN PRIVATE KEY-----",
        ),
        ("certificate.pem", "other_key.pem", "the key must be that of the certificate"),
    ] {
        let error = start(options(certificate, key)).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
