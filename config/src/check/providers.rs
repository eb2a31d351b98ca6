//! `providers`: where calls are sent, and how.

use serde_json::Value;

use super::{
    auth, beside, grants, names,
    node::{Fields, Node},
    prices, streams, url, values, when,
};
use crate::{
    catalogue::{self, Operation, PARAMETERS, Paths, Row, path},
    document::{Auth, BaseUrl, Connections, Dialect, HttpProxy, NoProxy, Provider, Reference, Timeouts, UpstreamTls},
    keys,
    prices::PriceList,
};

/// The kind of what has no row.
const CUSTOM: &str = "custom";
const DIALECTS: &str = "openai, openai-responses, anthropic, gemini, cohere or bedrock";
const MAX_CREDENTIALS: usize = 64;
const MAX_HEADERS: usize = 32;

pub fn provider(node: &Node) -> Option<Provider> {
    let fields = Fields::open(node, &keys::PROVIDER)?;
    let row = row(node, &fields);
    let account = row.map(|row| account(node, &fields, row)).unwrap_or_default();
    let base_url = row.and_then(|row| base_url(node, &fields, row, &account));
    let credentials = fields.read("credential", credentials);
    let proxy = fields.read("proxy", proxy);
    let timeouts = fields.read("timeouts", timeouts).unwrap_or_default();
    let connections = fields.read("connections", connections).unwrap_or_default();
    let tls = fields.read("tls", tls);
    let headers = headers(&fields);
    let (grants, limits) = fields.read("limits", grants::grants).unwrap_or_default();
    let residency = fields.read("residency", when::region);
    let check = fields.read("check", beside::active_check);
    let row = row?;
    let of_kind = row.prices.as_deref();
    let prices = match fields.get("prices") {
        Some(node) => prices::prices(&node, of_kind),
        None => Some(PriceList::of_section(of_kind)),
    };
    let auth = auth(node, &fields, row, &account);
    let base_url = base_url?;
    if let Some(tls) = fields.get("tls").filter(|_| !base_url.tls) {
        tls.fault(
            "`tls` has no meaning for an http:// address",
            "an https:// base_url, or no `tls`",
        );
    }
    Some(Provider {
        row,
        dialect: row.dialect,
        base_url,
        paths: row.paths.filled(&account),
        also: row.also.iter().map(|dialect| (*dialect, Paths::of(*dialect))).collect(),
        auth: auth?,
        credentials: credentials.unwrap_or_default(),
        proxy,
        timeouts,
        connections,
        tls: tls.unwrap_or_default(),
        may_ask_stream_usage: row.quirks("").may_ask_stream_usage(),
        headers,
        prices: prices?,
        grants,
        limits,
        residency,
        check,
    })
}

/// What is known of the provider: its kind's row, or what its dialect says.
fn row(node: &Node, fields: &Fields) -> Option<&'static Row> {
    let dialect = fields.get("dialect");
    match (fields.get("kind"), dialect) {
        (Some(kind), dialect) if kind.value.as_str() == Some(CUSTOM) => match dialect {
            Some(dialect) => dialect_of(&dialect).map(catalogue::bare),
            None => {
                node.fault("`dialect` is missing", format!("dialect: {DIALECTS}"));
                None
            }
        },
        (Some(kind), None) => kind_row(&kind),
        (None, Some(dialect)) => dialect_of(&dialect).map(catalogue::bare),
        (Some(kind), Some(dialect)) => {
            dialect.fault(
                "`kind` and `dialect` are both given",
                "one of them: `kind` implies its dialect",
            );
            kind_row(&kind)
        }
        (None, None) => {
            node.fault(
                "`kind` is missing",
                "kind: openai, or another that `tollgate providers` lists; or dialect: and base_url:",
            );
            None
        }
    }
}

fn kind_row(node: &Node) -> Option<&'static Row> {
    const RIGHT: &str = "one that `tollgate providers` lists";
    let kinds = || catalogue::rows().iter().map(|row| row.kind.as_str());
    let Value::String(kind) = node.value else {
        return node.expected("a kind of provider", RIGHT);
    };
    if let Some(row) = catalogue::row(kind) {
        return Some(row);
    }
    let right =
        names::nearest(kind, kinds()).map_or_else(|| RIGHT.to_owned(), |near| format!("did you mean `{near}`?"));
    node.expected("a kind of provider that is known", right)
}

fn dialect_of(node: &Node) -> Option<Dialect> {
    let Value::String(word) = node.value else {
        return node.expected("a dialect", DIALECTS);
    };
    let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.name() == word);
    dialect.or_else(|| node.expected("a dialect", DIALECTS))
}

