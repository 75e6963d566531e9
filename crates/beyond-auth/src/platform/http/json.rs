//! Strict JSON: bounded depth, no duplicate keys, no NUL, no unknown fields, errors with a pointer.

mod by_name;

use std::cell::RefCell;
use std::fmt;

use http::StatusCode;
use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use self::by_name::ByName;
use super::problem::Problem;

/// Arrays and objects may nest this deep. Deeper bodies serve nobody but an attacker.
pub const MAX_DEPTH: usize = 32;

/// Parses a body into a value, refusing what two parsers might read differently (RFC 8259 §4: duplicate
/// names) or what Postgres cannot hold (U+0000).
pub fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let state = State { path: RefCell::default(), refusal: RefCell::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = Strict(&state).deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    parsed.map_err(|error| {
        let pointer = pointer_of(&state.path.borrow());
        match state.refusal.take() {
            Some(Refusal::TooDeep) => malformed("json_too_deep", "The body nests too deeply.").with_error(
                pointer,
                "too_deep",
                format!("nests deeper than {MAX_DEPTH} levels"),
            ),
            Some(Refusal::DuplicateKey) => malformed("duplicate_key", "The body names a member twice.")
                .with_error(pointer, "duplicate_key", "this name occurs more than once in its object"),
            Some(Refusal::Nul) => Problem::invalid(vec![]).with_error(
                pointer,
                "invalid_character",
                "must not contain the character U+0000",
            ),
            None => malformed("malformed_json", "The body is not valid JSON.").with_error(
                pointer,
                "malformed_json",
                // serde_json's own words: position and expectation, no content.
                error.to_string(),
            ),
        }
    })
}

/// Reads a parsed value as `T`. `T` denies unknown fields; the error points at the culprit.
pub fn decode<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(ByName(value)).map_err(|error| {
        let pointer = pointer_of_path(error.path());
        let message = error.into_inner().to_string();
        let (pointer, code) = classify(pointer, &message);
        Problem::invalid(vec![]).with_error(pointer, code, message)
    })
}

/// Serde tells the kind of mistake only in words.
fn classify(pointer: String, message: &str) -> (String, &'static str) {
    let named = || message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("missing field") {
        let name = escape(named());
        (format!("{pointer}/{name}"), "required")
    } else if message.starts_with("unknown field") {
        let name = escape(named());
        let pointer =
            if pointer.ends_with(&format!("/{name}")) { pointer } else { format!("{pointer}/{name}") };
        (pointer, "unknown_field")
    } else if message.starts_with("unknown variant") {
        (pointer, "unknown_value")
    } else if message.starts_with("invalid type") {
        (pointer, "invalid_type")
    } else {
        (pointer, "invalid_value")
    }
}

fn malformed(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

/// One step of RFC 6901.
fn escape(step: &str) -> String {
    let capped: String = step.chars().take(64).collect();
    capped.replace('~', "~0").replace('/', "~1")
}

fn pointer_of(path: &[String]) -> String {
    path.iter().flat_map(|step| ["/".to_owned(), escape(step)]).collect()
}

fn pointer_of_path(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

enum Refusal {
    TooDeep,
    DuplicateKey,
    Nul,
}

struct State {
    path: RefCell<Vec<String>>,
    refusal: RefCell<Option<Refusal>>,
}

impl State {
    fn refuse<E: de::Error>(&self, refusal: Refusal) -> E {
        self.refusal.replace(Some(refusal));
        E::custom("refused")
    }
}

#[derive(Clone, Copy)]
struct Strict<'s>(&'s State);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.0.path.borrow().len() > MAX_DEPTH {
            return Err(self.0.refuse(Refusal::TooDeep));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        if value.contains('\0') {
            return Err(self.0.refuse(Refusal::Nul));
        }
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        self.0.path.borrow_mut().push("0".into());
        while let Some(value) = seq.next_element_seed(self)? {
            values.push(value);
            if let Some(last) = self.0.path.borrow_mut().last_mut() {
                *last = values.len().to_string();
            }
        }
        self.0.path.borrow_mut().pop();
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            self.0.path.borrow_mut().push(key.clone());
            if key.contains('\0') {
                return Err(self.0.refuse(Refusal::Nul));
            }
            if map.contains_key(&key) {
                return Err(self.0.refuse(Refusal::DuplicateKey));
            }
            map.insert(key, access.next_value_seed(self)?);
            self.0.path.borrow_mut().pop();
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn refusal(body: &str) -> (&'static str, String) {
        let problem = parse(body.as_bytes()).expect_err("must be refused");
        (problem.code(), problem.errors()[0].pointer.clone())
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Outer {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Inner {
        list: Vec<u8>,
    }

    fn decoding(value: Value) -> (String, &'static str) {
        let problem = decode::<Outer>(value).expect_err("must be refused");
        (problem.errors()[0].pointer.clone(), problem.errors()[0].code)
    }

    #[test]
    fn a_duplicate_key_is_refused_with_its_pointer() {
        assert_eq!(refusal(r#"{"a":{"b":1,"b":2}}"#), ("duplicate_key", "/a/b".into()));
    }

    #[test]
    fn depth_is_bounded_without_recursion_to_match() {
        let deep = "[".repeat(10_000);
        assert_eq!(refusal(&deep).0, "json_too_deep");
        let fine = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(parse(fine.as_bytes()).is_ok());
    }

    #[test]
    fn nul_is_refused_where_it_stands() {
        assert_eq!(refusal(r#"{"a":["x","y\u0000"]}"#), ("validation_failed", "/a/1".into()));
    }

    #[test]
    fn a_lone_surrogate_and_trailing_text_are_malformed() {
        assert_eq!(refusal(r#"{"a":"\ud800"}"#), ("malformed_json", "/a".into()));
        assert_eq!(refusal("{} {}").0, "malformed_json");
        assert_eq!(refusal("").0, "malformed_json");
    }

    #[test]
    fn a_list_of_values_is_no_object_at_any_depth() {
        assert_eq!(decoding(json!(["n", null])), (String::new(), "invalid_type"));
        assert_eq!(decoding(json!({"name": "n", "inner": [[1]]})), ("/inner".into(), "invalid_type"));
    }

    #[test]
    fn mistakes_of_shape_point_at_the_culprit() {
        assert_eq!(decoding(json!({})), ("/name".into(), "required"));
        assert_eq!(decoding(json!({"name": 1})), ("/name".into(), "invalid_type"));
        assert_eq!(decoding(json!({"name": "n", "x/y": 1})), ("/x~1y".into(), "unknown_field"));
        assert_eq!(
            decoding(json!({"name": "n", "inner": {"list": [1, 300]}})),
            ("/inner/list/1".into(), "invalid_value")
        );
        assert_eq!(
            decoding(json!({"name": "n", "inner": {"list": [], "more": 1}})),
            ("/inner/more".into(), "unknown_field")
        );
    }
}
