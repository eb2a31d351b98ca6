//! When what is left of a budget will be used up, if things go on as they did of late. Arithmetic alone.

/// So far back is looked, or to where there is something to look at.
pub const LOOK_BACK_MS: u64 = 7 * 86_400_000;
/// Less than this says nothing of a day.
const LEAST_MS: u64 = 3_600_000;

/// What a limit has left, and what was used of it of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    pub used: u64,
    pub remaining: u64,
    /// Until the period ends.
    pub reset_ms: u64,
    /// Used within so much time, which ends now.
    pub lately: u64,
    pub lately_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    pub per_day: u64,
    /// Until nothing is left; `None`: not before the period ends.
    pub ends_in_ms: Option<u64>,
    /// Used when the period ends, if nothing were refused.
    pub at_end: u64,
}

pub fn forecast(course: &Course) -> Forecast {
    const DAY_MS: u128 = 86_400_000;
    let span_ms = u128::from(course.lately_ms.max(LEAST_MS));
    let over = |ms: u128| {
        let amount = u128::from(course.lately).saturating_mul(ms) / span_ms;
        u64::try_from(amount).unwrap_or(u64::MAX)
    };
    let ends_in_ms = match course.lately {
        _ if course.remaining == 0 => Some(0),
        0 => None,
        lately => u64::try_from(u128::from(course.remaining) * span_ms / u128::from(lately)).ok(),
    };
    Forecast {
        per_day: over(DAY_MS),
        ends_in_ms: ends_in_ms.filter(|ms| *ms < course.reset_ms),
        at_end: course.used.saturating_add(over(course.reset_ms.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn what_goes_on_ends_where_it_must() {
        let course = Course {
            used: 700,
            remaining: 300,
            reset_ms: 10 * DAY,
            lately: 700,
            lately_ms: 7 * DAY,
        };
        let told = forecast(&course);
        assert_eq!(
            (told.per_day, told.ends_in_ms, told.at_end),
            (100, Some(3 * DAY), 1_700)
        );
        let slow = Course {
            reset_ms: 2 * DAY,
            ..course
        };
        assert_eq!(
            (forecast(&slow).ends_in_ms, forecast(&slow).at_end),
            (None, 900),
            "the period ends first"
        );
        let idle = Course { lately: 0, ..course };
        assert_eq!((forecast(&idle).ends_in_ms, forecast(&idle).at_end), (None, 700));
        let over = Course { remaining: 0, ..idle };
        assert_eq!(forecast(&over).ends_in_ms, Some(0));
        let wild = Course {
            lately: u64::MAX,
            lately_ms: 0,
            ..course
        };
        assert_eq!(forecast(&wild).at_end, u64::MAX);
    }
}
