//! Gemini's own schema language, a subset of OpenAPI 3.0, to JSON schema: types in lower case, `nullable` as one more
//! type, counts as numbers. Other members mean the same in both.

use std::borrow::Cow;

use super::loose::{Path, camel};
use crate::{
    canonical::bad::BadRequest,
    json::{Node, Out},
};

/// Schemas within schemas. Each is walked once for every one around it.
const MAX_SCHEMA_DEPTH: usize = 32;

/// The JSON schema: what came, where it is one already.
pub(super) fn to_json_schema<'a>(schema: Node<'a>, path: &Path<'_>) -> Result<Cow<'a, [u8]>, BadRequest> {
    if !schema.is_object() {
        return Err(path.wrong("must be an object", schema));
    }
    let mut written = Vec::with_capacity(schema.raw().len() + 32);
    write(schema, path, MAX_SCHEMA_DEPTH, &mut Out::new(&mut written))?;
    match written == schema.raw() {
        true => Ok(Cow::Borrowed(schema.raw())),
        false => Ok(Cow::Owned(written)),
    }
}

fn write(schema: Node<'_>, path: &Path<'_>, depth: usize, json: &mut Out<'_>) -> Result<(), BadRequest> {
    if !schema.is_object() {
        // `true` and `false` are schemas too; anything else is the target's to refuse.
        json.raw(schema.raw());
        return Ok(());
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Err(path.wrong(format!("is nested deeper than {MAX_SCHEMA_DEPTH} schemas"), schema));
    };
    let about = About::read(schema);
    json.open();
    for (name, value) in schema.members() {
        let path = path.member(&name);
        let name = camel(&name);
        match &*name {
            "nullable" => {}
            "type" if value.is("TYPE_UNSPECIFIED") => {}
            "type" => write_type(value, about, json.key("type")),
            "enum" if about.nullable => write_enum(value, json.key("enum")),
            "properties" | "defs" | "$defs" => {
                write_map(
                    value,
                    &path,
                    depth,
                    key(json, if name == "properties" { &name } else { "$defs" }),
                )?;
            }
            "items" | "additionalProperties" | "not" => write(value, &path, depth, key(json, &name))?,
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                let null_too = about.nullable && !about.typed && name == "anyOf";
                write_list(value, &path, depth, null_too, key(json, &name))?;
            }
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
                write_count(value, key(json, &name));
            }
            "ref" => {
                json.key("$ref").raw(value.raw());
            }
            _ => {
                key(json, &name).raw(value.raw());
            }
        }
    }
    json.close();
    Ok(())
}

/// What decides how other members of a schema are written.
#[derive(Clone, Copy, Default)]
struct About {
    nullable: bool,
    typed: bool,
}

impl About {
    fn read(schema: Node<'_>) -> About {
        let mut about = About::default();
        for (name, value) in schema.members() {
            match &*name {
                "nullable" => about.nullable = value.boolean() == Some(true),
                "type" => about.typed = true,
                _ => {}
            }
        }
        about
    }
}

/// A key of the caller's, which may need escapes.
fn key<'j, 'o>(json: &'j mut Out<'o>, name: &str) -> &'j mut Out<'o> {
    json.string(name);
    json.bytes.push(b':');
    json
}

fn write_type(value: Node<'_>, about: About, json: &mut Out<'_>) {
    if !value.is_array() && !about.nullable {
        write_lower(value, json);
        return;
    }
    json.open_list();
    let one = (!value.is_array()).then_some(value);
    let mut null_too = about.nullable;
    for name in value.elements().chain(one) {
        null_too &= !name.string().is_some_and(|name| name.eq_ignore_ascii_case("null"));
        write_lower(name, json);
    }
    if null_too {
        json.string("null");
    }
    json.close_list();
}

fn write_lower(name: Node<'_>, json: &mut Out<'_>) {
    match name.string() {
        Some(name) => json.string(&name.to_ascii_lowercase()),
        None => json.raw(name.raw()),
    };
}

