//! The JSON body of a request to `/simulator/`, read key by key.

use serde_json::{Map, Value};

use super::AdminError;

/// What remains to be read of a body.
pub(super) struct Given {
    fields: Map<String, Value>,
    example: &'static str,
}

impl Given {
    /// Reads an object with no other keys than these; `example` is shown in errors.
    pub(super) fn read(body: &[u8], known: &[&str], example: &'static str) -> Result<Self, AdminError> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return Err(AdminError::bad(format!("the body must be a JSON object such as {example}")));
        };
        if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            let known = known.join(", ");
            return Err(AdminError::bad(format!(
                "unknown key: {unknown}; known are {known}, as in {example}"
            )));
        }
        Ok(Self { fields, example })
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, AdminError> {
        self.take(key, "text", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn truth(&mut self, key: &str) -> Result<Option<bool>, AdminError> {
        self.take(key, "true or false", Value::as_bool)
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, AdminError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|error| AdminError::bad(format!("{key} \"{text}\": {error}")))
    }

    /// A value of one kind; `null` is the same as nothing.
    pub(super) fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, AdminError> {
        match self.fields.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(&value).map(Some).ok_or_else(|| {
                AdminError::bad(format!("{key} must be {expected}, not {value}, as in {}", self.example))
            }),
        }
    }
}
