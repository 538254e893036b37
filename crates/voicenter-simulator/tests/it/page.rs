//! docs/simulator.md: its commands work, its answers are true, and nothing is missing from it.

use clap::{Args, Parser};
use voicenter_simulator::{Fault, SimulateArgs};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    simulate: SimulateArgs,
    /// These two belong to the whole program.
    #[arg(short, long)]
    quiet: bool,
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

fn page() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/simulator.md");
    std::fs::read_to_string(path).unwrap()
}

/// The blocks of code, each with its language.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("```").skip(1).step_by(2);
    parts.map(|block| block.split_once('\n').unwrap()).collect()
}

#[test]
fn every_option_and_every_fault_is_explained() {
    let page = page();
    let options = SimulateArgs::augment_args(clap::Command::new("simulate"));
    for option in options.get_arguments().filter(|option| !option.is_hide_set()) {
        let name = format!("--{}", option.get_long().unwrap());
        let named = page.match_indices(&name).any(|(at, _)| {
            !page[at + name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
        });
        assert!(named || name == "--help", "{name} is missing");
    }
    for fault in Fault::all() {
        assert!(page.contains(&format!("`{}`", fault.name())), "{} is missing", fault.name());
    }
}

#[test]
fn every_start_of_a_simulator_has_valid_arguments() {
    let page = page().replace("\\\n", " ");
    let mut starts = 0;
    for line in page.lines().filter(|line| line.contains("cdr-sync simulate --")) {
        let (_, arguments) = line.split_once(" simulate").unwrap();
        if line.starts_with('`') {
            continue;
        }
        Command::try_parse_from(std::iter::once("simulate").chain(arguments.split_whitespace())).unwrap();
        starts += 1;
    }
    assert!(starts >= 4, "the test looks in the wrong place: {starts}");
}

mod needs_curl {
    mod needs_openssl {
        use std::process::{Command as Process, Stdio};

        use chrono::Utc;
        use serde_json::{Deserializer, Value};
        use voicenter_simulator::{Simulator, WorldClock};

        use super::super::*;
        use crate::folder::Folder;

        /// Starts what a block starts, with its files in the folder and on a free port.
        async fn start(block: &str, folder: &Folder) -> Simulator {
            let arguments = block.trim().strip_prefix("cdr-sync").unwrap().split_whitespace();
            let mut args = Command::try_parse_from(arguments).unwrap().simulate;
            args.listen.set_port(0);
            for file in
                [&mut args.records, &mut args.tls_certificate, &mut args.tls_key].into_iter().flatten()
            {
                *file = folder.path().join(&*file);
            }
            args.start(WorldClock::new(Utc::now)).await.unwrap()
        }

        /// Runs a block as a reader would, except for the address, and returns what it printed.
        async fn run(block: &str, folder: &Folder, simulator: Option<&Simulator>) -> String {
            let mut script = format!("set -e\n{block}");
            if let Some(simulator) = simulator {
                let url = simulator.url();
                let base = url.strip_suffix("/hub/cdr/").unwrap();
                script =
                    script.replace("http://127.0.0.1:8081", base).replace("https://localhost:8081", base);
            }
            let mut shell = Process::new("sh");
            shell.args(["-c", &script]).current_dir(folder.path()).env("no_proxy", "*").stdin(Stdio::null());
            let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
            assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        }

        #[tokio::test]
        async fn every_command_works_and_prints_what_the_page_shows() {
            let folder = Folder::new();
            let (page, mut simulator, mut printed) = (page(), None, String::new());
            let (mut ran, mut compared) = (0, 0);
            for (language, block) in blocks(&page) {
                match language {
                    "sh" if block.starts_with("cdr-sync simulate ") => {
                        simulator = Some(start(block, &folder).await)
                    }
                    // These build the program.
                    "sh" if block.starts_with("docker ") || block.starts_with("cargo ") => {}
                    "sh" => {
                        printed = run(block, &folder, simulator.as_ref()).await;
                        ran += 1;
                    }
                    "json" => {
                        let expected: Value = serde_json::from_str(block).unwrap();
                        let mut answers = Deserializer::from_str(&printed).into_iter::<Value>();
                        assert_eq!(answers.by_ref().last().unwrap().unwrap(), expected, "{printed}");
                        compared += 1;
                    }
                    "yaml" => {}
                    other => panic!("what is to be done with {other}?"),
                }
            }
            assert!(ran >= 12 && compared >= 10, "the test looks in the wrong place: {ran}, {compared}");
        }
    }
}
