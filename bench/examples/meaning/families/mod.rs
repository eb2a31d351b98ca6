//! Kinds of complexity routers, made from the same graded prompts and compared: by cross-validation among the prompts that may be
//! learned from, by which the best is chosen, and once on those that are held out. `--example meaning -- families FILE`.

#[path = "../../../../controlplane/src/cli/judge/curve.rs"]
#[allow(dead_code, reason = "the command line shows more of it")]
mod curve;
mod dense;
mod network;
mod regressions;
mod tokens;
mod trees;
mod whole;

use std::{path::Path, thread};

use curve::{Answered, Curve};
use serde::Deserialize;
use tollgate_vector::{
    Embedder, Scratch, Traits,
    complexity::train::{Example, Prepared},
};

const FOLDS: u64 = 5;
/// Ways of folding, so that a figure hangs less on one.
const REPEATS: u64 = 3;
const HALF: f64 = 0.5;
const PERCENT: f64 = 100.0;

#[derive(Deserialize)]
struct Line {
    prompt: String,
    strong_ok: bool,
    weak_ok: bool,
}

/// A graded prompt as all kinds of routers see it.
pub struct Graded {
    example: Example,
    /// Of the embedder's vocabulary, each once.
    tokens: Vec<u32>,
    hash: u64,
}

impl Graded {
    /// The same prompt, seen in another way.
    fn with(&self, example: Example) -> Self {
        Self {
            example,
            tokens: Vec::new(),
            hash: self.hash,
        }
    }

    /// By how much the strong model's answer was better.
    fn difference(&self) -> f64 {
        f64::from(u8::from(self.example.strong_ok)) - f64::from(u8::from(self.example.weak_ok))
    }
}

/// What prompts are scored with, made from others: the higher, the sooner the strong model is asked.
type Family = Box<dyn Fn(&[&Graded], &[&Graded]) -> Vec<f64> + Sync>;

struct Measured {
    name: String,
    /// Of each way of folding the prompts to learn from.
    crossed: Vec<Curve>,
    held_out: Curve,
    /// Of all prompts, each scored by folds without it.
    whole: Curve,
    /// In this order.
    scores: Vec<Vec<f64>>,
}

/// The prompts in their parts.
struct Parts<'g> {
    own: Vec<&'g Graded>,
    held_out: Vec<&'g Graded>,
    all: Vec<&'g Graded>,
}

