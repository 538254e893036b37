//! What AI makes of calls: the tables of `voicenter_ai`, part by part.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::{FromRow, PgConnection};

use super::{StoreError, sql, sql_as, sql_value};
use crate::push::{Analysis, Answer, RecordKey, Role};

/// Where an analysis is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnalysisSource {
    /// A CDR notification.
    Push,
    /// GetCallHistory, which knows less: a part that was pushed stays.
    History,
}

impl AnalysisSource {
    const fn as_str(self) -> &'static str {
        match self {
            AnalysisSource::Push => "push",
            AnalysisSource::History => "history",
        }
    }
}

/// The analysis of one call, as it was received once.
pub(crate) struct ReceivedAnalysis {
    pub(crate) call_id: String,
    /// Empty where it is not known, as in `voicenter.cdr`.
    pub(crate) call_type: String,
    pub(crate) source: AnalysisSource,
    pub(crate) received_at: DateTime<Utc>,
    /// The SHA-256 of what it came in.
    pub(crate) body_sha256: Vec<u8>,
    /// Only then it is certain who speaks.
    pub(crate) is_incoming: bool,
    pub(crate) analysis: Analysis,
}

/// A part of a call's analysis.
type PartKey = (String, String, String);

const UPSERT_PARTS: &str = "
insert into voicenter_ai.call_ai_part as p (account, call_id, type, part, source, received_at, body_sha256)
select distinct on (n.call_id, n.type, n.part) $1, n.call_id, n.type, n.part, n.source, n.received_at, decode(n.body, 'hex')
from jsonb_to_recordset($2::jsonb) n (call_id text, type text, part text, source text, received_at timestamptz, body text)
where not exists (
    select from cdr_sync.forgotten f where f.account = $1 and f.hash = cdr_sync.forgotten_hash('call', n.call_id)
)
order by n.call_id, n.type, n.part, (n.source = 'push') desc, n.received_at desc, n.body desc
on conflict (account, call_id, type, part) do update
set source = excluded.source, received_at = excluded.received_at, body_sha256 = excluded.body_sha256
where (p.source = 'push', p.received_at, p.body_sha256)
    < (excluded.source = 'push', excluded.received_at, excluded.body_sha256)
returning call_id, type, part, encode(body_sha256, 'hex') as body";

const UPSERT_CALLS: &str = "
insert into voicenter_ai.call_ai as a (account, call_id, type, summary, caller_name, callee_name, personality, extra,
    source, received_at, body_sha256, first_received_at)
select $1, n.call_id, n.type, n.summary, n.caller_name, n.callee_name, n.personality, n.extra,
    n.source, n.received_at, decode(n.body, 'hex'), n.received_at
from jsonb_to_recordset($2::jsonb) n (call_id text, type text, summary text, caller_name text, callee_name text,
    personality jsonb, extra jsonb, source text, received_at timestamptz, body text)
order by n.call_id, n.type
on conflict (account, call_id, type) do update
set summary = coalesce(excluded.summary, a.summary),
    -- Names are of one part with the traits, which are an object whenever that part has come.
    caller_name = case when excluded.personality is null then a.caller_name else excluded.caller_name end,
    callee_name = case when excluded.personality is null then a.callee_name else excluded.callee_name end,
    personality = coalesce(excluded.personality, a.personality),
    extra = coalesce(excluded.extra, a.extra),
    source = case when excluded.received_at >= a.received_at then excluded.source else a.source end,
    body_sha256 = case when excluded.received_at >= a.received_at then excluded.body_sha256 else a.body_sha256 end,
    received_at = greatest(excluded.received_at, a.received_at),
    first_received_at = least(excluded.first_received_at, a.first_received_at)";

