//! `cdr-sync simulate`: the simulator on its own.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use super::call_history::HistoryOptions;
use super::dialect::Dialect;
use super::faults::{Fault, SHARES_TOO_LARGE};
use super::options::{
    ApiGeneration, Company, DateForm, DialectOptions, OverLimit, RateClock, RefusalOptions, SimulatorOptions,
    SortBehaviour, TlsOptions, TotalCounts, WorldOptions,
};
use super::parse::{
    FaultArgument, duration, fault_help, instant, listen, non_negative, present, secret, share, span,
};
use super::push::PushArgs;
use super::record::Record;
use super::recordings::RecordingAnswer;
use super::{Simulator, SimulatorError, records_file};
use crate::clock::{AdjustableClock, WorldClock};

/// A simulated Voicenter API with invented calls that keep arriving, or with calls from a file.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  cdr-sync simulate\n  \
                  cdr-sync simulate --generation v0.1 --calls-per-day 3000 --record-limit 500\n  \
                  cdr-sync simulate --fault rate-limited=0.05 --fault http500=0.02\n  \
                  cdr-sync simulate --now 2026-06-08T12:00:00Z --records calls.json --quiet\n\n\
                  Beside the API, /simulator/ changes faults, clock and records while it runs, and lists the requests \
                  received: docs/simulator.md")]
pub struct SimulateArgs {
    /// The address to listen on: 8081 for this host only, :8081 for every interface, or IP:PORT
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081", value_parser = listen)]
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
    /// Serve the records in this file instead of generated ones: a JSON list, one JSON object a line, or a saved answer
    #[arg(long, value_name = "FILE", conflicts_with_all = GENERATED)]
    pub records: Option<PathBuf>,
    /// The present of the simulated calls (RFC 3339 or YYYY-MM-DD): it stands still until it is moved at
    /// /simulator/clock [default: the host's clock]
    #[arg(long, value_name = "TIME", value_parser = present)]
    pub now: Option<DateTime<Utc>>,
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
    /// What a server may do although no document says so. Boxed, because all the arguments together are large.
    #[command(flatten)]
    pub undocumented: Box<UndocumentedArgs>,
    /// Campaigns per day; each makes 700 calls within a minute or two
    #[arg(long, default_value_t = 0.0, value_parser = non_negative)]
    pub campaigns_per_day: f64,
    /// Make a share of the answers fail, as in http500=0.05; repeatable
    #[arg(long = "fault", value_name = "KIND=SHARE", value_parser = FaultArgument, hide_possible_values = true, long_help = fault_help())]
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
    /// Let the RecordURL of generated calls lead here, and answer such links like this
    #[arg(long, value_enum, value_name = "ANSWER")]
    pub recordings: Option<RecordingAnswer>,
    /// Answer GetCallHistory (/api-manager-v1/Call/History/CALLID) for this bearer token
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    pub history_token: Option<SecretString>,
    /// Requests for it that are answered in a week
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub history_per_week: usize,
    /// How notifications are sent. Boxed for the same reason.
    #[command(flatten)]
    pub push: Box<PushArgs>,
    /// Serve HTTPS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Serve the API alone, without /simulator/
    #[arg(long)]
    pub no_admin: bool,
    /// Generate only short calls whose records appear on time and never change or vanish
    #[arg(long, conflicts_with_all = ["late_share", "change_share", "vanish_share"])]
    pub steady: bool,
}

/// What a server may do although no document says so.
#[derive(Args, Clone, Debug)]
pub struct UndocumentedArgs {
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
}

/// Arguments about generated calls, which mean nothing beside records from a file.
const GENERATED: [&str; 8] = [
    "world",
    "calls_per_day",
    "campaigns_per_day",
    "from",
    "late_share",
    "change_share",
    "vanish_share",
    "steady",
];

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
        let server = &self.undocumented;
        let month_ago = now.trunc_subsecs(0) - TimeDelta::days(30);
        let usual = match self.world {
            Company::IndependentCalls => WorldOptions::default(),
            Company::CallCentre => WorldOptions::call_centre(),
        };
        let world = WorldOptions {
            seed: self.seed,
            calls_per_day: if self.records.is_some() { 0.0 } else { self.calls_per_day },
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
                names: server.refuse.clone(),
                unspecific: server.unspecific,
                longest_range: server.longest_range,
                future: server.refuse_future,
                horizon: server.horizon,
                purged_after: server.purged_after,
            },
            clock_offset: server.clock_offset,
            date_header: !server.no_date_header,
            requests_per_minute: self.requests_per_minute,
            rate_clock: RateClock::Real,
            code: self.code.clone(),
            token: self.token.clone(),
            refuse_address: self.refuse_address,
            latency: self.latency,
            admin: !self.no_admin,
            recordings: self.recordings,
            history: self.history_token.clone().map(|token| HistoryOptions {
                token,
                per_week: self.history_per_week,
                is_flat: false,
            }),
            push: self.push.options(),
            tls: match (&self.tls_certificate, &self.tls_key) {
                (Some(certificate), Some(key)) => {
                    Some(TlsOptions { certificate: certificate.clone(), key: key.clone() })
                }
                _ => None,
            },
            ..SimulatorOptions::default()
        }
    }

    /// Starts the simulator that these arguments mean; `clock` is the present unless `now` is given.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, one of the files is unfit, or the shares of all faults are more than 1.
    pub async fn start(&self, clock: impl Into<WorldClock>) -> Result<Simulator, SimulatorError> {
        let records = self.records.as_deref().map(|file| self.read(file)).transpose()?;
        self.serve(clock.into(), records.unwrap_or_default()).await
    }

    async fn serve(&self, clock: WorldClock, records: Vec<Record>) -> Result<Simulator, SimulatorError> {
        let clock = match self.now {
            Some(now) => AdjustableClock::standing(clock, now),
            None => AdjustableClock::running(clock),
        };
        let options = self.options(clock.now());
        Simulator::start_prepared(options, clock, |world, faults| {
            for record in records {
                let end = records_file::end(&record);
                world.insert(record, end);
            }
            match self.faults.iter().all(|(fault, share)| faults.replace_share(*fault, *share)) {
                true => Ok(()),
                false => Err(SimulatorError::Faults(SHARES_TOO_LARGE)),
            }
        })
        .await
    }

    fn read(&self, file: &Path) -> Result<Vec<Record>, SimulatorError> {
        let failed = |reason: String| SimulatorError::Records { file: file.to_owned(), reason };
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        let zone = Dialect::of(&self.options(DateTime::UNIX_EPOCH)).zone;
        records_file::read(&text, zone).map_err(|error| failed(error.to_string()))
    }
}

