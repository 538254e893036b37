//! The daemon's own answers with up to a thousand accounts, each asked for when its cache is too old.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cdr_sync::store::Store;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::report::{Report, quantile};

/// The daemon reads the ledger again after two seconds.
const UNTIL_STALE: Duration = Duration::from_millis(2_200);
const TIMES: usize = 11;
const START: Duration = Duration::from_secs(120);

/// What a route answers within, for nine requests of ten; the page says no more than what it takes.
const ROUTES: [(&str, Option<f64>); 3] =
    [("/metrics", Some(300.0)), ("/api/status", Some(300.0)), ("/api/overview", None)];

/// Adds small accounts until there are `own` of them, beside `others`, and measures a daemon that leads the small ones.
pub(crate) async fn measure(
    (own, others): (u64, u64),
    store: &Store,
    url: &str,
    sql: &mut PgConnection,
    report: &mut Report,
) {
    let accounts = own + others;
    let began = Instant::now();
    sqlx::raw_sql(AssertSqlSafe(LEDGER.replace("OWN", &own.to_string()))).execute(&mut *sql).await.unwrap();
    report.note(&format!("{accounts} accounts: ledgers written"), began.elapsed().as_secs_f64(), "s");
    let (api, port) = (free_port().await, free_port().await);
    let config = configuration(url, own, api, port);
    let path = std::env::temp_dir().join(format!("cdr-sync-readers-{}.toml", std::process::id()));
    std::fs::write(&path, config).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_cdr-sync"));
    daemon.env_clear().arg("--config").arg(&path).arg("run");
    let mut daemon = daemon.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let began = Instant::now();
    // All are led, and pause: what is measured is the daemon's answers, not its start.
    let restless = format!("select {own} - (select count(*) from cdr_sync.lease where expires_at > now())");
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
        ("overview", of_store(async || drop(store.overview().await.unwrap())).await),
    ] {
        report.note(&format!("  the database's part: {what}"), seconds * 1e3, "ms");
    }
    for (path, goal) in ROUTES {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..TIMES {
            tokio::time::sleep(UNTIL_STALE).await;
            let began = Instant::now();
            bytes = get(port, path).await;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let what = format!("{path} of {accounts} accounts");
        report.note(&format!("{what}, p50"), quantile(&times, 0.5), &format!("ms ({} kB)", bytes / 1_000));
        let (what, p90) = (format!("{what}, p90"), quantile(&times, 0.9));
        match goal {
            Some(goal) => drop(report.goal(&what, goal, p90, "ms")),
            None => report.note(&what, p90, "ms"),
        }
    }
    daemon.kill().await.unwrap();
    sqlx::raw_sql("delete from cdr_sync.lease; delete from cdr_sync.replica")
        .execute(&mut *sql)
        .await
        .unwrap();
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

/// What a small account has after a while: a year of coverage, a day of reads, two weeks of calls. It pauses for hours.
const LEDGER: &str = "
create temporary table if not exists small (name text);
truncate small;
insert into small
select format('small %s', n) from generate_series(1, OWN) n
except select name from cdr_sync.account;
insert into cdr_sync.account (name, scope, scope_since, history_start, last_success_at, paused_until)
select name, '{}', now() - interval '400 days', now() - interval '400 days', now(), now() + interval '5 hours' from small;
insert into cdr_sync.cursor (account, history_from, synced_until)
select name, now() - interval '400 days', now() from small;
insert into cdr_sync.coverage (account, span, tier)
select name, tstzrange(now() - older, now() - newer), tier
from small, (values
    (interval '400 days', interval '31 days', interval '720 hours'), ('31 days', '30 days 1 hour', '168 hours'),
    ('30 days', '7 days', '168 hours'), ('7 days', '3 days', '72 hours'), ('3 days', '1 day', '24 hours'),
    ('1 day', '6 hours', '6 hours'), ('6 hours', '1 hour', '1 hour'), ('1 hour', '0 s', '0 s')
) stretch (older, newer, tier);
insert into cdr_sync.window_read
    (account, started_at, lane, span, reason, outcome, requests, seen, inserted, updated, unchanged, removed, rejected, elapsed)
select name, now() - n * interval '1 minute', case n % 30 when 0 then 'reconcile' else 'live' end,
       tstzrange(now() - (n + 15) * interval '1 minute', now() - n * interval '1 minute'),
       case n % 30 when 0 then 'reconcile' else 'newest' end, 'whole', 1, 9, 1, 0, 8, 0, 0, '0.3 s'
from small, generate_series(1, 1440) n;
insert into cdr_sync.gap (account, span, reason, opened_at, last_tried_at, next_try_at, closed_at)
select name, tstzrange(now() - (n * 10 + 40) * interval '1 day', now() - (n * 10 + 40) * interval '1 day' + interval '1 hour'),
       'unreadable', now(), now(), now() + interval '1 day', case when n > 1 then now() end
from small, generate_series(1, 20) n;
insert into cdr_sync.rejected (account, content_hash, raw, reason, first_seen_at, last_seen_at)
select name, n::text, '{}', 'no_call_id', now(), now() from small, generate_series(1, 3) n;
insert into cdr_sync.request (account, span, state)
select name, tstzrange(now() - interval '9 days', now() - interval '8 days'), 'done' from small, generate_series(1, 5);
insert into cdr_sync.settling (account, reread_ages, settled_after, followed_from, counted_until)
select name, '{1:00:00,6:00:00,24:00:00,72:00:00,168:00:00,720:00:00}', '24:00:00', now() - interval '400 days',
       date_trunc('hour', now()) - interval '30 days' from small;
insert into cdr_sync.late_hour (account, hour, reread_age, is_followed)
select name, date_trunc('hour', now()) - n * interval '1 hour', '1:00:00', true from small, generate_series(1, 10) n;
insert into cdr_sync.hour_count (account, day, reread_age, hours)
select name, current_date - 30 - day, age, 8 from small, generate_series(1, 200) day, unnest('{0:00:00,1:00:00}'::interval[]) age;
insert into cdr_sync.lateness (account, within_seconds, records)
select name, 60 << n, 9 from small, generate_series(1, 12) n;
insert into voicenter.cdr (account, call_id, type, started_at, dial_status, first_seen_at, updated_at)
select name, name || n, 'Incoming Call', now() - n * interval '1 hour', 'ANSWER', now(), now() from small, generate_series(1, 400) n;
select count(cdr_sync.fold_changes(name, 1000)) from small;
analyze;";
