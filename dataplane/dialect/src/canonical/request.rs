//! A chat request.
//!
//! Normal form, which every reader makes and every writer may rely on:
//! - `turns` are in order; a tool's result is a part of a `User` turn, also where the dialect gives it a role of its own
//!   (consecutive results of one round become one turn). Two turns in a row may have the same role.
//! - System and developer texts are turns at the place where they stood; a dialect that has them apart puts them first.
//! - A part is never empty by accident: a dialect's empty string content gives one empty text part only where it said so.
//! - Absent (`None`) means that the caller did not say; no reader fills in a dialect's default.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
};

use crate::json::{Json, Number, Text};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    /// As the caller named it, in the body or in the path.
    pub model: Cow<'a, str>,
    pub stream: bool,
    /// The caller asked for usage in the stream, or its dialect always has it there.
    pub stream_usage: bool,
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// May the model call several tools at once?
    pub parallel_tools: Option<bool>,
    pub format: Format<'a>,
    pub sampling: Sampling<'a>,
    pub thinking: Option<Thinking>,
    /// A stable name of the end user: OpenAI's `user` or `safety_identifier`, Anthropic's `metadata.user_id`.
    pub user: Option<Text<'a>>,
    /// The members of an object of strings, raw.
    pub metadata: Option<&'a [u8]>,
    pub service_tier: Option<Text<'a>>,
    /// What lives at a provider and is named here: a stored response, a cached content, a conversation, a file.
    pub owned: Vec<Owned<'a>>,
    /// What the caller's dialect has and this type has not: JSON paths, as the caller wrote them (`logit_bias`,
    /// `tools[2]`). A reader lists every member it does not carry, unless it says nothing (null, or the default).
    pub unread: Vec<Cow<'a, str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Turn<'a> {
    pub role: Role,
    /// OpenAI's `name` of a participant.
    pub name: Option<Text<'a>>,
    pub parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    /// OpenAI's second kind of system text; everywhere else it is system text.
    Developer,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Part<'a> {
    pub content: Content<'a>,
    /// The prompt up to and with this part is worth caching.
    pub cache: Option<CacheMark>,
    /// What the provider signed this part with, and wants back byte for byte: on thinking, and (Gemini) on tool calls
    /// and texts. Sealed (`seal`) where it went through another dialect; readers and writers leave that to `translate`.
    pub signature: Option<Text<'a>>,
}

