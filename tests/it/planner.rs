//! The planner against a model API: random records, limits, bounds, lateness, failures, and servers that cut
//! before they sort. Whatever the API does, coverage must never claim what was not read.

use std::collections::BTreeSet;

use cdr_sync::plan::ledger::Ledger;
use cdr_sync::plan::{Mode, Next, PlanSettings, Planner};
use cdr_sync::read::ReadingSettings;
use cdr_sync::read::api_profile::ApiProfile;
use cdr_sync::read::evidence::Evidence;
use cdr_sync::read::partition::FilterPartition;
use cdr_sync::read::request::{Hold, Reply, Request};
use cdr_sync::read::verdict::AnswerLimits;
use cdr_sync::window::bounds::floor;
use cdr_sync::window::coverage::Coverage;
use cdr_sync::window::density::Forecast;
use cdr_sync::window::{Lane, Order, Window};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

const ROUND: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    TooMany,
    CutWithTotals,
    CutSilently,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Honest,
    AfterCutting,
    Ignored,
}

#[derive(Clone, Debug)]
struct Record {
    id: usize,
    date: i64,
    appears: i64,
    cdr_type: i32,
}

/// An API of which the planner knows nothing.
#[derive(Clone, Debug)]
struct Api {
    records: Vec<Record>,
    limit: usize,
    over: Over,
    sort: Sort,
    from_inclusive: bool,
    to_inclusive: bool,
    minute_dates: bool,
    /// A second at which the server always fails.
    poison: Option<i64>,
    /// Each n-th request fails.
    fails: Option<usize>,
    /// How far its clock is behind.
    behind: i64,
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_699_999_200 + second, 0).unwrap()
}

fn second(instant: DateTime<Utc>) -> i64 {
    instant.timestamp() - 1_699_999_200
}

impl Api {
    fn shown(&self, record: &Record) -> i64 {
        if self.minute_dates { record.date.div_euclid(60) * 60 } else { record.date }
    }

    fn answer(&self, request: &Request, nth: usize, now: i64) -> (Reply, Vec<usize>) {
        let (from, to) = (second(request.sent.from), second(request.sent.to));
        assert!(from <= to, "an inverted question: {request:?}");
        if self.poison.is_some_and(|poison| from <= poison && poison <= to)
            || self.fails.is_some_and(|n| nth.is_multiple_of(n))
        {
            return (Reply::Failed, Vec::new());
        }
        let inside = |record: &&Record| {
            let date = self.shown(record);
            let after = if self.from_inclusive { from <= date } else { from < date };
            let before = if self.to_inclusive { date <= to } else { date < to };
            after && before && record.appears <= now
        };
        let types = request.partition.as_ref().map(|partition| &partition.cdr_types);
        let chosen = |record: &&Record| types.is_none_or(|types| types.contains(&record.cdr_type));
        let mut found: Vec<&Record> = self.records.iter().filter(inside).filter(chosen).collect();
        let total = found.len();
        let sort = |found: &mut Vec<&Record>| match request.order {
            Some(Order::Ascending) => found.sort_by_key(|record| self.shown(record)),
            Some(Order::Descending) => found.sort_by_key(|record| -self.shown(record)),
            None => {}
        };
        if self.sort == Sort::Honest {
            sort(&mut found);
        }
        if total > self.limit {
            if self.over == Over::TooMany {
                return (Reply::TooMany { exact: true }, Vec::new());
            }
            found.truncate(self.limit);
        }
        if self.sort == Sort::AfterCutting {
            sort(&mut found);
        }
        let totals = self.over == Over::CutWithTotals;
        let evidence = Evidence {
            dates: found.iter().map(|record| at(self.shown(record))).collect(),
            listed: found.len(),
            total: totals.then_some(total as u64),
            returned: totals.then_some(found.len() as u64),
            minute_dates: self.minute_dates,
            second_dates: false,
            exact_bounds: true,
            server_date: Some(at(now - self.behind)),
        };
        (Reply::Answer(evidence), found.iter().map(|record| record.id).collect())
    }
}

