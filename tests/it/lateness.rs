//! Hours that are called settled, held to their promise: the real planner reads a world in which calls appear late, for
//! a year and more of its own time, and what was learned on the way decides which hours are settled.

mod world;

use chrono::TimeDelta;
use world::{Server, Year};

/// Late as Voicenter's accounts are: 95 % of calls within 10 minutes after they ended, 4 % within 3 hours, 0.9 % within
/// a day, 0.1 % within a week.
const LATE: Server = Server { steps: &[(0.95, 10), (0.99, 180), (0.999, 1_440), (1.0, 10_080)] };
/// Nothing appears later than ten minutes after its end.
const PROMPT: Server = Server { steps: &[(1.0, 10)] };

const WEEK: TimeDelta = TimeDelta::days(7);
const LAST: TimeDelta = TimeDelta::days(30);

#[test]
fn of_the_hours_called_settled_at_most_one_in_a_thousand_changes_and_they_settle_after_a_week() {
    let (mut settled, mut changed, mut busy) = (0, 0, None);
    for calls in [2.0, 15.0, 60.0] {
        let year = Year::of(LATE, calls, 300, 7);
        println!("{calls:>5} calls an hour, 300 days: {year}");
        assert!(year.changed * 1_000 <= year.settled, "{calls} calls an hour: {year}");
        assert!(year.settled_early > 1_000, "only the last age settles: nothing was learned: {year}");
        (settled, changed) = (settled + year.settled, changed + year.changed);
        busy = Some(year);
    }
    println!(
        "all: {changed} of {settled} settled hours changed afterwards ({:.4} %)",
        share(changed, settled)
    );
    // Of busy hours, many get a call more than a day after they were over: a day would be a false promise.
    let busy = busy.unwrap();
    assert_eq!(busy.settled_after, WEEK, "{busy}");
    assert!(
        busy.would_change_after_a_day * 100 > busy.hours,
        "the world is too tame to prove anything: {busy}"
    );
}

/// So few calls that a day is almost enough: where chance could settle hours too soon.
#[test]
fn of_a_quiet_account_no_more_settled_hours_change_either() {
    let (mut settled, mut changed) = (0, 0);
    for seed in 0..5 {
        let year = Year::of(LATE, 0.7, 500, seed);
        println!("0.7 calls an hour, 500 days, seed {seed}: {year}");
        (settled, changed) = (settled + year.settled, changed + year.changed);
    }
    println!(
        "quiet: {changed} of {settled} settled hours changed afterwards ({:.4} %)",
        share(changed, settled)
    );
    assert!(changed * 1_000 <= settled, "{changed} of {settled}");
}

#[test]
fn while_little_is_known_only_the_last_age_settles() {
    let year = Year::of(LATE, 15.0, 60, 7);
    println!("60 days: {year}");
    assert_eq!((year.settled_after, year.settled_early, year.changed), (LAST, 0, 0), "{year}");
}

#[test]
fn a_prompt_server_settles_after_the_lookback_and_a_change_for_the_worse_is_noticed_within_days() {
    let prompt = Year::of(PROMPT, 15.0, 200, 7);
    println!("prompt: {prompt}");
    assert_eq!((prompt.settled_after, prompt.changed), (TimeDelta::hours(3), 0), "{prompt}");
    let worse = Year::changing(PROMPT, 200, LATE, 15.0, 230, 7);
    println!("worse from day 200 on: {worse}");
    assert!(worse.settled_after >= TimeDelta::days(1), "{worse}");
    // The re-read after a day is the first that can show it, and few changed hours are enough.
    assert!(0 < worse.changed && worse.changed <= 24, "{worse}");
}

fn share(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}
