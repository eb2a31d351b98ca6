//! One bit a dimension: on which side of a centre a vector lies, after a rotation that spreads what it says evenly over
//! all bits. Vectors that differ in few bits are near. Knows no index.

/// Rounds of sign flips and Hadamard transforms: three mix any dimension into all.
const ROUNDS: u64 = 3;
const SIGN_SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const SIGN: u32 = 1 << 31;

/// As many bits as the next power of two holds the dimensions, by the word.
pub const fn words(dims: usize) -> usize {
    rotated_dims(dims) / 64
}

pub const fn rotated_dims(dims: usize) -> usize {
    let power = dims.next_power_of_two();
    if power < 64 { 64 } else { power }
}

/// The rotation of vectors of one length: the same in every process.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// Of each round, which lanes change their sign.
    flips: Vec<Vec<u32>>,
}

impl Rotation {
    pub fn new(dims: usize) -> Self {
        let round = |round| {
            let mut state = SIGN_SEED.wrapping_add(round);
            let flip = || {
                // SplitMix64's step: a fixed sequence of signs.
                state = state.wrapping_add(SIGN_SEED);
                ((state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32 & SIGN
            };
            std::iter::repeat_with(flip).take(rotated_dims(dims)).collect()
        };
        Self {
            flips: (0..ROUNDS).map(round).collect(),
        }
    }

    /// Rotates a vector in place; it has [`rotated_dims`] lanes, zeros behind its dimensions.
    pub fn rotate(&self, lanes: &mut [f32]) {
        for flips in &self.flips {
            for (lane, flip) in lanes.iter_mut().zip(flips) {
                *lane = f32::from_bits(lane.to_bits() ^ flip);
            }
            transform(lanes);
        }
        // Each round made it longer by the root of its lanes.
        let shrink = (lanes.len() as f32).powf(-0.5 * ROUNDS as f32);
        lanes.iter_mut().for_each(|lane| *lane *= shrink);
    }

    /// Appends the code of a vector of bytes beside a rotated centre. `rotated` is what it needs while it runs.
    pub fn code_of(&self, values: &[i8], scale: f32, centre: &[f32], rotated: &mut Vec<f32>, code: &mut Vec<u64>) {
        rotated.clear();
        rotated.extend(values.iter().map(|value| f32::from(*value) * scale));
        rotated.resize(rotated_dims(values.len()), 0.0);
        self.rotate(rotated);
        encode(rotated, centre, code);
    }
}

/// The Hadamard transform; a multiple of four lanes.
fn transform(lanes: &mut [f32]) {
    // The two shortest steps at once: a register holds what they need.
    for four in lanes.as_chunks_mut::<4>().0 {
        let [a, b, c, d] = *four;
        let (left, right) = ([a + b, a - b], [c + d, c - d]);
        *four = [
            left[0] + right[0],
            left[1] + right[1],
            left[0] - right[0],
            left[1] - right[1],
        ];
    }
    let mut half = 4;
    while half < lanes.len() {
        for pair in lanes.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        half *= 2;
    }
}

/// Appends the code of a rotated vector beside a rotated centre.
fn encode(rotated: &[f32], centre: &[f32], code: &mut Vec<u64>) {
    for (lanes, centre) in rotated.chunks(64).zip(centre.chunks(64)) {
        let bits = lanes.iter().zip(centre).enumerate();
        code.push(bits.fold(0, |word, (bit, (lane, centre))| word | u64::from(lane > centre) << bit));
    }
}
