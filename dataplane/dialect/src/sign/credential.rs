//! AWS credentials as operators have them: a line, what `credential_process` programs write, a file of the AWS tools,
//! or a bearer token.

use std::fmt;

use super::{BadCredential, time};
use crate::json::Node;

/// A credential for AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsCredential {
    /// Sent as it is, in `authorization: Bearer`.
    Bearer(Secret),
    Keys(AwsKeys),
}

/// Keys that sign. They are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    pub access: Box<str>,
    pub secret: Box<str>,
    /// Of keys that were lent for a while.
    pub session: Option<Box<str>>,
    /// When they were lent; before this they must be read again.
    pub expires_unix_s: Option<u64>,
}

/// Text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKeys")
            .field("access", &self.access)
            .field("expires_unix_s", &self.expires_unix_s)
            .finish_non_exhaustive()
    }
}

impl AwsCredential {
    /// Reads any of the forms.
    pub fn read(content: &[u8]) -> Result<Self, BadCredential> {
        let text = str::from_utf8(content).map_err(|_| BadCredential("it is not text"))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(BadCredential("it is empty"));
        }
        if text.starts_with('{') {
            return of_process(text).map(Self::Keys);
        }
        if lines(text).next().is_some_and(|line| line.starts_with('[')) {
            return of_profile(text).map(Self::Keys);
        }
        match text.split_once(':') {
            None => Ok(Self::Bearer(Secret(visible(text)?))),
            Some((access, rest)) => {
                // Secrets have no colon, and neither have session tokens.
                let (secret, session) = rest
                    .split_once(':')
                    .map_or((rest, None), |(secret, rest)| (secret, Some(rest)));
                keys(access, secret, session, None).map(Self::Keys)
            }
        }
    }
}

/// Without comments and what is empty.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let said = |line: &&str| !line.is_empty() && !line.starts_with(['#', ';']);
    text.lines().map(str::trim).filter(said)
}

/// What `credential_process` programs write, and what an instance's metadata service answers.
fn of_process(text: &str) -> Result<AwsKeys, BadCredential> {
    let node = Node::document(text.as_bytes()).map_err(|_| BadCredential("it begins like JSON and is none"))?;
    let member = |name: &str| node.get(name).and_then(Node::string);
    let missing = BadCredential("it has no `AccessKeyId` and `SecretAccessKey`");
    let access = member("AccessKeyId").ok_or(missing.clone())?;
    let secret = member("SecretAccessKey").ok_or(missing)?;
    let session = member("SessionToken").or_else(|| member("Token"));
    let expires = match member("Expiration") {
        None => None,
        Some(text) => Some(time::unix_s(&text).ok_or(BadCredential("its `Expiration` is no moment in UTC"))?),
    };
    keys(&access, &secret, session.as_deref(), expires)
}

/// `~/.aws/credentials`, of which the default profile counts.
fn of_profile(text: &str) -> Result<AwsKeys, BadCredential> {
    let mut inside = false;
    let (mut access, mut secret, mut session) = (None, None, None);
    for line in lines(text) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = matches!(name.trim(), "default" | "profile default");
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| inside) else {
            continue;
        };
        let value = Some(value.trim());
        match name.trim() {
            "aws_access_key_id" => access = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => session = value,
            _ => {}
        }
    }
    let missing = BadCredential("its profile `default` has no `aws_access_key_id` and `aws_secret_access_key`");
    keys(access.ok_or(missing.clone())?, secret.ok_or(missing)?, session, None)
}

fn keys(
    access: &str,
    secret: &str,
    session: Option<&str>,
    expires_unix_s: Option<u64>,
) -> Result<AwsKeys, BadCredential> {
    Ok(AwsKeys {
        access: visible(access)?,
        secret: visible(secret)?,
        session: session.filter(|token| !token.is_empty()).map(visible).transpose()?,
        expires_unix_s,
    })
}

/// What can stand in a header.
fn visible(text: &str) -> Result<Box<str>, BadCredential> {
    const MAX_BYTES: usize = 16 * 1024;
    match text {
        "" => Err(BadCredential("a part of it is empty")),
        _ if text.len() > MAX_BYTES => Err(BadCredential("it is too long for a header")),
        _ if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text.into()),
        _ => Err(BadCredential("it holds more than visible ASCII")),
    }
}
