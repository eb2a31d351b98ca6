//! The configuration `tollgate up` runs with when it is given none.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// The one key of the quick start. It is good from this machine only.
pub const KEY: &str = "tg-quickstart";
/// SHA-256 of `KEY`.
pub const KEY_SHA256: &str = "3d43e373c2107753d21cea46e60dec49cce0a27c1a132ebed578f319f9eb2d80";

pub const LISTENER_ADDRESS: &str = "127.0.0.1:8080";
pub const ADMIN_ADDRESS: &str = "127.0.0.1:9080";

/// The built-in document, for a sandbox provider that listens at `sandbox`. It speaks both dialects at one address,
/// so each model has a target for either.
pub fn quickstart(sandbox: SocketAddr) -> Value {
    let base_url = format!("http://{sandbox}");
    let model = |name: &str| {
        json!({ "targets": [
            { "provider": "sandbox", "model": name },
            { "provider": "sandbox-anthropic", "model": name },
        ] })
    };
    json!({
        "version": 1,
        "listeners": { "public": { "address": LISTENER_ADDRESS } },
        "admin": { "address": ADMIN_ADDRESS },
        "providers": {
            "sandbox": { "kind": "sandbox", "base_url": base_url },
            "sandbox-anthropic": { "kind": "sandbox-anthropic", "base_url": base_url },
        },
        "models": { "sandbox-small": model("sandbox-small"), "sandbox-large": model("sandbox-large") },
        "keys": { "quickstart": { "hash": format!("sha256:{KEY_SHA256}"), "loopback_only": true } },
    })
}
