//! `tollgate providers`: the rows of the catalogue.

use serde_json::{Value, json};
use tollgate_config::{
    catalogue::{self, Row},
    document::Auth,
};

use super::{Output, print, table};

pub fn run(output: Output) {
    match output {
        Output::Json => {
            let rows: Vec<Value> = catalogue::ROWS.iter().map(row_json).collect();
            print(&json!({ "providers": rows }).to_string());
        }
        Output::Text => {
            let mut rows = vec![["KIND", "DIALECT", "ADDRESS", "CREDENTIAL"].map(str::to_owned).to_vec()];
            rows.extend(catalogue::ROWS.iter().map(|row| {
                let address = row.base_url.unwrap_or("(base_url must be given)");
                [row.kind, row.dialect.name(), address, auth(row)]
                    .map(str::to_owned)
                    .to_vec()
            }));
            print(&table(&rows));
        }
    }
}

fn row_json(row: &Row) -> Value {
    json!({"kind": row.kind, "dialect": row.dialect.name(), "base_url": row.base_url, "auth": auth(row)})
}

fn auth(row: &Row) -> &'static str {
    match row.auth {
        Auth::None => "none",
        Auth::Bearer => "authorization: Bearer",
        Auth::XApiKey => "x-api-key",
    }
}
