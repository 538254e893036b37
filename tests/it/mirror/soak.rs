//! Servers nobody imagined, over HTTP: simulators drawn by a seed from all that they can be set to do. A pass and a
//! day and a half of the daemon later the table is compared with the truth.
//!
//! `SERVERS=200` draws more of them, `SEED=n` runs one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cdr_sync::plan::Mode;
use cdr_sync::rate_limit::Backoff;
use cdr_sync::sync::engine::{Engine, TickOutcome};
use cdr_sync::sync::status::ProgressWatch;
use cdr_sync::window::Window;
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use sqlx::Connection;
use voicenter_simulator::{
    ApiGeneration, DateForm, Fault, OverLimit, RefusalOptions, SimulatorOptions, SortBehaviour, TotalCounts,
    TruthRow, WorldOptions,
};

use crate::mirror::scene::{MirrorScene, Setup, simulated};
use crate::support::compare::{self, Key};
use crate::support::dates::{days, hours, instant, minutes};
use crate::support::simulator::dialect;

const MONDAY: &str = "2026-06-15T05:00:00Z";
/// Nothing ends well that needs more requests than this.
const MOST_REQUESTS: usize = 12_000;

/// One of `all`.
fn one<T: Copy>(random: &mut Rng, all: &[T]) -> T {
    all[random.usize(0..all.len())]
}

fn draw(random: &mut Rng) -> SimulatorOptions {
    let generation = if random.f64() < 0.75 { ApiGeneration::Current } else { ApiGeneration::V01 };
    let limit = one(random, &[60, 99, 120, 250, 333, 500, 730]);
    let world = WorldOptions {
        seed: random.u64(..),
        calls_per_day: random.f64() * 400.0 + 100.0,
        campaigns_per_day: one(random, &[0.0, 0.0, 1.0]),
        campaign_calls: limit + limit / 5,
        late_share: one(random, &[0.0, 0.05]),
        late_lag: (hours(1), hours(5)),
        twin_share: one(random, &[0.0, 0.01]),
        ..WorldOptions::default().unchanging()
    };
    let forms = [None, None, Some(DateForm::Plain), Some(DateForm::Minutes), Some(DateForm::Trimmed)];
    let mut dialect = dialect(generation);
    dialect.date_form = one(random, &forms);
    dialect.lower_case_names = random.f64() < 0.2;
    dialect.text_numbers = random.f64() < 0.2;
    SimulatorOptions {
        world,
        dialect,
        record_limit: limit,
        over_limit: one(
            random,
            &[OverLimit::Documented, OverLimit::Documented, OverLimit::Error, OverLimit::Cut],
        ),
        totals: random.f64() < 0.7,
        total_counts: one(random, &[TotalCounts::All, TotalCounts::All, TotalCounts::Returned]),
        sort: one(
            random,
            &[
                SortBehaviour::Honest,
                SortBehaviour::Honest,
                SortBehaviour::AfterCut,
                SortBehaviour::Ignored,
                SortBehaviour::OldestFirst,
                SortBehaviour::NewestFirst,
                SortBehaviour::Random,
                SortBehaviour::Reversed,
            ],
        ),
        refusals: refusals(random),
        clock_offset: TimeDelta::seconds(one(random, &[0, 0, -20, -90, 60])),
        date_header: random.f64() < 0.85,
        from_inclusive: random.f64() < 0.7,
        to_inclusive: random.f64() < 0.7,
        ..simulated(generation)
    }
}

fn refusals(random: &mut Rng) -> RefusalOptions {
    let names = ["sort", "sort=Date", "version", "callID", "cdrTypes", "UserId", "CdrType", "DateEpoch"];
    let refused: Vec<&str> = names.into_iter().filter(|_| random.f64() < 0.06).collect();
    let mut some = |share: f64, span: TimeDelta| (random.f64() < share).then_some(span);
    RefusalOptions {
        longest_range: some(0.2, hours(26)),
        horizon: some(0.1, days(3)),
        purged_after: some(0.1, days(4)),
        future: some(0.3, days(0)).is_some(),
        unspecific: some(0.3, days(0)).is_some(),
        names: refused.into_iter().map(String::from).collect(),
    }
}

/// What came of one server.
#[derive(Debug, Default)]
struct Verdict {
    rows: usize,
    lost: usize,
    wrong: usize,
    extra: usize,
    falsely_removed: usize,
    gaps: usize,
    /// Gaps that nothing at the server explains any more.
    idle_gaps: usize,
    requests: usize,
    faults: Vec<String>,
}

