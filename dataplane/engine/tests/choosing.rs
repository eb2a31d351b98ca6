//! Which targets a call may go to, by what it is like and by what providers grant, and what draws it to one of them: through
//! whole exchanges.

mod rig;

use std::collections::BTreeMap;

use rig::{Did, Rig, dialled, document, header, price_list, reply};
use serde_json::Value;
use tollgate_config::{
    Document,
    document::{
        Affinity, Conditions, Days, Feature, Grant, Granted, Hours, Model, Retry, Strategy, Target, Tier, Zone,
    },
    money::NanoUsd,
    prices::{Class, ServiceTier},
};
use tollgate_engine::{Input, exchange::UpstreamFault};

const CHAT: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}]}"#;
const FINE: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 2\n";

/// The rig's document with its model `gpt` changed: targets `one` and `two`.
fn with(change: impl FnOnce(&mut Model)) -> Document {
    let mut document = document();
    document.models[0].1.retry = Retry::default();
    change(&mut document.models[0].1);
    document
}

/// Calls only for the first target where the condition holds; the second takes the rest.
fn when(when: Conditions) -> Rig {
    Rig::new(with(|model| model.targets[0].when = when))
}

fn first(rig: &mut Rig, more: &str, body: &str) -> String {
    let head = format!("POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n{more}");
    let did = rig.request(&head, body.as_bytes());
    dialled(&did).first().unwrap_or_else(|| panic!("{did:?}")).0.clone()
}

fn finish(rig: &mut Rig, attempt: u16) {
    rig.connected(attempt);
    rig.answer(attempt, FINE);
    rig.body(attempt, "{}");
    rig.end(attempt);
}

fn grant(of: Granted, most: u64) -> Grant {
    Grant {
        of,
        most,
        per_ms: 60_000,
    }
}

#[test]
fn what_a_call_asks_for_decides() {
    let picture = r#"{"model":"gpt","messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}"#;
    let tools = r#"{"model":"gpt","messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
    let both = r#"{"model":"gpt","tools":[{}],"messages":[{"content":[{"type":"image_url"}]}]}"#;
    let mut rig = when(Conditions {
        features: [Feature::Vision, Feature::Tools].into_iter().collect(),
        ..Conditions::default()
    });
    for (body, asked) in [(CHAT, "two"), (picture, "two"), (tools, "two"), (both, "one")] {
        assert_eq!(first(&mut rig, "", body), asked, "{body}");
    }
    let mut rig = when(Conditions {
        without: [Feature::Streaming, Feature::Tools].into_iter().collect(),
        ..Conditions::default()
    });
    let streamed = r#"{"model":"gpt","stream":true,"messages":[]}"#;
    for (body, asked) in [(CHAT, "one"), (picture, "one"), (tools, "two"), (streamed, "two")] {
        assert_eq!(first(&mut rig, "", body), asked, "{body}");
    }
}

#[test]
fn how_long_a_prompt_is_decides() {
    let mut rig = when(Conditions {
        min_tokens: Some(100),
        max_tokens: Some(200),
        ..Conditions::default()
    });
    for (bytes, asked) in [(1, "two"), (500, "one"), (1_000, "two")] {
        let body = format!(
            r#"{{"model":"gpt","messages":[{{"role":"user","content":"{}"}}]}}"#,
            "x".repeat(bytes)
        );
        assert_eq!(first(&mut rig, "", &body), asked, "{bytes}");
    }
}

#[test]
fn the_clock_of_a_place_decides() {
    // The rig's clock shows Friday, 2027-01-15, 08:00 in UTC.
    let ahead = |hours: i32| Zone {
        name: "X".into(),
        changes: [(0, hours * 3_600)].into_iter().collect(),
    };
    for (days, from, to, zone, asked) in [
        (Days::ALL, 8 * 60, 9 * 60, Zone::utc(), "one"),
        (Days::ALL, 7 * 60, 8 * 60, Zone::utc(), "two"),
        (Days(0b1_0000), 0, 1_440, Zone::utc(), "one"),
        (Days(0b0_1111), 0, 1_440, Zone::utc(), "two"),
        (Days::ALL, 9 * 60, 10 * 60, ahead(1), "one"),
        (Days(0b10_0000), 0, 2 * 60, ahead(17), "one"),
    ] {
        let hours = Hours {
            days,
            from_minute: from,
            to_minute: to,
            zone,
        };
        let mut rig = when(Conditions {
            hours: Some(hours.clone()),
            ..Conditions::default()
        });
        assert_eq!(first(&mut rig, "", CHAT), asked, "{hours:?}");
    }
}

