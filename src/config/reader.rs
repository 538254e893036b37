//! Reads typed values from the merged layers and collects all problems.

use config::{Map, Value, ValueKind};
use secrecy::SecretString;

use super::error::{ConfigProblem, nearest};
use super::kind::KeyKind;

/// Shown in place of every secret.
const MASK: &str = "\"********\"";

/// A key with its effective value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The key, for example `accounts[0].name`.
    pub key: String,
    /// The value in TOML, a secret masked; `None` if it is not set.
    pub toml: Option<String>,
    /// The file or the variable that the value is from, or `default`.
    pub origin: String,
}

/// Collects known keys, effective values and problems.
pub(super) struct Reader {
    problems: Vec<ConfigProblem>,
    effective: Vec<Effective>,
    known: Vec<String>,
    unknown: Vec<(String, Value)>,
}

impl Reader {
    pub(super) fn new(problems: Vec<ConfigProblem>) -> Self {
        Self { problems, effective: Vec::new(), known: Vec::new(), unknown: Vec::new() }
    }

    /// The table that holds everything.
    pub(super) fn root(&mut self, values: Map<String, Value>) -> Section<'_> {
        Section { reader: self, path: String::new(), values }
    }

    /// Notes that the value of `key` does not fit, alone or with others.
    pub(super) fn refuse(&mut self, key: &str, message: String) {
        let known = self.effective.iter().find(|effective| effective.key == key);
        let value = known.and_then(|effective| effective.toml.clone());
        let source = known.map(|effective| effective.origin.clone());
        self.problems.push(ConfigProblem { key: key.to_owned(), value, source, message });
    }

    /// Notes the variables of the environment that were meant for a key but name none: `CDR_SYNC_API__URL`,
    /// `CDR_SYNC_API_URL`. Other variables may begin with the same name: Kubernetes sets CDR_SYNC_SERVICE_HOST for a
    /// service `cdr-sync`.
    pub(super) fn refuse_near_misses<'n>(&mut self, variables: impl Iterator<Item = &'n String>) {
        let bare = |text: &str| text.replace(['_', '.', '[', ']'], "").to_uppercase();
        for name in variables {
            let Some(rest) = name.strip_prefix("CDR_SYNC_").filter(|rest| !rest.starts_with('_')) else {
                continue;
            };
            let same = |key: &&String| bare(key) == bare(rest.strip_suffix("_FILE").unwrap_or(rest));
            let near = || {
                nearest(&rest.to_lowercase().replace("__", "."), &self.known).filter(|_| rest.contains("__"))
            };
            let meant = self.known.iter().find(same).or_else(near);
            let message = match meant {
                Some(key) => format!("no such variable; did you mean {}?", variable_of(key)),
                None if rest.contains("__") => {
                    "no such variable: one for a key begins with CDR_SYNC__".to_owned()
                }
                None => continue,
            };
            self.problems.push(ConfigProblem { key: name.clone(), value: None, source: None, message });
        }
    }

    pub(super) fn effective(&self) -> Vec<Effective> {
        self.effective.clone()
    }

    pub(super) fn into_problems(mut self) -> Vec<ConfigProblem> {
        self.unknown.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, value) in &self.unknown {
            let meant = nearest(key, &self.known);
            let message = match meant {
                Some(meant) => format!("no such key; did you mean {meant}?"),
                None => "no such key".to_owned(),
            };
            let secret = may_be_secret(key) || meant.is_some_and(|meant| may_be_secret(meant));
            let shown = text_of(value).filter(|_| !secret).map(|text| quote(&text));
            self.problems.push(ConfigProblem {
                key: key.clone(),
                value: shown,
                source: origin_of(value),
                message,
            });
        }
        self.problems
    }
}

/// The variable `CDR_SYNC__ACCOUNTS__0__CODE` for the key `accounts[0].code`.
pub(super) fn variable_of(key: &str) -> String {
    format!("CDR_SYNC__{}", key.replace('[', "__").replace(']', "").replace('.', "__").to_uppercase())
}

/// A table of the configuration while it is being read.
pub(super) struct Section<'r> {
    reader: &'r mut Reader,
    path: String,
    values: Map<String, Value>,
}

