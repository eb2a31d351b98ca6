//! Refusals as RFC 9457 `application/problem+json`, with the JSON pointer at fault.

use axum::{
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tollgate_config::Problem;

use crate::{identity::KeyRefusal, link::LinkError, rollout::Refusal, store::StoreError};

#[derive(Debug, Serialize)]
pub struct ApiProblem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    pub status: StatusCode,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl ApiProblem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> ApiProblem {
        let title = status.canonical_reason().unwrap_or("Refused");
        ApiProblem {
            kind: "about:blank",
            title,
            status,
            detail: detail.into(),
            pointer: None,
            problems: Vec::new(),
        }
    }

    pub fn bad_request(detail: impl Into<String>) -> ApiProblem {
        ApiProblem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Every fault of a document; `detail` says the first in full.
    pub fn faults(status: StatusCode, problems: Vec<Problem>) -> ApiProblem {
        let detail = problems
            .first()
            .map_or_else(String::new, |p| format!("{}: {}; {}", p.pointer, p.wrong, p.right));
        let pointer = problems.first().map(|p| p.pointer.clone());
        ApiProblem {
            pointer,
            problems,
            ..ApiProblem::new(status, detail)
        }
    }

    fn at(mut self, pointer: impl Into<String>) -> ApiProblem {
        self.pointer = Some(pointer.into());
        self
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self)).into_response();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl From<Refusal> for ApiProblem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Faults(problems) => ApiProblem::faults(StatusCode::UNPROCESSABLE_ENTITY, problems),
            Refusal::Race { .. } => ApiProblem::new(StatusCode::PRECONDITION_FAILED, detail),
            Refusal::Pointer(error) => error.into(),
            Refusal::NoSuchRevision(_) => ApiProblem::new(StatusCode::NOT_FOUND, detail),
            Refusal::Link(error) => error.into(),
            Refusal::Store(error) => error.into(),
            Refusal::Unsettled { .. } => ApiProblem::new(StatusCode::GATEWAY_TIMEOUT, detail),
            Refusal::Broken(_) => ApiProblem::new(StatusCode::INTERNAL_SERVER_ERROR, detail),
        }
    }
}

impl From<tollgate_config::pointer::PointerError> for ApiProblem {
    fn from(error: tollgate_config::pointer::PointerError) -> Self {
        use tollgate_config::pointer::PointerError::{Index, Leaf, Nothing, Syntax};
        let detail = error.to_string();
        match error {
            Syntax(pointer) => ApiProblem::bad_request(detail).at(pointer),
            Nothing(pointer) | Index(pointer) | Leaf(pointer) => {
                ApiProblem::new(StatusCode::NOT_FOUND, detail).at(pointer)
            }
        }
    }
}

impl From<LinkError> for ApiProblem {
    fn from(error: LinkError) -> Self {
        let status = match error {
            LinkError::Down | LinkError::Cut | LinkError::Io(_) => StatusCode::SERVICE_UNAVAILABLE,
            LinkError::Silent(_) => StatusCode::GATEWAY_TIMEOUT,
            LinkError::Failed(_) | LinkError::Unexpected => StatusCode::BAD_GATEWAY,
            LinkError::Unknown { .. } => StatusCode::NOT_IMPLEMENTED,
        };
        ApiProblem::new(status, error.to_string())
    }
}

impl From<StoreError> for ApiProblem {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::Exists(_) | StoreError::Elsewhere(_) => StatusCode::CONFLICT,
            StoreError::Away(_) | StoreError::Overtaken => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiProblem::new(status, error.to_string())
    }
}

impl From<KeyRefusal> for ApiProblem {
    fn from(refusal: KeyRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            KeyRefusal::Fault(problem) => ApiProblem::faults(StatusCode::UNPROCESSABLE_ENTITY, vec![problem]),
            KeyRefusal::Exists(_) | KeyRefusal::InDocument(_) => ApiProblem::new(StatusCode::CONFLICT, detail),
            KeyRefusal::NoSuchKey(_) => ApiProblem::new(StatusCode::NOT_FOUND, detail),
            KeyRefusal::Store(error) => error.into(),
            KeyRefusal::Link(_) | KeyRefusal::RevokedLater(_) => {
                ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
            KeyRefusal::Broken(_) => ApiProblem::new(StatusCode::INTERNAL_SERVER_ERROR, detail),
        }
    }
}