fn settings(limit: usize) -> PlanSettings {
    PlanSettings {
        reading: ReadingSettings {
            limits: AnswerLimits { records: limit, round: ROUND, doubt_from: 1 },
            granularity: TimeDelta::seconds(1),
            min_window: TimeDelta::seconds(1),
            attempts: 3,
            partition: FilterPartition { cdr_types: vec![1, 4, 8, 9], ..FilterPartition::default() },
        },
        poll_interval: TimeDelta::seconds(60),
        newest: TimeDelta::minutes(15),
        lookback: TimeDelta::hours(1),
        lookback_every: TimeDelta::minutes(10),
        reconcile: vec![TimeDelta::hours(24)],
        max_window: TimeDelta::hours(12),
        gap_grain: TimeDelta::minutes(15),
    }
}

fn ledger(start: i64) -> Ledger {
    Ledger {
        history_start: at(start),
        kept_from: None,
        coverage: Coverage::new(),
        gaps: Vec::new(),
        rechecks: Vec::new(),
        profile: ApiProfile::default(),
        forecast: Forecast::default(),
    }
}

/// What a run is judged by.
struct Run {
    planner: Planner,
    read: BTreeSet<usize>,
    requests: Vec<Request>,
}

/// Runs until the planner is done, checking after each reply that it claimed nothing unread.
fn run(api: &Api, mut planner: Planner, start: i64, mut now: i64, most: usize) -> Result<Run, TestCaseError> {
    let mut run_requests: Vec<Request> = Vec::new();
    let mut read = BTreeSet::new();
    let mut asked_before = [now; 4];
    loop {
        let request = match planner.next(at(now)) {
            Next::Request(request) => request,
            Next::Wait(until) => {
                prop_assert!(until > at(now), "waits for the past");
                now = second(until);
                continue;
            }
            Next::Done => break,
        };
        prop_assert!(request.window.from() < request.window.to());
        prop_assert!(
            request.window.from() >= floor(at(start), TimeDelta::minutes(1)),
            "before the start: {request:?}"
        );
        prop_assert!(
            run_requests.len() < most,
            "does not end: {:?}",
            &run_requests[run_requests.len() - 20..]
        );
        let read_at = now;
        let (reply, ids) = api.answer(&request, run_requests.len() + 1, read_at);
        read.extend(ids);
        let progress = planner.absorb(&request, &reply, at(read_at));
        let lane = Lane::ALL.iter().position(|lane| *lane == request.lane).unwrap();
        for claim in &progress.claims {
            prop_assert!(claim.window.to() <= at(read_at), "claims the future");
            if progress.uncover.iter().any(|window| window.intersect(&claim.window).is_some()) {
                continue;
            }
            for record in &api.records {
                let inside = claim.window.contains(at(api.shown(record)));
                // A page that was continued was read at the request before this one.
                let due = record.appears <= asked_before[lane].min(read_at);
                prop_assert!(
                    !(inside && due) || read.contains(&record.id),
                    "claimed, never read: {record:?} by {request:?}"
                );
            }
        }
        if progress.hold == Hold::Nothing || matches!(reply, Reply::Answer(_)) {
            asked_before[lane] = read_at;
        }
        run_requests.push(request);
        now += 2;
    }
    Ok(Run { planner, read, requests: run_requests })
}

fn records(spread: i64, most: usize, late: i64) -> impl Strategy<Value = Vec<Record>> {
    let record = (0..spread, 0..=late, prop::sample::select(vec![1, 4, 8, 9]));
    let bursts = prop::collection::vec((0..spread, 1..12_usize), 0..4);
    (prop::collection::vec(record, 0..most), bursts).prop_map(|(singles, bursts)| {
        let bursts =
            bursts.into_iter().flat_map(|(date, n)| (0..n).map(move |i| (date, 0, [1, 4, 8, 9][i % 4])));
        let all = singles.into_iter().chain(bursts).enumerate();
        all.map(|(id, (date, late, cdr_type))| Record { id, date, appears: date + late, cdr_type }).collect()
    })
}