/// What the operator says of the account, where the row has a place for it.
type Account = Vec<(&'static str, String)>;

/// Parameters that address and paths need, and no others.
fn account(node: &Node, fields: &Fields, row: &Row) -> Account {
    let mut account = Account::new();
    let mentions = |text: &str, name: &str| text.contains(&format!("{{{name}}}"));
    for name in PARAMETERS {
        let given = fields.get(name);
        let Some(parameter) = row.parameters.iter().find(|parameter| parameter.name == name) else {
            // Whoever authenticates to AWS names a region.
            if let Some(given) = given.filter(|_| name != "region" || fields.get("auth").is_none()) {
                let kind = if row.kind.is_empty() {
                    "a dialect by itself"
                } else {
                    &row.kind
                };
                given.fault(
                    format!("`{name}` has no meaning for {kind}"),
                    format!("remove `{name}`"),
                );
            } else if let Some(value) = given.and_then(|given| values::account_word(&given)) {
                account.push((name, value));
            }
            continue;
        };
        let paths = Operation::ALL.iter().filter_map(|operation| row.paths.get(*operation));
        let in_address = fields.get("base_url").is_none() && row.base_url.iter().any(|url| mentions(url, name));
        let needed = in_address || paths.into_iter().any(|path| mentions(path.text(), name));
        match (given, &parameter.default) {
            (Some(given), _) => account.extend(values::account_word(&given).map(|value| (name, value))),
            (None, Some(default)) => account.push((name, default.clone())),
            (None, None) if needed => node.fault(format!("`{name}` is missing"), format!("{name}: {}", example(name))),
            (None, None) => {}
        }
    }
    account
}

fn example(parameter: &str) -> &'static str {
    match parameter {
        "region" => "us-east-1",
        "project" => "the project's id",
        "resource" => "the resource's name, as in its address",
        "account" => "the account's id",
        _ => "a date such as 2024-10-21",
    }
}

fn base_url(node: &Node, fields: &Fields, row: &Row, account: &Account) -> Option<BaseUrl> {
    if let Some(given) = fields.get("base_url") {
        return url::base_url(&given, &row.prefix);
    }
    let region = account.iter().find(|(name, _)| *name == "region");
    let of_region = row.base_url_of_region.iter();
    let of_region = of_region.filter(|(name, _)| region.is_some_and(|(_, region)| region == name));
    let Some(template) = of_region.map(|(_, url)| url).next().or(row.base_url.as_ref()) else {
        node.fault("`base_url` is missing", "base_url: https://HOST");
        return None;
    };
    let text = path::fill(template, account);
    if text.contains('{') {
        // The parameter that is missing was noted.
        return None;
    }
    let known = url::known(&text, &row.prefix);
    if known.is_none() {
        node.fault(
            format!("{text} is no address"),
            "parameters that fit into a host's name",
        );
    }
    known
}

/// `auth`, or what the row says; nothing where there is no credential.
fn auth(node: &Node, fields: &Fields, row: &Row, account: &Account) -> Option<Auth> {
    let region = account
        .iter()
        .find(|(name, _)| *name == "region")
        .map(|(_, region)| region.as_str());
    let credential = fields.get("credential");
    if let Some(given) = fields.get("auth") {
        let auth = auth::auth(&given, region)?;
        if credential.is_none() && auth != Auth::None {
            node.fault(
                "`credential` is missing",
                "credential: env:NAME or file:PATH, for `auth`",
            );
        }
        return Some(auth);
    }
    if credential.is_some() {
        return auth::of_row(&row.auth, region);
    }
    if fields.get("base_url").is_none() && row.credential_required {
        node.fault("`credential` is missing", "credential: env:NAME or file:PATH");
    }
    Some(Auth::None)
}

fn credentials(node: &Node) -> Option<Vec<Reference>> {
    let Value::Array(items) = node.value else {
        return values::secret(node).map(|one| vec![one]);
    };
    if items.is_empty() || items.len() > MAX_CREDENTIALS {
        node.fault(
            format!("the list has {} credentials", items.len()),
            format!("1 to {MAX_CREDENTIALS}, or no `credential`"),
        );
        return None;
    }
    node.list("a list", "a list of references", values::secret)
}

fn proxy(node: &Node) -> Option<HttpProxy> {
    const RIGHT: &str = "a list of hosts, .suffixes and networks, such as [ localhost, .corp.example, 10.0.0.0/8 ]";
    let fields = Fields::open(node, &keys::PROXY)?;
    let url = fields.required("url", "http://HOST:PORT", url::proxy_url);
    let credential = fields.read("credential", values::secret);
    let no_proxy = fields
        .read("no_proxy", |node| node.list("a list", RIGHT, no_proxy))
        .unwrap_or_default();
    let (host, port) = url?;
    Some(HttpProxy {
        host,
        port,
        credential,
        no_proxy,
    })
}

