//! What readers wait for, and what their tables cost the sync: `cargo bench --bench readers`.
//!
//! A private PostgreSQL gets a year of a call centre's records, 20 million of them unless another number (or `quick`:
//! 200,000) is given. With `accounts` it gets the ledgers of 1, 40 and 1,000 accounts alone, and what a daemon's metrics,
//! status and page take is measured; with `notifications`, what a daemon that is pushed to takes. `--explain` prints the plan of each question that misses its goal, and `--strict`
//! ends with status 1 if any does. `--inspect` prints how to reach the database with psql at the end, and waits for Enter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark stops where it is wrong, and measures real time"
)]

mod call_centre;
mod commits;
mod notifications;
mod questions;
mod report;
mod service;

use std::process::ExitCode;
use std::time::Instant;

use cdr_sync::store::calls::SliceSize;
use cdr_sync::store::{DatabaseSettings, Store};
use private_postgres::{Cluster, Options, ProgramSource};
use sqlx::{Connection, PgConnection};

use crate::call_centre::CallCentre;
use crate::report::Report;

const ROWS: u64 = 20_000_000;
const QUICK: u64 = 200_000;
/// The account that the questions are about …
const ACCOUNT: &str = "main";
/// … and how many there are once the others have come, together with a quarter of its rows.
const ACCOUNTS: u64 = 40;
/// Accounts in the ledger when the daemon's own page and metrics are measured.
const ACCOUNTS_OF_A_DAEMON: u64 = 1_000;

/// A machine for this alone, with an SSD; commits wait for the disk as they do for everybody.
const SETTINGS: [(&str, &str); 9] = [
    ("shared_buffers", "2GB"),
    ("effective_cache_size", "6GB"),
    ("maintenance_work_mem", "512MB"),
    ("max_wal_size", "8GB"),
    ("random_page_cost", "1.1"),
    ("work_mem", "16MB"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
];

struct Arguments {
    rows: u64,
    /// Only what the daemon answers is measured.
    accounts: bool,
    /// Only what it answers to whoever pushes is measured.
    notifications: bool,
    strict: bool,
    explain: bool,
    inspect: bool,
}

fn arguments() -> Arguments {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut arguments = Arguments {
        rows: ROWS,
        accounts: false,
        notifications: false,
        strict: false,
        explain: false,
        inspect: false,
    };
    for word in words {
        match word.as_str() {
            "quick" => arguments.rows = QUICK,
            "accounts" => arguments.accounts = true,
            "notifications" => arguments.notifications = true,
            "--strict" => arguments.strict = true,
            "--explain" => arguments.explain = true,
            "--inspect" => arguments.inspect = true,
            number => {
                arguments.rows = number.parse().expect(
                    "a number of rows, quick, accounts, notifications, --strict, --explain or --inspect",
                )
            }
        }
    }
    arguments
}

async fn fold(store: &Store, account: &str) -> u64 {
    let (mut rows, mut size) = (0, SliceSize::default());
    loop {
        let slice = store.fold_calls(account, &mut size).await.unwrap();
        assert_eq!(slice.failed, 0);
        rows += slice.rows;
        if !slice.has_more {
            return rows;
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { rows, accounts, notifications, strict, explain, inspect } = arguments();
    let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = Options { source: ProgramSource::from_env(), settings, ..Options::default() };
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(options)).await.unwrap().unwrap();
    cluster.create_database("readers").await.unwrap();
    let url = cluster.url("readers");
    let store = Store::connect(&DatabaseSettings::new(url.clone().into())).await.unwrap();
    store.migrate().await.unwrap();
    let mut sql = PgConnection::connect(&url).await.unwrap();
    println!("{}; {SETTINGS:?}\n", cluster.programs());
    let mut report = Report::new();
    if accounts {
        for own in [1, ACCOUNTS, ACCOUNTS_OF_A_DAEMON] {
            service::measure((own, 0), &store, &url, &mut sql, &mut report).await;
        }
    } else if notifications {
        self::notifications::measure(&url, &mut sql, &mut report).await;
    } else {
        of_readers(rows, explain, &store, &url, &mut sql, &mut report).await;
    }
    let all_met = report.end();
    if inspect {
        println!("{}", cluster.psql_line("readers"));
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
    if strict && !all_met { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What readers wait for, and what it costs the sync.
async fn of_readers(
    rows: u64,
    explain: bool,
    store: &Store,
    url: &str,
    sql: &mut PgConnection,
    report: &mut Report,
) {
    println!("{rows} rows");
    let centre = CallCentre::new(rows);
    let began = Instant::now();
    centre.fill(sql, ACCOUNT).await;
    report.note("rows written, the first account", began.elapsed().as_secs_f64(), "s");
    let began = Instant::now();
    let folded = fold(store, ACCOUNT).await;
    let seconds = began.elapsed().as_secs_f64();
    report.note("their calls built", seconds, "s");
    report.note("  a million rows", seconds / folded as f64 * 1e6, "s");
    call_centre::settle(sql).await;
    report.sizes(sql).await;

    let alone = questions::ask(url, report, "alone", explain).await;
    let others = CallCentre::new(rows / 4 / (ACCOUNTS - 1));
    for n in 1..ACCOUNTS {
        let account = format!("other {n}");
        others.fill(sql, &account).await;
        fold(store, &account).await;
    }
    call_centre::settle(sql).await;
    let among = questions::ask(url, report, &format!("one of {ACCOUNTS} accounts"), explain).await;
    let most =
        alone.iter().zip(&among).map(|(alone, among)| among.max(5.0) / alone.max(5.0)).fold(0.0, f64::max);
    // Below 5 ms the network decides, not the table.
    report.goal("most that a question costs more for it", 1.5, most, "times");

    commits::measure(store, sql, report).await;
    let own = ACCOUNTS_OF_A_DAEMON - ACCOUNTS;
    service::measure((own, ACCOUNTS), store, url, sql, report).await;
}
