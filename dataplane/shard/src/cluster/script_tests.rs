//! The script and the model that the simulator runs against (`tollgate_engine`'s `store_model`) answer alike, whatever they are
//! told: nodes that use and give back, crash and leave, and a store that is lost or falls back to a copy. Time is given to both.

use tollgate_engine::limits::cluster::{Answer, Entry, Heard, Kind, Reply, Request, SCRIPT};

use super::{
    resp::Value,
    store::read,
    tests::{Server, entry},
};

mod wire {
    pub(super) use tollgate_engine::limits::cluster::{Answer, Entry, Kind, MOST_NAMED, Reply, Request};
}
#[path = "../../../engine/src/limits/cluster/store_model.rs"]
mod store_model;

const STEPS: usize = 2_000;
const NODES: u64 = 3;
const START_UNIX_MS: u64 = 1_800_000_000_000;
const KINDS: [Kind; 4] = [
    Kind::Calendar,
    Kind::Calendar,
    Kind::Refill {
        amount: 90,
        per_ms: 60_000,
    },
    Kind::Concurrent,
];
const CLOCK: &str = "redis.call('TIME')";
/// The last argument, in milliseconds.
const GIVEN: &str = "{ math.floor(tonumber(ARGV[#ARGV]) / 1000), tonumber(ARGV[#ARGV]) % 1000 * 1000 }";
/// What is in the first database to the second; of what was there nothing stays.
const COPY: &str = "local keys = redis.call('KEYS', '*') redis.call('SELECT', ARGV[1]) redis.call('FLUSHDB') \
                    redis.call('SELECT', 1 - ARGV[1]) for _, key in ipairs(keys) do redis.call('COPY', key, key, 'DB', ARGV[1]) end";

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % most
    }
}

struct Node {
    number: u64,
    seq: u64,
    acked: u64,
    epoch: u64,
    peers: Vec<u64>,
    limits: Vec<Limit>,
}

#[derive(Clone, Default)]
struct Limit {
    used: u64,
    told: u64,
    rest: u64,
    sum: u64,
    asks: bool,
    heard: Option<Heard>,
}

impl Node {
    fn new(number: u64) -> Self {
        Self {
            number: number << 40,
            seq: 0,
            acked: 0,
            epoch: 0,
            peers: Vec::new(),
            limits: vec![Limit::default(); KINDS.len()],
        }
    }

    fn uses(&mut self, dice: &mut Dice) {
        for limit in &mut self.limits {
            let (by, is_back) = (dice.below(9), dice.below(3) == 0);
            limit.used = if is_back {
                limit.used.saturating_sub(by)
            } else {
                limit.used + by
            };
            limit.rest = limit.rest.saturating_sub(by);
            limit.asks = limit.heard.is_none() || dice.below(3) > 0;
        }
    }

    /// What it had heard is gone, but for a sum.
    fn crashes(&mut self) {
        (self.epoch, self.acked) = (0, 0);
        for limit in &mut self.limits {
            limit.heard = None;
            limit.told = limit.used;
        }
    }

    fn request(&mut self, dice: &mut Dice) -> Request {
        self.seq += 1;
        let tells = KINDS.iter().zip(&self.limits).enumerate();
        let entries = tells.map(|(at, (kind, limit))| {
            let is_lost = limit.heard.as_ref().is_none_or(|heard| heard.epoch != self.epoch);
            let has_claim = is_lost && *kind != Kind::Concurrent;
            let numbers = (limit.used, limit.told, limit.rest);
            Entry {
                id: at as u64,
                exact: at % 2 == 0,
                want: dice.below(40),
                asks: limit.asks,
                claim: if has_claim { limit.sum } else { 0 },
                heard: limit.heard.clone().filter(|_| has_claim && *kind == Kind::Calendar),
                ..entry(*kind, 400, numbers, dice.below(12))
            }
        });
        Request {
            entries: entries.collect(),
            group: 0,
            node: self.number,
            seq: self.seq,
            acked: self.acked,
            epoch: self.epoch,
            reclaim_after_ms: 20_000,
            grace_ms: 1_000,
            cursor: START_UNIX_MS,
            is_whole: dice.below(4) > 0,
            leaves: dice.below(30) == 0,
            peers: self.peers.clone(),
        }
    }

