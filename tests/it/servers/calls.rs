//! The calls of a drawn server: where they lie in time, when they appear, and which vanish.

use fastrand::Rng;

pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 86_400;
/// `cdrTypes` that calls have.
pub const TYPES: [i32; 4] = [1, 4, 8, 9];

#[derive(Clone, Debug)]
pub struct Call {
    /// The second that its Date names.
    pub date: i64,
    pub appears: i64,
    pub vanishes: i64,
    pub cdr_type: i32,
    /// The client can read no Date of it.
    pub undated: bool,
    /// Counted in totals, never given out.
    pub hidden: bool,
}

/// What kind of calls there are.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub days: i64,
    pub ordinary: usize,
    /// Each: its second, how many calls, within how many seconds.
    pub campaigns: Vec<(i64, usize, i64)>,
    pub late_share: f64,
    pub vanish_share: f64,
    pub undated_share: f64,
    pub hidden: usize,
}

/// Calls of an office in each hour of a day.
const HOURS: [u32; 24] =
    [1, 1, 0, 0, 0, 1, 3, 15, 55, 90, 100, 95, 80, 70, 75, 70, 60, 40, 25, 15, 10, 6, 4, 2];

impl Traffic {
    /// All calls from second 0 on, by date; `horizon` is the end of the test's time.
    pub fn calls(&self, horizon: i64, random: &mut Rng) -> Vec<Call> {
        // This is the number in history; the days of the test go on at the same rate.
        let per_day = self.ordinary as f64 / self.days as f64;
        let number = (per_day * horizon as f64 / DAY as f64) as usize;
        let mut dates: Vec<i64> = (0..number).map(|_| office_second(horizon, random)).collect();
        for (begin, calls, length) in &self.campaigns {
            dates.extend((0..*calls).map(|_| begin + random.i64(0..*length)));
        }
        dates.sort_unstable();
        let mut calls: Vec<Call> = dates.into_iter().map(|date| self.call(date, random)).collect();
        for _ in 0..self.hidden.min(calls.len()) {
            let index = random.usize(0..calls.len());
            calls[index].hidden = true;
        }
        calls
    }

    fn call(&self, date: i64, random: &mut Rng) -> Call {
        let mut lag = random.i64(MINUTE..8 * MINUTE);
        if random.f64() < self.late_share {
            lag += random.i64(HOUR..5 * HOUR);
        }
        let appears = date + lag;
        let vanishes = match random.f64() < self.vanish_share {
            true => appears + random.i64(MINUTE..20 * DAY),
            false => i64::MAX / 2,
        };
        let cdr_type = TYPES[random.usize(0..TYPES.len())];
        let undated = random.f64() < self.undated_share;
        Call { date, appears, vanishes, cdr_type, undated, hidden: false }
    }
}

fn office_second(horizon: i64, random: &mut Rng) -> i64 {
    let mut ticket = random.u32(0..HOURS.iter().sum());
    let hour = HOURS.iter().position(|calls| match ticket.checked_sub(*calls) {
        Some(left) => {
            ticket = left;
            false
        }
        None => true,
    });
    let second = random.i64(0..horizon).div_euclid(DAY) * DAY + hour.unwrap_or(12) as i64 * HOUR;
    (second + random.i64(0..HOUR)).min(horizon - 1)
}

/// The fewest answers of at most `limit` calls, each of at most `longest` seconds, that hold all these dates.
pub fn fewest(dates: &[i64], limit: usize, longest: i64) -> usize {
    let mut requests = 0;
    let mut left = dates;
    while let Some(first) = left.first() {
        let take = left.partition_point(|date| *date < first + longest).min(limit.max(1));
        left = &left[take..];
        requests += 1;
    }
    requests
}
