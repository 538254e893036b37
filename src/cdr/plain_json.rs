//! JSON as it is written. `serde_json::Value` has keys with a meaning of their own, by which a body could make it parse strings as
//! deeply nested documents, past every limit of depth and down to the end of the stack.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::escapes::storable;

/// How `serde_json` hands over a number digit for digit.
const NUMBER: &str = "$serde_json::private::Number";

/// All names by which `serde_json` means something of its own begin so.
const MEANT: &str = "$serde_json";
/// PostgreSQL's numbers end some way behind this.
const LARGEST_EXPONENT: u32 = 300;

/// Parses one document, nested no deeper than `serde_json` allows. What PostgreSQL cannot hold, NUL and halves of characters, is
/// replaced; a number that it cannot hold is a text, and a name that means something to a parser is not that name any more.
pub(crate) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let text = &storable(text);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Plain.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Plain;

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if key == NUMBER && object.is_empty() {
                let digits: String = fields.next_value()?;
                if !is_storable(&digits) {
                    return Ok(Value::String(digits));
                }
                return digits.parse::<Number>().map(Value::Number).map_err(A::Error::custom);
            }
            object.insert(harmless(key), fields.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

/// A name without a meaning to whoever reads it again.
pub(crate) fn harmless(name: String) -> String {
    if name.starts_with(MEANT) { format!("_{name}") } else { name }
}

fn is_storable(digits: &str) -> bool {
    match digits.split_once(['e', 'E']) {
        Some((_, exponent)) => {
            exponent.parse::<i32>().is_ok_and(|exponent| exponent.unsigned_abs() <= LARGEST_EXPONENT)
        }
        None => digits.len() <= LARGEST_EXPONENT as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_json_is_read_as_ever() {
        let text = r#"{"a":[1,-2.50,1e3,12345678901234567890.123,"x\u05d0",null,true,{}],"b":{"c":""}}"#;
        assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        for wrong in ["", "{", "[1,]", "1 2", r#"{"a":1}x"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_that_postgresql_cannot_hold_are_texts() {
        let read = parse(r#"[1e300,1e301,-1E-20000,1e3000000000,"[1e200000]"]"#).unwrap();
        let texts: Vec<bool> = read.as_array().unwrap().iter().map(Value::is_string).collect();
        assert_eq!(texts, [false, true, true, true, true]);
        assert!(parse(&"9".repeat(301)).unwrap().is_string());
    }

    /// Each level hides another document of 120 lists in a string, which the parser's own value would open.
    #[test]
    fn no_document_inside_of_a_string_is_opened() {
        let mut text = "1".to_owned();
        for _ in 0..12 {
            let hidden = serde_json::to_string(&text).unwrap();
            text = format!(
                "{}{{\"$serde_json::private::RawValue\":{hidden}}}{}",
                "[".repeat(120),
                "]".repeat(120)
            );
        }
        let mut value = &parse(&text).unwrap();
        let mut depth = 0;
        while let Value::Array(items) = value {
            (value, depth) = (&items[0], depth + 1);
        }
        assert_eq!(depth, 120);
        assert!(value["_$serde_json::private::RawValue"].is_string());
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
