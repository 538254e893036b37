//! Every layer wins over the one before; every problem is a whole sentence; the defaults of docs/contract.md#configuration hold.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::*;

/// A working directory with configuration files in it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cdr-sync-config-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("config")).unwrap();
        Self(path)
    }

    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.0.join(name), text).unwrap();
        self
    }

    fn load(&self, file: Option<&str>, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Sources { file: file.map(PathBuf::from), env, working_dir: self.0.clone() })
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn from_env(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Sources { file: None, env, working_dir: PathBuf::from("/nonexistent") })
}

/// The sentences about a configuration that is wrong.
fn told(result: Result<Config, ConfigError>) -> Vec<String> {
    result.unwrap_err().problems().iter().map(ToString::to_string).collect()
}

fn told_of_file(name: &str, text: &str) -> Vec<String> {
    told(Dir::new(name).with("my.toml", text).load(Some("my.toml"), &[]))
}

#[test]
fn the_contract_s_defaults_hold_key_by_key() {
    let config = from_env(&[("VOICENTER_CODE", "s3cret")]).unwrap();
    assert!(config.database.url.is_none());
    assert_eq!(config.database.max_connections, 5);
    assert_eq!(config.database.pooler, Pooler::None);
    assert_eq!(config.api.url.as_str(), "https://api.voicenter.com/hub/cdr/");
    assert_eq!(config.api.method, Method::Post);
    assert_eq!((config.api.timezone, config.reporting.country), (Tz::UTC, Country::IL));
    assert_eq!(config.api.granularity, TimeDelta::seconds(1));
    assert_eq!(config.api.record_limit, 10_000);
    assert_eq!(config.api.requests_per_minute, 30);
    assert_eq!(config.api.burst, 2);
    assert_eq!(config.api.timeout, Duration::from_secs(60));
    assert_eq!(config.api.max_response_bytes, 256 * 1024 * 1024);
    assert_eq!(config.api.backoff_min, Duration::from_secs(5));
    assert_eq!(config.api.backoff_max, Duration::from_secs(300));
    assert_eq!(config.sync.poll_interval, TimeDelta::seconds(60));
    assert_eq!(config.sync.start, HistoryStart::Default);
    assert_eq!(config.sync.lookback, TimeDelta::hours(3));
    assert_eq!(config.sync.reconcile, [1, 7, 30].map(TimeDelta::days));
    assert_eq!(config.sync.removal_after, TimeDelta::minutes(10));
    assert_eq!(config.sync.max_window, TimeDelta::days(31));
    assert_eq!(config.sync.min_window, TimeDelta::seconds(1));
    assert!(config.sync.history);
    assert_eq!(config.http.listen, Some("127.0.0.1:8080".parse().unwrap()));
    assert_eq!((config.log.format, config.log.level.as_str()), (None, "info"));
    let [account] = config.accounts.as_slice() else { panic!("one account") };
    assert_eq!(account.name, "default");
    assert!(matches!(&account.credential, Credential::Code(code) if code.expose_secret() == "s3cret"));
}

#[test]
fn the_smallest_window_follows_the_granularity() {
    let config = from_env(&[("CDR_SYNC__API__GRANULARITY", "1m")]).unwrap();
    assert_eq!(config.sync.min_window, TimeDelta::minutes(1));
}

#[test]
fn the_default_start_is_thirty_days_before_the_first() {
    let now = "2024-03-31T00:00:00Z".parse().unwrap();
    assert_eq!(HistoryStart::Default.instant(now).to_rfc3339(), "2024-03-01T00:00:00+00:00");
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let dir = Dir::new("layers")
        .with("config/default.toml", "[api]\nburst = 3\nrecord_limit = 3\nrequests_per_minute = 23\n")
        .with("named.toml", "[api]\nrecord_limit = 4\nrequests_per_minute = 24\n");
    let config = dir
        .load(
            Some("named.toml"),
            &[("CDR_SYNC_CONFIG", "not-this.toml"), ("CDR_SYNC__API__REQUESTS_PER_MINUTE", "25")],
        )
        .unwrap();
    assert_eq!((config.api.burst, config.api.record_limit, config.api.requests_per_minute), (3, 4, 25));
    let config = dir.load(None, &[("CDR_SYNC_CONFIG", "named.toml")]).unwrap();
    assert_eq!(config.api.record_limit, 4);
}

