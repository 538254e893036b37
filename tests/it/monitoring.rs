//! Alerts, dashboard and metrics, tried by Debian's Prometheus and its promtool.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cdr_sync::clock::Clock;
use cdr_sync::metrics::Metrics;
use chrono::{DateTime, TimeDelta, Utc};
use private_postgres::TestDatabase;
use serde_json::Value;
use voicenter_simulator::{Fault, Simulator, SimulatorOptions};

/// Whatever is waited for takes no longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Whether Prometheus is here; CDR_SYNC_TEST_WITHOUT says when it is not.
fn prometheus() -> bool {
    let without = std::env::var("CDR_SYNC_TEST_WITHOUT").unwrap_or_default();
    let here = !without.split(',').any(|word| word.trim() == "prometheus");
    if !here {
        eprintln!("SKIPPED: no prometheus here (CDR_SYNC_TEST_WITHOUT)");
    }
    here
}

/// Runs promtool; fails with what it said.
fn promtool(arguments: &[&str], directory: &str, input: Option<&str>) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut tool = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: Debian's package prometheus, or CDR_SYNC_TEST_WITHOUT=prometheus");
    std::io::Write::write_all(&mut tool.stdin.take().unwrap(), input.unwrap_or_default().as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("lint"), "promtool {arguments:?}: {said}");
}

#[test]
fn alert_rules_pass_their_tests() {
    if !prometheus() {
        return;
    }
    promtool(&["check", "config", "prometheus.yml"], "deploy/prometheus", None);
    promtool(&["test", "rules", "tests.yml"], "deploy/prometheus", None);
}

#[test]
fn every_alert_is_tested_and_explained() {
    let rules = fs::read_to_string("deploy/prometheus/alerts.yml").unwrap();
    let tests = fs::read_to_string("deploy/prometheus/tests.yml").unwrap();
    let runbook = fs::read_to_string("docs/operations.md").unwrap();
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        assert!(
            tests.contains(&format!("alertname: {name}\n        exp_alerts:\n")),
            "no test sees {name} fire"
        );
        assert!(
            rules.contains(&format!("runbook_url: docs/operations.md#{}", name.to_lowercase())),
            "{name}"
        );
        assert!(runbook.contains(&format!("### {name}\n")), "docs/operations.md does not explain {name}");
    }
}

#[test]
fn metrics_are_well_formed() {
    if !prometheus() {
        return;
    }
    let metrics = Metrics::new().unwrap();
    metrics.account("sales").request(cdr_sync::voicenter::RequestOutcome::Ok, Duration::from_millis(20));
    let text = metrics.expose(&[], true, DateTime::<Utc>::UNIX_EPOCH);
    promtool(&["check", "metrics"], ".", Some(&text));
}

/// What a replica cut off from the database still shows of the ledger is old.
#[test]
fn the_dashboard_leaves_out_what_a_replica_cut_off_shows() {
    for query in queries() {
        let old = ["gaps", "rejected_records", "suspicious_rows", "unread_seconds"];
        if old.iter().any(|name| query.contains(&format!("cdr_sync_{name}{{"))) {
            assert!(query.contains(" and on (job, instance) cdr_sync_database_up == 1"), "{query}");
        }
        // Its lag only grows.
        assert!(!query.contains("cdr_sync_lag_seconds") || query.starts_with("min by (account)"), "{query}");
    }
}

/// A child that ends with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What the dashboard asks, with its variables filled in as Grafana would.
fn queries() -> BTreeSet<String> {
    let text = fs::read_to_string("deploy/grafana/dashboards/cdr-sync.json").unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| target["expr"].as_str().unwrap())
        .map(|query| query.replace("$account", ".*").replace("$__rate_interval", "15s"))
        .collect()
}

fn start_prometheus(directory: &Path, port: u16, daemon: u16) -> Running {
    let rules = fs::canonicalize("deploy/prometheus/alerts.yml").unwrap();
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: cdr-sync\n    static_configs: [{{ targets: ['127.0.0.1:{daemon}'] }}]\n",
        rules.display()
    );
    fs::write(directory.join("prometheus.yml"), config).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus is there");
    Running(child)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_of_the_dashboard_has_a_result() {
    if !prometheus() {
        return;
    }
    let (database, options) = (TestDatabase::new().await.unwrap(), SimulatorOptions::default());
    let options = SimulatorOptions { requests_per_minute: 0, ..options };
    let simulator = Simulator::start(options, Clock::System).await.unwrap();
    simulator.faults().next(Fault::RateLimited);
    let (daemon, port) = (free_port(), free_port());
    let start = Clock::System.now() - TimeDelta::hours(6);
    let _daemon = Running(
        Command::new(env!("CARGO_BIN_EXE_cdr-sync"))
            .arg("run")
            .env_clear()
            .current_dir(std::env::temp_dir())
            .env("DATABASE_URL", database.url())
            .env("VOICENTER_CODE", "simulated-code")
            .env("VOICENTER_URL", simulator.url())
            .env("CDR_SYNC__SYNC__START", start.to_rfc3339())
            .env("CDR_SYNC__SYNC__POLL_INTERVAL", "2s")
            .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", "6000")
            .env("CDR_SYNC__API__BURST", "100")
            .env("CDR_SYNC__API__BACKOFF_MIN", "1s")
            .env("CDR_SYNC__HTTP__LISTEN", format!("127.0.0.1:{daemon}"))
            .env("CDR_SYNC__LOG__LEVEL", "error")
            .spawn()
            .unwrap(),
    );
    let directory = std::env::temp_dir().join(format!("cdr-sync-prometheus-{port}"));
    fs::create_dir_all(&directory).unwrap();
    let running = start_prometheus(&directory, port, daemon);
    cdr_sync::voicenter::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let queries = queries();
    assert!(queries.len() >= 15, "{queries:?}");
    let mut open = queries.clone();
    let deadline = Instant::now() + PATIENCE;
    while !open.is_empty() {
        for query in open.clone() {
            let mut url = url::Url::parse(&format!("http://127.0.0.1:{port}/api/v1/query")).unwrap();
            url.query_pairs_mut().append_pair("query", &query);
            // Not there yet, in its first moments.
            let Ok(response) = client.get(url).send().await else { continue };
            let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
            if answer["status"] == "error" && answer["errorType"] == "bad_data" {
                panic!("Prometheus refuses {query}: {answer}");
            }
            if answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty()) {
                open.remove(&query);
            }
        }
        assert!(Instant::now() < deadline, "no result of: {open:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // The rules are loaded, too, and none of them is broken.
    let rules = client.get(format!("http://127.0.0.1:{port}/api/v1/rules")).send().await.unwrap();
    let rules: Value = serde_json::from_slice(&rules.bytes().await.unwrap()).unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() >= 6 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:#?}");
    drop(running);
    let _ = fs::remove_dir_all(directory);
}
