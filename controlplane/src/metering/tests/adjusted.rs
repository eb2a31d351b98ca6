//! Money: what single records add up to, the sums by the hour, an answer and an export are the same, whatever attempts
//! calls took, however prices were and are corrected, and whatever a provider tells.

use std::{collections::BTreeMap, ops::ControlFlow};

use proptest::{collection::vec, prelude::*};
use tollgate_config::{
    Document,
    check::check,
    money::PicoUsd,
    parse,
    prices::PriceVersion,
    usage_event::{AttemptBuffer, AttemptLine, AttemptOutcome, Tokens, UsageEvent},
};

use super::{
    super::{
        adjust::{self, Adjustment},
        database::Row,
        focus,
        money::Picos,
        question::cost,
        reconcile::{self, Line},
        rerate::rerate,
        row::{NUMBERS, TEXTS},
    },
    BEGINNING_MS, Dimension, HOUR_MS, Metering, Question, World, Zone, close, frame,
    on_postgres::cases,
    open, reader,
};

pub const ALL: [fn(); 4] = [
    records_sums_answers_and_exports_agree_over_any_prices,
    every_number_is_the_same_in_records_and_in_sums,
    what_a_provider_tells_is_compared_explained_and_posted_once,
    calls_that_crashed_or_were_counted_here_explain_what_differs,
];

pub(super) const PROVIDERS: [&str; 2] = ["alpha", "beta"];
pub(super) const MODELS: [&str; 3] = ["m1", "m2", "other"];

/// Prices in dollars for a million tokens.
pub(super) fn document(prices: &[u64]) -> Document {
    let provider = |at: usize| {
        let price = |more: usize| prices.get(2 * at + more).copied().unwrap_or(1);
        format!(
            "  {}: {{ dialect: openai, base_url: \"http://127.0.0.1:1\", prices: {{ models: {{ \"m*\": {{ input: \"{}\", output: \
             \"{}\" }} }} }} }}\n",
            PROVIDERS[at],
            price(0),
            price(1)
        )
    };
    let text = format!("version: 1\nproviders:\n{}{}", provider(0), provider(1));
    check(&parse::parse(&text).unwrap()).unwrap()
}

/// What a call was, and the attempt before it that was billed as well.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub at_ms: u64,
    /// 499 where its client left, 502 where nobody answered: what was billed all the same is billed.
    pub status: u16,
    pub provider: usize,
    pub model: usize,
    pub team: bool,
    pub tokens: (u64, u64),
    pub cost: Option<u64>,
    pub beaten: Option<(usize, u64, u64)>,
}

pub(super) fn any_call() -> impl Strategy<Value = Call> {
    let beaten = proptest::option::of((0..2usize, 0..1_000u64, 0..1_000_000u64));
    let cost = proptest::option::of(any::<u64>());
    (
        0..5 * HOUR_MS,
        (0..2usize, 0..3usize, prop::sample::select(vec![200u16, 200, 499, 502])),
        any::<bool>(),
        (0..10_000u64, 0..10_000u64),
        cost,
        beaten,
    )
        .prop_map(|(at, (provider, model, status), team, tokens, cost, beaten)| Call {
            at_ms: BEGINNING_MS + at,
            status,
            provider,
            model,
            team,
            tokens,
            cost,
            beaten,
        })
}

