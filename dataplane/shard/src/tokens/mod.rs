//! Access tokens of providers' clouds, got and renewed on one side thread, ahead of their end. Shards are told by message
//! and never wait. Knows nothing of requests.

#![allow(clippy::disallowed_methods)] // All but `Handle` runs on the tokens' own thread.

mod ask;
#[cfg(test)]
mod tests;
pub mod wants;

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use ring::rand::SystemRandom;
use rustls::ClientConfig;
use tollgate_dialect::sign::{
    renewal::Renewal,
    source::TokenSource,
    token::{AccessToken, NoToken},
};

/// Lists that wait to be taken over.
const QUEUED: usize = 16;
/// Tokens that providers refused, and that wait to be renewed.
const REFUSED: usize = 64;
/// Between two questions because a provider refuses a token: the refusal may have another reason.
const LEAST_BETWEEN_S: u64 = 10;
/// Authorities asked at once: one that hangs does not hold up the others.
const ASKED_AT_ONCE: usize = 16;
/// The clock may have been set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A credential whose tokens are wanted.
#[derive(Clone, Debug)]
pub struct Want {
    /// Made from all that is below: what is wanted already keeps its token from one revision to the next.
    pub id: u64,
    /// The provider, for operators.
    pub provider: String,
    pub source: Arc<TokenSource>,
    pub way: Way,
}

/// How the authority is reached: as the provider is.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where the authority is asked by TLS.
    pub tls: Option<Arc<ClientConfig>>,
    pub proxy: Option<Proxy>,
}

/// An HTTP proxy, by `CONNECT`.
#[derive(Clone)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// Value of `proxy-authorization`.
    pub authorization: Option<Vec<u8>>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

/// What became of a question.
#[derive(Debug)]
pub struct Told {
    pub id: u64,
    /// The provider whose credential it is.
    pub provider: String,
    /// It is another outcome than the last, or the first.
    pub news: bool,
    /// A token, or why there is none; an earlier one serves until its own end.
    pub outcome: Result<AccessToken, String>,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Handle {
    wants: Sender<Wants>,
    refused: Sender<u64>,
}

#[derive(Debug)]
struct Wants {
    all: Vec<Want>,
    /// Dropped once what is due was asked for.
    asked: Sender<()>,
}

impl Handle {
    /// From now on these are wanted and no others. What is known of them already is told again.
    /// What is given ends once each that is new was asked for.
    pub fn want(&self, all: Vec<Want>) -> Receiver<()> {
        let (asked, done) = bounded(0);
        // The thread ends with the process.
        let _ = self.wants.send(Wants { all, asked });
        done
    }

    /// A provider refuses this token. Never waits.
    pub fn refused(&self, id: u64) {
        // Where many wait, this one is refused again soon.
        let _ = self.refused.try_send(id);
    }
}

/// Starts the thread; `tell` runs on it.
pub fn start(tell: impl FnMut(Told) + Send + 'static) -> Result<Handle, String> {
    let ((wants, taken), (refused, refusals)) = (bounded(QUEUED), bounded(REFUSED));
    thread::Builder::new()
        .name("tokens".to_owned())
        .spawn(move || run(&taken, &refusals, tell))
        .map_err(|error| format!("cannot start the tokens' thread: {error}"))?;
    Ok(Handle { wants, refused })
}

/// A wanted credential and its token.
struct Kept {
    want: Want,
    renewal: Renewal,
    asked_unix_s: u64,
    /// When it was last renewed because it was refused.
    refused_unix_s: u64,
}

fn run(taken: &Receiver<Wants>, refusals: &Receiver<u64>, mut tell: impl FnMut(Told)) {
    let random = SystemRandom::new();
    let mut kept: Vec<Kept> = Vec::new();
    loop {
        // Held until what is due was asked for.
        let mut _asked = None;
        select! {
            recv(taken) -> wants => {
                let Ok(Wants { all, asked }) = wants else { return };
                kept = take_over(kept, all);
                tell_again(&kept, &mut tell);
                _asked = Some(asked);
            }
            recv(refusals) -> id => renew(&mut kept, id.ok()),
            default(until_due(&kept)) => {}
        }
        ask_due(&mut kept, &random, &mut tell);
    }
}

/// A refused token is renewed at once, unless that was just done.
fn renew(kept: &mut [Kept], id: Option<u64>) {
    let now = now_unix_s();
    let refused = kept.iter_mut().find(|kept| Some(kept.want.id) == id);
    if let Some(kept) = refused.filter(|kept| kept.refused_unix_s + LEAST_BETWEEN_S <= now) {
        kept.refused_unix_s = now;
        kept.renewal.ask_at(now);
    }
}

fn until_due(kept: &[Kept]) -> Duration {
    let next = kept.iter().map(|kept| kept.renewal.next_ask_unix_s()).min();
    let wait = next.map(|next| Duration::from_secs(next.saturating_sub(now_unix_s())));
    wait.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
}

fn take_over(mut before: Vec<Kept>, wants: Vec<Want>) -> Vec<Kept> {
    let mut keep = |want: Want| match before.iter().position(|kept| kept.want.id == want.id) {
        Some(at) => before.swap_remove(at),
        None => Kept {
            want,
            renewal: Renewal::default(),
            asked_unix_s: 0,
            refused_unix_s: 0,
        },
    };
    wants.into_iter().map(&mut keep).collect()
}

fn tell_again(kept: &[Kept], tell: &mut impl FnMut(Told)) {
    let now = now_unix_s();
    for Kept { want, renewal, .. } in kept {
        if let Some(token) = renewal.token(now) {
            tell(Told {
                id: want.id,
                provider: want.provider.clone(),
                news: false,
                outcome: Ok(token.clone()),
            });
        }
    }
}

fn ask_due(kept: &mut [Kept], random: &SystemRandom, tell: &mut impl FnMut(Told)) {
    let now = now_unix_s();
    let due = |kept: &&mut Kept| kept.renewal.next_ask_unix_s() <= now;
    let mut due: Vec<&mut Kept> = kept.iter_mut().filter(due).collect();
    for some in due.chunks_mut(ASKED_AT_ONCE) {
        let answers: Vec<Result<AccessToken, NoToken>> = thread::scope(|scope| {
            let asked: Vec<_> = some
                .iter()
                .map(|kept| (&*kept.want.source, &kept.want.way))
                .map(|(source, way)| scope.spawn(move || ask::ask(source, way, random)))
                .collect();
            let answered = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|_| panicked());
            asked.into_iter().map(answered).collect()
        });
        for (kept, answer) in some.iter_mut().zip(answers) {
            let outcome = answer.clone().map_err(|no| no.why);
            let first = kept.asked_unix_s == 0;
            kept.asked_unix_s = now_unix_s();
            let before = kept.renewal.why().map(str::to_owned);
            kept.renewal.answered(answer, kept.asked_unix_s);
            tell(Told {
                id: kept.want.id,
                provider: kept.want.provider.clone(),
                news: first || before.as_deref() != kept.renewal.why(),
                outcome,
            });
        }
    }
}

fn panicked() -> Result<AccessToken, NoToken> {
    Err(NoToken {
        why: "asking for it failed in the gateway".to_owned(),
        again: true,
    })
}

fn now_unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
