//! Learners by gradient: straight lines and one hidden layer, with ends for each model's answer, for the four outcomes, for one
//! difficulty that both models share, for pairs in order, and for what the better half gains, which is what is judged.

use super::{
    Family, Graded,
    dense::{Dice, Rows, dot},
};

const SEEDS: [u64; 2] = [11, 12];

#[derive(Clone, Copy)]
enum Ends {
    /// Is each of the two right?
    Two,
    /// Which of the four outcomes?
    Four,
    /// Both are right up to a difficulty, one of them further.
    Difficulty,
    /// Of two prompts, which gains more?
    Pairs,
    /// What is gained by those above the middle.
    Half,
}

#[derive(Clone, Copy)]
struct Way {
    ends: Ends,
    hidden: usize,
    epochs: usize,
    batch: usize,
    /// What a large weight costs, for all prompts together.
    penalty: f32,
    rate: f32,
}

pub fn families() -> Vec<(String, Family)> {
    let line = |ends, batch, penalty| Way {
        ends,
        hidden: 0,
        epochs: 30,
        batch,
        penalty,
        rate: 0.004,
    };
    let hidden = |hidden, penalty| Way {
        ends: Ends::Two,
        hidden,
        epochs: 20,
        batch: 64,
        penalty,
        rate: 0.002,
    };
    let ways = [
        ("one regression of four outcomes", line(Ends::Four, 64, 300.0)),
        (
            "one difficulty that both models share",
            line(Ends::Difficulty, 64, 300.0),
        ),
        ("a line by pairs in order", line(Ends::Pairs, 64, 100.0)),
        ("a line by what the better half gains", line(Ends::Half, 512, 100.0)),
        ("a network of 24, two ends", hidden(24, 10.0)),
    ];
    ways.into_iter()
        .map(|(name, way)| {
            let family: Family = Box::new(move |others, asked| learned(others, asked, way));
            (name.to_owned(), family)
        })
        .collect()
}

/// The mean of what those with different beginnings say.
fn learned(others: &[&Graded], asked: &[&Graded], way: Way) -> Vec<f64> {
    let rows = Rows::of(others);
    let mut scores = vec![0.0; asked.len()];
    let seeds = if way.hidden == 0 { &SEEDS[..1] } else { &SEEDS };
    for seed in seeds {
        let mut net = Net::new(rows.rows[0].len(), way, *seed);
        net.learn(&rows.rows, others, *seed);
        for (score, one) in scores.iter_mut().zip(asked) {
            *score += f64::from(net.score(&rows.row(one)));
        }
    }
    scores
}

struct Net {
    way: Way,
    inputs: usize,
    outputs: usize,
    /// Of the hidden layer, unit by unit, and behind them of the ends; where nothing is hidden, of the ends alone.
    weights: Vec<f32>,
    moments: Vec<(f32, f32)>,
    steps: i32,
}

impl Net {
    fn new(inputs: usize, way: Way, seed: u64) -> Self {
        let outputs = match way.ends {
            Ends::Two => 2,
            Ends::Four => 4,
            // The difficulty, and how far each model reaches: constants.
            Ends::Difficulty | Ends::Pairs | Ends::Half => 1,
        };
        let count = match way.hidden {
            0 => outputs * inputs,
            hidden => hidden * inputs + outputs * (hidden + 1),
        };
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let spread = if way.hidden == 0 {
            0.0
        } else {
            1.0 / (inputs as f32).sqrt()
        };
        let mut weights: Vec<f32> = (0..count).map(|_| dice.even() * spread).collect();
        // Both models' reach, for `Difficulty`.
        weights.extend([1.0, 0.5]);
        Self {
            way,
            inputs,
            outputs,
            moments: vec![(0.0, 0.0); weights.len()],
            weights,
            steps: 0,
        }
    }

