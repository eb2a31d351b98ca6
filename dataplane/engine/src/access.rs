//! A shard's access tokens, as the shell tells of them. Knows nothing of how they are got, or when they are renewed.

use hashbrown::HashMap;
use tollgate_dialect::sign::token::AccessToken;
use tollgate_wire::http1::write;

use crate::Tick;

/// By the id of the exchange (`Snapshot::exchanges`) that they come from.
#[derive(Debug, Default)]
pub struct AccessTokens {
    by: HashMap<u64, Held>,
    /// Tokens that came so far.
    came: u64,
    /// Which of them was written last.
    shown: u64,
}

/// A header line that shows the token.
struct Held {
    line: Box<[u8]>,
    expires_unix_s: u64,
    /// Which of all that came it is.
    serial: u64,
    /// Another was asked for because this one, or the one before, was refused; and whether this one came of it.
    asked: Option<Tick>,
    is_new: bool,
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
    /// The provider refuses the token, and no other came in time.
    RefusedToken,
    /// The keys were lent for a while, and that is over.
    FreshKeys,
}

impl Lack {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Token => "no access token for it has come yet",
            Self::FreshToken => "its access token has expired and no other has come",
            Self::RefusedToken => "it refuses its access token and no other has come",
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
        self.came += 1;
        let held = Held {
            line: line.into(),
            expires_unix_s: token.expires_unix_s,
            serial: self.came,
            asked: self.by.get(&id).and_then(|held| held.asked),
            is_new: true,
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
    pub(crate) fn show(&mut self, id: u64) -> &[u8] {
        let held = self.by.get(&id);
        self.shown = held.map_or(0, |held| held.serial);
        held.map_or(&[], |held| &held.line)
    }

    /// Which token was written last.
    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    pub(crate) fn serial(&self, id: u64) -> u64 {
        self.by.get(&id).map_or(0, |held| held.serial)
    }

    /// This token was refused: until when another may be hoped for; `None` where it may not.
    pub(crate) fn until_another(
        &mut self,
        (id, shown): (u64, u64),
        now: Tick,
        (wait_ms, least_between_ms): (u64, u64),
    ) -> Option<Tick> {
        let held = self.by.get_mut(&id)?;
        if held.serial != shown {
            // It came while the call was under way.
            return Some(now);
        }
        let lately = held.asked.filter(|&asked| now < asked.plus_ms(least_between_ms));
        match lately {
            Some(_) if held.is_new => None,
            Some(asked) => Some(asked.plus_ms(wait_ms)).filter(|&until| now < until),
            None => {
                (held.asked, held.is_new) = (Some(now), false);
                Some(now.plus_ms(wait_ms))
            }
        }
    }
}
