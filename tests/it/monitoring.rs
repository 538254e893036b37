//! Alerts, dashboard and metrics, tried by Debian's Prometheus and its promtool.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cdr_sync::clock::Clock;
use cdr_sync::metrics::Metrics;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::time::interval;
use voicenter_simulator::{ApiGeneration, Fault};

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::program::{Running, free_address, mirroring};
use crate::support::simulator::{running, unlimited};

/// Whatever is waited for takes no longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs promtool; fails with what it said.
fn promtool(arguments: &[&str], directory: &str, input: Option<&str>) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut tool = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs promtool; scripts/test installs Prometheus or leaves the test out");
    std::io::Write::write_all(&mut tool.stdin.take().unwrap(), input.unwrap_or_default().as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("lint"), "promtool {arguments:?}: {said}");
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
        assert!(rules.contains(&format!("/docs/operations.md#{}'", name.to_lowercase())), "{name}");
        assert!(runbook.contains(&format!("### {name}\n")), "docs/operations.md does not explain {name}");
    }
}

/// What a replica cut off from the database still shows of the ledger is old.
#[test]
fn the_dashboard_leaves_out_what_a_replica_cut_off_shows() {
    for query in queries() {
        let old = ["gaps", "rejected_records", "suspicious_rows", "unread_seconds"];
        if old.iter().any(|name| query.contains(&format!("cdr_sync_{name}{{"))) {
            assert!(query.contains(" and ignoring (account) cdr_sync_database_up == 1"), "{query}");
        }
        // Its lag only grows.
        assert!(!query.contains("cdr_sync_lag_seconds") || query.starts_with("min by (account, "), "{query}");
    }
}

/// The labels by which one Prometheus tells installations apart.
const INSTALLATION: &str = "cluster, namespace, service, installation";

/// What combines the series of several processes without them would let one installation hide the outage of another.
#[test]
fn nothing_combines_the_replicas_of_two_installations() {
    let rules = fs::read_to_string("deploy/prometheus/alerts.yml").unwrap();
    let rules =
        rules.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    // The dashboard's other sums are of all accounts on purpose, such as requests by outcome.
    let state = queries()
        .into_iter()
        .filter(|query| ["by (account", "_up)", "_leader"].iter().any(|word| query.contains(word)));
    let mut seen = 0;
    for text in state.chain([rules]) {
        for word in ["min", "max", "sum"] {
            for (at, _) in text.match_indices(word) {
                let (before, after) = (&text[..at], &text[at + word.len()..]);
                let is_aggregation = !before.ends_with(|last: char| last.is_alphanumeric() || last == '_')
                    && after.starts_with([' ', '(']);
                if is_aggregation {
                    let by = after.trim_start().strip_prefix("by (").and_then(|by| by.split_once(')'));
                    assert!(by.is_some_and(|(by, _)| by.ends_with(INSTALLATION)), "{word}{after}");
                    seen += 1;
                }
            }
        }
        assert!(
            !text.contains(" on ()") && !text.contains(" on (account)") && !text.contains(" on (job"),
            "{text}"
        );
    }
    assert!(seen >= 30, "{seen}");
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

fn start_prometheus(folder: &Folder, address: &str, daemon: &str) -> Running {
    let rules = fs::canonicalize("deploy/prometheus/alerts.yml").unwrap();
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: cdr-sync\n    static_configs: [{{ targets: ['{daemon}'] }}]\n",
        rules.display()
    );
    let config = folder.write("prometheus.yml", &config);
    let mut command = tokio::process::Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    Running::start(command)
}

mod needs_prometheus {
    use super::*;

    #[test]
    fn alert_rules_pass_their_tests() {
        promtool(&["check", "config", "prometheus.yml"], "deploy/prometheus", None);
        promtool(&["test", "rules", "tests.yml"], "deploy/prometheus", None);
    }

    #[test]
    fn metrics_are_well_formed() {
        let metrics = Metrics::new().unwrap();
        metrics.account("sales").request(cdr_sync::voicenter::RequestOutcome::Ok, Duration::from_millis(20));
        let text = metrics.expose(&[], true, DateTime::<Utc>::UNIX_EPOCH);
        promtool(&["check", "metrics"], ".", Some(&text));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_query_of_the_dashboard_has_a_result() {
        let (database, simulator) = (Database::new().await, running(unlimited(ApiGeneration::Current)).await);
        simulator.faults().next(Fault::RateLimited);
        let (daemon, address) = (free_address(), free_address());
        let start = Clock::System.now() - TimeDelta::hours(6);
        let mut command = mirroring(["run"], database.url(), &simulator.url(), start);
        command.env("CDR_SYNC__SYNC__POLL_INTERVAL", "2s").env("CDR_SYNC__HTTP__LISTEN", &daemon);
        let _daemon = Running::start(command);
        let folder = Folder::new();
        let _prometheus = start_prometheus(&folder, &address, &daemon);
        cdr_sync::voicenter::install_crypto();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let queries = queries();
        assert!(queries.len() >= 15, "{queries:?}");
        let mut open = queries.clone();
        // Prometheus scrapes every second and announces nothing: asking more often would show nothing new.
        let (mut turns, deadline) = (interval(Duration::from_millis(500)), Instant::now() + PATIENCE);
        while !open.is_empty() {
            turns.tick().await;
            for query in open.clone() {
                let mut url = url::Url::parse(&format!("http://{address}/api/v1/query")).unwrap();
                url.query_pairs_mut().append_pair("query", &query);
                // Not there yet, in its first moments.
                let Ok(response) = client.get(url).send().await else { continue };
                let answer: Value =
                    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
                if answer["status"] == "error" && answer["errorType"] == "bad_data" {
                    panic!("Prometheus refuses {query}: {answer}");
                }
                if answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty()) {
                    open.remove(&query);
                }
            }
            assert!(Instant::now() < deadline, "no result of: {open:#?}");
        }
        // The rules are loaded, too, and none of them is broken.
        let rules = client.get(format!("http://{address}/api/v1/rules")).send().await.unwrap();
        let rules: Value = serde_json::from_slice(&rules.bytes().await.unwrap()).unwrap();
        let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
        assert!(rules.len() >= 6 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:#?}");
    }
}
