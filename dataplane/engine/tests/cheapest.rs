//! `lowest_cost` against the hindsight optimum: what the same calls would have cost had everything been known beforehand.
//! Prices are the catalogue's, prompts as long as those of tests/data/prompts.txt; answers are drawn by seed.

mod rig;

use std::collections::BTreeMap;

use rig::{Rig, dialled, document, provider};
use tollgate_config::{
    Document,
    document::{Dialect, Strategy, Target, Tier},
    prices::{Counts, PriceList, Priced, ServiceTier},
};

const PROMPTS: &str = include_str!("data/prompts.txt");
/// Sections of the catalogue and models whose prices cross: who is cheapest hangs on how much is said and how much is heard.
const TARGETS: [(&str, &str); 4] = [
    ("openai", "gpt-4o-mini"),
    ("deepseek", "deepseek-chat"),
    ("openai", "gpt-5.4-nano"),
    ("anthropic", "claude-haiku-4-5"),
];
const SEEDS: u64 = 10;
/// Providers keep prompts from so many tokens on, …
const LEAST_CACHED_TOKENS: u64 = 1_024;
/// … in steps of so many …
const CACHED_STEP_TOKENS: u64 = 128;

struct Luck(u64);

impl Luck {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Log-normal about a median, most of it within a factor of two: how lengths of answers lie.
    fn length(&mut self, median: f64) -> u64 {
        let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        (median * (0.35 * normal).exp()).max(1.0) as u64
    }
}

fn world() -> Document {
    let mut document = document();
    document.providers = TARGETS
        .iter()
        .map(|(section, model)| {
            let (name, mut provider) = provider(model, Dialect::OpenAi);
            provider.prices = PriceList::of_section(Some(section));
            (name, provider)
        })
        .collect();
    document.models.truncate(1);
    let (_, model) = &mut document.models[0];
    model.targets = TARGETS
        .iter()
        .map(|(_, name)| Target {
            provider: (*name).into(),
            model: (*name).into(),
            ..Target::default()
        })
        .collect();
    model.tiers = vec![Tier {
        strategy: Strategy::LowestCost,
        targets: TARGETS.len(),
        ..Tier::default()
    }];
    document
}

struct Prices([Priced; TARGETS.len()]);

impl Prices {
    fn new() -> Self {
        Self(TARGETS.map(|(section, model)| PriceList::of_section(Some(section)).of(model, model)))
    }

    fn of(&self, target: usize, input: u64, cached: u64, output: u64) -> u128 {
        let price = self.0[target].at(rig::NOW_UNIX_MS / 1_000).expect("a price");
        let counts = Counts {
            input: input - cached,
            cache_read: cached,
            output,
            requests: 1,
            ..Counts::default()
        };
        price.cost(&counts, ServiceTier::Standard).0
    }
}

/// Makes the call; which target answered, and what that cost. `cached`: what a target has of the prompt.
fn call(rig: &mut Rig, body: &str, input: u64, output: u64, cached: impl Fn(usize) -> u64) -> (usize, u128) {
    let did = rig.chat(body);
    let name = &dialled(&did)[0].0;
    let target = TARGETS.iter().position(|(_, model)| model == name).expect("a target");
    let said = format!(
        r#"{{"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"prompt_tokens_details":{{"cached_tokens":{}}}}}}}"#,
        cached(target)
    );
    let head = format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
        said.len()
    );
    rig.connected(1);
    rig.answer(1, &head);
    rig.body(1, &said);
    rig.end(1);
    let cost = rig.exchange.record().cost.expect("prices are known").usd.0;
    (target, cost)
}

/// In hundredths of a percent, how much more than the optimum.
fn above(cost: u128, optimum: u128) -> u128 {
    (cost - optimum) * 10_000 / optimum
}

