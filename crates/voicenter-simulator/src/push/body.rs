//! A push as it goes over the wire.

use serde_json::{Map, Value};

use super::options::PushForm;
use crate::random::Random;

/// Longer queries are sent as forms.
const LONGEST_QUERY: usize = 6_000;

/// A push as it goes over the wire. `Debug` shows nothing of the call.
#[derive(Clone, PartialEq, Eq)]
pub struct Push {
    /// The form that it is in.
    pub form: PushForm,
    /// `Content-Type`; `None` for GET.
    pub content_type: Option<&'static str>,
    /// The body of a POST, or the query of a GET.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Push({:?}, {} bytes)", self.form, self.content.len())
    }
}

/// Writes the fields of a push in this form; `random` draws how.
pub(super) fn of(
    mut fields: Map<String, Value>,
    form: PushForm,
    text_share: f64,
    random: &mut Random,
) -> Push {
    let (ivr_as_text, ai_as_text, numbers_as_text) =
        (random.chance(0.5), random.chance(0.2), random.chance(text_share));
    for (name, is_text) in [("IVR", ivr_as_text), ("aiData", ai_as_text)] {
        if let Some(value) = fields.get_mut(name).filter(|value| is_text && !value.is_null()) {
            *value = Value::String(value.to_string());
        }
    }
    if numbers_as_text {
        fields.values_mut().filter(|value| value.is_number()).for_each(|value| *value = text(value).into());
    }
    let json = |text: String| Push {
        form,
        content_type: Some(random_json_type(numbers_as_text)),
        content: text.into_bytes(),
    };
    match form {
        PushForm::Json => json(Value::Object(fields).to_string()),
        PushForm::JsonArray => json(Value::Array(vec![Value::Object(fields)]).to_string()),
        PushForm::Form | PushForm::Query => {
            let mut serializer = url::form_urlencoded::Serializer::new(String::new());
            serializer.extend_pairs(fields.iter().map(|(name, value)| (name, text(value))));
            let content = serializer.finish().into_bytes();
            if form == PushForm::Query && content.len() <= LONGEST_QUERY {
                return Push { form, content_type: None, content };
            }
            let content_type = Some("application/x-www-form-urlencoded");
            Push { form: PushForm::Form, content_type, content }
        }
    }
}

fn random_json_type(is_plain: bool) -> &'static str {
    if is_plain { "application/json" } else { "application/json; charset=utf-8" }
}

/// A value in a form: text as it is, null as nothing.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
