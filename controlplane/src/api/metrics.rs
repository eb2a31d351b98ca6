//! Prometheus text: the data plane's, then the control plane's own.

use std::{
    fmt::Write,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use tollgate_config::link::{AnswerBody, AskBody};

use crate::{
    link::ANSWER_TIMEOUT,
    metric_names::{
        CHANGES, DATAPLANE_RESTARTS, KAFKA_LAG, KAFKA_RECORDS, KAFKA_UP, LEDGER_UP, LINK_UP, REVISION, UPTIME,
        USAGE_RECORDS, WEBHOOK_NOTICES,
    },
    plane::Plane,
};

pub async fn show(State(plane): State<Arc<Plane>>) -> Response {
    let mut text = dataplane(&plane).await.unwrap_or_default();
    let is_up = !text.is_empty();
    usage_records(&plane, &mut text);
    own(&plane, is_up, &mut text);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn dataplane(plane: &Plane) -> Option<String> {
    let link = plane.link.now().ok()?;
    match link.ask(AskBody::Metrics, ANSWER_TIMEOUT).await {
        Ok(AnswerBody::Metrics { text }) => Some(text),
        _ => None,
    }
}

/// Both planes count usage records: lines of a family stand together.
fn usage_records(plane: &Plane, text: &mut String) {
    let head = format!("# TYPE {USAGE_RECORDS} counter\n");
    let at = match text.find(&head) {
        Some(at) => at + head.len(),
        None => {
            text.push_str(&format!(
                "# HELP {USAGE_RECORDS} Usage records, by what became of them.\n{head}"
            ));
            text.len()
        }
    };
    let counts = plane.metering.counts.by_state();
    let lines = counts.map(|(state, count)| format!("{USAGE_RECORDS}{{state=\"{state}\"}} {count}\n"));
    text.insert_str(at, &lines.concat());
}

fn own(plane: &Plane, is_up: bool, text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(&str, u64)]| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let counters = &plane.counters;
    let restarts = counters.dataplane_restarts.load(Ordering::Relaxed);
    let applied = counters.changes_applied.load(Ordering::Relaxed);
    let refused = counters.changes_refused.load(Ordering::Relaxed);
    metric(
        REVISION,
        "gauge",
        "Revision of the document in force.",
        &[("", plane.current().revision)],
    );
    metric(
        LINK_UP,
        "gauge",
        "1 while the data plane answers.",
        &[("", u64::from(is_up))],
    );
    metric(
        UPTIME,
        "gauge",
        "Seconds since the control plane started.",
        &[("", plane.started.elapsed().as_secs())],
    );
    metric(
        DATAPLANE_RESTARTS,
        "counter",
        "Data planes started after one ended.",
        &[("", restarts)],
    );
    metric(
        LEDGER_UP,
        "gauge",
        "1 while usage records come into the ledger.",
        &[("", u64::from(plane.metering.is_up()))],
    );
    if plane.current().document.kafka.is_some() {
        kafka(plane, &mut metric);
    }
    let told = &plane.webhooks;
    let notices = [
        ("{state=\"delivered\"}", &told.delivered),
        ("{state=\"failed_try\"}", &told.failed_tries),
        ("{state=\"dropped\"}", &told.dropped),
    ];
    let notices = notices.map(|(labels, count)| (labels, count.load(Ordering::Relaxed)));
    metric(
        WEBHOOK_NOTICES,
        "counter",
        "Events told to webhooks, by what became of them.",
        &notices,
    );
    let changes = [("{result=\"applied\"}", applied), ("{result=\"refused\"}", refused)];
    metric(
        CHANGES,
        "counter",
        "Changes of the document, by what became of them.",
        &changes,
    );
}

fn kafka(plane: &Plane, metric: &mut impl FnMut(&str, &str, &str, &[(&str, u64)])) {
    let kafka = &plane.kafka;
    metric(
        KAFKA_UP,
        "gauge",
        "1 while calls of the ledger go into the topic.",
        &[("", u64::from(kafka.is_up()))],
    );
    let lag = [("", kafka.lag_ms.load(Ordering::Relaxed) / 1000)];
    metric(
        KAFKA_LAG,
        "gauge",
        "Age of the oldest call that is not in the topic.",
        &lag,
    );
    let records = [
        ("{state=\"sent\"}", kafka.sent.load(Ordering::Relaxed)),
        ("{state=\"skipped\"}", kafka.skipped.load(Ordering::Relaxed)),
    ];
    metric(
        KAFKA_RECORDS,
        "counter",
        "Calls, by whether they are in the topic.",
        &records,
    );
}
