//! Targets that are for calls by what their caller has spent, and by what is left of what callers are charged.

mod rig;

use std::sync::Arc;

use rig::{Did, Rig, dialled, document, reply};
use tollgate_config::{
    Document,
    document::{
        Charge, Conditions, Limit, LimitMode, LimitOwner, Per, Period, SpentShare, Strategy, Tier, Unit, Window,
    },
    prices::{Builder, Class, Prices, ServiceTier},
};
use tollgate_engine::snapshot;

const CHAT: &str = r#"{"model":"gpt","max_tokens":1,"messages":[]}"#;
const TENTH_OF_A_DOLLAR: u64 = 100_000_000_000;

fn by_request(picos: u64) -> Arc<Prices> {
    let mut builder = Builder::default();
    builder.set(0, ServiceTier::Standard, Class::Request, picos);
    builder.set(0, ServiceTier::Standard, Class::Input, 0);
    Arc::new(builder.build().expect("a price"))
}

/// `gpt` goes to `one`, then to `two`, whose calls cost so much each.
fn world(picos: [u64; 2], when: [Conditions; 2]) -> Document {
    let mut document = document();
    for ((_, provider), picos) in document.providers.iter_mut().zip(picos) {
        provider.prices = rig::price_list(&[
            (ServiceTier::Standard, Class::Input, 0),
            (ServiceTier::Standard, Class::Request, picos),
        ]);
    }
    let (_, model) = &mut document.models[0];
    for (target, when) in model.targets.iter_mut().zip(when) {
        target.when = when;
    }
    model.tiers = vec![Tier {
        strategy: Strategy::Priority,
        targets: 2,
        ..Tier::default()
    }];
    document
}

fn monthly(dollars: u64) -> Limit {
    Limit {
        unit: Unit::Budget,
        amount: dollars * 1_000_000_000,
        window: Window::Calendar(Period::Month),
        mode: LimitMode::Enforce,
        hard: false,
        cut: false,
        thresholds: Default::default(),
    }
}

fn spent(above_percent: Option<u32>, below_percent: Option<u32>) -> Conditions {
    Conditions {
        spent_share: Some(SpentShare {
            of: Some(LimitOwner::Key),
            unit: Unit::Budget,
            per: Some(Per::Calendar(Period::Month)),
            above_percent,
            below_percent,
        }),
        ..Conditions::default()
    }
}

fn answer(rig: &mut Rig) {
    const ANSWER: &str = r#"{"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
    rig.connected(1);
    rig.answer(
        1,
        &format!(
            "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
            ANSWER.len()
        ),
    );
    rig.body(1, ANSWER);
    rig.end(1);
}

fn asked(did: &[Did]) -> String {
    dialled(did).remove(0).0
}

#[test]
fn once_most_of_a_budget_is_spent_calls_go_to_the_cheaper_target() {
    let mut document = world([TENTH_OF_A_DOLLAR; 2], [spent(None, Some(80)), spent(Some(80), None)]);
    document.keys[0].1.limits = vec![monthly(1)];
    let mut rig = Rig::new(document);
    for number in 0..10 {
        let did = rig.chat(CHAT);
        // What the call itself reserves is not spent: the eighth finds seven tenths.
        let expected = if number < 8 { "one" } else { "two" };
        assert_eq!(asked(&did), expected, "{number}");
        answer(&mut rig);
    }
    let (status, _, said) = reply(&rig.chat(CHAT));
    assert_eq!(status, 429, "{said}");
}

#[test]
fn other_limits_and_other_callers_count_for_nothing() {
    let mut document = world([TENTH_OF_A_DOLLAR; 2], [spent(None, Some(80)), spent(Some(80), None)]);
    document.keys[0].1.limits = vec![monthly(1_000_000)];
    document.organization = vec![monthly(1)];
    let mut rig = Rig::new(document);
    for _ in 0..9 {
        assert_eq!(
            asked(&rig.chat(CHAT)),
            "one",
            "it is the key's limit that is asked about"
        );
        answer(&mut rig);
    }
    let mut any = spent(Some(50), None);
    any.spent_share.as_mut().expect("it has one").of = None;
    let mut document = world([TENTH_OF_A_DOLLAR; 2], [spent(None, Some(50)), any]);
    document.keys[0].1.limits = vec![monthly(1_000)];
    document.organization = vec![monthly(1)];
    document.models[0].1.targets.swap(0, 1);
    let mut rig = Rig::new(document);
    for number in 0..10 {
        let expected = if number < 5 { "one" } else { "two" };
        assert_eq!(
            asked(&rig.chat(CHAT)),
            expected,
            "{number}: the one of all that is spent most"
        );
        answer(&mut rig);
    }
}

#[test]
fn a_caller_without_such_a_limit_has_spent_nothing_of_it() {
    let document = world([TENTH_OF_A_DOLLAR; 2], [spent(Some(1), None), spent(None, Some(80))]);
    let mut rig = Rig::new(document);
    assert_eq!(asked(&rig.chat(CHAT)), "two");
    let alone = world([TENTH_OF_A_DOLLAR; 2], [spent(Some(1), None), spent(Some(1), None)]);
    let (status, _, said) = reply(&Rig::new(alone).chat(CHAT));
    assert_eq!(status, 403, "{said}");
}

#[test]
fn a_target_that_leaves_too_little_of_what_is_charged_is_not_asked() {
    let needs = |percent| Conditions {
        margin_percent: Some(percent),
        ..Conditions::default()
    };
    let charged = |first: u32, second: u32, picos: u64| {
        let mut document = world(
            [90, 70].map(|cents| cents * TENTH_OF_A_DOLLAR / 100),
            [needs(first), needs(second)],
        );
        document.models[0].1.charge = Some(Charge(by_request(picos)));
        Rig::new(document).chat(CHAT)
    };
    assert_eq!(asked(&charged(10, 30, TENTH_OF_A_DOLLAR)), "one");
    assert_eq!(asked(&charged(11, 30, TENTH_OF_A_DOLLAR)), "two");
    let (status, ..) = reply(&charged(11, 31, TENTH_OF_A_DOLLAR));
    assert_eq!(status, 403);
    assert_eq!(asked(&charged(55, 0, 2 * TENTH_OF_A_DOLLAR)), "one");
    // What costs more than is charged is not asked even without a margin.
    let (status, ..) = reply(&charged(0, 0, TENTH_OF_A_DOLLAR / 2));
    assert_eq!(status, 403);
}

#[test]
fn a_margin_needs_a_price() {
    let mut document = world([TENTH_OF_A_DOLLAR; 2], [Conditions::default(), Conditions::default()]);
    document.providers[1].1.prices = Default::default();
    let (_, model) = &mut document.models[0];
    model.charge = Some(Charge(by_request(TENTH_OF_A_DOLLAR)));
    model.targets[1].when.margin_percent = Some(10);
    let secrets = rig::secrets(&document);
    let problems = snapshot::compile(1, document, &secrets).expect_err("nobody knows what is left");
    let said: Vec<_> = problems
        .iter()
        .map(|problem| (&*problem.pointer, &*problem.wrong))
        .collect();
    assert_eq!(
        said,
        [(
            "/models/gpt/targets/1",
            "`margin` needs a price, and none is known of 'gpt-spare' at 'two'"
        )]
    );
}
