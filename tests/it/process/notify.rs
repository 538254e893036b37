//! People are told of trouble and of its end, by a webhook and by mail.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::process::scene::{ProcessScene, finish};
use crate::support::polling::until;
use crate::support::program::Running;

/// What a webhook was posted.
#[derive(Clone, Default)]
struct Posted(Arc<Mutex<Vec<Value>>>);

impl Posted {
    /// Listens, and answers with this status.
    async fn listen(status: StatusCode) -> (Self, String) {
        let posted = Self::default();
        let take = move |State(posted): State<Posted>, body: String| async move {
            posted.0.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            (status, "no such hook")
        };
        let app = Router::new().fallback(take).with_state(posted.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hooks/secret-path", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (posted, address)
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// Event and kind of each notice of the refusal. That nobody leads the account for a moment while daemons change is told, too,
    /// where people are told after a second.
    fn told(&self) -> Vec<String> {
        let word = |notice: &Value, name: &str| notice[name].as_str().unwrap().to_owned();
        let notices = self.all().into_iter().flat_map(|body| body["notices"].as_array().unwrap().clone());
        let all = notices.map(|notice| format!("{} {}", word(&notice, "event"), word(&notice, "kind")));
        all.filter(|told| told.ends_with("credential_refused")).collect()
    }
}

fn daemon(scene: &ProcessScene, webhook: &str, code: &str) -> Running {
    let mut command = scene.command(&["run"]);
    command
        .env("CDR_SYNC__NOTIFY__WEBHOOK", webhook)
        .env("CDR_SYNC__NOTIFY__AFTER", "1s")
        .env("VOICENTER_CODE", code)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Running::start(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_is_told_once_whatever_restarts_and_so_is_its_end() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    let (posted, webhook) = Posted::listen(StatusCode::OK).await;
    let mut first = daemon(&scene, &webhook, "another-code");
    until("the trouble", async || posted.told() == ["trouble credential_refused"]).await;
    let all = posted.all();
    let notices = all.iter().flat_map(|body| body["notices"].as_array().unwrap());
    let notice = notices.into_iter().find(|notice| notice["kind"] == "credential_refused").unwrap();
    assert_eq!(notice["account"], "default");
    assert!(notice["text"].as_str().unwrap().contains("error 2"), "{notice}");
    // It ends as soon as it has told that: the note of it is not lost.
    first.signal(Signal::SIGTERM);
    first.wait().await;

    // The next one meets the same.
    let asked = scene.simulator.requests().len();
    let mut second = daemon(&scene, &webhook, "another-code");
    until("another refusal", async || scene.simulator.requests().len() > asked + 1).await;
    second.signal(Signal::SIGTERM);
    second.wait().await;

    let third = daemon(&scene, &webhook, "simulated-code");
    until("the end", async || posted.told().len() == 2).await;
    assert_eq!(posted.told(), ["trouble credential_refused", "over credential_refused"]);
    until("nothing left", async || scene.database.count("select count(*) from cdr_sync.notice").await == 0)
        .await;
    drop(third);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_sends_a_test_in_each_form_and_says_what_fails_without_the_address() {
    let scene = ProcessScene::new().await;
    let check = async |webhook: &str, form: &str| {
        let mut command = scene.command(&["check", "--notify"]);
        command.env("CDR_SYNC__NOTIFY__WEBHOOK", webhook).env("CDR_SYNC__NOTIFY__WEBHOOK_FORM", form);
        finish(command).await
    };
    let (posted, webhook) = Posted::listen(StatusCode::OK).await;
    for form in ["json", "text", "teams"] {
        let (status, said) = check(&webhook, form).await;
        assert!(status == Some(0) && said.contains("a test was sent: the webhook has taken it"), "{said}");
    }
    let all = posted.all();
    assert_eq!(all[0]["notices"][0]["event"], "test");
    assert!(all[1]["text"].as_str().unwrap().contains("This is a test"), "{}", all[1]);
    assert_eq!(all[2]["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");

    let (_, refusing) = Posted::listen(StatusCode::NOT_FOUND).await;
    let (status, said) = check(&refusing, "json").await;
    assert!(status == Some(1) && said.contains("has not taken a test: HTTP 404: no such hook"), "{said}");
    assert!(!said.contains("secret-path"), "{said}");
    let (status, said) = check("http://127.0.0.1:1/secret-path", "json").await;
    assert!(status == Some(1) && said.contains("onnect") && !said.contains("secret-path"), "{said}");
    let (status, said) = check("http://hooks.example.com/secret-path", "json").await;
    assert!(status == Some(2) && said.contains("https://") && !said.contains("secret-path"), "{said}");
    let (status, said) = scene.output(&["check", "--notify"]).await;
    assert!(status == Some(2) && said.contains("[notify] is not configured"), "{said}");
}

/// What a mail server was told, one text for each connection.
#[derive(Clone, Default)]
struct Mails(Arc<Mutex<Vec<String>>>);

impl Mails {
    async fn listen() -> (Self, String) {
        let mails = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("smtp://{}?tls=none", listener.local_addr().unwrap());
        let taken = mails.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let taken = taken.clone();
                tokio::spawn(async move {
                    let said = speak(stream).await;
                    taken.0.lock().unwrap().push(said);
                });
            }
        });
        (mails, address)
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Takes one mail, as RFC 5321 has it.
async fn speak(stream: TcpStream) -> String {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    let (mut all, mut in_mail) = (String::new(), false);
    // A client that goes away ends the conversation.
    let _ = to.write_all(b"220 mail.example.com\r\n").await;
    while let Ok(Some(line)) = lines.next_line().await {
        all.push_str(&format!("{line}\n"));
        let answer = match line.split(' ').next().unwrap_or_default() {
            "." => {
                in_mail = false;
                "250 taken"
            }
            _ if in_mail => continue,
            "DATA" => {
                in_mail = true;
                "354 go on"
            }
            "QUIT" => break,
            "RCPT" if line.contains("gone@") => "550 5.1.1 <gone@example.com> is gone",
            _ => "250 good",
        };
        if to.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            break;
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_reaches_everybody_named() {
    let scene = ProcessScene::new().await;
    let (mails, server) = Mails::listen().await;
    let mut command = scene.command(&["check", "--notify"]);
    command
        .env("CDR_SYNC__NOTIFY__SMTP", server)
        .env("CDR_SYNC__NOTIFY__MAIL_FROM", "cdr-sync <cdr-sync@example.com>")
        .env("CDR_SYNC__NOTIFY__MAIL_TO", "ops@example.com, Dana <dana@example.com>");
    let (status, said) = finish(command).await;
    assert!(status == Some(0) && said.contains("the mail server has taken it"), "{said}");
    until("the mails", async || mails.all().len() == 2).await;
    let mail = mails.all().join("");
    for part in [
        "MAIL FROM:<cdr-sync@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<dana@example.com>",
        "Subject: cdr-sync: a test",
        "Message-ID: <",
        "Auto-Submitted: auto-generated",
        "This is a test",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    // One whom the server refuses does not keep it from the others, and is named by the place in the list.
    let (mails, server) = Mails::listen().await;
    let mut command = scene.command(&["check", "--notify"]);
    command
        .env("CDR_SYNC__NOTIFY__SMTP", server)
        .env("CDR_SYNC__NOTIFY__MAIL_FROM", "cdr-sync@example.com")
        .env("CDR_SYNC__NOTIFY__MAIL_TO", "gone@example.com,ops@example.com");
    let (status, said) = finish(command).await;
    assert!(status == Some(1) && said.contains("recipient 1 of 2: ") && said.contains("550"), "{said}");
    assert!(!said.contains("gone@example.com"), "{said}");
    until("the other's mail", async || mails.all().join("").contains("This is a test")).await;

    let mut command = scene.command(&["check", "--notify"]);
    command.env("CDR_SYNC__NOTIFY__SMTP", "smtps://user:secret@mail.example.com");
    let (status, said) = finish(command).await;
    assert!(status == Some(2) && said.contains("notify.mail_to") && !said.contains("secret"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_takes_nothing_does_not_keep_the_other_from_telling() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    let (posted, webhook) = Posted::listen(StatusCode::NOT_FOUND).await;
    let (mails, server) = Mails::listen().await;
    let daemon = |code: &str| {
        let mut command = scene.command(&["run"]);
        command
            .env("CDR_SYNC__NOTIFY__WEBHOOK", &webhook)
            .env("CDR_SYNC__NOTIFY__SMTP", &server)
            .env("CDR_SYNC__NOTIFY__MAIL_FROM", "cdr-sync@example.com")
            .env("CDR_SYNC__NOTIFY__MAIL_TO", "ops@example.com")
            .env("CDR_SYNC__NOTIFY__AFTER", "1s")
            .env("VOICENTER_CODE", code)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running::start(command)
    };
    // One mail may hold more than that: for a moment nobody leads the account.
    let mailed = |text: &str| mails.all().join("").contains(text);
    let mut first = daemon("another-code");
    until("the trouble", async || mailed("default: ")).await;
    let told =
        "select count(*) from cdr_sync.notice where kind = 'credential_refused' and told_at is not null";
    until("a note of it", async || scene.database.count(told).await == 1).await;
    first.signal(Signal::SIGTERM);
    first.wait().await;
    let second = daemon("simulated-code");
    until("the end", async || mailed("default, over: ")).await;
    until("nothing left", async || scene.database.count(told).await == 0).await;
    assert!(!posted.all().is_empty());
    drop(second);
}
