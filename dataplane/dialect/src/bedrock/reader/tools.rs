//! `toolConfig`: which tools there are, and whether one must be called.

use super::{
    super::path::{Path, Unread},
    blocks,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Request, Tool, ToolChoice},
    },
    json::Node,
};

const MAX_TOOLS: usize = 4_096;

pub(super) fn read<'a>(request: &mut Request<'a>, config: Node<'a>, unread: &mut Unread<'a>) -> Result<(), BadRequest> {
    let at = Path::Member(&Path::Root, "toolConfig");
    let [tools, choice] = unread.members(config, &at, ["tools", "toolChoice"])?;
    let tools = at.required("tools", tools, config)?;
    {
        let at = at.member("tools");
        for (index, tool) in at.list(tools)?.enumerate() {
            if index == MAX_TOOLS {
                return Err(at.wrong(format!("must have at most {MAX_TOOLS} elements"), tools));
            }
            read_element(&mut request.tools, tool, &at.element(index), unread)?;
        }
    }
    if let Some(choice) = choice {
        request.tool_choice = read_choice(choice, &at.member("toolChoice"), unread)?;
    }
    Ok(())
}

fn read_element<'a>(
    tools: &mut Vec<Tool<'a>>,
    element: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<(), BadRequest> {
    let Some((name, value)) = unread.union(element, at, ["toolSpec", "systemTool", "cachePoint"])? else {
        return Ok(());
    };
    let at = at.member(name);
    match name {
        "toolSpec" => tools.push(read_tool(value, &at, unread)?),
        // A tool of the model's vendor: nobody else has it.
        "systemTool" => unread.note(&at),
        _ => {
            let mark = blocks::cache_mark(value, &at, unread)?;
            match tools.last_mut() {
                Some(tool) => tool.cache = Some(mark),
                None => unread.note(&at),
            }
        }
    }
    Ok(())
}

fn read_tool<'a>(spec: Node<'a>, at: &Path<'_>, unread: &mut Unread<'a>) -> Result<Tool<'a>, BadRequest> {
    let names = ["name", "description", "inputSchema", "strict"];
    let [name, description, schema, strict] = unread.members(spec, at, names)?;
    let name = at.required("name", name, spec)?;
    let schema = at.required("inputSchema", schema, spec)?;
    let json = {
        let at = at.member("inputSchema");
        let [json] = unread.members(schema, &at, ["json"])?;
        at.member("json").object(at.required("json", json, schema)?)?
    };
    let description = description.map(|node| at.member("description").text(node));
    let strict = strict.map(|node| at.member("strict").boolean(node));
    Ok(Tool {
        name: at.member("name").text(name)?,
        description: description.transpose()?,
        schema: Some(json.raw().into()),
        strict: strict.transpose()?,
        cache: None,
    })
}

fn read_choice<'a>(
    choice: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<Option<ToolChoice<'a>>, BadRequest> {
    let Some((name, value)) = unread.union(choice, at, ["auto", "any", "tool"])? else {
        return Ok(None);
    };
    let at = at.member(name);
    Ok(Some(match name {
        "auto" => {
            unread.members(value, &at, [])?;
            ToolChoice::Auto
        }
        "any" => {
            unread.members(value, &at, [])?;
            ToolChoice::Required
        }
        _ => {
            let [tool] = unread.members(value, &at, ["name"])?;
            ToolChoice::Named(at.member("name").text(at.required("name", tool, value)?)?)
        }
    }))
}
