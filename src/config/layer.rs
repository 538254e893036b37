//! The layers, from files and from the environment, merged into one tree whose values know their source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use config::{FileFormat, Format, Map, Source, Value, ValueKind};

use super::error::ConfigProblem;
use super::lines;

/// The file that is read if it exists.
const DEFAULT_FILE: &str = "config/default.toml";
/// The variable that names a file.
const FILE_VARIABLE: &str = "CDR_SYNC_CONFIG";
/// The prefix of variables that set a key.
const PREFIX: &str = "CDR_SYNC__";
/// Short names for the case of one account.
const SHORTHANDS: [(&str, &str); 5] = [
    ("DATABASE_URL", "database.url"),
    ("VOICENTER_CODE", "accounts[0].code"),
    ("VOICENTER_TOKEN", "accounts[0].token"),
    ("VOICENTER_AI_TOKEN", "accounts[0].ai_token"),
    ("VOICENTER_URL", "api.url"),
];
/// Separates a secret's file from the key or variable that names it, in a value's source.
const NAMED_BY: &str = ", named by ";
/// The highest number of accounts in variables: a typing error must not make a million.
const MOST_ACCOUNTS: usize = 1000;

/// Values by path (`accounts[0].name`), as the config crate merges them.
#[derive(Clone, Debug, Default)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// All layers, later ones over earlier ones, and the problems found on the way.
pub(super) fn merge(
    named: Option<PathBuf>,
    env: &BTreeMap<String, String>,
    dir: &Path,
) -> (Map<String, Value>, Vec<ConfigProblem>) {
    let mut problems = Vec::new();
    let mut layers = Vec::new();
    if dir.join(DEFAULT_FILE).exists() {
        layers.push(file(Path::new(DEFAULT_FILE), dir, &mut problems));
    }
    let from_env = || env.get(FILE_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    if let Some(named) = named.or_else(from_env) {
        layers.push(file(&named, dir, &mut problems));
    }
    layers.push(shorthands(env, dir, &mut problems));
    layers.push(variables(env, dir, &mut problems));
    let merged =
        layers.into_iter().fold(config::Config::builder(), |builder, layer| builder.add_source(layer));
    let tree = merged.build().and_then(|merged| merged.collect()).unwrap_or_else(|error| {
        problems.push(problem("configuration", "all layers", error.to_string()));
        Map::new()
    });
    let accounts = tree.get("accounts").map_or(0, |accounts| match &accounts.kind {
        ValueKind::Array(accounts) => accounts.len(),
        _ => 0,
    });
    if accounts > 1 {
        refuse_shorthands(env, accounts, &mut problems);
    }
    (tree, problems)
}

fn file(name: &Path, dir: &Path, problems: &mut Vec<ConfigProblem>) -> Layer {
    let shown = name.display().to_string();
    let text = match fs::read_to_string(dir.join(name)) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(error) => {
            problems.push(problem(&shown, "", format!("cannot be read: {error}")));
            return Layer::default();
        }
    };
    match FileFormat::Toml.parse(Some(&shown), &text) {
        Ok(values) => {
            let mut values = lines::with_lines(values, &shown, &text);
            read_secret_files(&mut values, dir, problems);
            Layer(values)
        }
        Err(error) => {
            problems.push(problem(
                &shown,
                "",
                format!("is not TOML: {}", without_excerpt(&error.to_string())),
            ));
            Layer::default()
        }
    }
}

/// The parser's words without the line it quotes, which may hold a secret.
fn without_excerpt(error: &str) -> String {
    let lines = error.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|'));
    lines.map(|line| line.trim_start_matches("TOML parse error ")).collect::<Vec<_>>().join(": ")
}

/// Replaces `url_file`, `code_file` and the like by the contents of the files that they name.
fn read_secret_files(values: &mut Map<String, Value>, dir: &Path, problems: &mut Vec<ConfigProblem>) {
    if let Some(Value { kind: ValueKind::Table(database), .. }) = values.get_mut("database") {
        read_secret_file(database, "database", "url", dir, problems);
    }
    if let Some(Value { kind: ValueKind::Table(notify), .. }) = values.get_mut("notify") {
        for key in ["webhook", "smtp"] {
            read_secret_file(notify, "notify", key, dir, problems);
        }
    }
    if let Some(Value { kind: ValueKind::Array(accounts), .. }) = values.get_mut("accounts") {
        for (index, account) in accounts.iter_mut().enumerate() {
            if let ValueKind::Table(account) = &mut account.kind {
                for key in ["code", "token"] {
                    read_secret_file(account, &format!("accounts[{index}]"), key, dir, problems);
                }
            }
        }
    }
}

fn read_secret_file(
    table: &mut Map<String, Value>,
    path: &str,
    key: &str,
    dir: &Path,
    problems: &mut Vec<ConfigProblem>,
) {
    let Some(value) = table.remove(&format!("{key}_file")) else { return };
    let key_of_file = format!("{path}.{key}_file");
    let origin = value.origin().unwrap_or_default().to_owned();
    let ValueKind::String(file) = value.kind else {
        problems.push(problem(&key_of_file, &origin, "expected a file's name".to_owned()));
        return;
    };
    if table.contains_key(key) {
        problems.push(problem(
            &key_of_file,
            &origin,
            format!("{path}.{key} is set, too: one of them is enough"),
        ));
        return;
    }
    match secret_in(&file, &origin, dir) {
        Ok(value) => {
            table.insert(key.to_owned(), value);
        }
        Err(message) => problems.push(problem(&key_of_file, &origin, message)),
    }
}

