//! Calls that are no chat, to a target of another dialect: embeddings and rerank. The provider may take less in one call
//! than the client sent; then it is called once for each part, one after the other.

use std::mem;

use tollgate_config::document::Dialect;
use tollgate_dialect::{
    embed::{self, Shape},
    rerank,
    speak::TargetFacts,
    translate::Sent,
    usage::Usage,
};

use super::translated::{check, kind};
use crate::{
    attempt::route_index,
    call::Translated,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    snapshot::{CallPath, Route, Target, Upstream},
    surface::{INVOKE, Operation, Surface, same_api},
};

/// What is known of such a call beside what is sent.
#[derive(Debug)]
pub(crate) struct Single {
    pub task: Task,
    /// Inputs that have been sent, of how many.
    sent: usize,
    inputs: usize,
    /// The provider's answers to the parts before the one under way.
    pub answers: Vec<Vec<u8>>,
    /// What the heads of its answers said of the input's tokens.
    pub head_tokens: Option<u64>,
}

/// What is asked, in the client's shape and in the provider's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    Embed { client: Shape, target: Shape },
    Rerank,
}

impl Task {
    /// The provider's.
    pub fn operation(self) -> Operation {
        match self {
            Task::Embed { target, .. } => Operation::Embed(target),
            Task::Rerank => Operation::Other(INVOKE),
        }
    }

    /// Bytes of the provider's answers at most.
    pub fn max_answer_bytes(self) -> usize {
        match self {
            Task::Embed { .. } => embed::MAX_ANSWER_BYTES,
            Task::Rerank => rerank::MAX_ANSWER_BYTES,
        }
    }
}

impl Single {
    pub fn held_bytes(&self) -> usize {
        self.answers.iter().map(Vec::len).sum()
    }

    pub fn is_complete(&self) -> bool {
        self.sent >= self.inputs
    }

    /// What the provider's last answer says of usage.
    pub fn usage_of_last(&self) -> Option<Usage> {
        match self.task {
            Task::Embed { target, .. } => embed::usage_of_answer(target, self.answers.last()?),
            Task::Rerank => None,
        }
    }
}

/// Has the provider what this surface calls, in whichever words?
pub(crate) fn reaches(surface: &Surface, upstream: &Upstream) -> bool {
    if surface.operation == Operation::Chat {
        return true;
    }
    let (spoken, path) = upstream.spoken(surface.dialect);
    let passes = same_api(surface.dialect, spoken);
    surface.operation.reaches(surface.dialect, spoken)
        && (!passes || path.offers(surface.operation) || matches!(surface.operation, Operation::CountTokens(_)))
}

/// Is the prompt counted here, because the target's provider does not count for this dialect?
pub(crate) fn counts_here(surface: &Surface, (spoken, path): (Dialect, &CallPath)) -> bool {
    matches!(surface.operation, Operation::CountTokens(_))
        && (surface.dialect != Some(spoken) || !path.offers(surface.operation))
}

/// Must the call be said in other words?
pub(super) fn is_needed(surface: &Surface, spoken: Dialect) -> bool {
    matches!(surface.operation, Operation::Embed(_) | Operation::Rerank) && !same_api(surface.dialect, spoken)
}

/// Writes the first part for a target, before it is dialled.
pub(super) fn prepare(
    exchange: &mut Exchange,
    io: &Io<'_>,
    (provider, spoken): (&str, Dialect),
    (route, target): (&Route, &Target),
) -> Result<(), Failure> {
    let out = exchange.call.take_spare_body();
    let task = task(exchange, target, (provider, spoken))?;
    exchange.call.translated = Some(Translated {
        body: out,
        sent: Sent::default(),
        spoken,
        own: false,
        single: Some(Single {
            task,
            sent: 0,
            inputs: 1,
            answers: Vec::new(),
            head_tokens: None,
        }),
    });
    write_part(exchange, io, (route, target))
}

/// Writes the part behind the one that was answered.
pub(crate) fn next_part(exchange: &mut Exchange, io: &Io<'_>, target: usize) -> Result<(), Failure> {
    if exchange.call.listing.is_some() {
        // Where the next page is has been said already, and there is nothing else to a question for it.
        return Ok(());
    }
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    write_part(exchange, io, (route, &route.targets[target]))
}

fn write_part(exchange: &mut Exchange, io: &Io<'_>, (route, target): (&Route, &Target)) -> Result<(), Failure> {
    let Some(mut translated) = exchange.call.translated.take() else {
        return Err(Failure::gateway(Kind::Internal("a part of no call was to be sent")));
    };
    let mut out = mem::take(&mut translated.body);
    out.clear();
    let written = write(exchange, io, target, (&mut translated, &mut out));
    translated.body = out;
    let body_bytes = exchange.admitted.body(io.body).len();
    let lengths = (translated.body.len(), body_bytes);
    let checked = written.and_then(|()| check(route, &translated.sent, lengths));
    exchange.call.translated = Some(translated);
    checked
}

fn write(
    exchange: &Exchange,
    io: &Io<'_>,
    target: &Target,
    (translated, out): (&mut Translated, &mut Vec<u8>),
) -> Result<(), Failure> {
    let Some(single) = &mut translated.single else {
        return Ok(());
    };
    let body = exchange.admitted.body(io.body);
    let bad = |bad| Failure::client(kind(bad));
    match single.task {
        Task::Embed { client, target: shape } => {
            let to = TargetFacts {
                model: exchange.call.sent_model_name(&target.model),
                quirks: &target.quirks,
            };
            let sent = embed::write_request((client, shape), body, &to, single.sent, out).map_err(bad)?;
            (single.sent, single.inputs) = (sent.end, sent.inputs);
            translated.sent.dropped = sent.dropped;
        }
        Task::Rerank => {
            translated.sent.dropped = rerank::write_request(body, out).map_err(bad)?;
            single.sent = single.inputs;
        }
    }
    Ok(())
}

fn task(exchange: &Exchange, target: &Target, (provider, spoken): (&str, Dialect)) -> Result<Task, Failure> {
    let known_as = known_as(exchange, target);
    let no_such_model = |takes: &str| {
        let wrong = format!(
            "goes to '{known_as}' at the provider '{provider}', which is none of the models that take this \
             call there: {takes}"
        );
        Failure::client(Kind::Untranslatable {
            field: "model".into(),
            wrong: wrong.into(),
            offset: 0,
        })
    };
    match exchange.facts.surface.operation {
        Operation::Embed(client) => {
            let shape = match spoken {
                Dialect::OpenAi | Dialect::OpenAiResponses => Some(Shape::OpenAi),
                Dialect::Gemini => Some(Shape::GeminiMany),
                Dialect::Cohere => Some(Shape::Cohere),
                Dialect::Bedrock => Shape::on_bedrock(&known_as),
                Dialect::Anthropic => None,
            };
            let target = shape.ok_or_else(|| no_such_model("amazon.titan-embed-text-* and cohere.embed-*"))?;
            Ok(Task::Embed { client, target })
        }
        _ if rerank::is_on_bedrock(&known_as) => Ok(Task::Rerank),
        _ => Err(no_such_model("cohere.rerank-*")),
    }
}

/// What the operator says the target's model is like, else its name.
fn known_as(exchange: &Exchange, target: &Target) -> String {
    let sent = exchange.call.sent_model_name(&target.model);
    target.like.as_deref().unwrap_or(sent).to_owned()
}