#[test]
fn a_variable_that_names_a_key_wins_over_a_shorthand() {
    let config =
        from_env(&[("DATABASE_URL", "postgres://a"), ("CDR_SYNC__DATABASE__URL", "postgres://b")]).unwrap();
    assert_eq!(config.require_database().unwrap().expose_secret(), "postgres://b");
    let config = from_env(&[("VOICENTER_URL", "http://localhost:9/cdr"), ("VOICENTER_TOKEN", "t")]).unwrap();
    assert_eq!(config.accounts[0].url.as_str(), "http://localhost:9/cdr");
}

#[test]
fn accounts_come_from_variables_too_over_those_of_a_file() {
    let dir = Dir::new("accounts").with("my.toml", "[[accounts]]\nname = 'a'\ncode = 'x'\nphones = ['1']\n");
    let config = dir
        .load(
            Some("my.toml"),
            &[
                ("CDR_SYNC__ACCOUNTS__0__PHONES", "972501234567, 0722776772"),
                ("CDR_SYNC__ACCOUNTS__1__NAME", "b"),
                ("CDR_SYNC__ACCOUNTS__1__TOKEN", "y"),
                ("CDR_SYNC__ACCOUNTS__1__START", "2024-06-01"),
                ("CDR_SYNC__ACCOUNTS__1__CDR_TYPES", "1,4"),
                ("CDR_SYNC__ACCOUNTS__1__IDENTITY_CRITERIA", "user"),
            ],
        )
        .unwrap();
    let [a, b] = config.accounts.as_slice() else { panic!("two accounts") };
    assert_eq!(
        (a.name.as_str(), a.phones.as_slice()),
        ("a", &["972501234567".to_owned(), "0722776772".to_owned()][..])
    );
    assert_eq!(b.start, HistoryStart::At("2024-06-01T00:00:00Z".parse().unwrap()));
    assert_eq!((b.cdr_types.as_slice(), b.identity_criteria), (&[1, 4][..], Some(IdentityCriteria::User)));
}

#[test]
fn secrets_are_read_from_files_in_every_layer() {
    let dir = Dir::new("secrets")
        .with("url", "postgres://from-a-file\n")
        .with("code", "c0de\n")
        .with("my.toml", "[database]\nurl_file = 'url'\n[[accounts]]\ncode_file = 'code'\n");
    let config = dir.load(Some("my.toml"), &[]).unwrap();
    assert_eq!(config.require_database().unwrap().expose_secret(), "postgres://from-a-file");
    let Credential::Code(code) = &config.accounts[0].credential else { panic!("a code") };
    assert_eq!(code.expose_secret(), "c0de");
    for env in [&[("DATABASE_URL_FILE", "url")], &[("CDR_SYNC__DATABASE__URL_FILE", "url")]] {
        let config = dir.load(None, env).unwrap();
        assert_eq!(config.require_database().unwrap().expose_secret(), "postgres://from-a-file");
    }
    assert_eq!(
        told(dir.load(None, &[("VOICENTER_CODE_FILE", "./gone")])),
        ["VOICENTER_CODE_FILE: cannot read ./gone: No such file or directory (os error 2)"]
    );
    assert_eq!(
        told(dir.load(None, &[("DATABASE_URL_FILE", "url"), ("DATABASE_URL", "postgres://x")])),
        ["DATABASE_URL_FILE: DATABASE_URL is set, too: one of them is enough"]
    );
}

#[test]
fn empty_turns_the_http_server_off_and_a_shorthand_unset() {
    let config =
        from_env(&[("CDR_SYNC__HTTP__LISTEN", ""), ("VOICENTER_CODE", ""), ("DATABASE_URL", "")]).unwrap();
    assert!(config.http.listen.is_none() && config.accounts.is_empty() && config.database.url.is_none());
}

