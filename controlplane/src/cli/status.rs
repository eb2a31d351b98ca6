//! `tollgate status`: one look.

use serde_json::Value;

use super::{CliError, Output, print, table};
use crate::client::{Call, Client};

pub async fn run(client: &Client, output: Output) -> Result<(), CliError> {
    let status: Value = client.json(Call::get("/v1/status")).await?;
    match output {
        Output::Json => print(&status.to_string()),
        Output::Text => print(&text(&status)),
    }
    Ok(())
}

fn text(status: &Value) -> String {
    let control = &status["controlplane"];
    let mut lines = vec![
        format!("revision      {}", status["revision"]),
        format!("control plane pid {}, up {} s", control["pid"], control["uptime_s"]),
    ];
    let data = &status["dataplane"];
    if data.is_null() {
        lines.push("data plane    not connected".into());
    } else {
        let draining = if data["draining"] == true { ", draining" } else { "" };
        let rss_mib = data["rss_bytes"].as_u64().unwrap_or(0) / (1024 * 1024);
        lines.push(format!(
            "data plane    pid {}, up {} s, {rss_mib} MiB{draining}",
            data["pid"], data["uptime_s"]
        ));
    }
    let cluster = &data["cluster"];
    if cluster.is_object() {
        let store = if cluster["store_up"] == true {
            "answers"
        } else {
            "is away"
        };
        lines.push(format!(
            "cluster       {} node(s), the store {store}, {} lease(s)",
            cluster["nodes"], cluster["leases"]
        ));
    }
    for listener in status["listeners"].as_array().into_iter().flatten() {
        let text = |field: &str| listener[field].as_str().unwrap_or_default();
        lines.push(format!("listener      {} on {}", text("name"), text("address")));
    }
    let shards = status["shards"].as_array().map_or(&[][..], Vec::as_slice);
    if !shards.is_empty() {
        lines.push(String::new());
        lines.push(table(&shard_rows(shards)));
    }
    lines.join("\n")
}

/// Also the lower part of `top`.
pub fn shard_rows(shards: &[Value]) -> Vec<Vec<String>> {
    let heads = [
        "SHARD",
        "REVISION",
        "CONNECTIONS",
        "UPSTREAM",
        "IN FLIGHT",
        "REQUESTS",
        "BUSY",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for shard in shards {
        let number = |field: &str| shard[field].to_string();
        let busy = format!("{:.0} %", shard["busy_ratio"].as_f64().unwrap_or(0.0) * 100.0);
        let mut row: Vec<String> = [
            "id",
            "revision",
            "connections",
            "upstream_connections",
            "in_flight",
            "requests",
        ]
        .map(number)
        .to_vec();
        row.push(busy);
        rows.push(row);
    }
    rows
}
