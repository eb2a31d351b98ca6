//! Tools and how they may be chosen: read from a client, written to the provider.

use std::collections::BTreeSet;

use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Content, Request, Tool, ToolChoice},
    },
    json::{Node, Out, Text},
};

use super::{
    path::{Path, says_nothing},
    reader::Reader,
    turns::{Marks, write_cache},
};

const MAX_TOOLS: usize = 4_096;

const MEMBERS: [&str; 10] = [
    "type",
    "name",
    "description",
    "input_schema",
    "strict",
    "cache_control",
    "allowed_callers",
    "defer_loading",
    "eager_input_streaming",
    "input_examples",
];

impl<'a> Reader<'a> {
    pub(super) fn tools(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Vec<Tool<'a>>, BadRequest> {
        if !node.is_array() {
            return Err(path.wrong("must be a list of tools", node));
        }
        let mut tools = Vec::new();
        for (position, element) in node.elements().enumerate() {
            if position == MAX_TOOLS {
                return Err(path.wrong(format!("has more than {MAX_TOOLS} tools"), element));
            }
            tools.extend(self.tool(element, &path.element(position))?);
        }
        Ok(tools)
    }

    /// `None` for a tool that the provider runs, or whose arguments only it knows.
    fn tool(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Option<Tool<'a>>, BadRequest> {
        if let Some(kind) = node.get("type").filter(|kind| !kind.is_null())
            && path.member("type").word(kind)? != "custom"
        {
            self.unread.note(path);
            return Ok(None);
        }
        let members = self.unread.members(node, path, MEMBERS)?;
        let [
            _,
            name,
            description,
            schema,
            strict,
            cache,
            callers,
            deferred,
            eager,
            examples,
        ] = members;
        let name = path.required("name", name)?;
        let schema = path.required("input_schema", schema)?;
        if !schema.is_object() {
            return Err(path
                .member("input_schema")
                .wrong("must be an object: a JSON schema", schema));
        }
        let direct = |callers: Node<'_>| callers.elements().all(|caller| caller.is("direct"));
        self.unread.note_if(
            &path.member("allowed_callers"),
            callers.is_some_and(|node| !direct(node)),
        );
        for (name, flag) in [("defer_loading", deferred), ("eager_input_streaming", eager)] {
            let lost = flag.is_some_and(|flag| flag.boolean() != Some(false));
            self.unread.note_if(&path.member(name), lost);
        }
        self.unread.note_if(
            &path.member("input_examples"),
            examples.is_some_and(|node| !says_nothing(node)),
        );
        Ok(Some(Tool {
            name: path.member("name").name(name)?,
            description: description
                .map(|node| path.member("description").text(node))
                .transpose()?,
            schema: Some(schema.raw().into()),
            strict: strict.map(|node| path.member("strict").boolean(node)).transpose()?,
            cache: self.cache(cache, path)?,
        }))
    }

    pub(super) fn tool_choice(
        &mut self,
        node: Node<'a>,
        path: &Path<'_>,
        request: &mut Request<'a>,
    ) -> Result<(), BadRequest> {
        let [kind, name, single] = self
            .unread
            .members(node, path, ["type", "name", "disable_parallel_tool_use"])?;
        let kind = path.required("type", kind)?;
        request.tool_choice = Some(match path.member("type").word(kind)?.as_ref() {
            "auto" => ToolChoice::Auto,
            "any" => ToolChoice::Required,
            "none" => ToolChoice::None,
            "tool" => ToolChoice::Named(path.member("name").name(path.required("name", name)?)?),
            _ => {
                return Err(path
                    .member("type")
                    .wrong("must be 'auto', 'any', 'tool' or 'none'", kind));
            }
        });
        if let Some(single) = single {
            request.parallel_tools = Some(!path.member("disable_parallel_tool_use").boolean(single)?);
        }
        Ok(())
    }
}

