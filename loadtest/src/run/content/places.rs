//! Where each dialect's answers hold their text, and how its streams say that they are whole.

use super::json::Place;
use crate::dialect::Dialect;

/// Where the text of a buffered answer is.
pub fn buffered(dialect: Dialect) -> [Place; 1] {
    let (keys, first_only): (&'static [&'static [u8]], bool) = match dialect {
        Dialect::OpenAi => (&[b"choices", b"message", b"content"], true),
        Dialect::OpenAiResponses => (&[b"output", b"content", b"text"], false),
        Dialect::Anthropic => (&[b"content", b"text"], false),
        Dialect::Gemini => (&[b"candidates", b"content", b"parts", b"text"], true),
        Dialect::Cohere => (&[b"message", b"content", b"text"], false),
        Dialect::Bedrock => (&[b"output", b"message", b"content", b"text"], false),
    };
    [Place { keys, first_only }]
}

/// Where in a stream's event its text is, and where the word that says what the event is (or that it is the last).
pub fn event(dialect: Dialect) -> [Place; 2] {
    let (text, word): (&'static [&'static [u8]], &'static [&'static [u8]]) = match dialect {
        Dialect::OpenAi => (&[b"choices", b"delta", b"content"], &[b"choices", b"finish_reason"]),
        Dialect::OpenAiResponses => (&[b"delta"], &[b"type"]),
        Dialect::Anthropic => (&[b"delta", b"text"], &[b"type"]),
        Dialect::Gemini => (
            &[b"candidates", b"content", b"parts", b"text"],
            &[b"candidates", b"finishReason"],
        ),
        Dialect::Cohere => (&[b"delta", b"message", b"content", b"text"], &[b"type"]),
        // The word is in a header of the binary message.
        Dialect::Bedrock => (&[b"delta", b"text"], &[b"stopReason"]),
    };
    let first_only = matches!(dialect, Dialect::OpenAi | Dialect::Gemini);
    [Place { keys: text, first_only }, Place { keys: word, first_only }]
}

/// Whether an event with this word carries text at the text's place. Responses have `delta`s of other things, too.
pub fn carries_text(dialect: Dialect, word: &[u8]) -> bool {
    match dialect {
        Dialect::OpenAiResponses => word == b"response.output_text.delta",
        Dialect::Anthropic => word == b"content_block_delta",
        Dialect::Cohere => word == b"content-delta",
        Dialect::Bedrock => word == b"contentBlockDelta",
        Dialect::OpenAi | Dialect::Gemini => true,
    }
}

/// Whether an event with this word says that the stream is whole.
pub fn ends_stream(dialect: Dialect, word: &[u8]) -> bool {
    match dialect {
        // `[DONE]` is no JSON and is known before.
        Dialect::OpenAi => false,
        Dialect::OpenAiResponses => matches!(word, b"response.completed" | b"response.incomplete"),
        Dialect::Anthropic => word == b"message_stop",
        Dialect::Gemini => !word.is_empty(),
        Dialect::Cohere => word == b"message-end",
        Dialect::Bedrock => word == b"messageStop",
    }
}