impl<'a> Part<'a> {
    pub fn new(content: Content<'a>) -> Part<'a> {
        Part {
            content,
            cache: None,
            signature: None,
        }
    }

    pub fn text(text: impl Into<Text<'a>>) -> Part<'a> {
        Part::new(Content::Text(text.into()))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    Text(Text<'a>),
    Media(Media<'a>),
    ToolCall {
        /// Absent in dialects without ids (older Gemini); `Request::name_calls` gives them one.
        id: Option<Text<'a>>,
        name: Text<'a>,
        arguments: Json<'a>,
    },
    ToolResult {
        call_id: Option<Text<'a>>,
        /// Where the dialect names the tool rather than the call.
        name: Option<Text<'a>>,
        /// Texts, media, and `Json` where the result is structured.
        parts: Vec<Part<'a>>,
        is_error: bool,
    },
    /// A structured tool result: one JSON value.
    Json(&'a [u8]),
    /// What a model thought, where the provider shows it; its signature is the part's.
    Thinking(Text<'a>),
    /// Thinking that only its provider can read: Anthropic's `redacted_thinking`, Bedrock's `redactedContent`, OpenAI's
    /// `encrypted_content`. The text is what came, base64.
    Sealed {
        data: Text<'a>,
        /// OpenAI Responses name the item.
        id: Option<Text<'a>>,
    },
    /// The model declined.
    Refusal(Text<'a>),
}

/// A picture, a document, a sound or a film.
#[derive(Clone, Debug, PartialEq)]
pub struct Media<'a> {
    pub kind: MediaKind,
    pub source: Source<'a>,
    /// `image/png`, `application/pdf`, `audio/wav`, `text/plain`; absent where only a URL says.
    pub media_type: Option<Text<'a>>,
    /// A file's name or a document's title.
    pub name: Option<Text<'a>>,
    /// OpenAI's `detail` of a picture.
    pub detail: Option<Text<'a>>,
    /// Anthropic's and Bedrock's wish for citations of this document.
    pub cite: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Document,
    Audio,
    Video,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source<'a> {
    /// RFC 4648 base64, without a `data:` prefix.
    Base64(Text<'a>),
    /// `https:`, `gs:`, `s3:`; never `data:` (that is `Base64`).
    Url(Text<'a>),
    /// A document that is text.
    Text(Text<'a>),
    /// A file that lives at the provider: its own matter.
    File(Text<'a>),
}

/// How long a prompt-cache entry should live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMark {
    /// The provider's default, five minutes.
    Short,
    OneHour,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tool<'a> {
    pub name: Text<'a>,
    pub description: Option<Text<'a>>,
    /// JSON schema of its arguments, raw; `None`: it takes none. Owned where the caller's dialect has a schema language of
    /// its own (Gemini).
    pub schema: Option<Cow<'a, [u8]>>,
    pub strict: Option<bool>,
    pub cache: Option<CacheMark>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    /// Some tool must be called.
    Required,
    Named(Text<'a>),
}

/// What the answer's text must be.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format<'a> {
    #[default]
    Text,
    /// Any JSON object.
    Json,
    Schema {
        name: Option<Text<'a>>,
        description: Option<Text<'a>>,
        /// JSON schema, raw. See `Tool::schema`.
        schema: Cow<'a, [u8]>,
        strict: Option<bool>,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling<'a> {
    pub max_tokens: Option<u64>,
    /// 0 to 2, as OpenAI has it; a writer whose dialect stops at 1 clamps and says so.
    pub temperature: Option<Number<'a>>,
    pub top_p: Option<Number<'a>>,
    pub top_k: Option<u64>,
    pub frequency_penalty: Option<Number<'a>>,
    pub presence_penalty: Option<Number<'a>>,
    pub seed: Option<Number<'a>>,
    pub stop: Vec<Text<'a>>,
    /// How many answers.
    pub n: Option<u64>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u64>,
    /// Raw object of token id to bias.
    pub logit_bias: Option<&'a [u8]>,
}

/// How much the model may think before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thinking {
    pub amount: Amount,
    /// Are thoughts (or their summary) wanted in the answer? `None`: the caller did not say.
    pub shown: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Off,
    /// As much as the model finds right: Anthropic's `adaptive`, Gemini's budget -1.
    Adaptive,
    BudgetTokens(u64),
    Effort(Effort),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    /// OpenAI's `xhigh`, Anthropic's `max`.
    Most,
}

impl Effort {
    /// The budget that gives about this effort, for dialects that count tokens: the mapping that Google documents
    /// for its OpenAI-compatible endpoint (1,024, 8,192 and 24,576 tokens), `minimal` and `most` beside it.
    pub fn budget_tokens(self) -> u64 {
        match self {
            Effort::Minimal | Effort::Low => 1_024,
            Effort::Medium => 8_192,
            Effort::High => 24_576,
            Effort::Most => 32_768,
        }
    }

    /// The other way: the least effort whose budget is not below this one.
    pub fn of_budget_tokens(tokens: u64) -> Effort {
        match tokens {
            0..=1_024 => Effort::Low,
            1_025..=8_192 => Effort::Medium,
            8_193..=24_576 => Effort::High,
            _ => Effort::Most,
        }
    }
}

/// What lives at a provider and may be named only there.
#[derive(Clone, Debug, PartialEq)]
pub struct Owned<'a> {
    /// The member of the caller's dialect that names it.
    pub field: &'static str,
    pub id: Text<'a>,
}

impl<'a> Request<'a> {
    /// Gives every tool call without an id one (`call_1`, `call_2`, … by position), and every result without one the id
    /// of the first call of its name that has no result yet: for writers whose dialect needs ids.
    pub fn name_calls(&mut self) {
        let mut position = 0;
        let mut open = OpenCalls::default();
        for part in self.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            match &mut part.content {
                Content::ToolCall { id, name, .. } => {
                    position += 1;
                    let id = id.get_or_insert_with(|| Text::from(format!("call_{position}")));
                    open.push(name.clone(), id.clone());
                }
                Content::ToolResult { call_id, name, .. } => {
                    let Some((called, id)) = open.answer(call_id.as_ref(), name.as_ref()) else {
                        continue;
                    };
                    call_id.get_or_insert(id);
                    name.get_or_insert(called);
                }
                _ => {}
            }
        }
    }
}

/// Calls that no result has answered. Looked up in trees: a request of many calls and results must not take the square
/// of its length.
#[derive(Default)]
struct OpenCalls<'a> {
    /// Name and id, in order; `None` once answered.
    calls: Vec<Option<(Text<'a>, Text<'a>)>>,
    by_id: BTreeMap<Vec<u8>, VecDeque<usize>>,
    by_name: BTreeMap<Vec<u8>, VecDeque<usize>>,
    in_order: VecDeque<usize>,
}

impl<'a> OpenCalls<'a> {
    fn push(&mut self, name: Text<'a>, id: Text<'a>) {
        let at = self.calls.len();
        self.by_id.entry(key(&id)).or_default().push_back(at);
        self.by_name.entry(key(&name)).or_default().push_back(at);
        self.in_order.push_back(at);
        self.calls.push(Some((name, id)));
    }

    /// The first open call of this id, or else of this name, or else the first.
    fn answer(&mut self, id: Option<&Text<'_>>, name: Option<&Text<'_>>) -> Option<(Text<'a>, Text<'a>)> {
        let queue = match (id, name) {
            (Some(id), _) => self.by_id.get_mut(&key(id))?,
            (None, Some(name)) => self.by_name.get_mut(&key(name))?,
            (None, None) => &mut self.in_order,
        };
        // A call stands in three queues and is answered from one: the others pass it over, once.
        loop {
            if let Some(call) = self.calls[queue.pop_front()?].take() {
                return Some(call);
            }
        }
    }
}

/// The text's bytes; of one with half a surrogate pair, the escapes themselves.
fn key(text: &Text<'_>) -> Vec<u8> {
    match (text.plain(), text) {
        (Some(plain), _) => plain.into_owned().into_bytes(),
        (None, Text::Escaped(raw)) => raw.to_vec(),
        (None, Text::Plain(plain)) => plain.as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: Option<&'static str>, name: &'static str) -> Part<'static> {
        Part::new(Content::ToolCall {
            id: id.map(Text::from),
            name: Text::from(name),
            arguments: Json::EMPTY_OBJECT,
        })
    }

    fn result(call_id: Option<&'static str>, name: Option<&'static str>) -> Part<'static> {
        Part::new(Content::ToolResult {
            call_id: call_id.map(Text::from),
            name: name.map(Text::from),
            parts: Vec::new(),
            is_error: false,
        })
    }

    /// The results of a conversation as `id name`, once the calls are named.
    fn results(parts: Vec<Part<'static>>) -> Vec<String> {
        let turn = |part| Turn {
            role: Role::User,
            name: None,
            parts: vec![part],
        };
        let mut request = Request {
            turns: parts.into_iter().map(turn).collect(),
            ..Request::default()
        };
        request.name_calls();
        let plain = |text: &Option<Text<'_>>| text.as_ref().and_then(Text::plain).unwrap_or_default().into_owned();
        let parts = request.turns.iter().flat_map(|turn| &turn.parts);
        parts
            .filter_map(|part| match &part.content {
                Content::ToolResult { call_id, name, .. } => Some(format!("{} {}", plain(call_id), plain(name))),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn results_find_their_calls_by_id_by_name_and_by_place() {
        let said = results(vec![
            call(Some("a"), "one"),
            call(None, "two"),
            call(None, "one"),
            call(Some("a"), "three"),
            result(Some("a"), None),
            result(None, Some("one")),
            result(None, None),
            result(Some("a"), None),
            result(Some("unknown"), None),
            result(None, Some("one")),
        ]);
        assert_eq!(
            said,
            ["a one", "call_3 one", "call_2 two", "a three", "unknown ", " one"]
        );
    }

    /// Quadratic, this would take minutes.
    #[test]
    fn many_calls_that_nobody_answers_take_no_longer_each() {
        let ids: Vec<&'static str> = (0..60_000)
            .map(|n| &*Box::leak(format!("t{n}").into_boxed_str()))
            .collect();
        let calls = ids.iter().map(|id| call(Some(id), "tool"));
        let strange = (0..60_000).map(|_| result(Some("z"), None));
        assert_eq!(results(calls.chain(strange).collect()).len(), 60_000);
    }
}
