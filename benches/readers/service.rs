//! The daemon's own answers with a thousand accounts, each asked for when its cache is too old.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cdr_sync::store::Store;
use chrono::Utc;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::report::{Report, quantile};
use crate::{ACCOUNTS, ACCOUNTS_OF_A_DAEMON};

/// The daemon reads the ledger again after two seconds.
const UNTIL_STALE: Duration = Duration::from_millis(2_200);
const TIMES: usize = 7;
const START: Duration = Duration::from_secs(120);

pub(crate) async fn measure(store: &Store, url: &str, sql: &mut PgConnection, report: &mut Report) {
    let own = ACCOUNTS_OF_A_DAEMON - ACCOUNTS;
    let ledger = LEDGER.replace("OWN", &own.to_string());
    sqlx::raw_sql(AssertSqlSafe(ledger)).execute(&mut *sql).await.unwrap();
    let (api, port) = (free_port().await, free_port().await);
    let config = configuration(url, own, api, port);
    let path = std::env::temp_dir().join(format!("cdr-sync-readers-{}.toml", std::process::id()));
    std::fs::write(&path, config).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_cdr-sync"));
    daemon.env_clear().arg("--config").arg(&path).arg("run");
    let mut daemon = daemon.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let began = Instant::now();
    // All are led, and pause: what is measured is the daemon's answers, not its start.
    let restless = format!("select {own} - (select count(*) from cdr_sync.lease)");
    loop {
        let query = sqlx::query_scalar(AssertSqlSafe(restless.clone()));
        let restless: i64 = query.fetch_one(&mut *sql).await.unwrap();
        if restless == 0 {
            break;
        }
        if began.elapsed() > START {
            println!("{restless} accounts are not led yet");
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    report.note("  until a daemon leads all of them", began.elapsed().as_secs_f64(), "s");
    for (what, seconds) in [
        ("status", of_store(async || drop(store.status().await.unwrap())).await),
        ("overview", of_store(async || drop(store.overview(Utc::now()).await.unwrap())).await),
    ] {
        report.note(&format!("  the database's part: {what}"), seconds * 1e3, "ms");
    }
    for path in ["/metrics", "/api/status"] {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..TIMES {
            tokio::time::sleep(UNTIL_STALE).await;
            let began = Instant::now();
            bytes = get(port, path).await;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let what = format!("{path} of {ACCOUNTS_OF_A_DAEMON} accounts");
        report.goal(&what, 300.0, quantile(&times, 0.5), &format!("ms ({} kB)", bytes / 1_000));
    }
    daemon.kill().await.unwrap();
    std::fs::remove_file(path).unwrap();
}

/// The median of some reads.
async fn of_store(read: impl AsyncFn()) -> f64 {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        read().await;
        times.push(began.elapsed().as_secs_f64());
    }
    quantile(&times, 0.5)
}

/// A port on which nothing listens: the accounts' API is unreachable.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn configuration(url: &str, accounts: u64, api: u16, port: u16) -> String {
    let mut text = format!(
        "[database]\nurl = \"{url}\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n[log]\nlevel = \"error\"\n\
         [api]\nurl = \"http://127.0.0.1:{api}/hub/cdr/\"\nbackoff_min = \"5m\"\nbackoff_max = \"5m\"\n"
    );
    for n in 1..=accounts {
        write!(text, "[[accounts]]\nname = \"small {n}\"\ncode = \"code of {n}\"\n").unwrap();
    }
    text
}

/// The answer's length.
async fn get(port: u16, path: &str) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    if !answer.starts_with(b"HTTP/1.1 200") {
        // The database took longer than the daemon waits for it: that is in the time, too.
        println!(
            "{path}: {}",
            String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default())
        );
    }
    answer.len()
}

/// What a small account has after a while: a diary, some rows; it pauses for an hour.
const LEDGER: &str = "
create temporary table small as select format('small %s', n) as name from generate_series(1, OWN) n;
insert into cdr_sync.account (name, scope, scope_since, history_start, paused_until)
select name, '{}', now(), now() - interval '400 days', now() + interval '1 hour' from small;
insert into cdr_sync.cursor (account) select name from small;
insert into voicenter.cdr (account, call_id, type, started_at, dial_status, first_seen_at, updated_at)
select name, n::text, 'Incoming Call', now() - n * interval '1 hour', 'ANSWER', now(), now() from small, generate_series(1, 50) n;
insert into cdr_sync.window_read
    (account, started_at, lane, span, reason, outcome, requests, seen, inserted, updated, unchanged, removed, rejected, elapsed)
select name, now() - n * interval '1 minute', 'live', '[2024-06-02Z,2024-06-03Z)', 'poll', 'whole', 1, 9, 9, 0, 0, 0, 0, '1 s'
from small, generate_series(1, 200) n;
select count(cdr_sync.fold_changes(name, 1000)) from small;
analyze;";
