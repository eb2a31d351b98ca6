//! Lists of objects at a provider: the caller's own. The provider lists everybody's who shares its account, so its pages
//! are gathered and what is another's is left out; where too little is left the next page is asked for, in the same call.
//!
//! A page begins behind an object that the client names by its sealed id, or at a place in the list that is sealed another
//! way: that may be another's object, and opens none. Some lists go on at a cursor of the provider's own (`next_page`),
//! which is such a place as well.

use tollgate_config::{catalogue::path::write_segment, document::Dialect};

use crate::{
    call::ObjectCall,
    counted::BatchTold,
    exchange::{Exchange, Io},
    failure::Kind,
    percent,
    sealing::{self, Object},
    surface::Operation,
    terminal::object::{ASKED_WRONGLY, asked_provider, goes_to, nothing_yet, provider_for_new},
};

/// Pages of the provider's that are looked through for one of the client's.
pub(crate) const MAX_PAGES: usize = 100;
// Each page may be asked for as often as a call, and dialled twice.
const _: () = assert!(MAX_PAGES * crate::call::MAX_ATTEMPTS as usize * 2 < u16::MAX as usize);
/// Bytes of one page, and of what is kept for the client.
pub(crate) const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;
/// Objects in a page of the client's; no API takes a higher limit.
const MAX_LIMIT: usize = 10_000;
/// Objects in the provider's further pages where the client asks for fewer: every API takes that many.
const LOOKED_THROUGH: usize = 100;

const LIMIT: &[u8] = b"limit";
const AFTER: &[u8] = b"after";
const AFTER_ID: &[u8] = b"after_id";
const BEFORE_ID: &[u8] = b"before_id";
pub(crate) const PAGE: &[u8] = b"page";
/// Anthropic's: objects that alone are to be listed.
const IDS: [&[u8]; 4] = [b"ids", b"ids[]", b"ids%5B%5D", b"ids%5b%5d"];
/// The place that stands for the beginning of a credential's objects. No cursor of a provider's is called that.
pub(crate) const BEGINNING: &str = "beginning";

/// Which way the list is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Forward,
    /// Anthropic's `before_id`: from an object towards the beginning.
    Backward,
}

/// An object to show.
#[derive(Debug)]
pub(crate) struct Shown {
    /// As the client sees it.
    pub json: Vec<u8>,
    pub id: String,
}

/// A list under way.
#[derive(Debug)]
pub(crate) struct Listing {
    pub way: Way,
    /// As many objects as the client wants at most.
    pub limit: usize,
    /// What is to be shown, in the order in which it was met.
    pub shown: Vec<Shown>,
    /// Where the page under way begins: behind the object of this raw id, or at a cursor of the provider's.
    pub from: Option<String>,
    /// What the parameter is called that says so.
    pub cursor: &'static [u8],
    /// The client goes by ids.
    pub by_id: bool,
    /// The provider says by ids where its list goes on, whatever else it says.
    pub says_ids: bool,
    /// Where the list goes on, sealed, where that is said by a cursor of the provider's.
    pub next_page: Option<String>,
    /// Where the last object stood that was looked at: the credential that it was seen with, and its raw id.
    pub seen: Option<(usize, String)>,
    /// Batches that were shown and are over, and their ids as the client has them: counted when the list is whole, so that a
    /// kill before that loses none.
    pub told: Vec<(BatchTold, Option<String>)>,
    pages: usize,
    held_bytes: usize,
    /// What the client asked beside where the list begins and how long a page is.
    query: Vec<u8>,
    /// Only of the first page, and only where the client said so.
    limit_asked: Vec<u8>,
}

impl Listing {
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Keeps an object for the client; false where there is no room for it.
    pub fn keep(&mut self, shown: Shown) -> bool {
        let bytes = shown.json.len() + shown.id.len();
        // One always fits: a page is no longer.
        let fits = self.shown.is_empty() || self.held_bytes + bytes <= MAX_HELD_BYTES;
        if fits {
            self.held_bytes += bytes;
            self.shown.push(shown);
        }
        fits
    }

