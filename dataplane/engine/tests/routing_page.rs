//! The worked examples of docs/src/routing.md: each document is compiled, each call made or explained, and what comes of it
//! compared with the page. A fault shows what the page would have to say.

mod rig;

use std::collections::BTreeMap;

use rig::{Did, Rig, dialled, secrets};
use serde_json::Value;
use tollgate_config::{Document, check::check, parse::Parsed};
use tollgate_engine::{
    Local,
    exchange::UpstreamFault,
    explain::{Asked, Candidate, explain},
    snapshot,
};

const PAGE: &str = include_str!("../../../docs/src/routing.md");
/// The page speaks of a Friday morning in Berlin: 2027-01-15T08:00:00Z.
const NOW_UNIX_MS: u64 = rig::NOW_UNIX_MS;

/// A fenced block: what stands behind the fence, and its lines.
struct Block<'p> {
    line: usize,
    words: &'p str,
    text: String,
}

fn blocks() -> Vec<Block<'static>> {
    let mut blocks: Vec<Block<'static>> = Vec::new();
    let mut open = false;
    for (number, line) in PAGE.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(words), false) => {
                blocks.push(Block {
                    line: number + 1,
                    words,
                    text: String::new(),
                });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let block = blocks.last_mut().expect("one is open");
                block.text += line;
                block.text += "\n";
            }
            (None, false) => {}
        }
    }
    blocks
}

fn tree(text: &str) -> Value {
    tollgate_config::parse::parse(text)
        .unwrap_or_else(|bad| panic!("{bad:?}"))
        .tree
}

/// The page's common document, with the sections of an example laid over it.
fn document(common: &str, example: &str) -> Document {
    let mut whole = tree(common);
    for (section, entries) in tree(example).as_object().expect("sections") {
        match entries.as_object() {
            None => whole[section] = entries.clone(),
            Some(entries) => entries
                .iter()
                .for_each(|(name, entry)| whole[section][name] = entry.clone()),
        }
    }
    check(&Parsed::from_tree(whole)).unwrap_or_else(|problems| panic!("{}", problems[0].line("routing.md")))
}

#[test]
fn the_page_says_what_comes_of_its_examples() {
    let blocks = blocks();
    let mut common = None;
    let (mut world, mut call, mut ran) = (None, String::new(), 0);
    let mut wrong = Vec::new();
    for block in &blocks {
        let said = match block.words {
            "yaml common" => {
                common = Some(block.text.as_str());
                continue;
            }
            "yaml" => {
                world = common.map(|common| World::new(document(common, &block.text)));
                continue;
            }
            "json" => {
                call = block.text.clone();
                continue;
            }
            "calls" => world.as_mut().expect("a document stands above").run(&block.text),
            "explain" => explained(world.as_ref().expect("a document stands above"), "ci-bot", &call),
            "explain hospital" => explained(world.as_ref().expect("a document stands above"), "hospital", &call),
            _ => continue,
        };
        ran += 1;
        if normal(&said) != normal(&block.text) {
            wrong.push(format!("line {}, which should be\n{said}", block.line));
        }
    }
    assert!(wrong.is_empty(), "docs/src/routing.md: {}", wrong.join("\n"));
    assert!(ran >= 13, "{ran} blocks were compared");
}

/// `check` reads an example; that its prices are known, and more, shows when it is compiled.
#[test]
fn the_examples_compile() {
    let examples = [
        include_str!("../../../config/examples/routing.yaml"),
        include_str!("../../../config/examples/failover.yaml"),
        include_str!("../../../config/examples/prices.yaml"),
        include_str!("../../../config/examples/openai-and-anthropic.yaml"),
    ];
    for text in examples {
        let document = document("version: 1", text);
        let held = snapshot::references(&document).into_iter();
        let secrets = held.map(|(reference, at)| (reference, format!("a secret for {at}").into_bytes()));
        let secrets = secrets.collect();
        snapshot::compile(1, document, &secrets).unwrap_or_else(|problems| panic!("{problems:?}"));
    }
}

