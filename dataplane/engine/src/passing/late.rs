//! A form whose file comes before its model. Where every model that it may name lies at one provider, it goes there before
//! the name is known: in chunks, for the name that the provider has may be longer. When the name comes it is asked whether
//! the key may use it and a guard lets it pass, and if not, the provider never sees the end of the request.

use std::ops::Range;

use crate::{
    exchange::{Exchange, Io},
    failure::Kind,
    guard, limits,
    snapshot::{Target, TargetModel},
    stages::{admit, form::model_is},
    surface::Operation,
    upward,
};

/// Sends the form where all that it may name lies; false where that is not one provider.
pub(crate) fn begin(exchange: &mut Exchange) -> bool {
    let Some(provider) = sole_provider(exchange) else {
        return false;
    };
    let Some(form) = &mut exchange.admitted.form else {
        return false;
    };
    form.is_late = true;
    exchange.facts.direct = Some(provider);
    true
}

/// The only provider of the models that the key may use and that have this call.
fn sole_provider(exchange: &Exchange) -> Option<usize> {
    let pinned = exchange.pin();
    let snapshot = &pinned.snapshot;
    let surface = exchange.facts.surface;
    let Operation::Other(operation) = surface.operation else {
        return None;
    };
    let allowed = &pinned.keys.entry(exchange.facts.key?).models;
    let reaches = |target: &&Target| {
        let (spoken, _) = snapshot.upstreams[target.provider].spoken(surface.dialect);
        surface.operation.reaches(surface.dialect, spoken)
    };
    let mut sole = None;
    for ((name, _), route) in snapshot.document.models.iter().zip(&snapshot.routes) {
        let mut may_use = false;
        allowed.visible(name, |_| may_use = true);
        let first = route.targets.iter().find(reaches).filter(|_| may_use);
        if let Some(target) = first
            && *sole.get_or_insert(target.provider) != target.provider
        {
            return None;
        }
    }
    let upstream = &snapshot.upstreams[sole?];
    let (_, path) = upstream.spoken(surface.dialect);
    sole.filter(|_| !upstream.signs() && !path.has_model_at(operation))
}

/// Reads what came of the form while the connection was made, and keeps a value that has not ended.
pub(super) fn read_lead(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<(), Kind> {
    let Some(form) = &mut exchange.admitted.form else {
        return Ok(());
    };
    form.read_lead(io.body)?;
    let kept = form.unfinished().unwrap_or(io.body.len());
    form.kept = io.body[kept.min(io.body.len())..].to_vec();
    match form.model.clone() {
        Some(range) => {
            let body = io.body;
            name_model(exchange, io, body.get(range).unwrap_or_default()).map(drop)
        }
        None => Ok(()),
    }
}

/// Pushes what of the next bytes can go on, and the model's name when it has come.
pub(super) fn more(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) -> Result<(), Kind> {
    let Some(form) = &mut exchange.admitted.form else {
        return Ok(());
    };
    let kept = std::mem::take(&mut form.kept);
    let from = form.read_bytes() - kept.len();
    let had_model = form.model.is_some();
    form.read(bytes)?;
    let came = match kept.is_empty() {
        true => Came::Now(bytes),
        false => Came::Joined([&kept, bytes].concat()),
    };
    let all = came.bytes();
    let until = form.unfinished().map_or(all.len(), |start| start - from);
    form.kept = all[until..].to_vec();
    let named = form.model.clone().filter(|_| !had_model);
    let mut at = 0;
    if let Some(named) = named {
        let named = named.start - from..named.end - from;
        let name = name_model(exchange, io, &all[named.clone()])?;
        came.push(io, 0..named.start);
        let start = io.out.arena.len();
        io.out.arena.extend_from_slice(name.as_bytes());
        io.out.push_written(start);
        at = named.end;
    }
    came.push(io, at..until);
    Ok(())
}

/// The form is over: it has named its model.
pub(super) fn over(exchange: &Exchange) -> Result<(), Kind> {
    match &exchange.admitted.form {
        Some(form) if form.is_late && form.model.is_none() => Err(model_is("is missing in the form")),
        _ => Ok(()),
    }
}

/// The bytes to pass, and where they lie.
enum Came<'a> {
    /// The input.
    Now(&'a [u8]),
    /// What was kept of earlier ones, and the input. Rare: a value was cut between two reads.
    Joined(Vec<u8>),
}

impl Came<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Came::Now(bytes) => bytes,
            Came::Joined(bytes) => bytes,
        }
    }

    fn push(&self, io: &mut Io<'_>, range: Range<usize>) {
        match self {
            Came::Now(_) => io.out.push_input(range),
            Came::Joined(bytes) => {
                let start = io.out.arena.len();
                io.out.arena.extend_from_slice(&bytes[range]);
                io.out.push_written(start);
            }
        }
    }
}

/// From here on the call is the model's: what the provider calls it.
fn name_model(exchange: &mut Exchange, io: &mut Io<'_>, asked: &[u8]) -> Result<String, Kind> {
    let pinned = exchange.pin();
    let asked = str::from_utf8(asked).ok().filter(|asked| !asked.is_empty());
    let asked = asked.ok_or_else(|| model_is("must be a text that is not empty"))?;
    admit::find_model(&mut exchange.facts, &pinned.snapshot, asked);
    let found = exchange.facts.model.as_ref().ok_or(Kind::ModelNotFound)?;
    let model = found.model;
    let index = model.0 as usize;
    let key = exchange.facts.key.ok_or(Kind::NoKey)?;
    if !pinned.keys.entry(key).models.admit(asked) {
        return Err(Kind::ModelNotAllowed);
    }
    let targets = &pinned.snapshot.routes[index].targets;
    let here = targets
        .iter()
        .position(|target| Some(target.provider) == exchange.facts.direct);
    let here = here.ok_or(Kind::NotOffered)?;
    guard::enter_late(exchange, io, index)?;
    limits::admit_model(exchange, io, model)?;
    let was_of = exchange.facts.direct.take();
    if let Some(live) = &mut exchange.call.live {
        // The call was under way at the provider itself; now it is so at a target of the model.
        if let Some(provider) = was_of {
            let direct = &pinned.snapshot.routes[pinned.snapshot.direct_route(provider)];
            let state = io.local.routing.target(&direct.targets[live.target]);
            state.busy = state.busy.saturating_sub(1);
        }
        let state = io.local.routing.target(&targets[here]);
        state.busy += 1;
        exchange.call.found_busy = state.busy;
        live.target = here;
    }
    upward::set_sent_model(exchange, index, here, &targets[here]);
    Ok(match &targets[here].model {
        TargetModel::Fixed { name, .. } => name.to_string(),
        TargetModel::Star { .. } => exchange.call.star_model.clone(),
    })
}
