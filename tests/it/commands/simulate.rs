//! `simulate`: what it prints for whoever tries it, and what it logs.

use std::process::Stdio;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::support::program::command;

/// What the command prints and logs while its own example of a GET is requested.
async fn tried(arguments: &[&str]) -> (String, String) {
    let mut command = command([&["simulate", "--listen", "0"], arguments].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    while !printed.contains("/hub/cdr/?") {
        assert!(stdout.read_line(&mut printed).await.unwrap() > 0, "it ended: {printed}");
    }
    let query = printed.split("curl --silent '").nth(1).unwrap().split('\'').next().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(query).send().await.unwrap().text().await.unwrap();
    assert!(answer.starts_with("{\"ERROR_NUMBER\":0"), "{answer}");
    let (base, _) = query.split_once("/hub/cdr/").unwrap();
    let found = client.get(format!("{base}/simulator/")).send().await.unwrap().status().is_success();
    assert_eq!(found, !arguments.contains(&"--no-admin"));

    let id = nix::unistd::Pid::from_raw(child.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(id, Signal::SIGTERM).unwrap();
    stdout.read_to_string(&mut printed).await.unwrap();
    let mut logged = String::new();
    child.stderr.take().unwrap().read_to_string(&mut logged).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    (printed, logged)
}

#[tokio::test]
async fn each_request_is_logged_unless_quiet() {
    let (printed, logged) = tried(&[]).await;
    assert!(printed.starts_with("A simulated Voicenter API is listening on http://127.0.0.1:"), "{printed}");
    assert!(printed.contains("--data '{\"fault\":\"http500\",\"next\":3}'"), "{printed}");
    assert_eq!(logged.matches("\"message\":\"request\"").count(), 1, "{logged}");

    let (printed, logged) = tried(&["--quiet", "--no-admin"]).await;
    assert!(!printed.contains("/simulator/"), "{printed}");
    assert_eq!(logged, "");
}