impl Section<'_> {
    /// The table `name` in this one; an empty one if it is missing.
    pub(super) fn section(&mut self, name: &str) -> Section<'_> {
        let value = self.values.remove(name);
        let path = self.key(name);
        self.reader.known.push(path.clone());
        let values = match value {
            Some(Value { kind: ValueKind::Table(values), .. }) => values,
            Some(value) => {
                self.reader.problems.push(ConfigProblem {
                    key: path.clone(),
                    value: None,
                    source: origin_of(&value),
                    message: format!("expected a table: write [{path}] above its keys"),
                });
                Map::new()
            }
            None => Map::new(),
        };
        Section { reader: self.reader, path, values }
    }

    /// The tables of the array `name`.
    pub(super) fn tables(&mut self, name: &str) -> Vec<Map<String, Value>> {
        self.reader.known.push(self.key(name));
        let Some(value) = self.values.remove(name) else { return Vec::new() };
        let origin = origin_of(&value);
        let items = if let ValueKind::Array(items) = value.kind { items } else { vec![value] };
        let tables = items.into_iter().enumerate().map(|(index, item)| match item.kind {
            ValueKind::Table(table) => table,
            _ => {
                let key = format!("{name}[{index}]");
                let message =
                    format!("expected a table: write [[{name}]] above its keys, and leave no number out");
                let source = origin.clone();
                self.reader.problems.push(ConfigProblem { key, value: None, source, message });
                Map::new()
            }
        });
        tables.collect()
    }

    /// A table of an array.
    pub(super) fn item(&mut self, name: &str, index: usize, values: Map<String, Value>) -> Section<'_> {
        Section { reader: self.reader, path: format!("{name}[{index}]"), values }
    }

    /// The value of `key`, or of `default`.
    pub(super) fn value<T>(&mut self, key: &str, kind: KeyKind<T>, default: &str) -> Option<T> {
        let (text, origin) =
            self.take_text(key).unwrap_or_else(|| (Some(default.to_owned()), "default".to_owned()));
        self.parse(key, kind, text, origin)
    }

    /// The value of `key`, if it is set.
    pub(super) fn optional<T>(&mut self, key: &str, kind: KeyKind<T>) -> Option<T> {
        match self.take_text(key) {
            Some((text, origin)) => self.parse(key, kind, text, origin),
            None => {
                self.note(key, None, "not set".to_owned());
                None
            }
        }
    }

    /// The values of `key`, or of `default`. In one text (a variable), they are separated by commas.
    pub(super) fn list<T>(&mut self, key: &str, kind: KeyKind<T>, default: &[&str]) -> Option<Vec<T>> {
        self.read_list(key, kind, default, true)
    }

    /// The same where somebody may write a secret by mistake: an error does not quote the value.
    pub(super) fn unquoted_list<T>(
        &mut self,
        key: &str,
        kind: KeyKind<T>,
        default: &[&str],
    ) -> Option<Vec<T>> {
        self.read_list(key, kind, default, false)
    }

    fn read_list<T>(
        &mut self,
        key: &str,
        kind: KeyKind<T>,
        default: &[&str],
        is_quoted: bool,
    ) -> Option<Vec<T>> {
        let path = self.key(key);
        let value = self.values.remove(key);
        let origin =
            value.as_ref().map_or_else(|| "default".to_owned(), |value| origin_of(value).unwrap_or_default());
        let texts: Option<Vec<String>> = match value {
            None => Some(default.iter().map(|text| (*text).to_owned()).collect()),
            Some(Value { kind: ValueKind::Array(items), .. }) => items.iter().map(text_of).collect(),
            Some(value) => text_of(&value).map(|text| {
                text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
            }),
        };
        let shown = texts.as_ref().map(|texts| {
            format!("[{}]", texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", "))
        });
        let parsed = texts.ok_or_else(|| "expected a list".to_owned());
        let parsed =
            parsed.and_then(|texts| texts.iter().map(|text| kind(text)).collect::<Result<Vec<T>, _>>());
        self.note(key, shown.clone(), origin.clone());
        parsed
            .map_err(|message| {
                let message = message.replacen(
                    "expected",
                    "expected a list, each item of which is",
                    usize::from(message != "expected a list"),
                );
                self.reader.problems.push(ConfigProblem {
                    key: path,
                    value: shown.filter(|_| is_quoted),
                    source: Some(origin),
                    message,
                });
            })
            .ok()
    }

    /// The secret in `key`, if it is set; never shown.
    pub(super) fn secret(&mut self, key: &str) -> Option<SecretString> {
        let Some((text, origin)) = self.take_text(key) else {
            self.note(key, None, "not set".to_owned());
            return None;
        };
        self.note(key, Some(MASK.to_owned()), origin.clone());
        match secret(text.as_deref().unwrap_or_default()) {
            Ok(secret) => Some(secret),
            Err(message) => {
                let key = self.key(key);
                self.reader.problems.push(ConfigProblem { key, value: None, source: Some(origin), message });
                None
            }
        }
    }

    /// Ends this table: the keys that were not read are unknown.
    pub(super) fn leave(self) {
        let path = self.path;
        let key = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        self.reader.unknown.extend(self.values.into_iter().map(|(name, value)| (key(&name), value)));
    }

    /// Returns `true` if this table has `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The source of the value of the full name `key`, once it was read.
    pub(super) fn origin(&self, key: &str) -> String {
        let found = self.reader.effective.iter().find(|effective| effective.key == key);
        found.map(|effective| effective.origin.clone()).unwrap_or_default()
    }

    pub(super) fn problem(&mut self, problem: ConfigProblem) {
        self.reader.problems.push(problem);
    }

    /// The full name of a key in this table.
    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn parse<T>(&mut self, key: &str, kind: KeyKind<T>, text: Option<String>, origin: String) -> Option<T> {
        let parsed = match &text {
            Some(text) => kind(text),
            None => Err("expected one value, not a list or a table".to_owned()),
        };
        let shown = text.map(|text| quote(&text));
        self.note(key, shown.clone(), origin.clone());
        parsed
            .map_err(|message| {
                // An address may contain a password where none belongs.
                let value = shown.filter(|text| !text.contains('@') && !text.contains('?'));
                self.reader.problems.push(ConfigProblem {
                    key: self.key(key),
                    value,
                    source: Some(origin),
                    message,
                });
            })
            .ok()
    }

    fn take_text(&mut self, key: &str) -> Option<(Option<String>, String)> {
        let value = self.values.remove(key)?;
        let origin = origin_of(&value).unwrap_or_default();
        Some((text_of(&value), origin))
    }

    fn note(&mut self, key: &str, toml: Option<String>, origin: String) {
        let key = self.key(key);
        self.reader.known.push(key.clone());
        self.reader.effective.push(Effective { key, toml, origin });
    }
}

