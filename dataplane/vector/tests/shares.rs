//! No tenant's share is taken by another, whoever comes in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tollgate_vector::{Room, Shares};

/// Inserts as a cache does, and checks what it costs.
fn insert(shares: &mut Shares, tenant: u64, most: usize) {
    match shares.room(tenant) {
        Room::Free => shares.take(tenant),
        Room::Displaces(loser) => {
            let tenants = shares.share();
            assert!(
                loser == tenant || shares.held(loser) > shares.held(tenant),
                "{tenants} each"
            );
            shares.release(loser);
            shares.take(tenant);
        }
        Room::None => assert!(most == 0 || shares.held(tenant) == 0),
    }
}

#[test]
fn a_newcomer_gets_its_share_of_a_full_cache_and_no_more() {
    let mut shares = Shares::new(90);
    (0..500).for_each(|_| insert(&mut shares, 1, 90));
    assert_eq!((shares.held(1), shares.share()), (90, 90));
    (0..500).for_each(|_| insert(&mut shares, 2, 90));
    (0..500).for_each(|_| insert(&mut shares, 3, 90));
    (0..500).for_each(|_| insert(&mut shares, 1, 90));
    assert_eq!([1, 2, 3].map(|tenant| shares.held(tenant)), [30, 30, 30]);
    // What one gives up, another may use until it is wanted again.
    (0..30).for_each(|_| shares.release(3));
    (0..500).for_each(|_| insert(&mut shares, 2, 90));
    assert_eq!([1, 2, 3].map(|tenant| shares.held(tenant)), [30, 60, 0]);
    (0..500).for_each(|_| insert(&mut shares, 3, 90));
    assert_eq!([1, 2, 3].map(|tenant| shares.held(tenant)), [30, 30, 30]);
}

proptest! {
    #[test]
    fn nobody_falls_below_its_share_by_another(most in 0usize..40, order in proptest::collection::vec((0u64..6, any::<bool>()), 0..400)) {
        let mut shares = Shares::new(most);
        for (tenant, leaves) in order {
            let before: BTreeMap<u64, usize> = (0..6).map(|tenant| (tenant, shares.held(tenant))).collect();
            if leaves {
                shares.release(tenant);
                continue;
            }
            insert(&mut shares, tenant, most);
            prop_assert!(before.keys().map(|tenant| shares.held(*tenant)).sum::<usize>() <= most);
            for (other, held) in before.iter().filter(|(other, _)| **other != tenant) {
                prop_assert!(shares.held(*other) == *held || *held > shares.share(), "{} lost to {}", other, tenant);
            }
        }
    }
}
