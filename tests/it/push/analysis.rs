//! What AI makes of calls: every form of it that is known, and whatever else may come. All names and texts are invented.

use cdr_sync::push::{Analysis, decode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::push::decoding::as_form;

fn read(ai: Value) -> Analysis {
    Analysis::read(ai.as_object().unwrap().clone())
}

/// As the vendor describes it.
fn whole() -> Value {
    json!({
        "insights": {
            "questions": [
                { "key": "is_resolved", "question": "Was it resolved?", "data_type": "boolean", "answer": "false" },
                { "key": "topic", "question": "What about?", "data_type": "string", "answer": "an invoice" },
                { "key": "score", "question": "How well?", "data_type": "number", "answer": "7.50" },
                { "key": "products", "question": "Which?", "data_type": "array", "answer": "[\"a\", \"b\"]" },
                { "key": "orders", "question": "Which?", "data_type": "object list", "answer": [{ "id": 1 }] },
                { "key": "address", "question": "Where?", "data_type": "object", "answer": { "city": "Haifa" } }
            ],
            "participants": {
                "caller": { "name": "דנה", "personality_traits": ["calm", "polite"] },
                "callee": { "name": "Noa", "personality_traits": [] }
            },
            "summary": "The customer asks about an invoice."
        },
        "emotions": {
            "questions": [{ "key": "mood", "question": "Which mood?", "data_type": "string", "answer": "good" }],
            "sentences": [
                { "sentence_id": 0, "emotion": "neutral", "emotion_direction": 0, "confidence_emotion": 0.5, "intensity_emotion": 1,
                  "personality_trait": "calm", "confidence_trait": 0.25 },
                { "sentence_id": 1, "emotion": "anger", "emotion_direction": "-1", "confidence_emotion": "0.9", "intensity_emotion": 0.75,
                  "personality_trait": null, "confidence_trait": null }
            ]
        },
        "transcript": [
            { "speaker": "Speaker0", "text": "שלום", "startTime": 0.5, "endTime": 2, "sentence_id": 0 },
            { "speaker": "Speaker1", "text": "Hello", "startTime": "2.40", "endTime": null, "sentence_id": 1 }
        ]
    })
}

#[test]
fn everything_that_is_described_has_its_place() {
    let analysis = read(whole());
    assert_eq!(analysis.summary.as_deref(), Some("The customer asks about an invoice."));
    let answers: Vec<Value> = analysis
        .insights
        .unwrap()
        .into_iter()
        .map(|answer| {
            json!([
                answer.key,
                answer.question,
                answer.data_type,
                answer.answer,
                answer.answer_bool,
                answer.answer_number,
                answer.answer_text,
                answer.extra
            ])
        })
        .collect();
    assert_eq!(
        json!(answers),
        json!([
            ["is_resolved", "Was it resolved?", "boolean", "false", false, null, null, null],
            ["topic", "What about?", "string", "an invoice", null, null, "an invoice", null],
            ["score", "How well?", "number", "7.50", null, "7.5", null, null],
            ["products", "Which?", "array", ["a", "b"], null, null, null, null],
            ["orders", "Which?", "object_list", [{ "id": 1 }], null, null, null, null],
            ["address", "Where?", "object", { "city": "Haifa" }, null, null, null, null]
        ])
    );
    let both = analysis.participants.unwrap();
    assert_eq!((both.caller_name.as_deref(), both.callee_name.as_deref()), (Some("דנה"), Some("Noa")));
    assert_eq!(json!(both.personality), json!({ "caller": ["calm", "polite"] }));
    assert_eq!(analysis.emotions.unwrap()[0].answer_text.as_deref(), Some("good"));
    let sentences: Vec<Value> = analysis
        .sentences
        .unwrap()
        .into_iter()
        .map(|sentence| {
            json!([
                sentence.sentence_id,
                sentence.emotion,
                sentence.direction,
                sentence.confidence,
                sentence.intensity,
                sentence.personality_trait,
                sentence.trait_confidence,
                sentence.extra
            ])
        })
        .collect();
    assert_eq!(
        json!(sentences),
        json!([
            ["0", "neutral", 0, "0.5", "1", "calm", "0.25", null],
            ["1", "anger", -1, "0.9", "0.75", null, null, null]
        ])
    );
    let said: Vec<Value> = analysis
        .transcript
        .unwrap()
        .into_iter()
        .map(|said| {
            json!([
                said.sentence_id,
                said.speaker,
                said.text,
                said.start_seconds,
                said.end_seconds,
                said.role(true).map(|role| role.as_str()),
                said.role(false).is_some(),
                said.extra
            ])
        })
        .collect();
    assert_eq!(
        json!(said),
        json!([
            ["0", "Speaker0", "שלום", "0.5", "2", "agent", false, null],
            ["1", "Speaker1", "Hello", "2.4", null, "customer", false, null]
        ])
    );
    assert_eq!(analysis.extra, Map::new());
}

/// Objects and lists as texts, one level of them or all, and names in any case.
#[test]
fn a_part_may_be_written_into_a_text() {
    let expected = read(whole());
    for name in ["insights", "emotions", "transcript"] {
        let mut ai = whole();
        ai[name] = json!(ai[name].to_string());
        assert!(read(ai) == expected, "{name}");
    }
    for (part, name) in [("insights", "questions"), ("insights", "participants"), ("emotions", "sentences")] {
        let mut ai = whole();
        ai[part][name] = json!(ai[part][name].to_string());
        assert!(read(ai) == expected, "{part}.{name}");
    }
    let mut items = whole();
    let lines: Vec<String> = items["transcript"].as_array().unwrap().iter().map(Value::to_string).collect();
    items["transcript"] = json!(lines);
    assert!(read(items) == expected);
    let push = json!({ "ivruniqueid": "1", "aiData": whole() });
    for body in [push.to_string(), as_form(&push)] {
        let ai = decode(None, body.as_bytes()).unwrap().remove(0).ai.unwrap();
        assert!(Analysis::read(ai) == expected);
    }
    let upper: Map<String, Value> = whole()
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.to_uppercase(), value.clone()))
        .collect();
    assert!(Analysis::read(upper) == expected);
}

