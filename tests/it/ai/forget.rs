//! `forget`: what was said is erased, and does not come back whichever way it is sent again.

use std::process::Stdio;

use cdr_sync::store::forget::Forget;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::ai::scene::{ACCOUNT, AiScene, at, push, said};
use crate::commands::scene::{printed, program};
use crate::push::scene::{KEPT, PushScene};
use crate::support::database::Database;
use crate::support::polling::until;
use crate::support::program::Running;

/// The number of whoever is forgotten, in several spellings.
const SPELLINGS: [&str; 4] = ["0547654321", "+972-54-765-4321", "972547654321", "547654321"];
const DIGITS: &str = "7654321";
/// CallIDs have digits enough to be found in a body that nobody understands.
const CALL: &str = "202611010801aa";

/// What the command prints, with everything logged; never what was asked for.
async fn forget(database: &Database, arguments: &[&str]) -> String {
    let mut all = vec!["forget"];
    all.extend(arguments);
    let environment = [
        ("DATABASE_URL", database.url()),
        ("CDR_SYNC__ACCOUNTS__0__NAME", ACCOUNT),
        ("CDR_SYNC__ACCOUNTS__0__CODE", "a"),
        ("CDR_SYNC__ACCOUNTS__1__NAME", "other"),
        ("CDR_SYNC__ACCOUNTS__1__CODE", "b"),
        ("RUST_LOG", "trace"),
    ];
    let said = printed(program(&all, &environment)).await;
    assert!(!said.contains(DIGITS) && !said.contains("Secret"), "{said}");
    said
}

/// Pushes as Voicenter does: again, until it is kept. On a busy host the database may need longer than a receiver waits.
async fn send(receiving: &PushScene, body: &str) {
    until("an answer", async || receiving.push(body).await.body == KEPT).await;
}

fn from(call_id: &str, number: &str, words: &[&str]) -> Value {
    let mut body = push(call_id, said(words));
    body["callerPhone"] = json!(number);
    body
}

/// All that the database knows, as text: bodies are read as such.
async fn everything(database: &Database) -> String {
    // One connection for all of it: each takes long where many tests run.
    let mut sql = database.sql().await;
    let tables = "select string_agg(format('select to_jsonb(t)::text from %s t', c.oid::regclass), ' union all ')
         from pg_class c
         where c.relkind = 'r' and c.relnamespace in ('voicenter_ai'::regnamespace, 'cdr_sync'::regnamespace)";
    let rows: String = sqlx::query_scalar(tables).fetch_one(&mut sql).await.unwrap();
    let rows =
        format!("{rows} union all select convert_from(raw, 'UTF8') from cdr_sync.push where raw is not null");
    let all: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut sql).await.unwrap();
    all.concat()
}

#[tokio::test]
async fn a_call_that_was_forgotten_comes_back_neither_by_a_repeat_nor_by_another_push() {
    let receiving = PushScene::new().await;
    let _daemon = receiving.ready(receiving.command()).await;
    let scene = AiScene::of(&receiving.database).await;
    let (first, second) =
        (push(CALL, said(&["Secret one"])), push(CALL, said(&["Secret two", "Secret three"])));
    let other = push("2", said(&["Harmless"]));
    for body in [&first, &other] {
        send(&receiving, &body.to_string()).await;
    }
    scene.apply().await;
    send(&receiving, &second.to_string()).await;
    scene.apply().await;
    let dry = forget(&receiving.database, &["--account", ACCOUNT, "--call-id", CALL, "--dry-run"]).await;
    for part in ["1 call with an analysis", "2 lines of transcripts", "2 bodies of CDR", "exit status 0"] {
        assert!(dry.contains(part), "{part} is not in {dry}");
    }
    assert_eq!(scene.transcript().await.len(), 3);
    let done = forget(&receiving.database, &["--account", ACCOUNT, "--call-id", CALL]).await;
    for part in ["1 call with an analysis", "2 lines of transcripts", "2 bodies of CDR", "exit status 0"] {
        assert!(done.contains(part), "{part} is not in {done}");
    }
    let gone = async || {
        scene.apply().await;
        assert_eq!(scene.transcript().await, ["2 1 agent Harmless"]);
        assert!(!everything(&receiving.database).await.contains("Secret"));
    };
    gone().await;
    // The same ones again, another one, one as an array together with another call, and one that nobody understands.
    let third = push(CALL, said(&["Secret four"]));
    let mixed = json!([push(CALL, said(&["Secret five"])), push("3", said(&["Welcome"]))]);
    let broken = format!("{{\"oops\": {third}");
    for body in [&first.to_string(), &second.to_string(), &third.to_string(), &broken] {
        send(&receiving, body).await;
        gone().await;
    }
    send(&receiving, &mixed.to_string()).await;
    scene.apply().await;
    assert_eq!(scene.transcript().await, ["2 1 agent Harmless", "3 1 agent Welcome"]);
    assert!(!everything(&receiving.database).await.contains("Secret"));
    let states = "select state || ' ' || count(*) from cdr_sync.push group by state order by 1";
    assert_eq!(receiving.database.lines(states).await, ["applied 2", "forgotten 4"]);
    let again = forget(&receiving.database, &["--account", ACCOUNT, "--call-id", CALL]).await;
    for part in ["it was forgotten before", "0 calls with an analysis", "0 bodies of CDR", "exit status 0"] {
        assert!(again.contains(part), "{part} is not in {again}");
    }
}

