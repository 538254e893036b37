//! The rate, and what of the row is believed: pure.

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

#[test]
fn only_what_somebody_could_have_reserved_is_believed() {
    let rate = Rate::new(30, 2);
    let used = |arrival: i64, paused: i64| Used {
        rate,
        arrival_at: at(arrival),
        last_send_at: at(arrival.min(0)),
        paused_until: at(paused),
    };
    let wait = |used: Used| used.reserve(rate, at(0)).map(|(send_at, _)| send_at - at(0));
    assert_eq!(wait(used(40, -10)), Ok(TimeDelta::seconds(40) - rate.allowance));
    assert_eq!(wait(used(-10, 3_600)), Ok(TimeDelta::hours(1)), "a pause of an hour");
    assert!(wait(used(63, -10)).is_err(), "too many wait");
    assert_eq!(wait(used(7_200, -10)), Ok(rate.spacing), "two hours: a clock ran fast");
    assert_eq!(wait(used(-10, 7_200)), Ok(TimeDelta::zero()), "a pause that nobody makes");
}

fn lowered(to: u32, seconds: i64) -> Option<Lowered> {
    Some(Lowered { to, since: TimeDelta::seconds(seconds) })
}

#[test]
fn a_rate_falls_by_half_and_rises_by_one_each_minute() {
    assert_eq!(Lowered::now(None, 30), 30);
    assert_eq!(Lowered::after_error(None, 30), Some(15));
    let now = |seconds| Lowered::now(lowered(15, seconds), 30);
    assert_eq!([-20, 0, 59, 60, 600, 900, 90_000].map(now), [15, 15, 15, 16, 25, 30, 30]);
    assert_eq!(Lowered::after_error(lowered(15, 600), 30), Some(12));
    assert_eq!(Lowered::after_error(lowered(15, -1), 30), None);
}

#[test]
fn a_rate_never_falls_below_the_floor_nor_rises_above_what_is_configured() {
    let after = |to, configured| Lowered::after_error(lowered(to, 0), configured);
    assert_eq!(
        [(3, 30), (2, 30), (1, 1), (30, 3)].map(|(to, c)| after(to, c)),
        [Some(2), Some(2), Some(1), Some(2)]
    );
    assert_eq!(Lowered::now(lowered(15, 0), 10), 10);
    assert_eq!(Lowered::now(lowered(u32::MAX, i64::from(u32::MAX)), 10), 10);
}

#[test]
fn spacing_and_burst_together_stay_below_the_rate_for_every_setting() {
    for per_minute in 1..200_u32 {
        for burst in 1..=per_minute {
            let rate = Rate::new(per_minute, burst);
            let in_a_minute = i64::from(burst) + 60_750_000 / rate.spacing.num_microseconds().unwrap();
            assert!(in_a_minute <= i64::from(per_minute), "{per_minute}/{burst}: {in_a_minute}");
        }
    }
}

#[test]
fn senseless_settings_give_the_nearest_sensible_rate() {
    assert_eq!(Rate::new(0, 0), Rate::new(1, 1));
    assert_eq!(Rate::new(10, 50), Rate::new(10, 10));
}

/// The row as `slow_down_at` and `reserve_at` keep it.
struct Row(Used, Option<(u32, DateTime<Utc>)>);

impl Row {
    fn lowered(&self, now: DateTime<Utc>) -> Option<Lowered> {
        let since = |at: DateTime<Utc>| TimeDelta::seconds((now - at).num_milliseconds().div_euclid(1000));
        self.1.map(|(to, at)| Lowered { to, since: since(at) })
    }

    fn reserve(&mut self, per_minute: u32, burst: u32, now: &mut DateTime<Utc>) -> DateTime<Utc> {
        loop {
            let effective = Lowered::now(self.lowered(*now), per_minute);
            match self.0.reserve(Rate::new(effective, burst * effective / per_minute), *now) {
                Ok((send_at, used)) => {
                    self.0 = used;
                    return send_at;
                }
                Err(wait) => *now += TimeDelta::from_std(wait).unwrap(),
            }
        }
    }

    fn slow_down(&mut self, per_minute: u32, pause: TimeDelta, now: DateTime<Utc>) {
        let to = Lowered::after_error(self.lowered(now), per_minute);
        self.0.paused_until = self.0.paused_until.max(now + pause);
        self.1 = to.or(self.1.map(|(to, _)| to)).map(|to| (to, self.0.paused_until));
    }
}

#[test]
fn no_minute_holds_too_many_however_often_the_rate_falls_and_rises() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..6_000 {
        let (per_minute, burst, never) = (random.u32(2..40), random.u32(1..6), TimeDelta::zero());
        let (past, rate) = (DateTime::UNIX_EPOCH, Rate { spacing: never, allowance: never });
        let used = Used { rate, arrival_at: past, last_send_at: past, paused_until: past };
        let (mut row, mut now, mut sent) = (Row(used, None), at(0), Vec::new());
        for _ in 0..random.usize(30..90) {
            let longest = if random.bool() { 7_000 } else { 300 };
            now += TimeDelta::milliseconds(random.i64(0..longest));
            sent.push(row.reserve(per_minute, burst, &mut now));
            if random.u8(0..40) == 0 {
                row.slow_down(per_minute, TimeDelta::seconds(random.i64(0..60)), now);
            }
        }
        sent.sort_unstable();
        for pair in sent.windows(per_minute as usize + 1) {
            let apart = pair[pair.len() - 1] - pair[0];
            assert!(apart > TimeDelta::milliseconds(60_750), "{} within {apart} at {per_minute}", pair.len());
        }
    }
}
