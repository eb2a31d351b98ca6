//! Choosing by what a prompt means: whose examples it resembles, or how hard it is. A prompt is read and its vector made
//! once for a call, and only where a model goes by it. Without a model that can be used every call goes on: to the default
//! target, or to the hard tier. Knows no files: their bytes come with the secrets.

mod gauge;
mod prompt;
mod told;

use std::sync::Arc;

use tollgate_config::{
    Document, Problem,
    document::{Difficulty, Embedding, Model, Reference, Strategy, Tier as Listed},
    fnv::Fnv,
};
use tollgate_vector::{Complexity, Embedder, ExemplarScratch, Exemplars, Nearness, Scratch};

use crate::{
    exchange::{Exchange, Io},
    snapshot::{Route, Secrets},
};
pub use gauge::{Gauge, Gauged};
pub(crate) use prompt::{Prompt, Words};
pub(crate) use told::{decision, why};

const THOUSANDTHS: f32 = 1_000.0;

/// The files of `embedding`, each with the pointer that names it. They are bytes: white space at their ends counts.
pub fn files(embedding: &Embedding) -> Vec<(Reference, String)> {
    let mut files = Vec::new();
    if let Some(Reference::File(folder)) = &embedding.model {
        for name in [MODEL_FILE, TOKENIZER_FILE] {
            files.push((Reference::File(format!("{folder}/{name}")), MODEL_POINTER.to_owned()));
        }
    }
    if let Some(weights) = &embedding.complexity {
        files.push((weights.clone(), COMPLEXITY_POINTER.to_owned()));
    }
    files
}

/// The largest of them.
pub const MAX_FILE_BYTES: usize = tollgate_vector::MAX_MODEL_BYTES;
const MODEL_FILE: &str = "model.safetensors";
const TOKENIZER_FILE: &str = "tokenizer.json";
const MODEL_POINTER: &str = "/embedding/model";
const COMPLEXITY_POINTER: &str = "/embedding/complexity";

/// What meaning is judged with: one for all routes of a snapshot.
#[derive(Debug)]
pub(crate) struct Meaning {
    embedder: Arc<Embedder>,
    /// Another model has another.
    fingerprint: u64,
    /// None where no model goes by it, or it cannot be used.
    complexity: Option<Arc<Complexity>>,
}

impl Meaning {
    /// None where nothing goes by meaning, or the model cannot be used: what is wrong then is in `faults`.
    pub fn new(document: &Document, secrets: &Secrets, faults: &mut Vec<Problem>) -> Option<Self> {
        let tiers = || document.models.iter().flat_map(|(_, model)| &model.tiers);
        let any = |strategy| tiers().any(|tier| tier.strategy == strategy);
        let (semantic, complexity) = (any(Strategy::Semantic), any(Strategy::Complexity));
        let configured = &document.embedding;
        let caches = document.caches.iter().any(|(_, cache)| cache.semantic.is_some());
        let is_used =
            semantic || complexity || caches || *configured != Embedding::default() || guards_or_extracts(document);
        is_used
            .then(|| Self::load(configured, complexity, secrets, faults))
            .flatten()
    }

    pub fn shared_embedder(&self) -> &Arc<Embedder> {
        &self.embedder
    }

    fn load(
        configured: &Embedding,
        judges_complexity: bool,
        secrets: &Secrets,
        faults: &mut Vec<Problem>,
    ) -> Option<Self> {
        let mut note = |pointer: &str, wrong: String, right: &str| faults.push(Problem::new(pointer, wrong, right));
        let embedder = match &configured.model {
            None => Embedder::shipped().map_err(|error| error.to_string()),
            Some(folder) => load(folder, secrets).map(Arc::new),
        };
        let embedder = match embedder {
            Ok(embedder) => embedder,
            Err(wrong) => {
                note(
                    MODEL_POINTER,
                    wrong,
                    "a directory in the format of model2vec, or none for the shipped model",
                );
                return None;
            }
        };
        let weights = match &configured.complexity {
            None if !judges_complexity || configured.model.is_some() => Ok(None),
            None => Complexity::shipped().map(Some).map_err(|error| error.to_string()),
            Some(file) => content(file, secrets)
                .and_then(|bytes| Complexity::load(bytes).map_err(|error| error.to_string()))
                .map(|weights| Some(Arc::new(weights))),
        };
        let fits = weights.and_then(|weights| match weights {
            Some(weights) if !weights.fits(&embedder) => {
                Err("the weights were made with another embedding model".to_owned())
            }
            weights => Ok(weights),
        });
        let complexity = fits.unwrap_or_else(|wrong| {
            note(
                COMPLEXITY_POINTER,
                wrong,
                "what `tollgate tune --out` writes, made with this `embedding.model`",
            );
            None
        });
        let fingerprint = fingerprint(&embedder);
        Some(Self {
            embedder,
            fingerprint,
            complexity,
        })
    }

