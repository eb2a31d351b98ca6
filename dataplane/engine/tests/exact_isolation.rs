//! Whoever asks whatever, in whatever order: nobody gets an answer that was made for another tenant, under another policy, or
//! to another question, whether it was kept or came for somebody else.

mod rig;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rig::{Did, Rig, body_of, document, kept::answers, key, model};
use tollgate_config::{
    Document,
    document::{Allowed, CACHE_PARTS, Cache, CacheScope, ExactCache},
    link::Purge,
};
use tollgate_engine::{Answers, Input, exact::Filter, exchange::UpstreamFault};

const KEYS: [(&str, Option<&str>); 5] = [
    ("a1", Some("a")),
    ("a2", Some("a")),
    ("b1", Some("b")),
    ("lone1", None),
    ("lone2", None),
];
const MODELS: [(&str, CacheScope); 3] = [
    ("of-key", CacheScope::Key),
    ("of-team", CacheScope::Team),
    ("of-all", CacheScope::Organization),
];
const SHARDS: usize = 6;

/// A cache and a model for each scope. `version`: the model goes to another target.
fn world(version: usize) -> Document {
    let mut document = document();
    document.keys = KEYS
        .map(|(name, team)| {
            let mut key = key(name, &[]);
            key.1.team = team.map(str::to_owned);
            key
        })
        .into();
    document.models.clear();
    for (name, scope) in MODELS {
        let cache = Cache {
            scope,
            exact: Some(ExactCache {
                // Of room for a few answers.
                max_bytes: CACHE_PARTS * 4_096,
                ..ExactCache::default()
            }),
            semantic: None,
            allow: Allowed::default(),
            charge_hits: None,
            snapshot: None,
            second: None,
        };
        document.caches.push((name.to_owned(), cache));
        let mut model = model(name, &[("one", ["real", "newer"][version])]);
        model.1.cache = Some(name.to_owned());
        document.models.push(model);
    }
    document
}

/// Who may share an answer, in the test's own words.
fn tenant(scope: CacheScope, key: usize) -> String {
    let (name, team) = KEYS[key];
    match (scope, team) {
        (CacheScope::Key, _) | (CacheScope::Team, None) => format!("key {name}"),
        (CacheScope::Team, Some(team)) => format!("team {team}"),
        (CacheScope::Organization, _) => "all".to_owned(),
    }
}

/// A question, all that it may depend on: model, revision, words, whoever asks.
type Asked = (usize, usize, usize, String);

/// A call under way on a shard.
struct Call {
    asked: Asked,
    stream: bool,
    /// It was sent up; how far its answer is.
    sent: Option<u8>,
    got: String,
}

#[derive(Clone, Debug)]
enum Step {
    Ask {
        shard: usize,
        key: usize,
        model: usize,
        words: usize,
        stream: bool,
        wish: usize,
    },
    /// The provider goes on with what this shard asked.
    Answer(usize),
    Fail(usize),
    /// Time passes until the shard looks again.
    Look(usize),
    Leave(usize),
    Purge(usize),
    Reload,
}

fn any_step() -> impl Strategy<Value = Step> {
    let shard = 0..SHARDS;
    let ask = (
        shard.clone(),
        0..KEYS.len(),
        0..MODELS.len(),
        0usize..3,
        any::<bool>(),
        0usize..8,
    );
    prop_oneof![
        6 => ask.prop_map(|(shard, key, model, words, stream, wish)| Step::Ask { shard, key, model, words, stream, wish }),
        8 => shard.clone().prop_map(Step::Answer),
        1 => shard.clone().prop_map(Step::Fail),
        5 => shard.clone().prop_map(Step::Look),
        1 => shard.prop_map(Step::Leave),
        1 => (0..KEYS.len()).prop_map(Step::Purge),
        1 => Just(Step::Reload),
    ]
}

struct World {
    rigs: Vec<Rig>,
    calls: Vec<Option<Call>>,
    revisions: [std::rc::Rc<tollgate_engine::exchange::Pinned>; 2],
    revision: usize,
    answers: Answers,
    /// What each answer that was made says, and to what: each says something of its own.
    made: BTreeMap<String, Asked>,
    hits: usize,
}

impl World {
    fn new() -> Self {
        let answers = answers();
        let revisions = [0, 1].map(|version| Rig::new(world(version)).pinned.clone());
        let mut rigs = Vec::new();
        for _ in 0..SHARDS {
            let mut rig = Rig::sharing(revisions[0].clone());
            rig.local.answers = Some(answers.clone());
            rigs.push(rig);
        }
        Self {
            calls: (0..SHARDS).map(|_| None).collect(),
            rigs,
            revisions,
            revision: 0,
            answers,
            made: BTreeMap::new(),
            hits: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask {
                shard,
                key,
                model,
                words,
                stream,
                wish,
            } => self.ask(shard, (key, model, words), stream, wish),
            Step::Answer(shard) => self.answer(shard),
            Step::Fail(shard) => {
                if self.calls[shard].as_ref().is_some_and(|call| call.sent.is_some()) {
                    let did = self.rigs[shard].failed(1, UpstreamFault::Closed { reused: false });
                    self.note(shard, &did);
                }
            }
            Step::Look(shard) => {
                let waits = self.calls[shard].as_ref().is_some_and(|call| call.sent.is_none());
                if waits && self.rigs[shard].exchange.deadline().is_some() {
                    let did = self.rigs[shard].expire();
                    self.note(shard, &did);
                }
            }
            Step::Leave(shard) => {
                if self.calls[shard].is_some() {
                    let did = self.rigs[shard].feed(Input::ClientGone);
                    self.note(shard, &did);
                }
            }
            Step::Purge(key) => {
                self.answers.purge(&Filter(Purge {
                    key: Some(KEYS[key].0.to_owned()),
                    ..Purge::default()
                }));
            }
            Step::Reload => {
                self.revision = 1 - self.revision;
                self.answers.keep_only(&self.revisions[self.revision].snapshot.document);
            }
        }
    }

