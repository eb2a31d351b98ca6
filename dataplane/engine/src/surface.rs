//! Surfaces: what can be called, by path. Each names the stages a call to it goes through.

use tollgate_config::document::Dialect;
use tollgate_wire::head::Method;

use crate::stage::{self, Stage};

/// One thing that can be called.
#[derive(Debug)]
pub(crate) struct Surface {
    /// For metrics and the access log.
    pub name: &'static str,
    /// The dialect of its bodies and errors; `None` for paths of no dialect.
    pub dialect: Option<Dialect>,
    /// Value of `allow` in a 405.
    pub allow: &'static str,
    pub stages: &'static [Stage],
}

const fn surface(
    name: &'static str,
    dialect: Option<Dialect>,
    allow: &'static str,
    stages: &'static [Stage],
) -> Surface {
    Surface {
        name,
        dialect,
        allow,
        stages,
    }
}

const OPENAI: Option<Dialect> = Some(Dialect::OpenAi);
const ANTHROPIC: Option<Dialect> = Some(Dialect::Anthropic);

pub(crate) static CHAT_COMPLETIONS: Surface = surface("chat_completions", OPENAI, "POST", stage::MODEL_CALL);
pub(crate) static MESSAGES: Surface = surface("messages", ANTHROPIC, "POST", stage::MODEL_CALL);
static OPENAI_MODELS: Surface = surface("models", OPENAI, "GET, HEAD", stage::LIST_MODELS);
static ANTHROPIC_MODELS: Surface = surface("models", ANTHROPIC, "GET, HEAD", stage::LIST_MODELS);
static OPENAI_MODEL: Surface = surface("model", OPENAI, "GET, HEAD", stage::SHOW_MODEL);
static ANTHROPIC_MODEL: Surface = surface("model", ANTHROPIC, "GET, HEAD", stage::SHOW_MODEL);
static HEALTHZ: Surface = surface("healthz", None, "GET, HEAD", stage::HEALTHZ);
static READYZ: Surface = surface("readyz", None, "GET, HEAD", stage::READYZ);
/// Paths of the contract that no feature serves yet, and what no path names.
static OPENAI_LATER: Surface = surface("unsupported", OPENAI, "", &[]);
static ANTHROPIC_LATER: Surface = surface("unsupported", ANTHROPIC, "", &[]);
static LATER: Surface = surface("unsupported", None, "", &[]);
pub(crate) static UNKNOWN: Surface = surface("unknown", None, "", &[]);

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Surface(&'static Surface),
    /// In the contract, but not yet served.
    Later(&'static Surface),
    Nowhere,
}

/// Finds the surface of a path, as sent (percent-encoded). `anthropic_version`: that header was sent, which decides
/// where two dialects share a path. For `/v1/models/{id}` the rest of the path is the id.
pub(crate) fn find(path: &[u8], anthropic_version: bool) -> Found {
    match path {
        b"/v1/chat/completions" => return Found::Surface(&CHAT_COMPLETIONS),
        b"/v1/messages" => return Found::Surface(&MESSAGES),
        b"/healthz" => return Found::Surface(&HEALTHZ),
        b"/readyz" => return Found::Surface(&READYZ),
        _ => {}
    }
    if let Some(rest) = below(path, b"/openai") {
        return find_openai(rest).unwrap_or(Found::Nowhere);
    }
    if let Some(rest) = below(path, b"/anthropic") {
        return find_anthropic(rest).unwrap_or(Found::Nowhere);
    }
    let shared = below(path, b"/v1/models").is_some() || below(path, b"/v1/files").is_some();
    let found = match shared && anthropic_version {
        true => find_anthropic(path),
        false => find_openai(path).or_else(|| find_anthropic(path)),
    };
    found.or_else(|| find_later(path)).unwrap_or(Found::Nowhere)
}

fn find_openai(path: &[u8]) -> Option<Found> {
    const LATER: [&[u8]; 10] = [
        b"/v1/completions",
        b"/v1/embeddings",
        b"/v1/moderations",
        b"/v1/images",
        b"/v1/audio",
        b"/v1/files",
        b"/v1/batches",
        b"/v1/responses",
        b"/v1/uploads",
        b"/v1/conversations",
    ];
    match path {
        b"/v1/chat/completions" => Some(Found::Surface(&CHAT_COMPLETIONS)),
        b"/v1/models" => Some(Found::Surface(&OPENAI_MODELS)),
        _ if model_id(path).is_some() => Some(Found::Surface(&OPENAI_MODEL)),
        _ if below(path, b"/deployments").is_some() => Some(Found::Later(&OPENAI_LATER)),
        _ => LATER
            .iter()
            .any(|base| below(path, base).is_some())
            .then_some(Found::Later(&OPENAI_LATER)),
    }
}

fn find_anthropic(path: &[u8]) -> Option<Found> {
    match path {
        b"/v1/messages" => Some(Found::Surface(&MESSAGES)),
        b"/v1/models" => Some(Found::Surface(&ANTHROPIC_MODELS)),
        _ if model_id(path).is_some() => Some(Found::Surface(&ANTHROPIC_MODEL)),
        _ if below(path, b"/v1/messages").is_some() || below(path, b"/v1/files").is_some() => {
            Some(Found::Later(&ANTHROPIC_LATER))
        }
        _ => None,
    }
}

fn find_later(path: &[u8]) -> Option<Found> {
    const LATER_PREFIXES: [&[u8]; 8] = [
        b"/v1beta",
        b"/gemini",
        b"/model",
        b"/bedrock",
        b"/v2/chat",
        b"/v2/rerank",
        b"/v2/embed",
        b"/cohere",
    ];
    let later = LATER_PREFIXES.iter().any(|base| below(path, base).is_some()) || below(path, b"/providers").is_some();
    later.then_some(Found::Later(&LATER))
}

/// The rest of `path` when it is `base` or lies below it.
fn below<'a>(path: &'a [u8], base: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(base)
        .filter(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The id in `/v1/models/{id}`, still percent-encoded, whatever base prefix stands before it.
pub(crate) fn model_id(path: &[u8]) -> Option<&[u8]> {
    let path = below(path, b"/openai")
        .or_else(|| below(path, b"/anthropic"))
        .unwrap_or(path);
    path.strip_prefix(b"/v1/models/").filter(|id| !id.is_empty())
}

/// May this method be used where `allow` says what may?
pub(crate) fn allows(allow: &str, method: Method) -> bool {
    match method {
        Method::Post => allow == "POST",
        Method::Get | Method::Head => allow == "GET, HEAD",
        _ => false,
    }
}

/// The dialect's name as metrics and logs have it.
pub(crate) fn dialect_name(dialect: Option<Dialect>) -> &'static str {
    dialect.map_or("", Dialect::name)
}
