//! Surfaces of objects that live at a provider. An id stands in the path where other surfaces have a model's name.

use tollgate_config::document::Dialect;

use super::{Found, NamesModel, Operation, Surface, surface};
use crate::stage;

/// Families of objects, by their paths behind `/v1`.
impl Operation {
    pub const FILES: Operation = Operation::Other(b"/files");
    pub const BATCHES: Operation = Operation::Other(b"/batches");
    pub const MESSAGE_BATCHES: Operation = Operation::Other(b"/messages/batches");
    pub const UPLOADS: Operation = Operation::Other(b"/uploads");
    pub const RESPONSES: Operation = Operation::Other(b"/responses");
    pub const CONVERSATIONS: Operation = Operation::Other(b"/conversations");
}

/// The surface of a path of OpenAI's API, without its base prefix.
pub(super) fn find_openai(path: &[u8]) -> Option<Found> {
    find(
        path,
        RESPONSES
            .iter()
            .chain(&CONVERSATIONS)
            .chain(&FILES_AND_BATCHES)
            .chain(&UPLOADS),
    )
}

/// The same of Anthropic's.
pub(super) fn find_anthropic(path: &[u8]) -> Option<Found> {
    find(path, MESSAGE_BATCHES.iter().chain(&ANTHROPIC_FILES))
}

/// An id has no slash in it.
fn find(path: &[u8], mut all: impl Iterator<Item = &'static Surface>) -> Option<Found> {
    let found = all.find(|surface| {
        let Operation::Other(family) = surface.operation else {
            return false;
        };
        match surface.names_model {
            NamesModel::InPath { before, .. } | NamesModel::WithinPath { before, .. } if path.starts_with(before) => {
                surface.model_in_path(path).is_some_and(|id| !id.contains(&b'/'))
            }
            NamesModel::InBody => path.strip_prefix(b"/v1") == Some(family),
            _ => false,
        }
    });
    found.map(Found::Surface)
}

/// A call about an object, or that makes one; `family` is its path behind `/v1`.
const fn object(name: &'static str, dialect: Dialect, allow: &'static str, family: &'static [u8]) -> Surface {
    let mut object = surface(name, Some(dialect), allow, stage::OBJECT).sealing();
    object.operation = Operation::Other(family);
    object
}

/// The same with an id in its path.
const fn one(of: Surface, allow: &'static str, (before, after): (&'static [u8], &'static [u8])) -> Surface {
    let mut one = of.with_model(NamesModel::InPath { before, after });
    one.allow = allow;
    one
}

/// Calls about a response; the longer paths first.
static RESPONSES: [Surface; 3] = [
    one(A_RESPONSE, "POST", (b"/v1/responses/", b"/cancel")),
    one(A_RESPONSE, "GET", (b"/v1/responses/", b"/input_items")),
    one(A_RESPONSE, "GET, DELETE", (b"/v1/responses/", b"")),
];
const A_RESPONSE: Surface = object("responses", Dialect::OpenAiResponses, "", b"/responses");

/// Conversations. An item's id is the provider's own: it is found in its conversation alone.
static CONVERSATIONS: [Surface; 4] = [
    A_CONVERSATION,
    ITEM_OF_A_CONVERSATION,
    one(A_CONVERSATION, "GET, POST", (b"/v1/conversations/", b"/items")),
    one(A_CONVERSATION, "GET, POST, DELETE", (b"/v1/conversations/", b"")),
];
const ITEM_OF_A_CONVERSATION: Surface = {
    let mut item = A_CONVERSATION.with_model(NamesModel::WithinPath {
        before: b"/v1/conversations/",
        between: b"/items/",
    });
    item.allow = "GET, DELETE";
    item
};
const A_CONVERSATION: Surface = object("conversations", Dialect::OpenAiResponses, "POST", b"/conversations");

/// Files and batches of the OpenAI API. `GET` without an id lists them: the caller's own.
static FILES_AND_BATCHES: [Surface; 6] = [
    A_FILE,
    one(A_FILE, "GET", (b"/v1/files/", b"/content")).untouched(),
    one(A_FILE, "GET, DELETE", (b"/v1/files/", b"")),
    A_BATCH,
    one(A_BATCH, "POST", (b"/v1/batches/", b"/cancel")),
    one(A_BATCH, "GET", (b"/v1/batches/", b"")),
];
const A_FILE: Surface = object("files", Dialect::OpenAi, "GET, POST", b"/files").taking_form();
const A_BATCH: Surface = object("batches", Dialect::OpenAi, "GET, POST", b"/batches");

/// Files that are sent in parts.
static UPLOADS: [Surface; 4] = [
    AN_UPLOAD,
    one(AN_UPLOAD, "POST", (b"/v1/uploads/", b"/parts")).taking_form(),
    one(AN_UPLOAD, "POST", (b"/v1/uploads/", b"/complete")),
    one(AN_UPLOAD, "POST", (b"/v1/uploads/", b"/cancel")),
];
const AN_UPLOAD: Surface = object("uploads", Dialect::OpenAi, "POST", b"/uploads");

/// Batches of Anthropic's API.
static MESSAGE_BATCHES: [Surface; 4] = [
    A_MESSAGE_BATCH,
    one(A_MESSAGE_BATCH, "POST", (b"/v1/messages/batches/", b"/cancel")),
    one(A_MESSAGE_BATCH, "GET", (b"/v1/messages/batches/", b"/results")).untouched(),
    one(A_MESSAGE_BATCH, "GET, DELETE", (b"/v1/messages/batches/", b"")),
];
const A_MESSAGE_BATCH: Surface = object("message_batches", Dialect::Anthropic, "GET, POST", b"/messages/batches");

/// Files of Anthropic's API.
static ANTHROPIC_FILES: [Surface; 3] = [
    AN_ANTHROPIC_FILE,
    one(AN_ANTHROPIC_FILE, "GET", (b"/v1/files/", b"/content")).untouched(),
    one(AN_ANTHROPIC_FILE, "GET, DELETE", (b"/v1/files/", b"")),
];
const AN_ANTHROPIC_FILE: Surface = object("files", Dialect::Anthropic, "GET, POST", b"/files").taking_form();
