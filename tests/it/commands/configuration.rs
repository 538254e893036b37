//! Configuration errors name key, value, source, and what was expected.

use futures_util::future::join_all;

use crate::commands::scene::{printed, program};
use crate::support::folder::Folder;

/// What `config` says of a file.
async fn of_file(text: &str) -> String {
    let folder = Folder::new();
    folder.write("cdr-sync.toml", text);
    let mut command = program(&["config", "--config", "cdr-sync.toml"], &[]);
    command.current_dir(folder.path()).env_remove("CDR_SYNC__LOG__LEVEL");
    printed(command).await
}

async fn of_environment(environment: &[(&str, &str)]) -> String {
    let mut command = program(&["config"], environment);
    command.env_remove("CDR_SYNC__LOG__LEVEL");
    printed(command).await
}

#[tokio::test]
async fn a_typo_in_a_file() {
    insta::assert_snapshot!(of_file("[sync]\npoll_intervall = \"60s\"\n\n[htpp]\nlisten = \"\"\n").await);
}

#[tokio::test]
async fn values_of_the_wrong_kind() {
    insta::assert_snapshot!(
        of_file("[sync]\npoll_interval = \"often\"\nstart = \"1 November\"\n\n[api]\ntimezone = \"Asia/Jerusalm\"\nburst = 0\nurl = \"voicenter\"\nmethod = \"put\"\nmax_response_bytes = \"lots\"\n\n[http]\nlisten = \"8080\"\n").await
    );
}

#[tokio::test]
async fn no_toml() {
    insta::assert_snapshot!(of_file("[sync]\npoll_interval = 60s\n").await);
}

#[tokio::test]
async fn a_typo_in_the_environment() {
    insta::assert_snapshot!(
        of_environment(&[
            ("CDR_SYNC__SYNC__LOOKBAK", "3h"),
            ("CDR_SYNC__API__TIMEOUT", "soon"),
            ("CDR_SYNC_SYNC__POLL_INTERVAL", "30s"),
            ("CDR_SYNC_API_URL", "http://127.0.0.1/"),
            ("CDR_SYNC_SOMETHING__ELSE", "1"),
            // Not ours: what Kubernetes sets for a service of our name, and what scripts use.
            ("CDR_SYNC_SERVICE_HOST", "10.0.0.1"),
            ("CDR_SYNC_PORT", "tcp://10.0.0.1:8080"),
            ("CDR_SYNC_POSTGRES", "wheel"),
        ])
        .await
    );
}

