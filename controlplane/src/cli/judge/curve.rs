//! Quality by the share of prompts that goes to the strong model: what a score makes of graded prompts, beside chance. Knows
//! no prompts.

/// In hundredths: where the curve is told.
pub const SHARES: std::ops::RangeInclusive<usize> = 0..=20;
const STEP_PERCENT: usize = 5;
const PERCENT: f64 = 100.0;
/// Draws of the bootstrap, and how many prompts it looks at in all.
const MOST_DRAWS: usize = 1_000;
const LEAST_DRAWS: usize = 50;
const MOST_LOOKS: usize = 20_000_000;
/// Of the draws, so many of a thousand lie below and above the interval.
const BEYOND: usize = 25;

/// Answered right or not, by a strong and by a weak model; the higher the score, the sooner the strong one is asked.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    pub score: f32,
    pub strong_ok: bool,
    pub weak_ok: bool,
}

impl Answered {
    fn difference(self) -> f64 {
        f64::from(u8::from(self.strong_ok)) - f64::from(u8::from(self.weak_ok))
    }
}

/// All of it for one score.
pub struct Curve {
    /// The highest score first.
    sorted: Vec<Answered>,
    pub strong: f64,
    pub weak: f64,
}

impl Curve {
    pub fn new(mut answered: Vec<Answered>) -> Self {
        answered.sort_by(|a, b| b.score.total_cmp(&a.score));
        let right = |is: fn(&Answered) -> bool| {
            answered.iter().filter(|one| is(one)).count() as f64 / answered.len().max(1) as f64
        };
        Self {
            strong: right(|one| one.strong_ok),
            weak: right(|one| one.weak_ok),
            sorted: answered,
        }
    }

    /// Of the share with the highest scores the strong model's answers, and of the rest the weak one's: how many are right.
    pub fn quality(&self, share: f64) -> f64 {
        let first = (share * self.sorted.len() as f64).round() as usize;
        let gained: f64 = self.sorted.iter().take(first).map(|one| one.difference()).sum();
        // Counted, so that at either end it is what one model alone answers right.
        let count = self.sorted.len().max(1) as f64;
        ((self.weak * count).round() + gained) / count
    }

    /// How much of what the strong model is better by; chance recovers the share itself.
    pub fn recovered(&self, share: f64) -> f64 {
        let gap = self.strong - self.weak;
        if gap > 0.0 {
            (self.quality(share) - self.weak) / gap
        } else {
            0.0
        }
    }

    pub fn by_chance(&self, share: f64) -> f64 {
        self.weak + share * (self.strong - self.weak)
    }

    pub fn shares() -> impl Iterator<Item = f64> {
        SHARES.map(|step| (step * STEP_PERCENT) as f64 / PERCENT)
    }

    /// The mean of what is recovered at a tenth, two tenths, … nine tenths.
    pub fn mean_recovered(&self) -> f64 {
        (1..10)
            .map(|tenth| self.recovered(f64::from(tenth) / 10.0))
            .sum::<f64>()
            / 9.0
    }

    /// Of the scores above `threshold`.
    pub fn share_above(&self, threshold: f32) -> f64 {
        let above = self.sorted.iter().filter(|one| one.score > threshold).count();
        above as f64 / self.sorted.len().max(1) as f64
    }

    /// Where `recovered` lies in 95 of 100 files drawn from this one, prompt by prompt (Efron's bootstrap). The same each time.
    pub fn interval(&self, share: f64) -> (f64, f64) {
        let count = self.sorted.len();
        let draws = (MOST_LOOKS / count.max(1)).clamp(LEAST_DRAWS, MOST_DRAWS);
        let mut luck = 0x9e37_79b9_7f4a_7c15_u64;
        let mut drawn = vec![0u32; count];
        let mut recovered: Vec<f64> = (0..draws)
            .map(|_| {
                drawn.fill(0);
                for _ in 0..count {
                    if let Some(times) = drawn.get_mut(below(&mut luck, count)) {
                        *times += 1;
                    }
                }
                self.recovered_of(&drawn, share)
            })
            .collect();
        recovered.sort_by(f64::total_cmp);
        let at = |per_mille: usize| {
            recovered
                .get(draws * per_mille / 1_000)
                .or(recovered.last())
                .copied()
                .unwrap_or(0.0)
        };
        (at(BEYOND), at(1_000 - BEYOND))
    }

    /// The same, each prompt as often as it was drawn.
    fn recovered_of(&self, drawn: &[u32], share: f64) -> f64 {
        let (mut left, mut gained, mut all) = (share * drawn.len() as f64, 0.0, 0.0);
        for (one, &times) in self.sorted.iter().zip(drawn) {
            let times = f64::from(times);
            gained += one.difference() * times.min(left.max(0.0));
            all += one.difference() * times;
            left -= times;
        }
        if all > 0.0 { gained / all } else { 0.0 }
    }
}

/// splitmix64, as the engine draws.
fn below(luck: &mut u64, bound: usize) -> usize {
    *luck = luck.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut drawn = *luck;
    drawn = (drawn ^ drawn >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    drawn = (drawn ^ drawn >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    drawn ^= drawn >> 31;
    ((u128::from(drawn) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(score: f32, strong_ok: bool, weak_ok: bool) -> Answered {
        Answered {
            score,
            strong_ok,
            weak_ok,
        }
    }

    #[test]
    fn a_score_that_knows_recovers_all_with_few_calls_and_one_that_errs_loses() {
        let graded = |of: fn(bool) -> f32| {
            let one = move |number: u32| {
                let is_hard = number.is_multiple_of(4);
                answered(of(is_hard), true, !is_hard)
            };
            Curve::new((0..100).map(one).collect())
        };
        let knows = graded(|is_hard| f32::from(u8::from(is_hard)));
        assert_eq!((knows.strong, knows.weak), (1.0, 0.75));
        assert_eq!((knows.quality(0.0), knows.quality(1.0)), (0.75, 1.0));
        assert_eq!(knows.recovered(0.25), 1.0);
        assert_eq!(knows.interval(0.5), (1.0, 1.0));
        assert_eq!(knows.by_chance(0.5), 0.875);
        let errs = graded(|is_hard| -f32::from(u8::from(is_hard)));
        assert_eq!(errs.recovered(0.75), 0.0);
        let (low, high) = errs.interval(0.9);
        assert!(low < errs.recovered(0.9) && errs.recovered(0.9) < high && high < 1.0);
    }
}