#[test]
fn a_bad_value_is_told_with_its_key_its_source_and_what_was_expected() {
    assert_eq!(
        told_of_file("bad-number", "[sync]\npoll_interval = 60\n"),
        [
            "sync.poll_interval = 60 (my.toml:2): expected a duration with its unit, such as 30s, 15m, 3h or 7d; \
          write 60s for seconds"
        ]
    );
    let cases = [
        (
            "CDR_SYNC__API__TIMEOUT",
            "soon",
            "api.timeout = \"soon\"",
            "expected a duration with its unit, such as 30s, 15m, 3h or 7d",
        ),
        (
            "CDR_SYNC__API__MAX_RESPONSE_BYTES",
            "1 mile",
            "api.max_response_bytes = \"1 mile\"",
            "expected a size such as 256MiB or 64 MB",
        ),
        ("CDR_SYNC__API__GRANULARITY", "2s", "api.granularity = \"2s\"", "expected 1s or 1m"),
        (
            "CDR_SYNC__API__TIMEZONE",
            "Israel Time",
            "api.timezone = \"Israel Time\"",
            "expected an IANA time zone such as UTC or Asia/Jerusalem",
        ),
        ("CDR_SYNC__API__METHOD", "put", "api.method = \"put\"", "expected post or get"),
        ("CDR_SYNC__DATABASE__POOLER", "yes", "database.pooler = \"yes\"", "expected none or transaction"),
        (
            "CDR_SYNC__DATABASE__MAX_CONNECTIONS",
            "0",
            "database.max_connections = 0",
            "expected a whole number from 1",
        ),
        ("CDR_SYNC__SYNC__HISTORY", "perhaps", "sync.history = \"perhaps\"", "expected true or false"),
        (
            "CDR_SYNC__SYNC__START",
            "last year",
            "sync.start = \"last year\"",
            "expected a time such as 2024-06-01T00:00:00Z, or a date such as 2024-06-01",
        ),
        (
            "CDR_SYNC__SYNC__RECONCILE",
            "1d,soon",
            "sync.reconcile = [\"1d\", \"soon\"]",
            "expected a list, each item of which is a duration with its unit, such as 30s, 15m, 3h or 7d",
        ),
        (
            "CDR_SYNC__HTTP__LISTEN",
            "here",
            "http.listen = \"here\"",
            "expected an IP address and a port such as 127.0.0.1:8080 or [::]:8080, or nothing to turn it off",
        ),
        (
            "CDR_SYNC__REPORTING__COUNTRY",
            "Israel",
            "reporting.country = \"Israel\"",
            "expected the two letters of a country (ISO 3166) such as IL or GB",
        ),
        ("CDR_SYNC__LOG__FORMAT", "xml", "log.format = \"xml\"", "expected json or pretty"),
        (
            "CDR_SYNC__LOG__LEVEL",
            "warning",
            "log.level = \"warning\"",
            "expected off, error, warn, info, debug, trace, or with levels for parts such as info,cdr_sync=debug",
        ),
    ];
    for (variable, value, shown, expected) in cases {
        assert_eq!(told(from_env(&[(variable, value)])), [format!("{shown} ({variable}): {expected}")]);
    }
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    assert_eq!(
        told_of_file("typo", "[sync]\npol_interval = '30s'\n"),
        ["sync.pol_interval = \"30s\" (my.toml:2): no such key; did you mean sync.poll_interval?"]
    );
    assert_eq!(
        told_of_file("section", "[sync]\ntimeout = '30s'\n"),
        ["sync.timeout = \"30s\" (my.toml:2): no such key; did you mean api.timeout?"]
    );
    assert_eq!(
        told_of_file("table", "[datebase]\npooler = 'none'\n"),
        ["datebase (my.toml:2): no such key; did you mean database?"]
    );
    assert_eq!(
        told_of_file("far", "[sync]\ncolour = 'blue'\n"),
        ["sync.colour = \"blue\" (my.toml:2): no such key"]
    );
    assert_eq!(
        told(from_env(&[("CDR_SYNC__POLL_INTERVAL", "30s")])),
        [
            "CDR_SYNC__POLL_INTERVAL: no such key: a variable is CDR_SYNC__SECTION__KEY, or CDR_SYNC__ACCOUNTS__0__KEY"
        ]
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let error = Dir::new("all")
        .with("my.toml", "[api]\nmethod = 'put'\n[sync]\nlookback = 'long'\n[log]\nlevle = 'info'\n")
        .load(Some("my.toml"), &[])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration has 3 problems:\
         \n  api.method = \"put\" (my.toml:2): expected post or get\
         \n  sync.lookback = \"long\" (my.toml:4): expected a duration with its unit, such as 30s, 15m, 3h or 7d\
         \n  log.levle = \"info\" (my.toml:6): no such key; did you mean log.level?"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = Dir::new("files").with("broken.toml", "[[accounts]]\ncode = \"s3cret\n");
    assert_eq!(
        told(dir.load(Some("gone.toml"), &[])),
        ["gone.toml: cannot be read: No such file or directory (os error 2)"]
    );
    let broken = told(dir.load(Some("broken.toml"), &[])).join(" ");
    assert!(broken.starts_with("broken.toml: is not TOML: at line 2, column "), "{broken}");
    assert!(!broken.contains("s3cret"), "{broken}");
}

#[test]
fn an_account_has_exactly_one_credential() {
    assert_eq!(
        told_of_file("neither", "[[accounts]]\nname = 'a'\n"),
        [
            "accounts[0].code: not configured: set it or accounts[0].token (one account: VOICENTER_CODE or VOICENTER_TOKEN)"
        ]
    );
    let dir = Dir::new("both").with("my.toml", "[[accounts]]\ncode = 'x'\n");
    assert_eq!(
        told(dir.load(Some("my.toml"), &[("VOICENTER_TOKEN", "y")])),
        [
            "accounts[0].code (my.toml:2 and VOICENTER_TOKEN): both accounts[0].code and accounts[0].token are set: \
          an account has one of them"
        ]
    );
    assert_eq!(
        told_of_file("empty", "[[accounts]]\ncode = ''\n"),
        ["accounts[0].code (my.toml:2): expected some text, but it is empty"]
    );
}

#[test]
fn several_accounts_have_names_of_their_own() {
    assert_eq!(
        told_of_file("same", "[[accounts]]\nname = 'a'\ncode = 'x'\n[[accounts]]\nname = 'a'\ncode = 'y'\n"),
        ["accounts[1].name = \"a\" (my.toml:5): accounts[0] has that name already"]
    );
    assert_eq!(
        told_of_file("nameless", "[[accounts]]\nname = 'a'\ncode = 'x'\n[[accounts]]\ncode = 'y'\n"),
        ["accounts[1].name: not configured: each of several accounts needs a name of its own"]
    );
    let two = "[[accounts]]\nname = 'a'\ncode = 'x'\n[[accounts]]\nname = 'b'\ncode = 'y'\n";
    assert_eq!(
        told(Dir::new("two").with("my.toml", two).load(Some("my.toml"), &[("VOICENTER_CODE", "z")])),
        ["VOICENTER_CODE: is for one account, but 2 are configured: give each its own credential"]
    );
}

#[test]
fn a_poll_interval_that_the_budget_cannot_pay_shows_the_sum() {
    let text = "[sync]\npoll_interval = '5s'\n[[accounts]]\nname = 'a'\ncode = 'x'\n[[accounts]]\nname = 'b'\ncode = 'x'\n\
                phones = ['1']\n[[accounts]]\nname = 'c'\ncode = 'x'\n";
    assert_eq!(
        told_of_file("budget", text),
        [
            "sync.poll_interval = \"5s\" (my.toml:2): the budget cannot pay for it: 3 accounts that share a credential \
          × 60s / 5s = 36.0 requests a minute, more than 80 % of requests_per_minute = 30; poll every 8s or more seldom"
        ]
    );
    // Each with a budget of its own, the same interval is fine.
    let own = text.replacen("'x'", "'y'", 1).replacen("'x'", "'z'", 1);
    assert!(Dir::new("own").with("my.toml", &own).load(Some("my.toml"), &[]).is_ok());
}

#[test]
fn values_that_do_not_go_together_are_told() {
    let cases = [
        (
            "[api]\nburst = 40\n",
            "api.burst = 40 (my.toml:2): must not be more than api.requests_per_minute, 30",
        ),
        (
            "[api]\nbackoff_min = '10m'\n",
            "api.backoff_min = \"10m\" (my.toml:2): must not be longer than api.backoff_max, 300s",
        ),
        (
            "[sync]\nmin_window = '2d'\nmax_window = '1d'\n",
            "sync.min_window = \"2d\" (my.toml:2): must not be longer than sync.max_window, 86400s",
        ),
        (
            "[api]\ngranularity = '1m'\n[sync]\nmin_window = '30s'\n",
            "sync.min_window = \"30s\" (my.toml:4): must be a multiple of api.granularity, 60s",
        ),
        (
            "[sync]\nreconcile = ['7d', '1d']\n",
            "sync.reconcile = [\"7d\", \"1d\"] (my.toml:2): the ages must grow, such as [\"1d\", \"7d\", \"30d\"]",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(told_of_file("together", text), [expected]);
    }
}

#[test]
fn no_secret_is_shown_anywhere() {
    let secret = "s3cr3t";
    let env = [("DATABASE_URL", "postgres://u:s3cr3t@h/d"), ("VOICENTER_CODE", secret)];
    let config = from_env(&env).unwrap();
    assert!(!config.masked_toml().contains(secret) && !format!("{config:?}").contains(secret));
    for wrong in [
        ("CDR_SYNC__ACCOUNTS__0__COED", secret),
        ("CDR_SYNC__API__TOKEN", secret),
        ("CDR_SYNC__API__URL", "https://u:s3cr3t@h/"),
        ("CDR_SYNC__API__URL", "https://h/?code=s3cr3t"),
        ("CDR_SYNC__ACCOUNTS__0__TOKEN", secret),
        ("CDR_SYNC__DATABASE__URI", "postgres://u:s3cr3t@h/d"),
    ] {
        let error = from_env(&[env[0], env[1], wrong]).unwrap_err();
        assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret), "{error}");
    }
}