/// Of those kinds whose name has `part`; all have none.
pub fn families(file: &Path, part: &str) -> Result<(), String> {
    let graded = read(file)?;
    let all: Vec<&Graded> = graded.iter().collect();
    let (held_out, own) = all.iter().partition(|one| one.hash.is_multiple_of(FOLDS));
    let parts = Parts { own, held_out, all };
    println!(
        "{} prompts to learn from, {} held out\n",
        parts.own.len(),
        parts.held_out.len()
    );
    println!(
        "| router | cross-validated: at half | on average | held out: at half | on average | all: at half | on average |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let mut measured = Vec::new();
    for (name, family) in kinds().into_iter().filter(|(name, _)| name.contains(part)) {
        let one = measure(name, &family, &parts);
        tell(&one);
        measured.push(one);
    }
    for (name, of) in ENSEMBLES.into_iter().filter(|_| part.is_empty()) {
        let one = together(name, of, &measured, &parts);
        tell(&one);
        measured.push(one);
    }
    let by_average = |one: &&Measured, other: &&Measured| one.on_average().total_cmp(&other.on_average());
    let plain = measured.iter().filter(|one| one.name.starts_with(regressions::PLAIN));
    if let (Some(best), Some(plain)) = (measured.iter().max_by(by_average), plain.max_by(by_average)) {
        println!("\nthe best by cross-validation, on average: {}", best.name);
        println!("the best plain one: {}", plain.name);
        let shipped = measured.iter().find(|one| one.name == regressions::SHIPPED);
        for one in [Some(best), shipped.filter(|one| one.name != best.name)]
            .into_iter()
            .flatten()
        {
            whole::tell(one, plain, &parts.all);
        }
    }
    learning(&parts.own);
    Ok(())
}

fn kinds() -> Vec<(String, Family)> {
    let mut all = regressions::families();
    all.extend(network::families());
    all.extend(trees::families());
    all.extend(tokens::families());
    all
}

/// Means of what several say, each brought to the same spread.
const ENSEMBLES: [(&str, &[&str]); 3] = [
    (
        "two regressions and the network",
        &["two regressions, penalty 1000", "a network of 24, two ends"],
    ),
    (
        "two regressions, clusters, tokens",
        &[
            "two regressions, penalty 1000",
            "two regressions with 128 middles of clusters",
            "two regressions of tokens beside the vector",
        ],
    ),
    (
        "all of these together",
        &[
            "two regressions, penalty 1000",
            "two regressions with 128 middles of clusters",
            "two regressions of tokens beside the vector",
            "a network of 24, two ends",
            "boosted trees of depth 2 over counts and vector",
            "100 nearest neighbours",
        ],
    ),
];

fn read(file: &Path) -> Result<Vec<Graded>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let embedder = Embedder::builtin().map_err(|error| error.to_string())?;
    let mut scratch = Scratch::default();
    let grade = |(number, line): (usize, &str)| {
        let line: Line =
            serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", file.display(), number + 1))?;
        let mut vector = vec![0.0; embedder.dims()];
        let traits = Traits {
            bytes: line.prompt.len(),
            tokens: embedder.embed(&line.prompt, &mut scratch, &mut vector),
            turns: 1,
            tools: 0,
        };
        let mut tokens = embedder.token_ids(&line.prompt, &mut scratch);
        tokens.sort_unstable();
        tokens.dedup();
        Ok(Graded {
            hash: hash(&line.prompt),
            example: Example::new(vector, &line.prompt, traits, (line.strong_ok, line.weak_ok)),
            tokens,
        })
    };
    text.lines().enumerate().map(grade).collect()
}

