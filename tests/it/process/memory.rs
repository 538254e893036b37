//! Large answers of several accounts: how much memory they take up together, and that the daemon can be probed meanwhile.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use private_postgres::TestDatabase;
use sqlx::{Connection, PgConnection};
use tokio::process::{Child, Command};

use crate::process::scene::until;

const MB: usize = 1 << 20;
/// The text that makes a record large: fewer are decoded and stored sooner than many small ones, and more than 500 go by COPY.
const RECORD: usize = 64 << 10;

struct Scene {
    database: TestDatabase,
    url: String,
    start: DateTime<Utc>,
    records: i64,
}

impl Scene {
    /// An API whose one day of calls is an answer of so many bytes. The simulator takes longer to write such an answer
    /// than the daemon to read it.
    async fn new(bytes: usize) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the binary under test reads the host's clock")]
        let start = Utc::now() - TimeDelta::hours(20);
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
        Self { database: TestDatabase::new().await.unwrap(), url, start, records: count }
    }

    fn configuration(&self, name: &str, accounts: usize) -> PathBuf {
        let file =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.toml", std::process::id()));
        let account =
            |number| format!("[[accounts]]\nname = \"account{number}\"\ncode = \"simulated-code\"\n");
        fs::write(&file, (0..accounts).map(account).collect::<String>()).unwrap();
        file
    }

    async fn stored(&self) -> i64 {
        let mut connection = PgConnection::connect(self.database.url()).await.unwrap();
        let count = sqlx::query_scalar("SELECT count(*) FROM voicenter.cdr").fetch_one(&mut connection).await;
        connection.close().await.unwrap();
        count.unwrap_or(0)
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
    child: Child,
    address: String,
}

impl Daemon {
    async fn start(scene: &Scene, accounts: usize, name: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_cdr-sync"))
            .args(["run", "--config"])
            .arg(scene.configuration(name, accounts))
            .env_clear()
            .env("DATABASE_URL", scene.database.url())
            .env("VOICENTER_URL", &scene.url)
            .env("CDR_SYNC__SYNC__START", scene.start.to_rfc3339())
            .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", "60000")
            .env("CDR_SYNC__API__BURST", "1000")
            .env("CDR_SYNC__HTTP__LISTEN", &address)
            .env("CDR_SYNC__API__MAX_RESPONSE_BYTES", (128 * MB).to_string())
            .env("CDR_SYNC__LOG__LEVEL", "error")
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let daemon = Self { child, address };
        until("livez", async || probe(&daemon.address).is_some()).await;
        daemon
    }

    /// The most memory that was ever resident.
    fn peak(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
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
async fn measure(accounts: usize, bytes: usize, name: &str) -> (usize, Duration) {
    let scene = Scene::new(bytes).await;
    let daemon = Daemon::start(&scene, accounts, name).await;
    let all = scene.records * accounts as i64;
    let (address, over) = (daemon.address.clone(), Arc::new(AtomicBool::new(false)));
    let until_over = Arc::clone(&over);
    // Not on the runtime: what else this test does must not count.
    let probing = thread::spawn(move || {
        let mut slowest = Duration::ZERO;
        while !until_over.load(Ordering::Relaxed) {
            slowest = slowest.max(probe(&address).unwrap());
            thread::sleep(Duration::from_millis(5));
        }
        slowest
    });
    until("everything stored", async || scene.stored().await == all).await;
    over.store(true, Ordering::Relaxed);
    let slowest = probing.join().unwrap();
    (daemon.peak(), slowest)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_of_several_accounts_are_held_one_at_a_time() {
    let (one, _) = measure(1, 40 * MB, "memory-one").await;
    let (four, _) = measure(4, 40 * MB, "memory-four").await;
    eprintln!("one account: {} MB, four: {} MB", one / MB, four / MB);
    assert!(four < one + 110 * MB, "one account: {} MB, four: {} MB", one / MB, four / MB);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_while_a_large_answer_is_decoded() {
    let (_, slowest) = measure(1, 100 * MB, "memory-probe").await;
    eprintln!("slowest probe: {slowest:?}");
    assert!(slowest < Duration::from_millis(2_500), "{slowest:?}");
}
