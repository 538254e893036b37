//! What deploys it: the systemd unit with its notifications, and the Kubernetes manifests.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use cdr_sync::clock::Clock;
use cdr_sync::store::Store;
use chrono::TimeDelta;
use nix::sys::signal::Signal;
use voicenter_simulator::{ApiGeneration, SimulatorOptions};

use crate::support::database::{Database, settings};
use crate::support::folder::Folder;
use crate::support::polling::PATIENCE;
use crate::support::program::{CODE, Running, command, mirroring};
use crate::support::simulator::{running, unlimited};

/// The steps at the unit's head, run as they stand, but under a root of the test's own.
#[test]
fn the_units_install_steps_put_everything_where_it_looks() {
    use std::os::unix::fs::PermissionsExt;

    let scratch = Folder::new();
    let (from, root) = (scratch.path().join("from"), scratch.path().join("root"));
    fs::create_dir_all(&from).unwrap();
    let unit = fs::read_to_string("deploy/systemd/cdr-sync.service").unwrap();
    for name in ["cdr-sync", "operations.md", "config.toml", "database_url", "voicenter_code"] {
        fs::write(from.join(name), "x\n").unwrap();
    }
    fs::write(from.join("cdr-sync.service"), &unit).unwrap();
    let steps: Vec<String> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("#   install "))
        .map(|step| format!("install {}", step.replace(" /", &format!(" {}/", root.display()))))
        .collect();
    assert!(steps.len() >= 6, "{steps:?}");
    // On a new system these are there.
    fs::create_dir_all(root.join("etc")).unwrap();
    let script = format!("set -e; umask 022; {}", steps.join("; "));
    let output = Command::new("sh").args(["-c", &script]).current_dir(&from).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Whatever the unit names is there. A user of systemd's own runs it: what is not handed over must be readable.
    let word = |key: &str| {
        unit.lines()
            .filter_map(|line| line.strip_prefix(key))
            .map(|value| value.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let mode = |path: &str| {
        let file = root.join(path.trim_start_matches('/'));
        let found = fs::metadata(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        found.permissions().mode() & 0o777
    };
    let command = word("ExecStart=").remove(0);
    let mut words = command.split(' ').filter(|word| word.starts_with('/'));
    assert_eq!(mode(words.next().unwrap()), 0o755);
    assert_eq!(mode(words.next().unwrap()), 0o644);
    assert_eq!(mode("/etc/cdr-sync"), 0o755);
    assert_eq!(mode(word("Documentation=file://").first().unwrap()), 0o644);
    let credentials = word("LoadCredential=");
    assert_eq!(credentials.len(), 2);
    for credential in credentials {
        let (name, path) = credential.split_once(':').unwrap();
        assert_eq!(mode(path), 0o600);
        assert!(unit.contains(&format!("_FILE=%d/{name}\n")), "{name} is handed over and not used");
    }
    assert_eq!(mode("/etc/cdr-sync/secrets"), 0o700);
}

/// What never gets better by itself is not started again; everything else is, however often.
#[test]
fn a_wrong_configuration_ends_as_the_unit_expects() {
    let unit = fs::read_to_string("deploy/systemd/cdr-sync.service").unwrap();
    for line in ["Restart=always", "StartLimitIntervalSec=0"] {
        assert!(unit.lines().any(|of_unit| of_unit == line), "{line}");
    }
    let prevents = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    let scratch = Folder::new();
    let config = scratch.write("config.toml", "[sync]\npoll_intervall = \"60s\"\n");
    let mut run = command(["run", "--config"]);
    run.arg(&config).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none").env("VOICENTER_CODE", CODE);
    let output = run.as_std_mut().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code().map(|code| code.to_string()).as_deref(), Some(prevents), "{said}");
}

/// What stands before everything that has a secret in docker-compose.yml: what it prints, and whether it lets them start.
async fn guard(environment: &[(&str, &str)]) -> (bool, String) {
    let mut command = tokio::process::Command::new("bash");
    command.arg("deploy/compose/setup-or-profile-demo").env("WAIT_SECONDS", "0");
    for name in ["SECRETS", "CDR_SYNC_IMAGE", "CDR_SYNC_PULL_POLICY", "CDR_SYNC_TAG"] {
        command.env_remove(name);
    }
    let output = command.envs(environment.iter().copied()).output().await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demos_secrets_are_for_the_simulator_alone() {
    // As the demo starts it.
    let options = SimulatorOptions { admin: true, ..unlimited(ApiGeneration::Current) };
    let simulator = running(options).await;
    let url = url::Url::parse(&simulator.url()).unwrap();
    let address = format!("127.0.0.1:{}", url.port().unwrap());
    assert_eq!(guard(&[("SIMULATOR", &address)]).await, (true, String::new()));
    // Whoever else answers to the name: a wildcard of the network's domain.
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = stranger.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in stranger.incoming() {
            let _ =
                std::io::Write::write_all(&mut connection.unwrap(), b"HTTP/1.1 200 OK\r\n\r\nsimulator\n");
        }
    });
    for wrong in [elsewhere.as_str(), "127.0.0.1:1"] {
        let (starts, said) = guard(&[("SIMULATOR", wrong)]).await;
        assert!(
            !starts && said.contains("deploy/compose/setup") && said.contains("--profile demo up"),
            "{said}"
        );
    }
    let set_up = ("SECRETS", "./deploy/compose/secrets");
    assert_eq!(guard(&[("SIMULATOR", &elsewhere), set_up]).await, (true, String::new()));
}

