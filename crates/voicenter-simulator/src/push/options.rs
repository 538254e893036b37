//! The options of notifications (pushes).

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use clap::ValueEnum;
use secrecy::SecretString;

/// How CDR notifications are sent: where to, when, in which form, and how badly.
///
/// All shares are decided by the world's seed and the call, so that the same options always push the same.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// Where they are sent to, with http or https. It holds a key.
    pub url: SecretString,
    /// The forms that they are sent in, all alike often; if there are none, as JSON.
    pub forms: Vec<PushForm>,
    /// What their `time` is counted from.
    pub time: PushTime,
    /// The zone of the wall clock in `time`.
    pub zone: Tz,
    /// How long after the end of its call most are sent: shortest and longest.
    pub delay: (TimeDelta, TimeDelta),
    /// One in twenty is sent later than that, at most this long after the end of its call.
    pub longest_delay: TimeDelta,
    /// Share of CDRs that are never pushed.
    pub never_share: f64,
    /// Share of CDRs that are pushed twice in the same words although the first was accepted.
    pub duplicate_share: f64,
    /// Share of pushes without `type`.
    pub no_type_share: f64,
    /// Share of pushes whose numbers are strings. In forms and queries they always are.
    pub text_share: f64,
    /// Share of answered CDRs with AI data.
    pub ai_share: f64,
    /// Share of those that have it in the first push; the others are pushed again, minutes later (a few: before).
    pub ai_at_once_share: f64,
    /// How often a push that gets no good answer is sent in all.
    pub tries: u32,
    /// The time from the first try to the second; each further wait is twice as long.
    pub spacing: TimeDelta,
    /// A slower answer is none; by the host's clock.
    pub answer_within: Duration,
    /// The most pushes that are sent at once. 1 sends them strictly one after the other.
    pub at_once: usize,
    /// Pushes that were due by then are not sent; `None`: the simulator's start.
    pub since: Option<DateTime<Utc>>,
    /// A certificate in PEM to trust besides those that the host trusts.
    pub certificate: Option<PathBuf>,
    /// `true` to send them as the simulator's clock goes on, `false` to wait for `Simulator::deliver_due` or
    /// `Simulator::due_pushes`.
    pub in_background: bool,
}

impl PushOptions {
    /// Pushes to this address, as nastily as real ones, when the test asks for it.
    pub fn to(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            forms: PushForm::value_variants().to_vec(),
            time: PushTime::Local,
            zone: Tz::Asia__Jerusalem,
            delay: (TimeDelta::minutes(1), TimeDelta::minutes(10)),
            longest_delay: TimeDelta::hours(6),
            never_share: 0.02,
            duplicate_share: 0.02,
            no_type_share: 0.02,
            text_share: 0.1,
            ai_share: 0.3,
            ai_at_once_share: 0.25,
            tries: 6,
            spacing: TimeDelta::minutes(2),
            answer_within: Duration::from_secs(5),
            at_once: 8,
            since: None,
            certificate: None,
            in_background: false,
        }
    }
}

/// The form of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum PushForm {
    /// POST of a JSON object.
    #[default]
    Json,
    /// POST of a JSON array with one object in it.
    JsonArray,
    /// POST of an HTML form.
    Form,
    /// GET with the fields in the query. What would be too long for that is sent as a form.
    Query,
}

/// What the `time` of a push is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum PushTime {
    /// The wall clock of the account's zone, written as if it were UTC.
    #[default]
    Local,
    /// A true epoch.
    Epoch,
    /// Half of the calls each.
    Mixed,
}
