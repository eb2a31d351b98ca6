//! Boosted trees of depth two, for each model one: over the counts alone, and over counts and vector.

use super::{Family, Graded, dense::Rows};

const BINS: usize = 16;
const TREES: usize = 150;
const RATE: f64 = 0.08;
/// What a leaf of few prompts is drawn towards nothing by.
const PENALTY: f64 = 20.0;

pub fn families() -> Vec<(String, Family)> {
    let family = |counts_only: bool| -> Family { Box::new(move |others, asked| boosted(others, asked, counts_only)) };
    vec![
        (
            "boosted trees of depth 2 over the counts alone".to_owned(),
            family(true),
        ),
        (
            "boosted trees of depth 2 over counts and vector".to_owned(),
            family(false),
        ),
    ]
}

fn boosted(others: &[&Graded], asked: &[&Graded], counts_only: bool) -> Vec<f64> {
    let rows = Rows::of(others);
    let from = if counts_only { others[0].example.vector.len() } else { 0 };
    let binned = Binned::of(&rows.rows, from);
    let places: Vec<Vec<u8>> = asked.iter().map(|one| binned.places(&rows.row(one), from)).collect();
    let right = |is: fn(&Graded) -> bool| {
        others
            .iter()
            .map(|one| f64::from(u8::from(is(one))))
            .collect::<Vec<_>>()
    };
    let strong = probabilities(&binned, &right(|one| one.example.strong_ok), &places);
    let weak = probabilities(&binned, &right(|one| one.example.weak_ok), &places);
    strong.iter().zip(weak).map(|(strong, weak)| strong - weak).collect()
}

/// Features by how many of the prompts are below.
struct Binned {
    /// By feature, by prompt.
    bins: Vec<Vec<u8>>,
    edges: Vec<Vec<f32>>,
}

impl Binned {
    fn of(rows: &[Vec<f32>], from: usize) -> Self {
        // The last is one.
        let features = from..rows[0].len() - 1;
        let edges = features.clone().map(|feature| {
            let mut values: Vec<f32> = rows.iter().map(|row| row[feature]).collect();
            values.sort_by(f32::total_cmp);
            (1..BINS)
                .map(|bin| values[bin * values.len() / BINS])
                .collect::<Vec<f32>>()
        });
        let edges: Vec<Vec<f32>> = edges.collect();
        let bins = features
            .zip(&edges)
            .map(|(feature, edges)| rows.iter().map(|row| place(row[feature], edges)).collect());
        Self {
            bins: bins.collect(),
            edges,
        }
    }

    fn places(&self, row: &[f32], from: usize) -> Vec<u8> {
        row[from..]
            .iter()
            .zip(&self.edges)
            .map(|(value, edges)| place(*value, edges))
            .collect()
    }
}

fn place(value: f32, edges: &[f32]) -> u8 {
    edges.partition_point(|edge| *edge <= value) as u8
}

/// A question, two more for its answers, and what to add in each of the four cases.
struct Tree {
    questions: [(usize, u8); 3],
    leaves: [f64; 4],
}

impl Tree {
    fn leaf(&self, bin: impl Fn(usize) -> u8) -> usize {
        let above = |(feature, edge): (usize, u8)| usize::from(bin(feature) > edge);
        let first = above(self.questions[0]);
        2 * first + above(self.questions[1 + first])
    }
}

fn probabilities(binned: &Binned, right: &[f64], asked: &[Vec<u8>]) -> Vec<f64> {
    let share = right.iter().sum::<f64>() / right.len() as f64;
    let base = (share / (1.0 - share)).ln();
    let (mut said, mut answers) = (vec![base; right.len()], vec![base; asked.len()]);
    for _ in 0..TREES {
        let slopes: Vec<(f64, f64)> = said
            .iter()
            .zip(right)
            .map(|(said, right)| {
                let probability = logistic(*said);
                (right - probability, probability * (1.0 - probability))
            })
            .collect();
        let tree = grown(binned, &slopes);
        for (index, said) in said.iter_mut().enumerate() {
            *said += tree.leaves[tree.leaf(|feature| binned.bins[feature][index])];
        }
        for (answer, places) in answers.iter_mut().zip(asked) {
            *answer += tree.leaves[tree.leaf(|feature| places[feature])];
        }
    }
    answers.into_iter().map(logistic).collect()
}

fn grown(binned: &Binned, slopes: &[(f64, f64)]) -> Tree {
    let all: Vec<usize> = (0..slopes.len()).collect();
    let first = best(binned, slopes, &all);
    let (below, above): (Vec<usize>, Vec<usize>) =
        all.iter().partition(|index| binned.bins[first.0][**index] <= first.1);
    let mut tree = Tree {
        questions: [first, best(binned, slopes, &below), best(binned, slopes, &above)],
        leaves: [0.0; 4],
    };
    let mut sums = [(0.0, 0.0); 4];
    for (index, slope) in slopes.iter().enumerate() {
        let sum = &mut sums[tree.leaf(|feature| binned.bins[feature][index])];
        *sum = (sum.0 + slope.0, sum.1 + slope.1);
    }
    tree.leaves = sums.map(|(slope, curvature)| RATE * slope / (curvature + PENALTY));
    tree
}

/// The question that tells these prompts apart best.
fn best(binned: &Binned, slopes: &[(f64, f64)], among: &[usize]) -> (usize, u8) {
    let worth = |slope: f64, curvature: f64| slope * slope / (curvature + PENALTY);
    let mut best = (f64::MIN, (0, 0));
    for (feature, bins) in binned.bins.iter().enumerate() {
        let mut sums = [(0.0, 0.0); BINS];
        for index in among {
            let sum = &mut sums[usize::from(bins[*index])];
            *sum = (sum.0 + slopes[*index].0, sum.1 + slopes[*index].1);
        }
        let add = |a: (f64, f64), b: &(f64, f64)| (a.0 + b.0, a.1 + b.1);
        let all = sums.iter().fold((0.0, 0.0), add);
        let mut below = (0.0, 0.0);
        for (edge, sum) in sums.iter().enumerate().take(BINS - 1) {
            below = add(below, sum);
            let gain = worth(below.0, below.1) + worth(all.0 - below.0, all.1 - below.1);
            if gain > best.0 {
                best = (gain, (feature, edge as u8));
            }
        }
    }
    best.1
}

fn logistic(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}
