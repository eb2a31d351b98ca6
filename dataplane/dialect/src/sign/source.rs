//! What access tokens are got from: one question, whoever is asked, as the HTTP request that a side thread sends.

use std::fmt;

use ring::rand::SecureRandom;

use super::{BadCredential, azure::Application, credential::Secret, google::ServiceAccount, token::TokenAsk};

/// A credential that is exchanged for tokens.
#[derive(Debug)]
pub enum TokenSource {
    Google {
        account: Box<ServiceAccount>,
        scope: Box<str>,
    },
    AzureAd {
        authority: Box<str>,
        tenant: Box<str>,
        client_id: Box<str>,
        scope: Box<str>,
        secret: Secret,
    },
}

impl TokenSource {
    /// Where it is asked, or below which.
    pub fn url(&self) -> &str {
        match self {
            Self::Google { account, .. } => account.token_uri(),
            Self::AzureAd { authority, .. } => authority,
        }
    }

    pub fn ask(&self, now_unix_s: u64, random: &dyn SecureRandom) -> Result<TokenAsk, BadCredential> {
        match self {
            Self::Google { account, scope } => account.ask(scope, now_unix_s, random),
            Self::AzureAd {
                authority,
                tenant,
                client_id,
                scope,
                secret,
            } => {
                let application = Application {
                    authority,
                    tenant,
                    client_id,
                    scope,
                };
                Ok(application.ask(&secret.0))
            }
        }
    }
}

/// Where to connect, and what to send there. The connection is good for this one exchange.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAsk {
    pub tls: bool,
    /// An IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for HttpAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HttpAsk { tls, host, port, .. } = self;
        let mut shown = f.debug_struct("HttpAsk");
        shown.field("tls", tls).field("host", host).field("port", port);
        shown.finish_non_exhaustive()
    }
}

impl TokenAsk {
    /// As HTTP/1.1. `None`: its address is no URL of ours.
    pub fn http(&self) -> Option<HttpAsk> {
        let (tls, rest) = match self.url.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let default_port = if tls { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an address in brackets begin no port.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, default_port),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() || !self.url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let length = self.body.0.len();
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             accept: application/json\r\naccept-encoding: identity\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(&self.body.0);
        Some(HttpAsk {
            tls,
            host: host.to_owned(),
            port,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::token::TokenForm;

    fn ask(url: &str) -> TokenAsk {
        TokenAsk {
            url: url.to_owned(),
            body: TokenForm(b"a=b".to_vec()),
        }
    }

    #[test]
    fn a_question_is_one_request() {
        for (url, tls, host, port, path, authority) in [
            (
                "https://oauth2.googleapis.com/token",
                true,
                "oauth2.googleapis.com",
                443,
                "/token",
                "oauth2.googleapis.com",
            ),
            (
                "http://127.0.0.1:9/t/oauth2",
                false,
                "127.0.0.1",
                9,
                "/t/oauth2",
                "127.0.0.1:9",
            ),
            ("http://[::1]:9/t", false, "::1", 9, "/t", "[::1]:9"),
            ("https://[::1]", true, "::1", 443, "/", "[::1]"),
        ] {
            let http = ask(url).http().unwrap();
            assert_eq!((http.tls, http.host.as_str(), http.port), (tls, host, port), "{url}");
            let text = String::from_utf8(http.bytes).unwrap();
            assert!(
                text.starts_with(&format!("POST {path} HTTP/1.1\r\nhost: {authority}\r\n")),
                "{text}"
            );
            assert!(
                text.ends_with("content-length: 3\r\nconnection: close\r\n\r\na=b"),
                "{text}"
            );
        }
        for url in ["", "oauth2", "ftp://a/", "https://", "https://a:b/", "https://a b/"] {
            assert_eq!(ask(url).http(), None, "{url}");
        }
    }

    #[test]
    fn a_secret_is_asked_with_and_not_shown() {
        let source = TokenSource::AzureAd {
            authority: "https://a".into(),
            tenant: "t".into(),
            client_id: "c".into(),
            scope: "s".into(),
            secret: Secret("hunter2".into()),
        };
        let ask = source.ask(0, &ring::rand::SystemRandom::new()).unwrap();
        let shown = format!("{source:?} {ask:?} {:?}", ask.http().unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(String::from_utf8(ask.body.0).unwrap().contains("client_secret=hunter2"));
    }
}
