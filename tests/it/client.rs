//! The client against everything the API may do: what each trouble calls for, and that no credential leaks.

use std::time::Duration;

use cdr_sync::voicenter::{
    Action, ApiError, Client, ClientResources, ClientSettings, Credential, Fields, Filter, Form, Format,
    Granularity, Method, Question,
};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use voicenter_simulator::{ApiGeneration, DialectOptions, Fault, Simulator, SimulatorOptions, WorldOptions};

use crate::support::dates::instant;
use crate::support::simulator::standing;

const SECRET: &str = "s3cret-code-of-nobody";

fn now() -> DateTime<Utc> {
    instant("2026-06-10T10:00:00Z")
}

async fn api(generation: ApiGeneration) -> Simulator {
    let world =
        WorldOptions { calls_per_day: 5_000.0, from: now() - TimeDelta::days(2), ..WorldOptions::default() };
    let options = SimulatorOptions {
        world,
        generation,
        code: SecretString::from(SECRET),
        token: Some(SecretString::from(SECRET)),
        requests_per_minute: 0,
        dialect: DialectOptions { zone: Some(Tz::UTC), ..DialectOptions::default() },
        ..SimulatorOptions::default()
    };
    standing(options, now()).await
}

fn client(url: &str, method: Method, credential: Credential) -> Client {
    Client::new(settings(url, method, credential)).unwrap()
}

fn settings(url: &str, method: Method, credential: Credential) -> ClientSettings {
    ClientSettings {
        url: url.parse().unwrap(),
        credential,
        method,
        timezone: Tz::UTC,
        granularity: Granularity::Second,
        timeout: Duration::from_millis(1500),
        max_response_bytes: 900_000,
        ca_file: None,
    }
}

fn code() -> Credential {
    Credential::Code(SecretString::from(SECRET))
}

