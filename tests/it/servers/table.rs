//! What came of all servers, by behaviour.

use std::fmt::Write;

use crate::servers::run::Verdict;

pub struct Entry {
    pub seed: u64,
    pub labels: Vec<(&'static str, String)>,
    pub verdict: Verdict,
}

pub fn table(entries: &[Entry]) -> String {
    let mut names: Vec<&(&'static str, String)> = Vec::new();
    let labels = entries.iter().flat_map(|entry| &entry.labels);
    for label in labels {
        if !names.contains(&label) {
            names.push(label);
        }
    }
    let first = |name: &str| {
        let labels = entries.first().map(|entry| entry.labels.as_slice()).unwrap_or_default();
        labels.iter().position(|label| label.0 == name)
    };
    names.sort_by_key(|label| (first(label.0), label.1.clone()));
    let mut text = String::from(
        "behaviour                           servers  failed  records    lost   early  holes/s    gaps  idle  \
         doubts  requests/fewest  daily\n",
    );
    line(&mut text, "all", &entries.iter().collect::<Vec<_>>());
    for label in names {
        let such: Vec<&Entry> = entries.iter().filter(|entry| entry.labels.contains(label)).collect();
        line(&mut text, &format!("{}: {}", label.0, label.1), &such);
    }
    text
}

fn line(text: &mut String, name: &str, entries: &[&Entry]) {
    let sum = |figure: &dyn Fn(&Verdict) -> usize| -> usize {
        entries.iter().map(|entry| figure(&entry.verdict)).sum()
    };
    let holes: i64 = entries.iter().map(|entry| entry.verdict.holes).sum();
    let ratio = sum(&|v| v.used) as f64 / sum(&|v| v.fewest).max(1) as f64;
    let _ = writeln!(
        text,
        "{name:<36}{:>7}{:>8}{:>9}{:>8}{:>8}{holes:>9}{:>8}{:>6}{:>8}{ratio:>17.2}{:>7}",
        entries.len(),
        entries.iter().filter(|entry| !entry.verdict.faults.is_empty()).count(),
        sum(&|v| v.records),
        sum(&|v| v.lost),
        sum(&|v| v.early),
        sum(&|v| v.gaps),
        sum(&|v| v.idle_gaps),
        sum(&|v| v.doubts),
        sum(&|v| v.daily) / entries.len().max(1),
    );
}
