//! Surfaces: what can be called, by path. Each names the stages a call to it goes through.

mod objects;

use tollgate_config::document::Dialect;
use tollgate_dialect::{count::Asked, embed::Shape};
use tollgate_wire::head::Method;

use crate::stage::{self, Stage};

/// One thing that can be called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surface {
    /// For metrics and the access log.
    pub name: &'static str,
    /// The dialect of its bodies and errors; `None` for paths of no dialect.
    pub dialect: Option<Dialect>,
    pub operation: Operation,
    /// Where a call names its model.
    pub names_model: NamesModel,
    /// Its body is, or may be, a form with a file in it.
    pub takes_form: bool,
    /// Answers have ids of objects that the client sees sealed.
    pub seals: bool,
    /// Value of `allow` in a 405.
    pub allow: &'static str,
    pub stages: &'static [Stage],
}

/// What a call wants of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Any target serves it: it is translated where the target speaks another dialect.
    Chat,
    /// Vectors of texts. Translated, too, for those who have them.
    Embed(Shape),
    /// Documents by how well they answer. Also at Bedrock.
    Rerank,
    /// The tokens of a prompt: counted here where the target's provider does not count for this dialect.
    CountTokens(Asked),
    /// Goes as it is to a target of the same family, at this path behind the provider's prefix (and the model's name,
    /// where the dialect has that in the path).
    Other(&'static [u8]),
}

impl Operation {
    /// May it go to a target of this dialect?
    pub fn reaches(self, client: Option<Dialect>, target: Dialect) -> bool {
        let translated = match self {
            Operation::Chat | Operation::CountTokens(_) => true,
            Operation::Embed(_) => target != Dialect::Anthropic,
            Operation::Rerank => target == Dialect::Bedrock,
            Operation::Other(_) => false,
        };
        translated || same_api(client, target)
    }

    /// What it is called by, behind the dialect's prefix.
    pub const fn path(self) -> &'static [u8] {
        match self {
            Operation::Chat => b"",
            Operation::Embed(Shape::OpenAi) => b"/embeddings",
            Operation::Embed(Shape::GeminiOne) => b":embedContent",
            Operation::Embed(Shape::GeminiMany) => b":batchEmbedContents",
            Operation::Embed(Shape::Cohere) => b"/embed",
            Operation::Embed(Shape::Titan | Shape::TitanText | Shape::CohereOnBedrock { .. }) => INVOKE,
            Operation::Rerank => b"/rerank",
            Operation::CountTokens(Asked::Anthropic) => b"/messages/count_tokens",
            Operation::CountTokens(Asked::Gemini) => b":countTokens",
            Operation::CountTokens(Asked::Responses) => b"/responses/input_tokens",
            Operation::Other(path) => path,
        }
    }
}

/// Bedrock's path of all that is no Converse.
pub(crate) const INVOKE: &[u8] = b"/invoke";

/// OpenAI's two chat dialects are two paths of one API.
pub(crate) fn same_api(client: Option<Dialect>, target: Dialect) -> bool {
    let family = |dialect| match dialect {
        Dialect::OpenAiResponses => Dialect::OpenAi,
        dialect => dialect,
    };
    client.map(family) == Some(family(target))
}

/// Where a call says which model it wants, and whether it wants a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamesModel {
    /// `model` and `stream` of the body.
    InBody,
    /// The path has the model, percent-encoded, between these two; the body may still ask for a stream.
    InPath {
        before: &'static [u8],
        after: &'static [u8],
    },
    /// The path has an id between `before` and `between`, and behind that the name of something within what it names.
    WithinPath {
        before: &'static [u8],
        between: &'static [u8],
    },
    /// The same as `InPath`, and it is the path that asks for a stream, or for none.
    AllInPath {
        before: &'static [u8],
        after: &'static [u8],
        stream: bool,
    },
}

