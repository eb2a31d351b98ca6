//! identify: the key the client sent → who is calling.

use tollgate_wire::head::{Known, RequestView};

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    identity::Slot,
    percent,
    stage::Verdict,
};

/// Longer credentials are looked up, but not remembered.
const MAX_REMEMBERED_BYTES: usize = 512;

/// The last credential of this connection that opened something, so that a kept connection hashes it once per table.
#[derive(Default)]
pub(crate) struct Login {
    credential: Vec<u8>,
    /// `KeyTable::version` it was looked up in.
    version: u64,
    slot: Option<Slot>,
}

// By hand: a secret must not reach a log.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let pinned = exchange.pin();
    let refuse = |kind| Verdict::Refuse(Failure::client(kind));
    let from_query;
    let credential = match header_credential(io.request) {
        Some(credential) => credential,
        None => match percent::query_value(io.request.query(), b"key") {
            Some(value) => {
                from_query = percent::decode(value);
                &*from_query
            }
            None => return refuse(Kind::NoKey),
        },
    };
    let login = &mut exchange.login;
    let slot = match login.slot {
        Some(slot) if login.version == pinned.keys.version() && same(&login.credential, credential) => slot,
        _ => {
            let Some(slot) = pinned.keys.find(credential) else {
                return refuse(Kind::UnknownKey);
            };
            if credential.len() <= MAX_REMEMBERED_BYTES {
                login.credential.clear();
                login.credential.extend_from_slice(credential);
                login.version = pinned.keys.version();
                login.slot = Some(slot);
            }
            slot
        }
    };
    exchange.facts.key = Some(slot.key);
    if slot.until_unix_ms <= io.unix_ms {
        return refuse(Kind::ExpiredKey);
    }
    let remote = exchange.facts.peer.is_none_or(|peer| !peer.loopback);
    if remote && pinned.keys.entry(slot.key).loopback_only {
        return refuse(Kind::RemoteKey);
    }
    Verdict::Next
}

/// The first of the headers that may carry a key, in the contract's order.
fn header_credential(request: RequestView<'_>) -> Option<&[u8]> {
    let bearer = request.get(Known::Authorization).and_then(bearer_token);
    let others = [Known::XApiKey, Known::XGoogApiKey, Known::ApiKey];
    bearer.or_else(|| {
        others
            .into_iter()
            .find_map(|header| request.get(header).filter(|value| !value.is_empty()))
    })
}

fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
        .filter(|token| !token.is_empty())
}

/// Takes the same time wherever two credentials of one length differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
