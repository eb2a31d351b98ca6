//! Counting, merging and telling, from made-up records.

use tollgate_config::{
    Document,
    document::{Model, Named},
    prices::PriceVersion,
};
use tollgate_engine::cost::Cost;
use tollgate_engine::record::{
    Agreed, Agreement, AttemptOutcome, HedgeLost, HedgeOutcome, Hedged, Outcome, Record, Summary,
};
use tollgate_engine::routing::load::TargetLoad;

use super::*;

fn record<'a>() -> Record<'a> {
    Record {
        request_id: "r-1",
        status: 200,
        outcome: Outcome::Complete,
        surface: "chat",
        dialect: "openai",
        key: Some("ci"),
        user: None,
        team: Some("research"),
        model_asked: Some("smart"),
        model: Some((0, "smart")),
        provider: Some((0, "openai")),
        upstream_model: Some("gpt"),
        tags: None,
        arm: None,
        shadow: false,
        embeds: false,
        hedge: None,
        attempts: 1,
        streamed: false,
        resumed: 0,
        rejected: None,
        refusal: None,
        replayed: false,
        cache: None,
        findings: &[],
        compressed: None,
        summary: None,
        agreed: None,
        estimated: false,
        usage: Some(Usage {
            input: Some(10),
            cache_read: Some(5),
            output: Some(7),
            ..Usage::default()
        }),
        cost: Some(Cost {
            usd: PicoUsd(1_000_000_000_001),
            list: PicoUsd(1_000_000_000_001),
            prices: PriceVersion(1),
        }),
        late: None,
        request_body_bytes: 100,
        response_body_bytes: 200,
        total_ns: 3_000_000,
        gateway_ns: 20_000,
        first_token_ns: None,
        media: Default::default(),
    }
}

/// Of a shard: 2 and 3 calls that wait, limits of 18 and 19.
fn load(shard: u16) -> ModelLoad {
    ModelLoad {
        model: "smart".into(),
        waiting: 2 + u64::from(shard),
        targets: vec![TargetLoad {
            provider: "openai".into(),
            target: "gpt".into(),
            limit: 18 + u64::from(shard),
        }],
    }
}

fn ok(provider: usize) -> impl Iterator<Item = (usize, AttemptOutcome)> {
    std::iter::once((provider, AttemptOutcome::Ok))
}

fn page(shards: &[ShardMetrics]) -> String {
    text::render(&Totals::of(shards), &text::Process::default())
}

#[track_caller]
fn holds(page: &str, line: &str) {
    assert!(page.lines().any(|known| known == line), "no line {line:?} in\n{page}");
}

