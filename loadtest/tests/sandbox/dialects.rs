//! Every path of every provider's API, byte for byte as `golden/` has it, and the binary stream as its format demands.
//!
//! After a deliberate change, `TOLLGATE_WRITE_GOLDEN=1` writes the files anew; read the difference before committing it.

use std::path::PathBuf;

use crate::harness::Sandbox;

const CHAT: &str = r#"{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"Hello there."}]}"#;
const CHAT_STREAM: &str =
    r#"{"model":"m","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"Hello there."}]}"#;
const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Hello there."}]}]}"#;
const CONVERSE: &str = r#"{"messages":[{"role":"user","content":[{"text":"Hello there."}]}]}"#;

/// Name, path, header lines and body of what is asked; no body: a GET.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("openai-chat", "/v1/chat/completions", "", CHAT),
    ("openai-chat-stream", "/openai/v1/chat/completions", "", CHAT_STREAM),
    (
        "openai-chat-error",
        "/v1/chat/completions",
        "x-sandbox-status: 429\r\n",
        CHAT,
    ),
    (
        "openai-responses",
        "/v1/responses",
        "",
        r#"{"model":"m","input":"Hello there."}"#,
    ),
    (
        "openai-responses-stream",
        "/v1/responses",
        "",
        r#"{"model":"m","input":[{"role":"user","content":"Hello there."}],"stream":true,"max_output_tokens":5}"#,
    ),
    (
        "openai-embeddings",
        "/v1/embeddings",
        "",
        r#"{"model":"m","input":["quiet rain","river"],"dimensions":4}"#,
    ),
    (
        "openai-embeddings-base64",
        "/v1/embeddings",
        "",
        r#"{"model":"m","input":"river","dimensions":4,"encoding_format":"base64"}"#,
    ),
    ("openai-moderations", "/v1/moderations", "", r#"{"input":["violence"]}"#),
    ("openai-models", "/v1/models", "", ""),
    ("anthropic-messages", "/v1/messages", "", CHAT),
    ("anthropic-messages-stream", "/anthropic/v1/messages", "", CHAT_STREAM),
    (
        "anthropic-messages-error",
        "/v1/messages",
        "x-sandbox-status: 529\r\n",
        CHAT,
    ),
    ("anthropic-count-tokens", "/v1/messages/count_tokens", "", CHAT),
    (
        "anthropic-models",
        "/v1/models",
        "anthropic-version: 2023-06-01\r\n",
        "",
    ),
    ("gemini-generate", "/v1beta/models/m:generateContent", "", GEMINI),
    (
        "gemini-stream-events",
        "/gemini/v1beta/models/m:streamGenerateContent?alt=sse",
        "",
        GEMINI,
    ),
    (
        "gemini-stream-array",
        "/v1beta/models/m:streamGenerateContent",
        "",
        GEMINI,
    ),
    (
        "gemini-error",
        "/v1beta/models/m:generateContent",
        "x-sandbox-status: 429\r\nx-sandbox-retry-after: 7\r\n",
        GEMINI,
    ),
    (
        "gemini-stream-array-error",
        "/v1beta/models/m:streamGenerateContent",
        "x-sandbox-status: 503\r\n",
        GEMINI,
    ),
    ("gemini-count-tokens", "/v1beta/models/m:countTokens", "", GEMINI),
    (
        "gemini-embed",
        "/v1beta/models/m:embedContent",
        "",
        r#"{"content":{"parts":[{"text":"river"}]},"outputDimensionality":4}"#,
    ),
    ("gemini-models", "/v1beta/models", "", ""),
    ("cohere-chat", "/v2/chat", "", CHAT),
    ("cohere-chat-stream", "/cohere/v2/chat", "", CHAT_STREAM),
    ("cohere-chat-error", "/v2/chat", "x-sandbox-status: 404\r\n", CHAT),
    (
        "cohere-embed",
        "/v2/embed",
        "",
        r#"{"model":"m","texts":["river"],"output_dimension":8,"embedding_types":["float","int8","ubinary"]}"#,
    ),
    (
        "cohere-rerank",
        "/v2/rerank",
        "",
        r#"{"model":"m","query":"quiet rain","documents":["noise","a quiet day"]}"#,
    ),
    ("bedrock-converse", "/model/m/converse", "", CONVERSE),
    (
        "bedrock-titan-embed",
        "/model/amazon.titan-embed-text-v2%3A0/invoke",
        "",
        r#"{"inputText":"river","dimensions":256}"#,
    ),
    (
        "bedrock-cohere-embed",
        "/model/cohere.embed-v4%3A0/invoke",
        "",
        r#"{"texts":["river"],"input_type":"search_query","output_dimension":8,"embedding_types":["float","int8"]}"#,
    ),
    (
        "bedrock-cohere-rerank",
        "/model/cohere.rerank-v3-5%3A0/invoke",
        "",
        r#"{"query":"quiet rain","documents":["noise","a quiet day"],"api_version":2}"#,
    ),
    (
        "bedrock-converse-stream",
        "/bedrock/model/m/converse-stream",
        "",
        CONVERSE,
    ),
    (
        "bedrock-error",
        "/model/m/converse",
        "x-sandbox-status: 429\r\n",
        CONVERSE,
    ),
    ("nobody", "/v1/unknown", "", CHAT),
];

