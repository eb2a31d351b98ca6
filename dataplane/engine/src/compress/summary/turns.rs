//! The turns of a conversation, by the shape of a request in any of the six dialects: where each stands, whether the
//! conversation may be cut before it, and what it says, as a record that a model can read. What is no text and no call of a
//! tool, and what is marked for a provider's cache, is not told: it stays where it is.

use std::{borrow::Cow, collections::BTreeMap};

use tollgate_dialect::json::Node;

/// No dialect has a text further in: a turn, a block, what a tool gave, its block.
const MAX_DEPTH: usize = 4;
/// Members of turns and blocks that may be left out when the rest is told, beside those that are told.
const SILENT: [&str; 11] = [
    "type",
    "role",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "toolUseId",
    "status",
    "logprobs",
    "reasoning_content",
    "phase",
];
/// What a model thought before it said something.
const THOUGHTS: [&str; 4] = ["thinking", "redacted_thinking", "reasoning", "reasoningContent"];
/// What was said, as far as it was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub text: String,
    /// Calls of tools by their ids, and how many of each: what they gave was not told yet.
    open: BTreeMap<String, u32>,
}

impl Told {
    /// Would a cut here part a call of a tool from what that gave?
    pub fn has_open_calls(&self) -> bool {
        !self.open.is_empty()
    }

    fn opens(&mut self, call: String) {
        *self.open.entry(call).or_default() += 1;
    }

    fn closes(&mut self, call: &str) {
        if let Some(calls) = self.open.get_mut(call) {
            *calls -= 1;
            if *calls == 0 {
                self.open.remove(call);
            }
        }
    }

    fn says(&mut self, speaker: &str, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        for part in [speaker, ": ", text, "\n"] {
            self.text.push_str(part);
        }
    }
}

const TOOL: &str = "Tool";
const FAILED_TOOL: &str = "Tool (failed)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// What the model is told to be.
    Told,
    /// The user's own words: what went before is over.
    User,
    /// The model, or a tool.
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'b> {
    node: Node<'b>,
    pub who: Who,
}

/// None: it is no chat that lists its turns, or one that lists them in two places.
pub(super) fn of(body: &[u8]) -> Option<Vec<Turn<'_>>> {
    let document = Node::document(body).ok()?;
    let mut lists = document
        .members()
        .filter(|(name, _)| matches!(&**name, "messages" | "contents" | "input"));
    let (_, turns) = lists.next()?;
    if lists.next().is_some() || !turns.is_array() {
        return None;
    }
    Some(turns.elements().map(Turn::new).collect())
}

impl<'b> Turn<'b> {
    fn new(node: Node<'b>) -> Self {
        let role = node.get("role");
        let is = |wanted: &str| role.is_some_and(|role| role.is(wanted));
        let is_item = node.get("type").is_some_and(|kind| !kind.is("message"));
        let who = if is("system") || is("developer") {
            Who::Told
        } else if (is("user") || role.is_none()) && !is_item && !gives(node) {
            Who::User
        } else {
            Who::Other
        };
        Self { node, who }
    }

    /// Where it begins in the body.
    pub fn start(self) -> usize {
        self.node.offset()
    }

    /// Writes what it says. False where it has something that cannot be told: then nothing of it may be left out.
    pub fn tell(self, out: &mut Told) -> bool {
        let kind = self.node.get("type").and_then(Node::string);
        match kind.as_deref() {
            None | Some("message") => {}
            // Items that stand where turns do.
            Some(_) => return block(self.node, "Assistant", MAX_DEPTH, out),
        }
        let Some(speaker) = self.speaker() else { return false };
        if speaker.starts_with(TOOL) {
            out.closes(&id(self.node, "tool_call_id"));
        }
        let mut is_told = true;
        for (name, value) in self.node.members() {
            is_told &= match &*name {
                "content" | "parts" | "refusal" | "tool_plan" => content(value, &speaker, MAX_DEPTH, out),
                "tool_calls" => {
                    value.elements().all(|call| called(call, "id", out)) && (value.is_array() || value.is_null())
                }
                // The speaker has it.
                "name" => true,
                name => is_silent(name, value),
            };
        }
        is_told
    }

    /// With the name that several of a kind are told apart by. None where it is not known who it is.
    fn speaker(self) -> Option<Cow<'static, str>> {
        let role = self.node.get("role").and_then(Node::string);
        let speaker = match role.as_deref() {
            None | Some("user") => "User",
            Some("assistant" | "model") => "Assistant",
            Some("tool" | "function") => TOOL,
            Some(_) => return None,
        };
        match self.node.get("name").filter(|name| !name.is_null()) {
            None => Some(speaker.into()),
            Some(name) => Some(format!("{speaker} ({})", name.string()?).into()),
        }
    }
}

