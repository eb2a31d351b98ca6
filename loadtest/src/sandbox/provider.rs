//! Answers as a provider: finds whose API a request is for, and what scenario, model name and headers wish, and has the
//! answer composed. Knows no socket; it is given the thread's number and the state the threads share.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{SystemTime, UNIX_EPOCH},
};

use tollgate_wire::head::{Known, RequestView};

use super::{
    answer::{self, Answer, Call},
    api::{self, Failure, Request},
    ask::Ask,
    fault::Wishes,
    limits::{Cost, Standing},
    memo::Memo,
    reply,
    spread::Dice,
    stage::{Held, Stage},
};
use crate::net::clock;

/// What a thread answers from.
#[derive(Default)]
pub struct Provider {
    thread: u64,
    memo: Memo,
    held: Held,
    requests: u64,
}

impl Provider {
    pub fn new(thread: usize) -> Self {
        Self {
            thread: thread as u64,
            ..Self::default()
        }
    }

    pub fn answer(&mut self, stage: &Stage, view: RequestView, body: &[u8], answer: &mut Answer) {
        stage.refresh(&mut self.held);
        self.requests += 1;
        let number = self.thread << 48 | self.requests;
        let id = reply::hex(number);
        let request = Request { view, body };
        let Some((api, operation)) = api::find(view) else {
            return answer.json(404, &not_found());
        };
        let is_plain = self.held.scenario.is_empty()
            && view.head.keep_alive
            && !view.head.http_1_0
            && !has_wishes(view)
            && api.refusal(view).is_none();
        let remembered_as = operation.remembered_as().filter(|_| is_plain);
        if let Some(dialect) = remembered_as
            && let Some((known, id_at)) = self.memo.get(dialect, body)
        {
            answer.bytes.extend_from_slice(known);
            answer.bytes[id_at..id_at + id.len()].copy_from_slice(&id);
            return;
        }
        let ask = operation.read(&request);
        let wished = self.wishes(view, &ask);
        let mut wishes = wished.as_ref().cloned().unwrap_or_default();
        stage.count_failure(&mut wishes);
        let mut call = Call {
            api,
            operation,
            request,
            wishes: &wishes,
            request_id: &id,
            dice: Dice::new(self.held.scenario.seed, number),
        };
        if let Err(reason) = wished {
            return answer.error(&call, &Failure::new(400, &reason));
        }
        answer.compose(&mut call, ask, |ask, cost| self.admit(view, ask, cost));
        if let Some(dialect) = remembered_as
            && !answer.is_refusal
            && wishes == Wishes::default()
        {
            self.memo.put(dialect, body, &answer.bytes, answer.id_at);
        }
    }

    /// Everything asked of an answer: by the scenario, then by the model's name, then by headers.
    fn wishes(&self, view: RequestView, ask: &Result<Ask, String>) -> Result<Wishes, String> {
        let scenario = &self.held.scenario;
        let wishes = match ask {
            Ok(ask) if !scenario.is_empty() => {
                let age_ns = clock::now_ns().saturating_sub(self.held.began_ns);
                scenario.wishes(&ask.model, age_ns)
            }
            _ => Wishes::default(),
        };
        answer::wishes(wishes, view, ask)
    }

    /// What the limits say to a call.
    fn admit(&self, view: RequestView, ask: &Ask, cost: Cost) -> Option<Standing> {
        let limit = self.held.scenario.limit(&ask.model)?;
        let mut standing = limit.admit(account(view), cost, clock::now_ns());
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        standing.at_unix_s = unix.map_or(0, |since| since.as_secs());
        Some(standing)
    }
}

/// Whose limits a call counts against: its credential's, however it is sent. What AWS signs changes with every request,
/// and the access key before it does not.
fn account(view: RequestView) -> u64 {
    const HEADERS: [Known; 4] = [Known::Authorization, Known::XApiKey, Known::XGoogApiKey, Known::ApiKey];
    let credential = HEADERS.iter().find_map(|header| view.get(*header)).unwrap_or_default();
    let end = memchr::memchr(b'/', credential).unwrap_or(credential.len());
    let mut hasher = DefaultHasher::new();
    credential[..end].hash(&mut hasher);
    hasher.finish()
}

/// Whether headers wish something.
fn has_wishes(view: RequestView) -> bool {
    let prefix = answer::PREFIX;
    view.head.fields.lines.iter().any(|field| {
        field.known == Known::Other
            && field.name.len() > prefix.len()
            && field.name.of(view.buf)[..prefix.len()].eq_ignore_ascii_case(prefix)
    })
}

/// What nobody's path is answered with.
pub fn not_found() -> Vec<u8> {
    plain_error(404, "the sandbox has no such path")
}

/// An error outside any provider's API, in the shape that most clients read.
pub fn plain_error(status: u16, message: &str) -> Vec<u8> {
    let mut body = Vec::new();
    api::plain().error(&mut body, &Failure::new(status, message));
    body
}
