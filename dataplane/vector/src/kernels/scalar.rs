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

pub fn hammings(query: &[u64], codes: &[u64], differing: &mut Vec<u16>) {
    differing.extend(codes.chunks_exact(query.len()).map(|code| hamming(query, code)));
}

/// Codes have a few thousand bits at most. Inlined, it counts with the instructions of its caller.
#[inline(always)]
pub fn hamming(a: &[u64], b: &[u64]) -> u16 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones() as u16).sum()
}
