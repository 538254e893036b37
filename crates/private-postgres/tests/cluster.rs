//! The private PostgreSQL, with the real programs: it starts, answers, and ends with its owner.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test's helper a panic is the failure")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use private_postgres::{Cluster, Error, Options, ProgramSource, TestDatabase};
use sqlx::{Connection, PgConnection};

const LIMIT: Duration = Duration::from_secs(30);

fn options() -> Options {
    Options { source: ProgramSource::from_env(), ..Options::default() }
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Polls until `fact` holds; fails if it does not within the limit.
fn eventually(what: &str, fact: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !fact() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn on_this_thread<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn one(url: &str, sql: &'static str) -> String {
    on_this_thread(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    })
}

/// A directory for `--data` that the user running the server can reach.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("cdr-sync-scratch-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn options(&self) -> Options {
        Options { data: Some(self.0.clone()), ..options() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_cluster_answers_and_leaves_nothing_when_it_is_dropped() {
    let cluster = Cluster::start(options()).unwrap();
    let (port, home) = (cluster.port(), cluster.home().to_owned());
    assert_eq!(one(&cluster.url("postgres"), "show server_encoding"), "UTF8");
    assert_eq!(one(&cluster.url("postgres"), "show fsync"), "off");
    assert!(home.exists());
    drop(cluster);
    assert!(!answers(port));
    assert!(!home.exists());
}

#[test]
fn the_caller_s_settings_and_databases_are_made() {
    let settings = vec![("work_mem".to_owned(), "5MB".to_owned())];
    let cluster = Cluster::start(Options { settings, ..options() }).unwrap();
    on_this_thread(async {
        cluster.create_database("calls").await.unwrap();
        cluster.create_database("calls").await.unwrap();
    });
    assert_eq!(one(&cluster.url("calls"), "show work_mem"), "5MB");
    assert_eq!(one(&cluster.url("calls"), "select current_database()::text"), "calls");
    assert!(cluster.psql_line("calls").ends_with(&format!(" '{}'", cluster.url("calls"))));
}

#[test]
fn the_password_is_asked_for_and_not_shown() {
    let cluster = Cluster::start(options()).unwrap();
    let url = url::Url::parse(&cluster.url("postgres")).unwrap();
    let password = url.password().unwrap().to_owned();
    assert!(!format!("{cluster:?}").contains(&password));
    let wrong = cluster.url("postgres").replace(&password, "wrong");
    let refused = on_this_thread(PgConnection::connect(&wrong)).unwrap_err().to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");
}

#[test]
fn root_is_not_who_the_server_runs_as() {
    let cluster = Cluster::start(options()).unwrap();
    let owner = cluster.home().metadata().unwrap().uid();
    let data = cluster.home().join("data/PG_VERSION").metadata().unwrap().uid();
    assert_eq!(owner, data);
    assert_ne!(data, 0);
}

#[test]
fn kept_data_is_there_at_the_next_start() {
    let scratch = Scratch::new("kept");
    let first = Cluster::start(scratch.options()).unwrap();
    assert_eq!(one(&first.url("postgres"), "show fsync"), "on");
    on_this_thread(first.create_database("kept")).unwrap();
    drop(first);
    let second = Cluster::start(scratch.options()).unwrap();
    assert_eq!(one(&second.url("kept"), "select current_database()::text"), "kept");
}

#[test]
fn a_data_directory_in_use_is_refused_with_its_owner_s_process_id() {
    let scratch = Scratch::new("owned");
    let _first = Cluster::start(scratch.options()).unwrap();
    let error = Cluster::start(scratch.options()).unwrap_err();
    assert!(
        matches!(&error, Error::Owned { owner, .. } if *owner == std::process::id().to_string()),
        "{error}"
    );
}

#[test]
fn a_directory_with_other_things_in_it_is_refused_and_left_alone() {
    let scratch = Scratch::new("foreign");
    std::fs::create_dir(&scratch.0).unwrap();
    std::fs::write(scratch.0.join("diary"), "mine").unwrap();
    let error = Cluster::start(scratch.options()).unwrap_err();
    assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 1);
}

#[test]
fn a_data_directory_of_another_major_version_is_refused_by_both_numbers() {
    let scratch = Scratch::new("version");
    drop(Cluster::start(scratch.options()).unwrap());
    std::fs::write(scratch.0.join("data/PG_VERSION"), "12\n").unwrap();
    let error = Cluster::start(scratch.options()).unwrap_err();
    assert!(matches!(error, Error::MajorVersion { made_by: 12, .. }), "{error}");
}

#[tokio::test]
async fn each_test_database_is_empty_and_dropped_with_its_value() {
    let (first, second) = (TestDatabase::new().await.unwrap(), TestDatabase::new().await.unwrap());
    assert_ne!(first.name(), second.name());
    let mut connection = PgConnection::connect(first.url()).await.unwrap();
    sqlx::raw_sql("create table only_here ()").execute(&mut connection).await.unwrap();
    let name = first.name().to_owned();
    // This connection is still open: a failing test drops its database all the same.
    drop(first);
    let mut connection = PgConnection::connect(second.url()).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from pg_database where datname = $1")
        .bind(&name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

/// Another process that owns a cluster: this test binary, which runs the test below.
struct Owner {
    process: Child,
    port: u16,
    server: u32,
    home: PathBuf,
}

fn owner_in_another_process() -> Owner {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_a_cluster_until_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("holding ")?.1.to_owned()));
    let line = line.expect("the other process starts a cluster");
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap();
    let (port, server) = (word().parse().unwrap(), word().parse().unwrap());
    Owner { process, port, server, home: PathBuf::from(word()) }
}

#[test]
#[ignore = "a helper of the tests that kill it"]
fn hold_a_cluster_until_killed() {
    let cluster = Cluster::start(options()).unwrap();
    println!("holding {} {} {}", cluster.port(), cluster.server_pid(), cluster.home().display());
    // Until the pipe from the test that started this ends: then that test has ended, too.
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn a_killed_owner_leaves_no_server_and_no_directory() {
    let mut owner = owner_in_another_process();
    assert!(answers(owner.port));
    owner.process.kill().unwrap();
    owner.process.wait().unwrap();
    eventually("the server is gone", || !answers(owner.port));
    eventually("its directory is gone", || !owner.home.exists());
}

#[test]
fn the_next_start_ends_what_a_killed_owner_and_a_killed_watchdog_left() {
    let mut owner = owner_in_another_process();
    kill_watchdog_of(&owner.home);
    owner.process.kill().unwrap();
    owner.process.wait().unwrap();
    assert!(answers(owner.port), "nothing but the next start ends server {}", owner.server);
    let next = Cluster::start(options()).unwrap();
    // Another test's start may be the one that does it.
    eventually("the server is gone", || !answers(owner.port));
    eventually("its directory is gone", || !owner.home.exists());
    assert!(answers(next.port()));
}

#[test]
fn the_next_start_leaves_a_living_owner_alone() {
    let mut owner = owner_in_another_process();
    drop(Cluster::start(options()).unwrap());
    assert!(answers(owner.port));
    assert!(owner.home.exists());
    owner.process.kill().unwrap();
    owner.process.wait().unwrap();
}

fn kill_watchdog_of(home: &Path) {
    let list = Command::new("ps").args(["-ww", "-eo", "pid=,command="]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let watchdog = list
        .lines()
        .find(|line| line.contains("cdr-sync-watchdog") && line.contains(home.to_str().unwrap()))
        .expect("a watchdog runs");
    let pid = watchdog.split_whitespace().next().unwrap();
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
}
