//! Every golden request survives being written and read again.

use tollgate_dialect::{
    canonical::{
        feature::Feature,
        request::{Amount, CacheMark, Content, Effort, Format, Part, Request, Role, Source, Thinking, ToolChoice},
    },
    quirks::Quirks,
};

use super::corpus::{corpus, golden, read, written};

/// What is lost of which golden request; nothing is of the others.
const LOST: [(&str, &[Feature]); 7] = [
    ("cache-control", &[Feature::Cache]),
    ("file-id", &[Feature::Owned]),
    ("openrouter-reasoning", &[Feature::TopK, Feature::Thinking]),
    ("prompt-cache-breakpoint", &[Feature::Cache]),
    ("tool-result-image", &[]),
    ("unread", &[Feature::Metadata]),
    ("video-url", &[Feature::Video]),
];

#[test]
fn what_was_written_reads_as_what_was_read() {
    for (name, body) in corpus("requests") {
        let request = read(&body);
        let (out, lost) = written(&request, &Quirks::default());
        let expected = LOST
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(&[][..], |(_, lost)| lost);
        assert_eq!(lost, expected, "{name}");
        // A picture of a tool's result moves into the message behind it: `writing` holds that.
        if name != "tool-result-image" {
            assert_eq!(
                normal(read(&out)),
                normal(request),
                "{name}: {}",
                String::from_utf8_lossy(&out)
            );
        }
    }
}

/// Without what the dialect cannot write, as `LOST` says, and without what it says in fewer words.
fn normal(mut request: Request<'_>) -> Request<'_> {
    request.unread.clear();
    request.owned.clear();
    request.metadata = None;
    request.sampling.top_k = None;
    request.stream_usage |= request.stream;
    request.tools.iter_mut().for_each(|tool| tool.cache = None);
    if request.tools.is_empty() {
        request.tool_choice = None;
    }
    request.thinking = request.thinking.map(|thinking| Thinking {
        amount: match thinking.amount {
            Amount::BudgetTokens(tokens) => Amount::Effort(Effort::of_budget_tokens(tokens)),
            amount => amount,
        },
        shown: None,
    });
    for turn in &mut request.turns {
        if turn.role == Role::Developer {
            turn.role = Role::System;
        }
        let is_lost = |part: &Part<'_>| {
            matches!(&part.content, Content::Media(media)
                if matches!(media.source, Source::File(_)) || media.media_type.is_none() && is_video(part))
        };
        turn.parts.retain(|part| !is_lost(part));
        turn.parts.iter_mut().for_each(|part| part.cache = None);
    }
    request
}

fn is_video(part: &Part<'_>) -> bool {
    use tollgate_dialect::canonical::request::MediaKind;
    matches!(&part.content, Content::Media(media) if media.kind == MediaKind::Video)
}

#[test]
fn what_is_not_carried_is_listed_as_the_caller_wrote_it() {
    for (name, unread) in [
        ("minimal", &[][..]),
        ("says-nothing", &[]),
        ("sampling", &[]),
        ("sdk-echo", &[]),
        ("thinking-signed", &[]),
        ("prompt-cache-breakpoint", &["prompt_cache_key", "prompt_cache_options"]),
        (
            "allowed-and-custom-tools",
            &[
                "messages[1].tool_calls[0].custom",
                "tool_choice.allowed_tools",
                "tools[1]",
            ],
        ),
        (
            "unread",
            &[
                "audio",
                "prediction",
                "web_search_options",
                "moderation",
                "x-custom",
                "messages[1].mood",
                "messages[2].content[0].tone",
                "messages[2].content[1]",
                "stream_options.include_obfuscation",
                "store",
                "verbosity",
                "modalities",
            ],
        ),
    ] {
        let body = golden("requests", name);
        assert_eq!(read(&body).unread, unread, "{name}");
    }
}

