//! Least squares with coefficients that cannot be negative, for a handful of columns. Knows numbers only.

/// Columns at most: every subset of them is tried.
pub const MAX_COLUMNS: usize = 8;

/// A column whose part that the columns before it do not explain is smaller than this says nothing of its own: noise of
/// a few percent would decide its coefficient.
const INDEPENDENT_SHARE: f64 = 0.05;

/// The coefficients, none negative, that make the sum of squares of `rows * coefficients - wanted` least.
///
/// The optimum is the plain solution on the columns it uses, so among all subsets of columns whose plain solution has no
/// negative coefficient the best one is it. With at most `MAX_COLUMNS` that is quick, and simpler than an active set.
pub fn non_negative(rows: &[Vec<f64>], wanted: &[f64]) -> Vec<f64> {
    let columns = rows.first().map_or(0, Vec::len);
    assert!(columns <= MAX_COLUMNS, "a fit has at most {MAX_COLUMNS} columns");
    let mut best = vec![0.0; columns];
    let mut least = squares(rows, wanted, &best);
    for subset in 1_usize..1 << columns {
        let used: Vec<usize> = (0..columns).filter(|column| subset >> column & 1 == 1).collect();
        let Some(solution) = plain(rows, wanted, &used) else {
            continue;
        };
        if solution.iter().any(|coefficient| *coefficient < 0.0) {
            continue;
        }
        let mut candidate = vec![0.0; columns];
        for (column, coefficient) in used.iter().zip(&solution) {
            candidate[*column] = *coefficient;
        }
        let error = squares(rows, wanted, &candidate);
        if error < least {
            (best, least) = (candidate, error);
        }
    }
    best
}

/// The columns, first come first, that say something which those before them do not.
pub fn independent(rows: &[Vec<f64>]) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let mut directions: Vec<Vec<f64>> = Vec::new();
    let mut found = Vec::new();
    for column in 0..columns {
        let mut rest: Vec<f64> = rows.iter().map(|row| row[column]).collect();
        let whole = norm(&rest);
        // Twice: once leaves rounding errors in nearly dependent columns.
        for direction in directions.iter().chain(directions.iter()) {
            let along = dot(&rest, direction);
            for (value, step) in rest.iter_mut().zip(direction) {
                *value -= along * step;
            }
        }
        let left = norm(&rest);
        if left > INDEPENDENT_SHARE * whole {
            directions.push(rest.iter().map(|value| value / left).collect());
            found.push(column);
        }
    }
    found
}

fn squares(rows: &[Vec<f64>], wanted: &[f64], coefficients: &[f64]) -> f64 {
    let error = |(row, wanted): (&Vec<f64>, &f64)| (dot(row, coefficients) - wanted).powi(2);
    rows.iter().zip(wanted).map(error).sum()
}

/// The plain least-squares solution on some columns, by orthogonalising them one after the other; `None` when they are
/// not independent.
fn plain(rows: &[Vec<f64>], wanted: &[f64], used: &[usize]) -> Option<Vec<f64>> {
    let mut directions: Vec<Vec<f64>> = Vec::new();
    let mut triangle = vec![vec![0.0; used.len()]; used.len()];
    for (at, column) in used.iter().enumerate() {
        let mut rest: Vec<f64> = rows.iter().map(|row| row[*column]).collect();
        let whole = norm(&rest);
        for _ in 0..2 {
            for (before, direction) in directions.iter().enumerate() {
                let along = dot(&rest, direction);
                triangle[before][at] += along;
                for (value, step) in rest.iter_mut().zip(direction) {
                    *value -= along * step;
                }
            }
        }
        let left = norm(&rest);
        if left <= 1e-10 * whole || left == 0.0 {
            return None;
        }
        triangle[at][at] = left;
        directions.push(rest.iter().map(|value| value / left).collect());
    }
    let mut solution: Vec<f64> = directions.iter().map(|direction| dot(direction, wanted)).collect();
    for at in (0..used.len()).rev() {
        let known: f64 = (at + 1..used.len())
            .map(|later| triangle[at][later] * solution[later])
            .sum();
        solution[at] = (solution[at] - known) / triangle[at][at];
    }
    Some(solution)
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(left: &[f64], right: &[f64], tolerance: f64) -> bool {
        left.iter()
            .zip(right)
            .all(|(left, right)| (left - right).abs() <= tolerance * (1.0 + right.abs()))
    }

    #[test]
    fn a_plane_is_found() {
        let rows = vec![vec![1.0, 0.0], vec![1.0, 100.0], vec![1.0, 50.0]];
        assert!(close(&non_negative(&rows, &[20.0, 1420.0, 720.0]), &[20.0, 14.0], 1e-9));
    }

    #[test]
    fn what_would_be_negative_is_zero_and_the_rest_is_fitted_again() {
        let rows = vec![vec![1.0, 1.0], vec![1.0, 2.0], vec![1.0, 3.0]];
        // The plain line is 4 - x.
        let found = non_negative(&rows, &[3.0, 2.0, 1.0]);
        assert!(close(&found, &[2.0, 0.0], 1e-9), "{found:?}");
    }

    #[test]
    fn columns_that_repeat_others_are_found_out() {
        let rows = vec![
            vec![1.0, 0.0, 2.0, 0.0],
            vec![1.0, 5.0, 2.01, 0.0],
            vec![1.0, 0.0, 2.0, 0.0],
        ];
        assert_eq!(independent(&rows), [0, 1]);
        assert_eq!(independent(&[]), [0_usize; 0]);
    }

    #[test]
    fn dependent_columns_do_not_explode() {
        let rows = vec![vec![1.0, 1.0], vec![2.0, 2.0]];
        let found = non_negative(&rows, &[3.0, 6.0]);
        assert!((found[0] + found[1] - 3.0).abs() < 1e-9, "{found:?}");
    }

    proptest! {
        #[test]
        fn what_made_the_numbers_is_found(
            truth in prop::collection::vec(0.0..100.0_f64, 4),
            rows in prop::collection::vec(prop::collection::vec(0.1..50.0_f64, 4), 8..20),
        ) {
            prop_assume!(independent(&rows).len() == 4);
            let wanted: Vec<f64> = rows.iter().map(|row| dot(row, &truth)).collect();
            let found = non_negative(&rows, &wanted);
            prop_assert!(close(&found, &truth, 1e-6), "{found:?} for {truth:?}");
        }

        /// At the optimum no single coefficient can be moved, within what is allowed, to a smaller error.
        #[test]
        fn no_step_betters_it(
            rows in prop::collection::vec(prop::collection::vec(0.0..10.0_f64, 3), 3..12),
            noise in prop::collection::vec(-50.0..50.0_f64, 12),
        ) {
            let wanted = &noise[..rows.len()];
            let found = non_negative(&rows, wanted);
            prop_assert!(found.iter().all(|coefficient| *coefficient >= 0.0));
            let least = squares(&rows, wanted, &found);
            for column in 0..3 {
                for step in [-0.01, 0.01] {
                    let mut other = found.clone();
                    other[column] = (other[column] + step).max(0.0);
                    prop_assert!(squares(&rows, wanted, &other) >= least - 1e-9 * (1.0 + least));
                }
            }
        }
    }
}