/// Columns are aligned for people.
fn normal(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// The table of `tollgate explain`, without its head.
fn explained(world: &World, key: &str, call: &str) -> String {
    let asked = Asked {
        key,
        path: "/v1/chat/completions",
        body: call.as_bytes(),
        headers: "",
        limits: &[],
    };
    let told = explain(&world.pinned.pinned, &asked, NOW_UNIX_MS).expect("a call of a model");
    let route = told.last().expect("a stage");
    assert_eq!(route.stage, "route", "{route:?}");
    let line = |one: &Candidate| {
        let mark = if one.chosen { "*" } else { " " };
        let cost = one.expected_cost.map(|cost| cost.to_nanos().to_string());
        format!(
            "{mark}  {}  {}  {}  {}\n",
            one.provider,
            one.model,
            cost.as_deref().unwrap_or("-"),
            one.why
        )
    };
    route.candidates.iter().map(line).collect()
}

/// Providers as the page says they are, one shard, and the calls that go on.
struct World {
    pinned: Rig,
    local: Local,
    now: tollgate_engine::Tick,
    answers_ms: BTreeMap<String, u64>,
    left: BTreeMap<String, (u64, u64)>,
    refuses: BTreeMap<String, bool>,
    under_way: Vec<Rig>,
}

impl World {
    fn new(document: Document) -> Self {
        let known = secrets(&document);
        let pinned = Rig::with_secrets(document, &known);
        Self {
            now: pinned.now,
            pinned,
            local: Local {
                seed: 7,
                ..Local::default()
            },
            answers_ms: BTreeMap::new(),
            left: BTreeMap::new(),
            refuses: BTreeMap::new(),
            under_way: Vec::new(),
        }
    }

    /// Runs the lines of a block; what they would have to be.
    fn run(&mut self, script: &str) -> String {
        script.lines().map(|line| self.line(line) + "\n").collect()
    }

    fn line(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().unwrap_or_else(|_| panic!("a number in '{line}'"));
        match words[..] {
            [provider, "answers", "in", ms, "ms"] => _ = self.answers_ms.insert(provider.into(), number(ms)),
            [provider, "has", left, "of", all, "requests", "left"] => {
                self.left.insert(provider.into(), (number(left), number(all)));
            }
            [provider, "refuses", "connections"] => _ = self.refuses.insert(provider.into(), true),
            [provider, "is", "well", "again"] => _ = self.refuses.insert(provider.into(), false),
            [seconds, "s", "later"] => self.now = self.now.plus_ms(number(seconds) * 1_000),
            [count, ..] if line.contains(" calls") => {
                let (what, _) = line
                    .split_once(':')
                    .unwrap_or_else(|| panic!("who answered in '{line}'"));
                return format!("{what}: {}", self.calls(number(count), what));
            }
            _ => panic!("'{line}' is not understood"),
        }
        line.to_owned()
    }

    /// Makes calls one after the other, or all at once; who answered how many, the first of the document first.
    fn calls(&mut self, count: u64, what: &str) -> String {
        let after = |word: &str| {
            let (_, rest) = what.split_once(word)?;
            rest.split_whitespace().next().map(str::to_owned)
        };
        let session = after(" of session ");
        let topic = after(" about ");
        let stays = what.ends_with("under way");
        let mut answered: BTreeMap<String, u64> = BTreeMap::new();
        for number in 0..count {
            let by = self.call(session.as_deref(), topic.as_deref(), number, stays);
            *answered.entry(by).or_default() += 1;
        }
        // What went on goes on no longer.
        for mut rig in std::mem::take(&mut self.under_way) {
            self.with(&mut rig, |rig| rig.feed(tollgate_engine::Input::ClientGone));
        }
        let providers = self
            .pinned
            .pinned
            .snapshot
            .document
            .providers
            .iter()
            .map(|(name, _)| name.clone());
        let order: Vec<String> = providers.chain(["429".to_owned(), "403".to_owned()]).collect();
        let told = order
            .iter()
            .filter_map(|name| Some(format!("{name} {}", answered.get(name)?)));
        told.collect::<Vec<_>>().join(", ")
    }

    fn call(&mut self, session: Option<&str>, topic: Option<&str>, number: u64, stays: bool) -> String {
        let mut rig = Rig::sharing(self.pinned.pinned.clone());
        let session = session.map_or(String::new(), |session| format!("x-session-id: {session}\n"));
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer credential-TOLLGATE_KEY_CI\n{session}"
        );
        let prompt = topic.map_or(String::new(), |topic| {
            format!("All there is to know about {topic}. ").repeat(250)
        });
        let body = format!(r#"{{"model":"smart","messages":[{{"role":"user","content":"{prompt}{number}"}}]}}"#);
        let mut did = self.with(&mut rig, |rig| rig.request(&head, body.as_bytes()));
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Some((provider, _)) = dialled(&did).first().cloned() else {
                if did.contains(&Did::Settle) {
                    return rig.exchange.record().status.to_string();
                }
                // It waits before it tries again.
                did = self.with(&mut rig, Rig::expire);
                attempt -= 1;
                continue;
            };
            if self.refuses.get(&provider).copied().unwrap_or_default() {
                did = self.with(&mut rig, |rig| rig.failed(attempt, UpstreamFault::Connect));
                continue;
            }
            if stays {
                self.under_way.push(rig);
                return provider;
            }
            self.answer(&mut rig, attempt, &provider);
            return provider;
        }
    }

    fn answer(&mut self, rig: &mut Rig, attempt: u16, provider: &str) {
        self.with(rig, |rig| rig.connected(attempt));
        self.now = self.now.plus_ms(self.answers_ms.get(provider).copied().unwrap_or(20));
        let limits = self.left.get(provider).map_or(String::new(), |(left, all)| {
            format!("x-ratelimit-limit-requests: {all}\nx-ratelimit-remaining-requests: {left}\n")
        });
        let said = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}"#;
        let head = format!(
            "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n{limits}",
            said.len()
        );
        self.with(rig, |rig| rig.answer(attempt, &head));
        self.with(rig, |rig| rig.body(attempt, said));
        self.with(rig, |rig| rig.end(attempt));
        assert_eq!(rig.exchange.record().status, 200);
    }

    /// Feeds a call with the shard's state at this moment.
    fn with(&mut self, rig: &mut Rig, feed: impl FnOnce(&mut Rig) -> Vec<Did>) -> Vec<Did> {
        std::mem::swap(&mut rig.local, &mut self.local);
        rig.now = self.now;
        let did = feed(rig);
        self.now = rig.now;
        std::mem::swap(&mut rig.local, &mut self.local);
        did
    }
}
