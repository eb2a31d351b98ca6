//! The tools of a request, and which of them the model may or must call.

use std::{borrow::Cow, collections::BTreeSet};

use super::members::{Members, Path, Unread, string, text};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Tool, ToolChoice},
    },
    json::Node,
};

const MAX_TOOLS: usize = 4_096;

pub(super) fn read<'a>(list: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Vec<Tool<'a>>, BadRequest> {
    if !list.is_array() {
        return Err(path.wrong("must be a list of tools", list));
    }
    let mut tools = Vec::new();
    for (index, node) in list.elements().enumerate() {
        if index == MAX_TOOLS {
            return Err(path.wrong("has more than 4096 tools", node));
        }
        tools.extend(tool(node, &path.element(index), unread)?);
    }
    Ok(tools)
}

fn tool<'a>(node: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Option<Tool<'a>>, BadRequest> {
    const NAMES: [&str; 5] = ["type", "name", "description", "parameters", "strict"];
    if !node.is_object() {
        return Err(path.wrong("must be an object", node));
    }
    let Some(kind) = node.get("type") else {
        return Err(path.member("type").wrong("is missing", node));
    };
    if string(kind, &path.member("type"))? != "function" {
        // Tools that run at OpenAI, or whose input is no JSON.
        unread.note(path);
        return Ok(None);
    }
    let tool = Members::of(node, &NAMES, path, unread)?;
    Ok(Some(Tool {
        name: text(tool.need("name", path, node)?, &path.member("name"))?,
        description: tool.text("description", path)?,
        schema: tool.object("parameters", path)?.map(Cow::Borrowed),
        strict: tool.boolean("strict", path)?,
        cache: None,
    }))
}

/// Of `allowed_tools` the others are taken away: the model then sees no more than it may call.
pub(super) fn choice<'a>(
    node: Node<'a>,
    path: &Path<'_>,
    tools: &mut Vec<Tool<'a>>,
    unread: &mut Unread<'a>,
) -> Result<Option<ToolChoice<'a>>, BadRequest> {
    if node.text().is_some() {
        return mode(node, path).map(Some);
    }
    if !node.is_object() {
        return Err(path.wrong("must be a string or an object", node));
    }
    let kind = node.get("type").and_then(Node::string).unwrap_or_default();
    match &*kind {
        "function" => {
            let choice = Members::of(node, &["type", "name"], path, unread)?;
            let name = text(choice.need("name", path, node)?, &path.member("name"))?;
            Ok(Some(ToolChoice::Named(name)))
        }
        "allowed_tools" => {
            let choice = Members::of(node, &["type", "mode", "tools"], path, unread)?;
            let list = choice.need("tools", path, node)?;
            let allowed = allowed(list, &path.member("tools"), unread)?;
            tools.retain(|tool| tool.name.plain().is_some_and(|name| allowed.contains(&*name)));
            match choice.get("mode") {
                Some(node) => mode(node, &path.member("mode")).map(Some),
                None => Ok(Some(ToolChoice::Auto)),
            }
        }
        _ => {
            unread.note(path);
            Ok(None)
        }
    }
}

fn mode<'a>(node: Node<'a>, path: &Path<'_>) -> Result<ToolChoice<'a>, BadRequest> {
    match &*string(node, path)? {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Err(path.wrong("must be 'auto', 'none' or 'required', or an object", node)),
    }
}

fn allowed<'a>(list: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<BTreeSet<String>, BadRequest> {
    if !list.is_array() {
        return Err(path.wrong("must be a list of tools", list));
    }
    let mut names = BTreeSet::new();
    for (index, node) in list.elements().enumerate() {
        let path = path.element(index);
        let is_function = node.get("type").is_some_and(|kind| kind.is("function"));
        match node.get("name").and_then(Node::string) {
            Some(name) if is_function => {
                names.insert(name.into_owned());
            }
            _ => unread.note(&path),
        }
    }
    Ok(names)
}
