//! Golden requests: read, written to a provider of the same dialect, and read again.

use tollgate_dialect::{
    canonical::{
        feature::Feature,
        request::{Amount, Content, Effort, Role, Source, Thinking},
    },
    quirks::Quirks,
};

use super::{expected, golden, json, read, write};

#[test]
fn what_is_written_says_what_was_read() {
    for (name, case) in golden("requests") {
        let request = read(&case).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        let (written, drops) = write(&request, &Quirks::default());
        let written = written.unwrap_or_else(|bad| panic!("{name}: {bad}"));
        assert_eq!(json(&written), expected("requests_written", &name, &case), "{name}");
        // The signature of another provider's tool call is the only thing that these cases cannot say to Anthropic.
        let lost: &[Feature] = match name.as_str() {
            "thought_that_carries_a_signature" => &[Feature::Signature],
            _ => &[],
        };
        assert_eq!(drops.features(), lost, "{name}");
    }
}

#[test]
fn what_was_written_is_read_as_the_same() {
    for (name, case) in golden("requests") {
        let mut before = read(&case).expect("a golden request");
        let (written, _) = write(&before, &Quirks::default());
        let written = written.expect("a golden request");
        let mut after = read(&written).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        before.unread.clear();
        after.unread.clear();
        if name == "thought_that_carries_a_signature" {
            let part = &mut before.turns[1].parts[0];
            assert!(
                part.signature
                    .take()
                    .expect("the signature of the call")
                    .is("CsUBAQoM/b64==")
            );
        }
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn what_is_not_carried_is_named_in_the_callers_words() {
    const UNREAD: [(&str, &[&str]); 3] = [
        (
            "provider_tools",
            &[
                "mcp_servers",
                "container",
                "context_management",
                "messages[1].content[1]",
                "messages[1].content[2]",
                "messages[1].content[3].citations",
                "tools[0]",
                "tools[1].defer_loading",
                "tools[1].input_examples",
                "tools[2]",
                "metadata.team",
            ],
        ),
        ("search_results", &["messages[0].content[0].source"]),
        ("text", &[]),
    ];
    let cases = golden("requests");
    for (name, unread) in UNREAD {
        let (_, case) = cases.iter().find(|(known, _)| known == name).expect("the case");
        assert_eq!(read(case).expect("a golden request").unread, unread, "{name}");
    }
    let silent = cases
        .iter()
        .filter(|(name, _)| UNREAD.iter().all(|(known, _)| known != name));
    for (name, case) in silent {
        assert!(read(case).expect("a golden request").unread.is_empty(), "{name}");
    }
}

#[test]
fn parts_stand_where_the_normal_form_has_them() {
    let cases = golden("requests");
    let case = |name: &str| &cases.iter().find(|(known, _)| known == name).expect("the case").1;

    let request = read(case("tool_round")).expect("a request");
    let roles: Vec<Role> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    let Content::ToolResult { is_error, parts, .. } = &request.turns[2].parts[1].content else {
        panic!("a tool's result: {:?}", request.turns[2]);
    };
    assert!(*is_error && parts.len() == 1);

    let request = read(case("files")).expect("a request");
    let ids: Vec<_> = request.owned.iter().map(|owned| owned.field).collect();
    assert_eq!(ids, ["file_id", "file_id"]);
    let Content::Media(media) = &request.turns[0].parts[0].content else {
        panic!("a document: {:?}", request.turns[0]);
    };
    assert!(matches!(&media.source, Source::File(id) if id.is("file_011CNha8iCJcU1wXNR6q4V8w")));

    for (name, amount, shown) in [
        ("thinking_budget", Amount::BudgetTokens(10_000), None),
        ("thinking_tool_loop", Amount::BudgetTokens(2_048), Some(true)),
        ("thinking_adaptive", Amount::Effort(Effort::High), Some(false)),
        ("thinking_adaptive_free", Amount::Adaptive, None),
        ("effort_alone", Amount::Effort(Effort::Low), None),
        ("thinking_off", Amount::Off, None),
    ] {
        let request = read(case(name)).expect("a request");
        assert_eq!(request.thinking, Some(Thinking { amount, shown }), "{name}");
    }
}

/// Signatures and sealed thinking are the provider's: not a byte of them may change.
#[test]
fn signatures_pass_byte_for_byte() {
    let case =
        br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[
        {"type":"thinking","thinking":"\u0061\/b","signature":"A\/b+\u003d="},
        {"type":"redacted_thinking","data":"\u0043d\/"},{"type":"text","text":"t"}]},{"role":"user","content":"b"}]}"#;
    let (written, _) = write(&read(case).expect("a request"), &Quirks::default());
    let written = String::from_utf8(written.expect("a request")).expect("UTF-8");
    assert!(
        written.contains(r#""thinking":"\u0061\/b","signature":"A\/b+\u003d=""#),
        "{written}"
    );
    assert!(written.contains(r#""data":"\u0043d\/""#), "{written}");
}

#[test]
fn wrong_requests_are_refused_by_name() {
    const MESSAGES: &str = r#""messages":[{"role":"user","content":"a"}]"#;
    let with = |rest: &str| format!(r#"{{"model":"m","max_tokens":1,{MESSAGES},{rest}}}"#);
    let block =
        |block: &str| format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{block}]}}]}}"#);
    let cases = [
        (format!(r#"{{"max_tokens":1,{MESSAGES}}}"#), "'model' is required"),
        (
            format!(r#"{{"model":"","max_tokens":1,{MESSAGES}}}"#),
            "'model' must not be empty",
        ),
        (format!(r#"{{"model":"m",{MESSAGES}}}"#), "'max_tokens' is required"),
        (r#"{"model":"m","max_tokens":1}"#.to_owned(), "'messages' is required"),
        (
            r#"{"model":"m","max_tokens":1,"messages":[]}"#.to_owned(),
            "'messages' must hold at least one",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":{}}"#.to_owned(),
            "'messages' must be a list",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[4]}"#.to_owned(),
            "'messages[0]' must be an object",
        ),
        (with(r#""max_tokens":2"#), "'max_tokens' stands twice"),
        (with(r#""stream":"yes""#), "'stream' must be true or false"),
        (
            with(r#""temperature":1.5"#),
            "'temperature' must be a number from 0 to 1",
        ),
        (with(r#""top_p":"1""#), "'top_p' must be a number from 0 to 1"),
        (with(r#""top_k":-1"#), "'top_k' must be a whole number"),
        (with(r#""top_k":1e99"#), "'top_k' must be a whole number"),
        (with(r#""stop_sequences":"a""#), "'stop_sequences' must be a list"),
        (with(r#""stop_sequences":[1]"#), "'stop_sequences[0]' must be a string"),
        (
            with(r#""thinking":{"type":"enabled"}"#),
            "'thinking.budget_tokens' is required",
        ),
        (with(r#""thinking":{"type":"deep"}"#), "'thinking.type' must be"),
        (
            with(r#""output_config":{"effort":"huge"}"#),
            "'output_config.effort' must be",
        ),
        (
            with(r#""output_config":{"format":{"type":"xml"}}"#),
            "'output_config.format.type' must be",
        ),
        (
            with(r#""output_config":{"format":{"type":"json_schema","schema":[]}}"#),
            "'output_config.format.schema' must",
        ),
        (with(r#""tools":[{"name":"a"}]"#), "'tools[0].input_schema' is required"),
        (with(r#""tools":[{"input_schema":{}}]"#), "'tools[0].name' is required"),
        (
            with(r#""tools":[{"name":"\ud800","input_schema":{}}]"#),
            "'tools[0].name' has an escape",
        ),
        (
            with(r#""tool_choice":{"type":"tool"}"#),
            "'tool_choice.name' is required",
        ),
        (with(r#""tool_choice":"auto""#), "'tool_choice' must be an object"),
        (
            with(r#""cache_control":{"type":"ephemeral","ttl":"2h"}"#),
            "'cache_control.ttl' must be '5m' or '1h'",
        ),
        (
            with(r#""metadata":{"user_id":7}"#),
            "'metadata.user_id' must be a string",
        ),
        (with(r#""system":7"#), "'system' must be a string or a list"),
        (
            with(r#""system":[{"type":"image"}]"#),
            "'system[0]' stands only in messages of the user",
        ),
        (block("7"), "'messages[0].content[0].type' is required"),
        (block(r#"{"type":"text"}"#), "'messages[0].content[0].text' is required"),
        (
            block(r#"{"type":"text","text":"a","text":"b"}"#),
            "'messages[0].content[0].text' stands twice",
        ),
        (
            block(r#"{"type":"text","type":"text","text":"b"}"#),
            "'messages[0].content[0].type' stands twice",
        ),
        (
            block(r#"{"type":"tool_use","id":"a","name":"b","input":{}}"#),
            "stands only in messages of the assistant",
        ),
        (
            block(r#"{"type":"image","source":{"type":"text","media_type":"a","data":"b"}}"#),
            "content[0].source.type' must be",
        ),
        (
            block(r#"{"type":"image","source":{"type":"url","url":"data:image/png;base64,AA"}}"#),
            "must be an https URL",
        ),
        (
            block(r#"{"type":"tool_result","content":"a"}"#),
            "tool_use_id' is required",
        ),
    ];
    for (body, says) in cases {
        let bad = read(body.as_bytes()).map(|request| format!("{request:?}"));
        let bad = bad.expect_err(&body).to_string();
        assert!(bad.contains(says), "{body}\n  {bad}");
    }
}

#[test]
fn a_fault_says_where_it_stands() {
    let body = br#"{"model":"m","max_tokens":true,"messages":[]}"#;
    let bad = read(body).expect_err("a list without messages comes later in the reading than it stands");
    assert_eq!(
        bad.to_string(),
        "'messages' must hold at least one message of the user (byte 42)"
    );
}

#[test]
fn the_path_may_name_the_model() {
    use tollgate_dialect::speak::{PathFacts, Speaks};
    let body = br#"{"max_tokens":1,"messages":[{"role":"user","content":"a"}]}"#;
    let path = PathFacts {
        model: Some("claude-opus-4@20250514"),
        stream: true,
    };
    let request = tollgate_dialect::anthropic::SPEAKS
        .read_request(body, path)
        .expect("a request");
    assert_eq!(
        (request.model.as_ref(), request.stream),
        ("claude-opus-4@20250514", true)
    );
}