#[test]
fn each_part_may_be_missing() {
    for nothing in [
        json!({}),
        json!({ "insights": null, "emotions": {}, "transcript": [] }),
        json!({ "insights": { "questions": [], "summary": "", "participants": {} } }),
    ] {
        assert!(read(nothing.clone()) == Analysis::default(), "{nothing}");
    }
    for name in ["insights", "emotions", "transcript"] {
        let mut ai = whole();
        ai[name] = Value::Null;
        let mut expected = read(whole());
        match name {
            "insights" => (expected.summary, expected.participants, expected.insights) = (None, None, None),
            "emotions" => (expected.emotions, expected.sentences) = (None, None),
            _ => expected.transcript = None,
        }
        assert!(read(ai) == expected, "{name}");
    }
}

#[test]
fn types_have_words_or_numbers_and_without_one_the_answer_speaks_for_itself() {
    let types = [
        (json!(1), "boolean"),
        (json!("2"), "string"),
        (json!("Number"), "number"),
        (json!("4"), "array"),
        (json!("Object List"), "object_list"),
        (json!(6), "object"),
        (json!("date"), "date"),
    ];
    for (sent, read_as) in types {
        let questions = json!({ "insights": { "questions": [{ "data_type": sent, "answer": "true" }] } });
        let answer = read(questions).insights.unwrap().remove(0);
        assert_eq!(answer.data_type.as_deref(), Some(read_as), "{sent}");
        assert_eq!(answer.answer_bool, (read_as == "boolean").then_some(true), "{sent}");
        assert_eq!(answer.answer_text.is_some(), read_as == "string", "{sent}");
    }
    let questions = json!({ "insights": { "questions": [{ "answer": true }, { "answer": 1.50 }, { "answer": "x" }, { "data_type": 1, "answer": "perhaps" }] } });
    let answers = read(questions).insights.unwrap();
    assert_eq!(answers[0].answer_bool, Some(true));
    assert_eq!(answers[1].answer_number.as_deref(), Some("1.5"));
    assert_eq!(answers[2].answer_text.as_deref(), Some("x"));
    assert_eq!((answers[3].answer_bool, &answers[3].answer), (None, &Some(json!("perhaps"))));
}

