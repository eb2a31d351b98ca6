//! Decides what a whole request is answered with: a dialect's answer, the list of models, or the sandbox's own pages.
//! Knows no socket; what it remembers is its thread's alone, except the scenario and the record of arrivals.

use std::sync::Arc;

use tollgate_wire::{
    head::{Known, Method, RequestView},
    json::edit,
};

use super::{
    answer::{self, Answer, Call},
    arrivals::{Arrivals, Ending, Request, Ticket},
    ask::{self, Dialect},
    fault::Wishes,
    memo::Memo,
    openai, reply,
    scenario::{Scenario, Stage},
};

/// What a thread answers from.
pub struct Provider {
    thread: usize,
    pub arrivals: Arc<Arrivals>,
    stage: Arc<Stage>,
    memo: Memo,
    scenario: Arc<Scenario>,
    generation: u64,
    requests: u64,
}

impl Provider {
    pub fn new(thread: usize, arrivals: Arc<Arrivals>, stage: Arc<Stage>) -> Self {
        Self {
            thread,
            arrivals,
            stage,
            memo: Memo::default(),
            scenario: Arc::default(),
            generation: 0,
            requests: 0,
        }
    }

    /// Records a request in the thread's part of the record.
    pub fn record(&self, connection: u64, head: &[u8], body: &[u8], ending: Ending, now_ns: u64) -> Ticket {
        let request = Request { connection, head, body };
        self.arrivals.record(self.thread, &request, ending, now_ns)
    }

    /// Composes the answer to a whole request into `answer`, which is clear but for `close`.
    pub fn compose(&mut self, view: RequestView, body: &[u8], answer: &mut Answer) {
        if is_own(view) {
            return compose_own(self, view, body, answer);
        }
        match (view.head.method, answer::dialect_of(view.path())) {
            (Method::Post, Some(dialect)) => compose_chat(self, dialect, view, body, answer),
            (Method::Get | Method::Head, None) => compose_models(view, answer),
            _ => answer.json(404, &openai::refusal(404, "the sandbox has no such path")),
        }
        if view.head.method == Method::Head {
            let end = answer.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            answer.bytes.truncate(end.map_or(0, |end| end + 4));
        }
    }
}

/// Whether a request is about the sandbox itself; such are not recorded.
pub fn is_own(view: RequestView) -> bool {
    view.path().starts_with(b"/_sandbox/")
}

fn compose_chat(provider: &mut Provider, dialect: Dialect, view: RequestView, body: &[u8], answer: &mut Answer) {
    let Provider {
        stage,
        memo,
        scenario,
        generation,
        requests,
        ..
    } = provider;
    stage.refresh(generation, scenario);
    *requests += 1;
    let id = reply::hex((provider.thread as u64) << 48 | *requests);
    let is_plain = scenario.is_empty() && view.head.keep_alive && !view.head.http_1_0 && !has_wishes(view, dialect);
    if is_plain && let Some((known, id_at)) = memo.get(dialect, body) {
        answer.bytes.extend_from_slice(known);
        answer.bytes[id_at..id_at + id.len()].copy_from_slice(&id);
        return;
    }
    let ask = ask::read(dialect, body);
    let ruled = ask.as_ref().map(|ask| scenario.wishes(&ask.model)).unwrap_or_default();
    let mut wishes = match answer::wishes(ruled, view, &ask) {
        Ok(wishes) => wishes,
        Err(reason) => {
            let call = Call {
                dialect,
                view,
                wishes: &Wishes::default(),
                request_id: &id,
            };
            return answer.error(&call, 400, &reason);
        }
    };
    stage.count_failure(&mut wishes);
    let is_valid = ask.is_ok();
    answer.chat(
        &Call {
            dialect,
            view,
            wishes: &wishes,
            request_id: &id,
        },
        ask,
    );
    if is_plain && is_valid && wishes == Wishes::default() {
        memo.put(dialect, body, &answer.bytes, answer.id_at);
    }
}

/// Whether headers may change the answer: wishes, or the absence of one that Anthropic requires.
fn has_wishes(view: RequestView, dialect: Dialect) -> bool {
    let asks = view.head.fields.lines.iter().any(|field| {
        field.known == Known::Other
            && field.name.len() > 10
            && field.name.of(view.buf)[..10].eq_ignore_ascii_case(b"x-sandbox-")
    });
    asks || dialect == Dialect::Anthropic && view.get(Known::AnthropicVersion).is_none()
}

fn compose_models(view: RequestView, answer: &mut Answer) {
    let mut body = Vec::new();
    let path = view.path();
    if path.ends_with(b"/models") {
        openai::models(&mut body);
        return answer.json(200, &body);
    }
    match path.windows(8).position(|eight| eight == b"/models/") {
        Some(at) => {
            let mut id = Vec::new();
            edit::write_string(&mut id, &String::from_utf8_lossy(&path[at + 8..]));
            openai::model(&mut body, &id);
            answer.json(200, &body);
        }
        None => answer.json(404, &openai::refusal(404, "the sandbox has no such path")),
    }
}

/// `/_sandbox/…`: what tests read and set.
fn compose_own(provider: &Provider, view: RequestView, body: &[u8], answer: &mut Answer) {
    match (view.head.method, view.path()) {
        (Method::Get, b"/_sandbox/arrivals") => answer.json(200, provider.arrivals.report().to_string().as_bytes()),
        (Method::Post, b"/_sandbox/reset") => {
            provider.arrivals.reset();
            answer.json(200, b"{}");
        }
        (Method::Put, b"/_sandbox/scenario") => match Scenario::parse(body) {
            Ok(scenario) => {
                provider.stage.replace(scenario);
                answer.json(200, b"{}");
            }
            Err(reason) => answer.json(400, &openai::refusal(400, &reason)),
        },
        _ => answer.json(
            404,
            &openai::refusal(404, "the sandbox has arrivals, reset and scenario"),
        ),
    }
}
