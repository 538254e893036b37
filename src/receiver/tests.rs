//! Limits, and what becomes of notifications while no database answers.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::{fs, io};

use chrono::TimeDelta;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::spool::SpoolError;
use super::*;
use crate::clock::{ManualClock, random_id};
use crate::config::Sources;
use crate::store::DatabaseSettings;

const KEY: &str = "a-key-of-these-tests";
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any of these tests takes.
const NEVER: Duration = Duration::from_secs(3600);
const PATIENT: ReceiverLimits = ReceiverLimits {
    head: NEVER,
    body: NEVER,
    storing: NEVER,
    spooling: NEVER,
    body_bytes: 1000,
    requests: 2,
};

/// A receiver without a database, and a spool that is gone with the test.
struct Scene {
    receiver: Receiver,
    spool: PathBuf,
    address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.spool);
    }
}

impl Scene {
    async fn new(limits: ReceiverLimits, settings: &[(&str, &str)]) -> Self {
        let spool = std::env::temp_dir().join(format!("cdr-sync-spool-{:x}", random_id()));
        fs::create_dir(&spool).unwrap();
        let keys = KeyHash::of(KEY).to_string();
        let mut env = vec![
            ("VOICENTER_CODE".to_owned(), "code".to_owned()),
            ("CDR_SYNC__PUSH__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("CDR_SYNC__PUSH__KEYS".to_owned(), keys),
            ("CDR_SYNC__PUSH__SPOOL".to_owned(), spool.display().to_string()),
        ];
        env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Config::load(Sources { file: None, env, working_dir: "/nonexistent".into() }).unwrap();
        let nobody = DatabaseSettings::new("postgres://nobody@127.0.0.1:1/none".to_owned().into());
        let clock = Clock::Manual(ManualClock::new(DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
        let (store, metrics) = (Store::open(&nobody).unwrap(), Metrics::new().unwrap());
        let receiver = Receiver::new(&config, store, metrics, clock, limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = receiver.clone().serve(listener, CancellationToken::new());
        Self { receiver, spool, address, _server: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    async fn open(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(&self, request: &str) -> String {
        rest(self.open(request).await).await.unwrap()
    }

    async fn push(&self, body: &str) -> String {
        self.answer(&post(body.len(), body)).await
    }

    fn spool(&self) -> Spool {
        self.receiver.current().spool.clone().unwrap()
    }

    fn metrics(&self) -> String {
        let metrics = &self.receiver.current().metrics;
        metrics.expose(&[], true, DateTime::UNIX_EPOCH)
    }
}

async fn rest(mut stream: TcpStream) -> io::Result<String> {
    let mut text = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await;
    // Closing with something unread resets the connection.
    let _ = read.expect("it is closed");
    Ok(text)
}

fn post(length: usize, body: &str) -> String {
    format!(
        "POST /push/default/{KEY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn record(call_id: &str) -> String {
    format!("{{\"ivruniqueid\":\"{call_id}\",\"type\":\"Queue\"}}")
}

#[test]
fn a_request_is_complete_and_answered_in_time() {
    let limits = ReceiverLimits::default();
    let answering = limits.storing + limits.spooling;
    assert!(answering < Duration::from_secs(1));
    assert!(limits.head + limits.body + answering <= Duration::from_secs(10));
}

#[tokio::test]
async fn without_database_and_spool_voicenter_is_asked_to_repeat_it() {
    let scene = Scene::new(PATIENT, &[("CDR_SYNC__PUSH__SPOOL_MAX_BYTES", "1")]).await;
    let answer = scene.push(&record("1")).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\ncontent-type: application/json\r\n"), "{answer}");
    assert!(answer.ends_with("{\"Err\":2,\"Errdesc\":\"it cannot be stored at present\"}"), "{answer}");
    assert_eq!(scene.spool().contents(DateTime::UNIX_EPOCH).unwrap().files.len(), 0);
    let counted = "cdr_sync_push_received_total{account=\"default\",outcome=\"refused\"} 1";
    assert!(scene.metrics().contains(counted));
}

#[tokio::test]
async fn nothing_is_kept_of_whoever_tries_out_the_address() {
    let scene = Scene::new(PATIENT, &[]).await;
    let get = format!("GET /push/default/{KEY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    for answer in [scene.answer(&get).await, scene.push("").await] {
        assert!(answer.ends_with("{\"Err\":0,\"Errdesc\":\"OK\"}"), "{answer}");
    }
    assert_eq!(scene.spool().contents(DateTime::UNIX_EPOCH).unwrap().files.len(), 0);
}

#[tokio::test]
async fn the_spool_holds_it_whole_for_the_owner_alone_and_names_no_key() {
    let scene = Scene::new(PATIENT, &[]).await;
    let body = record("1");
    assert!(scene.push(&body).await.ends_with("{\"Err\":0,\"Errdesc\":\"OK\"}"));
    fs::write(scene.spool.join("notes.txt"), "of somebody else").unwrap();
    let contents = scene.spool().contents(scene.receiver.0.clock.now()).unwrap();
    let [file] = contents.files.as_slice() else { panic!("{contents:?}") };
    assert_eq!(contents.foreign, 1);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(file).unwrap();
    assert!(!file.display().to_string().contains(KEY) && !text.contains(KEY), "{text}");
    let push = Spool::read(file).unwrap().unwrap();
    assert_eq!((push.account.as_str(), push.body.as_slice()), ("default", body.as_bytes()));
    assert_eq!(push.received_at, scene.receiver.0.clock.now());
    assert_eq!(push.remote, Some(IpAddr::from([127, 0, 0, 1])));
    assert!(scene.metrics().contains("cdr_sync_push_spool_files 1"));
    assert!(scene.metrics().contains("cdr_sync_push_spool_bytes 4096"));
    scene.spool().remove(file).unwrap();
    assert!(scene.metrics().contains("cdr_sync_push_spool_bytes 0"));
}

#[tokio::test]
async fn a_damaged_file_is_recognised_and_one_left_unfinished_goes() {
    let scene = Scene::new(PATIENT, &[]).await;
    scene.push(&record("1")).await;
    let unfinished = scene.spool.join("1.push-unfinished");
    fs::write(&unfinished, "{").unwrap();
    let written: DateTime<Utc> = fs::metadata(&unfinished).unwrap().modified().unwrap().into();
    let contents = scene.spool().contents(written + TimeDelta::minutes(59)).unwrap();
    assert!(unfinished.exists());
    let file = contents.files.first().unwrap();
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.get(..text.len() - 1).unwrap()).unwrap();
    assert!(matches!(Spool::read(file), Err(SpoolError::Unreadable)));
    scene.spool().contents(written + TimeDelta::minutes(61)).unwrap();
    assert!(!unfinished.exists() && file.exists());
}

#[tokio::test]
async fn a_full_spool_takes_nothing_more() {
    let scene = Scene::new(PATIENT, &[("CDR_SYNC__PUSH__SPOOL_MAX_BYTES", "8192")]).await;
    let mut answers = Vec::new();
    for call in ["1", "2", "3"] {
        answers.push(scene.push(&record(call)).await);
    }
    let kept: Vec<bool> = answers.iter().map(|answer| answer.contains("\"Err\":0")).collect();
    assert_eq!(kept, [true, true, false]);
    // A second process knows what is there once it has looked.
    let other = Spool::new(scene.spool.clone(), 8192, Metrics::new().unwrap());
    assert_eq!(other.contents(scene.receiver.0.clock.now()).unwrap().files.len(), 2);
    let push = Spool::read(other.contents(DateTime::UNIX_EPOCH).unwrap().files.first().unwrap());
    assert!(matches!(other.write(&push.unwrap().unwrap()), Err(SpoolError::Full)));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let scene = Scene::new(PATIENT, &[]).await;
    let announced = scene.answer(&post(1001, "")).await;
    assert!(announced.starts_with("HTTP/1.1 413 ") && announced.contains("\"Err\":2"), "{announced}");
    let head = post(0, "").replace("content-length: 0", "transfer-encoding: chunked");
    let chunk = format!("{head}3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    assert!(scene.answer(&chunk).await.starts_with("HTTP/1.1 413 "));
    assert!(scene.push(&"x".repeat(1000)).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_body_that_does_not_end_is_not_waited_for() {
    let scene = Scene::new(ReceiverLimits { body: Duration::from_millis(50), ..PATIENT }, &[]).await;
    let answer = scene.answer(&post(10, "{")).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"Err\":2"), "{answer}");
}

#[tokio::test]
async fn too_many_at_once_are_told_so() {
    let scene = Scene::new(PATIENT, &[]).await;
    let _slow = [scene.open(&post(10, "{")).await, scene.open(&post(10, "{")).await];
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // Their heads may not have been read yet.
    while !scene.push("{}").await.starts_with("HTTP/1.1 503 ") {
        assert!(tokio::time::Instant::now() < deadline);
    }
    // Strangers take up no room.
    assert!(
        scene
            .answer("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
}

#[tokio::test]
async fn whatever_is_wrong_is_answered_alike() {
    let scene = Scene::new(PATIENT, &[("CDR_SYNC__PUSH__ALLOW_FROM", "203.0.113.0/24")]).await;
    let request = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    };
    let good = format!("/push/default/{KEY}");
    let mut answers = BTreeSet::new();
    for (method, path) in [
        ("POST", good.as_str()),
        ("GET", &good),
        ("PUT", &good),
        ("GET", "/"),
        ("GET", "/push"),
        ("POST", "/push/default"),
        ("POST", "/push/default/"),
        ("POST", "/push/default/another"),
        ("POST", "/push/default/%FF"),
        ("POST", &format!("/push/nobody/{KEY}")),
        ("POST", &format!("{good}/")),
    ] {
        let answer = scene.answer(&request(method, path)).await;
        let lines: BTreeSet<&str> = answer.lines().filter(|line| !line.starts_with("date: ")).collect();
        answers.insert(Vec::from_iter(lines).join("|"));
    }
    assert_eq!(Vec::from_iter(answers), ["|HTTP/1.1 404 Not Found|connection: close|content-length: 0"]);
    assert!(scene.metrics().contains("cdr_sync_push_unauthorized_total 11"));
}
