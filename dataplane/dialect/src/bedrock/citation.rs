//! Citations: the same in answers and in the deltas of a stream.

use crate::{
    canonical::event::Citation,
    json::{Node, Out, Text},
};

pub(super) fn read(node: Node<'_>) -> Citation<'_> {
    let mut citation = Citation {
        title: node.get("title").and_then(Node::text),
        quoted: node.get("sourceContent").and_then(quoted),
        ..Citation::default()
    };
    let location = node.get("location");
    let within = |name: &str| location.and_then(|location| location.get(name));
    let web = within("web").and_then(|web| web.get("url")).and_then(Node::text);
    citation.url = web.or_else(|| node.get("source").and_then(Node::text));
    let count = |node: Node<'_>, name: &str| node.get(name).and_then(Node::unsigned);
    if let Some(place) = within("documentChar").or_else(|| within("documentPage")) {
        citation.document = count(place, "documentIndex");
        citation.document_start = count(place, "start");
        citation.document_end = count(place, "end");
        citation.pages = within("documentChar").is_none();
    } else if let Some(place) = within("documentChunk") {
        // Counted in chunks of the caller's making: neither characters nor pages.
        citation.document = count(place, "documentIndex");
    }
    citation
}

/// The words cited; several pieces are one text.
fn quoted(list: Node<'_>) -> Option<Text<'_>> {
    let mut texts = list.elements().filter_map(|piece| piece.get("text")?.text());
    let first = texts.next()?;
    let Some(second) = texts.next() else {
        return Some(first);
    };
    let mut all = first.plain()?.into_owned();
    for text in std::iter::once(second).chain(texts) {
        all.push_str(&text.plain()?);
    }
    Some(Text::from(all))
}

pub(super) fn write(citation: &Citation<'_>, json: &mut Out<'_>) {
    json.open();
    if let Some(title) = &citation.title {
        json.key("title").text(title);
    }
    let in_document = citation.document.is_some();
    if let (Some(url), true) = (&citation.url, in_document) {
        json.key("source").text(url);
    }
    if let Some(quoted) = &citation.quoted {
        json.key("sourceContent").open_list();
        json.open().key("text").text(quoted).close().close_list();
    }
    if let Some(document) = citation.document {
        let kind = if citation.pages { "documentPage" } else { "documentChar" };
        json.key("location").open().key(kind).open();
        json.key("documentIndex").unsigned(document);
        if let Some(start) = citation.document_start {
            json.key("start").unsigned(start);
        }
        if let Some(end) = citation.document_end {
            json.key("end").unsigned(end);
        }
        json.close().close();
    } else if let Some(url) = &citation.url {
        json.key("location").open().key("web").open();
        json.key("url").text(url).close().close();
    }
    json.close();
}
