//! Spans that somebody asked the leader to read again: rows of `cdr_sync.request`, done before reconcile and backfill.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Engine;
use crate::plan::Planner;
use crate::store::work_request::{WorkNote, WorkRequest};
use crate::sync::events::{WorkNotNoted, WorkTaken};
use crate::window::Window;

/// Progress is written down in steps of this share.
const STEP: f32 = 0.01;
/// No telephony of today has older calls: a year that was mistyped would be asked for month by month for hours.
const OLDEST: &str = "2000-01-01T00:00:00Z";

/// The requests that this engine has taken on.
#[derive(Debug, Default)]
pub(super) struct WorkRequests {
    taken: Vec<Taken>,
    /// What the answer that is being stored finishes.
    finishing: Vec<Window>,
}

#[derive(Debug)]
struct Taken {
    id: i64,
    /// What is read of it; `None` if there is nothing to read.
    window: Option<Window>,
    /// Where what is read begins, if it was asked for from earlier than what is kept.
    kept_from: Option<DateTime<Utc>>,
    noted: f32,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All of it was read, or has become a gap.
    Read,
    /// It is older than what is kept.
    Unkept,
    Future,
    /// It begins before [`OLDEST`].
    TooOld,
}

impl WorkRequests {
    /// All pieces of a span were read once the last answer is stored.
    pub(super) fn finish(&mut self, window: Window) {
        self.finishing.push(window);
    }

    /// The last answer is stored.
    pub(super) fn stored(&mut self) {
        let finished = std::mem::take(&mut self.finishing);
        let open = self.taken.iter_mut().filter(|taken| taken.end.is_none());
        for taken in open.filter(|taken| taken.window.is_some_and(|window| finished.contains(&window))) {
            taken.end = Some(End::Read);
        }
    }

    fn ids(&self) -> BTreeSet<i64> {
        self.taken.iter().map(|taken| taken.id).collect()
    }

    fn take(&mut self, request: &WorkRequest, planner: &mut Planner, now: DateTime<Utc>) {
        let too_old =
            |window: &Window| OLDEST.parse().is_ok_and(|oldest: DateTime<Utc>| window.from() < oldest);
        let (window, end) = match request.window() {
            Some(window) if too_old(&window) => (None, Some(End::TooOld)),
            Some(window) if window.from() < now => match planner.ask_for(window) {
                Some(kept) => (Some(kept), None),
                None => (None, Some(End::Unkept)),
            },
            _ => (None, Some(End::Future)),
        };
        let kept_from = window.map(|kept| kept.from()).filter(|from| *from > request.from);
        self.taken.push(Taken { id: request.id, window, kept_from, noted: 0.0, end });
    }

    /// Forgets what somebody has deleted or ended otherwise.
    fn withdraw(&mut self, open: &BTreeSet<i64>, planner: &mut Planner) {
        let gone: Vec<Taken> = self.taken.extract_if(.., |taken| !open.contains(&taken.id)).collect();
        for window in gone.iter().filter_map(|taken| taken.window) {
            if !self.taken.iter().any(|taken| taken.window == Some(window)) {
                planner.withdraw(window);
            }
        }
    }
}

impl Engine {
    /// The numbers of the requests that were taken on.
    pub(in crate::sync) fn work(&self) -> BTreeSet<i64> {
        self.work.ids()
    }

    /// Takes on what is open, and forgets what is not any more.
    pub async fn take_on_work(&mut self, open: &BTreeSet<i64>) {
        let account = &self.fetcher.account.name;
        self.work.withdraw(open, &mut self.planner);
        let known = self.work.ids();
        let fresh: Vec<i64> = open.difference(&known).copied().collect();
        if !fresh.is_empty() {
            match self.store.take_on_work(account, self.leadership.fence, &fresh).await {
                Ok(requests) => {
                    let now = self.fetcher.clock.now();
                    for request in &requests {
                        self.work.take(request, &mut self.planner, now);
                    }
                    if !requests.is_empty() {
                        WorkTaken { account, requests: requests.len() }.emit();
                    }
                }
                Err(error) => WorkNotNoted { account, error: &error }.emit(),
            }
        }
        self.note_work().await;
    }

    /// Writes down how far what was asked for is. What cannot be written is written the next time.
    pub(super) async fn note_work(&mut self) {
        if self.work.taken.is_empty() {
            return;
        }
        let now = self.fetcher.clock.now();
        let is_settled = self.storing.is_none() && self.work.finishing.is_empty();
        let mut notes = Vec::new();
        for taken in &mut self.work.taken {
            if let (None, Some(window)) = (taken.end, taken.window) {
                let done = if self.planner.waits_for(window, now) {
                    let left = self.planner.left_of(window).num_seconds() as f32;
                    (1.0 - left / window.len().num_seconds().max(1) as f32).clamp(0.0, 1.0)
                } else if is_settled {
                    // The rest of it went below what is kept, or lies before what the API has.
                    let kept_from = self.planner.ledger().kept_from;
                    let is_kept = kept_from.is_none_or(|floor| window.to() > floor);
                    taken.end = Some(if is_kept { End::Read } else { End::Unkept });
                    1.0
                } else {
                    taken.noted
                };
                if taken.end.is_none() && done >= taken.noted + STEP {
                    taken.noted = done;
                    notes.push(WorkNote {
                        id: taken.id,
                        progress: done,
                        has_ended: false,
                        has_failed: false,
                        error: None,
                    });
                }
            }
            if let Some(end) = taken.end {
                let error = why_failed(end, taken, &self.planner, now);
                let has_failed = error.is_some();
                let error = error.or_else(|| not_kept(taken));
                notes.push(WorkNote { id: taken.id, progress: 1.0, has_ended: true, has_failed, error });
            }
        }
        if notes.is_empty() {
            return;
        }
        let account = &self.fetcher.account.name;
        match self.store.note_work(account, self.leadership.fence, &notes).await {
            Ok(written) => {
                self.work.taken.retain(|taken| taken.end.is_none() || !written.contains(&taken.id));
            }
            Err(error) => WorkNotNoted { account, error: &error }.emit(),
        }
    }
}

/// Why not all of an ended request was read; `None` if it was.
fn why_failed(end: End, taken: &Taken, planner: &Planner, now: DateTime<Utc>) -> Option<String> {
    match (end, taken.window) {
        (End::Unkept, _) => Some("it is older than what is kept (retention.calls)".to_owned()),
        (End::Future, _) => Some("it lies in the future".to_owned()),
        (End::TooOld, _) => Some("it begins before the year 2000".to_owned()),
        (End::Read, Some(window)) => {
            let gaps = planner.ledger().gaps.iter();
            let unread = gaps.filter(|gap| gap.window.intersect(&window).is_some()).count();
            if unread > 0 {
                return Some(format!("{unread} spans of it could not be read: see cdr-sync gaps"));
            }
            let oldest = planner.oldest_of_api(now).filter(|oldest| *oldest > window.from())?;
            Some(format!("the API has no calls before {}", instant(oldest)))
        }
        (End::Read, None) => None,
    }
}

/// What of an ended request was not read, because it is not kept: no failure, as without a daemon.
fn not_kept(taken: &Taken) -> Option<String> {
    let floor = instant(taken.kept_from?);
    Some(format!("what is older than {floor} is not kept (retention.calls); the rest was read"))
}

fn instant(at: DateTime<Utc>) -> impl std::fmt::Display {
    at.format("%Y-%m-%d %H:%M:%S UTC")
}
