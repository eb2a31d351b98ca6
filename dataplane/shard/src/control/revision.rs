//! Revisions: prepared on every shard, on disk before they are in force, in force on all shards or on none.

use serde_json::Value;
use tollgate_config::{
    Problem,
    link::{AnswerBody, ShardRevision, StoredKey},
};

use super::{
    Control,
    asks::{Answer, Refusal},
    build::{self, Built, Reread},
    connection::ConnectionId,
    shards::Silent,
    unix_ms,
};
use tollgate_engine::{
    Snapshot,
    routing::{Slots, meaning},
    semantic::Job,
};

use crate::{
    files,
    kept::FindAgain,
    messages::{Prepared, ToShard},
    state_dir::{self, LastGood},
    tls::EXPIRES_SOON_S,
};
use std::sync::Arc;

/// Asks of the data plane's own, not of a connection.
const NOBODY: ConnectionId = 0;

impl Control {
    /// Puts what ran last in force. The error is for the log; without a document the data plane waits for one.
    pub fn restore(&mut self, last_good: LastGood) -> Result<(), String> {
        let LastGood {
            revision,
            document,
            keys,
            ..
        } = last_good;
        match self.prepare(NOBODY, revision, document, keys) {
            Ok(_) => {}
            Err(Refusal::Answer(AnswerBody::Refused { problems })) => {
                let lines: Vec<String> = problems.iter().map(told).collect();
                return Err(format!(
                    "the last good document, revision {revision}, cannot run now: {}",
                    lines.join("; ")
                ));
            }
            Err(Refusal::Answer(AnswerBody::Failed { reason })) => return Err(reason),
            Err(Refusal::Answer(_)) => return Err("the shards refused the last good document".to_owned()),
            Err(Refusal::Broken(silent)) => return Err(silent.to_string()),
        }
        let Some((_, built)) = self.prepared.take() else {
            return Ok(());
        };
        // It is on disk already.
        self.put_in_force(built).map(drop).map_err(|silent| silent.to_string())
    }

    /// Compiles, and makes every shard ready.
    pub(super) fn prepare(&mut self, by: ConnectionId, revision: u64, document: Value, keys: Vec<StoredKey>) -> Answer {
        self.abort();
        let none = Slots::default();
        let before = self
            .running
            .as_ref()
            .map_or(&none, |running| &running.prepared.snapshot.slots);
        let built = build::build(&mut self.maker, before, revision, document, keys)
            .map_err(|problems| Refusal::Answer(AnswerBody::Refused { problems }))?;
        self.prepare_shards(&built.prepared)?;
        self.await_tokens(&built);
        self.prepared = Some((by, built));
        Ok(AnswerBody::Prepared { revision })
    }

    fn prepare_shards(&mut self, prepared: &Arc<Prepared>) -> Result<(), Refusal> {
        let answers = self.shards.ask(|answer| ToShard::Prepare(Arc::clone(prepared), answer));
        let refused = match answers {
            Ok(answers) => answers.into_iter().find_map(Result::err),
            Err(silent) => Some(silent.to_string()),
        };
        match refused {
            None => Ok(()),
            Some(reason) => {
                self.shards.tell_all(|| ToShard::Abort);
                Err(reason.into())
            }
        }
    }

    pub(super) fn abort(&mut self) {
        if self.prepared.take().is_some() {
            self.shards.tell_all(|| ToShard::Abort);
            self.want_tokens();
        }
    }

    /// Last good on disk first, then the shards.
    pub(super) fn commit(&mut self, revision: u64) -> Answer {
        let Some((_, built)) = self.prepared.take_if(|(_, built)| built.revision == revision) else {
            return Err(format!("revision {revision} is not prepared").into());
        };
        if let Err(error) = self.state.save(revision, &built.tree, &built.keys) {
            self.shards.tell_all(|| ToShard::Abort);
            return Err(format!("the last good document cannot be written, so nothing has changed: {error}").into());
        }
        let shards = self.put_in_force(built).map_err(Refusal::Broken)?;
        self.tell(
            "revision_committed",
            format!("revision {revision} is in force on {} shard(s)", shards.len()),
        );
        self.tell_expiries();
        Ok(AnswerBody::Committed { revision, shards })
    }

    fn put_in_force(&mut self, built: Built) -> Result<Vec<ShardRevision>, Silent> {
        let mut shards = self.shards.ask(ToShard::Commit)?;
        shards.sort_by_key(|shard| shard.id);
        self.watch = files::Watch::new(&built.secrets).and(&meaning::files(&built.document().embedding));
        if !built.meaning_faults.is_empty() {
            let lines: Vec<String> = built.meaning_faults.iter().map(told).collect();
            let what = "prompts go to default targets and hard tiers unjudged";
            self.tell("meaning_unavailable", format!("{}; {what}", lines.join("; ")));
        }
        self.answers.keep_only(built.document());
        self.kept.plan(
            &self.answers,
            built.document(),
            &self.find_again(&built.prepared.snapshot),
        );
        self.plan_second_tiers(&built);
        self.running = Some(built);
        self.want_tokens();
        self.share();
        self.tell_key_ends();
        self.accept();
        Ok(shards)
    }

