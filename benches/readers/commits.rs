//! What following the calls adds to a commit: each measured with the folding, and with a function in its place that does
//! nothing, in turns.

use std::collections::BTreeSet;
use std::time::Instant;

use cdr_sync::cdr::{Cdr, CdrKey, Column};
use cdr_sync::store::Store;
use cdr_sync::store::account::Start;
use cdr_sync::store::commit::{Claim, Commit, Committed, RemovalRules};
use cdr_sync::window::Window;
use cdr_sync::window::lacking::Lacking;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::call_centre::{CallCentre, DAYS};
use crate::report::{Report, quantile};
use crate::{ACCOUNT, fold};

/// A busy minute, and what a poll reads again.
const CALLS_A_MINUTE: u32 = 100;
const READ_AGAIN: i64 = 5;
const POLLS: usize = 40;
const LARGE: u32 = 10_000;
const ROUNDS: usize = 5;

const WITHOUT: &str = "
    alter function cdr_sync.fold_commit(text, timestamptz) rename to fold_commit_kept;
    create function cdr_sync.fold_commit(of_account text, committed_at timestamptz) returns integer language sql as 'select 0'";
const WITH: &str = "
    drop function cdr_sync.fold_commit(text, timestamptz);
    alter function cdr_sync.fold_commit_kept(text, timestamptz) rename to fold_commit";

/// Milliseconds of the commits.
#[derive(Default)]
struct Times {
    poll: Vec<f64>,
    fresh: Vec<f64>,
    unchanged: Vec<f64>,
    /// Until the calls of the fresh records are built, in slices.
    built: Vec<f64>,
}

pub(crate) async fn measure(store: &Store, sql: &mut PgConnection, report: &mut Report) {
    let end = CallCentre::ended_at();
    open(store, sql, end).await;
    let (mut with, mut without) = (Times::default(), Times::default());
    let mut clock = end;
    for round in 0..ROUNDS * 2 {
        let is_with = round % 2 == 0;
        if !is_with {
            sqlx::raw_sql(WITHOUT).execute(&mut *sql).await.unwrap();
        }
        let times = if is_with { &mut with } else { &mut without };
        clock = measure_round(store, clock, times, is_with).await;
        if !is_with {
            sqlx::raw_sql(WITH).execute(&mut *sql).await.unwrap();
            fold(store, ACCOUNT).await;
        }
    }
    let p90 = |times: &[f64]| quantile(times, 0.9);
    let median = |times: &[f64]| quantile(times, 0.5);
    report.note("poll without calls, median", median(&without.poll), "ms");
    report.note("poll, median", median(&with.poll), "ms");
    report.note("poll without calls, p90", p90(&without.poll), "ms");
    report.note("poll, p90", p90(&with.poll), "ms");
    report.goal("  more for a poll, p90", 40.0, p90(&with.poll) - p90(&without.poll), "ms");
    report.note("10,000 fresh records without calls", median(&without.fresh), "ms");
    report.note("10,000 fresh records", median(&with.fresh), "ms");
    let more = |with: &[f64], without: &[f64]| (median(with) / median(without) - 1.0) * 100.0;
    report.goal("  more for fresh records", 70.0, more(&with.fresh, &without.fresh), "%");
    // So large a commit leaves them to the slices that follow it.
    report.note("  until their calls are built, beside the commit", median(&with.built), "ms");
    report.note("10,000 unchanged records without calls", median(&without.unchanged), "ms");
    report.note("10,000 unchanged records", median(&with.unchanged), "ms");
    // Nothing more is done; what differs is chance.
    report.goal("  more for unchanged records", 10.0, more(&with.unchanged, &without.unchanged), "%");
}

