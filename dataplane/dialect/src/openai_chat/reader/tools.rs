//! Tools, which of them must be called, and what the answer's text must be.

use crate::{
    canonical::{
        bad::BadRequest,
        request::{Format, Tool, ToolChoice},
    },
    json::{Node, Text},
};

use super::{
    Top, parts,
    pick::{Place, Unread, pick},
};

/// OpenAI takes 128; servers behind a gateway of tools see more.
const MAX_TOOLS: usize = 4_096;

type ReadTool<'a> = fn(Node<'a>, &Place<'_>, &mut Unread<'_>) -> Result<Option<Tool<'a>>, BadRequest>;

pub(super) fn read<'a>(top: &Top<'a>, unread: &mut Unread<'_>) -> Result<Vec<Tool<'a>>, BadRequest> {
    let mut tools = Vec::new();
    let lists: [(&str, ReadTool<'a>); 2] = [("tools", tool), ("functions", legacy)];
    for (name, read) in lists {
        let Some(list) = top.list(name)? else { continue };
        let place = top.place.member(name);
        for (index, node) in list.elements().enumerate() {
            if index == MAX_TOOLS {
                return Err(place.wrong(format!("has more than {MAX_TOOLS} elements"), node));
            }
            tools.extend(read(node, &place.element(index), unread)?);
        }
    }
    Ok(tools)
}

/// `None`: it is no function.
fn tool<'a>(node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<Option<Tool<'a>>, BadRequest> {
    const TOOL: [&str; 3] = ["type", "function", "cache_control"];
    if node.is_object() && !node.get("type").is_none_or(|kind| kind.is("function")) {
        unread.note(place);
        return Ok(None);
    }
    let found = pick(node, place, &TOOL, unread)?;
    let outer_mark = parts::cache_mark(found.get("cache_control"), &place.member("cache_control"), unread)?;
    let definition = found.need("function", found.get("function"))?;
    let mut tool = function(definition, &place.member("function"), unread)?;
    tool.cache = tool.cache.or(outer_mark);
    Ok(Some(tool))
}

fn legacy<'a>(node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<Option<Tool<'a>>, BadRequest> {
    function(node, place, unread).map(Some)
}

fn function<'a>(node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<Tool<'a>, BadRequest> {
    const FUNCTION: [&str; 5] = ["name", "description", "parameters", "strict", "cache_control"];
    let found = pick(node, place, &FUNCTION, unread)?;
    Ok(Tool {
        name: found.need("name", found.text("name")?)?,
        description: found.text("description")?,
        schema: found.object("parameters")?.map(Into::into),
        strict: found.flag("strict")?,
        cache: parts::cache_mark(found.get("cache_control"), &place.member("cache_control"), unread)?,
    })
}

pub(super) fn choice<'a>(top: &Top<'a>, unread: &mut Unread<'_>) -> Result<Option<ToolChoice<'a>>, BadRequest> {
    let place = top.place.member("tool_choice");
    if let Some(node) = top.get("tool_choice") {
        return match node.is_object() {
            true => choice_object(node, &place, unread),
            false => choice_word(node, &place).map(Some),
        };
    }
    let place = top.place.member("function_call");
    match top.get("function_call") {
        None => Ok(None),
        Some(node) if node.is_object() => Ok(Some(ToolChoice::Named(named(node, &place, unread)?))),
        Some(node) => choice_word(node, &place).map(Some),
    }
}

fn choice_word(node: Node<'_>, place: &Place<'_>) -> Result<ToolChoice<'static>, BadRequest> {
    match node.string().as_deref() {
        Some("none") => Ok(ToolChoice::None),
        Some("auto") => Ok(ToolChoice::Auto),
        // Mistral's word is `any`.
        Some("required" | "any") => Ok(ToolChoice::Required),
        _ => Err(place.wrong("must be none, auto, required, or an object that names a function", node)),
    }
}

fn choice_object<'a>(
    node: Node<'a>,
    place: &Place<'_>,
    unread: &mut Unread<'_>,
) -> Result<Option<ToolChoice<'a>>, BadRequest> {
    const CHOICE: [&str; 3] = ["type", "function", "allowed_tools"];
    let kind = node.get("type").and_then(Node::string);
    match kind.as_deref() {
        Some("function") | None => {
            let found = pick(node, place, &CHOICE, unread)?;
            let function = found.need("function", found.get("function"))?;
            Ok(Some(ToolChoice::Named(named(
                function,
                &place.member("function"),
                unread,
            )?)))
        }
        // Which of the tools may be called cannot be said elsewhere; whether one must can.
        Some("allowed_tools") => {
            unread.note(&place.member("allowed_tools"));
            let mode = node.at(&["allowed_tools", "mode"]);
            let required = mode.is_some_and(|mode| mode.is("required"));
            Ok(Some(if required {
                ToolChoice::Required
            } else {
                ToolChoice::Auto
            }))
        }
        Some(_) => {
            unread.note(place);
            Ok(None)
        }
    }
}

fn named<'a>(node: Node<'a>, place: &Place<'_>, unread: &mut Unread<'_>) -> Result<Text<'a>, BadRequest> {
    const NAMED: [&str; 1] = ["name"];
    let found = pick(node, place, &NAMED, unread)?;
    found.need("name", found.text("name")?)
}

pub(super) fn format<'a>(top: &Top<'a>, unread: &mut Unread<'_>) -> Result<Format<'a>, BadRequest> {
    const FORMAT: [&str; 2] = ["type", "json_schema"];
    const SCHEMA: [&str; 4] = ["name", "description", "schema", "strict"];
    let Some(node) = top.get("response_format") else {
        return Ok(Format::Text);
    };
    let place = top.place.member("response_format");
    let found = pick(node, &place, &FORMAT, unread)?;
    let kind = found.need("type", found.string("type")?)?;
    match &*kind {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Json),
        "json_schema" => {
            let inner = place.member("json_schema");
            let schema = pick(
                found.need("json_schema", found.get("json_schema"))?,
                &inner,
                &SCHEMA,
                unread,
            )?;
            Ok(Format::Schema {
                name: schema.text("name")?,
                description: schema.text("description")?,
                // The dialect lets it be left out: any value then.
                schema: schema.object("schema")?.unwrap_or(b"{}").into(),
                strict: schema.flag("strict")?,
            })
        }
        _ => Err(place
            .member("type")
            .wrong("must be one of text, json_object and json_schema", node)),
    }
}
