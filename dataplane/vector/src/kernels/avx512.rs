//! The loops with AVX-512 and its VNNI: 16 floats or 32 products at a time. Knows that lengths were checked.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_loadu_si256, _mm512_add_ps, _mm512_cvtepi8_epi16, _mm512_cvtepi8_epi32,
    _mm512_cvtepi32_ps, _mm512_dpwssd_epi32, _mm512_loadu_ps, _mm512_mul_ps, _mm512_reduce_add_epi32, _mm512_set1_ps,
    _mm512_setzero_si512, _mm512_storeu_ps,
};

use super::{
    Kernel, Pick,
    avx2::{ROWS_AHEAD, hammings, prefetch},
    scalar,
};

pub fn kernel() -> Option<Kernel> {
    let present = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vnni")
        && std::is_x86_feature_detected!("popcnt");
    present.then_some(Kernel {
        name: "avx512-vnni",
        accumulate,
        dots,
        dot,
        hammings,
    })
}

/// # Safety
/// The processor has AVX-512 F, and `rows` holds every row that is picked.
#[target_feature(enable = "avx512f")]
unsafe fn accumulate(sum: &mut [f32], rows: &[u8], picks: &[Pick]) {
    let dims = sum.len();
    for (index, pick) in picks.iter().enumerate() {
        if let Some(next) = picks.get(index + ROWS_AHEAD) {
            prefetch(rows, next.row as usize * dims, dims);
        }
        let row = &rows[pick.row as usize * dims..][..dims];
        let weight = _mm512_set1_ps(pick.weight);
        let wide = dims - dims % 16;
        for at in (0..wide).step_by(16) {
            // SAFETY: `at + 16 <= dims`, the length of `row` and of `sum`; the loads and the store need no alignment.
            unsafe {
                let values = _mm_loadu_si128(row.as_ptr().add(at).cast::<__m128i>());
                let values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(values));
                let lanes = sum.as_mut_ptr().add(at);
                let added = _mm512_add_ps(_mm512_loadu_ps(lanes), _mm512_mul_ps(values, weight));
                _mm512_storeu_ps(lanes, added);
            }
        }
        scalar::accumulate_row(&mut sum[wide..], &row[wide..], pick.weight);
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI, and `rows` holds a vector of the query's length for each of `dots`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn dots(query: &[i8], rows: &[i8], dots: &mut [i32]) {
    for (index, of_row) in dots.iter_mut().enumerate() {
        // SAFETY: the row is of the query's length.
        *of_row = unsafe { dot(query, &rows[index * query.len()..][..query.len()]) };
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI, and the vectors are of one length.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn dot(a: &[i8], b: &[i8]) -> i32 {
    let wide = a.len() - a.len() % 32;
    let mut sum = _mm512_setzero_si512();
    for at in (0..wide).step_by(32) {
        // SAFETY: `at + 32 <= wide`, which neither vector's length is below.
        let (left, right) = unsafe {
            (
                _mm256_loadu_si256(a.as_ptr().add(at).cast::<__m256i>()),
                _mm256_loadu_si256(b.as_ptr().add(at).cast::<__m256i>()),
            )
        };
        // Signed bytes as words: the instruction on bytes wants one side unsigned.
        sum = _mm512_dpwssd_epi32(sum, _mm512_cvtepi8_epi16(left), _mm512_cvtepi8_epi16(right));
    }
    _mm512_reduce_add_epi32(sum) + scalar::dot(&a[wide..], &b[wide..])
}
