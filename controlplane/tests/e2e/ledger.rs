//! The ledger as an accountant uses it: attempts, cost centers, exports, forecasts, what a full disk does, and a month from
//! the first record to the provider's bill.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use rusqlite::Connection;
use serde_json::{Value, json};
use tollgate_config::{
    money::PicoUsd,
    prices::PriceVersion,
    usage_event::{HEADER_BYTES, Kind, MAX_FRAME_BYTES, SEGMENT_BYTES, SegmentHeader, SegmentName, UsageEvent},
};

use crate::{
    harness::{
        Client, Gateway, Sandbox, Setup,
        gateway::{chat, provider_with, with_key},
        http::request,
        process::{self, Signal, program},
        until,
    },
    state::on_a_small_disk,
};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A team with a cost center in an organization, and a model whose first target fails.
fn failing_first(sandbox: &Sandbox, more: &str) -> Gateway {
    let mut setup = Setup::to(sandbox.address);
    let prices = ", prices: { discount: 50%, models: { \"sandbox-*\": { input: \"2.00\", output: \"10.00\" } } }";
    setup.providers = [
        provider_with("near", "openai", sandbox.address, prices),
        provider_with("far", "openai", sandbox.address, prices),
    ]
    .concat();
    setup.models = "  smart: { targets: [ { provider: near, model: sandbox-status-500 }, { provider: far, model: sandbox-tokens-11 } ] }\n"
        .to_owned();
    setup.top += "organization: { name: acme, limits: [ { budget: \"100 USD\", per: month } ] }\n";
    setup.top += "teams: { research: { cost_center: CC-1042 } }\n";
    setup.top += more;
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, team: research }\n".to_owned();
    setup.start()
}

#[test]
fn a_record_has_who_pays_each_attempt_and_the_trace() {
    let sandbox = Sandbox::start();
    let gateway = failing_first(&sandbox, "");
    gateway
        .post("/v1/chat/completions", &[("traceparent", TRACE)], &chat("smart", ""))
        .expect(200);
    let by = "by=organization,cost_center,credential,provider,surface,dialect,model_asked,month";
    let found = until("the call to be in the ledger", 20, || {
        gateway.usage(by).first().cloned()
    });
    let expected = [
        ("organization", "acme"),
        ("cost_center", "CC-1042"),
        ("credential", "TOLLGATE_TEST_UPSTREAM"),
        ("provider", "far"),
        ("surface", "chat_completions"),
        ("dialect", "openai"),
        ("model_asked", "smart"),
        ("cost_usd", "0.000060000"),
        ("list_cost_usd", "0.000120000"),
    ];
    for (name, value) in expected {
        assert_eq!(found[name], value, "{name}");
    }
    let ledger = Connection::open(gateway.state_dir.join("usage.db")).expect("a ledger");
    let trace: String = ledger
        .query_row("SELECT lower(hex(trace)) FROM calls", [], |row| row.get(0))
        .expect("a call");
    assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    let mut statement = ledger
        .prepare("SELECT number, provider, upstream_model, credential, status, outcome, input, output FROM attempts")
        .expect("attempts");
    let attempt = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Value> {
        let text = |at: usize| row.get::<_, String>(at);
        let number = |at: usize| row.get::<_, Option<i64>>(at);
        Ok(json!([
            number(0)?,
            text(1)?,
            text(2)?,
            text(3)?,
            number(4)?,
            text(5)?,
            number(6)?,
            number(7)?
        ]))
    };
    let attempts: Vec<Value> = statement
        .query_map([], attempt)
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("attempts");
    assert_eq!(
        attempts,
        [
            json!([
                1,
                "near",
                "sandbox-status-500",
                "TOLLGATE_TEST_UPSTREAM",
                500,
                "status",
                null,
                null
            ]),
            json!([
                2,
                "far",
                "sandbox-tokens-11",
                "TOLLGATE_TEST_UPSTREAM",
                200,
                "ok",
                5,
                11
            ]),
        ]
    );
}

