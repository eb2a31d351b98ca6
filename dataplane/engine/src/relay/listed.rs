//! Pages of objects on their way down: what is another's is left out, ids are sealed, and where the list goes on is said
//! anew.

use std::mem;

use tollgate_config::document::Dialect;
use tollgate_dialect::json::Node;
use tollgate_wire::json::edit;

use super::{tally, translated};
use crate::{
    attempt, counted,
    exchange::{Exchange, Io},
    listing::{self, Listing, MAX_HELD_BYTES, Shown, Way},
    outputs::Action,
    record::{AttemptOutcome, Outcome},
    sealing::{self, answer, owned},
};

const TOO_LONG: &str = "its page is longer than a list may be; ask for fewer with 'limit'";

pub(super) fn body(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    let room = MAX_HELD_BYTES;
    if translated::gather(&mut exchange.relay, bytes, room).is_err() {
        exchange.relay.held = Vec::new();
        translated::unreadable(exchange, io, TOO_LONG);
    }
}

/// What is to be done when a page was read.
enum Then {
    /// The next is asked for with this credential.
    LookOn { credential: usize },
    /// The client gets what there is; whether the list goes on.
    Answer { more: bool },
}

/// The provider's page is complete.
pub(super) fn end(exchange: &mut Exchange, io: &mut Io<'_>) {
    let page = mem::take(&mut exchange.relay.held);
    let Some(mut listing) = exchange.call.listing.take() else {
        return;
    };
    let read = read(exchange, io, &mut listing, &page);
    let live = exchange.call.live;
    match (read, live) {
        (Ok(Then::LookOn { credential }), Some(live)) => {
            let query = listing.next_query();
            if let Some(object) = &mut exchange.call.object {
                object.query = query;
            }
            exchange.call.credential = credential;
            exchange.call.only_credential = Some(credential);
            exchange.call.listing = Some(listing);
            attempt::log_end(exchange, io, AttemptOutcome::Ok);
            attempt::go_on_with(exchange, io, live.target);
        }
        (Ok(then), _) => {
            let more = matches!(then, Then::Answer { more: true });
            finish(exchange, io, *listing, more);
        }
        (Err(reason), _) => translated::unreadable(exchange, io, reason),
    }
}

/// Keeps what of a page is the caller's, up to as much as is wanted.
fn read(exchange: &Exchange, io: &mut Io<'_>, listing: &mut Listing, page: &[u8]) -> Result<Then, &'static str> {
    let document = Node::document(page).map_err(|bad| bad.reason)?;
    let data = document.get("data").filter(|data| data.is_array());
    let mut objects: Vec<Node<'_>> = data.ok_or("a list has no data")?.elements().collect();
    if listing.way == Way::Backward {
        objects.reverse();
    }
    let next_page = document.get("next_page").filter(|_| !listing.by_id);
    if next_page.is_some() {
        listing.cursor = listing::PAGE;
        listing.says_ids = document.get("has_more").is_some();
    }
    let credential = exchange.call.credential;
    for object in &objects {
        let Some(raw) = object.get("id").and_then(Node::string) else {
            continue;
        };
        if owned::shows(exchange, io, &raw) {
            let is_full = listing.is_full() && !listing.is_paged();
            if is_full || !keep(exchange, io, listing, (*object, &raw)) {
                return if listing.is_paged() {
                    Err(TOO_LONG)
                } else {
                    Ok(Then::Answer { more: true })
                };
            }
        }
        listing.seen = Some((credential, raw.into_owned()));
    }
    let says_more = document.get("has_more").and_then(Node::boolean) == Some(true);
    let last = listing.seen.as_ref().filter(|_| !objects.is_empty() && says_more);
    let behind = match next_page {
        Some(page) => page.string().map(|page| page.into_owned()),
        None => last.map(|(_, raw)| raw.clone()),
    };
    let next = match behind {
        // A provider that does not know where it was asked to begin would go round for ever.
        Some(from) if listing.from.as_ref() != Some(&from) => Some((credential, Some(from))),
        _ => next_credential(exchange, listing.way).map(|next| (next, None)),
    };
    then(exchange, listing, next)
}

/// Looks on, or leaves it to the client.
fn then(
    exchange: &Exchange,
    listing: &mut Listing,
    next: Option<(usize, Option<String>)>,
) -> Result<Then, &'static str> {
    let Some((credential, from)) = next else {
        return Ok(Then::Answer { more: false });
    };
    if listing.may_look_on() {
        listing.from = from;
        return Ok(Then::LookOn { credential });
    }
    if listing.is_paged() {
        let page = from.as_deref().unwrap_or(listing::BEGINNING);
        let sealed = sealing::seal_place(exchange, credential, page);
        listing.next_page = Some(sealed.ok_or("its cursor is longer than the gateway seals")?);
    }
    Ok(Then::Answer { more: true })
}

