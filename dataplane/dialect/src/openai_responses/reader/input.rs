//! `input`: a text, or items. Items of the assistant in a row are one turn, as are results of calls in a row.

use super::{
    Reading,
    members::{Members, Path, string, text},
    parts,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Content, Part, Role, Turn},
    },
    json::{Json, Node, Text},
    openai_responses::{OUR_REASONING_ID, SIGNATURE_MARK, SIGNATURE_PATH},
};

const MAX_ITEMS: usize = 100_000;

pub(super) fn read<'a>(input: Node<'a>, path: &Path<'_>, reading: &mut Reading<'a>) -> Result<(), BadRequest> {
    if let Some(text) = input.text() {
        reading.request.turns.push(Turn {
            role: Role::User,
            name: None,
            parts: vec![Part::text(text)],
        });
        return Ok(());
    }
    if !input.is_array() {
        return Err(path.wrong("must be a string or a list of items", input));
    }
    let mut items = Items { reading, open: None };
    for (index, item) in input.elements().enumerate() {
        if index == MAX_ITEMS {
            return Err(path.wrong("has more than 100000 items", item));
        }
        items.item(item, &path.element(index))?;
    }
    Ok(())
}

/// A turn that the next item may continue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Assistant,
    Results,
}

struct Items<'r, 'a> {
    reading: &'r mut Reading<'a>,
    open: Option<Open>,
}

