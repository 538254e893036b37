//! Draws a server from the product of all behaviours, by a seed.

use fastrand::Rng;

use crate::servers::calls::{DAY, HOUR, MINUTE, Traffic};
use crate::servers::server::{Dates, Server, Sort, Totals, Trouble};

/// The behaviours that `FAMILIES` chooses from; what is not chosen is as in the vendor's document.
pub const FAMILIES: [&str; 17] = [
    "order",
    "limits",
    "totals",
    "error3",
    "ranges",
    "clocks",
    "dates",
    "bounds",
    "late",
    "slices",
    "failing",
    "empty",
    "slow",
    "trouble",
    "campaigns",
    "undated",
    "hidden",
];

/// A server, the calls of its history, and what it is called in the table.
pub struct Drawn {
    pub server: Server,
    pub traffic: Traffic,
    /// History is the seconds before this one; the test goes on after it.
    pub history: i64,
    pub until: i64,
    /// `api.record_limit` of the client.
    pub configured_limit: usize,
    pub poll_interval: i64,
    /// Behaviour and value, for the table.
    pub labels: Vec<(&'static str, String)>,
}

const LIMITS: [usize; 14] = [12, 20, 50, 99, 100, 120, 250, 250, 333, 500, 500, 500, 730, 1_000];

fn one<T: Copy>(random: &mut Rng, from: &[T]) -> T {
    from[random.usize(0..from.len())]
}

/// The value with this probability; the random numbers drawn are the same either way.
fn sometimes<T>(random: &mut Rng, share: f64, value: T) -> Option<T> {
    (random.f64() < share).then_some(value)
}

pub fn draw(seed: u64, families: &[String]) -> Drawn {
    let on = |family: &str| families.iter().any(|chosen| chosen == family);
    let mut random = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    let r = &mut random;
    let limit = one(r, &LIMITS);
    let days = r.i64(2..=40);
    let history = days * DAY;
    let until = history + 36 * HOUR;
    let ordinary = (limit.max(15) * r.usize(2..20)).clamp(100, 8_000);
    let traffic = traffic(r, &on, limit, days, ordinary);
    let limit_later = sometimes(r, 0.08, (history + 2 * HOUR, limit.div_ceil(2))).filter(|_| on("limits"));
    let unlimited = sometimes(r, 0.05, usize::MAX).filter(|_| on("limits"));
    let limit = unlimited.unwrap_or(if on("limits") { limit } else { 500 });
    let announced = sometimes(r, 0.2, limit.min(500));
    let (sort, totals, refuses) = (sort(r), totals(r, limit), r.f64() < 0.2);
    let dates = one(r, &[Dates::Seconds, Dates::Seconds, Dates::Minutes, Dates::Trimmed]);
    let (from_inclusive, to_inclusive, slices) = (r.f64() < 0.7, r.f64() < 0.7, r.f64() < 0.7);
    let clock = if r.f64() < 0.4 { r.i64(-300..300) } else { 0 };
    let date_header = r.f64() < 0.85;
    let length = one(r, &[HOUR * 6, DAY, 7 * DAY, 7 * DAY, 30 * DAY]);
    let longest_range = sometimes(r, 0.25, length).filter(|_| on("ranges"));
    let refuses_future = r.f64() < 0.35 && on("ranges");
    let kept = (r.i64(DAY..history), r.f64() < 0.7);
    let keeps = sometimes(r, 0.15, kept).filter(|_| on("ranges"));
    let share = one(r, &[0.02, 0.1, 0.3]);
    let failing_share = sometimes(r, 0.25, share).filter(|_| on("failing")).unwrap_or_default();
    let poison = r.i64(HOUR..history - HOUR);
    let poison = sometimes(r, 0.08, poison).filter(|_| on("failing"));
    let share = one(r, &[0.01, 0.05]);
    let empty_share = sometimes(r, 0.2, share).filter(|_| on("empty")).unwrap_or_default();
    let tenth = r.f64() < 0.3;
    let slow = (one(r, &[6 * HOUR, DAY, 3 * DAY, i64::MAX]), one(r, &[300, 1_000, usize::MAX]));
    let slow = sometimes(r, 0.15, slow).filter(|_| on("slow"));
    let kind = one(r, &[Trouble::Failed, Trouble::TooMany, Trouble::Invalid, Trouble::Empty]);
    let (first, requests) = (r.usize(1..40), r.usize(1..60));
    let trouble = sometimes(r, 0.2, (kind, first, first + requests)).filter(|_| on("trouble"));
    // A lower limit at which answers are cut in silence shows in nothing but round lengths.
    let shows = refuses && on("error3") || totals == Totals::True || !on("totals");
    let limit_later = limit_later.filter(|later| shows || later.1.is_multiple_of(500));
    let mut server = Server {
        limit,
        limit_later: limit_later.filter(|_| unlimited.is_none()),
        refuses: refuses && on("error3"),
        sort: if on("order") { sort } else { Sort::Honoured },
        totals: if on("totals") { totals } else { Totals::True },
        returned: r.f64() < 0.9,
        dates: if on("dates") { dates } else { Dates::Seconds },
        from_inclusive: from_inclusive || !on("bounds"),
        to_inclusive: to_inclusive || !on("bounds"),
        slices: slices || !on("slices"),
        clock: if on("clocks") { clock } else { 0 },
        date_header: date_header || !on("clocks"),
        longest_range,
        refuses_future,
        keeps,
        failing_share,
        empty_share,
        tenth,
        slow,
        poison,
        trouble,
        healed: history + 5 * HOUR,
        calls: Vec::new(),
        denied: Vec::new(),
        cheated: Vec::new(),
        hid: 0,
        requests: 0,
        random: r.fork(),
    };
    server.calls = traffic.calls(until + HOUR, r);
    server.denied = vec![0; server.calls.len()];
    server.cheated = vec![None; server.calls.len()];
    let configured_limit = announced.unwrap_or(10_000);
    let poll_interval = one(r, &[MINUTE, 5 * MINUTE, 5 * MINUTE]);
    let labels = labels(&server, &traffic, configured_limit);
    Drawn { server, traffic, history, until, configured_limit, poll_interval, labels }
}

fn traffic(r: &mut Rng, on: &impl Fn(&str) -> bool, limit: usize, days: i64, ordinary: usize) -> Traffic {
    let mut campaigns = Vec::new();
    let many = r.f64() < 0.4;
    for day in 0..days.min(12) {
        for _ in 0..r.usize(0..3) {
            // One second alone can hold more than an answer.
            let length = if r.f64() < 0.03 { 1 } else { r.i64(60..=120) };
            let begin = day * DAY + r.i64(8 * HOUR..16 * HOUR);
            campaigns.push((begin, limit + limit * 2 / 5, length));
        }
    }
    let late_share = one(r, &[0.0, 0.0, 0.02, 0.1]);
    let vanish_share = one(r, &[0.0, 0.01]);
    let undated_share = sometimes(r, 0.1, 0.01).unwrap_or_default();
    let hidden = r.usize(1..4);
    let hidden = sometimes(r, 0.08, hidden).unwrap_or_default();
    Traffic {
        days,
        ordinary,
        campaigns: if many && on("campaigns") { campaigns } else { Vec::new() },
        late_share: if on("late") { late_share } else { 0.0 },
        vanish_share: if on("late") { vanish_share } else { 0.0 },
        undated_share: if on("undated") { undated_share } else { 0.0 },
        hidden: if on("hidden") { hidden } else { 0 },
    }
}

fn sort(r: &mut Rng) -> Sort {
    one(
        r,
        &[
            Sort::Honoured,
            Sort::Honoured,
            Sort::HonouredLoosely,
            Sort::Reversed,
            Sort::OldestFirst,
            Sort::NewestFirst,
            Sort::Shuffled,
            Sort::Random,
            Sort::AfterCut,
        ],
    )
}

fn totals(r: &mut Rng, limit: usize) -> Totals {
    let most = limit.saturating_mul(r.usize(1..5));
    let all = [Totals::True, Totals::True, Totals::True, Totals::AfterCut, Totals::Absent, Totals::Absent];
    match r.usize(0..8) {
        6 => Totals::UpTo(most),
        7 => Totals::Sometimes,
        index => all[index],
    }
}

fn labels(server: &Server, traffic: &Traffic, configured: usize) -> Vec<(&'static str, String)> {
    let plain = |is: bool, name: &str| if is { name.to_owned() } else { "no".to_owned() };
    let limit = match server.limit {
        usize::MAX => "none",
        limit if limit == configured => "announced",
        _ if server.limit_later.is_some() => "lowered later",
        limit if limit.is_multiple_of(500) => "round",
        limit if limit < 100 => "below 100",
        _ => "odd",
    };
    let totals = match server.totals {
        Totals::UpTo(_) => "UpTo".to_owned(),
        totals => format!("{totals:?}"),
    };
    let bounds = match (server.from_inclusive, server.to_inclusive) {
        (true, true) => "inclusive",
        (false, false) => "exclusive",
        _ => "half-open",
    };
    let clock = match server.clock {
        0 => "right",
        ..0 => "behind",
        _ => "ahead",
    };
    let trouble = server.trouble.map_or("no".to_owned(), |(trouble, ..)| format!("{trouble:?}"));
    let keeps = match server.keeps {
        None => "all",
        Some((_, true)) => "refuses older",
        Some((_, false)) => "purged",
    };
    let over = match (server.refuses, server.totals) {
        (true, _) => "error 3".to_owned(),
        (false, _) => format!("cut, {totals}"),
    };
    vec![
        ("over the limit", over),
        ("order", format!("{:?}", server.sort)),
        ("limit", limit.to_owned()),
        ("dates", format!("{:?}", server.dates)),
        ("bounds", bounds.to_owned()),
        ("clock", clock.to_owned()),
        ("date header", plain(server.date_header, "yes")),
        ("longest range", plain(server.longest_range.is_some(), "limited")),
        ("future todate", plain(server.refuses_future, "refused")),
        ("keeps", keeps.to_owned()),
        ("slices", plain(server.slices, "honoured")),
        ("failing", plain(server.failing_share > 0.0, "by chance")),
        ("poison", plain(server.poison.is_some(), "one second")),
        ("false empty", plain(server.empty_share > 0.0, "by chance")),
        ("slow", plain(server.slow.is_some(), "times out")),
        ("trouble", trouble),
        ("late calls", plain(traffic.late_share + traffic.vanish_share > 0.0, "some")),
        ("campaigns", plain(!traffic.campaigns.is_empty(), "some")),
        ("undated", plain(traffic.undated_share > 0.0, "some")),
        ("hidden", plain(traffic.hidden > 0, "some")),
    ]
}
