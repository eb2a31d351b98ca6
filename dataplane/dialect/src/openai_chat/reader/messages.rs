//! Messages → turns. The results of one round of tool calls, each a message of its own here, become one turn.

use crate::{
    canonical::{
        bad::BadRequest,
        request::{Content, Owned, Part, Role, Turn},
    },
    json::{Json, Node, Text},
};

use super::{
    super::extra,
    Top, parts,
    pick::{Found, Place, Unread, pick},
};

/// Messages of a request.
const MAX_MESSAGES: usize = 100_000;
/// Tool calls of one message.
const MAX_CALLS: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub turns: Vec<Turn<'a>>,
    pub owned: Vec<Owned<'a>>,
    /// The last turn is tool results, and the next result joins them.
    in_results: bool,
}

pub(super) fn read<'a>(top: &Top<'a>, unread: &mut Unread<'_>) -> Result<Conversation<'a>, BadRequest> {
    let list = top.need("messages", top.list("messages")?)?;
    let place = top.place.member("messages");
    let mut conversation = Conversation::default();
    for (index, node) in list.elements().enumerate() {
        if index == MAX_MESSAGES {
            return Err(place.wrong(format!("has more than {MAX_MESSAGES} elements"), node));
        }
        conversation.message(node, &place.element(index), unread)?;
    }
    match list.elements().next() {
        Some(_) => Ok(conversation),
        None => Err(place.wrong("must have at least one element", list)),
    }
}

const TEXTS: [&str; 4] = ["role", "content", "name", "cache_control"];
const ASSISTANT: [&str; 13] = [
    "role",
    "content",
    "name",
    "cache_control",
    "refusal",
    "tool_calls",
    "function_call",
    "audio",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "extra_content",
    // What the model cited, as it came in an answer: clients send whole messages back, and no model reads it there.
    "annotations",
];
const TOOL: [&str; 5] = ["role", "content", "name", "tool_call_id", "cache_control"];
const FUNCTION: [&str; 3] = ["role", "content", "name"];

type Assistant<'a, 'p> = Found<'a, 'p, { ASSISTANT.len() }>;

