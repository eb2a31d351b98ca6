//! `/v1/events`: server-sent events, one JSON object each.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::{events::Numbered, plane::Plane};

/// A comment this often, so that a watcher that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub async fn stream(
    State(plane): State<Arc<Plane>>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let after = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.parse().ok());
    let (missed, feed) = plane.events.watch(after);
    let remembered = stream::iter(missed).map(|event| written(&event));
    let live = stream::unfold(feed, async |mut feed| match feed.recv().await {
        Ok(event) => Some((written(&event), feed)),
        Err(RecvError::Lagged(lost)) => Some((lagged(lost), feed)),
        Err(RecvError::Closed) => None,
    });
    Sse::new(remembered.chain(live).map(Ok)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn written(event: &Numbered) -> Event {
    let json = serde_json::to_string(event).unwrap_or_default();
    Event::default()
        .id(event.id.to_string())
        .event(event.event.kind.clone())
        .data(json)
}

/// A watcher that reads too slowly loses events and is told so.
fn lagged(lost: u64) -> Event {
    Event::default()
        .event("lagged")
        .data(json!({"kind": "lagged", "text": format!("{lost} events lost")}).to_string())
}
