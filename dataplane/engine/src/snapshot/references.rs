//! Which secrets and files a document refers to, and how their contents are read.

use tollgate_config::{
    Document, Problem,
    document::{KeySecret, Reference},
};

use super::Secrets;

/// Every reference that compiling, and the shell's TLS, needs, each with the JSON pointer that names it.
pub fn references(document: &Document) -> Vec<(Reference, String)> {
    let mut found = Vec::new();
    if let Some(secret) = &document.id_secret {
        found.push((secret.clone(), pointer(&["id_secret"])));
    }
    for (reference, at) in document.cluster.iter().flat_map(|cluster| cluster.valkey.references()) {
        let store = pointer(&["cluster", "valkey"]);
        found.push((reference.clone(), format!("{store}{}", pointer(at))));
    }
    for (name, cache) in &document.caches {
        for (reference, at) in cache.second.iter().flat_map(|second| second.references()) {
            found.push((reference.clone(), format!("{}{}", second_pointer(name), pointer(&at))));
        }
    }
    for (name, listener) in &document.listeners {
        let at = pointer(&["listeners", name, "tls"]);
        let Some(tls) = &listener.tls else { continue };
        found.push((tls.certificate.clone(), format!("{at}/certificate")));
        found.push((tls.key.clone(), format!("{at}/key")));
        for (server, certificate, key) in &tls.sni {
            let at = pointer(&["listeners", name, "tls", "sni", server]);
            found.push((certificate.clone(), format!("{at}/certificate")));
            found.push((key.clone(), format!("{at}/key")));
        }
    }
    for (name, provider) in &document.providers {
        let at = pointer(&["providers", name]);
        for (i, credential) in provider.credentials.iter().enumerate() {
            found.push((
                credential.clone(),
                credential_pointer(name, i, provider.credentials.len()),
            ));
        }
        if let Some(credential) = provider.proxy.as_ref().and_then(|proxy| proxy.credential.as_ref()) {
            found.push((credential.clone(), format!("{at}/proxy/credential")));
        }
        if let Some(ca) = &provider.tls.ca {
            found.push((ca.clone(), format!("{at}/tls/ca")));
        }
        if let Some((certificate, key)) = &provider.tls.client_certificate {
            found.push((certificate.clone(), format!("{at}/tls/client_certificate/certificate")));
            found.push((key.clone(), format!("{at}/tls/client_certificate/key")));
        }
    }
    for (name, key) in &document.keys {
        if let KeySecret::Reference(reference) = &key.secret {
            found.push((reference.clone(), pointer(&["keys", name, "secret"])));
        }
    }
    found
}

/// Where a cache's second tier stands.
pub(super) fn second_pointer(cache: &str) -> String {
    pointer(&["caches", cache, "exact", "second"])
}

/// Where the `i`-th of `count` credentials stands: a single one may be written without a list.
pub(super) fn credential_pointer(provider: &str, i: usize, count: usize) -> String {
    let at = pointer(&["providers", provider, "credential"]);
    if count == 1 { at } else { format!("{at}/{i}") }
}

/// An RFC 6901 pointer to these steps.
pub fn pointer(steps: &[&str]) -> String {
    steps.iter().fold(String::new(), |at, step| {
        at + "/" + &step.replace('~', "~0").replace('/', "~1")
    })
}

/// A secret's text, which may end in the line end that editors add. Only visible ASCII can be sent in a header.
pub(crate) fn secret_text<'a>(secrets: &'a Secrets, reference: &Reference, at: &str) -> Result<&'a [u8], Problem> {
    let named = match reference {
        Reference::Env(name) => format!("environment variable {name}"),
        Reference::File(path) => format!("file {path}"),
    };
    let Some(content) = secrets.get(reference) else {
        return Err(Problem::new(
            at,
            format!("{named} cannot be read"),
            "set it, or make it readable",
        ));
    };
    let text = content.trim_ascii();
    if text.is_empty() {
        return Err(Problem::new(at, format!("{named} is empty"), "put the secret there"));
    }
    if !text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(Problem::new(
            at,
            format!("{named} holds more than visible ASCII"),
            "one line with the secret alone",
        ));
    }
    Ok(text)
}
