//! compress: the request is made shorter, as its model says, or it is only counted by how much. Behind the cache: a call is
//! known there by what its client sent.

use tollgate_config::document::{Compress, CompressMode};
use tollgate_dialect::tokens::{Counter, DEFAULT_EXACT_BYTES, Memo, Tokenizer};

use super::{Shortened, Shorter, shorten_body};
use crate::{
    exchange::{Exchange, Io},
    outputs::Rest,
    routing::meaning::Meaning,
    snapshot::{Route, TargetModel},
    stage::Verdict,
    stages::admit,
    surface::Operation,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    if let Some(compress) = of(exchange, |route| route.compress).flatten() {
        shorten(exchange, io, compress);
    }
    Verdict::Next
}

fn of<T>(exchange: &Exchange, look: impl FnOnce(&Route) -> T) -> Option<T> {
    let route = exchange.facts.route()?;
    exchange.pinned()?.snapshot.routes.get(route).map(look)
}

fn shorten(exchange: &mut Exchange, io: &mut Io<'_>, Compress { mode, steps }: Compress) {
    let (facts, admitted) = (&exchange.facts, &exchange.admitted);
    let is_chat = facts.surface.operation == Operation::Chat && facts.surface.dialect.is_some();
    // Where ids were opened they are known by where they stand.
    if !is_chat || admitted.rest != Rest::Nothing || admitted.form.is_some() || !admitted.opened.is_empty() {
        return;
    }
    let pinned = exchange.pin();
    let embedder = pinned.snapshot.meaning.as_ref().map(Meaning::shared_embedder);
    let body = admitted.body(io.body);
    let Some(Shortened { body: shorter, texts }) = shorten_body(body, steps, embedder.map(|embedder| &**embedder))
    else {
        return;
    };
    let tokenizer = of(exchange, tokenizer).unwrap_or(Tokenizer::of_model(""));
    let bytes_before = body.len() as u64;
    let before = texts.iter().map(|(before, _)| before.as_str());
    let after = texts
        .iter()
        .map(|(before, after)| after.as_ref().unwrap_or(before).as_str());
    let tokens_before = tokens(tokenizer, before, &mut io.local.memo);
    let (bytes_after, tokens_after) = match &shorter {
        Some(shorter) => (shorter.len() as u64, tokens(tokenizer, after, &mut io.local.memo)),
        None => (bytes_before, tokens_before),
    };
    let is_sent = mode == CompressMode::On && shorter.is_none_or(|shorter| replace(exchange, io, shorter));
    exchange.facts.compressed = Some(Shorter {
        bytes_before,
        bytes_after,
        tokens_before,
        // A text that is shorter may be cut into more tokens; that is nothing saved.
        tokens_after: tokens_after.min(tokens_before),
        is_sent,
    });
}

/// The body is another now. False where it cannot be read again, and is what it was.
fn replace(exchange: &mut Exchange, io: &Io<'_>, shorter: Vec<u8>) -> bool {
    let before = exchange.admitted.decoded.replace(shorter);
    exchange.admitted.begins = None;
    if admit::find_fields(exchange, io.body).is_ok() {
        return true;
    }
    debug_assert!(false, "a request stays one when its texts are shorter");
    exchange.admitted.decoded = before;
    let read = admit::find_fields(exchange, io.body);
    debug_assert!(read.is_ok(), "it was read before");
    false
}

/// By whose tokenizer the first of its targets counts.
fn tokenizer(route: &Route) -> Tokenizer {
    let first = route.targets.first();
    let name = first.map(|target| match (&target.like, &target.model) {
        (Some(like), _) => like,
        (None, TargetModel::Fixed { name, .. }) => name,
        (None, TargetModel::Star { before, .. }) => before,
    });
    Tokenizer::of_model(name.map_or("", |name| name))
}

fn tokens<'t>(tokenizer: Tokenizer, texts: impl Iterator<Item = &'t str>, memo: &mut Memo) -> u64 {
    let mut counter = Counter::new(tokenizer, DEFAULT_EXACT_BYTES);
    texts.for_each(|text| counter.text(memo, text.as_bytes()));
    counter.estimate().tokens
}

/// What became of the prompt, for people.
pub(crate) fn told(exchange: &Exchange) -> Option<(String, String)> {
    let Shorter {
        bytes_before,
        bytes_after,
        tokens_before,
        tokens_after,
        is_sent,
    } = exchange.facts.compressed?;
    let saved = tokens_before.saturating_sub(tokens_after);
    let decision = match (bytes_after < bytes_before, is_sent) {
        (false, _) => "the prompt goes as it came: there is nothing to leave out".to_owned(),
        (true, true) => format!("the prompt is {saved} tokens shorter"),
        (true, false) => format!("the prompt would be {saved} tokens shorter (`mode: shadow`)"),
    };
    let steps = of(exchange, |route| route.compress)
        .flatten()
        .map(|compress| compress.steps);
    let steps: Vec<_> = steps.iter().flat_map(|steps| steps.names()).collect();
    let why = format!(
        "{tokens_before} tokens of text become {tokens_after}, {bytes_before} bytes {bytes_after}, by {}",
        steps.join(", ")
    );
    Some((decision, why))
}
