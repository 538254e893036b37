//! What a pass and `verify` report, and with which exit status.

use chrono::TimeDelta;
use voicenter_simulator::{Fault, Record};

use crate::process::scene::{ProcessScene, finish};
use crate::support::program::command;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_told_and_status_4_says_so() {
    let scene = ProcessScene::new().await;
    let at = scene.start + TimeDelta::hours(1);
    scene.simulator.world().insert(Record::new("", "Incoming Call", at), at);
    let (status, said) = scene.output(&["sync"]).await;
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("1 rejected"), "{said}");
    let (status, said) = scene.output(&["rejected"]).await;
    assert_eq!(status, Some(4));
    assert!(said.contains("no call id"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_is_missing_different_and_extra() {
    let scene = ProcessScene::new().await;
    assert_eq!(scene.output(&["sync"]).await.0, Some(0));
    for change in [
        "delete from voicenter.cdr where (call_id, type) = (select call_id, type from voicenter.cdr order by 1, 2 limit 1)",
        "update voicenter.cdr set duration_seconds = 4711
         where (call_id, type) = (select call_id, type from voicenter.cdr order by 1, 2 offset 5 limit 1)",
        "insert into voicenter.cdr select (jsonb_populate_record(c, '{\"call_id\": \"of nowhere\"}')).*
         from voicenter.cdr c limit 1",
    ] {
        scene.database.execute(change).await;
    }
    let (from, to) = (scene.start.to_rfc3339(), scene.now.to_rfc3339());
    let (status, said) = scene.output(&["verify", "--from", &from, "--to", &to]).await;
    assert_eq!(status, Some(4), "{said}");
    let row =
        said.lines().find(|line| line.starts_with("default")).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row[3..6], ["1", "1", "1"], "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_answers_nothing_ends_a_pass_with_status_1_and_opens_no_gap() {
    let scene = ProcessScene::new().await;
    scene.simulator.faults().always(Fault::HtmlWith200);
    let mut sync = scene.command(&["sync"]);
    sync.env("CDR_SYNC__API__BACKOFF_MAX", "1s");
    let (status, said) = finish(sync).await;
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(scene.output(&["gaps"]).await.1.trim(), "no open gaps");
}

/// The reading end of every command's output is closed before it starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_reader_went_away_does_its_work_and_ends_quietly() {
    let scene = ProcessScene::new().await;
    let (from, to) = (scene.start.to_rfc3339(), scene.now.to_rfc3339());
    let span = ["--from", &from, "--to", &to];
    for (arguments, status) in [
        (vec!["migrate"], 0),
        // The world stands still, and a clock that is half a minute behind is a fault.
        (vec!["check"], 0),
        (vec!["sync"], 0),
        ([&["sync"], &span[..]].concat(), 0),
        ([&["verify"], &span[..]].concat(), 0),
        (vec!["rejected", "--retry"], 0),
        (vec!["gaps", "--retry"], 0),
        (vec!["account", "rename", "default", "other"], 0),
        (vec!["account", "forget", "other"], 0),
    ] {
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let mut command = scene.command(&arguments);
        command.stdout(closed());
        let (ended, said) = finish(command).await;
        assert_eq!(ended, Some(status), "{arguments:?}: {said}");
        assert!(!said.contains("panic"), "{arguments:?}: {said}");
        if arguments[0] != "account" {
            let mut command = scene.command(&arguments);
            command.stdout(closed()).stderr(closed());
            assert_eq!(finish(command).await.0, Some(status), "{arguments:?} without stderr");
        }
    }
    // Nothing but a reader that went away is passed over in silence.
    let mut command = scene.command(&["migrate"]);
    command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let (ended, said) = finish(command).await;
    assert_eq!(ended, Some(1), "{said}");
    assert!(said.contains("the output could not be written"), "{said}");
}

/// A browser that reloads, a client that gives up: what serves goes on.
#[test]
fn a_client_that_goes_away_ends_no_server() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{Shutdown, TcpStream};
    use std::process::Stdio;

    let mut server =
        command(["simulate", "--listen", "127.0.0.1:0", "--calls-per-day", "30000", "--code", "c"]);
    let server = server.as_std_mut().stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = server.spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = lines
        .find_map(|line| Some(line.unwrap().split("http://").nth(1)?.split('/').next()?.to_owned()))
        .expect("it prints its address");
    let ask = "GET /hub/cdr/?code=c&format=JSON&fromdate=2020-01-01T00:00&todate=2030-01-01T00:00 HTTP/1.1\r\nhost: x\r\n\r\n";
    for _ in 0..30 {
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(ask.repeat(3).as_bytes()).unwrap();
        client.shutdown(Shutdown::Both).unwrap();
    }
    // One more that is answered shows that it lives, and that it has dealt with those before.
    let mut last = TcpStream::connect(&address).unwrap();
    last.write_all(ask.as_bytes()).unwrap();
    let mut status = String::new();
    BufReader::new(last).read_line(&mut status).unwrap();
    let ended = server.try_wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(ended.is_none() && status.starts_with("HTTP/1.1 "), "{ended:?} {status:?}");
}
