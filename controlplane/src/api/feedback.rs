//! `/v1/feedback`: was an answer that a semantic cache served right? And `/v1/cache`: what caches did.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Extension, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_config::link::{AnswerBody, AskBody};

use super::{
    Answer, ApiProblem,
    cache::{ask, misunderstood},
    keys,
};
use crate::plane::{Actor, Plane};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Feedback {
    /// As the answer's `x-request-id` said.
    request_id: String,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Right,
    Wrong,
}

pub async fn judge(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let Feedback { request_id, verdict } = keys::read(&body)?;
    let wrong = verdict == Verdict::Wrong;
    let judged = AskBody::Feedback {
        request_id: request_id.clone(),
        wrong,
    };
    match ask(&plane, judged).await? {
        AnswerBody::Judged { cache: Some(cache) } => {
            let word = if wrong { "wrong" } else { "right" };
            let text = format!(
                "request {request_id}, served by meaning from '{cache}', was {word}, says {}",
                actor.name
            );
            plane.events.tell("cache_judged", text);
            Ok(Json(json!({ "cache": cache, "verdict": word })))
        }
        AnswerBody::Judged { cache: None } => Err(ApiProblem::new(
            StatusCode::NOT_FOUND,
            format!(
                "request_id: no request '{request_id}' was served by meaning lately, or it was judged already; the \
                 `x-request-id` of an answer with `x-tollgate-cache: semantic-hit`"
            ),
        )),
        _ => Err(misunderstood()),
    }
}

pub async fn caches(State(plane): State<Arc<Plane>>) -> Answer<Json<Value>> {
    match ask(&plane, AskBody::Caches).await? {
        AnswerBody::Caches { caches, compared } => Ok(Json(json!({ "caches": caches, "compared": compared }))),
        _ => Err(misunderstood()),
    }
}
