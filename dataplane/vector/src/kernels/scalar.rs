//! The portable loops, which define what the others give. Knows no instruction set.

use super::Pick;

pub fn accumulate(sum: &mut [f32], rows: &[u8], picks: &[Pick]) {
    for pick in picks {
        let from = pick.row as usize * sum.len();
        accumulate_row(sum, &rows[from..from + sum.len()], pick.weight);
    }
}

/// The remainder of a row after a wide loop, too.
pub fn accumulate_row(sum: &mut [f32], row: &[u8], weight: f32) {
    for (lane, value) in sum.iter_mut().zip(row) {
        *lane += f32::from(*value as i8) * weight;
    }
}

pub fn dots(query: &[i8], rows: &[i8], dots: &mut [i32]) {
    for (dot_of_row, row) in dots.iter_mut().zip(rows.chunks_exact(query.len().max(1))) {
        *dot_of_row = dot(query, row);
    }
}

pub fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}
