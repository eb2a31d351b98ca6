//! Tools, the choice among them, and what of both goes out.

use std::borrow::Cow;

use super::{
    path::{Path, Unread},
    writer::Members,
};
use crate::{
    canonical::{
        bad::BadRequest,
        feature::Feature,
        request::{Format, Request, Tool, ToolChoice},
    },
    json::Node,
};

/// Tools of one request.
const MAX_TOOLS: usize = 4_096;

/// `strict` is `strict_tools`: it holds for all of them.
pub(super) fn read<'a>(list: Node<'a>, strict: Option<bool>, unread: &mut Unread) -> Result<Vec<Tool<'a>>, BadRequest> {
    let path = Path::Key(&Path::Root, "tools");
    path.array(list)?;
    let mut tools = Vec::new();
    for (index, tool) in list.elements().enumerate() {
        if index == MAX_TOOLS {
            return Err(path.wrong(format!("has more than {MAX_TOOLS} elements"), tool));
        }
        let path = Path::Index(&path, index);
        let [kind, function] = path.members(tool, &["type", "function"], unread)?;
        if let Some(kind) = kind.filter(|kind| !kind.is("function")) {
            return Err(Path::Key(&path, "type").wrong("must be 'function'", kind));
        }
        let function = function.ok_or_else(|| path.missing("function", "is missing: the function's definition"))?;
        tools.push(read_function(function, strict, &Path::Key(&path, "function"), unread)?);
    }
    Ok(tools)
}

fn read_function<'a>(
    function: Node<'a>,
    strict: Option<bool>,
    path: &Path<'_>,
    unread: &mut Unread,
) -> Result<Tool<'a>, BadRequest> {
    let [name, description, parameters] = path.members(function, &["name", "description", "parameters"], unread)?;
    let name = name.ok_or_else(|| path.missing("name", "is missing: the function's name"))?;
    let text = |node, key| Path::Key(path, key).text(node);
    Ok(Tool {
        name: text(name, "name")?,
        description: description.map(|node| text(node, "description")).transpose()?,
        schema: parameters
            .map(|node| Path::Key(path, "parameters").object(node))
            .transpose()?
            .map(Cow::Borrowed),
        strict,
        cache: None,
    })
}

pub(super) fn read_choice<'a>(choice: Node<'a>) -> Result<ToolChoice<'a>, BadRequest> {
    match choice.string().as_deref() {
        Some("REQUIRED") => Ok(ToolChoice::Required),
        Some("NONE") => Ok(ToolChoice::None),
        _ => Err(Path::Key(&Path::Root, "tool_choice").wrong("must be 'REQUIRED' or 'NONE'", choice)),
    }
}

/// What is sent of tools and of the answer's format, which Cohere does not take together.
pub(super) struct Sent {
    pub tools: bool,
    pub format: bool,
}

impl Sent {
    /// Tools that may not be called are no loss where a format is asked for; where they may, the format is.
    pub fn of(request: &Request<'_>) -> Sent {
        let callable = !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::None);
        let format = request.format != Format::Text;
        Sent {
            tools: !request.tools.is_empty() && (callable || !format),
            format: format && !callable,
        }
    }
}

/// Writes `tools`, `strict_tools` and `tool_choice`. A choice of one tool by name is that tool alone, required.
pub(super) fn write(request: &Request<'_>, to: &mut Members<'_, '_>) -> Result<(), BadRequest> {
    if request.parallel_tools == Some(false) {
        to.drops.note(Feature::ParallelTools);
    }
    if !to.may("tools", Feature::Tools) {
        return Ok(());
    }
    let named = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    let chosen: Vec<&Tool<'_>> = request
        .tools
        .iter()
        .filter(|tool| named.is_none_or(|name| tool.name == *name))
        .collect();
    if chosen.is_empty() {
        return Err(BadRequest::missing(
            "tool_choice",
            "names a tool that is not among the tools",
        ));
    }
    to.json.key("tools").open_list();
    for tool in &chosen {
        write_tool(tool, to);
    }
    to.json.close_list();
    write_strict(&chosen, to);
    let word = match request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) => "REQUIRED",
        Some(ToolChoice::None) => "NONE",
        Some(ToolChoice::Auto) | None => return Ok(()),
    };
    if to.may("tool_choice", Feature::ToolChoice) {
        to.json.key("tool_choice").string(word);
    }
    Ok(())
}

fn write_tool(tool: &Tool<'_>, to: &mut Members<'_, '_>) {
    to.drops.note_if(Feature::Cache, tool.cache.is_some());
    let json = &mut to.json;
    json.open().key("type").string("function");
    json.key("function").open().key("name").text(&tool.name);
    if let Some(description) = &tool.description {
        json.key("description").text(description);
    }
    json.key("parameters").raw(
        tool.schema
            .as_deref()
            .unwrap_or(br#"{"type":"object","properties":{}}"#),
    );
    json.close().close();
}

/// One flag stands for all tools; where they differ it stays away, and that is noted.
fn write_strict(tools: &[&Tool<'_>], to: &mut Members<'_, '_>) {
    let all = |strict| tools.iter().all(|tool| tool.strict == strict);
    let some = tools.iter().any(|tool| tool.strict == Some(true));
    match (all(Some(true)), all(Some(false))) {
        (false, false) => to.drops.note_if(Feature::ToolStrict, some),
        (strict, _) => {
            if to.may("strict_tools", Feature::ToolStrict) {
                to.json.key("strict_tools").boolean(strict);
            }
        }
    }
}
