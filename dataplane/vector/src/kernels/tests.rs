//! Every instruction set gives, bit for bit, what the portable code gives.

use proptest::{collection::vec, prelude::*};

use super::{Kernel, Pick};

/// Rows of some width, with picks of them.
fn rows_and_picks() -> impl Strategy<Value = (usize, Vec<u8>, Vec<Pick>)> {
    (1usize..300, 1usize..20).prop_flat_map(|(dims, count)| {
        let pick = (0..count as u32, -3.0f32..3.0).prop_map(|(row, weight)| Pick { row, weight });
        (Just(dims), vec(any::<u8>(), dims * count), vec(pick, 0..40))
    })
}

proptest! {
    #[test]
    fn sums_are_identical((dims, rows, picks) in rows_and_picks()) {
        let sum = |kernel: Kernel| {
            let mut sum = vec![0.0f32; dims];
            kernel.accumulate(&mut sum, &rows, &picks);
            sum.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        for kernel in Kernel::all() {
            prop_assert_eq!(sum(kernel), sum(Kernel::scalar()), "{}", kernel.name());
        }
    }

    #[test]
    fn products_are_identical((dims, rows, _) in rows_and_picks()) {
        let rows: Vec<i8> = rows.into_iter().map(|byte| byte as i8).collect();
        let (query, _) = rows.split_at(dims);
        let dots = |kernel: Kernel| {
            let mut dots = vec![0; rows.len() / dims];
            kernel.dots(query, &rows, &mut dots);
            let last = kernel.dot(query, &rows[rows.len() - dims..]);
            assert_eq!(dots.last(), Some(&last));
            dots
        };
        for kernel in Kernel::all() {
            prop_assert_eq!(dots(kernel), dots(Kernel::scalar()), "{}", kernel.name());
        }
    }
}

proptest! {
    #[test]
    fn differing_bits_are_identical(words in 1usize..9, codes in vec(any::<u64>(), 0..200)) {
        let codes = &codes[..codes.len() - codes.len() % words];
        let query = vec![0x0123_4567_89ab_cdef; words];
        let differing = |kernel: Kernel| {
            let mut differing = Vec::new();
            kernel.hammings(&query, codes, &mut differing);
            differing
        };
        for kernel in Kernel::all() {
            prop_assert_eq!(differing(kernel), differing(Kernel::scalar()), "{}", kernel.name());
        }
    }
}

#[test]
fn extremes_do_not_overflow() {
    let most = vec![i8::MIN; 4096];
    for kernel in Kernel::all() {
        assert_eq!(kernel.dot(&most, &most), 4096 * 128 * 128, "{}", kernel.name());
    }
}

#[test]
fn the_best_is_one_of_those_that_agree() {
    let names: Vec<_> = Kernel::all().map(|kernel| kernel.name()).collect();
    assert_eq!(names.first(), Some(&Kernel::best().name()));
    assert_eq!(names.last(), Some(&"scalar"));
}
