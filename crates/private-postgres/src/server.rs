//! The server process: starting it, waiting for it, stopping it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::account::UnprivilegedUser;
use super::error::{Error, last_lines};
use super::programs::Programs;

/// The data directory inside the cluster's home.
pub(super) const DATA: &str = "data";
const LOG: &str = "postgresql.log";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// Starts the server of `home` on a free loopback port. Returns it, ready for connections, with the port.
pub(super) fn start(
    programs: &Programs,
    account: &UnprivilegedUser,
    home: &Path,
    sockets: &Path,
    settings: &[(String, String)],
) -> Result<(Child, u16), Error> {
    let mut attempts = 0;
    loop {
        let port = free_port()?;
        match start_on(port, programs, account, home, sockets, settings) {
            // Another process took the port after it was found to be free.
            Err(Error::NotStarted { log }) if log.contains("in use") && attempts < 5 => attempts += 1,
            result => return result.map(|child| (child, port)),
        }
    }
}

fn start_on(
    port: u16,
    programs: &Programs,
    account: &UnprivilegedUser,
    home: &Path,
    sockets: &Path,
    settings: &[(String, String)],
) -> Result<Child, Error> {
    let data = home.join(DATA);
    let log = home.join(LOG);
    let log_file = File::create(&log).map_err(Error::io("create", &log))?;
    let log_copy = log_file.try_clone().map_err(Error::io("open", &log))?;
    let mut command = account.command(programs.path("postgres"), home);
    command.arg("-D").arg(&data);
    setting(&mut command, "listen_addresses", "127.0.0.1");
    setting(&mut command, "port", &port.to_string());
    setting(&mut command, "unix_socket_directories", &sockets.to_string_lossy());
    for (name, value) in settings {
        setting(&mut command, name, value);
    }
    // Its own process group: a Ctrl-C at the terminal must not reach it, because this process stops it.
    command.process_group(0).stdin(Stdio::null()).stdout(log_file).stderr(log_copy);
    let mut child = command.spawn().map_err(Error::io("start", &programs.path("postgres")))?;
    if wait_until_ready(&mut child, &data) {
        return Ok(child);
    }
    stop(&mut child, Signal::SIGQUIT);
    let text = fs::read_to_string(&log).unwrap_or_default();
    Err(Error::NotStarted { log: last_lines(&text, 6) })
}

fn setting(command: &mut Command, name: &str, value: &str) {
    command.arg("-c").arg(format!("{name}={value}"));
}

fn wait_until_ready(child: &mut Child, data: &Path) -> bool {
    let deadline = Instant::now() + START_LIMIT;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        // Line 8 of postmaster.pid contains the server's state (pg_ctl.c reads it, too), line 1 its process id.
        let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        if lines.next() == Some(child.id().to_string().as_str()) && lines.nth(6) == Some("ready") {
            return true;
        }
        std::thread::sleep(POLL);
    }
    false
}

/// Stops a server started by this process: SIGINT is a fast shutdown, SIGQUIT an immediate one.
pub(super) fn stop(child: &mut Child, signal: Signal) {
    for signal in [signal, Signal::SIGQUIT] {
        if send(child.id(), signal) && gone_within(STOP_LIMIT, || !matches!(child.try_wait(), Ok(None))) {
            return;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Stops the server that a dead owner left running on `data`, if there is one.
pub(super) fn end_orphan(data: &Path) {
    let Some(pid) = fs::read_to_string(data.join("postmaster.pid"))
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse::<u32>().ok())
    else {
        return;
    };
    // Another process may have this number by now: the right one has the directory on its command line.
    let ours = || command_line(pid).is_some_and(|line| line.contains(data.to_string_lossy().as_ref()));
    if ours() && send(pid, Signal::SIGQUIT) {
        gone_within(STOP_LIMIT, || !ours());
    }
}

fn send(pid: u32, signal: Signal) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), signal).is_ok())
}

fn gone_within(limit: Duration, mut gone: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if gone() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self").exists() {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn free_port() -> Result<u16, Error> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port on", Path::new("127.0.0.1")))
}
