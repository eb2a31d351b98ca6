//! Prices that change between calls and for calls that were made, in an order that a seed draws: after each step records with
//! their corrections, sums by the hour, answers and the export are one sum to the pico-dollar, and balances are what calls cost
//! when they were made.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    budgets::{balance, size},
    harness::{Gateway, Sandbox, gateway::provider_with, until},
    spent::{DIALECTS, HELLO, ask, begin, post, setup},
};

const STEPS: u64 = 12;
const CALLS: u64 = 6;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn dialect(&mut self) -> &'static str {
        DIALECTS[self.below(DIALECTS.len() as u64) as usize]
    }
}

/// Pico-dollars for a token in and one out, of each provider.
type Prices = BTreeMap<&'static str, [u64; 2]>;

fn any_prices(dice: &mut Dice) -> Prices {
    // Small and large ones, most of them no whole number of nano-dollars.
    let price = |dice: &mut Dice| {
        let digits = dice.below(8) as u32;
        dice.below(10u64.pow(digits)) + 1
    };
    DIALECTS.map(|dialect| (dialect, [price(dice), price(dice)])).into()
}

/// As a document has it: dollars for a million tokens.
fn in_words(picos: u64) -> String {
    format!("{}.{:06}", picos / 1_000_000, picos % 1_000_000)
}

fn members(prices: [u64; 2]) -> Value {
    json!({ "sandbox-*": { "input": in_words(prices[0]), "output": in_words(prices[1]) } })
}

/// A call of the ledger: whose it is, at which provider, its tokens and what it cost when it was made.
struct Call {
    key: String,
    provider: String,
    tokens: [u64; 2],
    picos: u64,
}

impl Call {
    fn at(&self, prices: &Prices) -> u64 {
        let [input, output] = prices[self.provider.as_str()];
        self.tokens[0] * input + self.tokens[1] * output
    }
}

