//! Ids of objects that live at a provider: the client has them sealed, the provider raw. What a call names is opened on
//! the way up, what an answer names is sealed on the way down.

pub(crate) mod answer;
mod follow;
pub(crate) mod request;

use tollgate_dialect::canonical::sealed_id::{Place, SealedId};

use crate::exchange::Exchange;
use follow::{Name, Path};

/// An id that was opened.
#[derive(Debug)]
pub(crate) struct Object {
    /// Index into `document.providers`.
    pub provider: usize,
    /// Index into its credentials; `None` where that which made the object is gone.
    pub credential: Option<usize>,
    /// The provider's own id.
    pub raw: String,
}

impl Object {
    /// May one call name both?
    pub fn lives_beside(&self, other: &Object) -> bool {
        let credentials = self.credential.zip(other.credential);
        self.provider == other.provider && credentials.is_none_or(|(one, other)| one == other)
    }
}

/// `None` for an id that the caller was not given by this gateway: raw, forged, another owner's, or of a provider that is
/// gone.
pub(crate) fn open(exchange: &Exchange, id: &str) -> Option<Object> {
    let pinned = exchange.pinned()?;
    let sealed = SealedId::read(id)?;
    let mut endpoints = pinned.snapshot.endpoints.iter();
    let provider = endpoints.position(|endpoint| endpoint.provider == sealed.provider())?;
    let owner = pinned.keys.entry(exchange.facts.key?).owner();
    let ids = &pinned.snapshot.upstreams[provider].ids;
    let opened = ids.key.as_ref()?.open(owner, &sealed)?;
    Some(Object {
        provider,
        credential: ids.turn(opened.credential),
        raw: opened.raw,
    })
}

/// The id that the client sees of what lives at the provider that is called; `None` where it cannot be sealed.
fn seal(exchange: &Exchange, raw: &[u8]) -> Option<String> {
    let pinned = exchange.pinned()?;
    let provider = exchange.call.provider?;
    let ids = &pinned.snapshot.upstreams[provider].ids;
    let place = Place {
        provider: &pinned.snapshot.endpoints[provider].provider,
        credential: ids.tag(exchange.call.credential),
    };
    let owner = pinned.keys.entry(exchange.facts.key?).owner();
    ids.key.as_ref()?.seal(owner, place, str::from_utf8(raw).ok()?)
}

/// Does a file's id stand here?
fn names_file(path: &Path) -> bool {
    matches!(path, [.., Name::FileId | Name::FileIds]) && !path.contains(&Name::Opaque)
}

/// Files of a code interpreter's container live and die with it, and nothing here serves them: their ids stay.
fn is_of_container(id: &[u8]) -> bool {
    id.starts_with(b"cfile_")
}