    fn hears(&mut self, reply: Reply) {
        let (peers, closed_ms, answers) = match reply {
            Reply::Epoch(epoch) => {
                (self.epoch, self.acked) = (epoch, 0);
                return;
            }
            Reply::Stale(last) => {
                self.seq = last;
                return;
            }
            Reply::Done {
                peers,
                closed_ms,
                answers,
                ..
            } => (peers, closed_ms, answers),
        };
        self.acked = self.seq;
        let epoch = self.epoch;
        for (limit, answer) in self.limits.iter_mut().zip(answers) {
            limit.told = limit.used;
            if closed_ms == 0 {
                limit.take(epoch, answer);
            }
        }
        if closed_ms == 0 {
            self.peers = peers;
        }
    }
}

impl Limit {
    fn take(&mut self, epoch: u64, answer: Answer) {
        self.rest += answer.granted;
        self.sum = answer.used;
        if !self.asks {
            return;
        }
        let by_name: u64 = answer.named.iter().map(|(_, used)| used).sum();
        self.heard = Some(Heard {
            epoch,
            number: answer.number,
            apart: answer.used.saturating_sub(self.used + by_name),
            named: answer.named,
        });
    }
}

/// Whose order says nothing.
fn sorted(mut reply: Reply) -> Reply {
    if let Reply::Done {
        peers, answers, wanted, ..
    } = &mut reply
    {
        peers.sort_unstable();
        wanted.sort_unstable();
        answers.iter_mut().for_each(|answer| answer.named.sort_unstable());
    }
    reply
}

fn by_script(server: &Server, script: &str, request: &Request, (now_ms, process): (u64, u64)) -> Reply {
    let keys = request.keys("test");
    let mut parts = vec!["EVAL".to_owned(), script.to_owned(), keys.len().to_string()];
    parts.extend(keys);
    parts.extend(request.arguments(&format!("process{process}")));
    parts.push(now_ms.to_string());
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let said = server.ask(&parts).expect("an answer");
    read(&said, request).unwrap_or_else(|| panic!("{said:?}"))
}

#[test]
fn the_model_and_the_script_answer_alike() {
    let server = Server::start(&[]).await_ready();
    let script = SCRIPT.replacen(CLOCK, GIVEN, 1);
    assert_ne!(script, SCRIPT);
    let mut dice = Dice(11);
    let (mut model, mut copy) = (store_model::Store::by(1), store_model::Store::default());
    let mut nodes: Vec<Node> = (1..=NODES).map(Node::new).collect();
    let (mut now_ms, mut opened) = (START_UNIX_MS, 0);
    let copies = |to: &str| {
        let said = server.ask(&["EVAL", COPY, "0", to]).expect("an answer");
        assert!(!matches!(said, Value::Error(_)), "{said:?}");
    };
    for step in 0..STEPS {
        now_ms += dice.below(700);
        let node = &mut nodes[dice.below(NODES) as usize];
        match dice.below(60) {
            0 => {
                server.ask(&["FLUSHDB"]).expect("done");
                model = store_model::Store::by(model.server);
            }
            1 => {
                // What lies in the second database takes the place of the first.
                server.ask(&["FLUSHDB"]).expect("done");
                server.ask(&["SWAPDB", "0", "1"]).expect("done");
                copies("1");
                model = copy.clone().taken_over_by(model.server + 1);
            }
            2..=5 => {
                copies("1");
                copy = model.clone();
            }
            6 => node.crashes(),
            // It is away for long.
            7 => now_ms += 15_000,
            _ => {}
        }
        node.uses(&mut dice);
        let request = node.request(&mut dice);
        let ours = sorted(model.call(now_ms, &request));
        let theirs = sorted(by_script(&server, &script, &request, (now_ms, model.server)));
        assert_eq!(
            theirs, ours,
            "step {step}, the model on the right: {request:#?}\n{model:#?}"
        );
        opened += u64::from(matches!(ours, Reply::Done { closed_ms: 0, .. }));
        node.hears(ours);
    }
    assert!(opened > STEPS as u64 / 4, "granted {opened} times");
}