#[test]
fn the_effective_configuration_is_shown_with_where_it_comes_from() {
    let toml = from_env(&[("VOICENTER_CODE", "x"), ("CDR_SYNC__API__BURST", "3")]).unwrap().masked_toml();
    for line in [
        "[database]\n# url is not set\nmax_connections = 5 # default\n",
        "\n[api]\nurl = \"https://api.voicenter.com/hub/cdr/\" # default\n",
        "burst = 3 # CDR_SYNC__API__BURST\n",
        "reconcile = [\"1d\", \"7d\", \"30d\"] # default\n",
        "\n[[accounts]]\nname = \"default\" # default\ncode = \"********\" # VOICENTER_CODE\n# token is not set\n",
    ] {
        assert!(toml.contains(line), "{toml}");
    }
}

#[test]
fn what_commands_need_is_asked_for_by_name() {
    let config = from_env(&[]).unwrap();
    assert_eq!(
        config.require_database().unwrap_err().to_string(),
        "configuration: database.url: not configured: set DATABASE_URL, for example postgres://user:password@host/database"
    );
    assert_eq!(
        config.require_accounts().unwrap_err().to_string(),
        "configuration: accounts: not configured: set VOICENTER_CODE or VOICENTER_TOKEN, or write an [[accounts]] table"
    );
}