    fn find_again(&self, snapshot: &Arc<Snapshot>) -> FindAgain {
        let (answers, snapshot, offers) = (self.answers.clone(), Arc::clone(snapshot), self.offers.clone());
        Arc::new(move |cache, goes_on| {
            answers.find_again(&snapshot, cache, |insert| {
                offers.wait(Job::Insert(insert));
                goes_on()
            });
        })
    }

    /// On disk, then in force on every shard when answered.
    pub(super) fn change_keys(&mut self, upsert: &[StoredKey], remove: &[String]) -> Answer {
        // A prepared revision carries the keys of before.
        self.abort();
        let Some(running) = &mut self.running else {
            return Err("no revision is in force yet".to_owned().into());
        };
        let table = Arc::new(running.prepared.keys.with_changes(upsert, remove));
        let saved = self.state.save_keys(upsert, remove);
        saved.map_err(|error| format!("the change cannot be written, so nothing has changed: {error}"))?;
        self.shards
            .ask(|answer| ToShard::Keys(Arc::clone(&table), answer))
            .map_err(Refusal::Broken)?;
        state_dir::apply(&mut running.keys, upsert, remove);
        let Prepared { snapshot, tls, .. } = &*running.prepared;
        let prepared = Prepared {
            snapshot: Arc::clone(snapshot),
            keys: table,
            tls: Arc::clone(tls),
        };
        running.prepared = Arc::new(prepared);
        self.share();
        Ok(AnswerBody::Done)
    }

    /// Reads certificates and secrets of the running revision again, and opens the access log anew. What cannot be
    /// read leaves what runs as it is.
    pub(super) fn reload_files(&mut self) {
        self.access.reopen();
        let Some(running) = &self.running else { return };
        self.watch = files::Watch::new(&running.secrets).and(&meaning::files(&running.document().embedding));
        match build::reread(&mut self.maker, running) {
            Ok(Reread::Nothing) => {}
            Ok(Reread::Tls(secrets, tls)) => {
                let told = self.shards.ask(|answer| ToShard::Tls(Arc::clone(&tls), answer));
                if let Err(silent) = told {
                    return self.tell("reload_failed", silent.to_string());
                }
                if let Some(running) = &mut self.running {
                    let Prepared { snapshot, keys, .. } = &*running.prepared;
                    let prepared = Prepared {
                        snapshot: Arc::clone(snapshot),
                        keys: Arc::clone(keys),
                        tls,
                    };
                    running.prepared = Arc::new(prepared);
                    running.secrets = secrets;
                }
                self.tell(
                    "certificate_reloaded",
                    "new connections use the new certificates".to_owned(),
                );
                self.tell_expiries();
            }
            Ok(Reread::All(built)) => self.put_reread_in_force(*built),
            Err(problems) => {
                let lines: Vec<String> = problems.iter().map(told).collect();
                self.tell(
                    "reload_failed",
                    format!("what ran before goes on: {}", lines.join("; ")),
                );
            }
        }
    }

    fn put_reread_in_force(&mut self, built: Built) {
        self.abort();
        if let Err(Refusal::Answer(AnswerBody::Failed { reason })) = self.prepare_shards(&built.prepared) {
            return self.tell("reload_failed", reason);
        }
        self.await_tokens(&built);
        match self.put_in_force(built) {
            Ok(_) => self.tell(
                "files_reloaded",
                "changed secrets and certificates are in force".to_owned(),
            ),
            Err(silent) => self.tell("reload_failed", silent.to_string()),
        }
    }

    /// Warns of certificates that have ended or soon will.
    pub(super) fn tell_expiries(&self) {
        let Some(running) = &self.running else { return };
        let now_unix_s = unix_ms() / 1_000;
        for expiry in &running.prepared.tls.expiries {
            let left_s = expiry.not_after_unix_s.saturating_sub(now_unix_s);
            if left_s == 0 {
                self.tell(
                    "certificate_expires",
                    format!("{} has expired: clients refuse it", expiry.pointer),
                );
            } else if left_s < EXPIRES_SOON_S {
                let days = left_s / (24 * 3600);
                self.tell(
                    "certificate_expires",
                    format!("{} expires in {days} days", expiry.pointer),
                );
            }
        }
    }
}

fn told(problem: &Problem) -> String {
    format!("{}: {}; {}", problem.pointer, problem.wrong, problem.right)
}
