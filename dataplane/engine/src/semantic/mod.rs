//! Answers found by what was asked: the same question in other words gets the answer that is kept (`exact`), where
//! everything around the question is equal and the verifier finds the two the same. Similarity only finds candidates.
//!
//! The answers, their time and their bytes are the table's of `exact`. Here is an index for each partition: who may share an
//! answer, the model, and all of the request but its last words, hashed. An entry is a vector and a number.

mod indexer;
mod judge;
mod node;
mod question;
mod remote;
mod shadow;
mod stats;
mod turn;

use std::sync::Arc;

use tollgate_config::{
    document::{SemanticCache, SemanticHistory, SemanticMode},
    fnv::Fnv,
};
use tollgate_vector::{Embedder, Hit, IndexScratch, Scratch};

use crate::{
    exact::{Answers, Mark, Policy, Seed, Stored, Tenant, partition as around, replay_as},
    exchange::{Exchange, Io},
    explain,
    surface::Operation,
};
pub use indexer::Indexer;
pub use judge::{Rejected, may_serve};
use node::Served;
pub use node::{Compared, Insert, Job, Neighbours, Part, Queue, Wrong};
pub(crate) use question::Asked;
pub use remote::{Asker, Batch, Counts, Ended, Remote, Why};
pub(crate) use remote::{Embeds, is_told};
use remote::{Heard, Lack};
pub(crate) use shadow::compare as compare_answers;
pub use shadow::{Agreed, Agreement};
pub use stats::Stats;
pub use tollgate_vector::{Rebuild, Rebuilt};
use turn::{Earlier, Turn};

/// Nearest entries that are looked at.
const MOST_CANDIDATES: usize = 8;
/// Of questions that are compared for one call, both sides: the verifier takes about a microsecond a word.
const MAX_VERIFIED_BYTES: usize = 16 << 10;

/// What a cache does by meaning, compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub ttl_ms: u64,
    pub max_entries: usize,
    pub threshold: f32,
    pub mode: SemanticMode,
    /// As near must a history be that is not equal; `None`: it must be equal.
    history: Option<f32>,
}

const THOUSANDTHS: f32 = 1_000.0;

impl From<SemanticCache> for Rules {
    fn from(cache: SemanticCache) -> Self {
        judge::make_ready();
        Self {
            ttl_ms: cache.ttl_ms,
            max_entries: cache.max_entries as usize,
            threshold: f32::from(cache.threshold_thousandths) / THOUSANDTHS,
            mode: cache.mode,
            history: match cache.history {
                SemanticHistory::Exact => None,
                SemanticHistory::Similar { threshold_thousandths } => {
                    Some(f32::from(threshold_thousandths) / THOUSANDTHS)
                }
            },
        }
    }
}

impl Rules {
    fn earlier(&self) -> Earlier {
        match self.history {
            None => Earlier::Stays,
            Some(_) => Earlier::IsCut,
        }
    }
}

/// Why a call is not looked up by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It is no chat.
    Operation,
    NotWords,
    Long,
    /// There is no model to embed with, or no index.
    NoModel,
    /// The provider that embeds has not.
    NoVector(Lack),
}

impl Passed {
    /// For people; `remote` is the provider's model, where one is asked.
    fn words(self, remote: Option<&Remote>) -> String {
        let why = match self {
            Self::Operation => "only chats are compared by meaning",
            Self::NotWords => "its last turn is not the user's own plain text",
            Self::Long => "its last turn is longer than what is compared",
            Self::NoModel => "there is no embedding model that could be used",
            Self::NoVector(lack) => {
                let name = remote.map_or("?", |remote| &remote.name);
                return format!("passed by: {}", lack.words(name));
            }
        };
        format!("passed by: {why}")
    }
}

/// A call that was looked up: its answer will be found by this.
#[derive(Debug)]
pub(crate) struct Likeness {
    asked: Asked,
    vector: Box<[f32]>,
    /// `mode: shadow`: what would have been served.
    would: Option<(Arc<Stored>, f32)>,
}

impl Likeness {
    fn new(asked: Asked, vector: Box<[f32]>) -> Self {
        Self {
            asked,
            vector,
            would: None,
        }
    }

    /// `has_vector`: with what it is found by, where its vector cannot be made anew.
    pub fn asked(&self, has_vector: bool) -> Asked {
        let asked = self.asked.clone();
        match has_vector {
            true => asked.with_vector(tollgate_vector::to_bytes(&self.vector)),
            false => asked,
        }
    }
}