/// Appends `tools` and `tool_choice`.
pub(super) fn write(request: &Request<'_>, marks: &mut Marks, drops: &mut Drops, json: &mut Out<'_>) {
    if request.tools.is_empty() {
        let lost = !matches!(request.tool_choice, None | Some(ToolChoice::Auto | ToolChoice::None));
        drops.note_if(Feature::ToolChoice, lost);
        write_tools_of_calls(request, json);
        return;
    }
    json.key("tools").open_list();
    for tool in &request.tools {
        write_tool(tool, marks, json);
    }
    json.close_list();
    write_choice(request, json);
}

fn write_tool(tool: &Tool<'_>, marks: &mut Marks, json: &mut Out<'_>) {
    json.open().key("name").text(&tool.name);
    if let Some(description) = &tool.description {
        json.key("description").text(description);
    }
    json.key("input_schema");
    write_schema(tool.schema.as_deref(), json);
    if let Some(strict) = tool.strict {
        json.key("strict").boolean(strict);
    }
    write_cache(marks.take(tool.cache), json);
    json.close();
}

/// A schema of arguments must say that it is an object; other dialects take that for granted.
fn write_schema(schema: Option<&[u8]>, json: &mut Out<'_>) {
    let Some(schema) = schema else {
        json.raw(br#"{"type":"object","properties":{}}"#);
        return;
    };
    let says_type = Node::document(schema).is_ok_and(|schema| schema.get("type").is_some());
    match schema.strip_prefix(b"{") {
        Some(members) if !says_type => {
            json.raw(br#"{"type":"object""#);
            if !members.trim_ascii_start().starts_with(b"}") {
                json.bytes.push(b',');
            }
            json.bytes.extend_from_slice(members);
        }
        _ => {
            json.raw(schema);
        }
    }
}

fn write_choice(request: &Request<'_>, json: &mut Out<'_>) {
    let single = request.parallel_tools == Some(false);
    let choice = match &request.tool_choice {
        Some(choice) => choice,
        None if single => &ToolChoice::Auto,
        None => return,
    };
    json.key("tool_choice").open().key("type");
    match choice {
        ToolChoice::Auto => json.string("auto"),
        ToolChoice::None => json.string("none"),
        ToolChoice::Required => json.string("any"),
        ToolChoice::Named(name) => json.string("tool").key("name").text(name),
    };
    match request.parallel_tools {
        Some(parallel) if *choice != ToolChoice::None => json.key("disable_parallel_tool_use").boolean(!parallel),
        _ => json,
    };
    json.close();
}

/// A request whose turns hold tool calls must define tools: those that were called, and may not be again.
fn write_tools_of_calls(request: &Request<'_>, json: &mut Out<'_>) {
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    let mut written = BTreeSet::new();
    for part in parts {
        let Content::ToolCall { name, .. } = &part.content else {
            continue;
        };
        if written.is_empty() {
            json.key("tools").open_list();
        }
        if written.insert(name.plain().unwrap_or_default()) {
            json.open().key("name").text(name).key("input_schema");
            write_schema(None, json);
            json.close();
        }
    }
    if !written.is_empty() {
        json.close_list()
            .key("tool_choice")
            .open()
            .key("type")
            .string("none")
            .close();
    }
}

/// Does the request, as it will be written, force the model to call a tool?
pub(super) fn forced(request: &Request<'_>) -> bool {
    let asks = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    asks && !request.tools.is_empty()
}

/// Appends an id as Anthropic's pattern has it (`^[a-zA-Z0-9_-]+$`): other bytes in hexadecimal, the same each time.
pub(super) fn write_id(id: &Text<'_>, json: &mut Out<'_>) {
    let plain = id.plain().unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !plain.is_empty() && plain.bytes().all(fits) {
        json.text(id);
        return;
    }
    let mut written = String::with_capacity(plain.len() + 8);
    for byte in plain.bytes() {
        match fits(byte) {
            true => written.push(char::from(byte)),
            false => written.push_str(&format!("_{byte:02x}")),
        }
    }
    json.string(if written.is_empty() { "_" } else { &written });
}
