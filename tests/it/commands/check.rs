//! `check`, with everything right and with each thing wrong.

use std::process::Stdio;
use std::time::Duration;

use cdr_sync::clock::Clock;
use chrono::TimeDelta;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use voicenter_simulator::{ApiGeneration, Record, SimulatorOptions, WorldOptions};

use crate::commands::scene::{Ledger, printed, program, simulator, steady};
use crate::support::database::{Database, execute, migrate};
use crate::support::folder::Folder;
use crate::support::pushes::pushes;

/// The hash of some key.
const KEY_HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// What `check` prints against an API with these options, its clock this far from this host's.
async fn checked(
    database: &str,
    change: impl FnOnce(&mut SimulatorOptions),
    ahead: TimeDelta,
    more: &[(&str, &str)],
) -> String {
    let simulator = simulator(Clock::System.now() + ahead, change).await;
    let url = simulator.url();
    let mut environment =
        vec![("DATABASE_URL", database), ("VOICENTER_URL", &url), ("VOICENTER_CODE", "simulated-code")];
    environment.extend(more);
    let text = steady(&printed(program(&["check"], &environment)).await);
    // How many calls the last hour had differs from day to day, and which PostgreSQL is here.
    let line = |line: &str| match line.split_once("the API answers (") {
        Some((before, _)) => format!("{before}the API answers (N records in the last minutes)"),
        None => match line.split_once("PostgreSQL ") {
            Some((before, after)) if after.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("{before}PostgreSQL VERSION")
            }
            _ => line.to_owned(),
        },
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn everything_is_right() {
    let ledger = Ledger::new("").await;
    insta::assert_snapshot!(checked(ledger.0.url(), |_| {}, TimeDelta::zero(), &[]).await);
}

#[tokio::test]
async fn as_json_each_finding_has_its_level_and_advice() {
    let printed = printed(program(&["check", "--json"], &[])).await;
    assert!(printed.ends_with("--- exit status 2\n"), "{printed}");
    let json: Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
    let findings = json["findings"].as_array().unwrap();
    assert_eq!((&json["ok"], &findings[0]["level"]), (&false.into(), &"good".into()));
    let bad: Vec<&Value> = findings.iter().filter(|finding| finding["level"] == "bad").collect();
    assert_eq!(bad.len(), 2, "{json}");
    assert!(bad[0]["text"].as_str().unwrap().contains("no database is configured"), "{json}");
    assert!(bad[0]["advice"].as_str().unwrap().contains("set DATABASE_URL"), "{json}");
}

#[tokio::test]
async fn records_say_what_the_documents_leave_open() {
    let leg = |call: &str,
               kind: &str,
               number: u32,
               status: &str,
               duration: u32,
               ring: u32,
               caller: &str,
               more: &str| {
        format!(
            "('sales', '{call}', '{kind}', {number}, now() - interval '3 days', {duration}, {ring}, '{caller}', '{status}', {more},
              now(), now())"
        )
    };
    let queue = |call: &str, status: &str, duration: u32, ring: u32, caller: &str| {
        leg(call, "Queue", 8, status, duration, ring, caller, "'Sales', 'SIP1', null")
    };
    let rows = [
        queue("1", "ABANDONE", 40, 40, "0541111111"),
        queue("2", "ABANDONE", 30, 0, "972542222222"),
        queue("3", " answer", 100, 90, "+972543333333"),
        queue("4", "ANSWER", 20, 90, "anonymous"),
        leg("4", "Queue 2", 8, "ANSWER", 20, 5, "anonymous", "'Support', null, null"),
        leg("5", "XferCDR", 13, "SOMETHING", 20, 5, "1", "null, null, '{\"OriginalIvrUniqueID\": \"4\"}'"),
        leg("6", "Incoming Call", 1, "NOANSWER", 0, 5, "2", "null, null, null"),
    ];
    let ledger = Ledger::new(&format!(
        "insert into voicenter.cdr (account, call_id, type, cdr_type, started_at, duration_seconds, ring_seconds, caller_number,
             dial_status, queue_name, target_extension, custom_data, first_seen_at, updated_at)
         values {};
         insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
         values ('sales', 'too old', 'Queue', now() - interval '40 days', now(), now())",
        rows.join(", ")
    ))
    .await;
    let text = ledger.printed(&["check", "--semantics"]).await;
    for number in ["0541111111", "972542222222", "972543333333"] {
        assert!(!text.contains(number), "{text}");
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn migrations_are_to_come() {
    let database = Database::new().await;
    insta::assert_snapshot!(checked(database.url(), |_| {}, TimeDelta::zero(), &[]).await);
}

/// What `check` says of a changed collation; and whether it ends well.
async fn of_the_collation(url: &str) -> (Vec<String>, bool) {
    let text = checked(url, |_| {}, TimeDelta::zero(), &[]).await;
    let lines = text.lines().filter(|line| line.contains("collation")).map(str::to_owned).collect();
    (lines, text.contains("--- exit status 0"))
}

#[tokio::test]
async fn a_changed_collation_is_a_warning_until_what_it_says_is_done() {
    let around = Database::new().await;
    if around.count("select current_setting('server_version_num')::bigint").await < 150_000 {
        let (lines, _) = of_the_collation(around.url()).await;
        assert_eq!(lines, Vec::<String>::new(), "an older server records no version");
        return;
    }
    // That of the tests has the collation C, which has no versions. The name must be quoted.
    let name = format!("{}-ICU", around.name());
    let create = "template template0 encoding 'UTF8' locale_provider icu icu_locale 'en' locale 'C'";
    around.execute(&format!("create database \"{name}\" {create}")).await;
    let mut url = url::Url::parse(around.url()).unwrap();
    url.set_path(&name);
    migrate(url.as_str()).await;
    assert_eq!(of_the_collation(url.as_str()).await, (vec![], true));
    around.execute(&format!("update pg_database set datcollversion = '0' where datname = '{name}'")).await;
    let (lines, fine) = of_the_collation(url.as_str()).await;
    assert!(
        fine && lines.len() == 2 && lines[0].starts_with("! ") && lines[0].contains("version 0 to "),
        "{lines:?}"
    );
    // Word by word.
    let (_, advice) = lines[1].split_once("owner: ").unwrap();
    let (reindex, refresh) = advice.split_once("; then ").unwrap();
    for statement in [reindex, refresh.split_once(';').unwrap().0] {
        assert!(
            statement.ends_with(&format!("\"{name}\"")) || statement.contains(&format!("\"{name}\" refresh")),
            "{statement}"
        );
        execute(url.as_str(), statement).await;
    }
    assert_eq!(of_the_collation(url.as_str()).await, (vec![], true));
    around.execute(&format!("drop database \"{name}\" with (force)")).await;
}

#[tokio::test]
async fn the_database_is_away() {
    let url = "postgres://nobody:hidden-password@127.0.0.1:1/nothing";
    let text = checked(url, |_| {}, TimeDelta::zero(), &[]).await;
    assert!(!text.contains("hidden-password"), "{text}");
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn the_credential_is_refused() {
    let ledger = Ledger::new("").await;
    let wrong = [("VOICENTER_CODE", "wrong-code")];
    insta::assert_snapshot!(checked(ledger.0.url(), |_| {}, TimeDelta::zero(), &wrong).await);
}

#[tokio::test]
async fn the_address_is_not_trusted() {
    let ledger = Ledger::new("").await;
    insta::assert_snapshot!(
        checked(ledger.0.url(), |options| options.refuse_address = true, TimeDelta::zero(), &[]).await
    );
}

#[tokio::test]
async fn the_clocks_differ() {
    let ledger = Ledger::new("").await;
    let text = checked(ledger.0.url(), |_| {}, TimeDelta::minutes(10), &[]).await;
    // Some seconds pass meanwhile.
    let apart = text.split("differs from this host's by ").nth(1).and_then(|rest| rest.split(' ').next());
    let apart = apart.and_then(|seconds| seconds.parse::<u32>().ok());
    assert!(apart.is_some_and(|seconds| (540..=600).contains(&seconds)), "{text}");
    assert!(
        text.contains("→ synchronise this host's clock by NTP") && text.contains("--- exit status 1"),
        "{text}"
    );
}

#[tokio::test]
async fn accounts_are_left_over_and_share_calls() {
    let ledger = Ledger::new(
        "insert into cdr_sync.account (name, scope, scope_since, history_start)
         values ('default', '{}', now(), now()), ('old', '{}', now(), now());
         insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
         select account, n::text, '', now(), now(), now() from unnest(array['default', 'old']) as account, generate_series(1, 3) as n;",
    )
    .await;
    let text = checked(
        ledger.0.url(),
        |_| {},
        TimeDelta::zero(),
        &[("HTTPS_PROXY", "http://user:proxy-password@127.0.0.1:1")],
    )
    .await;
    assert!(!text.contains("proxy-password"), "{text}");
    // What the account reads holds the simulator's port, and is explained at length.
    let text: Vec<&str> = text.lines().filter(|line| !line.contains("what it reads has changed")).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[tokio::test]
async fn nothing_is_configured() {
    insta::assert_snapshot!(steady(&printed(program(&["check"], &[])).await));
}

/// What `check` prints with an API in which some calls were made a minute ago and more.
async fn checked_beside_some_calls(change: impl FnOnce(&mut SimulatorOptions), zone: &str) -> String {
    let now = Clock::System.now();
    let simulator = simulator(now, |options| {
        options.world = WorldOptions::empty();
        change(options);
    })
    .await;
    for minute in 1..5 {
        let call = now - TimeDelta::minutes(minute);
        simulator.world().insert(Record::new(&format!("call{minute}"), "Queue", call), call);
    }
    let url = simulator.url();
    let environment = [
        ("VOICENTER_URL", url.as_str()),
        ("VOICENTER_CODE", "simulated-code"),
        ("CDR_SYNC__API__TIMEZONE", zone),
        ("CDR_SYNC__API__REQUESTS_PER_MINUTE", "1000"),
        ("CDR_SYNC__API__BURST", "100"),
    ];
    printed(program(&["check"], &environment)).await
}

#[tokio::test]
async fn a_zone_that_does_not_fit_is_named_with_the_one_that_does() {
    let text = checked_beside_some_calls(|_| {}, "Asia/Jerusalem").await;
    assert!(text.contains("✗ account default: api.timezone Asia/Jerusalem does not fit the API"), "{text}");
    assert!(text.contains("→ Set api.timezone to UTC."), "{text}");
    let israel = |options: &mut SimulatorOptions| options.generation = ApiGeneration::V01;
    let text = checked_beside_some_calls(israel, "UTC").await;
    assert!(
        text.contains("✗ account default: api.timezone UTC does not fit the API (4 of 4 records"),
        "{text}"
    );
    assert!(text.contains("→ Set api.timezone to Asia/Jerusalem."), "{text}");
    let text = checked_beside_some_calls(israel, "Asia/Jerusalem").await;
    assert!(text.contains("✓ account default: Asia/Jerusalem fits the dates received"), "{text}");
}

#[tokio::test]
async fn without_records_the_zone_cannot_be_told() {
    let ledger = Ledger::new("").await;
    let empty = |options: &mut SimulatorOptions| options.world = WorldOptions::empty();
    let text = checked(ledger.0.url(), empty, TimeDelta::zero(), &[]).await;
    assert!(
        text.contains("· account default: cannot tell whether UTC fits: no record was returned"),
        "{text}"
    );
    assert!(text.ends_with("--- exit status 0"), "{text}");
    // If calls are stored for that time, it is a failure.
    let ledger = Ledger::new(
        "insert into voicenter.cdr (account, call_id, type, started_at, first_seen_at, updated_at)
         values ('default', 'stored', '', now() - interval '2 days', now(), now())",
    )
    .await;
    let text = checked(ledger.0.url(), empty, TimeDelta::zero(), &[]).await;
    assert!(
        text.contains("✗ account default: cannot tell whether UTC fits: no record was returned"),
        "{text}"
    );
    assert!(
        text.contains("although calls are stored for that time") && text.ends_with("--- exit status 1"),
        "{text}"
    );
}

#[tokio::test]
async fn the_longest_window_is_tried() {
    let ledger = Ledger::new("").await;
    let week = |options: &mut SimulatorOptions| options.refusals.longest_range = Some(TimeDelta::days(7));
    let text = checked(ledger.0.url(), week, TimeDelta::zero(), &[]).await;
    assert!(text.contains("· account default: 31 d (sync.max_window) at once is too long"), "{text}");
    assert!(text.ends_with("--- exit status 0"), "{text}");
}

#[tokio::test]
async fn what_the_database_is_not_is_said_beforehand_with_what_to_do() {
    let database = Database::new().await;
    let ledger = Ledger(database);
    ledger.0.execute("create schema voicenter; create table voicenter.cdr (id int)").await;
    let text = checked(ledger.0.url(), |_| {}, TimeDelta::zero(), &[]).await;
    assert!(text.contains("✗ the database already holds voicenter.cdr (owner "), "{text}");
    assert!(text.contains("→ use another database") && text.ends_with("--- exit status 1"), "{text}");
    assert_eq!(ledger.0.count("select count(*) from pg_namespace where nspname = 'cdr_sync'").await, 0);
}

#[tokio::test]
async fn a_role_that_lacks_rights_learns_which() {
    let ledger = Ledger::new("").await;
    let (name, role) = (ledger.0.name(), format!("checked_{}", ledger.0.name()));
    let sql = format!(
        "create role {role} login password 'right';
         revoke temporary on database {name} from public;
         grant usage on schema voicenter, cdr_sync to {role};
         grant select, insert, update, delete on all tables in schema voicenter, cdr_sync to {role};
         revoke delete on cdr_sync.gap from {role};
         alter role {role} connection limit 3"
    );
    ledger.0.execute(&sql).await;
    let mut url = url::Url::parse(ledger.0.url()).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("right")).unwrap();
    let text = checked(url.as_str(), |_| {}, TimeDelta::zero(), &[]).await;
    url.set_password(Some("wrong")).unwrap();
    let wrong = checked(url.as_str(), |_| {}, TimeDelta::zero(), &[]).await;
    ledger.0.execute(&format!("drop owned by {role}; drop role {role}")).await;
    assert!(text.contains("· the role may not create temporary tables"), "{text}");
    assert!(text.contains("✗ the role may not use cdr_sync.gap"), "{text}");
    assert!(text.contains("! the role may have 3 connections at once"), "{text}");
    assert!(text.ends_with("--- exit status 1"), "{text}");
    assert!(wrong.contains("✗ the database: it does not accept cdr-sync: 28P01: password"), "{wrong}");
    assert!(wrong.contains("→ check the user and password in database.url, and pg_hba.conf"), "{wrong}");
}

#[tokio::test]
async fn nothing_is_touched_before_the_whole_configuration_is_valid() {
    let ledger = Ledger(Database::new().await);
    let folder = Folder::new();
    folder.write("empty.pem", "");
    let authority = folder.path().join("empty.pem");
    let without_account = [("DATABASE_URL", ledger.0.url())];
    let without_authority = [
        ("DATABASE_URL", ledger.0.url()),
        ("VOICENTER_CODE", "c"),
        ("VOICENTER_URL", "https://127.0.0.1:1/"),
        ("SSL_CERT_FILE", authority.to_str().unwrap()),
    ];
    for command in ["sync", "run"] {
        for environment in [&without_account[..], &without_authority] {
            let text = printed(program(&[command], environment)).await;
            assert!(text.ends_with("--- exit status 2\n"), "{command}: {text}");
            let touched = "select count(*) from pg_namespace where nspname in ('cdr_sync', 'voicenter')";
            assert_eq!(ledger.0.count(touched).await, 0, "{command}: {text}");
        }
    }
}

#[tokio::test]
async fn it_says_how_cdr_notifications_fare_where_they_are_received() {
    let ledger = Ledger::new("").await;
    let here = |more: &[(&'static str, &'static str)]| {
        let more = more.to_vec();
        let url = ledger.0.url().to_owned();
        async move { checked(&url, |_| {}, TimeDelta::zero(), &more).await }
    };
    let receiving = [("CDR_SYNC__PUSH__LISTEN", "127.0.0.1:1"), ("CDR_SYNC__PUSH__KEYS", KEY_HASH)];
    assert!(!here(&[]).await.contains("CDR notification"));
    let text = here(&receiving).await;
    assert!(
        text.contains("! account default: no CDR notification has come yet\n    → enter https://"),
        "{text}"
    );
    ledger.0.execute(&pushes("default", "now()")).await;
    let text = here(&receiving).await;
    assert!(text.contains("✓ account default: the last CDR notification came 2h 30m ago; "), "{text}");
    assert!(text.contains("; their time is 3h ahead of the pull's\n"), "{text}");
    assert!(text.contains("! account default: CDR notifications come as XML-RPC"), "{text}");
    assert!(text.contains("→ Choose POST-JSON"), "{text}");
}

#[tokio::test]
async fn run_waits_for_a_database_that_does_not_let_it_in_and_says_why() {
    let ledger = Ledger(Database::new().await);
    let (name, role) = (ledger.0.name(), format!("waiting_{}", ledger.0.name()));
    ledger
        .0
        .execute(&format!(
            "create role {role} login password 'other'; grant create on database {name} to {role}"
        ))
        .await;
    let mut url = url::Url::parse(ledger.0.url()).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("right")).unwrap();
    let simulator = simulator(Clock::System.now(), |options| options.world = WorldOptions::empty()).await;
    let mut command = program(
        &["run"],
        &[
            ("DATABASE_URL", url.as_str()),
            ("VOICENTER_URL", &simulator.url()),
            ("VOICENTER_CODE", "simulated-code"),
            ("CDR_SYNC__HTTP__LISTEN", "127.0.0.1:0"),
            ("CDR_SYNC__API__BACKOFF_MAX", "5s"),
        ],
    );
    command.env("CDR_SYNC__LOG__LEVEL", "info").env("CDR_SYNC__LOG__FORMAT", "json");
    let mut daemon = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let mut line_with = async |word: &str| {
        let found = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it goes on");
                if line.contains(word) {
                    return line;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), found).await.expect("it is said")
    };
    let listening: Value = serde_json::from_str(&line_with("\"listening\"").await).unwrap();
    let away = line_with("\"database_away\"").await;
    let ready = format!("http://{}/readyz", listening["address"].as_str().unwrap());
    cdr_sync::voicenter::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let unready = client.get(ready).send().await.unwrap().text().await.unwrap();
    ledger.0.execute(&format!("alter role {role} password 'right'")).await;
    line_with("\"started\"").await;
    daemon.kill().await.unwrap();
    // What it has made goes with the database; the role itself would stay.
    ledger.0.execute(&format!("drop owned by {role} cascade; drop role {role}")).await;
    assert!(away.contains("28P01") && away.contains("password"), "{away}");
    assert!(!away.contains("right"), "{away}");
    assert!(
        unready.contains("not up to date yet: the database does not let cdr-sync in (28P01"),
        "{unready}"
    );
}