    /// What the hidden units say, and the ends.
    fn run(&self, row: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let ends = |from: usize, width: usize, said: &[f32]| -> Vec<f32> {
            let of = |end: usize| dot(&self.weights[from + end * width..][..width], said);
            (0..self.outputs).map(of).collect()
        };
        if self.way.hidden == 0 {
            return (Vec::new(), ends(0, self.inputs, row));
        }
        let unit = |unit: usize| dot(&self.weights[unit * self.inputs..][..self.inputs], row).tanh();
        let said: Vec<f32> = (0..self.way.hidden).map(unit).chain([1.0]).collect();
        let ends = ends(self.way.hidden * self.inputs, self.way.hidden + 1, &said);
        (said, ends)
    }

    fn score(&self, row: &[f32]) -> f32 {
        let (_, ends) = self.run(row);
        match self.way.ends {
            Ends::Two => logistic(ends[0]) - logistic(ends[1]),
            Ends::Four => {
                let shares = shares(&ends);
                shares[1] - shares[2]
            }
            Ends::Difficulty => {
                let [strong, weak] = self.reach();
                logistic(strong - ends[0]) - logistic(weak - ends[0])
            }
            Ends::Pairs | Ends::Half => ends[0],
        }
    }

    fn reach(&self) -> [f32; 2] {
        let from = self.weights.len() - 2;
        [self.weights[from], self.weights[from + 1]]
    }

    fn learn(&mut self, rows: &[Vec<f32>], graded: &[&Graded], seed: u64) {
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let all = (self.way.epochs * rows.len().div_ceil(self.way.batch)) as f32;
        for _ in 0..self.way.epochs {
            dice.shuffle(&mut order);
            for batch in order.chunks(self.way.batch) {
                let runs: Vec<(Vec<f32>, Vec<f32>)> = batch.iter().map(|index| self.run(&rows[*index])).collect();
                let ends: Vec<&[f32]> = runs.iter().map(|(_, ends)| ends.as_slice()).collect();
                let truth: Vec<&Graded> = batch.iter().map(|index| graded[*index]).collect();
                let mut slopes = vec![0.0; self.weights.len()];
                let downs = self.downs(&ends, &truth, &mut slopes);
                for ((index, (said, _)), down) in batch.iter().zip(&runs).zip(downs) {
                    self.back(&rows[*index], said, &down, &mut slopes);
                }
                let share = 1.0 / batch.len() as f32;
                let rate = self.way.rate * (1.0 - self.steps as f32 / all);
                self.step(&slopes, share, rate, self.way.penalty / rows.len() as f32);
            }
        }
    }

    /// How the loss falls with each end of each prompt of a batch.
    fn downs(&self, ends: &[&[f32]], truth: &[&Graded], slopes: &mut [f32]) -> Vec<Vec<f32>> {
        let right = |one: &Graded| [one.example.strong_ok, one.example.weak_ok].map(|is| f32::from(u8::from(is)));
        let each = ends.iter().zip(truth);
        match self.way.ends {
            Ends::Two => each
                .map(|(ends, one)| {
                    let [strong, weak] = right(one);
                    vec![strong - logistic(ends[0]), weak - logistic(ends[1])]
                })
                .collect(),
            Ends::Four => each
                .map(|(ends, one)| {
                    // Neither, the strong one alone, the weak one alone, both.
                    let [strong, weak] = right(one);
                    let outcome = (strong + 2.0 * weak) as usize;
                    let shares = shares(ends);
                    (0..4)
                        .map(|at| f32::from(u8::from(at == outcome)) - shares[at])
                        .collect()
                })
                .collect(),
            Ends::Difficulty => {
                let (reach, from) = (self.reach(), slopes.len() - 2);
                each.map(|(ends, one)| {
                    let [strong, weak] = right(one);
                    let off = [
                        strong - logistic(reach[0] - ends[0]),
                        weak - logistic(reach[1] - ends[0]),
                    ];
                    slopes[from] += off[0];
                    slopes[from + 1] += off[1];
                    vec![-off[0] - off[1]]
                })
                .collect()
            }
            Ends::Pairs => pairs(ends, truth),
            Ends::Half => half(ends, truth),
        }
    }

