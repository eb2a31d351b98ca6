//! A client's request, member by member.

mod input;
mod members;
mod parts;
mod tools;

use std::borrow::Cow;

use self::members::{Members, Path, Unread, string};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Amount, Effort, Format, Owned, Part, Request, Role, Sampling, Thinking, Turn},
    },
    json::{Node, Text},
    speak::PathFacts,
};

/// Every member of the request that is read here; the rest is named to the caller as not carried.
const MEMBERS: [&str; 25] = [
    "background",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// What one reading gathers.
struct Reading<'a> {
    request: Request<'a>,
    unread: Unread<'a>,
}

pub(super) fn read<'a>(body: &'a [u8], path: PathFacts<'a>) -> Result<Request<'a>, BadRequest> {
    let document = Node::document(body)?;
    let top = Path::Top;
    let mut unread = Unread::default();
    let members = Members::of(document, &MEMBERS, &top, &mut unread)?;
    let mut reading = Reading {
        request: Request::default(),
        unread,
    };
    reading.request.model = model(&members, document, path)?;
    reading.request.stream = members.boolean("stream", &top)?.unwrap_or(path.stream);
    // Streams of this dialect always tell what was used.
    reading.request.stream_usage = true;
    reading.plain(&members)?;
    reading.request.sampling = sampling(&members)?;
    reading.include(&members)?;
    reading.reasoning(&members)?;
    reading.text(&members)?;
    reading.owned(&members)?;
    reading.turns(&members, document)?;
    reading.tools(&members)?;
    let mut request = reading.request;
    request.unread = reading.unread.0;
    Ok(request)
}

type Top<'a> = Members<'a, 25>;

fn model<'a>(members: &Top<'a>, document: Node<'a>, path: PathFacts<'a>) -> Result<Cow<'a, str>, BadRequest> {
    match (members.get("model"), path.model) {
        (Some(node), _) => string(node, &Path::Member(&Path::Top, "model")),
        (None, Some(model)) => Ok(Cow::Borrowed(model)),
        (None, None) => Err(Path::Member(&Path::Top, "model").wrong("is missing", document)),
    }
}

fn sampling<'a>(members: &Top<'a>) -> Result<Sampling<'a>, BadRequest> {
    let top = Path::Top;
    Ok(Sampling {
        max_tokens: members.unsigned("max_output_tokens", &top)?,
        temperature: members.number("temperature", &top)?,
        top_p: members.number("top_p", &top)?,
        // None is what is so anyway.
        top_logprobs: members.unsigned("top_logprobs", &top)?.filter(|top| *top > 0),
        ..Sampling::default()
    })
}

impl<'a> Reading<'a> {
    /// What is copied as it is, and what says nothing in its usual form.
    fn plain(&mut self, members: &Top<'a>) -> Result<(), BadRequest> {
        let top = Path::Top;
        self.request.parallel_tools = members.boolean("parallel_tool_calls", &top)?;
        self.request.metadata = members.object("metadata", &top)?;
        self.request.service_tier = members.text("service_tier", &top)?;
        // The newer name wins; of two different ones only one can be carried.
        let user = members.text("user", &top)?;
        let identifier = members.text("safety_identifier", &top)?;
        if identifier.is_some() && user.is_some() && identifier != user {
            self.unread.note(&top.member("user"));
        }
        self.request.user = identifier.or(user);
        members.boolean("store", &top)?;
        members.only("background", b"false", &top, &mut self.unread);
        members.only("truncation", b"\"disabled\"", &top, &mut self.unread);
        if let Some(options) = members.get("stream_options") {
            // Obfuscation pads a provider's stream against listeners; nothing is lost without it.
            Members::of(
                options,
                &["include_obfuscation"],
                &top.member("stream_options"),
                &mut self.unread,
            )?;
        }
        Ok(())
    }