/// The answer as text: one line of it per line, what is not text escaped, the request's id made the same.
fn readable(answer: &[u8]) -> String {
    let text = answer
        .escape_ascii()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\n", "\\n\n");
    let id = ["\nx-request-id: ", "\nrequest-id: ", "\nx-amzn-requestid: "]
        .iter()
        .find_map(|name| {
            let start = text.find(name)? + name.len();
            Some(text[start..start + 16].to_owned())
        });
    match id {
        Some(id) => text.replace(&id, "0000000000000000"),
        None => text,
    }
}

#[test]
fn answers_have_the_shapes_of_the_providers() {
    let sandbox = Sandbox::start(&[]);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/golden");
    let mut wrong = Vec::new();
    for (name, path, fields, body) in CASES {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let fields = format!("x-sandbox-tokens: 6\r\n{fields}");
        let version = if name.contains("models") {
            ""
        } else {
            "anthropic-version: 1\r\n"
        };
        let answer = readable(&sandbox.ask_plainly(method, path, &(fields + version), body));
        let file = folder.join(format!("{name}.txt"));
        if std::env::var_os("TOLLGATE_WRITE_GOLDEN").is_some() {
            std::fs::write(&file, &answer).expect("written");
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        // An error of Cohere's has an id of its own, made of the request's.
        let is_same = match *name {
            "cohere-chat-error" => {
                answer.len() == expected.len() && answer.ends_with("the sandbox was asked to fail\"}")
            }
            _ => answer == expected,
        };
        if !is_same {
            wrong.push(format!("{name}\n--- is\n{answer}\n--- should be\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_binary_stream_is_framed_and_checked() {
    let sandbox = Sandbox::start(&[]);
    let answer = sandbox.ask("POST", "/model/m/converse-stream", "x-sandbox-tokens: 40\r\n", CONVERSE);
    let mut rest = &body_of(&answer)[..];
    let mut text = String::new();
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let number = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let (total, headers) = (number(0) as usize, number(4) as usize);
        assert_eq!(number(8), crc32fast::hash(&rest[..8]));
        assert_eq!(number(total - 4), crc32fast::hash(&rest[..total - 4]));
        let payload: serde_json::Value = serde_json::from_slice(&rest[12 + headers..total - 4]).expect("JSON");
        text += payload["delta"]["text"].as_str().unwrap_or_default();
        kinds.push(String::from_utf8_lossy(&rest[12..12 + headers]).contains("contentBlockDelta"));
        rest = &rest[total..];
    }
    assert_eq!(kinds.iter().filter(|is_delta| **is_delta).count(), 40);
    let whole = sandbox.ask("POST", "/model/m/converse", "x-sandbox-tokens: 40\r\n", CONVERSE);
    assert!(
        !text.is_empty() && String::from_utf8_lossy(&whole).contains(&text),
        "{text}"
    );
}

/// A chunked answer's body.
fn body_of(answer: &[u8]) -> Vec<u8> {
    let start = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let (mut at, mut body) = (start, Vec::new());
    loop {
        let line = answer[at..]
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a chunk's size");
        let size =
            usize::from_str_radix(std::str::from_utf8(&answer[at..at + line]).expect("digits"), 16).expect("a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&answer[at + line + 2..at + line + 2 + size]);
        at += line + 2 + size + 2;
    }
}

#[test]
fn every_dialects_stream_is_cut_at_the_byte_asked_for() {
    let sandbox = Sandbox::start(&[]);
    for (name, path, _, body) in CASES
        .iter()
        .filter(|case| case.0.contains("stream") && !case.0.contains("error"))
    {
        let whole = sandbox.ask("POST", path, "", body);
        for bytes in (1..whole.len()).step_by(whole.len() / 5) {
            let cut = sandbox.ask("POST", path, &format!("x-sandbox-cut-after: {bytes}\r\n"), body);
            assert_eq!(cut.len(), bytes, "{name}");
        }
    }
}

#[test]
fn models_in_paths_carry_wishes_and_are_percent_decoded() {
    let sandbox = Sandbox::start(&[]);
    for (path, body) in [
        ("/v1beta/models/sandbox%2dstatus-503:generateContent", GEMINI),
        ("/model/sandbox%2Dstatus%2D503/converse", CONVERSE),
    ] {
        let answer = sandbox.ask("POST", path, "", body);
        assert!(
            answer.starts_with(b"HTTP/1.1 503 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}
