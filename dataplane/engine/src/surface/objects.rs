//! Surfaces of objects that live at a provider. An id stands in the path where other surfaces have a model's name.

use tollgate_config::document::Dialect;

use super::{Found, NamesModel, Operation, Surface, surface};
use crate::stage;

/// The surface of this path, without its base prefix; an id has no slash in it.
pub(super) fn find(path: &[u8]) -> Option<Found> {
    let mut all = RESPONSES.iter().chain(&FILES_AND_BATCHES);
    let found = all.find(|surface| {
        let Operation::Other(family) = surface.operation else {
            return false;
        };
        match surface.names_model {
            NamesModel::InPath { before, .. } if path.starts_with(before) => {
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

/// Calls about a response; the longer paths first.
static RESPONSES: [Surface; 3] = [
    response_object("POST", b"/cancel"),
    response_object("GET", b"/input_items"),
    response_object("GET, DELETE", b""),
];

const fn response_object(allow: &'static str, after: &'static [u8]) -> Surface {
    let before = b"/v1/responses/";
    object("responses", Dialect::OpenAiResponses, allow, b"/responses").with_model(NamesModel::InPath { before, after })
}

/// Files and batches of the OpenAI API. `GET` without an id would list them, and is refused by name.
static FILES_AND_BATCHES: [Surface; 6] = [
    object("files", Dialect::OpenAi, "GET, POST", b"/files"),
    openai_object("files", "GET", b"/files", (b"/v1/files/", b"/content")).untouched(),
    openai_object("files", "GET, DELETE", b"/files", (b"/v1/files/", b"")),
    object("batches", Dialect::OpenAi, "GET, POST", b"/batches"),
    openai_object("batches", "POST", b"/batches", (b"/v1/batches/", b"/cancel")),
    openai_object("batches", "GET", b"/batches", (b"/v1/batches/", b"")),
];

const fn openai_object(
    name: &'static str,
    allow: &'static str,
    family: &'static [u8],
    (before, after): (&'static [u8], &'static [u8]),
) -> Surface {
    object(name, Dialect::OpenAi, allow, family).with_model(NamesModel::InPath { before, after })
}
