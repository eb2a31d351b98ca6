//! Signatures and tokens, beside what AWS publishes, what botocore signs and what `cryptography` signs (`make.py` writes
//! the latter two).

mod aws;
mod suite;
mod tokens;

use serde_json::Value;

fn text<'v>(case: &'v Value, name: &str) -> &'v str {
    case[name].as_str().unwrap_or_else(|| panic!("{name} in {case}"))
}
