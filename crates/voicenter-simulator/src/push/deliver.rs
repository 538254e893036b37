//! Sends pushes, and judges the answers as Voicenter does.

use std::time::Duration;

use axum::http::header;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::body::Push;
use super::options::PushOptions;

/// A longer answer is none.
const LONGEST_ANSWER: usize = 64 << 10;

/// The way to one receiver.
pub(super) struct Receiver {
    client: Client,
    url: Url,
    answer_within: Duration,
    /// Host and port: the rest of the address holds a key.
    pub(super) host: String,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Receiver({})", self.host)
    }
}

impl Receiver {
    /// Connects to nothing yet. The error does not repeat the address.
    pub(super) fn new(options: &PushOptions) -> Result<Self, String> {
        let url = Url::parse(options.url.expose_secret()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or("expected an address such as https://example.com/push/ACCOUNT/KEY")?;
        // This fails only if one is installed already, which is fine as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder().no_proxy().redirect(Policy::none());
        if let Some(file) = &options.certificate {
            let said = |error: String| format!("the certificate {}: {error}", file.display());
            let pem = std::fs::read(file).map_err(|error| said(error.to_string()))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| said(error.to_string()))?;
            client = client.tls_certs_merge([certificate]);
        }
        let client = client.build().map_err(|error| error.without_url().to_string())?;
        let port = url.port_or_known_default().unwrap_or_default();
        let host = format!("{}:{port}", url.host_str().unwrap_or_default());
        Ok(Self { client, url, answer_within: options.answer_within, host })
    }

    /// Sends a push. Returns `true` if the answer is a good one, and in time.
    pub(super) async fn send(&self, push: &Push) -> bool {
        let answer = tokio::time::timeout(self.answer_within, self.answer(push)).await;
        matches!(answer, Ok(Some((200, body))) if is_good(&body))
    }

    /// Status and body of the answer; `None` if there is none.
    async fn answer(&self, push: &Push) -> Option<(u16, Vec<u8>)> {
        let request = match push.content_type {
            Some(content_type) => {
                let request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, content_type);
                request.body(push.content.clone())
            }
            None => {
                let mut url = self.url.clone();
                let fields = String::from_utf8_lossy(&push.content);
                let query = match url.query().filter(|query| !query.is_empty()) {
                    Some(own) => format!("{own}&{fields}"),
                    None => fields.into_owned(),
                };
                url.set_query(Some(&query));
                self.client.get(url)
            }
        };
        let mut response = request.send().await.ok()?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.ok()? {
            body.extend_from_slice(&piece);
            if body.len() > LONGEST_ANSWER {
                return None;
            }
        }
        Some((response.status().as_u16(), body))
    }
}

/// Returns `true` for a JSON object whose `Err` (or `err`) is 0.
fn is_good(body: &[u8]) -> bool {
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else { return false };
    ["Err", "err"].iter().filter_map(|name| answer.get(*name)).any(|value| match value {
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text == "0",
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_err_of_0_is_a_good_answer() {
        for good in [r#"{"Err":0,"Errdesc":"OK"}"#, r#"{"err":0}"#, r#" {"errdesc":"","err":"0"} "#] {
            assert!(is_good(good.as_bytes()), "{good}");
        }
        for bad in
            ["", "OK", "0", r#"{"ok":true}"#, r#"{"Err":1}"#, r#"{"Err":null}"#, r#"[{"Err":0}]"#, "<Err>0"]
        {
            assert!(!is_good(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_not_repeated() {
        for wrong in ["example.com/secret", "ftp://example.com/secret", "secret", "http:///"] {
            let said = Receiver::new(&PushOptions::to(wrong)).unwrap_err();
            assert!(!said.contains("secret") && said.contains("https://"), "{said}");
        }
        let receiver = Receiver::new(&PushOptions::to("https://example.com/push/sales/secret")).unwrap();
        assert_eq!(format!("{receiver:?}"), "Receiver(example.com:443)");
    }
}
