//! `/v1/keys`: who may call. Secrets are answered once, by create and rotate, and never listed.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Extension, Path, State},
    http::StatusCode,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tollgate_config::document::Priority;

use super::{Answer, ApiProblem};
use crate::{
    identity::{self, DEFAULT_OVERLAP, Issued, NewKey},
    plane::{Actor, Plane},
    time::{parse_duration, parse_rfc3339, unix_s},
};

pub async fn list(State(plane): State<Arc<Plane>>) -> Answer<Json<Value>> {
    let mut keys: Vec<Value> = Vec::new();
    for (name, key) in &plane.current().document.keys {
        keys.push(json!({
            "name": name, "source": "document", "team": key.team, "user": key.user, "models": key.models,
            "expires_unix_s": key.expires_unix_s, "priority": key.priority.name(), "created_ms": null, "created_by": null,
            "previous_until_unix_s": null,
        }));
    }
    let now_unix_s = unix_s();
    for row in plane.store.keys().await? {
        let key = row.key;
        let previous_until = key.previous.map(|(_, until)| until).filter(|until| *until > now_unix_s);
        keys.push(json!({
            "name": key.name, "source": "store", "team": key.team, "user": key.user, "models": key.models,
            "expires_unix_s": key.expires_unix_s, "priority": key.priority.as_deref().unwrap_or(Priority::default().name()),
            "created_ms": row.created_ms, "created_by": row.created_by,
            "previous_until_unix_s": previous_until, "limits": key.limits,
        }));
    }
    Ok(Json(json!({ "keys": keys })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    name: String,
    team: Option<String>,
    user: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    expires: Option<String>,
    priority: Option<String>,
    #[serde(default)]
    limits: Value,
}

pub async fn create(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer<(StatusCode, Json<Issued>)> {
    let CreateBody {
        name,
        team,
        user,
        models,
        expires,
        priority,
        limits,
    } = read(&body)?;
    let expires_unix_s = expires.as_deref().map(expiry).transpose()?;
    let issued = identity::create(
        &plane,
        NewKey {
            name,
            team,
            user,
            models,
            expires_unix_s,
            priority: priority.as_deref().map(class).transpose()?,
            limits,
        },
        actor,
    )
    .await?;
    Ok((StatusCode::CREATED, Json(issued)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    overlap: Option<String>,
}

pub async fn rotate(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    body: Bytes,
) -> Answer<Json<Issued>> {
    let RotateBody { overlap } = if body.is_empty() {
        RotateBody::default()
    } else {
        read(&body)?
    };
    let overlap = overlap.as_deref().map(duration).transpose()?.unwrap_or(DEFAULT_OVERLAP);
    Ok(Json(identity::rotate(&plane, name, overlap, actor).await?))
}

/// The body is a list of limits; an empty one takes them away.
pub async fn limit(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let limits: Value = read(&body)?;
    let limits = identity::limit(&plane, name.clone(), limits, actor).await?;
    Ok(Json(json!({"name": name, "limits": limits})))
}

pub async fn revoke(
    State(plane): State<Arc<Plane>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Answer<Json<Value>> {
    identity::revoke(&plane, name.clone(), actor).await?;
    Ok(Json(json!({"name": name, "revoked": true})))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    serde_json::from_slice(body).map_err(|e| ApiProblem::bad_request(format!("the body cannot be read: {e}")))
}

/// RFC 3339, or a duration from now.
fn expiry(text: &str) -> Answer<u64> {
    let from_now = || parse_duration(text).map(|duration| unix_s().saturating_add(duration.as_secs()));
    let wrong = || {
        ApiProblem::bad_request(format!(
            "expires {text}: 2027-01-01T00:00:00Z, or a duration such as 30d"
        ))
    };
    parse_rfc3339(text).or_else(from_now).ok_or_else(wrong)
}

/// Whose turn it is when there is not enough for all.
fn class(text: &str) -> Answer<Priority> {
    Priority::named(text).ok_or_else(|| ApiProblem::bad_request(format!("priority {text}: high, normal or low")))
}

fn duration(text: &str) -> Answer<Duration> {
    parse_duration(text).ok_or_else(|| ApiProblem::bad_request(format!("overlap {text}: a duration such as 24h or 0s")))
}