fn no_proxy(node: &Node) -> Option<NoProxy> {
    const RIGHT: &str = "a host, a .suffix, an IP address or a network";
    let Value::String(text) = node.value else {
        return node.expected("a host", RIGHT);
    };
    if values::parse_cidr(text).is_some() || text.contains('/') {
        return values::cidr(node).map(NoProxy::Cidr);
    }
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix('.') {
        Some(rest) if url::is_host_name(rest) => Some(NoProxy::Suffix(lower)),
        None if url::is_host_name(&lower) => Some(NoProxy::Host(lower)),
        _ => match lower.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => node.expected("a host", format!("{rest}, without the star")),
            _ => node.expected("a host", RIGHT),
        },
    }
}

fn timeouts(node: &Node) -> Option<Timeouts> {
    let fields = Fields::open(node, &keys::TIMEOUTS)?;
    let default = Timeouts::default();
    let timeout = |key, default| fields.read(key, values::timeout_ms).unwrap_or(default);
    Some(Timeouts {
        connect_ms: timeout("connect", default.connect_ms),
        first_byte_ms: timeout("first_byte", default.first_byte_ms),
        between_bytes_ms: timeout("between_bytes", default.between_bytes_ms),
        total_ms: timeout("total", default.total_ms),
        tokens: streams::token_timeouts(&fields),
    })
}

fn connections(node: &Node) -> Option<Connections> {
    let fields = Fields::open(node, &keys::CONNECTIONS)?;
    let default = Connections::default();
    let max_idle = fields.read("max_idle", |node| values::count(node, 0, 65_535));
    let idle_timeout = fields.read("idle_timeout", values::timeout_ms);
    Some(Connections {
        max_idle: max_idle.unwrap_or(default.max_idle),
        idle_timeout_ms: idle_timeout.unwrap_or(default.idle_timeout_ms),
    })
}

pub fn tls(node: &Node) -> Option<UpstreamTls> {
    let fields = Fields::open(node, &keys::UPSTREAM_TLS)?;
    let ca = fields.read("ca", values::secret);
    let certificate = fields.read("client_certificate", values::secret);
    let key = fields.read("client_key", values::secret);
    let server_name = fields.read("server_name", server_name);
    match (fields.get("client_certificate"), fields.get("client_key")) {
        (Some(_), None) => node.fault(
            "`client_key` is missing",
            "client_key: file:PATH, beside client_certificate",
        ),
        (None, Some(_)) => node.fault(
            "`client_certificate` is missing",
            "client_certificate: file:PATH, beside client_key",
        ),
        _ => {}
    }
    Some(UpstreamTls {
        ca,
        client_certificate: certificate.zip(key),
        server_name,
    })
}

fn server_name(node: &Node) -> Option<String> {
    let name = values::text(node)?;
    if url::is_host_name(&name) {
        return Some(name.to_ascii_lowercase());
    }
    node.expected("a server name", "a DNS name such as api.example.com")
}

fn headers(fields: &Fields) -> Vec<(String, String)> {
    let headers = fields.named("headers", header_name, header_value);
    if let Some(node) = fields.get("headers").filter(|_| headers.len() > MAX_HEADERS) {
        node.fault(
            format!("there are {} headers", headers.len()),
            format!("at most {MAX_HEADERS}"),
        );
    }
    headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect()
}

/// Headers that carry secrets belong in `credential`; those that frame the message are the gateway's.
fn header_name(node: &Node) {
    const CREDENTIALS: &[&str] = &[
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
    ];
    const OURS: &[&str] = &[
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-encoding",
        "accept-encoding",
        "expect",
    ];
    let name = node.name().to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        node.fault(
            format!("`{}` is not a header's name", name.escape_debug()),
            "letters, digits and `-`",
        );
    } else if CREDENTIALS.contains(&name.as_str()) {
        node.fault(
            format!("`{name}` carries a secret"),
            "credential: env:NAME or file:PATH",
        );
    } else if OURS.contains(&name.as_str()) || name.starts_with("x-tollgate-") {
        node.fault(format!("`{name}` is set by the gateway itself"), "remove it");
    }
}

fn header_value(node: &Node) -> Option<String> {
    let Value::String(value) = node.value else {
        return node.expected_unseen("a header's value", "text");
    };
    let visible = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && value.trim() == value;
    if visible && !value.is_empty() {
        return Some(value.clone());
    }
    node.expected_unseen("a header's value", "visible ASCII characters")
}
