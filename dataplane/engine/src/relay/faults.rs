//! A stream that passes untouched and says, after it has begun, that its provider failed. The client reads that for itself;
//! here it is told to whoever judges the target. Looks at how events begin and at nothing else of those that are none.

use memchr::memmem;
use tollgate_config::document::Dialect;
use tollgate_dialect::canonical::{
    event::Event,
    fault::{Fault, FaultKind},
};

use super::Relay;
use crate::{
    attempt::outcome,
    exchange::{Exchange, Io},
    speaks,
};

/// Of an event.
const END: &[u8] = b"\n\n";
const FAILED: u16 = 500;

/// What a stream has said of a failure.
#[derive(Debug, Default)]
pub(super) struct Faults {
    heard: Option<u16>,
    told: bool,
}

impl Relay {
    /// The stream has said that it fails, and its target was blamed.
    pub fn has_told_fault(&self) -> bool {
        self.faults.told
    }
}

/// Looks at whole events, the first of them at the beginning.
pub(super) fn look(faults: &mut Faults, dialect: Option<Dialect>, events: &[u8]) {
    if let Some(at) = begins_at(events)
        && let Some(dialect) = dialect
    {
        faults.heard = faults.heard.or_else(|| status_in(dialect, &events[at..]));
    }
}

/// Events one by one, of bytes that are at hand for a moment alone.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    held: Vec<u8>,
    /// The event that comes is longer than any that tells a failure.
    is_long: bool,
    failed: Option<Vec<u8>>,
}

impl Gathered {
    /// Those that tell a failure are short.
    const MAX_EVENT_BYTES: usize = 16 * 1024;

    pub fn feed(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.held.len() + line.len() > Self::MAX_EVENT_BYTES {
                self.is_long = true;
                // Its end is still looked for.
                let kept = self.held.len().saturating_sub(END.len() + 2);
                self.held.drain(..kept);
                self.held
                    .extend_from_slice(&line[line.len().saturating_sub(END.len() + 2)..]);
            } else {
                self.held.extend_from_slice(line);
            }
            if self.held.ends_with(END) || self.held.ends_with(b"\r\n\r\n") {
                if !std::mem::take(&mut self.is_long) && self.failed.is_none() && begins_as_fault(&self.held) {
                    self.failed = Some(std::mem::take(&mut self.held));
                }
                self.held.clear();
            }
        }
    }

    pub fn take(&mut self, look: impl FnOnce(&[u8])) {
        if let Some(event) = self.failed.take() {
            look(&event);
        }
    }
}

impl Faults {
    /// Frames of AWS told it, or a list of Google's answers.
    pub fn hear(&mut self, fault: &Fault) {
        self.heard = self.heard.or(Some(status_of(fault)));
    }
}

/// Blames the target for what was heard, once.
pub(super) fn tell(exchange: &mut Exchange, io: &mut Io<'_>) {
    if let Some(status) = exchange.relay.faults.heard.take()
        && !exchange.relay.faults.told
    {
        outcome::told(exchange, io, status, None);
        exchange.relay.faults.told = true;
    }
}

/// Where one begins. An event that tells a failure comes by itself, or as the last, or before the one that only ends an
/// OpenAI stream.
fn begins_at(events: &[u8]) -> Option<usize> {
    if begins_as_fault(events) {
        return Some(0);
    }
    // Google's lines end so.
    match events.strip_suffix(END).or_else(|| events.strip_suffix(b"\r\n\r\n"))? {
        // OpenAI's pieces end in lists, mostly.
        event if event.ends_with(b"}}") || event.ends_with(b"\"}") => {
            let line = memchr::memrchr(b'\n', event)? + 1;
            begins_as_fault(&event[line..]).then_some(line)
        }
        event if event.ends_with(b"[DONE]") => {
            let mut begins = memmem::find_iter(event, END).map(|end| end + END.len());
            begins.find(|&begin| begins_as_fault(&event[begin..]))
        }
        _ => None,
    }
}

/// In the words of any dialect that has server-sent events: most events are told apart by their first bytes.
fn begins_as_fault(event: &[u8]) -> bool {
    // Cohere's last event says how the answer ended.
    const DATA: [&[u8]; 5] = [
        b"{\"error\"",
        b"{\"type\":\"error\"",
        b"{\"type\": \"error\"",
        b"{\"type\":\"response.failed\"",
        b"{\"type\":\"message-end\"",
    ];
    const NAMES: [&[u8]; 3] = [b"error", b"response.failed", b"message-end"];
    let behind = |word: &[u8]| {
        event
            .strip_prefix(word)
            .map(|rest| rest.strip_prefix(b" ").unwrap_or(rest))
    };
    match event.first() {
        Some(b'd') => behind(b"data:").is_some_and(|data| {
            // Those of answers begin with other names, mostly.
            matches!(data.get(2), Some(b'e' | b't')) && DATA.iter().any(|begin| data.starts_with(begin))
        }),
        Some(b'e') => behind(b"event:").is_some_and(|name| NAMES.iter().any(|begin| name.starts_with(begin))),
        _ => false,
    }
}

/// The status that a failure among these events is told as.
fn status_in(dialect: Dialect, events: &[u8]) -> Option<u16> {
    let mut status = None;
    let mut reader = speaks::of(dialect).stream_reader();
    // What is no event of the dialect is no failure that it knows.
    let _ = reader.feed(events, &mut |event| {
        if let Event::Failed(fault) = event {
            status = status.or(Some(status_of(fault)));
        }
    });
    status
}

/// Some providers tell their own failures with a status from 400 on.
fn status_of(fault: &Fault) -> u16 {
    match fault.kind {
        FaultKind::Internal | FaultKind::Overloaded | FaultKind::Timeout => fault.status.max(FAILED),
        _ => fault.status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_found_wherever_they_stand_and_nothing_else_is() {
        let delta = "data: {\"choices\":[{\"delta\":{\"content\":\"{\\\"error\\\"}\"}}]}\n\n";
        let fault = "data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\"}}\n\n";
        let done = "data: [DONE]\n\n";
        for found in [
            fault.to_owned(),
            format!("{delta}{fault}"),
            format!("{delta}{fault}{done}"),
            "event: error\ndata: {\"type\":\"error\"}\n\n".to_owned(),
            "data:{\"type\":\"error\",\"error\":{}}\n\n".to_owned(),
            "event: response.failed\ndata: {}\n\n".to_owned(),
        ] {
            assert!(begins_at(found.as_bytes()).is_some(), "{found}");
        }
        for other in [
            delta.to_owned(),
            format!("{delta}{delta}{done}"),
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n"
                .to_owned(),
            String::new(),
        ] {
            assert!(begins_at(other.as_bytes()).is_none(), "{other}");
        }
    }
}
