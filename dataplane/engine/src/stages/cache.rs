//! cache: a call that comes again gets the answer it had. No cache can be configured yet, so every other lookup misses; what
//! a request says about caching is checked.

use tollgate_wire::head::Known;

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    repeats,
    stage::Verdict,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let kind = match io.request.get(Known::XTollgateCache) {
        None | Some(b"bypass" | b"refresh") => return repeats::enter(exchange, io),
        Some(b"only") => Kind::CacheMiss,
        Some(_) => Kind::Header {
            name: "x-tollgate-cache",
            wrong: "must be bypass, refresh or only",
        },
    };
    Verdict::Refuse(Failure::client(kind))
}
