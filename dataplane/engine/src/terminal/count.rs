//! The tokens of a prompt, counted here: the target's provider does not count for the dialect that asks.

use tollgate_dialect::{
    count::{self, Asked},
    speak::PathFacts,
};
use tollgate_wire::http1::write;

use crate::{
    attempt::route_index,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    names::header,
    reply::{self, Reply},
    sealing::request::opened_body,
    surface::Operation,
    upward,
};

/// Answers for the model of this target, whom nobody asks.
pub(crate) fn answer(exchange: &mut Exchange, io: &mut Io<'_>, index: usize) {
    let Operation::CountTokens(asked) = exchange.facts.surface.operation else {
        return exchange.refuse(Failure::gateway(Kind::Internal("nothing to count")), io);
    };
    let start = io.out.arena.len();
    if let Err(failure) = write_count(exchange, io, asked, index) {
        io.out.arena.truncate(start);
        return exchange.refuse(failure, io);
    }
    let body = io.out.written_since(start);
    let whole = Reply {
        status: 200,
        content_type: b"application/json",
        body,
    };
    reply::whole(exchange, io, whole, |out, _| {
        write::header(out, header::ESTIMATED, b"true")
    });
}

fn write_count(exchange: &mut Exchange, io: &mut Io<'_>, asked: Asked, index: usize) -> Result<(), Failure> {
    let pinned = exchange.pin();
    let route = route_index(exchange);
    let target = &pinned.snapshot.routes[route].targets[index];
    upward::set_sent_model(exchange, route, index, target);
    let model = target
        .like
        .as_deref()
        .unwrap_or(exchange.call.sent_model_name(&target.model));
    let in_path = exchange.facts.model_in_path(io.request.path());
    let path = PathFacts {
        model: in_path.as_deref(),
        stream: false,
    };
    let body = opened_body(exchange.admitted.body(io.body), &exchange.admitted.opened);
    let written = count::write_answer(asked, &body, path, model, &mut io.out.arena);
    written.map_err(|bad| Failure::client(upward::kind(bad)))
}
