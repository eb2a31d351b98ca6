//! A provider's answer → what a client of another dialect gets, as it comes or whole.

use crate::{
    canonical::{
        answer::Answer,
        bad::BadAnswer,
        event::{Began, Event, Reason},
        fault::Fault,
        seal::{self, Signer},
    },
    json::Text,
    speak::{CallFacts, ReadStream, Speaks, WriteStream},
    tokens::{AnswerCounter, Estimate},
    usage::Usage,
};

use super::{gate::Gate, schema, told::Told};

/// Bytes of a buffered answer at most; and of what an answer says, whole or as a stream, with what each of its parts costs
/// to be held (`Event::weight_bytes`). It bounds what any reader, writer or gathered answer may keep.
pub const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of sealed thinking in one part.
const MAX_SEALED_BYTES: usize = 1024 * 1024;

const TOO_LONG: BadAnswer = BadAnswer::new("it is longer than the 32 MiB that the gateway translates");
const TOO_LONG_SEALED: BadAnswer = BadAnswer::new("it has sealed thinking of more than 1 MiB");

/// How the client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Buffered,
    Streamed,
}

/// An answer under way.
#[derive(Debug)]
pub struct Answering {
    provider_speaks: &'static dyn Speaks,
    client_speaks: &'static dyn Speaks,
    source: Source,
    homeward: Homeward,
}

#[derive(Debug)]
enum Source {
    /// One document, gathered.
    Whole(Vec<u8>),
    Stream(Box<dyn ReadStream>),
}

