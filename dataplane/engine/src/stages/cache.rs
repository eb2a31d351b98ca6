//! cache: no cache can be configured yet, so every lookup misses; what a request says about caching is checked.

use tollgate_wire::head::Known;

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    stage::Verdict,
};

pub(crate) fn enter(_: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let kind = match io.request.get(Known::XTollgateCache) {
        None | Some(b"bypass" | b"refresh") => return Verdict::Next,
        Some(b"only") => Kind::CacheMiss,
        Some(_) => Kind::Header {
            name: "x-tollgate-cache",
            wrong: "must be bypass, refresh or only",
        },
    };
    Verdict::Refuse(Failure::client(kind))
}
