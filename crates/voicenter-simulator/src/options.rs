//! What a simulated Voicenter can be told to be.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use secrecy::SecretString;

/// Everything about a simulated API. `Default` is the current generation as docs/voicenter-api.md#generations describes it.
///
/// ```
/// use voicenter_simulator::{ApiGeneration, SimulatorOptions};
/// let options = SimulatorOptions { generation: ApiGeneration::V01, record_limit: 500, ..Default::default() };
/// ```
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The calls that there are.
    pub world: WorldOptions,
    /// Which generation of the API it is (docs/voicenter-api.md#generations).
    pub generation: ApiGeneration,
    /// How records are written, where that differs from the generation's default (docs/voicenter-api.md#generations).
    pub dialect: DialectOptions,
    /// Most records in one answer.
    pub record_limit: usize,
    /// What happens past it.
    pub over_limit: OverLimit,
    /// Whether answers of the current generation carry TOTAL_HITS and RETURN_HITS (v0.1 never has them).
    pub totals: bool,
    /// What TOTAL_HITS counts.
    pub total_counts: TotalCounts,
    /// What `sort` does, and in which order records come without it (v0.1 refuses it as an unknown key).
    pub sort: SortBehaviour,
    /// What is refused although the documents allow it.
    pub refusals: RefusalOptions,
    /// How far its clock is ahead of the one that it was given.
    pub clock_offset: TimeDelta,
    /// Whether the `Date` header of its answers can be read.
    pub date_header: bool,
    /// Requests answered in any 60 seconds, for each credential; more get error 1. 0: no limit.
    pub requests_per_minute: u32,
    /// Which clock those 60 seconds are measured by.
    pub rate_clock: RateClock,
    /// The credential that is right, as `code`.
    pub code: SecretString,
    /// The credential that is right as `Authorization: Bearer` (current generation only).
    pub token: Option<SecretString>,
    /// Whether `code` is refused with error 4, as from an address that is not whitelisted.
    pub refuse_address: bool,
    /// How long each answer takes, in real time.
    pub latency: Duration,
    /// Whether answers are compressed for clients that accept it.
    pub gzip: bool,
    /// Whether a record dated exactly on `fromdate` is inside.
    pub from_inclusive: bool,
    /// Whether a record dated exactly on `todate` is inside.
    pub to_inclusive: bool,
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
        }
    }
}

/// What a server refuses, or no longer has, although the documents do not say so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RefusalOptions {
    /// Keys of requests (`sort`, `version`, `callID`, …), fields (`UserId`) and single spellings in sort
    /// (`sort=Date`). Letter case matters in spellings only.
    pub names: Vec<String>,
    /// The refusal does not say what it refuses.
    pub unspecific: bool,
    /// Error 5 for a longer range.
    pub longest_range: Option<TimeDelta>,
    /// Error 5 for a `todate` in its future.
    pub future: bool,
    /// Error 5 for a `fromdate` further back.
    pub horizon: Option<TimeDelta>,
    /// Records older than this are gone, and nothing says so.
    pub purged_after: Option<TimeDelta>,
}

/// The calls of a made-up company: the same options give the same records, for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldOptions {
    /// Chooses the world.
    pub seed: u64,
    /// CDRs a day, averaged over a week (a call can have two or three). 0 gives an empty world to insert into.
    pub calls_per_day: f64,
    /// Campaigns a day, averaged over a week: each makes `campaign_calls` calls within a minute or two.
    pub campaigns_per_day: f64,
    /// The calls of one campaign.
    pub campaign_calls: usize,
    /// No call starts before this instant; UNIX epoch by default.
    pub from: DateTime<Utc>,
    /// How long after its end a CDR appears, mostly: shortest and longest.
    pub lag: (TimeDelta, TimeDelta),
    /// Share of answered calls that take one to three hours: they appear far behind the newest.
    pub long_share: f64,
    /// Share of CDRs that appear later than that: after `late_lag`.
    pub late_share: f64,
    /// How long after its end such a CDR appears: shortest and longest.
    pub late_lag: (TimeDelta, TimeDelta),
    /// Share of CDRs whose RecordURL, Price or CustomData changes minutes to days after they appeared.
    pub change_share: f64,
    /// Share of CDRs that vanish hours to 20 days after they appeared.
    pub vanish_share: f64,
    /// Share of CDRs whose Date moves (by at most 30 minutes) some hours after they appeared.
    pub move_share: f64,
    /// Share of calls of one CDR whose Type changes some hours after they appeared.
    pub retype_share: f64,
    /// Share of calls of one CDR that have a second, different CDR with the same CallID and Type.
    pub twin_share: f64,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            calls_per_day: 10_000.0,
            campaigns_per_day: 0.0,
            campaign_calls: 700,
            from: DateTime::UNIX_EPOCH,
            lag: (TimeDelta::minutes(1), TimeDelta::minutes(8)),
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

impl WorldOptions {
    /// A world in which nothing ever changes once it has appeared, and each key occurs once.
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

/// The two generations of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ApiGeneration {
    /// The "Call log" document: always HTTP 200, no totals, error 3 past the limit, no `sort`.
    #[value(name = "v0.1")]
    V01,
    /// Today's: GMT, cut answers with totals, HTTP 403 and 404.
    Current,
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
    /// Numbers and booleans as strings.
    pub text_numbers: bool,
    /// Whether `DateEpoch` is among the fields sent when `fields` is absent (current generation only).
    pub date_epoch: bool,
}

/// The forms of `Date` that have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DateForm {
    /// `2024-06-10T09:04:58Z`, always UTC.
    Zulu,
    /// `2024-06-10T09:04:58`
    Plain,
    /// `2024-06-10 09:04:58`
    Space,
    /// `2024-06-10T09:04`: the seconds are not told.
    Minutes,
    /// `2024-06-10T09:04:58.000`
    Fractions,
    /// `2024-06-10T09:04:58`, but `2024-06-10T09:04` where the seconds are 0.
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
    /// Sorts everything, then cuts.
    Honest,
    /// Cuts first, in the order of appearance, and sorts what is left.
    AfterCut,
    /// Takes it and does nothing: records come in the order of appearance.
    Ignored,
    /// Does nothing: the oldest records come first.
    OldestFirst,
    /// Does nothing: the newest records come first.
    NewestFirst,
    /// Does nothing: records come in another order each time.
    Random,
    /// Sorts everything the other way round, then cuts.
    Reversed,
}

/// What TOTAL_HITS counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotalCounts {
    /// All records that match.
    All,
    /// Those that came: a cut answer looks whole.
    Returned,
}

/// Which clock the request rate is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateClock {
    /// The clock that the simulator was given.
    Injected,
    /// The host's monotonic clock.
    Real,
}
