//! A provider's credentials, ready for requests.

use sha2::{Digest as _, Sha256};
use tollgate_config::{
    Problem,
    catalogue::path::write_segment,
    document::{Auth, Provider},
};
use tollgate_dialect::sign::AwsCredential;
use tollgate_wire::http1::write;

use super::{
    Credential, Endpoint, Proof, Secrets, Signing,
    references::{credential_pointer, secret_text},
};

/// One for each of the provider's credentials, at least one. `shared` is what every request to it has.
pub(super) fn compile(
    endpoint: &Endpoint,
    provider: &Provider,
    shared: &[u8],
    secrets: &Secrets,
    problems: &mut Vec<Problem>,
) -> Vec<Credential> {
    let count = provider.credentials.len();
    if count == 0 || provider.auth == Auth::None {
        return vec![plain(shared.to_vec())];
    }
    let mut all = Vec::with_capacity(count);
    for (i, reference) in provider.credentials.iter().enumerate() {
        let at = credential_pointer(&endpoint.provider, i, count);
        let compiled = match (&provider.auth, secrets.get(reference)) {
            // Of these a file of several lines may come.
            (Auth::Aws { region, service }, Some(content)) => of_aws(&at, content, (region, service), shared),
            (Auth::Google { .. } | Auth::AzureAd { .. }, Some(content)) => Ok(Credential {
                proof: Proof::Exchanged {
                    id: id(&[
                        &endpoint.fingerprint.to_le_bytes(),
                        format!("{:?}", provider.auth).as_bytes(),
                        content,
                    ]),
                },
                ..plain(shared.to_vec())
            }),
            _ => secret_text(secrets, reference, &at).map(|secret| of_secret(&provider.auth, secret, shared)),
        };
        match compiled {
            Ok(credential) => all.push(credential),
            Err(problem) => problems.push(problem),
        }
    }
    all
}

fn plain(lines: Vec<u8>) -> Credential {
    Credential {
        lines: lines.into(),
        query: None,
        proof: Proof::Shown,
    }
}

fn of_secret(auth: &Auth, secret: &[u8], shared: &[u8]) -> Credential {
    let mut lines = shared.to_vec();
    match auth {
        // Those that are exchanged have no line of their own; they come here when they could not be read.
        Auth::None | Auth::Google { .. } | Auth::AzureAd { .. } => {}
        Auth::Bearer | Auth::Aws { .. } => write::header(&mut lines, b"authorization", &[b"Bearer ", secret].concat()),
        Auth::XApiKey => write::header(&mut lines, b"x-api-key", secret),
        Auth::Header(header) => write::header(&mut lines, header.as_bytes(), secret),
        Auth::Query(name) => {
            let mut query = name.clone().into_bytes();
            query.push(b'=');
            write_segment(&String::from_utf8_lossy(secret), &mut query);
            return Credential {
                query: Some(query.into()),
                ..plain(lines)
            };
        }
    }
    plain(lines)
}

/// Names what these parts decide.
fn id(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    digest[..8].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn of_aws(at: &str, content: &[u8], (region, service): (&str, &str), shared: &[u8]) -> Result<Credential, Problem> {
    let right = "ACCESS:SECRET[:SESSION], a file of the AWS tools, or a bearer token";
    match AwsCredential::read(content) {
        Err(bad) => Err(Problem::new(at, bad.to_string(), right)),
        Ok(AwsCredential::Bearer(token)) => {
            let mut lines = shared.to_vec();
            write::header(&mut lines, b"authorization", &[b"Bearer ", token.0.as_bytes()].concat());
            Ok(plain(lines))
        }
        Ok(AwsCredential::Keys(keys)) => Ok(Credential {
            proof: Proof::Signed(Signing {
                id: id(&[content, region.as_bytes(), service.as_bytes()]),
                keys,
                region: region.into(),
                service: service.into(),
            }),
            ..plain(shared.to_vec())
        }),
    }
}