#[test]
fn what_a_call_may_cost_decides() {
    let dollars = |input: u64, output: u64| {
        let price = |class, dollars: u64| (ServiceTier::Standard, class, dollars * 1_000_000);
        price_list(&[price(Class::Input, input), price(Class::Output, output)])
    };
    let mut document = with(|model| {
        model.targets[0].when.max_cost = Some(NanoUsd(1_000_000));
    });
    let unpriced = tollgate_engine::snapshot::compile(1, document.clone(), &rig::secrets(&document));
    let problems = unpriced.expect_err("nobody knows what it costs");
    assert_eq!(problems[0].pointer, "/models/gpt/targets/0");
    assert!(problems[0].wrong.contains("`max_cost` needs a price"), "{problems:?}");

    for (_, provider) in &mut document.providers {
        provider.prices = dollars(1, 10);
    }
    let mut rig = Rig::new(document);
    // 300 tokens of answer are expected of a call that sets no bound: three thousandths of a dollar.
    assert_eq!(first(&mut rig, "", CHAT), "two");
    let bounded = r#"{"model":"gpt","max_tokens":50,"messages":[]}"#;
    assert_eq!(first(&mut rig, "", bounded), "one");
}

/// Targets `one` in `eu` and `two` in none; the key `few` must stay in `eu`.
fn regions() -> Document {
    let mut document = with(|model| model.targets[0].region = Some("eu".into()));
    for (name, key) in &mut document.keys {
        key.pass_through = true;
        if name == "few" {
            key.residency = vec!["eu".into(), "ch".into()];
        }
    }
    document
}

fn few(more: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-few\n{more}")
}

#[test]
fn calls_that_must_stay_in_a_region_go_nowhere_else() {
    let mut rig = Rig::new(regions());
    assert_eq!(dialled(&rig.request(&few(""), CHAT.as_bytes()))[0].0, "one");
    // Not even when the only target there fails.
    let mut did = rig.failed(1, UpstreamFault::Connect);
    for _ in 0..5 {
        assert!(dialled(&did).iter().all(|(provider, _)| provider == "one"), "{did:?}");
        if did.contains(&Did::Settle) {
            break;
        }
        did = match dialled(&did).is_empty() {
            true => rig.expire(),
            false => rig.failed(rig.exchange.record().attempts.into(), UpstreamFault::Connect),
        };
    }
    // A call may narrow it by a tag, and cannot widen it.
    let (status, _, said) = reply(&rig.request(&few("x-tollgate-tags: residency=us\n"), CHAT.as_bytes()));
    assert_eq!(status, 403);
    assert!(said.contains("'gpt'") && said.contains("eu or ch, and us"), "{said}");
    let mut tagged = Rig::new(regions());
    assert_eq!(
        first(&mut tagged, "x-tollgate-tags: a=b, residency = eu\n", CHAT),
        "one"
    );

    let mut elsewhere = regions();
    elsewhere.models[0].1.targets[0].region = Some("us".into());
    let mut rig = Rig::new(elsewhere);
    let (status, _, said) = reply(&rig.request(&few(""), CHAT.as_bytes()));
    assert_eq!(status, 403);
    assert!(
        said.contains("model_not_allowed") && said.contains("eu or ch"),
        "{said}"
    );
}

#[test]
fn a_teams_region_holds_beside_the_keys_and_for_paths_without_a_model() {
    let mut document = regions();
    document.teams = vec![(
        "research".into(),
        tollgate_config::document::Team {
            residency: vec!["ch".into()],
            ..Default::default()
        },
    )];
    let mut rig = Rig::new(document.clone());
    assert_eq!(
        reply(&rig.request(&few(""), CHAT.as_bytes())).0,
        403,
        "`eu` is not the team's"
    );
    let direct = "POST /providers/one/x HTTP/1.1\nhost: g\nauthorization: Bearer secret-few\n";
    assert_eq!(reply(&rig.request(direct, b"{}")).0, 403, "nobody knows where it is");
    document.providers[0].1.residency = Some("ch".into());
    document.models[0].1.targets[0].region = None;
    let mut rig = Rig::new(document);
    assert_eq!(dialled(&rig.request(direct, b"{}"))[0].0, "one");
    assert_eq!(
        dialled(&rig.request(&few(""), CHAT.as_bytes()))[0].0,
        "one",
        "its targets are where it is"
    );
}