    pub fn embedder(&self) -> (&Arc<Embedder>, u64) {
        (&self.embedder, self.fingerprint)
    }

    /// What the prompt of a request is like.
    fn read(&self, body: &[u8], workspace: &mut Workspace, read: &mut Read) {
        let prompt = Prompt::of(body);
        read.vector.resize(self.embedder.dims(), 0.0);
        read.tokens = self
            .embedder
            .embed(&prompt.text, &mut workspace.scratch, &mut read.vector);
        let weights = self.complexity.as_ref();
        read.gain = weights.map(|weights| weights.gain(&read.vector, &prompt.text, prompt.traits(read.tokens)));
    }
}

/// Vectors of one model say nothing of another's: a model is told by what it makes of a few words.
fn fingerprint(embedder: &Embedder) -> u64 {
    let mut vector = vec![0.0; embedder.dims()];
    embedder.embed(
        "how many of the words that people write does a model know by 2026?",
        &mut Scratch::default(),
        &mut vector,
    );
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    Fnv::of(&bytes)
}

/// Guards go by topics, sentences are left out by how little they have to do with what is asked, and answers are compared by
/// what they say.
fn guards_or_extracts(document: &Document) -> bool {
    let reads = |model: &Model| {
        let compress = model.compress.as_ref();
        compress.is_some_and(|compress| compress.steps.extract_percent.is_some() || compress.compare_percent.is_some())
    };
    !document.guards.is_empty() || document.models.iter().any(|(_, model)| reads(model))
}

fn load(folder: &Reference, secrets: &Secrets) -> Result<Embedder, String> {
    let Reference::File(folder) = folder else {
        return Err("it is no directory".to_owned());
    };
    let of = |name: &str| content(&Reference::File(format!("{folder}/{name}")), secrets);
    let (model, tokenizer) = (of(MODEL_FILE)?, of(TOKENIZER_FILE)?);
    Embedder::load(model.to_vec(), tokenizer).map_err(|error| format!("{folder}/{error}"))
}

fn content<'a>(file: &Reference, secrets: &'a Secrets) -> Result<&'a [u8], String> {
    let named = match file {
        Reference::File(path) | Reference::Env(path) => path,
    };
    let content = secrets.get(file).map(Vec::as_slice);
    content.ok_or_else(|| format!("the file {named} cannot be read"))
}

/// How a tier's targets are judged. Indices are of the route's targets.
#[derive(Debug)]
pub(crate) enum Judge {
    Semantic {
        /// A group for each of the tier's targets. None: there is no model that could be used.
        exemplars: Option<Exemplars>,
        default: Option<usize>,
        threshold: f32,
    },
    Complexity {
        /// Above this a prompt is hard. None: there is nothing to tell it by.
        threshold: Option<f32>,
    },
}

impl Judge {
    /// Of a tier whose targets are these of the model's, if it goes by meaning.
    pub fn new(tier: &Listed, from: usize, model: &Model, meaning: Option<&Meaning>) -> Option<Box<Self>> {
        let targets = model.targets.get(from..from + tier.targets).unwrap_or_default();
        let judge = match tier.strategy {
            Strategy::Semantic => Self::Semantic {
                exemplars: meaning.map(|meaning| {
                    let groups = targets
                        .iter()
                        .map(|target| target.purpose.examples.iter().map(String::as_str));
                    Exemplars::new(&meaning.embedder, groups)
                }),
                default: targets
                    .iter()
                    .position(|target| target.purpose.is_default)
                    .map(|at| from + at),
                threshold: f32::from(tier.judging.threshold_thousandths) / THOUSANDTHS,
            },
            Strategy::Complexity => Self::Complexity {
                threshold: meaning
                    .and_then(|meaning| meaning.complexity.as_ref())
                    .map(|weights| weights.threshold(tier.judging.hard_percent)),
            },
            _ => return None,
        };
        Some(Box::new(judge))
    }
}

/// What a call's prompt is like, and what the model asked last made of it.
#[derive(Debug, Default)]
pub(crate) struct Read {
    vector: Vec<f32>,
    /// Tokens that count; a prompt without any is like nothing.
    tokens: usize,
    /// How much a prompt is expected to gain by the hard tier.
    gain: Option<f32>,
    /// By target: the least is asked first.
    places: Vec<f32>,
    /// By target.
    near: Vec<Nearness>,
    /// By tier.
    verdicts: Vec<Verdict>,
}

impl Read {
    /// What a target is sorted by; the least is asked first.
    pub fn place(&self, target: usize) -> f32 {
        self.places.get(target).copied().unwrap_or(f32::MAX)
    }
}

