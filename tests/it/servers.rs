//! Servers nobody imagined: the planner against model APIs drawn from the product of all that servers may do.
//!
//! Whatever a server does: what is claimed was read, what can be read is in the end claimed or an open gap, and it
//! ends within a bounded number of requests.
//!
//! `SERVERS=5000` draws more of them, `SEED=n` runs one and prints what is asked, `FAMILIES=order,totals` lets only
//! these behaviours vary. `TABLE=1` prints the table although all is well.

mod calls;
mod draw;
mod run;
mod server;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use draw::{FAMILIES, draw};
use table::{Entry, table};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn families() -> Vec<String> {
    let all = || FAMILIES.iter().map(|family| (*family).to_owned()).collect();
    let Some(text) = variable("FAMILIES") else { return all() };
    let chosen: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
    for family in &chosen {
        assert!(
            FAMILIES.contains(&family.as_str()) || family == "none",
            "unknown family {family}; known are {FAMILIES:?} and none"
        );
    }
    chosen
}

fn one(seed: u64, families: &[String], verbose: bool) -> Entry {
    let drawn = draw(seed, families);
    let labels = drawn.labels.clone();
    if verbose {
        println!(
            "{labels:?}\n{:?}",
            server::Server {
                calls: Vec::new(),
                denied: Vec::new(),
                cheated: Vec::new(),
                ..drawn.server.clone()
            }
        );
        println!("{:?}, configured limit {}", drawn.traffic, drawn.configured_limit);
    }
    // A panic is a fault of one server, not the end of the table.
    let verdict = catch_unwind(AssertUnwindSafe(|| run::run(drawn, verbose))).unwrap_or_else(|_| {
        run::Verdict { faults: vec!["the planner panics".to_owned()], ..run::Verdict::default() }
    });
    Entry { seed, labels, verdict }
}

fn many(servers: u64, families: &[String]) -> Vec<Entry> {
    let (next, entries) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > servers {
                        break;
                    }
                    let entry = one(seed, families, false);
                    entries.lock().unwrap().push(entry);
                }
            });
        }
    });
    let mut entries = entries.into_inner().unwrap();
    entries.sort_by_key(|entry| entry.seed);
    entries
}

#[test]
fn whatever_a_server_does_nothing_is_lost_and_every_sync_ends() {
    let families = families();
    let entries = match variable("SEED") {
        Some(seed) => vec![one(seed.parse().unwrap(), &families, true)],
        None => many(variable("SERVERS").map_or(200, |servers| servers.parse().unwrap()), &families),
    };
    let failed: Vec<&Entry> = entries.iter().filter(|entry| !entry.verdict.faults.is_empty()).collect();
    if !failed.is_empty() || variable("TABLE").is_some() {
        println!("{}", table(&entries));
    }
    let shown = failed
        .iter()
        .take(200)
        .map(|entry| format!("SEED={}: {}", entry.seed, entry.verdict.faults.join("; ")));
    let shown: Vec<String> = shown.collect();
    assert!(failed.is_empty(), "{} of {} servers:\n{}", failed.len(), entries.len(), shown.join("\n"));
}
