//! Document and secrets → snapshot, or all that is wrong.

use std::{net::Ipv6Addr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hashbrown::HashMap;
use sha2::{Digest as _, Sha256};
use tollgate_config::{
    Document, Problem,
    catalogue::{Paths, StreamFraming},
    document::{Auth, Cors, Dialect, Provider, Reference},
};
use tollgate_wire::http1::write;

use super::{
    CallPath, CorsLines, Endpoint, ModelNames, Secrets, Snapshot, Upstream, credentials,
    ids::{self, Ids},
    references::{pointer, secret_text},
    routes, seconds,
};
use crate::{
    guard,
    limits::{self, Rules, Scope},
    routing::{Slots, grants::Grants, meaning::Meaning},
    semantic::Remote,
};

/// More providers than an `EndpointId` can name.
const MAX_PROVIDERS: usize = u16::MAX as usize;

/// Compiles. `references(document)` says what `secrets` must hold; what is missing is a problem naming the pointer.
pub fn compile(revision: u64, document: Document, secrets: &Secrets) -> Result<Snapshot, Vec<Problem>> {
    compile_after(&Slots::default(), revision, document, secrets)
}

/// Compiles what follows a snapshot with these slots: its targets keep what is known of them.
pub fn compile_after(
    before: &Slots,
    revision: u64,
    document: Document,
    secrets: &Secrets,
) -> Result<Snapshot, Vec<Problem>> {
    let mut problems = Vec::new();
    if document.providers.len() > MAX_PROVIDERS {
        problems.push(Problem::new(
            "/providers",
            "too many providers",
            format!("at most {MAX_PROVIDERS}"),
        ));
    }
    let id_key = ids::configured(&document, secrets, &mut problems);
    let mut upstreams = Vec::with_capacity(document.providers.len());
    let mut endpoints = Vec::with_capacity(document.providers.len());
    for (index, (name, provider)) in document.providers.iter().enumerate() {
        let ids = Ids::of_provider(id_key.as_ref(), provider, secrets);
        let endpoint = compile_endpoint(index, name, provider, secrets, &mut problems);
        upstreams.push(compile_upstream(&endpoint, (provider, ids), secrets, &mut problems));
        endpoints.push(endpoint);
    }
    let providers: HashMap<&str, usize> = document
        .providers
        .iter()
        .enumerate()
        .map(|(i, (name, _))| (name.as_str(), i))
        .collect();
    let models = ModelNames::new(&document.models);
    let mut slots = before.successor();
    let grants: Vec<_> = document
        .providers
        .iter()
        .map(|entry| granted_by(entry, before, &mut slots))
        .collect();
    let mut meaning_faults = Vec::new();
    let meaning = Meaning::new(&document, secrets, &mut meaning_faults);
    let guards = guard::Compiled::new(&document, meaning.as_ref());
    let seconds = seconds::compile(&document, secrets, &mut problems);
    let mut places = routes::Places {
        before,
        slots: &mut slots,
        models: &models,
        grants: &grants,
        meaning: meaning.as_ref(),
        guards: &guards,
        seconds: &seconds,
    };
    let mut routes = Vec::with_capacity(document.models.len());
    for (name, model) in &document.models {
        routes.push(routes::compile(
            (name, model),
            &providers,
            &document,
            &mut places,
            &mut problems,
        ));
    }
    drop(providers);
    // For `/providers/{name}/…`: each provider is its own only target, behind the models' routes.
    for (index, (name, _)) in document.providers.iter().enumerate() {
        routes.push(routes::direct((index, name), &mut places));
    }
    let remote = Remote::new(&document, (&upstreams, &mut routes), &mut places, &mut problems).map(Arc::new);
    if !problems.is_empty() {
        return Err(problems);
    }
    let cors = document
        .listeners
        .iter()
        .map(|(_, listener)| listener.cors.as_ref().map(compile_cors))
        .collect();
    Ok(Snapshot {
        revision,
        organization: Rules::new(Scope::Organization, "", &document.organization),
        zone: limits::zone(&document.timezone),
        document,
        endpoints,
        models,
        routes,
        upstreams,
        cors,
        slots,
        meaning,
        meaning_faults,
        remote,
    })
}

/// What a provider grants, with what is known of it from before.
fn granted_by((name, provider): &(String, Provider), before: &Slots, slots: &mut Slots) -> Option<Arc<Grants>> {
    Grants::new(&provider.grants, |bucket| {
        slots.grant(before, format!("{name}\n{bucket}"))
    })
}

fn compile_upstream(
    endpoint: &Endpoint,
    (provider, ids): (&Provider, Ids),
    secrets: &Secrets,
    problems: &mut Vec<Problem>,
) -> Upstream {
    let name = &endpoint.provider;
    let mut shared = b" HTTP/1.1\r\n".to_vec();
    write::header(&mut shared, b"host", authority(provider).as_bytes());
    // Bytes that must be read are never read compressed.
    write::header(&mut shared, b"accept-encoding", b"identity");
    for (header, value) in &provider.headers {
        write_configured(&mut shared, name, (header, value), problems);
    }
    let also = provider.also.iter().map(|(dialect, paths)| (*dialect, paths));
    let spoken = std::iter::once((provider.dialect, &provider.paths)).chain(also);
    let call_path = |(dialect, paths): (_, &Paths)| {
        (
            dialect,
            CallPath::new(dialect, &provider.base_url.prefix, paths.clone()),
        )
    };
    Upstream {
        dialects: spoken.map(call_path).collect(),
        credentials: credentials::compile(endpoint, provider, &shared, secrets, problems),
        host: authority(provider).into_bytes().into(),
        header_names: provider
            .headers
            .iter()
            .map(|(header, _)| header.to_ascii_lowercase().into())
            .collect(),
        usual_headers: usual_headers(provider),
        ids,
        timeouts: provider.timeouts,
        may_ask_stream_usage: provider.may_ask_stream_usage,
        frames_events: provider.dialect == Dialect::Anthropic
            && provider.row.quirks("").stream_framing == StreamFraming::AwsEventStream,
        signs: matches!(provider.auth, Auth::Aws { .. }),
        limits: Rules::new(Scope::Provider, name, &provider.limits),
    }
}

/// Those of the catalogue's row that the operator did not set otherwise.
fn usual_headers(provider: &Provider) -> Vec<(Box<str>, Box<str>)> {
    let is_set = |name: &str| {
        provider
            .headers
            .iter()
            .any(|(header, _)| header.eq_ignore_ascii_case(name))
    };
    let of_row = provider.row.headers.iter().filter(|(name, _)| !is_set(name));
    of_row
        .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
        .collect()
}

fn write_configured(out: &mut Vec<u8>, provider: &str, (name, value): (&str, &str), problems: &mut Vec<Problem>) {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let framing = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "accept-encoding",
    ];
    let at = || pointer(&["providers", provider, "headers", name]);
    if name.is_empty() || !name.bytes().all(token) || framing.iter().any(|f| name.eq_ignore_ascii_case(f)) {
        return problems.push(Problem::new(
            at(),
            "this header cannot be set",
            "a header's name that is not framing",
        ));
    }
    if !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return problems.push(Problem::new(
            at(),
            "the value holds more than visible ASCII",
            "one line of visible ASCII",
        ));
    }
    write::header(out, name.as_bytes(), value.as_bytes());
}

