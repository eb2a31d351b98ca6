//! Whoever asks whatever, in whatever words and order: nobody gets an answer that was made for another tenant, under another
//! policy, in another context or to another question, also where the index itself is mixed up.

mod rig;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rig::{
    document,
    kept::{answer_with, cache, is_miss},
    key, model,
    near::{Node, by_meaning, saying},
    reply,
};
use tollgate_config::{
    Document,
    document::{CacheScope, SemanticMode},
    link::Purge,
};
use tollgate_engine::exact::Filter;

const KEYS: [(&str, Option<&str>); 4] = [("a1", Some("a")), ("a2", Some("a")), ("b1", Some("b")), ("lone", None)];
const MODELS: [(&str, CacheScope); 3] = [
    ("of-key", CacheScope::Key),
    ("of-team", CacheScope::Team),
    ("of-all", CacheScope::Organization),
];
const SUBJECTS: [&str; 3] = ["France", "Spain", "Peru"];
const CONTEXTS: [&str; 2] = ["be kind", "be terse"];

fn wording(words: usize, subject: &str) -> String {
    match words {
        0 => format!("What is the capital of {subject}?"),
        1 => format!("what's the capital of {subject}"),
        _ => format!("Please tell me the capital of {subject}."),
    }
}

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
        let mut kept = cache(scope);
        kept.semantic = by_meaning(SemanticMode::Serve).map(|semantic| tollgate_config::document::SemanticCache {
            max_entries: 6,
            ..semantic
        });
        document.caches.push((name.to_owned(), kept));
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

#[derive(Clone, Debug)]
enum Step {
    Ask {
        shard: usize,
        key: usize,
        model: usize,
        subject: usize,
        words: usize,
        context: usize,
    },
    /// The writer has its turn.
    Turn,
    Purge(usize),
    Reload,
}

fn any_step() -> impl Strategy<Value = Step> {
    let ask = (
        0..2usize,
        0..KEYS.len(),
        0..MODELS.len(),
        0..SUBJECTS.len(),
        0..3usize,
        0..CONTEXTS.len(),
    );
    prop_oneof![
        12 => ask.prop_map(|(shard, key, model, subject, words, context)| Step::Ask { shard, key, model, subject, words, context }),
        5 => Just(Step::Turn),
        1 => (0..KEYS.len()).prop_map(Step::Purge),
        1 => Just(Step::Reload),
    ]
}

/// All that an answer may depend on: whoever may share it, the model, its revision, the context, and the subject.
type Asked = (String, usize, usize, usize, usize);

struct World {
    node: Node,
    shards: Vec<rig::Rig>,
    revisions: [std::rc::Rc<tollgate_engine::exchange::Pinned>; 2],
    revision: usize,
    made: BTreeMap<String, Asked>,
    hits: usize,
}

impl World {
    fn new(node: Node) -> Self {
        let shards = node.shards(world(0), 2);
        let revisions = [shards[0].pinned.clone(), rig::Rig::new(world(1)).pinned.clone()];
        Self {
            node,
            shards,
            revisions,
            revision: 0,
            made: BTreeMap::new(),
            hits: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Ask {
                shard,
                key,
                model,
                subject,
                words,
                context,
            } => {
                let asked = (tenant(MODELS[model].1, key), model, self.revision, context, subject);
                let text = wording(words, SUBJECTS[subject]);
                let body = format!(
                    r#"{{"model":"{}","messages":[{{"role":"system","content":"{}"}},{{"role":"user","content":"{text}"}}]}}"#,
                    MODELS[model].0, CONTEXTS[context]
                );
                self.ask(shard, KEYS[key].0, &body, asked);
            }
            Step::Turn => self.node.turn(),
            Step::Purge(key) => {
                self.node.answers.purge(&Filter(Purge {
                    key: Some(KEYS[key].0.to_owned()),
                    ..Purge::default()
                }));
            }
            Step::Reload => {
                self.revision = 1 - self.revision;
                self.node
                    .answers
                    .keep_only(&self.revisions[self.revision].snapshot.document);
            }
        }
    }

    fn ask(&mut self, shard: usize, key: &str, body: &str, asked: Asked) {
        let rig = &mut self.shards[shard];
        rig.pinned = self.revisions[self.revision].clone();
        let did = rig::kept::call_as(rig, key, "", body);
        if is_miss(&did) {
            let answer = saying(&format!("answer {}", self.made.len()));
            self.made.insert(answer.clone(), asked);
            answer_with(rig, 200, &answer);
            return;
        }
        let (status, _, said) = reply(&did);
        assert_eq!(status, 200, "{said}");
        assert_eq!(self.made.get(&said), Some(&asked), "{said} is another's");
        self.hits += usize::from(rig.exchange.record().cache == Some("semantic-hit"));
    }
}

const fn ask(key: usize, model: usize, words: usize) -> Step {
    Step::Ask {
        shard: 0,
        key,
        model,
        subject: 0,
        words,
        context: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_crosses(steps in prop::collection::vec(any_step(), 1..200)) {
        let mut world = World::new(Node::new(1_000));
        for step in &steps {
            world.step(step);
        }
    }

    /// All entries are in the index that all search: the answers themselves say whose they are.
    #[test]
    fn nor_does_it_where_the_index_is_mixed_up(steps in prop::collection::vec(any_step(), 1..200)) {
        let mut world = World::new(Node::mixed_up(1_000));
        for step in &steps {
            world.step(step);
        }
    }
}

#[test]
fn the_world_above_has_hits_by_meaning() {
    let mut world = World::new(Node::new(1_000));
    for step in [
        ask(0, 1, 0),
        Step::Turn,
        ask(1, 1, 1),
        ask(2, 1, 1),
        ask(3, 2, 0),
        Step::Turn,
        ask(2, 2, 2),
    ] {
        world.step(&step);
    }
    assert_eq!(world.hits, 2);
}

#[test]
#[should_panic(expected = "is another's")]
fn and_would_tell_an_answer_that_crossed() {
    let mut world = World::new(Node::new(1_000));
    world.step(&ask(0, 1, 0));
    world.step(&Step::Turn);
    for made in world.made.values_mut() {
        made.0 = "team b".to_owned();
    }
    world.step(&ask(1, 1, 1));
}
