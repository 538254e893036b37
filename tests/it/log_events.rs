//! Log lines are an interface: each has a stable event name, and docs/operations.md says what it means.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The daemon's sources; the simulator and the private database log for who tries things out.
fn sources() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The text of each logging call, from its bracket to the end of the statement, tests left out.
fn calls(path: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    let mut calls = Vec::new();
    for level in ["error", "warn", "info", "debug"] {
        let pieces =
            code.split(&format!("tracing::{level}!(")).skip(1).map(str::to_owned).collect::<Vec<_>>();
        calls.extend(pieces.iter().map(|piece| piece.split(")\n").next().unwrap_or_default().to_owned()));
        calls.retain(|call| !call.is_empty());
    }
    calls
}

fn event(call: &str) -> Option<&str> {
    call.split("event = \"").nth(1)?.split('"').next()
}

#[test]
fn every_line_has_an_event_that_the_documentation_explains() {
    let documentation = fs::read_to_string("docs/operations.md").unwrap();
    let mut events = BTreeSet::new();
    for path in sources() {
        for call in calls(&path) {
            let name = event(&call);
            assert!(name.is_some(), "{}: a line without an event: {call}", path.display());
            events.extend(name.map(str::to_owned));
        }
    }
    assert!(events.len() > 30, "the test looks in the wrong place: {events:?}");
    for name in &events {
        assert!(
            documentation.contains(&format!("| `{name}` |")),
            "docs/operations.md does not explain {name}"
        );
    }
    let listed = documentation.split("## Log events").nth(1).unwrap().split("\n## ").next().unwrap();
    for line in listed.lines().filter(|line| line.starts_with("| `")) {
        let name = line.trim_start_matches("| `").split('`').next().unwrap();
        assert!(events.contains(name), "docs/operations.md explains {name}, which nothing logs");
    }
}
