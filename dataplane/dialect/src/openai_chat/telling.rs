//! An answer, whole or in chunks → events: its head, its choices, its usage, its end.

use crate::{
    canonical::{answer::MAX_CHOICES, bad::BadAnswer, event::Event, fault::Fault},
    json::{Node, Text},
    speak::Sink,
};

use super::{fault, finish, saying::Choice, usage};

const TOO_MANY: BadAnswer = BadAnswer::new("it has more choices than any request may ask for");
const NO_CHOICES: BadAnswer = BadAnswer::new("it has no choices");

#[derive(Debug, Default)]
pub(super) struct Telling {
    started: bool,
    /// Nothing more counts: it ended, or failed.
    over: bool,
    /// By number.
    choices: Vec<Choice>,
}

/// The members of an answer or a chunk that are read.
#[derive(Clone, Copy, Debug, Default)]
struct Head<'a> {
    id: Option<Node<'a>>,
    model: Option<Node<'a>>,
    created: Option<Node<'a>>,
    choices: Option<Node<'a>>,
    usage: Option<Node<'a>>,
    failed: bool,
}

impl<'a> Head<'a> {
    fn of(document: Node<'a>) -> Head<'a> {
        let mut head = Head::default();
        for (name, node) in document.members().filter(|(_, node)| !node.is_null()) {
            match &*name {
                "id" => head.id = Some(node),
                "model" => head.model = Some(node),
                "created" => head.created = Some(node),
                "choices" => head.choices = Some(node),
                "usage" => head.usage = Some(node),
                // Groq.
                "x_groq" => head.usage = head.usage.or_else(|| node.get("usage")),
                "error" => head.failed = true,
                "object" => head.failed |= node.is("error"),
                _ => {}
            }
        }
        head
    }
}

impl Telling {
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// A whole answer, or the next chunk of one.
    pub fn take(&mut self, document: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let head = Head::of(document);
        if head.failed {
            self.fail(fault::of_document(document, None), sink);
            return Ok(());
        }
        let choices = head.choices.filter(|choices| choices.is_array());
        self.start(&head, choices, sink);
        for (position, choice) in choices.into_iter().flat_map(Node::elements).enumerate() {
            self.choice(position, choice, sink)?;
            if self.over {
                return Ok(());
            }
        }
        if let Some(usage) = head.usage.and_then(|usage| usage::usage_of_object(usage.raw())) {
            sink(&Event::Usage(usage));
        }
        Ok(())
    }

    /// Azure sends what its filter says of the prompt before anything of the answer, without an id: not its beginning.
    fn start(&mut self, head: &Head<'_>, choices: Option<Node<'_>>, sink: &mut Sink<'_>) {
        let filled = |node: Option<Node<'_>>| node.is_some_and(|node| node.text().is_some_and(|text| !text.is_empty()));
        let says =
            filled(head.id) || head.usage.is_some() || choices.is_some_and(|list| list.elements().next().is_some());
        if self.started || !says {
            return;
        }
        self.started = true;
        fn text(node: Option<Node<'_>>) -> Option<Text<'_>> {
            node.and_then(Node::text).filter(|text| !text.is_empty())
        }
        sink(&Event::Started {
            id: text(head.id),
            model: text(head.model),
            created_unix_s: head.created.and_then(Node::unsigned),
        });
    }

    fn choice(&mut self, position: usize, node: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let (mut index, mut said, mut finish, mut logprobs, mut error) = (None, None, None, None, None);
        for (name, member) in node.members().filter(|(_, member)| !member.is_null()) {
            match &*name {
                "index" => index = member.unsigned(),
                "message" | "delta" => said = Some(member),
                // Some servers send it empty until it is known.
                "finish_reason" => {
                    finish = Some(member).filter(|word| word.text().is_some_and(|word| !word.is_empty()))
                }
                "logprobs" => logprobs = Some(member),
                "error" => error = Some(member),
                _ => {}
            }
        }
        let number = index.unwrap_or(position as u64);
        if number >= MAX_CHOICES as u64 {
            return Err(TOO_MANY);
        }
        let number = number as usize;
        while self.choices.len() <= number {
            self.choices.push(Choice::new(self.choices.len() as u32));
        }
        let choice = &mut self.choices[number];
        if let Some(said) = said {
            choice.say(said, logprobs, sink)?;
        }
        let broken_off = finish.and_then(finish::broken_off);
        // OpenRouter says what went wrong, others only that it did.
        if let Some(fault) = error.map(|_| fault::of_document(node, None)).or(broken_off) {
            self.fail(fault, sink);
            return Ok(());
        }
        match finish {
            Some(_) => choice.stop(finish, sink),
            None => Ok(()),
        }
    }

    /// The dialect's own end has come. Choices that were given no reason end as they look.
    pub fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.over {
            return Ok(());
        }
        if self.choices.is_empty() {
            return Err(NO_CHOICES);
        }
        for choice in self.choices.iter_mut().filter(|choice| !choice.has_stopped()) {
            choice.stop(None, sink)?;
        }
        self.over = true;
        sink(&Event::Ended);
        Ok(())
    }

    pub fn fail(&mut self, fault: Fault, sink: &mut Sink<'_>) {
        if !self.started {
            self.started = true;
            sink(&Event::Started {
                id: None,
                model: None,
                created_unix_s: None,
            });
        }
        self.over = true;
        sink(&Event::Failed(fault));
    }
}
