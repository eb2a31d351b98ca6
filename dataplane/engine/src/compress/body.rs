//! Where in a request of any of the six dialects the texts stand that may be made shorter, and the request with them shorter.
//! What is signed, marked for a provider's cache, or begun for the model to go on with stays as it is, and so does all that
//! is no text: found by the shape of the body, which `admit` proved.

use std::{borrow::Cow, ops::Range};

use tollgate_config::document::Steps;
use tollgate_dialect::json::Node;
use tollgate_vector::Embedder;
use tollgate_wire::json::edit;

use super::{duplicates::Passages, extract::Question, shorten_text};

/// A longer request goes as it came: this is done on a shard's own time.
const MAX_BODY_BYTES: usize = 1 << 20;
/// No dialect has a text further in: a turn, a block, what a tool gave, its block.
const MAX_DEPTH: usize = 4;
/// A block with one of these is its provider's, or stands at the end of what that keeps.
const MARKERS: [&str; 2] = ["cache_control", "cachePoint"];
const SIGNED: [&str; 5] = [
    "thoughtSignature",
    "thought_signature",
    "thought",
    "signature",
    "citations",
];
/// Kinds of blocks and items that have a text.
const KINDS: [&str; 6] = [
    "text",
    "input_text",
    "output_text",
    "message",
    "tool_result",
    "function_call_output",
];

/// A request that is shorter.
#[derive(Debug)]
pub struct Shortened {
    /// None: nothing is left out.
    pub body: Option<Vec<u8>>,
    /// Each text before and after; none after where it stays as it is.
    pub texts: Vec<(String, Option<String>)>,
}

/// Whose text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// A turn that others followed.
    Earlier,
    /// The last of the user, or behind it.
    Last,
    /// What the model is told to be.
    Told,
    /// What a tool gave: of a file each blank may be looked for again.
    Given,
}

impl Whose {
    fn steps(self, steps: Steps) -> Steps {
        Steps {
            whitespace: steps.whitespace && self != Self::Given,
            // What the model is told keeps its authority, and stands nowhere but there.
            duplicates: steps.duplicates && self != Self::Told,
            ..steps
        }
    }
}

#[derive(Debug)]
struct Found<'b> {
    /// With its quotes.
    at: Range<usize>,
    text: Cow<'b, str>,
    whose: Whose,
}

#[derive(Debug, Default)]
struct Texts<'b> {
    found: Vec<Found<'b>>,
    /// Something is marked for a provider's cache.
    is_marked: bool,
}

/// Takes these steps with the request of a chat. `embedder`: what sentences are left out by.
pub fn shorten_body(body: &[u8], steps: Steps, embedder: Option<&Embedder>) -> Option<Shortened> {
    if body.len() > MAX_BODY_BYTES {
        return None;
    }
    let texts = Texts::of(body)?;
    let mut question = question(&texts, steps, embedder);
    let mut passages = Passages::default();
    let mut shortened = Shortened {
        body: None,
        texts: Vec::with_capacity(texts.found.len()),
    };
    let (mut out, mut at) = (Vec::with_capacity(body.len()), 0);
    for Found { at: place, text, whose } in texts.found {
        let steps = whose.steps(steps);
        let mut now = shorten_text(&text, steps);
        if let (Some((question, percent)), Whose::Earlier) = (&mut question, whose) {
            now = question.extract(now.as_deref().unwrap_or(&text), *percent).or(now);
        }
        if steps.duplicates {
            now = passages.without_repeated(now.as_deref().unwrap_or(&text)).or(now);
        }
        if let Some(now) = &now {
            out.extend_from_slice(body.get(at..place.start)?);
            edit::write_string(&mut out, now);
            at = place.end;
        }
        shortened.texts.push((text.into_owned(), now));
    }
    out.extend_from_slice(body.get(at..)?);
    shortened.body = (out.len() < body.len()).then_some(out);
    if shortened.body.is_none() {
        shortened.texts.iter_mut().for_each(|(_, now)| *now = None);
    }
    Some(shortened)
}

/// What sentences are weighed by. What is left out depends on what is asked last: where a provider keeps the beginning of a
/// prompt, that must not change.
fn question<'e>(texts: &Texts<'_>, steps: Steps, embedder: Option<&'e Embedder>) -> Option<(Question<'e>, u8)> {
    let percent = steps.extract_percent.filter(|_| !texts.is_marked)?;
    let last = texts.found.iter().filter(|found| found.whose == Whose::Last);
    let asked: Vec<&str> = last.map(|found| &*found.text).collect();
    Some((Question::new(embedder?, &asked.join("\n"))?, percent))
}

