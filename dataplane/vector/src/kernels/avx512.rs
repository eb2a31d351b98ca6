//! The loops with AVX-512 and its VNNI: 16 floats or 32 products at a time, and where the processor counts bits by the
//! register, eight codes. Knows that lengths were checked.

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm256_loadu_si256, _mm512_add_epi64, _mm512_add_ps,
    _mm512_broadcast_i64x4, _mm512_cvtepi8_epi16, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtepi64_epi16,
    _mm512_dpwssd_epi32, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_permutexvar_epi64,
    _mm512_popcnt_epi64, _mm512_reduce_add_epi32, _mm512_set1_ps, _mm512_setr_epi64, _mm512_setzero_si512,
    _mm512_shuffle_i64x2, _mm512_storeu_ps, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::{
    Kernel, Pick,
    avx2::{self, ROWS_AHEAD, prefetch},
    scalar,
};

/// Codes that are compared at once, and the words of each.
const CODES: usize = 8;
const CODE_WORDS: usize = 4;

pub fn kernel() -> Option<Kernel> {
    let present = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vnni")
        && std::is_x86_feature_detected!("popcnt");
    let counts_bits = std::is_x86_feature_detected!("avx512vpopcntdq");
    present.then_some(Kernel {
        name: "avx512-vnni",
        accumulate,
        dots,
        dot,
        hammings: if counts_bits { hammings } else { avx2::hammings },
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

/// # Safety
/// The processor has AVX-512 F and VPOPCNTDQ, and POPCNT; `codes` holds whole codes of the query's length.
#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
unsafe fn hammings(query: &[u64], codes: &[u64], differing: &mut Vec<u16>) {
    let Ok(words) = <&[u64; CODE_WORDS]>::try_from(query) else {
        // SAFETY: the processor has POPCNT; the codes are whole.
        return unsafe { avx2::hammings(query, codes, differing) };
    };
    // SAFETY: four words are what half a register holds.
    let query_twice = _mm512_broadcast_i64x4(unsafe { _mm256_loadu_si256(words.as_ptr().cast::<__m256i>()) });
    let (runs, rest) = codes.as_chunks::<{ CODES * CODE_WORDS }>();
    differing.reserve(codes.len() / CODE_WORDS);
    for run in runs {
        // SAFETY: a run holds four registers.
        let pair = |at: usize| unsafe { _mm512_loadu_si512(run.as_ptr().add(at * 8).cast::<__m512i>()) };
        let bits = |at: usize| _mm512_popcnt_epi64(_mm512_xor_si512(pair(at), query_twice));
        let sums = sums_of_four([bits(0), bits(1), bits(2), bits(3)]);
        let mut counts = [0u16; CODES];
        // SAFETY: eight lanes of 16 bits are what the register holds.
        unsafe { _mm_storeu_si128(counts.as_mut_ptr().cast::<__m128i>(), _mm512_cvtepi64_epi16(sums)) };
        differing.extend_from_slice(&counts);
    }
    // SAFETY: the processor has POPCNT; the codes are whole.
    unsafe { avx2::hammings(query, rest, differing) };
}

/// Of four registers with two runs of four lanes each, the sum of each run, in order.
#[target_feature(enable = "avx512f")]
fn sums_of_four([a, b, c, d]: [__m512i; 4]) -> __m512i {
    // Of a lane of 128 bits the two halves: those of `a`, then of `b`.
    let halves = |a, b| _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (ab, cd) = (halves(a, b), halves(c, d));
    // Lanes 0 and 2 of both, and 1 and 3: what belongs together lies in one place.
    let first = _mm512_shuffle_i64x2::<0b10_00_10_00>(ab, cd);
    let second = _mm512_shuffle_i64x2::<0b11_01_11_01>(ab, cd);
    // a0 b0 a1 b1 c0 d0 c1 d1, each the sum of one run.
    let sums = _mm512_add_epi64(first, second);
    _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 1, 3, 4, 6, 5, 7), sums)
}
