//! The feature `otel`: spans reach a collector.

#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use cdr_sync::clock::Clock;
use private_postgres::TestDatabase;
use tokio::net::TcpListener;
use tokio::process::Command;
use voicenter_simulator::{Simulator, SimulatorOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_sends_a_span_for_each_window_request_and_commit() {
    let got: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = got.clone();
    let collector = Router::new()
        .route("/v1/traces", post(async move |body: Bytes| kept.lock().unwrap().extend_from_slice(&body)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, collector).await.unwrap() });
    let database = TestDatabase::new().await.unwrap();
    let start = Clock::System.now() - chrono::TimeDelta::hours(6);
    let options = SimulatorOptions { requests_per_minute: 0, ..SimulatorOptions::default() };
    let simulator = Simulator::start(options, Clock::System).await.unwrap();
    let sync = Command::new(env!("CARGO_BIN_EXE_cdr-sync"))
        .arg("sync")
        .env_clear()
        .current_dir(std::env::temp_dir())
        .env("DATABASE_URL", database.url())
        .env("VOICENTER_CODE", "simulated-code")
        .env("VOICENTER_URL", simulator.url())
        .env("CDR_SYNC__API__METHOD", "get")
        .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", "60000")
        .env("CDR_SYNC__API__BURST", "1000")
        .env("CDR_SYNC__SYNC__START", start.to_rfc3339())
        .env("CDR_SYNC__LOG__LEVEL", "info")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(120), sync).await.expect("it ends").unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{log}");
    // Names stand as plain text in the protocol's messages.
    let sent = String::from_utf8_lossy(&got.lock().unwrap()).into_owned();
    for name in ["cdr-sync", "window", "request", "store", "backfill", "outcome"] {
        assert!(sent.contains(name), "no {name} in the spans; the log: {log}");
    }
    assert!(!sent.contains("simulated-code"), "the credential is in a span");
}
