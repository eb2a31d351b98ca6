//! A revision's credentials that are exchanged for tokens: how each token is got.

use std::sync::Arc;

use rustls::ClientConfig;
use tollgate_config::{
    Problem,
    document::{Auth, Provider},
};
use tollgate_dialect::sign::{BadCredential, credential::Secret, google::ServiceAccount, source::TokenSource};
use tollgate_engine::{
    Snapshot,
    snapshot::{Exchanged, Secrets},
};

use super::{Proxy, Want, Way};

/// Reads the credentials, or says all that is wrong with them; one for each token. `tls` gives, by a provider's index, what
/// its authority is asked with by TLS.
pub fn wanted(
    snapshot: &Snapshot,
    secrets: &Secrets,
    mut tls: impl FnMut(usize) -> Result<Arc<ClientConfig>, Problem>,
) -> Result<Vec<Want>, Vec<Problem>> {
    let (mut wants, mut problems) = (Vec::<Want>::new(), Vec::new());
    for Exchanged {
        provider: index,
        credential,
        id,
    } in snapshot.exchanges()
    {
        let (name, provider) = &snapshot.document.providers[index];
        // One that cannot be read was noted by whoever reads them.
        let Some(content) = secrets.get(&provider.credentials[credential]) else {
            continue;
        };
        if wants.iter().any(|want| want.id == id) {
            continue;
        }
        let want = source(&provider.auth, content).map_err(|bad| {
            let at = pointer(name, provider, credential);
            Problem::new(at, bad.to_string(), right(&provider.auth))
        });
        let want = want.and_then(|source| {
            let authorization = snapshot.endpoints[index].proxy_authorization.clone();
            let proxy = provider.proxy.as_ref().filter(|proxy| proxy.takes(&authority(&source)));
            let way = Way {
                tls: source.url().starts_with("https:").then(|| tls(index)).transpose()?,
                proxy: proxy.map(|proxy| Proxy {
                    host: proxy.host.clone(),
                    port: proxy.port,
                    authorization,
                }),
            };
            Ok(Want {
                id,
                provider: name.clone(),
                source: Arc::new(source),
                way,
            })
        });
        match want {
            Ok(want) => wants.push(want),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(wants) } else { Err(problems) }
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
    use tollgate_config::{Document, check::check, document::Reference, parse::parse};
    use tollgate_engine::snapshot::compile;

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

    /// Which of the credentials wants which, and what is wanted.
    fn ask(document: &Document, secrets: &Secrets) -> Result<(Vec<Exchanged>, Vec<Want>), Vec<Problem>> {
        let snapshot = compile(1, document.clone(), secrets)?;
        let wants = wanted(&snapshot, secrets, |_| Ok(client_config()))?;
        Ok((snapshot.exchanges().collect(), wants))
    }

    fn google() -> String {
        let sample: serde_json::Value =
            serde_json::from_str(include_str!("../../../dialect/tests/sign/google.json")).expect("JSON");
        sample["account"].to_string()
    }

    const ENTRA: &str = "{ azure_ad: { tenant: t, client_id: c } }";

    #[test]
    fn each_credential_has_its_token_and_equal_ones_share_it() {
        let document = document(ENTRA);
        let google = google();
        let (places, wants) = ask(&document, &secrets(&[("A", "x\n"), ("B", "x\n"), ("G", &google)])).expect("wanted");
        let at: Vec<(usize, usize)> = places.iter().map(|place| (place.provider, place.credential)).collect();
        assert_eq!(at, [(0, 0), (0, 1), (1, 0)]);
        assert_eq!(wants.len(), 2);
        assert!(wants[0].way.proxy.is_some() && wants[1].way.proxy.is_none());
        let (other, wants) = ask(&document, &secrets(&[("A", "x\n"), ("B", "y"), ("G", &google)])).expect("wanted");
        assert_eq!((wants.len(), other[0].id), (3, places[0].id));
        assert_ne!(other[1].id, places[1].id);
    }

    #[test]
    fn an_authority_may_be_reached_without_the_proxy() {
        let auth = "{ azure_ad: { tenant: t, client_id: c, authority: 'https://login.corp:8443/x' } }";
        let google = google();
        let secrets = secrets(&[("A", "x"), ("B", "x"), ("G", &google)]);
        let (_, wants) = ask(&document(auth), &secrets).expect("wanted");
        assert!(wants[0].way.proxy.is_none());
    }

    #[test]
    fn what_is_no_credential_is_named() {
        let problems = ask(&document(ENTRA), &secrets(&[("A", "x"), ("B", " "), ("G", "{}")])).expect_err("bad");
        let said: Vec<String> = problems
            .iter()
            .map(|problem| format!("{}: {}", problem.pointer, problem.wrong))
            .collect();
        assert_eq!(
            said,
            [
                "/providers/a~1b/credential/1: it is empty",
                "/providers/v/credential: it has no `client_email`"
            ]
        );
    }
}
