//! What caches did, for whoever asks on the control socket. Nothing of a prompt or an answer is in it.

use std::sync::Arc;

use tollgate_config::link::{AnswerBody, CacheCompared, CacheStatus, Purge};
use tollgate_engine::{
    Answers,
    exact::{Filter, Stats},
    semantic::{self, Compared},
};

use super::{Control, asks::Answer, build::Built};
use crate::messages::ToShard;

const NS_PER_MS: u64 = 1_000_000;
const THOUSANDTHS: f32 = 1_000.0;

impl Control {
    /// The caches of this revision share with other nodes what it says.
    pub(super) fn plan_second_tiers(&mut self, built: &Built) {
        match self.seconds.plan(&built.seconds) {
            Ok(tiers) => self.shards.tell_all(|| ToShard::Second(Arc::clone(&tiers))),
            Err(why) => self.tell("cache_second_failed", why),
        }
    }

    /// Forgets answers: in memory those that the filter is true of; on the disk and in the stores that nodes share, which
    /// cannot be looked through, all of their caches.
    pub(super) fn purge(&mut self, filter: Purge) -> Answer {
        // What comes from a store from now on was stored since.
        let there = self.seconds.begin_purge(filter.cache.as_deref());
        let (answers, bytes) = self.answers.purge(&Filter(filter));
        let left = |what: &str, why| format!("{answers} answers are forgotten, and {what}: {why}");
        self.kept
            .forget()
            .map_err(|why| left("snapshots may have them still", why))?;
        there
            .end()
            .map_err(|why| left("other nodes may have them still", why))?;
        Ok(AnswerBody::Purged { answers, bytes })
    }
}

pub(super) fn told(answers: &Answers) -> AnswerBody {
    AnswerBody::Caches {
        caches: answers
            .stats()
            .iter()
            .map(|(cache, stats)| status(cache, stats))
            .collect(),
        compared: answers.compared().iter().map(compared).collect(),
    }
}

pub(super) fn judged(answers: &Answers, request_id: &str, wrong: bool) -> AnswerBody {
    let cache = semantic::feedback(answers, request_id, wrong);
    AnswerBody::Judged {
        cache: cache.map(|cache| cache.as_ref().to_owned()),
    }
}

fn status(cache: &str, stats: &Stats) -> CacheStatus {
    let semantic = &stats.semantic;
    CacheStatus {
        cache: cache.to_owned(),
        hits: stats.hits,
        semantic_hits: semantic.hits,
        joined: stats.joined,
        misses: stats.misses,
        saved_tokens: stats.saved_tokens,
        saved_nano_usd: stats.saved.to_nanos().0,
        saved_ms: stats.saved_ns / NS_PER_MS,
        entries: stats.entries,
        bytes: stats.bytes,
        semantic_entries: semantic.entries,
        rejected_far: semantic.far,
        rejected_different: semantic.differing,
        unindexed: semantic.unindexed,
        judged_right: semantic.judged_right,
        judged_wrong: semantic.judged_wrong,
        shadow_hits: semantic.would_serve,
        shadow_same: semantic.same,
        shadow_alike: semantic.alike,
        shadow_other: semantic.other,
    }
}

fn compared(compared: &Compared) -> CacheCompared {
    let thousandths = |similarity: f32| (similarity * THOUSANDTHS) as i32;
    CacheCompared {
        request_id: compared.request_id.to_string(),
        unix_ms: compared.unix_ms,
        cache: compared.cache.as_ref().to_owned(),
        model: compared.model.to_string(),
        similarity: thousandths(compared.similarity),
        answers: thousandths(compared.answers),
        agreement: compared.agreement.to_owned(),
    }
}
