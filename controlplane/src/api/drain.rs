//! `/v1/drain` and `/v1/resume`.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    extract::{Extension, State},
    http::StatusCode,
};
use serde_json::{Value, json};
use tollgate_config::link::AskBody;

use super::Answer;
use crate::{
    link::ANSWER_TIMEOUT,
    plane::{Actor, Plane},
};

pub async fn drain(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
) -> Answer<(StatusCode, Json<Value>)> {
    let link = plane.link.now()?;
    // Before it is asked: the data plane may end before its answer is read, and must not be started again then.
    plane.draining.store(true, Ordering::SeqCst);
    if let Err(error) = link.ask(AskBody::Drain, ANSWER_TIMEOUT).await
        && !link.is_closed()
    {
        plane.draining.store(false, Ordering::SeqCst);
        return Err(error.into());
    }
    plane.events.tell("draining", format!("by {}", actor.name));
    Ok((StatusCode::ACCEPTED, Json(json!({"draining": true}))))
}

pub async fn resume(State(plane): State<Arc<Plane>>, Extension(actor): Extension<Actor>) -> Answer<Json<Value>> {
    plane.link.now()?.ask(AskBody::Resume, ANSWER_TIMEOUT).await?;
    plane.draining.store(false, Ordering::SeqCst);
    plane.events.tell("resumed", format!("by {}", actor.name));
    Ok(Json(json!({"draining": false})))
}