/// Those that came after so many.
fn calls_after(gateway: &Gateway, known: usize, expected: usize) -> Vec<Call> {
    let ledger = Connection::open(gateway.state_dir.join("usage.db")).expect("the ledger");
    until(&format!("{expected} calls in the ledger"), 10, || {
        let count: i64 = ledger
            .query_row("SELECT COUNT(*) FROM calls", [], |row| row.get(0))
            .ok()?;
        (count == expected as i64).then_some(())
    });
    let sql = "SELECT key, provider, IFNULL(input, 0), IFNULL(output, 0), IFNULL(cost_units, 0) * 1000000000 + \
               IFNULL(cost_rest, 0) FROM calls ORDER BY id LIMIT -1 OFFSET ?";
    let mut statement = ledger.prepare(sql).expect("a question");
    let rows = statement.query_map([known as i64], |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        Ok(Call {
            key: row.get(0)?,
            provider: row.get(1)?,
            tokens: [number(2)?, number(3)?],
            picos: number(4)?,
        })
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("calls")
}

/// A whole answer, a stream, or one that is left in its midst.
fn any_call(gateway: &Gateway, dice: &mut Dice) {
    let (client, target) = (dice.dialect(), dice.dialect());
    let tokens = (1 + dice.below(60)).to_string();
    let kind = dice.below(5);
    if kind > 0 {
        let call = ask(client, &format!("few-{target}"), kind > 2, HELLO);
        post(gateway, client, &call, &[("x-sandbox-tokens", &tokens)]).expect(200);
        return;
    }
    let call = ask(client, &format!("long-{target}"), true, HELLO);
    let mut leaving = begin(gateway, client, &call, &[]);
    while leaving.buf.len() < 1_000 {
        assert!(leaving.read_more(), "{client} at {target}: the stream goes on");
    }
}

fn rows(gateway: &Gateway, query: &str) -> Vec<Value> {
    gateway.usage(&format!("from=2d&{query}"))
}

/// Everything that says what was spent says this.
fn agree(gateway: &Gateway, calls: &[Call], billed: &[u64], why: &str) {
    let total: u64 = billed.iter().sum();
    let ledger = Connection::open(gateway.state_dir.join("usage.db")).expect("the ledger");
    let sum = |table: &str| -> i64 {
        let sql = format!("SELECT IFNULL(SUM(cost_units), 0) * 1000000000 + IFNULL(SUM(cost_rest), 0) FROM {table}");
        ledger.query_row(&sql, [], |row| row.get(0)).expect("a sum")
    };
    assert_eq!(
        sum("calls") + sum("adjustments"),
        total as i64,
        "{why}: records and corrections"
    );
    assert_eq!(sum("hours"), total as i64, "{why}: sums by the hour");
    for by in [
        "by=organization",
        "by=key",
        "by=provider,price_version,entry",
        "by=hour,model,upstream_model",
    ] {
        let rows = rows(gateway, by);
        let told: i128 = rows.iter().map(|row| digits(&row["cost_usd"])).sum();
        // Each row is rounded by itself, by less than a nano-dollar.
        let off = (told * 1_000 - i128::from(total)).unsigned_abs();
        assert!(off <= rows.len() as u128 * 1_000, "{why}: {by}: {told} of {total}");
    }
    let exported: i128 = rows(gateway, "format=focus")
        .iter()
        .map(|row| digits(&row["BilledCost"]))
        .sum();
    assert_eq!(exported, i128::from(total), "{why}: the export");
    let mut of_key = BTreeMap::<&str, u64>::new();
    for call in calls {
        *of_key.entry(&call.key).or_default() += call.picos.div_ceil(1_000);
    }
    for (key, nanos) in &of_key {
        assert_eq!(
            balance(gateway, "key", key, "budget")[1],
            *nanos,
            "{why}: what {key} has spent"
        );
    }
    let all = of_key.values().sum::<u64>();
    assert_eq!(
        balance(gateway, "organization", "", "budget")[1],
        all,
        "{why}: what all have spent"
    );
}

/// Dollars without their point; corrections may be less than nothing.
fn digits(usd: &Value) -> i128 {
    usd.as_str()
        .expect("dollars")
        .replace('.', "")
        .parse()
        .expect("an amount")
}

#[test]
fn whatever_prices_change_records_sums_balances_and_exports_are_one_sum() {
    let seed = size("TOLLGATE_TEST_SEED", 7);
    let mut dice = Dice(seed);
    let sandbox = Sandbox::start();
    let mut setup = setup(&sandbox, &DIALECTS, "{ budget: \"1000 USD\", per: year }");
    setup.top += "organization: { limits: [ { budget: \"10000 USD\", per: year } ] }\n";
    let mut now = any_prices(&mut dice);
    setup.providers = DIALECTS
        .map(|dialect| {
            let prices = format!(", prices: {{ models: {} }}", members(now[dialect]));
            provider_with(dialect, dialect, sandbox.address, &prices)
        })
        .concat();
    setup.models += &DIALECTS
        .map(|dialect| {
            format!("  few-{dialect}: {{ targets: [ {{ provider: {dialect}, model: sandbox-small }} ], retry: {{ attempts: 1 }} }}\n")
        })
        .concat();
    let gateway = setup.start();
    sandbox.plays("rules: [ { model: sandbox-tokens-1000, tokens: 1000, gap: 5ms } ]");
    let (mut calls, mut billed) = (Vec::<Call>::new(), Vec::<u64>::new());
    for step in 0..STEPS {
        let why = format!("TOLLGATE_TEST_SEED={seed}, step {step}");
        match dice.below(3) {
            0 => {
                let dialect = dice.dialect();
                now.insert(dialect, any_prices(&mut dice)[dialect]);
                let path = format!("/v1/config/providers/{dialect}/prices/models");
                gateway
                    .control("PUT", &path, &[], members(now[dialect]).to_string().as_bytes())
                    .expect(200);
            }
            1 => {
                let other = any_prices(&mut dice);
                let mut document = gateway.control("GET", "/v1/config", &[], b"").expect(200).json();
                for (dialect, prices) in &other {
                    document["providers"][dialect]["prices"]["models"] = members(*prices);
                }
                let done = gateway.rerate(&document);
                billed = calls.iter().map(|call| call.at(&other)).collect();
                let told = digits(&done["cost_after_usd"]);
                assert_eq!(told, i128::from(billed.iter().sum::<u64>()), "{why}: {done}");
            }
            _ => {}
        }
        for _ in 0..dice.below(CALLS) {
            any_call(&gateway, &mut dice);
        }
        let arrived = sandbox.report()["requests"].as_u64().expect("a number") as usize;
        for call in calls_after(&gateway, calls.len(), arrived) {
            assert_eq!(call.picos, call.at(&now), "{why}: at the price in force");
            billed.push(call.picos);
            calls.push(call);
        }
        agree(&gateway, &calls, &billed, &why);
    }
    assert!(calls.len() > 10, "{} calls", calls.len());
}
