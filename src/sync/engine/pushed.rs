//! Asks the API for records that notifications brought and the pull has yet to bring.

use chrono::{DateTime, TimeDelta, Utc};

use super::Engine;
use crate::cdr::CdrKey;
use crate::push::{PushedRecord, RecordKey};
use crate::sync::batch::{self, Lookup};
use crate::sync::events::{CallNotAsked, PushedNotAsked};
use crate::sync::{PushAsking, SyncError};
use crate::voicenter::{Action, Capability, Filter, Form};
use crate::window::Window;
use crate::window::bounds::floor;

/// How often is looked for such records.
const EVERY: TimeDelta = TimeDelta::seconds(60);
/// So many are looked at in one turn.
const AT_ONCE: i64 = 100;
/// So many are asked for by CallID in one turn: each costs a request.
const CALLS_ASKED: usize = 2;
/// With more of them than can be asked for, the others are given up unasked; so is what an account does not read.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(3);
const FOREIGN_GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(1);
/// A call may be found this much before and after the time that its push tells.
const AROUND: TimeDelta = TimeDelta::hours(1);
const HOUR: TimeDelta = TimeDelta::hours(1);
/// Far enough for a time of which the base is not known.
const FAR: TimeDelta = TimeDelta::days(7);

/// When records were last looked for.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    looked_at: Option<DateTime<Utc>>,
}

impl Pushed {
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        // A clock that was set back must not keep it from looking.
        self.looked_at.is_none_or(|looked_at| (now - looked_at).abs() >= EVERY)
    }
}

/// What is to be done for a record, by how often it was asked for.
#[derive(Default)]
struct Due {
    /// The time around them is to be read.
    around: Vec<PushedRecord>,
    /// They are to be asked for by CallID.
    by_call: Vec<PushedRecord>,
}

impl Engine {
    /// Wakes the planner for what notifications brought, and asks for what does not come.
    pub(super) async fn ask_for_pushed(&mut self, now: DateTime<Utc>) -> Result<(), SyncError> {
        let Some(asking) = self.fetcher.account.push.filter(|_| self.pushed.is_due(now)) else {
            return Ok(());
        };
        self.pushed.looked_at = Some(now);
        let account = self.fetcher.account.name.clone();
        // What an account does not read never comes, and no request shows that.
        let reads_all = self.fetcher.account.filter == Filter::default();
        let longest = if reads_all { GIVEN_UP_AFTER } else { FOREIGN_GIVEN_UP_AFTER };
        let given_up = self.store.give_up_pushed(&account, asking.confirm_after, longest, now).await;
        let found = match given_up {
            Ok(()) if reads_all => {
                self.store.pushed_to_ask(&account, asking.confirm_after, AT_ONCE, now).await
            }
            Ok(()) => return Ok(()),
            Err(error) => Err(error),
        };
        let records = match found {
            Ok(records) => records,
            Err(error) => {
                PushedNotAsked { account: &account, error: &error }.emit();
                return Ok(());
            }
        };
        let mut due = Due::default();
        for record in records {
            match record.asked {
                0 => due.around.push(record),
                _ if self.fetcher.session.has(Capability::CallId) => due.by_call.push(record),
                _ => due.around.push(record),
            }
        }
        due.by_call.truncate(CALLS_ASKED);
        let windows = windows_around(&due.around, asking, now, self.fetcher.account.settings.newest);
        for window in windows {
            self.planner.ask_for(window);
        }
        let mut asked: Vec<RecordKey> = due.around.into_iter().map(|record| record.key).collect();
        for record in due.by_call {
            if !self.ask_for_call(&record, asking, now).await? {
                break;
            }
            asked.push(record.key);
        }
        if let Err(error) = self.store.note_pushed_asked(&account, &asked, now).await {
            PushedNotAsked { account: &account, error: &error }.emit();
        }
        Ok(())
    }

    /// Asks for one call by its CallID, and has the time around what is found read: only windows prove anything. `false` if that
    /// showed nothing.
    async fn ask_for_call(
        &mut self,
        record: &PushedRecord,
        asking: PushAsking,
        now: DateTime<Utc>,
    ) -> Result<bool, SyncError> {
        let (from, to) = record.span(asking.zone).unwrap_or((record.first_received_at, now));
        let Some(span) = Window::new(from - FAR, (to + FAR).min(now + TimeDelta::days(1))) else {
            return Ok(true);
        };
        let (call_id, call_type) = record.key.clone();
        let key = CdrKey { call_id, call_type };
        let question = batch::question_for_call(&self.fetcher.account, &key, span);
        let mut lookup = Lookup::default();
        let by_id = Form::of([Capability::CallId]);
        let taken = match self.fetcher.ask(question, by_id, &mut lookup.requests).await?.1 {
            Ok(asked) => lookup.take(&key, asked.answer),
            // One call does not have that many records.
            Err(error) if matches!(error.action(), Action::Split | Action::SplitTooLarge) => None,
            Err(error) => {
                CallNotAsked { account: &self.fetcher.account.name, error: &error }.emit();
                return Ok(false);
            }
        };
        if taken.is_none() {
            self.fetcher.ignores(Capability::CallId);
            return Ok(false);
        }
        for found in &lookup.records {
            let at = found.started_at;
            if let Some(window) = Window::new(at - TimeDelta::minutes(1), at + TimeDelta::minutes(1)) {
                self.planner.ask_for(window);
            }
        }
        Ok(true)
    }
}

/// The time around records that started before the newest minutes, which every poll reads; what overlaps is one window.
fn windows_around(
    records: &[PushedRecord],
    asking: PushAsking,
    now: DateTime<Utc>,
    newest: TimeDelta,
) -> Vec<Window> {
    let spans = records.iter().filter_map(|record| record.span(asking.zone));
    let older = spans.filter(|(from, _)| *from < now - newest);
    let mut around: Vec<(DateTime<Utc>, DateTime<Utc>)> = older
        // By whole hours, so that others of the same time ask for nothing new.
        .map(|(from, to)| (floor(from - AROUND, HOUR), (floor(to + AROUND, HOUR) + HOUR).min(now)))
        .filter(|(from, to)| from < to)
        .collect();
    around.sort_unstable();
    let mut merged: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (from, to) in around {
        match merged.last_mut().filter(|last| from <= last.1) {
            Some(last) => last.1 = last.1.max(to),
            None => merged.push((from, to)),
        }
    }
    merged.into_iter().filter_map(|(from, to)| Window::new(from, to)).collect()
}
