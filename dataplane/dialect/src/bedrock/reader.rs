//! A client's request: the body of Converse, whose path says model and operation.

mod blocks;
mod media;
mod tools;

use std::borrow::Cow;

use tollgate_wire::json::cursor;

use super::{
    extras,
    path::{Path, Unread},
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Amount, Effort, Format, Part, Request, Role, Sampling, Thinking, Turn},
    },
    json::Node,
    speak::PathFacts,
};

pub(super) const MAX_TURNS: usize = 100_000;
/// The service's own bound.
pub(super) const MAX_STOPS: usize = 2_500;

pub(super) fn read<'a>(body: &'a [u8], path: PathFacts<'a>) -> Result<Request<'a>, BadRequest> {
    let body = Node::document(body)?;
    let no_model = "is missing: the path names it, /model/{modelId}/converse";
    let model = path.model.ok_or_else(|| BadRequest::missing("modelId", no_model))?;
    let mut request = Request {
        model: Cow::Borrowed(model),
        stream: path.stream,
        // A stream ends with its usage, always.
        stream_usage: true,
        ..Request::default()
    };
    let mut unread = Unread::default();
    fill(&mut request, body, &mut unread)?;
    request.unread = unread.0;
    Ok(request)
}

fn fill<'a>(request: &mut Request<'a>, body: Node<'a>, unread: &mut Unread<'a>) -> Result<(), BadRequest> {
    let root = Path::Root;
    let names = [
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "outputConfig",
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "requestMetadata",
        "serviceTier",
        "performanceConfig",
    ];
    let found = unread.members(body, &root, names)?;
    let [
        messages,
        system,
        inference,
        tools,
        output,
        extra,
        response_fields,
        metadata,
        tier,
        performance,
    ] = found;
    if let Some(system) = system {
        read_system(request, system, unread)?;
    }
    let messages = root.required("messages", messages, body)?;
    read_messages(request, messages, unread)?;
    if let Some(inference) = inference {
        let at = root.member("inferenceConfig");
        request.sampling = read_sampling(inference, &at, unread)?;
    }
    if let Some(tools) = tools {
        tools::read(request, tools, unread)?;
    }
    if let Some(extra) = extra {
        extras::read(request, extra, unread)?;
    }
    if let Some(output) = output {
        read_output(request, output, unread)?;
    }
    if let Some(metadata) = metadata {
        request.metadata = Some(read_metadata(metadata)?);
    }
    if let Some(tier) = tier {
        let at = root.member("serviceTier");
        let [kind] = unread.members(tier, &at, ["type"])?;
        request.service_tier = Some(at.member("type").text(at.required("type", kind, tier)?)?);
    }
    // The default, said aloud.
    if performance.is_some_and(|it| !it.get("latency").is_none_or(|latency| latency.is("standard"))) {
        unread.note(&root.member("performanceConfig"));
    }
    if response_fields.is_some_and(|paths| !asks_for_stop_sequence(paths)) {
        unread.note(&root.member("additionalModelResponseFieldPaths"));
    }
    Ok(())
}

/// That field is in every answer that has it.
fn asks_for_stop_sequence(paths: Node<'_>) -> bool {
    paths.is_array() && paths.elements().all(|path| path.is("/stop_sequence"))
}

fn read_system<'a>(request: &mut Request<'a>, system: Node<'a>, unread: &mut Unread<'a>) -> Result<(), BadRequest> {
    let at = Path::Member(&Path::Root, "system");
    let mut parts: Vec<Part<'a>> = Vec::new();
    for (index, block) in at.list(system)?.enumerate() {
        let at = at.element(index);
        let Some((name, value)) = unread.union(block, &at, ["text", "guardContent", "cachePoint"])? else {
            continue;
        };
        let at = at.member(name);
        match name {
            "text" => parts.push(Part::text(at.text(value)?)),
            "guardContent" => blocks::guarded(value, &at, unread, &mut parts)?,
            _ => {
                let mark = blocks::cache_mark(value, &at, unread)?;
                match parts.last_mut() {
                    Some(part) => part.cache = Some(mark),
                    None => unread.note(&at),
                }
            }
        }
    }
    if !parts.is_empty() {
        request.turns.push(turn(Role::System, parts));
    }
    Ok(())
}

fn read_messages<'a>(request: &mut Request<'a>, messages: Node<'a>, unread: &mut Unread<'a>) -> Result<(), BadRequest> {
    let at = Path::Member(&Path::Root, "messages");
    for (index, message) in at.list(messages)?.enumerate() {
        if index == MAX_TURNS {
            let wrong = format!("must have at most {MAX_TURNS} messages");
            return Err(at.wrong(wrong, messages));
        }
        read_message(request, message, &at.element(index), unread)?;
    }
    match request.turns.iter().any(|turn| turn.role != Role::System) {
        true => Ok(()),
        false => Err(at.wrong("must have a message with content", messages)),
    }
}