/// A secret without the white space and marks that editors add; the error never shows it.
fn secret(text: &str) -> Result<SecretString, String> {
    // The byte order mark of a file saved as "UTF-8 with BOM".
    let text = text.trim().trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("expected some text, but it is empty".to_owned());
    }
    match text.chars().find(|char| is_unseen(*char)) {
        None => Ok(text.into()),
        Some('\n' | '\r') => Err("expected one line (what is there is not shown)".to_owned()),
        Some(char) => Err(format!(
            "expected text without control characters and invisible ones, but U+{:04X} is in it (what is there is not shown)",
            u32::from(char)
        )),
    }
}

/// Control characters, and what copying from Hebrew pages leaves: direction marks, joiners, zero-width spaces.
fn is_unseen(char: char) -> bool {
    let direction_marks = ['\u{200b}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2060}'..='\u{206f}'];
    char.is_control() || char == '\u{feff}' || direction_marks.iter().any(|range| range.contains(&char))
}

/// A scalar as text; `None` for lists and tables.
fn text_of(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => None,
        kind => Some(kind.to_string()),
    }
}

/// The source of the value, or of the first value inside it.
fn origin_of(value: &Value) -> Option<String> {
    value.origin().map(str::to_owned).or_else(|| match &value.kind {
        ValueKind::Table(values) => values.values().find_map(origin_of),
        ValueKind::Array(values) => values.iter().find_map(origin_of),
        _ => None,
    })
}

/// TOML for a text: numbers and booleans as they are, anything else in quotes.
fn quote(text: &str) -> String {
    if text.parse::<i64>().is_ok_and(|number| number.to_string() == text) || matches!(text, "true" | "false")
    {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

fn may_be_secret(key: &str) -> bool {
    let name = key.to_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    ["code", "token", "secret", "pass", "key", "cred", "auth", "url", "webhook", "smtp"]
        .iter()
        .any(|word| last.contains(word))
}
