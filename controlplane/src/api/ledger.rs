//! What is made of the ledger and posted to it: `/v1/usage/rerate`, `/v1/usage/reconcile`, `/v1/usage/forecast`.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tollgate_config::{
    Document,
    check::check,
    document::Unit,
    link::{AnswerBody, AskBody, LimitStatus},
    money::NanoUsd,
    parse::Parsed,
};
use tollgate_engine::limits::Scope;

use super::{Answer, ApiProblem, usage};
use crate::{
    link::ANSWER_TIMEOUT,
    metering::{
        self, Dimension, Question,
        adjust::{self, Adjustment},
        cost,
        database::Database,
        forecast::{Course, LOOK_BACK_MS, forecast},
        reconcile::{self, Compared, Difference, Line},
        rerate,
        row::NUMBERS,
        zone::Zone,
    },
    plane::Plane,
    time,
};

const HOUR_MS: u64 = 3_600_000;
/// What a provider tells at once; months of days, models and keys.
const MAX_LINES: usize = 50_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rerate {
    from: String,
    to: Option<String>,
    timezone: Option<String>,
    /// The document whose prices these are; the one in force unless this or a revision is given.
    document: Option<Value>,
    revision: Option<u64>,
    #[serde(default)]
    post: bool,
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Answer<T> {
    serde_json::from_slice(body).map_err(|error| ApiProblem::bad_request(format!("the body: {error}")))
}

pub async fn rerate(State(plane): State<Arc<Plane>>, body: Bytes) -> Answer<Json<Value>> {
    let asked: Rerate = read(&body)?;
    let (now_ms, current) = (time::unix_ms(), plane.current());
    let zone = usage::zone(asked.timezone.as_deref().unwrap_or(&current.document.timezone))?;
    let (from_ms, to_ms) = usage::span(Some(&asked.from), asked.to.as_deref(), &zone, now_ms)?;
    let (from_ms, to_ms) = (from_ms / HOUR_MS * HOUR_MS, to_ms.div_ceil(HOUR_MS) * HOUR_MS);
    let kept_from_ms = metering::kept_from_ms(&current.document.usage.retention, now_ms);
    if from_ms < kept_from_ms {
        let detail = format!(
            "from: single calls are kept from {} on, and none can be priced anew that is forgotten",
            time::rfc3339(kept_from_ms.div_ceil(HOUR_MS) * HOUR_MS / 1000)
        );
        return Err(ApiProblem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let document = priced_document(&plane, &asked).await?;
    let post = asked.post;
    let (done, posted) = plane
        .metering
        .with(move |ledger| {
            ledger.patiently(|ledger| {
                let done = rerate::rerate(ledger, &document, (from_ms, to_ms))?;
                let posted = match post && !done.is_cut {
                    true => adjust::post(ledger, &done.adjustments, now_ms)?,
                    false => 0,
                };
                Ok((done, posted))
            })
        })
        .await?;
    if done.is_cut {
        return Err(usage::too_many());
    }
    Ok(Json(json!({
        "from": time::rfc3339(from_ms / 1000),
        "to": time::rfc3339(to_ms / 1000),
        "priced": done.priced,
        "unpriced": done.unpriced,
        "cost_before_usd": done.before.to_string(),
        "cost_after_usd": done.after.to_string(),
        "corrected_before_usd": done.agreed.to_string(),
        "adjustments": done.adjustments.len(),
        "posted": posted,
    })))
}

async fn priced_document(plane: &Plane, asked: &Rerate) -> Result<Document, ApiProblem> {
    let tree = match (&asked.document, asked.revision) {
        (Some(_), Some(_)) => {
            return Err(ApiProblem::bad_request(
                "document and revision are both given; one of them",
            ));
        }
        (Some(tree), None) => tree.clone(),
        (None, Some(number)) => plane
            .store
            .revision(number)
            .await?
            .map(|revision| revision.document)
            .ok_or_else(|| ApiProblem::new(StatusCode::NOT_FOUND, format!("there is no revision {number}")))?,
        (None, None) => return Ok(plane.current().document.clone()),
    };
    check(&Parsed::from_tree(tree)).map_err(|faults| ApiProblem::faults(StatusCode::UNPROCESSABLE_ENTITY, faults))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {
    /// As the document names them: those whose account this is.
    providers: Vec<String>,
    lines: Vec<Line>,
    #[serde(default)]
    post: bool,
}

pub async fn reconcile(State(plane): State<Arc<Plane>>, body: Bytes) -> Answer<Json<Value>> {
    let asked: Reconcile = read(&body)?;
    let now_ms = time::unix_ms();
    if asked.lines.len() > MAX_LINES {
        return Err(ApiProblem::bad_request(format!(
            "lines: more than {MAX_LINES}; a shorter time"
        )));
    }
    let Some(first) = asked.providers.first().cloned() else {
        return Err(ApiProblem::bad_request(
            "providers: none is named; those of the document whose account it is",
        ));
    };
    let theirs = reconcile::theirs(&asked.lines).map_err(ApiProblem::bad_request)?;
    let zone = Zone::utc();
    let day = |text: &String| {
        zone.day_begins(text)
            .ok_or_else(|| ApiProblem::bad_request(format!("day: '{text}' is no day such as 2026-11-01")))
    };
    let days = theirs
        .keys()
        .map(|(text, ..)| day(text))
        .collect::<Result<Vec<u64>, _>>()?;
    let (Some(from_ms), Some(last_ms)) = (days.iter().min().copied(), days.iter().max().copied()) else {
        return Err(ApiProblem::bad_request(
            "lines: there are none; what the provider tells",
        ));
    };
    let by = Dimension::parse_list("day,provider,upstream_model,credential,price_version").unwrap_or_default();
    let question = Question::new(by, (from_ms, last_ms + 24 * HOUR_MS), zone.clone(), 0);
    let answer = plane.metering.ask(question).await?;
    if answer.is_cut {
        return Err(usage::too_many());
    }
    let ours = reconcile::ours(&answer, &asked.providers, &theirs);
    let theirs = reconcile::under_our_names(theirs, &ours);
    let compared = reconcile::compare(&theirs, &ours);
    let corrections: Vec<Adjustment> = compared
        .differences
        .iter()
        .filter_map(|difference| {
            let day_ms = zone.day_begins(&difference.key.0)?;
            Some(reconcile::correction(difference, &first, day_ms))
        })
        .collect();
    let pins: Vec<Adjustment> = compared
        .billed
        .iter()
        .filter_map(|key| Some(reconcile::pin(key, &first, zone.day_begins(&key.0)?)))
        .collect();
    let posted = match asked.post {
        true => {
            let post = move |ledger: &mut Database| {
                adjust::post(ledger, &pins, now_ms)?;
                adjust::post(ledger, &corrections, now_ms)
            };
            plane.metering.with(post).await?
        }
        false => 0,
    };
    Ok(Json(told(&compared, posted)))
}

fn told(compared: &Compared, posted: usize) -> Value {
    let one = |difference: &Difference| {
        let (day, model, credential) = &difference.key;
        let causes = difference.causes.iter();
        json!({
            "day": day,
            "model": model,
            "credential": credential,
            "counts": difference.counts,
            "cost_usd": difference.cost.map(|cost| cost.to_string()),
            "ours_cost_usd": difference.ours_cost.to_string(),
            "causes": causes.map(|(cause, why)| json!({"cause": cause, "why": why})).collect::<Vec<_>>(),
        })
    };
    json!({
        "agree": compared.agree,
        "differences": compared.differences.iter().map(one).collect::<Vec<_>>(),
        "theirs_cost_usd": compared.theirs_cost.map(|cost| cost.to_string()),
        "ours_cost_usd": compared.ours_cost.to_string(),
        "posted": posted,
    })
}

/// When each budget of a calendar period ends, if things go on as they did of late.
pub async fn forecasts(State(plane): State<Arc<Plane>>) -> Answer<Json<Value>> {
    let now_ms = time::unix_ms();
    let mut rows = Vec::new();
    // Days before the ledger began say nothing of what is used in one.
    let began_ms = plane.metering.with(metering::began_ms).await?.unwrap_or(now_ms);
    let lately_ms = now_ms.saturating_sub(began_ms).min(LOOK_BACK_MS);
    for scope in Scope::ALL {
        for limit in limits(&plane, scope.name()).await? {
            if let Some(row) = forecast_of(&plane, &limit, (now_ms, lately_ms)).await? {
                rows.push(row);
            }
        }
    }
    Ok(Json(json!({ "rows": rows })))
}

async fn limits(plane: &Plane, scope: &str) -> Result<Vec<LimitStatus>, ApiProblem> {
    let away = |reason: String| ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, reason);
    let link = plane.link.now().map_err(|error| away(error.to_string()))?;
    let ask = AskBody::Limits {
        scope: scope.to_owned(),
        name: String::new(),
    };
    match link.ask(ask, ANSWER_TIMEOUT).await {
        Ok(AnswerBody::Limits { limits }) => Ok(limits),
        Ok(_) => Err(away("the data plane did not understand the question".to_owned())),
        Err(error) => Err(away(error.to_string())),
    }
}

async fn forecast_of(
    plane: &Plane,
    limit: &LimitStatus,
    (now_ms, lately_ms): (u64, u64),
) -> Result<Option<Value>, ApiProblem> {
    const CALENDAR: [&str; 5] = ["day", "week", "month", "quarter", "year"];
    let per = limit.per.as_deref().filter(|per| CALENDAR.contains(per));
    let unit = Unit::ALL.into_iter().find(|unit| unit.name() == limit.unit);
    let (Some(per), Some(unit)) = (per, unit.filter(|unit| *unit != Unit::Concurrent)) else {
        return Ok(None);
    };
    let lately = lately(plane, limit, unit, now_ms).await?;
    let course = Course {
        used: limit.used,
        remaining: limit.remaining,
        reset_ms: limit.reset_ms,
        lately,
        lately_ms,
    };
    let told = forecast(&course);
    let amount = |count: u64| match unit {
        Unit::Budget => json!(NanoUsd(count).to_string()),
        _ => json!(count),
    };
    Ok(Some(json!({
        "scope": limit.scope,
        "name": limit.name,
        "unit": limit.unit,
        "per": per,
        "limit": amount(limit.limit),
        "used": amount(limit.used),
        "remaining": amount(limit.remaining),
        "per_day": amount(told.per_day),
        "resets_at": time::rfc3339(now_ms.saturating_add(limit.reset_ms) / 1000),
        "ends_at": told.ends_in_ms.map(|ms| time::rfc3339(now_ms.saturating_add(ms) / 1000)),
        "at_end": amount(told.at_end),
    })))
}

/// What was used of a limit's unit within `LOOK_BACK_MS`.
async fn lately(plane: &Plane, limit: &LimitStatus, unit: Unit, now_ms: u64) -> Result<u64, ApiProblem> {
    let by = match limit.scope.as_str() {
        "organization" => Vec::new(),
        scope => Dimension::parse_list(scope).unwrap_or_default(),
    };
    let kept_from_ms = metering::kept_from_ms(&plane.current().document.usage.retention, now_ms);
    let span = (now_ms.saturating_sub(LOOK_BACK_MS), now_ms + 1);
    let answer = plane
        .metering
        .ask(Question::new(by, span, Zone::utc(), kept_from_ms))
        .await?;
    let name = match limit.scope.as_str() {
        "organization" => Vec::new(),
        _ => vec![limit.name.clone()],
    };
    let Some(sums) = answer.sums.get(&name) else {
        return Ok(0);
    };
    let number = |name: &str| {
        let at = NUMBERS.iter().position(|known| *known == name);
        at.map_or(0, |at| u64::try_from(sums[at]).unwrap_or(0))
    };
    Ok(match unit {
        Unit::Requests => number("requests") + number("failed"),
        Unit::InputTokens => number("input_tokens"),
        Unit::OutputTokens => number("output_tokens"),
        Unit::Budget => u64::try_from(cost(sums).0 / 1_000).unwrap_or(0),
        _ => number("input_tokens").saturating_add(number("output_tokens")),
    })
}
