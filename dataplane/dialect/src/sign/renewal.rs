//! When to ask for the next access token, and which to use meanwhile. One per credential, kept by whoever asks, off the
//! shards.

use super::token::{AccessToken, NoToken};

/// After a failure that may pass.
const FIRST_WAIT_S: u64 = 1;
const MAX_WAIT_S: u64 = 60;
/// After a refusal: nothing changes until somebody changes something at the authority.
const REFUSED_WAIT_S: u64 = 60;

/// A credential's token, as it stands.
#[derive(Debug, Default)]
pub struct Renewal {
    token: Option<AccessToken>,
    next_ask_unix_s: u64,
    failures: u32,
    why: Option<String>,
}

impl Renewal {
    /// From here on the authority should be asked.
    pub fn next_ask_unix_s(&self) -> u64 {
        self.next_ask_unix_s
    }

    /// The provider does not take the token: the authority should be asked now.
    pub fn ask_at(&mut self, now_unix_s: u64) {
        self.next_ask_unix_s = self.next_ask_unix_s.min(now_unix_s);
    }

    /// The authority answered, or could not be reached.
    pub fn answered(&mut self, answer: Result<AccessToken, NoToken>, now_unix_s: u64) {
        match answer {
            Ok(token) => {
                // A token that is over as soon as it came would be asked for again and again.
                self.next_ask_unix_s = token.renew_unix_s.max(now_unix_s + FIRST_WAIT_S);
                self.token = Some(token);
                (self.failures, self.why) = (0, None);
            }
            Err(NoToken { why, again }) => {
                let doubled = FIRST_WAIT_S << self.failures.min(MAX_WAIT_S.ilog2() + 1);
                let wait_s = if again { doubled.min(MAX_WAIT_S) } else { REFUSED_WAIT_S };
                self.next_ask_unix_s = now_unix_s + wait_s;
                self.failures = self.failures.saturating_add(1);
                self.why = Some(why);
            }
        }
    }

    /// The token that serves now.
    pub fn token(&self, now_unix_s: u64) -> Option<&AccessToken> {
        self.token.as_ref().filter(|token| now_unix_s < token.expires_unix_s)
    }

    /// Why the last question brought none, for operators.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::credential::Secret;

    fn token(now: u64, life: u64) -> AccessToken {
        AccessToken {
            token: Secret("t".into()),
            renew_unix_s: now + life - life / 4,
            expires_unix_s: now + life,
        }
    }

    fn failed(again: bool) -> Result<AccessToken, NoToken> {
        let why = "status 503".to_owned();
        Err(NoToken { why, again })
    }

    #[test]
    fn a_token_serves_while_the_next_is_asked_for() {
        let mut renewal = Renewal::default();
        assert_eq!((renewal.next_ask_unix_s(), renewal.token(0)), (0, None));
        renewal.answered(Ok(token(1_000, 3_600)), 1_000);
        assert_eq!(renewal.next_ask_unix_s(), 3_700);
        let mut now = 3_700;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            renewal.answered(failed(true), now);
            assert_eq!(renewal.next_ask_unix_s(), now + wait);
            now += wait;
        }
        assert!(renewal.token(now).is_some());
        assert_eq!(renewal.why(), Some("status 503"));
        assert!(renewal.token(4_599).is_some() && renewal.token(4_600).is_none());
        renewal.answered(Ok(token(now, 3_600)), now);
        assert_eq!((renewal.next_ask_unix_s(), renewal.why()), (now + 2_700, None));
    }

    #[test]
    fn a_refusal_is_not_pressed() {
        let mut renewal = Renewal::default();
        renewal.answered(failed(false), 5);
        assert_eq!(renewal.next_ask_unix_s(), 65);
        renewal.answered(Ok(token(70, 0)), 70);
        assert_eq!((renewal.next_ask_unix_s(), renewal.token(70)), (71, None));
    }
}
