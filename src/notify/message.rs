//! What people are told, in the forms that they read. Pure: values in, values out.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Trouble,
    /// It was told before, and lasts.
    Lasts,
    Over,
    /// Somebody tries out whether it arrives.
    Test,
}

impl Event {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Event::Trouble => "trouble",
            Event::Lasts => "lasts",
            Event::Over => "over",
            Event::Test => "test",
        }
    }
}

/// One thing that people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) event: Event,
    /// `None` if it concerns all accounts.
    pub(super) account: Option<String>,
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) advice: String,
    pub(super) since: DateTime<Utc>,
    pub(super) ended_at: Option<DateTime<Utc>>,
}

impl Notice {
    fn about(&self) -> &str {
        self.account.as_deref().unwrap_or("all accounts")
    }

    /// For people, in a few lines.
    fn lines(&self) -> String {
        let time = |instant: DateTime<Utc>| instant.format("%Y-%m-%d %H:%M UTC");
        let (about, since) = (self.about(), time(self.since));
        match (self.event, self.ended_at) {
            (Event::Trouble, _) => format!("{about}: {}\n{}\nSince {since}.", self.text, self.advice),
            (Event::Lasts, _) => format!("{about}, still: {}\n{}\nSince {since}.", self.text, self.advice),
            (Event::Over, Some(ended)) => {
                format!("{about}, over: {}\nIt lasted from {since} to {}.", self.text, time(ended))
            }
            (Event::Over, None) => format!("{about}, over: {}\nIt had begun at {since}.", self.text),
            (Event::Test, _) => self.text.clone(),
        }
    }
}

/// The subject of a mail and the title of a card.
pub(super) fn subject(notices: &[Notice]) -> String {
    let what = match notices {
        [] => "nothing".to_owned(),
        [one] => match one.event {
            Event::Trouble => format!("{}: {}", one.about(), one.kind.replace('_', " ")),
            Event::Lasts => format!("{}: still {}", one.about(), one.kind.replace('_', " ")),
            Event::Over => format!("{}: no longer {}", one.about(), one.kind.replace('_', " ")),
            Event::Test => "a test".to_owned(),
        },
        many => {
            let over = many.iter().filter(|notice| notice.event == Event::Over).count();
            match (many.len() - over, over) {
                (trouble, 0) => format!("{trouble} troubles"),
                (0, over) => format!("{over} troubles are over"),
                (trouble, over) => format!("{trouble} troubles, {over} over"),
            }
        }
    };
    format!("cdr-sync: {what}")
}

/// The text of a mail or of a chat.
pub(super) fn text(notices: &[Notice], host: &str) -> String {
    let parts: Vec<String> = notices.iter().map(Notice::lines).collect();
    format!("{}\n\nSent by cdr-sync on {host}.", parts.join("\n\n"))
}

/// Every detail, for programs.
pub(super) fn json(notices: &[Notice], host: &str, now: DateTime<Utc>) -> Value {
    let notices = notices.iter().map(|notice| {
        let Notice { event, account, kind, text, advice, since, ended_at } = notice;
        json!({
            "event": event.as_str(), "account": account, "kind": kind, "text": text, "advice": advice,
            "since": since, "ended_at": ended_at,
        })
    });
    json!({ "program": "cdr-sync", "host": host, "at": now, "notices": notices.collect::<Vec<_>>() })
}

/// For Slack, Mattermost and Google Chat.
pub(super) fn chat(notices: &[Notice], host: &str) -> Value {
    // These would read &, < and > as marks of their own.
    let text = text(notices, host).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": format!("*{}*\n{text}", subject(notices)) })
}

/// For a workflow of Microsoft Teams.
pub(super) fn teams(notices: &[Notice], host: &str) -> Value {
    let block = |text: String, more: Value| {
        let mut block = json!({ "type": "TextBlock", "text": text, "wrap": true });
        if let (Some(block), Value::Object(more)) = (block.as_object_mut(), more) {
            block.extend(more);
        }
        block
    };
    let mut body = vec![block(subject(notices), json!({ "weight": "Bolder", "size": "Medium" }))];
    // A single line break is none in a card.
    body.extend(notices.iter().map(|notice| block(notice.lines().replace('\n', "\n\n"), json!({}))));
    body.push(block(format!("Sent by cdr-sync on {host}."), json!({ "isSubtle": true })));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": { "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": body },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(event: Event) -> Notice {
        let at = |hour: i64| DateTime::from_timestamp(hour * 3_600, 0).unwrap();
        Notice {
            event,
            account: Some("sales".into()),
            kind: "credential_refused".into(),
            text: "the API refuses the code <x>".into(),
            advice: "Write the new one into the secret.".into(),
            since: at(100),
            ended_at: (event == Event::Over).then(|| at(102)),
        }
    }

    #[test]
    fn people_read_what_is_wrong_what_to_do_and_since_when() {
        let told = text(&[notice(Event::Trouble)], "host-1");
        assert_eq!(
            told,
            "sales: the API refuses the code <x>\nWrite the new one into the secret.\nSince 1970-01-05 04:00 UTC.\n\nSent by cdr-sync on host-1."
        );
        let over = text(&[notice(Event::Over)], "host-1");
        assert!(
            over.contains("over:") && over.contains("from 1970-01-05 04:00 UTC to 1970-01-05 06:00 UTC"),
            "{over}"
        );
        assert!(!over.contains("Write the new one"), "{over}");
    }

    #[test]
    fn the_subject_says_what_and_how_many() {
        let of = |events: &[Event]| subject(&events.iter().copied().map(notice).collect::<Vec<_>>());
        assert_eq!(of(&[Event::Trouble]), "cdr-sync: sales: credential refused");
        assert_eq!(of(&[Event::Over]), "cdr-sync: sales: no longer credential refused");
        assert_eq!(of(&[Event::Trouble, Event::Lasts, Event::Over]), "cdr-sync: 2 troubles, 1 over");
        assert_eq!(of(&[Event::Over, Event::Over]), "cdr-sync: 2 troubles are over");
    }

    #[test]
    fn each_form_is_what_its_reader_takes() {
        let notices = [notice(Event::Trouble)];
        let chat = chat(&notices, "h");
        assert_eq!(chat.as_object().unwrap().len(), 1);
        assert!(chat["text"].as_str().unwrap().contains("&lt;x&gt;"), "{chat}");
        let card = teams(&notices, "h");
        assert_eq!(card["attachments"][0]["content"]["body"].as_array().unwrap().len(), 3);
        let all = json(&notices, "h", DateTime::from_timestamp(0, 0).unwrap());
        assert_eq!(
            (&all["notices"][0]["event"], &all["notices"][0]["account"]),
            (&"trouble".into(), &"sales".into())
        );
    }
}
