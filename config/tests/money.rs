//! Money: what texts mean to the last pico-dollar, and that no sum is ever rounded down, wrapped or lost.

use proptest::prelude::*;
use tollgate_config::money::{Discount, NANO_TEXT_BYTES, NanoUsd, NoNumber, PicoUsd, dollars, per_token};

#[test]
fn a_price_is_read_to_the_last_digit() {
    for (dollars, log10, expected) in [
        ("2.50", 6, Ok(2_500_000)),
        ("0.000001", 6, Ok(1)),
        ("0", 6, Ok(0)),
        ("0.0375", 6, Ok(37_500)),
        // As the LiteLLM table writes them: for one token.
        ("2.5e-06", 0, Ok(2_500_000)),
        ("6.25E-7", 0, Ok(625_000)),
        ("1e-12", 0, Ok(1)),
        ("0.000015", 0, Ok(15_000_000)),
        ("3E-9", 0, Ok(3_000)),
        ("0.0e-99", 0, Ok(0)),
        ("12e+1", 6, Ok(120_000_000)),
        ("0.0000001", 6, Err(NoNumber::Inexact)),
        ("1e-13", 0, Err(NoNumber::Inexact)),
        ("99999999", 0, Err(NoNumber::TooLarge)),
        ("1e99", 0, Err(NoNumber::TooLarge)),
        ("340282366920938463463374607431768211456", 6, Err(NoNumber::TooLarge)),
        ("", 6, Err(NoNumber::Malformed)),
        (".5", 6, Err(NoNumber::Malformed)),
        ("5.", 6, Err(NoNumber::Malformed)),
        ("-1", 6, Err(NoNumber::Malformed)),
        ("1,5", 6, Err(NoNumber::Malformed)),
        ("1e", 6, Err(NoNumber::Malformed)),
        ("1e1000", 6, Err(NoNumber::Malformed)),
        ("NaN", 6, Err(NoNumber::Malformed)),
        ("$2", 6, Err(NoNumber::Malformed)),
    ] {
        assert_eq!(per_token(dollars, log10), expected, "{dollars}");
    }
}

#[test]
fn money_is_written_with_its_unit() {
    for (text, expected) in [
        ("500.00 USD", Ok(500_000_000_000)),
        ("250000 USD", Ok(250_000_000_000_000)),
        ("0.000000001 USD", Ok(1)),
        ("0.0000000001 USD", Err(NoNumber::Inexact)),
        ("20000000000 USD", Err(NoNumber::TooLarge)),
        ("500.00", Err(NoNumber::Malformed)),
        ("500.00USD", Err(NoNumber::Malformed)),
        ("500 EUR", Err(NoNumber::Malformed)),
        ("5  USD", Err(NoNumber::Malformed)),
    ] {
        assert_eq!(NanoUsd::parse(text), expected.map(NanoUsd), "{text}");
    }
}

#[test]
fn amounts_are_shown_in_full() {
    assert_eq!(NanoUsd(0).to_string(), "0.000000000");
    assert_eq!(NanoUsd(1_234_000).to_string(), "0.001234000");
    assert_eq!(NanoUsd(u64::MAX).to_string(), "18446744073.709551615");
    assert_eq!(
        (dollars(2_500_000, 6), dollars(5_000_000_000, 0)),
        ("2.5".into(), "0.005".into())
    );
    assert_eq!((dollars(0, 6), dollars(10_000_000, 6)), ("0".into(), "10".into()));
    assert_eq!(PicoUsd(1_000_000_000_001).to_string(), "1.000000000001");
}

#[test]
fn a_discount_is_a_share_of_the_sum() {
    let of = |text, picos| Discount::parse(text).map(|discount| discount.of(PicoUsd(picos)).0);
    assert_eq!(of("15%", 100), Ok(85));
    assert_eq!(of("15%", 1), Ok(1), "rounded up");
    assert_eq!(of("7.25%", 10_000), Ok(9_275));
    assert_eq!(of("0%", 7), Ok(7));
    assert_eq!(of("100%", u128::MAX), Ok(0));
    assert_eq!(of("50%", u128::MAX), Ok(u128::MAX.div_ceil(2)));
    assert_eq!(of("101%", 1), Err(NoNumber::TooLarge));
    assert_eq!(of("0.001%", 1), Err(NoNumber::Inexact));
    assert_eq!(of("15", 1), Err(NoNumber::Malformed));
    for text in ["15%", "7.5%", "7.25%", "0.05%", "100%"] {
        assert_eq!(Discount::parse(text).unwrap().to_string(), text);
    }
}

proptest! {
    #[test]
    fn nanos_are_rounded_up_and_never_by_a_whole_one(picos: u128) {
        let nanos = PicoUsd(picos).to_nanos().0;
        if nanos < u64::MAX {
            let back = u128::from(nanos) * 1_000;
            prop_assert!(back >= picos && back - picos < 1_000);
        } else {
            prop_assert!(picos > u128::from(u64::MAX - 1) * 1_000);
        }
    }

    #[test]
    fn text_and_number_are_the_same(nanos: u64) {
        let mut buffer = [0; NANO_TEXT_BYTES];
        let text = String::from_utf8(NanoUsd(nanos).text(&mut buffer).to_vec()).unwrap();
        prop_assert_eq!(NanoUsd::parse(&format!("{text} USD")), Ok(NanoUsd(nanos)));
        prop_assert_eq!(text, format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000));
    }

    #[test]
    fn every_price_of_whole_pico_dollars_can_be_written(picos: u64) {
        let decimal = format!("{}.{:06}", picos / 1_000_000, picos % 1_000_000);
        prop_assert_eq!(per_token(&decimal, 6), Ok(picos));
        prop_assert_eq!(per_token(&format!("{picos}e-12"), 0), Ok(picos));
        prop_assert_eq!(per_token(&dollars(picos, 6), 6), Ok(picos));
        prop_assert_eq!(per_token(&dollars(picos, 0), 0), Ok(picos));
    }

    #[test]
    fn a_discount_is_exact_and_rounded_up(points in 0u16..=10_000, picos: u64, large: u128) {
        let discount = Discount::parse(&format!("{}.{:02}%", points / 100, points % 100)).unwrap();
        let left = (u128::from(picos) * (10_000 - u128::from(points))).div_ceil(10_000);
        prop_assert_eq!(discount.of(PicoUsd(picos.into())).0, left);
        prop_assert!(discount.of(PicoUsd(large)).0 <= large);
    }

    #[test]
    fn no_text_is_a_panic(text in ".{0,50}") {
        let _ = (per_token(&text, 6), NanoUsd::parse(&text), Discount::parse(&text));
    }
}
