//! Thinking, in the words of each vendor, and what it gives way to.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        feature::Feature,
        request::{Amount, Content, Effort, Part, Request, Role, Thinking, ToolChoice},
    },
    json::Text,
    quirks::{Quirks, ThinkingForm},
};

use super::{
    CLAUDE, read_request, write_request,
    writer::{asked, call, result, turn, user, written},
};

/// A model and how it is told to think, how much it is to, what is written of that (extra fields, `outputConfig`), and
/// what is lost.
type Thought = (
    (&'static str, ThinkingForm),
    Amount,
    &'static str,
    &'static str,
    &'static [Feature],
);

const OLD: (&str, ThinkingForm) = (CLAUDE, ThinkingForm::Budget);
const EITHER: (&str, ThinkingForm) = ("anthropic.claude-opus-4-6-v1", ThinkingForm::AsAsked);
const NEW: (&str, ThinkingForm) = ("global.anthropic.claude-sonnet-5", ThinkingForm::Adaptive);
const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x1";
const NAMELESS: (&str, ThinkingForm) = (PROFILE, ThinkingForm::AsAsked);
const NOVA: (&str, ThinkingForm) = ("us.amazon.nova-2-lite-v1:0", ThinkingForm::AsAsked);
const OPEN: (&str, ThinkingForm) = ("openai.gpt-oss-20b-1:0", ThinkingForm::AsAsked);
const MISTRAL: (&str, ThinkingForm) = ("mistral.mistral-large-2407-v1:0", ThinkingForm::AsAsked);
const LOST: &[Feature] = &[Feature::Thinking];
const LEAST: &str = r#"{"thinking":{"type":"enabled","budget_tokens":1024}}"#;
const MIDDLE: &str = r#"{"thinking":{"type":"enabled","budget_tokens":8192}}"#;
const MOST: &str = r#"{"thinking":{"type":"enabled","budget_tokens":29999}}"#;
const EXACT: &str = r#"{"thinking":{"type":"enabled","budget_tokens":2000}}"#;
const HIGH: &str = r#"{"thinking":{"type":"enabled","budget_tokens":24576}}"#;
const ADAPTIVE: &str = r#"{"thinking":{"type":"adaptive"}}"#;
const OFF: &str = r#"{"thinking":{"type":"disabled"}}"#;
const EFFORT: &str = r#"{"effort":"high"}"#;
const NOVA_OFF: &str = r#"{"reasoningConfig":{"type":"disabled"}}"#;
const NOVA_HIGH: &str = r#"{"reasoningConfig":{"type":"enabled","maxReasoningEffort":"high"}}"#;
const OPEN_HIGH: &str = r#"{"reasoning_effort":"high"}"#;

#[rustfmt::skip]
const THOUGHTS: &[Thought] = &[
    (OLD, Amount::Effort(Effort::High), HIGH, "null", &[]),
    (OLD, Amount::Effort(Effort::Minimal), LEAST, "null", &[]),
    (OLD, Amount::Adaptive, MIDDLE, "null", &[]),
    (OLD, Amount::BudgetTokens(2_000), EXACT, "null", &[]),
    (OLD, Amount::BudgetTokens(100), LEAST, "null", LOST),
    (OLD, Amount::BudgetTokens(99_000), MOST, "null", LOST),
    (OLD, Amount::Off, OFF, "null", &[]),
    (EITHER, Amount::Effort(Effort::High), ADAPTIVE, EFFORT, &[]),
    (EITHER, Amount::Adaptive, ADAPTIVE, "null", &[]),
    (EITHER, Amount::BudgetTokens(2_000), EXACT, "null", &[]),
    (NEW, Amount::BudgetTokens(20_000), ADAPTIVE, EFFORT, &[]),
    (NAMELESS, Amount::BudgetTokens(2_000), EXACT, "null", &[]),
    (NOVA, Amount::Off, NOVA_OFF, "null", &[]),
    (NOVA, Amount::Effort(Effort::Most), NOVA_HIGH, "null", &[]),
    (OPEN, Amount::BudgetTokens(20_000), OPEN_HIGH, "null", &[]),
    (OPEN, Amount::Off, "null", "null", LOST),
    (MISTRAL, Amount::Adaptive, "null", "null", LOST),
    (MISTRAL, Amount::Off, "null", "null", &[]),
];

#[test]
fn thinking_in_each_vendors_words() {
    for ((model, form), amount, extra, output, lost) in THOUGHTS {
        let mut request = asked(vec![user("Hi.")]);
        request.sampling.max_tokens = Some(30_000);
        request.thinking = Some(Thinking {
            amount: *amount,
            shown: None,
        });
        let quirks = Quirks {
            thinking_form: *form,
            ..Quirks::default()
        };
        let (bytes, drops) = write_request(&request, model, &quirks).expect("written");
        let value: Value = serde_json::from_slice(&bytes).expect("JSON");
        let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(value["additionalModelRequestFields"], json(extra), "{model} {amount:?}");
        assert_eq!(value["outputConfig"], json(output), "{model} {amount:?}");
        assert_eq!(drops, *lost, "{model} {amount:?}");
    }
}

#[test]
fn thinking_gives_way_to_what_forbids_it() {
    let body = br#"{"messages":[{"role":"user","content":[{"text":"Hi."}]}],
        "inferenceConfig":{"maxTokens":5000,"temperature":0.2,"topP":0.97},
        "additionalModelRequestFields":{"top_k":3,"thinking":{"type":"enabled","budget_tokens":2000}}}"#;
    let mut request = read_request(body).expect("read");
    let (value, drops) = written(&request);
    assert_eq!(value["inferenceConfig"], json!({"maxTokens":5000,"topP":0.97}));
    assert_eq!(drops, [Feature::TopK, Feature::Temperature]);

    let lost = |request: &Request<'_>| {
        let (value, drops) = written(request);
        assert_eq!(value["additionalModelRequestFields"].get("thinking"), None);
        assert_eq!(value["inferenceConfig"]["temperature"], json!(0.2));
        assert_eq!(drops.first(), Some(&Feature::Thinking));
    };
    request.tool_choice = Some(ToolChoice::Required);
    lost(&request);
    request.tool_choice = None;
    let most = request.sampling.max_tokens.replace(1_000);
    lost(&request);
    request.sampling.max_tokens = most;
    request.turns.push(turn(Role::Assistant, vec![call("a", "n")]));
    request.turns.push(turn(Role::User, vec![result("a", vec![])]));
    lost(&request);
    // A thought that was handed back is gone on from; an unsigned one is not, and is lost itself.
    let thought = |signature: Option<&'static str>| Part {
        signature: signature.map(Text::from),
        ..Part::new(Content::Thinking(Text::from("Hm.")))
    };
    request.turns[1].parts.insert(0, thought(Some("c2ln")));
    let (value, drops) = written(&request);
    assert_eq!(
        value["additionalModelRequestFields"]["thinking"]["budget_tokens"],
        2_000
    );
    assert_eq!(drops, [Feature::TopK, Feature::Temperature, Feature::ToolChoice]);
    request.turns[1].parts[0] = thought(None);
    assert_eq!(written(&request).1[..2], [Feature::Signature, Feature::Thinking]);
}
