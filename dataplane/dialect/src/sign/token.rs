//! Access tokens (OAuth 2.0, RFC 6749): what is asked, what is answered, and when to ask again.

use super::{BadCredential, credential::Secret};
use crate::json::Node;

/// A question to an authority: `POST` of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAsk {
    pub url: String,
    pub body: TokenForm,
}

/// `application/x-www-form-urlencoded`. It holds a secret and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenForm(pub Vec<u8>);

impl std::fmt::Debug for TokenForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// A token that is good for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Sent in `authorization: Bearer`.
    pub token: Secret,
    /// From here on another should be asked for, while this one still serves.
    pub renew_unix_s: u64,
    pub expires_unix_s: u64,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoToken {
    /// The authority's own words, without what it was given.
    pub why: String,
    /// Asking again in the same words may help.
    pub again: bool,
}

/// What is bounded of an answer.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Where an authority does not say how long (RFC 6749 lets it).
const DEFAULT_LIFE_S: u64 = 600;
/// No token is believed for longer.
const MAX_LIFE_S: u64 = 86_400;

impl AccessToken {
    /// Reads an authority's answer that came at `now_unix_s`.
    pub fn read(status: u16, body: &[u8], now_unix_s: u64) -> Result<Self, NoToken> {
        let document = body.get(..MAX_ANSWER_BYTES).unwrap_or(body);
        let node = Node::document(document).ok();
        let member = |name: &str| node.and_then(|node| node.get(name));
        if status != 200 {
            return Err(NoToken {
                why: refusal(
                    status,
                    member("error").and_then(Node::string).as_deref(),
                    member("error_description").and_then(Node::string).as_deref(),
                ),
                again: status == 429 || status >= 500,
            });
        }
        let token = member("access_token").and_then(Node::string);
        let fits = |token: &str| token.len() <= MAX_TOKEN_BYTES && token.bytes().all(|byte| byte.is_ascii_graphic());
        let Some(token) = token.filter(|token| !token.is_empty() && fits(token)) else {
            return Err(NoToken {
                why: "the answer holds no access token".to_owned(),
                again: true,
            });
        };
        let life = member("expires_in").and_then(|life| life.unsigned().or_else(|| life.string()?.parse().ok()));
        let life_s = life.unwrap_or(DEFAULT_LIFE_S).min(MAX_LIFE_S);
        Ok(Self {
            token: Secret(token.into()),
            // A quarter of its life is left to get the next one, however often the authority fails.
            renew_unix_s: now_unix_s.saturating_add(life_s - life_s / 4),
            expires_unix_s: now_unix_s.saturating_add(life_s),
        })
    }
}

fn refusal(status: u16, error: Option<&str>, description: Option<&str>) -> String {
    const MAX_SHOWN_CHARS: usize = 200;
    let mut why = format!("status {status}");
    for part in [error, description].into_iter().flatten() {
        why.push_str(": ");
        why.extend(part.chars().filter(|letter| !letter.is_control()).take(MAX_SHOWN_CHARS));
    }
    why
}

/// An authority's address must be one that can be called.
pub(super) fn check_url(url: &str) -> Result<(), BadCredential> {
    let scheme = url.starts_with("https://") || url.starts_with("http://");
    if scheme && url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(BadCredential("its address for tokens is no URL"))
}