    pub fn is_full(&self) -> bool {
        self.shown.len() >= self.limit
    }

    pub fn may_look_on(&self) -> bool {
        !self.is_full() && self.pages < MAX_PAGES
    }

    /// Does the list go on at a cursor of the provider's? Within its pages none begins: no more is asked for than wanted.
    pub fn is_paged(&self) -> bool {
        self.cursor == PAGE
    }

    /// The query of the page at `from`.
    pub fn next_query(&mut self) -> Vec<u8> {
        let mut query = self.query.clone();
        let mut add = |name: &[u8], value: &[u8]| {
            query.extend_from_slice(if query.is_empty() { b"" } else { b"&" });
            query.extend_from_slice(name);
            query.push(b'=');
            query.extend_from_slice(value);
        };
        match self.pages {
            // Whether a limit is good is for the provider to say.
            0 if self.limit_asked.is_empty() => {}
            0 => add(LIMIT, &self.limit_asked),
            _ if self.is_paged() => add(LIMIT, (self.limit - self.shown.len()).to_string().as_bytes()),
            _ => add(LIMIT, self.limit.max(LOOKED_THROUGH).to_string().as_bytes()),
        }
        if let Some(from) = &self.from {
            let mut value = Vec::new();
            write_segment(from, &mut value);
            add(self.cursor, &value);
        }
        self.pages += 1;
        query
    }
}

/// Where in its list the client wants to be.
struct Cursor {
    name: &'static str,
    way: Way,
    object: Object,
    by_id: bool,
}

/// Reads what is asked for, and notes whom the call goes to.
pub(crate) fn begin(exchange: &mut Exchange, io: &Io<'_>) -> Result<(), Kind> {
    if !io.local.marks.is_complete() {
        return Err(Kind::ListNotReady);
    }
    let limit = limit(exchange, io)?;
    let cursor = cursor(exchange, io)?;
    let (way, by_id, object) = match cursor {
        Some(Cursor {
            name,
            way,
            object,
            by_id,
        }) => {
            let provider = &exchange.pin().snapshot.endpoints[object.provider].provider;
            if asked_provider(io).is_some_and(|asked| *asked != *provider.as_bytes()) {
                return Err(ASKED_WRONGLY);
            }
            exchange.call.pinned_by = Some(name);
            (way, by_id, object)
        }
        None => (Way::Forward, false, nothing_yet(provider_for_new(exchange, io)?)),
    };
    let from_page = exchange.call.pinned_by == Some("page");
    let from = Some(object.raw.clone()).filter(|raw| !raw.is_empty() && raw != BEGINNING);
    // The first credential's objects come first.
    let credential = object.credential.or(Some(0));
    goes_to(exchange, io, Object { credential, ..object })?;
    let own = exchange.call.object.take().map(|object| (object.path, object.query));
    let (path, query) = own.unwrap_or_default();
    let mut listing = Listing {
        way,
        limit,
        shown: Vec::new(),
        from,
        cursor: match (is_anthropic(exchange), way) {
            (true, _) if from_page => PAGE,
            (true, Way::Forward) => AFTER_ID,
            (true, Way::Backward) => BEFORE_ID,
            (false, _) => AFTER,
        },
        by_id,
        says_ids: true,
        next_page: None,
        seen: None,
        told: Vec::new(),
        pages: 0,
        held_bytes: 0,
        query: own_query(exchange, &query),
        limit_asked: percent::query_value(io.request.query(), LIMIT)
            .unwrap_or_default()
            .to_vec(),
    };
    let query = listing.next_query();
    exchange.call.listing = Some(Box::new(listing));
    exchange.call.object = Some(ObjectCall {
        path,
        query,
        raw: None,
        deletes: false,
    });
    Ok(())
}