/// Simulates until `shutdown` is done. Prints to stdout how to call the simulator, and logs each request.
///
/// # Errors
///
/// If the address cannot be listened on, one of the files is unfit, or the shares of all faults are more than 1.
pub async fn run(
    args: SimulateArgs,
    clock: impl Into<WorldClock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SimulatorError> {
    let records = args.records.as_deref().map(|file| args.read(file)).transpose()?.unwrap_or_default();
    let calls: Vec<_> = records.iter().map(|record| (record.started_at, records_file::end(record))).collect();
    let simulator = args.serve(clock.into(), records).await?;
    println!("{}", usage(&simulator, &calls));
    if args.now.is_none() {
        let (now, ahead) = (simulator.api.clock.now(), simulator.options().clock_offset);
        print!("{}", not_shown_yet(&calls, now, ahead).unwrap_or_default());
    }
    shutdown.await;
    simulator.stop().await;
    Ok(())
}

/// Explains how to call a simulator, with commands that can be copied: they ask for the last hour's calls, or for those
/// from the first to the last of a file, whose calls start and end then.
fn usage(simulator: &Simulator, calls: &[(DateTime<Utc>, DateTime<Utc>)]) -> String {
    let dates = || calls.iter().map(|(start, _)| *start);
    let of_the_file = dates().min().zip(dates().max());
    let options = simulator.options();
    let zone = Dialect::of(options).zone;
    let now = simulator.api.clock.now();
    let wall = |instant: DateTime<Utc>| instant.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S").to_string();
    let (what, from, to) = match of_the_file {
        Some((first, last)) => ("The calls of the file", first, last + TimeDelta::seconds(1)),
        None => ("The calls of the last hour", now - TimeDelta::hours(1), now),
    };
    let (from, to, code) = (wall(from), wall(to), options.code.expose_secret());
    let body = serde_json::json!({
        "code": code,
        "format": "JSON",
        "search": {"fromdate": from, "todate": to},
    });
    let body = body.to_string().replace('\'', "'\\''");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("code", code), ("format", "JSON"), ("fromdate", &from), ("todate", &to)])
        .finish();
    let curl = match &options.tls {
        Some(tls) => format!("curl --silent --cacert {}", tls.certificate.display()),
        None => "curl --silent".to_owned(),
    };
    let (url, base) = (simulator.url(), simulator.base_url());
    let mut text = format!(
        "A simulated Voicenter API is listening on {url}\n\n{what}, by POST and by GET:\n\n  \
         {curl} --header 'Content-Type: application/json' --data '{body}' {url}\n  {curl} '{url}?{query}'\n"
    );
    if options.admin {
        text += &format!(
            "\nFaults, clock, records, and what was received (docs/simulator.md):\n\n  {curl} {base}/simulator/\n  \
             {curl} --data '{{\"fault\":\"http500\",\"next\":3}}' {base}/simulator/faults\n"
        );
    }
    text
}

/// A note about the calls of a file, each with its start and end, that the API, whose clock is `ahead`, does not show
/// yet at `now`.
fn not_shown_yet(
    calls: &[(DateTime<Utc>, DateTime<Utc>)],
    now: DateTime<Utc>,
    ahead: TimeDelta,
) -> Option<String> {
    let seen = (now + ahead).timestamp();
    let ends = || calls.iter().map(|(_, end)| *end).filter(|end| end.timestamp() > seen);
    let (count, all, last) = (ends().count(), calls.len(), ends().max()?);
    let (now, last) = (written(now + ahead), written(last - ahead));
    Some(format!(
        "Not shown yet: {count} of {all} records, whose calls end after {now}. Start with --now {last} to see all.\n\n"
    ))
}

fn written(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_file_that_end_later_are_counted_with_the_present_that_shows_them() {
        let at = |second: i64| DateTime::from_timestamp(1_780_000_000 + second, 0).unwrap();
        let calls = [(at(0), at(10)), (at(5), at(20)), (at(1), at(30))];
        let expected = "Not shown yet: 2 of 3 records, whose calls end after 2026-05-28T20:26:50Z. \
                        Start with --now 2026-05-28T20:27:10Z to see all.\n\n";
        assert_eq!(not_shown_yet(&calls, at(10), TimeDelta::zero()).unwrap(), expected);
        let behind = not_shown_yet(&calls, at(30), TimeDelta::seconds(-5)).unwrap();
        assert!(
            behind.starts_with("Not shown yet: 1 of 3") && behind.contains("--now 2026-05-28T20:27:15Z"),
            "{behind}"
        );
        assert_eq!(not_shown_yet(&calls, at(30), TimeDelta::zero()), None);
    }
}
