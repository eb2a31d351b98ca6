//! Tool calls as they come: by OpenAI's index, or without one, or all with the same, whole or in pieces.

use crate::{
    canonical::{
        bad::BadAnswer,
        event::{Began, Event},
    },
    json::{Node, Text},
    speak::Sink,
};

use super::extra;

/// Tool calls of one choice.
const MAX_CALLS: usize = 1_024;
/// What is held of the calls of one choice: their ids, and the arguments of those that have no name yet.
const MAX_HELD_BYTES: usize = 256 * 1024;

const TOO_MANY: BadAnswer = BadAnswer::new("it has more tool calls than a gateway holds");
const TOO_LONG: BadAnswer =
    BadAnswer::new("its tool calls hold more than 256 KiB of ids and of arguments without a name");
const NAMELESS: BadAnswer = BadAnswer::new("it has a tool call without a name");

#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    held_bytes: usize,
}

#[derive(Debug)]
struct Call {
    index: Option<u64>,
    id: Option<String>,
    /// `None`: its name has not come, nothing was told of it.
    part: Option<u32>,
    /// Arguments that came before the name, with their escapes.
    held: Vec<u8>,
    signed: bool,
}

/// A call's object, which the one call of `function_call` has not, and its `function`.
type Piece<'a> = (Option<Node<'a>>, Option<Node<'a>>);

impl Calls {
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The next piece of a call. `parts` counts the parts of the choice.
    pub fn take(
        &mut self,
        (call, function): Piece<'_>,
        choice: u32,
        parts: &mut u32,
        sink: &mut Sink<'_>,
    ) -> Result<(), BadAnswer> {
        let filled = |text: &Text<'_>| !text.is_empty();
        let index = call.and_then(|call| call.get("index")?.unsigned());
        let id = call.and_then(|call| call.get("id")?.text()).filter(filled);
        let name = member(function, "name").and_then(Node::text).filter(filled);
        let plain_id = id.as_ref().and_then(Text::plain);
        let at = self.find(index, plain_id.as_deref(), name.is_some())?;
        let call_state = &mut self.calls[at];
        if call_state.id.is_none() {
            self.held_bytes += plain_id.as_ref().map_or(0, |id| id.len());
            call_state.id = plain_id.map(Into::into);
        }
        if let (None, Some(name)) = (call_state.part, name) {
            call_state.begin(name, choice, parts, sink);
        }
        if let Some(arguments) = member(function, "arguments") {
            self.held_bytes += call_state.arguments(arguments, choice, sink);
        }
        if self.held_bytes > MAX_HELD_BYTES {
            return Err(TOO_LONG);
        }
        if let (Some(text), Some(part), false) = (
            extra::signature(member(call, "extra_content")),
            call_state.part,
            call_state.signed,
        ) {
            call_state.signed = true;
            sink(&Event::Signature { choice, part, text });
        }
        Ok(())
    }

    /// The position of the call that a piece is of.
    fn find(&mut self, index: Option<u64>, id: Option<&str>, named: bool) -> Result<usize, BadAnswer> {
        let same_id = |call: &Call| id.is_none() || call.id.is_none() || call.id.as_deref() == id;
        let known = match index {
            // Some servers give all calls the index 0; a new id with a name is then a new call.
            Some(_) => {
                let known = self.calls.iter().rposition(|call| call.index == index);
                known.filter(|&at| !named || same_id(&self.calls[at]))
            }
            None if id.is_some() => self.calls.iter().rposition(|call| call.id.as_deref() == id),
            // Neither index nor id: a name begins a call, anything else goes on with the last.
            None => {
                let last = self.calls.len().checked_sub(1);
                last.filter(|&at| !named || self.calls[at].part.is_none())
            }
        };
        if let Some(at) = known {
            return Ok(at);
        }
        if self.calls.len() == MAX_CALLS {
            return Err(TOO_MANY);
        }
        self.calls.push(Call {
            index,
            id: None,
            part: None,
            held: Vec::new(),
            signed: false,
        });
        Ok(self.calls.len() - 1)
    }

    /// Closes them all. A call that never got a name cannot be told.
    pub fn close(&mut self, choice: u32, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        for call in &self.calls {
            let part = call.part.ok_or(NAMELESS)?;
            sink(&Event::Closed { choice, part });
        }
        Ok(())
    }
}

fn member<'a>(node: Option<Node<'a>>, name: &str) -> Option<Node<'a>> {
    node?.get(name).filter(|node| !node.is_null())
}

impl Call {
    fn begin(&mut self, name: Text<'_>, choice: u32, parts: &mut u32, sink: &mut Sink<'_>) {
        let part = *parts;
        *parts += 1;
        self.part = Some(part);
        let id = self.id.as_deref().map(Text::from);
        let what = Began::ToolCall { id, name };
        sink(&Event::Began { choice, part, what });
        if !self.held.is_empty() {
            let text = Text::Escaped(&self.held);
            sink(&Event::Piece { choice, part, text });
            self.held = Vec::new();
        }
    }

    /// Gives how many bytes of them must be held.
    fn arguments(&mut self, node: Node<'_>, choice: u32, sink: &mut Sink<'_>) -> usize {
        // Some servers send the object itself.
        let text = match node.text() {
            Some(text) => text,
            None => Text::Plain(String::from_utf8_lossy(node.raw())),
        };
        match self.part {
            _ if text.is_empty() => 0,
            Some(part) => {
                sink(&Event::Piece { choice, part, text });
                0
            }
            None => {
                let before = self.held.len();
                text.write_escaped(&mut self.held);
                self.held.len() - before
            }
        }
    }
}
