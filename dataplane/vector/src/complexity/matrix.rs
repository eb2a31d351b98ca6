//! Symmetric equations, solved by Cholesky's factorisation. In double precision; knows no prompts.

/// The lower half of a symmetric matrix, row by row.
#[derive(Clone, Debug)]
pub struct Symmetric {
    side: usize,
    rows: Vec<Vec<f64>>,
}

impl Symmetric {
    pub fn zero(side: usize) -> Self {
        Self {
            side,
            rows: (0..side).map(|row| vec![0.0; row + 1]).collect(),
        }
    }

    /// Adds `weight` times the outer product of a vector with itself.
    pub fn add_outer(&mut self, vector: &[f64], weight: f64) {
        for (row, value) in self.rows.iter_mut().zip(vector) {
            let factor = value * weight;
            row.iter_mut()
                .zip(vector)
                .for_each(|(sum, other)| *sum += factor * other);
        }
    }

    pub fn add_to_diagonal(&mut self, at: usize, value: f64) {
        if let Some(cell) = self.rows.get_mut(at).and_then(|row| row.get_mut(at)) {
            *cell += value;
        }
    }

    /// The solution for this right side; `None` where the matrix is not positive definite.
    pub fn solve(mut self, right: &[f64]) -> Option<Vec<f64>> {
        for at in 0..self.side {
            let (above, rest) = self.rows.split_at_mut(at);
            let row = rest.first_mut()?;
            for (column, other) in above.iter().enumerate() {
                let dot: f64 = row.iter().zip(other.get(..column)?).map(|(a, b)| a * b).sum();
                *row.get_mut(column)? = (row.get(column)? - dot) / other.get(column)?;
            }
            let squares: f64 = row.get(..at)?.iter().map(|value| value * value).sum();
            let left = row.get(at)? - squares;
            if left <= 0.0 || !left.is_finite() {
                return None;
            }
            *row.get_mut(at)? = left.sqrt();
        }
        let mut solution = right.to_vec();
        for (at, row) in self.rows.iter().enumerate() {
            let dot: f64 = row.get(..at)?.iter().zip(&solution).map(|(a, b)| a * b).sum();
            *solution.get_mut(at)? = (solution.get(at)? - dot) / row.get(at)?;
        }
        for (at, row) in self.rows.iter().enumerate().rev() {
            let value = solution.get(at)? / row.get(at)?;
            *solution.get_mut(at)? = value;
            solution
                .iter_mut()
                .zip(row.get(..at)?)
                .for_each(|(left, factor)| *left -= factor * value);
        }
        Some(solution)
    }
}

#[cfg(test)]
mod tests {
    use super::Symmetric;

    #[test]
    fn equations_are_solved_and_impossible_ones_are_not() {
        let rows = [[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 4.0], [1.0, 1.0, 1.0]];
        let mut matrix = Symmetric::zero(3);
        rows.iter().for_each(|row| matrix.add_outer(row, 2.0));
        matrix.add_to_diagonal(1, 0.5);
        let wanted = [1.0, -2.0, 3.0];
        let times = |row: usize| -> f64 {
            let cell = |column: usize| {
                let sum: f64 = rows.iter().map(|one| 2.0 * one[row] * one[column]).sum();
                sum + if row == column && row == 1 { 0.5 } else { 0.0 }
            };
            (0..3).map(|column| cell(column) * wanted[column]).sum()
        };
        let right: Vec<f64> = (0..3).map(times).collect();
        let solved = matrix.solve(&right).expect("positive definite");
        assert!(
            solved.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9),
            "{solved:?}"
        );
        let mut none = Symmetric::zero(2);
        none.add_outer(&[1.0, 1.0], 1.0);
        assert_eq!(none.solve(&[1.0, 0.0]), None);
    }
}
