//! What strangers who reach the page's port can take from the daemon; and proxies that are none of its business.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::scene::{ProcessScene, finish};
use crate::support::polling::until;
use crate::support::program::{Running, free_address};

struct Daemon {
    process: Running,
    address: String,
}

impl Daemon {
    /// One that serves, and syncs every second.
    async fn start(scene: &ProcessScene) -> Self {
        let address = free_address();
        let mut command = scene.command(&["run"]);
        command.env("CDR_SYNC__HTTP__LISTEN", &address).env("CDR_SYNC__SYNC__POLL_INTERVAL", "1s");
        let daemon = Self { process: Running::start(command), address };
        until("readiness", async || daemon.get("/readyz").await.is_some_and(|text| text.contains(" 200 ")))
            .await;
        daemon
    }

    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_requests_take_no_descriptors_and_keep_no_probe_out() {
    let scene = ProcessScene::new().await;
    let daemon = Daemon::start(&scene).await;
    let mut strangers = Vec::new();
    for _ in 0..400 {
        let mut stream = TcpStream::connect(&daemon.address).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: ").await;
        strangers.push(stream);
    }
    assert!(daemon.get("/readyz").await.unwrap().contains(" 200 "));
    // Connections to the API, the database, and itself are a few dozen at most.
    assert!(daemon.descriptors() < 64 + 40, "{}", daemon.descriptors());
    let asked = scene.simulator.requests().len();
    until("polls", async || scene.simulator.requests().len() > asked + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_heads_take_no_memory() {
    let scene = ProcessScene::new().await;
    let daemon = Daemon::start(&scene).await;
    let before = daemon.process.memory("VmRSS");
    let (mut strangers, line) = (Vec::new(), format!("X: {}\r\n", "y".repeat(4_000)));
    for _ in 0..200 {
        let mut stream = TcpStream::connect(&daemon.address).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await;
        for _ in 0..90 {
            if stream.write_all(line.as_bytes()).await.is_err() {
                break;
            }
        }
        strangers.push(stream);
    }
    assert!(daemon.get("/livez").await.unwrap().contains(" 200 "));
    let grown = daemon.process.memory("VmRSS").saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes");
}

/// Its soft limit of open files does not bind it.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_open_files_is_raised() {
    let scene = ProcessScene::new().await;
    let mut command = scene.command(&["run"]);
    command.env("CDR_SYNC__SYNC__POLL_INTERVAL", "1s");
    let mut limited = tokio::process::Command::new("sh");
    limited.args(["-c", "ulimit -Sn 64 && exec \"$0\" run"]).arg(command.as_std().get_program());
    limited.env_clear().envs(command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.env("PATH", "/usr/bin:/bin").kill_on_drop(true);
    let daemon = Running::start(limited);
    until("requests", async || !scene.simulator.requests().is_empty()).await;
    let limits = daemon.proc("limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
}

/// A proxy's loopback is not ours.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_on_this_host_is_reached_without_the_proxy() {
    let scene = ProcessScene::new().await;
    let mut command = scene.command(&["sync"]);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, "http://127.0.0.1:1");
    }
    let (status, said) = finish(command).await;
    assert_eq!(status, Some(0), "{said}");
}
