//! Seeded dice: the same seed gives the same draws on every machine. Not for secrets.

/// SplitMix64 (Steele, Lea, Flood 2014): any seed will do, neighbouring ones too, and making one costs nothing, so that
/// each request can have dice of its own.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice for one of several things that share a seed.
    pub fn of(seed: u64, which: u64) -> Self {
        Self(Dice(seed ^ mixed(which)).roll())
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// Zero to `n - 1`; `n` is not zero.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(n)) >> 64) as u64
    }

    /// From 0 up to, but not, 1.
    pub fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Above 0, up to 1: what may be the argument of a logarithm.
    pub fn unit_above_zero(&mut self) -> f64 {
        1.0 - self.unit()
    }

    /// Exponential, of mean 1.
    pub fn exponential(&mut self) -> f64 {
        -self.unit_above_zero().ln()
    }

    /// Standard normal (Box and Muller 1958; the second of its two draws is let go, which keeps dice a plain number).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit_above_zero().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_the_published_generators() {
        // The reference implementation's first outputs for seed 1234567.
        let mut dice = Dice::new(1_234_567);
        assert_eq!(dice.roll(), 6_457_827_717_110_365_317);
        assert_eq!(dice.roll(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn moments_are_those_of_their_distributions() {
        const DRAWS: usize = 200_000;
        let mut dice = Dice::new(7);
        let mean = |draws: &[f64]| draws.iter().sum::<f64>() / DRAWS as f64;
        let unit: Vec<f64> = (0..DRAWS).map(|_| dice.unit()).collect();
        let exponential: Vec<f64> = (0..DRAWS).map(|_| dice.exponential()).collect();
        let normal: Vec<f64> = (0..DRAWS).map(|_| dice.normal()).collect();
        let squares: Vec<f64> = normal.iter().map(|draw| draw * draw).collect();
        assert!((mean(&unit) - 0.5).abs() < 0.005);
        assert!((mean(&exponential) - 1.0).abs() < 0.01);
        assert!(mean(&normal).abs() < 0.01);
        assert!((mean(&squares) - 1.0).abs() < 0.02);
        assert!(unit.iter().all(|draw| (0.0..1.0).contains(draw)));
    }

    #[test]
    fn below_reaches_every_side_and_none_else() {
        let mut dice = Dice::new(3);
        let mut seen = [0; 6];
        for _ in 0..6000 {
            seen[dice.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
    }
}
