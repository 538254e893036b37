//! The options of a simulated Voicenter.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use secrecy::SecretString;

use super::call_history::HistoryOptions;
use super::push::PushOptions;
use super::recordings::RecordingAnswer;

/// Everything about a simulated API. `Default` is the current generation of docs/voicenter-api.md#generations.
///
/// ```
/// use voicenter_simulator::{ApiGeneration, SimulatorOptions};
/// let options = SimulatorOptions { generation: ApiGeneration::V01, record_limit: 500, ..Default::default() };
/// ```
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// The address to listen on; port 0 takes a free port.
    pub listen: SocketAddr,
    /// The calls that the API serves.
    pub world: WorldOptions,
    /// The generation of the API (docs/voicenter-api.md#generations).
    pub generation: ApiGeneration,
    /// How records are written, if not as the generation's documents say (docs/voicenter-api.md#generations).
    pub dialect: DialectOptions,
    /// The most records in one answer.
    pub record_limit: usize,
    /// What to do when more records match.
    pub over_limit: OverLimit,
    /// `true` if answers of the current generation contain TOTAL_HITS and RETURN_HITS (those of v0.1 never do).
    pub totals: bool,
    /// What TOTAL_HITS counts, if it is sent.
    pub total_counts: TotalCounts,
    /// What `sort` does, and in which order records are returned without it (v0.1 refuses it as an unknown key).
    pub sort: SortBehaviour,
    /// What is refused although the documents allow it.
    pub refusals: RefusalOptions,
    /// How far its clock is ahead of the one that was passed in.
    pub clock_offset: TimeDelta,
    /// `true` if the `Date` header of its answers can be parsed.
    pub date_header: bool,
    /// Requests answered in any 60 seconds, for each credential; more get error 1. 0 means no limit.
    pub requests_per_minute: u32,
    /// Which clock those 60 seconds are measured by.
    pub rate_clock: RateClock,
    /// The credential to accept as `code`.
    pub code: SecretString,
    /// The credential to accept as `Authorization: Bearer` (current generation only).
    pub token: Option<SecretString>,
    /// `true` to refuse `code` with error 4, as if the address were not whitelisted.
    pub refuse_address: bool,
    /// The time that each answer takes, by the host's clock.
    pub latency: Duration,
    /// `true` to compress answers for clients that accept it.
    pub gzip: bool,
    /// `true` if a record dated exactly on `fromdate` is included.
    pub from_inclusive: bool,
    /// `true` if a record dated exactly on `todate` is included.
    pub to_inclusive: bool,
    /// `true` to serve `/simulator/`, where faults, clock and records are changed and received requests are listed.
    pub admin: bool,
    /// What the links in RecordURL are answered with, on the same address; `None` if they lead nowhere.
    pub recordings: Option<RecordingAnswer>,
    /// How CDR notifications are sent; `None` if they are not.
    pub push: Option<PushOptions>,
    /// How GetCallHistory answers; `None` if it is not there.
    pub history: Option<HistoryOptions>,
    /// What to serve HTTPS with; `None` for plain HTTP.
    pub tls: Option<TlsOptions>,
}

/// The files that HTTPS is served with, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The certificate, followed by those of its authorities, if any.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            world: WorldOptions::default(),
            generation: ApiGeneration::Current,
            dialect: DialectOptions::default(),
            record_limit: 10_000,
            over_limit: OverLimit::Documented,
            totals: true,
            total_counts: TotalCounts::All,
            sort: SortBehaviour::Honest,
            refusals: RefusalOptions::default(),
            clock_offset: TimeDelta::zero(),
            date_header: true,
            requests_per_minute: 30,
            rate_clock: RateClock::Injected,
            code: SecretString::from("simulated-code"),
            token: None,
            refuse_address: false,
            latency: Duration::ZERO,
            gzip: true,
            from_inclusive: true,
            to_inclusive: true,
            admin: false,
            recordings: None,
            push: None,
            history: None,
            tls: None,
        }
    }
}

/// What a server refuses, or no longer has, although the documents do not say so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RefusalOptions {
    /// Keys of requests (`sort`, `version`, `callID`, …), fields (`UserId`) and single spellings in sort
    /// (`sort=Date`). Letter case matters only for spellings.
    pub names: Vec<String>,
    /// `true` if refusals do not say what is refused.
    pub unspecific: bool,
    /// The longest range that is not refused with error 5.
    pub longest_range: Option<TimeDelta>,
    /// `true` to refuse a `todate` in the API's future with error 5.
    pub future: bool,
    /// How far back a `fromdate` may be before it is refused with error 5.
    pub horizon: Option<TimeDelta>,
    /// The age at which records disappear silently.
    pub purged_after: Option<TimeDelta>,
}

