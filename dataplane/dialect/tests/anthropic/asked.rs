//! Requests as readers of other dialects make them.

use serde_json::Value;
use tollgate_dialect::{
    canonical::{
        feature::Feature,
        request::{Amount, Content, Media, MediaKind, Part, Request, Role, Source, Thinking, Tool, Turn},
    },
    json::{Json, Node, Number},
    quirks::Quirks,
};

use super::write;

pub(super) fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn {
        role,
        name: None,
        parts,
    }
}

pub(super) fn asked<'a>() -> Request<'a> {
    Request {
        model: "m".into(),
        turns: vec![turn(Role::User, vec![Part::text("Hi")])],
        ..Request::default()
    }
}

pub(super) fn number(text: &'static str) -> Number<'static> {
    let document = Node::document(text.as_bytes()).expect("a document");
    document.get("n").and_then(Node::number).expect("a number")
}

pub(super) fn tool<'a>(name: &'a str) -> Tool<'a> {
    Tool {
        name: name.into(),
        description: None,
        schema: None,
        strict: None,
        cache: None,
    }
}

pub(super) fn tool_call<'a>(id: &'a str) -> Part<'a> {
    Part::new(Content::ToolCall {
        id: Some(id.into()),
        name: "look".into(),
        arguments: Json::Quoted("{\"a\":1}".into()),
    })
}

pub(super) fn tool_result<'a>(id: &'a str, parts: Vec<Part<'a>>) -> Part<'a> {
    Part::new(Content::ToolResult {
        call_id: Some(id.into()),
        name: None,
        parts,
        is_error: false,
    })
}

pub(super) fn media<'a>(kind: MediaKind, source: Source<'a>, media_type: Option<&'a str>) -> Part<'a> {
    Part::new(Content::Media(Media {
        kind,
        source,
        media_type: media_type.map(Into::into),
        name: None,
        detail: None,
        cite: false,
    }))
}

#[track_caller]
pub(super) fn written(request: &Request<'_>, quirks: &Quirks, lost: &[Feature]) -> Value {
    let (written, drops) = write(request, quirks);
    assert_eq!(drops.features(), lost);
    super::json(&written.expect("a request"))
}

pub(super) fn thinking(amount: Amount) -> Option<Thinking> {
    Some(Thinking { amount, shown: None })
}
