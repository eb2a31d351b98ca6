//! A client's request, read into the canonical one.

use super::{
    documents,
    path::{Path, Unread},
    tools, turns,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Amount, Format, Request, Sampling, Thinking},
    },
    json::{Node, Text},
    speak::PathFacts,
};

const MEMBERS: [&str; 22] = [
    "model",
    "messages",
    "stream",
    "tools",
    "strict_tools",
    "tool_choice",
    "documents",
    "citation_options",
    "response_format",
    "thinking",
    "safety_mode",
    "priority",
    "raw_prompting",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
];

/// Cohere's own bound.
const MAX_STOP_SEQUENCES: usize = 5;

pub(super) fn read<'a>(body: &'a [u8], path: PathFacts<'a>) -> Result<Request<'a>, BadRequest> {
    let root = Node::document(body)?;
    let mut unread = Unread::default();
    let [
        model,
        messages,
        stream,
        tools,
        strict,
        choice,
        documents,
        citations,
        format,
        thinking,
        safety,
        priority,
        raw_prompting,
        sampling @ ..,
    ] = Path::Root.members(root, &MEMBERS, &mut unread)?;
    let top = |key| Path::Key(&Path::Root, key);
    let strict = strict.map(|node| top("strict_tools").boolean(node)).transpose()?;
    unread.note_if(&top("strict_tools"), strict.is_some() && tools.is_none());
    // The defaults say nothing.
    unread.note_if(&top("safety_mode"), safety.is_some_and(|node| !node.is("CONTEXTUAL")));
    unread.note_if(
        &top("priority"),
        priority.is_some_and(|node| node.unsigned() != Some(0)),
    );
    let raw_prompting = raw_prompting.is_some_and(|node| node.boolean() != Some(false));
    unread.note_if(&top("raw_prompting"), raw_prompting);
    let messages = messages.ok_or_else(|| Path::Root.missing("messages", "is missing: the conversation, a list"))?;
    let mut request = Request {
        model: match (model, path.model) {
            (Some(node), _) => node
                .string()
                .ok_or_else(|| top("model").wrong("must be a string", node))?,
            (None, Some(model)) => model.into(),
            (None, None) => return Err(Path::Root.missing("model", "is missing: the model's name, a string")),
        },
        stream: match stream {
            Some(node) => top("stream").boolean(node)?,
            None => path.stream,
        },
        stream_usage: true,
        turns: turns::read(messages, &mut unread)?,
        tools: tools.map_or(Ok(Vec::new()), |list| tools::read(list, strict, &mut unread))?,
        tool_choice: choice.map(tools::read_choice).transpose()?,
        format: format.map_or(Ok(Format::Text), |node| read_format(node, &mut unread))?,
        sampling: read_sampling(sampling)?,
        thinking: thinking.map(|node| read_thinking(node, &mut unread)).transpose()?,
        ..Request::default()
    };
    let cite = read_citations(citations, documents.is_some(), &mut unread)?;
    if let Some(list) = documents {
        documents::place(documents::read(list, cite, &mut unread)?, &mut request.turns);
    }
    request.unread = unread.into_paths();
    Ok(request)
}

fn read_sampling<'a>(members: [Option<Node<'a>>; 9]) -> Result<Sampling<'a>, BadRequest> {
    let [max_tokens, stop, temperature, seed, frequency, presence, k, p, logprobs] = members;
    let unsigned =
        |node: Option<Node<'a>>, key| node.map(|node| Path::Key(&Path::Root, key).unsigned(node)).transpose();
    let number = |node: Option<Node<'a>>, key| node.map(|node| Path::Key(&Path::Root, key).number(node)).transpose();
    unsigned(seed, "seed")?;
    Ok(Sampling {
        max_tokens: unsigned(max_tokens, "max_tokens")?,
        temperature: number(temperature, "temperature")?,
        top_p: number(p, "p")?,
        top_k: unsigned(k, "k")?,
        frequency_penalty: number(frequency, "frequency_penalty")?,
        presence_penalty: number(presence, "presence_penalty")?,
        seed: number(seed, "seed")?,
        stop: stop.map_or(Ok(Vec::new()), read_stop)?,
        logprobs: logprobs
            .map(|node| Path::Key(&Path::Root, "logprobs").boolean(node))
            .transpose()?,
        ..Sampling::default()
    })
}