/// What a lookup needs while it runs: a shard's own, so that only what outlives it is allocated.
#[derive(Debug, Default)]
pub struct Workspace {
    scratch: Scratch,
    index: IndexScratch,
    hits: Vec<Hit>,
}

/// What came of a lookup.
pub(crate) enum Looked {
    /// The call is answered.
    Served,
    /// Nothing is served.
    Asks(Box<Likeness>),
    /// The call is looked up once a provider has made its vector.
    Waits(Box<Embeds>),
    Passed,
}

/// A candidate that may serve.
struct Found {
    stored: Arc<Stored>,
    id: u64,
    similarity: f32,
}

/// Before its provider is asked: is there an answer to the same question in other words? `serves`: it may be answered so.
/// `key`: what the call's own answer is kept under.
pub(crate) fn look_up(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    (answers, policy, key): (&Answers, &Policy, u128),
    (rules, serves): (&Rules, bool),
) -> Looked {
    let pinned = exchange.pin();
    exchange.call.likeness = None;
    let remote = pinned.snapshot.remote.as_ref();
    let asked = match (pinned.snapshot.embedder(), answers.neighbours(), remote) {
        (Some((embedder, fingerprint)), Some(_), None) => {
            ask(exchange, io, (policy, rules), (embedder, fingerprint)).map(|likeness| (likeness, embedder))
        }
        (Some((embedder, _)), Some(_), Some(remote)) => {
            match remote::ask(exchange, io, (answers, policy, key), (rules, remote)) {
                Ok(Heard::Waits(embeds)) => return Looked::Waits(embeds),
                Ok(Heard::Vector(likeness)) => Ok((likeness, embedder)),
                Err(passed) => Err(passed),
            }
        }
        _ => Err(Passed::NoModel),
    };
    let (mut likeness, embedder) = match asked {
        Ok(asked) => asked,
        Err(passed) => {
            tell(exchange, io, || passed.words(remote.map(|remote| &**remote)));
            return Looked::Passed;
        }
    };
    let found = serves
        .then(|| find(exchange, io, (answers, policy, rules), embedder, &likeness))
        .flatten();
    let Some(found) = found else {
        return Looked::Asks(likeness);
    };
    match rules.mode {
        SemanticMode::Serve => match serve(exchange, io, (answers, policy), &found, &likeness) {
            true => Looked::Served,
            false => Looked::Asks(likeness),
        },
        SemanticMode::Shadow => {
            tell(exchange, io, || {
                format!(
                    "an answer would be served, at {:.3}, were `mode` not shadow",
                    found.similarity
                )
            });
            answers.tally(&policy.name, found.id, |stats| stats.would_serve += 1);
            likeness.would = Some((found.stored, found.similarity));
            Looked::Asks(likeness)
        }
    }
}

/// The words of a call, and among what they stand.
#[derive(Debug)]
struct Placed {
    text: String,
    earlier: Vec<Box<str>>,
    around: u128,
    seed: Seed,
}

impl Placed {
    /// `fingerprint`: of the model that its vector is of.
    fn asked(self, fingerprint: u64) -> Asked {
        let partition = node::partition(self.seed, self.around, fingerprint);
        Asked::new(partition, fingerprint, (self.text.into(), self.earlier.into()))
    }
}

fn placed(exchange: &Exchange, io: &Io<'_>, (policy, rules): (&Policy, &Rules)) -> Result<Placed, Passed> {
    if exchange.facts.surface.operation != Operation::Chat {
        return Err(Passed::Operation);
    }
    let body = exchange.admitted.body(io.body);
    let turn = Turn::of(body, rules.earlier())?;
    // A copy of the request, of calls that are about to go to a provider: it is hashed as whole requests are.
    let rest = turn.cut_from(body).ok_or(Passed::NotWords)?;
    let (around, seed) = around(exchange, io, policy, &rest).ok_or(Passed::NotWords)?;
    let Turn { text, earlier, .. } = turn;
    Ok(Placed {
        text,
        earlier,
        around,
        seed,
    })
}

fn ask(
    exchange: &Exchange,
    io: &mut Io<'_>,
    place: (&Policy, &Rules),
    (embedder, fingerprint): (&Embedder, u64),
) -> Result<Box<Likeness>, Passed> {
    let asked = placed(exchange, io, place)?.asked(fingerprint);
    let vector = asked.vector(embedder, &mut io.local.semantic.scratch);
    Ok(Box::new(Likeness::new(asked, vector.ok_or(Passed::NotWords)?)))
}

