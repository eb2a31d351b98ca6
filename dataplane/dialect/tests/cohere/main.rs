//! Cohere chat: the golden corpus through reader and writer, and what must be refused.

mod answers;
#[path = "../corpus/mod.rs"]
mod corpus;
mod hostile;
mod requests;
mod streams;
mod writing;

use serde_json::Value;
use tollgate_dialect::{
    canonical::request::Request,
    cohere::SPEAKS,
    speak::{PathFacts, Speaks as _},
};

use corpus::cases;

fn read(body: &[u8]) -> Request<'_> {
    SPEAKS
        .read_request(body, PathFacts::default())
        .unwrap_or_else(|error| panic!("not read: {error}: {}", String::from_utf8_lossy(body)))
}

fn value(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

fn case(kind: &str, name: &str) -> Vec<u8> {
    let wanted = format!("cohere/{kind}/{name}");
    let found = cases("cohere", kind)
        .into_iter()
        .find(|case| case.name.starts_with(&wanted));
    found.unwrap_or_else(|| panic!("no case {wanted}")).bytes
}