impl Surface {
    /// The model's name in the path, still percent-encoded.
    pub fn model_in_path<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match self.names_model {
            NamesModel::InPath { before, after } | NamesModel::AllInPath { before, after, .. } => {
                between(path, before, after)
            }
            NamesModel::WithinPath {
                before,
                between: middle,
            } => {
                let within = self.within(path)?;
                between(path, before, &path[path.len() - within.len() - middle.len()..])
            }
            NamesModel::InBody => None,
        }
    }

    /// The name, in the path, of something within what the id names; still percent-encoded, and one segment.
    pub fn within<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let NamesModel::WithinPath { between, .. } = self.names_model else {
            return None;
        };
        let start = memchr::memmem::rfind(path, between)? + between.len();
        path.get(start..)
            .filter(|name| !name.is_empty() && !name.contains(&b'/'))
    }

    /// Whether a stream is asked for, where the path says so.
    pub fn stream_in_path(&self) -> Option<bool> {
        match self.names_model {
            NamesModel::AllInPath { stream, .. } => Some(stream),
            NamesModel::InBody | NamesModel::InPath { .. } | NamesModel::WithinPath { .. } => None,
        }
    }

    /// The model of a call that names none.
    pub fn default_model(&self) -> Option<&'static str> {
        // Source: OpenAI API reference, "Create moderation".
        (self.operation == Operation::Other(b"/moderations")).then_some("omni-moderation-latest")
    }

    const fn sealing(mut self) -> Surface {
        self.seals = true;
        self
    }

    const fn taking_form(mut self) -> Surface {
        self.takes_form = true;
        self
    }

    /// A file's content may look like an answer, and is none.
    const fn untouched(mut self) -> Surface {
        self.seals = false;
        self
    }

    const fn with_model(mut self, names_model: NamesModel) -> Surface {
        self.names_model = names_model;
        self
    }
}

/// What stands between `before`, wherever it first occurs, and `after` at the end; never empty.
fn between<'a>(path: &'a [u8], before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
    let start = memchr::memmem::find(path, before)? + before.len();
    path[start..].strip_suffix(after).filter(|name| !name.is_empty())
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
        operation: Operation::Chat,
        names_model: NamesModel::InBody,
        takes_form: false,
        seals: false,
        allow,
        stages,
    }
}

/// A chat call whose path has both the model and whether it streams.
const fn chat_in_path(
    name: &'static str,
    dialect: Dialect,
    (before, after): (&'static [u8], &'static [u8]),
    stream: bool,
) -> Surface {
    let names_model = NamesModel::AllInPath { before, after, stream };
    surface(name, Some(dialect), "POST", stage::MODEL_CALL).with_model(names_model)
}

const OPENAI: Option<Dialect> = Some(Dialect::OpenAi);
const ANTHROPIC: Option<Dialect> = Some(Dialect::Anthropic);

pub(crate) static CHAT_COMPLETIONS: Surface = surface("chat_completions", OPENAI, "POST", stage::MODEL_CALL);
pub(crate) static MESSAGES: Surface = surface("messages", ANTHROPIC, "POST", stage::MODEL_CALL);
static AZURE_CHAT: Surface =
    surface("chat_completions", OPENAI, "POST", stage::MODEL_CALL).with_model(NamesModel::InPath {
        before: b"/deployments/",
        after: b"/chat/completions",
    });
/// What else Azure's clients put a deployment's name before. Source: `lib/azure.py` of the Python SDK.
static AZURE_OTHERS: [Surface; 9] = [
    at_deployment(other("embeddings", Dialect::OpenAi, Operation::Embed(Shape::OpenAi))),
    at_deployment(OPENAI_OTHERS_MADE[0]),
    at_deployment(OPENAI_OTHERS_MADE[3]),
    at_deployment(OPENAI_OTHERS_MADE[4]),
    at_deployment(OPENAI_FORMS_MADE[0]),
    at_deployment(OPENAI_FORMS_MADE[1]),
    at_deployment(OPENAI_FORMS_MADE[2]),
    at_deployment(OPENAI_FORMS_MADE[3]),
    at_deployment(OPENAI_OTHERS_MADE[2]),
];