const SPREAD: i64 = 3 * 86_400;

fn api() -> impl Strategy<Value = Api> {
    let over = prop::sample::select(vec![Over::TooMany, Over::CutWithTotals, Over::CutSilently]);
    let sort = prop::sample::select(vec![Sort::Honest, Sort::AfterCutting, Sort::Ignored]);
    (over, sort, 1..8_usize, any::<(bool, bool, bool)>()).prop_flat_map(|(over, sort, limit, flags)| {
        let minute_dates = flags.2 && over != Over::CutSilently;
        // Silent limits are found out because they are round; and an answer that hides as many records as
        // appear meanwhile cannot be told from an honest one, so servers that cut first stand still here.
        let limit = if over == Over::CutSilently { limit.div_ceil(2) * ROUND } else { limit + 2 };
        let late = if over == Over::CutWithTotals && sort == Sort::Honest { 7200 } else { 0 };
        records(SPREAD, 200, late).prop_map(move |records| Api {
            records,
            limit,
            over,
            sort,
            from_inclusive: flags.0,
            to_inclusive: flags.1,
            minute_dates,
            poison: None,
            fails: None,
            behind: 0,
        })
    })
}

/// Everything that can be read was read, or stands as an open gap.
fn assert_complete(run: &Run, api: &Api, start: i64, until: i64) -> Result<(), TestCaseError> {
    let ledger = run.planner.ledger();
    let mut known = ledger.coverage.clone();
    for gap in &ledger.gaps {
        known.claim(gap.window, TimeDelta::zero());
    }
    let all = Window::new(at(start), floor(at(until), TimeDelta::minutes(1))).unwrap();
    prop_assert!(known.covers(all), "holes are left: {:?}", known.holes(all));
    for record in &api.records {
        let date = at(api.shown(record));
        let in_gap = ledger.gaps.iter().any(|gap| gap.window.contains(date));
        let due = record.appears < until && date >= at(start) && all.contains(date);
        prop_assert!(!due || in_gap || run.read.contains(&record.id), "never read: {record:?}");
    }
    Ok(())
}

/// `PROPTEST_CASES` requests for more.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    ProptestConfig { cases, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn one_pass_reads_every_record_and_claims_nothing_unproven(api in api(), start in 0..86_400_i64) {
        let now = SPREAD + 60;
        let planner = Planner::new(settings(10_000), Mode::Pass, ledger(start), at(now));
        let run = run(&api, planner, start, now, 6_000)?;
        assert_complete(&run, &api, start, now - 60)?;
    }

    #[test]
    fn failing_requests_lose_nothing(mut api in api(), every in 2..7_usize) {
        api.fails = Some(every);
        let now = SPREAD + 60;
        let planner = Planner::new(settings(10_000), Mode::Pass, ledger(0), at(now));
        let run = run(&api, planner, 0, now, 12_000)?;
        assert_complete(&run, &api, 0, now - 60)?;
    }

    #[test]
    fn a_window_that_always_fails_becomes_a_narrow_gap_and_nothing_else_is_lost(mut api in api(), poison in 3600..SPREAD - 7200) {
        api.poison = Some(poison);
        let now = SPREAD + 60;
        let planner = Planner::new(settings(10_000), Mode::Pass, ledger(0), at(now));
        let run = run(&api, planner, 0, now, 12_000)?;
        assert_complete(&run, &api, 0, now - 60)?;
        let gaps: TimeDelta = run.planner.ledger().gaps.iter().map(|gap| gap.window.len()).sum();
        prop_assert!(gaps > TimeDelta::zero() && gaps <= TimeDelta::hours(1), "{:?}", run.planner.ledger().gaps);
    }

    #[test]
    fn a_restart_at_any_request_goes_on_where_it_was(api in api(), stop in 1..60_usize) {
        let now = SPREAD + 60;
        let mut planner = Planner::new(settings(10_000), Mode::Pass, ledger(0), at(now));
        for nth in 1..=stop {
            let Next::Request(request) = planner.next(at(now)) else { break };
            let (reply, _) = api.answer(&request, nth, now);
            planner.absorb(&request, &reply, at(now));
        }
        let covered = planner.ledger().coverage.clone();
        let again = Planner::new(settings(10_000), Mode::Pass, planner.ledger().clone(), at(now));
        let run = run(&api, again, 0, now, 6_000)?;
        prop_assert!(covered.stretches().iter().all(|s| run.planner.ledger().coverage.covers(s.window)
            || run.requests.iter().any(|request| request.window.intersect(&s.window).is_some())));
        let known = &run.planner.ledger().coverage;
        let all = Window::new(at(0), at(now - 60)).unwrap();
        let gaps = &run.planner.ledger().gaps;
        prop_assert!(known.holes(all).iter().all(|hole| gaps.iter().any(|gap| gap.window.intersect(hole).is_some())));
    }
}

