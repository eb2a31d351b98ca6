//! Citations as this dialect has them: a URL, and the characters of the whole content that it supports.

use crate::{
    canonical::event::Citation,
    json::{Out, Text},
};

/// Appends a citation that has a URL; of documents this dialect says nothing. `range` is where the cited part stands,
/// for dialects that cite by part. `index` is for streams, whose lists the SDK joins by it.
pub(super) fn write(citation: &Citation<'_>, range: (u64, u64), index: Option<u32>, json: &mut Out<'_>) {
    let Some(url) = &citation.url else { return };
    json.open();
    if let Some(index) = index {
        json.key("index").unsigned(index.into());
    }
    json.key("type").string("url_citation");
    json.key("url_citation").open();
    json.key("start_index").unsigned(citation.start.unwrap_or(range.0));
    json.key("end_index").unsigned(citation.end.unwrap_or(range.1));
    json.key("title").text(citation.title.as_ref().unwrap_or(url));
    json.key("url").text(url);
    if let Some(quoted) = &citation.quoted {
        json.key("content").text(quoted);
    }
    json.close().close();
}

pub(super) fn is_told(citation: &Citation<'_>) -> bool {
    citation.url.is_some()
}

/// Characters of a text.
pub(super) fn characters(text: &Text<'_>) -> u64 {
    let count = match text {
        // A byte that does not continue a character begins one.
        Text::Escaped(raw) if memchr::memchr(b'\\', raw).is_none() => {
            raw.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
        }
        text => text.plain().map_or(0, |text| text.chars().count()),
    };
    count as u64
}
