//! What README.md and docs/ tell people to type: every block runs here, and every command in a line exists.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::process::scene::{ProcessScene, finish};
use crate::support::folder::Folder;
use crate::support::polling::until;
use crate::support::program::{CODE, Running, command};

const DOCUMENTS: [&str; 2] = ["README.md", "docs/operations.md"];

/// Lines of blocks that need another tool or much time, and the script of CI that runs them.
const ELSEWHERE: [(&str, &str, &str); 10] = [
    ("scripts/demo", ".ci/run", "scripts/demo --once"),
    ("scripts/test", ".ci/run", "\"tests\" scripts/test"),
    ("cargo build --release", "Dockerfile", "cargo build --quiet --locked --release"),
    // The machine's shell there is root's.
    ("sudo -i", PACKAGE, "docker exec"),
    ("apt install ./cdr-sync_VERSION-1_amd64.deb", PACKAGE, "apt install /root/first.deb"),
    ("cd /etc/cdr-sync/secrets && umask 077", PACKAGE, "cd /etc/cdr-sync/secrets; umask 077"),
    ("echo 'postgres://", PACKAGE, ">database_url"),
    ("echo 'the code' > voicenter_code", PACKAGE, ">voicenter_code"),
    (CHECK, PACKAGE, CHECK),
    ("systemctl enable --now cdr-sync", PACKAGE, "on systemctl enable --quiet --now cdr-sync"),
];
const PACKAGE: &str = "scripts/package-test";
const CHECK: &str = "DATABASE_URL_FILE=$PWD/database_url VOICENTER_CODE_FILE=$PWD/voicenter_code cdr-sync check --config /etc/cdr-sync/config.toml";

struct Block {
    place: String,
    language: String,
    text: String,
}

