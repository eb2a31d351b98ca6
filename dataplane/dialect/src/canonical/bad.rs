//! What a reader or a writer cannot go on with.

use std::borrow::Cow;

use tollgate_wire::json::cursor::BadJson;

use crate::json::Node;

/// A request that its own dialect does not allow, or that cannot be said in the target's. The caller's fault: 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error(transparent)]
    Json(#[from] BadJson),
    /// `field` is a path in the caller's words (`messages[3].content`).
    #[error("'{field}' {wrong} (byte {offset})")]
    Field {
        field: Cow<'static, str>,
        wrong: Cow<'static, str>,
        offset: usize,
    },
}

impl BadRequest {
    pub fn field(field: impl Into<Cow<'static, str>>, wrong: impl Into<Cow<'static, str>>, at: Node<'_>) -> BadRequest {
        BadRequest::Field {
            field: field.into(),
            wrong: wrong.into(),
            offset: at.offset(),
        }
    }

    /// For what stands nowhere: a member that is missing, or something a writer met.
    pub fn missing(field: impl Into<Cow<'static, str>>, wrong: impl Into<Cow<'static, str>>) -> BadRequest {
        BadRequest::Field {
            field: field.into(),
            wrong: wrong.into(),
            offset: 0,
        }
    }
}

/// An answer that is not what its dialect says it is. The provider's fault: 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadAnswer {
    pub reason: &'static str,
}

impl BadAnswer {
    pub const fn new(reason: &'static str) -> BadAnswer {
        BadAnswer { reason }
    }
}

impl From<BadJson> for BadAnswer {
    fn from(_: BadJson) -> BadAnswer {
        BadAnswer::new("it is not valid JSON")
    }
}

/// Fills `slot`, once: who reads a duplicate's first and who reads its last must not see different requests.
pub fn once<T>(slot: &mut Option<T>, value: T, field: &'static str, at: Node<'_>) -> Result<(), BadRequest> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadRequest::field(field, "stands twice", at)),
    }
}
