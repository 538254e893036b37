//! `[notify]`: who is told of an account's trouble and of its end.

use std::net::IpAddr;

use chrono::TimeDelta;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::error::ConfigProblem;
use super::kind;
use super::reader::Section;

/// Who is told, and when.
#[derive(Clone, Debug)]
pub struct NotifyConfig {
    /// `notify.webhook`: where notices are posted to. Such an address holds a secret of its own.
    pub webhook: Option<SecretString>,
    /// `notify.webhook_form`: what is posted.
    pub webhook_form: WebhookForm,
    /// Notices by mail.
    pub mail: Option<MailConfig>,
    /// `notify.after`: how long trouble must last, or be over, before anybody is told.
    pub after: TimeDelta,
    /// `notify.repeat`: trouble that lasts is told again after this time.
    pub repeat: Option<TimeDelta>,
}

/// Notices by mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `notify.smtp`: the server, with user and password.
    pub server: SecretString,
    /// `notify.mail_from`: the sender.
    pub from: Mailbox,
    /// `notify.mail_to`: the recipients, at least one.
    pub to: Vec<Mailbox>,
}

/// What is posted to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookForm {
    /// Every detail, for programs.
    Json,
    /// `{"text": …}`, which Slack, Mattermost and Google Chat take.
    Text,
    /// A card for a workflow of Microsoft Teams.
    Teams,
}

impl NotifyConfig {
    /// Returns `true` if anybody is told at all.
    pub fn is_on(&self) -> bool {
        self.webhook.is_some() || self.mail.is_some()
    }
}

pub(super) fn read(mut section: Section<'_>) -> Option<NotifyConfig> {
    let webhook = secret_address(&mut section, "webhook", webhook);
    let webhook_form = section.value("webhook_form", kind::WEBHOOK_FORM, "json");
    let server = secret_address(&mut section, "smtp", mail_server);
    let from = section.optional("mail_from", kind::MAILBOX);
    let to = section.list("mail_to", kind::MAILBOX, &[]);
    let after = section.value("after", kind::DURATION, "5m");
    let repeat = section.optional("repeat", kind::DURATION);
    let mail = match (server, from, to?) {
        (Some(server), Some(from), to) if !to.is_empty() => Some(MailConfig { server, from, to }),
        (server, from, to) => {
            if server.is_some() || from.is_some() || !to.is_empty() {
                let missing =
                    [("smtp", server.is_none()), ("mail_from", from.is_none()), ("mail_to", to.is_empty())];
                for (name, _) in missing.iter().filter(|(_, is_missing)| *is_missing) {
                    let key = section.key(name);
                    section.problem(ConfigProblem::missing(
                        &key,
                        "notices by mail need notify.smtp, notify.mail_from and notify.mail_to",
                    ));
                }
            }
            None
        }
    };
    section.leave();
    Some(NotifyConfig { webhook, webhook_form: webhook_form?, mail, after: after?, repeat })
}

/// An address that is itself a secret; what is wrong with it is said without it.
fn secret_address(
    section: &mut Section<'_>,
    key: &str,
    read: fn(&str) -> Result<String, String>,
) -> Option<SecretString> {
    let secret = section.secret(key)?;
    match read(secret.expose_secret()) {
        Ok(address) => Some(address.into()),
        Err(message) => {
            let key = section.key(key);
            let source = Some(section.origin(&key));
            section.problem(ConfigProblem { key, value: None, source, message });
            None
        }
    }
}

fn webhook(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    match url {
        Some(url) if url.scheme() == "https" || (url.scheme() == "http" && is_this_host(&url)) => {
            Ok(url.into())
        }
        _ => Err("expected an address that begins with https:// (what is there is not shown)".to_owned()),
    }
}

/// The server's address as the mail library reads it. It takes `smtp://` without a word about TLS for unencrypted: here that must be
/// asked for, and everything that could hide the word from it is refused.
fn mail_server(text: &str) -> Result<String, String> {
    let expected = "expected smtps://user:password@host or smtp://user:password@host:587 (with STARTTLS); what is there is not shown";
    let mut url = Url::parse(text).ok().filter(Url::has_host).ok_or(expected)?;
    let encrypts = match (url.scheme(), url.query()) {
        ("smtps", None) | ("smtp", None | Some("tls=required")) => true,
        ("smtp", Some("tls=none")) => false,
        _ => return Err(expected.to_owned()),
    };
    if url.fragment().is_some() {
        return Err("a # in the password is written %23; what is there is not shown".to_owned());
    }
    if !encrypts && url.password().is_some() && !is_this_host(&url) {
        return Err(
            "with tls=none the password would be sent in the clear: leave tls=none or the password out"
                .to_owned(),
        );
    }
    url.set_query((url.scheme() == "smtp" && encrypts).then_some("tls=required"));
    Ok(url.into())
}

fn is_this_host(url: &Url) -> bool {
    match url.host() {
        // The host of an address that is not of the web is not parsed further.
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_encrypted() {
        for good in ["https://hooks.example.com/x", "http://127.0.0.1:9/x", "http://localhost/"] {
            assert_eq!(webhook(good).unwrap(), good);
        }
        for bad in ["http://hooks.example.com/x", "hooks.example.com", "https://", "ftp://x"] {
            assert!(!webhook(bad).unwrap_err().contains("example"), "{bad}");
        }
    }

    #[test]
    fn mail_is_encrypted_unless_that_is_not_wanted_and_gives_no_password_away() {
        for (good, read) in [
            ("smtps://u:p@h", "smtps://u:p@h"),
            ("smtp://u:p@h:587", "smtp://u:p@h:587?tls=required"),
            ("smtp://u:xtls=9@h", "smtp://u:xtls%3D9@h?tls=required"),
            ("smtp://h:25?tls=none", "smtp://h:25"),
            ("smtp://u:p@127.0.0.1?tls=none", "smtp://u:p@127.0.0.1"),
        ] {
            assert_eq!(mail_server(good).unwrap(), read);
        }
        for bad in [
            "smtp://u:secret@h?tls=none",
            "smtp://u:secret@h?tls=opportunistic",
            "smtp://u:secret@h?",
            "smtp://u:secret@h?x=1",
            "smtp://u:secret@h?x=1&tls=none",
            "smtp://u:secret@h#a",
            "smtps://u:secret@h?tls=none",
            "h:25",
            "imap://u:secret@h",
        ] {
            assert!(!mail_server(bad).unwrap_err().contains("secret"), "{bad}");
        }
    }
}
