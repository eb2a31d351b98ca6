//! admit: reads what the request says of itself (headers and body) before anything is decided about it.

use std::borrow::Cow;

use tollgate_config::{document::Dialect, prices::ServiceTier};
use tollgate_dialect::canonical::seal;
use tollgate_wire::{
    head::Known,
    json::{
        cursor::{self, Kind as Json, Value},
        watch::Watch,
    },
};

use crate::{
    Snapshot,
    attempt::overload,
    billing, cost, decode, exact,
    exchange::{Exchange, Io},
    facts::{Facts, MAX_MODEL_NAME_BYTES},
    failure::{Failure, Kind},
    outputs::Rest,
    passing::{self, Asked, MayPass},
    percent,
    routing::reckoning,
    sealing::{self, request::Opened},
    stage::Verdict,
    stages::form::{self, Form},
    visible,
};

const MAX_TAGS_BYTES: usize = 1024;
/// A decoded body that grew over this is given back when the connection rests.
const MAX_KEPT_BYTES: usize = 1024;

/// Where in the body the fields are that the gateway acts on.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    pub asked_for_body: bool,
    /// What of the body is still to come.
    pub rest: Rest,
    /// The body may pass without being held whole.
    pub passes: bool,
    /// The body is a form, and not all of it may have been read.
    pub form: Option<Box<Form>>,
    /// The body, when it came with a `content-encoding`.
    pub decoded: Option<Vec<u8>>,
    pub model: Option<Value>,
    pub stream: Option<Value>,
    pub stream_options: Option<Value>,
    pub include_usage: Option<Value>,
    /// Tokens that a chat bounds its answer to.
    pub bound: Option<u64>,
    /// A response that is made while nobody waits.
    pub in_background: bool,
    /// Something in the body looks like the sealed matter of a provider.
    pub looks_sealed: bool,
    /// The provider whose sealed signature or thinking came last: index into `document.providers`.
    pub issued_by: Option<usize>,
    /// Ids of objects, by the members of `NAMED`.
    pub named: [Option<Value>; 4],
    /// Where the first words of the request stand, once it was read for its model's cache.
    pub begins: Option<std::ops::Range<usize>>,
    /// What of the body was a sealed id, in order.
    pub opened: Vec<Opened>,
    /// None is named anywhere in the body.
    pub names_nothing: bool,
    /// Of the body as it is to be answered, where it was looked for among those that came lately.
    pub hash: Option<u128>,
}

/// What is read of most bodies: where it is known, they need not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    model: Option<Value>,
    stream: Option<Value>,
    stream_options: Option<Value>,
    include_usage: Option<Value>,
    bound: Option<u64>,
    tier: ServiceTier,
    names_nothing: bool,
}

impl Fields {
    /// `None` where more was read.
    pub fn of(dialect: Dialect, admitted: &Admitted, tier: ServiceTier) -> Option<Self> {
        let says_more = dialect == Dialect::OpenAiResponses || admitted.looks_sealed;
        (!says_more).then_some(Self {
            model: admitted.model,
            stream: admitted.stream,
            stream_options: admitted.stream_options,
            include_usage: admitted.include_usage,
            bound: admitted.bound,
            tier,
            names_nothing: admitted.names_nothing,
        })
    }

    fn note(&self, exchange: &mut Exchange) {
        let admitted = &mut exchange.admitted;
        (admitted.model, admitted.stream, admitted.bound) = (self.model, self.stream, self.bound);
        (admitted.stream_options, admitted.include_usage) = (self.stream_options, self.include_usage);
        admitted.names_nothing = self.names_nothing;
        exchange.facts.tier = self.tier;
    }
}

/// The members of a Responses request that name objects.
pub(crate) const NAMED: [&str; 4] = ["previous_response_id", "conversation", "conversation.id", "prompt.id"];

impl Admitted {
    pub fn clear(&mut self) {
        *self = Admitted::default();
    }

    pub fn shrink(&mut self) {
        if self
            .decoded
            .as_ref()
            .is_some_and(|decoded| decoded.capacity() > MAX_KEPT_BYTES)
        {
            self.decoded = None;
        }
    }

    /// The body as the client meant it.
    pub fn body<'a>(&'a self, raw: &'a [u8]) -> &'a [u8] {
        self.decoded.as_deref().unwrap_or(raw)
    }

    /// The client itself asked for the stream's usage.
    pub fn asked_stream_usage(&self) -> bool {
        self.include_usage.is_some_and(|value| value.kind == Json::True)
    }
}

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let verdict = match exchange.admitted.asked_for_body {
        _ if form::is_sent(exchange, io) => form::enter(exchange, io),
        true => read_body(exchange, io),
        false => read_head(exchange, io),
    };
    match verdict {
        Ok(verdict) => verdict,
        Err(kind) => Verdict::Refuse(Failure::client(kind)),
    }
}