#[tokio::test]
async fn all_calls_of_a_number_are_forgotten_however_it_is_written_and_no_others() {
    let receiving = PushScene::new().await;
    let _daemon = receiving.ready(receiving.command()).await;
    let scene = AiScene::of(&receiving.database).await;
    // Known by the mirror alone, by its history alone, and by nothing but its notification.
    scene
        .database
        .execute(
            "insert into voicenter.cdr (account, call_id, type, started_at, caller_number, target_number, first_seen_at, updated_at)
             values ('default', 'mirrored', 'Queue', now(), '0721111111', '0547654321', now(), now()),
                 ('default', 'known', 'Queue', now(), '9720547654321', null, now(), now()),
                 ('default', 'others', 'Queue', now(), '0547654322', '0721111111', now(), now()),
                 ('other', 'mirrored', 'Queue', now(), '0547654321', null, now(), now());
             insert into cdr_sync.number (account, raw, number) values ('default', '9720547654321', '+972547654321')",
        )
        .await;
    for (call_id, words) in [("mirrored", "Secret a"), ("known", "Secret b"), ("others", "Harmless c")] {
        send(&receiving, &push(call_id, said(&[words])).to_string()).await;
    }
    for (number, nth) in SPELLINGS.iter().zip(1..) {
        let body = from(&format!("pushed{nth}"), number, &["Secret d"]);
        send(&receiving, &body.to_string()).await;
    }
    let mixed = json!([from("x", "0547654321", &["Secret e"]), from("y", "0547654322", &["Harmless f"])]);
    send(&receiving, &mixed.to_string()).await;
    send(&receiving, "{\"caller\": \"054-765-4321\", \"said\": \"Secret g\"").await;
    send(&receiving, "{\"caller\": \"054-765-4322\", \"said\": \"Harmless h\"").await;
    scene.receive_for("other", at(0), from("mirrored", "0547654321", &["Kept"]).to_string().as_bytes()).await;
    scene.apply_for("other").await;
    let done = forget(&receiving.database, &["--account", ACCOUNT, "--phone", "+972 54-765-4321"]).await;
    for part in [
        "7 calls of default forgotten",
        "8 bodies of CDR",
        "2 rows of voicenter.cdr and 0 rows",
        "exit status 0",
    ] {
        assert!(done.contains(part), "{part} is not in {done}");
    }
    scene.apply().await;
    assert_eq!(
        scene.transcript().await,
        ["mirrored 1 agent Kept", "others 1 agent Harmless c", "y 1 agent Harmless f"]
    );
    // A new call of theirs, a leg without the number, and what nobody understands.
    let broken = "{\"caller\": \"%2B972547654321\", \"said\": \"Secret i\"";
    let leg = push("pushed1", said(&["Secret j"]));
    for body in [from("new", "547654321", &["Secret k"]).to_string(), leg.to_string(), broken.to_owned()] {
        send(&receiving, &body).await;
    }
    send(&receiving, &from("z", "0547654322", &["Harmless l"]).to_string()).await;
    scene.apply().await;
    assert_eq!(scene.transcript().await.len(), 4);
    let all = everything(&receiving.database).await;
    assert!(!all.contains("Secret"), "{all}");
    assert!(all.contains("Harmless h") && all.contains("Harmless l"));
    // Who asked is known, but not whom it was about. (The mirror's own numbers are what it is made of.)
    let actions = "select account || ' ' || what || ' ' || (by_whom <> '') || coalesce(detail, '') from cdr_sync.action";
    assert_eq!(scene.database.lines(actions).await, ["default forget number true"]);
    let hashes = "select (count(distinct hash) = count(*) and min(octet_length(hash)) = 32)::text from cdr_sync.forgotten";
    assert_eq!(scene.database.lines(hashes).await, ["true"]);
    let plain = "select count(*) from cdr_sync.forgotten where hash in (sha256('+972547654321'), sha256('number:+972547654321'))";
    assert_eq!(scene.database.count(plain).await, 0);
}

