//! A value that satisfies a JSON schema: the smallest that has every required member. Deterministic: texts are chosen by
//! their place. Knows no dialect.

use serde_json::{Map, Number, Value};

use crate::signed_text::WORDS;

/// A schema that refers to itself ends here.
const MAX_DEPTH: usize = 32;

/// The error says what of the schema is not understood.
pub fn of(schema: &Value) -> Result<Value, String> {
    Maker { root: schema }.value(schema, "value", 0)
}

struct Maker<'a> {
    root: &'a Value,
}

impl<'a> Maker<'a> {
    fn value(&self, schema: &'a Value, name: &str, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("a schema that has no end".to_owned());
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let found = reference
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            let found = found.ok_or_else(|| format!("a schema refers to '{reference}', which is not there"))?;
            return self.value(found, name, depth + 1);
        }
        if let Some(value) = schema.get("const") {
            return Ok(value.clone());
        }
        if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
            return Ok(first.clone());
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(first) = schema[choice].as_array().and_then(|schemas| schemas.first()) {
                return self.value(first, name, depth + 1);
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            return self.all(all, name, depth);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "string" => Ok(Value::String(text(schema, name))),
            "integer" => Ok(Value::Number(Number::from(number(schema, 1.0).ceil() as i64))),
            "number" => Ok(Number::from_f64(number(schema, 0.5)).map_or(Value::Null, Value::Number)),
            "boolean" => Ok(Value::Bool(true)),
            "null" => Ok(Value::Null),
            other => Err(format!("a schema has the type '{other}', which JSON has not")),
        }
    }

    fn object(&self, schema: &'a Value, depth: usize) -> Result<Value, String> {
        let mut members = Map::new();
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let member = self.value(&schema["properties"][name], name, depth + 1)?;
            members.insert(name.to_owned(), member);
        }
        Ok(Value::Object(members))
    }

    fn array(&self, schema: &'a Value, name: &str, depth: usize) -> Result<Value, String> {
        let count = schema["minItems"].as_u64().unwrap_or(1).clamp(1, 16);
        let item = self.value(&schema["items"], name, depth + 1)?;
        Ok(Value::Array(vec![item; count as usize]))
    }

    fn all(&self, schemas: &'a [Value], name: &str, depth: usize) -> Result<Value, String> {
        let mut whole = Value::Null;
        for schema in schemas {
            match (&mut whole, self.value(schema, name, depth + 1)?) {
                (Value::Object(members), Value::Object(more)) => members.extend(more),
                (whole, value) => *whole = value,
            }
        }
        Ok(whole)
    }
}

/// The first type named that is not null; what names none but has members is an object, anything else a text.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

/// With quotes and letters beyond ASCII, that every dialect has to escape.
fn text(schema: &Value, name: &str) -> String {
    let by_format = match schema["format"].as_str() {
        Some("date") => Some("2026-01-01"),
        Some("date-time") => Some("2026-01-01T00:00:00Z"),
        Some("time") => Some("00:00:00Z"),
        Some("email") => Some("amber@example.com"),
        Some("uri") => Some("https://example.com/amber"),
        Some("uuid") => Some("00000000-0000-4000-8000-000000000000"),
        _ => None,
    };
    if let Some(text) = by_format {
        return text.to_owned();
    }
    let word = WORDS[crc32fast::hash(name.as_bytes()) as usize % WORDS.len()];
    let mut text = format!("{word} \"caf\u{e9}\" \u{1f30d}");
    let least = schema["minLength"].as_u64().unwrap_or(0).min(4096) as usize;
    while text.chars().count() < least {
        text.push_str(" amber");
    }
    match schema["maxLength"].as_u64() {
        Some(most) => text.chars().take(most as usize).collect(),
        None => text,
    }
}

/// `usual`, or the next that the bounds allow.
fn number(schema: &Value, usual: f64) -> f64 {
    let bound = |name: &str| schema[name].as_f64();
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|over| over + 1.0));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|under| under - 1.0));
    let wanted = usual.max(least.unwrap_or(usual));
    wanted.min(most.unwrap_or(wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_satisfy_their_schemas() {
        let schema = json!({
            "type": "object",
            "required": ["city", "unit", "days", "tags", "deep", "maybe", "sure"],
            "properties": {
                "city": { "type": "string" },
                "unit": { "enum": ["celsius", "fahrenheit"] },
                "days": { "type": "integer", "minimum": 3 },
                "tags": { "type": "array", "minItems": 2, "items": { "type": "string", "maxLength": 3 } },
                "deep": { "$ref": "#/$defs/deep" },
                "maybe": { "type": ["null", "number"], "maximum": 0.25 },
                "sure": { "anyOf": [{ "type": "boolean" }, { "type": "null" }] },
                "optional": { "type": "string" },
            },
            "$defs": { "deep": { "type": "object", "properties": { "day": { "format": "date" } }, "required": ["day"] } },
        });
        let value = of(&schema).expect("a value");
        assert!(value["city"].as_str().expect("a text").contains("\"caf\u{e9}\""));
        let rest =
            json!({ "unit": "celsius", "days": 3, "deep": { "day": "2026-01-01" }, "maybe": 0.25, "sure": true });
        for (name, expected) in rest.as_object().expect("an object") {
            assert_eq!(&value[name], expected, "{name}");
        }
        assert_eq!(value["tags"].as_array().map(Vec::len), Some(2));
        assert!(value.get("optional").is_none());
    }

    #[test]
    fn a_schema_without_end_is_refused() {
        let schema = json!({ "type": "object", "required": ["next"], "properties": { "next": { "$ref": "#" } } });
        assert!(of(&schema).is_err());
        assert!(of(&json!({ "type": "float" })).is_err());
        assert!(of(&json!({ "$ref": "#/$defs/none" })).is_err());
    }
}