fn is_anthropic(exchange: &Exchange) -> bool {
    exchange.facts.surface.dialect == Some(Dialect::Anthropic)
}

fn limit(exchange: &Exchange, io: &Io<'_>) -> Result<usize, Kind> {
    let Some(asked) = percent::query_value(io.request.query(), LIMIT) else {
        // Sources: OpenAI, "List files" and "List batch"; Anthropic, "List Message Batches" and "List Files".
        let is_files = exchange.facts.surface.operation == Operation::FILES;
        return Ok(if is_files && !is_anthropic(exchange) {
            MAX_LIMIT
        } else {
            20
        });
    };
    let number = str::from_utf8(asked).ok().and_then(|text| text.parse::<usize>().ok());
    match number {
        Some(1..) => Ok(number.unwrap_or(1).min(MAX_LIMIT)),
        _ => Err(wrong("limit", "must be a whole number from 1 on")),
    }
}

fn cursor(exchange: &Exchange, io: &Io<'_>) -> Result<Option<Cursor>, Kind> {
    let value = |name: &[u8]| percent::query_value(io.request.query(), name);
    let by_page = value(PAGE).filter(|_| is_anthropic(exchange));
    let by_id = match (is_anthropic(exchange), value(AFTER), value(AFTER_ID), value(BEFORE_ID)) {
        (false, Some(id), ..) => Some(("after", Way::Forward, id)),
        (true, _, Some(id), None) => Some(("after_id", Way::Forward, id)),
        (true, _, None, Some(id)) => Some(("before_id", Way::Backward, id)),
        (true, _, Some(_), Some(_)) => return Err(wrong("before_id", "cannot be asked for together with 'after_id'")),
        _ => None,
    };
    let (name, way, id) = match (by_page, by_id) {
        (Some(page), None) => ("page", Way::Forward, page),
        (None, Some(by_id)) => by_id,
        (Some(_), Some(_)) => {
            return Err(wrong(
                "page",
                "cannot be asked for together with 'after_id' or 'before_id'",
            ));
        }
        (None, None) => return Ok(None),
    };
    let id = percent::decode(id);
    let opened = str::from_utf8(&id).ok().and_then(|id| {
        let object = sealing::open(exchange, id).filter(|_| by_page.is_none());
        object.or_else(|| sealing::open_place(exchange, id))
    });
    let object = opened.ok_or(Kind::NoSuchObject { name })?;
    Ok(Some(Cursor {
        name,
        way,
        object,
        by_id: by_page.is_none(),
    }))
}

fn wrong(field: &'static str, wrong: &'static str) -> Kind {
    Kind::Untranslatable {
        field: field.into(),
        wrong: wrong.into(),
        offset: 0,
    }
}

/// What the client asked beside where and how long a page is, with ids as the provider knows them. One that opens nothing
/// stays as it is: the provider knows none of that name.
fn own_query(exchange: &Exchange, query: &[u8]) -> Vec<u8> {
    let mut names = vec![LIMIT, AFTER, AFTER_ID, BEFORE_ID];
    if is_anthropic(exchange) {
        names.push(PAGE);
    }
    let mut own = Vec::new();
    for pair in percent::parameters(query) {
        let (name, value) = pair.split_at(pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len()));
        if names.contains(&name) {
            continue;
        }
        own.extend_from_slice(if own.is_empty() { b"" } else { b"&" });
        let sealed = value
            .strip_prefix(b"=")
            .filter(|_| IDS.contains(&name))
            .map(percent::decode);
        let opened = sealed.and_then(|id| sealing::open(exchange, str::from_utf8(&id).ok()?));
        match opened {
            Some(object) => {
                own.extend_from_slice(name);
                own.push(b'=');
                write_segment(&object.raw, &mut own);
            }
            None => own.extend_from_slice(pair),
        }
    }
    own
}