/// What the headers say of any call.
pub(crate) fn read_headers(exchange: &mut Exchange, io: &Io<'_>) -> Result<(), Kind> {
    if let Some(text) = io.request.get(Known::XTollgateTimeout) {
        let wrong = "must be a duration such as 500ms, 20s or 2m";
        let timeout_ms = duration_ms(text).ok_or(Kind::Header {
            name: "x-tollgate-timeout",
            wrong,
        })?;
        exchange.facts.timeout_ms = Some(timeout_ms);
    }
    if let Some(text) = io.request.get(Known::XTollgateTags) {
        let tags = read_tags(text).ok_or(Kind::Header {
            name: "x-tollgate-tags",
            wrong: "must be name=value pairs with commas between, at most 1024 visible characters",
        })?;
        exchange.facts.tags.push_str(tags);
    }
    exchange.facts.trace = io.request.named(b"traceparent").and_then(billing::trace_of);
    if io.request.get(Known::XTollgate).is_some() {
        exchange.facts.priority_asked = overload::read_priority(io.request)?;
    }
    Ok(())
}

fn read_head(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Verdict, Kind> {
    read_headers(exchange, io)?;
    exchange.admitted.asked_for_body = true;
    match passing::ask_for_body(exchange, io, MayPass::Never)? {
        Asked::Body => Ok(Verdict::Pause),
        Asked::Nothing => Err(EMPTY),
    }
}

pub(crate) const EMPTY: Kind = Kind::Field {
    name: "model",
    wrong: "is missing: the body is empty",
    offset: 0,
};

fn read_body(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Verdict, Kind> {
    let pinned = exchange.pin();
    let max_bytes = pinned.snapshot.document.max_body_bytes;
    exchange.facts.request_body_bytes = io.body.len() as u64;
    if let Some(encoding) = io.request.get(Known::ContentEncoding) {
        exchange.admitted.decoded = decode::request_body(encoding, io.body, max_bytes)?;
    }
    match read_before(exchange, io) {
        (hash, Some(fields)) => {
            fields.note(exchange);
            exchange.admitted.hash = hash;
        }
        (hash, None) => {
            find_fields(exchange, io.body)?;
            exchange.admitted.hash = hash;
        }
    }
    let admitted = &exchange.admitted;
    let body = admitted.body(io.body);
    let facts = &mut exchange.facts;
    let in_path = facts.surface.model_in_path(io.request.path()).map(percent::decode);
    let asked = match (&in_path, admitted.model, facts.surface.default_model()) {
        (Some(name), ..) => String::from_utf8_lossy(name),
        (None, Some(value), _) => name_of(body, value)?,
        (None, None, Some(default)) => Cow::Borrowed(default),
        (None, None, None) => {
            return Err(Kind::Field {
                name: "model",
                wrong: "is missing",
                offset: body.len(),
            });
        }
    };
    find_model(facts, &pinned.snapshot, &asked);
    facts.stream = match (facts.surface.stream_in_path(), admitted.stream) {
        (Some(stream), _) => stream,
        (None, None) => false,
        (None, Some(Value { kind: Json::True, .. })) => true,
        (
            None,
            Some(Value {
                kind: Json::False | Json::Null,
                ..
            }),
        ) => false,
        (None, Some(value)) => return Err(field("stream", "must be true or false", value)),
    };
    match facts.model {
        Some(_) => Ok(Verdict::Next),
        None => Err(Kind::ModelNotFound),
    }
}

/// What is known of the body, where it came lately to a model whose answers are kept.
fn read_before(exchange: &Exchange, io: &mut Io<'_>) -> (Option<u128>, Option<Fields>) {
    let (Some(dialect), Some(answers)) = (exchange.facts.surface.dialect, &io.local.answers) else {
        return (None, None);
    };
    let body = exact::Body {
        dialect,
        bytes: exchange.admitted.body(io.body),
        hash: None,
    };
    answers.look_at(&mut io.local.names, body)
}

/// Notes the name asked for, and the configured model that it is.
pub(crate) fn find_model(facts: &mut Facts, snapshot: &Snapshot, asked: &str) {
    push_bounded(&mut facts.model_asked, asked, MAX_MODEL_NAME_BYTES);
    let fits = asked.len() <= MAX_MODEL_NAME_BYTES;
    facts.model = if fits { snapshot.models.find(asked) } else { None };
}

/// Reads the body for what the gateway acts on: once as it came, and once more where it was made shorter.
pub(crate) fn find_fields(exchange: &mut Exchange, raw: &[u8]) -> Result<(), Kind> {
    const OPENAI: Watch<'static, 7> = Watch::new(&[
        "model",
        "stream",
        "stream_options",
        "stream_options.include_usage",
        "service_tier",
        "max_completion_tokens",
        "max_tokens",
    ]);
    const RESPONSES: Watch<'static, 9> = Watch::new(&[
        "model",
        "stream",
        "service_tier",
        "max_output_tokens",
        "background",
        NAMED[0],
        NAMED[1],
        NAMED[2],
        NAMED[3],
    ]);
    const MODEL_AND_STREAM: Watch<'static, 3> = Watch::new(&["model", "stream", "max_tokens"]);
    const IN_CONFIGURATION: Watch<'static, 2> =
        Watch::new(&["generationConfig.maxOutputTokens", "inferenceConfig.maxTokens"]);
    let admitted = &mut exchange.admitted;
    (admitted.hash, admitted.names_nothing) = (None, false);
    let body = admitted.decoded.as_deref().unwrap_or(raw);
    match exchange.facts.surface.dialect {
        Some(Dialect::OpenAiResponses) => {
            let [model, stream, tier, bound, background, named @ ..] =
                cursor::find_watched(body, &RESPONSES).map_err(Kind::BadJson)?;
            (admitted.model, admitted.stream, admitted.named) = (model, stream, named);
            admitted.bound = reckoning::first_number(body, &[bound]);
            admitted.in_background = background.is_some_and(|value| value.kind == Json::True);
            exchange.facts.tier = cost::tier_asked(body, tier);
        }
        Some(Dialect::Anthropic | Dialect::Cohere) => {
            let [model, stream, bound] = cursor::find_watched(body, &MODEL_AND_STREAM).map_err(Kind::BadJson)?;
            (admitted.model, admitted.stream) = (model, stream);
            admitted.bound = reckoning::first_number(body, &[bound]);
        }
        // The model and whether it streams are in the path.
        Some(Dialect::Gemini | Dialect::Bedrock) => {
            let bounds = cursor::find_watched(body, &IN_CONFIGURATION).map_err(Kind::BadJson)?;
            admitted.bound = reckoning::first_number(body, &bounds);
        }
        Some(Dialect::OpenAi) | None => {
            let [model, stream, options, include, tier, bounds @ ..] =
                cursor::find_watched(body, &OPENAI).map_err(Kind::BadJson)?;
            (admitted.model, admitted.stream) = (model, stream);
            admitted.bound = reckoning::first_number(body, &bounds);
            exchange.facts.tier = cost::tier_asked(body, tier);
            (admitted.stream_options, admitted.include_usage) = (options, include);
        }
    }
    // A provider's own matter that went through another dialect: who issued it, gets it back (`route`).
    if seal::is_in(body) {
        let issued_by = sealing::issuer(exchange, exchange.admitted.body(raw));
        exchange.admitted.looks_sealed = true;
        exchange.admitted.issued_by = issued_by;
    }
    Ok(())
}