impl<'a> Conversation<'a> {
    fn message(&mut self, node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<(), BadRequest> {
        if !node.is_object() {
            return Err(place.wrong("must be an object", node));
        }
        let role = node.get("role").and_then(Node::string);
        match role.as_deref() {
            Some("system") => self.texts(Role::System, node, place, unread),
            Some("developer") => self.texts(Role::Developer, node, place, unread),
            Some("user") => self.texts(Role::User, node, place, unread),
            Some("assistant") => self.assistant(node, place, unread),
            Some("tool") => self.tool(node, place, unread),
            Some("function") => self.function(node, place, unread),
            _ => {
                let wrong = "must be one of system, developer, user, assistant, tool and function";
                Err(place.member("role").wrong(wrong, node))
            }
        }
    }

    fn texts(
        &mut self,
        role: Role,
        node: Node<'a>,
        place: &Place<'_>,
        unread: &mut Unread<'_>,
    ) -> Result<(), BadRequest> {
        let found = pick(node, place, &TEXTS, unread)?;
        let content = found.need("content", found.get("content"))?;
        let mut parts = Vec::new();
        parts::read(content, &place.member("content"), &mut parts, &mut self.owned, unread)?;
        mark_last(&found, &mut parts, unread)?;
        self.push(role, found.text("name")?, parts);
        Ok(())
    }

    fn assistant(&mut self, node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<(), BadRequest> {
        let found: Assistant<'a, '_> = pick(node, place, &ASSISTANT, unread)?;
        let mut parts = thoughts(&found, unread)?;
        let thoughts = parts.len();
        if let Some(content) = found.get("content").filter(|content| !is_empty_list(*content)) {
            parts::read(content, &place.member("content"), &mut parts, &mut self.owned, unread)?;
            sign_last(&mut parts[thoughts..], extra::signature(found.get("extra_content")));
        }
        parts.extend(found.text("refusal")?.map(|text| Part::new(Content::Refusal(text))));
        let spoken = parts.len();
        calls(&found, &mut parts, unread)?;
        // Empty content is how many clients write "only tool calls".
        if parts.len() > 1 && thoughts < spoken {
            let mut at = 0;
            parts.retain(|part| {
                at += 1;
                !(thoughts < at && at <= spoken && is_empty_text(part))
            });
        }
        mark_last(&found, &mut parts, unread)?;
        let heard = self.heard(&found)?;
        if parts.is_empty() && !heard {
            return Err(place.wrong("has neither content nor tool calls", node));
        }
        self.push(Role::Assistant, found.text("name")?, parts);
        Ok(())
    }

    /// An answer that was spoken is kept by its provider and named here.
    fn heard(&mut self, found: &Assistant<'a, '_>) -> Result<bool, BadRequest> {
        let Some(audio) = found.get("audio") else {
            return Ok(false);
        };
        let place = found.place.member("audio");
        let id = audio.get("id").and_then(Node::text);
        let id = id.ok_or_else(|| place.wrong("must be an object with an id", audio))?;
        self.owned.push(Owned {
            field: "messages.audio.id",
            id,
        });
        Ok(true)
    }

    fn tool(&mut self, node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<(), BadRequest> {
        let found = pick(node, place, &TOOL, unread)?;
        let call_id = found.need("tool_call_id", found.text("tool_call_id")?)?;
        let content = found.need("content", found.get("content"))?;
        let mut parts = Vec::new();
        parts::read(content, &place.member("content"), &mut parts, &mut self.owned, unread)?;
        // A result is cached as a whole.
        let inner = parts.iter_mut().fold(None, |mark, part| part.cache.take().or(mark));
        let outer = parts::cache_mark(found.get("cache_control"), &place.member("cache_control"), unread)?;
        let mut result = Part::new(Content::ToolResult {
            call_id: Some(call_id),
            name: found.text("name")?,
            parts,
            is_error: false,
        });
        result.cache = outer.or(inner);
        self.push_result(result);
        Ok(())
    }

    fn function(&mut self, node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<(), BadRequest> {
        let found = pick(node, place, &FUNCTION, unread)?;
        let name = found.need("name", found.text("name")?)?;
        self.push_result(Part::new(Content::ToolResult {
            call_id: None,
            name: Some(name),
            parts: found.text("content")?.map(Part::text).into_iter().collect(),
            is_error: false,
        }));
        Ok(())
    }

    fn push(&mut self, role: Role, name: Option<Text<'a>>, parts: Vec<Part<'a>>) {
        self.in_results = false;
        if !parts.is_empty() {
            self.turns.push(Turn { role, name, parts });
        }
    }

    fn push_result(&mut self, result: Part<'a>) {
        match self.turns.last_mut() {
            Some(round) if self.in_results => round.parts.push(result),
            _ => self.turns.push(Turn {
                role: Role::User,
                name: None,
                parts: vec![result],
            }),
        }
        self.in_results = true;
    }
}

fn is_empty_list(node: Node<'_>) -> bool {
    node.is_array() && node.elements().next().is_none()
}

fn is_empty_text(part: &Part<'_>) -> bool {
    matches!(&part.content, Content::Text(text) if text.is_empty()) && part.signature.is_none()
}

/// LiteLLM's mark of a whole message.
fn mark_last<const N: usize>(
    found: &Found<'_, '_, N>,
    parts: &mut [Part<'_>],
    unread: &mut Unread<'_>,
) -> Result<(), BadRequest> {
    let place = found.place.member("cache_control");
    let mark = parts::cache_mark(found.get("cache_control"), &place, unread)?;
    if let Some(last) = parts.last_mut() {
        last.cache = last.cache.or(mark);
    }
    Ok(())
}

fn sign_last<'a>(parts: &mut [Part<'a>], signature: Option<Text<'a>>) {
    if let Some(last) = parts.last_mut() {
        last.signature = last.signature.take().or(signature);
    }
}

fn thoughts<'a>(found: &Assistant<'a, '_>, unread: &mut Unread<'_>) -> Result<Vec<Part<'a>>, BadRequest> {
    let said = |text: &Text<'_>| !text.is_empty();
    let (one, other) = (found.text("reasoning_content")?, found.text("reasoning")?);
    let text = one.filter(said).or(other.filter(said));
    let mut parts = Vec::new();
    if let Some(details) = found.list("reasoning_details")? {
        let place = found.place.member("reasoning_details");
        for (index, node) in details.elements().enumerate() {
            parts.extend(thought(node, &place.element(index), unread)?);
        }
    }
    let told = |part: &Part<'_>| matches!(&part.content, Content::Thinking(text) if !text.is_empty());
    if parts.iter().any(told) {
        return Ok(parts);
    }
    // The details only sign or seal: what was thought stands in the one text.
    match (
        text,
        parts
            .iter_mut()
            .find(|part| matches!(part.content, Content::Thinking(_))),
    ) {
        (Some(text), Some(signed)) => signed.content = Content::Thinking(text),
        (Some(text), None) => parts.insert(0, Part::new(Content::Thinking(text))),
        (None, _) => {}
    }
    Ok(parts)
}

fn thought<'a>(node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<Option<Part<'a>>, BadRequest> {
    const DETAIL: [&str; 8] = [
        "type",
        "text",
        "summary",
        "signature",
        "data",
        "id",
        // Where it came from and which it was: nothing that a provider reads.
        "index",
        "format",
    ];
    let found = pick(node, place, &DETAIL, unread)?;
    let kind = found.need("type", found.string("type")?)?;
    let content = match &*kind {
        "reasoning.text" => Content::Thinking(found.text("text")?.unwrap_or(Text::EMPTY)),
        "reasoning.summary" => Content::Thinking(found.text("summary")?.unwrap_or(Text::EMPTY)),
        "reasoning.encrypted" => Content::Sealed {
            data: found.need("data", found.text("data")?)?,
            id: found.text("id")?,
        },
        _ => {
            unread.note(place);
            return Ok(None);
        }
    };
    let mut part = Part::new(content);
    part.signature = found.text("signature")?.filter(|signature| !signature.is_empty());
    Ok(Some(part))
}

fn calls<'a>(found: &Assistant<'a, '_>, parts: &mut Vec<Part<'a>>, unread: &mut Unread<'_>) -> Result<(), BadRequest> {
    if let Some(list) = found.list("tool_calls")? {
        let place = found.place.member("tool_calls");
        for (index, node) in list.elements().enumerate() {
            if index == MAX_CALLS {
                return Err(place.wrong(format!("has more than {MAX_CALLS} elements"), node));
            }
            parts.push(call(node, &place.element(index), unread)?);
        }
    }
    if let Some(node) = found.get("function_call") {
        let (name, arguments) = function(node, &found.place.member("function_call"), unread)?;
        let id = None;
        parts.push(Part::new(Content::ToolCall { id, name, arguments }));
    }
    Ok(())
}

