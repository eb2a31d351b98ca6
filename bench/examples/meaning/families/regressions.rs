//! Regressions as the router has them, and what else goes by a prompt's neighbours: ridge, nearest neighbours, clusters.

use tollgate_vector::complexity::{
    counts::NAMES,
    train::{Asked, Example},
};

use super::{
    Family, Graded,
    dense::{Rows, dot},
    prepared,
};

/// That of the shipped weights.
pub const PENALTY: f64 = 1_000.0;
pub const SHIPPED: &str = "two regressions, penalty 1000";
/// How the plain baselines' names begin.
pub const PLAIN: &str = "one regression for";
const CLUSTERS: usize = 128;
const ROUNDS: usize = 8;
/// How steeply nearness to a cluster falls.
const STEEP: f32 = 6.0;

pub fn families() -> Vec<(String, Family)> {
    let mut all: Vec<(String, Family)> = vec![
        (
            "one regression for \"only the strong one is right\", penalty 100".to_owned(),
            Box::new(|others, asked| one(others, asked, 100.0)),
        ),
        (
            "100 nearest neighbours".to_owned(),
            Box::new(|others, asked| nearest(others, asked, 100)),
        ),
    ];
    for penalty in [300.0, 1_000.0] {
        all.push((
            format!("two regressions, penalty {penalty}"),
            Box::new(move |others, asked| two(others, asked, penalty)),
        ));
        all.push((
            format!("ridge regression of the difference, penalty {penalty}"),
            Box::new(move |others, asked| ridge(others, asked, penalty)),
        ));
    }
    for (name, sees) in SIGHTS {
        all.push((
            format!("two regressions {name}"),
            Box::new(move |others, asked| partly(others, asked, sees)),
        ));
    }
    all.push((
        "two regressions with 128 middles of clusters".to_owned(),
        Box::new(clusters),
    ));
    all
}

/// What of a prompt is seen: its vector, its counts up to how it is built, how it is built.
type Sight = (bool, bool, bool);
const SIGHTS: [(&str, Sight); 3] = [
    ("over the counts alone", (false, true, true)),
    ("over the vector alone", (true, false, false)),
    ("without what its items are like", (true, true, false)),
];
/// Counts of how a prompt is built, by name.
const BUILT: [&str; 5] = [
    "words_an_item",
    "numeric_items",
    "alike_items",
    "words_before_items",
    "asks",
];

fn partly(others: &[&Graded], asked: &[&Graded], (vector, counts, built): Sight) -> Vec<f64> {
    let seen = |one: &&Graded| {
        let mut example = one.example.clone();
        if !vector {
            example.vector.fill(0.0);
        }
        for (count, name) in example.counts.iter_mut().zip(NAMES) {
            let is_seen = if BUILT.contains(&name) { built } else { counts };
            if !is_seen {
                *count = 0.0;
            }
        }
        one.with(example)
    };
    let of = |graded: &[&Graded]| graded.iter().map(seen).collect::<Vec<_>>();
    let (others, asked) = (of(others), of(asked));
    two(
        &others.iter().collect::<Vec<_>>(),
        &asked.iter().collect::<Vec<_>>(),
        PENALTY,
    )
}

pub fn two(others: &[&Graded], asked: &[&Graded], penalty: f64) -> Vec<f64> {
    let prepared = prepared(others);
    let fit = |of| prepared.fit(of, penalty).expect("there are enough prompts");
    let (strong, weak) = (fit(Asked::Strong), fit(Asked::Weak));
    let gain = |one: &&Graded| prepared.judge(&strong, &one.example) - prepared.judge(&weak, &one.example);
    asked.iter().map(gain).collect()
}

fn one(others: &[&Graded], asked: &[&Graded], penalty: f64) -> Vec<f64> {
    let prepared = prepared(others);
    let only = prepared
        .fit(Asked::OnlyStrong, penalty)
        .expect("there are enough prompts");
    asked.iter().map(|one| prepared.judge(&only, &one.example)).collect()
}

fn ridge(others: &[&Graded], asked: &[&Graded], penalty: f64) -> Vec<f64> {
    let rows = Rows::of(others);
    let targets: Vec<f64> = others.iter().map(|one| one.difference()).collect();
    // A difference is worth four times what a logistic slope is at a half.
    let weights = rows.ridge(&targets, penalty / 4.0);
    asked
        .iter()
        .map(|one| f64::from(dot(&rows.row(one), &weights)))
        .collect()
}

fn nearest(others: &[&Graded], asked: &[&Graded], neighbours: usize) -> Vec<f64> {
    let score = |one: &&Graded| {
        let near = |other: &&Graded| (dot(&one.example.vector, &other.example.vector), other.difference());
        let mut near: Vec<(f32, f64)> = others.iter().map(near).collect();
        let last = near.len() - 1;
        near.select_nth_unstable_by(neighbours.min(last), |a, b| b.0.total_cmp(&a.0));
        near.iter().take(neighbours).map(|(_, difference)| difference).sum()
    };
    asked.iter().map(score).collect()
}

/// The vector is joined by how near it is to each of the middles of clusters of the others.
fn clusters(others: &[&Graded], asked: &[&Graded]) -> Vec<f64> {
    let middles = middles(others);
    let widened = |one: &&Graded| {
        let near: Vec<f32> = middles
            .iter()
            .map(|middle| (STEEP * (dot(&one.example.vector, middle) - 1.0)).exp())
            .collect();
        let sum: f32 = near.iter().sum();
        // Scaled as the vector's lanes are.
        let near = near
            .iter()
            .map(|near| near / sum.max(f32::MIN_POSITIVE) * (CLUSTERS as f32).sqrt() / 16.0);
        Example {
            vector: one.example.vector.iter().copied().chain(near).collect(),
            ..one.example.clone()
        }
    };
    let widen = |graded: &[&Graded]| {
        let widened = graded.iter().map(|one| one.with(widened(one)));
        widened.collect::<Vec<_>>()
    };
    let (others, asked) = (widen(others), widen(asked));
    two(
        &others.iter().collect::<Vec<_>>(),
        &asked.iter().collect::<Vec<_>>(),
        PENALTY,
    )
}

fn middles(graded: &[&Graded]) -> Vec<Vec<f32>> {
    let stride = (graded.len() / CLUSTERS).max(1);
    let first = graded.iter().step_by(stride).take(CLUSTERS);
    let mut middles: Vec<Vec<f32>> = first.map(|one| one.example.vector.clone()).collect();
    for _ in 0..ROUNDS {
        let mut sums = vec![vec![0.0f32; middles[0].len()]; middles.len()];
        for one in graded {
            let near = middles
                .iter()
                .map(|middle| dot(&one.example.vector, middle))
                .enumerate();
            let (nearest, _) = near.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
            sums[nearest]
                .iter_mut()
                .zip(&one.example.vector)
                .for_each(|(sum, value)| *sum += value);
        }
        for (middle, sum) in middles.iter_mut().zip(sums) {
            let length = dot(&sum, &sum).sqrt();
            if length > 0.0 {
                *middle = sum.iter().map(|value| value / length).collect();
            }
        }
    }
    middles
}
