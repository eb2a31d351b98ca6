//! Settings of other dialects' requests, written to Anthropic: what must be adjusted, and what is lost and said to be.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        feature::Feature,
        request::{Amount, Content, Effort, Format, Owned, Part, Role, Thinking, ToolChoice},
    },
    quirks::{Quirks, ThinkingForm},
};

use super::asked::{asked, number, thinking, tool, tool_call, tool_result, turn, written};

#[test]
fn a_cap_is_always_sent_and_kept_within_the_models() {
    let quirks = Quirks {
        default_max_tokens: 777,
        most_max_tokens: Some(8_000),
        ..Quirks::default()
    };
    assert_eq!(written(&asked(), &quirks, &[])["max_tokens"], 777);
    let mut request = asked();
    request.sampling.max_tokens = Some(9_000);
    assert_eq!(written(&request, &quirks, &[Feature::MaxTokens])["max_tokens"], 8_000);
}

/// Per row: the cap and the thinking that were asked for, and the model's form; then what is sent.
#[test]
fn thinking_fits_the_cap_and_the_model() {
    use ThinkingForm::{Adaptive, AsAsked, Budget};
    let enabled = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let adaptive = json!({"type": "adaptive"});
    let lost = &[Feature::Thinking][..];
    let rows = [
        (
            Some(5_000),
            Amount::BudgetTokens(2_000),
            AsAsked,
            5_000,
            enabled(2_000),
            Value::Null,
            &[][..],
        ),
        (
            Some(2_000),
            Amount::BudgetTokens(2_000),
            AsAsked,
            2_000,
            enabled(1_999),
            Value::Null,
            lost,
        ),
        (
            Some(5_000),
            Amount::BudgetTokens(10),
            AsAsked,
            5_000,
            enabled(1_024),
            Value::Null,
            lost,
        ),
        (
            Some(1_024),
            Amount::BudgetTokens(2_000),
            AsAsked,
            1_024,
            Value::Null,
            Value::Null,
            lost,
        ),
        (
            None,
            Amount::BudgetTokens(2_000),
            AsAsked,
            6_096,
            enabled(2_000),
            Value::Null,
            &[],
        ),
        (
            None,
            Amount::BudgetTokens(60_000),
            AsAsked,
            32_000,
            enabled(31_999),
            Value::Null,
            lost,
        ),
        (
            None,
            Amount::Effort(Effort::High),
            Budget,
            28_672,
            enabled(24_576),
            Value::Null,
            &[],
        ),
        (
            Some(3_000),
            Amount::Effort(Effort::High),
            Budget,
            3_000,
            enabled(2_999),
            Value::Null,
            &[],
        ),
        (None, Amount::Adaptive, Budget, 12_288, enabled(8_192), Value::Null, &[]),
        (
            None,
            Amount::Effort(Effort::Minimal),
            AsAsked,
            4_096,
            adaptive.clone(),
            json!("low"),
            &[],
        ),
        (
            None,
            Amount::Effort(Effort::Most),
            AsAsked,
            4_096,
            adaptive.clone(),
            json!("max"),
            &[],
        ),
        (
            Some(900),
            Amount::BudgetTokens(9_000),
            Adaptive,
            900,
            adaptive.clone(),
            json!("high"),
            &[],
        ),
        (
            None,
            Amount::Off,
            Adaptive,
            4_096,
            json!({"type": "disabled"}),
            Value::Null,
            &[],
        ),
    ];
    for (cap, amount, form, max_tokens, sent, effort, lost) in rows {
        let quirks = Quirks {
            most_max_tokens: Some(32_000),
            thinking_form: form,
            ..Quirks::default()
        };
        let mut request = asked();
        request.sampling.max_tokens = cap;
        request.thinking = thinking(amount);
        let body = written(&request, &quirks, lost);
        let found = (&body["max_tokens"], &body["thinking"], &body["output_config"]["effort"]);
        assert_eq!(
            found,
            (&json!(max_tokens), &sent, &effort),
            "{cap:?} {amount:?} {form:?}"
        );
    }
}

#[test]
fn a_forced_tool_a_prefilled_turn_and_a_round_without_thoughts_exclude_thinking() {
    let mut request = asked();
    request.thinking = thinking(Amount::Effort(Effort::Low));
    request.tools = vec![tool("look")];
    request.tool_choice = Some(ToolChoice::Required);
    let body = written(&request, &Quirks::default(), &[Feature::Thinking]);
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    assert_eq!(
        (&body["thinking"], &body["output_config"]["effort"]),
        (&Value::Null, &json!("low"))
    );

    request.tool_choice = Some(ToolChoice::Auto);
    assert_eq!(
        written(&request, &Quirks::default(), &[])["thinking"],
        json!({"type": "adaptive"})
    );

    request.turns.push(turn(Role::Assistant, vec![Part::text("So:")]));
    assert!(written(&request, &Quirks::default(), &[Feature::Thinking])["thinking"].is_null());

    request.turns[1] = turn(Role::Assistant, vec![tool_call("a")]);
    request.turns.push(turn(Role::User, vec![tool_result("a", vec![])]));
    let adaptive = written(&request, &Quirks::default(), &[]);
    assert_eq!(adaptive["thinking"]["type"], "adaptive");
    request.thinking = thinking(Amount::BudgetTokens(2_000));
    assert!(written(&request, &Quirks::default(), &[Feature::Thinking])["thinking"].is_null());

    let thought = Part {
        signature: Some("c2ln".into()),
        ..Part::new(Content::Thinking("Hm".into()))
    };
    request.turns[1].parts.insert(0, thought);
    assert_eq!(
        written(&request, &Quirks::default(), &[])["thinking"]["type"],
        "enabled"
    );
}

