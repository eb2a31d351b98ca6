//! `logprobsResult`: what each token could have been.

use crate::{
    canonical::event::TokenLogprob,
    json::{Node, Number, Out},
};

pub(super) fn read(result: Node<'_>) -> Vec<TokenLogprob<'_>> {
    let mut tops = list(Some(result), "topCandidates");
    list(Some(result), "chosenCandidates")
        .filter_map(|chosen| {
            let top = tops.next();
            Some(TokenLogprob {
                top: list(top, "candidates").filter_map(token).collect(),
                ..token(chosen)?
            })
        })
        .collect()
}

fn list<'a>(of: Option<Node<'a>>, name: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
    of.and_then(|of| of.get(name)).into_iter().flat_map(Node::elements)
}

fn token(candidate: Node<'_>) -> Option<TokenLogprob<'_>> {
    Some(TokenLogprob {
        token: candidate.get("token")?.text()?,
        logprob: candidate.get("logProbability").map_or(zero(), Node::number)?,
        bytes: None,
        top: Vec::new(),
    })
}

/// What Google's JSON leaves out.
fn zero() -> Option<Number<'static>> {
    Node::document(br#"{"zero":0}"#).ok()?.get("zero")?.number()
}

/// Appends `logprobsResult` and its value, where there are tokens: `tokens` is OpenAI's shape without brackets.
pub(super) fn write(tokens: &[u8], json: &mut Out<'_>) {
    if tokens.is_empty() {
        return;
    }
    let document = [br#"{"tokens":["#, tokens, b"]}"].concat();
    let Some(tokens) = Node::document(&document)
        .ok()
        .and_then(|document| document.get("tokens"))
    else {
        return;
    };
    json.key("logprobsResult").open().key("chosenCandidates").open_list();
    tokens.elements().for_each(|token| write_token(token, json));
    json.close_list();
    let has_top = |token| list(Some(token), "top_logprobs").next().is_some();
    if tokens.elements().any(has_top) {
        json.key("topCandidates").open_list();
        for token in tokens.elements() {
            json.open().key("candidates").open_list();
            list(Some(token), "top_logprobs").for_each(|top| write_token(top, json));
            json.close_list().close();
        }
        json.close_list();
    }
    json.close();
}

fn write_token(token: Node<'_>, json: &mut Out<'_>) {
    json.open();
    if let Some(text) = token.get("token").and_then(Node::text) {
        json.key("token").text(&text);
    }
    if let Some(logprob) = token.get("logprob").and_then(Node::number) {
        json.key("logProbability").number(logprob);
    }
    json.close();
}