/// What would be looked up, where nothing is known of what was asked before.
pub(crate) fn told_before(exchange: &Exchange, io: &Io<'_>) -> Option<String> {
    let pinned = exchange.pin();
    let route = pinned.snapshot.routes.get(exchange.facts.route()?)?;
    let rules = route.cache.as_ref()?.semantic?;
    let remote = pinned.snapshot.remote.as_deref();
    if exchange.facts.surface.operation != Operation::Chat {
        return Some(Passed::Operation.words(remote));
    }
    Some(match Turn::of(exchange.admitted.body(io.body), rules.earlier()) {
        Err(why) => why.words(remote),
        Ok(_) if pinned.snapshot.embedder().is_none() => Passed::NoModel.words(remote),
        Ok(_) => format!(
            "the user's last words are compared with those asked in the same place, from a similarity of {:.3} on ({}){}{}; a \
             call that asks with `x-tollgate-explain` is told what candidates there were",
            rules.threshold,
            rules.mode.name(),
            rules.history.map_or_else(String::new, |needs| {
                format!(", and what was said before them, from a similarity of {needs:.3} on")
            }),
            remote.map_or_else(String::new, |remote| format!(", by embeddings of {}", remote.name)),
        ),
    })
}

fn find(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    (answers, policy, rules): (&Answers, &Policy, &Rules),
    embedder: &Embedder,
    likeness: &Likeness,
) -> Option<Found> {
    let pinned = exchange.pin();
    let tenant = Tenant::of(policy.scope, pinned.keys.entry(exchange.facts.key?));
    let neighbours = answers.neighbours()?;
    let partition = likeness.asked.partition;
    let Some(near) = neighbours.at(partition) else {
        tell(exchange, io, || "nothing was asked in this place before".to_owned());
        return None;
    };
    let needs = near.needs(&likeness.vector, rules.threshold);
    let Workspace { index, hits, scratch } = &mut io.local.semantic;
    near.generation.search(&likeness.vector, MOST_CANDIDATES, index, hits);
    let (mut compared_bytes, mut rejected, mut read) = (0, Vec::new(), None);
    let (mut found, mut own) = (None, None);
    for hit in hits.iter() {
        let Some(stored) = answers.like(io.now, (hit.id, partition), tenant, policy, rules.ttl_ms) else {
            // Where there is no room for it the writer finds it by itself.
            neighbours.offer(Job::Gone { partition, id: hit.id });
            continue;
        };
        let Some(before) = stored.asked.as_deref() else {
            continue;
        };
        compared_bytes += likeness.asked.compared_bytes(before);
        if compared_bytes > MAX_VERIFIED_BYTES {
            break;
        }
        let verdict = likeness
            .asked
            .may_be_served(embedder, (hit.similarity, needs), before, &mut read);
        // Of a history that must be equal nothing was cut out, and none is near enough to be another.
        let history = rules.history.unwrap_or(f32::INFINITY);
        let asked = &likeness.asked;
        let verdict = verdict.and_then(|()| asked.has_history_of((embedder, scratch), before, history, &mut own));
        match verdict {
            Ok(()) => {
                let (id, similarity) = (hit.id, hit.similarity);
                found = Some(Found { stored, id, similarity });
                break;
            }
            Err(why) => {
                answers.tally(&policy.name, hit.id, |stats| stats.reject(why));
                rejected.push((hit.similarity, why));
                if why == Rejected::Far {
                    // Those behind it are no nearer.
                    break;
                }
            }
        }
    }
    if found.is_none() {
        tell(exchange, io, || told(&rejected, needs));
        // Its answer will be kept: those who ask next are compared with it.
        if let Some(read) = read {
            likeness.asked.keep(read);
        }
    }
    found
}

fn told(rejected: &[(f32, Rejected)], needs: f32) -> String {
    let each = rejected.iter().map(|(similarity, why)| why.words((*similarity, needs)));
    match rejected {
        [] => "no answer is there any more".to_owned(),
        _ => format!("candidates: {}", each.collect::<Vec<_>>().join(", ")),
    }
}

