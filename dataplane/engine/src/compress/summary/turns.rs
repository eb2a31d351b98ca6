//! The turns of a conversation, by the shape of a request in any of the six dialects: where each stands, whether the
//! conversation may be cut before it, and what it says, as a record that a model can read. What is no text and no call of a
//! tool, and what is marked for a provider's cache, is not told: it stays where it is.

use tollgate_dialect::json::Node;

/// No dialect has a text further in: a turn, a block, what a tool gave, its block.
const MAX_DEPTH: usize = 4;
/// Members of turns and blocks that may be left out when the rest is told, beside those that are told.
const SILENT: [&str; 14] = [
    "type",
    "role",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "toolUseId",
    "name",
    "status",
    "annotations",
    "logprobs",
    "reasoning_content",
    "is_error",
    "phase",
];
/// What a model thought before it said something.
const THOUGHTS: [&str; 4] = ["thinking", "redacted_thinking", "reasoning", "reasoningContent"];

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
    pub fn tell(self, out: &mut String) -> bool {
        let kind = self.node.get("type").and_then(Node::string);
        match kind.as_deref() {
            None | Some("message") => {}
            // Items that stand where turns do.
            Some(_) => return block(self.node, "Assistant", MAX_DEPTH, out),
        }
        let role = self.node.get("role").and_then(Node::string);
        let speaker = match role.as_deref() {
            None | Some("user") => "User",
            Some("assistant" | "model") => "Assistant",
            Some("tool" | "function") => "Tool",
            Some(_) => return false,
        };
        let mut is_told = true;
        for (name, value) in self.node.members() {
            is_told &= match &*name {
                "content" | "parts" | "refusal" | "tool_plan" => content(value, speaker, MAX_DEPTH, out),
                "tool_calls" => value.elements().all(|call| called(call, out)) && (value.is_array() || value.is_null()),
                name => SILENT.contains(&name) || value.is_null(),
            };
        }
        is_told
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
fn content(content: Node<'_>, speaker: &str, depth: usize, out: &mut String) -> bool {
    if content.is_null() {
        return true;
    }
    if let Some(text) = content.string() {
        say(speaker, &text, out);
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    content.is_array() && content.elements().all(|each| block(each, speaker, depth, out))
}

fn block(block: Node<'_>, speaker: &str, depth: usize, out: &mut String) -> bool {
    let kind = block.get("type").and_then(Node::string);
    match kind.as_deref() {
        Some(kind) if THOUGHTS.contains(&kind) => return true,
        Some("text" | "input_text" | "output_text" | "refusal" | "json") | None => {}
        Some("tool_use" | "function_call") => return called(block, out) && is_unmarked(block),
        Some("tool_result") => return is_unmarked(block) && given(block.get("content"), depth, out),
        Some("function_call_output") => return is_unmarked(block) && given(block.get("output"), depth, out),
        Some(_) => return false,
    }
    if block.get("thought").and_then(Node::boolean) == Some(true) {
        return true;
    }
    let mut is_told = block.is_object();
    for (name, value) in block.members() {
        is_told &= match &*name {
            "text" | "refusal" => value.string().is_some_and(|text| {
                say(speaker, &text, out);
                true
            }),
            "json" => say_json(speaker, value, out),
            "toolUse" | "functionCall" => called(value, out),
            "toolResult" => given(value.get("content"), depth, out),
            "functionResponse" => given(value.get("response"), depth, out),
            name if THOUGHTS.contains(&name) => true,
            "thoughtSignature" | "thought" => true,
            name => SILENT.contains(&name) || value.is_null() || value.elements().next().is_none() && value.is_array(),
        };
    }
    is_told
}

/// Nothing of it is what a provider keeps, or what it read before.
fn is_unmarked(block: Node<'_>) -> bool {
    block
        .members()
        .all(|(name, value)| !matches!(&*name, "cache_control" | "cachePoint" | "citations") || value.is_null())
}

/// The call of a tool, in whichever words.
fn called(call: Node<'_>, out: &mut String) -> bool {
    let function = call.get("function").unwrap_or(call);
    let Some(name) = function.get("name").and_then(Node::string) else {
        return false;
    };
    let with = ["arguments", "input", "args"]
        .iter()
        .find_map(|member| function.get(member));
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

/// What a tool gave.
fn given(what: Option<Node<'_>>, depth: usize, out: &mut String) -> bool {
    match what {
        None => true,
        Some(what) if what.is_object() => say_json("Tool", what, out),
        Some(what) => content(what, "Tool", depth, out),
    }
}

fn say(speaker: &str, text: &str, out: &mut String) {
    if text.trim().is_empty() {
        return;
    }
    out.push_str(speaker);
    out.push_str(": ");
    out.push_str(text);
    out.push('\n');
}

fn say_json(speaker: &str, value: Node<'_>, out: &mut String) -> bool {
    say(speaker, &String::from_utf8_lossy(value.raw()), out);
    true
}
