//! A shard's access tokens, as the shell tells of them. Knows nothing of how they are got, or when they are renewed.

use hashbrown::HashMap;
use tollgate_dialect::sign::token::AccessToken;
use tollgate_wire::http1::write;

/// By the id of the exchange (`Snapshot::exchanges`) that they come from.
#[derive(Debug, Default)]
pub struct AccessTokens {
    by: HashMap<u64, Held>,
}

/// A header line that shows the token.
struct Held {
    line: Box<[u8]>,
    expires_unix_s: u64,
}

// By hand: the line holds a secret.
impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held(until {})", self.expires_unix_s)
    }
}

/// Why a credential cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No token has come yet.
    Token,
    /// The token is over, and no other came in time.
    FreshToken,
    /// The keys were lent for a while, and that is over.
    FreshKeys,
}

impl Lack {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Token => "no access token for it has come yet",
            Self::FreshToken => "its access token has expired and no other has come",
            Self::FreshKeys => "its credential has expired and no other has come",
        }
    }
}

impl AccessTokens {
    pub fn put(&mut self, id: u64, token: &AccessToken) {
        let mut line = Vec::new();
        write::header(
            &mut line,
            b"authorization",
            &[b"Bearer ", token.token.0.as_bytes()].concat(),
        );
        let held = Held {
            line: line.into(),
            expires_unix_s: token.expires_unix_s,
        };
        self.by.insert(id, held);
    }

    /// Lets go of all but these.
    pub fn keep(&mut self, mut wanted: impl FnMut(u64) -> bool) {
        self.by.retain(|id, _| wanted(*id));
    }

    pub(crate) fn lack(&self, id: u64, now_unix_s: u64) -> Option<Lack> {
        match self.by.get(&id) {
            None => Some(Lack::Token),
            Some(held) if held.expires_unix_s <= now_unix_s => Some(Lack::FreshToken),
            Some(_) => None,
        }
    }

    /// The line of a token that was not lacking.
    pub(crate) fn line(&self, id: u64) -> &[u8] {
        self.by.get(&id).map_or(&[], |held| &held.line)
    }
}
