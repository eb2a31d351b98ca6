//! open: ids of objects in the request are opened, and tie it to the provider they live at. Runs behind `authorize`: who may
//! not call the model learns nothing of its objects.

use tollgate_config::document::Dialect;

use crate::{
    exchange::{Exchange, Io},
    failure::Failure,
    sealing::request,
    stage::Verdict,
    stages::admit::NAMED,
    surface::Operation,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let surface = exchange.facts.surface;
    let names_objects = matches!(
        surface.dialect,
        Some(Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Gemini)
    );
    if !names_objects || !matches!(surface.operation, Operation::Chat | Operation::CountTokens(_)) {
        return Verdict::Next;
    }
    // It came before, and nothing was found then.
    if exchange.admitted.names_nothing {
        return Verdict::Next;
    }
    let values = exchange.admitted.named;
    let named = std::array::from_fn::<_, { NAMED.len() }, _>(|i| (NAMED[i], values[i]));
    match request::open_all(exchange, io.body, &named) {
        Ok(()) => Verdict::Next,
        Err(kind) => Verdict::Refuse(Failure::client(kind)),
    }
}