fn read_message<'a>(
    request: &mut Request<'a>,
    message: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<(), BadRequest> {
    let [role, content] = unread.members(message, at, ["role", "content"])?;
    let role = at.required("role", role, message)?;
    let role = match role.string().as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(at.member("role").wrong("must be user, assistant or system", role)),
    };
    let content = at.required("content", content, message)?;
    let mut parts = Vec::new();
    let ahead = blocks::read(content, &at.member("content"), unread, &mut parts)?;
    if let Some(mark) = ahead {
        // A cache point that opens a message marks all before it.
        match request.turns.last_mut().and_then(|turn| turn.parts.last_mut()) {
            Some(part) => part.cache = Some(mark),
            None => unread.note(&at.member("content").element(0).member("cachePoint")),
        }
    }
    if !parts.is_empty() {
        request.turns.push(turn(role, parts));
    }
    Ok(())
}

fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn {
        role,
        name: None,
        parts,
    }
}

fn read_sampling<'a>(inference: Node<'a>, at: &Path<'_>, unread: &mut Unread<'a>) -> Result<Sampling<'a>, BadRequest> {
    let names = ["maxTokens", "temperature", "topP", "stopSequences"];
    let [max_tokens, temperature, top_p, stops] = unread.members(inference, at, names)?;
    let mut sampling = Sampling::default();
    if let Some(node) = max_tokens {
        sampling.max_tokens = Some(at.member("maxTokens").positive(node)?);
    }
    if let Some(node) = temperature {
        sampling.temperature = Some(at.member("temperature").number(node)?);
    }
    if let Some(node) = top_p {
        sampling.top_p = Some(at.member("topP").number(node)?);
    }
    if let Some(node) = stops {
        let at = at.member("stopSequences");
        for (index, stop) in at.list(node)?.enumerate() {
            if index == MAX_STOPS {
                return Err(at.wrong(format!("must have at most {MAX_STOPS} elements"), node));
            }
            sampling.stop.push(at.element(index).text(stop)?);
        }
    }
    Ok(sampling)
}

fn read_output<'a>(request: &mut Request<'a>, output: Node<'a>, unread: &mut Unread<'a>) -> Result<(), BadRequest> {
    let at = Path::Member(&Path::Root, "outputConfig");
    let [format, effort] = unread.members(output, &at, ["textFormat", "effort"])?;
    if let Some(format) = format {
        request.format = read_format(format, &at.member("textFormat"), unread)?;
    }
    if let Some(node) = effort {
        let at = at.member("effort");
        let Some(effort) = effort_of(&at.string(node)?) else {
            return Err(at.wrong("must be low, medium, high, xhigh or max", node));
        };
        match &mut request.thinking {
            // "As much as the model finds right" is then: with this effort.
            Some(Thinking { amount, .. }) if *amount == Amount::Adaptive => *amount = Amount::Effort(effort),
            Some(_) => unread.note(&at),
            none => {
                let amount = Amount::Effort(effort);
                *none = Some(Thinking { amount, shown: None });
            }
        }
    }
    Ok(())
}

fn effort_of(word: &str) -> Option<Effort> {
    Some(match word {
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" | "max" => Effort::Most,
        _ => return None,
    })
}

fn read_format<'a>(format: Node<'a>, at: &Path<'_>, unread: &mut Unread<'a>) -> Result<Format<'a>, BadRequest> {
    let [kind, structure] = unread.members(format, at, ["type", "structure"])?;
    let kind = at.required("type", kind, format)?;
    if !kind.is("json_schema") {
        return Err(at.member("type").wrong("must be json_schema", kind));
    }
    let structure = at.required("structure", structure, format)?;
    let at = at.member("structure");
    let [definition] = unread.members(structure, &at, ["jsonSchema"])?;
    let definition = at.required("jsonSchema", definition, structure)?;
    let at = at.member("jsonSchema");
    let [schema, name, description] = unread.members(definition, &at, ["schema", "name", "description"])?;
    let schema = at.required("schema", schema, definition)?;
    let text = at.member("schema").string(schema)?.into_owned().into_bytes();
    if cursor::find(&text, &[]).map(|[]| ()).is_err() {
        return Err(at.member("schema").wrong("must be the text of a JSON object", schema));
    }
    let said = |name: &str, node: Option<Node<'a>>| node.map(|node| at.member(name).text(node)).transpose();
    Ok(Format::Schema {
        name: said("name", name)?,
        description: said("description", description)?,
        schema: Cow::Owned(text),
        strict: None,
    })
}

fn read_metadata(metadata: Node<'_>) -> Result<&[u8], BadRequest> {
    let at = Path::Member(&Path::Root, "requestMetadata");
    for (key, value) in at.object(metadata)?.members() {
        at.member(&key).text(value)?;
    }
    Ok(metadata.raw())
}
