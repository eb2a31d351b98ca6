//! What a choice says, piece by piece → events. A buffered answer's message is one piece that is the whole.
//!
//! Texts, thoughts and refusals follow one another; tool calls stay open until the end, for their arguments may come in
//! turns.

use crate::{
    canonical::{
        bad::BadAnswer,
        event::{Began, Citation, Event, TokenLogprob},
    },
    json::{Node, Text},
    speak::Sink,
};

use super::{
    calls::Calls,
    extra,
    finish::{self, Seen},
};

/// One choice under way.
#[derive(Debug, Default)]
pub(super) struct Choice {
    number: u32,
    parts: u32,
    open: Option<Open>,
    calls: Calls,
    refused: bool,
    /// Thoughts came as plain text: a list that repeats them is not told again.
    plain_thoughts: bool,
    stopped: bool,
}

/// The part that is being said.
#[derive(Clone, Copy, Debug)]
struct Open {
    part: u32,
    kind: Kind,
    /// Which of `reasoning_details` it is.
    detail: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Sealed,
    Refusal,
}

/// The members of a `message` or a `delta` that are read.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'a> {
    content: Option<Node<'a>>,
    refusal: Option<Node<'a>>,
    reasoning: Option<Node<'a>>,
    details: Option<Node<'a>>,
    annotations: Option<Node<'a>>,
    audio: Option<Node<'a>>,
    calls: Option<Node<'a>>,
    function: Option<Node<'a>>,
    extra: Option<Node<'a>>,
}

impl<'a> Said<'a> {
    fn of(message: Node<'a>) -> Said<'a> {
        let mut said = Said::default();
        for (name, node) in message.members().filter(|(_, node)| !node.is_null()) {
            let slot = match &*name {
                "content" => &mut said.content,
                "refusal" => &mut said.refusal,
                "reasoning_content" | "reasoning" => &mut said.reasoning,
                "reasoning_details" => &mut said.details,
                "annotations" => &mut said.annotations,
                "audio" => &mut said.audio,
                "tool_calls" => &mut said.calls,
                "function_call" => &mut said.function,
                "extra_content" => &mut said.extra,
                _ => continue,
            };
            // Some say a thought under both names, some leave one of them empty.
            if slot.is_none_or(|known| known.raw() == b"\"\"") {
                *slot = Some(node);
            }
        }
        said
    }
}

impl Choice {
    pub fn new(number: u32) -> Choice {
        Choice {
            number,
            ..Choice::default()
        }
    }

    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// The next of what it says. After its end nothing counts.
    pub fn say(&mut self, message: Node<'_>, logprobs: Option<Node<'_>>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.stopped {
            return Ok(());
        }
        let said = Said::of(message);
        self.thoughts(&said, sink);
        if let Some(content) = said.content {
            self.content(content, sink);
        }
        if let Some(transcript) = said.audio.and_then(|audio| audio.get("transcript")) {
            self.piece(Kind::Text, transcript, sink);
        }
        if let Some(refusal) = said.refusal {
            self.piece(Kind::Refusal, refusal, sink);
        }
        for annotation in said.annotations.iter().flat_map(|list| list.elements()) {
            self.annotation(annotation, sink);
        }
        if let Some(logprobs) = logprobs {
            self.logprobs(logprobs, sink);
        }
        if let Some(signature) = extra::signature(said.extra) {
            let part = self.ensure(Kind::Text, None, sink);
            self.sign(part, signature, sink);
        }
        self.tool_calls(&said, sink)
    }

    /// It ends. `word` is `finish_reason`, where there is one.
    pub fn stop(&mut self, word: Option<Node<'_>>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.stopped {
            return Ok(());
        }
        self.stopped = true;
        self.close(sink);
        self.calls.close(self.number, sink)?;
        let seen = Seen {
            calls: !self.calls.is_empty(),
            refusal: self.refused,
        };
        sink(&Event::Stopped {
            choice: self.number,
            reason: finish::read(word, seen),
        });
        Ok(())
    }

    /// A string; or Mistral's array of texts and thoughts.
    fn content(&mut self, content: Node<'_>, sink: &mut Sink<'_>) {
        self.piece(Kind::Text, content, sink);
        for part in content.elements() {
            if let Some(text) = part.get("text") {
                self.piece(Kind::Text, text, sink);
            }
            let thoughts = part.get("thinking");
            for thought in thoughts.iter().flat_map(|list| list.elements()) {
                if let Some(text) = thought.get("text") {
                    self.piece(Kind::Thinking, text, sink);
                }
            }
        }
    }

    fn thoughts(&mut self, said: &Said<'_>, sink: &mut Sink<'_>) {
        let is_text = |node: Node<'_>| node.text().is_some_and(|text| !text.is_empty());
        let text = said.reasoning.filter(|node| is_text(*node));
        let details = || said.details.into_iter().flat_map(Node::elements);
        // The list tells one thought from the next, so it is preferred where it tells as much.
        let listed = details().any(|detail| detail_text(detail).is_some_and(is_text));
        if let Some(text) = text
            && (!listed || self.plain_thoughts)
        {
            self.plain_thoughts = true;
            self.piece(Kind::Thinking, text, sink);
        }
        for detail in details() {
            self.detail(detail, sink);
        }
    }

