//! What whoever pushes CDR notifications waits for, while a daemon stores them, joins them to what it has pulled, and
//! lets calls follow.

use std::process::Stdio;
use std::time::{Duration, Instant};

use cdr_sync::clock::Clock;
use cdr_sync::push::KeyHash;
use chrono::{DurationRound, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use voicenter_simulator::{Push, PushOptions, Simulator, SimulatorOptions, WorldOptions};

use crate::report::{Report, quantile};

const A_SECOND: usize = 300;
const SECONDS: usize = 60;
/// Nobody is to wait longer, 99 times of 100.
const GOAL: f64 = 100.0;
const KEY: &str = "a-key-of-this-measurement";
/// What everything else may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// What came of one notification, and when after its time, in milliseconds.
struct Answered {
    is_kept: bool,
    after: f64,
}

/// Half of the notifications are of records that the daemon has pulled before, half of records that it never gets.
pub(crate) async fn measure(url: &str, sql: &mut PgConnection, report: &mut Report) {
    let (listen, page) = (free_address().await, free_address().await);
    let to = format!("http://{listen}/push/default/{KEY}");
    let (pulled, unknown) = (company(1, &to).await, company(2, &to).await);
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_cdr-sync"));
    daemon
        .env_clear()
        .arg("run")
        .env("DATABASE_URL", url)
        .env("VOICENTER_CODE", "simulated-code")
        .env("VOICENTER_URL", pulled.url())
        .env("CDR_SYNC__SYNC__START", pulled.world().options().from.to_rfc3339())
        .env("CDR_SYNC__API__REQUESTS_PER_MINUTE", "600")
        .env("CDR_SYNC__HTTP__LISTEN", &page)
        .env("CDR_SYNC__PUSH__LISTEN", &listen)
        .env("CDR_SYNC__PUSH__KEYS", KeyHash::of(KEY).to_string())
        .env("CDR_SYNC__LOG__LEVEL", "warn");
    let mut daemon = daemon.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    until(
        sql,
        "select count(*) > 0 and bool_and(synced_until > now() - interval '5 minutes') from cdr_sync.cursor",
    )
    .await;

    let mut requests = Vec::new();
    let (known, others) = (pulled.due_pushes(Utc::now()), unknown.due_pushes(Utc::now()));
    assert!(known.len().min(others.len()) >= A_SECOND * SECONDS / 2);
    for (one, other) in known.iter().zip(&others).take(A_SECOND * SECONDS / 2) {
        requests.extend([request(one), request(other)]);
    }
    let bytes = requests.iter().map(Vec::len).sum::<usize>() / requests.len();
    let answers = send(&listen, requests).await;
    let times: Vec<f64> = answers.iter().map(|answered| answered.after).collect();
    let what = format!("{A_SECOND} notifications a second for {SECONDS} s");
    report.note(&format!("{what}: bytes of each"), bytes as f64, "on average");
    report.note("  answered within, p50", quantile(&times, 0.5), "ms");
    report.goal("  answered within, p99", GOAL, quantile(&times, 0.99), "ms");
    report.note("  answered within, all of them", quantile(&times, 1.0), "ms");
    let kept = answers.iter().filter(|answered| answered.is_kept).count();
    report.goal("  refused", 0.0, (answers.len() - kept) as f64, "");

    let left = "select count(*) from cdr_sync.push where state = 'new'";
    report.note("  not joined yet at the end", value(sql, left).await, "");
    let began = Instant::now();
    until(sql, &format!("select not exists ({left} having count(*) > 0)")).await;
    report.note("  until all were", began.elapsed().as_secs_f64(), "s");
    let stored =
        value(sql, "select coalesce(sum(times), 0)::bigint from cdr_sync.push where state = 'applied'").await;
    report.goal("  answered and lost", 0.0, kept as f64 - stored, "");
    let states = "select count(*) from voicenter.cdr_push where state = ";
    report.note("  records confirmed by the pull", value(sql, &format!("{states} 'confirmed'")).await, "");
    report.note(
        "  records that only notifications have",
        value(sql, &format!("{states} 'provisional'")).await,
        "",
    );
    daemon.kill().await.unwrap();
}

/// A company's last day, and a server that answers for it.
async fn company(seed: u64, push_to: &str) -> Simulator {
    let now = Utc::now().duration_trunc(TimeDelta::seconds(1)).unwrap();
    let from = now - TimeDelta::days(1);
    let world = WorldOptions { seed, calls_per_day: 14_000.0, from, ..WorldOptions::default() };
    let push = Some(PushOptions { since: Some(from), ..PushOptions::to(push_to) });
    let options = SimulatorOptions { world, push, requests_per_minute: 0, ..SimulatorOptions::default() };
    Simulator::start(options, Clock::System).await.unwrap()
}

/// Sends each at its time, whatever became of those before it.
async fn send(address: &str, requests: Vec<Vec<u8>>) -> Vec<Answered> {
    let mut ticks = interval(Duration::from_secs(1) / A_SECOND as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = JoinSet::new();
    for request in requests {
        // A tick that comes late counts from when it was due.
        let due = ticks.tick().await;
        let address = address.to_owned();
        sent.spawn(async move {
            let answer = timeout(Duration::from_secs(20), answer(&address, &request)).await;
            let is_kept = matches!(answer, Ok(Ok(text)) if text.ends_with("{\"Err\":0,\"Errdesc\":\"OK\"}"));
            Answered { is_kept, after: due.elapsed().as_secs_f64() * 1e3 }
        });
    }
    sent.join_all().await
}

/// Each comes with a connection of its own.
async fn answer(address: &str, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

fn request(push: &Push) -> Vec<u8> {
    let path = format!("/push/default/{KEY}");
    let (head, body): (String, &[u8]) = match push.content_type {
        None => (format!("GET {path}?{} HTTP/1.1\r\n", String::from_utf8_lossy(&push.content)), &[]),
        Some(content_type) => {
            let length = push.content.len();
            let head = format!(
                "POST {path} HTTP/1.1\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n"
            );
            (head, &push.content)
        }
    };
    [head.as_bytes(), b"host: x\r\nconnection: close\r\n\r\n", body].concat()
}

async fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

async fn value(sql: &mut PgConnection, query: &str) -> f64 {
    let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(query.to_owned()));
    query.fetch_one(sql).await.unwrap() as f64
}

async fn until(sql: &mut PgConnection, query: &str) {
    let began = Instant::now();
    loop {
        let query = sqlx::query_scalar::<_, Option<bool>>(AssertSqlSafe(query.to_owned()));
        if query.fetch_one(&mut *sql).await.unwrap() == Some(true) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain");
        sleep(Duration::from_millis(100)).await;
    }
}
