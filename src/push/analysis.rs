//! What AI makes of a call: `aiData` of its push. Any part of it may be missing, a text instead of what it holds, or something else.

use std::fmt;

use serde_json::{Map, Value, json};

use super::fields::{Fields, number, scalar, unwrapped};
use crate::cdr::decimal;

/// PostgreSQL's numbers have more digits than this, in jsonb as well.
const LONGEST_NUMBER: usize = 1_000;

/// What AI makes of a call, in parts that come and are replaced one by one. It holds what was said: `Debug` shows none of it.
#[derive(Clone, Default, PartialEq)]
pub struct Analysis {
    /// `insights.summary`: what the call was about.
    pub summary: Option<String>,
    /// `insights.participants`.
    pub participants: Option<Participants>,
    /// `insights.questions`.
    pub insights: Option<Vec<Answer>>,
    /// `emotions.questions`.
    pub emotions: Option<Vec<Answer>>,
    /// `emotions.sentences`.
    pub sentences: Option<Vec<Sentence>>,
    /// `transcript`.
    pub transcript: Option<Vec<Utterance>>,
    /// What is not known or does not fit, where it stands in `aiData`.
    pub extra: Map<String, Value>,
}

/// Who took part, as understood from what was said.
#[derive(Clone, Default, PartialEq)]
pub struct Participants {
    /// The caller's name.
    pub caller_name: Option<String>,
    /// The name of who was called.
    pub callee_name: Option<String>,
    /// `personality_traits` of `caller` and `callee`.
    pub personality: Map<String, Value>,
}

/// A question that was put to the analysis, and its answer.
#[derive(Clone, Default, PartialEq)]
pub struct Answer {
    /// Its name.
    pub key: Option<String>,
    /// The question.
    pub question: Option<String>,
    /// `boolean`, `string`, `number`, `array`, `object_list` or `object`; another word as it was sent.
    pub data_type: Option<String>,
    /// The answer; a text that holds a list or an object as what it holds.
    pub answer: Option<Value>,
    /// The answer, where it is a yes or no.
    pub answer_bool: Option<bool>,
    /// The answer, where it is a number.
    pub answer_number: Option<String>,
    /// The answer, where it is a text.
    pub answer_text: Option<String>,
    /// What else stands with it.
    pub extra: Option<Value>,
}

/// The emotion of a sentence.
#[derive(Clone, Default, PartialEq)]
pub struct Sentence {
    /// Which one.
    pub sentence_id: Option<String>,
    /// The emotion.
    pub emotion: Option<String>,
    /// -1 negative, 0 neutral, 1 positive.
    pub direction: Option<i16>,
    /// `confidence_emotion`, as a decimal number.
    pub confidence: Option<String>,
    /// `intensity_emotion`, as a decimal number.
    pub intensity: Option<String>,
    /// `personality_trait`.
    pub personality_trait: Option<String>,
    /// `confidence_trait`, as a decimal number.
    pub trait_confidence: Option<String>,
    /// What else stands with it.
    pub extra: Option<Value>,
}

/// Something that was said.
#[derive(Clone, Default, PartialEq)]
pub struct Utterance {
    /// Which sentence it is.
    pub sentence_id: Option<String>,
    /// Who speaks, as it was sent.
    pub speaker: Option<String>,
    /// What is said.
    pub text: Option<String>,
    /// `startTime`, in seconds, as a decimal number.
    pub start_seconds: Option<String>,
    /// `endTime`, likewise.
    pub end_seconds: Option<String>,
    /// What else stands with it.
    pub extra: Option<Value>,
}

/// Which side of a call speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The company's.
    Agent,
    /// The other one.
    Customer,
}

impl Role {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Customer => "customer",
        }
    }
}

impl Analysis {
    /// Reads `aiData`. Nothing of it is lost: what cannot be read is in `extra`.
    pub fn read(ai: Map<String, Value>) -> Self {
        let mut from = Fields::new(ai.into_iter().map(|(name, value)| (name, storable(value))).collect());
        let mut insights = Fields::new(from.object("insights").unwrap_or_default());
        let mut emotions = Fields::new(from.object("emotions").unwrap_or_default());
        let mut analysis = Self {
            summary: insights.text("summary").or_else(|| from.text("summary")),
            participants: Participants::read(&mut insights),
            insights: list(&mut insights, "questions", Answer::read),
            emotions: list(&mut emotions, "questions", Answer::read),
            sentences: list(&mut emotions, "sentences", Sentence::read),
            transcript: list(&mut from, "transcript", Utterance::read),
            extra: from.rest(),
        };
        for (name, rest) in [("insights", insights.rest()), ("emotions", emotions.rest())] {
            if !rest.is_empty() {
                analysis.extra.insert(name.to_owned(), Value::Object(rest));
            }
        }
        analysis
    }
}

impl fmt::Debug for Analysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |items: Option<usize>| items.unwrap_or(0);
        f.debug_struct("Analysis")
            .field("has_summary", &self.summary.is_some())
            .field("has_participants", &self.participants.is_some())
            .field("insights", &count(self.insights.as_ref().map(Vec::len)))
            .field("emotions", &count(self.emotions.as_ref().map(Vec::len)))
            .field("sentences", &count(self.sentences.as_ref().map(Vec::len)))
            .field("transcript", &count(self.transcript.as_ref().map(Vec::len)))
            .field("extra", &self.extra.len())
            .finish()
    }
}