#[tokio::test]
async fn both_code_and_token() {
    let text = of_environment(&[("VOICENTER_CODE", "secret-1"), ("VOICENTER_TOKEN", "secret-2")]).await;
    assert!(!text.contains("secret-"), "{text}");
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_secret_file_that_cannot_be_read() {
    let mut all = String::new();
    for environment in [
        ("VOICENTER_CODE_FILE", "/etc/nowhere"),
        // The secret itself in the place of its file's name.
        ("VOICENTER_CODE_FILE", "s3cr3t"),
        ("VOICENTER_TOKEN_FILE", "s3cr3t/1=="),
        ("DATABASE_URL_FILE", "postgres://cdr_sync:s3cr3t@localhost/calls"),
        ("CDR_SYNC__ACCOUNTS__0__CODE_FILE", "s3cr3t"),
        ("VOICENTER_CODE_FILE", "/dev/null"),
    ] {
        all.push_str(&format!("{}\n{}", environment.0, of_environment(&[environment]).await));
    }
    assert!(!all.contains("s3cr3t"), "{all}");
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn a_secret_with_invisible_characters_is_refused_by_its_files_name_and_a_byte_order_mark_is_none_of_it()
{
    let folder = Folder::new();
    let said = async |content: &str| {
        folder.write("secret", content);
        let mut command = program(&["config"], &[("VOICENTER_CODE_FILE", "./secret")]);
        command.current_dir(folder.path()).env_remove("CDR_SYNC__LOG__LEVEL");
        printed(command).await
    };
    for good in ["\u{feff}s3cr3t\r\n", "s3cr3t\n", " s3cr3t", "\n\u{feff} s3cr3t"] {
        let said = said(good).await;
        assert!(said.ends_with("--- exit status 0\n"), "{good:?}: {said}");
    }
    for (bad, why) in [
        ("s3cr3t\nof two lines", "expected one line"),
        ("s3cr3t\u{7}", "U+0007"),
        ("s3\0cr3t", "U+0000"),
        ("\u{200f}s3cr3t", "U+200F"),
        ("s3\u{feff}cr3t", "U+FEFF"),
        ("\u{feff}\n", "it is empty"),
    ] {
        let said = said(bad).await;
        assert!(
            said.contains("./secret, named by VOICENTER_CODE_FILE") && said.contains(why),
            "{bad:?}: {said}"
        );
        assert!(said.ends_with("--- exit status 2\n") && !said.contains("cr3t"), "{bad:?}: {said}");
    }
    let in_variable = of_environment(&[("VOICENTER_TOKEN", "s3\tcr3t")]).await;
    assert!(in_variable.contains("accounts[0].token (VOICENTER_TOKEN): expected text"), "{in_variable}");
}

fn at_level(mut command: tokio::process::Command, level: &str) -> tokio::process::Command {
    command.env("CDR_SYNC__LOG__LEVEL", level);
    command
}

#[tokio::test]
async fn parameters_of_the_databases_address_that_mean_nothing_are_named_without_their_values() {
    let url = "postgres://u:p@127.0.0.1:1/d?sslmode=disable&sslpassword=s3cr3t&Passwd=s3cr3t";
    let environment = [("DATABASE_URL", url), ("CDR_SYNC__LOG__FORMAT", "json")];
    let levels = ["info", "warn,sqlx=warn", "debug", "trace"];
    // All at once: each tries for some seconds to reach that database.
    let runs = levels.map(|level| printed(at_level(program(&["migrate"], &environment), level)));
    for (level, said) in levels.iter().zip(join_all(runs).await) {
        assert!(said.contains(r#""parameters":"sslpassword, Passwd""#), "{level}: {said}");
        assert!(!said.contains("s3cr3t"), "{level}: {said}");
    }
}

#[tokio::test]
async fn a_level_that_does_not_exist_is_refused_and_levels_for_parts_are_not() {
    for (level, status) in
        [("warning", 2), ("verbose", 2), ("info,chatty", 2), ("WARN", 0), ("warn,sqlx=debug", 0), ("off", 0)]
    {
        let said = printed(at_level(program(&["config"], &[]), level)).await;
        assert!(said.ends_with(&format!("--- exit status {status}\n")), "{level}: {said}");
        let names_all = said.contains("off, error, warn, info, debug, trace");
        assert_eq!(names_all, status == 2, "{level}: {said}");
    }
}

#[tokio::test]
async fn a_database_that_is_none_of_postgresqls() {
    let mut all = String::new();
    for url in [
        "mysql://root:secret-1@localhost/calls",
        "localhost/calls",
        "secret-1",
        "postgres://u:sec/ret@h/d",
        "postgres://u:sec#ret@h/d",
    ] {
        all.push_str(&of_environment(&[("DATABASE_URL", url)]).await);
    }
    assert!(!all.contains("sec"), "{all}");
    insta::assert_snapshot!(all);
    let socket = [("DATABASE_URL", "postgresql:///calls?host=/run/postgresql")];
    assert!(of_environment(&socket).await.ends_with("--- exit status 0\n"));
}

#[tokio::test]
async fn two_accounts_of_one_name() {
    insta::assert_snapshot!(
        of_file(
            "[[accounts]]\nname = \"sales\"\ncode = \"a\"\n\n[[accounts]]\nname = \"sales\"\ncode = \"b\"\n"
        )
        .await
    );
}

#[tokio::test]
async fn a_poll_interval_that_the_budget_cannot_pay() {
    insta::assert_snapshot!(
        of_file("[sync]\npoll_interval = \"2s\"\n\n[[accounts]]\nname = \"sales\"\ncode = \"a\"\n").await
    );
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    let text = printed(program(&["config", "--config", "/nowhere/cdr-sync.toml"], &[])).await;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn calls_are_kept_until_they_were_read_for_the_last_time() {
    let text = of_file("[retention]\ncalls = \"31d\"\n").await;
    assert!(text.contains("retention.calls") && text.contains("must be at least 32d"), "{text}");
    let text = of_file("[retention]\ncalls = \"32d\"\n").await;
    assert!(text.contains("calls = \"32d\""), "{text}");
    let text = of_file("[sync]\nreconcile = []\n[retention]\ncalls = \"3d\"\n").await;
    assert!(text.contains("calls = \"3d\""), "{text}");
}

/// Who fills in the database and one code has a working configuration, without an account that nobody wanted.
#[tokio::test]
async fn the_example_has_one_account_and_offers_another() {
    let example = std::fs::read_to_string("config/example.toml").unwrap();
    let text = of_file(&example).await;
    assert!(!text.contains("✗") && text.contains("sales") && !text.contains("support"), "{text}");
    let (before, other) = example.split_once("# [[accounts]]\n").unwrap();
    let both = format!("{before}[[accounts]]\n{}", other.replace("\n# ", "\n").trim_start_matches("# "));
    let text = of_file(&both).await;
    assert!(!text.contains("✗") && text.contains("sales") && text.contains("support"), "{text}");
}
