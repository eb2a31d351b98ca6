//! A client's request, read. What stands in its messages is `blocks`' affair, its tools are `tools`', the rest of its
//! settings `settings`'.

use std::borrow::Cow;

use crate::{
    canonical::{
        bad::BadRequest,
        request::{CacheMark, Content, Owned, Request, Role, Turn},
    },
    json::Node,
    speak::PathFacts,
};

use super::{
    blocks::Place,
    path::{Path, Unread},
};

/// Anthropic's own bound.
const MAX_TURNS: usize = 100_000;

/// What is gathered beside the request's parts while they are read.
#[derive(Debug, Default)]
pub(super) struct Reader<'a> {
    pub(super) unread: Unread,
    pub(super) owned: Vec<Owned<'a>>,
}

const MEMBERS: [&str; 18] = [
    "model",
    "messages",
    "system",
    "stream",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "metadata",
    "service_tier",
    "cache_control",
    "speed",
];

pub(super) fn read<'a>(body: &'a [u8], path: PathFacts<'a>) -> Result<Request<'a>, BadRequest> {
    let top = Path::TOP;
    let mut reader = Reader::default();
    let members = reader.unread.members(Node::document(body)?, &top, MEMBERS)?;
    let [
        model,
        messages,
        system,
        stream,
        max_tokens,
        temperature,
        top_p,
        top_k,
        stop,
        ..,
    ] = members;
    let [
        ..,
        tools,
        tool_choice,
        thinking,
        output,
        format,
        metadata,
        tier,
        cache,
        speed,
    ] = members;
    let mut request = Request {
        stream: path.stream,
        ..Request::default()
    };
    request.model = read_model(model, path)?;
    if let Some(node) = stream {
        request.stream |= top.member("stream").boolean(node)?;
    }
    request.stream_usage = request.stream;
    if let Some(node) = system {
        request.turns.push(reader.system(node, &top.member("system"))?);
    }
    let messages = top.required("messages", messages)?;
    reader.turns(messages, &top.member("messages"), &mut request.turns)?;
    reader.sampling([max_tokens, temperature, top_p, top_k, stop], &mut request.sampling)?;
    if let Some(node) = tools {
        request.tools = reader.tools(node, &top.member("tools"))?;
    }
    if let Some(node) = tool_choice {
        reader.tool_choice(node, &top.member("tool_choice"), &mut request)?;
    }
    reader.thinking_and_output([thinking, output, format], &mut request)?;
    if let Some(node) = metadata {
        request.user = reader.user(node, &top.member("metadata"))?;
    }
    if let Some(node) = tier {
        request.service_tier = Some(top.member("service_tier").text(node)?);
    }
    let fast = speed.is_some_and(|speed| !speed.is("standard"));
    reader.unread.note_if(&top.member("speed"), fast);
    if let Some(mark) = reader.cache(cache, &top)? {
        mark_last(&mut request.turns, mark);
    }
    request.owned = reader.owned;
    request.unread = reader.unread.names;
    Ok(request)
}

/// Some hosts of Anthropic's models have the name in the path.
fn read_model<'a>(model: Option<Node<'a>>, path: PathFacts<'a>) -> Result<Cow<'a, str>, BadRequest> {
    let top = Path::TOP;
    match (model, path.model) {
        (None, Some(model)) => Ok(model.into()),
        (model, _) => {
            let node = top.required("model", model)?;
            top.member("model").name(node)?;
            top.member("model").word(node)
        }
    }
}

impl<'a> Reader<'a> {
    fn system(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Turn<'a>, BadRequest> {
        let parts = self.parts(node, path, Place::System)?;
        Ok(Turn {
            role: Role::System,
            name: None,
            parts,
        })
    }

    fn turns(&mut self, node: Node<'a>, path: &Path<'_>, turns: &mut Vec<Turn<'a>>) -> Result<(), BadRequest> {
        if !node.is_array() {
            return Err(path.wrong("must be a list of messages", node));
        }
        for (position, message) in node.elements().enumerate() {
            if position == MAX_TURNS {
                return Err(path.wrong(format!("has more than {MAX_TURNS} messages"), message));
            }
            turns.push(self.turn(message, &path.element(position))?);
        }
        match turns.iter().any(|turn| turn.role != Role::System) {
            true => Ok(()),
            false => Err(path.wrong("must hold at least one message of the user", node)),
        }
    }

    fn turn(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Turn<'a>, BadRequest> {
        let [role, content] = self.unread.members(node, path, ["role", "content"])?;
        let role = path.required("role", role)?;
        let (place, role) = match path.member("role").word(role)?.as_ref() {
            "user" => (Place::User, Role::User),
            "assistant" => (Place::Assistant, Role::Assistant),
            "system" => (Place::System, Role::System),
            _ => {
                return Err(path
                    .member("role")
                    .wrong("must be 'user', 'assistant' or 'system'", role));
            }
        };
        let content = path.required("content", content)?;
        let parts = self.parts(content, &path.member("content"), place)?;
        Ok(Turn {
            role,
            name: None,
            parts,
        })
    }
}

/// `cache_control` at the top marks the last block that can be marked.
fn mark_last(turns: &mut [Turn<'_>], mark: CacheMark) {
    let markable = |content: &Content<'_>| !matches!(content, Content::Thinking(_) | Content::Sealed { .. });
    let last = turns
        .iter_mut()
        .rev()
        .flat_map(|turn| turn.parts.iter_mut().rev())
        .find(|part| markable(&part.content));
    if let Some(part) = last {
        part.cache.get_or_insert(mark);
    }
}