/// Per row: temperature, top_p, top_k; does it think, does the model take them; then what is sent and what is lost.
#[test]
fn sampling_is_clamped_and_kept_apart() {
    use Feature::{Temperature, TopK, TopP};
    let (one, warm, hot) = (r#"{"n":1.0}"#, r#"{"n":0.7}"#, r#"{"n":1.9}"#);
    let (cold, narrow) = (r#"{"n":-0.1}"#, r#"{"n":0.97}"#);
    let rows = [
        (Some(warm), None, None, false, true, json!([0.7, null, null]), &[][..]),
        (
            Some(hot),
            None,
            Some(5),
            false,
            true,
            json!([1, null, 5]),
            &[Temperature],
        ),
        (
            Some(cold),
            None,
            None,
            false,
            true,
            json!([0, null, null]),
            &[Temperature],
        ),
        (Some(warm), Some(one), None, false, true, json!([0.7, null, null]), &[]),
        (Some(one), Some(warm), None, false, true, json!([null, 0.7, null]), &[]),
        (
            Some(warm),
            Some(narrow),
            None,
            false,
            true,
            json!([0.7, null, null]),
            &[TopP],
        ),
        (None, Some(hot), None, false, true, json!([null, 1, null]), &[TopP]),
        (Some(one), None, None, true, true, json!([null, null, null]), &[]),
        (
            Some(warm),
            Some(narrow),
            Some(3),
            true,
            true,
            json!([null, 0.97, null]),
            &[Temperature, TopK],
        ),
        (None, Some(warm), None, true, true, json!([null, null, null]), &[TopP]),
        (
            Some(warm),
            Some(narrow),
            Some(3),
            false,
            false,
            json!([null, null, null]),
            &[Temperature, TopP, TopK],
        ),
        (Some(one), Some(one), None, false, false, json!([null, null, null]), &[]),
    ];
    for (temperature, top_p, top_k, thinks, sampling, sent, lost) in rows {
        let mut request = asked();
        request.sampling.temperature = temperature.map(number);
        request.sampling.top_p = top_p.map(number);
        request.sampling.top_k = top_k;
        request.thinking = thinks.then_some(Thinking {
            amount: Amount::Adaptive,
            shown: None,
        });
        let quirks = Quirks {
            sampling,
            ..Quirks::default()
        };
        let body = written(&request, &quirks, lost);
        let found = json!([body["temperature"], body["top_p"], body["top_k"]]);
        assert_eq!(found, sent, "{temperature:?} {top_p:?} {top_k:?} {thinks} {sampling}");
    }
}

#[test]
fn what_anthropic_has_no_word_for_is_noted() {
    let mut request = asked();
    let sampling = &mut request.sampling;
    sampling.frequency_penalty = Some(number(r#"{"n":0.5}"#));
    sampling.presence_penalty = Some(number(r#"{"n":0}"#));
    sampling.seed = Some(number(r#"{"n":7}"#));
    sampling.n = Some(2);
    sampling.logprobs = Some(true);
    sampling.top_logprobs = Some(3);
    sampling.logit_bias = Some(br#"{"1":2}"#);
    sampling.stop = vec!["\n".into(), "END".into()];
    request.format = Format::Json;
    request.metadata = Some(br#""a":"b""#);
    request.service_tier = Some("flex".into());
    request.turns[0].name = Some("Ann".into());
    request.owned = vec![Owned {
        field: "previous_response_id",
        id: "resp_1".into(),
    }];
    use Feature::{
        FrequencyPenalty, LogitBias, Logprobs, Metadata, N, ParticipantName, Seed, ServiceTier, Stop, TopLogprobs,
    };
    let lost = [
        ParticipantName,
        FrequencyPenalty,
        Seed,
        N,
        Logprobs,
        TopLogprobs,
        LogitBias,
        Metadata,
        Feature::Owned,
        Feature::Format,
        Stop,
        ServiceTier,
    ];
    let body = written(&request, &Quirks::default(), &lost);
    assert_eq!(body["stop_sequences"], json!(["END"]));
}

#[test]
fn members_that_a_provider_does_not_take_are_not_sent() {
    let mut request = asked();
    request.user = Some("u".into());
    request.service_tier = Some("default".into());
    request.sampling.top_k = Some(3);
    request.thinking = thinking(Amount::Effort(Effort::High));
    request.format = Format::Schema {
        name: None,
        description: None,
        schema: br#"{"type":"object"}"#.into(),
        strict: None,
    };
    let all = written(&request, &Quirks::default(), &[Feature::TopK]);
    assert_eq!(all["service_tier"], "standard_only");
    assert_eq!(all["output_config"]["format"]["schema"], json!({"type": "object"}));
    let quirks = Quirks {
        drop: ["metadata", "service_tier", "top_k", "thinking", "output_config"]
            .map(String::from)
            .to_vec(),
        ..Quirks::default()
    };
    use Feature::{ServiceTier, Thinking, TopK, User};
    let body = written(&request, &quirks, &[Thinking, Feature::Format, TopK, User, ServiceTier]);
    let members: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["model", "max_tokens", "messages"]);
}