    fn include(&mut self, members: &Top<'a>) -> Result<(), BadRequest> {
        let path = Path::Member(&Path::Top, "include");
        let Some(list) = members.get("include") else {
            return Ok(());
        };
        if !list.is_array() {
            return Err(path.wrong("must be a list of strings", list));
        }
        for (index, node) in list.elements().enumerate() {
            match &*string(node, &path.element(index))? {
                "message.output_text.logprobs" => self.request.sampling.logprobs = Some(true),
                // What a provider sealed is always handed on.
                "reasoning.encrypted_content" => {}
                _ => self.unread.note(&path.element(index)),
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, members: &Top<'a>) -> Result<(), BadRequest> {
        const NAMES: [&str; 5] = ["effort", "summary", "generate_summary", "context", "mode"];
        let path = Path::Member(&Path::Top, "reasoning");
        let Some(node) = members.get("reasoning") else {
            return Ok(());
        };
        let reasoning = Members::of(node, &NAMES, &path, &mut self.unread)?;
        reasoning.only("context", b"\"auto\"", &path, &mut self.unread);
        reasoning.only("mode", b"\"standard\"", &path, &mut self.unread);
        let amount = match reasoning.get("effort") {
            Some(node) => Some(effort(node, &path.member("effort"))?),
            None => None,
        };
        let summary = reasoning.text("summary", &path)?;
        let shown = summary.or(reasoning.text("generate_summary", &path)?).map(|_| true);
        if amount.is_some() || shown.is_some() {
            self.request.thinking = Some(Thinking {
                amount: amount.unwrap_or(Amount::Adaptive),
                shown,
            });
        }
        Ok(())
    }

    fn text(&mut self, members: &Top<'a>) -> Result<(), BadRequest> {
        let path = Path::Member(&Path::Top, "text");
        let Some(node) = members.get("text") else {
            return Ok(());
        };
        let text = Members::of(node, &["format", "verbosity"], &path, &mut self.unread)?;
        text.only("verbosity", b"\"medium\"", &path, &mut self.unread);
        if let Some(node) = text.get("format") {
            self.request.format = format(node, &path.member("format"), &mut self.unread)?;
        }
        Ok(())
    }

    /// What lives at the provider.
    fn owned(&mut self, members: &Top<'a>) -> Result<(), BadRequest> {
        let top = Path::Top;
        if let Some(id) = members.text("previous_response_id", &top)? {
            self.own("previous_response_id", id);
        }
        if let Some(node) = members.get("conversation") {
            let path = top.member("conversation");
            let id = match node.text() {
                Some(id) => id,
                None => {
                    let conversation = Members::of(node, &["id"], &path, &mut self.unread)?;
                    members::text(conversation.need("id", &path, node)?, &path.member("id"))?
                }
            };
            self.own("conversation", id);
        }
        if let Some(node) = members.get("prompt") {
            let path = top.member("prompt");
            let prompt = Members::of(node, &["id"], &path, &mut self.unread)?;
            let id = members::text(prompt.need("id", &path, node)?, &path.member("id"))?;
            self.own("prompt", id);
        }
        Ok(())
    }

    fn own(&mut self, field: &'static str, id: Text<'a>) {
        self.request.owned.push(Owned { field, id });
    }

    fn turns(&mut self, members: &Top<'a>, document: Node<'a>) -> Result<(), BadRequest> {
        let top = Path::Top;
        if let Some(instructions) = members.text("instructions", &top)? {
            self.request.turns.push(Turn {
                role: Role::System,
                name: None,
                parts: vec![Part::text(instructions)],
            });
        }
        match members.get("input") {
            Some(input) => input::read(input, &top.member("input"), self),
            // A stored prompt, response or conversation may say it all.
            None if !self.request.owned.is_empty() => Ok(()),
            None => Err(top.member("input").wrong("is missing", document)),
        }
    }

    fn tools(&mut self, members: &Top<'a>) -> Result<(), BadRequest> {
        let top = Path::Top;
        if let Some(list) = members.get("tools") {
            self.request.tools = tools::read(list, &top.member("tools"), &mut self.unread)?;
        }
        if let Some(choice) = members.get("tool_choice") {
            let path = top.member("tool_choice");
            self.request.tool_choice = tools::choice(choice, &path, &mut self.request.tools, &mut self.unread)?;
        }
        Ok(())
    }
}

fn effort(node: Node<'_>, path: &Path<'_>) -> Result<Amount, BadRequest> {
    let effort = match &*string(node, path)? {
        "none" => return Ok(Amount::Off),
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" | "max" => Effort::Most,
        _ => {
            let wrong = "must be 'none', 'minimal', 'low', 'medium', 'high', 'xhigh' or 'max'";
            return Err(path.wrong(wrong, node));
        }
    };
    Ok(Amount::Effort(effort))
}

fn format<'a>(node: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Format<'a>, BadRequest> {
    const NAMES: [&str; 5] = ["type", "name", "description", "schema", "strict"];
    let format = Members::of(node, &NAMES, path, unread)?;
    let kind = format.need("type", path, node)?;
    match &*string(kind, &path.member("type"))? {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Json),
        "json_schema" => Ok(Format::Schema {
            name: format.text("name", path)?,
            description: format.text("description", path)?,
            schema: format
                .object("schema", path)?
                .map(Cow::Borrowed)
                .ok_or_else(|| path.member("schema").wrong("is missing", node))?,
            strict: format.boolean("strict", path)?,
        }),
        _ => Err(path
            .member("type")
            .wrong("must be 'text', 'json_object' or 'json_schema'", kind)),
    }
}
