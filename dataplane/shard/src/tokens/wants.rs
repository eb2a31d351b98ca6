//! A document's credentials that are exchanged for tokens: what is wanted, and which credential each token belongs to.

use std::sync::Arc;

use ring::digest::{Context, SHA256};
use rustls::ClientConfig;
use tollgate_config::{
    Document, Problem,
    document::{Auth, Provider},
};
use tollgate_dialect::sign::{BadCredential, credential::Secret, google::ServiceAccount, source::TokenSource};
use tollgate_engine::snapshot::Secrets;

use super::{Proxy, Want, Way};

/// Where a token goes: the index of a provider in `document.providers`, and of its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub provider: usize,
    pub credential: usize,
    /// `Want::id`.
    pub id: u64,
}

/// Everything a revision wants.
#[derive(Debug, Default)]
pub struct Wanted {
    pub places: Vec<Place>,
    /// One for each id.
    pub wants: Vec<Want>,
}

/// Reads the credentials, or says all that is wrong with them. `tls` and `proxy_authorization` give, by a provider's index,
/// what its own connections use; providers without TLS have no configuration of their own.
pub fn wanted(
    document: &Document,
    secrets: &Secrets,
    tls: impl Fn(usize) -> Arc<ClientConfig>,
    proxy_authorization: impl Fn(usize) -> Option<Vec<u8>>,
) -> Result<Wanted, Vec<Problem>> {
    let (mut all, mut problems) = (Wanted::default(), Vec::new());
    for (index, (name, provider)) in document.providers.iter().enumerate() {
        if !matches!(provider.auth, Auth::Google { .. } | Auth::AzureAd { .. }) {
            continue;
        }
        for (i, reference) in provider.credentials.iter().enumerate() {
            // One that cannot be read was noted by whoever reads them.
            let Some(content) = secrets.get(reference) else {
                continue;
            };
            let source = match source(&provider.auth, content) {
                Ok(source) => source,
                Err(bad) => {
                    problems.push(Problem::new(
                        pointer(name, provider, i),
                        bad.to_string(),
                        right(&provider.auth),
                    ));
                    continue;
                }
            };
            let authorization = proxy_authorization(index);
            let id = id(provider, content, authorization.as_deref(), secrets);
            all.places.push(Place {
                provider: index,
                credential: i,
                id,
            });
            if all.wants.iter().all(|want| want.id != id) {
                let way = Way {
                    tls: tls(index),
                    proxy: provider
                        .proxy
                        .as_ref()
                        .filter(|proxy| proxy.takes(&authority(&source)))
                        .map(|proxy| Proxy {
                            host: proxy.host.clone(),
                            port: proxy.port,
                            authorization,
                        }),
                };
                all.wants.push(Want { id, source, way });
            }
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

fn source(auth: &Auth, content: &[u8]) -> Result<TokenSource, BadCredential> {
    match auth {
        Auth::AzureAd {
            tenant,
            client_id,
            scope,
            authority,
        } => {
            let secret = str::from_utf8(content)
                .map_err(|_| BadCredential("it is not text"))?
                .trim();
            if secret.is_empty() {
                return Err(BadCredential("it is empty"));
            }
            Ok(TokenSource::AzureAd {
                authority: authority.as_str().into(),
                tenant: tenant.as_str().into(),
                client_id: client_id.as_str().into(),
                scope: scope.as_str().into(),
                secret: Secret(secret.into()),
            })
        }
        Auth::Google { scope } => Ok(TokenSource::Google {
            account: Box::new(ServiceAccount::read(content)?),
            scope: scope.as_str().into(),
        }),
        _ => Err(BadCredential("it is not exchanged for tokens")),
    }
}

fn right(auth: &Auth) -> &'static str {
    match auth {
        Auth::Google { .. } => "the JSON file of a service account's key",
        _ => "the application's client secret",
    }
}

/// The host that is asked, without its port.
fn authority(source: &TokenSource) -> String {
    let url = source.url();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address.to_owned(),
        None => host.split(':').next().unwrap_or_default().to_owned(),
    }
}

/// Over all that decides what token comes and how it is got.
fn id(provider: &Provider, content: &[u8], authorization: Option<&[u8]>, secrets: &Secrets) -> u64 {
    let mut hash = Context::new(&SHA256);
    hash.update(format!("{:?}\n{:?}\n{:?}\n", provider.auth, provider.proxy, provider.tls).as_bytes());
    let client = provider.tls.client_certificate.as_ref();
    let files = [
        provider.tls.ca.as_ref(),
        client.map(|(chain, _)| chain),
        client.map(|(_, key)| key),
    ];
    let files = files.map(|reference| {
        reference
            .and_then(|reference| secrets.get(reference))
            .map_or(&[][..], Vec::as_slice)
    });
    for part in [content, authorization.unwrap_or_default()].into_iter().chain(files) {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finish();
    digest.as_ref()[..8]
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// As `snapshot::references` names it.
fn pointer(name: &str, provider: &Provider, i: usize) -> String {
    let at = format!("/providers/{}/credential", name.replace('~', "~0").replace('/', "~1"));
    if provider.credentials.len() == 1 {
        at
    } else {
        format!("{at}/{i}")
    }
}

#[cfg(test)]
mod tests {
    use tollgate_config::{check::check, document::Reference, parse::parse};

    use super::*;
    use crate::tokens::tests::client_config;

    fn document(auth: &str) -> Document {
        let text = format!(
            "version: 1\nproviders:\n  \
             a/b: {{ kind: azure-openai, resource: r, credential: [ env:A, env:B ], auth: {auth}, \
             proxy: {{ url: 'http://proxy:1', no_proxy: [ login.corp ] }} }}\n  \
             v: {{ kind: vertex, project: p, credential: env:G }}\n  \
             o: {{ kind: openai, credential: env:A }}\n"
        );
        check(&parse(&text).expect("YAML")).expect("a good document")
    }

    fn secrets(of: &[(&str, &str)]) -> Secrets {
        let one = |(name, content): &(&str, &str)| (Reference::Env((*name).to_owned()), content.as_bytes().to_vec());
        of.iter().map(one).collect()
    }

    fn ask(document: &Document, secrets: &Secrets) -> Result<Wanted, Vec<Problem>> {
        wanted(document, secrets, |_| client_config(), |_| None)
    }

    const ENTRA: &str = "{ azure_ad: { tenant: t, client_id: c } }";

    #[test]
    fn each_credential_has_its_token_and_equal_ones_share_it() {
        let document = document(ENTRA);
        let google: serde_json::Value =
            serde_json::from_str(include_str!("../../../dialect/tests/sign/google.json")).expect("JSON");
        let google = google["account"].to_string();
        let all = ask(&document, &secrets(&[("A", "x\n"), ("B", "x\n"), ("G", &google)])).expect("wanted");
        let places: Vec<(usize, usize)> = all
            .places
            .iter()
            .map(|place| (place.provider, place.credential))
            .collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 0)]);
        assert_eq!(all.wants.len(), 2);
        assert!(all.wants[0].way.proxy.is_some() && all.wants[1].way.proxy.is_none());
        let other = ask(&document, &secrets(&[("A", "x\n"), ("B", "y"), ("G", &google)])).expect("wanted");
        assert_eq!((other.wants.len(), other.places[0].id), (3, all.places[0].id));
        assert_ne!(other.places[1].id, all.places[1].id);
    }

    #[test]
    fn an_authority_may_be_reached_without_the_proxy() {
        let auth = "{ azure_ad: { tenant: t, client_id: c, authority: 'https://login.corp:8443/x' } }";
        let all = ask(&document(auth), &secrets(&[("A", "x")])).expect("wanted");
        assert!(all.wants[0].way.proxy.is_none());
    }

    #[test]
    fn what_is_no_credential_is_named() {
        let problems = ask(&document(ENTRA), &secrets(&[("A", " "), ("B", "x"), ("G", "{}")])).expect_err("bad");
        let said: Vec<String> = problems
            .iter()
            .map(|problem| format!("{}: {}", problem.pointer, problem.wrong))
            .collect();
        assert_eq!(
            said,
            [
                "/providers/a~1b/credential/0: it is empty",
                "/providers/v/credential: it has no `client_email`"
            ]
        );
    }
}
