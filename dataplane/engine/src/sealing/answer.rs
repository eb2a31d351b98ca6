//! Seals the ids in an answer on its way down, in place: every other byte passes as it came.

use std::{ops::Range, sync::LazyLock};

use memchr::memmem::Finder;
use tollgate_wire::json::edit;

use super::{
    follow::{Follow, Found, Name, Path},
    is_of_container, names_file, owned, seal_id,
};
use crate::{
    exchange::{Exchange, Io},
    marks::Marks,
    outputs::Outputs,
    relay,
    surface::NamesModel,
};

/// What is known of an answer whose ids are sealed.
#[derive(Debug, Default)]
pub(crate) struct Sealer(Follow);

/// Does an answer have an id here? In streams of responses it stands in `response`.
fn wants(path: &Path) -> bool {
    let inner = match path {
        [Name::Response, inner @ ..] => inner,
        path => path,
    };
    let named = matches!(
        inner,
        [Name::Id | Name::PreviousResponseId | Name::InputFileId | Name::OutputFileId | Name::ErrorFileId]
            | [Name::UploadId | Name::ResultsUrl]
            | [Name::Conversation | Name::Prompt | Name::File, Name::Id]
    );
    named || names_file(path)
}

/// Pushes the next bytes of a document, or of a stream whose events are too long to be held, as pieces.
pub(crate) fn pass(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    let Some(mut sealer) = exchange.relay.take_sealer() else {
        return;
    };
    let mut at = 0;
    let (marks, out) = (&io.local.marks, &mut *io.out);
    let held = sealer.0.feed(bytes, wants, |path, found| {
        out.push_input(at..found.at.start);
        let start = out.arena.len();
        write(exchange, marks, path, &found, out);
        out.push_written(start);
        at = found.at.end;
    });
    out.push_input(at..bytes.len() - held);
    exchange.relay.put_sealer(sealer);
}

/// The same for bytes that were held back, which are no input any more.
pub(crate) fn pass_copied(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    let Some(mut sealer) = exchange.relay.take_sealer() else {
        return;
    };
    let start = io.out.arena.len();
    copy(exchange, io, &mut sealer.0, bytes);
    io.out.push_written(start);
    exchange.relay.put_sealer(sealer);
}

/// Appends a document to the arena, with its ids sealed.
pub(crate) fn write_document(exchange: &Exchange, io: &mut Io<'_>, document: &[u8]) {
    copy(exchange, io, &mut Follow::default(), document);
}

/// Appends the bytes with their ids sealed, but for an id at their end that is not yet whole.
fn copy(exchange: &Exchange, io: &mut Io<'_>, follow: &mut Follow, bytes: &[u8]) {
    let (marks, out) = (&io.local.marks, &mut *io.out);
    let mut at = 0;
    let held = follow.feed(bytes, wants, |path, found| {
        out.arena.extend_from_slice(&bytes[at..found.at.start]);
        write(exchange, marks, path, &found, out);
        at = found.at.end;
    });
    out.arena.extend_from_slice(&bytes[at..bytes.len() - held]);
}

/// The document is over: what was held of an id that never ended goes out.
pub(crate) fn end(exchange: &mut Exchange, io: &mut Io<'_>) {
    if let Some(mut sealer) = exchange.relay.take_sealer() {
        let start = io.out.arena.len();
        io.out.arena.extend_from_slice(&sealer.0.take_held());
        io.out.push_written(start);
    }
}

/// The ids in whole events, as ranges of `events` and what stands in the arena for them.
pub(crate) fn in_events(exchange: &Exchange, io: &mut Io<'_>, events: &[u8]) -> Sealed {
    let mut sealed = Vec::new();
    if mentions_ids(events) {
        named(exchange, io, events, &mut sealed);
    }
    if !exchange.admitted.opened.is_empty() {
        of_request(exchange, io, events, &mut sealed);
    }
    sealed
}

type Sealed = Vec<(Range<usize>, Range<u32>)>;

/// Those that members name.
fn named(exchange: &Exchange, io: &mut Io<'_>, events: &[u8], sealed: &mut Sealed) {
    let mut line_start = 0;
    for line in events.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"data:") && mentions_ids(line) {
            Follow::default().feed(line, wants, |path, found| {
                let start = io.out.arena.len();
                write(exchange, &io.local.marks, path, &found, io.out);
                let at = line_start + found.at.start..line_start + found.at.end;
                sealed.push((at, io.out.written_since(start)));
            });
        }
        line_start += line.len();
    }
}

/// Those that the request named, wherever they stand: a provider's error speaks of them in its text.
fn of_request(exchange: &Exchange, io: &mut Io<'_>, events: &[u8], sealed: &mut Sealed) {
    for (raw, as_sent) in relay::ids_of_request(exchange, io) {
        for at in relay::places_of(events, &raw) {
            if !sealed
                .iter()
                .any(|(done, _)| done.start < at.end && at.start < done.end)
            {
                let begins = io.out.arena.len();
                edit::write_escaped(&mut io.out.arena, &as_sent);
                sealed.push((at, io.out.written_since(begins)));
            }
        }
    }
    sealed.sort_by_key(|(at, _)| at.start);
}

/// Most events are pieces of text.
fn mentions_ids(events: &[u8]) -> bool {
    static NAMES: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| [Finder::new(b"\"response\""), Finder::new(b"\"file_id")]);
    NAMES.iter().any(|name| name.find(events).is_some())
}

/// The id as the client sees it; what cannot be sealed stays, and opens nothing.
fn write(exchange: &Exchange, marks: &Marks, path: &Path, found: &Found<'_>, out: &mut Outputs) {
    let sealed = match path {
        _ if !found.clean || is_of_container(found.text) => None,
        [Name::ResultsUrl] => results_path(exchange, found.text),
        // An item of a conversation, and not the conversation.
        [Name::Id] if is_item(exchange, found.text) => None,
        _ => seal_id(exchange, found.text),
    };
    match sealed {
        Some(sealed) => {
            edit::write_escaped(&mut out.arena, &sealed);
            owned::note(exchange, marks, path, found.text, out);
        }
        None => out.arena.extend_from_slice(found.text),
    }
}

/// Where the results of a message batch are, in place of the provider's own address: the SDKs read a path as one of the
/// address they were given.
fn results_path(exchange: &Exchange, url: &[u8]) -> Option<String> {
    const FAMILY: &[u8] = b"/messages/batches/";
    let start = memchr::memmem::find(url, FAMILY)? + FAMILY.len();
    let raw = url[start..].strip_suffix(b"/results")?;
    Some(format!("/v1/messages/batches/{}/results", seal_id(exchange, raw)?))
}

fn is_item(exchange: &Exchange, id: &[u8]) -> bool {
    matches!(exchange.facts.surface.names_model, NamesModel::WithinPath { .. }) && !id.starts_with(b"conv_")
}
