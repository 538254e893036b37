//! A PostgreSQL that can be crashed and started again, on the same port.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use private_postgres::{Cluster, Options, ProgramSource};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::polling::until;

/// The program's role; the tests use the superuser.
pub const ROLE: &str = "mirror";
pub const PASSWORD: &str = "first";

pub struct Postgres {
    cluster: Cluster,
    /// The server's command line, which names its port and all settings.
    line: Vec<String>,
    /// The server after a crash; the cluster's watchdog ends it with this process too.
    restarted: Option<Child>,
}

impl Postgres {
    /// Makes and starts one, with the program's role and database in it. `home` keeps the data elsewhere than among the
    /// temporary files.
    pub async fn start(settings: &[(&str, &str)], home: Option<PathBuf>) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let options = Options { data: home, settings: settings.collect(), source: ProgramSource::from_env() };
        let cluster = tokio::task::spawn_blocking(|| Cluster::start(options)).await.unwrap().unwrap();
        let line = fs::read_to_string(format!("/proc/{}/cmdline", cluster.server_pid())).unwrap();
        let line = line.split_terminator('\0').map(str::to_owned).collect();
        let mut connection = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
        for text in [
            format!("create role {ROLE} login createrole password '{PASSWORD}'"),
            format!("create database {ROLE} owner {ROLE}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
        }
        Self { cluster, line, restarted: None }
    }

    /// The superuser's address of the program's database.
    pub fn url(&self) -> String {
        self.cluster.url(ROLE)
    }

    /// The program's own address, through a proxy on this port or directly.
    pub fn program_url(&self, port: Option<u16>) -> String {
        let port = port.unwrap_or_else(|| self.cluster.port());
        format!("postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{ROLE}")
    }

    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// `pg_ctl stop -m immediate`, which is this signal; returns when the server is gone.
    pub async fn crash(&mut self) {
        let id = self.restarted.as_ref().map_or(self.cluster.server_pid(), Child::id);
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGQUIT);
        until("the server's end", async || !self.is_running()).await;
    }

    pub fn is_running(&mut self) -> bool {
        match &mut self.restarted {
            Some(child) => child.try_wait().unwrap().is_none(),
            None => {
                // The cluster has not waited for its child, so a dead one stays visible as a zombie.
                let stat = fs::read_to_string(format!("/proc/{}/stat", self.cluster.server_pid()));
                stat.is_ok_and(|text| !text.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
            }
        }
    }

    /// Starts it again if it is down; returns when it takes connections.
    pub async fn revive(&mut self) {
        let url = self.cluster.url("postgres");
        until("the server", async || {
            if PgConnection::connect(&url).await.is_ok() {
                return true;
            }
            // It may be recovering, or about to give up.
            if !self.is_running() {
                self.restart().await;
            }
            false
        })
        .await;
    }

    /// Starts it again after a crash; returns when it takes connections.
    pub async fn restart(&mut self) {
        let home = self.cluster.home();
        let owner = home.join("data").metadata().unwrap();
        let log = OpenOptions::new().append(true).open(home.join("postgresql.log")).unwrap();
        let mut command = Command::new(&self.line[0]);
        command.args(&self.line[1..]).current_dir(home).env("LC_ALL", "C").process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        self.restarted = Some(command.spawn().unwrap());
        let url = self.cluster.url("postgres");
        until("the server", async || PgConnection::connect(&url).await.is_ok()).await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(child) = &mut self.restarted {
            let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGQUIT);
            let _ = child.wait();
        }
    }
}
