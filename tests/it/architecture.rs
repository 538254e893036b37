//! Who may know whom: the `use crate::` lines of each module against ARCHITECTURE.md's table.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module and all that it may name of this crate.
const MAY_KNOW: [(&str, &[&str]); 18] = [
    ("clock", &[]),
    ("cdr", &[]),
    ("allocator", &[]),
    ("answer_memory", &[]),
    ("window", &[]),
    ("read", &["window"]),
    ("plan", &["read", "window"]),
    ("voicenter", &["cdr", "window", "answer_memory"]),
    ("store", &["cdr", "window", "clock"]),
    ("rate_limit", &["store", "clock"]),
    ("metrics", &["window", "read", "voicenter"]),
    (
        "sync",
        &[
            "cdr",
            "window",
            "read",
            "plan",
            "voicenter",
            "store",
            "rate_limit",
            "clock",
            "metrics",
            "answer_memory",
            "allocator",
        ],
    ),
    ("health", &["window", "voicenter", "store", "sync", "clock"]),
    ("http", &["window", "store", "sync", "clock", "metrics", "health"]),
    ("config", &["store", "voicenter"]),
    ("setup", &["plan", "read", "voicenter", "store", "rate_limit", "sync", "config"]),
    ("systemd", &["clock"]),
    ("daemon", &["store", "sync", "clock", "metrics", "http", "config", "setup", "systemd", "telemetry"]),
];

fn files(module: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(format!("src/{module}.rs"))];
    let mut folders = vec![PathBuf::from(format!("src/{module}"))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// The modules that a file names, its tests left out.
fn known(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = lines.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    names
        .map(|name| {
            name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
        })
        .collect()
}

#[test]
fn no_module_knows_more_than_it_may() {
    for (module, allowed) in MAY_KNOW {
        for path in files(module) {
            for name in known(&path) {
                let fine = name == module || name.is_empty() || allowed.contains(&name.as_str());
                assert!(fine, "{} knows {name}, which {module} may not", path.display());
            }
        }
    }
}

/// What a module knows of another one, where that is not all of it.
const ONLY: [(&str, &str, &[&str]); 4] = [
    ("health", "sync", &["status"]),
    ("health", "voicenter", &["advice", "said"]),
    ("config", "store", &["Pooler"]),
    // What serves is put together by the daemon.
    ("cli", "http", &[]),
];

#[test]
fn some_modules_know_but_a_part_of_another() {
    for (module, other, parts) in ONLY {
        for path in files(module) {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for after in code.split(&format!("crate::{other}")).skip(1) {
                let fine = parts.iter().any(|part| after.starts_with(&format!("::{part}")));
                assert!(fine, "{} knows more of {other} than {parts:?}", path.display());
            }
        }
    }
}

#[test]
fn the_pure_core_touches_neither_clock_nor_world() {
    for module in ["cdr", "window", "read", "plan", "voicenter/decode", "voicenter/dates", "voicenter/wire"] {
        for path in files(module) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in [
                "tokio::",
                "sqlx::",
                "reqwest::",
                "Utc::now",
                "Instant::now",
                "std::fs",
                "std::net",
                "fastrand",
            ] {
                assert!(!code.contains(word), "{} uses {word}", path.display());
            }
        }
    }
}
