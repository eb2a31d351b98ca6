//! What the sandbox does beyond saying a text: it calls tools, reads their results, answers by a schema, thinks and signs
//! its thoughts, looks at pictures. Deterministic, and the same in every dialect: requests are read and answers written
//! by the dialects' own crate, in whose canonical events the answer is decided.
//!
//! It must never know a socket, and nothing of the gateway but how the dialects are spoken.

mod decide;
mod history;
mod script;
mod signature;
mod values;

use tollgate_dialect::{
    canonical::answer::Answer,
    speak::{CallFacts, PathFacts, Speaks},
};

use super::{
    api::{Operation, Request},
    ask::Ask,
    reply::{CREATED_UNIX_S, Events, Reply, hex},
};
use script::Script;

/// How a dialect's provider performs.
#[derive(Clone, Copy, Debug)]
pub struct Performer {
    pub speaks: &'static dyn Speaks,
    pub signs: Signs,
    /// The provider's own rules for a request, beyond its shape.
    pub rules: Rules,
    /// Calls are signed whether thoughts are asked for or not.
    pub always_signs: bool,
    /// Streams are one JSON array.
    pub as_array: bool,
}

impl Performer {
    pub fn new(speaks: &'static dyn Speaks, signs: Signs) -> Self {
        Self {
            speaks,
            signs,
            rules: |_| Ok(()),
            always_signs: false,
            as_array: false,
        }
    }
}

/// Refuses a request in the provider's words.
pub type Rules = fn(&tollgate_dialect::canonical::request::Request<'_>) -> Result<(), String>;

/// What of an answer the provider signs when it has thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    Thoughts,
    /// The first call, else the text.
    WhatFollows,
    /// A sealed copy of the thoughts comes beside them.
    Sealed,
    Nothing,
}

/// An answer that is more than a text, in place of the operation's own.
pub struct Performance {
    operation: &'static dyn Operation,
    speaks: &'static dyn Speaks,
    script: Script,
    call: CallFacts,
}

impl Performance {
    /// `None` where a text is all that is asked for after all. The error is the message for a 400.
    pub fn of(
        operation: &'static dyn Operation,
        request: &Request<'_>,
        ask: &Ask<'_>,
        reply: &Reply<'_>,
    ) -> Result<Option<Self>, String> {
        let Some(performer) = operation.performer(&ask.model).filter(|_| ask.is_beyond_text()) else {
            return Ok(None);
        };
        let path = PathFacts {
            model: Some(&ask.model),
            stream: ask.stream,
        };
        let read = performer.speaks.read_request(request.body, path);
        let mut read = read.map_err(|bad| bad.to_string())?;
        (performer.rules)(&read)?;
        read.name_calls();
        let Some(script) = decide::script(&read, &performer, reply)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            operation,
            speaks: performer.speaks,
            script,
            call: CallFacts {
                request_id: String::from_utf8_lossy(&hex(reply.seed)).into_owned(),
                model: ask.model.to_string(),
                now_unix_s: CREATED_UNIX_S,
                stream_usage: read.stream_usage,
                as_array: performer.as_array,
            },
        }))
    }

    /// The tokens of everything it says.
    pub fn output_tokens(&self) -> u64 {
        self.script.usage().all_output()
    }
}

impl Operation for Performance {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        self.operation.read(request)
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, _reply: &Reply) {
        let mut answer = Answer::default();
        self.script.play(&self.call, |event, _| answer.take(event));
        self.speaks.write_answer(&answer, &self.call, out);
    }

    fn stream(&self, mut events: Events, _request: &Request, _ask: &Ask, _reply: &Reply) {
        let mut writer = self.speaks.stream_writer(&self.call);
        let mut written = Vec::new();
        self.script.play(&self.call, |event, paced| {
            written.clear();
            writer.write(event, &mut written);
            if !written.is_empty() {
                events.event(|out| out.extend_from_slice(&written));
            }
            if paced {
                events.pace();
            }
        });
        events.end();
    }

    fn stream_type(&self) -> &'static str {
        self.operation.stream_type()
    }
}