fn name_of(body: &[u8], value: Value) -> Result<Cow<'_, str>, Kind> {
    match cursor::string(body, value) {
        Some(name) if name.is_empty() => Err(field("model", "is empty", value)),
        Some(name) => Ok(name),
        None => Err(field("model", "must be a string", value)),
    }
}

pub(crate) fn field(name: &'static str, wrong: &'static str, value: Value) -> Kind {
    Kind::Field {
        name,
        wrong,
        offset: value.span.start as usize,
    }
}

fn push_bounded(out: &mut String, text: &str, max_bytes: usize) {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.push_str(&text[..end]);
}

/// `250ms`, `20s`, `2m`, `1h`; bounded by what fits.
fn duration_ms(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    text[..digits]
        .parse::<u64>()
        .ok()?
        .checked_mul(unit_ms)
        .filter(|&ms| ms > 0)
}

fn read_tags(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let pair = |tag: &str| tag.split_once('=').is_some_and(|(name, _)| !name.trim().is_empty());
    let printable = text.bytes().all(|byte| byte == b' ' || visible::is_visible(byte));
    (text.len() <= MAX_TAGS_BYTES && printable && text.split(',').all(pair)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, ms) in [
            ("250ms", Some(250)),
            ("20s", Some(20_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
        ] {
            assert_eq!(duration_ms(text.as_bytes()), ms, "{text}");
        }
        for text in [
            "",
            "20",
            "s",
            "-1s",
            "1.5s",
            "0s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(duration_ms(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn tags_are_pairs() {
        assert_eq!(read_tags(b"team=a,run=1"), Some("team=a,run=1"));
        for bad in [&b"team"[..], b"=a", b"a=1,,b=2", b"a=\xff", &[b'a'; 2000]] {
            assert_eq!(read_tags(bad), None);
        }
    }
}
