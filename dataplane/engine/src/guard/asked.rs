//! What a call asks, as guards read it: by the names that the call's own path has for it, and all that the user said behind
//! the model's last answer. Where two readers might take two things for the prompt, or nobody can read it, that is told. Knows
//! no guard.

use std::borrow::Cow;

use tollgate_config::document::Dialect;
use tollgate_dialect::{embed::Shape, json::Node};

use crate::{routing::meaning::Words, surface::Operation};

/// No dialect has a text further in.
const MAX_DEPTH: usize = 8;
/// Members of a block that have its text, or blocks with it.
const OF_BLOCK: [&str; 9] = [
    "text",
    "content",
    "parts",
    "source",
    "document",
    "guardContent",
    "title",
    "context",
    "data",
];

/// What a call asks.
#[derive(Debug)]
pub(super) struct Asked {
    pub text: String,
    /// What keeps anybody from knowing all of it.
    pub unread: Option<Unread>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    pub field: String,
    pub wrong: &'static str,
    pub offset: usize,
}

const TWICE: &str = "stands twice, and which of the two a provider would read nobody knows";
const BESIDE: &str = "stands beside another prompt, and which of the two a provider would read nobody knows";
const NUMBERS: &str = "has tokens in place of a text";
const HALF: &str = "has half of a surrogate pair in it";
const DEEP: &str = "has blocks within blocks, deeper than any dialect";

impl Asked {
    /// Of a body; one that is no object asks nothing.
    pub fn of((dialect, operation): (Option<Dialect>, Operation), body: &[u8], ends_bytes: [usize; 2]) -> Self {
        let mut reading = Reading {
            words: Words::within(ends_bytes),
            is_answered: false,
            unread: None,
            dialect,
            is_chat: matches!(operation, Operation::Chat | Operation::CountTokens(_)),
        };
        if let Ok(document) = Node::document(body) {
            reading.document(document, operation);
        }
        Asked {
            text: reading.words.into_text(),
            unread: reading.unread,
        }
    }
}

/// Members with the prompt; and others whose text is the user's as well.
fn names(dialect: Option<Dialect>, operation: Operation) -> (&'static [&'static str], &'static [&'static str]) {
    match (operation, dialect) {
        (Operation::Chat | Operation::CountTokens(_), Some(Dialect::OpenAiResponses)) => (&["input"], &["prompt"]),
        (Operation::Chat | Operation::CountTokens(_), Some(Dialect::Gemini)) => (&["contents"], &[]),
        (Operation::Chat | Operation::CountTokens(_), _) => (&["messages"], &[]),
        (Operation::Embed(shape), _) => match shape {
            Shape::OpenAi => (&["input"], &[]),
            Shape::GeminiOne => (&["content"], &[]),
            Shape::GeminiMany => (&["requests"], &[]),
            Shape::Cohere | Shape::CohereOnBedrock { .. } => (&[], &["texts", "inputs"]),
            Shape::Titan | Shape::TitanText => (&["inputText"], &[]),
        },
        (Operation::Rerank, _) => (&["query"], &[]),
        (Operation::Other(_), _) => (
            &["prompt", "input", "messages", "contents", "query", "message"],
            &["suffix", "instructions"],
        ),
    }
}

struct Reading {
    words: Words,
    /// The model said something since the user did.
    is_answered: bool,
    unread: Option<Unread>,
    dialect: Option<Dialect>,
    is_chat: bool,
}

/// Who says it.
enum Whose {
    User,
    Model,
    Nobody,
}

impl Reading {
    fn note(&mut self, field: &str, wrong: &'static str, at: Node<'_>) {
        self.unread.get_or_insert_with(|| Unread {
            field: field.to_owned(),
            wrong,
            offset: at.offset(),
        });
    }

