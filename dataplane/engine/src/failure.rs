//! Why an exchange could not be served: whose fault, what, and whether another try could help. One rendering per dialect.

mod render;

use std::borrow::Cow;

use tollgate_config::document::{Grant, Priority};
use tollgate_wire::{http1::read::BadHead, json::cursor::BadJson, multipart::BadForm};

use crate::{
    access::Lack,
    exchange::{ClientFault, UpstreamFault},
    limits::Limited,
    names::code,
};

pub(crate) use render::{fault, message, write_body, write_event};

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    Client,
    Upstream,
    Gateway,
}

/// Whether trying again could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryWhere {
    Same,
    OtherTarget,
    No,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub culprit: Culprit,
    pub kind: Kind,
    pub retry: RetryWhere,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    BadHead(BadHead),
    ClientFault(ClientFault),
    BadJson(BadJson),
    /// A body of `multipart/form-data` that cannot be read.
    BadForm(BadForm),
    /// A member of the body. `offset` is a byte offset into it.
    Field {
        name: &'static str,
        wrong: &'static str,
        offset: usize,
    },
    Header {
        name: &'static str,
        wrong: &'static str,
    },
    TooLarge {
        max_bytes: u64,
    },
    /// A `content-encoding` that is not one of those decoded.
    UnknownEncoding,
    /// A body that does not decode.
    BadEncoding(&'static str),
    NoKey,
    UnknownKey,
    ExpiredKey,
    /// A key that is good only from this machine came from elsewhere.
    RemoteKey,
    ModelNotAllowed,
    ModelNotFound,
    /// The key may not use `/providers/…`.
    PassThroughNotAllowed,
    /// The key may not make batches.
    BatchesNotAllowed,
    /// No object that the caller may see has this id. `name` is the member that has it; empty: the path.
    NoSuchObject {
        name: &'static str,
    },
    /// A list of objects, before what the node remembers of them has come from its control plane.
    ListNotReady,
    /// Ids of a provider's objects cannot be sealed: there is no secret for it.
    NoIdSecret {
        provider: Box<str>,
    },
    /// The provider that a path names is not configured.
    NoSuchProvider,
    NoSuchPath,
    /// A path that somebody's API has. What to call instead, where there is something.
    NotServedYet {
        path: Box<str>,
        instead: &'static str,
    },
    Websocket,
    WrongMethod,
    /// Something in the body that the target's dialect cannot say, or that is wrong in the client's own. `field` is a
    /// path into it, `offset` zero where it stands nowhere.
    Untranslatable {
        field: Cow<'static, str>,
        wrong: Cow<'static, str>,
        offset: usize,
    },
    /// Parts of the request that the target cannot say, where the model says `on_unsupported: error`.
    Unsupported(String),
    /// Said in the target's words it is longer than may be held.
    TranslatedTooLarge,
    CacheMiss,
    /// A guard of the model found this in the prompt, or in the answer.
    BlockedByGuard {
        guard: Box<str>,
        entity: Box<str>,
    },
    /// A guard of the model has nothing to judge by.
    GuardUnavailable {
        guard: Box<str>,
    },
    /// A limit does not admit the call.
    Limited(Box<Limited>),
    /// Of a limit that must hold, a call that nobody can tell the most of: whose limit, and why.
    Unbounded(Box<str>),
    /// Another request came under the same `idempotency-key`.
    IdempotencyKeyReused,
    /// No target of the model has what the path asks for.
    NotOffered,
    /// Each target has a `when` that does not hold for this call.
    NotForThisCall,
    /// No target is in a region that the call may go to.
    OutsideRegion,
    /// Nothing is left of what the provider grants.
    ProviderLimit {
        provider: Box<str>,
        grant: Grant,
        wait_ms: u64,
    },
    NoTarget,
    /// Every target of the model is at its limit, and the call could not wait, or has waited long enough.
    Overloaded {
        priority: Priority,
        retry_after_s: u64,
    },
    /// The shard itself is past what it bears.
    Saturated {
        priority: Priority,
        retry_after_s: u64,
    },
    /// Nothing proves to the provider who calls.
    NoCredential {
        provider: Box<str>,
        why: Lack,
    },
    Upstream(UpstreamFault),
    /// An answer that is not what its dialect says it is.
    Unreadable(&'static str),
    /// The provider answered with a status that no answer can have.
    BadStatus(u16),
    UpstreamTimeout(Waited),
    /// The call's usage could not be recorded.
    UsageSpoolFull,
    Internal(&'static str),
}

/// What was waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Connection,
    FirstByte,
    NextByte,
    /// Of a stream, the first event that says something …
    FirstToken,
    /// … and the next one.
    NextToken,
    WholeAnswer,
    /// Not an answer, but the moment to try again.
    Backoff,
    /// The same of a call that waits for room at a target.
    Turn,
    /// As long as the client's `x-tollgate-timeout` allowed.
    Client,
}

impl Failure {
    pub(crate) fn client(kind: Kind) -> Failure {
        Failure {
            culprit: Culprit::Client,
            kind,
            retry: RetryWhere::No,
        }
    }

    pub(crate) fn gateway(kind: Kind) -> Failure {
        Failure {
            culprit: Culprit::Gateway,
            kind,
            retry: RetryWhere::No,
        }
    }

    pub(crate) fn upstream(kind: Kind, retry: RetryWhere) -> Failure {
        Failure {
            culprit: Culprit::Upstream,
            kind,
            retry,
        }
    }
}

impl Kind {
    pub fn status(&self) -> u16 {
        use ClientFault as Fault;
        match self {
            Kind::BadHead(bad) => bad.status,
            Kind::ClientFault(Fault::TooLarge) | Kind::TooLarge { .. } | Kind::TranslatedTooLarge => 413,
            Kind::ClientFault(Fault::Timeout) => 408,
            Kind::ClientFault(Fault::BadFraming(_)) | Kind::BadJson(_) | Kind::BadEncoding(_) | Kind::BadForm(_) => 400,
            Kind::Field { .. } | Kind::Header { .. } | Kind::Untranslatable { .. } | Kind::Unsupported(_) => 400,
            Kind::Unbounded(_) => 400,
            Kind::UnknownEncoding => 415,
            Kind::NoKey | Kind::UnknownKey | Kind::ExpiredKey | Kind::RemoteKey => 401,
            Kind::ModelNotAllowed | Kind::PassThroughNotAllowed | Kind::BatchesNotAllowed => 403,
            Kind::BlockedByGuard { .. } => 403,
            Kind::ModelNotFound | Kind::NoSuchPath | Kind::NoSuchProvider | Kind::NoSuchObject { .. } => 404,
            Kind::WrongMethod => 405,
            Kind::NotServedYet { .. } | Kind::Websocket | Kind::NotOffered => 501,
            Kind::NoIdSecret { .. } => 501,
            Kind::CacheMiss | Kind::UpstreamTimeout(_) => 504,
            // As draft-ietf-httpapi-idempotency-key-header has it. Clients try a 409 again, in vain.
            Kind::IdempotencyKeyReused => 422,
            Kind::NotForThisCall | Kind::OutsideRegion => 403,
            Kind::Limited(_) | Kind::ProviderLimit { .. } => 429,
            Kind::NoTarget | Kind::NoCredential { .. } | Kind::ListNotReady | Kind::GuardUnavailable { .. } => 503,
            Kind::Overloaded { .. } | Kind::Saturated { .. } | Kind::UsageSpoolFull => 503,
            Kind::Upstream(_) | Kind::BadStatus(_) | Kind::Unreadable(_) => 502,
            Kind::Internal(_) => 500,
        }
    }

    /// The contract's `code`.
    pub fn code(&self) -> &'static str {
        use ClientFault as Fault;
        match self {
            Kind::BadHead(bad) if bad.status == 501 => code::NOT_SUPPORTED,
            Kind::BadHead(_) | Kind::BadJson(_) | Kind::BadEncoding(_) | Kind::BadForm(_) => code::INVALID_REQUEST,
            Kind::Field { .. } | Kind::Header { .. } => code::INVALID_REQUEST,
            Kind::Untranslatable { .. } | Kind::Unsupported(_) => code::INVALID_REQUEST,
            Kind::ClientFault(Fault::TooLarge) | Kind::TooLarge { .. } | Kind::TranslatedTooLarge => {
                code::REQUEST_TOO_LARGE
            }
            Kind::ClientFault(Fault::Timeout) => code::REQUEST_TIMEOUT,
            Kind::ClientFault(Fault::BadFraming(_)) => code::INVALID_REQUEST,
            Kind::Unbounded(_) => code::INVALID_REQUEST,
            Kind::UnknownEncoding => code::UNSUPPORTED_ENCODING,
            Kind::NoKey | Kind::UnknownKey | Kind::ExpiredKey | Kind::RemoteKey => code::INVALID_API_KEY,
            Kind::ModelNotAllowed => code::MODEL_NOT_ALLOWED,
            Kind::BatchesNotAllowed => code::BATCHES_NOT_ALLOWED,
            Kind::PassThroughNotAllowed => code::PASS_THROUGH_NOT_ALLOWED,
            Kind::ModelNotFound => code::MODEL_NOT_FOUND,
            Kind::NoSuchPath | Kind::NoSuchProvider | Kind::NoSuchObject { .. } => code::NOT_FOUND,
            Kind::WrongMethod => code::METHOD_NOT_ALLOWED,
            Kind::NotServedYet { .. } | Kind::Websocket | Kind::NotOffered => code::NOT_SUPPORTED,
            Kind::NoIdSecret { .. } => code::NOT_SUPPORTED,
            Kind::ListNotReady => code::LIST_NOT_READY,
            Kind::CacheMiss => code::CACHE_MISS,
            Kind::BlockedByGuard { .. } => code::BLOCKED_BY_GUARD,
            Kind::GuardUnavailable { .. } => code::GUARD_UNAVAILABLE,
            Kind::UpstreamTimeout(_) => code::UPSTREAM_TIMEOUT,
            Kind::NotForThisCall | Kind::OutsideRegion => code::MODEL_NOT_ALLOWED,
            Kind::Limited(limited) if limited.is_quota() => code::INSUFFICIENT_QUOTA,
            Kind::IdempotencyKeyReused => code::IDEMPOTENCY_KEY_REUSED,
            Kind::Limited(_) | Kind::ProviderLimit { .. } => code::RATE_LIMIT_EXCEEDED,
            Kind::NoTarget | Kind::NoCredential { .. } => code::NO_HEALTHY_TARGET,
            Kind::Overloaded { .. } | Kind::Saturated { .. } => code::OVERLOADED,
            Kind::Upstream(_) | Kind::BadStatus(_) | Kind::Unreadable(_) => code::UPSTREAM_ERROR,
            Kind::UsageSpoolFull => code::USAGE_SPOOL_FULL,
            Kind::Internal(_) => code::INTERNAL_ERROR,
        }
    }

    /// After how long another try has something to hope for.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Kind::Limited(limited) => limited.retry_after_ms(),
            Kind::ProviderLimit { wait_ms, .. } => Some(*wait_ms),
            Kind::Overloaded { retry_after_s, .. } | Kind::Saturated { retry_after_s, .. } => {
                Some(retry_after_s * 1_000)
            }
            _ => None,
        }
    }

    /// The member or header at fault, as OpenAI's `param` names it.
    pub(crate) fn param(&self) -> Option<&str> {
        match self {
            Kind::Field { name, .. } => Some(name),
            Kind::NoSuchObject { name } => Some(name).filter(|name| !name.is_empty()).copied(),
            Kind::Untranslatable { field, .. } => Some(field),
            Kind::ModelNotFound | Kind::ModelNotAllowed | Kind::NotOffered | Kind::NotForThisCall => Some("model"),
            _ => None,
        }
    }
}
