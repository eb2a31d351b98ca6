//! `/v1/revisions`: what was in force, who made it so, and the way back.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Extension, Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_config::diff;

use super::{Answer, ApiProblem, config};
use crate::{
    plane::{Actor, Plane},
    rollout::{self, Edit},
    store::Revision,
};

const DEFAULT_LISTED: u32 = 100;
const MAX_LISTED: u32 = 1000;

#[derive(Deserialize)]
pub struct Page {
    before: Option<u64>,
    limit: Option<u32>,
}

pub async fn list(State(plane): State<Arc<Plane>>, Query(page): Query<Page>) -> Answer<Json<Value>> {
    let limit = page.limit.unwrap_or(DEFAULT_LISTED).min(MAX_LISTED);
    let revisions = plane.store.revisions(page.before.unwrap_or(u64::MAX), limit).await?;
    Ok(Json(json!({ "revisions": revisions })))
}

pub async fn show(State(plane): State<Arc<Plane>>, Path(number): Path<u64>) -> Answer<Json<Revision>> {
    Ok(Json(find(&plane, number).await?))
}

pub async fn show_diff(State(plane): State<Arc<Plane>>, Path(number): Path<u64>) -> Answer<Json<Value>> {
    let revision = find(&plane, number).await?;
    let before = plane.store.revision_before(number).await?;
    let from = before.as_ref().map(|before| before.head.revision);
    let old = before.map_or(Value::Null, |before| before.document);
    let changes = diff::diff(&old, &revision.document);
    Ok(Json(json!({"revision": number, "from": from, "changes": changes})))
}

pub async fn rollback(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    Path(number): Path<u64>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer<Response> {
    let mut terms = config::terms(&query, &headers)?;
    terms
        .why
        .get_or_insert_with(|| format!("rollback to revision {number}"));
    config::answer(rollout::change(&plane, Edit::Rollback(number), actor, terms).await?)
}

async fn find(plane: &Plane, number: u64) -> Answer<Revision> {
    let missing = || ApiProblem::new(StatusCode::NOT_FOUND, format!("there is no revision {number}"));
    plane.store.revision(number).await?.ok_or_else(missing)
}