/// What a part replaces, and with what. `$2` are calls with a part each, `$3` the rows.
const LISTS: [(&str, &str); 3] = [
    (
        "delete from voicenter_ai.call_ai_answer a
         using jsonb_to_recordset($2::jsonb) n (call_id text, type text, part text)
         where a.account = $1 and a.call_id = n.call_id and a.type = n.type and a.part = n.part",
        "insert into voicenter_ai.call_ai_answer (account, call_id, type, part, position, key, question, data_type, answer,
             answer_bool, answer_number, answer_text, extra)
         select $1, n.call_id, n.type, n.part, n.position, n.key, n.question, n.data_type, n.answer,
             n.answer_bool, n.answer_number, n.answer_text, n.extra
         from jsonb_to_recordset($2::jsonb) n (call_id text, type text, part text, position integer, key text, question text,
             data_type text, answer jsonb, answer_bool boolean, answer_number numeric, answer_text text, extra jsonb)",
    ),
    (
        "delete from voicenter_ai.call_ai_sentence s
         using jsonb_to_recordset($2::jsonb) n (call_id text, type text, part text)
         where s.account = $1 and s.call_id = n.call_id and s.type = n.type and n.part = 'sentences'",
        "insert into voicenter_ai.call_ai_sentence (account, call_id, type, position, sentence_id, emotion, direction,
             confidence, intensity, trait, trait_confidence, extra)
         select $1, n.call_id, n.type, n.position, n.sentence_id, n.emotion, n.direction,
             n.confidence, n.intensity, n.trait, n.trait_confidence, n.extra
         from jsonb_to_recordset($2::jsonb) n (call_id text, type text, position integer, sentence_id text, emotion text,
             direction smallint, confidence numeric, intensity numeric, trait text, trait_confidence numeric, extra jsonb)",
    ),
    (
        "delete from voicenter_ai.call_transcript t
         using jsonb_to_recordset($2::jsonb) n (call_id text, type text, part text)
         where t.account = $1 and t.call_id = n.call_id and t.type = n.type and n.part = 'transcript'",
        "insert into voicenter_ai.call_transcript (account, call_id, type, position, sentence_id, speaker, role,
             start_seconds, end_seconds, text, extra)
         select $1, n.call_id, n.type, n.position, n.sentence_id, n.speaker, n.role,
             n.start_seconds, n.end_seconds, n.text, n.extra
         from jsonb_to_recordset($2::jsonb) n (call_id text, type text, position integer, sentence_id text, speaker text,
             role text, start_seconds numeric, end_seconds numeric, text text, extra jsonb)",
    ),
];

/// GetCallHistory does not say which leg it speaks of; the push does, and what was taken for another leg's is this one's.
const DELETE_GUESSED: &str = "
with guessed as materialized (
    select distinct a.call_id, a.type
    from (select distinct n.call_id, n.type from jsonb_to_recordset($2::jsonb) n (call_id text, type text)) n
    join voicenter_ai.call_ai a on a.account = $1 and a.call_id = n.call_id and a.type <> n.type and a.source = 'history'
    where not exists (
        select from voicenter_ai.call_ai_part p
        where p.account = $1 and p.call_id = a.call_id and p.type = a.type and p.source = 'push'
    )
), parts as (
    delete from voicenter_ai.call_ai_part p using guessed g where p.account = $1 and p.call_id = g.call_id and p.type = g.type
), answers as (
    delete from voicenter_ai.call_ai_answer p using guessed g where p.account = $1 and p.call_id = g.call_id and p.type = g.type
), sentences as (
    delete from voicenter_ai.call_ai_sentence p using guessed g where p.account = $1 and p.call_id = g.call_id and p.type = g.type
), transcripts as (
    delete from voicenter_ai.call_transcript p using guessed g where p.account = $1 and p.call_id = g.call_id and p.type = g.type
)
delete from voicenter_ai.call_ai p using guessed g where p.account = $1 and p.call_id = g.call_id and p.type = g.type";

#[derive(FromRow)]
struct Won {
    call_id: String,
    #[sqlx(rename = "type")]
    call_type: String,
    part: String,
    body: String,
}