    fn back(&self, row: &[f32], said: &[f32], down: &[f32], slopes: &mut [f32]) {
        let add = |slopes: &mut [f32], by: f32, values: &[f32]| {
            slopes
                .iter_mut()
                .zip(values)
                .for_each(|(slope, value)| *slope += by * value);
        };
        if self.way.hidden == 0 {
            for (end, down) in down.iter().enumerate() {
                add(&mut slopes[end * self.inputs..][..self.inputs], *down, row);
            }
            return;
        }
        let (from, width) = (self.way.hidden * self.inputs, self.way.hidden + 1);
        let mut of_units = vec![0.0; self.way.hidden];
        for (end, down) in down.iter().enumerate() {
            add(&mut slopes[from + end * width..][..width], *down, said);
            add(
                &mut of_units,
                *down,
                &self.weights[from + end * width..][..self.way.hidden],
            );
        }
        for (unit, (down, said)) in of_units.iter().zip(said).enumerate() {
            add(
                &mut slopes[unit * self.inputs..][..self.inputs],
                down * (1.0 - said * said),
                row,
            );
        }
    }

    /// Adam's.
    fn step(&mut self, slopes: &[f32], share: f32, rate: f32, penalty: f32) {
        const KEPT: (f32, f32) = (0.9, 0.999);
        self.steps += 1;
        let warm = (1.0 - KEPT.0.powi(self.steps), 1.0 - KEPT.1.powi(self.steps));
        let reach = self.weights.len() - 2;
        for (index, (weight, slope)) in self.weights.iter_mut().zip(slopes).enumerate() {
            let own = if index < reach { penalty * *weight } else { 0.0 };
            let slope = slope * share - own;
            let (first, second) = &mut self.moments[index];
            *first = KEPT.0 * *first + (1.0 - KEPT.0) * slope;
            *second = KEPT.1 * *second + (1.0 - KEPT.1) * slope * slope;
            *weight += rate * (*first / warm.0) / ((*second / warm.1).sqrt() + 1e-8);
        }
    }
}

/// Each prompt against each that gains less.
fn pairs(ends: &[&[f32]], truth: &[&Graded]) -> Vec<Vec<f32>> {
    let of = |at: usize| {
        let other = |other: usize| {
            let more = (truth[at].difference() - truth[other].difference()) as f32;
            let ahead = (ends[at][0] - ends[other][0]) * more.signum();
            more * logistic(-ahead)
        };
        vec![(0..ends.len()).map(other).sum::<f32>() / ends.len() as f32]
    };
    (0..ends.len()).map(of).collect()
}

/// What those above the middle gain, the nearer to it the more it can be changed.
fn half(ends: &[&[f32]], truth: &[&Graded]) -> Vec<Vec<f32>> {
    const WIDE: f32 = 0.5;
    let mut sorted: Vec<f32> = ends.iter().map(|ends| ends[0]).collect();
    sorted.sort_by(f32::total_cmp);
    let middle = sorted[sorted.len() / 2];
    let spread = (sorted[sorted.len() * 3 / 4] - sorted[sorted.len() / 4]).max(0.1);
    let of = |(ends, one): (&&[f32], &&Graded)| {
        let far = (ends[0] - middle) / (WIDE * spread);
        let above = logistic(far);
        vec![one.difference() as f32 * above * (1.0 - above)]
    };
    ends.iter().zip(truth).map(of).collect()
}

fn logistic(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

fn shares(ends: &[f32]) -> Vec<f32> {
    let most = ends.iter().copied().fold(f32::MIN, f32::max);
    let each: Vec<f32> = ends.iter().map(|end| (end - most).exp()).collect();
    let sum: f32 = each.iter().sum();
    each.iter().map(|one| one / sum).collect()
}