impl Answering {
    /// `model`: the provider's name of it. `streamed`: the provider answers with a stream. `forced_tool`: see `Sent`.
    pub fn new(
        (provider_speaks, provider, signer): (&'static dyn Speaks, &str, Option<Signer>),
        (client_speaks, call): (&'static dyn Speaks, CallFacts),
        model: &str,
        streamed: bool,
        delivery: Delivery,
        forced_tool: bool,
    ) -> Answering {
        let target = match delivery {
            Delivery::Streamed => Target::Stream(client_speaks.stream_writer(&call)),
            Delivery::Buffered => Target::Whole(Box::default()),
        };
        Answering {
            provider_speaks,
            client_speaks,
            source: Source::of(provider_speaks, streamed),
            homeward: Homeward {
                provider: provider.to_owned(),
                signer,
                call,
                forced_tool,
                forced: Vec::new(),
                called: Vec::new(),
                sealed: Vec::new(),
                usage: None,
                said: AnswerCounter::new(model),
                weight_bytes: 0,
                failed: None,
                refused: None,
                ended: false,
                content: 0,
                told: None,
                gate: None,
                target,
            },
        }
    }

    /// Keeps what is said, so that another target can go on where this one breaks; and does not tell of the break.
    pub fn keeps_what_is_told(mut self) -> Answering {
        self.homeward.told = Some(Box::default());
        self
    }

    /// The text so far, where another target can go on from there.
    pub fn text_so_far(&self) -> Option<&str> {
        let told = self.homeward.told.as_ref()?;
        let fits = told.can_be_gone_on_with() && self.homeward.failed.is_none() && !self.homeward.ended;
        fits.then_some(&*told.text)
    }

    /// It has said all but that it is over.
    pub fn is_all_said(&self) -> bool {
        self.homeward.told.as_ref().is_some_and(|told| told.has_stopped())
    }

    /// The provider's error that the client was not told.
    pub fn take_fault(&mut self) -> Option<Fault> {
        self.homeward.told.as_mut()?.fault.take()
    }

    /// Another target goes on with the answer; `spent` was used before. See `new`.
    pub fn go_on(
        &mut self,
        (provider_speaks, provider, signer): (&'static dyn Speaks, &str, Option<Signer>),
        model: &str,
        streamed: bool,
        forced_tool: bool,
        spent: Usage,
    ) {
        self.provider_speaks = provider_speaks;
        self.source = Source::of(provider_speaks, streamed);
        let homeward = &mut self.homeward;
        provider.clone_into(&mut homeward.provider);
        homeward.signer = signer;
        homeward.forced_tool = forced_tool;
        homeward.forced.clear();
        homeward.called.clear();
        homeward.sealed.clear();
        homeward.usage = None;
        homeward.said = AnswerCounter::new(model);
        if let Some(told) = &mut homeward.told {
            told.spent = Some(spent);
            told.go_on();
        }
    }

    /// Nobody goes on with it, and nothing of it is missing: tells the client that it is over.
    pub fn conclude(&mut self, used: Usage, out: &mut Vec<u8>) {
        self.homeward.put(&Event::Usage(used), out);
        self.homeward.put(&Event::Ended, out);
    }

    /// It may say so many tokens in all, as they are counted here; what would be more is not told.
    pub fn may_say(&mut self, tokens: u64) {
        self.homeward.gate.get_or_insert_default().open_up_to(tokens);
    }

    /// It would say more than it may.
    pub fn is_cut(&self) -> bool {
        self.homeward.gate.as_ref().is_some_and(|gate| gate.is_closed())
    }

    /// Ends it where it may say no more, as if its provider had come to a bound of tokens.
    pub fn cut_short(&mut self, used: Usage, out: &mut Vec<u8>) {
        let Some(gate) = &mut self.homeward.gate else { return };
        // For want of tokens: every dialect has a word for that.
        let ending = gate.ending(Reason::Length);
        self.homeward.told = None;
        for event in ending {
            self.homeward.put(&event, out);
        }
        self.conclude(used, out);
    }

    /// Events so far that carried part of the answer.
    pub fn content(&self) -> u64 {
        self.homeward.content
    }

    /// The next bytes of the provider's answer; appends what goes to the client now.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match &mut self.source {
            Source::Whole(held) if held.len() + bytes.len() > MAX_ANSWER_BYTES => return Err(TOO_LONG),
            Source::Whole(held) => held.extend_from_slice(bytes),
            Source::Stream(reader) => {
                let fed = reader.feed(bytes, &mut |event| self.homeward.take(event, out));
                if !self.homeward.ended {
                    fed?;
                }
            }
        }
        self.homeward.check()
    }

    /// The provider's answer is complete, by its own last event or by its framing; appends what is left for the client. For a buffered client that is its whole
    /// body, or the fault that the provider reported with a status of success.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<Option<Fault>, BadAnswer> {
        let homeward = &mut self.homeward;
        match &mut self.source {
            Source::Whole(held) => {
                self.provider_speaks
                    .read_answer(held, &mut |event| homeward.take(event, out))?;
            }
            Source::Stream(_) if homeward.ended || homeward.failed.is_some() => {}
            Source::Stream(reader) => reader.end(&mut |event| homeward.take(event, out))?,
        }
        homeward.check()?;
        match &mut homeward.target {
            Target::Stream(_) => Ok(None),
            Target::Whole(answer) if answer.fault.is_some() => Ok(answer.fault.take()),
            Target::Whole(answer) => {
                self.client_speaks.write_answer(answer, &homeward.call, out);
                Ok(None)
            }
        }
    }

    /// The answer cannot go on: tells a streaming client so.
    pub fn fail(&mut self, fault: Fault, out: &mut Vec<u8>) {
        self.homeward.told = None;
        self.homeward.take(&Event::Failed(fault), out);
    }

    /// A fault has been told to the client, or will be: nothing may follow it.
    pub fn has_failed(&self) -> bool {
        self.homeward.failed.is_some()
    }

    /// With which status, where the provider says so in a stream that it had begun.
    pub fn failed_status(&self) -> Option<u16> {
        self.homeward.failed
    }

    /// The provider's last event has come: what may follow says nothing.
    pub fn has_ended(&self) -> bool {
        self.homeward.ended
    }

