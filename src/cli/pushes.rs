//! How CDR notifications fare, in words.

use chrono::{DateTime, TimeDelta, Utc};

use super::table::{span, thousands};
use crate::store::push_figures::{PushFigures, PushOverview, PushedShare};
use crate::voicenter::said::printable;

/// Of a type of which so many records had no notification, none is ever sent.
const NEVER_SENT: i64 = 50;

/// How an account's notifications fare, in one line.
pub(super) fn in_words(pushes: &PushOverview, figures: &PushFigures, now: DateTime<Utc>) -> String {
    let mut words = vec![match pushes.last_received_at {
        Some(at) => format!("the last CDR notification came {} ago", span((now - at).max(TimeDelta::zero()))),
        None => "no CDR notification has been joined yet".to_owned(),
    }];
    let open = [
        (pushes.new, "not joined yet"),
        (pushes.provisional, "not in the pull yet"),
        (pushes.unmatched, "of the last 7 days not found by the pull"),
    ];
    let open = open.iter().filter(|(count, _)| *count > 0);
    words.extend(open.map(|(count, what)| format!("{} {what}", thousands(count.unsigned_abs()))));
    if let Some(missed) = missed(figures) {
        words.push(missed);
    }
    if let (Some(latency), Some(lead)) = (figures.times.latency, figures.times.lead) {
        let side = if lead < 0 { "after" } else { "before" };
        words.push(format!(
            "half come within {} of the call's end; the median {} {side} the pull",
            span(TimeDelta::seconds(latency.max(0))),
            span(TimeDelta::seconds(lead.abs()))
        ));
    }
    if let Some(offset) = figures.times.offset.filter(|offset| *offset != 0) {
        let side = if offset > 0 { "ahead of" } else { "behind" };
        words.push(format!("their time is {} {side} the pull's", span(TimeDelta::seconds(offset.abs()))));
    }
    words.join("; ")
}

/// Which records of the last week had none.
fn missed(figures: &PushFigures) -> Option<String> {
    let (never, sent): (Vec<_>, Vec<_>) =
        figures.shares.iter().partition(|share| share.pushed == 0 && share.records > NEVER_SENT);
    let records: i64 = sent.iter().map(|share| share.records).sum();
    let pushed: i64 = sent.iter().map(|share| share.pushed).sum();
    let mut words = Vec::new();
    if records > 0 {
        let share = (records - pushed) as f64 * 100.0 / records as f64;
        words.push(format!(
            "{share:.1} % of {} records of the last week had none",
            thousands(records.unsigned_abs())
        ));
    }
    if !never.is_empty() {
        let named = |share: &&PushedShare| match share.call_type.as_str() {
            "" => "records without a type".to_owned(),
            call_type => printable(call_type),
        };
        let types: Vec<_> = never.iter().map(named).collect();
        words.push(format!("none is ever sent of {}", types.join(", ")));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::push_figures::PushTimes;

    fn share(call_type: &str, records: i64, pushed: i64) -> PushedShare {
        PushedShare { call_type: call_type.into(), records, pushed }
    }

    #[test]
    fn a_line_says_what_is_known() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let nothing = in_words(&PushOverview::default(), &PushFigures::default(), now);
        assert_eq!(nothing, "no CDR notification has been joined yet");
        let pushes = PushOverview {
            last_received_at: Some(now - TimeDelta::seconds(90)),
            provisional: 1_200,
            ..PushOverview::default()
        };
        let times = PushTimes {
            latency: Some(120),
            latency_of_most: Some(500),
            lead: Some(-60),
            offset: Some(10_800),
        };
        let shares = vec![share("Queue", 150, 147), share("Incoming Call", 50, 49), share("FAX", 51, 0)];
        assert_eq!(
            in_words(&pushes, &PushFigures { times, shares }, now),
            "the last CDR notification came 1m 30s ago; 1,200 not in the pull yet; \
             2.0 % of 200 records of the last week had none; none is ever sent of FAX; \
             half come within 2m of the call's end; the median 1m after the pull; their time is 3h ahead of the pull's"
        );
    }
}
