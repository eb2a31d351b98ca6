//! `/v1/limits`: balances as they are now, asked of the data plane.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};
use tollgate_config::{
    document::Unit,
    link::{AnswerBody, AskBody, LimitStatus},
    money::NanoUsd,
};
use tollgate_engine::limits::Scope;

use super::{Answer, ApiProblem};
use crate::{link::ANSWER_TIMEOUT, plane::Plane};

pub async fn of_scope(State(plane): State<Arc<Plane>>, Path(scope): Path<String>) -> Answer<Json<Value>> {
    Ok(told(&ask(&plane, scope, String::new()).await?))
}

pub async fn of_name(
    State(plane): State<Arc<Plane>>,
    Path((scope, name)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    let limits = ask(&plane, scope.clone(), name.clone()).await?;
    if limits.is_empty() {
        let detail = format!("no limit is set for the {scope} '{name}'");
        return Err(ApiProblem::new(StatusCode::NOT_FOUND, detail));
    }
    Ok(told(&limits))
}

/// Of a name in a scope; an empty one is every name's.
pub(super) async fn ask(plane: &Plane, scope: String, name: String) -> Result<Vec<LimitStatus>, ApiProblem> {
    if !Scope::ALL.iter().any(|known| known.name() == scope) {
        let names = Scope::ALL.map(Scope::name).join(", ");
        return Err(ApiProblem::new(
            StatusCode::NOT_FOUND,
            format!("there are no limits of a '{scope}'; of these: {names}"),
        ));
    }
    let away = |reason: String| ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, reason);
    let link = plane.link.now().map_err(|error| away(error.to_string()))?;
    match link.ask(AskBody::Limits { scope, name }, ANSWER_TIMEOUT).await {
        Ok(AnswerBody::Limits { limits }) => Ok(limits),
        Ok(_) => Err(away("the data plane did not understand the question".to_owned())),
        Err(error) => Err(away(error.to_string())),
    }
}

fn told(limits: &[LimitStatus]) -> Json<Value> {
    Json(json!({ "limits": limits.iter().map(one).collect::<Vec<_>>() }))
}

/// Money as text, in dollars.
fn one(limit: &LimitStatus) -> Value {
    let amount = |count: u64| match limit.unit == Unit::Budget.name() {
        true => json!(NanoUsd(count).to_string()),
        false => json!(count),
    };
    json!({
        "scope": limit.scope,
        "name": limit.name,
        "unit": limit.unit,
        "per": limit.per,
        "mode": if limit.enforced { "enforce" } else { "shadow" },
        "limit": amount(limit.limit),
        "used": amount(limit.used),
        "remaining": amount(limit.remaining),
        "debt": amount(limit.debt),
        "hard": limit.hard,
        "cut": limit.cut,
        "reset_s": limit.reset_ms.div_ceil(1_000),
    })
}
