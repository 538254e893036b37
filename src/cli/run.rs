//! `run`: the daemon.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::daemon::{Daemon, Reloads};
use crate::systemd;
use crate::telemetry;

/// Keeps every account in sync until SIGTERM or SIGINT; SIGHUP reads the configuration again.
pub(super) async fn run(
    config: Config,
    sources: Sources<Vec<(String, String)>>,
    clock: Clock,
) -> Result<Exit, CliError> {
    let daemon = Daemon::new(config, clock.clone())?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        systemd::stopping();
        tracing::info!(
            event = "stopping",
            "finishing the commit in progress; a second signal ends the process at once"
        );
        stopper.cancel();
    });
    let reloads = Reloads::new(sources, clock);
    ignore_user_signals();
    let listeners = daemon.listen().await?;
    let sound = daemon.run(listeners, Some(reloads), stop).await?;
    tracing::info!(event = "stopped");
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

/// SIGUSR1 and SIGUSR2 have a meaning in other daemons, and by default they kill the process: they are ignored here.
fn ignore_user_signals() {
    for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
        // A handler stays installed once it was requested, and does nothing but set a flag.
        if let Err(error) = signal(kind) {
            tracing::error!(event = "no_signals", %error, "SIGUSR1 and SIGUSR2 cannot be ignored");
        }
    }
}

/// Returns at the first SIGTERM or SIGINT; the second ends the process at once.
pub(super) async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!(event = "no_signals", "signals cannot be handled; kill -9 is safe at any time");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        let number = tokio::select! {
            _ = terminate.recv() => 15,
            _ = interrupt.recv() => 2,
        };
        telemetry::flush_hurried();
        std::process::exit(128 + number);
    });
}
