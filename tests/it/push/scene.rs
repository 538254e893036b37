//! The real daemon with a receiver, a database, and whoever pushes. Its API does not answer: nothing here needs it.

use std::fs::File;
use std::io;
use std::process::Stdio;

use cdr_sync::push::KeyHash;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::polling::until;
use crate::support::program::{ACCOUNT, CODE, Running, command, free_address};

pub const KEY: &str = "K3y-that-nobody-may-ever-read_aloud";
pub const KEPT: &str = "{\"Err\":0,\"Errdesc\":\"OK\"}";

pub struct PushScene {
    pub database: Database,
    /// The spool, the log and the configuration.
    pub folder: Folder,
    pub address: String,
    pub page: String,
}

/// What somebody who pushed was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub body: String,
}

/// What is pushed before a test begins.
const FIRST: &str = r#"{"ivruniqueid":"first","type":"Queue"}"#;

impl PushScene {
    pub async fn new() -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("spool")).unwrap();
        let (address, page) = (free_address(), free_address());
        Self { database: Database::migrated().await, folder, address, page }
    }

    pub fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = command(["run"]);
        command
            .env("DATABASE_URL", self.database.url())
            .env("VOICENTER_CODE", CODE)
            .env("VOICENTER_URL", "http://127.0.0.1:1/")
            .env("CDR_SYNC__HTTP__LISTEN", &self.page)
            .env("CDR_SYNC__PUSH__LISTEN", &self.address)
            .env("CDR_SYNC__PUSH__KEYS", KeyHash::of(KEY).to_string())
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log));
        command
    }

    pub fn with_spool(&self) -> Command {
        let mut command = self.command();
        command.env("CDR_SYNC__PUSH__SPOOL", self.folder.path().join("spool"));
        command
    }

    /// Starts the daemon and lets it store one notification, so that storing the next takes no longer than usual.
    pub async fn ready(&self, command: Command) -> Running {
        let running = self.start(command).await;
        until("the start", async || self.log().contains("\"started\"")).await;
        // It names nobody: one that was not answered in time may be stored after the others were deleted.
        until("a connection", async || self.push(FIRST).await.body == KEPT).await;
        self.database.execute("delete from cdr_sync.push").await;
        running
    }

    /// Starts the daemon; afterwards it receives.
    pub async fn start(&self, command: Command) -> Running {
        let running = Running::start(command);
        until("the receiver", async || TcpStream::connect(&self.address).await.is_ok()).await;
        running
    }

    /// What the daemon printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub async fn push(&self, body: &str) -> Answered {
        self.push_as("application/json", body).await
    }

    pub async fn push_as(&self, content_type: &str, body: &str) -> Answered {
        self.post(&format!("/push/{ACCOUNT}/{KEY}"), content_type, body).await
    }

    pub async fn post(&self, path: &str, content_type: &str, body: &str) -> Answered {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        send(&self.address, &request).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answered {
        get(&self.address, path).await
    }

    pub async fn metrics(&self) -> String {
        get(&self.page, "/metrics").await.body
    }

    /// The state of each notification and what is known of it, in the order of their CallIDs.
    pub async fn stored(&self) -> Vec<String> {
        let stored = "select concat_ws(' ', call_id, type, case when state in ('new', 'applied') then 'understood' else state end, 'x' || times, problem) from cdr_sync.push where call_id is distinct from 'first' order by 1";
        self.database.lines(stored).await
    }

    /// Whole notifications in the spool.
    pub fn spooled(&self) -> usize {
        let files = std::fs::read_dir(self.folder.path().join("spool")).unwrap();
        files
            .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "push"))
            .count()
    }
}

async fn get(address: &str, path: &str) -> Answered {
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    send(address, &request).await.unwrap()
}

/// Sends a request; an error if the connection ends without a whole answer.
pub async fn send(address: &str, request: &str) -> io::Result<Answered> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answered { status: status.ok_or(io::ErrorKind::InvalidData)?, body: body.to_owned() })
}

/// An invented record.
pub fn record(call_id: &str) -> String {
    format!(
        "{{\"ivruniqueid\":\"{call_id}\",\"type\":\"Queue\",\"caller\":\"0509999999\",\"representative_name\":\"Secretperson\"}}"
    )
}
