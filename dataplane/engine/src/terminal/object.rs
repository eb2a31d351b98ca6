//! Objects that live at a provider: responses, conversations, files, batches. An id says where its object is; what is made
//! goes to where the ids that it names live, else to the provider that `x-tollgate-provider` names, else to the first that
//! serves the key's models. What is listed is at the same (`listing`).

use tollgate_config::{catalogue::path::write_segment, document::Dialect};
use tollgate_wire::{
    head::{Known, Method},
    json::{
        cursor::{self, Kind as Json},
        watch::Watch,
    },
};

use super::direct;
use crate::{
    call::ObjectCall,
    decode,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    listing,
    names::header,
    passing::{self, Asked, MayPass},
    percent,
    sealing::{self, Object, request},
    snapshot::Upstream,
    stage::Verdict,
    stages::admit,
    surface::{NamesModel, Operation, Surface},
};

/// The member that names a batch's file.
const INPUT: &str = "input_file_id";

/// Before its limits are asked: what the head says, and the body, or the beginning of one that passes.
pub(crate) fn admit(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let verdict = match exchange.admitted.asked_for_body {
        true => Ok(Verdict::Next),
        false => read_head(exchange, io),
    };
    verdict.unwrap_or_else(|kind| Verdict::Refuse(Failure::client(kind)))
}

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    read_body(exchange, io).unwrap_or_else(|kind| Verdict::Refuse(Failure::client(kind)))
}

fn read_head(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Verdict, Kind> {
    admit::read_headers(exchange, io)?;
    let pinned = exchange.pin();
    let key = exchange.facts.key.ok_or(Kind::NoKey)?;
    let surface = exchange.facts.surface;
    if matches!(surface.operation, Operation::BATCHES | Operation::MESSAGE_BATCHES) && !pinned.keys.entry(key).batches {
        return Err(Kind::BatchesNotAllowed);
    }
    match surface.model_in_path(io.request.path()) {
        Some(id) => {
            let id = percent::decode(id);
            let found = str::from_utf8(&id).ok().and_then(|id| sealing::open(exchange, id));
            goes_to(exchange, io, found.ok_or(Kind::NoSuchObject { name: "" })?)?;
        }
        None if io.request.head.method == Method::Get => listing::begin(exchange, io)?,
        // What it names may say where it is made.
        None if names_objects(surface) => {}
        None => {
            let provider = provider_for_new(exchange, io)?;
            goes_to(exchange, io, nothing_yet(provider))?;
        }
    }
    exchange.admitted.asked_for_body = true;
    let asked = match surface.takes_form {
        true => direct::ask_for_body(exchange, io),
        false => passing::ask_for_body(exchange, io, MayPass::Never),
    };
    match asked? {
        Asked::Body => Ok(Verdict::Pause),
        Asked::Nothing => Ok(Verdict::Next),
    }
}

/// Do bodies of these calls name objects? A file's body is nobody's to read.
fn names_objects(surface: &Surface) -> bool {
    matches!(
        surface.operation,
        Operation::BATCHES | Operation::MESSAGE_BATCHES | Operation::CONVERSATIONS | Operation::UPLOADS
    ) && !surface.takes_form
}

fn read_body(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Verdict, Kind> {
    exchange.facts.request_body_bytes = io.body.len() as u64;
    let path = exchange.facts.direct.map(|provider| Object {
        credential: exchange.call.only_credential,
        ..nothing_yet(provider)
    });
    match exchange.facts.surface.operation {
        Operation::BATCHES if path.is_some() => {}
        _ if names_objects(exchange.facts.surface) => open_body(exchange, io)?,
        _ => {}
    }
    let named = exchange.call.only_provider.map(|provider| Object {
        credential: exchange.call.only_credential,
        ..nothing_yet(provider)
    });
    match (path, named) {
        (Some(path), Some(named)) if !path.lives_beside(&named) => {
            return Err(Kind::Untranslatable {
                field: exchange.call.pinned_by.unwrap_or("id").into(),
                wrong: "lives elsewhere than what the path names".into(),
                offset: 0,
            });
        }
        (Some(path), named) => {
            exchange.call.only_credential = path.credential.or(named.and_then(|named| named.credential));
        }
        (None, Some(named)) => {
            let provider = &exchange.pin().snapshot.endpoints[named.provider].provider;
            if asked_provider(io).is_some_and(|name| *name != *provider.as_bytes()) {
                return Err(ASKED_WRONGLY);
            }
            goes_to(exchange, io, named)?;
        }
        (None, None) => {
            let provider = provider_for_new(exchange, io)?;
            goes_to(exchange, io, nothing_yet(provider))?;
        }
    }
    Ok(direct::begin(exchange, io))
}

/// Opens the ids in a body of JSON. A batch is made of a file.
fn open_body(exchange: &mut Exchange, io: &Io<'_>) -> Result<(), Kind> {
    const FIELDS: Watch<'static, 1> = Watch::new(&[INPUT]);
    let max_bytes = exchange.pin().snapshot.document.max_body_bytes;
    if let Some(encoding) = io.request.get(Known::ContentEncoding) {
        exchange.admitted.decoded = decode::request_body(encoding, io.body, max_bytes)?;
    }
    let body = exchange.admitted.body(io.body);
    let batch = exchange.facts.surface.operation == Operation::BATCHES;
    if body.is_empty() && !batch {
        return Ok(());
    }
    let [input] = cursor::find_watched(body, &FIELDS).map_err(Kind::BadJson)?;
    if !batch {
        return request::open_all(exchange, io.body, &[]);
    }
    match input {
        Some(value) if value.kind == Json::String => request::open_all(exchange, io.body, &[(INPUT, input)]),
        Some(value) => Err(admit::field(INPUT, "must be a string", value)),
        None => Err(Kind::Field {
            name: INPUT,
            wrong: "is missing",
            offset: body.len(),
        }),
    }
}

/// What is to be made at a provider.
pub(crate) fn nothing_yet(provider: usize) -> Object {
    Object {
        provider,
        credential: None,
        raw: String::new(),
    }
}

/// Notes whom the call goes to, and at which path there.
pub(crate) fn goes_to(exchange: &mut Exchange, io: &Io<'_>, object: Object) -> Result<(), Kind> {
    let pinned = exchange.pin();
    let surface = exchange.facts.surface;
    let upstream = &pinned.snapshot.upstreams[object.provider];
    if upstream.ids.key.is_none() {
        return Err(Kind::NoIdSecret {
            provider: pinned.snapshot.endpoints[object.provider].provider.as_str().into(),
        });
    }
    let Operation::Other(family) = surface.operation else {
        return Err(Kind::Internal("an object is of no family"));
    };
    let mut rest = family.to_vec();
    if let NamesModel::InPath { after, .. } = surface.names_model {
        rest.push(b'/');
        write_segment(&object.raw, &mut rest);
        rest.extend_from_slice(after);
    }
    if let NamesModel::WithinPath { between, .. } = surface.names_model {
        rest.push(b'/');
        write_segment(&object.raw, &mut rest);
        rest.extend_from_slice(between);
        let within = percent::decode(surface.within(io.request.path()).unwrap_or_default());
        let within = str::from_utf8(&within)
            .ok()
            .filter(|within| !matches!(*within, "." | ".."));
        write_segment(within.ok_or(Kind::NoSuchObject { name: "" })?, &mut rest);
    }
    let (spoken, path) = upstream.spoken(surface.dialect);
    let place = path.beside(&rest).filter(|_| has_objects(surface, spoken));
    let (path, own_query) = place.ok_or(Kind::NotOffered)?;
    let mut query = own_query.unwrap_or_default().as_bytes().to_vec();
    for pair in percent::parameters(io.request.query()) {
        let name = |pair: &[u8]| pair.split(|&byte| byte == b'=').next().map(<[u8]>::to_vec);
        if !percent::parameters(own_query.unwrap_or_default().as_bytes()).any(|own| name(own) == name(pair)) {
            query.extend_from_slice(if query.is_empty() { b"" } else { b"&" });
            query.extend_from_slice(pair);
        }
    }
    exchange.facts.direct = Some(object.provider);
    exchange.call.only_credential = object.credential;
    exchange.call.object = Some(ObjectCall {
        path,
        query,
        raw: Some(object.raw).filter(|_| matches!(surface.names_model, NamesModel::InPath { .. })),
        deletes: io.request.head.method == Method::Delete,
    });
    Ok(())
}

/// Has a provider spoken to like that the objects of a surface of this dialect? OpenAI's files and batches are of both its
/// dialects.
fn has_objects(surface: &Surface, spoken: Dialect) -> bool {
    match spoken {
        Dialect::OpenAiResponses => matches!(surface.dialect, Some(Dialect::OpenAi | Dialect::OpenAiResponses)),
        Dialect::OpenAi | Dialect::Anthropic => surface.dialect == Some(spoken),
        Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock => false,
    }
}

pub(crate) const ASKED_WRONGLY: Kind = Kind::Header {
    name: "x-tollgate-provider",
    wrong: "must name a provider of this API that serves a model of this API key, and that has what the request names",
};

pub(crate) fn asked_provider<'a>(io: &Io<'a>) -> Option<&'a [u8]> {
    let request = io.request;
    let mut lines = request.head.fields.lines.iter();
    let line = lines.find(|line| line.name.of(request.buf).eq_ignore_ascii_case(header::PROVIDER))?;
    Some(line.value.of(request.buf))
}