/// FNV-1a: the prompts that are held out are those of `tollgate tune` and of bench/data.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// In which fold a prompt is, in one way of folding.
fn fold(graded: &Graded, repeat: u64) -> u64 {
    let mixed = (graded.hash / FOLDS).wrapping_add(repeat.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    ((mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) % FOLDS
}

/// Scores each fifth by what the others say.
fn crossed(own: &[&Graded], repeat: u64, family: impl Fn(&[&Graded], &[&Graded]) -> Vec<f64>) -> Vec<f64> {
    let mut scores = vec![0.0; own.len()];
    for left_out in 0..FOLDS {
        let (asked, others): (Vec<usize>, Vec<usize>) =
            (0..own.len()).partition(|index| fold(own[*index], repeat) == left_out);
        let of = |indices: &[usize]| indices.iter().map(|index| own[*index]).collect::<Vec<_>>();
        for (index, score) in asked.iter().zip(family(&of(&others), &of(&asked))) {
            scores[*index] = score;
        }
    }
    scores
}

fn measure(name: String, family: &Family, parts: &Parts) -> Measured {
    let scores: Vec<Vec<f64>> = thread::scope(|scope| {
        let crossed_own = (0..REPEATS).map(|repeat| scope.spawn(move || crossed(&parts.own, repeat, family)));
        let mut running: Vec<_> = crossed_own.collect();
        running.push(scope.spawn(|| family(&parts.own, &parts.held_out)));
        running.push(scope.spawn(|| crossed(&parts.all, REPEATS, family)));
        running.into_iter().map(|one| one.join().expect("it ends")).collect()
    });
    Measured::new(name, scores, parts)
}

/// What several say, each in deviations from its mean.
fn together(name: &str, of: &[&str], measured: &[Measured], parts: &Parts) -> Measured {
    let of: Vec<&Measured> = measured.iter().filter(|one| of.contains(&one.name.as_str())).collect();
    let mean = |at: usize| {
        let spread: Vec<Vec<f64>> = of.iter().map(|one| in_deviations(&one.scores[at])).collect();
        let count = spread.first().map_or(0, Vec::len);
        (0..count)
            .map(|index| spread.iter().map(|scores| scores[index]).sum())
            .collect::<Vec<f64>>()
    };
    let scores: Vec<Vec<f64>> = (0..REPEATS as usize + 2).map(mean).collect();
    Measured::new(name.to_owned(), scores, parts)
}

fn in_deviations(scores: &[f64]) -> Vec<f64> {
    let count = scores.len().max(1) as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let squares = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count;
    scores
        .iter()
        .map(|score| (score - mean) / squares.sqrt().max(1e-12))
        .collect()
}

fn curve_of(graded: &[&Graded], scores: &[f64]) -> Curve {
    let one = |(graded, score): (&&Graded, &f64)| Answered {
        score: *score as f32,
        strong_ok: graded.example.strong_ok,
        weak_ok: graded.example.weak_ok,
    };
    Curve::new(graded.iter().zip(scores).map(one).collect())
}

impl Measured {
    fn new(name: String, scores: Vec<Vec<f64>>, parts: &Parts) -> Self {
        let [of_own @ .., of_held_out, of_all] = scores.as_slice() else {
            unreachable!("all are scored");
        };
        Self {
            name,
            crossed: of_own.iter().map(|scores| curve_of(&parts.own, scores)).collect(),
            held_out: curve_of(&parts.held_out, of_held_out),
            whole: curve_of(&parts.all, of_all),
            scores,
        }
    }

    /// The scores of all prompts.
    fn of_whole(&self) -> &[f64] {
        self.scores.last().map_or(&[], Vec::as_slice)
    }

    fn mean(&self, of: fn(&Curve) -> f64) -> f64 {
        self.crossed.iter().map(of).sum::<f64>() / self.crossed.len().max(1) as f64
    }

    fn at_half(&self) -> f64 {
        self.mean(|curve| curve.recovered(HALF))
    }

    fn on_average(&self) -> f64 {
        self.mean(Curve::mean_recovered)
    }
}

fn tell(one: &Measured) {
    let figures = [
        one.at_half(),
        one.on_average(),
        one.held_out.recovered(HALF),
        one.held_out.mean_recovered(),
        one.whole.recovered(HALF),
        one.whole.mean_recovered(),
    ];
    let figures = figures.map(|figure| format!("{:.1} %", figure * PERCENT));
    println!("| {} | {} |", one.name, figures.join(" | "));
}

/// What two regressions are worth that learn from a part of the prompts: whether more of them would help.
fn learning(own: &[&Graded]) {
    println!("\n| prompts learned from | at half | on average |\n|--:|--:|--:|");
    for parts in [16, 8, 4, 2, 1] {
        let some = move |others: &[&Graded], asked: &[&Graded]| {
            let some: Vec<&Graded> = others
                .iter()
                .filter(|one| (one.hash >> 24).is_multiple_of(parts))
                .copied()
                .collect();
            regressions::two(&some, asked, regressions::PENALTY)
        };
        let curves: Vec<Curve> = (0..REPEATS)
            .map(|repeat| curve_of(own, &crossed(own, repeat, some)))
            .collect();
        let mean = |of: fn(&Curve) -> f64| curves.iter().map(of).sum::<f64>() / REPEATS as f64 * PERCENT;
        println!(
            "| {} | {:.1} % | {:.1} % |",
            own.len() as u64 * (FOLDS - 1) / FOLDS / parts,
            mean(|curve| curve.recovered(HALF)),
            mean(Curve::mean_recovered)
        );
    }
}

/// As the regressions of the router see them.
fn prepared<'g>(graded: &[&'g Graded]) -> Prepared<'g> {
    Prepared::new(graded.iter().map(|one| &one.example).collect())
}