impl<'a> Items<'_, 'a> {
    fn item(&mut self, item: Node<'a>, path: &Path<'_>) -> Result<(), BadRequest> {
        if !item.is_object() {
            return Err(path.wrong("must be an object", item));
        }
        let kind = match item.get("type").filter(|kind| !kind.is_null()) {
            Some(kind) => string(kind, &path.member("type"))?,
            None if item.get("role").is_some() => "message".into(),
            None => "item_reference".into(),
        };
        match &*kind {
            "message" => self.message(item, path),
            "function_call" => self.call(item, path),
            "function_call_output" => self.result(item, path),
            "reasoning" => self.reasoning(item, path),
            "item_reference" => self.reference(item, path),
            // Calls of tools that run at OpenAI, and their results.
            _ => {
                self.reading.unread.note(path);
                Ok(())
            }
        }
    }

    /// Parts of a turn that goes on as long as such items come.
    fn push(&mut self, open: Open, parts: impl IntoIterator<Item = Part<'a>>) {
        let mut parts = parts.into_iter().peekable();
        if parts.peek().is_none() {
            return;
        }
        let turns = &mut self.reading.request.turns;
        if self.open != Some(open) {
            let role = match open {
                Open::Assistant => Role::Assistant,
                Open::Results => Role::User,
            };
            turns.push(Turn {
                role,
                name: None,
                parts: Vec::new(),
            });
            self.open = Some(open);
        }
        if let Some(turn) = turns.last_mut() {
            turn.parts.extend(parts);
        }
    }

    fn message(&mut self, item: Node<'a>, path: &Path<'_>) -> Result<(), BadRequest> {
        const NAMES: [&str; 6] = ["type", "role", "content", "id", "status", "phase"];
        let message = Members::of(item, &NAMES, path, &mut self.reading.unread)?;
        if message.get("phase").is_some() {
            self.reading.unread.note(&path.member("phase"));
        }
        let role = message.need("role", path, item)?;
        let role = match &*string(role, &path.member("role"))? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            "developer" => Role::Developer,
            _ => {
                let wrong = "must be 'user', 'assistant', 'system' or 'developer'";
                return Err(path.member("role").wrong(wrong, role));
            }
        };
        let content = message.need("content", path, item)?;
        let parts = parts::read(content, &path.member("content"), self.reading)?;
        if role == Role::Assistant {
            self.push(Open::Assistant, parts);
        } else if !parts.is_empty() {
            self.open = None;
            self.reading.request.turns.push(Turn {
                role,
                name: None,
                parts,
            });
        }
        Ok(())
    }

    fn call(&mut self, item: Node<'a>, path: &Path<'_>) -> Result<(), BadRequest> {
        const NAMES: [&str; 8] = [
            "type",
            "id",
            "status",
            "call_id",
            "name",
            "arguments",
            "caller",
            "extra_content",
        ];
        let call = Members::of(item, &NAMES, path, &mut self.reading.unread)?;
        let caller = call.get("caller").and_then(|caller| caller.get("type"));
        if caller.is_some_and(|caller| !caller.is("direct")) {
            self.reading.unread.note(&path.member("caller"));
        }
        let member = |name: &'static str| text(call.need(name, path, item)?, &path.member(name));
        let mut part = Part::new(Content::ToolCall {
            id: Some(member("call_id")?),
            name: member("name")?,
            arguments: Json::Quoted(member("arguments")?),
        });
        part.signature = item.at(&SIGNATURE_PATH).and_then(Node::text);
        self.push(Open::Assistant, [part]);
        Ok(())
    }

    fn result(&mut self, item: Node<'a>, path: &Path<'_>) -> Result<(), BadRequest> {
        const NAMES: [&str; 6] = ["type", "id", "status", "call_id", "name", "output"];
        let result = Members::of(item, &NAMES, path, &mut self.reading.unread)?;
        let name = result.text("name", path)?;
        let call_id = result.text("call_id", path)?;
        if call_id.is_none() && name.is_none() {
            return Err(path.member("call_id").wrong("is missing", item));
        }
        let output = result.need("output", path, item)?;
        let part = Part::new(Content::ToolResult {
            call_id,
            name,
            parts: parts::read(output, &path.member("output"), self.reading)?,
            is_error: false,
        });
        self.push(Open::Results, [part]);
        Ok(())
    }

    fn reasoning(&mut self, item: Node<'a>, path: &Path<'_>) -> Result<(), BadRequest> {
        const NAMES: [&str; 6] = ["type", "id", "status", "summary", "content", "encrypted_content"];
        let reasoning = Members::of(item, &NAMES, path, &mut self.reading.unread)?;
        let mut parts = Vec::new();
        for name in ["summary", "content"] {
            if let Some(list) = reasoning.get(name) {
                self.thoughts(list, &path.member(name), &mut parts)?;
            }
        }
        let id = reasoning.text("id", path)?;
        let data = reasoning.text("encrypted_content", path)?;
        if let Some(data) = data.filter(|data| !data.is_empty()) {
            match signature(&data) {
                Some(signature) => {
                    let mut thought = parts.pop().unwrap_or_else(|| Part::new(Content::Thinking(Text::EMPTY)));
                    thought.signature = Some(signature);
                    parts.push(thought);
                }
                None => parts.push(Part::new(Content::Sealed {
                    data,
                    id: id.filter(theirs),
                })),
            }
        }
        self.push(Open::Assistant, parts);
        Ok(())
    }

    fn thoughts(&mut self, list: Node<'a>, path: &Path<'_>, parts: &mut Vec<Part<'a>>) -> Result<(), BadRequest> {
        if !list.is_array() {
            return Err(path.wrong("must be a list", list));
        }
        for (index, node) in list.elements().enumerate() {
            let path = path.element(index);
            let thought = Members::of(node, &["type", "text"], &path, &mut self.reading.unread)?;
            let thought = text(thought.need("text", &path, node)?, &path.member("text"))?;
            parts.push(Part::new(Content::Thinking(thought)));
        }
        Ok(())
    }

    fn reference(&mut self, item: Node<'a>, path: &Path<'_>) -> Result<(), BadRequest> {
        let reference = Members::of(item, &["type", "id"], path, &mut self.reading.unread)?;
        let id = text(reference.need("id", path, item)?, &path.member("id"))?;
        self.reading.own("item_reference", id);
        self.open = None;
        Ok(())
    }
}

/// The signature that an `encrypted_content` of ours holds.
fn signature<'a>(data: &Text<'a>) -> Option<Text<'a>> {
    match data {
        Text::Escaped(raw) => raw.strip_prefix(SIGNATURE_MARK.as_bytes()).map(Text::Escaped),
        Text::Plain(_) => None,
    }
}

fn theirs(id: &Text<'_>) -> bool {
    !id.plain().is_some_and(|id| id.starts_with(OUR_REASONING_ID))
}
