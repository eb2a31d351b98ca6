//! What a simulated provider does with an attempt.

use tollgate_engine::exchange::UpstreamFault;

use crate::{call::Call, rng::Rng};

/// What becomes of a dial.
pub(crate) enum Dialled {
    Stands { after_ms: u64 },
    Fails { after_ms: u64, fault: UpstreamFault },
    Hangs,
}

/// What becomes of a request that was sent.
pub(crate) enum Fate {
    Answers(Box<Answer>),
    /// No answer ever begins.
    Silent,
    Fails {
        after_ms: u64,
        fault: UpstreamFault,
    },
}

pub(crate) struct Answer {
    pub status: u16,
    pub head: Vec<u8>,
    pub is_events: bool,
    /// Whether its length is told in its head.
    pub has_length: bool,
    /// All bytes the provider sends.
    pub full: Vec<u8>,
    /// What of them the client must see.
    pub visible: Vec<u8>,
    /// For events: where each ends in `full`, and in `visible`.
    pub ends: Vec<(usize, usize)>,
    /// Output tokens it reports.
    pub tokens: Option<u64>,
    /// Delay of each piece and its end in `full`.
    pub pieces: Vec<(u64, usize)>,
    pub head_after_ms: u64,
    pub last: Last,
}

/// How an answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Whole,
    /// The connection breaks behind the last piece.
    Breaks(UpstreamFault),
    /// Nothing comes any more.
    Stalls,
}

pub(crate) fn dial(rng: &mut Rng, fresh: bool) -> Dialled {
    let after_ms = rng.below(30) as u64;
    match rng.below(20) {
        0 => Dialled::Hangs,
        1 => Dialled::Fails {
            after_ms,
            fault: UpstreamFault::Connect,
        },
        2 => Dialled::Fails {
            after_ms,
            fault: *rng.pick(&[
                UpstreamFault::Resolve,
                UpstreamFault::Tls("no"),
                UpstreamFault::Proxy(403),
            ]),
        },
        3 if !fresh => Dialled::Fails {
            after_ms,
            fault: UpstreamFault::Closed { reused: true },
        },
        _ => Dialled::Stands { after_ms },
    }
}

pub(crate) fn fate(rng: &mut Rng, call: &Call, usage_added: bool, fresh: bool) -> Fate {
    let after_ms = rng.below(200) as u64;
    match rng.below(20) {
        0 => Fate::Silent,
        1 => Fate::Fails {
            after_ms,
            fault: UpstreamFault::Closed {
                reused: !fresh && rng.percent(70),
            },
        },
        2 => Fate::Fails {
            after_ms,
            fault: *rng.pick(&[UpstreamFault::Cut, UpstreamFault::BadAnswer("junk")]),
        },
        _ => Fate::Answers(Box::new(answer(rng, call, usage_added))),
    }
}