    pub fn usage(&self) -> Option<Usage> {
        self.homeward.usage
    }

    /// What the provider said of the gateway's credential, which no client is told.
    pub fn refused(&self) -> Option<&str> {
        self.homeward.refused.as_deref()
    }

    /// The tokens of what the provider said so far, estimated.
    pub fn said(&self) -> Estimate {
        let all = self.homeward.said.estimate();
        match &self.homeward.gate {
            Some(gate) if gate.is_closed() => Estimate {
                tokens: gate.told_tokens(),
                ..all
            },
            _ => all,
        }
    }

    /// Bytes held for this answer.
    pub fn held_bytes(&self) -> usize {
        let source = match &self.source {
            Source::Whole(held) => held.len(),
            Source::Stream(_) => 0,
        };
        let target = match &self.homeward.target {
            Target::Whole(answer) => answer.held_bytes(),
            Target::Stream(_) => 0,
        };
        let told = self.homeward.told.as_ref().map_or(0, |told| told.text.len());
        source + target + told
    }
}

impl Source {
    fn of(provider_speaks: &'static dyn Speaks, streamed: bool) -> Source {
        match streamed {
            true => Source::Stream(provider_speaks.stream_reader()),
            false => Source::Whole(Vec::new()),
        }
    }
}

#[derive(Debug)]
enum Target {
    Whole(Box<Answer>),
    Stream(Box<dyn WriteStream>),
}

/// Between reader and writer: seals what the client must bring back, turns the forced tool into text, names calls.
#[derive(Debug)]
struct Homeward {
    provider: String,
    /// Of what the caller is given to bring back.
    signer: Option<Signer>,
    call: CallFacts,
    forced_tool: bool,
    /// Choices that called the forced tool, and choices that called another.
    forced: Vec<u32>,
    called: Vec<u32>,
    /// Sealed parts under way, each with what came of it.
    sealed: Vec<((u32, u32), String)>,
    usage: Option<Usage>,
    /// Counted for providers that do not say what they used.
    said: AnswerCounter,
    /// Of all events so far.
    weight_bytes: usize,
    /// With the status that its fault has.
    failed: Option<u16>,
    /// What the provider said of the gateway's credential.
    refused: Option<String>,
    ended: bool,
    /// Events that carried part of the answer.
    content: u64,
    /// Kept where another target may go on.
    told: Option<Box<Told>>,
    /// Where the answer may be ended early.
    gate: Option<Box<Gate>>,
    target: Target,
}

impl Homeward {
    fn take(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if let Some(mut onward) = self.told.as_mut().and_then(|told| told.onward.take()) {
            onward.map(event, &mut |event| self.take_ours(event, out));
            if let Some(told) = &mut self.told {
                told.onward = Some(onward);
            }
            return;
        }
        self.take_ours(event, out);
    }

    fn take_ours(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let is_told = matches!(event, Event::Failed(_)) || self.check().is_ok();
        if self.failed.is_some() || self.ended || !is_told {
            return;
        }
        self.said.take(event);
        if let Some(gate) = &mut self.gate
            && !gate.admits(event, self.said.estimate().tokens)
        {
            return;
        }
        match event {
            Event::Began { choice, part, what } => self.begin(*choice, *part, what, out),
            Event::Piece { choice, part, text } => match self.sealed_part(*choice, *part) {
                Some(held) => {
                    held.push_str(&text.plain().unwrap_or_default());
                    self.weight_bytes += event.weight_bytes();
                }
                None => self.put(event, out),
            },
            Event::Signature { choice, part, text } => {
                let sealed = seal::seal(self.signer.as_ref(), &self.provider, &text.plain().unwrap_or_default());
                let (choice, part, text) = (*choice, *part, Text::from(sealed));
                self.put(&Event::Signature { choice, part, text }, out);
            }
            Event::Closed { choice, part } => {
                self.release_sealed(*choice, *part, out);
                self.put(event, out);
            }
            Event::Stopped {
                choice,
                reason: Reason::ToolCalls,
            } if self.only_forced(*choice) => {
                self.put(
                    &Event::Stopped {
                        choice: *choice,
                        reason: Reason::Stop,
                    },
                    out,
                );
            }
            Event::Failed(fault) if self.told.is_some() => {
                if let Some(told) = &mut self.told {
                    told.fault.get_or_insert_with(|| fault.clone());
                }
            }
            // Our own failures have no provider's words, and are of no such kind.
            Event::Failed(fault) if fault.is_of_credential() => {
                self.refused = Some(fault.message.clone());
                self.put(&Event::Failed(fault.without_credential(&self.provider)), out);
            }
            Event::Usage(usage) => {
                self.usage.get_or_insert_default().merge(usage);
                match self.told.as_ref().and_then(|told| told.spent) {
                    None => self.put(event, out),
                    Some(mut all) => {
                        all.add(&self.usage.unwrap_or_default());
                        self.put(&Event::Usage(all), out);
                    }
                }
            }
            _ => self.put(event, out),
        }
    }