/// Until `end`, or until a pass is done. Who waits inside a turn is woken by moving the clock on.
async fn go(scene: &MirrorScene, engine: &mut Engine, end: DateTime<Utc>) -> Result<(), String> {
    while scene.now() < end {
        if scene.simulator.requests().len() > MOST_REQUESTS {
            return Err(format!("more than {MOST_REQUESTS} requests"));
        }
        let turn = {
            let tick = engine.tick();
            tokio::pin!(tick);
            loop {
                tokio::select! {
                    biased;
                    turn = &mut tick => break turn,
                    until = scene.clock.awaited() => {
                        scene.clock.advance((until - scene.now()).max(TimeDelta::zero()));
                        tokio::task::yield_now().await; // for whoever waits for that instant
                    }
                }
            }
        };
        match turn.map_err(|error| error.to_string())? {
            TickOutcome::Idle(until) => {
                scene.clock.advance((until.min(end) - scene.now()).max(TimeDelta::seconds(1)));
            }
            TickOutcome::Asked => {}
            TickOutcome::Done => break,
        }
    }
    Ok(())
}

async fn run(seed: u64) -> (SimulatorOptions, Verdict) {
    let mut random = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let options = draw(&mut random);
    let setup = Setup { now: instant(MONDAY), history: days(5), ..Setup::new(options.clone()) }
        .with("CDR_SYNC__SYNC__POLL_INTERVAL", "20m")
        .with("CDR_SYNC__SYNC__LOOKBACK", "1h");
    let mut scene = MirrorScene::of(setup).await;
    scene.account.settings.reconcile = vec![hours(6), days(1)];
    scene.account.backoff = Backoff { min: Duration::ZERO, max: Duration::ZERO };
    let begin = scene.now();
    let mischief = crate::mirror::life::mischief(&scene, begin - hours(6), begin + hours(6));
    for fault in [Fault::Http500, Fault::EmptyOk, Fault::ListNull, Fault::CutBody, Fault::BadDate] {
        if random.f64() < 0.15 {
            scene.simulator.faults().share(fault, 0.03);
        }
    }
    let mut verdict = Verdict::default();
    // Servers in trouble may end a pass; the daemon goes on where it ended.
    for (mode, until) in [(Mode::Pass, hours(100)), (Mode::Daemon, hours(10)), (Mode::Daemon, hours(38))] {
        let mut engine = scene.engine(mode, ProgressWatch::default()).await;
        let ended = go(&scene, &mut engine, begin + until).await;
        if let (Err(error), true) = (ended, mode == Mode::Daemon) {
            verdict.faults.push(error);
        }
        // What failed in the last turn was said by it.
        let _ = engine.close().await;
        if until == hours(10) {
            scene.simulator.faults().clear();
        }
    }
    judge(&scene, &options, begin + hours(6), &mut verdict).await;
    if !verdict.faults.is_empty() {
        verdict.faults.push(format!("{mischief:?}"));
    }
    (options, verdict)
}

