//! Draws one of several by weight in constant time. Pure.

use super::dice::Dice;

/// Walker's alias method (1977), in Vose's form (1991): a cell is drawn evenly, and keeps the draw or passes it on.
#[derive(Clone, Debug)]
pub struct Weighted {
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    keeps: f64,
    other: u32,
}

impl Weighted {
    /// Weights are finite and not negative, and one of them at least is positive.
    pub fn new(weights: &[f64]) -> Self {
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let mut cells: Vec<Cell> = (0u32..)
            .zip(weights)
            .map(|(own, weight)| Cell {
                keeps: weight / mean,
                other: own,
            })
            .collect();
        let (mut poor, mut rich): (Vec<usize>, Vec<usize>) = (0..cells.len()).partition(|at| cells[*at].keeps < 1.0);
        while let (Some(&giver), Some(taker)) = (rich.last(), poor.pop()) {
            cells[taker].other = giver as u32;
            cells[giver].keeps -= 1.0 - cells[taker].keeps;
            if cells[giver].keeps < 1.0 {
                rich.pop();
                poor.push(giver);
            }
        }
        // What is left differs from 1 by rounding only.
        for at in poor.into_iter().chain(rich) {
            cells[at].keeps = 1.0;
        }
        Self { cells }
    }

    /// The `n`-th of `count` has the weight `1 / n^exponent` (Zipf 1935): 0 draws evenly, 1.1 is usual for tenants.
    pub fn zipf(count: usize, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-exponent)).collect();
        Self::new(&weights)
    }

    pub fn draw(&self, dice: &mut Dice) -> usize {
        if self.cells.len() == 1 {
            return 0;
        }
        let at = dice.unit() * self.cells.len() as f64;
        let cell = &self.cells[at as usize];
        match at.fract() < cell.keeps {
            true => at as usize,
            false => cell.other as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(weighted: &Weighted, draws: usize) -> Vec<f64> {
        let mut dice = Dice::new(5);
        let mut counts = vec![0.0; weighted.cells.len()];
        for _ in 0..draws {
            counts[weighted.draw(&mut dice)] += 1.0 / draws as f64;
        }
        counts
    }

    #[test]
    fn zipf_is_drawn_by_rank() {
        let found = shares(&Weighted::zipf(50, 1.1), 400_000);
        let sum: f64 = (1..=50).map(|rank| f64::from(rank).powf(-1.1)).sum();
        for (rank, found) in (1..=50).zip(found) {
            let right = f64::from(rank).powf(-1.1) / sum;
            assert!((found - right).abs() < 0.003, "rank {rank}: {found} for {right}");
        }
    }

    proptest! {
        /// Each one's probability, read off the cells, is its weight's share: nothing sampled, so nothing to tolerate.
        #[test]
        fn cells_hold_exactly_the_weights(weights in prop::collection::vec(0u32..1000, 1..40)) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
            let weighted = Weighted::new(&weights);
            let mut found = vec![0.0; weights.len()];
            for (own, cell) in weighted.cells.iter().enumerate() {
                found[own] += cell.keeps;
                found[cell.other as usize] += 1.0 - cell.keeps;
            }
            let sum: f64 = weights.iter().sum();
            for (weight, found) in weights.iter().zip(found) {
                prop_assert!((found / weights.len() as f64 - weight / sum).abs() < 1e-9);
            }
        }
    }
}
