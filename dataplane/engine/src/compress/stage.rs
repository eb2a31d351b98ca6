//! compress: the request is made shorter, as its model says, or it is only counted by how much. Behind the cache: a call is
//! known there by what its client sent.

use tollgate_config::document::CompressMode;
use tollgate_dialect::tokens::{Counter, DEFAULT_EXACT_BYTES, Memo, Tokenizer};

use super::{
    Plan, Shortened, Shorter, compare, shorten_body,
    summary::{self, Looked, Summed},
};
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
    let Some(plan) = of(exchange, |route| route.compress.clone()).flatten() else {
        return Verdict::Next;
    };
    let (facts, admitted) = (&exchange.facts, &exchange.admitted);
    let is_chat = facts.surface.operation == Operation::Chat && facts.surface.dialect.is_some();
    // Where ids were opened they are known by where they stand.
    if !is_chat || admitted.rest != Rest::Nothing || admitted.form.is_some() || !admitted.opened.is_empty() {
        return Verdict::Next;
    }
    let summed = match &plan.summarize {
        None => None,
        Some(rules) => match summary::look(exchange, io, (rules, plan.mode)) {
            Looked::Waits => return Verdict::Pause,
            Looked::Nothing => None,
            Looked::Found(summed) => Some(summed),
        },
    };
    shorten(exchange, io, &plan, summed);
    Verdict::Next
}

fn of<T>(exchange: &Exchange, look: impl FnOnce(&Route) -> T) -> Option<T> {
    let route = exchange.facts.route()?;
    exchange.pinned()?.snapshot.routes.get(route).map(look)
}

fn shorten(exchange: &mut Exchange, io: &mut Io<'_>, plan: &Plan, summed: Option<Summed>) {
    let pinned = exchange.pin();
    let embedder = pinned.snapshot.meaning.as_ref().map(Meaning::shared_embedder);
    let came = exchange.admitted.body(io.body);
    let bytes_before = came.len() as u64;
    let body = summed.as_ref().map_or(came, |summed| &summed.body);
    let shortened = shorten_body(body, plan.steps, embedder.map(|embedder| &**embedder));
    let Some(Shortened { body: shorter, texts }) = shortened else {
        return;
    };
    let tokenizer = of(exchange, tokenizer).unwrap_or(Tokenizer::of_model(""));
    let memo = &mut io.local.memo;
    let before = texts.iter().map(|(before, _)| before.as_str());
    let after = texts
        .iter()
        .map(|(before, after)| after.as_ref().unwrap_or(before).as_str());
    let mut tokens_before = tokens(tokenizer, before, memo);
    // A text that is shorter may be cut into more tokens; that is nothing saved.
    let tokens_after = match &shorter {
        Some(_) => tokens(tokenizer, after, memo).min(tokens_before),
        None => tokens_before,
    };
    if let Some(summed) = &summed {
        // One stands where the other was.
        let [record, summary] =
            [&*summed.record, &*summed.summary].map(|text| tokens(tokenizer, [text].into_iter(), memo));
        tokens_before = (tokens_before + record).saturating_sub(summary).max(tokens_after);
    }
    let shorter = shorter.or(summed.map(|summed| summed.body));
    let bytes_after = shorter.as_ref().map_or(bytes_before, |shorter| shorter.len() as u64);
    let is_sent = match (plan.mode, shorter) {
        (CompressMode::On, shorter) => shorter.is_none_or(|shorter| replace(exchange, io, shorter)),
        (CompressMode::Shadow, shorter) => {
            if let Some(shorter) = shorter {
                compare::draw(exchange, io, plan, shorter);
            }
            false
        }
    };
    exchange.facts.compressed = Some(Shorter {
        bytes_before,
        bytes_after,
        tokens_before,
        tokens_after,
        is_sent,
    });
}

/// The body is another now. False where it cannot be read again, and is what it was.
fn replace(exchange: &mut Exchange, io: &Io<'_>, shorter: Vec<u8>) -> bool {
    let before = exchange.admitted.decoded.replace(shorter);
    let sealed = (exchange.admitted.looks_sealed, exchange.admitted.issued_by);
    exchange.admitted.begins = None;
    // It may be of what is left out.
    (exchange.admitted.looks_sealed, exchange.admitted.issued_by) = (false, None);
    if admit::find_fields(exchange, io.body).is_ok() {
        return true;
    }
    debug_assert!(false, "a request stays one when its texts are shorter");
    exchange.admitted.decoded = before;
    (exchange.admitted.looks_sealed, exchange.admitted.issued_by) = sealed;
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
    let plan = of(exchange, |route| route.compress.clone()).flatten()?;
    let steps: Vec<_> = plan.steps.names().collect();
    let decision = match (bytes_after < bytes_before, is_sent) {
        // Which summaries are remembered only the shards know.
        (false, _) if plan.summarize.is_some() => match steps.is_empty() {
            true => "summaries are not looked for here, and there is no other step".to_owned(),
            false => "nothing to leave out but what a summary stands for; those are not looked for here".to_owned(),
        },
        (false, _) => "the prompt goes as it came: there is nothing to leave out".to_owned(),
        (true, true) => format!("the prompt is {saved} tokens shorter"),
        (true, false) => format!("the prompt would be {saved} tokens shorter (`mode: shadow`)"),
    };
    let mut why = format!("{tokens_before} tokens of text become {tokens_after}, {bytes_before} bytes {bytes_after}");
    if !steps.is_empty() {
        why.extend([", by ", &*steps.join(", ")]);
    }
    if let Some(rules) = &plan.summarize {
        why.extend(["; not looked for: summaries by '", rules.model(), "'"]);
    }
    Some((decision, why))
}
