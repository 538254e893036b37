//! `cdr-sync simulate`: the simulator on its own.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Utc};
use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use super::faults::Fault;
use super::options::{
    ApiGeneration, Company, DateForm, DialectOptions, OverLimit, RateClock, RefusalOptions, SimulatorOptions,
    SortBehaviour, TotalCounts, WorldOptions,
};
use super::{Simulator, SimulatorError};
use crate::clock::WorldClock;

/// A simulated Voicenter API with invented calls that keep arriving.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  cdr-sync simulate\n  \
                  cdr-sync simulate --generation v0.1 --calls-per-day 3000 --record-limit 500\n  \
                  cdr-sync simulate --fault rate-limited=0.05 --fault http500=0.02")]
pub struct SimulateArgs {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// The kind of company whose calls are generated
    #[arg(long, value_enum, default_value_t = Company::IndependentCalls)]
    pub world: Company,
    /// Seed of the generated calls: the same seed gives the same calls
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// CDRs per day, averaged over a week
    #[arg(long, default_value_t = 10_000.0, value_parser = non_negative)]
    pub calls_per_day: f64,
    /// The start of the oldest call (RFC 3339 or YYYY-MM-DD) [default: 30 days ago]
    #[arg(long, value_parser = instant)]
    pub from: Option<DateTime<Utc>>,
    /// The generation of the API to simulate
    #[arg(long, value_enum, default_value_t = ApiGeneration::Current)]
    pub generation: ApiGeneration,
    /// The most records in one answer
    #[arg(long, default_value_t = 10_000)]
    pub record_limit: usize,
    /// What to do when more records match
    #[arg(long, value_enum, default_value_t = OverLimit::Documented)]
    pub over_limit: OverLimit,
    /// What TOTAL_HITS counts
    #[arg(long, value_enum, default_value_t = Totals::Before)]
    pub totals: Totals,
    /// The same as --totals none
    #[arg(long, hide = true, conflicts_with = "totals")]
    pub no_totals: bool,
    /// The most requests in any 60 seconds; 0 means no limit
    #[arg(long, default_value_t = 30)]
    pub requests_per_minute: u32,
    /// The code to accept
    #[arg(long, default_value = "simulated-code", value_parser = secret)]
    pub code: SecretString,
    /// The bearer token to accept (current generation only)
    #[arg(long, value_parser = secret)]
    pub token: Option<SecretString>,
    /// Refuse the code with error 4, as if the address were not whitelisted
    #[arg(long)]
    pub refuse_address: bool,
    /// What `sort` does, and in which order records are returned
    #[arg(long, value_enum, default_value_t = SortBehaviour::Honest)]
    pub sort: SortBehaviour,
    /// Refuse these keys of requests (sort, version, callID), fields (UserId) or spellings in sort (sort=Date)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub refuse: Vec<String>,
    /// Do not say in refusals what is refused
    #[arg(long)]
    pub unspecific: bool,
    /// Refuse longer ranges with error 5, as in 12h or 7d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub longest_range: Option<TimeDelta>,
    /// Refuse a todate in the API's future with error 5
    #[arg(long)]
    pub refuse_future: bool,
    /// Refuse a fromdate further back with error 5, as in 10d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub horizon: Option<TimeDelta>,
    /// Drop older records silently, as in 90d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub purged_after: Option<TimeDelta>,
    /// How far the API's clock is ahead, as in 20s, or behind, as in -20s
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = span, allow_hyphen_values = true)]
    pub clock_offset: TimeDelta,
    /// Send a Date header that cannot be parsed
    #[arg(long)]
    pub no_date_header: bool,
    /// Campaigns per day; each makes 700 calls within a minute or two
    #[arg(long, default_value_t = 0.0, value_parser = non_negative)]
    pub campaigns_per_day: f64,
    /// Make a share of the answers fail, as in http500=0.05; repeatable
    #[arg(long = "fault", value_name = "KIND=SHARE", value_parser = fault, long_help = fault_help())]
    pub faults: Vec<(Fault, f64)>,
    /// The time that each answer takes, as in 300ms or 2s
    #[arg(long, default_value = "0ms", value_parser = duration)]
    pub latency: Duration,
    /// IANA zone of zoneless dates and bounds [default: Asia/Jerusalem for v0.1, otherwise UTC]
    #[arg(long)]
    pub zone: Option<Tz>,
    /// The form of Date [default: plain for v0.1, otherwise zulu]
    #[arg(long, value_enum)]
    pub date_form: Option<DateForm>,
    /// Send field names in lower case
    #[arg(long)]
    pub lower_case_names: bool,
    /// Send numbers and booleans as strings
    #[arg(long)]
    pub text_numbers: bool,
    /// Share of CDRs that appear late: an hour or more after their call, at a call centre ten minutes or more
    /// [default: 0.01, at a call centre 0.05]
    #[arg(long, value_parser = share)]
    pub late_share: Option<f64>,
    /// Share of CDRs that change after they have appeared
    #[arg(long, default_value_t = 0.15, value_parser = share)]
    pub change_share: f64,
    /// Share of CDRs that vanish
    #[arg(long, default_value_t = 0.0005, value_parser = share)]
    pub vanish_share: f64,
    /// Generate only short calls whose records appear on time and never change or vanish
    #[arg(long, conflicts_with_all = ["late_share", "change_share", "vanish_share"])]
    pub steady: bool,
}

