//! Access tokens of providers' clouds, got and renewed on one side thread, ahead of their end. Shards are told by message
//! and never wait. Knows nothing of requests.

#![allow(clippy::disallowed_methods)] // All but `Handle::want` runs on the tokens' own thread.

mod ask;
#[cfg(test)]
mod tests;
pub mod wants;

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ring::rand::SystemRandom;
use rustls::ClientConfig;
use tollgate_dialect::sign::{
    renewal::Renewal,
    source::TokenSource,
    token::{AccessToken, NoToken},
};

/// Lists that wait to be taken over.
const QUEUED: usize = 16;
/// Authorities asked at once: one that hangs does not hold up the others.
const ASKED_AT_ONCE: usize = 16;
/// The clock may have been set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A credential whose tokens are wanted.
#[derive(Debug)]
pub struct Want {
    /// Made from all that is below: what is wanted already keeps its token from one revision to the next.
    pub id: u64,
    pub source: TokenSource,
    pub way: Way,
}

/// How the authority is reached: as the provider is.
#[derive(Clone, Debug)]
pub struct Way {
    pub tls: Arc<ClientConfig>,
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
    /// A token, or why there is none; an earlier one serves until its own end.
    pub outcome: Result<AccessToken, String>,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Handle {
    wants: Sender<Vec<Want>>,
}

impl Handle {
    /// From now on these are wanted and no others. What is known of them already is told again.
    pub fn want(&self, all: Vec<Want>) {
        // The thread ends with the process.
        let _ = self.wants.send(all);
    }
}

/// Starts the thread; `tell` runs on it.
pub fn start(tell: impl FnMut(Told) + Send + 'static) -> Result<Handle, String> {
    let (wants, taken) = bounded(QUEUED);
    thread::Builder::new()
        .name("tokens".to_owned())
        .spawn(move || run(&taken, tell))
        .map_err(|error| format!("cannot start the tokens' thread: {error}"))?;
    Ok(Handle { wants })
}

/// A wanted credential and its token.
struct Kept {
    want: Want,
    renewal: Renewal,
}

fn run(taken: &Receiver<Vec<Want>>, mut tell: impl FnMut(Told)) {
    let random = SystemRandom::new();
    let mut kept: Vec<Kept> = Vec::new();
    loop {
        match taken.recv_timeout(until_due(&kept)) {
            Ok(wants) => {
                kept = take_over(kept, wants);
                tell_again(&kept, &mut tell);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        ask_due(&mut kept, &random, &mut tell);
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
        },
    };
    wants.into_iter().map(&mut keep).collect()
}

fn tell_again(kept: &[Kept], tell: &mut impl FnMut(Told)) {
    let now = now_unix_s();
    for Kept { want, renewal } in kept {
        if let Some(token) = renewal.token(now) {
            tell(Told {
                id: want.id,
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
                .map(|kept| (&kept.want.source, &kept.want.way))
                .map(|(source, way)| scope.spawn(move || ask::ask(source, way, random)))
                .collect();
            let answered = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|_| panicked());
            asked.into_iter().map(answered).collect()
        });
        for (kept, answer) in some.iter_mut().zip(answers) {
            let outcome = answer.clone().map_err(|no| no.why);
            kept.renewal.answered(answer, now_unix_s());
            tell(Told {
                id: kept.want.id,
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
