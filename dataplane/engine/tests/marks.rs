//! The node's memory of objects: what one shard notes all see, once; and of too many the oldest give way.

use std::{collections::BTreeSet, sync::atomic::AtomicUsize, sync::atomic::Ordering};

use proptest::prelude::*;
use tollgate_engine::marks::{COUNTED, MAX_MARKS, Mark, Marks};

/// Spread like digests (Steele, Lea and Flood's SplitMix64).
fn id(n: u64) -> u128 {
    let mixed = |n: u64| {
        let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    u128::from(mixed(2 * n + 1)) << 64 | u128::from(mixed(2 * n + 2))
}

fn mark(n: u64) -> Mark {
    Mark {
        id: id(n),
        tag: n as u16,
    }
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
fn half_of_what_fits_is_kept() {
    let marks = Marks::default();
    let half = MAX_MARKS as u64 / 2;
    assert!((0..half).all(|n| marks.note(mark(n))));
    assert!((0..half).all(|n| marks.tag(id(n)) == Some(n as u16)));
    assert_eq!(marks.all().count() as u64, half);
}

#[test]
fn of_too_many_the_oldest_give_way() {
    let marks = Marks::default();
    // All of these fall into one place.
    let id = |n: u128| (n * MAX_MARKS as u128) << 64 | n;
    for n in 1..=1000 {
        assert!(marks.note(Mark { id: id(n), tag: 0 }));
    }
    let kept = marks.all().count() as u128;
    assert!(kept > 1 && kept < 1000);
    assert!(
        (1..=1000).all(|n| marks.tag(id(n)).is_some() == (n > 1000 - kept)),
        "the newest {kept}"
    );
}

#[test]
fn what_was_counted_is_not_forgotten_for_any_number_of_objects() {
    let marks = Marks::default();
    let counted = |n: u128| Mark {
        id: COUNTED | n << 64 | n,
        tag: 0,
    };
    assert!((1..100).all(|n| marks.note(counted(n))));
    for n in 0..2 * MAX_MARKS as u64 {
        let mark = mark(n);
        marks.note(Mark {
            id: mark.id & !COUNTED,
            ..mark
        });
    }
    assert!((1..100).all(|n| marks.tag(counted(n).id) == Some(0)));
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
