//! A prompt's tokens, counted here and answered as the caller's dialect answers: where no target of that dialect can be
//! asked. Sources: Anthropic API reference, "Count tokens in a Message"; Gemini API reference, "countTokens"; OpenAI API
//! reference, "Get input token counts".

use std::borrow::Cow;

use crate::{
    anthropic::Anthropic,
    canonical::bad::BadRequest,
    gemini::Gemini,
    json::{Node, Out},
    openai_responses::OpenAiResponses,
    speak::{PathFacts, Speaks},
    tokens::{DEFAULT_EXACT_BYTES, Memo, estimate_prompt},
};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `POST /v1/messages/count_tokens`.
    Anthropic,
    /// `:countTokens`.
    Gemini,
    /// `POST /v1/responses/input_tokens`.
    Responses,
}

/// Appends the answer: what the prompt is worth to a model of this name.
pub fn write_answer(
    asked: Asked,
    body: &[u8],
    path: PathFacts<'_>,
    target_model: &str,
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    let (speaks, body): (&dyn Speaks, _) = match asked {
        Asked::Anthropic => (&Anthropic, with_max_tokens(body)?),
        Asked::Gemini => (&Gemini, Cow::Borrowed(request_within(body)?)),
        Asked::Responses => (&OpenAiResponses, Cow::Borrowed(body)),
    };
    let request = speaks.read_request(&body, path)?;
    if let Some(owned) = request.owned.first() {
        let wrong = "names something that lives at a provider, which does not count for this dialect";
        return Err(BadRequest::missing(owned.field, wrong));
    }
    // 64 KiB: such calls are few, and a shard keeps none for them.
    let mut memo = Memo::default();
    let tokens = estimate_prompt(&request, target_model, DEFAULT_EXACT_BYTES, &mut memo).tokens;
    let mut json = Out::new(out);
    json.open();
    match asked {
        Asked::Anthropic => json.key("input_tokens"),
        Asked::Gemini => json.key("totalTokens"),
        Asked::Responses => json.key("object").string("response.input_tokens").key("input_tokens"),
    };
    json.unsigned(tokens).close();
    Ok(())
}

/// The message without the cap that only an answer needs, given one: the dialect's reader demands it.
fn with_max_tokens(body: &[u8]) -> Result<Cow<'_, [u8]>, BadRequest> {
    let document = Node::document(body)?;
    if document.get("max_tokens").is_some() {
        return Ok(Cow::Borrowed(body));
    }
    let mut whole = Vec::with_capacity(body.len() + 16);
    let mut json = Out::new(&mut whole);
    json.open();
    for (key, value) in document.members() {
        json.string_key(&key).raw(value.raw());
    }
    json.key("max_tokens").unsigned(1).close();
    Ok(Cow::Owned(whole))
}

/// The prompt by itself, or the whole request that it is part of.
fn request_within(body: &[u8]) -> Result<&[u8], BadRequest> {
    let document = Node::document(body)?;
    let whole = document.get("generateContentRequest").filter(|whole| whole.is_object());
    Ok(whole.map_or(body, Node::raw))
}
