//! Invented AI data: every part may be null or absent, and booleans in answers are strings, as in real ones.

use serde_json::{Map, Value, json};

use crate::random::Random;
use crate::record::Record;

const SENTENCES: [&str; 10] = [
    "שלום, מדברת נציגת השירות, איך אפשר לעזור?",
    "Hello, thank you for calling.",
    "רציתי לברר לגבי החשבון האחרון שקיבלתי.",
    "I would like to change my subscription.",
    "רגע, אני בודקת במערכת.",
    "כן, אני רואה כאן \"חיוב כפול\" מיום ראשון.",
    "Could you repeat the number, please?",
    "תודה רבה, היה נעים לדבר איתך 🙂",
    "אין בעיה, אני אחזור אליך מחר.",
    "Goodbye.",
];

const EMOTIONS: [&str; 6] = ["joy", "anger", "neutral", "frustration", "gratitude", "worry"];

/// The analysis of a call.
pub(super) fn data(record: &Record, random: &mut Random) -> Value {
    let length = f64::from(record.duration.unwrap_or(0).max(4));
    let count = random.between(2, 12);
    let mut transcript = Vec::new();
    let mut sentences = Vec::new();
    for number in 0..count {
        let start = length * number as f64 / count as f64;
        let end = start + length / count as f64 * 0.9;
        let whole = |seconds: f64| (seconds * 100.0).round() / 100.0;
        let end = if random.chance(0.1) { Value::Null } else { json!(whole(end)) };
        transcript.push(json!({
            "speaker": format!("Speaker{}", number % 2),
            "text": random.pick(&SENTENCES),
            "startTime": whole(start),
            "endTime": end,
            "sentence_id": number + 1,
        }));
        sentences.push(json!({
            "sentence_id": number + 1,
            "emotion": random.pick(&EMOTIONS),
            "emotion_direction": random.between(-1, 1),
            "confidence_emotion": random.between(40, 99) as f64 / 100.0,
            "intensity_emotion": random.between(1, 100) as f64 / 100.0,
            "personality_trait": random.pick(&["openness", "agreeableness", ""]),
            "confidence_trait": random.between(40, 99) as f64 / 100.0,
        }));
    }
    let mut data = Map::new();
    data.insert("insights".to_owned(), insights(record, random));
    let emotions = json!({"questions": [], "sentences": sentences});
    // Parts that are missing, or null.
    for (name, part) in [("emotions", emotions), ("transcript", Value::Array(transcript))] {
        match random.between(1, 20) {
            1 => {}
            2 => drop(data.insert(name.to_owned(), Value::Null)),
            _ => drop(data.insert(name.to_owned(), part)),
        }
    }
    Value::Object(data)
}

fn insights(record: &Record, random: &mut Random) -> Value {
    let is_resolved = if random.chance(0.5) { "true" } else { "false" };
    let as_number = random.chance(0.5);
    let kind = |word: &str, number: u8| if as_number { json!(number) } else { json!(word) };
    let questions = json!([
        {"key": "resolved", "question": "Was the problem solved?", "data_type": kind("boolean", 1), "answer": is_resolved},
        {"key": "topic", "question": "מה היה נושא השיחה?", "data_type": kind("string", 2), "answer": "חיוב"},
        {"key": "score", "question": "How satisfied is the customer (1-10)?", "data_type": kind("number", 3),
            "answer": random.between(1, 10)},
        {"key": "products", "question": "Which products?", "data_type": kind("array", 4), "answer": ["internet", "טלפון"]},
    ]);
    let person = |name: &str| json!({"name": name, "personality_traits": ["patient"]});
    let participants = match random.chance(0.9) {
        true => json!({"caller": person("לקוח"), "callee": person(&record.representative_name)}),
        false => Value::Null,
    };
    json!({"questions": questions, "participants": participants, "summary": "הלקוח התקשר לברר חיוב כפול. Solved."})
}