    fn begin(&mut self, choice: u32, part: u32, what: &Began<'_>, out: &mut Vec<u8>) {
        let what = match what {
            Began::ToolCall { name, .. } if self.forced_tool && name.is(schema::TOOL) => {
                note(&mut self.forced, choice);
                Began::Text
            }
            Began::ToolCall { id, name } => {
                if self.forced_tool {
                    note(&mut self.called, choice);
                }
                let id = id
                    .clone()
                    .unwrap_or_else(|| Text::from(self.call.call_id(choice, part)));
                Began::ToolCall {
                    id: Some(id),
                    name: name.clone(),
                }
            }
            Began::Sealed { .. } => {
                self.sealed.push(((choice, part), String::new()));
                what.clone()
            }
            _ => what.clone(),
        };
        self.put(&Event::Began { choice, part, what }, out);
    }

    fn sealed_part(&mut self, choice: u32, part: u32) -> Option<&mut String> {
        self.sealed
            .iter_mut()
            .find(|(at, _)| *at == (choice, part))
            .map(|(_, held)| held)
    }

    fn release_sealed(&mut self, choice: u32, part: u32, out: &mut Vec<u8>) {
        let Some(at) = self.sealed.iter().position(|(at, _)| *at == (choice, part)) else {
            return;
        };
        let (_, held) = self.sealed.swap_remove(at);
        let text = Text::from(seal::seal(self.signer.as_ref(), &self.provider, &held));
        self.put(&Event::Piece { choice, part, text }, out);
    }

    /// Every tool call of the choice was the forced one: to the client that is no tool call.
    fn only_forced(&self, choice: u32) -> bool {
        self.forced.contains(&choice) && !self.called.contains(&choice)
    }

    fn put(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        self.weight_bytes += event.weight_bytes();
        if let Event::Failed(fault) = event {
            self.failed = Some(fault.status);
        }
        self.ended |= matches!(event, Event::Ended);
        self.content += u64::from(event.is_content());
        if let Some(told) = &mut self.told {
            told.note(event);
        }
        if let Some(gate) = &mut self.gate {
            gate.note(event);
        }
        match &mut self.target {
            Target::Stream(writer) => writer.write(event, out),
            Target::Whole(answer) => answer.take(event),
        }
    }

    /// What is held stays within its bounds.
    fn check(&self) -> Result<(), BadAnswer> {
        if self.weight_bytes > MAX_ANSWER_BYTES {
            return Err(TOO_LONG);
        }
        match self.sealed.iter().any(|(_, held)| held.len() > MAX_SEALED_BYTES) {
            true => Err(TOO_LONG_SEALED),
            false => Ok(()),
        }
    }
}

/// Choices are few, their calls may be many.
fn note(choices: &mut Vec<u32>, choice: u32) {
    if !choices.contains(&choice) {
        choices.push(choice);
    }
}