fn secret_in(file: &str, origin: &str, dir: &Path) -> Result<Value, String> {
    let path = dir.join(file);
    let text = fs::read_to_string(&path).map_err(|error| {
        // The value may be the secret itself instead of a file name.
        let is_path = file.contains('/') && path.parent().is_some_and(Path::exists);
        match is_path {
            true => format!("cannot read {file}: {error}"),
            false => "names no file that is there (not shown, in case it is the secret itself): give the path of a file \
                      that holds it"
                .to_owned(),
        }
    })?;
    Ok(Value::new(Some(&format!("{file}{NAMED_BY}{origin}")), text))
}

/// The file in the origin of a secret that was read from one.
pub(super) fn secret_file_of(origin: &str) -> Option<&str> {
    origin.rsplit_once(NAMED_BY).map(|(file, _)| file)
}

/// An empty variable counts as unset: Compose files pass unset variables on as empty ones.
fn shorthands(env: &BTreeMap<String, String>, dir: &Path, problems: &mut Vec<ConfigProblem>) -> Layer {
    let mut layer = Layer::default();
    for (name, path) in SHORTHANDS {
        let get = |name: &str| env.get(name).filter(|value| !value.is_empty());
        let file_name = format!("{name}_FILE");
        let value = match (get(name), get(&file_name)) {
            (None, None) => continue,
            (Some(_), Some(_)) => {
                problems.push(problem(&file_name, "", format!("{name} is set, too: one of them is enough")));
                continue;
            }
            (Some(text), None) => Ok(Value::new(Some(&name.to_owned()), text.clone())),
            (None, Some(file)) => secret_in(file, &file_name, dir).map(trimmed),
        };
        match value {
            Ok(value) => drop(layer.0.insert(path.to_owned(), value)),
            Err(message) => problems.push(problem(&file_name, "", message)),
        }
    }
    layer
}

fn trimmed(mut value: Value) -> Value {
    if let ValueKind::String(text) = &mut value.kind {
        *text = text.trim().to_owned();
    }
    value
}

fn refuse_shorthands(env: &BTreeMap<String, String>, accounts: usize, problems: &mut Vec<ConfigProblem>) {
    for name in [
        "VOICENTER_CODE",
        "VOICENTER_TOKEN",
        "VOICENTER_AI_TOKEN",
        "VOICENTER_CODE_FILE",
        "VOICENTER_TOKEN_FILE",
        "VOICENTER_AI_TOKEN_FILE",
    ] {
        if env.get(name).is_some_and(|value| !value.is_empty()) {
            let message =
                format!("is for one account, but {accounts} are configured: give each its own credential");
            problems.push(problem(name, "", message));
        }
    }
}

fn variables(env: &BTreeMap<String, String>, dir: &Path, problems: &mut Vec<ConfigProblem>) -> Layer {
    let mut layer = Layer::default();
    for (name, text) in env.range(PREFIX.to_owned()..).take_while(|(name, _)| name.starts_with(PREFIX)) {
        let Some(path) = path_of(name) else {
            let message =
                "no such key: a variable is CDR_SYNC__SECTION__KEY, or CDR_SYNC__ACCOUNTS__0__KEY".to_owned();
            problems.push(problem(name, "", message));
            continue;
        };
        match path.strip_suffix("_file").filter(|path| is_secret(path)) {
            Some(secret) if env.contains_key(name.trim_end_matches("_FILE")) => {
                problems.push(problem(
                    name,
                    "",
                    format!("{secret} is set by a variable, too: one of them is enough"),
                ));
            }
            Some(secret) => match secret_in(text, name, dir) {
                Ok(value) => drop(layer.0.insert(secret.to_owned(), value)),
                Err(message) => problems.push(problem(name, "", message)),
            },
            None => drop(layer.0.insert(path, Value::new(Some(name), text.clone()))),
        }
    }
    layer
}

/// The key `accounts[0].code` for the variable `CDR_SYNC__ACCOUNTS__0__CODE`.
fn path_of(variable: &str) -> Option<String> {
    let parts: Vec<String> = variable.strip_prefix(PREFIX)?.split("__").map(str::to_lowercase).collect();
    let plain = |part: &String| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if !parts.iter().all(plain) {
        return None;
    }
    match parts.as_slice() {
        [section, key] => Some(format!("{section}.{key}")),
        [section, index, key] => {
            let index: usize = index.parse().ok().filter(|index| *index < MOST_ACCOUNTS)?;
            Some(format!("{section}[{index}].{key}"))
        }
        _ => None,
    }
}

fn is_secret(path: &str) -> bool {
    ["database.url", "notify.webhook", "notify.smtp"].contains(&path)
        || (path.starts_with("accounts[") && (path.ends_with("].code") || path.ends_with("].token")))
}

fn problem(key: &str, source: &str, message: String) -> ConfigProblem {
    let source = Some(source.to_owned()).filter(|source| !source.is_empty());
    ConfigProblem { key: key.to_owned(), value: None, source, message }
}
