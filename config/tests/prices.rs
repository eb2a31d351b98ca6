//! What calls cost: classes, tiers, lengths, own and borrowed prices, discounts and dates.

use proptest::prelude::*;
use tollgate_config::{
    check::check,
    parse::parse,
    prices::{Class, Counts, PriceList, Reprices, ServiceTier},
};

const NONE: Counts = Counts {
    input: 0,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    output: 0,
    reasoning: 0,
    input_audio: 0,
    output_audio: 0,
    input_image: 0,
    requests: 1,
};

/// A table of the same prices as a row that is unknown to nobody.
fn prices_of(text: &str) -> PriceList {
    let text = format!("version: 1\nproviders: {{ p: {{ dialect: openai, base_url: 'http://a', prices: {text} }} }}");
    let mut document = check(&parse(&text).unwrap()).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    document.providers.remove(0).1.prices
}

fn dollars(list: &PriceList, model: &str, unix_s: u64, counts: Counts) -> Option<String> {
    let price = list.at(model, unix_s)?;
    assert_eq!(
        list.of(model, model).at(unix_s),
        Some(price),
        "looked up before and at the call"
    );
    Some(price.cost(&counts, ServiceTier::Standard).to_string())
}

const MILLION: Counts = Counts {
    input: 1_000_000,
    ..NONE
};

#[test]
fn a_provider_without_a_kind_borrows_a_row() {
    let sonnet = |prices| dollars(&prices_of(prices), "claude-sonnet-4-5", 0, MILLION);
    assert_eq!(sonnet("anthropic").as_deref(), Some("3.000000000000"));
    // By the name of a kind, whose section is another.
    assert_eq!(sonnet("vertex-anthropic").as_deref(), Some("6.000000000000"));
    assert_eq!(sonnet("openai"), None);
    let by_kind = check(&parse("version: 1\nproviders: { p: { kind: mistral, credential: env:A } }").unwrap()).unwrap();
    let prices = &by_kind.providers[0].1.prices;
    assert!(prices.at("mistral-large-latest", 0).is_some(), "a kind has its own");
    assert!(
        prices
            .facts("mistral-large-latest")
            .is_some_and(|facts| facts.abilities.tools)
    );
}

#[test]
fn own_prices_come_before_the_rows_and_names_before_patterns() {
    let list = prices_of(
        "{ row: openai, models: { \
         '*': { input: '9', output: '9' }, \
         'gpt-5*': { input: '8', output: '9' }, \
         'gpt-5.4*': { input: '7', output: '9' }, \
         gpt-5.4: { input: '6.000001', output: '9' } } }",
    );
    for (model, expected) in [
        ("gpt-5.4", "6.000001000000"),
        ("gpt-5.4-mini", "7.000000000000"),
        ("gpt-5-nano", "8.000000000000"),
        ("llama", "9.000000000000"),
    ] {
        assert_eq!(dollars(&list, model, 0, MILLION).as_deref(), Some(expected), "{model}");
    }
}

/// A deployment is named by the operator, and priced as what it is `like`.
#[test]
fn a_model_of_another_name_costs_what_it_is_like() {
    let list = prices_of("openai");
    let priced = list.of("my-deployment", "gpt-5.4");
    let cost = priced.at(0).unwrap().cost(&MILLION, ServiceTier::Standard);
    assert_eq!(cost.to_string(), "5.000000000000", "above 272,000");
    assert!(list.of("my-deployment", "my-deployment").at(0).is_none());
}

#[test]
fn a_discount_holds_for_what_is_borrowed_and_what_is_own() {
    let list = prices_of("{ row: mistral, discount: 15%, models: { own: { input: '0.000001', output: '1' } } }");
    let large = list.at("mistral-large-latest", 0).unwrap();
    let full = large.prices.cost(&MILLION, ServiceTier::Standard).0;
    assert_eq!(large.cost(&MILLION, ServiceTier::Standard).0, full * 85 / 100);
    // 0.85 of a pico-dollar, rounded up once for the whole call.
    assert_eq!(
        dollars(&list, "own", 0, Counts { input: 1, ..NONE }).as_deref(),
        Some("0.000000000001")
    );
    assert_eq!(
        dollars(&list, "own", 0, Counts { input: 100, ..NONE }).as_deref(),
        Some("0.000000000085")
    );
    assert_ne!(large.version(), large.prices.version(), "a discount is another price");
}