#[test]
fn what_is_not_known_or_does_not_fit_is_kept_where_it_stands() {
    let analysis = read(json!({
        "model": "v2",
        "insights": { "summary": ["not", "a text"], "participants": "somebody", "tags": ["a"] },
        "emotions": "none",
        "transcript": [
            "a bare text", 7,
            { "text": "x", "startTime": "soon", "channel": 1 },
        ]
    }));
    assert_eq!(
        json!(analysis.extra),
        json!({ "model": "v2", "emotions": "none", "insights": { "summary": ["not", "a text"], "participants": "somebody", "tags": ["a"] } })
    );
    let said = analysis.transcript.unwrap();
    let extra: Vec<_> = said.iter().map(|said| said.extra.clone().unwrap()).collect();
    assert_eq!(json!(extra), json!(["a bare text", 7, { "startTime": "soon", "channel": 1 }]));
    let bare = read(
        json!({ "insights": { "participants": { "caller": "Dana", "callee": { "age": 40 }, "third": 1 } } }),
    );
    let both = bare.participants.unwrap();
    assert_eq!(both.caller_name.as_deref(), Some("Dana"));
    assert_eq!(json!(both.personality), json!({ "other": { "callee": { "age": 40 }, "third": 1 } }));
}

#[test]
fn nothing_of_it_is_printed() {
    let printed = format!("{:?}", read(whole()));
    assert!(printed.contains("transcript: 2"), "{printed}");
    for secret in ["Hello", "Noa", "invoice", "Haifa"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

const NAMES: [&str; 22] = [
    "insights",
    "emotions",
    "transcript",
    "summary",
    "questions",
    "participants",
    "sentences",
    "caller",
    "callee",
    "name",
    "personality_traits",
    "key",
    "question",
    "data_type",
    "answer",
    "speaker",
    "text",
    "startTime",
    "sentence_id",
    "emotion",
    "emotion_direction",
    "aNewField",
];

/// Anything, made of names that mean something.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "leaf[0-9]{1,6}".prop_map(Value::from),
        Just(json!("1")),
        Just(json!("")),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let names = prop::sample::select(&NAMES[..]);
        let object = prop::collection::btree_map(names, inner.clone(), 0..6).prop_map(|fields| {
            Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        });
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.clone(),
            object.prop_map(|object| Value::from(object.to_string())),
        ]
    })
}

/// Texts that cannot be mistaken for anything else.
fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("leaf") => found.push(text.clone()),
        Value::String(text) => {
            if let Ok(inner @ (Value::Array(_) | Value::Object(_))) = serde_json::from_str(text) {
                leaves(&inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| leaves(field, found)),
        _ => {}
    }
}

/// All that an analysis holds.
fn held(analysis: &Analysis) -> String {
    let answers = |answers: &Option<Vec<cdr_sync::push::Answer>>| {
        let answers = answers.iter().flatten();
        json!(answers.map(|a| json!([a.key, a.question, a.data_type, a.answer, a.extra])).collect::<Vec<_>>())
    };
    let both = analysis.participants.as_ref().map(|p| json!([p.caller_name, p.callee_name, p.personality]));
    let sentences = analysis.sentences.iter().flatten();
    let sentences = sentences.map(|s| json!([s.sentence_id, s.emotion, s.personality_trait, s.extra]));
    let said = analysis.transcript.iter().flatten();
    let said = said.map(|s| json!([s.sentence_id, s.speaker, s.text, s.extra]));
    json!([
        analysis.summary,
        both,
        answers(&analysis.insights),
        answers(&analysis.emotions),
        sentences.collect::<Vec<_>>(),
        said.collect::<Vec<_>>(),
        analysis.extra
    ])
    .to_string()
}

proptest! {
    #![proptest_config(crate::push::properties::config())]

    #[test]
    fn nothing_is_lost_whatever_comes(ai in prop::collection::btree_map(prop::sample::select(&NAMES[..]), anything(), 0..5)) {
        let ai: Map<String, Value> = ai.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut expected = Vec::new();
        leaves(&Value::Object(ai.clone()), &mut expected);
        let held = held(&Analysis::read(ai));
        for leaf in expected {
            prop_assert!(held.contains(&leaf), "{leaf}");
        }
    }
}
