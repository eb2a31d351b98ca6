//! What caches did, for whoever asks on the control socket. Nothing of a prompt or an answer is in it.

use tollgate_config::link::{AnswerBody, CacheCompared, CacheStatus};
use tollgate_engine::{Answers, exact::Stats, semantic::Compared};

const NS_PER_MS: u64 = 1_000_000;
const THOUSANDTHS: f32 = 1_000.0;

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
