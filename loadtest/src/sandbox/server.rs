//! What a thread serves from: the provider that answers, the record of what arrived, the sandbox's own pages. Knows no
//! socket; the record and the scenario are shared by the threads, the rest is the thread's alone.

use std::sync::Arc;

use tollgate_wire::head::{Method, RequestView};

use super::{
    answer::Answer,
    arrivals::{Arrivals, Ending, Request, Ticket},
    provider::{Provider, plain_error},
    scenario::Scenario,
    stage::Stage,
};

pub struct Server {
    thread: usize,
    pub arrivals: Arc<Arrivals>,
    stage: Arc<Stage>,
    provider: Provider,
}

impl Server {
    pub fn new(thread: usize, arrivals: Arc<Arrivals>, stage: Arc<Stage>) -> Self {
        Self {
            thread,
            arrivals,
            stage,
            provider: Provider::new(thread),
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
            return self.own_page(view, body, answer);
        }
        self.provider.answer(&self.stage, view, body, answer);
        if view.head.method == Method::Head {
            let end = answer.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            answer.bytes.truncate(end.map_or(0, |end| end + 4));
        }
    }

    /// `/_sandbox/…`: what tests read and set.
    fn own_page(&self, view: RequestView, body: &[u8], answer: &mut Answer) {
        match (view.head.method, view.path()) {
            (Method::Get, b"/_sandbox/arrivals") => answer.json(200, self.arrivals.report().to_string().as_bytes()),
            (Method::Post, b"/_sandbox/reset") => {
                self.arrivals.reset();
                answer.json(200, b"{}");
            }
            (Method::Put, b"/_sandbox/scenario") => match Scenario::parse(body, None) {
                Ok(scenario) => {
                    self.stage.replace(scenario);
                    answer.json(200, b"{}");
                }
                Err(reason) => answer.json(400, &plain_error(400, &reason)),
            },
            _ => answer.json(404, &plain_error(404, "the sandbox has arrivals, reset and scenario")),
        }
    }
}

/// Whether a request is about the sandbox itself; such are not recorded.
pub fn is_own(view: RequestView) -> bool {
    view.path().starts_with(b"/_sandbox/")
}