impl<'b> Texts<'b> {
    /// In the order in which they stand. None: it is no request of a chat, or one with turns in two places, of which nobody
    /// knows here which is read.
    fn of(body: &'b [u8]) -> Option<Self> {
        let document = Node::document(body).ok()?;
        let (mut texts, mut has_turns) = (Self::default(), false);
        for (name, value) in document.members() {
            match &*name {
                "system" | "instructions" | "preamble" => texts.content(value, Whose::Told, MAX_DEPTH),
                "systemInstruction" | "system_instruction" => {
                    if let Some(parts) = value.get("parts") {
                        texts.content(parts, Whose::Told, MAX_DEPTH);
                    }
                }
                "messages" | "contents" | "input" if has_turns => return None,
                "messages" | "contents" | "input" => {
                    texts.turns(value);
                    has_turns = true;
                }
                _ => {}
            }
        }
        Some(texts)
    }

    fn turns(&mut self, turns: Node<'b>) {
        if !turns.is_array() {
            return self.content(turns, Whose::Last, MAX_DEPTH);
        }
        let role = |turn: Node<'b>| turn.get("role");
        let is = |turn, wanted: &str| role(turn).is_some_and(|role| role.is(wanted));
        let is_users = |turn: Node<'b>| (role(turn).is_none() && turn.get("type").is_none()) || is(turn, "user");
        let asks = |turn: Node<'b>| is_users(turn) && content(turn).is_some_and(has_words);
        let count = turns.elements().count();
        let last = turns.elements().enumerate().filter(|(_, turn)| asks(*turn)).last();
        let last = last.map_or(0, |(index, _)| index);
        for (index, turn) in turns.elements().enumerate() {
            // The model goes on with what it is given to have said.
            if index + 1 == count && (is(turn, "assistant") || is(turn, "model")) {
                continue;
            }
            let whose = match index {
                _ if is(turn, "system") || is(turn, "developer") => Whose::Told,
                _ if is(turn, "tool") => Whose::Given,
                index if index >= last => Whose::Last,
                _ => Whose::Earlier,
            };
            self.block(turn, whose, MAX_DEPTH);
        }
    }

    /// A text, or a list of blocks.
    fn content(&mut self, content: Node<'b>, whose: Whose, depth: usize) {
        if let Some(text) = content.string() {
            let start = content.offset();
            return self.found.push(Found {
                at: start..start + content.raw().len(),
                text,
                whose,
            });
        }
        for block in content.elements() {
            self.block(block, whose, depth);
        }
    }

    /// A turn, an item or a block, with what is in it, so many levels deep.
    fn block(&mut self, block: Node<'b>, whose: Whose, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let (mut kind, mut is_signed, mut inside) = (None, false, Vec::new());
        for (name, value) in block.members() {
            match &*name {
                name if MARKERS.contains(&name) => {
                    self.is_marked = true;
                    return;
                }
                name if SIGNED.contains(&name) => is_signed = true,
                "type" => kind = value.string(),
                "text" if value.text().is_some() => inside.push((value, whose)),
                "content" | "parts" => inside.push((value, whose)),
                "output" if value.text().is_some() => inside.push((value, Whose::Given)),
                "toolResult" => inside.extend(value.get("content").map(|content| (content, Whose::Given))),
                _ => {}
            }
        }
        let is_text = kind.as_deref().is_none_or(|kind| KINDS.contains(&kind));
        let is_given = kind.as_deref() == Some("tool_result");
        // Of two texts nobody knows here which is read.
        if let [(value, whose)] = inside[..]
            && is_text
            && !is_signed
        {
            let whose = if is_given { Whose::Given } else { whose };
            self.content(value, whose, depth);
        }
    }
}

fn content(turn: Node<'_>) -> Option<Node<'_>> {
    turn.get("content").or_else(|| turn.get("parts"))
}

fn has_words(content: Node<'_>) -> bool {
    let says = |node: Node<'_>| node.text().is_some_and(|text| !text.is_empty());
    says(content) || content.elements().any(|block| block.get("text").is_some_and(says))
}
