//! How a message leaves: posted to a webhook, or as mail.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};

use super::message::{self, Event, Notice};
use crate::config::{MailConfig, NotifyConfig, WebhookForm};
use crate::store::lease::host_name;
use crate::voicenter::install_crypto;
use crate::voicenter::said::printable;

/// A message that does not leave within this time is tried again.
const WITHIN: Duration = Duration::from_secs(20);
/// So much of what a server answers is shown.
const SHOWN: usize = 200;

const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// A way to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    Webhook,
    Mail,
}

impl Channel {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Channel::Webhook => "webhook",
            Channel::Mail => "mail",
        }
    }
}

/// Sends messages as configured.
pub(crate) struct Sender {
    webhook: Option<(SecretString, WebhookForm, reqwest::Client)>,
    mail: Option<(MailConfig, AsyncSmtpTransport<Tokio1Executor>)>,
    host: String,
}

impl Sender {
    /// Connects to nothing yet. The error is one of the configuration, without secrets.
    pub(crate) fn new(config: &NotifyConfig) -> Result<Self, String> {
        install_crypto();
        let webhook = match &config.webhook {
            Some(address) => {
                let client = reqwest::Client::builder()
                    .user_agent(concat!("cdr-sync/", env!("CARGO_PKG_VERSION")))
                    .timeout(WITHIN)
                    .redirect(Policy::none())
                    .build()
                    .map_err(|error| error.without_url().to_string())?;
                Some((address.clone(), config.webhook_form, client))
            }
            None => None,
        };
        let mail = match &config.mail {
            Some(mail) => {
                let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(mail.server.expose_secret())
                    .map_err(|_| {
                    "notify.smtp: the server's address or its certificates cannot be used".to_owned()
                })?;
                Some((mail.clone(), transport.timeout(Some(WITHIN)).build()))
            }
            None => None,
        };
        Ok(Self { webhook, mail, host: host_name() })
    }

    /// The ways that are configured.
    pub(crate) fn channels(&self) -> impl Iterator<Item = Channel> + use<> {
        let webhook = self.webhook.is_some().then_some(Channel::Webhook);
        webhook.into_iter().chain(self.mail.is_some().then_some(Channel::Mail))
    }

    /// Sends a test.
    pub(crate) async fn test(&self, channel: Channel, now: DateTime<Utc>) -> Result<(), String> {
        let text = "This is a test: cdr-sync check --notify. Notices of trouble arrive here.".to_owned();
        let (kind, advice) = ("test".to_owned(), String::new());
        let test =
            Notice { event: Event::Test, account: None, kind, text, advice, since: now, ended_at: None };
        let refused = self.send(channel, &[test], now).await?;
        if refused.is_empty() { Ok(()) } else { Err(refused.to_string()) }
    }

    /// Sends one message. The error holds no secret.
    pub(super) async fn send(
        &self,
        channel: Channel,
        notices: &[Notice],
        now: DateTime<Utc>,
    ) -> Result<Refused, String> {
        let sending = async {
            match channel {
                Channel::Webhook => self.post(notices, now).await.map(|()| Refused::default()),
                Channel::Mail => self.mail(notices).await,
            }
        };
        let in_time = tokio::time::timeout(WITHIN, sending).await;
        in_time.unwrap_or_else(|_| Err(format!("no answer within {} s", WITHIN.as_secs())))
    }

    async fn post(&self, notices: &[Notice], now: DateTime<Utc>) -> Result<(), String> {
        let Some((address, form, client)) = &self.webhook else { return Ok(()) };
        let body = match form {
            WebhookForm::Json => message::json(notices, &self.host, now),
            WebhookForm::Text => message::chat(notices, &self.host),
            WebhookForm::Teams => message::teams(notices, &self.host),
        };
        let request = client
            .post(address.expose_secret())
            .header("content-type", "application/json")
            .body(body.to_string());
        let mut answer = request.send().await.map_err(|error| reasons(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let beginning = answer.chunk().await.ok().flatten().unwrap_or_default();
        Err(format!("HTTP {}{}", status.as_u16(), said(&beginning, address)))
    }

    /// Sends a mail to each recipient of its own: one whom the server refuses would keep it from all.
    async fn mail(&self, notices: &[Notice]) -> Result<Refused, String> {
        let Some((config, transport)) = &self.mail else { return Ok(Refused::default()) };
        let mut refused = Refused::default();
        for (at, to) in config.to.iter().enumerate() {
            let mail = Message::builder()
                .from(config.from.clone())
                .to(to.clone())
                .subject(message::subject(notices))
                .header(ContentType::TEXT_PLAIN)
                // No out-of-office answers.
                .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
                .message_id(None)
                .body(message::text(notices, &self.host))
                .map_err(|error| error.to_string())?;
            if let Err(error) = transport.send(mail).await {
                // Whom it is about is known by the place in the list; the address stays out of logs.
                let why = printable(&reasons(&error)).replace(to.email.as_ref() as &str, "…");
                refused.0.push(format!("recipient {} of {}: {why}", at + 1, config.to.len()));
            }
        }
        if refused.0.len() == config.to.len() { Err(refused.to_string()) } else { Ok(refused) }
    }
}

/// The recipients that a message did not reach, while others have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused(Vec<String>);

impl Refused {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// What a server answered, if it does not repeat parts of the address: many pages of errors do.
fn said(answer: &[u8], address: &SecretString) -> String {
    let text = printable(&String::from_utf8_lossy(answer));
    let secrets = address.expose_secret().split(['/', '?', '&', '=']).filter(|part| part.len() >= 4).skip(1);
    if text.trim().is_empty() || secrets.into_iter().any(|part| text.contains(part)) {
        return String::new();
    }
    format!(": {}", text.chars().take(SHOWN).collect::<String>())
}

/// An error with its causes: the outermost says only that sending failed.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = next.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_repeats_the_address_is_not_shown() {
        let address = SecretString::from("https://hooks.example.com/services/T0AB/B0CD/secret");
        assert_eq!(said(b"invalid_payload", &address), ": invalid_payload");
        assert_eq!(said(b"Cannot POST /services/T0AB/B0CD/secret", &address), "");
        assert_eq!(said(b"no such hook: secret", &address), "");
    }
}