/// The calls of an invented company: the same options always give the same records.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldOptions {
    /// What kind of company the calls are those of.
    pub company: Company,
    /// The seed of everything that is generated.
    pub seed: u64,
    /// CDRs per day, averaged over a week (a call can have two or three). 0 gives an empty world to insert records
    /// into.
    pub calls_per_day: f64,
    /// Campaigns per day, averaged over a week; each makes `campaign_calls` calls within a minute or two. A call
    /// centre has a dialer of its own instead.
    pub campaigns_per_day: f64,
    /// Number of calls of one campaign.
    pub campaign_calls: usize,
    /// The earliest start of a call; the UNIX epoch by default.
    pub from: DateTime<Utc>,
    /// How long after its end most CDRs appear: shortest and longest.
    pub lag: (TimeDelta, TimeDelta),
    /// Seconds of talk that no other answered call exceeds; most are far shorter.
    pub usual_talk: u16,
    /// Share of answered calls that last one to three hours: they appear far behind the newest.
    pub long_share: f64,
    /// Share of CDRs that appear later than that: after `late_lag`.
    pub late_share: f64,
    /// How long after its end such a CDR appears: shortest and longest. At a call centre, four in five appear within
    /// three hours, most others within a day, and one in fifty within a week.
    pub late_lag: (TimeDelta, TimeDelta),
    /// Share of CDRs whose RecordURL, Price or CustomData changes minutes to days after they appeared.
    pub change_share: f64,
    /// Share of CDRs that vanish hours to 20 days after they appeared.
    pub vanish_share: f64,
    /// Share of CDRs whose Date moves (by at most 30 minutes) some hours after they appeared.
    pub move_share: f64,
    /// Share of calls of one CDR whose Type changes some hours after they appeared; not at a call centre.
    pub retype_share: f64,
    /// Share of calls of one CDR that have a second, different CDR with the same CallID and Type; not at a call
    /// centre.
    pub twin_share: f64,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            company: Company::IndependentCalls,
            seed: 1,
            calls_per_day: 10_000.0,
            campaigns_per_day: 0.0,
            campaign_calls: 700,
            from: DateTime::UNIX_EPOCH,
            lag: (TimeDelta::minutes(1), TimeDelta::minutes(8)),
            usual_talk: 1_405,
            long_share: 0.01,
            late_share: 0.01,
            late_lag: (TimeDelta::hours(1), TimeDelta::hours(5)),
            change_share: 0.15,
            vanish_share: 0.0005,
            move_share: 0.0005,
            retype_share: 0.0005,
            twin_share: 0.0003,
        }
    }
}

/// The kinds of invented companies. Of a call centre, `Simulator::intents` also knows what each call was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Company {
    /// Calls are independent of each other, so agents may be in several at once.
    #[default]
    IndependentCalls,
    /// Agents work in shifts and take one call at a time; callers wait, give up and call again.
    CallCentre,
}

impl WorldOptions {
    /// A call centre. Nineteen of twenty of its records appear within ten minutes.
    pub fn call_centre() -> Self {
        Self {
            company: Company::CallCentre,
            lag: (TimeDelta::seconds(20), TimeDelta::minutes(10)),
            late_share: 0.05,
            ..Self::default()
        }
    }

    /// A world in which nothing changes after it has appeared, and each key occurs once.
    pub fn unchanging(self) -> Self {
        Self {
            late_share: 0.0,
            change_share: 0.0,
            vanish_share: 0.0,
            move_share: 0.0,
            retype_share: 0.0,
            twin_share: 0.0,
            ..self
        }
    }

    /// A world without generated calls, for records inserted by hand.
    pub fn empty() -> Self {
        Self { calls_per_day: 0.0, ..Self::default() }
    }
}

/// The two generations of the API in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ApiGeneration {
    /// The "Call log" document: always HTTP 200, no totals, error 3 past the limit, no `sort`.
    #[value(name = "v0.1")]
    V01,
    /// Today's documents: GMT, cut answers with totals, HTTP 403 and 404.
    Current,
}

impl ApiGeneration {
    /// The generation's name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            ApiGeneration::V01 => "v0.1",
            ApiGeneration::Current => "current",
        }
    }
}

/// How a server writes its records. `None` means: as the generation's document says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DialectOptions {
    /// Zone of zoneless dates and of bounds (v0.1: Asia/Jerusalem; current: UTC).
    pub zone: Option<Tz>,
    /// The form of `Date` (v0.1: `Plain`; current: `Zulu`).
    pub date_form: Option<DateForm>,
    /// All field names in lower case, as some servers send them.
    pub lower_case_names: bool,
    /// `true` for numbers and booleans as strings.
    pub text_numbers: bool,
    /// `true` if `DateEpoch` is one of the fields sent when `fields` is absent (current generation only).
    pub date_epoch: bool,
}

/// The forms of `Date` that real servers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DateForm {
    /// `2024-06-10T09:04:58Z`, always UTC.
    Zulu,
    /// `2024-06-10T09:04:58`
    Plain,
    /// `2024-06-10 09:04:58`
    Space,
    /// `2024-06-10T09:04`, without seconds.
    Minutes,
    /// `2024-06-10T09:04:58.000`
    Fractions,
    /// `2024-06-10T09:04:58`, but `2024-06-10T09:04` if the seconds are 0.
    Trimmed,
}

/// What an API does when a window holds more records than one answer may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OverLimit {
    /// v0.1: error 3 and no records. Current: cut at the limit with ERROR_NUMBER 0.
    Documented,
    /// Error 3 and no records.
    Error,
    /// Cut at the limit with ERROR_NUMBER 0.
    Cut,
}

/// What an API does with `sort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SortBehaviour {
    /// Sorts all matching records, then cuts.
    Honest,
    /// Cuts first, in the order of appearance, and sorts the rest.
    AfterCut,
    /// Accepts it and does nothing: records are returned in the order of appearance.
    Ignored,
    /// Does nothing: the oldest records are returned first.
    OldestFirst,
    /// Does nothing: the newest records are returned first.
    NewestFirst,
    /// Does nothing: records are returned in another order each time.
    Random,
    /// Sorts all matching records in reverse, then cuts.
    Reversed,
}

/// What the TOTAL_HITS of an answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotalCounts {
    /// All records that match, returned or not.
    All,
    /// Only the records returned: a cut answer looks complete.
    Returned,
}

/// Which clock the request rate is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateClock {
    /// The clock that was passed to the simulator.
    Injected,
    /// The host's monotonic clock.
    Real,
}
