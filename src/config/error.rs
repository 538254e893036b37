//! Everything that is wrong with a configuration.

use std::fmt;

/// One problem of a configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, for example `sync.poll_interval`; the file's name if it concerns a whole file.
    pub key: String,
    /// The value as written, unless it is or may be a secret.
    pub value: Option<String>,
    /// The file or the variable that the value is from.
    pub source: Option<String>,
    /// What was expected, or what to do.
    pub message: String,
}

impl ConfigProblem {
    /// A required key that is missing.
    pub(super) fn missing(key: &str, advice: &str) -> Self {
        Self { key: key.to_owned(), value: None, source: None, message: format!("not configured: {advice}") }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Debug for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// All problems of a configuration. The program exits with status 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<ConfigProblem>) -> Self {
        Self { problems }
    }

    /// All problems, in the order in which they were found.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "configuration: {only}"),
            all => {
                write!(f, "the configuration has {} problems:", all.len())?;
                all.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// The one of `known` that `wrong` was most likely meant to be: the same last part in another section, or
/// a few letters off.
pub(super) fn nearest<'a>(wrong: &str, known: &'a [String]) -> Option<&'a String> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |path: &String| {
        if last(path) == last(wrong) { 1 } else { edits(path, wrong) }
    };
    known
        .iter()
        .min_by_key(|path| distance(path))
        .filter(|path| distance(path) <= 3.min(1 + last(wrong).len() / 3))
}

/// Levenshtein's distance between two words.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, diagonal), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(x != *y)).min(left + 1).min(above + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
