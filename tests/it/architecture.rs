//! Who may know whom: the `use crate::` lines of each module against ARCHITECTURE.md's table.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module and all that it may name of this crate.
const MAY_KNOW: [(&str, &[&str]); 26] = [
    ("clock", &[]),
    ("cdr", &[]),
    ("allocator", &[]),
    ("answer_memory", &[]),
    ("window", &[]),
    ("phone_number", &[]),
    ("push", &["cdr"]),
    ("reference", &["cdr"]),
    ("call_history", &["cdr", "push"]),
    ("read", &["window"]),
    ("plan", &["read", "window"]),
    ("voicenter", &["cdr", "window", "answer_memory", "reference", "call_history"]),
    ("store", &["cdr", "window", "plan", "clock", "phone_number", "push", "reference", "call_history"]),
    ("rate_limit", &["store", "clock"]),
    ("metrics", &["window", "read", "voicenter", "push", "reference"]),
    (
        "sync",
        &[
            "cdr",
            "window",
            "phone_number",
            "read",
            "plan",
            "voicenter",
            "store",
            "rate_limit",
            "clock",
            "metrics",
            "answer_memory",
            "allocator",
            "push",
            "reference",
            "call_history",
        ],
    ),
    ("health", &["window", "voicenter", "store", "sync", "clock"]),
    ("http", &["window", "voicenter", "store", "sync", "clock", "metrics", "health"]),
    ("config", &["plan", "store", "voicenter", "phone_number", "push", "reference", "call_history"]),
    ("notify", &["voicenter", "store", "clock", "health", "config"]),
    ("receiver", &["push", "store", "clock", "metrics", "http", "config"]),
    ("joining", &["push", "store", "clock", "metrics", "receiver", "config"]),
    ("setup", &["plan", "read", "voicenter", "store", "rate_limit", "sync", "config", "reference"]),
    ("systemd", &["clock"]),
    ("telemetry", &["clock", "voicenter", "store", "config"]),
    (
        "daemon",
        &[
            "store",
            "sync",
            "clock",
            "metrics",
            "http",
            "receiver",
            "notify",
            "config",
            "setup",
            "systemd",
            "telemetry",
            "joining",
            "rate_limit",
            "voicenter",
        ],
    ),
];

/// What puts everything together, and the macros of all.
const FREE: [&str; 3] = ["cli", "demo", "output"];

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

/// The code of a file, its comments and tests left out.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// How many `super::` lead from a file to the root of the crate.
fn depth(path: &Path) -> usize {
    path.components().count() - 1
}

/// The modules of the crate's root that a piece of code names first: `sync::…`, or each of `{sync::…, store}`.
fn first_names(after_root: &str) -> Vec<String> {
    let Some(group) = after_root.strip_prefix('{') else {
        let name = after_root.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        return vec![name.to_owned()];
    };
    let (mut level, mut names, mut name) = (0_i32, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '}' if level == 0 => break,
            '{' => level += 1,
            '}' => level -= 1,
            ',' if level == 0 => names.push(std::mem::take(&mut name)),
            _ if level == 0 => name.push(c),
            _ => {}
        }
    }
    names.push(name);
    let start = |name: String| name.trim().split("::").next().unwrap_or_default().to_owned();
    names.into_iter().map(start).filter(|name| !name.is_empty()).collect()
}

/// The modules that a file names, whichever way it reaches the root of the crate.
fn known(path: &Path) -> BTreeSet<String> {
    let code = code(path);
    let from_root = code.split("crate::").skip(1).flat_map(first_names);
    let upwards = "super::".repeat(depth(path));
    from_root
        .chain(code.split(&upwards).skip(1).flat_map(first_names))
        .filter(|name| name != "super")
        .collect()
}

#[test]
fn no_module_knows_more_than_it_may() {
    for (module, allowed) in MAY_KNOW {
        for path in files(module) {
            for name in known(&path) {
                let fine = name == module || allowed.contains(&name.as_str());
                assert!(fine, "{} knows {name}, which {module} may not", path.display());
            }
        }
    }
}

#[test]
fn every_module_is_listed_after_those_that_it_knows() {
    let root = fs::read_to_string("src/lib.rs").unwrap();
    let modules = root.lines().filter_map(|line| line.split("mod ").nth(1)?.strip_suffix(';'));
    for module in modules.filter(|module| !FREE.contains(module)) {
        assert!(MAY_KNOW.iter().any(|(listed, _)| *listed == module), "{module} may know anything");
    }
    for (at, (module, allowed)) in MAY_KNOW.iter().enumerate() {
        for other in *allowed {
            let before = MAY_KNOW[..at].iter().any(|(listed, _)| listed == other);
            assert!(before, "{module} may know {other}, which stands below it: a circle, or out of order");
        }
    }
}

#[test]
fn a_module_is_found_whichever_way_it_is_named() {
    assert_eq!(first_names("http::page::Page;"), ["http"]);
    assert_eq!(
        first_names("{http, cli::{self, Cli}, store::{Store, lease::Holder}};"),
        ["http", "cli", "store"]
    );
    assert_eq!(depth(Path::new("src/sync/engine/storing.rs")), 3);
    assert_eq!(depth(Path::new("src/sync.rs")), 1);
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
            let code = code(&path);
            for after in code.split(&format!("crate::{other}")).skip(1) {
                let fine = parts.iter().any(|part| after.starts_with(&format!("::{part}")));
                assert!(fine, "{} knows more of {other} than {parts:?}", path.display());
            }
        }
    }
}

#[test]
fn the_pure_core_touches_neither_clock_nor_world() {
    for module in [
        "cdr",
        "window",
        "read",
        "plan",
        "push",
        "reference",
        "voicenter/decode",
        "voicenter/dates",
        "voicenter/wire",
    ] {
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
