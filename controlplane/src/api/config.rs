//! `/v1/config`: the document in force, whole or by pointer.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Extension, Path, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tollgate_config::{
    parse::{self, Parsed},
    pointer,
};

use super::{Answer, ApiProblem};
use crate::{
    plane::{Actor, Plane},
    rollout::{self, Edit, Mode, Outcome, Terms},
};

/// Why a change is made, kept with the revision.
const X_REASON: HeaderName = HeaderName::from_static("x-reason");
const MAX_REASON_CHARS: usize = 1000;

pub async fn show(State(plane): State<Arc<Plane>>) -> Response {
    let current = plane.current();
    with_etag(current.revision, Json(&current.tree))
}

pub async fn show_part(State(plane): State<Arc<Plane>>, Path(rest): Path<String>) -> Answer<Response> {
    let current = plane.current();
    let value = pointer::get(&current.tree, &format!("/{rest}"))?;
    Ok(with_etag(current.revision, Json(value)))
}

pub async fn replace(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Response> {
    let terms = terms(&query, &headers)?;
    let parsed = parsed(&body)?;
    answer(rollout::change(&plane, Edit::Whole(parsed), actor, terms).await?)
}

pub async fn set_part(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    Path(rest): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Response> {
    let terms = terms(&query, &headers)?;
    // A single value is JSON first: YAML would read an unquoted word as text where the client made a mistake.
    let value: Value = match serde_json::from_slice(&body) {
        Ok(value) => value,
        Err(_) => parsed(&body)?.tree,
    };
    let edit = Edit::Set {
        pointer: format!("/{rest}"),
        value,
    };
    answer(rollout::change(&plane, edit, actor, terms).await?)
}

pub async fn delete_part(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    Path(rest): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer<Response> {
    let terms = terms(&query, &headers)?;
    let edit = Edit::Delete {
        pointer: format!("/{rest}"),
    };
    answer(rollout::change(&plane, edit, actor, terms).await?)
}

pub fn answer(outcome: Outcome) -> Answer<Response> {
    Ok(with_etag(outcome.revision, Json(&outcome)))
}

fn with_etag(revision: u64, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn parsed(body: &[u8]) -> Answer<Parsed> {
    let text = std::str::from_utf8(body).map_err(|e| ApiProblem::bad_request(format!("the body is not UTF-8: {e}")))?;
    parse::parse(text).map_err(|problems| ApiProblem::faults(StatusCode::BAD_REQUEST, problems))
}

/// Reads how a change is to be made.
pub fn terms(query: &HashMap<String, String>, headers: &HeaderMap) -> Answer<Terms> {
    let mode = match query.get("dry_run").map(String::as_str) {
        None | Some("0" | "false") => Mode::Apply,
        Some("" | "1" | "true") => Mode::DryRun,
        Some(other) => return Err(ApiProblem::bad_request(format!("dry_run={other}: 1 or 0"))),
    };
    let text = |name: &HeaderName| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let why = text(&X_REASON).map(|reason| reason.chars().take(MAX_REASON_CHARS).collect());
    let if_revision = match text(&header::IF_MATCH).as_deref().map(str::trim) {
        None | Some("*") => None,
        Some(etag) => {
            let number = etag.trim_start_matches("W/").trim_matches('"');
            let wrong = |_| ApiProblem::bad_request(format!("If-Match: {etag}: a revision's ETag, such as \"7\""));
            Some(number.parse().map_err(wrong)?)
        }
    };
    Ok(Terms { why, if_revision, mode })
}
