//! Whose the objects are that lists have: an id that is sealed for its maker is marked as its owner's. A raw id says
//! nothing of that, and what a provider lists has everybody's who shares its account.

use tollgate_dialect::canonical::sealed_id::Owner;

use super::follow::{Name, Path};
use crate::{
    exchange::{Exchange, Io},
    marks::{COUNTED, Mark, MarkNews, Marks, id_of},
    outputs::Outputs,
    surface::Operation,
};

/// What the marks of one provider's objects are made of, for the caller.
struct Owned<'a> {
    owner: Owner<'a>,
    provider: &'a str,
}

impl Owned<'_> {
    fn id(&self, raw: &[u8]) -> u128 {
        let (scope, name) = self.owner.scope_and_name();
        let provider = self.provider.as_bytes();
        id_of(b"tollgate owned 1", &[&[scope], name.as_bytes(), provider, raw]) & !COUNTED
    }
}

/// Of the provider that is called.
fn owned<'a>(exchange: &Exchange, pinned: &'a crate::exchange::Pinned) -> Option<Owned<'a>> {
    Some(Owned {
        owner: pinned.keys.entry(exchange.facts.key?).owner(),
        provider: &pinned.snapshot.endpoints[exchange.call.provider?].provider,
    })
}

/// Does an object that lists have, and that is the caller's, have its id at this place of an answer? Files that answers
/// of models speak of may be anybody's.
fn is_listed(exchange: &Exchange, path: &Path) -> bool {
    match exchange.facts.surface.operation {
        Operation::FILES | Operation::MESSAGE_BATCHES => matches!(path, [Name::Id]),
        Operation::BATCHES => matches!(path, [Name::Id | Name::OutputFileId | Name::ErrorFileId]),
        Operation::UPLOADS => matches!(path, [Name::File, Name::Id]),
        _ => false,
    }
}

/// The id that was found in an answer is sealed for the caller: marks the object as the caller's, if it is.
pub(super) fn note(exchange: &Exchange, marks: &Marks, path: &Path, raw: &[u8], out: &mut Outputs) {
    let deletes = exchange.call.object.as_ref().is_some_and(|object| object.deletes);
    if deletes || !is_listed(exchange, path) {
        return;
    }
    let Some(pinned) = exchange.pinned() else { return };
    let ids = exchange
        .call
        .provider
        .map(|provider| &pinned.snapshot.upstreams[provider].ids);
    if let Some((owned, ids)) = owned(exchange, pinned).zip(ids) {
        let tag = u16::from_le_bytes(ids.tag(exchange.call.credential));
        adopt(marks, Mark { id: owned.id(raw), tag }, out);
    }
}

fn adopt(marks: &Marks, mark: Mark, out: &mut Outputs) {
    if marks.note(mark) {
        out.marks.push(MarkNews::Made(mark));
    }
}

/// The provider has deleted what the path names.
pub(crate) fn forget_deleted(exchange: &Exchange, io: &mut Io<'_>) {
    let deleted = exchange.call.object.as_ref().filter(|object| object.deletes);
    let raw = deleted.and_then(|object| object.raw.as_deref());
    let Some((raw, pinned)) = raw.zip(exchange.pinned()) else {
        return;
    };
    let id = owned(exchange, pinned).map(|owned| owned.id(raw.as_bytes()));
    if let Some(id) = id.filter(|&id| io.local.marks.forget(id)) {
        io.out.marks.push(MarkNews::Gone(Mark { id, tag: 0 }));
    }
}

/// Does a list that was asked for with the credential of the call show the caller this object?
///
/// Several credentials may be of one account, or of several. Each lists what was made with it: then all are listed, and
/// none twice. What was made with one that is gone is from now on the first's that finds it.
pub(crate) fn shows(exchange: &Exchange, io: &mut Io<'_>, raw: &str) -> bool {
    let Some((pinned, provider)) = exchange.pinned().zip(exchange.call.provider) else {
        return false;
    };
    let Some(owned) = owned(exchange, pinned) else {
        return false;
    };
    let id = owned.id(raw.as_bytes());
    let Some(known) = io.local.marks.tag(id) else {
        return false;
    };
    let ids = &pinned.snapshot.upstreams[provider].ids;
    let here = u16::from_le_bytes(ids.tag(exchange.call.credential));
    let is_another = known != here && ids.turn(known.to_le_bytes()).is_some();
    if known != here && !is_another {
        adopt(&io.local.marks, Mark { id, tag: here }, io.out);
    }
    !is_another
}