#[test]
fn exports_add_up_and_budgets_are_forecast() {
    let sandbox = Sandbox::start();
    let gateway = failing_first(&sandbox, "timezone: America/New_York\n");
    for _ in 0..3 {
        gateway
            .post("/v1/chat/completions", &[], &chat("smart", ""))
            .expect(200);
    }
    until("the calls to be in the ledger", 20, || {
        gateway.usage("").first().filter(|row| row["requests"] == 3).map(|_| ())
    });
    let said = |arguments: &[&str]| {
        let output = gateway.cli(&[&["usage"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let focus = said(&["--format", "focus"]);
    let mut lines = focus.lines().map(|line| line.trim_end());
    let head: Vec<&str> = lines.next().expect("a head").split(',').collect();
    assert_eq!((head[0], head.len()), ("BilledCost", 35));
    let at = |name: &str| head.iter().position(|column| *column == name).expect("a column");
    let row: Vec<&str> = lines.next().expect("a row").split(',').collect();
    let costs = ["BilledCost", "ContractedCost", "EffectiveCost", "ListCost"].map(|name| row[at(name)]);
    assert_eq!(
        costs,
        ["0.000180000000", "0.000180000000", "0.000180000000", "0.000360000000"]
    );
    let names = [
        "BillingAccountId",
        "ProviderName",
        "ServiceName",
        "SubAccountName",
        "ResourceId",
        "ChargeCategory",
    ];
    let told = names.map(|name| row[at(name)]);
    assert_eq!(
        told,
        ["acme", "far", "sandbox-tokens-11", "research", "tester", "Usage"]
    );
    assert!(
        row[at("ChargePeriodStart")].ends_with("T05:00:00Z") || row[at("ChargePeriodStart")].ends_with("T04:00:00Z")
    );

    let forecast: Value = serde_json::from_str(&said(&["--forecast", "--output", "json"])).expect("JSON");
    let budget = &forecast["rows"][0];
    assert_eq!(
        (&budget["scope"], &budget["unit"], &budget["per"]),
        (&json!("organization"), &json!("budget"), &json!("month"))
    );
    assert_eq!(
        (&budget["used"], &budget["ends_at"]),
        (&json!("0.000180000"), &Value::Null),
        "{budget}"
    );
    // The ledger began within this hour or the last: a day of such hours, not a seventh of that.
    let per_day = budget["per_day"].as_str().expect("dollars").replace('.', "");
    let per_day: u64 = per_day.parse().expect("an amount");
    assert!((180_000 * 12..=180_000 * 24).contains(&per_day), "{budget}");
    assert!(said(&["--forecast"]).starts_with("SCOPE"));
    for wrong in ["timezone=Mars", "format=pdf", "by=colour"] {
        gateway
            .control("GET", &format!("/v1/usage?{wrong}"), &[], b"")
            .expect(400);
    }
    let missing = gateway.cli(&["usage", "rerate", "--from", "1h", "--prices", "99999"]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
}

#[test]
fn strict_records_are_on_the_disk_before_answers_end() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top += "usage: { durability: strict }\n";
    let gateway = setup.start();
    thread::scope(|scope| {
        for client in 0..8 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut kept = Client::connect(gateway.address);
                for call in 0..20 {
                    let more = if (client + call) % 2 == 0 {
                        r#","stream":true"#
                    } else {
                        ""
                    };
                    let body = chat("openai/sandbox-tokens-11", more);
                    let ask = request("POST", "/v1/chat/completions", &with_key(&[]), body.as_bytes());
                    assert_eq!(kept.send(&ask).read().expect("an answer").status, 200);
                }
            });
        }
    });
    until("every call to be in the ledger", 20, || {
        gateway
            .usage("")
            .first()
            .filter(|row| row["requests"] == 160)
            .map(|_| ())
    });
}

#[test]
fn calls_wait_for_room_where_the_document_says_so() {
    let sandbox = Sandbox::start();
    let (gateway, inside, _disk) = on_a_small_disk(&sandbox);
    let keeping = br#"{"on_full":"block","block_for":"2m"}"#;
    gateway.control("PUT", "/v1/config/usage", &[], keeping).expect(200);
    let filler = inside.join("filler");
    std::fs::write(&filler, vec![0; 16 * 1024 * 1024]).expect_err("the disk is full now");
    let tags = format!("call={}", "x".repeat(1000));
    let headers = with_key(&[("x-tollgate-tags", tags.as_str())]);
    let body = chat("openai/sandbox-small", "");
    let ask = request("POST", "/v1/chat/completions", &headers, body.as_bytes());
    let (answered, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client::connect(gateway.address);
            while !stop.load(Ordering::Relaxed) {
                let answer = client.send(&ask).read().expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.text());
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        // The same count at many looks in a row, once there is no more room to be had: the next call waits.
        let (mut before, mut same) = (0, 0);
        until("a call to wait", 60, || {
            let now = answered.load(Ordering::Relaxed);
            same = if now == before { same + 1 } else { 0 };
            before = now;
            (same > 100 && gateway.process.output().contains("usage_spool_full")).then_some(())
        });
        std::fs::remove_file(&filler).expect("removed");
        until("calls to go on", 15, || {
            (answered.load(Ordering::Relaxed) >= before + 5).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });
    let refused = gateway.metric("tollgate_rejected_requests_total", &["reason=\"usage_spool_full\""]);
    assert_eq!(refused, 0.0, "none was refused");
}

/// A spool as a data plane left it that has ended.
pub fn leave_spool(state_dir: &Path, events: &[UsageEvent<'_>]) {
    let name = SegmentName {
        boot: 0xfeed,
        shard: 0,
        number: 1,
    };
    let mut bytes = SegmentHeader(name).write().to_vec();
    assert_eq!(bytes.len(), HEADER_BYTES);
    for event in events {
        let mut frame = [0; MAX_FRAME_BYTES];
        let length = event.write(&mut frame);
        bytes.extend(&frame[..length]);
    }
    assert!(bytes.len() < SEGMENT_BYTES);
    bytes.resize(SEGMENT_BYTES, 0);
    let spool = state_dir.join("spool");
    std::fs::create_dir_all(&spool).expect("a folder");
    std::fs::write(spool.join(name.to_string()), bytes).expect("written");
}

/// The month of docs/src/chargeback.md: what each team called, at 2 and 10 dollars for a million tokens less a tenth.
fn month() -> Vec<UsageEvent<'static>> {
    const DAY_3_MS: u64 = 1_793_664_000_000 + 9 * 3_600_000;
    const DAY_17_MS: u64 = DAY_3_MS + 14 * 86_400_000;
    let research = ("research", "CC-1042", "research-bot");
    let support = ("support", "CC-2001", "support-bot");
    let calls = [
        (DAY_3_MS, 40, research, 10_000, 2_000),
        (DAY_3_MS, 25, support, 4_000, 500),
        (DAY_17_MS, 60, research, 8_000, 1_000),
    ];
    let mut events = Vec::new();
    let of = |at_ms: u64, (team, cost_center, key): (&'static str, &'static str, &'static str), sequence| UsageEvent {
        boot: 0xfeed,
        sequence,
        opened: sequence,
        started_unix_ms: at_ms,
        organization: "acme",
        team,
        cost_center,
        key,
        model: "smart",
        provider: "openai",
        upstream_model: "gpt-5.4",
        credential: "OPENAI_API_KEY",
        surface: "chat_completions",
        dialect: "openai",
        attempts: 1,
        ..UsageEvent::default()
    };
    for (at_ms, count, who, input, output) in calls {
        for _ in 0..count {
            let opened = events.len() as u64 + 1;
            let list = u128::from(input * 2_000_000 + output * 10_000_000);
            events.push(of(at_ms, who, opened));
            events.push(UsageEvent {
                kind: Kind::Close,
                opened,
                ended_unix_ms: at_ms + 1_000,
                status: 200,
                tokens: [Some(input), None, None, None, Some(output), None, None, None, None],
                cost: Some((PicoUsd(list / 10 * 9), PriceVersion(0x0a11))),
                list: Some(PicoUsd(list)),
                ..of(at_ms, who, opened + 1)
            });
        }
    }
    // One was under way when its data plane was killed.
    let last = events.len() as u64 + 1;
    events.push(of(DAY_17_MS, support, last));
    events
}

/// Fenced blocks of a page: what stands behind the fence, and the text.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(info) => {
                inside = true;
                blocks.push((info, String::new()));
            }
            None if inside => {
                let (_, text) = blocks.last_mut().expect("a block");
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// A block's commands again, each with what it says now.
fn said(gateway: &Gateway, folder: &Path, block: &str) -> String {
    let commands = block.lines().filter_map(|line| line.strip_prefix("$ tollgate "));
    let commands: Vec<&str> = commands.collect();
    assert!(!commands.is_empty(), "{block}");
    let said = commands.into_iter().map(|command| {
        let output = Command::new(program("tollgate"))
            .args(command.split(' '))
            .env("TOLLGATE_CONTROL_SOCKET", &gateway.socket)
            .current_dir(folder)
            .output()
            .expect("tollgate runs");
        let told = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
        assert!(
            output.status.success(),
            "$ tollgate {command}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        format!("$ tollgate {command}\n{told}")
    });
    said.collect()
}

/// Every file of the page is written, and every command says what the page says.
#[test]
fn the_chargeback_page_is_true() {
    let page = include_str!("../../../docs/src/chargeback.md");
    let sandbox = Sandbox::start();
    let folder = tempfile::tempdir().expect("a folder");
    let state_dir = folder.path().join("state");
    leave_spool(&state_dir, &month());
    let mut setup = Setup::to(sandbox.address);
    setup.state_dir = Some(state_dir);
    // However late this test runs.
    setup.top += "usage: { retention: { calls: 3600d } }\n";
    setup.top += "organization: { name: acme }\nteams: { research: { cost_center: CC-1042 }, support: { cost_center: CC-2001 } }\n";
    let prices = ", prices: { discount: 10%, models: { gpt-5.4: { input: \"2.00\", output: \"10.00\" } } }";
    setup.providers = provider_with("openai", "openai", sandbox.address, prices);
    setup.models = "  smart: { targets: [ { provider: openai, model: gpt-5.4 } ] }\n".to_owned();
    let gateway = setup.start();
    until("the month to be in the ledger", 20, || {
        gateway
            .usage("from=2026-11&to=2026-12")
            .first()
            .filter(|row| row["crashed"] == 1)
            .map(|_| ())
    });
    let mut true_page = page.to_owned();
    for (info, text) in blocks(page) {
        match info.split_once(',') {
            Some((_, file)) => std::fs::write(folder.path().join(file), text).expect("written"),
            None if info == "console" => {
                let told = said(&gateway, folder.path(), &text);
                true_page = true_page.replacen(&format!("```console\n{text}"), &format!("```console\n{told}"), 1);
            }
            None => {}
        }
    }
    if true_page != page {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chargeback.md");
        std::fs::write(&path, &true_page).expect("written");
        assert_eq!(page, true_page, "as it is true: {}", path.display());
    }
    let all = gateway.usage("from=2026-11&to=2026-12");
    let exported = gateway.usage("from=2026-11&to=2026-12&format=focus");
    let picos = |text: &Value| {
        text.as_str()
            .expect("money")
            .replace('.', "")
            .parse::<i128>()
            .expect("money")
    };
    let sum: i128 = exported.iter().map(|row| picos(&row["BilledCost"])).sum();
    assert_eq!(
        sum,
        picos(&all[0]["cost_usd"]) * 1_000,
        "the export adds up to the ledger"
    );
    assert!(exported.iter().any(|row| row["ChargeCategory"] == "Adjustment"));
}

/// A command line, a copy that is made, a report: what opens the file beside the gateway and closes it again.
#[test]
fn whoever_reads_the_ledgers_file_takes_nothing_from_it() {
    let sandbox = Sandbox::start();
    let mut gateway = failing_first(&sandbox, "");
    gateway
        .post("/v1/chat/completions", &[], &chat("smart", ""))
        .expect(200);
    until("the call to be in the ledger", 20, || {
        gateway.usage("").first().cloned()
    });
    let count = |gateway: &Gateway, table: &str| -> i64 {
        let ledger = Connection::open(gateway.state_dir.join("usage.db")).expect("a ledger");
        let sql = format!("SELECT COUNT(*) FROM {table}");
        ledger.query_row(&sql, [], |row| row.get(0)).expect("a count")
    };
    assert_eq!(count(&gateway, "calls"), 1);
    let mut document = gateway.control("GET", "/v1/config", &[], b"").expect(200).json();
    document["providers"]["far"]["prices"]["models"] = json!({"sandbox-*": {"input": "3.00", "output": "11.00"}});
    let done = gateway.rerate(&document);
    assert_eq!(done["posted"], 1, "{done}");
    assert_eq!(
        count(&gateway, "adjustments"),
        1,
        "what the gateway has posted is in the file"
    );
    let before = gateway.usage("by=entry,provider");
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    gateway.start_again();
    assert_eq!(gateway.usage("by=entry,provider"), before, "and outlives it");
}
