//! What a call to `/providers/{name}/…` is seen to ask for: limits and prices want to know its model, and in whose words its
//! answer will tell what was used. Nothing of the call is changed, and what is not recognised passes all the same.

use std::borrow::Cow;

use tollgate_config::document::Dialect;
use tollgate_wire::{
    head::{Known, Method},
    json::{
        cursor::{self, Kind as Json, Value},
        watch::Watch,
    },
};

use crate::{
    call::SentModel,
    cost, counted, decode,
    exchange::{Exchange, Io},
    facts::MAX_MODEL_NAME_BYTES,
    outputs::Rest,
    percent, surface,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Through {
    /// Of the answer.
    pub dialect: Dialect,
    pub is_chat: bool,
    /// A model was named: what the call uses costs something.
    pub names_model: bool,
    /// Index of the model of the document that has a target which is called so.
    pub route: Option<usize>,
    pub stream: bool,
    pub asks_usage: bool,
    pub in_background: bool,
    /// What the answer says of usage was used by this call, and not by one that made what it asks about.
    pub uses: bool,
}

/// Chats, by how their paths end: whose words they are in, and what stands before the model's name where the path has it.
const CHATS: [(&[u8], Dialect, &[u8]); 13] = [
    (b"/chat/completions", Dialect::OpenAi, b"/deployments/"),
    (b"/responses", Dialect::OpenAiResponses, b""),
    (b"/messages", Dialect::Anthropic, b""),
    (b":generateContent", Dialect::Gemini, b"/models/"),
    (b":streamGenerateContent", Dialect::Gemini, b"/models/"),
    (b":rawPredict", Dialect::Anthropic, b"/models/"),
    (b":streamRawPredict", Dialect::Anthropic, b"/models/"),
    (b"/converse", Dialect::Bedrock, b"/model/"),
    (b"/converse-stream", Dialect::Bedrock, b"/model/"),
    (b"/invoke", Dialect::Anthropic, b"/model/"),
    (b"/invoke-with-response-stream", Dialect::Anthropic, b"/model/"),
    (b"/v2/chat", Dialect::Cohere, b""),
    (b"/v1/chat", Dialect::Cohere, b""),
];
/// Other calls whose paths name a model.
const NAMED_BEFORE: [&[u8]; 2] = [b"/models/", b"/deployments/"];
/// Counting is free.
const COUNTS: [&[u8]; 4] = [b"/count_tokens", b":countTokens", b"/input_tokens", b"/count-tokens"];

/// Is the call a chat, by its path?
pub(crate) fn is_chat(path: &[u8]) -> bool {
    chat(path).is_some()
}

fn chat(path: &[u8]) -> Option<(Dialect, &'static [u8], &'static [u8])> {
    let found = CHATS.iter().find(|(end, ..)| path.ends_with(end));
    let (end, dialect, before) = *found?;
    // Other vendors' bodies are told by nobody.
    let is_anthropic = || memchr::memmem::find(path, b"anthropic").is_some();
    let by_vendor = end.starts_with(b"/invoke") || end.ends_with(b"awPredict");
    (!by_vendor || is_anthropic()).then_some((dialect, end, before))
}

/// Reads what of the call can be read: the path, and a JSON body that is here whole.
pub(crate) fn read(exchange: &mut Exchange, io: &Io<'_>) {
    let Some(provider) = exchange.facts.direct else { return };
    let path = surface::provider_path(io.request.path()).map_or(&b""[..], |(_, rest)| rest);
    let pinned = exchange.pin();
    let of_provider = pinned.snapshot.document.providers[provider].1.dialect;
    let chat = chat(path);
    let uses = !matches!(
        io.request.head.method,
        Method::Get | Method::Head | Method::Delete | Method::Options
    );
    let said = match uses && exchange.admitted.rest == Rest::Nothing {
        true => body(exchange, io),
        false => Said::default(),
    };
    let in_path = chat.map_or_else(|| named_before(path), |(_, end, before)| between(path, before, end));
    let counts = COUNTS.iter().any(|end| path.ends_with(end));
    let model = in_path
        .or(said.model)
        .filter(|name| uses && !counts && !name.is_empty() && name.len() <= MAX_MODEL_NAME_BYTES);
    let place = model
        .as_deref()
        .and_then(|model| counted::place_of(&pinned, provider, &|known| known == model));
    exchange.call.through = Some(Through {
        dialect: chat.map_or(of_provider, |(dialect, ..)| dialect),
        is_chat: chat.is_some() && uses,
        names_model: model.is_some(),
        route: place.map(|(route, _)| route),
        stream: said.stream || path.ends_with(b"-stream") || memchr::memmem::find(path, b":stream").is_some(),
        asks_usage: said.asks_usage,
        in_background: said.in_background,
        uses,
    });
    if let Some(model) = model {
        exchange.call.sent_model = match place {
            Some((route, target)) => SentModel::Target { route, target },
            None => SentModel::Star { target: None },
        };
        exchange.call.star_model = model;
    }
}

#[derive(Default)]
struct Said {
    model: Option<String>,
    stream: bool,
    asks_usage: bool,
    in_background: bool,
}

fn body(exchange: &mut Exchange, io: &Io<'_>) -> Said {
    const FIELDS: Watch<'static, 5> = Watch::new(&[
        "model",
        "stream",
        "stream_options.include_usage",
        "background",
        "service_tier",
    ]);
    let max_bytes = exchange.pin().snapshot.document.max_body_bytes;
    let encoding = io.request.get(Known::ContentEncoding).unwrap_or_default();
    // It goes up as it came: what is decoded is for this look alone.
    let Ok(decoded) = decode::request_body(encoding, io.body, max_bytes) else {
        return Said::default();
    };
    let body = decoded.map_or(Cow::Borrowed(io.body), Cow::Owned);
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Said::default();
    }
    let Ok([model, stream, usage, background, tier]) = cursor::find_watched(&body, &FIELDS) else {
        return Said::default();
    };
    let is = |value: Option<Value>| value.is_some_and(|value| value.kind == Json::True);
    exchange.facts.tier = cost::tier_asked(&body, tier);
    Said {
        model: model.and_then(|model| Some(cursor::string(&body, model)?.into_owned())),
        stream: is(stream),
        asks_usage: is(usage),
        in_background: is(background),
    }
}

