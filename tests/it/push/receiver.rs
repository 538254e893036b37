//! The receiver in the real daemon.

use cdr_sync::push::KeyHash;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::push::scene::{KEPT, KEY, PushScene, record, send};
use crate::support::polling::until;
use crate::support::program::{ACCOUNT, Running, command};

/// Notifications of this outcome.
fn received(metrics: &str, outcome: &str) -> u64 {
    let series = format!("cdr_sync_push_received_total{{account=\"default\",outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_encoding_is_stored_before_it_is_answered_and_a_repeat_is_counted() {
    let scene = PushScene::new().await;
    let _daemon = scene.ready(scene.command()).await;
    let before = scene.metrics().await;
    let xml = "<?xml version=\"1.0\"?><methodCall/>";
    for (content_type, body) in [
        ("application/json", record("1").as_str()),
        ("application/json", &format!("[{}]", record("2"))),
        ("application/x-www-form-urlencoded", "ivruniqueid=3&type=Queue"),
        ("text/plain", "ivruniqueid=4"),
        ("text/xml", xml),
        ("application/json", "{\"caller\":\"0509999999\"}"),
        ("application/json", &record("1")),
        ("application/json; charset=utf-8", &record("1")),
    ] {
        let before = scene.database.count("select coalesce(sum(times), 0)::bigint from cdr_sync.push").await;
        let answered = scene.push_as(content_type, body).await;
        assert_eq!((answered.status, answered.body.as_str()), (200, KEPT), "{body}");
        let after = scene.database.count("select coalesce(sum(times), 0)::bigint from cdr_sync.push").await;
        assert_eq!(after, before + 1, "{body}");
    }
    let query = scene.get(&format!("/push/{ACCOUNT}/{KEY}?ivruniqueid=5&type=Incoming%20Call")).await;
    assert_eq!((query.status, query.body.as_str()), (200, KEPT));
    assert_eq!(
        scene.stored().await,
        [
            "1 Queue understood x3",
            "2 Queue understood x1",
            "3 Queue understood x1",
            "4 understood x1",
            "5 Incoming Call understood x1",
            "rejected x1 record 1 of 1 has no usable ivruniqueid",
            "unsupported x1 XML-RPC is not read: choose POST-JSON in cPanel",
        ]
    );
    let raw = "select convert_from(raw, 'UTF8') from cdr_sync.push where call_id = '1'
               and body_sha256 = sha256(raw) and remote = '127.0.0.1' and last_received_at > received_at";
    assert_eq!(scene.database.lines(raw).await, [record("1")]);
    let metrics = scene.metrics().await;
    for (outcome, count) in [("new", 5), ("repeat", 2), ("rejected", 1), ("unsupported", 1)] {
        let counted = received(&metrics, outcome) - received(&before, outcome);
        assert_eq!(counted, count, "{outcome}");
    }
    assert!(!metrics.contains("push_last_received_timestamp_seconds{account=\"default\"} 0\n"));
    until("a word about them", async || {
        let log = scene.log();
        log.matches("push_not_understood").count() == 1 && log.contains("POST-JSON")
    })
    .await;
}

/// Documents in strings, which `serde_json::Value` would open one after the other.
fn very_deep() -> String {
    let mut text = "1".to_owned();
    for _ in 0..12 {
        let hidden = serde_json::to_string(&text).unwrap();
        text =
            format!("{}{{\"$serde_json::private::RawValue\":{hidden}}}{}", "[".repeat(120), "]".repeat(120));
    }
    text
}

#[tokio::test]
async fn what_is_nested_without_end_is_kept_like_anything_else() {
    let scene = PushScene::new().await;
    let mut daemon = scene.ready(scene.command()).await;
    let hidden = serde_json::to_string(&very_deep()).unwrap();
    let custom = format!("{{\"ivruniqueid\":\"1\",\"type\":\"Queue\",\"CUSTOM_DATA\":{hidden}}}");
    for body in [very_deep(), custom, "[".repeat(1 << 20)] {
        assert_eq!(scene.push(&body).await.body, KEPT);
    }
    assert_eq!(daemon.ended(), None);
    let stored = scene.stored().await;
    assert!(stored.len() == 3 && stored.contains(&"1 Queue understood x1".to_owned()), "{stored:?}");
}

#[tokio::test]
async fn the_query_counts_where_there_is_no_body_and_a_body_where_there_is_one() {
    let scene = PushScene::new().await;
    let _daemon = scene.ready(scene.command()).await;
    let path = format!("/push/{ACCOUNT}/{KEY}");
    let asked = scene.post(&format!("{path}?ivruniqueid=1&type=Queue"), "application/json", "").await;
    assert_eq!(asked.body, KEPT);
    let body = record("2");
    let get = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(send(&scene.address, &get).await.unwrap().body, KEPT);
    assert_eq!(scene.stored().await, ["1 Queue understood x1", "2 Queue understood x1"]);
}

#[tokio::test]
async fn a_repeat_that_names_the_right_charset_makes_it_understood() {
    let scene = PushScene::new().await;
    let _daemon = scene.ready(scene.command()).await;
    // UTF-16 without a mark of its order.
    let body: String = record("1").chars().flat_map(|letter| [letter, '\0']).collect();
    assert_eq!(scene.push_as("application/json", &body).await.body, KEPT);
    assert!(scene.stored().await[0].starts_with("rejected x1"), "{:?}", scene.stored().await);
    for repeat in 2..4 {
        assert_eq!(scene.push_as("application/json; charset=utf-16le", &body).await.body, KEPT);
        assert_eq!(scene.stored().await, [format!("1 Queue understood x{repeat}")]);
    }
    let replayed =
        "select count(*) from cdr_sync.push where content_type like '%utf-16le' and problem is null";
    assert_eq!(scene.database.count(replayed).await, 1);
}

#[tokio::test]
async fn what_the_database_was_too_slow_for_is_stored_all_the_same() {
    let scene = PushScene::new().await;
    let _daemon = scene.ready(scene.command()).await;
    let mut held = scene.database.sql().await;
    sqlx::raw_sql("begin; lock table cdr_sync.push in access exclusive mode")
        .execute(&mut held)
        .await
        .unwrap();
    let answered = scene.push(&record("1")).await;
    assert_eq!(answered.status, 503, "it is not known yet whether it is kept");
    sqlx::raw_sql("commit").execute(&mut held).await.unwrap();
    until("the row", async || scene.stored().await == ["1 Queue understood x1"]).await;
}

#[tokio::test]
async fn it_is_on_the_disk_even_where_other_commits_need_not_be() {
    let scene = PushScene::new().await;
    let name = scene.database.name();
    let refuse = format!(
        "alter database \"{name}\" set synchronous_commit = off;
         create function refuse() returns trigger language plpgsql as $$ begin
             if current_setting('synchronous_commit') = 'off' then raise 'not on the disk'; end if;
             return new;
         end $$;
         create trigger refuse before insert on cdr_sync.push for each row execute function refuse()"
    );
    scene.database.execute(&refuse).await;
    let _daemon = scene.ready(scene.command()).await;
    assert_eq!(scene.push(&record("1")).await.body, KEPT);
    assert_eq!(scene.database.lines("show synchronous_commit").await, ["off"]);
}

#[tokio::test]
async fn nothing_of_an_address_or_a_body_is_printed() {
    let scene = PushScene::new().await;
    let mut run = scene.with_spool();
    run.env("RUST_LOG", "trace");
    let mut daemon = scene.start(run).await;
    scene.push(&record("secretcall")).await;
    scene.push("{\"caller\":\"0509999999\",\"name\":\"Secretperson\"").await;
    scene.post(&format!("/push/{ACCOUNT}/wrong-{KEY}"), "application/json", &record("secretcall")).await;
    scene.post(&format!("/push/another-{ACCOUNT}/{KEY}"), "application/json", "{}").await;
    scene.get(&format!("/push/{KEY}")).await;
    scene.get(&format!("/push/{ACCOUNT}/{KEY}?ivruniqueid=secretcall&caller=0509999999")).await;
    until("all of them", async || scene.stored().await.len() == 3).await;
    let mut shown = scene.metrics().await;
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().await.0.success());
    shown.push_str(&scene.log());
    for part in ["cdr_sync_push_unauthorized_total 3\n", "\"receiving\""] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    for secret in [KEY, &KEY[..12], "0509999999", "Secretperson", "secretcall", "another-default"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart() {
    let scene = PushScene::new().await;
    let keys = |keys: &[&str]| {
        let hashes: Vec<String> = keys.iter().map(|key| format!("\"{}\"", KeyHash::of(key))).collect();
        scene.folder.write("cdr-sync.toml", &format!("[push]\nkeys = [{}]\n", hashes.join(", ")))
    };
    let file = keys(&[KEY]);
    let mut run = scene.command();
    run.env_remove("CDR_SYNC__PUSH__KEYS").env("CDR_SYNC_CONFIG", file);
    let daemon = scene.ready(run).await;
    let statuses = async || {
        let mut statuses = Vec::new();
        for key in [KEY, "the-next-key"] {
            statuses.push(scene.post(&format!("/push/{ACCOUNT}/{key}"), "", &record("1")).await.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [200, 404]);
    for (valid, expected) in [(&[KEY, "the-next-key"][..], [200, 200]), (&["the-next-key"], [404, 200])] {
        keys(valid);
        daemon.signal(Signal::SIGHUP);
        until("the new keys", async || statuses().await == expected).await;
    }
    assert!(scene.log().contains("push.keys"));
}

#[tokio::test]
async fn a_sender_that_asks_first_is_told_to_go_on() {
    let scene = PushScene::new().await;
    let _daemon = scene.ready(scene.command()).await;
    let body = record("1");
    let head = |length: usize| {
        format!(
            "POST /push/{ACCOUNT}/{KEY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(&scene.address).await.unwrap();
    stream.write_all(head(body.len()).as_bytes()).await.unwrap();
    let mut begin = [0; 25];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 ") && rest.ends_with(KEPT), "{rest}");

    // One byte too many is not even asked for.
    let mut stream = TcpStream::connect(&scene.address).await.unwrap();
    stream.write_all(head((4 << 20) + 1).as_bytes()).await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 413 "), "{rest}");
}

#[tokio::test]
async fn a_body_of_four_mebibytes_is_taken() {
    let scene = PushScene::new().await;
    // A program that is not optimised may need the spool for it.
    let _daemon = scene.ready(scene.with_spool()).await;
    let mut body = record("1");
    body.push_str(&" ".repeat((4 << 20) - body.len()));
    until("a good answer", async || scene.push(&body).await.body == KEPT).await;
    let size = "select coalesce(max(octet_length(raw)), 0)::bigint from cdr_sync.push";
    until("all of it", async || scene.database.count(size).await == 4 << 20).await;
}

#[tokio::test]
async fn a_trusted_proxy_says_who_sends() {
    let scene = PushScene::new().await;
    let mut run = scene.with_spool();
    run.env("CDR_SYNC__PUSH__ALLOW_FROM", "203.0.113.0/24");
    run.env("CDR_SYNC__PUSH__TRUSTED_PROXIES", "127.0.0.0/8");
    let _daemon = scene.start(run).await;
    let mut statuses = Vec::new();
    for forwarded in ["203.0.113.7", "203.0.113.7, 198.51.100.1", "198.51.100.1, 203.0.113.7", "nobody"] {
        let request = format!(
            "POST /push/{ACCOUNT}/{KEY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: {forwarded}\r\ncontent-length: 13\r\n\r\nivruniqueid=1"
        );
        statuses.push(send(&scene.address, &request).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 404, 200, 404]);
    let remote = "select host(remote) || ' x' || times from cdr_sync.push";
    until("both", async || scene.database.lines(remote).await == ["203.0.113.7 x2"]).await;
}

#[tokio::test]
async fn a_key_is_made_without_any_configuration_and_differs_each_time() {
    let make = async || {
        let mut command = command(["push", "key"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let (status, out, _) = Running::start(command).finish().await;
        assert_eq!(status, Some(0));
        let [key, hash] = out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
        assert_eq!(hash, KeyHash::of(key).to_string());
        assert!(
            key.len() >= 22 && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)),
            "{key}"
        );
        key.to_owned()
    };
    assert_ne!(make().await, make().await);
}

#[tokio::test]
async fn what_was_not_understood_is_read_again() {
    let scene = PushScene::new().await;
    let daemon = scene.ready(scene.command()).await;
    scene.push(&record("1")).await;
    scene.push("{\"a\":1}").await;
    scene.push_as("text/xml", "<a/>").await;
    drop(daemon);
    // As if a version that knew nothing had received it.
    scene.database.execute("update cdr_sync.push set state = 'rejected', call_id = null, type = null, problem = 'unknown' where call_id = '1'").await;
    let replay = async || {
        let mut command = command(["push", "replay"]);
        command.env("DATABASE_URL", scene.database.url());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let (status, out, err) = Running::start(command).finish().await;
        (status, out + &err)
    };
    let said =
        |understood| format!("default: {understood} CDR notifications are understood now, 2 are not\n");
    assert_eq!(replay().await, (Some(4), said(1)));
    assert_eq!(replay().await, (Some(4), said(0)));
    assert_eq!(scene.stored().await[0], "1 Queue understood x1");
    scene.database.execute("delete from cdr_sync.push where state not in ('new', 'applied')").await;
    let none = "there are no CDR notifications that were not understood\n".to_owned();
    assert_eq!(replay().await, (Some(0), none));
}
