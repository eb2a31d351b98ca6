//! A client's request.

use std::borrow::Cow;

use super::{
    config,
    loose::{Path, camel, fields, once, text, word},
    parts, tools,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Owned, Request, Role, Turn},
    },
    json::Node,
    speak::PathFacts,
};

pub(super) fn read<'a>(body: &'a [u8], facts: PathFacts<'a>) -> Result<Request<'a>, BadRequest> {
    let top = Node::document(body)?;
    let mut request = Request {
        stream: facts.stream,
        // It has usage in its streams always.
        stream_usage: true,
        ..Request::default()
    };
    let mut members = Members::default();
    for (name, value) in fields(top, &Path::Top)? {
        members.take(&name, value, &mut request)?;
    }
    request.model = model(facts, members.model)?;
    let unread = &mut request.unread;
    if let Some(system) = members.system {
        let parts = parts::system(system, &Path::Top.member("systemInstruction"), unread)?;
        if !parts.is_empty() {
            request.turns.push(Turn {
                role: Role::System,
                name: None,
                parts,
            });
        }
    }
    let Some(contents) = members.contents else {
        return Err(BadRequest::missing("contents", "is missing: it holds the conversation"));
    };
    parts::contents(contents, &Path::Top.member("contents"), &mut request.turns, unread)?;
    if !request.turns.iter().any(|turn| turn.role != Role::System) {
        return Err(Path::Top
            .member("contents")
            .wrong("must hold at least one content", contents));
    }
    Ok(request)
}

/// Members that are read once all have been seen.
#[derive(Default)]
struct Members<'a> {
    model: Option<Node<'a>>,
    contents: Option<Node<'a>>,
    system: Option<Node<'a>>,
    tools: Option<Node<'a>>,
    tool_config: Option<Node<'a>>,
    config: Option<Node<'a>>,
    cached: Option<Node<'a>>,
    tier: Option<Node<'a>>,
}

impl<'a> Members<'a> {
    fn take(&mut self, name: &str, value: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
        let at = &Path::Top.member(name);
        match &*camel(name) {
            "model" => once(&mut self.model, value, at, value),
            "contents" => once(&mut self.contents, value, at, value),
            "systemInstruction" => once(&mut self.system, value, at, value),
            "tools" => {
                once(&mut self.tools, value, at, value)?;
                tools::read(value, at, request)
            }
            "toolConfig" => {
                once(&mut self.tool_config, value, at, value)?;
                tools::read_config(value, at, request)
            }
            "generationConfig" => {
                once(&mut self.config, value, at, value)?;
                config::read(value, at, request)
            }
            "cachedContent" => {
                once(&mut self.cached, value, at, value)?;
                request.owned.push(Owned {
                    field: "cachedContent",
                    id: text(value, at)?,
                });
                Ok(())
            }
            "serviceTier" => {
                once(&mut self.tier, value, at, value)?;
                let said = word(value, at)? != "UNSPECIFIED";
                request.service_tier = said.then(|| value.text()).flatten();
                Ok(())
            }
            _ => {
                at.is_unread(&mut request.unread);
                Ok(())
            }
        }
    }
}

fn model<'a>(facts: PathFacts<'a>, in_body: Option<Node<'a>>) -> Result<Cow<'a, str>, BadRequest> {
    let named = |node: Node<'a>| {
        let name = node.string();
        name.ok_or_else(|| Path::Top.member("model").wrong("must be a string", node))
    };
    match (facts.model, in_body.map(named).transpose()?) {
        (Some(model), _) => Ok(Cow::Borrowed(model)),
        (None, Some(Cow::Borrowed(model))) => Ok(Cow::Borrowed(model.strip_prefix("models/").unwrap_or(model))),
        (None, Some(Cow::Owned(model))) => Ok(Cow::Owned(model.trim_start_matches("models/").to_owned())),
        (None, None) => Err(BadRequest::missing("model", "is missing: the path names it")),
    }
}
