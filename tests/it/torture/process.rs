//! Faults of the daemon's own process and of the machine around it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::process::log::full_pipe;
use crate::support::folder::Folder;
use crate::support::polling::comes_within;
use crate::support::program::free_address;
use crate::torture::daemon::Daemon;
use crate::torture::rounds::{Form, Kind, not_run, torture};
use crate::torture::scene::Setup;

pub async fn killed_daemon(form: Form) {
    let kind = Kind { place: 1, name: "SIGKILL of the daemon", times: (200, 3), lanes: 4, within: 10 };
    torture(&kind, form, &Setup::default(), async |scene, number| {
        // Every other one hits a commit.
        if number % 2 == 1 {
            comes_within(Duration::from_secs(2), async || scene.is_storing().await).await;
        }
        scene.daemons[0].process.kill().await;
        scene.daemons.clear();
        let began = Instant::now();
        let id = scene.mark();
        scene.start_daemon().await;
        scene.arrival(&id, began).await
    })
    .await;
}

pub async fn flooded_page(form: Form) {
    let kind = Kind {
        place: 18,
        name: "Half-open requests and endless heads on the HTTP port; recovery while they last",
        times: (10, 1),
        lanes: 1,
        within: 10,
    };
    let address = free_address();
    let env = vec![("CDR_SYNC__HTTP__LISTEN", address.clone())];
    torture(&kind, form, &Setup { env, ..Setup::default() }, async |scene, _| {
        let (mut strangers, line) = (Vec::new(), format!("X: {}\r\n", "y".repeat(4_000)));
        for number in 0..400 {
            let Ok(mut stream) = TcpStream::connect(&address).await else { continue };
            let mut written = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: ").await;
            for _ in 0..if number % 8 == 0 { 40 } else { 0 } {
                if written.is_ok() {
                    written = stream.write_all(line.as_bytes()).await;
                }
            }
            strangers.push(stream);
        }
        scene.recovery().await
    })
    .await;
}

pub async fn unread_log(form: Form) {
    let kind = Kind {
        place: 19,
        name: "Nobody reads stderr, at level trace; recovery while that lasts",
        times: (10, 1),
        lanes: 1,
        within: 10,
    };
    torture(&kind, form, &Setup::default(), async |scene, _| {
        let (_reader, writer) = full_pipe();
        scene.daemons.clear();
        let mut command = scene.command(None, None);
        command.env("CDR_SYNC__LOG__LEVEL", "trace").stderr(writer);
        scene.daemons.push(Daemon::start_elsewhere(command));
        // The first includes a start.
        scene.recovery().await;
        let recovery = scene.recovery().await;
        scene.daemons.clear();
        scene.start_daemon().await;
        recovery
    })
    .await;
}

/// Where Debian keeps it.
const FAKETIME: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];
const STEPS: [&str; 6] = ["+3600", "-3600", "+86400", "-86400", "+30", "-30"];

pub async fn stepped_clock(form: Form) {
    let kind = Kind {
        place: 20,
        name: "The host's clock is an hour, a day or 30 s ahead or behind for some seconds",
        times: (12, 2),
        lanes: 1,
        within: 10,
    };
    let Some(library) = FAKETIME.iter().find(|path| Path::new(path).exists()) else {
        not_run(&kind, "libfaketime is not here");
        return;
    };
    let folder = Folder::new();
    let file = folder.path().join("clock");
    // Replaced at once: a reader never finds half of it.
    let set = |step: &str| {
        let new = file.with_extension("new");
        fs::write(&new, step).unwrap();
        fs::rename(new, &file).unwrap();
    };
    set("+0");
    let env = vec![
        ("LD_PRELOAD", (*library).to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap().to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    torture(&kind, form, &Setup { env, ..Setup::default() }, async |scene, number| {
        set(STEPS[number % STEPS.len()]);
        scene.disturb();
        scene.spell(3_000..8_000).await;
        set("+0");
        scene.recovery().await
    })
    .await;
}