    fn ask(&mut self, shard: usize, (key, model, words): (usize, usize, usize), stream: bool, wish: usize) {
        if self.calls[shard].is_some() {
            return;
        }
        let rig = &mut self.rigs[shard];
        rig.pinned = self.revisions[self.revision].clone();
        let (name, scope) = MODELS[model];
        let wish = ["", "", "", "", "", "only", "refresh", "bypass"][wish];
        let wish = if wish.is_empty() {
            String::new()
        } else {
            format!("x-tollgate-cache: {wish}\n")
        };
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\nhost: gate\nauthorization: Bearer secret-{}\n{wish}",
            KEYS[key].0
        );
        let body = format!(
            r#"{{"model":"{name}","stream":{stream},"messages":[{{"role":"user","content":"question {words}"}}]}}"#
        );
        self.calls[shard] = Some(Call {
            asked: (model, self.revision, words, tenant(scope, key)),
            stream,
            sent: None,
            got: String::new(),
        });
        let did = rig.request(&head, body.as_bytes());
        self.note(shard, &did);
    }

    fn answer(&mut self, shard: usize) {
        let Some(call) = &mut self.calls[shard] else { return };
        let Some(step) = call.sent else { return };
        let rig = &mut self.rigs[shard];
        let stream = call.stream;
        call.sent = Some(step + 1);
        let word = format!("answer-{}.", self.made.len());
        let chunk = |delta: &str, reason: &str| {
            format!(
                "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{reason}}}]}}\n\n"
            )
        };
        let did = match (step, stream) {
            (0, _) => rig.connected(1),
            (1, true) => rig.answer(
                1,
                "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n",
            ),
            (2, true) => {
                self.made.insert(word.clone(), call.asked.clone());
                let did = rig.body(1, &chunk(&format!(r#""role":"assistant","content":"{word}""#), "null"));
                self.note(shard, &did);
                return;
            }
            (3, true) => rig.body(1, &(chunk("", "\"stop\"") + "data: [DONE]\n\n")),
            (1, false) => {
                self.made.insert(word.clone(), call.asked.clone());
                let body = format!(
                    r#"{{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{word}"}},"finish_reason":"stop"}}]}}"#
                );
                let head = format!(
                    "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
                    body.len()
                );
                let mut did = rig.answer(1, &head);
                did.extend(rig.body(1, &body));
                did
            }
            _ => rig.end(1),
        };
        self.note(shard, &did);
    }

    /// What was done: whatever was said must have been made for whoever asked, to what was asked.
    fn note(&mut self, shard: usize, did: &[Did]) {
        let Some(call) = &mut self.calls[shard] else {
            assert_eq!(did, [], "nobody asked");
            return;
        };
        if did.iter().any(|did| matches!(did, Did::Dial { .. })) {
            call.sent = Some(0);
        }
        call.got += &body_of(did);
        let mut rest = &*call.got;
        while let Some(at) = rest.find("answer-") {
            rest = &rest[at..];
            let Some(end) = rest.find('.') else { break };
            let said = &rest[..=end];
            assert_eq!(self.made.get(said), Some(&call.asked), "{said} is another's");
            rest = &rest[end..];
        }
        if did.contains(&Did::Settle) {
            self.hits += usize::from(self.rigs[shard].exchange.record().cache == Some("hit"));
            self.calls[shard] = None;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_crosses(steps in prop::collection::vec(any_step(), 1..300)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
    }
}

#[test]
fn the_world_above_has_hits_and_shared_streams() {
    let mut world = World::new();
    let ask = |shard, key, stream| Step::Ask {
        shard,
        key,
        model: 1,
        words: 0,
        stream,
        wish: 0,
    };
    for step in [
        ask(0, 0, true),
        Step::Answer(0),
        Step::Answer(0),
        Step::Answer(0),
        ask(1, 1, true),
        ask(2, 2, true),
    ] {
        world.step(step);
    }
    let got = |world: &World, shard: usize| {
        world.calls[shard]
            .as_ref()
            .map(|call| call.got.clone())
            .unwrap_or_default()
    };
    assert!(got(&world, 1).contains("answer-0."), "its team's comes for it as well");
    assert_eq!(got(&world, 2), "");
    for step in [
        Step::Answer(0),
        Step::Answer(0),
        Step::Look(1),
        ask(3, 1, false),
        ask(4, 2, false),
    ] {
        world.step(step);
    }
    assert_eq!(world.hits, 2);
}
