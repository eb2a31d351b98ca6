//! Re-rating and reconciliation in any order: the ledger says what its calls cost at the prices of the last re-rating, or
//! where a provider's bill was posted what that says; and every way to ask for the sum gives the same.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use tollgate_config::{
    check::check,
    parse,
    usage_event::{AttemptBuffer, AttemptLine, Ending, UsageEvent},
};

use super::{
    super::{
        adjust::{self, Adjustment},
        money::Picos,
        reconcile,
        rerate::rerate,
    },
    BEGINNING_MS, HOUR_MS, Metering, World,
    adjusted::{Call, MODELS, PROVIDERS, any_call, compared, document, expected, line, sums, written},
    close, frame,
    on_postgres::cases,
    open, reader,
};

pub const ALL: [fn(); 2] = [
    the_sum_is_right_whatever_is_rerated_and_reconciled_in_whatever_order,
    a_request_is_paid_to_who_answered_it_or_billed_it_and_once,
];

const SPAN: (u64, u64) = (BEGINNING_MS, BEGINNING_MS + 6 * HOUR_MS);
/// The first provider's, whose account is compared.
const OURS: usize = 0;

#[derive(Clone, Debug)]
enum Step {
    Rerate(Vec<u64>),
    /// The provider bills so much more for a model, or less.
    Reconcile(usize, i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        vec(0..1_000u64, 4).prop_map(Step::Rerate),
        (0..MODELS.len(), -1_000_000_000..1_000_000_000i64).prop_map(|(model, off)| Step::Reconcile(model, off)),
    ]
}

/// What the ledger has to say of each provider and model.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    calls: i128,
    total: i128,
    is_agreed: bool,
}

type Accounts = BTreeMap<(usize, usize), Account>;

/// Calls of one provider and model, each attempt as a call of its own.
fn parts(calls: &[Call]) -> BTreeMap<(usize, usize), Vec<Call>> {
    let mut parts = BTreeMap::<_, Vec<Call>>::new();
    for call in calls {
        let own = Call {
            beaten: None,
            ..call.clone()
        };
        parts.entry((call.provider, call.model)).or_default().push(own);
        if let Some((provider, tokens, cost)) = call.beaten {
            let other = Call {
                provider,
                tokens: (tokens, 0),
                cost: Some(cost),
                beaten: None,
                ..call.clone()
            };
            parts.entry((provider, call.model)).or_default().push(other);
        }
    }
    parts
}

fn take_step(metering: &Metering, step: &Step, parts: &BTreeMap<(usize, usize), Vec<Call>>, accounts: &mut Accounts) {
    match step {
        Step::Rerate(prices) => {
            let mut reader = reader(metering);
            let done = rerate(&mut reader, &document(prices), SPAN).unwrap();
            adjust::post(&mut reader, &done.adjustments, 1).unwrap();
            assert_eq!(
                adjust::post(&mut reader, &done.adjustments, 2).unwrap(),
                0,
                "once, however often"
            );
            let left = rerate(&mut reader, &document(prices), SPAN).unwrap();
            assert_eq!(left.adjustments, vec![], "nothing is left to adjust");
            for (of, account) in accounts.iter_mut() {
                let now = expected(&parts[of], prices);
                let more = now - std::mem::replace(&mut account.calls, now);
                account.total += if account.is_agreed { 0 } else { more };
            }
        }
        Step::Reconcile(model, off) => {
            let Some(account) = accounts.get_mut(&(OURS, *model)) else {
                return;
            };
            let told = Picos((account.total + i128::from(*off)).max(0));
            let bill = line(MODELS[*model], &[], &told.to_string());
            let found = compared(metering, &[bill]);
            let of_model: Vec<Adjustment> = found
                .differences
                .iter()
                .filter(|one| one.key.1 == MODELS[*model])
                .map(|one| reconcile::correction(one, PROVIDERS[OURS], BEGINNING_MS / (24 * HOUR_MS) * 24 * HOUR_MS))
                .collect();
            if of_model.is_empty() {
                // Within what the provider rounds to.
                return;
            }
            adjust::post(&mut reader(metering), &of_model, 3).unwrap();
            (account.total, account.is_agreed) = (told.0, true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(48)))]

    #[test]
    fn the_sum_is_right_whatever_is_rerated_and_reconciled_in_whatever_order(
        calls in vec(any_call(), 1..12),
        steps in vec(any_step(), 1..8),
    ) {
        let world = World::new();
        world.write(0, 1, &written(&calls));
        let (metering, mut ingest) = world.open();
        ingest.pass().unwrap();
        let parts = parts(&calls);
        let billed = |calls: &Vec<Call>| -> i128 { calls.iter().map(|call| i128::from(call.cost.unwrap_or(0))).sum() };
        let account = |calls: i128| Account { calls, total: calls, is_agreed: false };
        let mut accounts: Accounts = parts.iter().map(|(of, calls)| (*of, account(billed(calls)))).collect();
        for step in &steps {
            take_step(&metering, step, &parts, &mut accounts);
            let right = Picos(accounts.values().map(|account| account.total).sum());
            prop_assert_eq!(sums(&metering, "team,model,entry"), [right; 4], "after {:?}", step);
        }
    }
}