/// What may be null has null among its values.
fn write_enum(values: Node<'_>, json: &mut Out<'_>) {
    json.open_list();
    for value in values.elements().filter(|value| !value.is_null()) {
        json.raw(value.raw());
    }
    json.null().close_list();
}

fn write_map(map: Node<'_>, path: &Path<'_>, depth: usize, json: &mut Out<'_>) -> Result<(), BadRequest> {
    if !map.is_object() {
        return Err(path.wrong("must be an object", map));
    }
    json.open();
    for (name, schema) in map.members() {
        write(schema, &path.member(&name), depth, key(json, &name))?;
    }
    json.close();
    Ok(())
}

fn write_list(
    list: Node<'_>,
    path: &Path<'_>,
    depth: usize,
    null_too: bool,
    json: &mut Out<'_>,
) -> Result<(), BadRequest> {
    if !list.is_array() {
        return Err(path.wrong("must be a list", list));
    }
    json.open_list();
    for (index, schema) in list.elements().enumerate() {
        write(schema, &path.element(index), depth, json)?;
    }
    if null_too {
        json.raw(br#"{"type":"null"}"#);
    }
    json.close_list();
    Ok(())
}

/// Google's JSON has 64-bit integers as strings.
fn write_count(value: Node<'_>, json: &mut Out<'_>) {
    match value.string().and_then(|digits| digits.parse::<u64>().ok()) {
        Some(count) => json.unsigned(count),
        None => json.raw(value.raw()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(schema: &str) -> String {
        let node = Node::document(schema.as_bytes()).expect("an object");
        let json = to_json_schema(node, &Path::Top).expect("a schema");
        String::from_utf8(json.into_owned()).expect("UTF-8")
    }

    #[test]
    fn the_language_of_gemini_becomes_json_schema() {
        for (gemini, json) in [
            (r#"{"type":"STRING"}"#, r#"{"type":"string"}"#),
            (r#"{"type":"STRING","nullable":true}"#, r#"{"type":["string","null"]}"#),
            (r#"{"nullable":false,"type":"integer"}"#, r#"{"type":"integer"}"#),
            (
                r#"{"nullable":true,"type":"STRING","enum":["A"]}"#,
                r#"{"type":["string","null"],"enum":["A",null]}"#,
            ),
            (
                r#"{"any_of":[{"type":"NUMBER"}],"nullable":true}"#,
                r#"{"anyOf":[{"type":"number"},{"type":"null"}]}"#,
            ),
            (
                r#"{"type":"OBJECT","properties":{"type":{"type":"ARRAY","items":{"type":"STRING"},"minItems":"1"}}}"#,
                r#"{"type":"object","properties":{"type":{"type":"array","items":{"type":"string"},"minItems":1}}}"#,
            ),
            (
                r#"{"defs":{"a":{"type":"NULL"}},"ref":"x","default":{"type":"STRING"}}"#,
                r#"{"$defs":{"a":{"type":"null"}},"$ref":"x","default":{"type":"STRING"}}"#,
            ),
            (r#"{"type":"TYPE_UNSPECIFIED"}"#, "{}"),
            (
                r#"{"properties":{"a\"b":{"type":"STRING"}}}"#,
                r#"{"properties":{"a\"b":{"type":"string"}}}"#,
            ),
            (
                r#"{"type":["STRING","NULL"],"nullable":true}"#,
                r#"{"type":["string","null"]}"#,
            ),
        ] {
            assert_eq!(read(gemini), json);
        }
    }

    #[test]
    fn a_json_schema_is_not_copied() {
        let schema = br#"{"type":"object","properties":{"a":{"type":["string","null"]}},"required":["a"]}"#;
        let node = Node::document(schema).expect("an object");
        assert!(matches!(to_json_schema(node, &Path::Top), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{{}}{}", r#"{"items":"#.repeat(levels), "}".repeat(levels));
        let read = |text: &str| to_json_schema(Node::document(text.as_bytes()).expect("an object"), &Path::Top).is_ok();
        assert!(read(&nested(MAX_SCHEMA_DEPTH - 1)));
        assert!(!read(&nested(MAX_SCHEMA_DEPTH)));
    }
}
