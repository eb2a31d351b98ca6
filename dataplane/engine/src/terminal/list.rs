//! The models a key may use, as the dialect that asks lists them. A wildcard is shown with its star: what may stand there is
//! known to the provider alone.

use hashbrown::HashSet;
use tollgate_config::document::Dialect;
use tollgate_wire::json::edit;

use crate::{
    exchange::{Exchange, Io},
    facts::MAX_MODEL_NAME_BYTES,
    failure::{Failure, Kind},
    patterns::Shown,
    percent,
    reply::{self, Reply},
    stage::Verdict,
    surface,
};

pub(crate) fn all(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let pinned = exchange.pin();
    let Some(key) = exchange.facts.key else { return no_key() };
    let allowed = &pinned.keys.entry(key).models;
    let start = io.out.arena.len();
    let out = &mut io.out.arena;
    let dialect = exchange.facts.surface.dialect;
    // A name the key spells out can come from several wildcards.
    let mut seen: HashSet<Shown<'_>> = HashSet::new();
    let (mut first, mut last) = (None, None);
    out.extend_from_slice(match dialect {
        Some(Dialect::Anthropic) => b"{\"data\":[",
        Some(Dialect::Gemini) => b"{\"models\":[",
        _ => b"{\"object\":\"list\",\"data\":[",
    });
    for (name, _) in &pinned.snapshot.document.models {
        allowed.visible(name, |shown| {
            if !seen.insert(shown) {
                return;
            }
            if first.is_none() {
                first = Some(shown);
            } else {
                out.push(b',');
            }
            last = Some(shown);
            write_model(out, dialect, &text(shown));
        });
    }
    out.push(b']');
    if dialect == Some(Dialect::Anthropic) {
        out.extend_from_slice(b",\"has_more\":false,\"first_id\":");
        write_or_null(out, first);
        out.extend_from_slice(b",\"last_id\":");
        write_or_null(out, last);
    }
    out.push(b'}');
    answer(exchange, io, start)
}

pub(crate) fn one(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let pinned = exchange.pin();
    let Some(key) = exchange.facts.key else { return no_key() };
    let id = percent::decode(surface::model_id(io.request.path()).unwrap_or_default());
    let id = String::from_utf8_lossy(&id);
    let known = id.len() <= MAX_MODEL_NAME_BYTES && pinned.snapshot.models.find(&id).is_some();
    exchange
        .facts
        .model_asked
        .extend(id.chars().take(MAX_MODEL_NAME_BYTES / 4));
    if !known || !pinned.keys.entry(key).models.admit(&id) {
        // The same answer for both: a list of what the key may use does not tell what else there is.
        return Verdict::Refuse(Failure::client(Kind::ModelNotFound));
    }
    let start = io.out.arena.len();
    write_model(&mut io.out.arena, exchange.facts.surface.dialect, &id);
    answer(exchange, io, start)
}

fn no_key() -> Verdict {
    Verdict::Refuse(Failure::client(Kind::NoKey))
}

fn answer(exchange: &mut Exchange, io: &mut Io<'_>, start: usize) -> Verdict {
    let body = io.out.written_since(start);
    reply::whole(
        exchange,
        io,
        Reply {
            status: 200,
            content_type: b"application/json",
            body,
        },
        |_, _| {},
    );
    Verdict::Taken
}

/// Sources: OpenAI API reference, "The model object"; Anthropic API reference, "List models"; Gemini API reference,
/// "Models". When a model was made is not known here: where a time is demanded it is the start of time.
fn write_model(out: &mut Vec<u8>, dialect: Option<Dialect>, id: &str) {
    match dialect {
        Some(Dialect::Anthropic) => {
            out.extend_from_slice(b"{\"type\":\"model\",\"id\":");
            edit::write_string(out, id);
            out.extend_from_slice(b",\"display_name\":");
            edit::write_string(out, id);
            out.extend_from_slice(b",\"created_at\":\"1970-01-01T00:00:00Z\"}");
        }
        Some(Dialect::Gemini) => {
            out.extend_from_slice(b"{\"name\":\"models/");
            edit::write_escaped(out, id);
            out.extend_from_slice(b"\",\"displayName\":");
            edit::write_string(out, id);
            out.extend_from_slice(
                b",\"supportedGenerationMethods\":[\"generateContent\",\"streamGenerateContent\",\"countTokens\"]}",
            );
        }
        _ => {
            out.extend_from_slice(b"{\"id\":");
            edit::write_string(out, id);
            out.extend_from_slice(b",\"object\":\"model\",\"created\":0,\"owned_by\":\"tollgate\"}");
        }
    }
}

fn write_or_null(out: &mut Vec<u8>, shown: Option<Shown<'_>>) {
    match shown {
        Some(shown) => edit::write_string(out, &text(shown)),
        None => out.extend_from_slice(b"null"),
    }
}

fn text(shown: Shown<'_>) -> String {
    format!("{}{}", shown.text, if shown.wildcard { "*" } else { "" })
}