/// False where there is no room for it.
fn keep(exchange: &Exchange, io: &mut Io<'_>, listing: &mut Listing, (object, raw): (Node<'_>, &str)) -> bool {
    let Some(id) = sealing::seal_id(exchange, raw.as_bytes()) else {
        return true;
    };
    let start = io.out.arena.len();
    answer::write_document(exchange, io, object.raw());
    let json = io.out.arena.split_off(start);
    let fits = listing.keep(Shown { json, id });
    if fits && listing.told.len() < counted::MAX_LISTED {
        listing.told.extend(tally::told_by_list(exchange, object.raw()));
    }
    fits
}

/// The credential whose objects come behind those of the one that was asked with. Towards the beginning there is none: a
/// list cannot be begun at its end.
fn next_credential(exchange: &Exchange, way: Way) -> Option<usize> {
    let provider = exchange.call.provider?;
    let count = exchange.pin().snapshot.upstreams[provider].credentials.len();
    let next = exchange.call.credential + 1;
    (way == Way::Forward && next < count).then_some(next)
}

fn finish(exchange: &mut Exchange, io: &mut Io<'_>, mut listing: Listing, more: bool) {
    for told in mem::take(&mut listing.told) {
        let listed = tally::charge_listed(exchange, io, told);
        exchange.facts.listed.extend(listed);
    }
    if listing.way == Way::Backward {
        listing.shown.reverse();
    }
    let start = io.out.arena.len();
    write(exchange, &listing, more, &mut io.out.arena);
    translated::whole(exchange, io, 200, start);
    attempt::log_end(exchange, io, AttemptOutcome::Ok);
    exchange.finish(io, Outcome::Complete, Action::End);
}

fn write(exchange: &Exchange, listing: &Listing, more: bool, out: &mut Vec<u8>) {
    let is_anthropic = exchange.facts.surface.dialect == Some(Dialect::Anthropic);
    let ends = (listing.shown.first(), listing.shown.last());
    // Of an empty page it is the place: who goes by the ids of what is shown has come to the end.
    let place = || {
        let (credential, raw) = listing.seen.as_ref().filter(|_| more && !listing.is_paged())?;
        sealing::seal_place(exchange, *credential, raw)
    };
    let (first, last) = match (ends, listing.way) {
        ((Some(first), Some(last)), _) => (Some(first.id.clone()), Some(last.id.clone())),
        (_, Way::Forward) => (None, place()),
        (_, Way::Backward) => (place(), None),
    };
    let goes_on = more && (first.is_some() || last.is_some() || listing.next_page.is_some());
    out.extend_from_slice(if is_anthropic { b"{" } else { b"{\"object\":\"list\"," });
    out.extend_from_slice(b"\"data\":[");
    for (index, shown) in listing.shown.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b"," } else { b"" });
        out.extend_from_slice(&shown.json);
    }
    out.push(b']');
    let ids = listing.says_ids.then_some([("first_id", first), ("last_id", last)]);
    let next_page = listing.is_paged().then(|| ("next_page", listing.next_page.clone()));
    for (name, id) in ids.into_iter().flatten().chain(next_page) {
        out.push(b',');
        edit::write_string(out, name);
        out.push(b':');
        match id {
            Some(id) => edit::write_string(out, &id),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(match (listing.says_ids, goes_on) {
        (false, _) => b"}",
        (true, true) => b",\"has_more\":true}",
        (true, false) => b",\"has_more\":false}",
    });
}