#[test]
fn whoever_has_nothing_left_of_its_providers_limit_is_passed_over() {
    for strategy in [
        Strategy::Priority,
        Strategy::Weighted,
        Strategy::LeastBusy,
        Strategy::LeastLatency,
    ] {
        let mut document = with(|model| {
            model.tiers = vec![Tier {
                strategy,
                targets: 2,
                ..Tier::default()
            }];
        });
        document.providers[0].1.grants = vec![grant(Granted::Requests, 5)];
        document.providers[1].1.grants = vec![grant(Granted::Requests, 10)];
        let mut rig = Rig::new(document);
        let mut asked: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..15 {
            *asked.entry(first(&mut rig, "", CHAT)).or_default() += 1;
            finish(&mut rig, 1);
        }
        assert_eq!(asked, [("one".into(), 5), ("two".into(), 10)].into(), "{strategy:?}");
        let (status, head, said) = reply(&rig.chat(CHAT));
        assert_eq!(status, 429, "{strategy:?}: {said}");
        assert_eq!(rig.exchange.record().attempts, 0, "nobody was asked");
        assert!(
            said.contains("rate_limit_exceeded") && said.contains("requests in 60 s"),
            "{said}"
        );
        let wait_s: u64 = header(&head, "retry-after").expect("when").parse().expect("seconds");
        assert!((1..=12).contains(&wait_s), "{wait_s}");
        rig.now = rig.now.plus_ms(12_000);
        first(&mut rig, "", CHAT);
    }
}