#[test]
fn prices_change_at_their_dates_and_the_old_ones_stay() {
    let list = prices_of(
        "[ { models: { m: { input: '1', output: '1' } } }, \
         { from: 2026-12-01T00:00:00Z, models: { m: { input: '2', output: '1' } } }, \
         { from: 2027-01-01, discount: 50%, models: { m: { input: '2', output: '1' } } } ]",
    );
    const DECEMBER: u64 = 1_796_083_200;
    let cost = |unix_s| dollars(&list, "m", unix_s, MILLION).unwrap();
    assert_eq!(cost(DECEMBER - 1), "1.000000000000");
    assert_eq!(cost(DECEMBER), "2.000000000000");
    assert_eq!(cost(u64::MAX), "1.000000000000");
    let version = |unix_s| list.at("m", unix_s).unwrap().version();
    assert_ne!(version(0), version(DECEMBER));
    assert_ne!(version(DECEMBER), version(u64::MAX));
    let began_later = prices_of("[ { from: 2026-12-01, models: { m: { input: '2', output: '1' } } } ]");
    assert_eq!(
        began_later.at("m", DECEMBER - 1),
        None,
        "before its date nothing is known"
    );
    assert_eq!(
        began_later.at("m", DECEMBER).unwrap().version(),
        version(DECEMBER),
        "the same prices, the same name, wherever they stand"
    );
}

/// A record keeps the name of its prices: it must be the same tomorrow.
#[test]
fn the_name_of_prices_is_stable() {
    let list =
        prices_of("{ models: { m: { input: '2.5', output: '10', cache_read: '0.25', batch: { input: '1.25' } } } }");
    assert_eq!(list.at("m", 0).unwrap().version().to_string(), "6172a7253b4e15b4");
}

#[test]
fn every_class_and_tier_can_be_priced() {
    let list = prices_of(
        "{ models: { m: { input: '1', output: '2', cache_read: '3', cache_write_5m: '4', cache_write_1h: '5', reasoning: '6', \
         input_audio: '7', output_audio: '8', input_image: '9', request: '0.5', \
         flex: { input: '10', request: '0.25' }, priority: { output: '20' }, \
         above: [ { tokens: 100, input: '11', flex: { input: '12' } } ] } } }",
    );
    let prices = list.at("m", 0).unwrap().prices;
    let of = |above, tier| Class::ALL.map(|class| prices.picos(above, tier, class) as f64 / 1e6);
    let million = 1e6;
    assert_eq!(
        of(0, ServiceTier::Standard),
        [3., 4., 5., 1., 9., 7., 2., 6., 8., 0.5 * million]
    );
    assert_eq!(
        of(0, ServiceTier::Flex),
        [3., 4., 5., 10., 9., 7., 2., 6., 8., 0.25 * million]
    );
    assert_eq!(of(0, ServiceTier::Priority)[6], 20.);
    assert_eq!(of(0, ServiceTier::Batch), of(0, ServiceTier::Standard));
    assert_eq!(of(100, ServiceTier::Standard)[3], 11.);
    assert_eq!(of(100, ServiceTier::Flex)[3], 12.);
    assert_eq!(of(100, ServiceTier::Priority)[3], 11.);
    assert_eq!(
        of(100, ServiceTier::Priority)[6],
        20.,
        "the dearer of long and priority"
    );
    assert_eq!(
        prices.tiers(0),
        [ServiceTier::Standard, ServiceTier::Flex, ServiceTier::Priority]
    );
    assert!(prices.by_request());
}

/// Classes without a price cost what they are a part of.
#[test]
fn what_is_not_said_is_filled() {
    let list = prices_of(
        "{ models: { m: { input: '1', output: '2', cache_write_5m: '3', batch: { input: '0.5', output: '1' } } } }",
    );
    let prices = list.at("m", 0).unwrap().prices;
    let of = |tier| Class::ALL.map(|class| prices.picos(0, tier, class) / 100_000);
    assert_eq!(of(ServiceTier::Standard), [10, 30, 30, 10, 10, 10, 20, 20, 20, 0]);
    assert_eq!(of(ServiceTier::Batch), [5, 30, 30, 5, 5, 5, 10, 10, 10, 0]);
    assert_eq!(prices.reprices(), Reprices::Request);
}

/// Thoughts that are said to cost what answers cost do so in every tier and at every length.
#[test]
fn what_costs_the_same_goes_along() {
    let list = prices_of(
        "{ models: { m: { input: '1', output: '2', reasoning: '2', input_image: '1', input_audio: '3', \
         batch: { input: '0.5', output: '1' }, above: [ { tokens: 9, input: '4', output: '8' } ] } } }",
    );
    let prices = list.at("m", 0).unwrap().prices;
    let of = |above, tier| {
        [Class::Reasoning, Class::InputImage, Class::InputAudio].map(|class| prices.picos(above, tier, class) / 100_000)
    };
    assert_eq!(of(0, ServiceTier::Standard), [20, 10, 30]);
    assert_eq!(of(0, ServiceTier::Batch), [10, 5, 30]);
    assert_eq!(of(9, ServiceTier::Standard), [80, 40, 30]);
}

