//! The arguments of `cdr-sync simulate` about notifications.

use std::path::PathBuf;

use chrono::TimeDelta;
use chrono_tz::Tz;
use clap::Args;
use secrecy::SecretString;

use super::options::{PushForm, PushOptions, PushTime};
use crate::parse::{secret, share, span};

/// How CDR notifications are sent.
#[derive(Args, Clone, Debug)]
pub struct PushArgs {
    /// Push a CDR notification to this address (http or https) minutes after each call has ended
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub push_to: Option<SecretString>,
    /// The forms that notifications are sent in [default: all]
    #[arg(long, value_enum, value_name = "FORM", value_delimiter = ',', requires = "push_to")]
    pub push_form: Vec<PushForm>,
    /// What the time in notifications is counted from
    #[arg(long, value_enum, default_value_t = PushTime::Local, requires = "push_to")]
    pub push_time: PushTime,
    /// IANA zone of the wall clock in notifications
    #[arg(long, default_value_t = Tz::Asia__Jerusalem, requires = "push_to")]
    pub push_zone: Tz,
    /// How long after the end of its call a notification is sent, at most: one in twenty is later
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span, requires = "push_to")]
    pub push_delay: TimeDelta,
    /// Share of CDRs that are never pushed
    #[arg(long, default_value_t = 0.02, value_parser = share, requires = "push_to")]
    pub push_never_share: f64,
    /// Share of answered CDRs with AI data; most of them are pushed a second time for it
    #[arg(long, default_value_t = 0.3, value_parser = share, requires = "push_to")]
    pub push_ai_share: f64,
    /// How often a notification without a good answer is sent in all
    #[arg(long, default_value_t = 6, requires = "push_to")]
    pub push_tries: u32,
    /// Trust this certificate (PEM) of the receiver
    #[arg(long, value_name = "FILE", requires = "push_to")]
    pub push_certificate: Option<PathBuf>,
}

impl PushArgs {
    /// The options that these arguments mean; `None` if nothing is pushed.
    pub(crate) fn options(&self) -> Option<PushOptions> {
        let usual = PushOptions::to(self.push_to.clone()?);
        let delay = self.push_delay.max(TimeDelta::zero());
        Some(PushOptions {
            forms: if self.push_form.is_empty() { usual.forms } else { self.push_form.clone() },
            time: self.push_time,
            zone: self.push_zone,
            delay: (delay / 10, delay),
            longest_delay: usual.longest_delay.max(delay),
            never_share: self.push_never_share,
            ai_share: self.push_ai_share,
            tries: self.push_tries,
            certificate: self.push_certificate.clone(),
            in_background: true,
            ..usual
        })
    }
}
