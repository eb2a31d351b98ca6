//! Schedules against their closed forms.

use proptest::prelude::*;

use super::*;

/// The due times of all workers, in order.
fn all(schedule: &Schedule, workers: usize, until_ns: u64) -> Vec<u64> {
    let mut due: Vec<u64> = (0..workers)
        .flat_map(|worker| {
            schedule
                .share(worker, workers, 11)
                .take_while(|due_ns| *due_ns < until_ns)
        })
        .collect();
    due.sort_unstable();
    due
}

#[test]
fn a_constant_rate_is_due_at_equal_distances() {
    let due = all(&Schedule::parse("1000").unwrap(), 3, 2_000_000_000);
    assert_eq!(due, (0..2000).map(|n| n * 1_000_000).collect::<Vec<_>>());
}

#[test]
fn steps_follow_each_other_and_end() {
    let schedule = Schedule::parse("steps:2/2s, 0/1s, 4/1s").unwrap();
    assert_eq!(schedule.duration_ns(), Some(4_000_000_000));
    assert_eq!(schedule.mean_rate(), 2.0);
    let due: Vec<u64> = schedule.share(0, 1, 0).map(|ns| ns / 1_000_000).collect();
    assert_eq!(due, [0, 500, 1000, 1500, 3000, 3250, 3500, 3750]);
}

#[test]
fn a_rate_without_duration_goes_on() {
    let schedule = Schedule::parse("steps:0-10/10s,10").unwrap();
    assert_eq!((schedule.duration_ns(), schedule.mean_rate()), (None, 10.0));
    assert_eq!(schedule.share(0, 1, 0).nth(50 + 1000), Some(110_000_000_000));
}

#[test]
fn wrong_schedules_are_refused_with_a_remedy() {
    let cases = [
        ("", "is no rate"),
        ("fast", "is no rate"),
        ("-5", "one number"),
        ("100/10s", "one number"),
        ("0", "no request is ever due"),
        ("nan", "between 0 and"),
        ("2e9", "between 0 and"),
        ("ramp:100/10s", "FROM-TO/DURATION"),
        ("ramp:0-100", "needs its duration"),
        ("ramp:0-100/0s", "no duration"),
        ("steps:1,2/1s", "only the last"),
        ("steps:1/3", "is no duration"),
        ("sine:3", "'sine' is no kind"),
    ];
    for (text, why) in cases {
        let said = Schedule::parse(text).unwrap_err();
        assert!(said.contains(why) && said.contains("write 1000"), "{text}: {said}");
    }
}

#[test]
fn poisson_arrivals_have_the_mean_and_variance_of_their_rate() {
    const SECONDS: u64 = 4000;
    let schedule = Schedule::parse("poisson:50").unwrap();
    let due = all(&schedule, 4, SECONDS * 1_000_000_000);
    let mut per_second = vec![0f64; SECONDS as usize];
    for due_ns in due {
        per_second[(due_ns / 1_000_000_000) as usize] += 1.0;
    }
    let mean = per_second.iter().sum::<f64>() / SECONDS as f64;
    let variance = per_second.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / SECONDS as f64;
    // Four standard errors: of the mean sqrt(50 / 4000), of the variance about 50 * sqrt(2 / 4000).
    assert!((mean - 50.0).abs() < 0.45, "{mean}");
    assert!((variance - 50.0).abs() < 4.5, "{variance}");
}

#[test]
fn poisson_arrivals_follow_a_ramp() {
    let schedule = Schedule::parse("poisson:ramp:0-2000/20s").unwrap();
    let due = all(&schedule, 3, u64::MAX);
    // 5,000 are due in the first half and 15,000 in the second: within four standard deviations.
    let early = due.iter().filter(|due_ns| **due_ns < 10_000_000_000).count() as f64;
    let late = due.len() as f64 - early;
    assert!((early - 5_000.0).abs() < 4.0 * 5_000f64.sqrt(), "{early}");
    assert!((late - 15_000.0).abs() < 4.0 * 15_000f64.sqrt(), "{late}");
}

#[test]
fn a_seed_repeats_itself_and_another_does_not() {
    let schedule = Schedule::parse("poisson:1000").unwrap();
    let some = |seed| schedule.share(1, 2, seed).take(20).collect::<Vec<_>>();
    assert_eq!(some(5), some(5));
    assert_ne!(some(5), some(6));
}

fn steps() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
    prop::collection::vec((0u32..400, 0u32..400, 1u32..4000), 1..5).prop_filter("something is due", |steps| {
        steps.iter().any(|(from, to, _)| from + to > 0)
    })
}

proptest! {
    #[test]
    fn workers_together_make_exactly_the_schedule(steps in steps(), workers in 1usize..6) {
        let text: Vec<String> = steps.iter().map(|(from, to, ms)| format!("{from}-{to}/{ms}ms")).collect();
        let schedule = Schedule::parse(&format!("steps:{}", text.join(","))).unwrap();
        let due = all(&schedule, workers, u64::MAX);
        prop_assert_eq!(&due, &all(&schedule, 1, u64::MAX));
        // Closed form: the area under the rate.
        let area: f64 = steps.iter().map(|(from, to, ms)| f64::from(from + to) / 2.0 * f64::from(*ms) / 1e3).sum();
        prop_assert!((due.len() as f64 - area).abs() <= 1.0 + 1e-6, "{} of {area}", due.len());
        prop_assert!(due.is_sorted());
        for (n, due_ns) in due.iter().enumerate() {
            let before = schedule.count_until(*due_ns);
            prop_assert!((before - n as f64).abs() < 1e-3, "request {n} at {due_ns}: {before} are due before");
        }
    }
}
