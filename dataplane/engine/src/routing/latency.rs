//! How long a target takes: a histogram of times to the first byte, in which what is old fades, by the size of the prompt
//! and whether the answer is streamed.

use crate::Tick;

/// Two buckets for each doubling, from half a millisecond to a quarter of an hour.
const BUCKETS: usize = 42;
const LEAST_NS: f64 = 500_000.0;
/// Counts are halved when there are so many …
const FADE_AT: u32 = 256;
/// … and when so much time went by.
const FADE_NS: u64 = 10_000_000_000;
/// What was not tried for so long may have changed.
const STALE_NS: u64 = 30_000_000_000;
const QUANTILE: f64 = 0.9;
/// Of fewer calls no share is told.
const MIN_CALLS: u32 = 10;
/// Upper bounds of the classes of prompts, in bytes of the request's body.
const PROMPT_BYTES: [usize; 3] = [4 << 10, 32 << 10, 256 << 10];
pub(super) const CLASSES: usize = 2 * (PROMPT_BYTES.len() + 1);

/// Of one target and shard.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    classes: [Histogram; CLASSES],
}

#[derive(Clone, Debug)]
struct Histogram {
    counts: [u16; BUCKETS],
    total: u32,
    faded: Tick,
    last: Tick,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            total: 0,
            faded: Tick(0),
            last: Tick(0),
        }
    }
}

/// What a call is like, as far as latency goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(usize);

impl Class {
    pub fn of(body_bytes: usize, stream: bool) -> Self {
        let size = PROMPT_BYTES.iter().filter(|&&most| body_bytes > most).count();
        Self(2 * size + usize::from(stream))
    }

    pub(super) fn number(self) -> usize {
        self.0
    }
}

impl Latency {
    pub fn note(&mut self, now: Tick, class: Class, took_ns: u64) {
        self.classes[class.0].note(now, took_ns);
    }

    /// The same of a call that was given up after this time: it says something only where it took longer than most do,
    /// which is how `quantile_ns` stays what it is however many calls are given up behind it.
    pub fn note_at_least(&mut self, now: Tick, class: Class, took_ns: u64, quantile: f64) {
        let known_ns = self.quantile_ns(now, class, quantile);
        if known_ns.is_some_and(|known_ns| took_ns as f64 >= known_ns) {
            self.note(now, class, took_ns);
        }
    }

    /// The same by the share that `expected_ns` goes by.
    pub fn note_longer(&mut self, now: Tick, class: Class, took_ns: u64) {
        self.note_at_least(now, class, took_ns, QUANTILE);
    }

    /// Nanoseconds that such a share of calls does not exceed; `None` where too few are known.
    pub fn quantile_ns(&self, now: Tick, class: Class, quantile: f64) -> Option<f64> {
        let own = &self.classes[class.0];
        (own.total >= MIN_CALLS && now.ns_since(own.last) < STALE_NS).then(|| own.quantile(quantile))
    }

    /// Nanoseconds that nine of ten calls do not exceed; `None` where nothing recent is known.
    pub fn expected_ns(&self, now: Tick, class: Class) -> Option<f64> {
        let own = &self.classes[class.0];
        (own.total > 0 && now.ns_since(own.last) < STALE_NS).then(|| own.quantile(QUANTILE))
    }
}

impl Histogram {
    fn note(&mut self, now: Tick, took_ns: u64) {
        if self.total >= FADE_AT || now.ns_since(self.faded) >= FADE_NS {
            self.fade();
            self.faded = now;
        }
        self.counts[bucket(took_ns)] += 1;
        self.total += 1;
        self.last = now;
    }

    fn fade(&mut self) {
        for count in &mut self.counts {
            *count /= 2;
        }
        self.total = self.counts.iter().map(|&count| u32::from(count)).sum();
    }

    /// Interpolated within its bucket.
    fn quantile(&self, quantile: f64) -> f64 {
        let mut wanted = f64::from(self.total) * quantile;
        for (index, &count) in self.counts.iter().enumerate() {
            let count = f64::from(count);
            if count >= wanted && count > 0.0 {
                return lower_ns(index) + (lower_ns(index + 1) - lower_ns(index)) * (wanted / count);
            }
            wanted -= count;
        }
        lower_ns(BUCKETS)
    }
}

fn bucket(took_ns: u64) -> usize {
    let halves = (took_ns as f64 / LEAST_NS).max(1.0).log2() * 2.0;
    (halves as usize).min(BUCKETS - 1)
}

fn lower_ns(bucket: usize) -> f64 {
    LEAST_NS * (bucket as f64 / 2.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_slowest_tenth_is_told_within_a_bucket() {
        let mut latency = Latency::default();
        let class = Class::of(1_000, false);
        for i in 0..200 {
            latency.note(Tick(i), class, if i % 20 < 17 { 20 * MS } else { 300 * MS });
        }
        let expected = latency.expected_ns(Tick(200), class).expect("known") / MS as f64;
        assert!((256.0..=363.0).contains(&expected), "{expected}");
        assert_eq!(latency.expected_ns(Tick(200), Class::of(1_000, true)), None);
        assert_eq!(latency.expected_ns(Tick(200), Class::of(100_000, false)), None);
    }

    #[test]
    fn what_is_old_fades() {
        let mut latency = Latency::default();
        let class = Class::of(1_000, false);
        for _ in 0..250 {
            latency.note(Tick(1), class, 900 * MS);
        }
        let mut now = Tick(1);
        for _ in 0..1_500 {
            now = now.plus_ms(1);
            latency.note(now, class, 10 * MS);
        }
        assert!(latency.expected_ns(now, class).expect("known") < 20.0 * MS as f64);
        assert_eq!(latency.expected_ns(now.plus_ms(31_000), class), None, "stale");
    }

    #[test]
    fn calls_that_are_given_up_leave_a_quantile_where_it_is() {
        let class = Class::of(1_000, false);
        let times_ms = |i: u64| if i.is_multiple_of(20) { 900 } else { 20 + i % 7 };
        let (mut all, mut hedged) = (Latency::default(), Latency::default());
        let mut now = Tick(1);
        for i in 0..1_000 {
            now = now.plus_ms(1);
            let took_ns = times_ms(i) * MS;
            all.note(now, class, took_ns);
            match hedged.quantile_ns(now, class, 0.9) {
                // Given up 30 ms after another was asked.
                Some(after_ns) if took_ns as f64 > after_ns + 30e6 => {
                    hedged.note_at_least(now, class, after_ns as u64 + 30 * MS, 0.9);
                }
                _ => hedged.note(now, class, took_ns),
            }
            // And one that had hardly begun.
            hedged.note_at_least(now, class, MS, 0.9);
        }
        let (all, hedged) = (all.quantile_ns(now, class, 0.9), hedged.quantile_ns(now, class, 0.9));
        assert_eq!(all, hedged);
    }

    #[test]
    fn any_time_has_a_bucket() {
        for took_ns in [0, 1, 499_999, 500_000, u64::MAX] {
            assert!(bucket(took_ns) < BUCKETS);
        }
    }
}
