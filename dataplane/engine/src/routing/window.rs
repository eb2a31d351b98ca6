//! Calls, failures and slow calls of one target over the last while: what shares are made of.

use tollgate_config::document::Breaker;

use crate::Tick;

const PARTS: usize = 8;
const NS_PER_MS: u64 = 1_000_000;

/// Of one target and shard.
#[derive(Clone, Debug, Default)]
pub struct Window {
    parts: [Part; PARTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    at: u64,
    calls: u32,
    failed: u32,
    slow: u32,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    Well,
    Slowly,
    Wrong,
    /// It began well, and was counted then.
    Broke,
}

impl Window {
    /// Notes a call; true when a share is above what the breaker bears.
    pub fn note(&mut self, now: Tick, went: Went, breaker: &Breaker) -> bool {
        let part_ns = (breaker.window_ms.saturating_mul(NS_PER_MS) / PARTS as u64).max(1);
        let at = now.0 / part_ns;
        let part = &mut self.parts[(at % PARTS as u64) as usize];
        if part.at != at {
            *part = Part { at, ..Part::default() };
        }
        part.calls = part.calls.saturating_add(u32::from(went != Went::Broke));
        match went {
            Went::Well => return false,
            Went::Slowly => part.slow = part.slow.saturating_add(1),
            Went::Wrong | Went::Broke => part.failed = part.failed.saturating_add(1),
        }
        let recent = self.parts.iter().filter(|part| part.at + (PARTS as u64) > at);
        let (calls, failed, slow) = recent.fold((0, 0, 0), |(calls, failed, slow), part| {
            (
                calls + u64::from(part.calls),
                failed + u64::from(part.failed),
                slow + u64::from(part.slow),
            )
        });
        let above = |count: u64, percent: u32| count * 100 >= calls * u64::from(percent);
        calls >= u64::from(breaker.min_calls)
            && (matches!(went, Went::Wrong | Went::Broke) && above(failed, breaker.error_percent)
                || went == Went::Slowly && above(slow, breaker.slow_percent))
    }

    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_count_from_a_number_of_calls_on() {
        let breaker = Breaker::default();
        let mut window = Window::default();
        let now = Tick(60_000_000_000);
        for _ in 0..9 {
            assert!(!window.note(now, Went::Well, &breaker));
            assert!(!window.note(now, Went::Wrong, &breaker), "too few to judge");
        }
        assert!(!window.note(now, Went::Well, &breaker));
        assert!(window.note(now, Went::Wrong, &breaker));
        let later = now.plus_ms(breaker.window_ms + breaker.window_ms / 8);
        assert!(!window.note(later, Went::Wrong, &breaker), "that was long ago");
    }

    #[test]
    fn slow_calls_are_counted_apart() {
        let breaker = Breaker::default();
        let mut window = Window::default();
        let tripped = (0..40).filter(|_| window.note(Tick(1), Went::Slowly, &breaker));
        assert_eq!(tripped.count(), 21, "from the twentieth on");
    }
}
