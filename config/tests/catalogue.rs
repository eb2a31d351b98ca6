//! The catalogue's rows, each proved: what an operator writes, where calls then go, how they authenticate, what models
//! there do differently.

use std::{collections::HashSet, fs};

use tollgate_config::{
    catalogue::{self, MaxTokensField, Mode, Operation, StreamFraming, StreamUsage, facts},
    check::check,
    document::{Auth, Dialect, Provider},
    parse::{Parsed, parse},
};

fn provider(rest: &str) -> Provider {
    let parsed = parse(&format!("version: 1\nproviders: {{ p: {{ {rest} }} }}")).unwrap();
    let mut document = check(&parsed).unwrap_or_else(|problems| panic!("{rest}: {problems:?}"));
    document.providers.remove(0).1
}

fn faults(rest: &str) -> Vec<String> {
    let parsed: Parsed = parse(&format!("version: 1\nproviders: {{ p: {{ {rest} }} }}")).unwrap();
    let problems = check(&parsed).expect_err(rest);
    let said = |problem: &tollgate_config::Problem| format!("{}: {}", problem.pointer, problem.wrong);
    problems.iter().map(said).collect()
}

/// Kind, what must be said of the account, and the URLs of a chat and of a stream with a model `m/1`.
const URLS: &[(&str, &str, &str, &str)] = &[
    ("openai", "", "https://api.openai.com/v1/chat/completions", ""),
    ("openai-responses", "", "https://api.openai.com/v1/responses", ""),
    (
        "azure-openai",
        "resource: acme",
        "https://acme.openai.azure.com/openai/deployments/m%2F1/chat/completions?api-version=2024-10-21",
        "",
    ),
    (
        "azure-openai",
        "base_url: 'https://acme.example.com', api_version: 2025-04-01-preview",
        "https://acme.example.com/openai/deployments/m%2F1/chat/completions?api-version=2025-04-01-preview",
        "",
    ),
    (
        "azure-openai-v1",
        "resource: acme",
        "https://acme.openai.azure.com/openai/v1/chat/completions",
        "",
    ),
    ("anthropic", "", "https://api.anthropic.com/v1/messages", ""),
    (
        "gemini",
        "",
        "https://generativelanguage.googleapis.com/v1beta/models/m%2F1:generateContent",
        "https://generativelanguage.googleapis.com/v1beta/models/m%2F1:streamGenerateContent?alt=sse",
    ),
    (
        "vertex",
        "project: acme",
        "https://aiplatform.googleapis.com/v1/projects/acme/locations/global/publishers/google/models/m%2F1:generateContent",
        "https://aiplatform.googleapis.com/v1/projects/acme/locations/global/publishers/google/models/m%2F1:streamGenerateContent?alt=sse",
    ),
    (
        "vertex",
        "project: 'acme.com:ai', region: europe-west4",
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/acme.com:ai/locations/europe-west4/publishers/google/models/m%2F1:generateContent",
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/acme.com:ai/locations/europe-west4/publishers/google/models/m%2F1:streamGenerateContent?alt=sse",
    ),
    (
        "vertex-anthropic",
        "project: acme, region: eu",
        "https://aiplatform.eu.rep.googleapis.com/v1/projects/acme/locations/eu/publishers/anthropic/models/m%2F1:rawPredict",
        "https://aiplatform.eu.rep.googleapis.com/v1/projects/acme/locations/eu/publishers/anthropic/models/m%2F1:streamRawPredict",
    ),
    (
        "bedrock",
        "region: us-east-1",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%2F1/converse",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%2F1/converse-stream",
    ),
    (
        "bedrock-anthropic",
        "region: us-east-1, base_url: 'http://10.0.0.1:8000'",
        "http://10.0.0.1:8000/model/m%2F1/invoke",
        "http://10.0.0.1:8000/model/m%2F1/invoke-with-response-stream",
    ),
    ("cohere", "", "https://api.cohere.com/v2/chat", ""),
    ("mistral", "", "https://api.mistral.ai/v1/chat/completions", ""),
    ("groq", "", "https://api.groq.com/openai/v1/chat/completions", ""),
    ("groq", "base_url: 'http://a'", "http://a/v1/chat/completions", ""),
    ("deepseek", "", "https://api.deepseek.com/v1/chat/completions", ""),
    ("xai", "", "https://api.x.ai/v1/chat/completions", ""),
    ("together", "", "https://api.together.xyz/v1/chat/completions", ""),
    (
        "fireworks",
        "",
        "https://api.fireworks.ai/inference/v1/chat/completions",
        "",
    ),
    ("openrouter", "", "https://openrouter.ai/api/v1/chat/completions", ""),
    ("perplexity", "", "https://api.perplexity.ai/chat/completions", ""),
    ("cerebras", "", "https://api.cerebras.ai/v1/chat/completions", ""),
    ("sambanova", "", "https://api.sambanova.ai/v1/chat/completions", ""),
    (
        "nvidia-nim",
        "",
        "https://integrate.api.nvidia.com/v1/chat/completions",
        "",
    ),
    (
        "huggingface",
        "",
        "https://router.huggingface.co/v1/chat/completions",
        "",
    ),
    (
        "databricks",
        "resource: dbc-1.cloud.databricks.com",
        "https://dbc-1.cloud.databricks.com/serving-endpoints/chat/completions",
        "",
    ),
    (
        "cloudflare",
        "account: 0a1b",
        "https://api.cloudflare.com/client/v4/accounts/0a1b/ai/v1/chat/completions",
        "",
    ),
    ("ollama", "", "http://127.0.0.1:11434/v1/chat/completions", ""),
    ("vllm", "", "http://127.0.0.1:8000/v1/chat/completions", ""),
    ("sglang", "", "http://127.0.0.1:30000/v1/chat/completions", ""),
    ("llama-cpp", "", "http://127.0.0.1:8080/v1/chat/completions", ""),
    ("lm-studio", "", "http://127.0.0.1:1234/v1/chat/completions", ""),
    ("sandbox", "base_url: 'http://a'", "http://a/v1/chat/completions", ""),
    ("sandbox-responses", "base_url: 'http://a'", "http://a/v1/responses", ""),
    ("sandbox-anthropic", "base_url: 'http://a'", "http://a/v1/messages", ""),
    (
        "sandbox-gemini",
        "base_url: 'http://a'",
        "http://a/v1beta/models/m%2F1:generateContent",
        "http://a/v1beta/models/m%2F1:streamGenerateContent?alt=sse",
    ),
    ("sandbox-cohere", "base_url: 'http://a'", "http://a/v2/chat", ""),
    (
        "sandbox-bedrock",
        "base_url: 'http://a'",
        "http://a/model/m%2F1/converse",
        "http://a/model/m%2F1/converse-stream",
    ),
];