#[test]
fn members_of_other_names_are_read_as_what_they_mean() {
    let body = golden("requests", "legacy-functions");
    let request = read(&body);
    assert_eq!(request.tools.len(), 1);
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("get_weather".into())));
    assert!(matches!(&request.turns[2].parts[0].content,
        Content::ToolResult { call_id: Some(id), name: Some(name), .. } if id.is("call_1") && name.is("get_weather")));

    let body = golden("requests", "thinking-signature-only");
    let part = &read(&body).turns[1].parts[0].clone();
    assert_eq!(part.content, Content::Thinking("A greeting.".into()));
    assert!(
        part.signature
            .as_ref()
            .is_some_and(|signature| signature.is("c2lnbmVk"))
    );

    let body = golden("requests", "cache-control");
    let marks = |request: &Request<'_>| -> Vec<Option<CacheMark>> {
        request
            .turns
            .iter()
            .flat_map(|turn| &turn.parts)
            .map(|part| part.cache)
            .collect()
    };
    let (short, long) = (Some(CacheMark::Short), Some(CacheMark::OneHour));
    assert_eq!(marks(&read(&body)), [long, short, None, None, short, short]);
    assert_eq!(read(&body).tools[0].cache, short);
    let body = golden("requests", "prompt-cache-breakpoint");
    assert_eq!(marks(&read(&body)), [long, short]);

    let body = golden("requests", "tool-round");
    let roles: Vec<_> = read(&body)
        .turns
        .iter()
        .map(|turn| (turn.role, turn.parts.len()))
        .collect();
    let (system, user, assistant) = (Role::System, Role::User, Role::Assistant);
    assert_eq!(
        roles,
        [
            (system, 1),
            (user, 1),
            (assistant, 2),
            (user, 2),
            (user, 1),
            (assistant, 2),
            (user, 1)
        ]
    );
}

#[test]
fn reasoning_is_read_in_every_shape() {
    for (members, amount, shown) in [
        (r#""reasoning_effort":"none""#, Amount::Off, None),
        (r#""reasoning_effort":"minimal""#, Amount::Effort(Effort::Minimal), None),
        (r#""reasoning_effort":"max""#, Amount::Effort(Effort::Most), None),
        (
            r#""reasoning":{"effort":"high","exclude":true}"#,
            Amount::Effort(Effort::High),
            Some(false),
        ),
        (r#""reasoning":{"enabled":true}"#, Amount::Adaptive, None),
        (r#""reasoning":{"enabled":false,"max_tokens":5}"#, Amount::Off, None),
        (r#""thinking":{"type":"enabled"}"#, Amount::Adaptive, None),
        (r#""thinking":{"type":"disabled"}"#, Amount::Off, None),
        (
            r#""thinking":{"type":"enabled","budget_tokens":77}"#,
            Amount::BudgetTokens(77),
            None,
        ),
        (
            r#""thinking":{"type":"disabled"},"reasoning_effort":"low""#,
            Amount::Effort(Effort::Low),
            None,
        ),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{members}}}"#);
        let request = read(body.as_bytes());
        assert_eq!(request.thinking, Some(Thinking { amount, shown }), "{members}");
    }
}

#[test]
fn one_of_two_names_counts_and_the_other_is_told_where_it_differs() {
    for (members, max_tokens, user, unread) in [
        (r#""max_tokens":5"#, Some(5), None, &[][..]),
        (r#""max_tokens":5,"max_completion_tokens":5"#, Some(5), None, &[]),
        (
            r#""max_tokens":5,"max_completion_tokens":6"#,
            Some(6),
            None,
            &["max_tokens"],
        ),
        (r#""user":"u","safety_identifier":"s""#, None, Some("s"), &["user"]),
        (r#""user":"u""#, None, Some("u"), &[]),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{members}}}"#);
        let request = read(body.as_bytes());
        assert_eq!(request.sampling.max_tokens, max_tokens, "{members}");
        assert_eq!(request.user, user.map(Into::into), "{members}");
        assert_eq!(request.unread, unread, "{members}");
    }
}

#[test]
fn a_schema_may_be_left_out() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}],
        "response_format":{"type":"json_schema","json_schema":{"name":"any"}}}"#;
    assert!(matches!(read(body).format, Format::Schema { schema, .. } if *schema == *b"{}"));
}
