//! Where a text comes from, in the five forms that Anthropic has.

use crate::{
    canonical::event::Citation,
    json::{Node, Out, Text},
};

/// `None` for a form that this reader does not know.
pub(super) fn read<'a>(node: Node<'a>) -> Option<Citation<'a>> {
    let text = |key: &str| node.get(key).and_then(Node::text).filter(|text| !text.is_empty());
    let number = |key: &str| node.get(key).and_then(Node::unsigned);
    let quoted = text("cited_text");
    let of_document = Citation {
        quoted: quoted.clone(),
        title: text("document_title"),
        document: number("document_index"),
        ..Citation::default()
    };
    let of_result = Citation {
        quoted,
        title: text("title"),
        ..Citation::default()
    };
    match node.get("type")?.string()?.as_ref() {
        "char_location" => Some(Citation {
            document_start: number("start_char_index"),
            document_end: number("end_char_index"),
            ..of_document
        }),
        "page_location" => Some(Citation {
            document_start: number("start_page_number"),
            document_end: number("end_page_number"),
            pages: true,
            ..of_document
        }),
        // Blocks are neither characters nor pages.
        "content_block_location" => Some(of_document),
        "web_search_result_location" => Some(Citation {
            url: text("url"),
            ..of_result
        }),
        "search_result_location" => Some(Citation {
            url: text("source"),
            ..of_result
        }),
        _ => None,
    }
}

/// Appends it in the form that says the most of it.
pub(super) fn write(citation: &Citation<'_>, json: &mut Out<'_>) {
    let (start, end) = (citation.document_start, citation.document_end);
    json.open().key("type");
    match (citation.document, start, &citation.url) {
        (Some(document), Some(start), _) => {
            let (form, from, to) = match citation.pages {
                true => ("page_location", "start_page_number", "end_page_number"),
                false => ("char_location", "start_char_index", "end_char_index"),
            };
            json.string(form).key("document_index").unsigned(document);
            json.key(from).unsigned(start).key(to).unsigned(end.unwrap_or(start));
            write_title("document_title", citation, json);
        }
        // The document as a whole: its only block.
        (Some(document), None, _) => {
            json.string("content_block_location")
                .key("document_index")
                .unsigned(document);
            json.key("start_block_index")
                .unsigned(0)
                .key("end_block_index")
                .unsigned(1);
            write_title("document_title", citation, json);
        }
        (None, _, Some(url)) => {
            json.string("web_search_result_location").key("url").text(url);
            json.key("encrypted_index").string("");
            write_title("title", citation, json);
        }
        (None, _, None) => {
            json.string("search_result_location").key("source").string("");
            json.key("search_result_index").unsigned(0);
            json.key("start_block_index")
                .unsigned(0)
                .key("end_block_index")
                .unsigned(1);
            write_title("title", citation, json);
        }
    }
    json.key("cited_text")
        .text(citation.quoted.as_ref().unwrap_or(&Text::EMPTY));
    json.close();
}

fn write_title(key: &str, citation: &Citation<'_>, json: &mut Out<'_>) {
    json.key(key);
    match &citation.title {
        Some(title) => json.text(title),
        None => json.null(),
    };
}