/// What the TOTAL_HITS of an answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Totals {
    /// All records that match, before the cut.
    Before,
    /// The records left after the cut, so a cut answer looks complete.
    After,
    /// Neither TOTAL_HITS nor RETURN_HITS is sent.
    None,
}

impl SimulateArgs {
    /// The options that these arguments mean; `now` is the present.
    pub fn options(&self, now: DateTime<Utc>) -> SimulatorOptions {
        let month_ago = now.trunc_subsecs(0) - TimeDelta::days(30);
        let usual = match self.world {
            Company::IndependentCalls => WorldOptions::default(),
            Company::CallCentre => WorldOptions::call_centre(),
        };
        let world = WorldOptions {
            seed: self.seed,
            calls_per_day: self.calls_per_day,
            campaigns_per_day: self.campaigns_per_day,
            from: self.from.unwrap_or(month_ago),
            late_share: self.late_share.unwrap_or(usual.late_share),
            change_share: self.change_share,
            vanish_share: self.vanish_share,
            ..usual
        };
        SimulatorOptions {
            listen: self.listen,
            world: if self.steady { WorldOptions { long_share: 0.0, ..world.unchanging() } } else { world },
            generation: self.generation,
            dialect: DialectOptions {
                zone: self.zone,
                date_form: self.date_form,
                lower_case_names: self.lower_case_names,
                text_numbers: self.text_numbers,
                date_epoch: true,
            },
            record_limit: self.record_limit,
            over_limit: self.over_limit,
            totals: !self.no_totals && self.totals != Totals::None,
            total_counts: match self.totals {
                Totals::After => TotalCounts::Returned,
                Totals::Before | Totals::None => TotalCounts::All,
            },
            sort: self.sort,
            refusals: RefusalOptions {
                names: self.refuse.clone(),
                unspecific: self.unspecific,
                longest_range: self.longest_range,
                future: self.refuse_future,
                horizon: self.horizon,
                purged_after: self.purged_after,
            },
            clock_offset: self.clock_offset,
            date_header: !self.no_date_header,
            requests_per_minute: self.requests_per_minute,
            rate_clock: RateClock::Real,
            code: self.code.clone(),
            token: self.token.clone(),
            refuse_address: self.refuse_address,
            latency: self.latency,
            ..SimulatorOptions::default()
        }
    }
}

/// Simulates until `shutdown` is done. Prints to stdout how to call the simulator, and logs each request.
///
/// # Errors
///
/// If the address cannot be listened on.
pub async fn run(
    args: SimulateArgs,
    clock: impl Into<WorldClock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SimulatorError> {
    let clock = clock.into();
    let options = args.options(clock.now());
    let now = clock.now();
    let simulator = Simulator::start(options, clock).await?;
    for (fault, share) in &args.faults {
        simulator.faults().share(*fault, *share);
    }
    println!("{}", usage(&simulator, now));
    shutdown.await;
    simulator.stop().await;
    Ok(())
}

/// Explains how to call a simulator, with a command that can be copied.
pub(crate) fn usage(simulator: &Simulator, now: DateTime<Utc>) -> String {
    let options = simulator.options();
    let zone = super::Dialect::of(options).zone;
    let wall = |instant: DateTime<Utc>| instant.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S").to_string();
    let body = serde_json::json!({
        "code": options.code.expose_secret(),
        "format": "JSON",
        "search": {"fromdate": wall(now - TimeDelta::hours(1)), "todate": wall(now)},
    });
    let body = body.to_string().replace('\'', "'\\''");
    format!(
        "A simulated Voicenter API is listening on {url}\n\nThe calls of the last hour:\n\n  \
         curl --silent --header 'Content-Type: application/json' --data '{body}' {url}\n",
        url = simulator.url()
    )
}

fn secret(text: &str) -> Result<SecretString, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.into()) }
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let date =
        || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(chrono::NaiveTime::MIN));
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.to_utc())
        .or_else(|_| date().map(|date| date.and_utc()).ok_or(()))
        .map_err(|()| "write it like 2026-01-31 or 2026-01-31T08:00:00Z".to_owned())
}

fn non_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=10_000_000.0).contains(&number) => Ok(number),
        _ => Err("must be a number from 0 to 10000000".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a share from 0 to 1".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    match (number.parse::<u64>(), unit) {
        (Ok(number), "ms") => Ok(Duration::from_millis(number)),
        (Ok(number), "s") => Ok(Duration::from_secs(number)),
        _ => Err("write it like 300ms or 2s".to_owned()),
    }
}

/// Parses a length of time in whole seconds, minutes, hours or days, which may be negative.
fn span(text: &str) -> Result<TimeDelta, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).and_then(|number| number.parse::<i64>().ok());
    number
        .filter(|_| unit > 0)
        .and_then(|number| TimeDelta::try_seconds(number.checked_mul(unit)?))
        .filter(|span| span.num_days().abs() <= 36_500)
        .ok_or_else(|| "write it like 20s, 15m, 12h or 7d".to_owned())
}

fn fault(text: &str) -> Result<(Fault, f64), String> {
    let (kind, part) = text.split_once('=').ok_or("write it as KIND=SHARE, like http500=0.05")?;
    let kind = Fault::from_str(kind, false)
        .map_err(|_| format!("unknown fault {kind}; known are: {}", fault_names()))?;
    Ok((kind, share(part)?))
}

fn fault_names() -> String {
    Fault::all().iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ")
}

fn fault_help() -> String {
    format!("Make a share of the answers fail, as in http500=0.05; repeatable. Kinds: {}", fault_names())
}
