//! `check --recording`: what a link to a recording is answered with, tried with one. The link itself is never shown: it may
//! hold a phone number.

mod answer;
mod fetch;
mod hosts;

use serde_json::{Value, json};

use super::Findings;
use crate::cdr::Cdr;
use crate::config::RecordingConfig;
use answer::RecordingAnswer;
use fetch::{Fetched, Outcome};
use hosts::{Hosts, Refusal};

/// The newest answered call with a link to its recording.
pub(super) fn newest<'a>(records: impl Iterator<Item = &'a Cdr>) -> Option<&'a Cdr> {
    records.filter(|record| is_recorded(record)).max_by_key(|record| record.started_at)
}

fn is_recorded(record: &Cdr) -> bool {
    let is_answered =
        record.dial_status.as_deref().is_some_and(|status| status.trim().eq_ignore_ascii_case("answer"));
    is_answered && link(record).is_some()
}

fn link(record: &Cdr) -> Option<&str> {
    record.record_url.as_deref().map(str::trim).filter(|link| !link.is_empty())
}

/// Tries the newest of these records that has a link, and reports what came.
pub(super) async fn check<'a>(
    account: &str,
    records: impl Iterator<Item = &'a Cdr> + Clone,
    config: &RecordingConfig,
    findings: &mut Findings,
) {
    let Some(link) = newest(records.clone()).and_then(link) else {
        let line = format!(
            "account {account}: there is no recording to try: of the {} records received, no answered call has a link",
            records.count()
        );
        return findings.tell_more("note", &line, None, Some(json!({ "answer": "none" })));
    };
    let fetched = fetch::fetch(link, &Hosts::new(&config.hosts)).await;
    report(account, &fetched, findings);
}

fn report(account: &str, fetched: &Fetched, findings: &mut Findings) {
    let Fetched { host, outcome, redirects } = fetched;
    let (name, text, advice) = match outcome {
        Outcome::Answered(received) => {
            let answer = RecordingAnswer::of(received);
            let line = format!("account {account}: the newest recording: {} from {host}", answer.text());
            let level = if answer.advice().is_none() { "good" } else { "warn" };
            let details = details(host, *redirects, &answer, received.status);
            return findings.tell_more(level, &line, answer.advice(), Some(details));
        }
        Outcome::Refused(refusal) => refused(*refusal, host),
        Outcome::TooManyRedirects => (
            "too_many_redirects",
            "leads from one address to the next without end".to_owned(),
            "ask Voicenter what this link is for",
        ),
        Outcome::Unreachable(reason) => (
            "unreachable",
            format!("{host} cannot be reached: {reason}"),
            "check that this host may reach it: firewall, proxy, DNS",
        ),
    };
    let before = if *redirects > 0 { " (after a redirect)" } else { "" };
    let line = format!("account {account}: the newest recording{before}: {text}");
    let details = json!({ "answer": name, "host": host, "redirects": redirects });
    findings.tell_more("warn", &line, Some(advice), Some(details));
}

fn refused(refusal: Refusal, host: &str) -> (&'static str, String, &'static str) {
    match refusal {
        Refusal::NoAddress => (
            "no_address",
            "the link is not an address of http or https, and was not followed".to_owned(),
            "look at RecordURL with cdr-sync query --field RecordURL, and ask Voicenter about it",
        ),
        Refusal::NotListed => (
            "host_not_allowed",
            format!("it is at {host}, which is not a host of Voicenter, and was not asked"),
            "if this host is right, add it to recording.hosts",
        ),
        Refusal::Port => (
            "port_not_allowed",
            format!("it is at {host}, which is not the port of a web server, and was not asked"),
            "if this is right, add the host to recording.hosts",
        ),
        Refusal::Private => (
            "private_address",
            format!("the name {host} leads to a private address, and was not asked"),
            "check this host's DNS; if recordings are in your own network, add the host to recording.hosts",
        ),
    }
}

/// The answer for programs.
fn details(host: &str, redirects: usize, answer: &RecordingAnswer, status: u16) -> Value {
    let mut details =
        json!({ "answer": answer.name(), "host": host, "redirects": redirects, "status": status });
    let more = match answer {
        RecordingAnswer::Audio { format, content_type, bytes } => {
            json!({ "format": format, "content_type": content_type, "bytes": bytes })
        }
        RecordingAnswer::TooShort { bytes } => json!({ "bytes": bytes }),
        RecordingAnswer::BrokeOff { received, announced } => {
            json!({ "received": received, "bytes": announced })
        }
        RecordingAnswer::TooManyRequests { retry_after } => json!({ "retry_after": retry_after }),
        RecordingAnswer::Other { content_type, .. } => json!({ "content_type": content_type }),
        _ => Value::Null,
    };
    if let (Value::Object(details), Value::Object(more)) = (&mut details, more) {
        details.extend(more);
    }
    details
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn the_newest_answered_call_with_a_link_is_tried() {
        let call = |second: i64, status: &str, link: &str| Cdr {
            started_at: DateTime::from_timestamp(second, 0).unwrap(),
            dial_status: Some(status.to_owned()),
            record_url: Some(link.to_owned()),
            ..Cdr::default()
        };
        let calls = [
            call(1, "ANSWER", "https://a/1"),
            call(2, " answer", "https://a/2"),
            call(3, "ANSWER", " "),
            call(4, "NOANSWER", "https://a/4"),
            Cdr { record_url: None, ..call(5, "ANSWER", "") },
        ];
        assert_eq!(newest(calls.iter()).and_then(link), Some("https://a/2"));
        assert_eq!(newest(calls[2..].iter()), None);
    }
}