pub(super) fn written(calls: &[Call]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let sequence = 2 * number as u64 + 1;
        let tokens = |input: u64, output: Option<u64>| -> Tokens {
            let mut tokens = Tokens::default();
            (tokens[0], tokens[4]) = (Some(input), output);
            tokens
        };
        let (beaten_tokens, beaten_cost) = call.beaten.map_or((0, 0), |(_, tokens, cost)| (tokens, cost));
        let mut lines = AttemptBuffer::default();
        if let Some((provider, input, cost)) = call.beaten {
            lines.push(&AttemptLine {
                provider: PROVIDERS[provider],
                model: MODELS[call.model],
                credential: "OTHER",
                end: AttemptOutcome::HedgeLost,
                tokens: tokens(input, None),
                cost: Some((PicoUsd(cost.into()), PriceVersion(5))),
                list: Some(PicoUsd(cost.into())),
                estimated: true,
                ..AttemptLine::default()
            });
        }
        let own_cost = call.cost.map(|cost| (PicoUsd(cost.into()), PriceVersion(1)));
        lines.push(&AttemptLine {
            provider: PROVIDERS[call.provider],
            model: MODELS[call.model],
            credential: "KEY",
            status: call.status,
            tokens: tokens(call.tokens.0, Some(call.tokens.1)),
            cost: own_cost,
            ..AttemptLine::default()
        });
        // Of a call all attempts are in its sums.
        let cost = match (call.cost, call.beaten) {
            (None, None) => None,
            (cost, _) => Some(u128::from(cost.unwrap_or(0)) + u128::from(beaten_cost)),
        };
        let event = UsageEvent {
            ended_unix_ms: call.at_ms,
            status: call.status,
            team: if call.team { "red" } else { "blue" },
            provider: PROVIDERS[call.provider],
            upstream_model: MODELS[call.model],
            credential: "KEY",
            tokens: tokens(call.tokens.0 + beaten_tokens, Some(call.tokens.1)),
            cost: cost.map(|cost| (PicoUsd(cost), PriceVersion(1))),
            list: cost.map(PicoUsd),
            lines: lines.lines(),
            ..close(sequence + 1, sequence)
        };
        bytes.extend(frame(&open(sequence)));
        bytes.extend(frame(&event));
    }
    bytes
}

/// The one sum, four ways.
pub(super) fn sums(metering: &Metering, by: &str) -> [Picos; 4] {
    let mut reader = reader(metering);
    let mut of_table = |table: &str| -> Picos {
        let sum = |name: &str| format!("CAST(IFNULL(SUM({name}), 0) AS BIGINT)");
        let sql = format!("SELECT {}, {} FROM {table}", sum("cost_units"), sum("cost_rest"));
        let mut found = Picos(0);
        let read = |row: &Row<'_>| {
            found = Picos::of_units(row.get(0)?, row.get(1)?);
            Ok(ControlFlow::Continue(()))
        };
        reader.each(&sql, &[], read).unwrap();
        found
    };
    let of_tables = [of_table("billed"), of_table("hours")];
    // Neither end is at a whole hour.
    // Days begin an hour before the first call: corrections are of days.
    let span = (BEGINNING_MS - HOUR_MS - 1, BEGINNING_MS + 5 * HOUR_MS + 1);
    let question = Question::new(
        Dimension::parse_list(by).unwrap(),
        span,
        Zone::named("Asia/Kolkata").unwrap(),
        0,
    );
    let answer = question.ask(&mut reader).unwrap();
    let of_answer = answer.sums.values().map(|sums| cost(sums).0).sum();
    let exported = focus::question(span, Zone::utc(), 0);
    let rows = focus::rows(&exported.ask(&mut reader).unwrap(), &Zone::utc(), 0);
    rows.iter().for_each(super::focus::assert_valid);
    let of_export = rows
        .iter()
        .map(|row| Picos::parse(row["BilledCost"].as_str().unwrap(), 0).unwrap().0)
        .sum();
    [of_tables[0], of_tables[1], Picos(of_answer), Picos(of_export)]
}