async fn judge(
    scene: &MirrorScene,
    options: &SimulatorOptions,
    settled: DateTime<Utc>,
    verdict: &mut Verdict,
) {
    let refusals = &options.refusals;
    let reach = [refusals.horizon, refusals.purged_after].into_iter().flatten().min();
    let oldest = reach.map_or(scene.start, |reach| scene.start.max(scene.now() - reach + hours(1)));
    let truth = scene.simulator.truth(scene.now(), oldest, settled);
    let expected: BTreeMap<Key, compare::Columns> = truth.iter().map(compare::of_truth).collect();
    let url = scene.database.url();
    let found = compare::table(url, "main", oldest, settled).await;
    let gaps: Vec<Window> =
        scene.store.gaps(Some("main")).await.unwrap().iter().map(|gap| gap.window).collect();
    let mut connection = scene.database.sql().await;
    let removed: Vec<(String, String, DateTime<Utc>)> =
        sqlx::query_as("select call_id, type, started_at from voicenter.cdr where removed_at is not null")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let rejected: Vec<(Option<String>,)> =
        sqlx::query_as("select call_id from cdr_sync.rejected").fetch_all(&mut connection).await.unwrap();
    let rejected: BTreeSet<String> = rejected.into_iter().filter_map(|(call_id,)| call_id).collect();
    connection.close().await.unwrap();
    let started = |columns: &compare::Columns| instant(columns["started_at"].as_str().unwrap());
    // An open gap or a rejected record says that something is not as it should be.
    let said = |key: &Key, columns: &compare::Columns| {
        rejected.contains(&key.0) || gaps.iter().any(|gap| gap.contains(started(columns)))
    };
    let removed_keys: BTreeSet<Key> =
        removed.iter().map(|(call_id, call_type, _)| (call_id.clone(), call_type.clone())).collect();
    for (key, columns) in &expected {
        match found.get(key) {
            _ if said(key, columns) => {}
            Some(held) if held == columns => {}
            Some(_) => verdict.wrong += 1,
            None if removed_keys.contains(key) => verdict.falsely_removed += 1,
            None => verdict.lost += 1,
        }
    }
    let status = scene.status().await;
    let doubted = status.missing + status.suspicious > 0;
    let extra =
        |(key, columns): &(&Key, &compare::Columns)| !expected.contains_key(*key) && !said(key, columns);
    verdict.extra = if doubted { 0 } else { found.iter().filter(extra).count() };
    // Nothing happens to the oldest records, so whatever is marked there is marked for being out of reach.
    let untouched = settled - hours(13);
    verdict.falsely_removed += removed.iter().filter(|(.., at)| *at < untouched.min(oldest)).count();
    verdict.rows = expected.len();
    verdict.gaps = gaps.len();
    let recent = scene.simulator.truth(scene.now(), oldest, scene.now());
    let idle = |gap: &&Window| {
        gap.from() >= oldest && gap.to() <= scene.now() - hours(2) && !is_crowded(**gap, &recent, options)
    };
    verdict.idle_gaps = gaps.iter().filter(idle).count();
    if let Some(gap) = gaps.iter().find(idle) {
        verdict.faults.push(format!("{} idle gaps, as {gap}", verdict.idle_gaps));
    }
    verdict.requests = scene.simulator.requests().len();
    let cursor = status.cursor.map(|cursor| (cursor.from() <= oldest, cursor.to() >= settled));
    if cursor != Some((true, true)) {
        verdict.faults.push(format!("the cursor is {:?}", status.cursor));
    }
    if let Some(report) = compare::differences(&expected, &found).filter(|_| verdict.is_bad()) {
        verdict.faults.push(report);
    }
}

/// Returns `true` if some unit in or beside the gap, with its neighbours, holds as many records as an answer may.
fn is_crowded(gap: Window, truth: &[TruthRow], options: &SimulatorOptions) -> bool {
    let minutes_only = options.dialect.date_form == Some(DateForm::Minutes);
    let unit = if minutes_only { minutes(1) } else { TimeDelta::seconds(1) };
    let (from, to) = (gap.from() - unit * 2, gap.to() + unit * 2);
    let mut dates: Vec<_> = truth.iter().map(|row| row.started_at).collect();
    dates.retain(|date| from <= *date && *date < to);
    let around = |date: &DateTime<Utc>| dates.iter().filter(|other| (**other - *date).abs() <= unit).count();
    gap.len() <= hours(1) && dates.iter().any(|date| around(date) >= options.record_limit)
}

impl Verdict {
    fn is_bad(&self) -> bool {
        self.lost + self.wrong + self.extra + self.falsely_removed > 0
    }
}

/// Every fourth server from `first` on, so that four tests share them.
async fn soak(first: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) => vec![seed].into_iter().filter(|seed| seed % 4 == first).collect(),
        None => (1..=number("SERVERS").unwrap_or(8)).filter(|seed| seed % 4 == first).collect(),
    };
    let mut failed = Vec::new();
    println!("seed   rows   lost  wrong  extra  removed  gaps  idle  requests");
    for seed in seeds {
        let (options, verdict) = run(seed).await;
        println!(
            "{seed:>4}{:>7}{:>7}{:>7}{:>7}{:>9}{:>6}{:>6}{:>10}",
            verdict.rows,
            verdict.lost,
            verdict.wrong,
            verdict.extra,
            verdict.falsely_removed,
            verdict.gaps,
            verdict.idle_gaps,
            verdict.requests
        );
        if verdict.is_bad() || !verdict.faults.is_empty() {
            failed.push(format!("SEED={seed} {}\n  {options:?}", verdict.faults.join("; ")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn whatever_a_server_does_the_table_is_right_or_says_that_it_is_not_1() {
    soak(1).await;
}

#[tokio::test]
async fn whatever_a_server_does_the_table_is_right_or_says_that_it_is_not_2() {
    soak(2).await;
}

#[tokio::test]
async fn whatever_a_server_does_the_table_is_right_or_says_that_it_is_not_3() {
    soak(3).await;
}

#[tokio::test]
async fn whatever_a_server_does_the_table_is_right_or_says_that_it_is_not_4() {
    soak(0).await;
}
