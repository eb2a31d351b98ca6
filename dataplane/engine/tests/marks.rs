//! The node's memory of objects: what one shard notes all see, once; and of too many the oldest give way.

use std::{collections::BTreeSet, sync::atomic::AtomicUsize, sync::atomic::Ordering};

use proptest::prelude::*;
use tollgate_engine::marks::{MAX_MARKS, Mark, Marks};

/// Spread like digests.
fn id(n: u64) -> u128 {
    let mixed = |n: u64| (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u128::from(mixed(n + 1)) << 64 | u128::from(mixed(n + 1_000_000_007))
}

fn mark(n: u64) -> Mark {
    Mark { id: id(n), tag: n as u16 }
}

proptest! {
    #[test]
    fn it_is_a_set_with_tags(steps in prop::collection::vec((0..40u64, 0..3u16, any::<bool>()), 0..200)) {
        let marks = Marks::default();
        let mut model = std::collections::BTreeMap::new();
        for (n, tag, forgets) in steps {
            if forgets {
                prop_assert_eq!(marks.forget(id(n)), model.remove(&id(n)).is_some());
            } else {
                prop_assert_eq!(marks.note(Mark { id: id(n), tag }), model.insert(id(n), tag) != Some(tag));
            }
            prop_assert_eq!(marks.tag(id(n)), model.get(&id(n)).copied());
        }
        let all: BTreeSet<Mark> = marks.all().collect();
        prop_assert_eq!(all, model.into_iter().map(|(id, tag)| Mark { id, tag }).collect());
    }
}

#[test]
fn half_of_what_fits_is_kept_and_then_the_oldest_give_way() {
    let marks = Marks::default();
    let half = MAX_MARKS as u64 / 2;
    assert!((0..half).all(|n| marks.note(mark(n))));
    assert!((0..half).all(|n| marks.tag(id(n)) == Some(n as u16)), "one was forgotten too soon");
    for n in half..4 * half {
        assert!(marks.note(mark(n)));
        assert_eq!(marks.tag(id(n)), Some(n as u16), "the newest is always there");
    }
    let kept = |range: std::ops::Range<u64>| range.filter(|n| marks.tag(id(*n)).is_some()).count() as u64;
    assert!(marks.all().count() <= MAX_MARKS);
    assert_eq!(kept(0..half), 0, "the oldest give way first");
    assert_eq!(kept(3 * half..4 * half), half);
}

#[test]
fn of_many_that_note_the_same_one_is_told_that_it_was_first() {
    let marks = Marks::default();
    let first = AtomicUsize::new(0);
    const COUNT: u64 = 20_000;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..COUNT {
                    if marks.note(mark(n)) {
                        first.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(first.into_inner() as u64, COUNT);
    assert_eq!(marks.all().count() as u64, COUNT);
}