/// What calls cost at these prices; those of no known model what they were billed at.
pub(super) fn expected(calls: &[Call], prices: &[u64]) -> i128 {
    let price = |provider: usize, more: usize| i128::from(prices[2 * provider + more]) * 1_000_000;
    let mut sum = 0;
    for call in calls {
        let is_known = MODELS[call.model] != "other";
        sum += match is_known {
            true => {
                i128::from(call.tokens.0) * price(call.provider, 0)
                    + i128::from(call.tokens.1) * price(call.provider, 1)
            }
            false => i128::from(call.cost.unwrap_or(0)),
        };
        if let Some((provider, tokens, cost)) = call.beaten {
            sum += match is_known {
                true => i128::from(tokens) * price(provider, 0),
                false => i128::from(cost),
            };
        }
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(48)))]

    #[test]
    fn records_sums_answers_and_exports_agree_over_any_prices(
        calls in vec(any_call(), 1..12),
        rates in vec(vec(0..1_000u64, 4), 1..4),
    ) {
        let world = World::new();
        world.write(0, 1, &written(&calls));
        let (metering, mut ingest) = world.open();
        ingest.pass().unwrap();
        let billed: i128 = calls
            .iter()
            .map(|call| i128::from(call.cost.unwrap_or(0)) + call.beaten.map_or(0, |(_, _, cost)| i128::from(cost)))
            .sum();
        prop_assert_eq!(sums(&metering, "team"), [Picos(billed); 4]);
        let span = (BEGINNING_MS, BEGINNING_MS + 6 * HOUR_MS);
        for (number, prices) in rates.iter().chain([&rates[0]]).enumerate() {
            let document = document(prices);
            let mut reader = reader(&metering);
            let done = rerate(&mut reader, &document, span).unwrap();
            let posted = adjust::post(&mut reader, &done.adjustments, number as u64).unwrap();
            prop_assert_eq!(posted, done.adjustments.len());
            prop_assert_eq!(adjust::post(&mut reader, &done.adjustments, 9).unwrap(), 0, "once, however often");
            prop_assert_eq!(rerate(&mut reader, &document, span).unwrap().adjustments, vec![], "nothing is left to adjust");
            drop(reader);
            let right = Picos(expected(&calls, prices));
            prop_assert_eq!(done.after, right);
            prop_assert_eq!(sums(&metering, "provider,upstream_model,credential,price_version,entry,day"), [right; 4]);
        }
    }

    /// By every dimension and number single records say what the sums by the hour say.
    #[test]
    fn every_number_is_the_same_in_records_and_in_sums(calls in vec(any_call(), 1..12)) {
        let world = World::new();
        world.write(0, 1, &written(&calls));
        let (metering, mut ingest) = world.open();
        ingest.pass().unwrap();
        let mut reader = reader(&metering);
        let mut read = |from: &str, at: &str| -> BTreeMap<(i64, Vec<String>), Vec<i64>> {
            let numbers = NUMBERS.map(|name| format!("CAST(SUM({name}) AS BIGINT)")).join(", ");
            let groups: Vec<String> = (1..=TEXTS.len() + 1).map(|place| place.to_string()).collect();
            let sql = format!(
                "SELECT {at} / {HOUR_MS} * {HOUR_MS}, {}, {numbers} FROM {from} GROUP BY {}",
                TEXTS.join(", "),
                groups.join(", ")
            );
            let mut rows = BTreeMap::new();
            let take = |row: &Row<'_>| {
                let texts = (1..=TEXTS.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
                let numbers = (0..NUMBERS.len()).map(|at| row.get(1 + TEXTS.len() + at));
                rows.insert((row.get(0)?, texts), numbers.collect::<Result<_, _>>()?);
                Ok(ControlFlow::Continue(()))
            };
            reader.each(&sql, &[], take).unwrap();
            rows
        };
        prop_assert_eq!(read("billed", "at_ms"), read("hours", "hour_ms"));
    }
}

pub(super) fn line(model: &str, counts: &[(&str, i64)], cost: &str) -> Line {
    Line {
        day: "2001-09-09".to_owned(),
        model: model.to_owned(),
        counts: counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect(),
        cost: Some(cost.to_owned()),
        rounded_by: Some("0.000000000500".to_owned()),
        ..Line::default()
    }
}

pub(super) fn compared(metering: &Metering, lines: &[Line]) -> reconcile::Compared {
    let mut reader = reader(metering);
    let by = Dimension::parse_list("day,provider,upstream_model,credential,price_version").unwrap();
    let answer = Question::new(by, (0, u64::MAX), Zone::utc(), 0)
        .ask(&mut reader)
        .unwrap();
    let theirs = reconcile::theirs(lines).unwrap();
    let ours = reconcile::ours(&answer, &["alpha".to_owned()], &theirs);
    reconcile::compare(&reconcile::under_our_names(theirs, &ours), &ours)
}