/// The same call with its model in the path.
const fn at_deployment(of: Surface) -> Surface {
    let after = of.operation.path();
    of.with_model(NamesModel::InPath {
        before: b"/deployments/",
        after,
    })
}
static RESPONSES: Surface = surface("responses", Some(Dialect::OpenAiResponses), "POST", stage::MODEL_CALL).sealing();
static COHERE_CHAT: Surface = surface("cohere_chat", Some(Dialect::Cohere), "POST", stage::MODEL_CALL);
const GEMINI_MODELS: &[u8] = b"/v1beta/models/";
/// Before a model's name in every version of the path.
const GEMINI_MODEL_BEGINS: &[u8] = b"/models/";
static GENERATE_CONTENT: Surface = chat_in_path(
    "generate_content",
    Dialect::Gemini,
    (GEMINI_MODEL_BEGINS, b":generateContent"),
    false,
);
static STREAM_GENERATE_CONTENT: Surface = chat_in_path(
    "generate_content",
    Dialect::Gemini,
    (GEMINI_MODEL_BEGINS, b":streamGenerateContent"),
    true,
);
static CONVERSE: Surface = chat_in_path("converse", Dialect::Bedrock, (b"/model/", b"/converse"), false);
static CONVERSE_STREAM: Surface = chat_in_path("converse", Dialect::Bedrock, (b"/model/", b"/converse-stream"), true);
/// A call of something else than a chat.
const fn other(name: &'static str, dialect: Dialect, operation: Operation) -> Surface {
    let mut other = surface(name, Some(dialect), "POST", stage::MODEL_CALL);
    other.operation = operation;
    other
}

/// Calls whose bodies are JSON, by their path behind `/v1`.
const OPENAI_OTHERS_MADE: [Surface; 5] = [
    other("completions", Dialect::OpenAi, Operation::Other(b"/completions")),
    other("embeddings", Dialect::OpenAi, Operation::Embed(Shape::OpenAi)),
    other("moderations", Dialect::OpenAi, Operation::Other(b"/moderations")),
    other("images", Dialect::OpenAi, Operation::Other(b"/images/generations")),
    other("speech", Dialect::OpenAi, Operation::Other(b"/audio/speech")),
];
static OPENAI_OTHERS: [Surface; 5] = OPENAI_OTHERS_MADE;
/// What the gateway itself asks of an embedder.
pub(crate) static EMBEDDINGS: Surface = OPENAI_OTHERS_MADE[1];
/// Calls whose bodies are forms with a file in them.
const OPENAI_FORMS_MADE: [Surface; 4] = [
    other(
        "transcriptions",
        Dialect::OpenAi,
        Operation::Other(b"/audio/transcriptions"),
    )
    .taking_form(),
    other(
        "translations",
        Dialect::OpenAi,
        Operation::Other(b"/audio/translations"),
    )
    .taking_form(),
    other("image_edits", Dialect::OpenAi, Operation::Other(b"/images/edits")).taking_form(),
    other(
        "image_variations",
        Dialect::OpenAi,
        Operation::Other(b"/images/variations"),
    )
    .taking_form(),
];
static OPENAI_FORMS: [Surface; 4] = OPENAI_FORMS_MADE;
static COHERE_OTHERS: [Surface; 2] = [
    other("rerank", Dialect::Cohere, Operation::Rerank),
    other("embed", Dialect::Cohere, Operation::Embed(Shape::Cohere)),
];
static COUNT_TOKENS: Surface = other(
    "count_tokens",
    Dialect::Anthropic,
    Operation::CountTokens(Asked::Anthropic),
);
static INPUT_TOKENS: Surface = other(
    "input_tokens",
    Dialect::OpenAiResponses,
    Operation::CountTokens(Asked::Responses),
);
static GEMINI_OTHERS: [Surface; 3] = [
    gemini_other("count_tokens", Operation::CountTokens(Asked::Gemini)),
    gemini_other("embed_content", Operation::Embed(Shape::GeminiOne)),
    gemini_other("batch_embed_contents", Operation::Embed(Shape::GeminiMany)),
];

const fn gemini_other(name: &'static str, operation: Operation) -> Surface {
    other(name, Dialect::Gemini, operation).with_model(NamesModel::AllInPath {
        before: GEMINI_MODEL_BEGINS,
        after: operation.path(),
        stream: false,
    })
}