/// A price for each request, and calls of which a part was answered by nobody.
#[test]
fn a_request_is_paid_to_who_answered_it_or_billed_it_and_once() {
    let own = |provider, status| AttemptLine {
        provider,
        model: "m",
        credential: "K",
        status,
        ..AttemptLine::default()
    };
    let cost = |usd: u128| {
        Some((
            tollgate_config::money::PicoUsd(usd),
            tollgate_config::prices::PriceVersion(1),
        ))
    };
    // Answered by the first, and under the name of the second, which was asked last.
    let mut elsewhere = AttemptBuffer::default();
    elsewhere.push(&AttemptLine {
        cost: cost(1),
        ..own("alpha", 200)
    });
    elsewhere.push(&own("beta", 0));
    // Failed twice, and billed for neither.
    let mut failed = AttemptBuffer::default();
    failed.push(&own("alpha", 500));
    failed.push(&own("beta", 500));
    let event = |at: u64, status, usd: Option<u128>| UsageEvent {
        provider: "beta",
        upstream_model: "m",
        credential: "K",
        tokens: Default::default(),
        status,
        cost: usd.and_then(cost),
        list: None,
        ended_unix_ms: BEGINNING_MS,
        ..close(at + 1, at)
    };
    let events = [
        UsageEvent {
            lines: elsewhere.lines(),
            ..event(1, 200, Some(1))
        },
        UsageEvent {
            lines: failed.lines(),
            ..event(3, 502, None)
        },
        UsageEvent {
            ending: Ending::ClientGone,
            ..event(5, 499, Some(5))
        },
        event(7, 200, None),
    ];
    let world = World::new();
    let frames = events
        .iter()
        .flat_map(|event| [frame(&open(event.opened)), frame(event)]);
    world.write(0, 1, &frames.flatten().collect::<Vec<u8>>());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let text = "version: 1\nproviders:\n  alpha: { dialect: cohere, base_url: \"http://127.0.0.1:1\", prices: { models: { m: { request: \
                \"0.002\" } } } }\n  beta: { dialect: cohere, base_url: \"http://127.0.0.1:1\", prices: { models: { m: { request: \
                \"0.003\" } } } }\n";
    let document = check(&parse::parse(text).unwrap()).unwrap();
    let done = rerate(&mut reader(&metering), &document, SPAN).unwrap();
    // One request of alpha's and two of beta's: the one given up with a cost, and the one answered.
    let prices = |of: &str| Picos::parse(of, 0).unwrap().0;
    assert_eq!((done.priced, done.after.0), (3, prices("0.002") + 2 * prices("0.003")));
}