#[test]
fn every_file_in_config_parses_and_the_default_one_says_the_defaults() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(project.join("config")).unwrap() {
        let path = entry.unwrap().path();
        let load = Config::load(Sources {
            file: Some(path.clone()),
            env: Vec::new(),
            working_dir: "/nonexistent".into(),
        });
        assert!(load.is_ok(), "{}: {}", path.display(), load.unwrap_err());
    }
    let values = |config: Config| -> Vec<_> {
        config.effective().iter().map(|value| (value.key.clone(), value.toml.clone())).collect()
    };
    let file = Some(project.join("config/default.toml"));
    let written =
        Config::load(Sources { file, env: Vec::new(), working_dir: "/nonexistent".into() }).unwrap();
    assert_eq!(values(written), values(from_env(&[]).unwrap()));
}

#[test]
fn hosts_are_names_alone() {
    let hosts = |text| from_env(&[("CDR_SYNC__HTTP__HOSTS", text)]).map(|config| config.http.hosts);
    assert_eq!(hosts("Calls.Example.com., calls").unwrap(), ["calls.example.com", "calls"]);
    assert!(hosts("").unwrap().is_empty());
    for wrong in ["http://calls", "calls:8080", "*", "a b"] {
        assert!(told(from_env(&[("CDR_SYNC__HTTP__HOSTS", wrong)]))[0].contains("a name such as"), "{wrong}");
    }
}

#[test]
fn what_changed_is_named_without_its_value() {
    let old = from_env(&[("VOICENTER_CODE", "x"), ("DATABASE_URL", "postgres://h/d")]).unwrap();
    let changed =
        |env: &[(&str, &str)]| old.changed_keys(&from_env(env).unwrap()).into_iter().collect::<Vec<_>>();
    assert_eq!(changed(&[("VOICENTER_CODE", "x"), ("DATABASE_URL", "postgres://h/d")]), [""; 0]);
    assert_eq!(
        changed(&[
            ("VOICENTER_CODE", "y"),
            ("DATABASE_URL", "postgres://h/e"),
            ("CDR_SYNC__LOG__LEVEL", "warn")
        ]),
        ["accounts[0].code", "database.url", "log.level"]
    );
    let token = changed(&[("VOICENTER_TOKEN", "x"), ("DATABASE_URL", "postgres://h/d")]);
    assert_eq!(token, ["accounts[0].code", "accounts[0].token"]);
}

#[test]
fn the_effective_configuration_can_be_read_back() {
    let toml =
        from_env(&[("CDR_SYNC__SYNC__START", "2024-06-01"), ("VOICENTER_CODE", "x")]).unwrap().masked_toml();
    let dir = Dir::new("back").with("my.toml", &toml);
    assert_eq!(
        dir.load(Some("my.toml"), &[]).unwrap().sync.start,
        HistoryStart::At("2024-06-01T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn an_account_may_have_a_country_of_its_own() {
    let text = "reporting.country = \"gb\"\n[[accounts]]\nname = \"a\"\ncode = \"x\"\n[[accounts]]\nname = \"b\"\ncode = \"y\"\nreporting_country = \"il\"";
    let config = Dir::new("country").with("my.toml", text).load(Some("my.toml"), &[]).unwrap();
    assert!(config.accounts.iter().map(|account| account.reporting_country).eq([Country::GB, Country::IL]));
}
