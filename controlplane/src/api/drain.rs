//! `/v1/drain` and `/v1/resume`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Extension, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::Answer;
use crate::{
    drain,
    plane::{Actor, Plane},
};

pub async fn drain(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
) -> Answer<(StatusCode, Json<Value>)> {
    drain::begin(&plane).await?;
    plane.events.tell("draining", format!("by {}", actor.name));
    Ok((StatusCode::ACCEPTED, Json(json!({"draining": true}))))
}

pub async fn resume(State(plane): State<Arc<Plane>>, Extension(actor): Extension<Actor>) -> Answer<Json<Value>> {
    drain::take_back(&plane).await?;
    plane.events.tell("resumed", format!("by {}", actor.name));
    Ok(Json(json!({"draining": false})))
}
