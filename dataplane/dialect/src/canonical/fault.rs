//! What a provider says went wrong, in words of no dialect.

/// A provider's error, from an answer with an error status or from the middle of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The provider's HTTP status, or the usual one of the kind where it came in a stream.
    pub status: u16,
    /// The provider's own word for it (`context_length_exceeded`, `RESOURCE_EXHAUSTED`), where it has one.
    pub code: Option<String>,
    pub message: String,
    /// The member of the request at fault, in the provider's dialect.
    pub param: Option<String>,
    /// Where the body says when to try again.
    pub retry_after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    InvalidRequest,
    /// The prompt does not fit into the model's context.
    ContextLength,
    /// A filter refused the prompt.
    ContentPolicy,
    Authentication,
    /// Money is used up: waiting does not help.
    Quota,
    Permission,
    NotFound,
    TooLarge,
    RateLimited,
    Overloaded,
    Timeout,
    Internal,
}

impl FaultKind {
    /// The usual HTTP status.
    pub fn status(self) -> u16 {
        match self {
            FaultKind::InvalidRequest | FaultKind::ContextLength | FaultKind::ContentPolicy => 400,
            FaultKind::Authentication => 401,
            FaultKind::Quota | FaultKind::RateLimited => 429,
            FaultKind::Permission => 403,
            FaultKind::NotFound => 404,
            FaultKind::TooLarge => 413,
            FaultKind::Overloaded => 503,
            FaultKind::Timeout => 504,
            FaultKind::Internal => 500,
        }
    }

    /// What a status means where the body says nothing better.
    pub fn of_status(status: u16) -> FaultKind {
        match status {
            401 => FaultKind::Authentication,
            402 => FaultKind::Quota,
            403 => FaultKind::Permission,
            404 => FaultKind::NotFound,
            408 | 504 => FaultKind::Timeout,
            413 => FaultKind::TooLarge,
            429 => FaultKind::RateLimited,
            503 | 529 => FaultKind::Overloaded,
            400..500 => FaultKind::InvalidRequest,
            // A redirection, too, is no answer to a call, and not its caller's fault.
            _ => FaultKind::Internal,
        }
    }
}

impl Fault {
    /// The status to answer with, where a dialect has no rule of its own: the kind's, but a failure of the provider's keeps
    /// the one it came with (a 502 tells more than a 500 does).
    pub fn answer_status(&self) -> u16 {
        let keeps = self.kind == FaultKind::Internal && FaultKind::of_status(self.status) == self.kind;
        match keeps && (500..600).contains(&self.status) {
            true => self.status,
            false => self.kind.status(),
        }
    }

    /// Is it the gateway's credential that was refused? What a provider says of it may show a part of it.
    pub fn is_of_credential(&self) -> bool {
        matches!(self.kind, FaultKind::Authentication | FaultKind::Permission)
    }

    /// The same without the provider's words.
    pub fn without_credential(&self, provider: &str) -> Fault {
        Fault {
            code: None,
            param: None,
            message: format!(
                "the provider '{provider}' refused the gateway's credential, or what it may do there; its words are in the \
                 gateway's access log"
            ),
            ..self.clone()
        }
    }

    /// A fault in the middle of a stream, where there is no status.
    pub fn in_stream(kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault {
            kind,
            status: kind.status(),
            code: None,
            message: message.into(),
            param: None,
            retry_after_ms: None,
        }
    }

    /// An error answer whose body says nothing that the dialect knows.
    pub fn of_status(status: u16) -> Fault {
        Fault {
            kind: FaultKind::of_status(status),
            status,
            code: None,
            message: format!("the provider answered with status {status}"),
            param: None,
            retry_after_ms: None,
        }
    }
}
