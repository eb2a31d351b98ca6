//! Which parts of an answer make which items of an output, and how an item is written.

use super::{OUR_REASONING_ID, SIGNATURE_MARK, annotations, logprobs};
use crate::{
    canonical::{answer::AnswerPart, event::Began},
    json::{Json, Out, Text},
    speak::CallFacts,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning,
    Call,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) id: String,
    /// Numbers of its parts, in order.
    pub(super) parts: Vec<usize>,
    /// No later part may join.
    pub(super) full: bool,
    /// Once it was written whole.
    pub(super) status: Option<&'static str>,
}

/// The items so far; only the last one takes more parts.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) items: Vec<Item>,
}

/// Where a part went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) item: usize,
    /// Its number among the item's contents, or summaries.
    pub(super) index: usize,
}

impl Layout {
    /// The layout of a whole answer.
    pub(super) fn of(parts: &[AnswerPart], call: &CallFacts) -> Layout {
        let mut layout = Layout::default();
        for (number, part) in parts.iter().enumerate() {
            let place = layout.place(number, &part.what, call);
            let item = &mut layout.items[place.item];
            match &part.what {
                Began::Thinking => item.full |= part.signature.is_some(),
                Began::Sealed { id: Some(id) } => item.id = owned(id),
                _ => {}
            }
        }
        layout
    }

    /// Puts a part into the last item, or begins one for it.
    pub(super) fn place(&mut self, part: usize, what: &Began<'_>, call: &CallFacts) -> Place {
        let kind = match what {
            Began::Text | Began::Refusal => Kind::Message,
            Began::Thinking | Began::Sealed { .. } => Kind::Reasoning,
            Began::ToolCall { .. } => Kind::Call,
        };
        let joins = self
            .items
            .last()
            .is_some_and(|last| last.kind == kind && kind != Kind::Call && !last.full);
        if !joins {
            let id = item_id(kind, what, self.items.len(), call);
            self.items.push(Item {
                kind,
                id,
                parts: Vec::new(),
                full: kind == Kind::Call,
                status: None,
            });
        }
        let at = self.items.len() - 1;
        let item = &mut self.items[at];
        item.parts.push(part);
        item.full |= matches!(what, Began::Sealed { .. });
        Place {
            item: at,
            index: item.parts.len() - 1,
        }
    }
}

fn item_id(kind: Kind, what: &Began<'_>, number: usize, call: &CallFacts) -> String {
    let request_id = &call.request_id;
    match (kind, what) {
        (Kind::Message, _) => format!("msg_{request_id}_{number}"),
        (Kind::Call, _) => format!("fc_{request_id}_{number}"),
        (Kind::Reasoning, Began::Sealed { id: Some(id) }) => owned(id),
        (Kind::Reasoning, _) => format!("{OUR_REASONING_ID}{request_id}_{number}"),
    }
}

fn owned(id: &Text<'_>) -> String {
    id.plain().unwrap_or_default().into_owned()
}

/// An item as it begins: without what will come in pieces.
pub(super) fn write_begun(item: &Item, parts: &[AnswerPart], call: &CallFacts, out: &mut Out<'_>) {
    out.open().key("id").string(&item.id).key("type");
    match item.kind {
        Kind::Message => {
            out.string("message").key("status").string("in_progress");
            out.key("role")
                .string("assistant")
                .key("content")
                .open_list()
                .close_list();
        }
        Kind::Reasoning => {
            out.string("reasoning").key("summary").open_list().close_list();
        }
        Kind::Call => {
            out.string("function_call").key("status").string("in_progress");
            named(item, parts, call, out);
            out.key("arguments").string("");
        }
    }
    out.close();
}

/// A whole item.
pub(super) fn write(item: &Item, status: &str, parts: &[AnswerPart], call: &CallFacts, out: &mut Out<'_>) {
    out.open().key("id").string(&item.id).key("type");
    match item.kind {
        Kind::Message => {
            out.string("message").key("status").string(status);
            out.key("role").string("assistant").key("content").open_list();
            for part in item.parts.iter().filter_map(|part| parts.get(*part)) {
                write_content(part, out);
            }
            out.close_list();
        }
        // No status: given back with the next request, it would be refused.
        Kind::Reasoning => write_reasoning(item, parts, out),
        Kind::Call => {
            out.string("function_call").key("status").string(status);
            named(item, parts, call, out);
            out.key("arguments");
            if let Some(part) = item.parts.first().and_then(|part| parts.get(*part)) {
                write_arguments(part, out);
                write_signature(part, out);
            } else {
                out.string("");
            }
        }
    }
    out.close();
}

fn named(item: &Item, parts: &[AnswerPart], call: &CallFacts, out: &mut Out<'_>) {
    let Some(number) = item.parts.first().copied() else {
        return;
    };
    if let Some(Began::ToolCall { id, name }) = parts.get(number).map(|part| &part.what) {
        out.key("call_id");
        match id {
            Some(id) => out.text(id),
            None => out.string(&call.call_id(0, number as u32)),
        };
        out.key("name").text(name);
    }
}

/// A call's arguments; a model that gave none meant none.
pub(super) fn write_arguments(part: &AnswerPart, out: &mut Out<'_>) {
    match part.text() {
        text if text.is_empty() => out.string("{}"),
        text => out.quoted(&Json::Quoted(text)),
    };
}

/// A text or a refusal, as part of a message.
pub(super) fn write_content(part: &AnswerPart, out: &mut Out<'_>) {
    out.open().key("type");
    if part.what == Began::Refusal {
        out.string("refusal").key("refusal").text(&part.text()).close();
        return;
    }
    out.string("output_text").key("annotations").open_list();
    if !part.citations.is_empty() {
        let chars = annotations::chars(&part.text());
        for citation in &part.citations {
            annotations::write(citation, chars, out);
        }
    }
    out.close_list();
    out.key("logprobs");
    logprobs::write_gathered(&part.logprobs, out);
    out.key("text").text(&part.text());
    write_signature(part, out);
    out.close();
}

fn write_signature(part: &AnswerPart, out: &mut Out<'_>) {
    if let Some(signature) = &part.signature {
        out.key("extra_content").open().key("google").open();
        out.key("thought_signature").text(signature).close().close();
    }
}

fn write_reasoning(item: &Item, parts: &[AnswerPart], out: &mut Out<'_>) {
    let own = || item.parts.iter().filter_map(|part| parts.get(*part));
    out.string("reasoning").key("summary").open_list();
    for part in own().filter(|part| part.what == Began::Thinking) {
        out.open().key("type").string("summary_text");
        out.key("text").text(&part.text()).close();
    }
    out.close_list();
    for part in own() {
        match (&part.what, &part.signature) {
            (Began::Sealed { .. }, _) => {
                out.key("encrypted_content").text(&part.text());
            }
            (_, Some(signature)) => {
                let mut marked = SIGNATURE_MARK.as_bytes().to_vec();
                signature.write_escaped(&mut marked);
                out.key("encrypted_content").text(&Text::Escaped(&marked));
            }
            _ => {}
        }
    }
}
