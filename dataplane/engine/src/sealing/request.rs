//! Opens the ids that a request's body names.

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use memchr::memmem::Finder;
use tollgate_config::document::Dialect;
use tollgate_wire::{
    Span,
    json::{
        cursor::{self, Kind as Json, Value},
        edit,
    },
};

use super::{
    Object,
    follow::{Follow, Name, Path},
    is_of_container, names_file, names_file_of_anthropic, names_file_of_gemini, open,
};
use crate::{exchange::Exchange, failure::Kind, surface::Operation};

/// More ids than this in one request are refused: each costs a MAC.
const MAX_IDS: usize = 1024;

/// An id that was opened, and where it stands.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Of the body as the client meant it, quotes included.
    pub at: Range<usize>,
    /// As a JSON string.
    pub json: Vec<u8>,
}

/// Opens what `named` found, and every file; notes them in `Admitted::opened` and pins the call to where they live.
/// `null` names nothing; what is no string is left to the provider to refuse.
pub(crate) fn open_all(
    exchange: &mut Exchange,
    raw_body: &[u8],
    named: &[(&'static str, Option<Value>)],
) -> Result<(), Kind> {
    let body = exchange.admitted.body(raw_body);
    let mut ids: Vec<(&'static str, Range<usize>)> = Vec::new();
    for (name, value) in named {
        if let Some(value) = value.filter(|value| value.kind == Json::String) {
            ids.push((name, value.span.range()));
        }
    }
    find_ids(exchange, body, &mut ids);
    if ids.is_empty() {
        exchange.admitted.names_nothing = true;
        return Ok(());
    }
    if ids.len() > MAX_IDS {
        return Err(wrong("file_id", "is named too often in one request"));
    }
    ids.sort_by_key(|(_, at)| at.start);
    let mut opened = Vec::with_capacity(ids.len());
    let mut first: Option<Object> = None;
    let mut pinned_by = None;
    let may_name_any = may_name_any(exchange);
    for (name, at) in ids {
        let object = match open_one(exchange, name, &body[at.clone()]) {
            Err(_) if may_name_any => continue,
            object => object?,
        };
        if first.as_ref().is_some_and(|first| !first.lives_beside(&object)) {
            return Err(wrong(name, "belongs to another account than other ids of this request"));
        }
        let mut json = Vec::new();
        edit::write_string(&mut json, &object.raw);
        opened.push(Opened { at, json });
        pinned_by = Some(name);
        first.get_or_insert(object);
    }
    exchange.admitted.opened = opened;
    exchange.call.pinned_by = pinned_by;
    if let Some(object) = first {
        exchange.call.only_provider = Some(object.provider);
        exchange.call.only_credential = object.credential;
    }
    Ok(())
}

fn open_one(exchange: &Exchange, name: &'static str, quoted: &[u8]) -> Result<Object, Kind> {
    let whole = Value {
        span: Span::new(0, quoted.len()),
        kind: Json::String,
    };
    let found = cursor::string(quoted, whole).and_then(|text| open(exchange, &text));
    found.ok_or(Kind::NoSuchObject { name })
}

/// Files of Anthropic's and Google's are made at `/providers/…` alone. Who may call that may name what is there.
fn may_name_any(exchange: &Exchange) -> bool {
    let elsewhere = matches!(
        exchange.facts.surface.dialect,
        Some(Dialect::Anthropic | Dialect::Gemini)
    );
    let key = exchange.pinned().zip(exchange.facts.key);
    elsewhere && key.is_some_and(|(pinned, key)| pinned.keys.entry(key).pass_through)
}

/// Files named anywhere, and the parts of an upload.
fn find_ids(exchange: &Exchange, body: &[u8], ids: &mut Vec<(&'static str, Range<usize>)>) {
    static ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"file_id"));
    static ADDRESS: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| [Finder::new(b"\"fileUri\""), Finder::new(b"\"file_uri\"")]);
    fn parts(path: &Path) -> bool {
        matches!(path, [Name::PartIds] | [Name::PartIds, Name::PartIds])
    }
    let surface = exchange.facts.surface;
    let mentions_id = || ID.find(body).is_some();
    let mentions_address = || ADDRESS.iter().any(|name| name.find(body).is_some());
    let (name, wants, is_mentioned): (_, fn(&Path) -> bool, _) = match surface.dialect {
        _ if surface.operation == Operation::Other(b"/uploads") => ("part_ids", parts, true),
        Some(Dialect::Anthropic) => ("file_id", names_file_of_anthropic, mentions_id()),
        Some(Dialect::Gemini) => ("fileUri", names_file_of_gemini, mentions_address()),
        _ => ("file_id", names_file, mentions_id()),
    };
    if !is_mentioned && !may_hide_keys(body) {
        return;
    }
    Follow::default().feed(body, wants, |_, found| {
        let is_owned = match name {
            "fileUri" => is_stored_at_google(found.text),
            _ => !is_of_container(found.text),
        };
        if is_owned {
            ids.push((name, found.at.start - 1..found.at.end + 1));
        }
    });
}

/// An address of Google's files API, not one of the web or of a bucket. An escaped slash is one.
fn is_stored_at_google(address: &[u8]) -> bool {
    let address: Vec<u8> = address.iter().copied().filter(|&byte| byte != b'\\').collect();
    let has = |text: &[u8]| memchr::memmem::find(&address, text).is_some();
    !has(b"://") || has(b"//generativelanguage.googleapis.com/")
}

/// Is a character of a name written as an escape? Hardly anybody does that, but to slip past.
fn may_hide_keys(body: &[u8]) -> bool {
    static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u00"));
    if memchr::memchr(b'\\', body).is_none() {
        return false;
    }
    let digit = |at: usize| body.get(at + 4).copied().unwrap_or_default();
    ESCAPE.find_iter(body).any(|at| (b'2'..=b'7').contains(&digit(at)))
}

fn wrong(field: &'static str, wrong: &'static str) -> Kind {
    Kind::Untranslatable {
        field: field.into(),
        wrong: wrong.into(),
        offset: 0,
    }
}

/// The body with what was opened in its place.
pub(crate) fn opened_body<'a>(body: &'a [u8], opened: &[Opened]) -> Cow<'a, [u8]> {
    if opened.is_empty() {
        return Cow::Borrowed(body);
    }
    let (mut out, mut at) = (Vec::with_capacity(body.len()), 0);
    for Opened { at: instead_of, json } in opened {
        out.extend_from_slice(&body[at..instead_of.start]);
        out.extend_from_slice(json);
        at = instead_of.end;
    }
    out.extend_from_slice(&body[at..]);
    Cow::Owned(out)
}