fn sorted_api() -> Api {
    let records = (0..5000).map(|id| Record { id, date: id as i64 * 50, appears: 0, cdr_type: 1 }).collect();
    Api {
        records,
        limit: 100,
        over: Over::CutWithTotals,
        sort: Sort::Honest,
        from_inclusive: true,
        to_inclusive: true,
        minute_dates: false,
        poison: None,
        fails: None,
        behind: 0,
    }
}

#[test]
fn an_api_whose_clock_is_behind_is_not_asked_in_vain_for_what_it_cannot_tell_yet() {
    let mut api = sorted_api();
    api.behind = 90;
    let now = SPREAD;
    let planner = Planner::new(settings(10_000), Mode::Pass, ledger(0), at(now));
    let run = run(&api, planner, 0, now, 100).unwrap();
    let end = run.planner.ledger().coverage.end().map(second).unwrap();
    assert!(
        (now - 90..now).contains(&end) && run.requests.len() < 60,
        "{end}, {} requests",
        run.requests.len()
    );
}

#[test]
fn a_sorted_server_is_read_with_the_fewest_requests() {
    let api = sorted_api();
    let now = SPREAD;
    let mut settings = settings(10_000);
    settings.max_window = TimeDelta::days(31);
    let planner = Planner::new(settings, Mode::Pass, ledger(0), at(now));
    let run = run(&api, planner, 0, now, 100).unwrap();
    assert_eq!(run.read.len(), 5000);
    assert!(run.requests.len() <= 53, "{} requests", run.requests.len());
}

/// A server that cuts before it sorts and shows minutes only; a page of its may come in order by chance.
fn chance_api(to_inclusive: bool, records: &[(i64, i32)]) -> Api {
    let records = records.iter().enumerate();
    let records =
        records.map(|(id, &(date, cdr_type))| Record { id, date, appears: date, cdr_type }).collect();
    Api {
        records,
        limit: 3,
        over: Over::CutWithTotals,
        sort: Sort::Ignored,
        to_inclusive,
        minute_dates: true,
        ..sorted_api()
    }
}

fn reads_all(api: &Api) {
    let now = SPREAD + 60;
    let planner = Planner::new(settings(10_000), Mode::Pass, ledger(0), at(now));
    let run = run(api, planner, 0, now, 1_000).unwrap();
    assert_complete(&run, api, 0, now - 60).unwrap();
}

#[test]
fn a_page_does_not_claim_the_unit_that_the_next_answer_counts_again() {
    let burst = |minute: i64| (0..9).map(move |n| (minute + 49, [1, 4, 8, 9][n % 4]));
    let mut records = vec![(226_500, 1), (216_000, 1), (233_820, 1), (233_820, 1)];
    records.extend(burst(233_760));
    reads_all(&chance_api(false, &records));
    reads_all(&chance_api(true, &[(217_980, 1), (217_980, 1), (217_920, 1), (218_111, 1)]));
}

#[test]
fn a_page_refuted_again_and_again_ends_in_a_gap_at_last() {
    let records = [247_260, 216_060, 216_120, 247_320, 259_020, 258_900].map(|date| (date, 1));
    reads_all(&chance_api(true, &records));
}
