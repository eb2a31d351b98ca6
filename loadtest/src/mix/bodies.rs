//! What each dialect's requests look like: paths, the header the key goes in, and bodies as texts with placeholders,
//! as that dialect's own SDK sends them. Pure text; knows nothing of how it is filled.

use super::Kind;
use crate::dialect::Dialect;

/// Of a conversation's turn: what the model answered, and what it was told next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Answer and next question.
    Talk,
    /// The call of a tool and its result.
    Tool,
}

/// What a chat body is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Chat {
    pub system: bool,
    pub turn: Option<Turn>,
    pub max_tokens: bool,
    pub stream: bool,
}

/// A body in three parts; the middle one is repeated for each turn of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyText {
    pub before: String,
    pub turn: String,
    pub after: String,
}

/// The dialect's own path; None where it has no such thing.
pub fn path(dialect: Dialect, kind: Kind, stream: bool) -> Option<&'static str> {
    use Dialect::{Anthropic, Bedrock, Cohere, Gemini, OpenAi, OpenAiResponses};
    Some(match (kind, dialect) {
        (Kind::Chat, OpenAi) => "/v1/chat/completions",
        (Kind::Chat, OpenAiResponses) => "/v1/responses",
        (Kind::Chat, Anthropic) => "/v1/messages",
        (Kind::Chat, Gemini) if stream => "/v1beta/models/${model}:streamGenerateContent?alt=sse",
        (Kind::Chat, Gemini) => "/v1beta/models/${model}:generateContent",
        (Kind::Chat, Cohere) => "/v2/chat",
        (Kind::Chat, Bedrock) if stream => "/model/${model}/converse-stream",
        (Kind::Chat, Bedrock) => "/model/${model}/converse",
        (Kind::Embeddings, OpenAi) => "/v1/embeddings",
        (Kind::Embeddings, Gemini) => "/v1beta/models/${model}:embedContent",
        (Kind::Embeddings, Cohere) => "/v2/embed",
        (Kind::Rerank, Cohere) => "/v2/rerank",
        (Kind::Moderations, OpenAi) => "/v1/moderations",
        (Kind::Models, OpenAi | Anthropic) => "/v1/models",
        (Kind::Models, Gemini) => "/v1beta/models",
        _ => return None,
    })
}

/// Paths that end like this are a dialect's chat.
pub const CHAT_ENDINGS: [(&str, Dialect); 4] = [
    ("/v1/chat/completions", Dialect::OpenAi),
    ("/v1/responses", Dialect::OpenAiResponses),
    ("/v1/messages", Dialect::Anthropic),
    ("/v2/chat", Dialect::Cohere),
];

/// Whether the body, and not the path, says that a stream is wanted.
pub fn streams_by_body(dialect: Dialect) -> bool {
    !matches!(dialect, Dialect::Gemini | Dialect::Bedrock)
}

/// The header that carries the key, and what stands before it there.
pub fn key_header(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::Anthropic => ("x-api-key", ""),
        Dialect::Gemini => ("x-goog-api-key", ""),
        _ => ("authorization", "Bearer "),
    }
}

/// Headers that the dialect's SDK always sends.
pub fn headers(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::Anthropic => &[("anthropic-version", "2023-06-01")],
        _ => &[],
    }
}

/// What a streaming client says that it accepts.
pub fn accept(dialect: Dialect, stream: bool) -> &'static str {
    match (stream, dialect) {
        (false, _) => "application/json",
        (true, Dialect::Bedrock) => "application/vnd.amazon.eventstream",
        (true, _) => "text/event-stream",
    }
}