#[test]
fn every_row_says_where_calls_go() {
    for (kind, account, chat, stream) in URLS {
        let stream = if stream.is_empty() { chat } else { stream };
        let provider = provider(&format!("kind: {kind}, credential: env:K, {account}"));
        let url = |operation| provider.url(operation, Some("m/1")).unwrap();
        assert_eq!(
            (url(Operation::Chat).as_str(), url(Operation::Stream).as_str()),
            (*chat, *stream),
            "{kind}"
        );
        assert_ne!(provider.auth, Auth::None, "{kind}");
        for dialect in &provider.row.also {
            assert_ne!(*dialect, provider.dialect, "{kind}");
        }
    }
    let proved: HashSet<&str> = URLS.iter().map(|(kind, ..)| *kind).collect();
    let rows = catalogue::rows();
    let missing: Vec<&str> = rows
        .iter()
        .map(|row| row.kind.as_str())
        .filter(|kind| !proved.contains(kind))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_row_says_how_a_credential_is_sent() {
    let header = |name: &str| Auth::Header(name.into());
    let aws = |region: &str| Auth::Aws {
        region: region.into(),
        service: "bedrock".into(),
    };
    let google = Auth::Google {
        scope: "https://www.googleapis.com/auth/cloud-platform".into(),
    };
    for (kind, account, auth) in [
        ("openai", "", Auth::Bearer),
        ("azure-openai", "resource: a", header("api-key")),
        ("azure-openai-v1", "resource: a", header("api-key")),
        ("anthropic", "", Auth::XApiKey),
        ("gemini", "", header("x-goog-api-key")),
        ("vertex", "project: a", google.clone()),
        ("vertex-anthropic", "project: a", google),
        ("bedrock", "region: eu-west-1", aws("eu-west-1")),
        ("bedrock-anthropic", "region: eu-west-1", aws("eu-west-1")),
        ("cohere", "", Auth::Bearer),
        ("ollama", "", Auth::Bearer),
    ] {
        let rest = format!("kind: {kind}, credential: env:K, {account}");
        assert_eq!(provider(&rest).auth, auth, "{kind}");
    }
    assert_eq!(provider("kind: ollama").auth, Auth::None);
    assert_eq!(
        provider("kind: custom, dialect: gemini, base_url: 'http://a', credential: env:K").auth,
        header("x-goog-api-key")
    );
}

#[test]
fn an_operator_may_say_how_a_credential_is_sent() {
    let custom = "kind: custom, dialect: openai, base_url: 'http://a', credential: env:K";
    for (given, auth) in [
        ("none", Auth::None),
        ("bearer", Auth::Bearer),
        ("x-api-key", Auth::XApiKey),
        ("{ header: Api-Key }", Auth::Header("api-key".into())),
        ("{ query: key }", Auth::Query("key".into())),
        ("{ google: { scope: a } }", Auth::Google { scope: "a".into() }),
        (
            "{ aws: { region: us-east-1, service: execute-api } }",
            Auth::Aws {
                region: "us-east-1".into(),
                service: "execute-api".into(),
            },
        ),
        (
            "aws, region: us-east-2",
            Auth::Aws {
                region: "us-east-2".into(),
                service: "bedrock".into(),
            },
        ),
        (
            "{ azure_ad: { tenant: t.example.com, client_id: c } }",
            Auth::AzureAd {
                tenant: "t.example.com".into(),
                client_id: "c".into(),
                scope: "https://cognitiveservices.azure.com/.default".into(),
                authority: "https://login.microsoftonline.com".into(),
            },
        ),
        (
            "{ azure_ad: { tenant: t, client_id: c, scope: s, authority: 'http://127.0.0.1:9/' } }",
            Auth::AzureAd {
                tenant: "t".into(),
                client_id: "c".into(),
                scope: "s".into(),
                authority: "http://127.0.0.1:9".into(),
            },
        ),
    ] {
        assert_eq!(provider(&format!("{custom}, auth: {given}")).auth, auth, "{given}");
    }
}

#[test]
fn what_is_wrong_with_an_account_is_said() {
    for (rest, said) in [
        ("kind: bedrock, credential: env:K", "/providers/p: `region` is missing"),
        ("kind: vertex, credential: env:K", "/providers/p: `project` is missing"),
        (
            "kind: azure-openai, credential: env:K",
            "/providers/p: `resource` is missing",
        ),
        (
            "kind: cloudflare, credential: env:K",
            "/providers/p: `account` is missing",
        ),
        (
            "kind: openai, credential: env:K, region: x",
            "/providers/p/region: `region` has no meaning for openai",
        ),
        (
            "kind: bedrock, credential: env:K, region: a/b",
            "/providers/p/region: `a/b` is not a name that fits into an address",
        ),
        (
            "kind: custom, base_url: 'http://a'",
            "/providers/p: `dialect` is missing",
        ),
        (
            "kind: custom, dialect: openai, credential: env:K",
            "/providers/p: `base_url` is missing",
        ),
        (
            "kind: openai, auth: { header: api-key }",
            "/providers/p: `credential` is missing",
        ),
        (
            "kind: openai, credential: env:K, auth: basic",
            "/providers/p/auth: `basic` is not a way to authenticate",
        ),
        (
            "kind: openai, credential: env:K, auth: { header: 'a b' }",
            "/providers/p/auth/header: `a b` is not a name",
        ),
        (
            "kind: openai, credential: env:K, auth: { azure_ad: { tenant: t } }",
            "/providers/p/auth/azure_ad: `client_id` is missing",
        ),
        (
            "dialect: openai, base_url: 'http://a', credential: env:K, auth: aws",
            "/providers/p/auth: `region` is missing",
        ),
    ] {
        assert!(faults(rest).contains(&said.to_owned()), "{rest}: {:?}", faults(rest));
    }
}

#[test]
fn models_depart_from_their_dialect() {
    let sampled = |kind: &str, model: &str| catalogue::row(kind).unwrap().quirks(model).sampling;
    let field = |kind: &str, model: &str| catalogue::row(kind).unwrap().quirks(model).max_tokens_field;
    for (model, takes) in [
        ("gpt-4o", true),
        ("gpt-4.1-mini", true),
        ("gpt-5-chat-latest", true),
        ("gpt-5.1-chat-latest", true),
        ("gpt-5-mini", false),
        ("gpt-5.4-nano", false),
        ("gpt-6-sol", false),
        ("o3", false),
        ("o4-mini-2025-04-16", false),
        ("ft:o4-mini-2025-04-16", false),
    ] {
        assert_eq!(sampled("openai", model), takes, "{model}");
        assert_eq!(field("openai", model), MaxTokensField::MaxCompletionTokens);
    }
    assert_eq!(field("azure-openai", "gpt-4o"), MaxTokensField::MaxTokens);
    assert_eq!(
        field("azure-openai", "our-gpt-5-mini"),
        MaxTokensField::MaxCompletionTokens
    );
    for (model, takes) in [
        ("claude-opus-4-6", true),
        ("claude-opus-4-7", false),
        ("claude-sonnet-5", false),
        ("claude-haiku-5-5", false),
    ] {
        assert_eq!(sampled("anthropic", model), takes, "{model}");
    }
    let drops = |kind: &str, model: &str| catalogue::row(kind).unwrap().quirks(model).drop.clone();
    assert_eq!(
        drops("bedrock-anthropic", "anthropic.claude-opus-5"),
        ["model", "stream"]
    );
    assert_eq!(drops("vertex-anthropic", "claude-opus-5"), ["model"]);
    assert_eq!(
        drops("xai", "grok-4.5"),
        ["logit_bias", "presence_penalty", "frequency_penalty", "stop"]
    );
    assert_eq!(drops("xai", "grok-4.20-non-reasoning"), ["logit_bias"]);
    let mistral = catalogue::row("mistral").unwrap().quirks("mistral-large-latest");
    assert_eq!(mistral.rename, [("seed".to_owned(), "random_seed".to_owned())]);
    assert_eq!(
        (mistral.clamp[0].name.as_str(), mistral.clamp[0].most),
        ("temperature", Some(1.5))
    );
}

#[test]
fn claude_is_what_the_model_table_says() {
    let mut seen = 0;
    for (kind, section) in [
        ("anthropic", "anthropic"),
        ("vertex-anthropic", "vertex"),
        ("bedrock-anthropic", "bedrock"),
        ("bedrock", "bedrock"),
    ] {
        let row = catalogue::row(kind).unwrap();
        for model in models_of(section).iter().filter(|model| model.contains("claude")) {
            let facts = facts(section, model).unwrap();
            let quirks = row.quirks(model);
            // What came after prefill has no mark for it; earlier models are marked at one provider and not at the next.
            if facts.abilities.native_schema {
                assert!(quirks.native_schema, "{kind} {model}");
                assert_eq!(
                    quirks.prefill,
                    facts.abilities.prefill || early(model),
                    "{kind} {model}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}");

    fn early(model: &str) -> bool {
        ["4-1-", "4-5"].iter().any(|edition| model.contains(edition))
    }
}

#[test]
fn openai_s_reasoning_models_are_what_the_model_table_says() {
    let row = catalogue::row("openai").unwrap();
    let named = |model: &str| model.starts_with("gpt-") || model.starts_with('o');
    for model in models_of("openai").iter().filter(|model| named(model)) {
        let facts = facts("openai", model).unwrap();
        let chat = model.contains("chat") || model.contains("search") || model.contains("rosalind");
        if matches!(facts.mode, Mode::Chat | Mode::Responses) && !chat && !model.contains("daybreak") {
            assert_eq!(row.quirks(model).sampling, !facts.abilities.reasoning, "{model}");
        }
    }
}

#[test]
fn the_model_table_knows_limits() {
    for (section, model, window, most) in [
        ("openai", "gpt-4o", 128_000, 16_384),
        ("anthropic", "claude-haiku-4-5", 200_000, 64_000),
        ("bedrock", "eu.anthropic.claude-opus-4-7", 1_000_000, 128_000),
        ("vertex", "claude-opus-5@default", 1_000_000, 128_000),
    ] {
        let facts = facts(section, model).unwrap_or_else(|| panic!("{model}"));
        assert_eq!(
            (facts.context_window, facts.max_output_tokens),
            (Some(window), Some(most)),
            "{model}"
        );
    }
    assert!(facts("openai", "no-such-model").is_none());
    for row in catalogue::rows() {
        if let Some(section) = &row.prices {
            assert!(!models_of(section).is_empty(), "{}: {section}", row.kind);
        }
    }
}

/// Read beside the catalogue's own reading.
fn models_of(section: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/prices/models.json");
    let file: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    file["models"][section].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn streams_say_what_they_used_where_the_row_knows() {
    for (kind, usage) in [
        ("openai", StreamUsage::Ask),
        ("anthropic", StreamUsage::Always),
        ("mistral", StreamUsage::Always),
        ("vllm", StreamUsage::Ask),
    ] {
        let row = catalogue::row(kind).unwrap();
        assert!(row.variants().all(|quirks| quirks.stream_usage == usage), "{kind}");
    }
    assert!(
        catalogue::rows()
            .iter()
            .all(|row| row.quirks("").stream_usage != StreamUsage::Unknown)
    );
    for dialect in Dialect::ALL {
        let bare = catalogue::bare(dialect);
        assert_eq!((bare.dialect, bare.kind.as_str()), (dialect, ""));
        assert!(!bare.quirks("").may_ask_stream_usage());
    }
    let framing = |kind: &str| catalogue::row(kind).unwrap().quirks("x").stream_framing;
    assert_eq!(framing("bedrock"), StreamFraming::AwsEventStream);
    assert_eq!(framing("bedrock-anthropic"), StreamFraming::AwsEventStream);
    assert_eq!(framing("vertex-anthropic"), StreamFraming::Events);
}

#[test]
fn the_docs_have_a_line_for_every_kind() {
    let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/providers.md")).unwrap();
    let missing: Vec<&str> = catalogue::rows()
        .iter()
        .map(|row| row.kind.as_str())
        .filter(|kind| !docs.lines().any(|line| line.starts_with(&format!("| `{kind}` |"))))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