/// The one of `surfaces` whose path, behind `version`, this is.
fn other_at(path: &[u8], version: &[u8], surfaces: &'static [Surface]) -> Option<Found> {
    let rest = path.strip_prefix(version)?;
    let found = surfaces.iter().find(|surface| surface.operation.path() == rest);
    found.map(Found::Surface)
}

static OPENAI_MODELS: Surface = surface("models", OPENAI, "GET, HEAD", stage::LIST_MODELS);
static ANTHROPIC_MODELS: Surface = surface("models", ANTHROPIC, "GET, HEAD", stage::LIST_MODELS);
static OPENAI_MODEL: Surface = surface("model", OPENAI, "GET, HEAD", stage::SHOW_MODEL);
static ANTHROPIC_MODEL: Surface = surface("model", ANTHROPIC, "GET, HEAD", stage::SHOW_MODEL);
static GEMINI_MODELS_LIST: Surface = surface("models", Some(Dialect::Gemini), "GET, HEAD", stage::LIST_MODELS);
static GEMINI_MODEL: Surface = surface("model", Some(Dialect::Gemini), "GET, HEAD", stage::SHOW_MODEL);
static HEALTHZ: Surface = surface("healthz", None, "GET, HEAD", stage::HEALTHZ);
static READYZ: Surface = surface("readyz", None, "GET, HEAD", stage::READYZ);
/// Paths of the contract that no feature serves yet, and what no path names.
static OPENAI_LATER: Surface = surface("unsupported", OPENAI, "", &[]);
static ANTHROPIC_LATER: Surface = surface("unsupported", ANTHROPIC, "", &[]);
static GEMINI_LATER: Surface = surface("unsupported", Some(Dialect::Gemini), "", &[]);
static VERTEX_ANTHROPIC_LATER: Surface = surface("unsupported", ANTHROPIC, "", &[]);
static VERTEX_LATER: Surface = surface("unsupported", Some(Dialect::Gemini), "", &[]);
static BEDROCK_LATER: Surface = surface("unsupported", Some(Dialect::Bedrock), "", &[]);
/// No path leads to it.
pub(crate) static SUMMARY: Surface = surface("summary", OPENAI, "POST", stage::SUMMARY);
pub(crate) static DIRECT: Surface = surface("provider", None, ANY_METHOD, stage::DIRECT);
pub(crate) static UNKNOWN: Surface = surface("unknown", None, "", &[]);

/// `Surface::allow` of what takes every method; HEAD is not among them, as its answers are framed like no others.
const ANY_METHOD: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS";

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Surface(&'static Surface),
    /// In the contract, but not yet served.
    Later(&'static Surface),
    Nowhere,
}

/// Whose a path is that several dialects have (`/v1/models`), by a header that one of them alone sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    OpenAi,
    /// `anthropic-version`
    Anthropic,
    /// `x-goog-api-key`
    Gemini,
}

