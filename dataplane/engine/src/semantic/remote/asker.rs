//! A shard's questions for vectors, on their way to the provider and back. What comes while calls are under way waits and goes
//! up together: the busier the shard, the more texts in a call; a call of its own waits for nobody. The call itself is an
//! exchange that the shell runs. Knows no socket.

use std::{collections::VecDeque, mem, rc::Rc, sync::Arc};

use tollgate_dialect::embed;

use super::{Lack, Question, Remote, Why};
use crate::{Snapshot, Tick, routing::health::Change, semantic::Neighbours};

/// Calls under way at once, of one shard.
const MAX_CALLS: usize = 4;
/// Texts of one call: what is made of the answer takes the shard a fraction of a millisecond.
const MAX_TEXTS: usize = 32;
/// Bytes of them.
const MAX_BATCH_BYTES: usize = 64 << 10;
/// Questions that wait or are under way; one more is not asked.
const MAX_QUESTIONS: usize = 1_024;
/// Numbers of a vector, whatever the provider gives.
const MAX_NUMBERS: usize = 4_096;

/// What became of questions, and of calls for their vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The vector was known.
    pub remembered: u64,
    pub answered: u64,
    /// It was not there in time.
    pub late: u64,
    pub failed: u64,
    /// The provider was left alone.
    pub resting: u64,
    pub full: u64,
    pub calls_ok: u64,
    pub calls_failed: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.remembered += other.remembered;
        self.answered += other.answered;
        self.late += other.late;
        self.failed += other.failed;
        self.resting += other.resting;
        self.full += other.full;
        self.calls_ok += other.calls_ok;
        self.calls_failed += other.calls_failed;
    }

    /// Of questions, as the metric's label names them.
    pub fn questions(&self) -> [(&'static str, u64); 6] {
        [
            ("remembered", self.remembered),
            ("answered", self.answered),
            ("late", self.late),
            ("failed", self.failed),
            ("resting", self.resting),
            ("full", self.full),
        ]
    }

    pub fn calls(&self) -> [(&'static str, u64); 2] {
        [("ok", self.calls_ok), ("failed", self.calls_failed)]
    }
}

#[derive(Debug, Default)]
pub struct Asker {
    waiting: VecDeque<Waiting>,
    /// Halves of calls that were refused for what stands in one of their texts, whoever's it is.
    halves: VecDeque<Vec<Waiting>>,
    under_way: Vec<UnderWay>,
    numbers: u64,
    pub counts: Counts,
}

#[derive(Debug)]
struct Waiting {
    remote: Arc<Remote>,
    question: Rc<Question>,
    /// Exchanges that want to know, as the shell names them.
    names: Vec<u64>,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    remote: Arc<Remote>,
    asked: Vec<Waiting>,
    sent: Tick,
    /// It was late, which is a failure whatever comes of it.
    is_late: bool,
}

/// A call to be made.
#[derive(Debug)]
pub struct Batch {
    /// Says `Asker::ended`.
    pub number: u64,
    /// As a client would send it, head and body.
    pub request: Vec<u8>,
    /// Where the body names the model.
    pub(crate) model: std::ops::Range<usize>,
}

/// What the end of a call means to others.
#[derive(Debug, Default)]
pub struct Ended {
    /// Exchanges that are to be fed `Input::Turn`.
    pub woken: Vec<u64>,
    /// The embedder's name and what has become of it.
    pub change: Option<(Arc<str>, Change)>,
}

impl Asker {
    /// The same question twice is asked once.
    pub(super) fn ask(
        &mut self,
        now: Tick,
        remote: &Arc<Remote>,
        (key, text): (u128, String),
        name: u64,
    ) -> Result<Rc<Question>, Lack> {
        let under_way = self.under_way.iter_mut().flat_map(|call| &mut call.asked);
        let same = under_way
            .chain(self.halves.iter_mut().flatten())
            .chain(&mut self.waiting)
            .find(|known| known.question.key == key);
        if let Some(known) = same {
            known.names.push(name);
            return Ok(Rc::clone(&known.question));
        }
        let under_way: usize = self.under_way.iter().map(|call| call.asked.len()).sum();
        let halves: usize = self.halves.iter().map(Vec::len).sum();
        if under_way + halves + self.waiting.len() >= MAX_QUESTIONS {
            self.counts.full += 1;
            return Err(Lack::Full);
        }
        if !remote.takes_questions(now) {
            self.counts.resting += 1;
            return Err(Lack::Resting);
        }
        let question = Rc::new(Question {
            key,
            text: text.into(),
            asked: now,
            told: std::cell::OnceCell::new(),
        });
        self.waiting.push_back(Waiting {
            remote: Arc::clone(remote),
            question: Rc::clone(&question),
            names: vec![name],
        });
        Ok(question)
    }

    /// Somebody waits for it no longer, which says something of the provider where it had the time that it may take.
    pub(super) fn late(&mut self, now: Tick, question: &Question) -> Option<Change> {
        self.counts.late += 1;
        let has = |call: &&mut UnderWay| call.asked.iter().any(|asked| asked.question.key == question.key);
        let call = self.under_way.iter_mut().find(has)?;
        let timeout_ms = call.remote.timeout_ms;
        // Half of it, at least, under way: what waits for others' calls to end is not late by the provider.
        let is_due = question.asked.plus_ms(timeout_ms) <= now && call.sent.plus_ms(timeout_ms / 2) <= now;
        if !is_due || mem::replace(&mut call.is_late, true) {
            return None;
        }
        call.remote.health.failed(now, &call.remote.breaker)
    }

    /// Is there anything to send? Looked at once a turn.
    pub fn has_work(&self) -> bool {
        !(self.waiting.is_empty() && self.halves.is_empty()) && self.under_way.len() < MAX_CALLS
    }

    /// The next call to be made by an exchange of this snapshot; who asked for another embedder's vectors is among `woken`.
    pub fn next(&mut self, now: Tick, snapshot: &Snapshot, woken: &mut Vec<u64>) -> Option<Batch> {
        if self.under_way.len() >= MAX_CALLS {
            return None;
        }
        let remote = snapshot.remote.as_ref();
        let mut asked = Vec::new();
        while asked.is_empty()
            && let Some(half) = self.halves.pop_front()
        {
            let wanted = half.into_iter().filter_map(|first| first.wanted(now, remote, woken));
            asked.extend(wanted);
        }
        if asked.is_empty() {
            asked = self.gather(now, remote, woken);
        }
        let remote = Arc::clone(remote.filter(|_| !asked.is_empty())?);
        self.numbers += 1;
        let texts: Vec<&str> = asked.iter().map(|asked| &*asked.question.text).collect();
        let (request, model) = request(&remote, &texts);
        self.under_way.push(UnderWay {
            number: self.numbers,
            remote,
            asked,
            sent: now,
            is_late: false,
        });
        Some(Batch {
            number: self.numbers,
            request,
            model,
        })
    }

    /// The first of those that wait, as many as go up in one call.
    fn gather(&mut self, now: Tick, remote: Option<&Arc<Remote>>, woken: &mut Vec<u64>) -> Vec<Waiting> {
        let (mut asked, mut bytes) = (Vec::new(), 0);
        while let Some(first) = self.waiting.front() {
            bytes += first.question.text.len();
            if asked.len() >= MAX_TEXTS || bytes > MAX_BATCH_BYTES && !asked.is_empty() {
                break;
            }
            let Some(first) = self.waiting.pop_front() else { break };
            asked.extend(first.wanted(now, remote, woken));
        }
        asked
    }

    /// The call has ended, with this body where it was answered well.
    pub fn ended(
        &mut self,
        now: Tick,
        number: u64,
        answer: Result<&[u8], Why>,
        neighbours: Option<&Neighbours>,
    ) -> Ended {
        let Some(at) = self.under_way.iter().position(|call| call.number == number) else {
            return Ended::default();
        };
        let UnderWay {
            remote,
            mut asked,
            sent,
            is_late,
            ..
        } = self.under_way.swap_remove(at);
        let vectors = answer.and_then(|body| vectors(body, asked.len(), remote.dimensions).map_err(Why::Answer));
        let change = match &vectors {
            // It was said when it was late.
            _ if is_late => None,
            // Nobody may have waited so long.
            _ if sent.plus_ms(remote.timeout_ms) <= now => remote.health.failed(now, &remote.breaker),
            Ok(_) => remote.health.succeeded(now),
            Err(why) if why.is_of_a_text() => None,
            Err(_) => remote.health.failed(now, &remote.breaker),
        };
        *(match vectors {
            Ok(_) => &mut self.counts.calls_ok,
            Err(_) => &mut self.counts.calls_failed,
        }) += 1;
        let mut woken = Vec::new();
        match vectors {
            Ok(vectors) => {
                for (waiting, vector) in asked.into_iter().zip(vectors) {
                    // Also where it is late: who asks the same next has it.
                    if let Some(neighbours) = neighbours {
                        neighbours.remember(waiting.question.key, Arc::clone(&vector));
                    }
                    waiting.tell(Ok(vector), &mut woken);
                }
            }
            // Only those go without whose own text it is: a call of 32 becomes 63 at most.
            Err(why) if why.is_of_a_text() && asked.len() > 1 => {
                let other = asked.split_off(asked.len() / 2);
                self.halves.extend([asked, other]);
            }
            Err(why) => {
                for waiting in asked {
                    waiting.tell(Err(Lack::Failed(why)), &mut woken);
                }
            }
        }
        Ended {
            woken,
            change: change.map(|change| (Arc::clone(&remote.name), change)),
        }
    }
}

impl Waiting {
    /// Nothing where whoever asked has gone on, or asked another embedder.
    fn wanted(self, now: Tick, remote: Option<&Arc<Remote>>, woken: &mut Vec<u64>) -> Option<Self> {
        if remote.is_none_or(|remote| remote.fingerprint != self.remote.fingerprint) {
            self.tell(Err(Lack::Failed(Why::Replaced)), woken);
            return None;
        }
        (self.question.asked.plus_ms(self.remote.timeout_ms) > now).then_some(self)
    }

    fn tell(self, heard: Result<Arc<[f32]>, Lack>, woken: &mut Vec<u64>) {
        // It is told once: here.
        let _ = self.question.told.set(heard);
        woken.extend(self.names);
    }
}

fn request(remote: &Remote, texts: &[&str]) -> (Vec<u8>, std::ops::Range<usize>) {
    let mut body = Vec::new();
    let model = embed::question(&remote.model, texts, remote.dimensions, &mut body);
    let mut request = format!(
        "POST /v1/embeddings HTTP/1.1\r\nhost: embedding\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    (request, model)
}

/// One for each text, in their order, each of length 1; or what is wrong with them. Half of an answer is none.
fn vectors(body: &[u8], texts: usize, dimensions: Option<u32>) -> Result<Vec<Arc<[f32]>>, &'static str> {
    let vectors = embed::vectors(body, texts).map_err(|bad| bad.reason)?;
    vectors.into_iter().map(|vector| unit(vector, dimensions)).collect()
}

fn unit(mut vector: Vec<f32>, dimensions: Option<u32>) -> Result<Arc<[f32]>, &'static str> {
    let is_right = match dimensions {
        Some(dimensions) => vector.len() == dimensions as usize,
        None => (1..=MAX_NUMBERS).contains(&vector.len()),
    };
    if !is_right {
        return Err("a vector has another length than `embedding.dimensions` says");
    }
    // In twice as many bits: what is finite has a finite length then.
    let length = vector
        .iter()
        .map(|number| f64::from(*number).powi(2))
        .sum::<f64>()
        .sqrt();
    if length == 0.0 || !length.is_finite() {
        return Err("a vector has no direction");
    }
    vector
        .iter_mut()
        .for_each(|number| *number = (f64::from(*number) / length) as f32);
    Ok(vector.into())
}

#[cfg(test)]
mod tests;
