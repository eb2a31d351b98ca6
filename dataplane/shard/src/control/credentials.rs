//! What revisions need of access tokens and of keys that were lent for a while, and what operators are told of them.

use std::time::{Duration, Instant};

use super::{Control, build::Built, unix_ms};
use crate::tokens::{Told, Want};

/// How long a revision waits for its first tokens; without them its calls are refused until they come.
const FIRST_TOKENS: Duration = Duration::from_secs(2);
/// Keys that end this soon should have been replaced: files are read again, and operators are told.
const KEYS_END_SOON_S: u64 = 5 * 60;

impl Control {
    /// Has the tokens of a revision that is not in force yet asked for, beside those of the running one.
    pub(super) fn await_tokens(&self, built: &Built) {
        let mut all = built.wants.clone();
        for want in self.running.iter().flat_map(|running| &running.wants) {
            if all.iter().all(|known| known.id != want.id) {
                all.push(want.clone());
            }
        }
        let asked = self.tokens.want(all);
        if !built.wants.is_empty() {
            // Ends by itself: nothing is sent.
            let _ = asked.recv_timeout(FIRST_TOKENS);
        }
    }

    /// Those of the revision in force, and no others.
    pub(super) fn want_tokens(&self) {
        let wants: Vec<Want> = self
            .running
            .as_ref()
            .map(|running| running.wants.clone())
            .unwrap_or_default();
        self.tokens.want(wants);
    }

    pub(super) fn tell_token(&self, told: &Told) {
        let provider = &told.provider;
        match &told.outcome {
            Ok(token) => {
                let left_s = token.expires_unix_s.saturating_sub(unix_ms() / 1_000);
                self.tell(
                    "access_token",
                    format!("provider '{provider}' has an access token, good for {left_s} s"),
                );
            }
            Err(why) => self.tell(
                "access_token_failed",
                format!("provider '{provider}' gets no access token: {why}; asked again soon"),
            ),
        }
    }

    /// When the first of the running revision's keys needs a look.
    pub(super) fn next_key_end(&self) -> Option<Instant> {
        let now_unix_s = unix_ms() / 1_000;
        let ends = self
            .running
            .iter()
            .flat_map(|running| running.prepared.snapshot.key_ends());
        let looks = ends.flat_map(|(_, end)| [end.saturating_sub(KEYS_END_SOON_S), end]);
        let next = looks.filter(|at| *at > now_unix_s).min()?;
        Instant::now().checked_add(Duration::from_secs(next - now_unix_s))
    }

    /// Tells of keys that have ended or soon will, and plans the next look.
    pub(super) fn tell_key_ends(&mut self) {
        self.keys_at = self.next_key_end();
        let Some(running) = &self.running else { return };
        let now_unix_s = unix_ms() / 1_000;
        let snapshot = &running.prepared.snapshot;
        for (provider, end) in snapshot.key_ends() {
            let name = &snapshot.document.providers[provider].0;
            match end.saturating_sub(now_unix_s) {
                0 => self.tell(
                    "credential_expired",
                    format!("a credential of provider '{name}' has expired: calls by it are refused until another is in its place"),
                ),
                left_s if left_s <= KEYS_END_SOON_S => self.tell(
                    "credential_expires",
                    format!("a credential of provider '{name}' expires in {left_s} s"),
                ),
                _ => {}
            }
        }
    }
}
