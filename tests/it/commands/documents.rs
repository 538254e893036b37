//! `--help`, completions, the man page.

use crate::commands::scene::{printed, program};
use crate::support::folder::Folder;

#[tokio::test]
async fn help_of_every_command() {
    let mut all = String::new();
    for command in [
        "",
        "run",
        "sync",
        "verify",
        "status",
        "check",
        "healthcheck",
        "migrate",
        "query",
        "gaps",
        "rejected",
        "resume",
        "account",
        "account pause",
        "account resume",
        "account rename",
        "account forget",
        "simulate",
        "demo",
        "config",
        "completions",
        "man",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let help = printed(program(&arguments, &[])).await;
        assert!(help.ends_with("--- exit status 0\n"), "{help}");
        assert!(
            help.contains("Example") || help.contains("Exit status") || command == "account",
            "{command}: no example"
        );
        all.push_str(&format!("===== cdr-sync {}\n{help}\n", arguments.join(" ")));
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(program(&["completions", shell], &[])).await;
        assert!(script.contains("rejected"), "{shell}");
        assert!(script.ends_with("--- exit status 0\n"), "{shell}");
    }
}

#[tokio::test]
async fn the_reference_of_the_configuration_is_what_the_program_prints() {
    let printed = printed(program(&["config", "--reference"], &[])).await;
    let printed = printed.strip_suffix("--- exit status 0\n").unwrap();
    let kept = std::fs::read_to_string("docs/configuration.md").unwrap_or_default();
    assert_eq!(kept, printed, "cdr-sync config --reference > docs/configuration.md brings it up to date");
}

/// What bash offers for a command line, word by word, with Tab after the last one.
async fn offered(words: &[&str]) -> Vec<String> {
    let script = printed(program(&["completions", "bash"], &[])).await;
    let script = script.strip_suffix("--- exit status 0\n").unwrap();
    let ask = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; complete=$(complete -p cdr-sync); complete=${{complete#*-F }}; \
         ${{complete%% *}} cdr-sync \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
    );
    let output = tokio::process::Command::new("bash").args(["-c", &ask]).output().await.unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn bash_completes_commands_their_options_and_values() {
    assert_eq!(offered(&["cdr-sync", "veri"]).await, ["verify"]);
    assert_eq!(offered(&["cdr-sync", "verify", "--det"]).await, ["--details"]);
    assert_eq!(offered(&["cdr-sync", "sync", "--no"]).await, ["--no-wait"]);
    assert_eq!(offered(&["cdr-sync", "account", "forget", "--del"]).await, ["--delete"]);
    assert_eq!(offered(&["cdr-sync", "query", "--format", "xl"]).await, ["xlsx"]);
    assert_eq!(offered(&["cdr-sync", "simulate", "--fault", "http500"]).await, ["http500="]);
}

#[tokio::test]
async fn a_page_for_each_command() {
    let folder = Folder::new();
    let page = printed(program(&["man"], &[])).await;
    assert!(page.contains(".TH cdr-sync 1") && page.contains("cdr\\-sync\\-verify(1)"), "{page}");
    assert!(
        page.contains(".SH ENVIRONMENT\n.TP\n\\fBDATABASE_URL") && page.contains(".SH FILES\n"),
        "{page}"
    );
    let directory = folder.path().to_str().unwrap();
    assert_eq!(printed(program(&["man", "--dir", directory], &[])).await, "--- exit status 0\n");
    let main = std::fs::read_to_string(folder.path().join("cdr-sync.1")).unwrap();
    assert!(page.starts_with(&main), "{main}");
    let verify = std::fs::read_to_string(folder.path().join("cdr-sync-verify.1")).unwrap();
    assert!(verify.contains("\\-\\-from"), "{verify}");
}