#[tokio::test]
async fn a_replay_brings_nothing_back() {
    let receiving = PushScene::new().await;
    let _daemon = receiving.ready(receiving.command()).await;
    let scene = AiScene::of(&receiving.database).await;
    // As if an earlier version had not understood them.
    send(&receiving, &from("1", "0547654321", &["Secret"]).to_string()).await;
    send(
        &receiving,
        &json!([from("2", "0547654321", &["Secret"]), from("3", "0547654322", &["Harmless"])]).to_string(),
    )
    .await;
    scene.apply().await;
    scene
        .database
        .execute(
            "update cdr_sync.push set state = 'rejected', call_id = null, type = null; delete from voicenter.cdr_push;
             delete from voicenter_ai.call_ai; delete from voicenter_ai.call_ai_part;
             delete from voicenter_ai.call_ai_answer; delete from voicenter_ai.call_ai_sentence;
             delete from voicenter_ai.call_transcript",
        )
        .await;
    let number = scene
        .store
        .forget_in_one_spelling(ACCOUNT, Forget::Number("0547654321".to_owned()))
        .await
        .unwrap()
        .unwrap();
    assert!(scene.store.forget_from_now_on(ACCOUNT, &number).await.unwrap());
    // Whoever forgets was cut off here.
    let said = printed(program(&["push", "replay"], &[("DATABASE_URL", scene.database.url())])).await;
    assert!(said.contains("2 CDR notifications are understood now, 0 are not"), "{said}");
    assert!(!everything(scene.database).await.contains("Secret"));
    scene.apply().await;
    assert_eq!(scene.transcript().await, ["3 1 agent Harmless"]);
}

#[tokio::test]
async fn what_was_in_the_inbox_when_a_number_was_forgotten_is_not_applied() {
    let scene = AiScene::new().await;
    scene
        .receive(
            at(0),
            &json!([from("1", "0547654321", &["Secret"]), from("2", "0547654322", &["Harmless"])]),
        )
        .await;
    let number = Forget::Number("+972547654321".to_owned());
    scene.store.forget_from_now_on(ACCOUNT, &number).await.unwrap();
    scene.apply().await;
    assert_eq!(scene.transcript().await, ["2 1 agent Harmless"]);
    // Applied or not, it is found.
    let found = scene.store.forgettable(ACCOUNT, &number).await.unwrap();
    let erased = scene.store.erase(ACCOUNT, &found).await.unwrap();
    assert_eq!((found.calls(), erased.bodies), (1, 1));
    assert!(!everything(&scene.database).await.contains("Secret"));
    assert!(everything(&scene.database).await.contains("Harmless"));
}

#[tokio::test]
async fn a_notification_that_is_being_stored_meanwhile_is_erased_as_well() {
    let scene = AiScene::new().await;
    let mut storing = scene.database.sql().await;
    let body = from("1", "0547654321", &["Secret"]).to_string();
    sqlx::raw_sql("begin; select cdr_sync.begin_keeping('default')").execute(&mut storing).await.unwrap();
    let insert = "insert into cdr_sync.push (account, body_sha256, received_at, last_received_at, raw, state)
                  values ('default', sha256($1), now(), now(), $1, 'new')";
    sqlx::query(insert).bind(body.as_bytes()).execute(&mut storing).await.unwrap();
    let environment = [("DATABASE_URL", scene.database.url()), ("VOICENTER_CODE", "x")];
    let mut command = program(&["forget", "--account", ACCOUNT, "--phone", "0547654321"], &environment);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let forgetting = Running::start(command);
    let waits = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                 where d.datname = current_database() and l.locktype = 'advisory' and not l.granted";
    until("the wait", async || scene.database.count(waits).await == 1).await;
    sqlx::raw_sql("commit").execute(&mut storing).await.unwrap();
    let (status, said, _) = forgetting.finish().await;
    assert!(status == Some(0) && said.contains("1 body of CDR"), "{said}");
    assert!(!everything(&scene.database).await.contains("Secret"));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_without_repeating_it() {
    let scene = AiScene::new().await;
    for (arguments, says) in [
        (
            &["--account", "typo", "--phone", "0547654321"][..],
            "there is no account \"typo\"; there are: default, other",
        ),
        (&["--account", ACCOUNT, "--phone", "anonymous"], "this is no phone number"),
        (&["--account", ACCOUNT, "--call-id", " "], "--call-id is empty"),
        (&["--account", ACCOUNT], "required"),
    ] {
        let said = forget(&scene.database, arguments).await;
        assert!(said.contains(says) && said.ends_with("exit status 2\n"), "{said}");
    }
    assert_eq!(scene.database.count("select count(*) from cdr_sync.forgotten").await, 0);
}
