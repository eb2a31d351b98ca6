//! How routing by meaning is written wrong, and right: what `check` says.

use tollgate_config::{
    Document,
    check::check,
    document::{Difficulty, Reference, RemoteEmbedding, Strategy},
    parse::parse,
};

fn checked(text: &str) -> Result<Document, String> {
    check(&parse(text).expect("YAML")).map_err(|problems| {
        let line = |problem: &tollgate_config::Problem| {
            let line = problem.line("");
            line.split_once(": ").map_or(line.clone(), |(_, said)| said.to_owned())
        };
        problems.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

fn with(top: &str, model: &str) -> Result<Document, String> {
    checked(&format!(
        "version: 1\n{top}\nproviders: {{ p: {{ kind: openai, credential: env:A }} }}\nmodels: {{ m: {{ {model} }} }}\n"
    ))
}

fn faults(model: &str) -> String {
    with("", model).err().unwrap_or_default()
}

#[test]
fn what_is_right_is_read() {
    let document = with(
        "embedding: { model: file:models/own/, complexity: file:own.weights }",
        "tiers: [ { strategy: semantic, threshold: 0.425, targets: [ { provider: p, model: x, examples: [ a, b ] }, \
         { provider: p, model: y, default: true } ] }, { strategy: complexity, hard_share: 30%, targets: [ \
         { provider: p, model: v, tier: simple }, { provider: p, model: w, tier: hard } ] } ]",
    );
    let document = document.expect("nothing is wrong");
    let file = |path: &str| Some(Reference::File(path.to_owned()));
    assert_eq!(document.embedding.model, file("models/own"));
    assert_eq!(document.embedding.complexity, file("own.weights"));
    let model = &document.models[0].1;
    assert_eq!(model.tiers[0].strategy, Strategy::Semantic);
    assert_eq!(model.tiers[0].judging.threshold_thousandths, 425);
    assert_eq!(model.tiers[1].judging.hard_percent, 30);
    assert_eq!(model.targets[0].purpose.examples, ["a", "b"]);
    assert!(model.targets[1].purpose.is_default);
    assert_eq!(model.targets[3].purpose.difficulty, Some(Difficulty::Hard));
}

#[test]
fn semantic_targets() {
    let strategy = "strategy: semantic, targets:";
    for (model, expected) in [
        (
            format!("{strategy} [ {{ provider: p, model: x }}, {{ provider: p, model: y, examples: [ a ] }} ]"),
            "/models/m/targets/0: the target has no examples; examples: [ \"a prompt it is for\", \"another\" ], or default: true",
        ),
        (
            format!("{strategy} [ {{ provider: p, model: x, default: true }} ]"),
            "/models/m/targets: no target has examples: there is nothing to resemble; examples: [ \"a prompt it is for\", \
             \"another\" ]",
        ),
        (
            format!(
                "{strategy} [ {{ provider: p, model: x, examples: [ a ], default: true }}, {{ provider: p, model: y, default: true }} ]"
            ),
            "/models/m/targets/1/default: there is another default; one default",
        ),
        (
            format!("{strategy} [ {{ provider: p, model: x, examples: [ ' ' ] }} ]"),
            "/models/m/targets/0/examples/0: ` ` is not an example of a prompt; some words, at most 4096 bytes of them",
        ),
        (
            format!("{strategy} [ {{ provider: p, model: x, examples: [] }} ]"),
            "/models/m/targets/0/examples: there are 0 examples; 1 to 256 examples",
        ),
        (
            format!("threshold: 35, {strategy} [ {{ provider: p, model: x, examples: [ a ] }} ]"),
            "/models/m/threshold: `35` is not a similarity; a number from 0 to 1, such as 0.35",
        ),
        (
            format!("hard_share: 30%, {strategy} [ {{ provider: p, model: x, examples: [ a ] }} ]"),
            "/models/m/hard_share: `strategy: semantic` does not go by `hard_share`; `strategy: complexity`, or remove it",
        ),
        (
            format!("{strategy} [ {{ provider: p, model: x, examples: [ a ], tier: hard }} ]"),
            "/models/m/targets/0/tier: `strategy: semantic` does not go by `tier`; `strategy: complexity`, or remove it",
        ),
    ] {
        let said = faults(&model);
        assert!(said.contains(expected), "{model}\nsaid: {said}\nnot: {expected}");
    }
}

#[test]
fn complexity_targets() {
    let strategy = "strategy: complexity, targets:";
    for (model, expected) in [
        (
            format!("{strategy} [ {{ provider: p, model: x, tier: simple }}, {{ provider: p, model: y }} ]"),
            "/models/m/targets/1: `tier` is missing; tier: simple or hard",
        ),
        (
            format!("{strategy} [ {{ provider: p, model: x, tier: simple }} ]"),
            "/models/m/targets: no target is for `hard` prompts; tier: hard for one of them",
        ),
        (
            format!("{strategy} [ {{ provider: p, model: x, tier: easy }} ]"),
            "/models/m/targets/0/tier: `easy` is not what a target is for; simple or hard",
        ),
        (
            "threshold: 0.3, targets: [ { provider: p, model: x } ]".to_owned(),
            "/models/m/threshold: `strategy: priority` does not go by `threshold`; `strategy: semantic`, or remove it",
        ),
        (
            "targets: [ { provider: p, model: x, examples: [ a ] } ]".to_owned(),
            "/models/m/targets/0/examples: `strategy: priority` does not go by `examples`; `strategy: semantic`, or remove it",
        ),
        (
            "hard_share: 30%, tiers: [ { targets: [ { provider: p, model: x } ] } ]".to_owned(),
            "/models/m/hard_share: `hard_share` beside `tiers`; `hard_share` in each of the tiers",
        ),
    ] {
        let said = faults(&model);
        assert!(said.contains(expected), "{model}\nsaid: {said}\nnot: {expected}");
    }
}

#[test]
fn the_embedding_model() {
    let complexity = "strategy: complexity, targets: [ { provider: p, model: x, tier: simple }, { provider: p, model: y, tier: hard } ]";
    let plain = "targets: [ { provider: p, model: x } ]";
    for (top, model, expected) in [
        (
            "embedding: { model: models/own }",
            plain,
            "/embedding/model: `models/own` is not a model's directory; file:DIRECTORY with model.safetensors and tokenizer.json",
        ),
        (
            "embedding: { modell: file:x }",
            plain,
            "/embedding/modell: unknown key `modell`; did you mean `model`?",
        ),
        (
            "embedding: { provider: p }",
            plain,
            "/embedding: `model` is missing; model: the provider's name of an embeddings model, such as text-embedding-3-small",
        ),
        (
            "embedding: { provider: q, model: e }",
            plain,
            "/embedding/provider: there is no provider `q`; did you mean `p`?",
        ),
        (
            "embedding: { provider: p, model: file:x }",
            plain,
            "/embedding/model: beside `provider` the model is one of the provider's, and routing and topics go by the shipped \
             one; the provider's name of an embeddings model, such as text-embedding-3-small, or no `provider`",
        ),
        (
            "embedding: { provider: p, model: e, dimensions: 8 }",
            plain,
            "/embedding/dimensions: `8` is not a number that fits here; a whole number from 16 to 4096",
        ),
        (
            "embedding: { provider: p, model: e, timeout: 6s }",
            plain,
            "/embedding/timeout: `6s` is not a time that a call waits for its vector; 1ms to 5s, such as 150ms",
        ),
        (
            "embedding: { timeout: 1s }",
            plain,
            "/embedding/timeout: `timeout` is said of a model at a provider; `provider` with the name of a provider, or \
             remove it",
        ),
        (
            "embedding: { model: file:x }",
            complexity,
            "/embedding: the model `m` goes by complexity, and the shipped weights know the shipped `embedding.model` only; \
             complexity: file:PATH of weights that `tollgate tune --embedding DIRECTORY` made",
        ),
    ] {
        let said = with(top, model).err().unwrap_or_default();
        assert_eq!(said, expected, "{top}");
    }
}

#[test]
fn an_embedder_at_a_provider() {
    let plain = "targets: [ { provider: p, model: x } ]";
    let read = |embedding: &str| with(&format!("embedding: {{ provider: p, model: e{embedding} }}"), plain);
    let remote = |embedding: &str| read(embedding).expect("nothing is wrong").embedding.remote;
    let right = |dimensions, timeout_ms| {
        Some(RemoteEmbedding {
            provider: "p".to_owned(),
            model: "e".to_owned(),
            dimensions,
            timeout_ms,
        })
    };
    assert_eq!(remote(", dimensions: 256, timeout: 2s"), right(Some(256), 2_000));
    assert_eq!(remote(""), right(None, 150));
    assert_eq!(read("").expect("nothing is wrong").embedding.model, None);
    let anthropic =
        "version: 1\nembedding: { provider: a, model: e }\nproviders: { a: { kind: anthropic, credential: env:A } }\n";
    assert_eq!(
        checked(anthropic).expect_err("it has none"),
        "/embedding/provider: the provider `a` makes no embeddings; a provider that speaks openai, gemini, cohere or bedrock"
    );
}