/// The provider that the client names, else the document's first: of those that serve a model of the key.
pub(crate) fn provider_for_new(exchange: &Exchange, io: &Io<'_>) -> Result<usize, Kind> {
    let pinned = exchange.pin();
    let snapshot = &pinned.snapshot;
    let key = exchange.facts.key.ok_or(Kind::NoKey)?;
    let allowed = &pinned.keys.entry(key).models;
    let serves_key = |provider: usize| {
        let mut models = snapshot.document.models.iter().zip(&snapshot.routes);
        models.any(|((name, _), route)| {
            let mut may_use = false;
            if route.targets.iter().any(|target| target.provider == provider) {
                allowed.visible(name, |_| may_use = true);
            }
            may_use
        })
    };
    let surface = exchange.facts.surface;
    let speaks = |upstream: &Upstream| {
        let (spoken, path) = upstream.spoken(surface.dialect);
        // A cloud that serves the dialect's chats alone has no objects.
        has_objects(surface, spoken) && path.beside(b"").is_some()
    };
    let asked = asked_provider(io);
    let is_asked = |index: usize| asked.is_none_or(|name| *name == *snapshot.endpoints[index].provider.as_bytes());
    let mut upstreams = snapshot.upstreams.iter().enumerate();
    let found = upstreams.find(|(index, upstream)| speaks(upstream) && is_asked(*index) && serves_key(*index));
    let missing = if asked.is_some() {
        ASKED_WRONGLY
    } else {
        Kind::NotOffered
    };
    found.map(|(index, _)| index).ok_or(missing)
}