/// The model's name in the path of a call that is no chat.
fn named_before(path: &[u8]) -> Option<String> {
    NAMED_BEFORE.iter().find_map(|before| {
        let start = memchr::memmem::find(path, before)? + before.len();
        let rest = &path[start..];
        let end = memchr::memchr2(b'/', b':', rest)?;
        named(&rest[..end])
    })
}

fn between(path: &[u8], before: &[u8], end: &[u8]) -> Option<String> {
    let start = memchr::memmem::find(path, before).filter(|_| !before.is_empty())? + before.len();
    named(path.get(start..)?.strip_suffix(end)?)
}

fn named(name: &[u8]) -> Option<String> {
    let name = percent::decode(name);
    str::from_utf8(&name)
        .ok()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_known_by_their_paths() {
        for (path, dialect, model) in [
            ("/v1/chat/completions", Some(Dialect::OpenAi), None),
            (
                "/openai/deployments/gpt%2D5/chat/completions",
                Some(Dialect::OpenAi),
                Some("gpt-5"),
            ),
            ("/v1/responses", Some(Dialect::OpenAiResponses), None),
            ("/v1/messages", Some(Dialect::Anthropic), None),
            (
                "/v1beta/models/gemini-3:streamGenerateContent",
                Some(Dialect::Gemini),
                Some("gemini-3"),
            ),
            (
                "/model/eu.anthropic.claude-5%3A0/invoke",
                Some(Dialect::Anthropic),
                Some("eu.anthropic.claude-5:0"),
            ),
            ("/model/amazon.titan/invoke", None, None),
            ("/model/nova/converse-stream", Some(Dialect::Bedrock), Some("nova")),
            ("/v1beta/models/gemini-3:embedContent", None, Some("gemini-3")),
            ("/deployments/tts/audio/speech", None, Some("tts")),
            ("/v1/models/gpt", None, None),
            ("/v1/files", None, None),
        ] {
            let path = path.as_bytes();
            let found = chat(path);
            assert_eq!(found.map(|(dialect, ..)| dialect), dialect);
            let named = found.map_or_else(|| named_before(path), |(_, end, before)| between(path, before, end));
            assert_eq!(named.as_deref(), model, "{}", String::from_utf8_lossy(path));
        }
    }
}
