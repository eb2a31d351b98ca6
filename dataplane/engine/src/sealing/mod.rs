//! Ids of objects that live at a provider: the client has them sealed, the provider raw. What a call names is opened on
//! the way up, what an answer names is sealed on the way down.

pub(crate) mod answer;
mod follow;
pub(crate) mod owned;
pub(crate) mod request;

use tollgate_dialect::canonical::{
    seal::{self, Sealed, Signer},
    sealed_id::{IdKey, Place, SealedId},
};

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
    open_with(exchange, id, IdKey::clone)
}

fn open_with(exchange: &Exchange, id: &str, key: fn(&IdKey) -> IdKey) -> Option<Object> {
    let pinned = exchange.pinned()?;
    let sealed = SealedId::read(id)?;
    let mut endpoints = pinned.snapshot.endpoints.iter();
    let provider = endpoints.position(|endpoint| endpoint.provider == sealed.provider())?;
    let owner = pinned.keys.entry(exchange.facts.key?).owner();
    let ids = &pinned.snapshot.upstreams[provider].ids;
    let opened = key(ids.key.as_ref()?).open(owner, &sealed)?;
    Some(Object {
        provider,
        credential: ids.turn(opened.credential),
        raw: opened.raw,
    })
}

/// A place in the caller's own list, as `seal_place` made it.
pub(crate) fn open_place(exchange: &Exchange, id: &str) -> Option<Object> {
    open_with(exchange, id, IdKey::of_places)
}

/// Signs what this provider's answers give the caller to bring back; `None` where there is no secret.
pub(crate) fn signer(exchange: &Exchange, provider: usize) -> Option<Signer> {
    let pinned = exchange.pinned()?;
    let owner = pinned.keys.entry(exchange.facts.key?).owner();
    Some(pinned.snapshot.upstreams.get(provider)?.ids.key.as_ref()?.signer(owner))
}

/// The provider whose sealed matter came last in the body: what only looks sealed, or was another owner's, is nobody's.
pub(crate) fn issuer(exchange: &Exchange, body: &[u8]) -> Option<usize> {
    let pinned = exchange.pinned()?;
    let index = |name: &str| {
        pinned
            .snapshot
            .endpoints
            .iter()
            .position(|endpoint| endpoint.provider == name)
    };
    let is_genuine = |sealed: &Sealed| {
        let signer = index(&sealed.provider).and_then(|provider| signer(exchange, provider));
        signer.is_some_and(|signer| sealed.is_by(&signer))
    };
    index(&seal::last_in(body, is_genuine)?.provider)
}

/// The id that the client sees of what lives at the provider that is called; `None` where it cannot be sealed.
pub(crate) fn seal_id(exchange: &Exchange, raw: &[u8]) -> Option<String> {
    seal_with(exchange, exchange.call.credential, raw, IdKey::clone)
}

/// Where the caller's list goes on: behind an object that may be another's, seen with this credential. It opens nothing
/// but that.
pub(crate) fn seal_place(exchange: &Exchange, credential: usize, raw: &str) -> Option<String> {
    seal_with(exchange, credential, raw.as_bytes(), IdKey::of_places)
}

fn seal_with(exchange: &Exchange, credential: usize, raw: &[u8], key: fn(&IdKey) -> IdKey) -> Option<String> {
    let pinned = exchange.pinned()?;
    let provider = exchange.call.provider?;
    let ids = &pinned.snapshot.upstreams[provider].ids;
    let place = Place {
        provider: &pinned.snapshot.endpoints[provider].provider,
        credential: ids.tag(credential),
    };
    let owner = pinned.keys.entry(exchange.facts.key?).owner();
    key(ids.key.as_ref()?).seal(owner, place, str::from_utf8(raw).ok()?)
}

/// Does a file's id stand here? What a prompt's variables are called is the user's own, and hides nothing.
fn names_file(path: &Path) -> bool {
    let below = match path {
        [Name::Prompt, Name::Variables, _, below @ ..] => below,
        path => path,
    };
    matches!(below, [.., Name::FileId | Name::FileIds]) && !below.contains(&Name::Opaque)
}

/// The same in a request of Anthropic's: in the source of a block, in a block, and in a tool's result.
fn names_file_of_anthropic(path: &Path) -> bool {
    use Name::{Content, FileId, Messages, Source};
    // Requests of a batch have theirs further down.
    let messages = path.iter().position(|name| *name == Messages).unwrap_or(path.len());
    let block = match &path[messages..] {
        [Messages, Messages, Content, Content, Content, Content, block @ ..] => block,
        [Messages, Messages, Content, Content, block @ ..] => block,
        _ => return false,
    };
    matches!(block, [FileId] | [Source, FileId])
}

/// And in one of Gemini's, where a file is named by its address.
fn names_file_of_gemini(path: &Path) -> bool {
    matches!(path, [.., Name::FileData, Name::FileUri])
}

/// Files of a code interpreter's container live and die with it, and nothing here serves them: their ids stay.
fn is_of_container(id: &[u8]) -> bool {
    id.starts_with(b"cfile_")
}