/// The blocks of a document, without what stands in front of their lines.
fn blocks(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(document).unwrap();
    let (mut found, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (at, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => found.push(block),
            (Some(language), None) => {
                let place = format!("{document}:{}", at + 1);
                open = Some(Block { place, language: language.to_owned(), text: String::new() });
            }
            (None, Some(mut block)) => {
                block.text += line.trim_end();
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    found
}

fn all_blocks(language: &str) -> Vec<Block> {
    let all = DOCUMENTS.into_iter().flat_map(blocks);
    all.filter(|block| block.language == language).collect()
}

/// Every kind of block is run by one of the tests below, but for those of proxies; what programs print has no language.
#[test]
fn every_block_is_of_a_kind_that_is_tried() {
    for block in DOCUMENTS.into_iter().flat_map(blocks) {
        assert!(
            ["sh", "sql", "toml", "ini", "nginx", "caddyfile", ""].contains(&block.language.as_str()),
            "{}: {}",
            block.place,
            block.language
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_a_block_works_as_it_is_typed() {
    let scene = ProcessScene::new().await;
    let mut tried = 0;
    for block in all_blocks("sh") {
        for line in block.text.lines() {
            // A remark follows after two spaces, and what is typed in one shell goes on in the next line.
            let typed = line.split("  #").next().unwrap_or_default().trim();
            if typed.is_empty() || typed.starts_with('#') || typed.starts_with("export ") {
                continue;
            }
            if let Some((_, script, command)) = ELSEWHERE.iter().find(|(start, ..)| typed.starts_with(start))
            {
                assert!(
                    fs::read_to_string(script).unwrap().contains(command),
                    "{script} does not run {command}"
                );
                continue;
            }
            let (program, arguments) = typed.split_once(' ').unwrap_or((typed, ""));
            assert!(
                ["cdr-sync", "target/release/cdr-sync"].contains(&program),
                "{}: who tries {typed}?",
                block.place
            );
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            tried += 1;
            if arguments == ["run"] {
                let mut daemon = Running::start(scene.command(&arguments));
                until("rows", async || {
                    let there = "select count(to_regclass('voicenter.sync_state'))";
                    scene.database.count(there).await == 1
                        && scene.database.count("select count(*) from voicenter.cdr").await > 0
                })
                .await;
                daemon.signal(Signal::SIGTERM);
                assert_eq!(daemon.wait().await.0.code(), Some(0), "{}", block.place);
            } else {
                let (status, said) = scene.output(&arguments).await;
                assert_eq!(status, Some(0), "{}: {typed}: {said}", block.place);
            }
        }
        // What is exported is what the scene's environment has.
        let exports = block.text.lines().filter_map(|line| line.strip_prefix("export "));
        let set = exports.flat_map(str::split_whitespace).filter_map(|word| word.split_once('='));
        for (name, _) in set {
            assert!(["DATABASE_URL", "VOICENTER_CODE"].contains(&name), "{}: {name}", block.place);
        }
    }
    assert!(tried >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_of_the_readme_has_the_columns_that_it_shows() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["sync"]).await.0, Some(0));
    let blocks = blocks("README.md");
    let mut asked = 0;
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sql") {
        let query = block.text.trim().trim_end_matches(';');
        let columns = format!(
            "select string_agg(key, ' ' order by n) from (select * from ({query}) q right join (select 1) one on true limit 1) row,
             json_object_keys(row_to_json(row)) with ordinality keys (key, n) where key <> '?column?'"
        );
        let columns = scene.database.lines(&columns).await;
        asked += 1;
        let Some(shown) = blocks.get(at + 1).filter(|next| next.language.is_empty()) else { continue };
        let heading: Vec<&str> = shown.text.lines().next().unwrap().split('|').map(str::trim).collect();
        assert_eq!(columns, [heading.join(" ")], "{}", block.place);
    }
    assert!(asked >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_piece_of_configuration_is_valid() {
    let files = Folder::new();
    let mut tried = 0;
    for block in all_blocks("toml") {
        for secret in ["webhook", "smtp"] {
            let value = if secret == "smtp" {
                "smtp://u:p@mail.example.com:587"
            } else {
                "https://hooks.example.com/x"
            };
            files.write(secret, value);
        }
        let here = files.path().display().to_string();
        let hash = format!("sha256:{}", "0".repeat(64));
        files.write(
            "block.toml",
            &block
                .text
                .replace("/etc/cdr-sync/secrets", &here)
                .replace("/var/lib/cdr-sync/spool", &here)
                .replace("sha256:…", &hash),
        );
        let mut tried_with: Command = command(["config", "--config", &format!("{here}/block.toml")]);
        tried_with.env("DATABASE_URL", "postgres://u@h/d").env("VOICENTER_CODE", CODE);
        tried_with.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let (status, said) = finish(tried_with).await;
        assert_eq!(status, Some(0), "{}: {said}", block.place);
        tried += 1;
    }
    assert!(tried >= 1);
}

/// The commands within a text: from `cdr-sync ` to the end of what is set as code.
fn commands(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|code| {
            code.split_once("cdr-sync ")
                .filter(|(before, _)| before.is_empty() || before.ends_with(['/', ' ']))
        })
        .map(|(_, arguments)| arguments.trim().to_owned())
        .filter(|arguments| {
            arguments.split(' ').next().is_some_and(|first| first.chars().all(|c| c.is_ascii_lowercase()))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_in_a_line_exists() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("docs").unwrap().map(|entry| entry.unwrap().path()).chain(["README.md".into()])
    {
        if entry.extension().is_some_and(|extension| extension == "md") {
            // Blocks would end up as code in a line.
            let text = fs::read_to_string(&entry).unwrap();
            let lines: String = text.split("```").step_by(2).collect();
            found.extend(commands(&lines));
        }
    }
    assert!(found.len() > 15, "{found:?}");
    for line in found {
        // Help is given only once all before it is known. A line may leave out which span is meant.
        let mut arguments: Vec<String> = Vec::new();
        let mut words = line.split_whitespace().map(|word| word.trim_matches(['[', ']'])).peekable();
        while let Some(word) = words.next() {
            if ["--from", "--to"].contains(&word) {
                words.next_if(|next| !next.starts_with("--"));
                arguments.push(format!("{word}=2026-11-01"));
            } else {
                arguments.push(word.to_owned());
            }
        }
        arguments.push("--help".into());
        let mut asked: Command = command(arguments);
        asked.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let (status, said) = finish(asked).await;
        assert_eq!(status, Some(0), "cdr-sync {line}: {said}");
    }
}

mod needs_systemd {
    use super::*;

    /// What `systemctl edit` is given goes with the unit.
    #[test]
    fn every_drop_in_is_valid() {
        let drop_ins = all_blocks("ini");
        assert!(!drop_ins.is_empty());
        for block in drop_ins {
            let files = Folder::new();
            let unit = fs::read_to_string("deploy/systemd/cdr-sync.service").unwrap();
            let unit = unit.replace("/usr/local/bin/cdr-sync", env!("CARGO_BIN_EXE_cdr-sync"));
            let unit = files.write("cdr-sync.service", &unit.replace("file:///usr/local", "file:///usr"));
            fs::create_dir(files.path().join("cdr-sync.service.d")).unwrap();
            fs::write(files.path().join("cdr-sync.service.d/override.conf"), &block.text).unwrap();
            let tried =
                std::process::Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
            let said = String::from_utf8_lossy(&tried.stderr).into_owned();
            // Only what is said of the unit, not of the machine's own.
            let of_ours: Vec<&str> = said.lines().filter(|line| line.contains("cdr-sync.service")).collect();
            assert!(tried.status.success() && of_ours.is_empty(), "{}: {said}", block.place);
        }
    }
}
