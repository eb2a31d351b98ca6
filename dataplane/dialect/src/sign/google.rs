//! Google service accounts: their key signs an assertion, which an authority exchanges for an access token. Source: "Using
//! OAuth 2.0 for Server to Server Applications"; RFC 7523, RFC 7515.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SecureRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};

use super::{
    BadCredential, form,
    token::{self, TokenAsk, TokenForm},
};
use crate::json::{Node, Out};

/// The longest an assertion may hold.
const ASSERTION_LIFE_S: u64 = 3_600;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const DEFAULT_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// A service account with its key.
pub struct ServiceAccount {
    email: Box<str>,
    key_id: Option<Box<str>>,
    token_uri: Box<str>,
    key: RsaKeyPair,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ServiceAccount");
        shown.field("email", &self.email).finish_non_exhaustive()
    }
}

impl ServiceAccount {
    /// Reads the JSON file that Google Cloud hands out.
    pub fn read(content: &[u8]) -> Result<Self, BadCredential> {
        let node = Node::document(content).map_err(|_| BadCredential("it is not a service account's key in JSON"))?;
        let member = |name: &str| node.get(name).and_then(Node::string);
        if member("type").is_some_and(|kind| kind != "service_account") {
            return Err(BadCredential(
                "it is a Google credential, but not a service account's key",
            ));
        }
        let email = member("client_email").ok_or(BadCredential("it has no `client_email`"))?;
        let pem = member("private_key").ok_or(BadCredential("it has no `private_key`"))?;
        let token_uri = member("token_uri").unwrap_or(DEFAULT_TOKEN_URI.into());
        token::check_url(&token_uri)?;
        Ok(Self {
            email: email.into(),
            key_id: member("private_key_id").map(Into::into),
            token_uri: token_uri.into(),
            key: key(&pem)?,
        })
    }

    /// Whom the assertion is for.
    pub fn token_uri(&self) -> &str {
        &self.token_uri
    }

    /// The question that gets a token for `scope`.
    pub fn ask(&self, scope: &str, now_unix_s: u64, random: &dyn SecureRandom) -> Result<TokenAsk, BadCredential> {
        let assertion = self.assertion(scope, now_unix_s, random)?;
        Ok(TokenAsk {
            url: self.token_uri.to_string(),
            body: TokenForm(form::body(&[("grant_type", GRANT), ("assertion", &assertion)])),
        })
    }

    /// A JSON Web Token signed with RS256.
    pub fn assertion(&self, scope: &str, now_unix_s: u64, random: &dyn SecureRandom) -> Result<String, BadCredential> {
        let mut header = Vec::new();
        let mut out = Out::new(&mut header);
        out.open().key("alg").string("RS256").key("typ").string("JWT");
        if let Some(id) = &self.key_id {
            out.key("kid").string(id);
        }
        out.close();
        let mut claims = Vec::new();
        let mut out = Out::new(&mut claims);
        out.open().key("iss").string(&self.email).key("scope").string(scope);
        out.key("aud").string(&self.token_uri);
        out.key("iat")
            .unsigned(now_unix_s)
            .key("exp")
            .unsigned(now_unix_s + ASSERTION_LIFE_S);
        out.close();
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let mut signature = vec![0; self.key.public().modulus_len()];
        let signed = self
            .key
            .sign(&RSA_PKCS1_SHA256, random, token.as_bytes(), &mut signature);
        signed.map_err(|_| BadCredential("its `private_key` does not sign"))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// PKCS #8 as Google writes it, or PKCS #1.
fn key(pem: &str) -> Result<RsaKeyPair, BadCredential> {
    let bad = BadCredential("its `private_key` is no RSA key in PEM");
    let read = |label: &str| {
        let body = pem.split_once(&format!("-----BEGIN {label}-----"))?.1;
        let body = body.split_once(&format!("-----END {label}-----"))?.0;
        let body: String = body.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
        STANDARD.decode(body).ok()
    };
    if let Some(der) = read("PRIVATE KEY") {
        return RsaKeyPair::from_pkcs8(&der).map_err(|_| bad);
    }
    let der = read("RSA PRIVATE KEY").ok_or(bad.clone())?;
    RsaKeyPair::from_der(&der).map_err(|_| bad)
}
