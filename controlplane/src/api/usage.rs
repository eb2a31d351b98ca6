//! `/v1/usage`: what calls used and cost, by any of the dimensions that the ledger keeps.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiProblem};
use crate::{
    metering::{self, Dimension, MAX_ROWS, Question, focus, zone::Zone},
    plane::Plane,
    time,
};

/// How far back an answer reaches where nobody says.
const DEFAULT_SPAN_MS: u64 = 30 * 86_400_000;

#[derive(Deserialize)]
pub struct Asked {
    by: Option<String>,
    from: Option<String>,
    to: Option<String>,
    timezone: Option<String>,
    format: Option<String>,
}

pub async fn show(State(plane): State<Arc<Plane>>, Query(asked): Query<Asked>) -> Answer<Json<Value>> {
    let now_ms = time::unix_ms();
    let current = plane.current();
    let zone = zone(asked.timezone.as_deref().unwrap_or(&current.document.timezone))?;
    let span = span(asked.from.as_deref(), asked.to.as_deref(), &zone, now_ms)?;
    let kept_from_ms = metering::kept_from_ms(&current.document.usage.retention, now_ms);
    let is_focus = match asked.format.as_deref() {
        None | Some("json") => false,
        Some("focus") => true,
        Some(other) => {
            let detail =
                format!("format: '{other}' is none of json, focus; CSV is written by 'tollgate usage --format csv'");
            return Err(ApiProblem::bad_request(detail));
        }
    };
    let question = match is_focus {
        true => focus::question(span, zone.clone(), kept_from_ms),
        false => {
            let by = Dimension::parse_list(asked.by.as_deref().unwrap_or_default())
                .map_err(|bad| ApiProblem::bad_request(format!("by: {bad}")))?;
            Question::new(by, span, zone.clone(), kept_from_ms)
        }
    };
    let answer = plane.metering.ask(question.clone()).await?;
    if answer.is_cut {
        return Err(too_many());
    }
    let rows = match is_focus {
        true => focus::rows(&answer, &zone, now_ms),
        false => question.rows(&answer),
    };
    Ok(Json(json!({
        "from": time::rfc3339(question.from_ms / 1000),
        "to": time::rfc3339(question.to_ms.div_ceil(1000)),
        "rows": rows,
    })))
}

pub fn too_many() -> ApiProblem {
    ApiProblem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        format!("the answer would have more than {MAX_ROWS} rows; fewer dimensions, or a shorter time"),
    )
}

pub fn zone(name: &str) -> Result<Zone, ApiProblem> {
    Zone::named(name).ok_or_else(|| {
        ApiProblem::bad_request(format!(
            "timezone: '{name}' is no time zone; a name of the IANA database, such as UTC or Europe/Berlin"
        ))
    })
}

/// What is asked about: thirty days unless somebody says.
pub fn span(from: Option<&str>, to: Option<&str>, zone: &Zone, now_ms: u64) -> Result<(u64, u64), ApiProblem> {
    let at = |name: &str, text: Option<&str>| text.map(|text| moment(name, text, zone, now_ms)).transpose();
    // What ends in this very millisecond is in it.
    let to_ms = at("to", to)?.unwrap_or(now_ms + 1);
    let from_ms = at("from", from)?.unwrap_or(to_ms.saturating_sub(DEFAULT_SPAN_MS));
    if from_ms > to_ms {
        return Err(ApiProblem::bad_request("from: is later than to; an earlier time"));
    }
    Ok((from_ms, to_ms))
}

/// A time (RFC 3339), a day or a month of the zone, or how long ago.
fn moment(name: &str, text: &str, zone: &Zone, now_ms: u64) -> Result<u64, ApiProblem> {
    let ago = || {
        let ago = time::parse_duration(text)?;
        Some(now_ms.saturating_sub(u64::try_from(ago.as_millis()).ok()?))
    };
    let absolute = time::parse_rfc3339(text).map(|unix_s| unix_s * 1000);
    let found = absolute
        .or_else(|| zone.day_begins(text))
        .or_else(|| zone.month_span(text).map(|(from, _)| from));
    found.or_else(ago).ok_or_else(|| {
        ApiProblem::bad_request(format!(
            "{name}: '{text}' is no time; 2026-11-01T00:00:00Z, 2026-11-01, 2026-11, or how long ago: 24h"
        ))
    })
}
