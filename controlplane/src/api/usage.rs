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
    metering::{self, Dimension, MAX_ROWS, Question},
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
}

pub async fn show(State(plane): State<Arc<Plane>>, Query(asked): Query<Asked>) -> Answer<Json<Value>> {
    let now_ms = time::unix_ms();
    let at = |name: &str, text: Option<&str>| text.map(|text| moment(name, text, now_ms)).transpose();
    // What ends in this very millisecond is in it.
    let to_ms = at("to", asked.to.as_deref())?.unwrap_or(now_ms + 1);
    let from_ms = at("from", asked.from.as_deref())?.unwrap_or(to_ms.saturating_sub(DEFAULT_SPAN_MS));
    if from_ms > to_ms {
        return Err(ApiProblem::bad_request("from: is later than to; an earlier time"));
    }
    let by = Dimension::parse_list(asked.by.as_deref().unwrap_or_default())
        .map_err(|bad| ApiProblem::bad_request(format!("by: {bad}")))?;
    let question = Question::new(by, from_ms, to_ms, metering::kept_from_ms(now_ms));
    let (from_ms, to_ms) = (question.from_ms, question.to_ms);
    let answer = plane.metering.ask(question).await?;
    if answer.is_cut {
        return Err(ApiProblem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("the answer would have more than {MAX_ROWS} rows; fewer dimensions, or a shorter time"),
        ));
    }
    Ok(Json(json!({
        "from": time::rfc3339(from_ms / 1000),
        "to": time::rfc3339(to_ms.div_ceil(1000)),
        "rows": answer.rows,
    })))
}

/// A time (RFC 3339), a day, or how long ago.
fn moment(name: &str, text: &str, now_ms: u64) -> Result<u64, ApiProblem> {
    let day = || time::parse_rfc3339(&format!("{text}T00:00:00Z"));
    let absolute = time::parse_rfc3339(text).or_else(day).map(|unix_s| unix_s * 1000);
    let ago = || {
        let ago = time::parse_duration(text)?;
        Some(now_ms.saturating_sub(u64::try_from(ago.as_millis()).ok()?))
    };
    absolute.or_else(ago).ok_or_else(|| {
        ApiProblem::bad_request(format!(
            "{name}: '{text}' is no time; 2026-11-01T00:00:00Z, 2026-11-01, or how long ago: 24h"
        ))
    })
}
