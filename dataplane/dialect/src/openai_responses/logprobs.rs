//! Log probabilities of a text's tokens.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::{
    canonical::event::TokenLogprob,
    json::{Node, Out},
};

pub(super) fn read(list: Node<'_>) -> Vec<TokenLogprob<'_>> {
    list.elements()
        .filter_map(|node| {
            let top = node.get("top_logprobs").into_iter().flat_map(Node::elements);
            token(node, top.filter_map(|node| token(node, Vec::new())).collect())
        })
        .collect()
}

fn token<'a>(node: Node<'a>, top: Vec<TokenLogprob<'a>>) -> Option<TokenLogprob<'a>> {
    Some(TokenLogprob {
        token: node.get("token")?.text()?,
        logprob: node.get("logprob")?.number()?,
        bytes: node.get("bytes").filter(|bytes| bytes.is_array()).map(Node::raw),
        top,
    })
}

/// A list; where a provider did not give a token's bytes, they are those of its text: the type has no null for them.
pub(super) fn write(tokens: &[TokenLogprob<'_>], out: &mut Out<'_>) {
    out.open_list();
    for token in tokens {
        write_token(token, out);
        out.key("top_logprobs").open_list();
        for top in &token.top {
            write_token(top, out);
            out.close();
        }
        out.close_list().close();
    }
    out.close_list();
}

/// Leaves its object open.
fn write_token(token: &TokenLogprob<'_>, out: &mut Out<'_>) {
    out.open().key("token").text(&token.token).key("bytes");
    match token.bytes {
        Some(bytes) => {
            out.raw(bytes);
        }
        None => {
            out.open_list();
            for &byte in token.token.plain().unwrap_or_default().as_bytes() {
                out.unsigned(byte.into());
            }
            out.close_list();
        }
    }
    out.key("logprob").number(token.logprob);
}

/// `gathered`: as an answer keeps them, between the brackets of a list.
pub(super) fn write_gathered(gathered: &[u8], out: &mut Out<'_>) {
    // Within a string its quotes would have backslashes.
    static NO_BYTES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"bytes\":null"));
    if NO_BYTES.find(gathered).is_some() {
        let document = [b"{\"list\":[".as_slice(), gathered, b"]}"].concat();
        if let Some(list) = Node::document(&document).ok().and_then(|document| document.get("list")) {
            return write(&read(list), out);
        }
    }
    out.open_list();
    if !gathered.is_empty() {
        out.raw(gathered);
    }
    out.close_list();
}
