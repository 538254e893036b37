//! Large answers of several accounts: how much memory they take up together, and that the daemon can be probed meanwhile.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use cdr_sync::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};

use crate::support::folder::Folder;
use crate::support::program::{Running, free_address, mirroring};

use crate::support::database::Database;
use crate::support::polling::{comes_within, until};

const MB: usize = 1 << 20;
/// The text that makes a record large: fewer are decoded and stored sooner than many small ones, and more than 500 go by COPY.
const RECORD: usize = 64 << 10;

/// How long storing may take is not the subject, and a busy machine takes its time.
const STORED: Duration = Duration::from_secs(200);

/// An API of large answers, and a database.
struct LargeAnswers {
    database: Database,
    url: String,
    start: DateTime<Utc>,
    records: i64,
}

impl LargeAnswers {
    /// An API whose one day of calls is an answer of this many bytes. The simulator takes longer to write such an answer
    /// than the daemon to read it.
    async fn new(bytes: usize) -> Self {
        let start = Clock::System.now() - TimeDelta::hours(20);
        let note = "a note, and what it says \u{5d0} ".repeat(RECORD / 27);
        let record = |number: usize| {
            // Older than what is read again all the time.
            let at = start + TimeDelta::hours(1) + TimeDelta::seconds(10 * number as i64);
            let at = at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            let text = format!(
                r#"{{"CallID":"call{number}","Type":"Incoming Call","Date":"{at}","CustomData":{{"Note":"{note}"}}}}"#
            );
            (at, text)
        };
        let records: Vec<(String, String)> = (0..bytes / RECORD).map(record).collect();
        let count = records.len() as i64;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hub/cdr/", listener.local_addr().unwrap());
        let records = Arc::new(records);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let records = Arc::clone(&records);
                thread::spawn(move || answer(stream, &records));
            }
        });
        Self { database: Database::new().await, url, start, records: count }
    }
}

/// One request on a connection of its own.
fn answer(stream: TcpStream, records: &[(String, String)]) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let question: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let bound = |name: &str| {
        let text = question.pointer(&format!("/search/{name}")).or(question.get(name))?.as_str()?;
        Some(text.chars().take(19).collect::<String>())
    };
    let (from, to) = (bound("fromdate")?, bound("todate")?);
    let found = records.iter().filter(|(at, _)| at[..19] >= *from && at[..19] <= *to);
    let list: Vec<&str> = found.map(|(_, text)| text.as_str()).collect();
    let (count, list) = (list.len(), list.join(","));
    let body =
        format!(r#"{{"ERROR_NUMBER":0,"TOTAL_HITS":{count},"RETURN_HITS":{count},"CDR_LIST":[{list}]}}"#);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let mut stream = reader.into_inner();
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).ok()
}

struct Daemon {
    process: Running,
    _configuration: Folder,
    address: String,
}

impl Daemon {
    async fn start(scene: &LargeAnswers, accounts: usize) -> Self {
        let (address, folder) = (free_address(), Folder::new());
        let account =
            |number| format!("[[accounts]]\nname = \"account{number}\"\ncode = \"simulated-code\"\n");
        let file = folder.write("accounts.toml", &(0..accounts).map(account).collect::<String>());
        let mut command = mirroring(["run"], scene.database.url(), &scene.url, scene.start);
        command
            .arg("--config")
            .arg(file)
            .env_remove("VOICENTER_CODE")
            .env("CDR_SYNC__HTTP__LISTEN", &address)
            .env("CDR_SYNC__API__MAX_RESPONSE_BYTES", (128 * MB).to_string());
        let daemon = Self { process: Running::start(command), _configuration: folder, address };
        until("livez", async || probe(&daemon.address).is_some()).await;
        daemon
    }
}

/// How long `/livez` takes to answer.
fn probe(address: &str) -> Option<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.contains(" 200 ").then(|| began.elapsed())
}

/// The peak of memory and the slowest probe, until everything of every account is stored.
async fn measure(accounts: usize, bytes: usize) -> (usize, Duration) {
    let scene = LargeAnswers::new(bytes).await;
    let daemon = Daemon::start(&scene, accounts).await;
    let all = scene.records * accounts as i64;
    let (address, (over, until_over)) = (daemon.address.clone(), mpsc::channel::<()>());
    // Not on the runtime: what else this test does must not count. A probe every 5 ms, as one at once after the other
    // would be a load of its own.
    let probing = thread::spawn(move || {
        let mut slowest = Duration::ZERO;
        while until_over.recv_timeout(Duration::from_millis(5)) == Err(mpsc::RecvTimeoutError::Timeout) {
            slowest = slowest.max(probe(&address).unwrap());
        }
        slowest
    });
    // One connection for all looks: a new one each time would load the server more than the daemon does.
    let mut sql = scene.database.sql().await;
    let is_stored = comes_within(STORED, async || {
        // Before the first migration there is no table.
        let count = sqlx::query_scalar("select count(*) from voicenter.cdr").fetch_one(&mut sql).await;
        count.unwrap_or(0) == all
    });
    assert!(is_stored.await, "not everything is stored after {STORED:?}");
    drop(over);
    let slowest = probing.join().unwrap();
    (daemon.process.memory("VmHWM"), slowest)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_of_several_accounts_are_held_one_at_a_time() {
    let (one, _) = measure(1, 40 * MB).await;
    let (four, _) = measure(4, 40 * MB).await;
    eprintln!("one account: {} MB, four: {} MB", one / MB, four / MB);
    assert!(four < one + 110 * MB, "one account: {} MB, four: {} MB", one / MB, four / MB);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_while_a_large_answer_is_decoded() {
    let (_, slowest) = measure(1, 100 * MB).await;
    eprintln!("slowest probe: {slowest:?}");
    assert!(slowest < Duration::from_millis(2_500), "{slowest:?}");
}