/// Value of `host`: the port is left out where it is the scheme's own.
fn authority(provider: &Provider) -> String {
    let base = &provider.base_url;
    let host = match base.host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => base.host.clone(),
    };
    let usual_port = if base.tls { 443 } else { 80 };
    if base.port == usual_port {
        host
    } else {
        format!("{host}:{}", base.port)
    }
}

fn compile_endpoint(
    index: usize,
    name: &str,
    provider: &Provider,
    secrets: &Secrets,
    problems: &mut Vec<Problem>,
) -> Endpoint {
    let mut proxy_authorization = None;
    if let Some(reference) = provider.proxy.as_ref().and_then(|proxy| proxy.credential.as_ref()) {
        match secret_text(
            secrets,
            reference,
            &(pointer(&["providers", name, "proxy", "credential"])),
        ) {
            Ok(secret) => proxy_authorization = Some([b"Basic ".as_slice(), &base64(secret)].concat()),
            Err(problem) => problems.push(problem),
        }
    }
    let fingerprint = fingerprint(provider, secrets);
    Endpoint {
        provider: name.to_owned(),
        fingerprint,
        index,
        proxy_authorization,
    }
}

/// Over all that decides who is at the other end, file contents included, so that an exchanged CA takes effect.
fn fingerprint(provider: &Provider, secrets: &Secrets) -> u64 {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{:?}\n{:?}\n{:?}\n",
        provider.base_url, provider.tls, provider.proxy
    ));
    let client = provider.tls.client_certificate.as_ref();
    let contents: [Option<&Reference>; 4] = [
        provider.tls.ca.as_ref(),
        client.map(|(certificate, _)| certificate),
        client.map(|(_, key)| key),
        provider.proxy.as_ref().and_then(|proxy| proxy.credential.as_ref()),
    ];
    for content in contents {
        let content = content
            .and_then(|reference| secrets.get(reference))
            .map_or(&[][..], |content| content);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    let digest = hash.finalize();
    digest[..8].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn compile_cors(cors: &Cors) -> CorsLines {
    let any = cors.origins.iter().any(|origin| origin == "*");
    let listed = || cors.origins.iter().map(|origin| origin.as_bytes().into()).collect();
    CorsLines {
        origins: (!any).then(listed),
        max_age_s: cors.max_age_s,
    }
}

/// RFC 4648 §4, with padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    STANDARD.encode(bytes).into_bytes()
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_pads() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(super::base64(plain.as_bytes()), coded.as_bytes());
        }
    }
}