impl Participants {
    fn read(insights: &mut Fields) -> Option<Self> {
        let mut both = Fields::new(insights.object("participants")?);
        let mut found = Self::default();
        let mut others = Map::new();
        for (side, name) in [("caller", &mut found.caller_name), ("callee", &mut found.callee_name)] {
            // A bare name instead of an object.
            let mut person = Fields::new(both.object(side).unwrap_or_default());
            *name = person.text("name").or_else(|| both.text(side));
            if let Some(traits) = person.any("personality_traits").filter(says_something) {
                found.personality.insert(side.to_owned(), traits);
            }
            let rest = person.rest();
            if !rest.is_empty() {
                others.insert(side.to_owned(), Value::Object(rest));
            }
        }
        for (name, value) in both.rest().into_iter().chain(others) {
            // Beside the two lists of traits.
            let kept = found.personality.entry("other").or_insert_with(|| json!({}));
            if let Value::Object(kept) = kept {
                kept.insert(name, value);
            }
        }
        (found != Self::default()).then_some(found)
    }
}

impl Answer {
    fn read(item: Value) -> Self {
        let Some(mut from) = fields(&item) else {
            return Self { extra: Some(item), ..Self::default() };
        };
        let data_type = from.text("data_type").map(|word| data_type(&word));
        let kind = data_type.as_deref();
        // A text is one, also if it could be read as a list.
        let answer = if kind == Some("string") { from.value("answer") } else { from.any("answer") };
        let is = |word: &str, is_plain: fn(&Value) -> bool| {
            answer.as_ref().filter(|answer| kind.map_or(is_plain(answer), |kind| kind == word))
        };
        Self {
            key: from.text("key"),
            question: from.text("question"),
            answer_bool: is("boolean", Value::is_boolean).and_then(yes_or_no),
            answer_number: is("number", Value::is_number).and_then(number),
            answer_text: is("string", Value::is_string).and_then(scalar),
            data_type,
            answer,
            extra: rest(from),
        }
    }
}

impl Sentence {
    fn read(item: Value) -> Self {
        let Some(mut from) = fields(&item) else {
            return Self { extra: Some(item), ..Self::default() };
        };
        Self {
            sentence_id: from.text("sentence_id"),
            emotion: from.text("emotion"),
            direction: from.within("emotion_direction", -1..=1),
            confidence: from.measure("confidence_emotion"),
            intensity: from.measure("intensity_emotion"),
            personality_trait: from.text("personality_trait"),
            trait_confidence: from.measure("confidence_trait"),
            extra: rest(from),
        }
    }
}

impl Utterance {
    fn read(item: Value) -> Self {
        let Some(mut from) = fields(&item) else {
            return Self { extra: Some(item), ..Self::default() };
        };
        Self {
            sentence_id: from.text("sentence_id"),
            speaker: from.text("speaker"),
            text: from.text("text"),
            start_seconds: from.measure("startTime"),
            end_seconds: from.measure("endTime"),
            extra: rest(from),
        }
    }

    /// Who speaks. The documents call `Speaker0` agent *and* callee, `Speaker1` customer *and* caller, which is the same for
    /// incoming calls only; for others nothing is claimed.
    pub fn role(&self, is_incoming: bool) -> Option<Role> {
        let label = self.speaker.as_deref().filter(|_| is_incoming)?;
        match label.to_ascii_lowercase().replace([' ', '_'], "").as_str() {
            "speaker0" => Some(Role::Agent),
            "speaker1" => Some(Role::Customer),
            _ => None,
        }
    }
}

/// An empty list takes nothing away.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

/// The items of a list; `None` if there are none.
fn list<T>(from: &mut Fields, name: &str, read: fn(Value) -> T) -> Option<Vec<T>> {
    let items = from.list(name)?.into_iter().filter(says_something);
    let items: Vec<T> = items.map(read).collect();
    (!items.is_empty()).then_some(items)
}

/// The fields of an item, which may be written into a text.
fn fields(item: &Value) -> Option<Fields> {
    match unwrapped(item)? {
        Value::Object(object) => Some(Fields::new(object)),
        _ => None,
    }
}

fn rest(from: Fields) -> Option<Value> {
    Some(from.rest()).filter(|rest| !rest.is_empty()).map(Value::Object)
}

/// Types have words or numbers.
fn data_type(word: &str) -> String {
    let known = match word.to_ascii_lowercase().replace([' ', '_', '-'], "").as_str() {
        "1" | "boolean" | "bool" => "boolean",
        "2" | "string" | "text" => "string",
        "3" | "number" | "numeric" => "number",
        "4" | "array" => "array",
        "5" | "objectlist" => "object_list",
        "6" | "object" => "object",
        _ => word,
    };
    known.to_owned()
}

fn yes_or_no(value: &Value) -> Option<bool> {
    match scalar(value)?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// What PostgreSQL can hold: no NUL, which a form may have, and no number beyond its range, which becomes a text.
fn storable(value: Value) -> Value {
    let plain = |text: String| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    match value {
        Value::String(text) => Value::String(plain(text)),
        Value::Number(number) => {
            let text = number.to_string();
            let spelt = decimal::plain(&text);
            let fits = spelt.len() <= LONGEST_NUMBER && !spelt.contains(['e', 'E']);
            if fits { Value::Number(number) } else { Value::String(text) }
        }
        Value::Array(items) => items.into_iter().map(storable).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (plain(name), storable(value))).collect()
        }
        other => other,
    }
}
