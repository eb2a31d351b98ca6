//! What was made at the sandbox, so that it can be listed: by account and family, the newest first. The threads share it.
//! Knows ids alone; what an object says of itself is its API's to write.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use tollgate_wire::head::{Known, RequestView};

/// Ids kept for one list, and lists.
const MAX_IDS: usize = 100_000;
const MAX_LISTS: usize = 1024;

type Lists = BTreeMap<(Vec<u8>, &'static str), VecDeque<String>>;

static LISTS: Mutex<Lists> = Mutex::new(Lists::new());

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub ids: Vec<String>,
    pub has_more: bool,
}

/// Where a page is in its list.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    Beginning,
    Behind(&'a str),
    Before(&'a str),
}

fn with<T>(view: RequestView, family: &'static str, work: impl FnOnce(&mut VecDeque<String>) -> T) -> T {
    let credential = view.get(Known::Authorization).or_else(|| view.get(Known::XApiKey));
    let key = (credential.unwrap_or_default().to_vec(), family);
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if lists.len() >= MAX_LISTS && !lists.contains_key(&key) {
        lists.clear();
    }
    work(lists.entry(key).or_default())
}

/// An object was made; one that was made before is the newest again.
pub fn note(view: RequestView, family: &'static str, id: &str) {
    with(view, family, |ids| {
        ids.retain(|known| known != id);
        ids.push_front(id.to_owned());
        ids.truncate(MAX_IDS);
    });
}

pub fn forget(view: RequestView, family: &'static str, id: &str) {
    with(view, family, |ids| ids.retain(|known| known != id));
}

/// Newest first. Behind or before an id that is not there, there is nothing.
pub fn page(view: RequestView, family: &'static str, from: From, limit: usize) -> Page {
    with(view, family, |ids| {
        let place = |id: &str| ids.iter().position(|known| known == id);
        let range = match from {
            From::Beginning => 0..ids.len(),
            From::Behind(id) => place(id).map_or(ids.len(), |at| at + 1)..ids.len(),
            From::Before(id) => 0..place(id).unwrap_or(0),
        };
        let has_more = range.len() > limit;
        let shown = match from {
            From::Before(_) => range.end - range.len().min(limit)..range.end,
            _ => range.start..range.start + range.len().min(limit),
        };
        Page {
            ids: ids.range(shown).cloned().collect(),
            has_more,
        }
    })
}

/// The value of a parameter of the request's query.
pub fn parameter<'a>(view: RequestView<'a>, name: &str) -> Option<&'a str> {
    let query = str::from_utf8(view.query()).ok()?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// How many objects a page has.
pub fn limit(view: RequestView, default: usize) -> usize {
    parameter(view, "limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use tollgate_wire::{head::RequestHead, http1::read};

    use super::*;

    #[test]
    fn pages_join_to_the_list_in_both_directions() {
        let head = b"GET /v1/files?limit=2 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer pages\r\n\r\n";
        let mut parsed = RequestHead::default();
        read::request(head, &read::Limits::default(), &mut parsed).expect("a head");
        let view = RequestView {
            head: &parsed,
            buf: head,
        };
        for id in ["a", "b", "c", "d", "e", "x"] {
            note(view, "files", id);
        }
        forget(view, "files", "x");
        let page = |from| super::page(view, "files", from, limit(view, 20));
        let expected = |ids: &[&str], has_more| Page {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            has_more,
        };
        assert_eq!(page(From::Beginning), expected(&["e", "d"], true));
        assert_eq!(page(From::Behind("d")), expected(&["c", "b"], true));
        assert_eq!(page(From::Behind("b")), expected(&["a"], false));
        assert_eq!(page(From::Behind("a")), expected(&[], false));
        assert_eq!(page(From::Before("b")), expected(&["d", "c"], true));
        assert_eq!(page(From::Before("d")), expected(&["e"], false));
    }
}