fn read_stop<'a>(list: Node<'a>) -> Result<Vec<Text<'a>>, BadRequest> {
    let path = Path::Key(&Path::Root, "stop_sequences");
    path.array(list)?;
    let mut sequences = Vec::new();
    for (index, sequence) in list.elements().enumerate() {
        if index == MAX_STOP_SEQUENCES {
            return Err(path.wrong(format!("has more than {MAX_STOP_SEQUENCES} elements"), sequence));
        }
        sequences.push(Path::Index(&path, index).text(sequence)?);
    }
    Ok(sequences)
}

fn read_format<'a>(format: Node<'a>, unread: &mut Unread) -> Result<Format<'a>, BadRequest> {
    let path = Path::Key(&Path::Root, "response_format");
    // `schema` is what version 1 of the API calls it, and is still taken.
    let [kind, schema, old_schema] = path.members(format, &["type", "json_schema", "schema"], unread)?;
    let kind = kind.ok_or_else(|| path.missing("type", "is missing: 'text' or 'json_object'"))?;
    let (schema, key) = match (schema, old_schema) {
        (Some(_), Some(old)) => return Err(Path::Key(&path, "schema").wrong("stands beside 'json_schema'", old)),
        (Some(schema), None) => (Some(schema), "json_schema"),
        (None, old) => (old, "schema"),
    };
    match (kind.string().as_deref(), schema) {
        (Some("text"), None) => Ok(Format::Text),
        (Some("text"), Some(schema)) => {
            Err(Path::Key(&path, key).wrong("must not stand beside the type 'text'", schema))
        }
        (Some("json_object"), None) => Ok(Format::Json),
        (Some("json_object"), Some(schema)) => Ok(Format::Schema {
            name: None,
            description: None,
            schema: Path::Key(&path, key).object(schema)?.into(),
            strict: None,
        }),
        _ => Err(Path::Key(&path, "type").wrong("must be 'text' or 'json_object'", kind)),
    }
}

fn read_thinking(thinking: Node<'_>, unread: &mut Unread) -> Result<Thinking, BadRequest> {
    let path = Path::Key(&Path::Root, "thinking");
    let [kind, budget] = path.members(thinking, &["type", "token_budget"], unread)?;
    let kind = kind.ok_or_else(|| path.missing("type", "is missing: 'enabled' or 'disabled'"))?;
    let tokens = budget
        .map(|node| Path::Key(&path, "token_budget").unsigned(node))
        .transpose()?;
    let amount = match (kind.string().as_deref(), tokens) {
        (Some("enabled"), Some(tokens)) => Amount::BudgetTokens(tokens),
        (Some("enabled"), None) => Amount::Adaptive,
        (Some("disabled"), _) => Amount::Off,
        _ => return Err(Path::Key(&path, "type").wrong("must be 'enabled' or 'disabled'", kind)),
    };
    Ok(Thinking { amount, shown: None })
}

/// Are documents to be cited? What else is asked of citations is not carried.
fn read_citations(options: Option<Node<'_>>, documents: bool, unread: &mut Unread) -> Result<bool, BadRequest> {
    let path = Path::Key(&Path::Root, "citation_options");
    let Some(options) = options else { return Ok(true) };
    let [mode] = path.members(options, &["mode"], unread)?;
    let Some(mode) = mode else { return Ok(true) };
    let word = mode.string().map(|word| word.to_ascii_uppercase());
    match word.as_deref() {
        // The default, by its two names.
        Some("ENABLED" | "ACCURATE") => Ok(true),
        Some("FAST") => {
            unread.note(&Path::Key(&path, "mode"));
            Ok(true)
        }
        Some("OFF" | "DISABLED") => {
            unread.note_if(&Path::Key(&path, "mode"), !documents);
            Ok(false)
        }
        _ => {
            let modes = "must be 'ENABLED', 'ACCURATE', 'FAST', 'OFF' or 'DISABLED'";
            Err(Path::Key(&path, "mode").wrong(modes, mode))
        }
    }
}