    fn detail(&mut self, detail: Node<'_>, sink: &mut Sink<'_>) {
        let index = detail.get("index").and_then(Node::unsigned);
        if detail.get("type").is_some_and(|kind| kind.is("reasoning.encrypted")) {
            return self.sealed(detail, index, sink);
        }
        if let Some(text) = detail_text(detail).and_then(Node::text).filter(|text| !text.is_empty())
            && !self.plain_thoughts
        {
            let part = self.ensure(Kind::Thinking, index, sink);
            self.tell(part, text, sink);
        }
        let signature = detail.get("signature").and_then(Node::text);
        if let Some(signature) = signature.filter(|signature| !signature.is_empty()) {
            let index = if self.plain_thoughts { None } else { index };
            let part = self.ensure(Kind::Thinking, index, sink);
            self.sign(part, signature, sink);
        }
    }

    fn sealed(&mut self, detail: Node<'_>, index: Option<u64>, sink: &mut Sink<'_>) {
        let Some(data) = detail.get("data").and_then(Node::text) else {
            return;
        };
        let goes_on = self
            .open
            .is_some_and(|open| open.kind == Kind::Sealed && index.is_some() && open.detail == index);
        if !goes_on {
            let id = detail.get("id").and_then(Node::text);
            self.begin(Kind::Sealed, index, Began::Sealed { id }, sink);
        }
        if let Some(open) = self.open {
            self.tell(open.part, data, sink);
        }
    }

    /// More of a part of this kind; an empty text begins none.
    fn piece(&mut self, kind: Kind, node: Node<'_>, sink: &mut Sink<'_>) {
        if let Some(text) = node.text().filter(|text| !text.is_empty()) {
            let part = self.ensure(kind, None, sink);
            self.tell(part, text, sink);
        }
    }

    fn tell(&self, part: u32, text: Text<'_>, sink: &mut Sink<'_>) {
        let choice = self.number;
        if !text.is_empty() {
            sink(&Event::Piece { choice, part, text });
        }
    }

    /// The open part, where it is of this kind; else a new one.
    fn ensure(&mut self, kind: Kind, detail: Option<u64>, sink: &mut Sink<'_>) -> u32 {
        if let Some(open) = self.open
            && open.kind == kind
            && (detail.is_none() || open.detail.is_none() || open.detail == detail)
        {
            return open.part;
        }
        let what = match kind {
            Kind::Text => Began::Text,
            Kind::Thinking => Began::Thinking,
            Kind::Sealed => Began::Sealed { id: None },
            Kind::Refusal => Began::Refusal,
        };
        self.begin(kind, detail, what, sink)
    }

    fn begin(&mut self, kind: Kind, detail: Option<u64>, what: Began<'_>, sink: &mut Sink<'_>) -> u32 {
        self.close(sink);
        let (choice, part) = (self.number, self.parts);
        self.parts += 1;
        self.open = Some(Open { part, kind, detail });
        self.refused |= kind == Kind::Refusal;
        sink(&Event::Began { choice, part, what });
        part
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        if let Some(Open { part, .. }) = self.open.take() {
            let choice = self.number;
            sink(&Event::Closed { choice, part });
        }
    }

    /// A signature is of a whole part: what follows it is another.
    fn sign(&mut self, part: u32, signature: Text<'_>, sink: &mut Sink<'_>) {
        let (choice, text) = (self.number, signature);
        sink(&Event::Signature { choice, part, text });
        self.close(sink);
    }

    fn annotation(&mut self, annotation: Node<'_>, sink: &mut Sink<'_>) {
        let Some(cited) = annotation.get("url_citation") else {
            return;
        };
        let text = |name| cited.get(name).and_then(Node::text).filter(|text| !text.is_empty());
        let count = |name| cited.get(name).and_then(Node::unsigned);
        let citation = Citation {
            url: text("url"),
            title: text("title"),
            quoted: text("content"),
            start: count("start_index"),
            end: count("end_index"),
            ..Citation::default()
        };
        let (choice, part) = (self.number, self.ensure(Kind::Text, None, sink));
        sink(&Event::Citation { choice, part, citation });
    }

    fn logprobs(&mut self, logprobs: Node<'_>, sink: &mut Sink<'_>) {
        for (name, kind) in [("content", Kind::Text), ("refusal", Kind::Refusal)] {
            let Some(open) = self.open.filter(|open| open.kind == kind) else {
                continue;
            };
            let list = logprobs.get(name);
            let tokens: Vec<_> = list.iter().flat_map(|list| list.elements()).filter_map(token).collect();
            if !tokens.is_empty() {
                let (choice, part) = (self.number, open.part);
                sink(&Event::Logprobs { choice, part, tokens });
            }
        }
    }

    fn tool_calls(&mut self, said: &Said<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let listed = said.calls.into_iter().flat_map(Node::elements);
        // The one call of before there were tools stands where a call's `function` does.
        let calls = listed.map(|call| (Some(call), call.get("function")));
        for (call, function) in calls.chain(said.function.map(|function| (None, Some(function)))) {
            self.close(sink);
            self.calls.take((call, function), self.number, &mut self.parts, sink)?;
        }
        Ok(())
    }
}

fn detail_text(detail: Node<'_>) -> Option<Node<'_>> {
    detail.get("text").or_else(|| detail.get("summary"))
}

fn token(node: Node<'_>) -> Option<TokenLogprob<'_>> {
    let top = node.get("top_logprobs");
    Some(TokenLogprob {
        top: top.iter().flat_map(|list| list.elements()).filter_map(likely).collect(),
        ..likely(node)?
    })
}

/// One of the likeliest, which has none of its own.
fn likely(node: Node<'_>) -> Option<TokenLogprob<'_>> {
    Some(TokenLogprob {
        token: node.get("token")?.text()?,
        logprob: node.get("logprob")?.number()?,
        bytes: node.get("bytes").filter(|bytes| bytes.is_array()).map(Node::raw),
        top: Vec::new(),
    })
}