/// Does it tell what a tool gave? A call stands before it, and the two belong together.
fn gives(turn: Node<'_>) -> bool {
    let content = turn.get("content").or_else(|| turn.get("parts"));
    let is_given = |block: Node<'_>| {
        block.get("type").is_some_and(|kind| kind.is("tool_result"))
            || block.get("toolResult").is_some()
            || block.get("functionResponse").is_some()
    };
    content.is_some_and(|content| content.elements().any(is_given))
}

/// A text, or a list of blocks.
fn content(content: Node<'_>, speaker: &str, depth: usize, out: &mut Told) -> bool {
    if content.is_null() {
        return true;
    }
    if let Some(text) = content.string() {
        out.says(speaker, &text);
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    content.is_array() && content.elements().all(|each| block(each, speaker, depth, out))
}

fn block(block: Node<'_>, speaker: &str, depth: usize, out: &mut Told) -> bool {
    let kind = block.get("type").and_then(Node::string);
    match kind.as_deref() {
        Some(kind) if THOUGHTS.contains(&kind) => return true,
        Some("text" | "input_text" | "output_text" | "refusal" | "json") | None => {}
        Some("tool_use") => return is_unmarked(block) && called(block, "id", out),
        Some("function_call") => return is_unmarked(block) && called(block, "call_id", out),
        Some("tool_result") => return is_unmarked(block) && given(block, ("tool_use_id", "content"), depth, out),
        Some("function_call_output") => return is_unmarked(block) && given(block, ("call_id", "output"), depth, out),
        Some(_) => return false,
    }
    if block.get("thought").and_then(Node::boolean) == Some(true) {
        return true;
    }
    let mut is_told = block.is_object();
    for (name, value) in block.members() {
        is_told &= match &*name {
            "text" | "refusal" => value.string().is_some_and(|text| {
                out.says(speaker, &text);
                true
            }),
            "json" => says_json(speaker, value, out),
            "toolUse" => called(value, "toolUseId", out),
            "toolResult" => given(value, ("toolUseId", "content"), depth, out),
            // Ids are left out of these, or are there on one side.
            "functionCall" => called(value, "name", out),
            "functionResponse" => given(value, ("name", "response"), depth, out),
            name if THOUGHTS.contains(&name) => true,
            "thoughtSignature" | "thought" => true,
            name => is_silent(name, value),
        };
    }
    is_told
}

fn is_silent(name: &str, value: Node<'_>) -> bool {
    SILENT.contains(&name) || value.is_null() || value.is_array() && value.elements().next().is_none()
}

/// Nothing of it is what a provider keeps, or what it read before.
fn is_unmarked(block: Node<'_>) -> bool {
    block
        .members()
        .all(|(name, value)| !matches!(&*name, "cache_control" | "cachePoint" | "citations") || value.is_null())
}

/// What tells a call from others. Those without it are counted.
fn id(node: Node<'_>, member: &str) -> String {
    let id = node.get(member);
    id.map_or_else(String::new, |id| match id.string() {
        Some(id) => id.into_owned(),
        None => String::from_utf8_lossy(id.raw()).into_owned(),
    })
}

/// The call of a tool, in whichever words; `id_in`: the member that it is known by.
fn called(call: Node<'_>, id_in: &str, out: &mut Told) -> bool {
    let function = call.get("function").unwrap_or(call);
    let Some(name) = function.get("name").and_then(Node::string) else {
        return false;
    };
    out.opens(id(call, id_in));
    let with = ["arguments", "input", "args"]
        .iter()
        .find_map(|member| function.get(member));
    let out = &mut out.text;
    out.push_str("Assistant called ");
    out.push_str(&name);
    if let Some(with) = with {
        out.push_str(" with ");
        match with.string() {
            Some(text) => out.push_str(&text),
            None => out.push_str(&String::from_utf8_lossy(with.raw())),
        }
    }
    out.push('\n');
    true
}

/// What a tool gave: the members that name the call, and that have it.
fn given(given: Node<'_>, (id_in, member): (&str, &str), depth: usize, out: &mut Told) -> bool {
    out.closes(&id(given, id_in));
    let has_failed = given.get("is_error").and_then(Node::boolean) == Some(true)
        || given.get("status").is_some_and(|status| status.is("error"));
    let speaker = if has_failed { FAILED_TOOL } else { TOOL };
    let before = out.text.len();
    let is_told = match given.get(member) {
        None => true,
        Some(what) if what.is_object() => says_json(speaker, what, out),
        Some(what) => content(what, speaker, depth, out),
    };
    if has_failed && out.text.len() == before {
        out.says(speaker, "nothing was given");
    }
    is_told
}

fn says_json(speaker: &str, value: Node<'_>, out: &mut Told) -> bool {
    out.says(speaker, &String::from_utf8_lossy(value.raw()));
    true
}