#[tokio::test]
async fn a_named_image_is_pulled_or_built_as_its_operator_says() {
    let set_up = ("SECRETS", "./deploy/compose/secrets");
    let image = ("CDR_SYNC_IMAGE", "registry.example.com/cdr-sync:0.1.0");
    let (starts, said) = guard(&[set_up, image]).await;
    assert!(!starts && said.contains(image.1) && said.contains("CDR_SYNC_PULL_POLICY=missing"), "{said}");
    for policy in ["missing", "build"] {
        assert_eq!(guard(&[set_up, image, ("CDR_SYNC_PULL_POLICY", policy)]).await, (true, String::new()));
    }
    let (starts, said) = guard(&[set_up, ("CDR_SYNC_TAG", "0.1.0")]).await;
    assert!(!starts && said.contains("CDR_SYNC_IMAGE=cdr-sync:0.1.0"), "{said}");
    // It sees what .env has.
    let compose = fs::read_to_string("docker-compose.yml").unwrap();
    for name in ["SECRETS", "CDR_SYNC_IMAGE", "CDR_SYNC_PULL_POLICY", "CDR_SYNC_TAG"] {
        assert!(compose.contains(&format!("      {name}: ${{{name}:-}}\n")), "{name}");
    }
}

/// The daemon under a service manager that is this test.
struct Service {
    daemon: Running,
    socket: UnixDatagram,
}

impl Service {
    /// What it says next, waiting for as long as it may take.
    fn says(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.socket.recv(&mut buffer).expect("the daemon notifies");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    }

    fn says_until(&self, word: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        while Instant::now() < deadline {
            said.push(self.says());
            if said.last().is_some_and(|last| last == word) {
                return said;
            }
        }
        panic!("{word} did not come: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_is_told_when_it_is_ready_alive_and_stopping() {
    let scratch = Folder::new();
    let database = Database::new().await;
    let simulator = running(unlimited(ApiGeneration::Current)).await;
    let path = scratch.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let start = Clock::System.now() - TimeDelta::hours(1);
    let mut command = mirroring(["run"], database.url(), &simulator.url(), start);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut service = Service { daemon: Running::start(command), socket };
    let before = service.says_until("READY=1");
    assert!(before.iter().all(|word| word == "READY=1" || word == "WATCHDOG=1"), "{before:?}");
    // The schema is there by then.
    let store = Store::open(&settings(database.url())).unwrap();
    assert!(store.schema_state().await.unwrap().pending.is_empty());
    // At half of the watchdog's time each.
    let began = Instant::now();
    for _ in 0..10 {
        service.says_until("WATCHDOG=1");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    service.daemon.signal(Signal::SIGTERM);
    service.says_until("STOPPING=1");
    assert!(service.daemon.wait().await.0.success());
}

mod needs_systemd {
    use super::*;

    #[test]
    fn systemd_accepts_the_unit() {
        let scratch = Folder::new();
        let unit = fs::read_to_string("deploy/systemd/cdr-sync.service").unwrap();
        // The program is not installed here: systemd is to see that the one of this build could be started.
        let unit = unit.replace("/usr/local/bin/cdr-sync", env!("CARGO_BIN_EXE_cdr-sync"));
        let file = scratch.write("cdr-sync.service", &unit);
        let verify = Command::new("systemd-analyze").arg("verify").arg(&file).output();
        let output = verify
            .expect("this test needs systemd-analyze; scripts/test installs systemd or leaves the test out");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
        // 0 is shut off from everything, 10 from nothing.
        let security = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=15", "--no-pager"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(security.status.success(), "{}", String::from_utf8_lossy(&security.stdout));
    }
}

/// With its module `venv`, by which the script has its schemas.
mod needs_python {
    use super::*;

    #[test]
    fn kubernetes_accepts_the_manifests() {
        let output = Command::new("scripts/check-kubernetes").output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "this test needs python3 with venv, and PyPI: {said}");
    }
}