/// Ten thousand records that are new, the same ones again, then polls. Returns when the last poll was.
async fn measure_round(
    store: &Store,
    clock: DateTime<Utc>,
    times: &mut Times,
    is_with: bool,
) -> DateTime<Utc> {
    let minutes = LARGE / CALLS_A_MINUTE;
    let after = clock + TimeDelta::minutes(minutes.into());
    let records = calls(clock, minutes);
    let (fresh, done) = timed(store, &records, clock, after).await;
    assert_eq!(done.inserted, u64::from(LARGE));
    times.fresh.push(fresh);
    let (unchanged, done) = timed(store, &records, clock, after).await;
    assert_eq!((done.inserted, done.updated, done.unchanged), (0, 0, u64::from(LARGE)));
    times.unchanged.push(unchanged);
    if is_with {
        let began = Instant::now();
        assert_eq!(fold(store, ACCOUNT).await, u64::from(LARGE));
        times.built.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let mut now = after;
    // The first is not measured: the function was exchanged, so the connection plans anew, as it otherwise does
    // once in its life.
    for nth in 0..=POLLS / ROUNDS {
        now += TimeDelta::minutes(1);
        let from = now - TimeDelta::minutes(READ_AGAIN);
        let (poll, done) = timed(store, &calls(from, 5), from, now).await;
        assert_eq!(done.inserted, u64::from(CALLS_A_MINUTE));
        if nth > 0 {
            times.poll.push(poll);
        }
    }
    now
}

/// History is complete, so that commits fold what they change.
async fn open(store: &Store, sql: &mut PgConnection, end: DateTime<Utc>) {
    let start = end - TimeDelta::days(DAYS + 1);
    store.open_account(ACCOUNT, &json!({}), Start::Default(start), end).await.unwrap();
    let covered = format!(
        "insert into cdr_sync.coverage (account, span, tier) values ('{ACCOUNT}', '[{start},{end})', '0');
         update cdr_sync.cursor set history_from = '{start}', synced_until = '{end}' where account = '{ACCOUNT}'"
    );
    sqlx::raw_sql(AssertSqlSafe(covered)).execute(sql).await.unwrap();
}

/// The calls of some minutes: the same ones whenever they are asked for.
fn calls(from: DateTime<Utc>, minutes: u32) -> Vec<Cdr> {
    let of_minute = |minute: u32| {
        let at = from + TimeDelta::minutes(minute.into());
        (0..CALLS_A_MINUTE).map(move |n| call(at, n))
    };
    (0..minutes).flat_map(of_minute).collect()
}

fn call(minute: DateTime<Utc>, n: u32) -> Cdr {
    let agent = 100 + n % 60;
    let (call_type, number, queue, status) = match n % 10 {
        0..=3 => ("Queue", 8, Some(format!("Queue {}", n % 12 + 1)), "ANSWER"),
        4 => ("Queue", 8, Some("Queue 1".to_owned()), "ABANDONE"),
        5 => ("Incoming Call", 1, None, "NOANSWER"),
        _ => ("Extension Outgoing", 4, None, "ANSWER"),
    };
    let is_outgoing = number == 4;
    let customer = Some(format!("05000{:07}", n * 37 % 1_000));
    Cdr {
        key: CdrKey {
            call_id: format!("{}{n:09}", minute.format("%Y%m%d%H%M")),
            call_type: call_type.into(),
        },
        cdr_type: Some(number),
        started_at: minute + TimeDelta::seconds(i64::from(n * 59 / CALLS_A_MINUTE)),
        duration_seconds: Some(90),
        ring_seconds: Some(12),
        caller_number: customer.clone().filter(|_| !is_outgoing),
        target_number: customer.filter(|_| is_outgoing),
        caller_extension: is_outgoing.then(|| format!("SIP{agent}")),
        target_extension: (!is_outgoing).then(|| format!("SIP{agent}")),
        dial_status: Some(status.into()),
        queue_name: queue,
        representative_code: Some(agent.to_string()),
        representative_name: Some(format!("Agent {agent}")),
        extra: [("DateEpoch".to_owned(), json!(minute.timestamp()))].into(),
        ..Cdr::default()
    }
}

/// A complete read of `[from, to)`, committed: how long that took.
async fn timed(store: &Store, records: &[Cdr], from: DateTime<Utc>, to: DateTime<Utc>) -> (f64, Committed) {
    let columns: BTreeSet<Column> = Column::ALL.into();
    let other_fields = ["dateepoch".to_owned()].into();
    let window = Window::new(from, to).unwrap();
    let claims = [Claim {
        window,
        reread_age: TimeDelta::zero(),
        lacking: Lacking::NONE,
        read_at: to,
        may_mark: true,
    }];
    let ledger = store.load(ACCOUNT).await.unwrap();
    let commit = Commit {
        account: ACCOUNT,
        fence: ledger.fence,
        count: &ledger.count,
        read_at: to,
        records,
        rejected: &[],
        columns: &columns,
        other_fields: &other_fields,
        claims: &claims,
        earlier_keys: &[],
        earlier_rejected: &[],
        lowered: &[],
        uncover: &[],
        open_gaps: &[],
        close_gaps: &[],
        knowledge: None,
        window_read: None,
        removal: RemovalRules::new(TimeDelta::minutes(10)),
        confirmed_gone: None,
        ignored: &[],
        history: true,
    };
    let began = Instant::now();
    let done = store.commit(&commit).await.unwrap();
    (began.elapsed().as_secs_f64() * 1e3, done)
}