/// Finds the surface of a path, as sent (percent-encoded). For `/v1/models/{id}` the rest of the path is the id.
pub(crate) fn find(path: &[u8], shared_by: Shared) -> Found {
    match path {
        b"/v1/chat/completions" => return Found::Surface(&CHAT_COMPLETIONS),
        b"/v1/messages" => return Found::Surface(&MESSAGES),
        b"/healthz" => return Found::Surface(&HEALTHZ),
        b"/readyz" => return Found::Surface(&READYZ),
        _ => {}
    }
    type Find = fn(&[u8]) -> Option<Found>;
    const BASES: [(&[u8], Find); 5] = [
        (b"/openai", find_openai),
        (b"/anthropic", find_anthropic),
        (b"/gemini", find_gemini),
        (b"/bedrock", find_bedrock),
        (b"/cohere", find_cohere),
    ];
    for (base, find) in BASES {
        if let Some(rest) = below(path, base) {
            return find(rest).unwrap_or(Found::Nowhere);
        }
    }
    let shared = below(path, b"/v1/models").is_some() || below(path, b"/v1/files").is_some();
    let first: &[Find] = match shared_by {
        Shared::Anthropic if shared => &[find_anthropic],
        Shared::Gemini if shared => &[],
        _ => &[find_gemini_call, find_openai, find_anthropic],
    };
    let found = first
        .iter()
        .chain(&[find_gemini as Find, find_bedrock, find_cohere])
        .find_map(|find| find(path));
    let found = found.or_else(|| find_vertex(path)).or_else(|| find_direct(path));
    found.unwrap_or(Found::Nowhere)
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
        _ if names_model(path) => Some(Found::Surface(&OPENAI_MODEL)),
        b"/v1/responses" => Some(Found::Surface(&RESPONSES)),
        _ if below(path, b"/deployments").is_some() => {
            let found = std::iter::once(&AZURE_CHAT)
                .chain(&AZURE_OTHERS)
                .find(|surface| surface.model_in_path(path).is_some());
            Some(found.map_or(Found::Later(&OPENAI_LATER), Found::Surface))
        }
        b"/v1/responses/input_tokens" => Some(Found::Surface(&INPUT_TOKENS)),
        // A call of the API that makes no object, and is not served.
        b"/v1/responses/compact" => Some(Found::Later(&OPENAI_LATER)),
        _ => other_at(path, b"/v1", &OPENAI_OTHERS)
            .or_else(|| other_at(path, b"/v1", &OPENAI_FORMS))
            .or_else(|| {
                let later = || LATER.iter().any(|base| below(path, base).is_some());
                objects::find_openai(path).or_else(|| later().then_some(Found::Later(&OPENAI_LATER)))
            }),
    }
}

fn find_anthropic(path: &[u8]) -> Option<Found> {
    match path {
        b"/v1/messages" => Some(Found::Surface(&MESSAGES)),
        b"/v1/messages/count_tokens" => Some(Found::Surface(&COUNT_TOKENS)),
        b"/v1/models" => Some(Found::Surface(&ANTHROPIC_MODELS)),
        _ if names_model(path) => Some(Found::Surface(&ANTHROPIC_MODEL)),
        _ => objects::find_anthropic(path).or_else(|| {
            let later = below(path, b"/v1/messages").is_some() || below(path, b"/v1/files").is_some();
            later.then_some(Found::Later(&ANTHROPIC_LATER))
        }),
    }
}

fn find_gemini(path: &[u8]) -> Option<Found> {
    if matches!(path, b"/v1beta/models" | b"/v1/models") {
        return Some(Found::Surface(&GEMINI_MODELS_LIST));
    }
    // A verb follows a colon; a name without one is asked about.
    if named_by_gemini(path).is_some_and(|id| !id.is_empty() && !id.contains(&b':')) {
        return Some(Found::Surface(&GEMINI_MODEL));
    }
    let later = || below(path, b"/v1beta").map(|_| Found::Later(&GEMINI_LATER));
    find_gemini_call(path).or_else(later)
}

/// A verb behind a model's name: nobody else has such paths, in whichever version. Google's SDKs say `v1` by now.
fn find_gemini_call(path: &[u8]) -> Option<Found> {
    named_by_gemini(path).filter(|name| name.contains(&b':'))?;
    let chat = [&GENERATE_CONTENT, &STREAM_GENERATE_CONTENT];
    let found = GEMINI_OTHERS
        .iter()
        .chain(chat)
        .find(|surface| surface.model_in_path(path).is_some());
    found.map(Found::Surface)
}

fn named_by_gemini(path: &[u8]) -> Option<&[u8]> {
    path.strip_prefix(GEMINI_MODELS)
        .or_else(|| path.strip_prefix(b"/v1/models/"))
}

fn find_bedrock(path: &[u8]) -> Option<Found> {
    chat_or_later(path, b"/model", &[&CONVERSE, &CONVERSE_STREAM], &BEDROCK_LATER)
}

fn find_cohere(path: &[u8]) -> Option<Found> {
    match path {
        b"/v2/chat" => Some(Found::Surface(&COHERE_CHAT)),
        _ => other_at(path, b"/v2", &COHERE_OTHERS),
    }
}

