//! `tollgate providers`: the rows of the catalogue.

use serde_json::{Value, json};
use tollgate_config::catalogue::{self, AuthScheme, Operation, Row, StreamUsage};

use super::{Output, print, table};

/// What has no row: the operator names its dialect and address.
const CUSTOM: &str = "custom";

pub fn run(output: Output) {
    match output {
        Output::Json => {
            let mut rows: Vec<Value> = catalogue::rows().iter().map(row_json).collect();
            rows.push(json!({"kind": CUSTOM, "title": "any other", "dialect": null, "base_url": null}));
            print(&json!({ "providers": rows }).to_string());
        }
        Output::Text => {
            let mut rows = vec![["KIND", "DIALECT", "ADDRESS", "CREDENTIAL"].map(str::to_owned).to_vec()];
            rows.extend(catalogue::rows().iter().map(|row| {
                let dialect = row.dialect.name().to_owned();
                vec![row.kind.clone(), dialect, address(row), auth(row)]
            }));
            let custom = [CUSTOM, "(dialect must be given)", "(base_url must be given)", "auth"];
            rows.push(custom.map(str::to_owned).to_vec());
            print(&table(&rows));
        }
    }
}

/// The URL of a chat.
fn address(row: &Row) -> String {
    match &row.base_url {
        None => "(base_url must be given)".to_owned(),
        Some(base) => format!("{base}{}{}", prefix(row, base), row.paths.chat.text()),
    }
}

/// An address with a path has no other prefix.
fn prefix<'r>(row: &'r Row, base: &str) -> &'r str {
    let has_path = base.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if has_path { "" } else { &row.prefix }
}

fn row_json(row: &Row) -> Value {
    let names = |dialects: &[tollgate_config::document::Dialect]| -> Vec<&str> {
        dialects.iter().map(|dialect| dialect.name()).collect()
    };
    let parameters: Value = row
        .parameters
        .iter()
        .map(|parameter| (parameter.name, json!(parameter.default)))
        .collect();
    let path = |operation: Operation| {
        row.paths
            .get(operation)
            .map(|path| (operation.name(), json!(path.text())))
    };
    let paths: Value = Operation::ALL.into_iter().filter_map(path).collect();
    json!({
        "kind": row.kind,
        "title": row.title,
        "source": row.source,
        "dialect": row.dialect.name(),
        "also": names(&row.also),
        "base_url": row.base_url,
        "prefix": row.prefix,
        "paths": paths,
        "parameters": parameters,
        "auth": auth(row),
        "credential_required": row.credential_required,
        "stream_usage": match row.quirks("").stream_usage {
            StreamUsage::Ask => "ask",
            StreamUsage::Always => "always",
            StreamUsage::Never => "never",
            StreamUsage::Unknown => "unknown",
        },
        "prices": row.prices,
    })
}

fn auth(row: &Row) -> String {
    match &row.auth {
        AuthScheme::Bearer => "authorization: Bearer".to_owned(),
        AuthScheme::XApiKey => "x-api-key".to_owned(),
        AuthScheme::Header(name) => name.clone(),
        AuthScheme::Aws(_) => "AWS keys, or a bearer token".to_owned(),
        AuthScheme::Google => "a Google service account's key".to_owned(),
    }
}