fn question(form: Form) -> Question {
    Question {
        from: now() - TimeDelta::hours(2),
        to: now() - TimeDelta::hours(1),
        narrow: false,
        order: None,
        form,
        filter: Filter::default(),
        fields: Fields::All,
        format: Format::Json,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_generations_answer_both_methods_and_both_credentials() {
    for (server, form) in [(ApiGeneration::V01, Form::BARE), (ApiGeneration::Current, Form::FULL)] {
        let api = api(server).await;
        for method in [Method::Post, Method::Get] {
            let answer = client(&api.url(), method, code()).ask(&question(form)).await.unwrap();
            assert!(answer.records.len() > 50 && answer.rejected.is_empty(), "{server:?} {method:?}");
            assert_eq!(answer.server_date, Some(now()));
        }
    }
    let api = api(ApiGeneration::Current).await;
    let token = Credential::Token(SecretString::from(SECRET));
    let answer = client(&api.url(), Method::Post, token).ask(&question(Form::FULL)).await.unwrap();
    assert!(!answer.records.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v01_server_refuses_the_full_form_by_an_error_that_names_a_part_of_it() {
    let api = api(ApiGeneration::V01).await;
    let error = client(&api.url(), Method::Post, code()).ask(&question(Form::FULL)).await.unwrap_err();
    assert!(
        matches!(&error, ApiError::Unknown { description, .. } if description.ends_with("DateEpoch”")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_calls_for_what_the_documents_say_and_leaks_no_credential() {
    let troubles = [
        (Fault::AuthorizationFailed, Action::Pause { ip: None }),
        (Fault::LimitExceeded, Action::Split),
        (Fault::UnknownError, Action::Retry),
        (Fault::Http500, Action::Retry),
        (Fault::Http502, Action::Retry),
        (Fault::HtmlWith200, Action::Retry),
        (Fault::EmptyBody, Action::Retry),
        (Fault::CutBody, Action::TooSlow),
        (Fault::Hang, Action::TooSlow),
        (Fault::Reset, Action::Retry),
        (Fault::AnswerLost, Action::Retry),
        (Fault::TruncatedGzip, Action::TooSlow),
        (Fault::HugeString, Action::SplitTooLarge),
    ];
    let api = api(ApiGeneration::Current).await;
    for method in [Method::Post, Method::Get] {
        let client = client(&api.url(), method, code());
        for (fault, expected) in &troubles {
            api.faults().next(*fault);
            let error = client.ask(&question(Form::FULL)).await.unwrap_err();
            assert_eq!(error.action(), *expected, "{} by {method:?}: {error}", fault.name());
            let said = format!("{error} {error:?} {error:#?} {} {client:?}", error.advice());
            assert!(!said.contains(SECRET), "{} by {method:?} leaks the credential", fault.name());
        }
        api.faults().next(Fault::Untrusted);
        let error = client.ask(&question(Form::FULL)).await.unwrap_err();
        assert!(matches!(error.action(), Action::Pause { ip: Some(_) }), "{error}");
        for fault in [Fault::RateLimited, Fault::RateLimitedRetryAfter] {
            api.faults().next(fault);
            let error = client.ask(&question(Form::FULL)).await.unwrap_err();
            let waits = matches!(error.action(), Action::SlowDown { retry_after } if retry_after.is_some() == (fault == Fault::RateLimitedRetryAfter));
            assert!(waits, "{error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oddities_of_real_answers_are_taken_as_they_come() {
    let api = api(ApiGeneration::Current).await;
    let client = client(&api.url(), Method::Post, code());
    let plain = client.ask(&question(Form::FULL)).await.unwrap();
    for fault in [Fault::Bom, Fault::LowerCaseNames, Fault::ErrorNumberText, Fault::NumbersAsText] {
        api.faults().next(fault);
        let answer = client.ask(&question(Form::FULL)).await.unwrap();
        let rows = |records: &[cdr_sync::cdr::Cdr]| {
            // `DateEpoch` is kept under the name and in the spelling in which it came.
            records
                .iter()
                .map(|record| cdr_sync::cdr::Cdr { extra: Default::default(), ..record.clone() })
                .collect::<Vec<_>>()
        };
        assert_eq!(rows(&answer.records), rows(&plain.records), "{}", fault.name());
    }
    for fault in [
        Fault::Nul,
        Fault::LoneSurrogate,
        Fault::InvalidUtf8,
        Fault::DuplicateKeys,
        Fault::DeepNesting,
        Fault::HugeNumber,
        Fault::UnknownField,
    ] {
        api.faults().next(fault);
        let answer = client.ask(&question(Form::FULL)).await.unwrap();
        assert_eq!(answer.records.len(), plain.records.len(), "{}", fault.name());
    }
    for fault in [Fault::NoCallId, Fault::BadDate] {
        api.faults().next(fault);
        let answer = client.ask(&question(Form::FULL)).await.unwrap();
        assert!(!answer.rejected.is_empty(), "{}", fault.name());
        assert_eq!(answer.listed, plain.listed);
    }
}

/// A server that gives one raw answer to each connection.
async fn raw(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hub/cdr/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 65_536];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_is_not_followed() {
    let api = api(ApiGeneration::Current).await;
    let elsewhere = api.url().replace("127.0.0.1", "localhost");
    for status in ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let url = raw(format!(
            "HTTP/1.1 {status}\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ))
        .await;
        let error = client(&url, Method::Get, code()).ask(&question(Form::FULL)).await.unwrap_err();
        assert_eq!(error, ApiError::Redirected);
        assert!(!format!("{error:?}").contains(SECRET));
    }
    assert!(api.requests().is_empty(), "the credential went elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_echoes_the_credential_does_not_bring_it_into_our_errors() {
    let body = format!(r#"{{"ERROR_NUMBER":77,"ERROR_DESCRIPTION":"no such code: {SECRET}"}}"#);
    let url = raw(format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let error = client(&url, Method::Post, code()).ask(&question(Form::FULL)).await.unwrap_err();
    assert_eq!(error.to_string(), "the API answered error 77: “no such code: ***”");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_is_judged_before_the_status() {
    let body = r#"{"ERROR_NUMBER":"3","ERROR_DESCRIPTION":"CDR limit exceeded."}"#;
    for status in ["200 OK", "403 Forbidden", "404 Not Found", "500 Internal Server Error"] {
        let url = raw(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
        .await;
        let error = client(&url, Method::Post, code()).ask(&question(Form::FULL)).await.unwrap_err();
        assert_eq!(error.action(), Action::Split, "{status}: {error}");
    }
    for (status, expected) in [
        (
            "429 Too Many Requests\r\nRetry-After: 7",
            Action::SlowDown { retry_after: Some(Duration::from_secs(7)) },
        ),
        (
            "503 Service Unavailable\r\nRetry-After: 7",
            Action::SlowDown { retry_after: Some(Duration::from_secs(7)) },
        ),
        ("503 Service Unavailable", Action::Retry),
        ("401 Unauthorized", Action::Retry),
        ("504 Gateway Timeout", Action::TooSlow),
    ] {
        let url =
            raw(format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope")).await;
        let error = client(&url, Method::Post, code()).ask(&question(Form::FULL)).await.unwrap_err();
        assert_eq!(error.action(), expected, "{status}: {error}");
    }
}

/// What a client makes of a server that answers with these head lines and this body.
async fn came_of(head: &str, body: &[u8]) -> Result<cdr_sync::voicenter::Answer, ApiError> {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let url = raw([head.as_bytes(), body].concat()).await;
    client(&url, Method::Post, code()).ask(&question(Form::FULL)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_signs_contradict_each_other_is_a_failure() {
    let empty = r#"{"ERROR_NUMBER":0,"ERROR_DESCRIPTION":"OK","CDR_LIST":[]}"#;
    let current = r#"{"ERROR_NUMBER":"0","STATUS_CODE":#,"TOTAL_HITS":0,"RETURN_HITS":0,"CDR_LIST":[]}"#;
    let full = r#"{"STATUS_CODE":200,"CDR_LIST":[{"CallID":"a","Date":"2026-06-10T08:30:00Z"}]}"#;
    for (head, body) in [
        ("500 Internal Server Error", empty.to_owned()),
        ("502 Bad Gateway", empty.to_owned()),
        ("403 Forbidden", current.replace('#', "200")),
        ("500 Internal Server Error", full.to_owned()),
        ("206 Partial Content", full.to_owned()),
        ("200 OK", current.replace('#', "500")),
        ("200 OK", current.replace('#', r#""503""#)),
        ("200 OK", current.replace('#', r#""500 Internal Server Error""#)),
        ("200 OK", full.replace("200", "401")),
    ] {
        let error = came_of(head, body.as_bytes()).await.unwrap_err();
        assert!(matches!(error, ApiError::Contradictory { .. }), "{head} {body}: {error:?}");
        assert_eq!(
            (error.action(), error.outcome().as_str()),
            (Action::Retry, "contradictory"),
            "{head} {body}"
        );
    }
    let limited = came_of("429 Too Many Requests\r\nRetry-After: 9", empty.as_bytes()).await.unwrap_err();
    assert_eq!(limited.action(), Action::SlowDown { retry_after: Some(Duration::from_secs(9)) });
    let said = came_of("500 Internal Server Error", empty.as_bytes()).await.unwrap_err().to_string();
    assert_eq!(said, "the answer contradicts itself: HTTP 500 with ERROR_NUMBER 0 and 0 records");
    for code in ["200", r#""200""#, r#""OK""#, "null"] {
        assert!(came_of("200 OK", current.replace('#', code).as_bytes()).await.is_ok(), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_front_of_the_api_is_not_the_apis_word_on_the_credential() {
    let page = "<!DOCTYPE html><html><head><title>Attention Required!\n | Cloudflare</title></head>972501234567</html>";
    for (head, body, said) in [
        (
            "403 Forbidden\r\nServer: cloudflare",
            page,
            "HTTP 403 from something in front of the API: an HTML page of “cloudflare”, “Attention Required! | Cloudflare”",
        ),
        (
            "401 Unauthorized",
            "Quota of 972501234567 exceeded",
            "HTTP 401 from something in front of the API: a body that is not JSON, “Quota of … exceeded”",
        ),
        ("403 Forbidden", "", "HTTP 403 from something in front of the API: an empty body"),
        (
            "403 Forbidden",
            r#"{"message":"Forbidden"}"#,
            "HTTP 403 from something in front of the API: JSON without ERROR_NUMBER and CDR_LIST",
        ),
    ] {
        let error = came_of(head, body.as_bytes()).await.unwrap_err();
        assert_eq!((error.action(), error.outcome().as_str()), (Action::Retry, "blocked"));
        assert_eq!(error.to_string(), said);
    }
    let refused =
        came_of("403 Forbidden", br#"{"ERROR_NUMBER":2,"ERROR_DESCRIPTION":"Authorization failed."}"#);
    assert_eq!(refused.await.unwrap_err().action(), Action::Pause { ip: None });
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_read_in_the_charset_that_the_header_names() {
    let text =
        r#"{"ERROR_NUMBER":0,"CDR_LIST":[{"CallID":"a","Date":"2026-06-10T08:30:00Z","UserName":"נועה"}]}"#;
    // א is 0xE0 and ת 0xFA in windows-1255 and iso-8859-8 alike.
    let single = |text: &str| -> Vec<u8> {
        let byte = |c: char| match u32::from(c) {
            letter @ 0x5d0..=0x5ea => (letter - 0x5d0 + 0xe0) as u8,
            ascii => ascii as u8,
        };
        text.chars().map(byte).collect()
    };
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (content_type, body) in [
        ("application/json; charset=windows-1255", single(text)),
        ("application/json;Charset=\"ISO-8859-8\"", single(text)),
        ("application/json; charset=utf-16", wide),
        ("application/json; charset=iso-8859-1", text.as_bytes().to_vec()),
        ("application/json", text.as_bytes().to_vec()),
    ] {
        let answer = came_of(&format!("200 OK\r\nContent-Type: {content_type}"), &body).await.unwrap();
        assert_eq!(answer.records[0].user_name.as_deref(), Some("נועה"), "{content_type}");
        assert_eq!(answer.invalid_bytes, 0, "{content_type}");
    }
    let answer = came_of("200 OK\r\nContent-Type: application/json", &single(text)).await.unwrap();
    assert_eq!(answer.invalid_bytes, 4, "counted, not silently replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_and_a_body_cut_in_the_middle_call_for_less() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let error = client(&url, Method::Post, code()).ask(&question(Form::FULL)).await.unwrap_err();
    assert_eq!((error.action(), error.outcome().as_str()), (Action::TooSlow, "timed_out"), "{error}");

    let part = r#"{"ERROR_NUMBER":0,"CDR_LIST":[{"CallID":"a","#;
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{part}");
    let unframed = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{part}");
    for answer in [cut, unframed] {
        let error = client(&raw(answer).await, Method::Post, code()).ask(&question(Form::FULL)).await;
        let error = error.unwrap_err();
        assert_eq!((error.action(), error.outcome().as_str()), (Action::TooSlow, "cut_body"), "{error}");
        assert!(matches!(error, ApiError::CutBody { received, .. } if received == part.len()), "{error:?}");
    }
    drop(silent);
    let error = client(&url, Method::Post, code()).ask(&question(Form::FULL)).await.unwrap_err();
    assert_eq!((error.action(), error.outcome().as_str()), (Action::Retry, "unreachable"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_that_grows_beyond_the_limit_when_unpacked_is_not_read_to_its_end() {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 50_000_000]).unwrap();
    let packed = packed.finish().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hub/cdr/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 65_536];
        let _ = stream.read(&mut request).await;
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&packed).await;
    });
    let error = client(&url, Method::Post, code()).ask(&question(Form::FULL)).await.unwrap_err();
    assert_eq!(error.action(), Action::SplitTooLarge, "{error}");
}

/// What accounts share that are asked of one server.
fn sharing(url: &str, shared: &ClientResources, code: &str) -> Client {
    let credential = Credential::Code(SecretString::from(code));
    Client::sharing(settings(url, Method::Post, credential), shared).unwrap()
}

/// The smallest pool for the answers of all accounts.
const POOL: u64 = 16 << 20;

/// Returns `true` if no memory for answers is held by anybody.
fn is_all_free(other: &Client) -> bool {
    other.memory().nothing().grows_without_waiting(POOL) && !other.memory().exceeds_pool()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_share_their_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hub/cdr/", listener.local_addr().unwrap());
    let (sender, connections) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            sender.send_modify(|count| *count += 1);
            tokio::spawn(async move {
                let mut request = vec![0; 65_536];
                while stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                    let body = r#"{"ERROR_NUMBER":0,"TOTAL_HITS":0,"CDR_LIST":[]}"#;
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    stream.write_all(head.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let shared = ClientResources::for_answers_of(900_000);
    let mut is_shared = false;
    for account in 0..50 {
        // A connection goes back into the pool a moment after its answer, so not every new account finds one there.
        let before = *connections.borrow();
        sharing(&url, &shared, &account.to_string()).ask(&question(Form::FULL)).await.unwrap();
        is_shared |= before > 0 && *connections.borrow() == before;
    }
    assert!(is_shared, "each account opened a connection of its own");
    let before = *connections.borrow();
    sharing(&url, &ClientResources::for_answers_of(900_000), "other")
        .ask(&question(Form::FULL))
        .await
        .unwrap();
    assert_eq!(*connections.borrow(), before + 1, "another configuration reads its certificates anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_or_too_large_frees_its_memory_and_is_not_expected_again() {
    let shared = ClientResources::for_answers_of(900_000);
    for (length, sent, error) in [(900_000, 700_000, "cut_body"), (5_000_000, 4_000_000, "too_large")] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let url = raw(head + &" ".repeat(sent)).await;
        let (client, other) = (sharing(&url, &shared, "one"), sharing(&url, &shared, "two"));
        let before = client.memory().expected();
        assert_eq!(client.ask(&question(Form::FULL)).await.unwrap_err().outcome().as_str(), error);
        assert!(is_all_free(&other), "{error}");
        assert_eq!(client.memory().expected(), before, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_for_want_of_memory_waits_for_as_much_and_no_longer_than_it_needs() {
    let body =
        format!(r#"{{"ERROR_NUMBER":0,"TOTAL_HITS":0,"CDR_LIST":[],"Note":"{}"}}"#, "x".repeat(300_000));
    let url =
        raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
            .await;
    let shared = ClientResources::for_answers_of(900_000);
    let [client, pooled, large] = ["one", "two", "three"].map(|code| sharing(&url, &shared, code));
    let (mut pool, mut privilege) = (pooled.memory().nothing(), large.memory().nothing());
    assert!(pool.grows_without_waiting(POOL));
    privilege.grow_to(POOL).await;
    let error = client.ask(&question(Form::FULL)).await.unwrap_err();
    assert_eq!((error.outcome().as_str(), error.action()), ("no_memory", Action::Retry), "{error}");
    let ApiError::NoMemory { received } = error else { panic!("{error}") };
    assert!(client.memory().expected() >= (received * 2).min(900_000), "{}", client.memory().expected());
    drop((pool, privilege));
    client.ask(&question(Form::FULL)).await.unwrap();
    assert_eq!(client.memory().expected(), body.len() as u64);
    assert!(is_all_free(&pooled));
}