/// For whoever asks why (`x-tollgate-explain`), behind what was told of the same lookup.
fn tell(exchange: &mut Exchange, io: &Io<'_>, words: impl FnOnce() -> String) {
    if explain::is_asked_for(exchange, io) {
        let words = match exchange.call.likeness.take() {
            Some(before) => format!("{before}; {}", words()),
            None => words(),
        };
        exchange.call.likeness = Some(words.into());
    }
}

fn serve(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    (answers, policy): (&Answers, &Policy),
    found: &Found,
    likeness: &Likeness,
) -> bool {
    exchange.facts.wait_ends(io.now);
    if !replay_as(exchange, io, policy, (&found.stored, Mark::SemanticHit)) {
        return false;
    }
    answers.served_like(found.id, policy, &found.stored.spent);
    if let Some(neighbours) = answers.neighbours() {
        neighbours.note_served(Served {
            request_id: exchange.facts.request_id.as_str().into(),
            cache: Arc::clone(&policy.name),
            tenant: tenant(found.stored.about.tenant()),
            partition: likeness.asked.partition,
            id: found.id,
            vector: likeness.vector.clone(),
            similarity: found.similarity,
        });
    }
    true
}

/// An answer was kept: from now on it is found by what was asked, and what would have been served is compared with it.
pub(crate) fn kept(
    exchange: &Exchange,
    io: &mut Io<'_>,
    answers: &Answers,
    (policy, id): (&Policy, u64),
    stored: &Stored,
    likeness: Likeness,
) {
    let (Some(rules), Some(neighbours)) = (&policy.semantic, answers.neighbours()) else {
        return;
    };
    let Likeness { asked, vector, would } = likeness;
    if let Some((old, similarity)) = would {
        compare(exchange, io, (answers, policy, id), (&old, stored), similarity);
    }
    let pinned = exchange.pin();
    let Some((embedder, _)) = pinned.snapshot.embedder() else {
        return;
    };
    let insert = Insert {
        embedder: Arc::clone(embedder),
        cache: Arc::clone(&policy.name),
        tenant: tenant(stored.about.tenant()),
        partition: asked.partition,
        id,
        vector,
        max_entries: rules.max_entries,
    };
    if !neighbours.offer(Job::Insert(insert)) {
        answers.tally(&policy.name, id, |stats| stats.unindexed += 1);
    }
}

/// Whose share of the entries an answer is in.
pub(crate) fn tenant(name: &str) -> u64 {
    Fnv::of(name.as_bytes())
}

fn compare(
    exchange: &Exchange,
    io: &mut Io<'_>,
    (answers, policy, id): (&Answers, &Policy, u64),
    (old, new): (&Stored, &Stored),
    similarity: f32,
) {
    let pinned = exchange.pin();
    let Some((embedder, _)) = pinned.snapshot.embedder() else {
        return;
    };
    let scratch = &mut io.local.semantic.scratch;
    let (one, other) = ((old.head.form, &*old.body), (new.head.form, &*new.body));
    let Some(agreed) = compare_answers((embedder, scratch), new.dialect, one, other) else {
        return;
    };
    answers.tally(&policy.name, id, |stats| stats.compared(agreed.agreement));
    if let Some(neighbours) = answers.neighbours() {
        neighbours.note_compared(Compared {
            request_id: exchange.facts.request_id.as_str().into(),
            cache: Arc::clone(&policy.name),
            model: exchange.facts.model_asked.as_str().into(),
            unix_ms: io.unix_ms,
            similarity,
            answers: agreed.similarity,
            agreement: agreed.agreement.name(),
        });
    }
}

/// An operator judges a hit: one that was wrong is not served again by meaning, and around it more is asked for. Gives the
/// cache; none where no such request was served lately.
pub fn feedback(answers: &Answers, request_id: &str, wrong: bool) -> Option<Arc<str>> {
    let neighbours = answers.neighbours()?;
    let served = neighbours.take_served(request_id)?;
    answers.tally(&served.cache, served.id, |stats| {
        *(if wrong {
            &mut stats.judged_wrong
        } else {
            &mut stats.judged_right
        }) += 1;
    });
    if wrong {
        // At once; the writer follows.
        answers.unlink(&served.cache, served.id);
        neighbours.tell_wrong(Wrong {
            cache: Arc::clone(&served.cache),
            tenant: served.tenant,
            partition: served.partition,
            id: served.id,
            vector: served.vector,
            similarity: served.similarity,
        });
    }
    Some(served.cache)
}
