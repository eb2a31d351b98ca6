//! The two lines that say that the gateway serves, and how to call it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;
use tollgate_config::{
    Document,
    document::{Dialect, KeySecret},
    quickstart,
};

use crate::{
    cli::{Output, print},
    plane::Plane,
};

/// Where a listener can be reached.
struct Address {
    name: String,
    url: String,
}

pub async fn announce(plane: &Plane, output: Output) {
    let current = plane.current();
    let addresses = addresses(plane, &current.document).await;
    let admin = plane.admin.address().map(|address| url(false, address));
    let is_quickstart = has_quickstart_key(&current.document);
    let curl = addresses
        .first()
        .and_then(|first| curl(&current.document, &first.url, is_quickstart));
    if is_quickstart {
        tracing::warn!(
            "the key {} is known to everyone; it works from this machine only",
            quickstart::KEY
        );
    }
    let socket = plane.control_socket.display().to_string();
    if output == Output::Json {
        let listeners: serde_json::Map<_, _> = addresses.into_iter().map(|a| (a.name, a.url.into())).collect();
        let revision = current.revision;
        return print(
            &json!({"ready": true, "listeners": listeners, "admin": admin, "control_socket": socket,
                    "revision": revision, "curl": curl})
            .to_string(),
        );
    }
    let mut line = String::from("ready");
    for address in &addresses {
        line.push_str(&format!(" {}", address.url));
    }
    if let Some(admin) = admin {
        line.push_str(&format!(" admin {admin}"));
    }
    line.push_str(&format!(" control {socket} revision {}", current.revision));
    print(&line);
    if let Some(curl) = curl {
        print(&curl);
    }
}

async fn addresses(plane: &Plane, document: &Document) -> Vec<Address> {
    let rollout = plane.rollout.lock().await;
    let mut addresses = Vec::new();
    for (name, listener) in &document.listeners {
        let actual = rollout
            .listeners
            .get(name)
            .map_or(listener.address, |bound| bound.actual);
        addresses.push(Address {
            name: name.clone(),
            url: url(listener.tls.is_some(), actual),
        });
    }
    addresses
}

fn url(is_tls: bool, address: SocketAddr) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    // An address that means "all" cannot be called.
    let reachable = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    };
    format!("{scheme}://{reachable}")
}

fn has_quickstart_key(document: &Document) -> bool {
    let hex = |bytes: &[u8; 32]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    document.keys.iter().any(|(_, key)| match &key.secret {
        KeySecret::Sha256(sha256) => key.loopback_only && hex(sha256) == quickstart::KEY_SHA256,
        KeySecret::Reference(_) => false,
    })
}

/// A call that works when pasted, for the first model that has a name of its own.
fn curl(document: &Document, url: &str, is_quickstart: bool) -> Option<String> {
    let (name, model) = document.models.iter().find(|(name, _)| !name.contains('*'))?;
    let provider = &model.targets.first()?.provider;
    let (_, provider) = document.providers.iter().find(|(name, _)| name == provider)?;
    let key = if is_quickstart {
        quickstart::KEY
    } else {
        "$TOLLGATE_KEY"
    };
    let insecure = if url.starts_with("https") { "k" } else { "" };
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let (path, body) = match provider.dialect {
        Dialect::Anthropic => (
            "/v1/messages",
            json!({"model": name, "max_tokens": 100, "messages": messages}),
        ),
        _ => ("/v1/chat/completions", json!({"model": name, "messages": messages})),
    };
    let body = body.to_string().replace('\'', "'\\''");
    Some(format!(
        "curl -sS{insecure} {url}{path} -H \"authorization: Bearer {key}\" -H 'content-type: application/json' -d '{body}'"
    ))
}

#[cfg(test)]
mod tests {
    use tollgate_config::{check, parse::Parsed};

    use super::*;

    #[test]
    fn the_quick_start_can_be_pasted() {
        let tree = quickstart::quickstart("127.0.0.1:9".parse().unwrap());
        let document = check::check(&Parsed::from_tree(tree)).unwrap();
        assert!(has_quickstart_key(&document));
        let line = curl(&document, "http://127.0.0.1:8080", true).unwrap();
        let start = "curl -sS http://127.0.0.1:8080/v1/chat/completions -H \"authorization: Bearer tg-quickstart\"";
        assert!(
            line.starts_with(start) && line.contains(r#""model":"sandbox-small""#),
            "{line}"
        );
    }

    #[test]
    fn addresses_can_be_called() {
        assert_eq!(url(true, "0.0.0.0:8443".parse().unwrap()), "https://127.0.0.1:8443");
        assert_eq!(url(false, "[::]:80".parse().unwrap()), "http://[::1]:80");
    }
}
