//! A log that nobody reads, and one that cannot be written.

use std::fs::OpenOptions;
use std::io::{PipeReader, PipeWriter, Write};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use voicenter_simulator::Fault;

use crate::process::scene::{ProcessScene, finish};
use crate::support::polling::until;
use crate::support::program::Running;

/// A pipe that takes nothing more: the next to write to it waits for a reader.
pub fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let size = fcntl(&writer, FcntlArg::F_GETPIPE_SZ).unwrap();
    writer.write_all(&vec![b'\n'; usize::try_from(size).unwrap()]).unwrap();
    (reader, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing() {
    let scene = ProcessScene::new().await;
    let (_reader, writer) = full_pipe();
    let mut command = scene.command(&["run"]);
    command.env("CDR_SYNC__SYNC__POLL_INTERVAL", "1s").env("CDR_SYNC__LOG__LEVEL", "trace").stderr(writer);
    let mut daemon = Running::start(command);
    until("polls", async || scene.simulator.requests().len() > 5).await;
    daemon.signal(Signal::SIGTERM);
    let (status, took) = daemon.wait().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let held = "select count(*) from cdr_sync.lease where expires_at > clock_timestamp()";
    assert_eq!(scene.database.count(held).await, 0, "the lead was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_full_disk_stops_nothing() {
    let scene = ProcessScene::new().await;
    let mut command = scene.command(&["run"]);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    command.env("CDR_SYNC__SYNC__POLL_INTERVAL", "1s").env("CDR_SYNC__LOG__LEVEL", "info").stderr(full);
    let mut daemon = Running::start(command);
    until("polls", async || scene.simulator.requests().len() > 5).await;
    assert_eq!(daemon.ended(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_nobody_reads_ends_the_command_all_the_same() {
    let scene = ProcessScene::new().await;
    scene.simulator.faults().always(Fault::HtmlWith200);
    let (_reader, writer) = full_pipe();
    for (arguments, status) in [(vec!["sync"], 1), (vec!["migrate", "--config", "/nonexistent"], 2)] {
        let mut command = scene.command(&arguments);
        command.env("CDR_SYNC__API__BACKOFF_MAX", "1s");
        command.stdout(Stdio::null()).stderr(writer.try_clone().unwrap());
        assert_eq!(finish(command).await.0, Some(status), "{arguments:?}");
    }
}

/// What is said last is what somebody looks for.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_lines_are_written_before_the_end() {
    let scene = ProcessScene::new().await;
    scene.simulator.faults().always(Fault::HtmlWith200);
    let mut command = scene.command(&["sync"]);
    command.env("CDR_SYNC__API__BACKOFF_MAX", "1s");
    let (status, said) = finish(command).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("request_failed") && said.contains("cdr-sync: account default"), "{said}");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut command = scene.command(&["run"]);
        command.env("CDR_SYNC__LOG__LEVEL", "info");
        let asked = scene.simulator.requests().len();
        let daemon = Running::start(command);
        until("requests", async || scene.simulator.requests().len() > asked).await;
        daemon.signal(signal);
        let (_, _, said) = daemon.finish().await;
        assert!(said.trim_end().lines().last().unwrap().contains("\"event\":\"stopped\""), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebodys_trigger_says_of_a_call_is_not_logged() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["migrate"]).await.0, Some(0));
    let trigger = "create function public.told() returns trigger language plpgsql as
            $$ begin raise warning 'TOLD %', new.caller_number; return new; end $$;
         create trigger told before insert on voicenter.cdr for each row execute function public.told()";
    scene.database.execute(trigger).await;
    let mut command = scene.command(&["sync"]);
    command.env("CDR_SYNC__LOG__LEVEL", "debug");
    let (status, said) = finish(command).await;
    assert!(status == Some(0) && said.contains("\"DEBUG\"") && !said.contains("TOLD"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_how_much_is_logged() {
    let scene = ProcessScene::new().await;
    for (flag, levels) in [("-q", vec![]), ("-v", vec!["INFO"]), ("-vv", vec!["INFO", "DEBUG"])] {
        let (status, out, err) =
            Running::start(scene.command(&[flag, "sync", "--from", "-2h"])).finish().await;
        assert_eq!(status, Some(0), "{out}{err}");
        for level in ["INFO", "DEBUG"] {
            let is_there = err.contains(&format!("\"{level}\""));
            assert_eq!(is_there, levels.contains(&level), "{flag} {level}: {err}");
        }
    }
}
