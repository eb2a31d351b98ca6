//! Composes requests from a mix, one after the other, without allocating. Knows no socket and no clock.
//!
//! A body is a function of a seed: it is filled twice from the same dice, once to learn its length for the head and
//! once into the buffer, and a request that repeats an earlier one takes that one's seed.

use std::sync::Arc;

use super::{
    Class, Mix, bodies,
    corpus::{self, Corpus},
    dice::Dice,
    plan::{Body, Content, Keys},
    template::{self, Draw, Measure, Piece, Sink},
};
use crate::dialect::Dialect;

/// Whom requests are composed for.
#[derive(Clone, Debug, Default)]
pub struct ComposeFor {
    /// For the `host` header: with its port when that is not the scheme's own.
    pub host: String,
    /// What stands before every class's path, without a slash at its end: mostly empty.
    pub base_path: String,
    /// `--key`: instead of the mix's keys; a class with keys of its own keeps them.
    pub key: Option<String>,
    /// Ask for `connection: close`.
    pub close: bool,
}

/// What the request just composed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Composed {
    /// Index into the mix's classes.
    pub class: usize,
    pub stream: bool,
    pub dialect: Dialect,
    /// In closed loop: how long the client waits after the answer before its next request.
    pub think_ns: u64,
    /// The client closes the connection after so many bytes of the answer.
    pub leave_after_bytes: Option<u64>,
}

/// A worker thread's own source of requests. Counters of all threads together are without gap and repetition.
pub struct Composer {
    mix: Arc<Mix>,
    classes: Vec<Ready>,
    /// What requests that repeat others are seeded from: the same on every thread.
    seed: u64,
    dice: Dice,
    counter: u64,
    threads: u64,
}

/// What a composer keeps of a class.
struct Ready {
    /// Without and with a stream.
    heads: [Vec<Piece>; 2],
    keys: Option<Arc<Keys>>,
    conversations: Vec<Conversation>,
}

#[derive(Clone, Copy)]
struct Conversation {
    seed: u64,
    turns: u64,
    length: u64,
}

/// Seeds of what one request's body is drawn from.
#[derive(Clone, Copy)]
struct Made {
    seed: u64,
    turns: u64,
}

impl Composer {
    pub fn new(mix: Arc<Mix>, target: &ComposeFor, seed: u64, thread: usize, threads: usize) -> Self {
        let own_key = target.key.as_deref().map(|key| Arc::new(Keys::one(key)));
        let shared = own_key.or_else(|| mix.keys.clone().map(Arc::new));
        let mut dice = Dice::of(seed, thread as u64);
        let classes = mix
            .classes
            .iter()
            .map(|class| Ready::new(class, target, shared.clone(), &mut dice))
            .collect();
        Self {
            mix,
            classes,
            seed,
            dice,
            counter: thread as u64,
            threads: threads.max(1) as u64,
        }
    }

    /// Appends one whole HTTP/1.1 request to `out`.
    pub fn compose(&mut self, out: &mut Vec<u8>) -> Composed {
        let at = self.mix.pick.draw(&mut self.dice);
        let (class, ready) = (&self.mix.classes[at], &mut self.classes[at]);
        let made = ready.next(class, self.seed ^ at as u64, &mut self.dice);
        let mut draw = Draw {
            dice: Dice::new(self.dice.roll()),
            counter: self.counter,
            turn_id: 0,
            key: ready.keys.as_ref().map_or(&[][..], |keys| keys.draw(&mut self.dice)),
            length: 0,
        };
        self.counter += self.threads;
        let by_share = class.plan.drawn_stream_share > 0.0 && self.dice.chance(class.plan.drawn_stream_share);
        let stream = match &class.plan.content {
            Content::None => {
                template::fill(&ready.heads[usize::from(by_share)], &mut draw, out);
                by_share
            }
            Content::Made(bodies) => {
                let body = &bodies[usize::from(by_share)];
                let mut measure = Measure::default();
                fill_body(body, made, &mut draw.clone(), &mut measure);
                draw.length = measure.0;
                template::fill(&ready.heads[usize::from(by_share)], &mut draw.clone(), out);
                fill_body(body, made, &mut draw, out);
                by_share
            }
            Content::Corpus(corpus) => compose_line(corpus, class, ready, made.seed, by_share, &mut draw, out),
        };
        let leave = class.manners.leave.filter(|leave| self.dice.chance(leave.share));
        Composed {
            class: at,
            stream,
            dialect: class.dialect,
            think_ns: class.plan.think.draw(&mut self.dice) as u64,
            leave_after_bytes: leave.map(|leave| leave.after_bytes),
        }
    }
}

impl Ready {
    fn new(class: &Class, target: &ComposeFor, shared: Option<Arc<Keys>>, dice: &mut Dice) -> Self {
        let keys = class.plan.keys.clone().map(Arc::new).or(shared);
        let mut ready = Self {
            heads: [false, true].map(|stream| head(class, target, keys.as_deref(), stream)),
            keys,
            conversations: Vec::new(),
        };
        if let Some(turns) = class.plan.turns {
            // They have begun long ago, each at another time, so that the first minute of a run is like the others.
            ready.conversations = (0..turns.at_once)
                .map(|_| {
                    let mut begun = Conversation::begin(class, dice.roll());
                    begun.turns = dice.below(begun.length);
                    begun
                })
                .collect();
        }
        ready
    }