/// Stores analyses of one account in somebody's transaction, which holds the rows of `cdr_sync.push` that they came in. Each part
/// replaces what is there of it as a whole if it is newer; a part that is missing leaves it as it is, and so does everything that is
/// older or forgotten. In whatever order and however often they come, the outcome is the same. Returns the number of parts that were stored.
pub(crate) async fn store_analyses(
    conn: &mut PgConnection,
    account: &str,
    received: &[ReceivedAnalysis],
) -> Result<u64, StoreError> {
    let parts: Vec<Value> = received.iter().flat_map(parts_of).collect();
    if parts.is_empty() {
        return Ok(0);
    }
    let won: Vec<Won> =
        sql_as(UPSERT_PARTS).bind(account).bind(json!(parts).to_string()).fetch_all(&mut *conn).await?;
    if won.is_empty() {
        return Ok(0);
    }
    let pushed: Vec<Value> = received
        .iter()
        .filter(|one| one.source == AnalysisSource::Push)
        .map(|one| json!({ "call_id": one.call_id, "type": one.call_type }))
        .collect();
    if !pushed.is_empty() {
        sql(DELETE_GUESSED).bind(account).bind(json!(pushed).to_string()).execute(&mut *conn).await?;
    }
    let replaced: Vec<Value> = won
        .iter()
        .map(|won| json!({ "call_id": won.call_id, "type": won.call_type, "part": won.part }))
        .collect();
    let count = won.len() as u64;
    let won: BTreeSet<(PartKey, String)> =
        won.into_iter().map(|won| ((won.call_id, won.call_type, won.part), won.body)).collect();
    let rows = Rows::of(received, &won);
    sql(UPSERT_CALLS)
        .bind(account)
        .bind(Value::from_iter(rows.calls.into_values().map(Value::Object)).to_string())
        .execute(&mut *conn)
        .await?;
    let replaced = json!(replaced).to_string();
    for ((delete, insert), rows) in LISTS.into_iter().zip([rows.answers, rows.sentences, rows.transcript]) {
        if !rows.is_empty() {
            sql(delete).bind(account).bind(&replaced).execute(&mut *conn).await?;
            sql(insert).bind(account).bind(json!(rows).to_string()).execute(&mut *conn).await?;
        }
    }
    Ok(count)
}

const INCOMING: &str = "
select k.nth
from unnest($2::text[], $3::text[]) with ordinality k (call_id, type, nth)
where 'incoming' = coalesce(
    (select lower(btrim(p.direction)) from voicenter.cdr_push p
     where p.account = (select $1) and p.call_id = k.call_id and p.type = k.type),
    (select l.direction from cdr_sync.leg l where l.account = (select $1) and l.call_id = k.call_id and l.type = k.type))";

/// Which calls are incoming is known from other notifications of them, or from the pull, where this one does not say so.
pub(super) async fn find_incoming(
    conn: &mut PgConnection,
    account: &str,
    received: &mut [ReceivedAnalysis],
) -> Result<(), StoreError> {
    let mut unclear: Vec<&mut ReceivedAnalysis> =
        received.iter_mut().filter(|one| !one.is_incoming && one.analysis.transcript.is_some()).collect();
    if unclear.is_empty() {
        return Ok(());
    }
    let call_ids: Vec<&str> = unclear.iter().map(|one| one.call_id.as_str()).collect();
    let types: Vec<&str> = unclear.iter().map(|one| one.call_type.as_str()).collect();
    let incoming: BTreeSet<i64> = sql_value(INCOMING)
        .bind(account)
        .bind(call_ids)
        .bind(types)
        .fetch_all(conn)
        .await?
        .into_iter()
        .collect();
    for (one, nth) in unclear.iter_mut().zip(1..) {
        one.is_incoming = incoming.contains(&nth);
    }
    Ok(())
}

