//! Routing by what prompts mean, through whole exchanges: whose examples a prompt resembles, how hard it is, and what becomes of
//! calls when there is nothing to judge with.

mod rig;

use rig::{Rig, dialled, document};
use tollgate_config::{
    Document,
    document::{Difficulty, Judging, Model, Purpose, Reference, Strategy, Tier},
};

const LAW: [&str; 3] = [
    "review this contract clause",
    "is this legal",
    "what does the law say about notice periods",
];
const CODE: [&str; 3] = [
    "why does this test fail",
    "explain this stack trace",
    "write a unit test",
];

fn with(change: impl FnOnce(&mut Model)) -> Document {
    let mut document = document();
    change(&mut document.models[0].1);
    document
}

fn purpose(examples: &[&str], is_default: bool) -> Purpose {
    Purpose {
        examples: examples.iter().map(|example| (*example).to_owned()).collect(),
        is_default,
        difficulty: None,
    }
}

fn tier(strategy: Strategy, judging: Judging) -> Vec<Tier> {
    vec![Tier {
        strategy,
        judging,
        targets: 2,
        ..Tier::default()
    }]
}

/// Target `one` for the first examples, `two` for the others; one of them may be the default.
fn semantic(one: Purpose, two: Purpose) -> Document {
    with(|model| {
        model.tiers = tier(Strategy::Semantic, Judging::default());
        (model.targets[0].purpose, model.targets[1].purpose) = (one, two);
    })
}

fn complexity(hard_percent: u32) -> Document {
    with(|model| {
        let judging = Judging {
            hard_percent,
            ..Judging::default()
        };
        model.tiers = tier(Strategy::Complexity, judging);
        model.targets[0].purpose.difficulty = Some(Difficulty::Simple);
        model.targets[1].purpose.difficulty = Some(Difficulty::Hard);
    })
}

#[track_caller]
fn first(rig: &mut Rig, body: &str) -> String {
    let did = rig.chat(body);
    dialled(&did).first().unwrap_or_else(|| panic!("{did:?}")).0.clone()
}

fn chat(prompt: &str) -> String {
    serde_json::json!({ "model": "gpt", "messages": [ { "role": "user", "content": prompt } ] }).to_string()
}

#[test]
fn a_prompt_goes_to_whose_examples_it_resembles_and_else_to_the_default() {
    let mut rig = Rig::new(semantic(purpose(&LAW, false), purpose(&CODE, true)));
    for (prompt, asked) in [
        ("Please review the clause of the contract below", "one"),
        ("Is that even legal?", "one"),
        ("Why is this unit test failing?", "two"),
        // Like neither: the default.
        ("A recipe for pancakes, please", "two"),
        ("", "two"),
        ("📎 ⁂", "two"),
    ] {
        assert_eq!(first(&mut rig, &chat(prompt)), asked, "{prompt}");
    }
    let mut rig = Rig::new(semantic(purpose(&LAW, true), purpose(&CODE, false)));
    assert_eq!(first(&mut rig, &chat("A recipe for pancakes, please")), "one");
    assert_eq!(first(&mut rig, &chat("Why is this unit test failing?")), "two");
}

#[test]
fn the_last_turn_of_the_user_decides_and_a_system_prompt_does_not() {
    let mut rig = Rig::new(semantic(purpose(&LAW, false), purpose(&CODE, true)));
    let body = serde_json::json!({ "model": "gpt", "messages": [
        { "role": "system", "content": "You explain stack traces and failing tests." },
        { "role": "user", "content": "Why does this test fail?" },
        { "role": "assistant", "content": "It divides by zero." },
        { "role": "user", "content": [ { "type": "text", "text": "Thanks! Now review this contract clause." } ] },
    ] });
    assert_eq!(first(&mut rig, &body.to_string()), "one");
}

