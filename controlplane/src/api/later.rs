//! Paths whose feature arrives with a later version: refused clearly, never ignored.

use axum::http::{StatusCode, Uri};

use super::ApiProblem;

pub async fn refuse(uri: Uri) -> ApiProblem {
    ApiProblem::new(
        StatusCode::NOT_IMPLEMENTED,
        format!("{}: not supported yet", uri.path()),
    )
}