#[test]
fn single_questions_cost_at_most_two_percent_more_than_hindsight_allows() {
    let prompts: Vec<(&str, usize)> = PROMPTS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (set, bytes) = line.split_once(' ').expect("set and bytes");
            (set, bytes.parse().expect("a number"))
        })
        .collect();
    let mut asked: BTreeMap<usize, u64> = BTreeMap::new();
    let prices = Prices::new();
    for seed in 1..=SEEDS {
        let (mut rig, mut luck) = (Rig::new(world()), Luck(seed));
        let (mut cost, mut optimum) = (0, 0);
        for _ in 0..1_000 {
            let (set, bytes) = prompts[(luck.unit() * prompts.len() as f64) as usize];
            // A question of several choices is answered by a letter and its client says so; a sum is worked out.
            // Some want to know why.
            let (bound, median) = match set {
                "mmlu" if luck.unit() < 0.7 => (r#""max_tokens":4,"#, 2.0),
                "mmlu" => ("", 90.0),
                _ => ("", 180.0),
            };
            let body = format!(
                r#"{{"model":"gpt",{bound}"messages":[{{"role":"user","content":"{}"}}]}}"#,
                "x".repeat(bytes)
            );
            // English has 3.6 to 4.8 bytes in a token.
            let input = (bytes as f64 / (3.6 + 1.2 * luck.unit())) as u64 + 8;
            let output = luck.length(median).min(if bound.is_empty() { u64::MAX } else { 4 });
            let (target, paid) = call(&mut rig, &body, input, output, |_| 0);
            *asked.entry(target).or_default() += 1;
            cost += paid;
            optimum += (0..TARGETS.len())
                .map(|target| prices.of(target, input, 0, output))
                .min()
                .expect("targets");
        }
        let above = above(cost, optimum);
        assert!(
            above <= 200,
            "seed {seed}: {above} hundredths of a percent above the optimum"
        );
    }
    assert!(asked.len() >= 2, "no single target is always the cheapest: {asked:?}");
}

/// A conversation's turns: tokens of each prompt and answer.
type Turns = Vec<(u64, u64)>;

/// What a target has kept of a prompt of so many tokens that it saw.
fn kept(tokens: u64) -> u64 {
    match tokens {
        0..LEAST_CACHED_TOKENS => 0,
        _ => tokens - tokens % CACHED_STEP_TOKENS,
    }
}

/// What a conversation costs at `first`, and from some turn on at `then`.
fn way(prices: &Prices, turns: &Turns, (first, then): (usize, usize), change: usize) -> u128 {
    let mut seen = [0; TARGETS.len()];
    let each = turns.iter().enumerate().map(|(turn, &(input, output))| {
        let at = if turn < change { first } else { then };
        let cost = prices.of(at, input, kept(seen[at]), output);
        seen[at] = input;
        cost
    });
    each.sum()
}

/// The cheapest way through a conversation that changes once at most. Changing back and forth pays for the beginning anew.
fn hindsight(prices: &Prices, turns: &Turns) -> u128 {
    let pairs = (0..TARGETS.len()).flat_map(|first| (0..TARGETS.len()).map(move |then| (first, then)));
    let ways = pairs.flat_map(|pair| (0..turns.len()).map(move |change| (pair, change)));
    let costs = ways.map(|(pair, change)| way(prices, turns, pair, change));
    costs.min().expect("a way")
}

#[test]
fn conversations_cost_at_most_two_percent_more_than_the_best_way_through_them() {
    let prices = Prices::new();
    let mut asked: BTreeMap<usize, u64> = BTreeMap::new();
    for seed in 1..=SEEDS / 2 {
        let (mut rig, mut luck) = (Rig::new(world()), Luck(seed * 7));
        let (mut cost, mut optimum) = (0, 0);
        for conversation in 0..40 {
            let mut text = format!("conversation {conversation}: ");
            text += &"what an agent is told before it begins, ".repeat(40 + (luck.unit() * 200.0) as usize);
            let mut turns = Turns::new();
            let mut seen = [0; TARGETS.len()];
            // As in config/loadtest/agent-loops.yaml.
            for _ in 0..3 + (luck.unit() * 28.0) as usize {
                text += &"the result of a tool, ".repeat(5 + (luck.unit() * 60.0) as usize);
                let body = format!(r#"{{"model":"gpt","messages":[{{"role":"user","content":"{text}"}}]}}"#);
                let (input, output) = ((text.len() as f64 / 4.2) as u64, luck.length(120.0));
                turns.push((input, output));
                let (target, paid) = call(&mut rig, &body, input, output, |target| kept(seen[target]));
                *asked.entry(target).or_default() += 1;
                seen[target] = input;
                cost += paid;
                rig.now = rig.now.plus_ms(8_000);
            }
            optimum += hindsight(&prices, &turns);
        }
        let above = above(cost, optimum);
        assert!(
            above <= 200,
            "seed {seed}: {above} hundredths of a percent above the optimum"
        );
    }
    assert!(asked.len() >= 2, "no single target is always the cheapest: {asked:?}");
}