/// What was decided for a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Verdict {
    /// It does not go by meaning.
    #[default]
    None,
    Resembles {
        score: f32,
    },
    /// Nothing is near enough.
    Unsure {
        best: f32,
        threshold: f32,
        has_default: bool,
    },
    /// The prompt has no words that the model knows.
    NoWords,
    /// There is nothing to judge with.
    NoModel,
    Needs {
        difficulty: Difficulty,
        gain: f32,
        threshold: f32,
    },
}

/// What judging needs while it runs: a shard's own, so that it does not allocate each time.
#[derive(Debug, Default)]
pub struct Workspace {
    scratch: Scratch,
    exemplars: ExemplarScratch,
    near: Vec<Nearness>,
}

/// Judges the prompt for each tier of the route that goes by meaning, and keeps that with the call. A model that takes over
/// finds the vector there.
pub(crate) fn judge(exchange: &mut Exchange, io: &mut Io<'_>, route: &Route) {
    let pinned = exchange.pin();
    let meaning = pinned.snapshot.meaning.as_ref();
    let workspace = &mut io.local.meaning;
    // One allocation for a call of such a model, given back when it ends: what is kept is a kilobyte.
    let mut read = exchange.call.read.take().unwrap_or_default();
    if let Some(meaning) = meaning
        && read.vector.is_empty()
    {
        meaning.read(exchange.admitted.body(io.body), workspace, &mut read);
    }
    read.places.clear();
    read.places.resize(route.targets.len(), 0.0);
    read.near.clear();
    read.near.resize(route.targets.len(), Nearness::default());
    read.verdicts.clear();
    for tier in &route.tiers {
        let verdict = match tier.judge.as_deref() {
            None => Verdict::None,
            Some(Judge::Semantic {
                exemplars,
                default,
                threshold,
            }) => resemble(
                &mut read,
                workspace,
                (exemplars.as_ref(), *default, *threshold),
                tier.targets.clone(),
            ),
            Some(Judge::Complexity { threshold }) => difficulty(&mut read, *threshold, route, tier.targets.clone()),
        };
        read.verdicts.push(verdict);
    }
    exchange.call.read = Some(read);
}

/// The nearest first; where none is near enough the default, and then the nearest.
fn resemble(
    read: &mut Read,
    workspace: &mut Workspace,
    (exemplars, default, threshold): (Option<&Exemplars>, Option<usize>, f32),
    targets: std::ops::Range<usize>,
) -> Verdict {
    let first = targets.start;
    let mut best = f32::MIN;
    if let Some(exemplars) = exemplars.filter(|_| read.tokens > 0) {
        exemplars.compare(&read.vector, &mut workspace.exemplars, &mut workspace.near);
        for (index, near) in targets.clone().zip(&workspace.near) {
            best = best.max(near.score);
            if let (Some(place), Some(kept)) = (read.places.get_mut(index), read.near.get_mut(index)) {
                (*place, *kept) = (-near.score, *near);
            }
        }
    } else {
        // As they are listed.
        for index in targets {
            if let Some(place) = read.places.get_mut(index) {
                *place = (index - first) as f32;
            }
        }
    }
    if best >= threshold {
        return Verdict::Resembles { score: best };
    }
    if let Some(place) = default.and_then(|default| read.places.get_mut(default)) {
        *place = f32::MIN;
    }
    match (exemplars, read.tokens) {
        (None, _) => Verdict::NoModel,
        (Some(_), 0) => Verdict::NoWords,
        (Some(_), _) => Verdict::Unsure {
            best,
            threshold,
            has_default: default.is_some(),
        },
    }
}

/// Those of the tier that is needed first, as they are listed; what cannot be judged is taken for hard.
fn difficulty(read: &mut Read, threshold: Option<f32>, route: &Route, targets: std::ops::Range<usize>) -> Verdict {
    let (needed, verdict) = match (read.gain, threshold) {
        (Some(_), Some(_)) if read.tokens == 0 => (Difficulty::Hard, Verdict::NoWords),
        (Some(gain), Some(threshold)) => {
            // What is no number is not known to be simple.
            let difficulty = match gain <= threshold {
                true => Difficulty::Simple,
                false => Difficulty::Hard,
            };
            let verdict = Verdict::Needs {
                difficulty,
                gain,
                threshold,
            };
            (difficulty, verdict)
        }
        _ => (Difficulty::Hard, Verdict::NoModel),
    };
    let first = targets.start;
    for index in targets {
        let is_needed = route.targets.get(index).and_then(|target| target.difficulty) == Some(needed);
        if let Some(place) = read.places.get_mut(index) {
            let later = if is_needed { 0 } else { route.targets.len() };
            *place = (index - first + later) as f32;
        }
    }
    verdict
}
