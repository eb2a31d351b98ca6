//! `/v1/explain`: what would become of a call, stage by stage; nothing is sent. The document in force is compiled here as
//! the data plane compiled it; what its shards have learned of targets is not known here.

use std::{rc::Rc, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tollgate_config::{
    Document,
    link::{LimitStatus, StoredKey},
};
use tollgate_engine::{
    exchange::Pinned,
    explain::{self, Asked, Candidate, Explained},
    limits::Scope,
};

use super::{Answer, ApiProblem, keys, limits};
use crate::{plane::Plane, time::unix_s, truth};

const CHAT: &str = "/v1/chat/completions";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// Put into the body, where that names none.
    model: Option<String>,
    key: String,
    #[serde(default)]
    body: Map<String, Value>,
    /// What the client would call; OpenAI's chat completions unless given.
    path: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
}

pub async fn ask(State(plane): State<Arc<Plane>>, body: Bytes) -> Answer<Json<Value>> {
    let question: Question = keys::read(&body)?;
    let current = plane.current();
    let stored = plane
        .store
        .keys()
        .await?
        .into_iter()
        .map(|row| row.key)
        .collect::<Vec<_>>();
    let limits = spent(&plane, &current.document, &stored, &question).await;
    // Compiling ten thousand models takes its time, and is no work for the loop that answers everybody.
    let told = tokio::task::spawn_blocking(move || {
        let (snapshot, keys) = truth::compiled(current.revision, &current.document, &stored)
            .map_err(|problems| ApiProblem::faults(StatusCode::CONFLICT, problems))?;
        let pinned = Rc::new(Pinned {
            snapshot: Arc::new(snapshot),
            keys: Arc::new(keys),
        });
        tell(&pinned, question, &limits)
    });
    let stages = told
        .await
        .map_err(|_| ApiProblem::new(StatusCode::INTERNAL_SERVER_ERROR, "the question could not be answered"))??;
    Ok(Json(json!({ "stages": stages })))
}

/// How the limits stand that the call comes under. Where the data plane is away, nothing is spent.
async fn spent(plane: &Plane, document: &Document, stored: &[StoredKey], question: &Question) -> Vec<LimitStatus> {
    let in_document = document.keys.iter().find(|(name, _)| *name == question.key);
    let in_store = stored.iter().find(|key| key.name == question.key);
    let team_and_user = in_document
        .map(|(_, key)| (key.team.clone(), key.user.clone()))
        .or_else(|| in_store.map(|key| (key.team.clone(), key.user.clone())));
    let (team, user) = team_and_user.unwrap_or_default();
    let of_user = || document.users.iter().find(|(name, _)| Some(name) == user.as_ref());
    let team = team.or_else(|| of_user().and_then(|(_, user)| user.team.clone()));
    let asked = [
        (Scope::Organization, Some(String::new())),
        (Scope::Team, team),
        (Scope::User, user),
        (Scope::Key, Some(question.key.clone())),
        (Scope::Model, Some(String::new())),
    ];
    let mut all = Vec::new();
    for (scope, name) in asked {
        if let Some(name) = name {
            all.extend(
                limits::ask(plane, scope.name().to_owned(), name)
                    .await
                    .unwrap_or_default(),
            );
        }
    }
    all
}

fn tell(pinned: &Rc<Pinned>, question: Question, limits: &[LimitStatus]) -> Result<Vec<Value>, ApiProblem> {
    let Question {
        model,
        key,
        mut body,
        path,
        headers,
    } = question;
    if let Some(model) = model {
        body.insert("model".to_owned(), Value::String(model));
    }
    let headers = header_lines(&headers)?;
    let body = Value::Object(body).to_string();
    let asked = Asked {
        key: &key,
        path: path.as_deref().unwrap_or(CHAT),
        body: body.as_bytes(),
        headers: &headers,
        limits,
    };
    let told = explain::explain(pinned, &asked, unix_s().saturating_mul(1_000)).map_err(ApiProblem::bad_request)?;
    Ok(told.iter().map(stage).collect())
}

/// Names and values that fit on a line of a head.
fn header_lines(headers: &Map<String, Value>) -> Result<String, ApiProblem> {
    let mut lines = String::new();
    for (name, value) in headers {
        let text = value.as_str().unwrap_or_default();
        let fits = HeaderName::try_from(name).is_ok() && HeaderValue::from_str(text).is_ok() && value.is_string();
        if !fits {
            return Err(ApiProblem::bad_request(format!(
                "/headers/{name}: no header; a name, and a value that is one line of text"
            )));
        }
        lines += &format!("{name}: {text}\r\n");
    }
    Ok(lines)
}

fn stage(told: &Explained) -> Value {
    let mut stage = json!({ "stage": told.stage, "decision": told.decision, "why": told.why });
    if !told.candidates.is_empty() {
        stage["candidates"] = told.candidates.iter().map(candidate).collect();
    }
    stage
}

fn candidate(told: &Candidate) -> Value {
    json!({
        "provider": told.provider, "model": told.model, "chosen": told.chosen, "why": told.why,
        "expected_cost_usd": told.expected_cost.map(|cost| cost.to_nanos().to_string()),
    })
}
