//! The inner loops, once per instruction set: summing the rows of a model, and dot products of quantised vectors. The set
//! is chosen once, at start. Results are bit-identical between all of them: sums of floats keep one lane per dimension
//! and add in the order of the tokens, without fused multiplication; dot products are integers. Knows no model and no
//! index.
//!
//! All of this crate's `unsafe` is in this room. Its invariant: a `Kernel` of an instruction set exists only after the
//! processor said that it has it, and the functions behind it are called only with lengths checked here.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;
#[cfg(test)]
mod tests;

/// A row to add, and how often it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    pub row: u32,
    pub weight: f32,
}

/// The inner loops of one instruction set.
#[derive(Clone, Copy)]
pub struct Kernel {
    name: &'static str,
    accumulate: unsafe fn(&mut [f32], &[u8], &[Pick]),
    dots: unsafe fn(&[i8], &[i8], &mut [i32]),
    dot: unsafe fn(&[i8], &[i8]) -> i32,
    hammings: unsafe fn(&[u64], &[u64], &mut Vec<u16>),
}

/// What an instruction set must say on [`Kernel::agrees`]'s sample before it is trusted.
const SAMPLE_DIMS: usize = 77;

impl Kernel {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        Self::all().next().unwrap_or(Self::scalar())
    }

    /// Those that this processor has, the fastest first; the portable one is the last.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [avx512::kernel(), avx2::kernel()];
        #[cfg(not(target_arch = "x86_64"))]
        let wide: [Option<Self>; 0] = [];
        wide.into_iter()
            .flatten()
            .filter(Self::agrees)
            .chain(std::iter::once(Self::scalar()))
    }

    /// Portable code, which defines what the others must give.
    pub const fn scalar() -> Self {
        Self {
            name: "scalar",
            accumulate: scalar::accumulate,
            dots: scalar::dots,
            dot: scalar::dot,
            hammings: scalar::hammings,
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// `sum[d] += rows[pick.row][d] * pick.weight` for each pick in turn. A row has as many dimensions as `sum`; picks
    /// of rows that are not there are an error of the caller.
    pub fn accumulate(&self, sum: &mut [f32], rows: &[u8], picks: &[Pick]) {
        let row_count = rows.len().checked_div(sum.len()).unwrap_or(0);
        assert!(
            picks.iter().all(|pick| (pick.row as usize) < row_count),
            "a pick names a row of the model"
        );
        // SAFETY: every pick's row lies within `rows`, and the processor has the instructions (the room's invariant).
        unsafe { (self.accumulate)(sum, rows, picks) }
    }

    /// The dot product of `query` with each of the vectors that lie one after the other in `rows`.
    pub fn dots(&self, query: &[i8], rows: &[i8], dots: &mut [i32]) {
        assert!(
            rows.len() == query.len() * dots.len(),
            "one product for each vector of the block"
        );
        // SAFETY: `rows` holds `dots.len()` vectors of the query's length; the processor has the instructions.
        unsafe { (self.dots)(query, rows, dots) }
    }

    /// The dot product of two vectors.
    pub fn dot(&self, a: &[i8], b: &[i8]) -> i32 {
        assert!(a.len() == b.len(), "vectors of one length");
        // SAFETY: the vectors are of one length; the processor has the instructions.
        unsafe { (self.dot)(a, b) }
    }

    /// Appends in how many bits `query` differs from each of the codes that lie one after the other in `codes`.
    pub fn hammings(&self, query: &[u64], codes: &[u64], differing: &mut Vec<u16>) {
        assert!(
            !query.is_empty() && codes.len().is_multiple_of(query.len()),
            "whole codes"
        );
        // SAFETY: `codes` holds whole codes of the query's length; the processor has the instructions.
        unsafe { (self.hammings)(query, codes, differing) }
    }

    /// Whether this set gives what the portable code gives, on a sample that reaches every loop and its remainder. An
    /// emulator or a hypervisor that says it has instructions it computes wrongly costs speed, never a wrong answer.
    fn agrees(&self) -> bool {
        let byte = |index: usize| (index.wrapping_mul(167) >> 1) as u8;
        let rows: Vec<u8> = (0..SAMPLE_DIMS * 3).map(byte).collect();
        let signed: Vec<i8> = rows.iter().map(|byte| *byte as i8).collect();
        let picks = [2, 0, 1, 1].map(|row| Pick {
            row,
            weight: 0.37 + row as f32,
        });
        let run = |kernel: &Self| {
            let mut sum = [0.0; SAMPLE_DIMS];
            kernel.accumulate(&mut sum, &rows, &picks);
            let mut dots = [0; 3];
            kernel.dots(&signed[..SAMPLE_DIMS], &signed, &mut dots);
            let codes: Vec<u64> = dots
                .iter()
                .map(|dot| (*dot as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .collect();
            let mut differing = Vec::new();
            kernel.hammings(&codes[..1], &codes, &mut differing);
            // Eleven codes of four words: a whole run of those that are compared at once, and a rest.
            let words: Vec<u64> = (1..=44)
                .map(|index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .collect();
            kernel.hammings(&words[..4], &words, &mut differing);
            (sum.map(f32::to_bits), dots, differing)
        };
        run(self) == run(&Self::scalar())
    }
}

/// Asks for the cache lines of what will be read soon: a hint, where the processor takes one.
pub fn ask_for<T>(soon: &[T]) {
    #[cfg(target_arch = "x86_64")]
    avx2::ask_for(soon.as_ptr().cast(), size_of_val(soon));
    #[cfg(not(target_arch = "x86_64"))]
    let _ = soon;
}

/// Words as the bytes that they are made of.
pub fn bytes_of(words: &[u64]) -> &[i8] {
    // SAFETY: the bytes are those of the words, borrowed for as long; a byte may have any value and any address.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// The same, to be written.
pub fn bytes_of_mut(words: &mut [u64]) -> &mut [i8] {
    // SAFETY: as of `bytes_of`; the borrow is the only one, and a word may have any value.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Kernel({})", self.name)
    }
}
