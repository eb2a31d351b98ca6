//! `/v1/cache/purge`: answers that are kept are forgotten, on every shard when answered.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Extension, State},
    http::StatusCode,
};
use serde_json::{Value, json};
use tollgate_config::link::{AnswerBody, AskBody, MAX_PURGE_PREFIX_BYTES, Purge};

use super::{Answer, ApiProblem, keys};
use crate::{
    link::ANSWER_TIMEOUT,
    plane::{Actor, Plane},
};

fn away(reason: impl ToString) -> ApiProblem {
    ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, reason.to_string())
}

pub(super) async fn ask(plane: &Plane, body: AskBody) -> Result<AnswerBody, ApiProblem> {
    let link = plane.link.now().map_err(away)?;
    link.ask(body, ANSWER_TIMEOUT).await.map_err(away)
}

pub(super) fn misunderstood() -> ApiProblem {
    away("the data plane did not understand the question")
}

pub async fn purge(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let filter: Purge = match body.is_empty() {
        true => Purge::default(),
        false => keys::read(&body)?,
    };
    refuse_unknown(&plane, &filter)?;
    let said = words(&filter);
    match ask(&plane, AskBody::Purge { filter }).await? {
        AnswerBody::Purged { answers, bytes } => {
            let text = format!("{answers} answers ({bytes} bytes) forgotten by {}: {said}", actor.name);
            plane.events.tell("cache_purged", text);
            Ok(Json(json!({ "answers": answers, "bytes": bytes })))
        }
        _ => Err(misunderstood()),
    }
}

/// A name that is mistyped would forget nothing, and look as if all were well.
fn refuse_unknown(plane: &Plane, filter: &Purge) -> Result<(), ApiProblem> {
    if let Some(name) = &filter.cache
        && !plane.current().document.caches.iter().any(|(known, _)| known == name)
    {
        return Err(ApiProblem::bad_request(format!(
            "cache: there is no cache '{name}'; a name from `caches`"
        )));
    }
    if let Some(prefix) = &filter.prefix
        && prefix.len() > MAX_PURGE_PREFIX_BYTES
    {
        return Err(ApiProblem::bad_request(format!(
            "prefix: has {} bytes; of a request's first text {MAX_PURGE_PREFIX_BYTES} bytes are kept, so at most as many",
            prefix.len()
        )));
    }
    match &filter.tag {
        Some(tag) if !tag.contains('=') => Err(ApiProblem::bad_request(format!(
            "tag: '{tag}' says no value; name=value"
        ))),
        _ => Ok(()),
    }
}

/// For the event; how a prompt begins is nobody's to read.
fn words(filter: &Purge) -> String {
    let Purge {
        cache,
        key,
        team,
        model,
        tag,
        prefix,
    } = filter;
    let named = [
        ("cache", cache),
        ("key", key),
        ("team", team),
        ("model", model),
        ("tag", tag),
    ];
    let mut said: Vec<String> = named
        .iter()
        .filter_map(|(word, value)| Some(format!("{word} '{}'", value.as_ref()?)))
        .collect();
    said.extend(prefix.as_ref().map(|_| "a prefix".to_owned()));
    match said.is_empty() {
        true => "all".to_owned(),
        false => said.join(", "),
    }
}