fn call<'a>(node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<Part<'a>, BadRequest> {
    const CALL: [&str; 6] = ["id", "type", "function", "custom", "extra_content", "index"];
    let found = pick(node, place, &CALL, unread)?;
    let (name, arguments) = match found.get("custom") {
        Some(custom) => custom_call(custom, &place.member("custom"), unread)?,
        None => {
            let definition = found.need("function", found.get("function"))?;
            function(definition, &place.member("function"), unread)?
        }
    };
    let mut part = Part::new(Content::ToolCall {
        id: found.text("id")?.filter(|id| !id.is_empty()),
        name,
        arguments,
    });
    part.signature = extra::signature(found.get("extra_content"));
    Ok(part)
}

fn function<'a>(
    node: Node<'a>,
    place: &Place<'_>,
    unread: &mut Unread<'_>,
) -> Result<(Text<'a>, Json<'a>), BadRequest> {
    const FUNCTION: [&str; 2] = ["name", "arguments"];
    let found = pick(node, place, &FUNCTION, unread)?;
    let arguments = match found.get("arguments") {
        None => Json::EMPTY_OBJECT,
        // Not OpenAI's shape, but that of clients that keep the object they parsed.
        Some(node) if node.is_object() => node.json(),
        Some(_) => found.text("arguments")?.map_or(Json::EMPTY_OBJECT, Json::Quoted),
    };
    Ok((found.need("name", found.text("name")?)?, arguments))
}

/// A call of a tool that takes text: its result, which follows, needs a call. The text becomes the only argument.
fn custom_call<'a>(
    node: Node<'a>,
    place: &Place<'_>,
    unread: &mut Unread<'_>,
) -> Result<(Text<'a>, Json<'a>), BadRequest> {
    const CUSTOM: [&str; 2] = ["name", "input"];
    let found = pick(node, place, &CUSTOM, unread)?;
    unread.note(place);
    let input = found.get("input").map_or(&b"\"\""[..], Node::raw);
    let object = format!("{{\"input\":{}}}", String::from_utf8_lossy(input));
    Ok((
        found.need("name", found.text("name")?)?,
        Json::Quoted(Text::from(object)),
    ))
}
