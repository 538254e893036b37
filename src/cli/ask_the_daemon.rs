//! Work that is left to the daemon that leads an account: a row of `cdr_sync.request`, and waiting for it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CliError;
use crate::clock::monotonic;
use crate::store::work_request::WorkRequest;
use crate::store::{Store, StoreError};
use crate::sync::status::ProgressWatch;
use crate::voicenter::said::printable;
use crate::window::Window;

/// How often the rows are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A daemon takes on what is asked for within seconds.
const NOT_TAKEN_ON: Duration = Duration::from_secs(30);
/// A daemon that ends is followed by another one within this time.
const NOBODY_LEADS: Duration = Duration::from_secs(60);

/// What became of it.
#[derive(Debug)]
pub(super) enum Asked {
    /// The requests, finished.
    Finished(Vec<WorkRequest>),
    /// The numbers of requests that nobody waits for any more.
    Left(Vec<i64>),
}

/// Asks for spans to be read again.
pub(super) async fn ask(
    store: &Store,
    account: &str,
    spans: &[Window],
    reason: &str,
) -> Result<Vec<i64>, CliError> {
    Ok(store.ask_for_work(account, spans, reason).await?)
}

/// Waits until they have been read, `stop`, or no daemon is left that would read them.
pub(super) async fn wait(
    store: &Store,
    account: &str,
    ids: Vec<i64>,
    watch: &ProgressWatch,
    stop: &CancellationToken,
) -> Result<Asked, CliError> {
    let began = monotonic();
    let (mut seen_at, mut is_told) = (monotonic(), false);
    loop {
        let looked = async {
            Ok::<_, StoreError>((store.work_requests(account, &ids).await?, store.daemons().await?))
        };
        match looked.await {
            Ok((requests, _)) if requests.len() < ids.len() => {
                return Err(CliError::Failed(format!(
                    "account {account}: what was asked for was withdrawn (cdr_sync.request {})",
                    numbers(&ids)
                )));
            }
            Ok((requests, daemons)) => {
                show(&requests, watch);
                if requests.iter().all(WorkRequest::is_finished) {
                    return Ok(Asked::Finished(requests));
                }
                if !daemons.is_empty() {
                    seen_at = monotonic();
                }
                let waits = requests.iter().all(|request| request.state == "waiting");
                if waits && !is_told && began.elapsed() > NOT_TAKEN_ON {
                    is_told = true;
                    eprintln!("cdr-sync: account {account}: {}", why_not_taken_on(store, account).await);
                }
            }
            // The daemon waits for the database, too.
            Err(error) if error.is_unavailable() => {}
            Err(error) => return Err(error.into()),
        }
        if seen_at.elapsed() > NOBODY_LEADS {
            return Err(CliError::Failed(format!(
                "account {account}: there is no daemon any more; the next one reads what was asked for (cdr_sync.request {})",
                numbers(&ids)
            )));
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(Asked::Left(ids)),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn why_not_taken_on(store: &Store, account: &str) -> String {
    let status = store.status().await.unwrap_or_default();
    let status = status.into_iter().find(|status| status.name == account);
    if let Some(pause) = status.as_ref().and_then(|status| status.pause.as_ref()) {
        return printable(&format!("it is {pause}. cdr-sync account resume {account} ends that"));
    }
    match status.and_then(|status| Some((status.paused_until?, status.last_error))) {
        Some((until, error)) => {
            let until = until.format("%Y-%m-%d %H:%M:%S UTC");
            format!("the daemon waits until {until} ({})", printable(&error.map(|(error, _)| error).unwrap_or_default()))
        }
        None => "the daemon has not taken it on yet: it may store a large answer, lead no such account, or be of an earlier version"
            .to_owned(),
    }
}

fn show(requests: &[WorkRequest], watch: &ProgressWatch) {
    let length = |request: &WorkRequest| request.window().map(|window| window.len()).unwrap_or_default();
    let all = requests.iter().map(length).sum();
    let left = |request: &WorkRequest| {
        let share = if request.is_finished() { 0.0 } else { f64::from(1.0 - request.progress) };
        chrono::TimeDelta::seconds((length(request).num_seconds() as f64 * share) as i64)
    };
    let unread = requests.iter().map(left).sum();
    watch.update(|progress| (progress.unread_at_start, progress.unread) = (all, unread));
}

/// Numbers of requests, for people.
pub(super) fn numbers(ids: &[i64]) -> String {
    match ids {
        [first, .., last] => format!("{first} to {last}"),
        one => one.iter().map(i64::to_string).collect(),
    }
}

/// Spans without those parts that lie in two of them, in the order of time.
pub(super) fn merged(mut spans: Vec<Window>) -> Vec<Window> {
    spans.sort_by_key(|span| span.from());
    let mut merged: Vec<Window> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from() <= last.to() => *last = last.hull(&span),
            _ => merged.push(span),
        }
    }
    merged
}
