//! Two regressions over the words themselves, a weight for each token of the vocabulary: alone with the counts, and beside the
//! vector.

use super::{
    Family, Graded,
    dense::{Dice, Rows, dot},
};

const EPOCHS: usize = 12;
const RATE: f32 = 0.05;
/// A token that fewer of the prompts have says nothing.
const LEAST_PROMPTS: u32 = 4;
const PENALTY: f32 = 300.0;
const PENALTY_OF_TOKENS: f32 = 40.0;
const VOCABULARY: usize = 1 << 17;

pub fn families() -> Vec<(String, Family)> {
    let family = |has_vector: bool| -> Family { Box::new(move |others, asked| learned(others, asked, has_vector)) };
    vec![
        ("two regressions of tokens without the vector".to_owned(), family(false)),
        ("two regressions of tokens beside the vector".to_owned(), family(true)),
    ]
}

fn learned(others: &[&Graded], asked: &[&Graded], has_vector: bool) -> Vec<f64> {
    let rows = Rows::of(others);
    let skip = if has_vector { 0 } else { others[0].example.vector.len() };
    let mut seen = vec![0u32; VOCABULARY];
    for token in others.iter().flat_map(|one| &one.tokens) {
        seen[*token as usize % VOCABULARY] += 1;
    }
    let known = |one: &Graded| -> Vec<usize> {
        let places = one.tokens.iter().map(|token| *token as usize % VOCABULARY);
        places.filter(|place| seen[*place] >= LEAST_PROMPTS).collect()
    };
    let words: Vec<Vec<usize>> = others.iter().map(|one| known(one)).collect();
    let fit = |right: fn(&Graded) -> bool| {
        let right: Vec<f32> = others.iter().map(|one| f32::from(u8::from(right(one)))).collect();
        let mut weights = Weights::new(rows.rows[0].len() - skip);
        weights.learn(&rows.rows, skip, &words, &right);
        weights
    };
    let (strong, weak) = (fit(|one| one.example.strong_ok), fit(|one| one.example.weak_ok));
    let score = |one: &&Graded| {
        let (row, words) = (rows.row(one), known(one));
        f64::from(strong.says(&row[skip..], &words) - weak.says(&row[skip..], &words))
    };
    asked.iter().map(score).collect()
}

struct Weights {
    dense: Vec<f32>,
    tokens: Vec<f32>,
    /// Of the slopes so far, squared: AdaGrad's.
    dense_squares: Vec<f32>,
    token_squares: Vec<f32>,
}

impl Weights {
    fn new(dense: usize) -> Self {
        Self {
            dense: vec![0.0; dense],
            tokens: vec![0.0; VOCABULARY],
            dense_squares: vec![1e-3; dense],
            token_squares: vec![1e-3; VOCABULARY],
        }
    }

    /// The probability of a right answer.
    fn says(&self, row: &[f32], words: &[usize]) -> f32 {
        let of_words: f32 = words.iter().map(|word| self.tokens[*word]).sum();
        let said = dot(&self.dense, row) + of_words * share(words);
        1.0 / (1.0 + (-said).exp())
    }

    fn learn(&mut self, rows: &[Vec<f32>], skip: usize, words: &[Vec<usize>], right: &[f32]) {
        let count = rows.len() as f32;
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let step = |weight: &mut f32, squares: &mut f32, slope: f32| {
            *squares += slope * slope;
            *weight += RATE * slope / squares.sqrt();
        };
        for _ in 0..EPOCHS {
            dice.shuffle(&mut order);
            for index in &order {
                let (row, words) = (&rows[*index][skip..], &words[*index]);
                let off = right[*index] - self.says(row, words);
                let all = self.dense.iter_mut().zip(&mut self.dense_squares).zip(row);
                for ((weight, squares), value) in all {
                    let slope = off * value - PENALTY / count * *weight;
                    step(weight, squares, slope);
                }
                let share = share(words);
                for word in words {
                    let weight = &mut self.tokens[*word];
                    let slope = off * share - PENALTY_OF_TOKENS / count * *weight;
                    step(weight, &mut self.token_squares[*word], slope);
                }
            }
        }
    }
}

/// A prompt of many words says no more by each.
fn share(words: &[usize]) -> f32 {
    1.0 / (words.len().max(1) as f32).sqrt()
}