fn answer(rng: &mut Rng, call: &Call, usage_added: bool) -> Answer {
    let status = *rng.pick(&[200, 200, 200, 200, 200, 200, 400, 429, 500, 503]);
    let is_events = status == 200 && call.stream;
    let mut made = if is_events {
        events(rng, call, usage_added)
    } else {
        document(rng, call, status)
    };
    let has_length = !is_events && rng.percent(70) || is_events && !usage_added && rng.percent(5);
    let kind = if is_events {
        "text/event-stream"
    } else {
        "application/json"
    };
    let framing = match has_length {
        true => format!("content-length: {}", made.full.len()),
        false => "transfer-encoding: chunked".to_owned(),
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{framing}\r\nset-cookie: a=b\r\n\r\n");
    made.status = status;
    made.head = head.into_bytes();
    made.is_events = is_events;
    made.has_length = has_length;
    made.head_after_ms = if rng.percent(5) { 1_500 } else { rng.below(300) as u64 };
    let whole = made.full.len();
    let until = match rng.below(12) {
        0 => rng.between(0, whole),
        _ => whole,
    };
    made.last = match (until == whole, rng.percent(50)) {
        (true, _) => Last::Whole,
        (false, true) => Last::Breaks(*rng.pick(&[UpstreamFault::Cut, UpstreamFault::BadAnswer("bad chunk")])),
        (false, false) => Last::Stalls,
    };
    made.pieces = cut(rng, until);
    made
}

/// Cuts `0..until` into pieces, anything between bytes and all at once.
fn cut(rng: &mut Rng, until: usize) -> Vec<(u64, usize)> {
    let largest = *rng.pick(&[1, 3, 40, 400, 100_000]);
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < until {
        // Tiny pieces of a long body would make one history of everything.
        let least = if largest < 10 && until > 600 { 60 } else { 1 };
        at = (at + rng.between(least, largest.max(least))).min(until);
        let delay_ms = if rng.percent(1) { 600 } else { rng.below(3) as u64 };
        pieces.push((delay_ms, at));
    }
    pieces
}

fn empty() -> Answer {
    Answer {
        status: 0,
        head: Vec::new(),
        is_events: false,
        has_length: false,
        full: Vec::new(),
        visible: Vec::new(),
        ends: Vec::new(),
        tokens: None,
        pieces: Vec::new(),
        head_after_ms: 0,
        last: Last::Whole,
    }
}

fn document(rng: &mut Rng, call: &Call, status: u16) -> Answer {
    let tokens = rng.between(1, 1_000) as u64;
    let text = "words of \\\"usage\\\":{ an answer ".repeat(rng.between(0, 30));
    let name = if call.anthropic {
        "output_tokens"
    } else {
        "completion_tokens"
    };
    let body = format!("{{\"text\":\"{text}\",\"usage\":{{\"{name}\":{tokens}}}}}").into_bytes();
    let tokens = (status == 200).then_some(tokens);
    Answer {
        visible: body.clone(),
        full: body,
        tokens,
        ..empty()
    }
}

fn events(rng: &mut Rng, call: &Call, usage_added: bool) -> Answer {
    let mut made = empty();
    let tokens = rng.between(1, 1_000) as u64;
    for _ in 0..rng.between(0, 12) {
        let line_end = *rng.pick(&["\n", "\n", "\r\n"]);
        if rng.percent(10) {
            push_event(&mut made, ": still there\n\n", true, None);
        }
        let text = "ab \\\"usage\\\":null ".repeat(rng.between(0, 4));
        let shown = format!("data: {{\"delta\":\"{text}\",\"choices\":[1]}}{line_end}{line_end}");
        if !call.anthropic && (usage_added || call.asks_usage) {
            let with = shown.replace("\"choices\":[1]", "\"choices\":[1],\"usage\":null");
            let visible = if usage_added { shown } else { with.clone() };
            push_event(&mut made, &with, true, Some(&visible));
        } else {
            push_event(&mut made, &shown, true, None);
        }
    }
    if call.anthropic {
        let event = format!("event: message_delta\ndata: {{\"usage\":{{\"output_tokens\":{tokens}}}}}\n\n");
        push_event(&mut made, &event, true, None);
        made.tokens = Some(tokens);
    } else {
        if usage_added || call.asks_usage {
            let event = format!("data: {{\"choices\":[],\"usage\":{{\"completion_tokens\":{tokens}}}}}\n\n");
            push_event(&mut made, &event, !usage_added, None);
            made.tokens = Some(tokens);
        }
        push_event(&mut made, "data: [DONE]\n\n", true, None);
    }
    made
}

fn push_event(made: &mut Answer, full: &str, is_shown: bool, visible: Option<&str>) {
    made.full.extend_from_slice(full.as_bytes());
    if is_shown {
        made.visible.extend_from_slice(visible.unwrap_or(full).as_bytes());
    }
    made.ends.push((made.full.len(), made.visible.len()));
}

impl Answer {
    /// What the client must have seen once `passed` bytes of `full` have come.
    pub fn visible_after(&self, passed: usize) -> usize {
        if !self.is_events {
            return passed;
        }
        self.ends
            .iter()
            .rev()
            .find(|(full, _)| *full <= passed)
            .map_or(0, |(_, visible)| *visible)
    }
}