    fn document(&mut self, document: Node<'_>, operation: Operation) {
        let (prompts, beside) = names(self.dialect, operation);
        let mut met: Vec<Cow<'_, str>> = Vec::new();
        for (name, value) in document.members() {
            let is_prompt = prompts.contains(&&*name);
            if !is_prompt && !beside.contains(&&*name) {
                continue;
            }
            if met.contains(&name) {
                self.note(&name, TWICE, value);
            } else if is_prompt && met.iter().any(|name| prompts.contains(&&**name)) {
                self.note(&name, BESIDE, value);
            }
            match is_prompt {
                true => self.prompt(&name, value),
                false => self.beside(value),
            }
            met.push(name);
        }
    }

    /// Texts; of a prompt that lies at its provider, what is put into it.
    fn beside(&mut self, value: Node<'_>) {
        let mut pieces = Vec::new();
        match value.get("variables") {
            Some(variables) => variables
                .members()
                .for_each(|(_, one)| self.pieces(one, MAX_DEPTH, &mut pieces)),
            None => self.pieces(value, MAX_DEPTH, &mut pieces),
        }
        self.said(&pieces);
    }

    fn prompt(&mut self, name: &str, value: Node<'_>) {
        if value.is_object() {
            return self.turn(value);
        }
        if !value.is_array() {
            return self.one(value);
        }
        for turn in value.elements() {
            // Completions and embeddings take several texts, and tokens.
            let is_token = |node: Node<'_>| node.number().is_some();
            if !self.is_chat && (is_token(turn) || turn.elements().next().is_some_and(is_token)) {
                return self.note(name, NUMBERS, turn);
            }
            match turn.is_object() {
                true => self.turn(turn),
                false => self.one(turn),
            }
        }
    }

    fn one(&mut self, value: Node<'_>) {
        let mut pieces = Vec::new();
        self.pieces(value, MAX_DEPTH, &mut pieces);
        self.said(&pieces);
    }

    fn turn(&mut self, turn: Node<'_>) {
        let is_gemini = self.dialect == Some(Dialect::Gemini);
        let (mut role, mut kind, mut content, mut calls) = (None, None, None, false);
        for (name, value) in turn.members() {
            let place = match &*name {
                "role" => &mut role,
                "type" => &mut kind,
                "parts" if is_gemini => &mut content,
                "content" if !is_gemini || !self.is_chat => &mut content,
                "tool_calls" | "function_call" => {
                    calls |= !value.is_null();
                    continue;
                }
                _ => continue,
            };
            if place.replace(value).is_some() {
                self.note(&name, TWICE, value);
            }
        }
        let kind = kind.filter(|_| self.dialect == Some(Dialect::OpenAiResponses));
        let mut pieces = Vec::new();
        if let Some(content) = content {
            self.pieces(content, MAX_DEPTH, &mut pieces);
        } else if role.is_none() && kind.is_none() {
            // A text or a block in place of a turn.
            self.block(turn, MAX_DEPTH, &mut pieces);
        }
        match whose(role, kind) {
            Whose::User => self.said(&pieces),
            Whose::Model => {
                let has_blocks = content.is_some_and(|content| content.elements().any(|block| !is_text(block)));
                // One that says nothing may be left out, and what stands around it be one turn.
                self.is_answered |= calls || role.is_none() || has_blocks || has_words(&pieces);
            }
            Whose::Nobody => {}
        }
    }

    /// The user says it: behind an answer it is another turn, and what no word is in is none.
    fn said(&mut self, pieces: &[Cow<'_, str>]) {
        if !has_words(pieces) {
            return;
        }
        if std::mem::take(&mut self.is_answered) {
            self.words.clear();
        }
        pieces.iter().for_each(|piece| self.words.push(piece));
    }

    /// A text, or blocks with some.
    fn pieces<'b>(&mut self, content: Node<'b>, depth: usize, out: &mut Vec<Cow<'b, str>>) {
        if content.text().is_some() {
            match content.string() {
                Some(text) => out.push(text),
                None => self.note("content", HALF, content),
            }
        } else if content.is_object() {
            self.block(content, depth, out);
        } else {
            content.elements().for_each(|block| match block.is_array() {
                true => {}
                false => self.pieces(block, depth, out),
            });
        }
    }