#[test]
fn without_a_default_the_nearest_is_asked_and_without_words_the_first() {
    let mut rig = Rig::new(semantic(purpose(&LAW, false), purpose(&CODE, false)));
    assert_eq!(first(&mut rig, &chat("a stack of pancakes to test")), "two");
    assert_eq!(first(&mut rig, &chat("")), "one");
}

#[test]
fn the_share_of_hard_prompts_is_what_the_operator_says() {
    let prompts = [
        "hi",
        "Prove that there are infinitely many primes of the form 4k + 3.",
        "",
    ];
    for (percent, asked) in [(0, "one"), (100, "two")] {
        let mut rig = Rig::new(complexity(percent));
        for prompt in &prompts[..2] {
            assert_eq!(first(&mut rig, &chat(prompt)), asked, "{percent} {prompt}");
        }
        // What cannot be judged is taken for hard.
        assert_eq!(first(&mut rig, &chat("")), "two");
    }
    // The more go to the hard tier, the more prompts are among them, and none that was before is left out.
    let prompts: Vec<String> = include_str!("../../../bench/data/graded.jsonl")
        .lines()
        .step_by(20)
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("a prompt a line")["prompt"]
                .as_str()
                .map(chat)
        })
        .map(|body| body.expect("a prompt"))
        .collect();
    let mut hard_before = vec![false; prompts.len()];
    for percent in [20, 50, 80] {
        let mut rig = Rig::new(complexity(percent));
        let hard: Vec<bool> = prompts.iter().map(|body| first(&mut rig, body) == "two").collect();
        assert!(
            hard_before.iter().zip(&hard).all(|(before, now)| now >= before),
            "{percent}"
        );
        let share = hard.iter().filter(|is_hard| **is_hard).count() * 100 / hard.len();
        assert!(share.abs_diff(percent as usize) < 15, "{share} of 100 at {percent}");
        hard_before = hard;
    }
}

#[test]
fn a_model_that_cannot_be_loaded_stops_no_call() {
    let own = |document: &mut Document| document.embedding.model = Some(Reference::File("/nowhere".into()));
    let mut document = semantic(purpose(&LAW, false), purpose(&CODE, true));
    own(&mut document);
    let mut rig = Rig::new(document.clone());
    let faults = &rig.pinned.snapshot.meaning_faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].pointer, "/embedding/model");
    assert!(
        faults[0].wrong.contains("/nowhere/model.safetensors cannot be read"),
        "{faults:?}"
    );
    assert_eq!(
        first(&mut rig, &chat("review this contract clause")),
        "two",
        "the default"
    );

    let mut secrets = rig::secrets(&document);
    for (file, content) in [("model.safetensors", &b"none"[..]), ("tokenizer.json", b"{}")] {
        secrets.insert(Reference::File(format!("/nowhere/{file}")), content.to_vec());
    }
    let rig = Rig::with_secrets(document, &secrets);
    let faults = &rig.pinned.snapshot.meaning_faults;
    assert!(faults[0].wrong.starts_with("/nowhere/tokenizer.json: "), "{faults:?}");

    let mut document = complexity(0);
    document.embedding.complexity = Some(Reference::File("/nowhere/weights".into()));
    let mut secrets = rig::secrets(&document);
    let weights = Reference::File("/nowhere/weights".into());
    for (content, says) in [
        (None, "/nowhere/weights cannot be read"),
        (Some("{"), "it is no file of weights"),
        (Some(r#"{"format":"x"}"#), "it is no file of weights"),
    ] {
        if let Some(content) = content {
            secrets.insert(weights.clone(), content.as_bytes().to_vec());
        }
        let mut rig = Rig::with_secrets(document.clone(), &secrets);
        let faults = rig.pinned.snapshot.meaning_faults.clone();
        assert_eq!(faults[0].pointer, "/embedding/complexity");
        assert!(faults[0].wrong.contains(says), "{faults:?}");
        assert_eq!(first(&mut rig, &chat("hi")), "two", "the hard tier");
    }
}