/// Vertex's paths, which name a project and a publisher. They are a target's, and no client's.
fn find_vertex(path: &[u8]) -> Option<Found> {
    let version = [&b"/v1/projects/"[..], b"/v1beta1/projects/"];
    if !version.iter().any(|version| path.starts_with(version)) {
        return None;
    }
    let is_anthropic = memchr::memmem::find(path, b"/publishers/anthropic/").is_some();
    Some(Found::Later(if is_anthropic {
        &VERTEX_ANTHROPIC_LATER
    } else {
        &VERTEX_LATER
    }))
}

/// What to call in the place of a path that is not served; empty where there is nothing to say.
pub(crate) fn instead_of(later: &Surface) -> &'static str {
    let is = |known: &Surface| std::ptr::eq(later, known);
    if is(&BEDROCK_LATER) {
        "for chats call POST /model/{model}/converse or /converse-stream, with Anthropic's own bodies POST /v1/messages, for \
         embeddings POST /v1/embeddings; anything goes unchanged to POST /providers/{name}/model/… with a key that has \
         'pass_through: true'"
    } else if is(&VERTEX_ANTHROPIC_LATER) {
        "with Anthropic's bodies call POST /v1/messages, whose model may have a target at Vertex; anything goes unchanged to \
         POST /providers/{name}/… with a key that has 'pass_through: true'"
    } else if is(&VERTEX_LATER) {
        "call POST /v1beta/models/{model}:generateContent or :streamGenerateContent, whose model may have a target at Vertex; \
         anything goes unchanged to POST /providers/{name}/… with a key that has 'pass_through: true'"
    } else {
        ""
    }
}

/// Below `base`: one of `surfaces` where its model stands in the path, else something that comes later.
fn chat_or_later(path: &[u8], base: &[u8], surfaces: &[&'static Surface], later: &'static Surface) -> Option<Found> {
    below(path, base)?;
    let found = surfaces.iter().find(|surface| surface.model_in_path(path).is_some());
    Some(found.map_or(Found::Later(later), |surface| Found::Surface(surface)))
}

fn find_direct(path: &[u8]) -> Option<Found> {
    provider_path(path).map(|_| Found::Surface(&DIRECT))
}

/// The provider's name in `/providers/{name}/…`, percent-encoded, and the path behind it.
pub(crate) fn provider_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = path.strip_prefix(b"/providers/")?;
    let end = memchr::memchr(b'/', rest)?;
    (end > 0).then(|| rest.split_at(end))
}

/// The rest of `path` when it is `base` or lies below it.
fn below<'a>(path: &'a [u8], base: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(base)
        .filter(|rest| rest.is_empty() || rest[0] == b'/')
}

fn names_model(path: &[u8]) -> bool {
    path.strip_prefix(b"/v1/models/").is_some_and(|id| !id.is_empty())
}

/// The id in `/v1/models/{id}` and `/v1beta/models/{id}`, still percent-encoded, whatever base prefix stands before it.
pub(crate) fn model_id(path: &[u8]) -> Option<&[u8]> {
    let bases: [&[u8]; 3] = [b"/openai", b"/anthropic", b"/gemini"];
    let path = bases.iter().find_map(|base| below(path, base)).unwrap_or(path);
    let id = path
        .strip_prefix(b"/v1/models/")
        .or_else(|| path.strip_prefix(GEMINI_MODELS));
    id.filter(|id| !id.is_empty())
}

/// May this method be used where `allow` says what may?
pub(crate) fn allows(allow: &str, method: Method) -> bool {
    match method {
        _ if allow == ANY_METHOD => !matches!(method, Method::Head | Method::Other),
        Method::Post if allow == "POST" => true,
        Method::Post => lists(allow, "POST"),
        Method::Get => lists(allow, "GET"),
        Method::Head => lists(allow, "HEAD"),
        Method::Delete => lists(allow, "DELETE"),
        _ => false,
    }
}

fn lists(allow: &str, method: &str) -> bool {
    allow.split(", ").any(|allowed| allowed == method)
}

/// The dialect's name as metrics and logs have it.
pub(crate) fn dialect_name(dialect: Option<Dialect>) -> &'static str {
    dialect.map_or("", Dialect::name)
}