#[test]
fn tokens_are_taken_as_expected_and_counted_as_used() {
    let mut document = with(|model| {
        model.targets.truncate(1);
    });
    document.providers[0].1.grants = vec![grant(Granted::Tokens, 1_000)];
    let mut rig = Rig::new(document);
    let call = r#"{"model":"gpt","max_tokens":600,"messages":[]}"#;
    let usage =
        |prompt: u64, answer: u64| format!(r#"{{"usage":{{"prompt_tokens":{prompt},"completion_tokens":{answer}}}}}"#);
    let answered = |rig: &mut Rig, used: &str| {
        assert_eq!(first(rig, "", call), "one");
        rig.connected(1);
        let head = format!(
            "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
            used.len()
        );
        rig.answer(1, &head);
        rig.body(1, used);
        rig.end(1);
    };
    // Of the 300 that are expected of an answer ten were used: that is how the model answers, and others find room.
    answered(&mut rig, &usage(10, 10));
    for _ in 0..5 {
        answered(&mut rig, &usage(10, 10));
    }
    // One that uses more than there was leaves a debt.
    answered(&mut rig, &usage(10, 1_400));
    let (status, head, said) = reply(&rig.chat(call));
    assert_eq!(status, 429, "{said}");
    let wait_s: u64 = header(&head, "retry-after").expect("when").parse().expect("seconds");
    assert!((30..=40).contains(&wait_s), "530 tokens are owed: {wait_s}");
    // What came to nothing is given back.
    rig.now = rig.now.plus_ms(120_000);
    for _ in 0..50 {
        assert_eq!(first(&mut rig, "", call), "one");
        rig.connected(1);
        rig.answer(1, "HTTP/1.1 404 No\ncontent-length: 0\n");
        rig.end(1);
        assert_eq!(rig.exchange.record().status, 404);
    }
}

#[test]
fn a_limit_is_kept_from_one_document_to_the_next_and_shared_by_shards() {
    let mut document = with(|model| model.targets.truncate(1));
    document.providers[0].1.grants = vec![grant(Granted::Requests, 4)];
    let mut rig = Rig::new(document.clone());
    for _ in 0..2 {
        first(&mut rig, "", CHAT);
        finish(&mut rig, 1);
    }
    // Another shard of the same node has its own memory and the same buckets.
    let mut other = Rig::sharing(rig.pinned.clone());
    first(&mut other, "", CHAT);
    finish(&mut other, 1);
    let before = &rig.pinned.snapshot.slots;
    let secrets = rig::secrets(&document);
    let after = tollgate_engine::snapshot::compile_after(before, 2, document, &secrets).expect("it compiles");
    let mut later = Rig::sharing(std::rc::Rc::new(tollgate_engine::exchange::Pinned {
        snapshot: std::sync::Arc::new(after),
        keys: rig.pinned.keys.clone(),
    }));
    first(&mut later, "", CHAT);
    finish(&mut later, 1);
    assert_eq!(reply(&later.chat(CHAT)).0, 429);
}

/// Many targets of one provider each, drawn to by prompts.
fn drawn(strategy: Strategy, targets: usize) -> Document {
    with(|model| {
        let target = model.targets[0].clone();
        model.targets = (0..targets)
            .map(|number| Target {
                model: format!("m{number}"),
                ..target.clone()
            })
            .collect();
        model.tiers = vec![Tier {
            strategy,
            affinity: Some(Affinity::Prefix),
            targets,
            ..Tier::default()
        }];
    })
}

fn prompt(topic: usize, question: usize) -> String {
    let long = format!("All there is to know about topic {topic}. ").repeat(100);
    format!(r#"{{"model":"gpt","messages":[{{"role":"user","content":"{long}{question}"}}]}}"#)
}

/// Which target a prompt goes to; the call goes on.
fn goes_to(rig: &mut Rig, body: &str) -> String {
    first(rig, "", body);
    rig.exchange.record().upstream_model.expect("a target").to_owned()
}

#[test]
fn prompts_that_begin_alike_go_one_way_by_every_strategy() {
    for strategy in [
        Strategy::Weighted,
        Strategy::LeastLatency,
        Strategy::LeastBusy,
        Strategy::Headroom,
    ] {
        let mut rig = Rig::new(drawn(strategy, 8));
        let mut used = std::collections::BTreeSet::new();
        for topic in 0..40 {
            let at = goes_to(&mut rig, &prompt(topic, 0));
            finish(&mut rig, 1);
            for question in 1..4 {
                assert_eq!(goes_to(&mut rig, &prompt(topic, question)), at, "{strategy:?}");
                finish(&mut rig, 1);
            }
            // A shard that never saw it, on another node, agrees.
            let mut other = Rig::new(drawn(strategy, 8));
            other.local.seed = 99;
            assert_eq!(goes_to(&mut other, &prompt(topic, 5)), at, "{strategy:?}");
            used.insert(at);
        }
        assert!(used.len() >= 6, "{strategy:?}: all of it went to {used:?}");
    }
}

#[test]
fn few_beginnings_move_when_a_target_comes() {
    let (mut ten, mut eleven) = (
        Rig::new(drawn(Strategy::Weighted, 10)),
        Rig::new(drawn(Strategy::Weighted, 11)),
    );
    let moved = (0..1_000).filter(|&topic| {
        let body = prompt(topic, 0);
        let at = goes_to(&mut ten, &body);
        rig_gone(&mut ten);
        let then = goes_to(&mut eleven, &body);
        rig_gone(&mut eleven);
        at != then
    });
    let moved = moved.count();
    assert!(moved <= 91 + 50, "one in eleven has to move: {moved} of 1000 did");
}

fn rig_gone(rig: &mut Rig) {
    rig.feed(Input::ClientGone);
}

#[test]
fn a_beginning_that_everybody_has_does_not_bury_one_target() {
    let first_rig = Rig::new(drawn(Strategy::LeastBusy, 4));
    let mut local = tollgate_engine::Local::default();
    let mut under_way: BTreeMap<String, u32> = BTreeMap::new();
    let mut rigs = Vec::new();
    for question in 0..100 {
        let mut rig = Rig::sharing(first_rig.pinned.clone());
        std::mem::swap(&mut rig.local, &mut local);
        let at = goes_to(&mut rig, &prompt(0, question));
        std::mem::swap(&mut rig.local, &mut local);
        *under_way.entry(at).or_default() += 1;
        rigs.push(rig);
        let mean = f64::from(question as u32 + 1) / 4.0;
        let most = under_way.values().max().copied().unwrap_or_default();
        assert!(
            f64::from(most) <= 1.25 * mean + 2.0,
            "{under_way:?} after {} calls",
            question + 1
        );
    }
    assert_eq!(under_way.len(), 4);
}

#[test]
fn what_is_known_of_a_beginning_is_forgotten_and_health_comes_first() {
    let mut document = drawn(Strategy::Weighted, 2);
    document.models[0].1.targets[1].provider = "two".into();
    let mut rig = Rig::new(document);
    let body = prompt(3, 0);
    let at = first(&mut rig, "", &body);
    // It fails there: the other answers, and has seen the beginning.
    assert_ne!(dialled(&rig.failed(1, UpstreamFault::Connect))[0].0, at);
    finish(&mut rig, 2);
    for _ in 0..20 {
        assert_ne!(first(&mut rig, "", &body), at, "where it was seen");
        finish(&mut rig, 1);
    }
    rig.now = rig.now.plus_ms(400_000);
    assert_eq!(first(&mut rig, "", &body), at, "nobody has it any more: by its hash");
}

#[test]
fn with_lowest_cost_a_beginning_decides_among_equals() {
    let price = |dollars: u64| {
        let price = |class| (ServiceTier::Standard, class, dollars * 1_000_000);
        price_list(&[price(Class::Input), price(Class::Output)])
    };
    let mut document = drawn(Strategy::LowestCost, 3);
    document.models[0].1.targets[2].provider = "two".into();
    document.providers[0].1.prices = price(2);
    document.providers[1].1.prices = price(3);
    let mut used = std::collections::BTreeSet::new();
    for topic in 0..40 {
        let mut rig = Rig::new(document.clone());
        used.insert(goes_to(&mut rig, &prompt(topic, 0)));
    }
    assert_eq!(
        used.into_iter().collect::<Vec<_>>(),
        ["m0", "m1"],
        "never the dearer one"
    );
}

fn told(lines: &str) -> Value {
    let told = header(lines, "x-tollgate-explain").unwrap_or_else(|| panic!("no header in {lines}"));
    assert!(told.len() <= 4096, "{}", told.len());
    serde_json::from_str(told).expect("JSON")
}

#[test]
fn a_client_that_may_ask_is_told_why() {
    let mut document = with(|model| {
        model.targets[1].when.tags = vec![("app".into(), "x".into())];
        let target = model.targets[0].clone();
        model.targets.push(Target {
            provider: "two".into(),
            ..target
        });
    });
    document.keys[0].1.explain = true;
    let mut rig = Rig::new(document.clone());
    assert_eq!(first(&mut rig, "x-tollgate-explain: 1\n", CHAT), "one");
    assert_eq!(dialled(&rig.failed(1, UpstreamFault::Connect))[0].0, "two");
    rig.connected(2);
    let did = rig.answer(2, FINE);
    let Some(Did::Head { lines, .. }) = did.first() else {
        panic!("{did:?}")
    };
    let why = told(lines);
    assert_eq!(why["decision"], "one/gpt-real is asked first");
    assert_eq!(why["candidates"].as_array().map(Vec::len), Some(3));
    assert_eq!(why["candidates"][0]["chosen"], true);
    assert_eq!(why["candidates"][0]["why"], "number 1 by its place in the list");
    assert_eq!(
        why["candidates"][1]["why"],
        "its `when` does not hold for this call: tags"
    );
    assert_eq!(why["failed_before"], serde_json::json!([["one", "connect"]]));

    // A refusal is told as well.
    for target in &mut document.models[0].1.targets {
        target.when.tags = vec![("app".into(), "x".into())];
    }
    let head = "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\nx-tollgate-explain: 1\n";
    let mut refused = Rig::new(document.clone());
    let (status, lines, _) = reply(&refused.request(head, CHAT.as_bytes()));
    assert_eq!(status, 403);
    assert_eq!(told(&lines)["decision"], "refused with 403, code model_not_allowed");

    // Not asked, or not allowed to.
    let unasked = head.replace("x-tollgate-explain: 1\n", "");
    let foreign = head.replace("secret-all", "secret-few");
    for head in [unasked.as_str(), foreign.as_str()] {
        let (_, lines, _) = reply(&refused.request(head, CHAT.as_bytes()));
        assert_eq!(header(&lines, "x-tollgate-explain"), None);
    }
}

#[test]
fn of_very_many_targets_the_chosen_one_is_told() {
    let mut document = with(|model| {
        let target = model.targets[0].clone();
        model.targets = (0..64)
            .map(|number| Target {
                model: format!("a-rather-long-name-of-a-model-{number}"),
                ..target.clone()
            })
            .collect();
    });
    document.keys[0].1.explain = true;
    let mut rig = Rig::new(document);
    first(&mut rig, "x-tollgate-explain: 1\n", CHAT);
    rig.connected(1);
    let did = rig.answer(1, FINE);
    let Some(Did::Head { lines, .. }) = did.first() else {
        panic!("{did:?}")
    };
    let why = told(lines);
    assert_eq!(why["candidates"].as_array().map(Vec::len), Some(1));
    assert_eq!(why["candidates"][0]["chosen"], true);
    assert_eq!(why["left_out"], 63);
}