    /// What the next request's body is drawn from: mostly something new, or the next turn of a conversation.
    fn next(&mut self, class: &Class, repeated_seed: u64, dice: &mut Dice) -> Made {
        if let Some(repeat) = class.plan.repeat
            && dice.chance(repeat.share)
        {
            let seed = Dice::of(repeated_seed, dice.below(repeat.of)).roll();
            let turns = match class.plan.turns {
                Some(_) => Dice::of(seed, u64::MAX - 2).below(Conversation::begin(class, seed).length),
                None => 0,
            };
            return Made { seed, turns };
        }
        if self.conversations.is_empty() {
            return Made {
                seed: dice.roll(),
                turns: 0,
            };
        }
        let at = dice.below(self.conversations.len() as u64) as usize;
        let conversation = &mut self.conversations[at];
        let made = Made {
            seed: conversation.seed,
            turns: conversation.turns,
        };
        conversation.turns += 1;
        if conversation.turns >= conversation.length {
            *conversation = Conversation::begin(class, dice.roll());
        }
        made
    }
}

impl Conversation {
    fn begin(class: &Class, seed: u64) -> Self {
        let length = class
            .plan
            .turns
            .map_or(1, |turns| turns.length.draw_whole(&mut Dice::of(seed, u64::MAX - 3)));
        Self {
            seed,
            turns: 0,
            length: length.max(1),
        }
    }
}

/// Each part of a conversation has dice of its own, so that what was said stays as it was when more is said.
fn fill_body(body: &Body, made: Made, draw: &mut Draw, out: &mut impl Sink) {
    draw.dice = Dice::of(made.seed, u64::MAX);
    template::fill(&body.before, draw, out);
    for turn in 0..made.turns {
        draw.dice = Dice::of(made.seed, turn);
        draw.turn_id = draw.dice.roll();
        template::fill(&body.turn, draw, out);
    }
    draw.dice = Dice::of(made.seed, u64::MAX - 1);
    template::fill(&body.after, draw, out);
}

fn compose_line(
    corpus: &Corpus,
    class: &Class,
    ready: &Ready,
    seed: u64,
    by_share: bool,
    draw: &mut Draw,
    out: &mut Vec<u8>,
) -> bool {
    let mut dice = Dice::new(seed);
    let (body, by_line) = corpus.draw(&mut dice);
    let stream = by_share || by_line && class.plan.lines_stream;
    let head = &ready.heads[usize::from(stream)];
    match body {
        corpus::Body::Bytes(bytes) => {
            draw.length = bytes.len() as u64;
            template::fill(head, draw, out);
            out.extend_from_slice(bytes);
        }
        corpus::Body::Template(pieces) => {
            let (mut measure, mut own) = (Measure::default(), Draw { dice, ..draw.clone() });
            template::fill(pieces, &mut own.clone(), &mut measure);
            draw.length = measure.0;
            template::fill(head, draw, out);
            template::fill(pieces, &mut own, out);
        }
    }
    stream
}

/// The whole head, the empty line at its end included.
fn head(class: &Class, target: &ComposeFor, keys: Option<&Keys>, stream: bool) -> Vec<Piece> {
    let plan = &class.plan;
    let mut lines: Vec<(String, Vec<Piece>)> = Vec::new();
    let mut line = |name: &str, value: Vec<Piece>| {
        if !plan.headers.iter().any(|(own, _)| own == name) {
            lines.push((name.to_owned(), value));
        }
    };
    let fixed = |text: &str| vec![Piece::Fixed(text.as_bytes().to_vec())];
    line("host", fixed(&target.host));
    if let Some(keys) = keys {
        let (name, before) = bodies::key_header(class.dialect);
        let key = match &keys.secrets[..] {
            [one] => Piece::Fixed(one.clone()),
            _ => Piece::Key,
        };
        let mut value = fixed(before);
        template::push(&mut value, key);
        line(name, value);
    }
    for (name, value) in bodies::headers(class.dialect) {
        line(name, fixed(value));
    }
    line(
        "user-agent",
        fixed(concat!("tollgate-loadtest/", env!("CARGO_PKG_VERSION"))),
    );
    line("accept", fixed(bodies::accept(class.dialect, stream)));
    if !matches!(plan.content, Content::None) {
        line("content-type", fixed("application/json"));
        line("content-length", vec![Piece::Length]);
    }
    if target.close {
        line("connection", fixed("close"));
    }
    let mut pieces = Vec::new();
    template::push_fixed(&mut pieces, format!("{} {}", plan.method, target.base_path).as_bytes());
    let path = plan.paths[usize::from(stream)].iter().cloned();
    path.for_each(|piece| template::push(&mut pieces, piece));
    template::push_fixed(&mut pieces, b" HTTP/1.1\r\n");
    for (name, value) in lines.into_iter().chain(plan.headers.iter().cloned()) {
        template::push_fixed(&mut pieces, format!("{name}: ").as_bytes());
        value.into_iter().for_each(|piece| template::push(&mut pieces, piece));
        template::push_fixed(&mut pieces, b"\r\n");
    }
    template::push_fixed(&mut pieces, b"\r\n");
    pieces
}