    fn block<'b>(&mut self, block: Node<'b>, depth: usize, out: &mut Vec<Cow<'b, str>>) {
        let kind = block.get("type");
        let is = |wanted: &str| kind.is_some_and(|kind| kind.is(wanted));
        // What a tool gave is nobody's words.
        if is("tool_result") {
            return;
        }
        let Some(depth) = depth.checked_sub(1) else {
            return self.note("content", DEEP, block);
        };
        let mut met: Vec<Cow<'_, str>> = Vec::new();
        for (name, value) in block.members() {
            if !OF_BLOCK.contains(&&*name) || name == "data" && !is("text") {
                continue;
            }
            if met.contains(&name) {
                self.note(&name, TWICE, value);
            }
            met.push(name);
            self.pieces(value, depth, out);
        }
    }
}

fn has_words(pieces: &[Cow<'_, str>]) -> bool {
    pieces.iter().any(|piece| !piece.trim().is_empty())
}

fn is_text(block: Node<'_>) -> bool {
    block.get("text").is_some_and(|text| text.text().is_some())
}

/// Who is nobody that is known may be the user.
fn whose(role: Option<Node<'_>>, kind: Option<Node<'_>>) -> Whose {
    let word = |node: Option<Node<'_>>| node.and_then(|node| node.string()).unwrap_or_default().into_owned();
    match (&*word(role), &*word(kind)) {
        ("assistant" | "model", _) => Whose::Model,
        ("system" | "developer" | "tool" | "function", _) => Whose::Nobody,
        ("", kind) if kind.ends_with("_call") => Whose::Model,
        ("", kind) if !matches!(kind, "" | "message") => Whose::Nobody,
        _ => Whose::User,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dialect: Dialect, operation: Operation, body: &str) -> (String, Option<String>) {
        let asked = Asked::of((Some(dialect), operation), body.as_bytes(), [64, 64]);
        (asked.text, asked.unread.map(|unread| unread.field))
    }

    const OTHER: Operation = Operation::Other(b"/completions");
    use Dialect::{Anthropic, Bedrock, Cohere, Gemini, OpenAi, OpenAiResponses};

    /// Bodies, and the prompt of each.
    const READ: [(Dialect, Operation, &str, &str); 19] = [
        (
            OpenAi,
            Operation::Chat,
            r#"{"messages":[{"role":"user","content":"a","parts":[{"text":"hi"}]}],"contents":"hi","input":"hi"}"#,
            "a",
        ),
        (
            OpenAi,
            Operation::Chat,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"."}]}"#,
            "a\n.",
        ),
        (
            OpenAi,
            Operation::Chat,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"no"},{"role":"user","content":"b"},{"role":"user","content":" "}]}"#,
            "b",
        ),
        (
            OpenAi,
            Operation::Chat,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":""},{"role":"human","content":"b"}]}"#,
            "a\nb",
        ),
        (
            OpenAi,
            Operation::Chat,
            r#"{"messages":[{"role":"system","content":"s"},{"type":"x","content":"a"},{"role":"tool","content":"t"}]}"#,
            "a",
        ),
        (
            Anthropic,
            Operation::Chat,
            r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"data":"a","type":"text"}},{"type":"image","source":{"type":"base64","data":"QQ"}},{"type":"tool_result","content":"t"}]}]}"#,
            "a",
        ),
        (
            Anthropic,
            Operation::Chat,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use"}]},{"role":"user","content":[{"type":"tool_result","content":"t"}]}]}"#,
            "a",
        ),
        (
            OpenAiResponses,
            Operation::Chat,
            r#"{"input":"a","messages":[{"role":"user","content":"hi"}]}"#,
            "a",
        ),
        (
            OpenAiResponses,
            Operation::Chat,
            r#"{"prompt":{"id":"p","variables":{"x":"a","y":{"type":"input_text","text":"b"}}}}"#,
            "a\nb",
        ),
        (
            OpenAiResponses,
            Operation::Chat,
            r#"{"input":[{"role":"user","content":"a"},{"type":"function_call","name":"f"},{"type":"function_call_output","output":"x"}]}"#,
            "a",
        ),
        (
            Gemini,
            Operation::Chat,
            r#"{"contents":[{"parts":[{"text":"a"}],"content":"hi"},{"role":"model","parts":[{"functionCall":{}}]},{"parts":[{"functionResponse":{}}]}]}"#,
            "a",
        ),
        (
            Bedrock,
            Operation::Chat,
            r#"{"messages":[{"role":"user","content":[{"document":{"source":{"text":"a"}}},{"guardContent":{"text":{"text":"b"}}},{"toolResult":{"content":[{"text":"t"}]}}]}]}"#,
            "a\nb",
        ),
        (
            Gemini,
            Operation::Embed(Shape::GeminiOne),
            r#"{"content":{"parts":[{"text":"a"}]}}"#,
            "a",
        ),
        (
            Gemini,
            Operation::Embed(Shape::GeminiMany),
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#,
            "a\nb",
        ),
        (
            Cohere,
            Operation::Embed(Shape::Cohere),
            r#"{"texts":["a"],"inputs":[{"content":[{"type":"text","text":"b"}]}]}"#,
            "a\nb",
        ),
        (
            OpenAi,
            Operation::Embed(Shape::OpenAi),
            r#"{"prompt":"hi","input":["a"]}"#,
            "a",
        ),
        (OpenAi, OTHER, r#"{"prompt":["a","b"],"suffix":"c"}"#, "a\nb\nc"),
        (OpenAi, Operation::Chat, r#"{"messages":[]}"#, ""),
        (OpenAi, Operation::Chat, "[]", ""),
    ];

    #[test]
    fn what_a_provider_reads_as_the_prompt_is_read() {
        for (dialect, operation, body, text) in READ {
            assert_eq!(of(dialect, operation, body), (text.to_owned(), None), "{body}");
        }
    }

    #[test]
    fn what_two_readers_read_differently_or_nobody_reads_is_told() {
        let deep = format!(
            r#"{{"messages":[{{"role":"user","content":{}"a"{}}}]}}"#,
            r#"[{"content":"#.repeat(20),
            "}]".repeat(20)
        );
        for (operation, body, field) in [
            (
                Operation::Chat,
                r#"{"messages":[],"messages":[{"role":"user","content":"a"}]}"#,
                "messages",
            ),
            (
                Operation::Chat,
                r#"{"messages":[{"role":"user","content":"a","content":"b"}]}"#,
                "content",
            ),
            (
                Operation::Chat,
                r#"{"messages":[{"role":"user","role":"system","content":"b"}]}"#,
                "role",
            ),
            (
                Operation::Chat,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}]}"#,
                "text",
            ),
            (
                Operation::Chat,
                r#"{"messages":[{"role":"user","content":"a\ud800"}]}"#,
                "content",
            ),
            (Operation::Chat, &*deep, "content"),
            (OTHER, r#"{"prompt":"a","input":"b"}"#, "input"),
            (OTHER, r#"{"prompt":[1,2]}"#, "prompt"),
            (Operation::Embed(Shape::OpenAi), r#"{"input":[[1,2]]}"#, "input"),
        ] {
            assert_eq!(of(OpenAi, operation, body).1.as_deref(), Some(field), "{body}");
        }
    }

    #[test]
    fn a_text_behind_many_blocks_and_turns_is_read_and_both_ends_of_a_long_one() {
        let turns = r#"{"role":"system","content":"s"},"#.repeat(70_000);
        let blocks = r#"{"type":"text","text":"x"},"#.repeat(5_000);
        let body = format!(
            r#"{{"messages":[{turns}{{"role":"user","content":[{blocks}{{"type":"text","text":"the end"}}]}}]}}"#
        );
        let (text, unread) = of(OpenAi, Operation::Chat, &body);
        assert!(
            text.starts_with("x\nx") && text.ends_with("the end") && text.len() <= 2 * 64 + 1,
            "{text}"
        );
        assert_eq!(unread, None);
    }
}