/// Gives the analysis of a record the type that the record turned out to have. Of one that has that type already the newer
/// parts count.
pub(super) async fn give_type(
    conn: &mut PgConnection,
    account: &str,
    key: &RecordKey,
    call_type: &str,
) -> Result<(), StoreError> {
    sql("select cdr_sync.move_analysis($1, $2, $3, $1, $4)")
        .bind(account)
        .bind(&key.0)
        .bind(&key.1)
        .bind(call_type)
        .execute(conn)
        .await?;
    Ok(())
}

/// What AI makes of some calls, `$2`. The first two are counted when it is forgotten.
pub(super) const DELETE: [&str; 5] = [
    "delete from voicenter_ai.call_ai where account = $1 and call_id = any ($2)",
    "delete from voicenter_ai.call_transcript where account = $1 and call_id = any ($2)",
    "delete from voicenter_ai.call_ai_sentence where account = $1 and call_id = any ($2)",
    "delete from voicenter_ai.call_ai_answer where account = $1 and call_id = any ($2)",
    "delete from voicenter_ai.call_ai_part where account = $1 and call_id = any ($2)",
];

/// Deletes analyses of calls that are not kept any longer (`retention.calls`): received before the floor, and without a row in the
/// mirror.
pub(super) async fn delete_older(
    conn: &mut PgConnection,
    account: &str,
    at_most: i64,
) -> Result<(), StoreError> {
    // Whoever may not use the schema has stored none.
    let may_use: bool =
        sql_value("select has_schema_privilege('voicenter_ai', 'usage')").fetch_one(&mut *conn).await?;
    if !may_use {
        return Ok(());
    }
    let call_ids: Vec<String> = sql_value(
        "select distinct old.call_id
         from (
             select a.call_id from voicenter_ai.call_ai a
             where a.account = $1 and a.received_at < (select r.retained_from from cdr_sync.account r where r.name = $1)
               and not exists (select from voicenter.cdr c where c.account = $1 and c.call_id = a.call_id)
               and not exists (select from voicenter_ai.call_ai b
                               where b.account = $1 and b.call_id = a.call_id and b.received_at > a.received_at
                                 and b.received_at >= (select r.retained_from from cdr_sync.account r where r.name = $1))
             order by a.received_at limit $2
         ) old",
    )
    .bind(account)
    .bind(at_most)
    .fetch_all(&mut *conn)
    .await?;
    if !call_ids.is_empty() {
        for statement in DELETE {
            sql(statement).bind(account).bind(&call_ids).execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// The rows of the parts that are stored.
#[derive(Default)]
struct Rows {
    calls: BTreeMap<(String, String), Map<String, Value>>,
    answers: Vec<Value>,
    sentences: Vec<Value>,
    transcript: Vec<Value>,
}

impl Rows {
    fn of(received: &[ReceivedAnalysis], won: &BTreeSet<(PartKey, String)>) -> Self {
        let mut rows = Self::default();
        let mut taken = BTreeSet::new();
        for one in received {
            let body = super::migration::hex(&one.body_sha256);
            let mut is_won = |part: &str| {
                let key = (one.call_id.clone(), one.call_type.clone(), part.to_owned());
                let found = won.contains(&(key.clone(), body.clone()));
                // A body may have a call twice: its first record counts.
                found && taken.insert(key)
            };
            let won: Vec<&str> = one.analysis.parts().into_iter().filter(|part| is_won(part)).collect();
            rows.add(one, &body, &won);
        }
        rows
    }

    fn add(&mut self, one: &ReceivedAnalysis, body: &str, won: &[&str]) {
        if won.is_empty() {
            return;
        }
        let ReceivedAnalysis { call_id, call_type, analysis, .. } = one;
        let call = self.calls.entry((call_id.clone(), call_type.clone())).or_default();
        let known = call.get("received_at").and_then(Value::as_str).map(str::to_owned);
        let at = instant(one.received_at);
        if known.is_none_or(|known| known <= at) {
            let newest = json!({ "call_id": call_id, "type": call_type, "source": one.source.as_str(), "received_at": at, "body": body });
            call.extend(newest.as_object().cloned().unwrap_or_default());
        }
        for part in won {
            match *part {
                "summary" => {
                    call.insert("summary".into(), json!(analysis.summary));
                }
                "participants" => {
                    let participants = analysis.participants.clone().unwrap_or_default();
                    call.insert("caller_name".into(), json!(participants.caller_name));
                    call.insert("callee_name".into(), json!(participants.callee_name));
                    call.insert("personality".into(), Value::Object(participants.personality));
                }
                "extra" => {
                    call.insert("extra".into(), Value::Object(analysis.extra.clone()));
                }
                "insights" => self.answers.extend(answers(one, part, analysis.insights.as_deref())),
                "emotions" => self.answers.extend(answers(one, part, analysis.emotions.as_deref())),
                "sentences" => self.sentences.extend(sentences(one)),
                _ => self.transcript.extend(transcript(one)),
            }
        }
    }
}

impl Analysis {
    /// The parts that it has, as the database names them.
    fn parts(&self) -> Vec<&'static str> {
        [
            ("summary", self.summary.is_some()),
            ("participants", self.participants.is_some()),
            ("insights", self.insights.is_some()),
            ("emotions", self.emotions.is_some()),
            ("sentences", self.sentences.is_some()),
            ("transcript", self.transcript.is_some()),
            ("extra", !self.extra.is_empty()),
        ]
        .into_iter()
        .filter_map(|(part, has_come)| has_come.then_some(part))
        .collect()
    }
}

/// All of one length, so that they are ordered as texts; to the microsecond, as PostgreSQL has them.
fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn parts_of(one: &ReceivedAnalysis) -> Vec<Value> {
    let (body, at) = (super::migration::hex(&one.body_sha256), instant(one.received_at));
    let part = |part: &str| {
        json!({ "call_id": one.call_id, "type": one.call_type, "part": part, "source": one.source.as_str(),
            "received_at": at, "body": body })
    };
    one.analysis.parts().into_iter().map(part).collect()
}

fn answers(one: &ReceivedAnalysis, part: &str, answers: Option<&[Answer]>) -> Vec<Value> {
    let row = |(answer, position): (&Answer, i32)| {
        json!({ "call_id": one.call_id, "type": one.call_type, "part": part, "position": position, "key": answer.key,
            "question": answer.question, "data_type": answer.data_type, "answer": answer.answer,
            "answer_bool": answer.answer_bool, "answer_number": answer.answer_number,
            "answer_text": answer.answer_text, "extra": answer.extra })
    };
    answers.unwrap_or_default().iter().zip(1..).map(row).collect()
}

fn sentences(one: &ReceivedAnalysis) -> Vec<Value> {
    let sentences = one.analysis.sentences.as_deref().unwrap_or_default();
    let rows = sentences.iter().zip(1_i32..).map(|(sentence, position)| {
        json!({ "call_id": one.call_id, "type": one.call_type, "position": position, "sentence_id": sentence.sentence_id,
            "emotion": sentence.emotion, "direction": sentence.direction, "confidence": sentence.confidence,
            "intensity": sentence.intensity, "trait": sentence.personality_trait,
            "trait_confidence": sentence.trait_confidence, "extra": sentence.extra })
    });
    rows.collect()
}

fn transcript(one: &ReceivedAnalysis) -> Vec<Value> {
    let utterances = one.analysis.transcript.as_deref().unwrap_or_default();
    let rows = utterances.iter().zip(1_i32..).map(|(said, position)| {
        json!({ "call_id": one.call_id, "type": one.call_type, "position": position, "sentence_id": said.sentence_id,
            "speaker": said.speaker, "role": said.role(one.is_incoming).map(Role::as_str),
            "start_seconds": said.start_seconds, "end_seconds": said.end_seconds, "text": said.text,
            "extra": said.extra })
    });
    rows.collect()
}
