//! The loops with AVX2: 8 floats or 16 products at a time. Knows that lengths were checked.

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_loadl_epi64, _mm_loadu_si128, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps,
    _mm256_cvtepi8_epi16, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_loadu_ps, _mm256_madd_epi16, _mm256_mul_ps,
    _mm256_set1_ps, _mm256_setzero_si256, _mm256_storeu_ps, _mm256_storeu_si256,
};

use super::{Kernel, Pick, scalar};

/// How many rows ahead of the sum are asked for: enough to hide a miss to memory.
pub const ROWS_AHEAD: usize = 8;
const LINE_BYTES: usize = 64;

pub fn kernel() -> Option<Kernel> {
    let present = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("popcnt");
    present.then_some(Kernel {
        name: "avx2",
        accumulate,
        dots,
        dot,
        hammings,
    })
}

/// # Safety
/// The processor has AVX2, and `rows` holds every row that is picked.
#[target_feature(enable = "avx2")]
unsafe fn accumulate(sum: &mut [f32], rows: &[u8], picks: &[Pick]) {
    let dims = sum.len();
    for (index, pick) in picks.iter().enumerate() {
        if let Some(next) = picks.get(index + ROWS_AHEAD) {
            prefetch(rows, next.row as usize * dims, dims);
        }
        let row = &rows[pick.row as usize * dims..][..dims];
        let weight = _mm256_set1_ps(pick.weight);
        let wide = dims - dims % 8;
        for at in (0..wide).step_by(8) {
            // SAFETY: `at + 8 <= dims`, the length of `row` and of `sum`; the loads and the store need no alignment.
            unsafe {
                let values = _mm_loadl_epi64(row.as_ptr().add(at).cast::<__m128i>());
                let values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(values));
                let lanes = sum.as_mut_ptr().add(at);
                let added = _mm256_add_ps(_mm256_loadu_ps(lanes), _mm256_mul_ps(values, weight));
                _mm256_storeu_ps(lanes, added);
            }
        }
        scalar::accumulate_row(&mut sum[wide..], &row[wide..], pick.weight);
    }
}

/// Asks for the cache lines of a row.
#[inline]
pub fn prefetch(rows: &[u8], from: usize, bytes: usize) {
    ask_for(rows.as_ptr().wrapping_add(from), bytes);
}

/// Asks for the cache lines of so many bytes. Every processor of this architecture has the instruction.
#[inline]
pub fn ask_for(from: *const u8, bytes: usize) {
    for at in (0..bytes).step_by(LINE_BYTES) {
        // SAFETY: a prefetch of any address is harmless; it is only a hint.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at).cast()) };
    }
}

/// # Safety
/// The processor has AVX2, and `rows` holds a vector of the query's length for each of `dots`.
#[target_feature(enable = "avx2")]
unsafe fn dots(query: &[i8], rows: &[i8], dots: &mut [i32]) {
    for (index, of_row) in dots.iter_mut().enumerate() {
        // SAFETY: the row is of the query's length.
        *of_row = unsafe { dot(query, &rows[index * query.len()..][..query.len()]) };
    }
}

/// # Safety
/// The processor has AVX2, and the vectors are of one length.
#[target_feature(enable = "avx2")]
unsafe fn dot(a: &[i8], b: &[i8]) -> i32 {
    let wide = a.len() - a.len() % 32;
    let mut sums = [_mm256_setzero_si256(); 2];
    for at in (0..wide).step_by(32) {
        for (half, sum) in sums.iter_mut().enumerate() {
            let at = at + half * 16;
            // SAFETY: `at + 16 <= wide`, which neither vector's length is below.
            let (left, right) = unsafe {
                (
                    _mm_loadu_si128(a.as_ptr().add(at).cast::<__m128i>()),
                    _mm_loadu_si128(b.as_ptr().add(at).cast::<__m128i>()),
                )
            };
            // Products of two bytes and sums of two such fit into 32 bits with room for every dimension there may be.
            let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(left), _mm256_cvtepi8_epi16(right));
            *sum = _mm256_add_epi32(*sum, products);
        }
    }
    let mut lanes = [0i32; 8];
    // SAFETY: eight lanes of 32 bits are what a register holds.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast::<__m256i>(), _mm256_add_epi32(sums[0], sums[1])) };
    lanes.iter().sum::<i32>() + scalar::dot(&a[wide..], &b[wide..])
}

/// # Safety
/// The processor has POPCNT, and `codes` holds whole codes of the query's length.
#[target_feature(enable = "popcnt")]
pub unsafe fn hammings(query: &[u64], codes: &[u64], differing: &mut Vec<u16>) {
    // The length of the shipped model's codes: known, the loop is unrolled.
    if let Ok(query) = <&[u64; 4]>::try_from(query) {
        let (codes, _) = codes.as_chunks::<4>();
        return differing.extend(codes.iter().map(|code| scalar::hamming(query, code)));
    }
    differing.extend(codes.chunks_exact(query.len()).map(|code| scalar::hamming(query, code)));
}
