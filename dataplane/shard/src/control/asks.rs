//! What control planes ask, and what they are answered.

use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tollgate_config::link::{AnswerBody, Ask, AskBody, PROTOCOL, Say};

use super::{Client, Control, End, shards::Silent};
use crate::messages::ToShard;

/// Why an ask was not done.
pub(super) enum Refusal {
    Answer(AnswerBody),
    /// Shards may run different revisions now. Only a new start from the last good document cures that.
    Broken(Silent),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Answer(AnswerBody::Failed { reason })
    }
}

pub(super) type Answer = Result<AnswerBody, Refusal>;

impl Control {
    /// Answers one ask. A panic while doing so is answered as a failure: the shards do not notice.
    pub(super) fn answer(&mut self, client: &Client, ask: Ask, descriptors: Vec<OwnedFd>) -> Option<End> {
        let id = ask.id;
        let mut following = Vec::new();
        let done = catch_unwind(AssertUnwindSafe(|| {
            self.done(client, ask.body, descriptors, &mut following)
        }));
        let done = done.unwrap_or_else(|_| Err("a fault of the data plane's own; its log says more".to_owned().into()));
        let body = match done {
            Ok(body) | Err(Refusal::Answer(body)) => body,
            Err(Refusal::Broken(silent)) => {
                tracing::error!(%silent, "ending, so that all shards start again on one revision");
                return Some(End::Failed);
            }
        };
        client.say(Say::Answer { id, body }, following);
        None
    }

    fn done(
        &mut self,
        client: &Client,
        ask: AskBody,
        descriptors: Vec<OwnedFd>,
        following: &mut Vec<OwnedFd>,
    ) -> Answer {
        match ask {
            AskBody::Hello => Ok(self.hello(client)),
            AskBody::Listeners { name, address, .. } => self.take_listener(name, address, descriptors),
            AskBody::TakeListeners => {
                let copies = self.listeners.copies();
                let (listeners, copies) = copies.map_err(|error| format!("cannot copy a socket: {error}"))?;
                *following = copies;
                Ok(AnswerBody::Sockets { listeners })
            }
            AskBody::Prepare {
                revision,
                document,
                keys,
            } => self.prepare(client.id, revision, document, keys),
            AskBody::Commit { revision } => self.commit(revision),
            AskBody::Abort { revision } => {
                if self
                    .prepared
                    .as_ref()
                    .is_some_and(|(_, built)| built.revision == revision)
                {
                    self.abort();
                }
                Ok(AnswerBody::Done)
            }
            AskBody::Keys { upsert, remove } => self.change_keys(&upsert, &remove),
            AskBody::Marks { marks, last } => {
                self.keeping.given(client, &marks, last);
                Ok(AnswerBody::Done)
            }
            AskBody::TakeMarks { kept } => Ok(self.keeping.report(kept)),
            AskBody::Unknown { ask } => {
                tracing::warn!(
                    ask,
                    "asked what this version does not know: the control plane is newer, or at fault"
                );
                let version = env!("CARGO_PKG_VERSION").to_owned();
                Ok(AnswerBody::Unknown { ask, version })
            }
            AskBody::Status => Ok(AnswerBody::Status(Box::new(self.status()))),
            AskBody::Metrics => Ok(AnswerBody::Metrics { text: self.metrics() }),
            AskBody::Limits { scope, name } => Ok(AnswerBody::Limits {
                limits: self.limits(&scope, &name),
            }),
            AskBody::Purge { filter } => self.purge(filter),
            AskBody::Caches => Ok(super::caches::told(&self.answers)),
            AskBody::Feedback { request_id, wrong } => {
                let judged = super::caches::judged(&self.answers, &request_id, wrong);
                if wrong && matches!(&judged, AnswerBody::Judged { cache: Some(_) }) {
                    let left = |why| format!("it is not served again by meaning until a restart: {why}");
                    self.kept.forget_found().map_err(left)?;
                }
                Ok(judged)
            }
            AskBody::ReloadFiles => {
                self.reload_files();
                Ok(AnswerBody::Done)
            }
            AskBody::Drain => {
                self.begin_drain();
                Ok(AnswerBody::Done)
            }
            AskBody::Resume => self.resume(),
        }
    }

    fn hello(&mut self, client: &Client) -> AnswerBody {
        if !self.clients.iter().any(|known| known.id == client.id) {
            self.clients.push(client.clone());
        }
        AnswerBody::Hello {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shards: self.shards.len() as u16,
            revision: self.running.as_ref().map_or(0, |running| running.revision),
            listeners: self.listeners.addresses(),
            protocol: PROTOCOL,
        }
    }

    fn take_listener(&mut self, name: String, address: SocketAddr, sockets: Vec<OwnedFd>) -> Answer {
        let (came, shards) = (sockets.len(), self.shards.len());
        if came != shards {
            return Err(format!("listener '{name}': {came} sockets for {shards} shards; send one for each").into());
        }
        self.listeners.hold(name, address, sockets);
        self.accept();
        Ok(AnswerBody::Done)
    }

    /// Lets shards accept where the document in force says so. Before there is one, sockets wait.
    pub(super) fn accept(&mut self) {
        let Some(running) = &self.running else { return };
        if let Err(error) = self.listeners.accept(running.document(), &self.shards) {
            tracing::error!(%error, "a listening socket could not be given to its shard");
        }
    }

    fn resume(&mut self) -> Answer {
        if !self.drain.resume() {
            return Err("accepting has stopped already: start the data plane again"
                .to_owned()
                .into());
        }
        self.first_signal = None;
        self.shards.tell_all(|| ToShard::Resume);
        self.tell("resumed", "serving again".to_owned());
        Ok(AnswerBody::Done)
    }
}