#[test]
fn what_a_provider_tells_is_compared_explained_and_posted_once() {
    let world = World::new();
    let call = |model: usize, cost: u64| Call {
        at_ms: BEGINNING_MS,
        status: 200,
        provider: 0,
        model,
        team: true,
        tokens: (100, 10),
        cost: Some(cost),
        beaten: None,
    };
    world.write(
        0,
        1,
        &written(&[call(0, 5_000), call(0, 5_000), call(1, 7_000), call(2, 900)]),
    );
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let tokens = |calls: i64| {
        [
            ("requests", calls),
            ("input_tokens", 100 * calls),
            ("output_tokens", 10 * calls),
        ]
    };
    // m1 agrees to what the provider rounds to, under the name of its snapshot; m2 costs more; of `other` there are two more
    // calls, and m9 never passed here.
    let told = [
        line("m1-2001-08-06", &tokens(2), "0.00000001"),
        line("m2", &tokens(1), "0.000000014"),
        line("other", &tokens(3), "0.0000000027"),
        line("m9", &tokens(1), "0.5"),
    ];
    let first = compared(&metering, &told);
    assert_eq!(first.agree, 1);
    let causes = |compared: &reconcile::Compared| -> Vec<(String, Vec<&'static str>)> {
        let each = compared.differences.iter();
        each.map(|one| (one.key.1.clone(), one.causes.iter().map(|(cause, _)| *cause).collect()))
            .collect()
    };
    let expected = [
        ("m2".to_owned(), vec!["price"]),
        ("m9".to_owned(), vec!["bypassed"]),
        ("other".to_owned(), vec!["bypassed"]),
    ];
    assert_eq!(causes(&first), expected);
    let corrections: Vec<Adjustment> = first
        .differences
        .iter()
        .map(|one| reconcile::correction(one, "alpha", BEGINNING_MS))
        .collect();
    let post = || adjust::post(&mut reader(&metering), &corrections, 1).unwrap();
    assert_eq!([post(), post()], [3, 0]);
    let second = compared(&metering, &told);
    assert_eq!((second.agree, second.differences.len()), (4, 0));
    assert_eq!(Some(second.ours_cost), second.theirs_cost);
    // Corrections are entries of their own, and the records are as they were.
    let entries = super::ask(&metering, "entry");
    let values: Vec<(&str, i64)> = entries
        .iter()
        .map(|row| (row["entry"].as_str().unwrap(), row["adjustments"].as_i64().unwrap()))
        .collect();
    assert_eq!(values, [("", 0), ("reconciled", 3)]);
    assert_eq!(entries[0]["cost_usd"], "0.000000018");
    // The provider takes something back.
    let less = compared(&metering, &told[..3]);
    assert_eq!(causes(&less), [("m9".to_owned(), vec!["unbilled"])]);
}

#[test]
fn calls_that_crashed_or_were_counted_here_explain_what_differs() {
    let mut world = World::new();
    let own = UsageEvent {
        provider: "alpha",
        upstream_model: "m1",
        estimated: true,
        ..close(2, 1)
    };
    let left = UsageEvent {
        provider: "alpha",
        upstream_model: "m2",
        ..open(3)
    };
    world.write(0, 1, &[frame(&open(1)), frame(&own), frame(&left)].concat());
    world.alive = None;
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let cost = own
        .cost
        .map(|(usd, _)| Picos(i128::try_from(usd.0).unwrap()).to_string())
        .unwrap();
    let told = [
        line(
            "m1",
            &[("requests", 1), ("input_tokens", 9), ("output_tokens", 5)],
            &cost,
        ),
        line(
            "m2",
            &[("requests", 1), ("input_tokens", 100), ("output_tokens", 3)],
            "1.5",
        ),
    ];
    let found = compared(&metering, &told);
    let causes: Vec<&str> = found
        .differences
        .iter()
        .flat_map(|one| &one.causes)
        .map(|(cause, _)| *cause)
        .collect();
    assert_eq!(causes, ["estimated", "crashed"]);
}