pub fn chat(dialect: Dialect, wanted: Chat) -> BodyText {
    let Chat {
        system,
        turn,
        max_tokens,
        stream,
    } = wanted;
    let is = |yes: bool, text: &'static str| if yes { text } else { "" };
    let stream = is(stream && streams_by_body(dialect), r#","stream":true"#);
    let tools = match turn {
        Some(Turn::Tool) => format!(",{}", tools(dialect)),
        _ => String::new(),
    };
    let (open, close) = match dialect {
        Dialect::OpenAi | Dialect::Cohere => {
            let system = is(system, r#"{"role":"system","content":"${system}"},"#);
            let name = if dialect == Dialect::OpenAi {
                "max_completion_tokens"
            } else {
                "max_tokens"
            };
            let limit = if max_tokens {
                format!(r#","{name}":${{max_tokens}}"#)
            } else {
                String::new()
            };
            (
                format!(r#"{{"model":"${{model}}","messages":[{system}"#),
                format!("]{tools}{limit}{stream}}}"),
            )
        }
        Dialect::OpenAiResponses => {
            let system = is(system, r#""instructions":"${system}","#);
            let limit = is(max_tokens, r#","max_output_tokens":${max_tokens}"#);
            (
                format!(r#"{{"model":"${{model}}",{system}"input":["#),
                format!("]{tools}{limit}{stream}}}"),
            )
        }
        Dialect::Anthropic => {
            let system = is(system, r#""system":"${system}","#);
            // The one dialect that insists on a limit.
            let open = format!(r#"{{"model":"${{model}}","max_tokens":${{max_tokens}},{system}"messages":["#);
            (open, format!("]{tools}{stream}}}"))
        }
        Dialect::Gemini => {
            let system = is(system, r#""systemInstruction":{"parts":[{"text":"${system}"}]},"#);
            let limit = is(max_tokens, r#","generationConfig":{"maxOutputTokens":${max_tokens}}"#);
            (format!(r#"{{{system}"contents":["#), format!("]{tools}{limit}}}"))
        }
        Dialect::Bedrock => {
            let system = is(system, r#""system":[{"text":"${system}"}],"#);
            let limit = is(max_tokens, r#","inferenceConfig":{"maxTokens":${max_tokens}}"#);
            (format!(r#"{{{system}"messages":["#), format!("]{tools}{limit}}}"))
        }
    };
    BodyText {
        before: open + &user(dialect, "${prompt}"),
        turn: turn.map_or_else(String::new, |turn| turn_text(dialect, turn)),
        after: close,
    }
}

fn turn_text(dialect: Dialect, turn: Turn) -> String {
    match turn {
        Turn::Talk => format!(",{},{}", assistant(dialect), user(dialect, "${reply}")),
        Turn::Tool => format!(",{},{}", tool_call(dialect), tool_result(dialect)),
    }
}

fn user(dialect: Dialect, text: &str) -> String {
    said(dialect, "user", text)
}

fn assistant(dialect: Dialect) -> String {
    let role = if dialect == Dialect::Gemini {
        "model"
    } else {
        "assistant"
    };
    said(dialect, role, "${answer}")
}

fn said(dialect: Dialect, role: &str, text: &str) -> String {
    match dialect {
        Dialect::Gemini => format!(r#"{{"role":"{role}","parts":[{{"text":"{text}"}}]}}"#),
        Dialect::Bedrock => format!(r#"{{"role":"{role}","content":[{{"text":"{text}"}}]}}"#),
        _ => format!(r#"{{"role":"{role}","content":"{text}"}}"#),
    }
}

fn tool_call(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => {
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call_${turn_id}","type":"function","function":{"name":"search","arguments":"{\"query\":\"${answer}\"}"}}]}"#
        }
        Dialect::Cohere => {
            r#"{"role":"assistant","tool_calls":[{"id":"search_${turn_id}","type":"function","function":{"name":"search","arguments":"{\"query\":\"${answer}\"}"}}]}"#
        }
        Dialect::OpenAiResponses => {
            r#"{"type":"function_call","call_id":"call_${turn_id}","name":"search","arguments":"{\"query\":\"${answer}\"}"}"#
        }
        Dialect::Anthropic => {
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"toolu_${turn_id}","name":"search","input":{"query":"${answer}"}}]}"#
        }
        Dialect::Gemini => {
            r#"{"role":"model","parts":[{"functionCall":{"name":"search","args":{"query":"${answer}"}}}]}"#
        }
        Dialect::Bedrock => {
            r#"{"role":"assistant","content":[{"toolUse":{"toolUseId":"tooluse_${turn_id}","name":"search","input":{"query":"${answer}"}}}]}"#
        }
    }
}

fn tool_result(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => r#"{"role":"tool","tool_call_id":"call_${turn_id}","content":"${reply}"}"#,
        Dialect::Cohere => r#"{"role":"tool","tool_call_id":"search_${turn_id}","content":"${reply}"}"#,
        Dialect::OpenAiResponses => {
            r#"{"type":"function_call_output","call_id":"call_${turn_id}","output":"${reply}"}"#
        }
        Dialect::Anthropic => {
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_${turn_id}","content":"${reply}"}]}"#
        }
        Dialect::Gemini => {
            r#"{"role":"user","parts":[{"functionResponse":{"name":"search","response":{"result":"${reply}"}}}]}"#
        }
        Dialect::Bedrock => {
            r#"{"role":"user","content":[{"toolResult":{"toolUseId":"tooluse_${turn_id}","content":[{"text":"${reply}"}]}}]}"#
        }
    }
}

/// The one tool of our agents.
fn tools(dialect: Dialect) -> String {
    const SCHEMA: &str = r#"{"type":"object","properties":{"query":{"type":"string","description":"What to look for."}},"required":["query"]}"#;
    const NAMED: &str =
        r#""name":"search","description":"Searches the company's documents and answers the best passages.""#;
    match dialect {
        Dialect::OpenAi | Dialect::Cohere => {
            format!(r#""tools":[{{"type":"function","function":{{{NAMED},"parameters":{SCHEMA}}}}}]"#)
        }
        Dialect::OpenAiResponses => format!(r#""tools":[{{"type":"function",{NAMED},"parameters":{SCHEMA}}}]"#),
        Dialect::Anthropic => format!(r#""tools":[{{{NAMED},"input_schema":{SCHEMA}}}]"#),
        Dialect::Gemini => format!(r#""tools":[{{"functionDeclarations":[{{{NAMED},"parameters":{SCHEMA}}}]}}]"#),
        Dialect::Bedrock => {
            format!(r#""toolConfig":{{"tools":[{{"toolSpec":{{{NAMED},"inputSchema":{{"json":{SCHEMA}}}}}}}]}}"#)
        }
    }
}

/// Bodies of what is not chat; None where the dialect has no such thing, or it has no body.
pub fn other(dialect: Dialect, kind: Kind, texts: usize) -> Option<String> {
    let list = vec![r#""${prompt}""#; texts].join(",");
    Some(match (kind, dialect) {
        (Kind::Embeddings, Dialect::OpenAi) if texts == 1 => r#"{"model":"${model}","input":"${prompt}"}"#.to_owned(),
        (Kind::Embeddings | Kind::Moderations, Dialect::OpenAi) => {
            format!(r#"{{"model":"${{model}}","input":[{list}]}}"#)
        }
        (Kind::Embeddings, Dialect::Gemini) => {
            let parts = vec![r#"{"text":"${prompt}"}"#; texts].join(",");
            format!(r#"{{"content":{{"parts":[{parts}]}}}}"#)
        }
        (Kind::Embeddings, Dialect::Cohere) => format!(
            r#"{{"model":"${{model}}","input_type":"search_document","embedding_types":["float"],"texts":[{list}]}}"#
        ),
        (Kind::Rerank, Dialect::Cohere) => {
            format!(r#"{{"model":"${{model}}","query":"${{query}}","top_n":3,"documents":[{list}]}}"#)
        }
        _ => return None,
    })
}
