//! Log probabilities. Cohere gives them for a chunk of text with the ids of its tokens; the canonical ones are of a
//! token by its text. A chunk of several tokens is one of those, as likely as its tokens together.

use crate::{
    canonical::event::TokenLogprob,
    json::{Node, Out},
};

/// Calls `sink` with what one item (or a list of them) says; not at all where that is nothing.
pub(super) fn read(items: Node<'_>, sink: impl FnOnce(Vec<TokenLogprob<'_>>)) {
    let items: Vec<Node<'_>> = match items.is_array() {
        true => items.elements().collect(),
        false => vec![items],
    };
    // Sums must live as long as the tokens that borrow them.
    let sums: Vec<Option<Vec<u8>>> = items.iter().map(|item| sum(*item)).collect();
    let tokens = items.iter().zip(&sums).filter_map(|(item, sum)| {
        let logprob = match sum {
            Some(document) => Node::document(document).ok()?.get("sum")?.number()?,
            None => item.get("logprobs")?.elements().next()?.number()?,
        };
        Some(TokenLogprob {
            token: item.get("text")?.text()?,
            logprob,
            bytes: None,
            top: Vec::new(),
        })
    });
    let tokens: Vec<_> = tokens.collect();
    if !tokens.is_empty() {
        sink(tokens);
    }
}

/// A document with the sum, where there are several.
fn sum(item: Node<'_>) -> Option<Vec<u8>> {
    let logprobs = item.get("logprobs")?;
    let mut numbers = logprobs.elements().filter_map(Node::number);
    let (first, second) = (numbers.next()?, numbers.next()?);
    let sum = numbers.fold(first.value() + second.value(), |sum, number| sum + number.value());
    sum.is_finite().then(|| format!("{{\"sum\":{sum}}}").into_bytes())
}

/// Writes one token. Its id is not known.
pub(super) fn write(token: &TokenLogprob<'_>, json: &mut Out<'_>) {
    json.open().key("text").text(&token.token);
    json.key("token_ids").open_list().close_list();
    json.key("logprobs")
        .open_list()
        .number(token.logprob)
        .close_list()
        .close();
}

/// Writes what an `AnswerPart` gathered, commas between.
pub(super) fn write_gathered(gathered: &[u8], json: &mut Out<'_>) {
    let document = [b"{\"tokens\":[", gathered, b"]}"].concat();
    let Ok(document) = Node::document(&document) else {
        return;
    };
    for token in document.get("tokens").into_iter().flat_map(Node::elements) {
        let (Some(text), Some(logprob)) = (
            token.get("token").and_then(Node::text),
            token.get("logprob").and_then(Node::number),
        ) else {
            continue;
        };
        write(
            &TokenLogprob {
                token: text,
                logprob,
                bytes: None,
                top: Vec::new(),
            },
            json,
        );
    }
}