#[test]
fn shards_add_up() {
    let mut shards = [ShardMetrics::new(0), ShardMetrics::new(1)];
    for shard in &mut shards {
        shard.observe(&record(), ok(0));
        shard.gauges(3, 1, [("openai", true), ("openai", false)].into_iter());
        shard.loads = vec![load(shard.id)];
    }
    let rejected = Record {
        status: 401,
        rejected: Some("invalid_api_key"),
        model: None,
        provider: None,
        usage: None,
        cost: None,
        late: None,
        replayed: true,
        ..record()
    };
    shards[1].observe(&rejected, std::iter::empty());
    shards[1].observe(
        &Record {
            outcome: Outcome::Cut,
            ..record()
        },
        std::iter::once((0, AttemptOutcome::Disconnect)),
    );
    shards[1].panicked();
    let page = page(&shards);
    holds(
        &page,
        r#"tollgate_requests_total{model="smart",provider="openai",dialect="openai",status="200",cache="none"} 3"#,
    );
    holds(
        &page,
        r#"tollgate_requests_total{model="",provider="",dialect="openai",status="401",cache="none"} 1"#,
    );
    holds(&page, r#"tollgate_rejected_requests_total{reason="invalid_api_key"} 1"#);
    holds(&page, r#"tollgate_replayed_requests_total{model=""} 1"#);
    holds(&page, r#"tollgate_queue_length{model="smart"} 5"#);
    holds(
        &page,
        r#"tollgate_target_limit{model="smart",provider="openai",target="gpt"} 37"#,
    );
    holds(
        &page,
        r#"tollgate_tokens_total{direction="cache_read",model="smart",provider="openai",team="research"} 15"#,
    );
    holds(
        &page,
        r#"tollgate_cost_usd_total{team="research",model="smart",provider="openai"} 3.000000000003"#,
    );
    holds(
        &page,
        r#"tollgate_upstream_attempts_total{provider="openai",outcome="disconnect"} 1"#,
    );
    holds(
        &page,
        r#"tollgate_upstream_attempts_total{provider="openai",outcome="ok"} 2"#,
    );
    holds(
        &page,
        r#"tollgate_upstream_connections{provider="openai",state="idle"} 2"#,
    );
    holds(&page, r#"tollgate_connections{shard="1"} 3"#);
    holds(&page, r#"tollgate_panics_total{shard="1"} 1"#);
    holds(&page, r#"tollgate_request_duration_seconds_bucket{le="0.005"} 4"#);
    holds(&page, r#"tollgate_gateway_duration_seconds_bucket{le="0.00001"} 0"#);
    holds(&page, "tollgate_request_duration_seconds_count 4");
    assert!(!page.contains("cache_write"), "classes nobody reported are not told");

    let totals = Totals::of(&shards);
    assert_eq!((totals.requests(), totals.failures()), (4, 1));
    let models = totals.models();
    assert_eq!(
        (models[0].requests, models[0].input_tokens, models[0].output_tokens),
        (3, 45, 21)
    );
}

#[test]
fn a_page_is_well_formed_and_told_whole() {
    let mut shard = ShardMetrics::new(0);
    let odd = Record {
        model: Some((0, "a\"b\\c\nd")),
        ..record()
    };
    shard.observe(&odd, ok(0));
    let page = page(&[shard]);
    assert!(page.contains(r#"model="a\"b\\c\nd""#));
    for family in names::ALL {
        assert!(
            page.contains(&format!("# TYPE {} ", family.name)),
            "{} is not told",
            family.name
        );
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap_or_default();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(
            names::ALL
                .iter()
                .any(|family| family.name == base || family.name == name),
            "{line}"
        );
    }
}

#[test]
fn copies_and_second_targets_are_counted_beside_calls() {
    let lost = HedgeLost {
        provider: (1, "spare"),
        input_tokens: Some(11),
        cost: None,
    };
    let hedged = |outcome, lost| Record {
        hedge: Some(Hedged { outcome, lost }),
        ..record()
    };
    let mut shard = ShardMetrics::new(0);
    shard.observe(&hedged(HedgeOutcome::Won, Some(lost)), ok(0));
    assert_eq!(shard.hedges_to_tell(), [("smart".to_owned(), [1, 0, 0, 0])]);
    shard.observe(&hedged(HedgeOutcome::OverBudget, None), ok(0));
    assert_eq!(
        shard.hedges_to_tell(),
        [("smart".to_owned(), [0, 0, 0, 1])],
        "what is new"
    );
    assert_eq!(shard.hedges_to_tell(), []);
    let moved = [(0, AttemptOutcome::Connect), (1, AttemptOutcome::Ok)];
    shard.observe(&record(), moved.into_iter());
    let again = [(0, AttemptOutcome::Status), (0, AttemptOutcome::Ok)];
    shard.observe(&record(), again.into_iter());
    let beaten = [(0, AttemptOutcome::HedgeLost), (1, AttemptOutcome::Ok)];
    shard.observe(&record(), beaten.into_iter());
    assert_eq!(
        shard.failovers_to_tell(),
        [("smart".to_owned(), [1, 0])],
        "only what went elsewhere"
    );
    assert_eq!(shard.failovers_to_tell(), []);
    let copy = Record {
        shadow: true,
        team: None,
        model: Some((1, "other")),
        agreed: Some(Agreed {
            agreement: Agreement::Alike,
            similarity: 0.95,
        }),
        ..record()
    };
    let summed = Record {
        summary: Some(Summary::Used),
        ..record()
    };
    shard.observe(&summed, ok(0));
    let summary = Record {
        surface: "summary",
        model: Some((1, "other")),
        team: Some("summed"),
        status: 429,
        rejected: Some("team_limit"),
        summary: Some(Summary::Failed),
        ..record()
    };
    shard.observe(&summary, ok(0));
    shard.observe(&copy, ok(0));
    shard.observe(
        &Record {
            status: 503,
            usage: None,
            cost: None,
            agreed: None,
            ..copy
        },
        ok(0),
    );
    shard.shadow_dropped("other");
    shard.checked("openai", false);
    let page = page(&[shard.clone(), shard]);
    for line in [
        r#"tollgate_hedges_total{model="smart",outcome="won"} 2"#,
        r#"tollgate_hedges_total{model="smart",outcome="over_budget"} 2"#,
        r#"tollgate_shadow_requests_total{model="other",outcome="ok"} 2"#,
        r#"tollgate_shadow_requests_total{model="other",outcome="failed"} 2"#,
        r#"tollgate_shadow_requests_total{model="other",outcome="dropped"} 2"#,
        r#"tollgate_compared_answers_total{model="other",agreement="alike"} 2"#,
        r#"tollgate_compared_answers_total{model="other",agreement="other"} 0"#,
        r#"tollgate_summaries_total{model="smart",outcome="used"} 2"#,
        r#"tollgate_summaries_total{model="smart",outcome="missed"} 0"#,
        r#"tollgate_summaries_total{model="other",outcome="failed"} 2"#,
        r#"tollgate_tokens_total{direction="output",model="other",provider="openai",team="summed"} 14"#,
        "tollgate_shadow_duration_seconds_count 4",
        r#"tollgate_provider_checks_total{provider="openai",outcome="ill"} 2"#,
        r#"tollgate_tokens_total{direction="output",model="other",provider="openai",team=""} 14"#,
        r#"tollgate_tokens_total{direction="input",model="smart",provider="spare",team="research"} 22"#,
        // Copies and summaries are no requests.
        "tollgate_request_duration_seconds_count 12",
    ] {
        holds(&page, line);
    }
    assert!(!page.contains(r#"tollgate_requests_total{model="other""#));
    assert!(!page.contains(r#"tollgate_rejected_requests_total{reason="team_limit""#));
}

#[test]
fn every_name_has_a_line_in_the_docs() {
    let docs = include_str!("../../../../docs/src/metrics.md");
    for family in names::ALL {
        assert!(
            docs.contains(&format!("`{}", family.name)),
            "docs/src/metrics.md has no line for {}",
            family.name
        );
    }
}

fn named_models(names: &[&str]) -> Named<Model> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), Model::default()))
        .collect()
}

#[test]
fn an_old_revision_s_indices_are_told_by_name() {
    let document = Document {
        models: named_models(&["other", "smart"]),
        ..Document::default()
    };
    let Ok(snapshot) = tollgate_engine::snapshot::compile(7, document, &Default::default()) else {
        return;
    };
    let mut shard = ShardMetrics::new(0);
    shard.revision(&Arc::new(snapshot));
    // Index 0 was "smart" when this exchange began.
    shard.observe(&record(), ok(0));
    shard.observe(
        &Record {
            model: Some((1, "smart")),
            ..record()
        },
        ok(0),
    );
    shard.observe(
        &Record {
            model: Some((0, "other")),
            ..record()
        },
        ok(0),
    );
    let page = page(&[shard]);
    holds(
        &page,
        r#"tollgate_requests_total{model="smart",provider="openai",dialect="openai",status="200",cache="none"} 2"#,
    );
    holds(
        &page,
        r#"tollgate_requests_total{model="other",provider="openai",dialect="openai",status="200",cache="none"} 1"#,
    );
    holds(&page, r#"tollgate_config_revision{shard="0"} 7"#);
}

#[test]
fn busy_ratio_is_of_the_last_window() {
    let mut shard = ShardMetrics::new(0);
    shard.slept(3_000_000_000);
    shard.worked(1_000_000_000);
    assert_eq!(shard.busy_ratio(), 0.0, "no whole window yet");
    shard.slept(0);
    shard.worked(1_000_000_000);
    assert!((shard.busy_ratio() - 0.4).abs() < 1e-9);
    shard.slept(10_000_000_000);
    shard.worked(0);
    assert_eq!(shard.busy_ratio(), 0.0);
}