/// 100 tokens at 1, 100 at 2, the rest at 4; what was cached comes first in the prompt.
#[test]
fn a_tier_may_reprice_only_what_lies_beyond() {
    let list = prices_of(
        "{ models: { m: { input: '1', output: '10', cache_read: '0.1', reprices: beyond, above: [ \
         { tokens: 100, input: '2', cache_read: '0.2' }, { tokens: 200, input: '4', cache_read: '0.4', output: '99' } ] } } }",
    );
    let prices = list.at("m", 0).unwrap().prices;
    let tenths = |counts: Counts| prices.cost(&counts, ServiceTier::Standard).0 / 100_000;
    assert_eq!(tenths(Counts { input: 100, ..NONE }), 1_000);
    assert_eq!(tenths(Counts { input: 250, ..NONE }), 1_000 + 2_000 + 50 * 40);
    assert_eq!(
        tenths(Counts {
            cache_read: 150,
            input: 100,
            ..NONE
        }),
        100 + 50 * 2 + 50 * 20 + 50 * 40
    );
    assert_eq!(
        tenths(Counts {
            input: 300,
            output: 5,
            ..NONE
        }),
        1_000 + 2_000 + 4_000 + 500
    );
}

fn any_counts() -> impl Strategy<Value = Counts> {
    prop::array::uniform10(prop_oneof![0u64..300_000, any::<u64>()]).prop_map(|n| Counts {
        input: n[0],
        cache_read: n[1],
        cache_write_5m: n[2],
        cache_write_1h: n[3],
        output: n[4],
        reasoning: n[5],
        input_audio: n[6],
        output_audio: n[7],
        input_image: n[8],
        requests: n[9],
    })
}

proptest! {
    /// No count that a provider may say overflows, and more is never cheaper where one price holds for all.
    #[test]
    fn no_count_overflows(counts in any_counts(), tier in 0usize..4, beyond: bool) {
        let mode = if beyond { "beyond" } else { "request" };
        let dear = "1000000000";
        let list = prices_of(&format!(
            "{{ models: {{ m: {{ input: '{dear}', output: '{dear}', request: '1000', reprices: {mode}, \
             above: [ {{ tokens: 200000, input: '{dear}' }} ] }} }} }}"
        ));
        let cost = list.at("m", 0).unwrap().cost(&counts, ServiceTier::ALL[tier]).0;
        let n = [counts.input, counts.cache_read, counts.cache_write_5m, counts.cache_write_1h, counts.output,
            counts.reasoning, counts.input_audio, counts.output_audio, counts.input_image, counts.requests];
        let all: u128 = n.iter().map(|count| u128::from(*count)).sum();
        // Every class has the same price, so that the sum is the product; the bands of a prompt beyond 2⁶⁴ tokens end there.
        match beyond {
            false => prop_assert_eq!(cost, all * 1_000_000_000_000_000),
            true => prop_assert!(cost <= all * 1_000_000_000_000_000),
        }
    }

    /// By bands: the same sum as token by token.
    #[test]
    fn beyond_is_the_sum_over_tokens(read in 0u64..40, input in 0u64..40, image in 0u64..40) {
        let list = prices_of(
            "{ models: { m: { input: '1', output: '1', input_image: '3', cache_read: '0.1', reprices: beyond, \
             above: [ { tokens: 10, input: '2' }, { tokens: 30, cache_read: '0.5', input: '7', input_image: '8' } ] } } }",
        );
        let prices = list.at("m", 0).unwrap().prices;
        let classes = [(Class::CacheRead, read), (Class::Input, input), (Class::InputImage, image)];
        let tokens = classes.into_iter().flat_map(|(class, count)| (0..count).map(move |_| class));
        let one = |(at, class): (u64, Class)| {
            let above = [30, 10, 0].into_iter().find(|above| at >= *above).unwrap();
            u128::from(prices.picos(above, ServiceTier::Standard, class))
        };
        let expected: u128 = (0..).zip(tokens).map(one).sum();
        let counts = Counts { cache_read: read, input, input_image: image, ..NONE };
        prop_assert_eq!(prices.cost(&counts, ServiceTier::Standard).0, expected);
    }
}
