//! Health: is the process up, and may it be sent requests?

use crate::{
    exchange::{Exchange, Io},
    reply::{self, Reply},
    stage::Verdict,
};

pub(crate) fn up(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    answer(exchange, io, 200, b"ok\n")
}

pub(crate) fn ready(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    match io.ready {
        true => answer(exchange, io, 200, b"ready\n"),
        false => answer(exchange, io, 503, b"not ready\n"),
    }
}

fn answer(exchange: &mut Exchange, io: &mut Io<'_>, status: u16, text: &[u8]) -> Verdict {
    let start = io.out.arena.len();
    io.out.arena.extend_from_slice(text);
    let body = io.out.written_since(start);
    reply::whole(
        exchange,
        io,
        Reply {
            status,
            content_type: b"text/plain; charset=utf-8",
            body,
        },
        |_, _| {},
    );
    Verdict::Taken
}
