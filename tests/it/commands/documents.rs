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
async fn a_page_for_each_command() {
    let folder = Folder::new();
    let page = printed(program(&["man"], &[])).await;
    assert!(page.contains(".TH cdr-sync 1") && page.contains("cdr\\-sync\\-verify(1)"), "{page}");
    let directory = folder.path().to_str().unwrap();
    assert_eq!(printed(program(&["man", "--dir", directory], &[])).await, "--- exit status 0\n");
    let verify = std::fs::read_to_string(folder.path().join("cdr-sync-verify.1")).unwrap();
    assert!(verify.contains("\\-\\-from"), "{verify}");
}
