//! Large answers of several accounts: how much memory they take up together, and that the daemon can be probed meanwhile.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cdr_sync::clock::{Clock, ManualClock};
use cdr_sync::private_postgres::TestDatabase;
use cdr_sync::simulator::{Record, Simulator, SimulatorOptions, WorldOptions};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::scene::until;

const MB: usize = 1 << 20;
/// The text that makes a record large: fewer are decoded and stored sooner than many small ones, and more than 500 go by COPY.
const RECORD: usize = 64 << 10;

struct Scene {
    database: TestDatabase,
    simulator: Simulator,
    start: DateTime<Utc>,
    records: i64,
}

impl Scene {
    /// An API whose one day of calls is an answer of so many bytes.
    async fn new(bytes: usize) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the binary under test reads the host's clock")]
        let now = Utc::now();
        let world = WorldOptions { from: now - TimeDelta::days(1), ..WorldOptions::empty() };
        let options = SimulatorOptions {
            world,
            record_limit: 100_000,
            requests_per_minute: 0,
            gzip: false,
            ..SimulatorOptions::default()
        };
        let simulator = Simulator::start(options, Clock::Manual(ManualClock::new(now))).await.unwrap();
        let records = (bytes / RECORD) as i64;
        let start = now - TimeDelta::hours(20);
        for number in 0..records {
            // Older than what is read again all the time.
            let at = start + TimeDelta::hours(1) + TimeDelta::seconds(10 * number);
            let call = Record::new(&format!("call{number}"), "Incoming Call", at);
            let large = json!({ "Note": "a note, and what it says \u{5d0} ".repeat(RECORD / 27) });
            simulator.world().insert(Record { custom_data: large, ..call }, at);
        }
        Self { database: TestDatabase::new().await.unwrap(), simulator, start, records }
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
            .env("VOICENTER_URL", scene.simulator.url())
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
        until("livez", async || daemon.probe().await.is_some()).await;
        daemon
    }

    /// How long `/livez` takes to answer.
    async fn probe(&self) -> Option<Duration> {
        let began = Instant::now();
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        text.contains(" 200 ").then(|| began.elapsed())
    }

    /// The most memory that was ever resident.
    fn peak(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }
}

/// The peak of memory and the slowest probe, until everything of every account is stored.
async fn measure(accounts: usize, bytes: usize, name: &str) -> (usize, Duration) {
    let scene = Scene::new(bytes).await;
    let daemon = Daemon::start(&scene, accounts, name).await;
    let all = scene.records * accounts as i64;
    let mut slowest = Duration::ZERO;
    let stored = until("everything stored", async || scene.stored().await == all);
    let probing = async {
        loop {
            slowest = slowest.max(daemon.probe().await.unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! { () = stored => {}, () = probing => {} }
    (daemon.peak(), slowest)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_of_several_accounts_are_held_one_at_a_time() {
    let (one, _) = measure(1, 40 * MB, "memory-one").await;
    let (four, _) = measure(4, 40 * MB, "memory-four").await;
    eprintln!("one account: {} MB, four: {} MB", one / MB, four / MB);
    assert!(four < one + 100 * MB, "one account: {} MB, four: {} MB", one / MB, four / MB);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_while_a_large_answer_is_decoded() {
    let (_, slowest) = measure(1, 100 * MB, "memory-probe").await;
    eprintln!("slowest probe: {slowest:?}");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
}
