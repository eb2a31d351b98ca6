//! The order of a request, on one screen. A stage is one file; a surface names its list.
//!
//! `match` runs first and chooses the surface; `settle` runs last, whatever ended the exchange.

use crate::{
    compress,
    exchange::{Exchange, Io},
    failure::Failure,
    guard, repeats,
    stages::{admit, authorize, cache, identify, limit, open, route, shed},
    terminal::{direct, health, list, model, object},
};

/// One step. It sees the exchange and what came in, and says how it goes on.
#[derive(Debug)]
pub(crate) struct Stage {
    pub name: &'static str,
    pub enter: fn(&mut Exchange, &mut Io<'_>) -> Verdict,
}

/// What a stage decided.
#[derive(Debug)]
pub(crate) enum Verdict {
    Next,
    /// Wait for an input; the same stage is entered again.
    Pause,
    Refuse(Failure),
    /// The terminal took over.
    Taken,
}

const IDENTIFY: Stage = Stage {
    name: "identify",
    enter: identify::enter,
};
const SHED: Stage = Stage {
    name: "shed",
    enter: shed::enter,
};
const ADMIT: Stage = Stage {
    name: "admit",
    enter: admit::enter,
};
const AUTHORIZE: Stage = Stage {
    name: "authorize",
    enter: authorize::enter,
};
const OPEN: Stage = Stage {
    name: "open",
    enter: open::enter,
};
/// Before `limit`: a call that gets an answer it had is charged nothing, and one that waits for another holds nothing back.
const REPEAT: Stage = Stage {
    name: "repeat",
    enter: repeats::enter,
};
const LIMIT: Stage = Stage {
    name: "limit",
    enter: limit::enter,
};
const GUARD: Stage = Stage {
    name: "guard",
    enter: guard::enter,
};
const CACHE: Stage = Stage {
    name: "cache",
    enter: cache::enter,
};
/// Behind `cache`: a call is known there by what its client sent.
const COMPRESS: Stage = Stage {
    name: "compress",
    enter: compress::enter,
};
const ROUTE: Stage = Stage {
    name: "route",
    enter: route::enter,
};
const CALL: Stage = Stage {
    name: "model",
    enter: model::enter,
};

pub(crate) const MODEL_CALL: &[Stage] = &[
    IDENTIFY, SHED, ADMIT, AUTHORIZE, OPEN, REPEAT, LIMIT, GUARD, CACHE, COMPRESS, ROUTE, CALL,
];
/// Asked by the gateway itself, in the name of the caller whose conversation it is.
pub(crate) const SUMMARY: &[Stage] = &[LIMIT, GUARD, ROUTE, CALL];
pub(crate) const DIRECT: &[Stage] = &[
    IDENTIFY,
    SHED,
    Stage {
        name: "direct",
        enter: direct::enter,
    },
    LIMIT,
    Stage {
        name: "call",
        enter: direct::begin,
    },
];
pub(crate) const OBJECT: &[Stage] = &[
    IDENTIFY,
    SHED,
    Stage {
        name: "body",
        enter: object::admit,
    },
    REPEAT,
    LIMIT,
    Stage {
        name: "object",
        enter: object::enter,
    },
];
pub(crate) const LIST_MODELS: &[Stage] = &[
    IDENTIFY,
    Stage {
        name: "models",
        enter: list::all,
    },
];
pub(crate) const SHOW_MODEL: &[Stage] = &[
    IDENTIFY,
    Stage {
        name: "model",
        enter: list::one,
    },
];
pub(crate) const HEALTHZ: &[Stage] = &[Stage {
    name: "healthz",
    enter: health::up,
}];
pub(crate) const READYZ: &[Stage] = &[Stage {
    name: "readyz",
    enter: health::ready,
}];
