//! `/v1/status`: both planes and every shard, now.

use std::sync::{Arc, atomic::Ordering};

use axum::{Json, extract::State};
use serde_json::{Value, json};
use tollgate_config::link::{AnswerBody, AskBody, Status};

use crate::{
    link::{ANSWER_TIMEOUT, Hello},
    plane::Plane,
};

/// Answers also while there is no data plane: `dataplane` is then null.
pub async fn show(State(plane): State<Arc<Plane>>) -> Json<Value> {
    let (hello, status) = dataplane(&plane).await.unzip();
    let (dataplane, shards, models) = match (&hello, &status) {
        (Some(hello), Some(status)) => (
            dataplane_json(hello, status),
            json!(status.shards),
            json!(status.models),
        ),
        _ => (Value::Null, json!([]), json!([])),
    };
    let listeners: Vec<Value> = {
        let current = plane.current();
        let listeners = current.document.listeners.iter();
        listeners
            .map(|(name, listener)| json!({"name": name, "address": listener.address}))
            .collect()
    };
    Json(json!({
        "revision": plane.current().revision,
        "controlplane": {
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_s": plane.started.elapsed().as_secs(),
            "state_dir": plane.state_dir,
            "control_socket": plane.control_socket,
            "admin_address": plane.admin.address(),
            // Of data planes: a newer control plane has to read them.
            "usage_newer": plane.metering.counts.newer.load(std::sync::atomic::Ordering::Relaxed),
            // Null where keys are this control plane's own.
            "keys_followed": plane.store.is_shared().then(|| !plane.keys_failing.load(Ordering::Relaxed)),
            "ledger": plane.metering.status(),
            // Null where calls go nowhere else.
            "kafka": plane.kafka.status(),
            // Null where the store cannot be read.
            "marks_kept": plane.store.count_marks().await.ok(),
        },
        "dataplane": dataplane,
        "listeners": listeners,
        "shards": shards,
        "models": models,
    }))
}

async fn dataplane(plane: &Plane) -> Option<(Hello, Box<Status>)> {
    let link = plane.link.now().ok()?;
    match link.ask(AskBody::Status, ANSWER_TIMEOUT).await {
        Ok(AnswerBody::Status(status)) => Some((link.hello().clone(), status)),
        _ => None,
    }
}

fn dataplane_json(hello: &Hello, status: &Status) -> Value {
    json!({
        "pid": status.pid,
        "version": hello.version,
        "uptime_s": status.uptime_s,
        "revision": status.revision,
        "draining": status.draining,
        "rss_bytes": status.rss_bytes,
        "requests": status.requests,
        "failures": status.failures,
        "total_us": status.total_us,
        "gateway_us": status.gateway_us,
        "cluster": status.cluster,
    })
}
